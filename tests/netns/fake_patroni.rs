//! The fake database node behaves as clients and a proxy expect of one.

use std::net::{Ipv4Addr, SocketAddr};

use vipd::lab::cluster::SQL_PORT;
use vipd::lab::deadline::eventually;
use vipd::lab::fake_patroni::{FakePatroni, FakeRole};
use vipd::lab::writer::{Cause, Writer};

use crate::turns::together;
use crate::{SOON, lab};

#[test]
fn a_fake_node_is_written_to_as_long_as_it_is_the_primary() {
    let _turn = together();
    let lab = lab();
    let address = Ipv4Addr::new(10, 0, 0, 21);
    let node = lab.node("pg-01").unwrap();
    node.link("eth0", &["10.0.0.21/24"]).unwrap();
    let server = FakePatroni::start(&node, address).unwrap();
    let client = lab.node("client").unwrap();
    client.link("eth0", &["10.0.0.9/24"]).unwrap();
    let writer = Writer::start(&client, "w", &[SocketAddr::from((address, SQL_PORT))]).unwrap();
    let refused = |what: &str, fits: &dyn Fn(&Cause) -> bool| {
        let last = || match writer.diary().refused.last() {
            Some(refusal) if fits(&refusal.cause) => Ok(()),
            other => Err(format!("{other:?}")),
        };
        eventually(SOON, what, last).unwrap();
    };
    refused("a standby's refusal", &Cause::is_read_only);

    server.set_role(FakeRole::Primary(2)).unwrap();
    let row = || writer.last().filter(|row| row.by == "pg-01").map(|_| ());
    eventually(SOON, "a row", row).unwrap();

    server.set_role(FakeRole::Stopping(2)).unwrap();
    eventually(SOON, "the reason", || {
        let refused = writer.diary().refused;
        refused.iter().any(|refusal| refusal.cause.to_string().starts_with("57P01"))
    })
    .unwrap();
    refused("a closed port", &|cause| {
        *cause == Cause::Network(std::io::ErrorKind::ConnectionRefused)
    });

    server.set_role(FakeRole::Dead).unwrap();
    server.set_role(FakeRole::Replica(3)).unwrap();
    refused("a standby's refusal again", &Cause::is_read_only);
    drop(server);
    refused("nobody", &|cause| matches!(cause, Cause::Network(_)));
}
