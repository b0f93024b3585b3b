//! One value: its type, its range, and what to write instead.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::{Reader, SCOPES, Value};
use crate::config::diag::{Diagnostic, Spanned, quoted};
use crate::config::key::{Choice, no_word};
use crate::config::raw::{RawReceiveBuffer, broadcast_of};
use crate::text::human;
use crate::types::Cidr;

impl Reader<'_> {
    pub(super) fn table<'t, 'i>(&mut self, value: &'t Value<'i>) -> Option<&'t DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.expected(value, "a table");
        }
        table
    }

    pub(super) fn text(&mut self, value: &Value<'_>) -> Option<Spanned<String>> {
        let Some(text) = value.get_ref().as_str() else {
            self.expected(value, "a text in quotes");
            return None;
        };
        Some(Spanned::new(text.to_owned(), self.span(value.span())))
    }

    pub(super) fn texts(&mut self, value: &Value<'_>) -> Vec<Spanned<String>> {
        let Some(array) = value.get_ref().as_array() else {
            self.expected(value, "an array of texts");
            return Vec::new();
        };
        array.iter().filter_map(|item| self.text(item)).collect()
    }

    pub(super) fn number(&mut self, value: &Value<'_>) -> Option<Spanned<i64>> {
        let number = value.get_ref().as_integer().and_then(|number| {
            i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
        });
        let Some(number) = number else {
            self.expected(value, "a whole number");
            return None;
        };
        Some(Spanned::new(number, self.span(value.span())))
    }

    pub(super) fn numbers(&mut self, value: &Value<'_>) -> Vec<Spanned<i64>> {
        let Some(array) = value.get_ref().as_array() else {
            self.expected(value, "an array of whole numbers");
            return Vec::new();
        };
        array.iter().filter_map(|item| self.number(item)).collect()
    }

    pub(super) fn boolean(&mut self, value: &Value<'_>) -> Option<Spanned<bool>> {
        let Some(boolean) = value.get_ref().as_bool() else {
            self.expected(value, "true or false");
            return None;
        };
        Some(Spanned::new(boolean, self.span(value.span())))
    }

    pub(super) fn duration(&mut self, value: &Value<'_>) -> Option<Spanned<Duration>> {
        let span = self.span(value.span());
        let Some(text) = value.get_ref().as_str() else {
            let help = match value.get_ref() {
                DeValue::Integer(n) => {
                    format!("write \"{0}s\" for seconds, \"{0}ms\" for milliseconds", n.as_str())
                }
                DeValue::Float(n) => format!("write \"{}s\" for seconds", n.as_str()),
                _ => "for example \"1s\" or \"500ms\"".to_owned(),
            };
            self.out.push(Diagnostic::error(span, "a length of time needs a unit").help(help));
            return None;
        };
        match duration(text) {
            Some(duration) => Some(Spanned::new(duration, span)),
            None => {
                let text = format!("{} is not a length of time", quoted(text));
                self.out.push(
                    Diagnostic::error(span, text)
                        .help("a number and a unit: \"500ms\", \"1s\", \"1.5s\", \"2min\""),
                );
                None
            }
        }
    }

    pub(super) fn ip(&mut self, value: &Value<'_>) -> Option<Spanned<IpAddr>> {
        let text = self.text(value)?;
        let parsed = text.value.parse();
        if parsed.is_err() {
            let message = format!("{} is not an IP address", quoted(&text.value));
            self.out.push(Diagnostic::error(text.span, message));
        }
        Some(Spanned::new(parsed.ok()?, text.span))
    }

    pub(super) fn cidr(&mut self, value: &Value<'_>) -> Option<Spanned<Cidr>> {
        let text = self.text(value)?;
        match text.value.parse() {
            Ok(cidr) => Some(Spanned::new(cidr, text.span)),
            Err(error) => {
                let error =
                    Diagnostic::error(text.span, crate::types::OutOfRange::to_string(&error));
                self.out.push(error.help("for example \"10.0.0.10/24\""));
                None
            }
        }
    }

    pub(super) fn scope(&mut self, value: &Value<'_>) -> Option<Spanned<u8>> {
        if value.get_ref().is_integer() {
            let number = self.number(value)?;
            let scope = u8::try_from(number.value).ok();
            if scope.is_none() {
                let text = format!("scope must be 0 to 255, not {}", number.value);
                self.out.push(Diagnostic::error(number.span, text));
            }
            return Some(Spanned::new(scope?, number.span));
        }
        self.choice(value, SCOPES)
    }

    pub(super) fn broadcast(&mut self, cidr: Cidr, value: &Value<'_>) -> Option<Spanned<Ipv4Addr>> {
        let text = self.text(value)?;
        let broadcast = match text.value.as_str() {
            "+" => broadcast_of(cidr, true),
            "-" => broadcast_of(cidr, false),
            address => address.parse().ok(),
        };
        if broadcast.is_none() {
            let message = "broadcast must be an IPv4 address, \"+\" or \"-\", on an IPv4 address";
            self.out.push(Diagnostic::error(text.span, message));
        }
        Some(Spanned::new(broadcast?, text.span))
    }

    pub(super) fn preferred_lft(&mut self, value: &Value<'_>) -> Option<Spanned<Option<u32>>> {
        if value.get_ref().as_str() == Some("forever") {
            return Some(Spanned::new(None, self.span(value.span())));
        }
        let duration = self.duration(value)?;
        let seconds = u32::try_from(duration.value.as_secs()).ok();
        if seconds.is_none() || duration.value.subsec_nanos() != 0 {
            let text = format!("preferred_lft is in whole seconds, not {}", human(duration.value));
            self.out.push(Diagnostic::error(duration.span, text).help("or \"forever\""));
        }
        Some(Spanned::new(Some(seconds?), duration.span))
    }

    pub(super) fn choice<T: Copy>(
        &mut self,
        value: &Value<'_>,
        names: &[(&str, T)],
    ) -> Option<Spanned<T>> {
        let text = self.text(value)?;
        if let Some((_, choice)) = names.iter().find(|(name, _)| *name == text.value) {
            return Some(Spanned::new(*choice, text.span));
        }
        let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        self.out.push(no_word(&text.value, text.span, &known, "\""));
        None
    }

    pub(super) fn word(&mut self, at: &mut dyn Choice, value: &Value<'_>) {
        let Some(text) = self.text(value) else { return };
        if !at.choose(&text.value, text.span) {
            self.out.push(no_word(&text.value, text.span, &at.words(), "\""));
        }
    }

    /// A number of bytes, or `"3 adverts"`, `"3 mtu"`.
    pub(super) fn receive_buffer(
        &mut self,
        value: &Value<'_>,
    ) -> Option<Spanned<RawReceiveBuffer>> {
        if value.get_ref().is_integer() {
            return Some(self.number(value)?.map(RawReceiveBuffer::Bytes));
        }
        let text = self.text(value)?;
        let parsed = text.value.split_once(' ').and_then(|(times, of)| {
            let times = times.parse().ok()?;
            match of {
                "adverts" => Some(RawReceiveBuffer::Adverts(times)),
                "mtu" => Some(RawReceiveBuffer::Mtus(times)),
                _ => None,
            }
        });
        if parsed.is_none() {
            let message = format!("{} is no size of a buffer", quoted(&text.value));
            let help = "a number of bytes, or a text such as \"3 adverts\" or \"3 mtu\"";
            self.out.push(Diagnostic::error(text.span, message).help(help));
        }
        Some(Spanned::new(parsed?, text.span))
    }
}

/// A number with a unit; a decimal point is allowed ("1.5s").
fn duration(text: &str) -> Option<Duration> {
    let has_unit = text.chars().any(|c| c.is_ascii_alphabetic());
    if let Some((whole, rest)) = text.split_once('.') {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let fraction = rest.get(..rest.len() - digits.len())?;
        let plain =
            |s: &str| !s.is_empty() && s.len() <= 9 && s.bytes().all(|b| b.is_ascii_digit());
        if !plain(whole) || !plain(fraction) {
            return None;
        }
        let unit = humantime::parse_duration(&format!("1{digits}")).ok()?;
        let scale = 10_u32.checked_pow(fraction.len().try_into().ok()?)?;
        let whole = unit.checked_mul(whole.parse().ok()?)?;
        let part = unit.checked_mul(fraction.parse().ok()?)?.checked_div(scale)?;
        return whole.checked_add(part);
    }
    humantime::parse_duration(text).ok().filter(|duration| has_unit || duration.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_units() {
        let ms = Duration::from_millis;
        for (text, expected) in [
            ("500ms", Some(ms(500))),
            ("1s", Some(ms(1000))),
            ("1.5s", Some(ms(1500))),
            ("0.01s", Some(ms(10))),
            ("1m 30s", Some(ms(90_000))),
            ("0s", Some(ms(0))),
            ("1", None),
            ("1.5", None),
            ("s", None),
            ("-1s", None),
            ("1.s", None),
            ("99999999999999999999s", None),
            ("", None),
        ] {
            assert_eq!(duration(text), expected, "{text:?}");
        }
    }
}
