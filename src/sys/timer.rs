//! One absolute timer on CLOCK_MONOTONIC.
//!
//! tokio's own timers round up to whole milliseconds, which is a tenth of the shortest advertisement
//! interval; a timerfd is exact to the scheduler's wake-up.

use std::io;
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::ready::Watched;

/// A timer that is armed or not.
///
/// It may fire early, never late: a deadline that moves further away does not re-arm it. The owner
/// compares the clock with its deadline anyway, and an advert that postpones a takeover would cost a
/// system call each time.
#[derive(Debug)]
pub struct Timer {
    fd: Watched<TimerFd>,
    armed: Option<Duration>,
}

impl Timer {
    /// An unarmed timer.
    ///
    /// # Errors
    /// The kernel's, if it has no timerfd to give. Must run inside a tokio runtime.
    pub fn new() -> io::Result<Timer> {
        let fd = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )?;
        Ok(Timer { fd: Watched::new(fd)?, armed: None })
    }

    /// Make sure the timer fires no later than `deadline`, an absolute reading of CLOCK_MONOTONIC.
    ///
    /// # Errors
    /// The kernel's.
    pub fn fire_by(&mut self, deadline: Option<Duration>) -> io::Result<()> {
        let Some(deadline) = deadline else { return Ok(()) };
        if self.armed.is_some_and(|armed| armed <= deadline) {
            return Ok(());
        }
        // A zero time would disarm it.
        let at = deadline.max(Duration::from_nanos(1));
        self.fd.get().set(
            Expiration::OneShot(TimeSpec::from_duration(at)),
            TimerSetTimeFlags::TFD_TIMER_ABSTIME,
        )?;
        self.armed = Some(deadline);
        Ok(())
    }

    /// Wait until it fires. Cancel-safe: readiness stays until this returns.
    ///
    /// # Errors
    /// Only if the runtime is shutting down.
    pub async fn fired(&mut self) -> io::Result<()> {
        // The registration is edge-triggered and arming resets the count of expirations, so the
        // descriptor need not be read.
        self.fd.readable().await?;
        self.armed = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock::Clock;

    #[test]
    fn it_fires_at_the_deadline_and_again_after_rearming() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let clock = Clock::start();
            let mut timer = Timer::new().unwrap();
            for round in 1..=3 {
                let deadline = clock.now() + Duration::from_micros(round * 700);
                timer.fire_by(Some(clock.absolute(deadline))).unwrap();
                // A later deadline leaves the earlier one armed.
                timer.fire_by(Some(clock.absolute(deadline + Duration::from_secs(9)))).unwrap();
                timer.fired().await.unwrap();
                assert!(clock.now() >= deadline);
                assert!(clock.now().since(deadline) < Duration::from_secs(5));
            }
        });
    }
}
