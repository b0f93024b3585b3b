//! Tests with a real database cluster. They are the longest: in one module they run side by side.
//! The one in this file proves the lab's cluster, on which the others rest.

mod edge;
mod leader;
mod slow;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use vipd::lab::cluster::{Cluster, Image, Member};
use vipd::lab::writer::{Diary, TABLE};
use vipd::lab::{Lab, Node, Stamp};

use crate::turns::long;
use crate::{SOON, lab};

/// From a fault without a word until another node leads: `ttl`, an election and a promotion.
const ELECTION: Duration = Duration::from_secs(60);

/// Until then no other primary can exist: the lab's `ttl` of 20 s, less a turn of Patroni's loop.
const SAFE: Duration = Duration::from_secs(19);

const NAMES: [&str; 3] = ["pg-01", "pg-02", "pg-03"];

/// The cluster that the others are copies of: it is booted once.
static BOOTED: Mutex<Option<Image>> = Mutex::new(None);

/// The first `size` of three database nodes. One cluster starts at a time: some ten processes of
/// Python and PostgreSQL make every timer late.
pub(crate) fn cluster(lab: &Lab, size: usize) -> Cluster {
    let mut booted = BOOTED.lock().unwrap_or_else(PoisonError::into_inner);
    let image = booted.get_or_insert_with(|| {
        let lab = crate::lab();
        Cluster::in_lab(&lab, &NAMES).unwrap().into_image(&lab).unwrap()
    });
    Cluster::copied(lab, &NAMES[..size], image).unwrap()
}

/// Three database nodes with a table to write to, and a host for their clients.
fn bed() -> (Lab, Cluster, Node) {
    let lab = lab();
    let cluster = cluster(&lab, NAMES.len());
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
    let _turn = long();
    let lab = lab();
    let cluster = cluster(&lab, NAMES.len());

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
