//! The wall clock of the daemon that answered.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;

/// The daemon's wall clock when it answered, in its own time zone.
pub(crate) struct WallClock(pub(super) Option<DateTime>);

/// A point in the past on that clock.
pub(crate) struct Then {
    pub(super) at: DateTime,
    now: DateTime,
}

impl WallClock {
    /// Without a time that can be read, ages must do.
    pub(crate) fn at(taken_at: &str) -> WallClock {
        let civil = Pieces::parse(taken_at)
            .ok()
            .and_then(|pieces| Some(pieces.date().to_datetime(pieces.time()?)));
        WallClock(civil)
    }

    pub(crate) fn now(&self) -> String {
        self.0.map_or_else(|| "-".to_owned(), |now| now.strftime("%Y-%m-%d %H:%M:%S").to_string())
    }

    pub(crate) fn before(&self, ms: u64) -> Option<Then> {
        let now = self.0?;
        let ago = SignedDuration::from_millis(i64::try_from(ms).ok()?);
        Some(Then { at: now.checked_sub(ago).ok()?, now })
    }

    pub(crate) fn since_note(&self, ms: u64) -> String {
        self.before(ms).map(|then| format!(" (since {})", then.long())).unwrap_or_default()
    }
}

impl Then {
    /// The time if it was today, else the day.
    pub(crate) fn short(&self) -> String {
        let form = if self.at.date() == self.now.date() { "%H:%M" } else { "%b %d" };
        self.at.strftime(form).to_string()
    }

    /// The time, with its day if that is not today.
    pub(crate) fn clock(&self) -> String {
        let form = if self.at.date() == self.now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        self.at.strftime(form).to_string()
    }

    pub(crate) fn long(&self) -> String {
        self.at.strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
}
