//! The daemon itself, and its checks.

use std::fmt;
use std::time::Duration;

use super::family::{Families, Kind, Value, label, number, seconds};
use crate::status::{Snapshot, Standing};

/// When the daemon started, in seconds since 1970; `None` if the snapshot does not say when it was
/// taken.
pub(super) fn started(snapshot: &Snapshot) -> Option<Value> {
    let taken: jiff::Timestamp = snapshot.daemon.taken_at.parse().ok()?;
    let up = i64::try_from(snapshot.daemon.uptime_ms / 1000).ok()?;
    taken.as_second().checked_sub(up).map(Value::Signed)
}

pub(super) fn write(out: &mut Families<'_>, snapshot: &Snapshot) -> fmt::Result {
    let daemon = &snapshot.daemon;
    let (counter, gauge) = (Kind::Counter, Kind::Gauge);
    let version = [label("version", daemon.version.as_str())];
    out.gauge(
        "vipd_build_info",
        "Always 1; the label is the version.",
        [(version, Value::Count(1))],
    )?;
    if let Some(started) = started(snapshot) {
        let help = "When the daemon started, in seconds since 1970.";
        out.single(gauge, "vipd_start_time_seconds", help, started)?;
    }
    let up = seconds(daemon.uptime_ms);
    out.single(gauge, "vipd_uptime_seconds", "Since the daemon started.", up)?;
    let help = "1 if the last reload was refused: the daemon runs with the settings before it.";
    out.single(gauge, "vipd_config_refused", help, daemon.reload_error.is_some())?;
    let help = "Reloads that succeeded.";
    out.single(counter, "vipd_reloads_total", help, daemon.reloads)?;
    let help = "Settings a lenient start went without.";
    let dropped = number(daemon.settings_dropped.len());
    out.single(gauge, "vipd_config_settings_dropped", help, dropped)?;
    let help = "Virtual routers a lenient start does not run.";
    let left_out = number(daemon.routers_left_out.len());
    out.single(gauge, "vipd_config_routers_left_out", help, left_out)?;
    let help = "Adverts the kernel would not take at once.";
    out.single(counter, "vipd_adverts_not_sent_total", help, daemon.send_drops)?;
    let help = "Times the kernel's event queue overflowed and everything was read again.";
    out.single(counter, "vipd_netlink_overruns_total", help, daemon.netlink_overruns)?;
    let help = "Log lines lost because the log sink was too slow.";
    out.single(counter, "vipd_log_lines_lost_total", help, daemon.log_lines_lost)?;
    let latest = Value::Real(Duration::from_micros(daemon.latest_timer_us).as_secs_f64());
    let help = "The latest a protocol timer fired since the start.";
    out.single(gauge, "vipd_timer_lateness_max_seconds", help, latest)?;
    let stall = seconds(daemon.stall.map_or(0, |stall| stall.lasted_ms));
    let help = "The worst time within a day in which the process was not run when it had to be.";
    out.single(gauge, "vipd_stall_max_seconds", help, stall)?;
    pages(out, snapshot)?;
    trackers(out, snapshot)
}

fn pages(out: &mut Families<'_>, snapshot: &Snapshot) -> fmt::Result {
    let samples = snapshot.pages.iter().map(|page| {
        let labels = [label("page", &*page.name), label("bind", page.bind.to_string())];
        (labels, page.failure.is_none().into())
    });
    out.gauge("vipd_page_open", "1 if a page listens at its place.", samples)
}

fn trackers(out: &mut Families<'_>, snapshot: &Snapshot) -> fmt::Result {
    let all = || {
        snapshot.trackers.iter().map(|tracker| {
            (tracker, [label("tracker", &*tracker.name), label("kind", &*tracker.kind)])
        })
    };
    let up = all().filter_map(|(tracker, labels)| match tracker.standing {
        Standing::Up => Some((labels, true.into())),
        Standing::Down => Some((labels, false.into())),
        Standing::Untested | Standing::Value(_) => None,
    });
    let help = "1 if a check passes, 0 if it fails; a check that has not answered has no sample.";
    out.gauge("vipd_tracker_up", help, up)?;
    let value = all().filter_map(|(tracker, labels)| match tracker.standing {
        Standing::Value(value) => Some((labels, Value::Signed(value.into()))),
        Standing::Untested | Standing::Up | Standing::Down => None,
    });
    out.gauge("vipd_tracker_value", "The number in a tracked file.", value)?;
    let took = all().filter_map(|(tracker, labels)| Some((labels, seconds(tracker.took_ms?))));
    out.gauge("vipd_tracker_check_seconds", "How long the last run of a check took.", took)
}
