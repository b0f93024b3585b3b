//! Tests with a real database cluster. They are the longest: in one module they run side by side.
//! The one in this file proves the lab's cluster, on which the others rest.

mod edge;
mod leader;
mod slow;

use std::time::Duration;

use vipd::lab::cluster::{Cluster, Member};
use vipd::lab::writer::{Diary, TABLE};
use vipd::lab::{Lab, Node, Stamp};

use crate::turns::together;
use crate::{SOON, lab};

/// From a fault without a word until another node leads: `ttl`, an election and a promotion.
const ELECTION: Duration = Duration::from_secs(60);

/// Three database nodes with a table to write to, and a host for their clients.
fn bed() -> (Lab, Cluster, Node) {
    let lab = lab();
    let cluster = Cluster::in_lab(&lab, &["pg-01", "pg-02", "pg-03"]).unwrap();
    let client = lab.node("client").unwrap();
    client.link("eth0", &["10.0.0.9/24"]).unwrap();
    let leader = cluster.wait_for_primary(None, SOON).unwrap();
    leader.sql(leader.address(), TABLE).unwrap();
    (lab, cluster, client)
}

fn other_than<'c>(cluster: &'c Cluster, member: &Member) -> &'c Member {
    cluster.members().iter().find(|m| m.address() != member.address()).unwrap()
}

/// The longest time without a row since `from`.
fn gap(diary: &Diary, from: Stamp) -> Duration {
    diary.longest_gap_in(from, Stamp::now()).map_or(Duration::MAX, |gap| gap.length())
}

#[test]
fn a_cluster_comes_up_and_switches_over_without_losing_a_row() {
    let _turn = together();
    let lab = lab();
    let cluster = Cluster::in_lab(&lab, &["pg-01", "pg-02", "pg-03"]).unwrap();

    let first = cluster.wait_for_primary(None, Duration::from_secs(1)).unwrap();
    let second = other_than(&cluster, first);
    first.sql(first.address(), "create table t (n int); insert into t values (1)").unwrap();
    cluster.switch_over(second).unwrap();
    let led = cluster.wait_for_primary(Some(first), Duration::from_secs(20)).unwrap();
    assert_eq!(led.address(), second.address());
    cluster.wait_until_whole(Duration::from_secs(30)).unwrap();
    assert_eq!(first.sql(second.address(), "select n from t").unwrap(), "1");
    assert_eq!(first.sql(first.address(), "select pg_is_in_recovery()").unwrap(), "t");
}
