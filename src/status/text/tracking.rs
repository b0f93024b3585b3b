//! What a router tracks: how its priority came about, and what every check said last.

use super::super::{
    RouterStatus, Snapshot, Span, Standing, State, Successor, TrackedStatus, TrackerStatus,
};
use super::span;
use crate::text::age;

/// "150 -60 chk_haproxy (failed: exit 1, 12s ago) = 90; 10.0.0.12 has 100: ...", or only the number
/// if nothing moves it.
pub(crate) fn priority_line(snapshot: &Snapshot, router: &RouterStatus) -> String {
    let (base, sum) = (router.base_priority, router.priority);
    let parts: Vec<String> = router
        .tracking
        .iter()
        .filter(|tracked| tracked.adds != 0)
        .map(|tracked| {
            let why = why(snapshot, tracked).map(|why| format!(" ({why})")).unwrap_or_default();
            format!(" {:+} {}{why}", tracked.adds, tracked.name)
        })
        .collect();
    if parts.is_empty() {
        return if base == sum { sum.to_string() } else { format!("{sum} (configured {base})") };
    }
    format!("{base}{} = {sum}{}", parts.concat(), consequence(router).unwrap_or_default())
}

/// The same if a check takes something away, or could add something and does not.
pub(crate) fn priority_note(snapshot: &Snapshot, router: &RouterStatus) -> Option<String> {
    let adds_nothing = |tracked: &&TrackedStatus| {
        tracked.adds == 0
            && !tracked.weight.starts_with('0')
            && matches!(tracked.standing, Standing::Down | Standing::Untested)
    };
    let silent: Vec<String> = router
        .tracking
        .iter()
        .filter(adds_nothing)
        .filter_map(|tracked| {
            Some(format!("; {} adds nothing ({})", tracked.name, why(snapshot, tracked)?))
        })
        .collect();
    if silent.is_empty() && router.tracking.iter().all(|tracked| tracked.adds >= 0) {
        return None;
    }
    Some(format!("priority {}{}", priority_line(snapshot, router), silent.concat()))
}

/// One line for each thing tracked.
pub(crate) fn tracked_lines(snapshot: &Snapshot, router: &RouterStatus) -> Vec<String> {
    let lines = router.tracking.iter().map(|tracked| {
        let TrackedStatus { name, kind, weight, adds, fault, .. } = tracked;
        let effect = match (fault, weight.as_str()) {
            (true, _) => "FAULT".to_owned(),
            (false, weight) if weight.starts_with('0') => "no fault".to_owned(),
            (false, weight) => format!("{adds:+} (weight {weight})"),
        };
        let says = match find(snapshot, tracked) {
            Some(tracker) => everything(tracker),
            None => untracked(tracked),
        };
        format!("{name} ({kind}): {effect}; {says}")
    });
    lines.collect()
}

fn find<'a>(snapshot: &'a Snapshot, tracked: &TrackedStatus) -> Option<&'a TrackerStatus> {
    snapshot.trackers.iter().find(|t| t.name == tracked.name && t.kind == tracked.kind)
}

/// Why it counts as it does, if that is not simply success.
pub(crate) fn why(snapshot: &Snapshot, tracked: &TrackedStatus) -> Option<String> {
    let Some(tracker) = find(snapshot, tracked) else {
        return (tracked.standing != Standing::Up).then(|| untracked(tracked));
    };
    let ago = age(tracker.standing_age_ms);
    match tracker.standing {
        Standing::Up => None,
        Standing::Untested => Some("no answer yet".to_owned()),
        Standing::Value(value) => Some(format!("says {value}, {ago} ago")),
        Standing::Down => Some(match &tracker.answer {
            // The last answer may be one of those that are not enough yet.
            Some(_) if tracker.against > 0 => format!("failed {ago} ago{}", against(tracker)),
            Some(_) if tracker.kind == "process" => format!("{}, {ago} ago", tracker.detail),
            Some(answer) => format!("failed: {answer}{}, {ago} ago", particulars(tracker)),
            None => "has not succeeded yet".to_owned(),
        }),
    }
}

/// Why it could not be run, or what a script printed.
fn particulars(tracker: &TrackerStatus) -> String {
    let printed = tracker.output.lines().next().unwrap_or_default();
    match (tracker.detail.as_str(), printed) {
        ("", "") => String::new(),
        ("", printed) => format!(", \"{printed}\""),
        (detail, _) => format!(" ({detail})"),
    }
}

/// What has no check of its own: interfaces and listeners.
fn untracked(tracked: &TrackedStatus) -> String {
    match tracked.wrong.as_str() {
        "" => word(tracked.standing),
        wrong => wrong.to_owned(),
    }
}

fn word(standing: Standing) -> String {
    match standing {
        Standing::Untested => "no answer yet".to_owned(),
        Standing::Up => "up".to_owned(),
        Standing::Down => "down".to_owned(),
        Standing::Value(value) => format!("says {value}"),
    }
}

/// ", 1 of 3 failures since": what is not enough yet.
fn against(tracker: &TrackerStatus) -> String {
    match (tracker.against, tracker.standing) {
        (0, _) => String::new(),
        (count, Standing::Down) => format!(", {count} of {} successes since", tracker.needed),
        (count, _) => format!(", {count} of {} failures since", tracker.needed),
    }
}

/// Standing, last answer and what came with it.
pub(crate) fn everything(tracker: &TrackerStatus) -> String {
    let mut text = word(tracker.standing);
    if tracker.standing != Standing::Untested {
        text.push_str(&format!(" for {}{}", age(tracker.standing_age_ms), against(tracker)));
    }
    if let (Some(answer), Some(ago)) = (&tracker.answer, tracker.answer_age_ms) {
        let detail = if tracker.detail.is_empty() {
            String::new()
        } else {
            format!(" ({})", tracker.detail)
        };
        let took = tracker.took_ms.filter(|took| *took > 0);
        let took = took.map(|took| format!(", took {took} ms")).unwrap_or_default();
        text.push_str(&format!("; last answer {} ago: {answer}{detail}{took}", age(ago)));
    }
    if let Some(running) = tracker.running_ms {
        text.push_str(&format!("; running for {}", age(running)));
    }
    let printed = tracker.output.lines().next().unwrap_or_default();
    if !printed.is_empty() && !tracker.detail.contains(printed) {
        text.push_str(&format!("; printed \"{printed}\""));
    }
    text
}

/// What the priority means beside the other node's.
fn consequence(router: &RouterStatus) -> Option<String> {
    let successor = router.failover.as_ref().and_then(|failover| failover.successor);
    match (router.state, successor, &router.master) {
        (
            State::Master,
            Some(Successor { address, priority, is_self: false, last_heard_ms }),
            _,
        ) if priority > router.priority => {
            let ago = age(last_heard_ms.unwrap_or_default());
            let known = format!("; {address} had {priority} when it was last heard, {ago} ago");
            let wait = router.failover.as_ref().map(|failover| failover.on_crash);
            Some(match wait {
                Some(wait) if router.priority_age_ms <= wait.most_ms => {
                    let most = span(Span { least_ms: wait.most_ms, ..wait });
                    format!(
                        "{known}: if it still has, it takes over within {most}, unless nopreempt \
                         holds it back"
                    )
                }
                // Backups are silent: what it has now it does not say.
                Some(_) | None => format!(
                    "{known}, and has not taken over: it has lost priority too, nopreempt holds it \
                     back, or it is down"
                ),
            })
        }
        (State::Backup, _, Some(master)) if !master.is_self => {
            let (address, priority) = (master.address, master.priority);
            // A worse master is a matter of preemption, of which a hint tells.
            (priority > router.priority)
                .then(|| format!("; {address} has {priority}: stays backup"))
        }
        _ => None,
    }
}
