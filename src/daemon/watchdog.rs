//! Tells the service manager that the control loop lives (`WatchdogSec=`).

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::types::Now;

/// Fed by the control thread itself, so that a living helper cannot speak for a hanging loop.
#[derive(Debug)]
pub(super) struct Watchdog {
    socket: UnixDatagram,
    manager: SocketAddr,
    period: Duration,
    due: Now,
    /// The latest the loop was since the last meal.
    late: Duration,
}

impl Watchdog {
    /// If the service manager asked for it (`WATCHDOG_USEC`, `NOTIFY_SOCKET`).
    pub(super) fn requested(now: Now) -> Option<io::Result<Watchdog>> {
        let interval = sd_notify::watchdog_enabled()?;
        let manager = std::env::var_os("NOTIFY_SOCKET")?;
        let manager = match manager.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(&manager),
        };
        Some(manager.and_then(|manager| Watchdog::feeding(manager, interval, now)))
    }

    fn feeding(manager: SocketAddr, interval: Duration, now: Now) -> io::Result<Watchdog> {
        let socket = UnixDatagram::unbound()?;
        // A service manager that does not read must not stop the loop.
        socket.set_nonblocking(true)?;
        Ok(Watchdog { socket, manager, period: interval / 2, due: now, late: Duration::ZERO })
    }

    /// When to call [`Watchdog::round_done`] at the latest.
    pub(super) fn deadline(&self) -> Now {
        self.due
    }

    /// A protocol timer fired that late.
    pub(super) fn was_late(&mut self, late: Duration) {
        self.late = self.late.max(late);
    }

    /// The loop has done everything there was to do. A loop that is late stays hungry: if it stays
    /// late, it is better restarted.
    pub(super) fn round_done(&mut self, now: Now) {
        if now < self.due {
            return;
        }
        self.was_late(now.since(self.due));
        let late = std::mem::take(&mut self.late);
        self.due = now + self.period;
        if late >= self.period {
            tracing::warn!("the control loop was {late:.1?} late: watchdog not fed");
            return;
        }
        if let Err(error) = self.socket.send_to_addr(b"WATCHDOG=1", &self.manager) {
            tracing::debug!("feed the watchdog: {}", crate::sys::cause(&error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_on_time_feeds_at_half_the_interval_and_a_late_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let meals = || std::iter::from_fn(|| manager.recv(&mut [0; 64]).ok()).count();

        let second = Duration::from_secs(1);
        let mut now = Now::ZERO + second;
        let address = SocketAddr::from_pathname(&path).unwrap();
        let mut watchdog = Watchdog::feeding(address, second * 2, now).unwrap();
        watchdog.round_done(now);
        assert_eq!((meals(), watchdog.deadline()), (1, now + second));
        watchdog.round_done(now + second / 2);
        assert_eq!(meals(), 0);
        now = now + second;
        watchdog.round_done(now);
        assert_eq!(meals(), 1);

        // The loop itself, then a protocol timer.
        now = now + second * 2;
        watchdog.round_done(now);
        assert_eq!(meals(), 0);
        now = watchdog.deadline();
        watchdog.was_late(second);
        watchdog.round_done(now);
        assert_eq!(meals(), 0);
        watchdog.round_done(watchdog.deadline());
        assert_eq!(meals(), 1);
    }
}
