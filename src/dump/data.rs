//! State and settings, as text: the lines of keepalived.data that say something of vipd.

use std::fmt::Write;

use super::{addresses, command, last_transition, pairs, seconds, state};
use crate::config::checks::Check;
use crate::config::notify::Moment;
use crate::config::{Cast, Config, Preempt, RouterConfig, TrackerConfig};
use crate::status::{RouterStatus, Snapshot, Standing, TrackerStatus};
use crate::types::{AuthV2, Dialect};

/// What is written on the signal.
#[must_use]
pub fn data(snapshot: &Snapshot, config: &Config) -> String {
    let mut out = String::new();
    heading(&mut out, "Global definitions");
    line(&mut out, 1, "Router ID", &snapshot.daemon.node);
    heading(&mut out, "VRRP Topology");
    for (router, of) in pairs(snapshot, config) {
        instance(&mut out, snapshot, router, of);
    }
    if !config.groups.is_empty() {
        heading(&mut out, "VRRP Sync groups");
        groups(&mut out, snapshot, config);
    }
    let scripts =
        |tracker: &&std::sync::Arc<TrackerConfig>| matches!(&*tracker.check, Check::Script(_));
    if config.trackers.iter().any(|tracker| scripts(&tracker)) {
        heading(&mut out, "VRRP Scripts");
        for tracker in config.trackers.iter().filter(scripts) {
            script(&mut out, snapshot, config, tracker);
        }
    }
    out
}

fn heading(out: &mut String, title: &str) {
    let _ = writeln!(out, "------< {title} >------");
}

fn line(out: &mut String, indent: usize, name: &str, value: impl std::fmt::Display) {
    let _ = writeln!(out, "{:indent$}{name} = {value}", "");
}

fn words(yes: bool) -> &'static str {
    if yes { "enabled" } else { "disabled" }
}

fn instance(out: &mut String, snapshot: &Snapshot, router: &RouterStatus, of: &RouterConfig) {
    let (_, word) = state(router);
    line(out, 1, "VRRP Instance", &router.name);
    line(out, 3, "VRRP Version", router.version);
    if matches!(of.dialect, Dialect::V3Ipv6) {
        out.push_str("   Using Native IPv6\n");
    }
    if let Some(group) = &router.group {
        line(out, 3, "Sync group", group);
    }
    line(out, 3, "State", word);
    line(out, 3, "Wantstate", word);
    line(out, 3, "Number of interface and track script faults", router.faults.len());
    let last = last_transition(snapshot, router);
    let when = last.strftime("%a %b %e %H:%M:%S%.6f %Y");
    line(out, 3, "Last transition", format!("{:.6} ({when})", last.as_duration().as_secs_f64()));
    line(out, 3, "Interface", &router.interface);
    if let Some(source) = router.source {
        let configured = if of.source.is_some() { " (from configuration)" } else { "" };
        line(out, 3, "Using src_ip", format!("{source}{configured}"));
    }
    if let Cast::Multicast { group } = &of.cast {
        let _ = writeln!(out, "   Multicast address {group}");
    }
    let announce = &of.announce;
    line(out, 3, "Gratuitous ARP delay", seconds(announce.delay));
    line(out, 3, "Gratuitous ARP repeat", announce.repeat);
    line(out, 3, "Gratuitous ARP refresh", seconds(announce.refresh));
    line(out, 3, "Gratuitous ARP refresh repeat", announce.refresh_repeat);
    line(out, 3, "Gratuitous ARP lower priority delay", seconds(announce.lower_delay));
    line(out, 3, "Gratuitous ARP lower priority repeat", announce.lower_repeat);
    line(out, 3, "Down timer adverts", of.options.down_timer_adverts);
    line(out, 3, "Send advert after receive lower priority advert", of.options.answer_lower);
    let before_yield = of.options.advert_before_yield;
    line(out, 3, "Send advert after receive higher priority advert", before_yield);
    line(out, 3, "Virtual Router ID", router.vrid);
    line(out, 3, "Priority", router.base_priority);
    line(out, 3, "Effective priority", router.priority);
    let interval = match router.interval_ms {
        ms if ms % 1000 == 0 => format!("{} sec", ms / 1000),
        ms => format!("{ms} milli-sec"),
    };
    line(out, 3, "Advert interval", interval);
    line(out, 3, "Accept", "enabled");
    line(out, 3, "Preempt", words(of.preempt != Preempt::Never));
    if let Preempt::After(delay) = of.preempt
        && !delay.is_zero()
    {
        line(out, 3, "Preempt delay", format!("{} secs", seconds(delay)));
    }
    line(out, 3, "Promote_secondaries", words(of.options.promote_secondaries));
    if let Dialect::V2(auth) = &of.dialect {
        let kind = match auth {
            AuthV2::None => "none",
            AuthV2::Pass(_) => "SIMPLE_PASSWORD",
        };
        line(out, 3, "Authentication type", kind);
    }
    let advertised = addresses(router, of, true);
    if !advertised.is_empty() {
        let _ = writeln!(out, "   Virtual IP ({}):", advertised.len());
        list(out, advertised);
    }
    let excluded = addresses(router, of, false);
    if !excluded.is_empty() {
        out.push_str("   Virtual IP Excluded :\n");
        list(out, excluded);
    }
    if let Cast::Unicast { peers, ttl } = &of.cast {
        line(out, 3, "Unicast TTL", ttl);
        out.push_str("   Unicast Peer :\n");
        list(out, peers.iter().map(|peer| peer.address.to_string()));
    }
    if !of.track_interfaces.is_empty() {
        out.push_str("   Tracked interfaces :\n");
        let tracked = of.track_interfaces.iter();
        list(out, tracked.map(|track| format!("{} weight {}", track.iface, track.weight)));
    }
    if !of.track.is_empty() {
        out.push_str("   Tracked scripts :\n");
        let tracked = of.track.iter();
        list(out, tracked.map(|track| format!("{} weight {}", track.tracker, track.weight)));
    }
    line(out, 3, "Using smtp notification", if of.notify.mail { "yes" } else { "no" });
    for (moment, name) in [
        (Moment::Backup, "Backup"),
        (Moment::Master, "Master"),
        (Moment::Fault, "Fault"),
        (Moment::Stop, "Stop"),
        (Moment::Any, "Generic"),
    ] {
        if let Some(script) = of.notify.commands.get(&moment) {
            line(out, 3, &format!("{name} state transition script"), command(script));
        }
    }
}

fn list(out: &mut String, items: impl IntoIterator<Item = String>) {
    for item in items {
        let _ = writeln!(out, "     {item}");
    }
}

fn groups(out: &mut String, snapshot: &Snapshot, config: &Config) {
    for group in &config.groups {
        let members = |router: &&RouterStatus| router.group.as_deref() == Some(&*group.name);
        let members: Vec<_> = snapshot.routers.iter().filter(members).collect();
        let word = members.first().map_or("INIT", |router| state(router).1);
        let _ = writeln!(out, " VRRP Sync Group = {}, {word}", group.name);
        out.push_str("   VRRP member instances :\n");
        list(out, members.iter().map(|router| router.name.clone()));
    }
}

fn script(out: &mut String, snapshot: &Snapshot, config: &Config, tracker: &TrackerConfig) {
    let Check::Script(check) = &*tracker.check else { return };
    let same = |of: &&TrackerStatus| of.name == tracker.key.name && of.kind == "script";
    let status = snapshot.trackers.iter().find(same);
    line(out, 1, "VRRP Script", &tracker.key);
    line(out, 3, "Command", command(check));
    line(out, 3, "Interval", format!("{} sec", seconds(tracker.rhythm.interval)));
    line(out, 3, "Timeout", format!("{} sec", seconds(tracker.rhythm.timeout)));
    line(out, 3, "Rise", tracker.rhythm.rise);
    line(out, 3, "Fall", tracker.rhythm.fall);
    let good = match status.map(|status| status.standing) {
        Some(Standing::Up | Standing::Value(_)) => "GOOD",
        Some(Standing::Down) => "BAD",
        Some(Standing::Untested) | None => "INIT",
    };
    line(out, 3, "Status", good);
    out.push_str("   Tracking instances :\n");
    let by = config.routers.iter().flat_map(|router| {
        let of = router.track.iter().filter(|track| track.tracker == tracker.key);
        of.map(move |track| format!("{}, weight {}", router.name, track.weight))
    });
    list(out, by);
    let running = status.is_some_and(|status| status.running_ms.is_some());
    line(out, 3, "State", if running { "running" } else { "idle" });
}
