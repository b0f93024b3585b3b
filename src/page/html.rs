//! Text that becomes HTML: what is not written in this program is escaped.

/// A page under construction.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup, which is ours.
    pub(super) fn raw(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// Text, which may be anybody's: a name from a file, an answer of a server. Fit for what stands
    /// between tags and for an attribute in double quotes.
    pub(super) fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // Not allowed in HTML, or able to turn what follows around.
                c if c.is_control() || is_bidi(c) => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
    }

    /// `<tag>text</tag>`
    pub(super) fn inside(&mut self, tag: &'static str, text: &str) {
        ["<", tag, ">"].into_iter().for_each(|markup| self.raw(markup));
        self.text(text);
        ["</", tag, ">"].into_iter().for_each(|markup| self.raw(markup));
    }

    /// A cell of a table. On narrow screens its label stands before it.
    pub(super) fn cell(&mut self, class: &'static str, label: &'static str, text: &str) {
        self.raw("<td data-label=\"");
        self.raw(label);
        self.raw("\" class=\"");
        self.raw(class);
        self.raw("\">");
        self.text(text);
        self.raw("</td>");
    }

    /// A row that says more about the one before.
    pub(super) fn notes(&mut self, notes: &[String]) {
        if notes.is_empty() {
            return;
        }
        self.raw("<tr class=more><td colspan=9><ul>");
        notes.iter().for_each(|note| self.inside("li", note));
        self.raw("</ul></td></tr>\n");
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// Marks that change the direction of the text around them.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        let mut out = Html::default();
        out.inside("b", "<script>alert('1')</script> & \"x\"\u{202e}\u{7}\n");
        assert_eq!(
            out.finish(),
            "<b>&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot;\u{fffd}\u{fffd}\u{fffd}</b>"
        );
    }
}
