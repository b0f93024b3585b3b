//! Valid configurations at random: a handful of routers of every kind, most of them the same ones in
//! any two configurations, with other settings.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use vipd::config::{Cast, Preempt, Release, RouterConfig, RouterFlag};
use vipd::types::{Centis, Dialect};

use super::setup::*;

/// Interface, VRID, family (6 or 4), unicast: what makes a router the same one to its peers.
const IDENTITIES: [(&str, u8, u8, bool); 8] = [
    ("eth0", 51, 4, false),
    ("eth0", 52, 4, false),
    ("eth0", 51, 6, false),
    ("eth1", 51, 4, false),
    ("eth0", 51, 4, true),
    ("eth0", 53, 4, true),
    ("eth1", 60, 4, false),
    // Missing.
    ("eth9", 54, 4, false),
];

/// The configurations of a host with eth0 and eth1: no identity, name or address twice.
pub fn routers() -> impl Strategy<Value = Vec<RouterConfig>> {
    let all: Vec<usize> = (0..IDENTITIES.len()).collect();
    subsequence(all, 0..=6)
        .prop_shuffle()
        .prop_flat_map(|identities| identities.into_iter().map(one).collect::<Vec<_>>())
}

/// A configuration and what an editor may have made of it: some routers gone, some new, some with
/// other settings, the rest untouched.
pub fn edits() -> impl Strategy<Value = (Vec<RouterConfig>, Vec<RouterConfig>)> {
    (routers(), routers(), any::<u8>()).prop_map(|(old, other, kept)| {
        let keeps = |n: usize| kept >> (n % 8) & 1 == 1;
        let same = |a: &RouterConfig| old.iter().find(|b| a.key() == b.key());
        let mut new: Vec<RouterConfig> = Vec::new();
        for (n, router) in other.iter().enumerate() {
            new.push(same(router).filter(|_| keeps(n)).unwrap_or(router).clone());
        }
        for (n, router) in old.iter().enumerate() {
            if keeps(n) && new.iter().all(|r| r.key() != router.key()) {
                new.push(router.clone());
            }
        }
        (old, new)
    })
}

fn one(identity: usize) -> impl Strategy<Value = RouterConfig> {
    let (_, _, family, unicast) = IDENTITIES[identity];
    let dialects = if family == 6 { vec![V3_IPV6] } else { vec![V2, V2_PASS, V3, V3, V3_MESSAGE] };
    let election = (
        select(vec![1, 90, 100, 100, 150, 254, 255]),
        select(vec![20, 100, 100, 250]),
        select(vec![None, Some(0), Some(0), Some(3)]),
        select(vec![1, 3, 3, 5]),
    );
    let packets = (select(dialects), select(vec![1, 2, 2, 3]), any::<bool>(), any::<bool>());
    let addresses = subsequence(vec![0, 1, 2], 1..=3).prop_shuffle();
    let others =
        (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), select(vec![0, 0, 7]));
    (election, packets, addresses, others).prop_map(
        move |(election, packets, addresses, (renamed, lease, after, flag, refresh))| {
            let (value, cs, preempt, adverts) = election;
            let (dialect, peers, other_place, elsewhere) = packets;
            router(|r| {
                let (iface, vrid, ..) = IDENTITIES[identity];
                r.name = format!("{}{identity}", if renamed { "renamed" } else { "router" });
                r.iface = name(iface);
                r.vrid = vrid.try_into().unwrap();
                r.dialect = dialect;
                r.priority = priority(value);
                r.interval = interval(dialect, cs);
                r.preempt =
                    preempt.map_or(Preempt::Never, |s| Preempt::After(Duration::from_secs(s)));
                r.options.down_timer_adverts = adverts;
                r.cast = cast(dialect, unicast, peers, other_place);
                r.addresses = addresses
                    .iter()
                    .map(|nth| match (family, *nth) {
                        (6, 0) => vip(&format!("fe80::{identity}:1")),
                        (6, nth) => vip(&format!("2001:db8::{identity}:{nth}")),
                        (_, 2) if elsewhere => {
                            vip_on(&format!("198.51.100.{identity}"), Some("eth1"))
                        }
                        (_, nth) => vip(&format!("192.0.2.{}/24", 150 + identity * 4 + nth)),
                    })
                    .collect();
                r.options.release = if after { Release::AfterSuccessor } else { Release::Now };
                r.options.lease = lease;
                r.options.router_flag = if flag { RouterFlag::Set } else { RouterFlag::Forwarding };
                r.announce.refresh = Duration::from_secs(refresh);
            })
        },
    )
}

/// VRRPv2 has whole seconds.
fn interval(dialect: Dialect, cs: u16) -> Centis {
    centis(if dialect.version() == 2 { cs.div_ceil(100) * 100 } else { cs })
}

fn cast(dialect: Dialect, unicast: bool, peers: usize, other_place: bool) -> Cast {
    let all = ["192.0.2.102", "192.0.2.101", "192.0.2.103"];
    match (unicast, other_place) {
        (true, _) => super::setup::unicast(&all[..peers]),
        (false, true) if dialect != V3_IPV6 => Cast::Multicast { group: ip("224.0.0.118") },
        (false, _) => Cast::Multicast { group: dialect.family().vrrp_group() },
    }
}
