//! Waiting for something to become true, with an end.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

/// The shortest and the longest time between two looks.
const PAUSES: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(200)];

/// What one look too late may add to the time that has passed: a fiftieth.
const LATE: u32 = 50;

/// A look may be a request or a program: most of the time the processor is left to what is waited
/// for.
const REST: u32 = 4;

fn pause(waited: Duration, look: Duration) -> Duration {
    let [shortest, longest] = PAUSES;
    (waited / LATE).max(look * REST).clamp(shortest, longest)
}

/// Something was not seen in time. `Debug` prints the same text as `Display`.
#[derive(Clone, thiserror::Error)]
pub struct Overdue {
    /// What was waited for.
    pub what: String,
    /// How long.
    pub waited: Duration,
    /// What was there instead, at the last look.
    pub instead: String,
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waited {:.3} s for {}", self.waited.as_secs_f64(), self.what)?;
        if self.instead.is_empty() { Ok(()) } else { write!(f, "; last seen: {}", self.instead) }
    }
}

impl fmt::Debug for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One look: the value waited for, or what was seen instead.
pub trait Look {
    /// The value waited for.
    type Value;
    /// Splits the look.
    ///
    /// # Errors
    /// What was seen instead.
    fn found(self) -> Result<Self::Value, String>;
}

impl Look for bool {
    type Value = ();
    fn found(self) -> Result<(), String> {
        if self { Ok(()) } else { Err(String::new()) }
    }
}

impl<T> Look for Option<T> {
    type Value = T;
    fn found(self) -> Result<T, String> {
        self.ok_or_else(String::new)
    }
}

impl<T, E: fmt::Display> Look for Result<T, E> {
    type Value = T;
    fn found(self) -> Result<T, String> {
        self.map_err(|instead| instead.to_string())
    }
}

/// Looks every 10 ms, less often after half a second or if a look takes long, until `look` finds
/// something: `true`, `Some(_)` or `Ok(_)`. An `Err` says what was seen instead and is printed if the
/// time runs out.
///
/// # Errors
/// [`Overdue`] when `within` has passed; there is always a last look after it.
pub fn eventually<L: Look>(
    within: Duration,
    what: impl Into<String>,
    mut look: impl FnMut() -> L,
) -> Result<L::Value, Overdue> {
    let start = Instant::now();
    loop {
        let began = start.elapsed();
        let over = began >= within;
        match look().found() {
            Ok(value) => return Ok(value),
            Err(instead) if over => {
                return Err(Overdue { what: what.into(), waited: start.elapsed(), instead });
            }
            Err(_) => thread::sleep(pause(began, start.elapsed().saturating_sub(began))),
        }
    }
}

/// Looks every 10 ms for the whole of `period` that nothing of the kind happens.
///
/// # Errors
/// What `look` returned as soon as it was not `None`.
pub fn never<T>(period: Duration, mut look: impl FnMut() -> Option<T>) -> Result<(), T> {
    let start = Instant::now();
    loop {
        let over = start.elapsed() >= period;
        match look() {
            Some(found) => return Err(found),
            None if over => return Ok(()),
            None => thread::sleep(PAUSES[0]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_was_awaited_and_what_was_seen() {
        let overdue = eventually(Duration::from_millis(30), "a master", || {
            Err::<(), _>("two routers in Backup")
        })
        .unwrap_err();
        let text = overdue.to_string();
        assert!(text.starts_with("waited 0.0"), "{text}");
        assert!(text.ends_with("s for a master; last seen: two routers in Backup"), "{text}");
    }

    #[test]
    fn the_value_is_returned_once_there() {
        let mut looks = 0;
        let value = eventually(Duration::from_secs(5), "three looks", || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(value.unwrap(), 3);
        assert_eq!(never(Duration::from_millis(20), || Some("a surprise")), Err("a surprise"));
        assert_eq!(never(Duration::from_millis(20), || None::<()>), Ok(()));
    }
}
