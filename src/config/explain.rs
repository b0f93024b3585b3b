//! Why the configuration is what it is: `vipd check --explain`.

use std::net::IpAddr;

use super::diag::{Span, Spanned};
use super::model::{Globals, RouterConfig};
use super::raw::{RawGlobals, RawRouter};
use super::settings;

/// What becomes of one statement of a keepalived.conf or haproxy.cfg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The place of its keyword.
    pub span: Span,
    /// Every place a setting may name as its origin: the words, and all of them together.
    pub places: Vec<Span>,
    /// The block it stands in, as the coverage tables of vipd-keepalived(5) and vipd-haproxy(5) call it.
    pub block: String,
    /// In how many blocks it stands.
    pub depth: usize,
    /// The keyword and its values, passwords hidden.
    pub text: String,
    /// As in the coverage tables of vipd-keepalived(5) and vipd-haproxy(5), or `unknown`; empty for an entry of a list.
    pub status: &'static str,
    /// What vipd does with it, or why not.
    pub why: String,
}

/// A setting in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name in vipd.toml.
    pub name: &'static str,
    /// Its value, a password hidden.
    pub value: String,
    /// Where it was written; `None`: the default, or it follows from others.
    pub origin: Option<Span>,
}

/// The settings of a router, its addresses last.
#[must_use]
pub fn router(router: &RouterConfig, raw: &RawRouter) -> Vec<Setting> {
    let own = settings::of(router).into_iter().map(|(name, value)| {
        let origin = if name == "name" { Some(raw.name.span) } else { origin(raw, name) };
        Setting { name, value, origin }
    });
    let addresses = router.addresses.iter().map(|address| {
        let name = if address.advertised { "addresses" } else { "excluded" };
        let value = settings::written(address).replace(" excluded", "");
        Setting { name, value, origin: place_of(raw, address.cidr.address()) }
    });
    own.chain(addresses).collect()
}

/// The settings of the daemon.
#[must_use]
pub fn globals(globals: &Globals, raw: &RawGlobals) -> Vec<Setting> {
    let origin = |name: &str| {
        let process = &raw.process;
        match name {
            "router_id" => at(raw.router_id.as_ref()),
            "startup_delay" => at(raw.startup_delay.as_ref()),
            "delay_after_boot" => at(raw.delay_after_boot.as_ref()),
            "log_unknown_vrids" => at(raw.log_unknown_vrids.as_ref()),
            "control_group" => at(raw.control_group.as_ref()),
            "net_namespace" => at(process.net_namespace.as_ref()),
            "instance" => at(process.instance.as_ref()),
            "process_name" => at(process.name.as_ref()),
            "umask" => at(process.umask.as_ref()),
            "nice" => at(process.nice.as_ref()),
            "cpus" => at(process.cpus.first()),
            "realtime" => at(process.realtime.as_ref()),
            "realtime_priority" => at(process.realtime_priority.as_ref()),
            "lock_memory" => at(process.lock_memory.as_ref()),
            _ => None,
        }
    };
    let all = settings::globals(globals).into_iter();
    all.map(|(name, value)| Setting { name, value, origin: origin(name) }).collect()
}

fn origin(raw: &RawRouter, name: &str) -> Option<Span> {
    let announce = &raw.announce;
    match name {
        "interface" => at(raw.interface.as_ref()),
        "vrid" => at(raw.vrid.as_ref()),
        "version" => at(raw.version.as_ref()),
        "priority" => at(raw.priority.as_ref()),
        "interval" => at(raw.interval.as_ref()),
        "preempt" => at(raw.preempt.as_ref()),
        "preempt_delay" => at(raw.preempt_delay.as_ref()),
        "highest_peer_priority" => at(raw.highest_peer_priority.as_ref()),
        "down_timer_adverts" => at(raw.down_timer_adverts.as_ref()),
        "answer_lower" => at(raw.answer_lower.as_ref()),
        "advert_before_yield" => at(raw.advert_before_yield.as_ref()),
        "max_learned_interval" => at(raw.max_learned_interval.as_ref()),
        "expect_owner" => at(raw.expect_owner.as_ref()),
        "owner_listens" => at(raw.owner_listens.as_ref()),
        "track_interface" => at(raw.track_interface.as_ref()),
        "track_source" => at(raw.track_source.as_ref()),
        "promote_secondaries" => at(raw.promote_secondaries.as_ref()),
        "lease" => at(raw.lease.as_ref()),
        "release" => at(raw.release.as_ref()),
        "auth_pass" => at(raw.auth_pass.as_ref()),
        "source" => at(raw.source.as_ref()),
        "group" => at(raw.group.as_ref()),
        "peers" => raw.peers.as_ref().map(|peers| peers.span),
        "ttl" => at(raw.ttl.as_ref()),
        "checksum" => at(raw.checksum.as_ref()),
        "check_addresses" => at(raw.check_addresses.as_ref()),
        "receive_buffer" => at(raw.receive_buffer.as_ref()),
        "router_flag" => at(raw.router_flag.as_ref()),
        "strict" => at(raw.strict.as_ref()),
        "announce.repeat" => at(announce.repeat.as_ref()),
        "announce.delay" => at(announce.delay.as_ref()),
        "announce.refresh" => at(announce.refresh.as_ref()),
        "announce.refresh_repeat" => at(announce.refresh_repeat.as_ref()),
        "announce.refresh_elsewhere" => at(announce.refresh_elsewhere.as_ref()),
        "announce.lower_repeat" => at(announce.lower_repeat.as_ref()),
        "announce.lower_delay" => at(announce.lower_delay.as_ref()),
        "announce.garp_interval" => at(announce.garp_interval.as_ref()),
        "announce.gna_interval" => at(announce.gna_interval.as_ref()),
        _ => None,
    }
}

fn at<T>(raw: Option<&Spanned<T>>) -> Option<Span> {
    raw.map(|raw| raw.span)
}

fn place_of(raw: &RawRouter, address: IpAddr) -> Option<Span> {
    let mut all = raw.addresses.iter().chain(&raw.excluded);
    all.find(|raw| raw.cidr.value.address() == address).map(|raw| raw.cidr.span)
}
