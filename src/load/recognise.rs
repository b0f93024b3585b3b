//! Which dialect a file is written in, by its content: names differ from site to site.

use crate::config::Format;
use crate::import::haproxy::is_section;
use crate::import::keepalived::is_root_keyword;

/// The dialect of the first line that gives it away; `None` if no line does.
pub(super) fn recognise(text: &str) -> Option<Format> {
    text.trim_start_matches('\u{feff}').lines().find_map(of_line)
}

fn of_line(line: &str) -> Option<Format> {
    let line = line.trim();
    let first = line.split_whitespace().next()?;
    if first.starts_with('#') {
        return None;
    }
    if first.starts_with('[') {
        return Some(Format::Toml);
    }
    if first.starts_with(['!', '$', '@', '~', '{', '}']) {
        return Some(Format::Keepalived);
    }
    let code = line.split('#').next().unwrap_or_default();
    let key = code.split('=').next().unwrap_or_default().trim_end();
    let is_key = |c: char| c.is_ascii_alphanumeric() || "_.-\"'".contains(c);
    if code.contains('=') && !key.is_empty() && key.chars().all(is_key) {
        return Some(Format::Toml);
    }
    if is_section(first) && !code.contains('{') {
        return Some(Format::Haproxy);
    }
    let word = first.split('{').next().unwrap_or_default();
    (is_root_keyword(word) || code.contains(['{', '}'])).then_some(Format::Keepalived)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides() {
        for (text, format) in [
            ("# x\n\n[global]\n", Some(Format::Toml)),
            ("vrrp.a.vrid = 3\n", Some(Format::Toml)),
            ("! Configuration File\nglobal_defs {\n", Some(Format::Keepalived)),
            ("vrrp_instance VI_1 {\n a = b\n}\n", Some(Format::Keepalived)),
            ("vrrp_instnace VI_1 {\n", Some(Format::Keepalived)),
            ("\u{feff}include conf.d/*.conf\n", Some(Format::Keepalived)),
            ("vrrp_instance VI_1\n{\n}\n", Some(Format::Keepalived)),
            ("global\n  log /dev/log local0\n", Some(Format::Haproxy)),
            ("# only a comment\n", None),
            ("", None),
            ("hello world\n", None),
        ] {
            assert_eq!(recognise(text), format, "{text:?}");
        }
    }
}
