//! One row per setting: its name, type, default and limits. The rows of a block make the struct that
//! holds its values, the one that holds what was written, and the keys by which everything else goes:
//! reading vipd.toml, checking, `vipd convert`, `--explain`, what a reload changes.

pub mod value;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::config::diag::{Diagnostic, Span, Spanned, nearest, quoted};
use crate::text::human;

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

/// What a setting looks like in vipd.toml.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// A text: a number and a unit of time.
    Time,
    /// True or false.
    Flag,
    /// A text: an address without a prefix length.
    Address,
    /// A text: one of these.
    Word(fn() -> Vec<&'static str>),
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

    /// What a word stands for.
    fn of(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, value)| *value)
    }

    /// All words.
    fn words() -> Vec<&'static str> {
        Self::WORDS.iter().map(|(word, _)| *word).collect()
    }
}

/// Makes [`Words`] of the enums whose variants are listed with their words.
macro_rules! words {
    ($($type:ident: $($word:literal $variant:ident $(($with:expr))?),+;)*) => {$(
        impl $crate::config::key::Words for $type {
            const WORDS: &'static [(&'static str, $type)] =
                &[$(($word, $type::$variant $(($with))?)),+];
        }
    )*};
}
pub(crate) use words;

/// A slot for one of several words.
pub trait Choice: fmt::Debug {
    /// All of them.
    fn words(&self) -> Vec<&'static str>;

    /// False: there is no such word.
    fn choose(&mut self, word: &str, span: Span) -> bool;

    /// The one that was written.
    fn chosen(&self) -> Option<Spanned<&'static str>>;
}

/// What is wrong with a word that is none of these, which stand between `quote`s.
pub(crate) fn no_word(word: &str, at: Span, known: &[&str], quote: &str) -> Diagnostic {
    let list: Vec<String> = known.iter().map(|name| format!("{quote}{name}{quote}")).collect();
    Diagnostic::error(at, format!("unknown value {}", quoted(word)))
        .help(format!("allowed: {}", list.join(", ")))
        .suggest(nearest(word, known.iter().copied()))
}

impl<T: Words> Choice for Option<Spanned<T>> {
    fn words(&self) -> Vec<&'static str> {
        T::words()
    }

    fn choose(&mut self, word: &str, span: Span) -> bool {
        let value = T::of(word);
        *self = value.map(|value| Spanned::new(value, span));
        value.is_some()
    }

    fn chosen(&self) -> Option<Spanned<&'static str>> {
        self.map(|choice| choice.map(Words::word))
    }
}

/// What a file can say.
pub trait Written: Clone {
    /// What it looks like.
    const SHAPE: Shape;

    /// The shape of a setting that has it.
    fn slot(at: &mut Option<Spanned<Self>>) -> Slot<'_>;

    /// For people.
    fn show(&self) -> String;
}

macro_rules! shapes {
    ($($type:ty: $slot:ident, $show:expr;)*) => {$(
        impl Written for $type {
            const SHAPE: Shape = Shape::$slot;

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
    String: Text, |text: &String| quoted(text);
    i64: Number, i64::to_string;
    Duration: Time, |time: &Duration| human(*time);
    bool: Flag, bool::to_string;
    IpAddr: Address, IpAddr::to_string;
}

impl<T: Words> Written for T {
    const SHAPE: Shape = Shape::Word(T::words);

    fn slot(at: &mut Option<Spanned<T>>) -> Slot<'_> {
        Slot::Word(at)
    }

    fn show(&self) -> String {
        self.word().to_owned()
    }
}

/// What files say of one setting; `D` is the block as written.
pub(crate) struct Key<D> {
    /// Its name in its table of vipd.toml.
    pub(crate) name: &'static str,
    /// What it was called once.
    pub(crate) former: Option<&'static str>,
    /// The keywords of keepalived.conf that say the same in one word; `!` before one that says the
    /// opposite.
    pub(crate) keepalived: &'static [&'static str],
    /// The word of haproxy.cfg that says the same, without what it begins with.
    pub(crate) haproxy: Option<&'static str>,
    /// It is read when the daemon starts, and a reload changes nothing about it.
    pub(crate) at_start: bool,
    /// What it means, for people.
    pub(crate) about: &'static str,
    pub(crate) shape: Shape,
    /// Its name where that table stands in another: `announce.repeat`.
    pub(crate) path: &'static str,
    pub(crate) slot: fn(&mut D) -> Slot<'_>,
    /// Where it was written.
    pub(crate) origin: fn(&D) -> Option<Span>,
    /// Takes it from the other block, if it is not written in the first.
    pub(crate) inherit: fn(&mut D, &D),
}

impl<D> Key<D> {
    /// Its name and, if it is another, the keyword of keepalived.conf.
    pub(crate) fn names(&self) -> String {
        match self.keepalived.first() {
            Some(word) if *word != self.name => format!("{} ({word})", self.name),
            _ => self.name.to_owned(),
        }
    }
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
    /// The least and the most, if it is a number.
    pub(crate) range: fn() -> Option<(i64, i64)>,
}

/// Makes a block of settings.
///
/// A row is `name: Type = default, limits, "what messages call it";`, without the last where that is
/// the name. `name was other` keeps what older files say, `name keepalived "word"` has a keyword of
/// keepalived.conf read, `name haproxy "word"` one of haproxy.cfg, `name at start` is one that a reload does not change. A block is made with
/// what is `given`. Settings whose rules need more than a row are `written`: files say them, and code
/// by hand checks them. What has another shape is `beside` them; what becomes of both is `checked`.
/// A block without rows is one of files only.
macro_rules! settings {
    (
        $(#[$about:meta])*
        pub struct $config:ident, $draft:ident, $prefix:literal {
            $($(#[doc = $meaning:literal])*
            $name:ident $(was $former:ident)? $(keepalived $word:literal $(or $other:literal)?)?
                $(haproxy $line:literal)? $(at $start:ident)?: $type:ty = $default:expr $(, $limits:expr $(, $what:literal)?)?;)*
        }
        $(checked {
            $($(#[$sense:meta])* $checked:ident: $checked_type:ty;)*
        })?
        $(given { $($given:tt)* })?
        $(written { $($written:tt)* })?
        $(beside { $($beside:tt)* })?
    ) => {
        $(#[$about])*
        pub struct $config {
            $($(#[doc = $meaning])* pub $name: $type,)*
            $($($(#[$sense])* pub $checked: $checked_type,)*)?
        }

        impl Default for $config {
            fn default() -> $config {
                $config { $($name: $default,)* $($($checked: Default::default(),)*)? }
            }
        }

        $crate::config::key::settings! {
            #[doc = concat!("[`", stringify!($config), "`] as written.")]
            pub struct $draft, $prefix
            given { $($($given)*)? }
            written {
                $($($written)*)?
                $($(#[doc = $meaning])*
                $name $(was $former)? $(keepalived $word $(or $other)?)? $(haproxy $line)? $(at $start)?:
                    <$type as $crate::config::key::value::Value>::Written;)*
            }
            beside { $($($beside)*)? }
        }

        impl $config {
            pub(crate) const ROWS: &'static [$crate::config::key::Row<$draft, $config>] = &[$(
                $crate::config::key::Row {
                    key: $crate::config::key::settings! {
                        @key $prefix, [$($meaning)*] [$($word $(, $other)?)?]
                        $name $(was $former)? $(haproxy $line)? $(at $start)?:
                            <$type as $crate::config::key::value::Value>::Written
                    },
                    range: || <$type as $crate::config::key::value::Value>::range(
                        &$crate::config::key::settings!(@limits $($limits)?),
                    ),
                    show: |config| $crate::config::key::value::Value::show(&config.$name),
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
                let mut config = Clone::clone(standard);
                $(
                    let limits = $crate::config::key::settings!(@limits $($limits)?);
                    let what = $crate::config::key::settings!(@what $name $($($what)?)?);
                    let own = $crate::config::key::value::within(self.$name.as_ref(), &limits, what, out);
                    own.into_iter().for_each(|own| config.$name = own);
                )*
                config
            }
        }
    };
    (
        $(#[$about:meta])*
        pub struct $draft:ident, $prefix:literal
        $(given { $($given:tt)* })?
        written {
            $($(#[doc = $meaning:literal])*
            $name:ident $(was $former:ident)? $(keepalived $word:literal $(or $other:literal)?)?
                $(haproxy $line:literal)? $(at $start:ident)?: $written:ty;)*
        }
        $(beside {
            $($(#[$purpose:meta])* $beside:ident: $type:ty;)*
        })?
    ) => {
        $crate::config::key::settings! { @draft
            $(#[$about])*
            $draft [$($($given)*)?] {
                $($(#[doc = $meaning])* $name: Option<$crate::config::diag::Spanned<$written>>;)*
                $($($(#[$purpose])* $beside: $type;)*)?
            }
        }

        impl $draft {
            pub(crate) const KEYS: &'static [$crate::config::key::Key<$draft>] =
                &[$($crate::config::key::settings!(
                    @key $prefix, [$($meaning)*] [$($word $(, $other)?)?]
                    $name $(was $former)? $(haproxy $line)? $(at $start)?: $written
                ),)*];

            // Unused where a block has other names as well.
            #[allow(dead_code)]
            pub(crate) const NAMES: &'static [&'static str] = &[$(stringify!($name),)*];
        }
    };
    (@limits) => { () };
    (@limits $limits:expr) => { $limits };
    (@what $name:ident) => { stringify!($name) };
    (@what $name:ident $what:literal) => { $what };
    (@at) => { false };
    (@at start) => { true };
    (@former) => { None };
    (@former $former:ident) => { Some(stringify!($former)) };
    (@key $prefix:literal, [$($meaning:literal)*] [$($word:literal),*]
        $name:ident $(was $former:ident)? $(haproxy $line:literal)? $(at $start:ident)?:
        $written:ty) => {
        $crate::config::key::Key {
            name: stringify!($name),
            former: $crate::config::key::settings!(@former $($former)?),
            keepalived: &[$($word),*],
            haproxy: [$($line)?].first().copied(),
            at_start: $crate::config::key::settings!(@at $($start)?),
            about: concat!($($meaning),*),
            shape: <$written as $crate::config::key::Written>::SHAPE,
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
