//! The counters, as text.

use crate::status::Snapshot;

/// The statistics of every router.
#[must_use]
pub fn statistics(snapshot: &Snapshot) -> String {
    snapshot
        .routers
        .iter()
        .map(|router| {
            let c = &router.counters;
            format!(
                "VRRP Instance: {}\n  Advertisements:\n    Received: {}\n    Sent: {}\n  \
             Became master: {}\n  Released master: {}\n  Packet Errors:\n    Length: {}\n    \
             TTL: {}\n    Invalid Type: {}\n    Advertisement Interval: {}\n    \
             Address List: {}\n  Authentication Errors:\n    Invalid Type: {}\n    \
             Type Mismatch: {}\n    Failure: {}\n  Priority Zero:\n    Received: {}\n    \
             Sent: {}\n",
                router.name,
                c.adv_rcvd,
                c.adv_sent,
                c.master_transitions,
                c.release_master,
                c.packet_length_errors,
                c.ip_ttl_errors,
                c.invalid_type_pkts,
                c.interval_errors,
                c.address_list_errors,
                c.invalid_auth_type,
                c.auth_type_mismatch,
                c.auth_failures,
                c.pri_zero_rcvd,
                c.pri_zero_sent,
            )
        })
        .collect()
}
