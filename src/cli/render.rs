//! A snapshot as text: the table of all virtual routers and the page of one.
//!
//! Pure, so that what an operator sees can be tested to the letter.

mod serving;
mod tracking;

use std::fmt::Write;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table};
use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;

use super::fold::{fold, fold_under};
use crate::engine::allow_vrrp;
use crate::status::{
    AddressStatus, Daemon, MasterStatus, NotifyStatus, Outlook, PeerStatus, RouterStatus,
    RunStatus, RunningStatus, Snapshot, Span, State, Successor, TransitionStatus,
};

/// State changes of at most this age are worth showing unasked.
const RECENT_MS: u64 = 24 * 60 * 60 * 1000;

/// State changes shown per router unless one router is asked for.
const FEW: usize = 3;

/// State changes shown for all routers together.
const CHANGES: usize = 10;

/// With more routers than this, only those with something to say get lines of their own.
const MANY_ROUTERS: usize = 8;

/// A timer later than this has cost a tenth of the shortest sensible interval.
const LATE_US: u64 = 10_000;

/// Columns of the labels on a router's own page.
const LABEL: usize = 13;

// Positions in the table.
const ROUTER: usize = 0;
const VRID: usize = 2;
const MASTER: usize = 7;
const VIPS: usize = 8;

/// Everything at a glance, `width` columns wide if the names allow it.
#[must_use]
pub fn overview(snapshot: &Snapshot, width: u16) -> String {
    let clock = WallClock::at(&snapshot.daemon.taken_at);
    let mut out = heads(snapshot, width);
    let few_routers = snapshot.routers.len() <= MANY_ROUTERS;
    for router in &snapshot.routers {
        let mut notes = router_notes(snapshot, router, &clock);
        if few_routers || !notes.is_empty() {
            notes.extend(next_failure(router));
            let recent = router.transitions.iter().filter(|change| change.age_ms <= RECENT_MS);
            notes.extend(recent.take(FEW).map(|change| transition(change, &clock)));
        }
        about(&mut out, width, router, &notes);
    }
    out
}

/// The same for a screen that is drawn again and again: the state changes of all routers together,
/// the latest first and by their age.
#[must_use]
pub fn live(snapshot: &Snapshot, width: u16) -> String {
    let clock = WallClock::at(&snapshot.daemon.taken_at);
    let mut out = heads(snapshot, width);
    let few_routers = snapshot.routers.len() <= MANY_ROUTERS;
    for router in &snapshot.routers {
        let mut notes = router_notes(snapshot, router, &clock);
        if few_routers {
            notes.extend(next_failure(router));
        }
        about(&mut out, width, router, &notes);
    }
    let changes = snapshot
        .routers
        .iter()
        .flat_map(|router| router.transitions.iter().map(|change| (&router.name, change)));
    let mut changes: Vec<_> = changes.filter(|(_, change)| change.age_ms <= RECENT_MS).collect();
    changes.sort_by_key(|(_, change)| change.age_ms);
    let lines = changes.iter().take(CHANGES).map(|(name, change)| {
        let ago = format!("{} ago", age(change.age_ms));
        format!("{ago:<12} {name}  {}", change_text(change))
    });
    section(&mut out, width, "state changes", lines);
    out
}

/// The daemon, what is wrong with it, and the table.
fn heads(snapshot: &Snapshot, width: u16) -> String {
    let clock = WallClock::at(&snapshot.daemon.taken_at);
    let mut out = heading(&snapshot.daemon);
    for note in daemon_notes(snapshot) {
        let _ = writeln!(out, "! {note}");
    }
    out.push('\n');
    let listens = !snapshot.listeners.is_empty();
    if !listens || !snapshot.routers.is_empty() {
        routers(&mut out, width, snapshot, &clock);
        if listens {
            out.push('\n');
        }
    }
    out.push_str(&serving::serving(snapshot, width));
    out
}

fn routers(out: &mut String, width: u16, snapshot: &Snapshot, clock: &WallClock) {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width)
        .set_header(["ROUTER", "ON", "VRID", "V", "STATE", "SINCE", "PRIO", "MASTER", "VIPS"]);
    for (position, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if position == VIPS { 0 } else { 2 }));
        // Names and addresses may be broken into lines, what belongs together may not.
        if ![ROUTER, MASTER].contains(&position) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        if position == VRID {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for router in &snapshot.routers {
        table.add_row([
            router.name.clone(),
            router.interface.to_string(),
            router.vrid.to_string(),
            router.version.to_string(),
            state(router).to_owned(),
            since(router, clock),
            priority(router),
            master(router),
            vips(&router.addresses),
        ]);
    }
    let _ = writeln!(out, "{}", table.trim_fmt());
}

/// What there is to say about one router, if anything.
fn about(out: &mut String, width: u16, router: &RouterStatus, notes: &[String]) {
    if !notes.is_empty() {
        let _ = writeln!(out, "\n{}", router.name);
        for note in notes {
            let _ = writeln!(out, "{}", fold(&format!("  {note}"), width.into()));
        }
    }
}

/// Everything about the router of that name in at most `width` columns; `None` if there is none.
#[must_use]
pub fn router(snapshot: &Snapshot, name: &str, width: u16) -> Option<String> {
    let router = snapshot.routers.iter().find(|router| router.name == name)?;
    let clock = WallClock::at(&snapshot.daemon.taken_at);
    let mut out = String::new();
    let mut line = |label: &str, text: &str| {
        let line = format!("{label:<LABEL$}{text}");
        let _ = writeln!(out, "{}", fold_under(&line, LABEL, width.into()));
    };
    line("router", &router.name);
    let RouterStatus { interface, vrid, version, family, .. } = router;
    line("on", &format!("{interface}, VRID {vrid}, VRRPv{version} over {family}"));
    let lasting = format!("{}, for {}", state(router), age(router.state_age_ms));
    line("state", &format!("{lasting}{}", clock.since_note(router.state_age_ms)));
    if let Some(drained) = drained(router, &clock) {
        line("operator", &drained);
    }
    line("reason", &router.reason);
    for fault in &router.faults {
        line("fault", fault);
    }
    if let Some(group) = &router.group {
        line("group", group);
    }
    for told in told(&router.notify) {
        line("notify", &told);
    }
    line("priority", &tracking::priority_line(snapshot, router));
    let mut interval = format!("{} ms", router.interval_ms);
    if router.master_interval_ms != router.interval_ms {
        let _ = write!(interval, ", the master's {} ms", router.master_interval_ms);
    }
    line("interval", &interval);
    if let Some(source) = router.source {
        line("source", &source.to_string());
    }
    let to: Vec<String> = router.destinations.iter().map(ToString::to_string).collect();
    if !to.is_empty() {
        line("sends to", &to.join(", "));
    }
    line("master", &master_line(router));
    if let Some(left) = router.next_deadline_ms {
        match router.state {
            State::Master => line("next advert", &format!("in {left} ms")),
            State::Backup => {
                // A worse master does not stop it; the hint says what does.
                let worse = router.master.as_ref().is_some_and(|m| m.priority < router.priority);
                let unless = if worse { "" } else { " if nothing is heard" };
                line("takes over", &format!("in {left} ms{unless}"));
            }
            State::Leaving => {
                line("lets go", &format!("in {left} ms, or when the successor is heard"));
            }
            State::Fault => {}
        }
    }
    if let Some(next) = next_failure(router) {
        line("next failure", &next);
    }
    if let Some(lasts) = router.outlook.as_ref().and_then(|outlook| outlook.release) {
        let lasts = span(lasts);
        line("lease", &format!("if only vipd dies, the kernel removes its addresses in {lasts}"));
    }
    if router.state == State::Master && router.last_heard_ms.is_none() {
        line("heard", &never_heard(router));
    }
    for hint in &router.hints {
        line("hint", hint);
    }

    section(&mut out, width, "addresses", router.addresses.iter().map(address_line));
    section(&mut out, width, "tracks", tracking::tracked_lines(snapshot, router).into_iter());
    section(&mut out, width, "peers", router.peers.iter().map(|peer| peer_line(peer, true)));
    section(
        &mut out,
        width,
        "state changes",
        router.transitions.iter().map(|change| transition(change, &clock)),
    );
    let counters = router.counters.iter().filter(|(_, count)| *count > 0);
    section(
        &mut out,
        width,
        "counters",
        counters.map(|(name, count)| format!("{name:<24}{count:>12}")),
    );
    Some(out)
}

fn section(out: &mut String, width: u16, title: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        let _ = writeln!(out, "\n{title}");
        for line in lines {
            let _ = writeln!(out, "{}", fold(&format!("  {line}"), width.into()));
        }
    }
}

fn heading(daemon: &Daemon) -> String {
    let Daemon { version, node, pid, .. } = daemon;
    let up = age(daemon.uptime_ms);
    let at = WallClock::at(&daemon.taken_at).now();
    let mut heading = format!("{node}: vipd {version}, pid {pid}, up {up}, at {at}\n");
    if daemon.adopted > 0 {
        let count = daemon.adopted;
        let plural = if count == 1 { "" } else { "s" };
        let before = match &daemon.upgraded_from {
            Some(past) => format!("vipd {past}"),
            None => "a daemon that died".to_owned(),
        };
        let _ = writeln!(heading, "adopted {count} virtual router{plural} from {before}");
    }
    heading
}

/// What is wrong with the daemon as a whole.
fn daemon_notes(snapshot: &Snapshot) -> Vec<String> {
    let daemon = &snapshot.daemon;
    let mut notes = Vec::new();
    if let Some(error) = &daemon.reload_error {
        // The whole report is in the log; `vipd check` prints it again.
        let first = error.lines().next().unwrap_or_default();
        notes.push(format!("the last reload was refused, the old configuration runs on: {first}"));
        notes.push(format!("  to see all: vipd check {}", daemon.config.join(" ")));
    }
    if let Some(missing) = missing(&daemon.settings_dropped, &daemon.routers_left_out) {
        notes.push(missing);
        notes.push(format!("  to see why: vipd check --lenient {}", daemon.config.join(" ")));
    }
    for (count, what) in [
        (daemon.send_drops, "packets could not be sent"),
        (daemon.netlink_overruns, "times the kernel's interface events were lost and read again"),
        (daemon.log_lines_lost, "log lines were lost: the log is too slow"),
    ] {
        if count > 0 {
            notes.push(format!("{count} {what}"));
        }
    }
    if daemon.latest_timer_us > LATE_US {
        let late = daemon.latest_timer_us / 1000;
        let scheduling = match daemon.scheduling.as_str() {
            "" => String::new(),
            class => format!(", even with {class}"),
        };
        notes.push(format!("a timer fired {late} ms late: this machine stalls{scheduling}"));
    }
    let trouble = |a: &&AddressStatus| !a.held || a.error.is_some() || a.readded > 0;
    for address in snapshot.static_addresses.iter().filter(trouble) {
        notes.push(format!("static address {}", whereabouts(address, "")));
    }
    for (name, group) in &snapshot.groups {
        notes.extend(untold(group).map(|told| format!("group {name}: notify {told}")));
    }
    for fifo in &snapshot.fifos {
        let path = fifo.path.display();
        if let Some(error) = &fifo.error {
            notes.push(format!("FIFO {path}: {error}"));
        }
        if fifo.lost > 0 {
            notes.push(format!(
                "FIFO {path}: {} lines were lost, nobody reads fast enough",
                fifo.lost
            ));
        }
    }
    if let Some(mail) = &snapshot.mail {
        if let Some(error) = &mail.error {
            notes.push(format!("mail to {}: {} wait: {error}", mail.server, mail.waiting));
        }
        if mail.failed + mail.lost > 0 {
            notes.push(format!("mail to {}: {} never sent", mail.server, mail.failed + mail.lost));
        }
    }
    for (reason, count) in snapshot.unattributed.iter().filter(|(_, count)| **count > 0) {
        notes.push(format!("{count} packets of no virtual router here: {reason}"));
    }
    notes
}

/// What a lenient reading did without, in one line.
pub(super) fn missing(settings: &[String], routers: &[String]) -> Option<String> {
    let plural = if settings.len() == 1 { "" } else { "s" };
    let dropped = (!settings.is_empty())
        .then(|| format!("{} setting{plural} dropped (--lenient)", settings.len()));
    let routers =
        (!routers.is_empty()).then(|| format!("not run (--lenient): {}", routers.join(", ")));
    let parts: Vec<String> = dropped.into_iter().chain(routers).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// What an operator should read about a router, most urgent first.
fn router_notes(snapshot: &Snapshot, router: &RouterStatus, clock: &WallClock) -> Vec<String> {
    let mut notes: Vec<String> = drained(router, clock).into_iter().collect();
    // The drain itself is said already.
    let faults =
        router.faults.iter().filter(|fault| !(router.drained && fault.contains("drained")));
    notes.extend(faults.map(|fault| format!("fault: {fault}")));
    notes.extend(tracking::priority_note(snapshot, router));
    notes.extend(router.hints.iter().map(|hint| format!("hint: {hint}")));
    notes.extend(untold(&router.notify).map(|told| format!("notify {told}")));
    notes.extend(
        router
            .addresses
            .iter()
            .filter(|address| {
                address.error.is_some()
                    || address.readded > 0
                    || (address.held != (router.state == State::Master)
                        && router.state != State::Leaving)
            })
            .map(|address| format!("address {}", address_line(address))),
    );
    notes.extend(router.peers.iter().filter(|peer| !peer.refused.is_empty()).map(|peer| {
        // The hint has said why.
        let address = peer.address.to_string();
        let explained = router.hints.iter().any(|hint| hint.starts_with(&address));
        format!("peer {}", peer_line(peer, !explained))
    }));
    notes
}

/// Every command that was run for a router.
fn told(notify: &NotifyStatus) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(running) = &notify.running {
        let (RunningStatus { hook, about, age_ms }, waiting) = (running, notify.waiting);
        let more = if waiting > 0 { format!(", {waiting} wait") } else { String::new() };
        lines.push(format!("{hook} {about} runs, for {}{more}", age(*age_ms)));
    }
    if let Some(ensured) = notify.ensured {
        let what = if ensured { "succeeded" } else { "has not succeeded yet" };
        lines.push(format!("while_master {what}"));
    }
    lines.extend(notify.runs.iter().map(run));
    if notify.skipped > 0 {
        lines.push(format!("{} states were overtaken before they were told", notify.skipped));
    }
    lines
}

/// The commands whose last run failed.
fn untold(notify: &NotifyStatus) -> impl Iterator<Item = String> + '_ {
    let is_last = |n: usize, last: &RunStatus| {
        notify.runs.iter().take(n).all(|later| later.hook != last.hook)
    };
    let failed =
        notify.runs.iter().enumerate().filter(move |(n, r)| !r.succeeded && is_last(*n, r));
    failed.map(|(_, failed)| run(failed))
}

fn run(run: &RunStatus) -> String {
    let RunStatus { hook, about, succeeded, outcome, took_ms, age_ms } = run;
    let how = if *succeeded { "succeeded" } else { "failed" };
    let took = SignedDuration::from_millis(i64::try_from(*took_ms).unwrap_or(i64::MAX));
    let took = took.as_secs_f64();
    format!("{hook} {about} {how} {} ago: {outcome}, after {took:.2} s", age(*age_ms))
}

fn state(router: &RouterStatus) -> &'static str {
    match router.state {
        State::Fault if router.drained => "DRAINED",
        State::Fault => "FAULT",
        State::Backup => "BACKUP",
        State::Master => "MASTER",
        State::Leaving => "LEAVING",
    }
}

fn drained(router: &RouterStatus, clock: &WallClock) -> Option<String> {
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

fn since(router: &RouterStatus, clock: &WallClock) -> String {
    let age = age(router.state_age_ms);
    match clock.before(router.state_age_ms) {
        Some(then) => format!("{age} {}", then.short()),
        None => age,
    }
}

fn priority(router: &RouterStatus) -> String {
    if router.priority == router.base_priority {
        router.priority.to_string()
    } else {
        format!("{}/{}", router.priority, router.base_priority)
    }
}

fn master(router: &RouterStatus) -> String {
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

fn master_line(router: &RouterStatus) -> String {
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
fn next_failure(router: &RouterStatus) -> Option<String> {
    let Outlook { successor, death, resignation, release: _ } = router.outlook.as_ref()?;
    let (death, resignation) = (span(*death), span(*resignation));
    Some(match successor {
        Some(Successor { is_self: true, .. }) => {
            let master = router.master.as_ref().map_or("-".to_owned(), |m| m.address.to_string());
            format!("if {master} dies, this node serves {death} later ({resignation} if it stops)")
        }
        Some(Successor { address, priority, last_heard_ms, .. }) => {
            let heard = age(last_heard_ms.unwrap_or_default());
            format!(
                "if this node dies, {address} serves {death} later ({resignation} if it stops); its \
                 priority was {priority} when it was last heard, {heard} ago"
            )
        }
        None => {
            let which = match router.last_heard_ms {
                Some(_) => "none has said its priority".to_owned(),
                None => format!("none was ever heard on {}", router.interface),
            };
            format!(
                "if this node dies, a backup serves {death} later ({resignation} if it stops), if \
                 there is one: {which}"
            )
        }
    })
}

/// Nobody heard is normal for one master and the sign of a filter for two.
fn never_heard(router: &RouterStatus) -> String {
    let RouterStatus { interface, family, .. } = router;
    if router.hints.iter().any(|hint| hint.contains("protocol 112")) {
        return format!("no other node on {interface} since the start");
    }
    let allow = allow_vrrp(*family);
    format!(
        "no other node on {interface} since the start: backups are silent, so this is as it should \
         be if no other node says MASTER. If one does, IP protocol 112 is filtered between you: on \
         both hosts, {allow} lets VRRP in"
    )
}

/// "2.4 to 3.4 s", "609 ms".
fn span(span: Span) -> String {
    let Span { least_ms, most_ms } = span;
    let seconds = |ms: u64| format!("{}.{}", (ms + 50) / 1000, (ms + 50) % 1000 / 100);
    match (most_ms < 1000, least_ms + 1 >= most_ms) {
        (true, true) => format!("{most_ms} ms"),
        (true, false) => format!("{least_ms} to {most_ms} ms"),
        (false, true) => format!("{} s", seconds(most_ms)),
        (false, false) => format!("{} to {} s", seconds(least_ms), seconds(most_ms)),
    }
}

fn vips(addresses: &[AddressStatus]) -> String {
    let held = addresses.iter().filter(|address| address.held).count();
    format!("{held}/{}", addresses.len())
}

fn address_line(address: &AddressStatus) -> String {
    whereabouts(address, if address.advertised { "" } else { ", not advertised" })
}

fn whereabouts(address: &AddressStatus, note: &str) -> String {
    let mut line = format!("{} on {}: ", address.address, address.interface);
    line.push_str(if address.held { "held" } else { "not held" });
    if let Some(left) = address.lease_ms.filter(|_| address.held) {
        let _ = write!(line, ", lease {}.{} s", left / 1000, left % 1000 / 100);
    }
    line.push_str(note);
    if address.readded > 0 {
        let _ = write!(line, ", put back {} times after others removed it", address.readded);
    }
    if let Some(error) = &address.error {
        let _ = write!(line, "; {error}");
    }
    line
}

fn peer_line(peer: &PeerStatus, with_reason: bool) -> String {
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

fn transition(change: &TransitionStatus, clock: &WallClock) -> String {
    let when = clock
        .before(change.age_ms)
        .map_or_else(|| format!("{} ago", age(change.age_ms)), |then| then.long());
    format!("{when}  {}", change_text(change))
}

fn change_text(change: &TransitionStatus) -> String {
    let from = change.from.map(|state| format!("{state} -> ")).unwrap_or_default();
    format!("{from}{}: {}", change.to, change.reason)
}

/// The two largest units: `340ms`, `12s`, `4m12s`, `3h04m`, `3d04h`.
fn age(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes, seconds) {
        (0, 0, 0, 0) => format!("{ms}ms"),
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, s) => format!("{m}m{:02}s", s % 60),
        (0, h, m, _) => format!("{h}h{:02}m", m % 60),
        (d, h, ..) => format!("{d}d{:02}h", h % 24),
    }
}

/// The daemon's wall clock when it answered, in its own time zone.
struct WallClock(Option<DateTime>);

/// A point in the past on that clock.
struct Then {
    at: DateTime,
    now: DateTime,
}

impl WallClock {
    /// Without a time that can be read, ages must do.
    fn at(taken_at: &str) -> WallClock {
        let civil = Pieces::parse(taken_at)
            .ok()
            .and_then(|pieces| Some(pieces.date().to_datetime(pieces.time()?)));
        WallClock(civil)
    }

    fn now(&self) -> String {
        self.0.map_or_else(|| "-".to_owned(), |now| now.strftime("%Y-%m-%d %H:%M:%S").to_string())
    }

    fn before(&self, ms: u64) -> Option<Then> {
        let now = self.0?;
        let ago = SignedDuration::from_millis(i64::try_from(ms).ok()?);
        Some(Then { at: now.checked_sub(ago).ok()?, now })
    }

    fn since_note(&self, ms: u64) -> String {
        self.before(ms).map(|then| format!(" (since {})", then.long())).unwrap_or_default()
    }
}

impl Then {
    /// The time if it was today, else the day.
    fn short(&self) -> String {
        let form = if self.at.date() == self.now.date() { "%H:%M" } else { "%b %d" };
        self.at.strftime(form).to_string()
    }

    fn long(&self) -> String {
        self.at.strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
}
