//! What trackers do to the priorities of a pair: with all of them passing, and with one failing.

use super::{NodeSide, RouterPair, Side, preempts};
use crate::config::diag::{Diagnostic, Span};
use crate::config::{Namespace, Preempt, Weight};
use crate::track::weight::{CheckState, Effect, effective};
use crate::types::{IfName, Priority};

/// The kind and name of a tracker.
pub(super) enum Tracked<'a> {
    Check(&'a str),
    Link(&'a IfName),
}

/// A tracker's effect while it passes, and while it fails.
struct TrackerEffect<'a> {
    tracked: Tracked<'a>,
    passing: i32,
    failing: Effect,
}

/// What becomes of a router when one of its trackers fails.
pub(super) struct Failure<'a> {
    pub(super) tracked: Tracked<'a>,
    /// `None`: Fault.
    pub(super) priority: Option<Priority>,
}

impl<'a> NodeSide<'a> {
    /// The priority while every tracker passes.
    pub(super) fn priority(&self) -> Priority {
        effective(self.router.priority, self.tracker_effects().map(|effect| effect.passing).sum())
    }

    /// The same as a sum, if trackers add to it.
    pub(super) fn priority_words(&self) -> String {
        let (base, sum) = (self.router.priority, self.priority());
        if base == sum {
            return base.to_string();
        }
        format!("{base} {:+} = {sum}", i32::from(sum.get()) - i32::from(base.get()))
    }

    /// Every tracker that makes a difference, with that difference.
    pub(super) fn failures(&self) -> Vec<Failure<'a>> {
        let base = self.router.priority;
        let passing: i32 = self.tracker_effects().map(|effect| effect.passing).sum();
        let failure = |effect: TrackerEffect<'a>| Failure {
            tracked: effect.tracked,
            priority: match effect.failing {
                Effect::Fault => None,
                Effect::Adds(points) => Some(effective(base, passing - effect.passing + points)),
            },
        };
        let now = Some(self.priority());
        self.tracker_effects().map(failure).filter(|failure| failure.priority != now).collect()
    }

    /// The priority with every tracker failing.
    fn worst(&self) -> Priority {
        let worst = self.tracker_effects().map(|effect| match effect.failing {
            Effect::Adds(points) => points.min(effect.passing),
            Effect::Fault => effect.passing,
        });
        effective(self.router.priority, worst.sum())
    }

    /// What a file says is up to whoever writes it.
    fn tracker_effects(&self) -> impl Iterator<Item = TrackerEffect<'a>> + use<'a> {
        let router = self.router;
        let checks = router.track.iter().filter(|t| t.tracker.namespace != Namespace::File);
        let checks = checks.map(|t| (Tracked::Check(&t.tracker.name), t.weight));
        let links = router.track_interfaces.iter().map(|t| (Tracked::Link(&t.iface), t.weight));
        checks.chain(links).map(|(tracked, weight)| effect(tracked, weight))
    }

    fn span_of(&self, tracked: &Tracked<'_>) -> Span {
        let written = match tracked {
            Tracked::Check(name) => {
                self.raw.track.iter().map(|t| &t.name).find(|n| n.value == **name)
            }
            Tracked::Link(link) => {
                let links = self.raw.track_interfaces.iter().map(|t| &t.name);
                links.into_iter().find(|n| n.value == link.as_str())
            }
        };
        // Its group may track it.
        written.map_or(self.raw.name.span, |name| name.span)
    }
}

/// The state with the better effect is taken for the normal one.
fn effect(tracked: Tracked<'_>, weight: Weight) -> TrackerEffect<'_> {
    match (weight.effect(CheckState::Up), weight.effect(CheckState::Down)) {
        (Effect::Adds(up), Effect::Adds(down)) if up < down => {
            TrackerEffect { tracked, passing: down, failing: Effect::Adds(up) }
        }
        (Effect::Adds(up), down) => TrackerEffect { tracked, passing: up, failing: down },
        (Effect::Fault, Effect::Adds(down)) => {
            TrackerEffect { tracked, passing: down, failing: Effect::Fault }
        }
        (Effect::Fault, Effect::Fault) => {
            TrackerEffect { tracked, passing: 0, failing: Effect::Fault }
        }
    }
}

/// Says which weights move nothing.
pub(super) fn check(pair: &RouterPair<'_>, out: &mut Vec<Diagnostic>) {
    if !(pair.a_accepts && pair.b_accepts) || pair.flaps {
        return;
    }
    let masters = match preempts(pair) {
        Some(side) => vec![side],
        None => vec![Side::A, Side::B],
    };
    for side in masters {
        let (own, other) = (pair.node(side), pair.node(side.other()));
        let theirs = other.priority();
        for failure in own.failures() {
            let Some(left) = failure.priority else { continue };
            let (name, node) = (pair.name(), own.node_name);
            let what = match failure.tracked {
                Tracked::Check(check) => format!("{check} fails on {node}"),
                Tracked::Link(link) => format!("{node} loses {link}"),
            };
            let text = format!("{name}: if {what}, {node} serves on");
            let warning = Diagnostic::warning(own.span_of(&failure.tracked), text);
            let there = other.at(other.raw.priority.as_ref(), other.priority_words());
            if left < theirs && other.router.preempt == Preempt::Never {
                let at = other.raw.preempt.map_or(other.raw.name.span, |at| at.span);
                out.push(
                    warning
                        .also(at, "preemption is off here")
                        .note(format!(
                            "its priority falls to {left}, but {}, which has {theirs}, takes nothing \
                             over from a master",
                            other.node_name
                        ))
                        .help("use weight 0: a failure then means FAULT"),
                );
            } else if left >= theirs && own.worst() >= theirs {
                let gap = i32::from(own.priority().get()) - i32::from(theirs.get());
                out.push(
                    warning
                        .also(there.0, there.1)
                        .note(format!(
                            "its priority falls from {} to {left}, and only less than {theirs} hands \
                             over",
                            own.priority()
                        ))
                        .help(format!(
                            "use a weight of more than {gap}, or 0: a failure then means FAULT"
                        )),
                );
            }
        }
    }
}
