//! `bind` lines.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Proxy;
use crate::config::diag::{Diagnostic, Spanned, quoted};
use crate::config::model::BindConfig;
use crate::import::haproxy::keywords::{KeywordScope, Reporter};
use crate::import::haproxy::lexer::{Line, Word};
use crate::import::haproxy::values::{duration, number, without_brackets};
use crate::types::IfName;

/// A range of ports longer than this is a slip.
const MOST_PORTS: usize = 1000;

/// Reads `bind ADDRESSES OPTION…`.
pub(super) fn bind(line: &Line, proxy: &mut Proxy, reporter: &mut Reporter<'_>) {
    let Some((places, words)) = line.args.split_first() else { return };
    let mut options = Options::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let keyword = KeywordScope::Bind.find(&word.text);
        let honoured = reporter.keyword(KeywordScope::Bind, word, "bind … ").is_some();
        let count = keyword.map_or(0, |keyword| keyword.args.0);
        let values: Vec<&Word> = words.by_ref().take(count).collect();
        if !honoured {
            proxy.unreadable |= keyword.is_none();
            continue;
        }
        if values.len() < count {
            let text = format!("`{}` needs a value", word.text);
            reporter.out.push(Diagnostic::error(word.span, text));
            continue;
        }
        match (word.text.as_str(), values.first()) {
            ("v6only", _) => options.v6_only = true,
            ("v4v6", _) => options.v6_only = false,
            ("interface", Some(value)) => options.interface = interface(value, reporter),
            ("maxconn", Some(value)) => proxy.settings.maxconn = number(value, reporter.out),
            ("backlog", Some(value)) => proxy.settings.backlog = number(value, reporter.out),
            ("tcp-ut", Some(value)) => {
                proxy.settings.client.tcp_user_timeout = duration(value, reporter.out);
            }
            ("ssl", _) => proxy.tls = proxy.tls.or(Some(word.span)),
            ("crt" | "crt-list" | "ca-file" | "verify", _) => {}
            (name, _) => debug_assert!(false, "{name} is in the table but not read"),
        }
    }
    for place in places.text.split(',') {
        match addresses(place) {
            Ok(found) => proxy.binds.extend(found.into_iter().map(|address| {
                let (v6_only, interface) = (options.v6_only, options.interface.clone());
                Spanned::new(BindConfig { address, v6_only, interface }, places.span)
            })),
            Err(why) => {
                proxy.unreadable = true;
                let text = format!("{} is no place vipd can listen at: {why}", quoted(place));
                reporter.out.push(
                    Diagnostic::error(places.span, text)
                        .help("for example `*:5000`, `10.0.0.10:5000` or `:::5000`"),
                );
            }
        }
    }
}

#[derive(Default)]
struct Options {
    v6_only: bool,
    interface: Option<IfName>,
}

fn interface(word: &Word, reporter: &mut Reporter<'_>) -> Option<IfName> {
    let name = word.text.parse::<IfName>();
    name.map_err(|error| reporter.out.push(Diagnostic::error(word.span, error.to_string()))).ok()
}

/// `*:5000`, `:5000`, `10.0.0.1:5000-5009`, `[::1]:5000`, `:::5000`, `ipv4@…`, `ipv6@…`.
fn addresses(text: &str) -> Result<Vec<SocketAddr>, &'static str> {
    let (v4, v6) = (text.strip_prefix("ipv4@"), text.strip_prefix("ipv6@"));
    let place = v4.or(v6).unwrap_or(text);
    if place.starts_with('/') || place.contains('@') {
        return Err("it is no TCP port");
    }
    let (host, ports) = place.rsplit_once(':').ok_or("there is no port")?;
    let host = without_brackets(host);
    let address = match host {
        "" | "*" if v6.is_some() => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        "" | "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        host => host.parse().map_err(|_| "there is no address")?,
    };
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 && !text.starts_with('+') => Ok(port),
        _ => Err("a port is 1 to 65535"),
    };
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let range = port(first)?..=port(last)?;
    if range.is_empty() || range.len() > MOST_PORTS {
        return Err("the range of ports is empty, or has more than 1000");
    }
    Ok(range.map(|port| SocketAddr::new(address, port)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address_is_read() {
        for (text, expected) in [
            ("*:5000", "0.0.0.0:5000"),
            (":5000", "0.0.0.0:5000"),
            ("ipv4@:5000", "0.0.0.0:5000"),
            ("10.0.0.1:5000", "10.0.0.1:5000"),
            (":::5000", "[::]:5000"),
            ("ipv6@*:5000", "[::]:5000"),
            ("[2001:db8::1]:5000", "[2001:db8::1]:5000"),
            ("2001:db8::1:5000", "[2001:db8::1]:5000"),
        ] {
            let expected: SocketAddr = expected.parse().unwrap();
            assert_eq!(addresses(text), Ok(vec![expected]), "{text}");
        }
        assert_eq!(addresses("*:5000-5002").unwrap().len(), 3);
        for wrong in [
            "5000",
            "*:0",
            "*:70000",
            "*:+5000",
            "db:5432",
            "/run/x.sock",
            "unix@/x",
            "fd@3",
            "*:9-8",
            "*:1-1001",
            "",
        ] {
            assert!(addresses(wrong).is_err(), "{wrong}");
        }
    }
}
