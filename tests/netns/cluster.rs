//! The lab's database cluster behaves as one: whatever tests follow it with rest on this.

use std::net::Ipv4Addr;
use std::time::Duration;

use vipd::lab::cluster::Cluster;
use vipd::lab::{Lab, Node};

use crate::lab;
use crate::turns::together;

/// A cluster of hosts of these names, and the host of its etcd.
pub(crate) fn databases(lab: &Lab, names: &[&str]) -> (Node, Cluster) {
    let host = |name: &str, last: u8| {
        let node = lab.node(name).unwrap();
        node.link("eth0", &[&format!("10.0.0.{last}/24")]).unwrap();
        (node, Ipv4Addr::new(10, 0, 0, last))
    };
    let dcs = host("dcs", 20);
    let hosts: Vec<_> = names.iter().zip(21..).map(|(name, last)| host(name, last)).collect();
    let members: Vec<_> = hosts.iter().map(|(node, address)| (node, *address)).collect();
    let cluster = Cluster::start((&dcs.0, dcs.1), &members).unwrap();
    (dcs.0, cluster)
}

#[test]
fn a_cluster_comes_up_and_switches_over_without_losing_a_row() {
    let _turn = together();
    let lab = lab();
    let (_dcs, cluster) = databases(&lab, &["pg-01", "pg-02", "pg-03"]);

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
