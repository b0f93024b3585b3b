//! Who may run at the same time: tests that wait for others share the machine, tests that measure
//! have it to themselves. All that share it come first, because a change leaves the machine idle
//! until the last one has ended. So there must be more test threads than tests that measure.

use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

/// How many share the machine: they mostly wait, and every limit in time leaves the machine its part.
/// While the units and the integration tests run, only as many as may be long.
const TOGETHER: usize = 6;

/// How many of them may be long: each has a database cluster or more.
const LONG: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Waits, for a minute or so.
    Long,
    /// Waits.
    Short,
    /// Measures time, and leaves room for another that does.
    Two,
    /// Measures time or load.
    Alone,
}

impl Kind {
    const fn takes(self) -> usize {
        match self {
            Kind::Long | Kind::Short => 1,
            Kind::Two => TOGETHER / 2,
            Kind::Alone => TOGETHER,
        }
    }

    const fn measures(self) -> bool {
        matches!(self, Kind::Two | Kind::Alone)
    }
}

struct Turns {
    /// What there is room for.
    places: usize,
    /// By those that run.
    taken: usize,
    /// Of these, by long ones.
    long: usize,
    /// What ran last.
    last: Kind,
    /// Of each kind.
    waiting: [usize; 4],
}

impl Turns {
    fn waits(&self, kind: Kind) -> bool {
        self.waiting[kind as usize] > 0
    }

    fn may_run(&self, kind: Kind) -> bool {
        let measures = kind.measures();
        // Those that measure and the others change places when nothing is left of either.
        let others = if measures {
            self.waits(Kind::Long) || self.waits(Kind::Short)
        } else {
            self.waits(Kind::Two) || self.waits(Kind::Alone)
        };
        if measures != self.last.measures() && (self.taken > 0 || others) {
            return false;
        }
        // The longest would otherwise be the last ones, and leave the machine idle.
        let long = match kind {
            Kind::Long => self.long < LONG,
            Kind::Short => self.long == LONG || !self.waits(Kind::Long),
            Kind::Two | Kind::Alone => true,
        };
        self.taken + kind.takes() <= self.places && long
    }
}

static TURNS: LazyLock<Mutex<Turns>> = LazyLock::new(|| {
    let units = std::env::var_os("VIPD_TEST_UNITS");
    let places = if units.is_some() { LONG } else { TOGETHER };
    if let Some(units) = units {
        thread::spawn(move || {
            wait_for(&units);
            turns().places = TOGETHER;
            CHANGED.notify_all();
        });
    }
    Mutex::new(Turns { places, taken: 0, long: 0, last: Kind::Short, waiting: [0; 4] })
});
static CHANGED: Condvar = Condvar::new();

/// Until nobody holds the lock on `file`.
fn wait_for(file: &OsStr) {
    let file = File::open(file).expect("the lock of those at work");
    drop(Flock::lock(file, FlockArg::LockExclusive).expect("they are done"));
}

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
        turns.long += usize::from(kind == Kind::Long);
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
        let mut turns = turns();
        turns.taken -= self.0.takes();
        turns.long -= usize::from(self.0 == Kind::Long);
        drop(turns);
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
    measuring(Kind::Alone)
}

/// This test measures time, with limits that leave the machine its part: another one may do so too.
pub(crate) fn two() -> Turn {
    measuring(Kind::Two)
}

fn measuring(kind: Kind) -> Turn {
    if let Some(simulator) = std::env::var_os("VIPD_TEST_SIMULATOR") {
        IMPLIED.take();
        wait_for(&simulator);
    }
    Turn::wait(kind)
}

/// A test that says nothing runs next to others too.
pub(crate) fn implied() {
    if !COVERED.get() {
        let turn = together();
        IMPLIED.set(Some(turn));
    }
}

/// How many cases of one test run at the same time.
const CASES: usize = 8;

struct Places {
    free: Mutex<usize>,
    freed: Condvar,
}

struct Place<'a>(&'a Places);

impl Places {
    fn take(&self) -> Place<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free =
            self.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Place(self)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

/// Runs `scenario` once per case, several at the same time: they mostly wait. A failure names its
/// case.
pub(crate) fn each<C: Send + std::fmt::Display>(
    cases: impl IntoIterator<Item = C>,
    scenario: impl Fn(&C) + Sync,
) {
    implied();
    let free = Places { free: Mutex::new(CASES), freed: Condvar::new() };
    let failed: Vec<String> = thread::scope(|scope| {
        let run = |case: C| {
            let name = case.to_string();
            let (scenario, free) = (&scenario, &free);
            let covered = move || {
                COVERED.set(true);
                let _place = free.take();
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
