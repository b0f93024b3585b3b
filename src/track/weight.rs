//! The arithmetic of tracking (R24): what a tracker's state does to a priority.

use crate::config::Weight;
use crate::types::Priority;

/// What a tracker says at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckState {
    /// Nothing yet.
    Untested,
    /// All is well.
    Up,
    /// It is not.
    Down,
    /// The number in a tracked file.
    Value(i32),
}

impl Weight {
    /// What keepalived's `weight VALUE [reverse]` does with a state. A positive weight counts while
    /// the tracker is up, a negative one while it is down, a file's is multiplied by the number;
    /// `reverse` turns the sign of what is added, or the meaning of zero. Untested moves nothing.
    #[must_use]
    pub fn effect(self, state: CheckState) -> Effect {
        let (weight, reverse) = (self.value(), self.is_reverse());
        let counts = match state {
            CheckState::Untested => return Effect::Adds(0),
            CheckState::Up if weight == 0 => i32::from(reverse),
            CheckState::Down if weight == 0 => i32::from(!reverse),
            CheckState::Value(value) if weight == 0 => i32::from((value != 0) != reverse),
            CheckState::Up => i32::from(weight > 0),
            CheckState::Down => i32::from(weight < 0),
            CheckState::Value(value) => value,
        };
        if weight == 0 {
            return if counts == 0 { Effect::Adds(0) } else { Effect::Fault };
        }
        let most = i32::from(Weight::MAX);
        match (state, self.signed().saturating_mul(counts)) {
            (CheckState::Value(_), added) if added <= -most => Effect::Fault,
            (_, added) => Effect::Adds(added.min(most)),
        }
    }
}

/// What a tracker does to one router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// So many points of priority; zero: nothing.
    Adds(i32),
    /// The router cannot serve.
    Fault,
}

/// The priority in force: the configured one plus what the trackers add up to, clamped to 1..=254.
/// The owner's 255 never changes.
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
    use proptest::prelude::*;

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

    #[test]
    fn every_sign_direction_and_reading_has_its_effect() {
        use CheckState::{Down, Untested, Up, Value};
        use Effect::{Adds, Fault};
        let table = [
            // weight, reverse, reading, effect
            (0, false, Up, Adds(0)),
            (0, false, Down, Fault),
            (0, true, Up, Fault),
            (0, true, Down, Adds(0)),
            (0, true, Untested, Adds(0)),
            (2, false, Up, Adds(2)),
            (2, false, Down, Adds(0)),
            (2, false, Untested, Adds(0)),
            (-60, false, Up, Adds(0)),
            (-60, false, Down, Adds(-60)),
            (10, true, Up, Adds(-10)),
            (10, true, Down, Adds(0)),
            (-10, true, Up, Adds(0)),
            (-10, true, Down, Adds(10)),
            (0, false, Value(0), Adds(0)),
            (0, false, Value(-3), Fault),
            (0, true, Value(0), Fault),
            (0, true, Value(1), Adds(0)),
            (1, false, Value(-40), Adds(-40)),
            (1, true, Value(-40), Adds(40)),
            (3, false, Value(7), Adds(21)),
            (-2, false, Value(7), Adds(-14)),
            (1, false, Value(253), Adds(253)),
            (1, false, Value(400), Adds(254)),
            (1, false, Value(-253), Adds(-253)),
            (1, false, Value(-254), Fault),
            (2, false, Value(-127), Fault),
            (-254, false, Value(i32::MIN), Adds(254)),
            (254, false, Value(i32::MIN), Fault),
        ];
        for (value, reverse, state, expected) in table {
            let weight = Weight::new(value, reverse).unwrap();
            assert_eq!(weight.effect(state), expected, "{weight} {state:?}");
        }
    }

    #[test]
    fn a_weight_has_its_range() {
        assert!(Weight::new(254, false).is_ok() && Weight::new(-254, true).is_ok());
        assert!(Weight::new(255, false).is_err() && Weight::new(-255, false).is_err());
        assert!(Weight::new(i64::MIN, false).is_err());
        assert_eq!(Weight::new(-7, true).unwrap().to_string(), "-7 reverse");
    }

    proptest! {
        /// However many trackers there are, the result is a priority that may be sent.
        #[test]
        fn no_sum_leaves_the_range(
            base in 1_u8..=255,
            parts in prop::collection::vec((-254_i64..=254, any::<bool>(), any::<i32>()), 0..64),
        ) {
            let delta = parts.iter().fold(0_i32, |sum, (value, reverse, read)| {
                let weight = Weight::new(*value, *reverse).unwrap();
                match weight.effect(CheckState::Value(*read)) {
                    Effect::Adds(n) => { assert!((-253..=254).contains(&n)); sum + n }
                    Effect::Fault => sum,
                }
            });
            let base = Priority::try_from(base).unwrap();
            let result = effective(base, delta);
            prop_assert_eq!(result.is_owner(), base.is_owner());
        }
    }
}
