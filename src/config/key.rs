//! One row per setting: its name, type, default and limits. The rows of a block make the struct that
//! holds its values, the one that holds what was written, and the keys by which everything else goes:
//! reading vipd.toml, checking, `vipd convert`, `--explain`, what a reload changes.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::check::human;
use super::diag::{Diagnostic, Span, Spanned};
use crate::types::Centis;

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
    /// An address without a prefix length.
    Address(&'a mut Option<Spanned<IpAddr>>),
    /// One of several words.
    Word(&'a mut dyn Choice),
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
            Slot::Address(address) => address.map(|address| address.span),
            Slot::Word(choice) => choice.chosen().map(|chosen| chosen.span),
            Slot::Pairs(pairs) => pairs.first().map(|(name, _)| name.span),
        }
    }
}

/// A type whose values are words.
pub trait Words: Copy + PartialEq + fmt::Debug + 'static {
    /// All of them, with what they mean.
    const WORDS: &'static [(&'static str, Self)];

    /// The word for it.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }
}

/// A slot for one of several words.
pub trait Choice: fmt::Debug {
    /// All of them.
    fn words(&self) -> Vec<&'static str>;

    /// False: there is no such word.
    fn choose(&mut self, word: &str, span: Span) -> bool;

    /// The one that was written.
    fn chosen(&self) -> Option<Spanned<&'static str>>;
}

impl<T: Words> Choice for Option<Spanned<T>> {
    fn words(&self) -> Vec<&'static str> {
        T::WORDS.iter().map(|(word, _)| *word).collect()
    }

    fn choose(&mut self, word: &str, span: Span) -> bool {
        let known = T::WORDS.iter().find(|(known, _)| *known == word);
        if let Some((_, value)) = known {
            *self = Some(Spanned::new(*value, span));
        }
        known.is_some()
    }

    fn chosen(&self) -> Option<Spanned<&'static str>> {
        self.map(|choice| choice.map(Words::word))
    }
}

/// What a file can say.
pub trait Written: Clone {
    /// The shape of a setting that has it.
    fn slot(at: &mut Option<Spanned<Self>>) -> Slot<'_>;

    /// For people.
    fn show(&self) -> String;
}

macro_rules! shapes {
    ($($type:ty: $slot:ident, $show:expr;)*) => {$(
        impl Written for $type {
            fn slot(at: &mut Option<Spanned<$type>>) -> Slot<'_> {
                Slot::$slot(at)
            }

            fn show(&self) -> String {
                $show(self)
            }
        }
    )*};
}
shapes! {
    String: Text, String::clone;
    i64: Number, i64::to_string;
    Duration: Time, |time: &Duration| human(*time);
    bool: Flag, bool::to_string;
    IpAddr: Address, IpAddr::to_string;
}

impl<T: Words> Written for T {
    fn slot(at: &mut Option<Spanned<T>>) -> Slot<'_> {
        Slot::Word(at)
    }

    fn show(&self) -> String {
        self.word().to_owned()
    }
}

/// A type of settings.
pub trait Value: Sized + 'static {
    /// As files have it.
    type Written: Written;
    /// What it must be within.
    type Limits;

    /// # Errors
    /// What it must be: `1 to 255`.
    fn within(written: &Self::Written, limits: &Self::Limits) -> Result<Self, String>;

    /// For people.
    fn show(&self) -> String;
}

impl Value for u8 {
    type Written = i64;
    type Limits = RangeInclusive<u8>;

    fn within(written: &i64, limits: &RangeInclusive<u8>) -> Result<u8, String> {
        let value = u8::try_from(*written).ok().filter(|value| limits.contains(value));
        value.ok_or_else(|| format!("{} to {}", limits.start(), limits.end()))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Duration {
    type Written = Duration;
    type Limits = RangeInclusive<Duration>;

    fn within(written: &Duration, limits: &RangeInclusive<Duration>) -> Result<Duration, String> {
        if limits.contains(written) {
            return Ok(*written);
        }
        let (least, most) = (*limits.start(), human(*limits.end()));
        Err(if least.is_zero() {
            format!("at most {most}")
        } else {
            format!("{} to {most}", human(least))
        })
    }

    fn show(&self) -> String {
        human(*self)
    }
}

impl Value for Centis {
    type Written = Duration;
    type Limits = RangeInclusive<Centis>;

    fn within(written: &Duration, limits: &RangeInclusive<Centis>) -> Result<Centis, String> {
        let centis = u16::try_from(written.as_millis() / 10).ok();
        let centis = centis.and_then(|centis| Centis::try_from(centis).ok());
        let seconds = |centis: &Centis| centis.as_duration().as_secs_f64();
        centis.filter(|centis| limits.contains(centis)).ok_or_else(|| {
            format!("{} to {} seconds", seconds(limits.start()), seconds(limits.end()))
        })
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for bool {
    type Written = bool;
    type Limits = ();

    fn within(written: &bool, (): &()) -> Result<bool, String> {
        Ok(*written)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl<T: Words> Value for T {
    type Written = T;
    type Limits = ();

    fn within(written: &T, (): &()) -> Result<T, String> {
        Ok(*written)
    }

    fn show(&self) -> String {
        self.word().to_owned()
    }
}

/// The value that was written, if it is within its limits.
pub(crate) fn within<T: Value>(
    written: Option<&Spanned<T::Written>>,
    limits: &T::Limits,
    what: &str,
    out: &mut Vec<Diagnostic>,
) -> Option<T> {
    let Spanned { value, span } = written?;
    match T::within(value, limits) {
        Ok(value) => Some(value),
        Err(allowed) => {
            let text = format!("{what} must be {allowed}, not {}", value.show());
            out.push(Diagnostic::error(*span, text));
            None
        }
    }
}

/// What files say of one setting; `D` is the block as written.
pub(crate) struct Key<D> {
    /// Its name in its table of vipd.toml.
    pub(crate) name: &'static str,
    /// Its name where that table stands in another: `announce.repeat`.
    pub(crate) path: &'static str,
    pub(crate) slot: fn(&mut D) -> Slot<'_>,
    /// Where it was written.
    pub(crate) origin: fn(&D) -> Option<Span>,
    /// Takes it from the other block, if it is not written in the first.
    pub(crate) inherit: fn(&mut D, &D),
}

/// What is not written in `own`, `other` says.
pub(crate) fn inherit<D>(own: &mut D, other: &D, keys: &[Key<D>]) {
    keys.iter().for_each(|key| (key.inherit)(own, other));
}

/// A setting that has a row; `C` is the block as checked.
pub(crate) struct Row<D, C> {
    pub(crate) key: Key<D>,
    /// Its value for people.
    pub(crate) show: fn(&C) -> String,
}

/// Makes a block of settings.
///
/// A row is `name: Type = default, limits, "what messages call it";`, without the last where that is
/// the name. A block is made with what is `given`. Settings whose rules need more than a row are
/// `written`: files say them, and code by hand checks them. What has another shape is `beside` them.
/// A block without rows is one of files only.
macro_rules! settings {
    (
        $(#[$about:meta])*
        pub struct $config:ident, $draft:ident, $prefix:literal {
            $($(#[$meaning:meta])*
            $name:ident: $type:ty = $default:expr $(, $limits:expr $(, $what:literal)?)?;)*
        }
        $(given { $($given:tt)* })?
        $(written { $($written:tt)* })?
        $(beside { $($beside:tt)* })?
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

        $crate::config::key::settings! {
            #[doc = concat!("[`", stringify!($config), "`] as written.")]
            pub struct $draft, $prefix
            given { $($($given)*)? }
            written {
                $($($written)*)?
                $($(#[$meaning])* $name: <$type as $crate::config::key::Value>::Written;)*
            }
            beside { $($($beside)*)? }
        }

        impl $config {
            pub(crate) const ROWS: &'static [$crate::config::key::Row<$draft, $config>] = &[$(
                $crate::config::key::Row {
                    key: $crate::config::key::settings! {
                        @key $prefix, $name: <$type as $crate::config::key::Value>::Written
                    },
                    show: |config| $crate::config::key::Value::show(&config.$name),
                },
            )*];
        }

        impl $draft {
            /// What is not written, or wrong, is as in `standard`.
            pub(crate) fn over(
                &self,
                standard: &$config,
                out: &mut Vec<$crate::config::diag::Diagnostic>,
            ) -> $config {
                use $crate::config::key::within;
                $config {$(
                    $name: within(
                        self.$name.as_ref(),
                        &$crate::config::key::settings!(@limits $($limits)?),
                        $crate::config::key::settings!(@what $name $($($what)?)?),
                        out,
                    )
                    .unwrap_or(standard.$name),
                )*}
            }
        }
    };
    (
        $(#[$about:meta])*
        pub struct $draft:ident, $prefix:literal
        $(given { $($given:tt)* })?
        written {
            $($(#[$meaning:meta])* $name:ident: $written:ty;)*
        }
        $(beside {
            $($(#[$purpose:meta])* $beside:ident: $type:ty;)*
        })?
    ) => {
        $crate::config::key::settings! { @draft
            $(#[$about])*
            $draft [$($($given)*)?] {
                $($(#[$meaning])* $name: Option<$crate::config::diag::Spanned<$written>>;)*
                $($($(#[$purpose])* $beside: $type;)*)?
            }
        }

        impl $draft {
            pub(crate) const KEYS: &'static [$crate::config::key::Key<$draft>] =
                &[$($crate::config::key::settings!(@key $prefix, $name: $written),)*];

            // Unused where a block has other names as well.
            #[allow(dead_code)]
            pub(crate) const NAMES: &'static [&'static str] = &[$(stringify!($name),)*];
        }
    };
    (@limits) => { () };
    (@limits $limits:expr) => { $limits };
    (@what $name:ident) => { stringify!($name) };
    (@what $name:ident $what:literal) => { $what };
    (@key $prefix:literal, $name:ident: $written:ty) => {
        $crate::config::key::Key {
            name: stringify!($name),
            path: concat!($prefix, stringify!($name)),
            slot: |draft| <$written as $crate::config::key::Written>::slot(&mut draft.$name),
            origin: |draft| draft.$name.as_ref().map(|written| written.span),
            inherit: |own, other| {
                if own.$name.is_none() {
                    own.$name.clone_from(&other.$name);
                }
            },
        }
    };
    (@draft $(#[$about:meta])* $draft:ident [] {
        $($(#[$meaning:meta])* $name:ident: $type:ty;)*
    }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default)]
        pub struct $draft {
            $($(#[$meaning])* pub $name: $type,)*
        }
    };
    (@draft $(#[$about:meta])* $draft:ident [
        $($(#[$about_given:meta])* $given:ident: $given_type:ty;)+
    ] {
        $($(#[$meaning:meta])* $name:ident: $type:ty;)*
    }) => {
        $(#[$about])*
        #[derive(Clone, Debug)]
        pub struct $draft {
            $($(#[$about_given])* pub $given: $given_type,)+
            $($(#[$meaning])* pub $name: $type,)*
        }

        impl $draft {
            /// One of which nothing else is known.
            #[must_use]
            pub fn new($($given: $given_type),+) -> $draft {
                $draft { $($given,)+ $($name: Default::default(),)* }
            }
        }
    };
}
pub(crate) use settings;
