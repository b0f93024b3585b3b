//! Virtual routers, their addresses and their peers.

use std::collections::BTreeSet;
use std::fmt;

use super::family::{
    Families, Label, Row, Value, code, counter, gauge, label, seconds, write_rows,
};
use crate::status::{RouterStatus, Snapshot, State};

/// Every state, as the JSON of the status has it.
const STATES: [State; 4] = [State::Fault, State::Backup, State::Master, State::Leaving];

/// Counters of packets that were thrown away.
const DROPS: [&str; 15] = [
    "packet_length_errors",
    "addr_count_zero",
    "ip_ttl_errors",
    "wrong_cast",
    "unknown_peer",
    "version_errors",
    "invalid_type_pkts",
    "checksum_errors",
    "invalid_auth_type",
    "auth_type_mismatch",
    "auth_failures",
    "interval_errors",
    "ignored_state",
    "ignored_startup",
    "duplicate_source",
];

const ROWS: &[Row<RouterStatus>] = &[
    gauge("vipd_router_state_seconds", "For how long it has been in its state.", |router| {
        Some(seconds(router.state_age_ms))
    }),
    gauge("vipd_router_priority", "The priority in force, with what checks add.", |router| {
        Some(Value::Count(router.priority.into()))
    }),
    gauge("vipd_router_base_priority", "The configured priority.", |router| {
        Some(Value::Count(router.base_priority.into()))
    }),
    gauge("vipd_router_drained", "1 if the operator took it out of service.", |router| {
        Some(router.drained.into())
    }),
    gauge("vipd_router_master_known", "1 if a master is known, this node or another.", |router| {
        Some(router.master.is_some().into())
    }),
    counter("vipd_adverts_sent_total", "Adverts sent, priority 0 included.", |router| {
        Some(router.counters.adv_sent.into())
    }),
    counter("vipd_adverts_received_total", "Adverts accepted.", |router| {
        Some(router.counters.adv_rcvd.into())
    }),
    counter(
        "vipd_announcements_sent_total",
        "Gratuitous ARPs and unsolicited neighbour advertisements sent.",
        |router| Some(router.counters.announcements_sent.into()),
    ),
    counter("vipd_address_errors_total", "Address operations the kernel refused.", |router| {
        Some(router.counters.address_errors.into())
    }),
    counter(
        "vipd_addresses_readded_total",
        "Addresses somebody else removed and vipd put back.",
        |router| Some(router.counters.addresses_readded.into()),
    ),
    counter("vipd_stalls_total", "Times it woke up later than a whole interval.", |router| {
        Some(router.counters.stalls.into())
    }),
];

pub(super) fn write(out: &mut Families<'_>, snapshot: &Snapshot) -> fmt::Result {
    let routers = &snapshot.routers;
    let states = routers.iter().flat_map(|router| {
        STATES.map(|state| {
            let labels = [label("router", &*router.name), label("state", code(&state))];
            (labels, (router.state == state).into())
        })
    });
    out.gauge("vipd_router_state", "1 for the state a virtual router is in.", states)?;
    write_rows(out, ROWS, routers, |router| [label("router", &*router.name)])?;
    let faults = codes(routers, |router| router.faults.iter().map(|of| code(&of.code)).collect());
    out.gauge(
        "vipd_router_fault",
        "1 for everything that keeps it from serving, by its code.",
        faults,
    )?;
    let hints = codes(routers, |router| router.hints.iter().map(|of| code(&of.code)).collect());
    out.gauge("vipd_router_hint", "1 for everything `vipd status` hints at, by its code.", hints)?;
    transitions(out, routers)?;
    drops(out, routers)?;
    addresses(out, routers)?;
    peers(out, routers)
}

/// A sample for each code a router has, however often it has it.
fn codes<'a>(
    routers: &'a [RouterStatus],
    of: fn(&RouterStatus) -> BTreeSet<String>,
) -> impl Iterator<Item = ([Label<'a>; 2], Value)> {
    routers.iter().flat_map(move |router| {
        of(router)
            .into_iter()
            .map(|code| ([label("router", &*router.name), label("code", code)], Value::Count(1)))
    })
}

fn transitions(out: &mut Families<'_>, routers: &[RouterStatus]) -> fmt::Result {
    let samples = routers.iter().flat_map(|router| {
        let counters = &router.counters;
        [("master", counters.master_transitions), ("released", counters.release_master)]
            .map(|(to, count)| ([label("router", &*router.name), label("to", to)], count.into()))
    });
    let help = "Times it became master, and was released from being it.";
    out.counter("vipd_transitions_total", help, samples)
}

fn drops(out: &mut Families<'_>, routers: &[RouterStatus]) -> fmt::Result {
    let samples = routers.iter().flat_map(|router| {
        // VRRPv3 learns another interval and accepts the advert.
        let dropped = |name: &str| {
            DROPS.contains(&name) && (name != "interval_errors" || router.version == 2)
        };
        let drops = router.counters.iter().filter(move |(name, _)| dropped(name));
        drops.map(|(name, count)| {
            ([label("router", &*router.name), label("reason", name)], count.into())
        })
    });
    let help = "Packets with its VRID that were thrown away; the reasons are counters of vipd(8).";
    out.counter("vipd_adverts_dropped_total", help, samples)
}

fn addresses(out: &mut Families<'_>, routers: &[RouterStatus]) -> fmt::Result {
    let all = || {
        routers.iter().flat_map(|router| {
            router.addresses.iter().map(|address| {
                (address, [label("router", &*router.name), label("address", &*address.address)])
            })
        })
    };
    let held = all().map(|(address, labels)| (labels, address.held.into()));
    let help = "1 if the kernel has the address because of this daemon.";
    out.gauge("vipd_virtual_address_held", help, held)?;
    let leases = all().filter(|(address, _)| address.held);
    let leases = leases.filter_map(|(address, labels)| Some((labels, seconds(address.lease_ms?))));
    let help = "Until the kernel removes a held address by itself unless the daemon renews it.";
    out.gauge("vipd_lease_remaining_seconds", help, leases)
}

fn peers(out: &mut Families<'_>, routers: &[RouterStatus]) -> fmt::Result {
    let samples = routers.iter().flat_map(|router| {
        router.peers.iter().map(|peer| {
            let labels = [label("router", &*router.name), label("peer", peer.address.to_string())];
            (labels, seconds(peer.last_seen_ms))
        })
    });
    let help = "Since the last packet of another node; a backup is silent while its master speaks.";
    out.gauge("vipd_peer_last_advert_seconds", help, samples)?;
    let samples = routers.iter().filter_map(|router| {
        let master = router.master.as_ref().filter(|master| !master.is_self)?;
        Some(([label("router", &*router.name)], seconds(master.last_advert_ms?)))
    });
    let help = "Since the last advert of the master, if that is another node.";
    out.gauge("vipd_master_last_advert_seconds", help, samples)
}
