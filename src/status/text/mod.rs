//! What people read about a snapshot: the same phrases on a terminal and on a status page.

mod clock;
mod serving;
mod tracking;

use std::fmt::Write;

use jiff::SignedDuration;

use super::{
    AddressStatus, Daemon, FailoverEstimate, FaultCode, FaultStatus, MasterStatus, NotifyStatus,
    PeerStatus, RouterStatus, RunStatus, RunningStatus, Snapshot, Span, StallStatus, State,
    Successor, TransitionStatus,
};
use crate::text::{age, counted, times};
pub(crate) use clock::WallClock;
pub(crate) use serving::{
    bind, cluster_heading, cluster_notes, goes_to, is, limit_words, listener_notes, missing_words,
    sessions,
};
pub(crate) use tracking::{everything, priority_line, tracked_lines, why as tracked_why};

/// State changes of at most this age are worth showing unasked.
pub(crate) const RECENT_MS: u64 = 24 * 60 * 60 * 1000;

pub(crate) fn heading(daemon: &Daemon) -> String {
    let Daemon { version, node, pid, .. } = daemon;
    let up = age(daemon.uptime_ms);
    let at = WallClock::at(&daemon.taken_at).now();
    let mut heading = format!("{node}: vipd {version}, pid {pid}, up {up}, at {at}\n");
    if daemon.adopted > 0 {
        let count = daemon.adopted;
        let routers = counted(count, "virtual router");
        let before = match &daemon.upgraded_from {
            Some(past) => format!("vipd {past}"),
            None => "a daemon that died".to_owned(),
        };
        let _ = writeln!(heading, "adopted {routers} from {before}");
    }
    heading
}

/// Of a whole report: warnings may stand before what was refused.
pub(crate) fn first_error(report: &str) -> &str {
    let is_error = |line: &&str| line.starts_with("error: ") || line.contains(": error: ");
    report.lines().find(is_error).or_else(|| report.lines().next()).unwrap_or_default()
}

/// When this process was last kept from running, for how long, and how it is scheduled.
pub(crate) fn stalled(daemon: &Daemon) -> Option<String> {
    let StallStatus { lasted_ms, age_ms } = daemon.stall?;
    let clock = WallClock::at(&daemon.taken_at);
    let when = clock.before(age_ms).map(|then| format!("{}, ", then.clock())).unwrap_or_default();
    let lasted = span(Span { least_ms: lasted_ms, most_ms: lasted_ms });
    let scheduling = match daemon.scheduling.as_str() {
        "" => String::new(),
        "SCHED_OTHER" => "; real-time scheduling is off".to_owned(),
        class => format!(", although it is scheduled with {class}"),
    };
    Some(format!("{when}{} ago: the host did not run vipd for {lasted}{scheduling}", age(age_ms)))
}

/// What a lenient reading did without, in one line.
pub(crate) fn missing(settings: &[String], routers: &[String]) -> Option<String> {
    let dropped = (!settings.is_empty())
        .then(|| format!("{} dropped (--lenient)", counted(settings.len(), "setting")));
    let routers =
        (!routers.is_empty()).then(|| format!("not run (--lenient): {}", routers.join(", ")));
    let parts: Vec<String> = dropped.into_iter().chain(routers).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// What an operator should read about a router, most urgent first.
pub(crate) fn router_notes(
    snapshot: &Snapshot,
    router: &RouterStatus,
    clock: &WallClock,
) -> Vec<String> {
    let mut notes: Vec<String> = drained(router, clock).into_iter().collect();
    // The drain itself is said already.
    let is_drain = |fault: &&FaultStatus| {
        let code = fault.member.as_ref().map_or(fault.code, |member| member.code);
        router.drained && code == FaultCode::Drained
    };
    let faults = router.faults.iter().filter(|fault| !is_drain(fault));
    notes.extend(faults.map(|fault| format!("fault: {}", fault.text)));
    notes.extend(tracking::priority_note(snapshot, router));
    notes.extend(router.hints.iter().map(|hint| format!("hint: {}", hint.text)));
    notes.extend(failed_runs(&router.notify).map(|failed| format!("notify {}", run(failed))));
    notes.extend(
        router
            .addresses
            .iter()
            .filter(|address| {
                address.error.is_some()
                    || (address.readded > 0 && address.held)
                    || (address.held != (router.state == State::Master)
                        && router.state != State::Leaving)
            })
            .map(|address| format!("address {}", address_line(address))),
    );
    notes.extend(router.peers.iter().filter(|peer| !peer.refused.is_empty()).map(|peer| {
        // The hint has said why.
        let explained = router.hints.iter().any(|hint| hint.node == Some(peer.address));
        format!("peer {}", peer_line(peer, !explained))
    }));
    notes
}

/// Every command that was run for a router.
pub(crate) fn told(notify: &NotifyStatus) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(running) = &notify.running {
        let (RunningStatus { hook, about, age_ms }, waiting) = (running, notify.waiting);
        let more = if waiting > 0 { format!(", {waiting} waiting") } else { String::new() };
        lines.push(format!("{hook} {about} runs, for {}{more}", age(*age_ms)));
    }
    if let Some(ensured) = notify.ensured {
        let what = if ensured { "succeeded" } else { "has not succeeded yet" };
        lines.push(format!("while_master {what}"));
    }
    lines.extend(notify.runs.iter().map(run));
    if notify.skipped > 0 {
        let states = counted(notify.skipped, "state");
        lines.push(format!("{states} skipped: followed by another before a command was run"));
    }
    lines
}

/// The last runs of commands that failed.
pub(crate) fn failed_runs(notify: &NotifyStatus) -> impl Iterator<Item = &RunStatus> {
    let is_last = |n: usize, last: &RunStatus| {
        notify.runs.iter().take(n).all(|later| later.hook != last.hook)
    };
    let failed =
        notify.runs.iter().enumerate().filter(move |(n, r)| !r.succeeded && is_last(*n, r));
    failed.map(|(_, failed)| failed)
}

pub(crate) fn run(run: &RunStatus) -> String {
    let RunStatus { hook, about, succeeded, outcome, took_ms, age_ms } = run;
    let how = if *succeeded { "succeeded" } else { "failed" };
    let took = SignedDuration::from_millis(i64::try_from(*took_ms).unwrap_or(i64::MAX));
    let took = took.as_secs_f64();
    format!("{hook} {about} {how} {} ago: {outcome}, after {took:.2} s", age(*age_ms))
}

pub(crate) fn state(router: &RouterStatus) -> &'static str {
    match router.state {
        State::Fault if router.drained => "DRAINED",
        State::Fault => "FAULT",
        State::Backup => "BACKUP",
        State::Master => "MASTER",
        State::Leaving => "LEAVING",
    }
}

pub(crate) fn drained(router: &RouterStatus, clock: &WallClock) -> Option<String> {
    if !router.drained {
        return None;
    }
    let since = router.drained_since.as_deref().and_then(|text| WallClock::at(text).0);
    let since = since.or_else(|| Some(clock.before(router.state_age_ms)?.at));
    let since = since.map(|at| format!(" since {}", at.strftime("%Y-%m-%d %H:%M:%S")));
    let sticky = if router.drained_sticky { " (sticky)" } else { "" };
    let since = since.unwrap_or_default();
    Some(format!("DRAINED by operator{since}{sticky}; `vipd resume` ends it"))
}

pub(crate) fn since(router: &RouterStatus, clock: &WallClock) -> String {
    let age = age(router.state_age_ms);
    match clock.before(router.state_age_ms) {
        Some(then) => format!("{age} {}", then.short()),
        None => age,
    }
}

pub(crate) fn priority(router: &RouterStatus) -> String {
    if router.priority == router.base_priority {
        router.priority.to_string()
    } else {
        format!("{}/{}", router.priority, router.base_priority)
    }
}

pub(crate) fn master(router: &RouterStatus) -> String {
    let Some(MasterStatus { address, priority, is_self, last_advert_ms }) = &router.master else {
        return if router.listens { "nobody" } else { "unknown" }.to_owned();
    };
    if *is_self {
        return format!("{address} (self)");
    }
    match last_advert_ms {
        Some(ms) => format!("{address} {priority} {}", age(*ms)),
        None => format!("{address} {priority}"),
    }
}

pub(crate) fn master_line(router: &RouterStatus) -> String {
    let Some(MasterStatus { address, priority, is_self, last_advert_ms }) = &router.master else {
        return if router.listens {
            "none heard".to_owned()
        } else {
            format!("unknown: nothing can be heard on {}", router.interface)
        };
    };
    let (who, verb) = if *is_self { ("this node, ", "sent") } else { ("", "heard") };
    let advert = match last_advert_ms {
        Some(ms) => format!("last advert {verb} {} ago", age(*ms)),
        None => format!("no advert {verb} yet"),
    };
    format!("{who}{address}, priority {priority}, {advert}")
}

/// What the next failure would mean, as far as it is known.
pub(crate) fn next_failure(router: &RouterStatus) -> Option<String> {
    let FailoverEstimate { successor, on_crash, on_resign, on_daemon_crash: _ } =
        router.failover.as_ref()?;
    let (on_crash, on_resign) = (span(*on_crash), span(*on_resign));
    Some(match successor {
        Some(Successor { is_self: true, .. }) => {
            let master = router.master.as_ref().map_or("-".to_owned(), |m| m.address.to_string());
            format!("if {master} dies, this node serves {on_crash} later ({on_resign} if it stops)")
        }
        Some(Successor { address, priority, last_heard_ms, .. }) => {
            let heard_ms = last_heard_ms.unwrap_or_default();
            let heard = age(heard_ms);
            if heard_ms <= router.interval_ms * 3 {
                return Some(format!(
                    "if this node dies, {address} serves {on_crash} later ({on_resign} if it stops); \
                     its priority was {priority} when it was last heard, {heard} ago"
                ));
            }
            format!(
                "if this node dies and {address} is alive, it serves after {on_crash} ({on_resign} if \
                 this node stops); it was last heard {heard} ago, with priority {priority}; backups \
                 are silent, so whether it is alive is unknown"
            )
        }
        None => {
            let which = match router.last_heard_ms {
                Some(_) => "none has said its priority".to_owned(),
                None => format!("none was ever heard on {}", router.interface),
            };
            format!(
                "if this node dies, a backup serves {on_crash} later ({on_resign} if it stops), if \
                 there is one: {which}"
            )
        }
    })
}

/// "2.4 to 3.4 s", "609 ms".
pub(crate) fn span(span: Span) -> String {
    let Span { least_ms, most_ms } = span;
    let seconds = |ms: u64| format!("{}.{}", (ms + 50) / 1000, (ms + 50) % 1000 / 100);
    match (most_ms < 1000, least_ms + 1 >= most_ms) {
        (true, true) => format!("{most_ms} ms"),
        (true, false) => format!("{least_ms} to {most_ms} ms"),
        (false, true) => format!("{} s", seconds(most_ms)),
        (false, false) => format!("{} to {} s", seconds(least_ms), seconds(most_ms)),
    }
}

pub(crate) fn vips(addresses: &[AddressStatus]) -> String {
    let held = addresses.iter().filter(|address| address.held).count();
    format!("{held}/{}", addresses.len())
}

pub(crate) fn address_line(address: &AddressStatus) -> String {
    whereabouts(address, if address.advertised { "" } else { ", not advertised" })
}

/// The same of a static address.
pub(crate) fn static_words(address: &AddressStatus) -> String {
    whereabouts(address, "")
}

fn whereabouts(address: &AddressStatus, note: &str) -> String {
    let mut line = format!("{} on {}: ", address.address, address.interface);
    line.push_str(if address.held { "held" } else { "not held" });
    if let Some(left) = address.lease_ms.filter(|_| address.held) {
        let _ = write!(line, ", lease {}.{} s", left / 1000, left % 1000 / 100);
    }
    line.push_str(note);
    if address.readded > 0 {
        let restored = times(address.readded);
        let when = if address.held { "after something else removed it" } else { "while held" };
        let _ = write!(line, ", restored {restored} {when}");
    }
    if let Some(error) = &address.error {
        let _ = write!(line, "; {error}");
    }
    line
}

pub(crate) fn peer_line(peer: &PeerStatus, with_reason: bool) -> String {
    let mut line = format!("{}: ", peer.address);
    if let Some(priority) = peer.priority {
        let _ = write!(line, "priority {priority}, ");
    }
    let _ = write!(line, "{} accepted, last heard {} ago", peer.accepted, age(peer.last_seen_ms));
    for (reason, count) in &peer.refused {
        let _ = write!(line, ", {count} refused ({reason})");
    }
    if let Some(why) = peer.last_refusal.as_ref().filter(|_| with_reason) {
        let when = peer.last_refusal_ms.map(|ms| format!(" {} ago", age(ms))).unwrap_or_default();
        let _ = write!(line, "; last refusal{when}: {why}");
    }
    line
}

pub(crate) fn transition(change: &TransitionStatus, clock: &WallClock) -> String {
    let when = clock
        .before(change.age_ms)
        .map_or_else(|| format!("{} ago", age(change.age_ms)), |then| then.long());
    format!("{when}  {}", change_text(change))
}

pub(crate) fn change_text(change: &TransitionStatus) -> String {
    let from = change.from.map(|state| format!("{state} -> ")).unwrap_or_default();
    format!("{from}{}: {}", change.to, change.reason)
}
