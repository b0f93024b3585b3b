//! The names of the two exporters people run beside keepalived: keepalived-exporter and
//! `keepalived_exporter`, which clash in nothing.

use std::fmt;

use super::family::{Families, Kind, Label, Value, label};
use crate::status::{Counters, RouterStatus, Snapshot, Standing, State};

/// A counter: its name in the first and in the second exporter, what it counts, its value.
type Counted = (&'static str, &'static str, &'static str, fn(&Counters) -> u64);

const COUNTERS: [Counted; 14] = [
    (
        "keepalived_advertisements_received_total",
        "keepalived_vrrp_advert_rcvd",
        "Advertisements received",
        |c| c.adv_rcvd,
    ),
    (
        "keepalived_advertisements_sent_total",
        "keepalived_vrrp_advert_sent",
        "Advertisements sent",
        |c| c.adv_sent,
    ),
    ("keepalived_become_master_total", "keepalived_vrrp_become_master", "Became master", |c| {
        c.master_transitions
    }),
    (
        "keepalived_release_master_total",
        "keepalived_vrrp_release_master",
        "Ceased to be master",
        |c| c.release_master,
    ),
    (
        "keepalived_packet_length_errors_total",
        "keepalived_vrrp_packet_len_err",
        "Packets of a wrong length",
        |c| c.packet_length_errors,
    ),
    (
        "keepalived_advertisements_interval_errors_total",
        "keepalived_vrrp_advert_interval_err",
        "Advertisements with another interval",
        |c| c.interval_errors,
    ),
    (
        "keepalived_ip_ttl_errors_total",
        "keepalived_vrrp_ip_ttl_err",
        "Packets with a wrong TTL or hop limit",
        |c| c.ip_ttl_errors,
    ),
    (
        "keepalived_invalid_type_received_total",
        "keepalived_vrrp_invalid_type_rcvd",
        "Packets that are no advertisements",
        |c| c.invalid_type_pkts,
    ),
    (
        "keepalived_address_list_errors_total",
        "keepalived_vrrp_addr_list_err",
        "Advertisements with other addresses",
        |c| c.address_list_errors,
    ),
    (
        "keepalived_authentication_invalid_total",
        "keepalived_vrrp_invalid_authtype",
        "Packets of an unknown authentication type",
        |c| c.invalid_auth_type,
    ),
    (
        "keepalived_authentication_mismatch_total",
        "keepalived_vrrp_authtype_mismatch",
        "Packets of another authentication type",
        |c| c.auth_type_mismatch,
    ),
    (
        "keepalived_authentication_failure_total",
        "keepalived_vrrp_auth_failure",
        "Packets with a wrong password",
        |c| c.auth_failures,
    ),
    (
        "keepalived_priority_zero_received_total",
        "keepalived_vrrp_pri_zero_rcvd",
        "Advertisements with priority 0 received",
        |c| c.pri_zero_rcvd,
    ),
    (
        "keepalived_priority_zero_sent_total",
        "keepalived_vrrp_pri_zero_sent",
        "Advertisements with priority 0 sent",
        |c| c.pri_zero_sent,
    ),
];

/// keepalived's word and number for a state. A master that hands over has resigned: keepalived calls
/// that backup.
const fn state(of: State) -> (&'static str, u64) {
    match of {
        State::Backup | State::Leaving => ("BACKUP", 1),
        State::Master => ("MASTER", 2),
        State::Fault => ("FAULT", 3),
    }
}

pub(super) fn write(out: &mut Families<'_>, snapshot: &Snapshot) -> fmt::Result {
    let routers = &snapshot.routers;
    let help = "1: vipd runs in keepalived's place.";
    out.single(Kind::Gauge, "keepalived_up", help, true)?;
    for (first, second, help, value) in COUNTERS {
        let samples = routers
            .iter()
            .map(|router| (labels("iname", router), Value::Count(value(&router.counters))));
        out.counter(first, help, samples)?;
        let samples = routers.iter().map(|router| {
            let [name, interface, vrid] = labels("name", router);
            let word = label("state", state(router.state).0);
            ([name, interface, vrid, word], Value::Count(value(&router.counters)))
        });
        out.add(Kind::Uncounted, second, help, samples)?;
    }
    let of_addresses =
        |advertised: bool| routers.iter().flat_map(move |r| by_address(r, advertised));
    let help = "1 BACKUP, 2 MASTER, 3 FAULT; a master that hands over has 1.";
    out.gauge("keepalived_vrrp_state", help, of_addresses(true))?;
    let help = "The same, for addresses that are not in the adverts.";
    out.gauge("keepalived_vrrp_excluded_state", help, of_addresses(false))?;
    let scripts = || snapshot.trackers.iter().filter(|tracker| tracker.kind == "script");
    let status = scripts().filter_map(|script| match script.standing {
        Standing::Up => Some(([label("name", &*script.name)], true.into())),
        Standing::Down => Some(([label("name", &*script.name)], false.into())),
        Standing::Untested | Standing::Value(_) => None,
    });
    let help = "1 if a script says that all is well, 0 if not; none before its first answer.";
    out.gauge("keepalived_script_status", help, status)?;
    let running = scripts()
        .map(|script| ([label("name", &*script.name)], script.running_ms.is_some().into()));
    out.gauge("keepalived_script_state", "0 idle, 1 running.", running)
}

fn labels<'a>(name: &'static str, router: &'a RouterStatus) -> [Label<'a>; 3] {
    [
        label(name, &*router.name),
        label("intf", router.interface.as_str()),
        label("vrid", router.vrid.to_string()),
    ]
}

/// A sample for each address; without one, a sample that says so.
fn by_address(router: &RouterStatus, advertised: bool) -> Vec<([Label<'_>; 4], Value)> {
    let [name, interface, vrid] = labels("iname", router);
    let value = Value::Count(state(router.state).1);
    if router.addresses.is_empty() && advertised {
        return vec![([name, interface, vrid, label("ip_address", "")], value)];
    }
    let addresses = router.addresses.iter().filter(|address| address.advertised == advertised);
    let sample = |address: &'_ crate::status::AddressStatus| {
        let (bare, device) = (
            address.address.split('/').next().unwrap_or_default().to_owned(),
            address.interface.as_str().to_owned(),
        );
        let place = [label("intf", device), label("ip_address", bare)];
        let [device, bare] = place;
        ([name.clone(), device, vrid.clone(), bare], value)
    };
    addresses.map(sample).collect()
}
