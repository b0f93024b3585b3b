//! The types of settings: what they are written as, what they must be within, what people read.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Words, Written};
use crate::config::diag::{Diagnostic, Spanned};
use crate::pool::Weight;
use crate::text::human;
use crate::types::Centis;

pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// The longest most times may be. Longer is a slip of the unit.
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
/// A length of time that is not zero.
pub(crate) const POSITIVE: RangeInclusive<Duration> = Duration::from_nanos(1)..=DAY;

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

    /// The least and the most, if it is a number.
    fn range(_limits: &Self::Limits) -> Option<(i64, i64)> {
        None
    }
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Value for $type {
            type Written = i64;
            type Limits = RangeInclusive<$type>;

            fn within(written: &i64, limits: &RangeInclusive<$type>) -> Result<$type, String> {
                let value = <$type>::try_from(*written).ok().filter(|value| limits.contains(value));
                value.ok_or_else(|| format!("{} to {}", limits.start(), limits.end()))
            }

            fn show(&self) -> String {
                self.to_string()
            }

            fn range(limits: &RangeInclusive<$type>) -> Option<(i64, i64)> {
                Some((i64::from(*limits.start()), i64::from(*limits.end())))
            }
        }
    )*};
}
numbers! { i8 u8 u16 u32 }

impl Value for Option<i8> {
    type Written = i64;
    type Limits = RangeInclusive<i8>;

    fn within(written: &i64, limits: &RangeInclusive<i8>) -> Result<Self, String> {
        i8::within(written, limits).map(Some)
    }

    fn show(&self) -> String {
        self.map_or_else(|| "none".to_owned(), |value| value.to_string())
    }

    fn range(limits: &RangeInclusive<i8>) -> Option<(i64, i64)> {
        i8::range(limits)
    }
}

/// What a text must be like.
#[derive(Debug)]
pub struct Texts {
    pub(crate) fits: fn(&str) -> bool,
    /// The same for people.
    pub(crate) allowed: &'static str,
}

pub(crate) const ANY_TEXT: Texts = Texts { fits: |_| true, allowed: "a text" };

impl Value for Option<String> {
    type Written = String;
    type Limits = Texts;

    fn within(written: &String, limits: &Texts) -> Result<Self, String> {
        let fits = (limits.fits)(written);
        fits.then(|| Some(written.clone())).ok_or_else(|| limits.allowed.to_owned())
    }

    fn show(&self) -> String {
        self.clone().unwrap_or_else(|| "none".to_owned())
    }
}

impl Value for NonZeroU32 {
    type Written = i64;
    type Limits = RangeInclusive<u32>;

    fn within(written: &i64, limits: &RangeInclusive<u32>) -> Result<NonZeroU32, String> {
        let value = NonZeroU32::new(u32::within(written, limits)?);
        value.ok_or_else(|| format!("at least 1, at most {}", limits.end()))
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn range(limits: &RangeInclusive<u32>) -> Option<(i64, i64)> {
        u32::range(limits)
    }
}

impl Value for Weight {
    type Written = i64;
    type Limits = RangeInclusive<u16>;

    fn within(written: &i64, limits: &RangeInclusive<u16>) -> Result<Weight, String> {
        let value = u16::within(written, limits)?;
        Weight::try_from(value).map_err(|error| error.to_string())
    }

    fn show(&self) -> String {
        self.get().to_string()
    }

    fn range(limits: &RangeInclusive<u16>) -> Option<(i64, i64)> {
        u16::range(limits)
    }
}

/// A limit, which 0 takes away.
impl Value for Option<NonZeroU32> {
    type Written = i64;
    type Limits = RangeInclusive<u32>;

    fn within(written: &i64, limits: &RangeInclusive<u32>) -> Result<Self, String> {
        Ok(NonZeroU32::new(u32::within(written, limits)?))
    }

    fn show(&self) -> String {
        self.map_or_else(|| "no limit".to_owned(), |most| most.to_string())
    }

    fn range(limits: &RangeInclusive<u32>) -> Option<(i64, i64)> {
        u32::range(limits)
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
        Err(match least.as_nanos() {
            0 => format!("at most {most}"),
            1 => format!("more than 0 and at most {most}"),
            _ => format!("{} to {most}", human(least)),
        })
    }

    fn show(&self) -> String {
        human(*self)
    }
}

/// A time after which something happens, which zero prevents.
impl Value for Option<Duration> {
    type Written = Duration;
    type Limits = RangeInclusive<Duration>;

    fn within(written: &Duration, limits: &RangeInclusive<Duration>) -> Result<Self, String> {
        if written.is_zero() {
            return Ok(None);
        }
        let within = Duration::within(written, limits).map(Some);
        within.map_err(|allowed| format!("{allowed}, or zero for never"))
    }

    fn show(&self) -> String {
        self.map_or_else(|| "never".to_owned(), human)
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
