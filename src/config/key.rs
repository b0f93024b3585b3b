//! One row per setting: its name, type, default and limits. The rows of a block make the struct that
//! holds its values, the one that holds what was written, and the keys by which everything else goes:
//! reading vipd.toml, checking, `vipd convert`, `--explain`, what a reload changes.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::check::human;
use super::diag::{Diagnostic, Span, Spanned};
use super::emit::length;

/// Where a setting goes, and what shape it has.
#[derive(Debug)]
pub enum Slot<'a> {
    /// A text.
    Text(&'a mut Option<Spanned<String>>),
    /// A whole number.
    Number(&'a mut Option<Spanned<i64>>),
    /// A length of time.
    Time(&'a mut Option<Spanned<Duration>>),
    /// True or false.
    Flag(&'a mut Option<Spanned<bool>>),
    /// Names with values.
    Pairs(&'a mut Vec<(Spanned<String>, Spanned<String>)>),
}

impl Slot<'_> {
    /// Where it was written.
    pub(crate) fn origin(&self) -> Option<Span> {
        match self {
            Slot::Text(text) => text.as_ref().map(|text| text.span),
            Slot::Number(number) => number.map(|number| number.span),
            Slot::Time(time) => time.map(|time| time.span),
            Slot::Flag(flag) => flag.map(|flag| flag.span),
            Slot::Pairs(pairs) => pairs.first().map(|(name, _)| name.span),
        }
    }
}

/// A type of settings.
pub(crate) trait Value: Sized + 'static {
    /// As files have it.
    type Written: Copy;

    fn slot(at: &mut Option<Spanned<Self::Written>>) -> Slot<'_>;

    /// # Errors
    /// What it must be: `1 to 255`.
    fn within(written: Self::Written, limits: &RangeInclusive<Self>) -> Result<Self, String>;

    /// For people.
    fn show(written: Self::Written) -> String;

    fn written(&self) -> Self::Written;

    /// For vipd.toml.
    fn toml(&self) -> String;
}

impl Value for u8 {
    type Written = i64;

    fn slot(at: &mut Option<Spanned<i64>>) -> Slot<'_> {
        Slot::Number(at)
    }

    fn within(written: i64, limits: &RangeInclusive<u8>) -> Result<u8, String> {
        let value = u8::try_from(written).ok().filter(|value| limits.contains(value));
        value.ok_or_else(|| format!("{} to {}", limits.start(), limits.end()))
    }

    fn show(written: i64) -> String {
        written.to_string()
    }

    fn written(&self) -> i64 {
        (*self).into()
    }

    fn toml(&self) -> String {
        self.to_string()
    }
}

impl Value for Duration {
    type Written = Duration;

    fn slot(at: &mut Option<Spanned<Duration>>) -> Slot<'_> {
        Slot::Time(at)
    }

    fn within(written: Duration, limits: &RangeInclusive<Duration>) -> Result<Duration, String> {
        if limits.contains(&written) {
            return Ok(written);
        }
        let (least, most) = (*limits.start(), human(*limits.end()));
        Err(if least.is_zero() {
            format!("at most {most}")
        } else {
            format!("{} to {most}", human(least))
        })
    }

    fn show(written: Duration) -> String {
        human(written)
    }

    fn written(&self) -> Duration {
        *self
    }

    fn toml(&self) -> String {
        length(*self)
    }
}

/// The value that was written, if it is within its limits.
pub(crate) fn within<T: Value>(
    written: Option<Spanned<T::Written>>,
    limits: &RangeInclusive<T>,
    what: &str,
    out: &mut Vec<Diagnostic>,
) -> Option<T> {
    let Spanned { value, span } = written?;
    match T::within(value, limits) {
        Ok(value) => Some(value),
        Err(allowed) => {
            let text = format!("{what} must be {allowed}, not {}", T::show(value));
            out.push(Diagnostic::error(span, text));
            None
        }
    }
}

/// What is known of one setting of a block; `D` is the block as written, `C` as checked.
pub(crate) struct Key<D, C> {
    /// Its name in its table of vipd.toml.
    pub(crate) name: &'static str,
    /// Its name where that table stands in another: `announce.repeat`.
    pub(crate) path: &'static str,
    pub(crate) slot: fn(&mut D) -> Slot<'_>,
    /// Where it was written.
    pub(crate) origin: fn(&D) -> Option<Span>,
    /// Its value for people.
    pub(crate) show: fn(&C) -> String,
    /// Its value for vipd.toml.
    pub(crate) toml: fn(&C) -> String,
    pub(crate) same: fn(&C, &C) -> bool,
}

/// Makes a block of settings. A row is `name: Type = default, limits, "what messages call it";`.
macro_rules! settings {
    (
        $(#[$about:meta])*
        pub struct $config:ident, $draft:ident, $prefix:literal {
            $($(#[$meaning:meta])* $name:ident: $type:ty = $default:expr, $limits:expr, $what:literal;)*
        }
    ) => {
        $(#[$about])*
        pub struct $config {
            $($(#[$meaning])* pub $name: $type,)*
        }

        impl Default for $config {
            fn default() -> $config {
                $config { $($name: $default,)* }
            }
        }

        #[doc = concat!("[`", stringify!($config), "`] as written.")]
        #[derive(Clone, Debug, Default)]
        pub struct $draft {
            $($(#[$meaning])* pub $name: Option<$crate::config::diag::Spanned<<$type as $crate::config::key::Value>::Written>>,)*
        }

        impl $config {
            pub(crate) const KEYS: &'static [$crate::config::key::Key<$draft, $config>] = &[$(
                $crate::config::key::Key {
                    name: stringify!($name),
                    path: concat!($prefix, stringify!($name)),
                    slot: |draft| <$type as $crate::config::key::Value>::slot(&mut draft.$name),
                    origin: |draft| draft.$name.map(|written| written.span),
                    show: |config| {
                        use $crate::config::key::Value;
                        <$type>::show(config.$name.written())
                    },
                    toml: |config| $crate::config::key::Value::toml(&config.$name),
                    same: |one, other| one.$name == other.$name,
                },
            )*];

            pub(crate) const NAMES: &'static [&'static str] = &[$(stringify!($name),)*];
        }

        impl $draft {
            /// What is not written, or wrong, is as in `standard`.
            pub(crate) fn over(
                &self,
                standard: $config,
                out: &mut Vec<$crate::config::diag::Diagnostic>,
            ) -> $config {
                use $crate::config::key::within;
                $config {
                    $($name: within(self.$name, &$limits, $what, out).unwrap_or(standard.$name),)*
                }
            }

            /// What is not written, `other` says.
            pub(crate) fn or(&self, other: &$draft) -> $draft {
                $draft { $($name: self.$name.or(other.$name),)* }
            }
        }
    };
}
pub(crate) use settings;
