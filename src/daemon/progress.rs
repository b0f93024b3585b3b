//! Ends a process whose control thread is stuck: addresses would stay where nobody defends them, and no
//! service manager need be there to notice.
//!
//! The loop counts its rounds, at least one a second. A thread of its own, scheduled as the control
//! thread is, looks at the count; what it adds up is the time in which it ran itself and the count stood
//! still. A process that was stopped, a machine that slept or a debugger that holds the thread is
//! thus no reason to end.

use std::fs;
use std::io;
use std::process::abort;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{Pid, gettid};

use crate::sys::realtime;

/// The loop turns at least so often.
pub(super) const TURN_EVERY: Duration = Duration::from_secs(1);

/// How often its count is looked at, and at most added up at a time.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A loop that has not turned for so long never will.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// How long the log may take to write the last line.
const LAST_LINE: Duration = Duration::from_millis(300);

/// What the control thread is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Waiting,
    Events,
    Packets,
    Deadlines,
    Questions,
    /// The loop is over.
    Nothing,
}

impl Doing {
    const ALL: [Doing; 6] = [
        Doing::Waiting,
        Doing::Events,
        Doing::Packets,
        Doing::Deadlines,
        Doing::Questions,
        Doing::Nothing,
    ];

    fn of(number: u8) -> Doing {
        let found = Doing::ALL.into_iter().find(|doing| *doing as u8 == number);
        found.unwrap_or(Doing::Nothing)
    }

    fn words(self) -> &'static str {
        match self {
            Doing::Waiting => "in a task of its runtime",
            Doing::Events => "while it handled what threads, checks or the kernel reported",
            Doing::Packets => "while it handled packets",
            Doing::Deadlines => "while it handled a deadline",
            Doing::Questions => "while it answered a client",
            Doing::Nothing => "after its loop",
        }
    }
}

/// What the control thread says of itself.
#[derive(Debug)]
pub(super) struct Progress(Arc<Count>);

#[derive(Debug)]
struct Count {
    rounds: AtomicU64,
    doing: AtomicU8,
}

impl Progress {
    /// Of the calling thread. If it is stuck from here on, the process ends.
    pub(super) fn watched(realtime: Option<u8>) -> io::Result<Progress> {
        let count = Arc::new(Count { rounds: AtomicU64::new(0), doing: AtomicU8::new(0) });
        let (watched, control) = (Arc::clone(&count), gettid());
        thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            if let Some(priority) = realtime {
                // As good as the thread it looks at, or as bad.
                let _ = realtime::prefer_this_thread(priority);
            }
            watch(&watched, control);
        })?;
        Ok(Progress(count))
    }

    /// One round more.
    pub(super) fn turned(&self) {
        self.0.rounds.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn doing(&self, doing: Doing) {
        self.0.doing.store(doing as u8, Ordering::Relaxed);
    }
}

impl Drop for Progress {
    /// Nobody counts any more.
    fn drop(&mut self) {
        self.doing(Doing::Nothing);
    }
}

fn watch(count: &Count, control: Pid) {
    let mut judge = Judge::default();
    let mut before = Instant::now();
    let mut worked = None;
    loop {
        thread::sleep(LOOK_EVERY);
        let doing = Doing::of(count.doing.load(Ordering::Relaxed));
        if doing == Doing::Nothing {
            return;
        }
        let now = Instant::now();
        let (rounds, ran) = (count.rounds.load(Ordering::Relaxed), now - before);
        before = now;
        let thread = Thread::look(control);
        match judge.look(rounds, ran, thread.as_ref().is_some_and(Thread::is_held)) {
            Verdict::Turns => worked = thread.map(|thread| thread.ticks),
            Verdict::Stands => {}
            Verdict::Stuck => end(doing, thread.as_ref(), worked),
        }
    }
}

fn end(doing: Doing, thread: Option<&Thread>, worked: Option<u64>) -> ! {
    let place = doing.words();
    let seconds = STUCK_AFTER.as_secs();
    let state = thread.map_or_else(String::new, |thread| thread.describe(worked));
    tracing::error!(
        "the control loop has been stuck for {seconds} s, {place}{state}: vipd ends itself with \
         SIGABRT (a core dump shows where); the kernel removes its addresses when their leases end"
    );
    thread::sleep(LAST_LINE);
    abort()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Turns,
    Stands,
    Stuck,
}

/// Adds up how long the count has stood still.
#[derive(Debug, Default)]
struct Judge {
    rounds: u64,
    stands: Duration,
}

impl Judge {
    /// `ran`: since the last look. `held`: somebody holds the thread, and knows it.
    fn look(&mut self, rounds: u64, ran: Duration, held: bool) -> Verdict {
        if rounds != self.rounds || held {
            (self.rounds, self.stands) = (rounds, Duration::ZERO);
            return Verdict::Turns;
        }
        // A look that comes late says that this thread did not run either.
        self.stands += ran.min(LOOK_EVERY);
        if self.stands < STUCK_AFTER { Verdict::Stands } else { Verdict::Stuck }
    }
}

/// A thread of this process, as the kernel sees it.
#[derive(Debug)]
struct Thread {
    state: char,
    /// Processor time so far, in the kernel's hundredths of a second.
    ticks: u64,
    /// Where in the kernel it waits, if it does and if we may know.
    waits_in: Option<String>,
}

impl Thread {
    fn look(thread: Pid) -> Option<Thread> {
        let directory = format!("/proc/self/task/{thread}");
        let stat = fs::read_to_string(format!("{directory}/stat")).ok()?;
        let (state, ticks) = state_and_ticks(&stat)?;
        let waits_in = fs::read_to_string(format!("{directory}/wchan")).ok();
        Some(Thread { state, ticks, waits_in: waits_in.filter(|place| place != "0") })
    }

    /// By a debugger, or by a signal.
    fn is_held(&self) -> bool {
        matches!(self.state, 't' | 'T')
    }

    fn describe(&self, worked: Option<u64>) -> String {
        let used = worked.map(|before| self.ticks.saturating_sub(before));
        let used = used.map_or_else(String::new, |used| {
            format!(", {}.{:02} s of processor time", used / 100, used % 100)
        });
        let waits_in = match &self.waits_in {
            Some(place) => format!(" in {place}"),
            None => String::new(),
        };
        format!(" (thread state {}{waits_in}{used})", self.state)
    }
}

/// proc_pid_stat(5): the third field, and the sum of utime and stime. The second is a name in brackets,
/// which may have brackets and spaces in it.
fn state_and_ticks(stat: &str) -> Option<(char, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let mut times = fields.skip(10).map(str::parse::<u64>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some((state, user.saturating_add(system)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_stands_still_for_five_seconds_is_stuck() {
        let mut judge = Judge::default();
        assert_eq!(judge.look(1, LOOK_EVERY, false), Verdict::Turns);
        for _ in 0..9 {
            assert_eq!(judge.look(1, LOOK_EVERY, false), Verdict::Stands);
        }
        assert_eq!(judge.look(2, LOOK_EVERY, false), Verdict::Turns);
        for _ in 0..9 {
            assert_eq!(judge.look(2, LOOK_EVERY, false), Verdict::Stands);
        }
        assert_eq!(judge.look(2, LOOK_EVERY, false), Verdict::Stuck);
    }

    #[test]
    fn a_pause_of_everybody_counts_as_one_look_and_a_debugger_as_none() {
        let mut judge = Judge::default();
        let hour = Duration::from_secs(3600);
        for _ in 0..9 {
            assert_eq!(judge.look(0, hour, false), Verdict::Stands);
        }
        for _ in 0..100 {
            assert_eq!(judge.look(0, LOOK_EVERY, true), Verdict::Turns);
        }
        assert_eq!(judge.look(0, LOOK_EVERY, false), Verdict::Stands);
    }

    #[test]
    fn the_kernel_says_what_a_thread_does() {
        let stat = "7 (a) b) S) R 1 7 7 0 -1 4194304 10 0 0 0 250 17 0 0 20 0 1 0 5 1 1";
        assert_eq!(state_and_ticks(stat), Some(('R', 267)));
        let own = Thread::look(gettid()).unwrap();
        assert_eq!(own.state, 'R');
        assert!(!own.is_held());
    }

    #[test]
    fn what_it_does_has_a_number() {
        for doing in Doing::ALL {
            assert_eq!(Doing::of(doing as u8), doing);
        }
    }
}
