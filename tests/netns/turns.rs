//! Who may run at the same time: tests that only wait share the machine, tests that measure have it
//! to themselves. Of either kind many run in a row, because a change leaves the machine idle: those
//! that share it have to end first. So there must be many more test threads than share the machine.

use std::cell::{Cell, RefCell};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// How many share the machine: four are too many for two processors.
const TOGETHER: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Together,
    Alone,
}

struct Turns {
    /// Those that run, all of one kind.
    running: usize,
    /// What ran last.
    kind: Kind,
    waiting_together: usize,
    waiting_alone: usize,
}

impl Turns {
    fn waiting(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Together => &mut self.waiting_together,
            Kind::Alone => &mut self.waiting_alone,
        }
    }

    fn may_run(&self, kind: Kind) -> bool {
        let most = if kind == Kind::Together { TOGETHER } else { 1 };
        match self.kind {
            same if same == kind => self.running < most,
            Kind::Together => self.running == 0 && self.waiting_together == 0,
            Kind::Alone => self.running == 0 && self.waiting_alone == 0,
        }
    }
}

static TURNS: Mutex<Turns> =
    Mutex::new(Turns { running: 0, kind: Kind::Together, waiting_together: 0, waiting_alone: 0 });
static CHANGED: Condvar = Condvar::new();

thread_local! {
    /// Someone else holds a turn for this thread.
    static COVERED: Cell<bool> = const { Cell::new(false) };
    /// The turn of a test that did not ask for one.
    static IMPLIED: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

/// The right to run, until it is dropped.
#[must_use]
pub(crate) struct Turn(());

impl Turn {
    fn wait(kind: Kind) -> Turn {
        IMPLIED.take();
        let mut turns = turns();
        *turns.waiting(kind) += 1;
        let mut turns = CHANGED
            .wait_while(turns, |turns| !turns.may_run(kind))
            .unwrap_or_else(PoisonError::into_inner);
        *turns.waiting(kind) -= 1;
        turns.running += 1;
        turns.kind = kind;
        COVERED.set(true);
        Turn(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        turns().running -= 1;
        // Not for one that ends with its thread.
        let _ = COVERED.try_with(|covered| covered.set(false));
        CHANGED.notify_all();
    }
}

fn turns() -> MutexGuard<'static, Turns> {
    TURNS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This test may run next to others of its kind.
pub(crate) fn together() -> Turn {
    Turn::wait(Kind::Together)
}

/// This test measures time or load: no other scenario runs meanwhile.
pub(crate) fn alone() -> Turn {
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
