//! Sockets and netlink against a real kernel.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt};
use vipd::config::{RECEIVE_BUFFER, VirtualAddress};
use vipd::io::{Applied, Datagram, Lease, Link, LinkAddress, LinkChange, Listen, OpError, Renewal};
use vipd::lab::deadline::eventually;
use vipd::lab::raw::Datagram as Forged;
use vipd::lab::{Decoded, Node};
use vipd::sys::monitor::{Monitor, Reported};
use vipd::sys::netlink::leases::Leases;
use vipd::sys::netlink::{Netlink, OUR_IFA_PROTO};
use vipd::sys::rawsock::{Batch, Receiver, Sender};
use vipd::types::{Cidr, Family, IfIndex};

use crate::{SOON, lab};

/// A VRRPv3 advert for this id; its checksum is nobody's business here.
fn advert(vrid: u8) -> Vec<u8> {
    vec![0x31, vrid, 100, 1, 0, 100, 0, 0, 10, 0, 0, 10]
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn index(node: &Node, link: &str) -> IfIndex {
    node.link_status(link).unwrap().unwrap().index
}

fn refused(error: OpError) -> io::Error {
    io::Error::other(error)
}

/// Run something asynchronous in a host.
fn within<T, F>(node: &Node, work: impl FnOnce() -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
{
    node.run("run a task", |_| async move { Ok(work().await) }).unwrap()
}

fn plain(cidr: &str) -> VirtualAddress {
    VirtualAddress::new(cidr.parse().unwrap())
}

fn open(node: &Node, listen: Listen, vrids: Option<&'static [u8]>) -> Receiver {
    let eth0 = index(node, "eth0");
    node.inside("open a receiver", move || {
        Receiver::open(eth0, listen, vrids, RECEIVE_BUFFER).map_err(refused)
    })
    .unwrap()
}

/// What has arrived, as (source, hop limit or TTL, VRRP message).
fn read(receiver: &Receiver, batch: &mut Batch) -> Vec<(IpAddr, u8, Vec<u8>)> {
    batch.receive(receiver).unwrap();
    let seen = batch.datagrams().map(|datagram| match datagram {
        Datagram::V4(packet) => {
            let source: [u8; 4] = packet[12..16].try_into().unwrap();
            (source.into(), packet[8], packet[20..].to_vec())
        }
        Datagram::V6 { source, destination, hop_limit, message } => {
            assert_eq!(IpAddr::from(destination), Family::Ipv6.vrrp_group());
            (source.into(), hop_limit.unwrap(), message.to_vec())
        }
        Datagram::Truncated(family) => panic!("truncated {family}"),
    });
    seen.collect()
}

#[test]
fn adverts_cross_the_lan_in_both_families_as_the_rfc_wants_them() {
    let lab = lab();
    let (a, b) = (lab.node("lb-01").unwrap(), lab.node("lb-02").unwrap());
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    b.link("eth0", &["10.0.0.3/24"]).unwrap();
    let wire = b.capture("eth0").unwrap();
    let (eth0, link_local) = (index(&a, "eth0"), ip("fe80::ff:fe00:1"));
    let mut header =
        vec![0x45, 0xc0, 0, 32, 0, 0, 0, 0, 255, 112, 0, 0, 10, 0, 0, 2, 224, 0, 0, 18];
    header.extend(advert(51));
    let v6 = [&advert(51)[..8], &[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10]].concat();
    for (source, bytes, message) in
        [(ip("10.0.0.2"), header, advert(51)), (link_local, v6.clone(), v6)]
    {
        let group = Family::of(source).vrrp_group();
        let own_copy = open(&a, Listen::Group(group), None);
        let receiver = open(&b, Listen::Group(group), Some(&[51]));
        let sender = a
            .inside("open a sender", move || {
                Sender::open(eth0, Family::of(source)).map_err(refused)
            })
            .unwrap();
        sender.send(source, group, 255, &bytes).unwrap();

        let (_, seen) = wire
            .wait_for_decoded(SOON, "the advert", |d| match d {
                Decoded::Vrrp(vrrp) if vrrp.source == source => Some(vrrp),
                _ => None,
            })
            .unwrap();
        assert_eq!((seen.ttl, seen.tos, seen.destination), (255, 0xc0, group));
        let mut batch = Batch::new();
        let got = eventually(SOON, "the advert in the socket", || {
            Some(read(&receiver, &mut batch)).filter(|seen| !seen.is_empty())
        })
        .unwrap();
        assert_eq!(got, [(source, 255, message)]);
        assert_eq!(read(&own_copy, &mut batch), [], "multicast loops back");
    }
}

#[test]
fn a_receiver_is_given_its_own_interface_group_and_ids_only() {
    let lab = lab();
    let (a, b) = (lab.node("lb-01").unwrap(), lab.node("lb-02").unwrap());
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    b.link("eth0", &["10.0.0.3/24"]).unwrap();
    b.link("eth1", &["10.0.0.4/24"]).unwrap();
    for (source, unicast) in [("10.0.0.2", "10.0.0.3"), ("fe80::ff:fe00:1", "fe80::ff:fe00:2")] {
        let source = ip(source);
        let group = Family::of(source).vrrp_group();
        let receiver = open(&b, Listen::Group(group), Some(&[51, 52]));
        let mut batch = Batch::new();
        let send = |to: IpAddr, message: Vec<u8>| {
            a.send_datagram("eth0", &Forged::vrrp(source, to, message)).unwrap();
        };
        send(group, advert(53));
        send(group, advert(52));
        send(ip(unicast), advert(51));
        send(group, vec![0x31, 53, 100]);
        send(group, advert(51));
        let mut got = Vec::new();
        eventually(SOON, "the last packet", || {
            got.extend(read(&receiver, &mut batch));
            got.iter().any(|(_, _, message)| *message == advert(51))
        })
        .unwrap();
        let messages: Vec<_> = got.into_iter().map(|(_, _, message)| message).collect();
        assert_eq!(messages, [advert(52), vec![0x31, 53, 100], advert(51)]);

        receiver.set_filter(None).unwrap();
        send(group, advert(53));
        eventually(SOON, "an unknown id", || {
            read(&receiver, &mut batch).iter().any(|(_, _, message)| *message == advert(53))
        })
        .unwrap();
    }
}

#[test]
fn more_packets_than_a_batch_come_in_order_and_none_is_lost() {
    let lab = lab();
    let (a, b) = (lab.node("lb-01").unwrap(), lab.node("lb-02").unwrap());
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    b.link("eth0", &["10.0.0.3/24"]).unwrap();
    let group = Family::Ipv4.vrrp_group();
    let receiver = open(&b, Listen::Group(group), None);
    let (mut batch, mut seen) = (Batch::new(), Vec::new());
    for vrid in 1..=200 {
        a.send_datagram("eth0", &Forged::vrrp(ip("10.0.0.2"), group, advert(vrid))).unwrap();
    }
    eventually(SOON, "200 packets", || {
        seen.extend(read(&receiver, &mut batch).into_iter().map(|(_, _, message)| message[1]));
        seen.len() >= 200
    })
    .unwrap();
    assert_eq!(seen, (1..=200).collect::<Vec<u8>>());
}

#[test]
fn a_receiver_keeps_as_much_as_it_is_told() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    let receiver = open(&a, Listen::Group(Family::Ipv4.vrrp_group()), None);
    // The kernel doubles it for its own needs.
    assert_eq!(getsockopt(&receiver, sockopt::RcvBuf).unwrap(), 2 * RECEIVE_BUFFER);
    // Beyond what an ordinary program gets.
    for bytes in [40_000, 64 << 20] {
        receiver.set_buffer(bytes);
        assert_eq!(getsockopt(&receiver, sockopt::RcvBuf).unwrap(), 2 * bytes);
    }
}

#[test]
fn a_missing_interface_is_named_by_its_number() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    let group = Family::Ipv4.vrrp_group();
    let error = a
        .inside("open a receiver", move || {
            Receiver::open(IfIndex(4711), Listen::Group(group), None, RECEIVE_BUFFER)
                .map_err(refused)
        })
        .unwrap_err()
        .to_string();
    assert!(error.contains("find interface 4711: No such device"), "{error}");
}

#[test]
fn addresses_come_and_go_with_everything_asked_for() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    let eth0 = index(&a, "eth0");
    let mut labelled = plain("10.0.1.10/24");
    labelled.label = Some("eth0:vip".into());
    labelled.broadcast = Some("10.0.1.255".parse().unwrap());
    labelled.scope = 253;
    let mut short = plain("2001:db8::10/128");
    short.preferred_lft = Some(0);
    let mut far = plain("192.0.2.1/32");
    far.peer = Some("192.0.2.9/32".parse().unwrap());
    let wanted = [plain("10.0.0.11/32"), labelled, short, far];

    let all = wanted.clone();
    within(&a, move || async move {
        let mut netlink = Netlink::connect().unwrap();
        for address in &all {
            assert_eq!(netlink.set_present(eth0, address, None).await, Ok(Applied::Changed));
            assert_eq!(netlink.set_present(eth0, address, None).await, Ok(Applied::Already));
        }
    });
    let shown = a.addresses("eth0").unwrap();
    let find = |text: &str| {
        shown.iter().find(|a| a.cidr.address() == ip(text)).unwrap_or_else(|| panic!("{shown:?}"))
    };
    for address in &wanted {
        assert_eq!(find(&address.cidr.address().to_string()).protocol, Some(OUR_IFA_PROTO));
    }
    assert_eq!(find("10.0.0.11").broadcast, None);
    let labelled = find("10.0.1.10");
    assert_eq!(labelled.label.as_deref(), Some("eth0:vip"));
    assert_eq!(labelled.broadcast, Some("10.0.1.255".parse().unwrap()));
    assert_eq!(labelled.scope, 253);
    let short = find("2001:db8::10");
    assert_eq!((short.valid, short.preferred), (None, Some(Duration::ZERO)));
    assert!(!short.has_flag(nix::libc::IFA_F_TENTATIVE));

    within(&a, move || async move {
        let mut netlink = Netlink::connect().unwrap();
        for address in &wanted {
            assert_eq!(netlink.set_absent(eth0, address.cidr).await, Ok(Applied::Changed));
            assert_eq!(netlink.set_absent(eth0, address.cidr).await, Ok(Applied::Already));
        }
        let gone = netlink.set_absent(IfIndex(4711), "10.0.0.1/24".parse().unwrap()).await;
        assert_eq!(gone, Ok(Applied::Already));
        let refused =
            netlink.set_present(IfIndex(4711), &plain("10.0.0.1/24"), None).await.unwrap_err();
        assert_eq!(refused.operation, "add 10.0.0.1/24 to interface 4711");
        assert!(refused.cause.starts_with("No such device"), "{refused}");
        let mut other_scope = plain("10.0.0.12/24");
        other_scope.scope = 253;
        let refused = netlink.set_present(eth0, &other_scope, None).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "add 10.0.0.12/24 to eth0: Invalid argument (ipv4: Invalid scope value)"
        );
    });
    assert_eq!(a.addresses("eth0").unwrap().len(), 2, "its own and the link-local one");
}

#[test]
fn ipv6_switched_off_is_said_and_not_just_denied() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    a.sysctl("net/ipv6/conf/eth0/disable_ipv6", "1").unwrap();
    let eth0 = index(&a, "eth0");
    let error = within(&a, move || async move {
        Netlink::connect()
            .unwrap()
            .set_present(eth0, &plain("2001:db8::10/64"), None)
            .await
            .unwrap_err()
    });
    assert!(error.to_string().contains("net.ipv6.conf.eth0.disable_ipv6"), "{error}");
}

fn renewals(iface: IfIndex, addresses: &[VirtualAddress], seconds: u32) -> Vec<Renewal> {
    let renewal = |address: &VirtualAddress| Renewal {
        iface,
        address: Arc::new(address.clone()),
        lease: Lease(seconds),
    };
    addresses.iter().map(renewal).collect()
}

// R39. More addresses than one datagram takes, and what is refused is said of each.
#[test]
fn leases_are_lengthened_in_batches_and_each_refusal_is_told() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/16"]).unwrap();
    let eth0 = index(&a, "eth0");
    let v4 = (0..300).map(|n| plain(&format!("10.0.{}.{}/32", 1 + n / 250, 1 + n % 250)));
    let addresses: Vec<_> = v4.chain([plain("2001:db8::10/128")]).collect();
    let refused = within(&a, move || async move {
        let mut netlink = Netlink::connect().unwrap();
        for address in &addresses {
            let held = netlink.set_present(eth0, address, Some(Lease(20))).await;
            assert_eq!(held, Ok(Applied::Changed));
        }
        let mut batch = renewals(eth0, &addresses, 60);
        for at in [7, 299] {
            batch[at].iface = IfIndex(4711);
        }
        let mut leases = Leases::connect().unwrap();
        let refused = leases.renew(&batch);
        assert_eq!(leases.renew(&batch), refused, "a refusal ends nothing");
        refused
    });
    let told: Vec<_> = refused.iter().map(|(_, error)| error.operation.as_str()).collect();
    assert_eq!(
        told,
        ["renew 10.0.1.8/32 on interface 4711", "renew 10.0.2.50/32 on interface 4711"]
    );
    assert!(refused.iter().all(|(_, error)| error.cause.starts_with("No such device")));
    let (mut renewed, mut old) = (0, Vec::new());
    for address in a.addresses("eth0").unwrap() {
        match address.valid {
            Some(valid) if valid > Duration::from_secs(50) => renewed += 1,
            Some(_) => old.push(address.cidr.to_string()),
            None => {}
        }
    }
    assert_eq!((renewed, old), (299, vec!["10.0.1.8/32".to_owned(), "10.0.2.50/32".to_owned()]));
}

#[test]
fn two_hundred_and_fifty_addresses_take_well_under_a_second() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/16"]).unwrap();
    let eth0 = index(&a, "eth0");
    let took = within(&a, move || async move {
        let mut netlink = Netlink::connect().unwrap();
        let start = Instant::now();
        for host in 1..=250 {
            let address = plain(&format!("10.0.1.{host}/16"));
            assert_eq!(netlink.set_present(eth0, &address, None).await, Ok(Applied::Changed));
        }
        start.elapsed()
    });
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// Watch a host from now on.
fn watch(node: &Node) -> mpsc::Receiver<Reported> {
    let (tell, told) = mpsc::channel();
    within(node, move || async move {
        let mut monitor = Monitor::open(Netlink::connect().unwrap()).unwrap();
        tokio::spawn(async move {
            // Ends with the host.
            loop {
                monitor
                    .next(|reported| {
                        let _ = tell.send(reported);
                    })
                    .await;
            }
        });
    });
    told
}

/// Wait for a report that `wanted` picks.
fn report<T>(
    told: &mpsc::Receiver<Reported>,
    what: &str,
    mut wanted: impl FnMut(&LinkChange) -> Option<T>,
) -> T {
    let deadline = Instant::now() + SOON;
    let mut seen = Vec::new();
    while let Ok(reported) = told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        if let Reported::Change(change) = &reported
            && let Some(found) = wanted(change)
        {
            return found;
        }
        seen.push(reported);
    }
    panic!("no {what} in {seen:#?}");
}

#[test]
fn the_monitor_is_not_told_of_our_renewals_but_of_everything_else() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    let eth0 = index(&a, "eth0");
    let told = watch(&a);
    within(&a, move || async move {
        let mut netlink = Netlink::connect().unwrap();
        let addresses = [plain("10.0.0.10/32"), plain("2001:db8::10/128")];
        for address in &addresses {
            netlink.set_present(eth0, address, Some(Lease(10))).await.unwrap();
        }
        // The kernel dates addresses to the hundredth of a second.
        tokio::time::sleep(Duration::from_millis(30)).await;
        let mut leases = Leases::connect().unwrap();
        for _ in 0..3 {
            assert_eq!(leases.renew(&renewals(eth0, &addresses, 20)), []);
        }
    });
    // Somebody else's change of one of them, and its end.
    a.run("replace an address", async move |netlink| {
        let request = netlink.address().add(eth0.0, ip("10.0.0.10"), 32).replace();
        request.execute().await.map_err(io::Error::other)
    })
    .unwrap();
    a.del_address("eth0", "10.0.0.10/32").unwrap();
    let mut seen = Vec::new();
    report(&told, "deletion", |change| {
        match change {
            LinkChange::Address { address, .. } => {
                seen.push(format!("{} ours: {}", address.cidr, address.ours));
            }
            LinkChange::AddressGone { .. } => return Some(()),
            _ => {}
        }
        None
    });
    assert_eq!(
        seen,
        ["10.0.0.10/32 ours: true", "2001:db8::10/128 ours: true", "10.0.0.10/32 ours: false"]
    );
}

#[test]
fn the_monitor_follows_links_and_addresses() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    let eth0 = index(&a, "eth0");
    let (link, addresses): (Link, Vec<LinkAddress>) = within(&a, move || async move {
        let table = Netlink::connect().unwrap().dump().await.unwrap();
        table.into_iter().find(|(link, _)| link.index == eth0).unwrap()
    });
    assert!(link.running && link.up && !link.noarp && !link.loopback);
    assert_eq!(link.mac.unwrap().to_string(), "02:00:00:00:00:01");
    assert_eq!(link.mtu, 1500);
    let cidrs: Vec<String> = addresses.iter().map(|a| a.cidr.to_string()).collect();
    assert_eq!(cidrs, ["10.0.0.2/24", "fe80::ff:fe00:1/64"]);
    assert!(addresses.iter().all(|a| a.usable && !a.ours && !a.secondary));

    let told = watch(&a);
    let vip: Cidr = "10.0.0.10/24".parse().unwrap();
    a.add_address("eth0", "10.0.0.10/24").unwrap();
    let address = report(&told, "new address", |change| match change {
        LinkChange::Address { iface, address } if *iface == eth0 => Some(*address),
        _ => None,
    });
    assert_eq!(address.cidr, vip);
    assert!(address.usable && address.secondary && !address.ours);

    a.del_address("eth0", "10.0.0.10/24").unwrap();
    report(&told, "address gone", |change| {
        (*change == LinkChange::AddressGone { iface: eth0, cidr: vip }).then_some(())
    });

    a.unplug().unwrap();
    let unplugged = report(&told, "carrier loss", |change| match change {
        LinkChange::Link(link) if link.index == eth0 && !link.running => Some(link.clone()),
        _ => None,
    });
    assert!(unplugged.up);

    a.rename_link("eth0", "lan0").unwrap();
    let renamed = report(&told, "rename", |change| match change {
        LinkChange::Link(link) if link.name.as_str() == "lan0" => Some(link.index),
        _ => None,
    });
    assert_eq!(renamed, eth0, "a renamed link keeps its number");

    a.delete_link("lan0").unwrap();
    report(&told, "deletion", |change| (*change == LinkChange::Gone(eth0)).then_some(()));
}
