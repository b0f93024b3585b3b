//! Tests with a real database cluster. They are the longest: in one module they run side by side.
//! The one in this file proves the lab's cluster, on which the others rest.

mod edge;
mod leader;

use std::time::Duration;

use vipd::lab::cluster::Cluster;

use crate::lab;
use crate::turns::together;

#[test]
fn a_cluster_comes_up_and_switches_over_without_losing_a_row() {
    let _turn = together();
    let lab = lab();
    let cluster = Cluster::in_lab(&lab, &["pg-01", "pg-02", "pg-03"]).unwrap();

    let first = cluster.wait_for_primary(None, Duration::from_secs(1)).unwrap();
    let second = cluster.members().iter().find(|m| m.address() != first.address()).unwrap();
    first.sql(first.address(), "create table t (n int); insert into t values (1)").unwrap();
    cluster.switch_over(second).unwrap();
    let led = cluster.wait_for_primary(Some(first), Duration::from_secs(20)).unwrap();
    assert_eq!(led.address(), second.address());
    cluster.wait_until_whole(Duration::from_secs(30)).unwrap();
    assert_eq!(first.sql(second.address(), "select n from t").unwrap(), "1");
    assert_eq!(first.sql(first.address(), "select pg_is_in_recovery()").unwrap(), "t");
}
