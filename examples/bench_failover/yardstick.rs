//! How late the machine wakes a thread that asks for nothing else.
//!
//! A takeover a few milliseconds late on a machine that also compiles says little about the daemon;
//! this tells the two apart.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use vipd::lab::Stamp;

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(1);

/// What counts: less is the ordinary slack of a timer.
const NOTABLE: Duration = Duration::from_micros(300);

/// Every notable delay so far.
#[derive(Debug, Default)]
pub(crate) struct Yardstick(Mutex<Vec<Delay>>);

#[derive(Clone, Copy, Debug)]
struct Delay {
    /// When the thread was woken.
    at: Stamp,
    late: Duration,
}

impl Yardstick {
    /// Starts the thread, which ends when the last other handle is dropped.
    pub(crate) fn start() -> Result<Arc<Yardstick>> {
        let yardstick = Arc::<Yardstick>::default();
        let weak = Arc::downgrade(&yardstick);
        thread::Builder::new()
            .name("bench:yardstick".into())
            .spawn(move || {
                while let Some(yardstick) = weak.upgrade() {
                    yardstick.look();
                }
            })
            .context("cannot start a thread")?;
        Ok(yardstick)
    }

    /// The longest delay that touches the time between two moments.
    pub(crate) fn latest(&self, from: Stamp, to: Stamp) -> Duration {
        let delays = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let touching =
            delays.iter().filter(|delay| delay.at >= from && delay.at <= to + delay.late);
        touching.map(|delay| delay.late).max().unwrap_or_default()
    }

    fn look(&self) {
        let start = Instant::now();
        thread::sleep(PERIOD);
        let late = start.elapsed().saturating_sub(PERIOD);
        if late >= NOTABLE {
            let delay = Delay { at: Stamp::now(), late };
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(delay);
        }
    }
}
