//! Clusters and their members. Patroni's own names are left to Patroni: served from here, each of its
//! nodes would count twice.

use std::fmt;

use super::family::{
    Families, Label, Row, Value, code, counter, gauge, label, seconds, write_rows,
};
use crate::status::{AdmissionStatus, ClusterStatus, MemberStatus, Phase, RoleStatus, Snapshot};

/// A member with its cluster.
struct Member<'a> {
    cluster: &'a ClusterStatus,
    status: &'a MemberStatus,
}

const CLUSTER: &[Row<ClusterStatus>] = &[
    gauge(
        "vipd_cluster_has_primary",
        "1 if a member takes writes; not for servers without roles.",
        |cluster| (cluster.phase != Phase::Plain).then(|| cluster.primary.is_some().into()),
    ),
    gauge("vipd_cluster_phase_seconds", "For how long it has been in its phase.", |cluster| {
        (cluster.phase != Phase::Plain).then(|| seconds(cluster.phase_age_ms))
    }),
    gauge(
        "vipd_cluster_lease_seconds",
        "How long a primary is used without confirming that it is one.",
        |cluster| cluster.lease_ms.map(seconds),
    ),
    gauge(
        "vipd_cluster_lease_remaining_seconds",
        "What is left of that; at 0 the primary gets no new sessions.",
        |cluster| cluster.lease_left_ms.map(seconds),
    ),
    gauge("vipd_cluster_paused", "1 if automatic failover is off (patronictl pause).", |cluster| {
        cluster.lease_ms.map(|_| cluster.paused.into())
    }),
    gauge(
        "vipd_cluster_failsafe",
        "1 if the cluster's store is out of reach and the primary goes on by failsafe mode.",
        |cluster| cluster.lease_ms.map(|_| cluster.failsafe.into()),
    ),
    gauge("vipd_cluster_timeline", "The latest timeline of its members.", |cluster| {
        cluster.members.iter().filter_map(|member| member.timeline).max().map(Value::Count)
    }),
];

fn of_members<'a>() -> Vec<Row<Member<'a>>> {
    vec![
        gauge(
            "vipd_cluster_primary",
            "1 for the member that takes writes; not for servers without roles.",
            |member| (member.status.role != RoleStatus::Server).then(|| is_primary(member).into()),
        ),
        gauge(
            "vipd_cluster_member_usable",
            "1 if it may have sessions, a standby too.",
            |member| Some((member.status.admission == AdmissionStatus::Usable).into()),
        ),
        gauge("vipd_cluster_member_silent", "1 if the last question was not answered.", |member| {
            Some(member.status.silence.is_some().into())
        }),
        counter(
            "vipd_cluster_member_check_failures_total",
            "Questions that were not answered, or checks that failed.",
            |member| member.status.check_failures.map(Value::Count),
        ),
        gauge("vipd_cluster_member_answer_age_seconds", "Since its last answer.", |member| {
            member.status.answer_age_ms.map(seconds)
        }),
        gauge("vipd_cluster_member_timeline", "The timeline it is on.", |member| {
            member.status.timeline.map(Value::Count)
        }),
        gauge("vipd_cluster_member_lag_bytes", "Write-ahead log it has not replayed.", |member| {
            member.status.lag_bytes.map(Value::Count)
        }),
        gauge("vipd_cluster_member_lag_seconds", "For how long it has been behind.", |member| {
            member.status.lag_ms.map(seconds)
        }),
    ]
}

/// Several database systems have a primary each.
fn is_primary(member: &Member<'_>) -> bool {
    let primary = member.cluster.primary.as_deref();
    primary.is_some_and(|names| names.split(", ").any(|name| name == member.status.name))
}

pub(super) fn write(out: &mut Families<'_>, snapshot: &Snapshot) -> fmt::Result {
    let clusters = &snapshot.clusters;
    let phases = clusters.iter().map(|cluster| {
        let labels = [label("cluster", &*cluster.name), label("phase", code(&cluster.phase))];
        (labels, Value::Count(1))
    });
    let help = "1 for the phase a cluster is in; the words are those of `vipd status --json`.";
    out.gauge("vipd_cluster_phase", help, phases)?;
    write_rows(out, CLUSTER, clusters, |cluster| [label("cluster", &*cluster.name)])?;
    let members: Vec<Member<'_>> = clusters
        .iter()
        .flat_map(|cluster| cluster.members.iter().map(move |status| Member { cluster, status }))
        .collect();
    write_rows(out, &of_members(), &members, names)?;
    let roles = members.iter().map(|member| {
        let [cluster, name] = names(member);
        ([cluster, name, label("role", code(&member.status.role))], Value::Count(1))
    });
    out.gauge("vipd_cluster_member_role", "1 for what a member is.", roles)
}

fn names<'a>(member: &Member<'a>) -> [Label<'a>; 2] {
    [label("cluster", &*member.cluster.name), label("member", &*member.status.name)]
}
