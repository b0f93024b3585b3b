//! Status pages: where they are, and who may see them.

use super::proxy::twice;
use crate::config::diag::{Diagnostic, Span, Spanned, quoted};
use crate::config::model::{BindConfig, PageConfig, PageUser, Shows};
use crate::config::raw::{Raw, RawPage, RawUser};

/// What is right by itself.
pub(super) fn pages(raw: &Raw, out: &mut Vec<Diagnostic>) -> Vec<PageConfig> {
    let listeners = raw.listeners.iter().flat_map(|listener| &listener.binds);
    let mut taken: Vec<&Spanned<BindConfig>> = listeners.collect();
    let mut pages = Vec::new();
    for (at, page) in raw.pages.iter().enumerate() {
        let same = raw.pages.iter().take(at).find(|other| other.name.value == page.name.value);
        twice("page", &page.name, same.map(|other| other.name.span), out);
        for bind in &page.binds {
            if let Some(first) = taken.iter().find(|first| overlap(&first.value, &bind.value)) {
                let text = format!("the page at {} has no port of its own", bind.value.address);
                out.push(
                    Diagnostic::error(bind.span, text)
                        .also(first.span, "something listens here")
                        .help("give one of them another port"),
                );
            }
            taken.push(bind);
        }
        pages.extend(self::page(page, out));
    }
    pages
}

/// Whether the kernel would refuse the second of them, or give it what is meant for the first.
fn overlap(one: &BindConfig, other: &BindConfig) -> bool {
    let covers = |any: &BindConfig, other: &BindConfig| {
        let same_family = any.address.is_ipv6() == other.address.is_ipv6();
        let dual = any.address.is_ipv6() && !any.v6_only;
        any.address.ip().is_unspecified() && (same_family || dual)
    };
    let interfaces = match (&one.interface, &other.interface) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    let same = one.address.ip() == other.address.ip();
    one.address.port() == other.address.port()
        && interfaces
        && (same || covers(one, other) || covers(other, one))
}

fn page(raw: &RawPage, out: &mut Vec<Diagnostic>) -> Option<PageConfig> {
    let name = &raw.name;
    if raw.binds.is_empty() && !raw.unreadable {
        let text = format!("page {} has no `bind`", quoted(&name.value));
        let error = Diagnostic::error(name.span, text);
        out.push(error.help("add `bind = \"127.0.0.1:7000\"`"));
    }
    let metrics = raw.shows.is_some_and(|shows| shows.value == Shows::Metrics);
    if let (true, Some(refresh)) = (metrics, &raw.refresh) {
        let text = "`refresh` has no effect where only metrics are served";
        out.push(Diagnostic::warning(refresh.span, text).help("remove it"));
    }
    if let Some(open) = raw.open_metrics.as_ref().filter(|open| open.value && raw.users.is_empty())
    {
        let text = "`open_metrics` has no effect: everybody sees this page";
        out.push(Diagnostic::warning(open.span, text).help("remove it, or add `users`"));
    }
    let path = match &raw.path {
        None if metrics => "/metrics".to_owned(),
        None => "/".to_owned(),
        Some(Spanned { value, span }) => page_path(value).unwrap_or_else(|| {
            let text = format!("{} is no path of a page", quoted(value));
            out.push(
                Diagnostic::error(*span, text)
                    .help("for example \"/\" or \"/status\": letters, digits, . _ ~ and -"),
            );
            String::new()
        }),
    };
    let mut users: Vec<(PageUser, Span)> = Vec::new();
    for raw in &raw.users {
        let RawUser { name: Spanned { value: name, span }, password } = raw;
        if name.is_empty() || name.contains(|c: char| c == ':' || c.is_control()) {
            let text = format!("{} cannot be the name of a user", quoted(name));
            let error = Diagnostic::error(*span, text);
            out.push(error.note("it is neither empty, nor has it a colon (RFC 7617)"));
        }
        if let Some((_, first)) = users.iter().find(|(known, _)| known.name == *name) {
            let text = format!("user {} exists twice", quoted(name));
            out.push(Diagnostic::error(*span, text).also(*first, "first one"));
        }
        let Some(password) = password.as_ref().filter(|password| !password.value.0.is_empty())
        else {
            let text = format!("user {} has no password", quoted(name));
            let error = Diagnostic::error(*span, text);
            out.push(error.help("give one, or remove all users: then everybody sees the page"));
            continue;
        };
        users.push((PageUser { name: name.clone(), password: password.value.clone() }, *span));
    }
    Some(PageConfig {
        name: name.value.clone(),
        binds: raw.binds.iter().map(|bind| bind.value.clone()).collect(),
        path,
        users: users.into_iter().map(|(user, _)| user).collect(),
        ..raw.over(&PageConfig::default(), out)
    })
}

/// The path as requests have it; `None` if it is none that needs no escapes.
pub(crate) fn page_path(text: &str) -> Option<String> {
    let path = text.strip_suffix('/').unwrap_or(text);
    let plain = |c: char| c.is_ascii_alphanumeric() || ['.', '_', '~', '-'].contains(&c);
    let segment = |part: &str| !["", ".", ".."].contains(&part) && part.chars().all(plain);
    match path.strip_prefix('/') {
        Some(rest) if rest.split('/').all(segment) && path.len() <= 200 => Some(path.to_owned()),
        None if text == "/" => Some("/".to_owned()),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_that_arrive_as_they_were_sent() {
        for (text, expected) in [
            ("/", Some("/")),
            ("/stats", Some("/stats")),
            ("/a/b-c.html/", Some("/a/b-c.html")),
            ("", None),
            ("stats", None),
            ("//", None),
            ("/a//b", None),
            ("/../etc", None),
            ("/{x}", None),
            ("/*", None),
            ("/a b", None),
            ("/a?b", None),
            ("/ä", None),
        ] {
            assert_eq!(page_path(text).as_deref(), expected, "{text:?}");
        }
        assert_eq!(page_path(&format!("/{}", "a".repeat(200))), None);
    }

    #[test]
    fn places_overlap_where_the_kernel_says_so() {
        let bind = |address: &str, v6_only, interface: Option<&str>| BindConfig {
            address: address.parse().unwrap(),
            v6_only,
            interface: interface.map(|name| name.parse().unwrap()),
        };
        let any = bind("0.0.0.0:7000", false, None);
        for (other, expected) in [
            (any.clone(), true),
            (bind("10.0.0.1:7000", false, None), true),
            (bind("10.0.0.1:7000", false, Some("eth0")), true),
            (bind("0.0.0.0:7001", false, None), false),
            (bind("[::]:7000", false, None), true),
            (bind("[::]:7000", true, None), false),
            (bind("[::1]:7000", false, None), false),
        ] {
            assert_eq!(overlap(&any, &other), expected, "{other:?}");
            assert_eq!(overlap(&other, &any), expected, "{other:?}");
        }
        let [one, other] = ["eth0", "eth1"].map(|name| bind("0.0.0.0:7000", false, Some(name)));
        assert!(!overlap(&one, &other));
    }
}
