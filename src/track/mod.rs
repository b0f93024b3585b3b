//! What moves a priority.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod outcome;

use crate::types::Priority;

/// The priority in force: the configured one plus what the trackers add up to, clamped to 1..=254.
/// The owner's 255 never changes (rule R24).
#[must_use]
pub fn effective(base: Priority, delta: i32) -> Priority {
    if base.is_owner() {
        return base;
    }
    let sum = i32::from(base.get()).saturating_add(delta).clamp(1, 254);
    u8::try_from(sum).ok().and_then(|p| Priority::try_from(p).ok()).unwrap_or(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    // C101
    #[test]
    fn the_effective_priority_is_clamped_and_an_owner_is_exempt() {
        let from = |base, delta| effective(Priority::try_from(base).unwrap(), delta).get();
        assert_eq!(from(150, -300), 1);
        assert_eq!(from(150, 300), 254);
        assert_eq!(from(150, -60), 90);
        assert_eq!(from(255, -300), 255);
        assert_eq!(from(1, i32::MIN), 1);
    }
}
