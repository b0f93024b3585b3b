//! Who may run at the same time: tests that wait for others share the machine, tests that measure
//! have it to themselves. All that share it come first, because a change leaves the machine idle
//! until the last one has ended. So there must be more test threads than tests that measure.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

/// How many share the machine: they mostly wait, and every limit in time leaves the machine its part.
const TOGETHER: usize = 6;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Waits, for a minute or so.
    Long,
    /// Waits.
    Short,
    /// Measures time or load.
    Alone,
}

impl Kind {
    const fn takes(self) -> usize {
        if matches!(self, Kind::Alone) { TOGETHER } else { 1 }
    }
}

struct Turns {
    /// By those that run.
    taken: usize,
    /// What ran last.
    last: Kind,
    /// Of each kind.
    waiting: [usize; 3],
}

impl Turns {
    fn waits(&self, kind: Kind) -> bool {
        self.waiting[kind as usize] > 0
    }

    fn may_run(&self, kind: Kind) -> bool {
        let alone = kind == Kind::Alone;
        // Those that measure and the others change places when nothing is left of either.
        let others = if alone {
            self.waits(Kind::Long) || self.waits(Kind::Short)
        } else {
            self.waits(Kind::Alone)
        };
        if alone != (self.last == Kind::Alone) && (self.taken > 0 || others) {
            return false;
        }
        // The longest would otherwise be the last ones, and leave the machine idle.
        let gives_way = kind == Kind::Short && self.waits(Kind::Long);
        self.taken + kind.takes() <= TOGETHER && !gives_way
    }
}

static TURNS: Mutex<Turns> = Mutex::new(Turns { taken: 0, last: Kind::Short, waiting: [0; 3] });
static CHANGED: Condvar = Condvar::new();

thread_local! {
    /// Someone else holds a turn for this thread.
    static COVERED: Cell<bool> = const { Cell::new(false) };
    /// The turn of a test that did not ask for one.
    static IMPLIED: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

/// The right to run, until it is dropped.
#[must_use]
pub(crate) struct Turn(Kind, Instant);

impl Turn {
    fn wait(kind: Kind) -> Turn {
        IMPLIED.take();
        let mut turns = turns();
        turns.waiting[kind as usize] += 1;
        let mut turns = CHANGED
            .wait_while(turns, |turns| !turns.may_run(kind))
            .unwrap_or_else(PoisonError::into_inner);
        turns.waiting[kind as usize] -= 1;
        turns.taken += kind.takes();
        turns.last = kind;
        drop(turns);
        // It may have been in the way of others while it waited.
        CHANGED.notify_all();
        COVERED.set(true);
        Turn(kind, Instant::now())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        turns().taken -= self.0.takes();
        // Not for one that ends with its thread.
        let _ = COVERED.try_with(|covered| covered.set(false));
        CHANGED.notify_all();
        if let Some(file) = std::env::var_os("VIPD_TEST_TIMES") {
            note(file.as_ref(), self.1.elapsed());
        }
    }
}

/// Adds to `file` how long this test has run, without its time in the queue.
fn note(file: &Path, ran: Duration) {
    let line =
        format!("{:6.1} s  {}\n", ran.as_secs_f64(), thread::current().name().unwrap_or("?"));
    let open = File::options().create(true).append(true).open(file);
    // In a drop, perhaps of a test that fails: its reason is what counts.
    drop(open.and_then(|mut file| file.write_all(line.as_bytes())));
}

fn turns() -> MutexGuard<'static, Turns> {
    TURNS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This test may run next to others of its kind.
pub(crate) fn together() -> Turn {
    Turn::wait(Kind::Short)
}

/// This test may run next to others too, and takes so long that it begins before them.
pub(crate) fn long() -> Turn {
    Turn::wait(Kind::Long)
}

/// This test measures time or load: no other scenario runs meanwhile.
pub(crate) fn alone() -> Turn {
    // Whoever else is at work holds this lock.
    if let Some(busy) = std::env::var_os("VIPD_TEST_BUSY") {
        IMPLIED.take();
        let busy = File::open(busy).expect("the lock of those at work");
        drop(Flock::lock(busy, FlockArg::LockExclusive).expect("they are done"));
    }
    Turn::wait(Kind::Alone)
}

/// A test that says nothing runs next to others too.
pub(crate) fn implied() {
    if !COVERED.get() {
        let turn = together();
        IMPLIED.set(Some(turn));
    }
}

/// Runs `scenario` once per case, all at the same time: they mostly wait. A failure names its case.
pub(crate) fn each<C: Send + std::fmt::Display>(
    cases: impl IntoIterator<Item = C>,
    scenario: impl Fn(&C) + Sync,
) {
    implied();
    let failed: Vec<String> = thread::scope(|scope| {
        let run = |case: C| {
            let name = case.to_string();
            let scenario = &scenario;
            let covered = move || {
                COVERED.set(true);
                scenario(&case);
            };
            let thread =
                thread::Builder::new().name(name.clone()).spawn_scoped(scope, covered).unwrap();
            (name, thread)
        };
        let running: Vec<_> = cases.into_iter().map(run).collect();
        running
            .into_iter()
            .filter_map(|(name, thread)| thread.join().is_err().then_some(name))
            .collect()
    });
    // What went wrong was printed by the thread that panicked, under the case's name.
    assert!(failed.is_empty(), "failed: {}", failed.join("; "));
}
