//! Where a text refers to a definition.

/// `$NAME` or `${NAME}`, as found in a text.
pub(super) struct Use {
    pub(super) name: String,
    /// What follows the name within the braces.
    pub(super) params: Option<String>,
    pub(super) in_braces: bool,
    /// Bytes, `$` and braces included.
    pub(super) len: usize,
}

impl Use {
    /// The use that a text begins with.
    pub(super) fn parse(mut chars: impl Iterator<Item = char>) -> Option<Use> {
        chars.next().filter(|c| *c == '$')?;
        let mut next = chars.next();
        let in_braces = next == Some('{');
        if in_braces {
            next = chars.next();
        }
        let mut name = String::new();
        while let Some(c) = next.filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
            next = chars.next();
        }
        if !is_name(&name) {
            return None;
        }
        let ends = |c: char| c.is_whitespace() || c == ',' || c == ')';
        if !in_braces {
            let len = 1 + name.len();
            return next.is_none_or(ends).then_some(Use { name, params: None, in_braces, len });
        }
        let mut params = String::new();
        while let Some(c) =
            next.filter(|c| matches!(c, ' ' | '\t' | '_' | '-') || c.is_ascii_alphanumeric())
        {
            params.push(c);
            next = chars.next();
        }
        next.filter(|c| *c == '}')?;
        let len = 3 + name.len() + params.len();
        Some(Use { name, params: (!params.is_empty()).then_some(params), in_braces, len })
    }

    /// As the file spells it.
    pub(super) fn text(&self) -> String {
        let Use { name, params, in_braces, .. } = self;
        let params = params.as_deref().unwrap_or_default();
        if *in_braces { format!("${{{name}{params}}}") } else { format!("${name}") }
    }
}

/// Whether a text is a name and nothing else.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && name_len(text) == text.len()
}

/// The bytes of the name that a text begins with.
pub(super) fn name_len(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}
