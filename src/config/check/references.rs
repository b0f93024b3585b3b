//! What routers track: names to trackers, weights to effects, and the arithmetic that cannot work.

use super::trackers::Trackers;
use crate::config::diag::{Diagnostic, Span, Spanned, nearest, quoted};
use crate::config::model::{
    Namespace, Preempt, RouterConfig, TrackRef, TrackedInterface, TrackerKey, Weight,
};
use crate::config::raw::{RawRouter, RawTrackRef, RawTrackedInterface, RawWeight};
use crate::types::IfName;

/// What a listener counts that does not say so.
const LISTENER_WEIGHT: i64 = -20;

/// What one block tracks.
#[derive(Default)]
pub(super) struct References {
    pub(super) track: Vec<TrackRef>,
    pub(super) interfaces: Vec<TrackedInterface>,
    /// The weights that move a priority, and where each is asked for.
    pub(super) weights: Vec<(Span, Weight)>,
}

impl References {
    /// Resolves everything and says every mistake; `own` is an interface tracked in any case.
    pub(super) fn new(
        track: &[RawTrackRef],
        interfaces: &[RawTrackedInterface],
        own: Option<&str>,
        trackers: &Trackers<'_>,
        out: &mut Vec<Diagnostic>,
    ) -> References {
        let mut references = References::default();
        for raw in track {
            references.tracker(raw, trackers, out);
        }
        for raw in interfaces {
            references.interface(raw, own, out);
        }
        references
    }

    fn tracker(&mut self, raw: &RawTrackRef, trackers: &Trackers<'_>, out: &mut Vec<Diagnostic>) {
        let name = &raw.name;
        let keys = trackers.find(&name.value, raw.namespace);
        let key = match keys.as_slice() {
            [key] => *key,
            [] => return out.push(undefined(raw, trackers)),
            _ => {
                let text = format!("{} is the name of several trackers", quoted(&name.value));
                return out.push(
                    Diagnostic::error(name.span, text)
                        .help("say which: `{ name = \"…\", kind = \"…\" }`")
                        .help("or give one of them another name"),
                );
            }
        };
        if !trackers.is_sound(key) {
            return;
        }
        if self.track.iter().any(|known| known.tracker == *key) {
            return out.push(again(name, "twice"));
        }
        let (most, standard) = match key.namespace {
            Namespace::Check => (253, 0),
            Namespace::Process => (254, 0),
            // The number counts as it is.
            Namespace::File => (254, 1),
            Namespace::Listener => (253, LISTENER_WEIGHT),
        };
        let inherited = trackers.get(key).map(|tracker| tracker.settings.weight);
        let Some(weight) = weight(raw.weight, inherited, standard, most, out) else { return };
        if weight.is_fault() && key.namespace == Namespace::Listener {
            let at = raw.weight.value.map_or(name.span, |weight| weight.span);
            let text = format!("listener {} cannot mean FAULT", quoted(&name.value));
            return out.push(
                Diagnostic::error(at, text)
                    .note(
                        "with the database away on all nodes none would have the address, and \
                           nobody could be told why",
                    )
                    .help(format!("use another weight than 0, such as {LISTENER_WEIGHT}")),
            );
        }
        if !weight.is_fault() && key.namespace != Namespace::File {
            self.weights.push((name.span, weight));
        }
        self.track.push(TrackRef { tracker: key.clone(), weight });
    }

    fn interface(
        &mut self,
        raw: &RawTrackedInterface,
        own: Option<&str>,
        out: &mut Vec<Diagnostic>,
    ) {
        let name = &raw.name;
        let iface: IfName = match name.value.parse() {
            Ok(iface) => iface,
            Err(error) => return out.push(Diagnostic::error(name.span, format!("{error}"))),
        };
        if own == Some(iface.as_str()) {
            return out.push(again(name, "in any case, without a weight"));
        }
        if self.interfaces.iter().any(|known| known.iface == iface) {
            return out.push(again(name, "twice"));
        }
        let Some(weight) = weight(raw.weight, None, 0, 253, out) else { return };
        if !weight.is_fault() {
            self.weights.push((name.span, weight));
        }
        self.interfaces.push(TrackedInterface { iface, weight });
    }

    /// Weights that cannot do what they look like. What the peers have is not known here.
    pub(super) fn arithmetic(
        &self,
        raw: &RawRouter,
        router: &RouterConfig,
        out: &mut Vec<Diagnostic>,
    ) {
        let Some((first, _)) = self.weights.first() else { return };
        let name = &router.name;
        if router.priority.is_owner() {
            let text = format!("the priority of {name} is 255, and no weight changes that");
            return out.push(
                Diagnostic::warning(*first, text)
                    .help("use 254 or less, or weight 0: a failure then means FAULT"),
            );
        }
        if router.preempt == Preempt::Never {
            let text = "a weight alone does not move the addresses without preemption";
            out.push(
                Diagnostic::warning(*first, text)
                    .also(raw.preempt.map_or(raw.name.span, |at| at.span), "preemption is off here")
                    .note("a peer with the same setting leaves them to the lower priority")
                    .help("use weight 0: a failure then means FAULT, and the peer takes over"),
            );
        }
        let most = self.weights.iter().map(|(_, weight)| weight.most_added());
        let sum = i32::from(router.priority.get()).saturating_add(most.sum());
        if sum > 254 {
            let text = format!("{name} reaches {sum} with every weight, but 254 is the most");
            out.push(
                Diagnostic::warning(*first, text)
                    .note("what lies above is cut off: a failure takes less away than its weight")
                    .help("use a lower priority, or negative weights"),
            );
        }
    }
}

/// The tracker a reference means.
pub(super) fn resolve<'t>(
    reference: &RawTrackRef,
    trackers: &'t Trackers<'_>,
) -> Option<&'t TrackerKey> {
    trackers.find(&reference.name.value, reference.namespace).first().copied()
}

fn again(name: &Spanned<String>, how: &str) -> Diagnostic {
    Diagnostic::no_effect(name.span, &name.value, &format!("it is tracked {how}"))
}

fn undefined(reference: &RawTrackRef, trackers: &Trackers<'_>) -> Diagnostic {
    let name = &reference.name;
    let what = match reference.namespace {
        None => "tracker",
        Some(Namespace::Check) => "vrrp_script",
        Some(Namespace::File) => "track_file",
        Some(Namespace::Process) => "vrrp_track_process",
        Some(Namespace::Listener) => "listener",
    };
    let text = format!("there is no {what} {}", quoted(&name.value));
    if reference.namespace == Some(Namespace::Listener) {
        let error = Diagnostic::error(name.span, text);
        return match nearest(&name.value, trackers.names(reference.namespace)) {
            Some(near) => error.suggest(Some(near)),
            None => error.help(
                "give the haproxy.cfg that has it with --config, or add `[listener.NAME]` to a vipd.toml",
            ),
        };
    }
    let error = Diagnostic::error(name.span, text)
        .note("keepalived runs the instance without it: a failure would not be noticed")
        .droppable();
    match (nearest(&name.value, trackers.names(reference.namespace)), reference.namespace) {
        (Some(near), _) => error.suggest(Some(near)),
        (None, Some(_)) => error.help(format!("add `{what} {} {{ … }}`, anywhere", name.value)),
        (None, None) => error.help(format!("add [track.script.{}] or one of its like", name.value)),
    }
}

/// The weight of a reference: its own, else the tracker's, else the kind's.
fn weight(
    own: RawWeight,
    inherited: Option<RawWeight>,
    standard: i64,
    most: i64,
    out: &mut Vec<Diagnostic>,
) -> Option<Weight> {
    let inherited = inherited.unwrap_or_default();
    let reverse = own.reverse.or(inherited.reverse).is_some_and(|on| on.value);
    let value = own.value.or(inherited.value);
    if let Some(Spanned { value, span }) = value
        && !(-most..=most).contains(&value)
    {
        let text = format!("weight must be -{most} to {most}, not {value}");
        out.push(Diagnostic::error(span, text));
        return None;
    }
    Weight::new(value.map_or(standard, |weight| weight.value), reverse).ok()
}
