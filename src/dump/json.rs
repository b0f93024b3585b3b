//! State, settings and counters for programs.

use serde::Serialize;
use serde_json::{Number, Value, json};

use super::{addresses, command, last_transition, pairs, seconds, state};
use crate::config::checks::{ArgsMatch, Check, ProcessPattern};
use crate::config::notify::Moment;
use crate::config::{Config, Preempt, RouterConfig};
use crate::status::{RouterStatus, Snapshot, Standing, State};
use crate::types::{AuthV2, Dialect};

/// keepalived prints flags of its configuration as numbers, those of the instance as words.
type Flag = u8;

#[derive(Serialize)]
struct Instance {
    data: Data,
    stats: Stats,
}

#[derive(Serialize)]
struct Data {
    iname: String,
    dont_track_primary: Flag,
    skip_check_adv_addr: Flag,
    strict_mode: Flag,
    vmac_ifname: &'static str,
    ifp_ifname: String,
    master_priority: u8,
    last_transition: f64,
    garp_delay: u64,
    garp_refresh: u64,
    garp_rep: u8,
    garp_refresh_rep: u8,
    garp_lower_prio_delay: u64,
    garp_lower_prio_rep: u8,
    lower_prio_no_advert: Flag,
    higher_prio_send_advert: Flag,
    vrid: u8,
    base_priority: u8,
    effective_priority: u8,
    vipset: bool,
    promote_secondaries: bool,
    adver_int: Number,
    master_adver_int: Number,
    accept: Flag,
    nopreempt: bool,
    preempt_delay: u64,
    state: u8,
    wantstate: u8,
    version: u8,
    smtp_alert: bool,
    notify_deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_backup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_master: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_fault: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_stop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_deleted: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_master_rx_lower_pri: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vips: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evips: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    track_ifp: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    track_script: Vec<String>,
    auth_type: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_data: Option<&'static str>,
}

#[derive(Serialize)]
struct Stats {
    advert_rcvd: u64,
    advert_sent: u64,
    become_master: u64,
    release_master: u64,
    packet_len_err: u64,
    advert_interval_err: u64,
    ip_ttl_err: u64,
    invalid_type_rcvd: u64,
    addr_list_err: u64,
    invalid_authtype: u64,
    authtype_mismatch: u64,
    auth_failure: u64,
    pri_zero_rcvd: u64,
    pri_zero_sent: u64,
}

/// keepalived's JSON, of the version the configuration asks for.
#[must_use]
pub fn json(snapshot: &Snapshot, config: &Config) -> String {
    let instances: Vec<Instance> = pairs(snapshot, config)
        .map(|(router, of)| Instance {
            data: data_of(snapshot, config, router, of),
            stats: stats_of(router),
        })
        .collect();
    let text = if config.globals.json_version == 1 {
        serde_json::to_string(&instances)
    } else {
        #[derive(Serialize)]
        struct Version2 {
            vrrp: Vec<Instance>,
            track_process: Vec<Value>,
        }
        let track_process = processes(snapshot, config);
        serde_json::to_string(&Version2 { vrrp: instances, track_process })
    };
    // As keepalived writes it: slashes are in nothing but strings.
    text.unwrap_or_default().replace('/', "\\/") + "\n"
}

fn data_of(snapshot: &Snapshot, config: &Config, router: &RouterStatus, of: &RouterConfig) -> Data {
    let (announce, options) = (&of.announce, &of.options);
    let (number, _) = state(router);
    let script = |moment: Moment| of.notify.commands.get(&moment).map(command);
    let auth = match &of.dialect {
        Dialect::V2(AuthV2::Pass(_)) => 1,
        Dialect::V2(AuthV2::None) | Dialect::V3Ipv4(_) | Dialect::V3Ipv6 => 0,
    };
    let tracked = of.track.iter().filter_map(|track| {
        let tracker = config.trackers.iter().find(|tracker| tracker.key == track.tracker)?;
        match &*tracker.check {
            Check::Script(script) => Some(command(script)),
            _ => None,
        }
    });
    let last = last_transition(snapshot, router);
    Data {
        iname: router.name.clone(),
        dont_track_primary: (!options.track_interface).into(),
        skip_check_adv_addr: (!options.check_addresses).into(),
        strict_mode: of.strict.is_some().into(),
        vmac_ifname: "",
        ifp_ifname: of.iface.to_string(),
        master_priority: router.master.as_ref().filter(|m| !m.is_self).map_or(0, |m| m.priority),
        last_transition: last.as_duration().as_secs_f64(),
        garp_delay: seconds(announce.delay),
        garp_refresh: seconds(announce.refresh),
        garp_rep: announce.repeat,
        garp_refresh_rep: announce.refresh_repeat,
        garp_lower_prio_delay: seconds(announce.lower_delay),
        garp_lower_prio_rep: announce.lower_repeat,
        lower_prio_no_advert: (!options.answer_lower).into(),
        higher_prio_send_advert: options.advert_before_yield.into(),
        vrid: router.vrid,
        base_priority: router.base_priority,
        effective_priority: router.priority,
        vipset: matches!(router.state, State::Master | State::Leaving),
        promote_secondaries: options.promote_secondaries,
        adver_int: interval(router.interval_ms),
        master_adver_int: interval(router.master_interval_ms),
        accept: 1,
        nopreempt: of.preempt == Preempt::Never,
        preempt_delay: match of.preempt {
            Preempt::Never => 0,
            Preempt::After(delay) => seconds(delay),
        },
        state: number,
        wantstate: number,
        version: router.version,
        smtp_alert: of.notify.mail,
        notify_deleted: of.notify.say_deleted,
        script_backup: script(Moment::Backup),
        script_master: script(Moment::Master),
        script_fault: script(Moment::Fault),
        script_stop: script(Moment::Stop),
        script_deleted: script(Moment::Deleted),
        script: script(Moment::Any),
        script_master_rx_lower_pri: script(Moment::LowerPriority),
        vips: addresses(router, of, true),
        evips: addresses(router, of, false),
        track_ifp: of.track_interfaces.iter().map(|track| track.iface.to_string()).collect(),
        track_script: tracked.collect(),
        auth_type: auth,
        auth_data: (auth != 0).then_some("********"),
    }
}

fn stats_of(router: &RouterStatus) -> Stats {
    let counters = &router.counters;
    Stats {
        advert_rcvd: counters.adv_rcvd,
        advert_sent: counters.adv_sent,
        become_master: counters.master_transitions,
        release_master: counters.release_master,
        packet_len_err: counters.packet_length_errors,
        advert_interval_err: counters.interval_errors,
        ip_ttl_err: counters.ip_ttl_errors,
        invalid_type_rcvd: counters.invalid_type_pkts,
        addr_list_err: counters.address_list_errors,
        invalid_authtype: counters.invalid_auth_type,
        authtype_mismatch: counters.auth_type_mismatch,
        auth_failure: counters.auth_failures,
        pri_zero_rcvd: counters.pri_zero_rcvd,
        pri_zero_sent: counters.pri_zero_sent,
    }
}

/// Seconds, without a point if they are whole.
fn interval(ms: u64) -> Number {
    #[expect(clippy::cast_precision_loss, reason = "an interval is less than 41 s")]
    match ms % 1000 {
        0 => Number::from(ms / 1000),
        _ => Number::from_f64(ms as f64 / 1000.0).unwrap_or(Number::from(0)),
    }
}

/// Trackers of processes. How many run is in no status, and no delay's timer: those fields are missing.
fn processes(snapshot: &Snapshot, config: &Config) -> Vec<Value> {
    let trackers = config.trackers.iter().filter_map(|tracker| match &*tracker.check {
        Check::Process(check) => Some((tracker, check)),
        _ => None,
    });
    trackers
        .map(|(tracker, check)| {
            let same = |of: &&crate::status::TrackerStatus| of.name == tracker.key.name;
            let standing = snapshot.trackers.iter().find(same).map(|of| of.standing);
            let mut entry = match &check.pattern {
                ProcessPattern::Name(name) => {
                    json!({ "process": name, "param_match": "none", "full_command": false })
                }
                ProcessPattern::CommandLine { program, args, args_match } => {
                    let matching = match args_match {
                        ArgsMatch::Exact => "exact",
                        ArgsMatch::Partial => "partial",
                        ArgsMatch::Initial => "initial",
                    };
                    json!({
                        "process": program, "parameters": args.join(" "),
                        "param_match": matching, "full_command": true,
                    })
                }
            };
            if let Some(most) = check.quorum_max {
                entry["max_processes"] = most.into();
            }
            entry["min_processes"] = check.quorum.get().into();
            entry["have_quorum"] = (standing == Some(Standing::Up)).into();
            entry["fork_delay"] = tracker.rhythm.rise_delay.as_secs_f64().into();
            entry["terminate_delay"] = tracker.rhythm.fall_delay.as_secs_f64().into();
            entry
        })
        .collect()
}
