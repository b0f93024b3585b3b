//! Who may run at the same time: tests that only wait share the machine, tests that measure have it
//! to themselves.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;

static TURNS: RwLock<()> = RwLock::new(());

/// This test may run next to others of its kind.
pub(crate) fn together() -> RwLockReadGuard<'static, ()> {
    TURNS.read().unwrap_or_else(PoisonError::into_inner)
}

/// This test measures time or load: no other scenario runs meanwhile.
pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    TURNS.write().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `scenario` once per case, all at the same time: they mostly wait. A failure names its case.
pub(crate) fn each<C: Send + std::fmt::Display>(
    cases: impl IntoIterator<Item = C>,
    scenario: impl Fn(&C) + Sync,
) {
    let failed: Vec<String> = thread::scope(|scope| {
        let run = |case: C| {
            let name = case.to_string();
            let scenario = &scenario;
            let thread = thread::Builder::new()
                .name(name.clone())
                .spawn_scoped(scope, move || scenario(&case))
                .unwrap();
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
