//! The lab itself: what the other tests take for granted.

use std::fs;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use vipd::lab::deadline::{eventually, never};
use vipd::lab::keepalived::{self, Keepalived};
use vipd::lab::ping::Pinger;
use vipd::lab::raw::Datagram;
use vipd::lab::{ChecksumOver, Decoded, Direction, Exit, Lab, LinkSpec, Node, Stamp, Vrrp};
use vipd::types::Mac;

use crate::{SOON, lab};

/// Long enough for any frame to have crossed the switch, short enough to be paid in every test.
const QUIET: Duration = Duration::from_millis(300);

#[test]
fn two_hosts_reach_each_other_over_both_families() {
    let (_lab, a, b) = pair();
    for target in ["10.0.0.3".parse().unwrap(), "2001:db8::3".parse().unwrap()] {
        let ping = Pinger::start(&a, target).unwrap();
        let first = eventually(SOON, format!("an answer of {target}"), || ping.last()).unwrap();
        assert_eq!(first.from, Mac([2, 0, 0, 0, 0, 2]), "{target} is on the second host");
        eventually(SOON, "50 answers", || ping.received() >= 50).unwrap();
        assert!(ping.record().outages(Duration::from_secs(5)).is_empty());
    }
    let cached = a.neighbours().unwrap();
    let entry = cached.iter().find(|n| n.ip == ip("10.0.0.3")).unwrap();
    assert_eq!(entry.mac, Some(Mac([2, 0, 0, 0, 0, 2])));
    a.forget_neighbours().unwrap();
    assert!(!a.neighbours().unwrap().iter().any(|n| n.ip == ip("10.0.0.3") && n.mac.is_some()));
    drop(b);
}

#[test]
fn addresses_are_usable_at_once_and_shown_in_full() {
    let (_lab, a, _b) = pair();
    let eth0 = a.link_status("eth0").unwrap().unwrap();
    assert_eq!(eth0.mac, Mac([2, 0, 0, 0, 0, 1]));
    assert!(eth0.up && eth0.carrier);
    let addresses = a.addresses("eth0").unwrap();
    let shown: Vec<_> = addresses.iter().map(|a| a.cidr.to_string()).collect();
    assert_eq!(shown, ["10.0.0.2/24", "2001:db8::2/64", "fe80::ff:fe00:1/64"]);
    assert_eq!(addresses[0].label.as_deref(), Some("eth0"));
    assert_eq!(addresses[0].broadcast, Some("10.0.0.255".parse().unwrap()));
    assert_eq!((addresses[0].scope, addresses[2].scope), (0, 253));
    assert_eq!(addresses[0].valid, None);
    assert!(addresses.iter().all(|a| !a.has_flag(0x40)), "tentative: {addresses:?}");

    a.add_address("eth0", "10.0.0.100/32").unwrap();
    assert!(a.has_address(ip("10.0.0.100")).unwrap());
    assert_eq!(
        a.add_address("eth0", "10.0.0.100/32").unwrap_err().errno(),
        Some(nix::libc::EEXIST)
    );
    a.del_address("eth0", "10.0.0.100/32").unwrap();
    assert!(!a.has_address(ip("10.0.0.100")).unwrap());
    assert_eq!(
        a.del_address("eth0", "10.0.0.100/32").unwrap_err().to_string(),
        "lb-01: cannot delete 10.0.0.100/32 from eth0: Cannot assign requested address \
         (os error 99)"
    );
}

#[test]
fn an_unplugged_host_stays_up_without_carrier() {
    let (_lab, a, b) = pair();
    let ping = Pinger::start(&a, ip("10.0.0.3")).unwrap();
    eventually(SOON, "an answer", || ping.last()).unwrap();
    b.unplug().unwrap();
    let unplugged = Stamp::now();
    let eth0 = b.link_status("eth0").unwrap().unwrap();
    assert!(eth0.up && !eth0.carrier, "{eth0:?}");
    assert!(a.link_status("eth0").unwrap().unwrap().carrier, "the other host has its cable");
    never(QUIET, || ping.last().filter(|answer| answer.sent > unplugged)).unwrap();
    b.plug().unwrap();
    eventually(SOON, "an answer after the plug", || {
        ping.last().filter(|answer| answer.sent > unplugged)
    })
    .unwrap();
    assert!(b.link_status("eth0").unwrap().unwrap().carrier);
    let record = ping.record();
    let outage = record.longest_outage_in(unplugged, Stamp::now()).unwrap();
    assert!(outage.length >= QUIET, "{outage:?}");
    assert_eq!(outage.before, Mac([2, 0, 0, 0, 0, 2]));
}

#[test]
fn a_capture_sees_both_directions_in_order_and_tells_what_it_saw() {
    let (lab, a, _b) = pair();
    let at_host = a.capture("eth0").unwrap();
    let at_switch = lab.capture_port(&a, "eth0").unwrap();
    let before = Stamp::now();
    let _ping = Pinger::start_every(&a, ip("10.0.0.3"), Duration::from_millis(20)).unwrap();
    let asks = |d| match d {
        Decoded::Arp(arp) if arp.operation == 1 && arp.target == ip("10.0.0.3") => Some(arp),
        _ => None,
    };
    let (asked, arp) = at_host.wait_for_decoded(SOON, "an ARP request", asks).unwrap();
    assert!(asked.outgoing && !arp.is_gratuitous());
    assert_eq!(arp.destination_mac, Mac::BROADCAST);
    assert!(asked.at >= before && asked.at <= Stamp::now(), "{} {}", before, asked.at);
    let (crossed, _) = at_switch.wait_for_decoded(SOON, "the same request", asks).unwrap();
    assert!(!crossed.outgoing, "what the host sends comes in at the switch");

    at_host
        .wait_for(SOON, "an echo reply", |f| matches!(f.decode(), Decoded::Echo(e) if e.reply))
        .unwrap();
    assert!(at_host.frames().is_sorted_by_key(|f| f.at));
    assert_eq!(at_host.lost(), 0);

    let error = at_host.wait_for(QUIET, "a VRRP advertisement", is_vrrp).unwrap_err().to_string();
    assert!(error.contains("a VRRP advertisement on lb-01 eth0"), "{error}");
    assert!(error.contains("who has 10.0.0.3, tell 10.0.0.2"), "{error}");
    assert!(error.contains("echo reply"), "{error}");
}

#[test]
fn a_partition_keeps_carrier_and_heals() {
    let lab = lab();
    let (a, b, c) = (host(&lab, 1), host(&lab, 2), host(&lab, 3));
    let to_b = Pinger::start(&a, ip("10.0.0.3")).unwrap();
    let to_c = Pinger::start(&a, ip("10.0.0.4")).unwrap();
    eventually(SOON, "answers", || to_b.last().and(to_c.last())).unwrap();

    lab.partition(&[&[&a, &b], &[&c]]).unwrap();
    let apart = Stamp::now();
    eventually(SOON, "an answer within the group", || answered_after(&to_b, apart)).unwrap();
    never(QUIET, || answered_after(&to_c, apart).then(|| to_c.last())).unwrap();
    assert!(c.link_status("eth0").unwrap().unwrap().carrier);

    lab.isolate(&a).unwrap();
    let alone = Stamp::now();
    never(QUIET, || answered_after(&to_b, alone).then(|| to_b.last())).unwrap();

    lab.heal().unwrap();
    let healed = Stamp::now();
    eventually(SOON, "answers after healing", || {
        answered_after(&to_b, healed) && answered_after(&to_c, healed)
    })
    .unwrap();
}

#[test]
fn the_switch_learns_where_a_mac_address_is() {
    let (lab, a, b) = pair();
    let ping = Pinger::start(&a, ip("10.0.0.3")).unwrap();
    eventually(SOON, "an answer", || ping.last()).unwrap();
    let fdb = lab.fdb().unwrap();
    for (node, mac) in [(&a, [2, 0, 0, 0, 0, 1]), (&b, [2, 0, 0, 0, 0, 2])] {
        let entry = fdb.iter().find(|e| e.mac == Mac(mac)).unwrap_or_else(|| panic!("{fdb:?}"));
        assert_eq!((entry.node.as_str(), entry.link.as_str()), (node.name(), "eth0"));
    }
}

#[test]
fn one_direction_can_be_lost_alone() {
    let (_lab, a, b) = pair();
    let advert = Datagram::vrrp(ip("10.0.0.2"), ip("224.0.0.18"), vec![0x21, 51, 100, 0]);
    let unicast = Datagram { destination: ip("10.0.0.3"), ..advert.clone() };
    let b_mac = b.link_status("eth0").unwrap().unwrap().mac;
    let arrives = |from: &Node, to: &Node| {
        let seen = to.capture_only("eth0", |f| !f.outgoing).unwrap();
        from.send_datagram("eth0", &advert).unwrap();
        let own = from.link_status("eth0").unwrap().unwrap().mac;
        from.send_frame("eth0", &unicast.frame(own, Some(b_mac)).unwrap()).unwrap();
        let multicast =
            seen.wait_for(QUIET, "multicast", |f| f.bytes.starts_with(&[1, 0, 0x5e])).is_ok();
        let addressed = seen.wait_for(QUIET, "unicast", |f| f.bytes.starts_with(&b_mac.0)).is_ok();
        (multicast, addressed)
    };
    assert_eq!(arrives(&a, &b), (true, true));

    a.block(Direction::Sending).unwrap();
    assert_eq!(arrives(&a, &b), (false, false), "nothing of a's may arrive");
    assert!(arrives(&b, &a).0, "a still hears b");

    a.unblock().unwrap();
    b.block(Direction::Receiving).unwrap();
    assert_eq!(arrives(&a, &b), (false, false), "nothing may arrive at b");
    assert!(arrives(&b, &a).0, "a still hears b");

    b.unblock().unwrap();
    assert_eq!(arrives(&a, &b), (true, true));
}

#[test]
fn links_come_and_go_and_change_their_names() {
    let (_lab, a, _b) = pair();
    let first = a.link_status("eth0").unwrap().unwrap();
    a.set_down("eth0").unwrap();
    assert!(!a.link_status("eth0").unwrap().unwrap().up);
    a.set_up("eth0").unwrap();
    a.delete_link("eth0").unwrap();
    assert_eq!(a.link_status("eth0").unwrap(), None);
    let again = a.recreate_link("eth0").unwrap();
    assert_eq!(again.mac, first.mac);
    assert_ne!(again.index, first.index);
    assert!(a.has_address(ip("10.0.0.2")).unwrap());
    a.rename_link("eth0", "wan0").unwrap();
    assert_eq!(a.link_status("eth0").unwrap(), None);
    assert_eq!(a.link_status("wan0").unwrap().unwrap().index, again.index);
    a.unplug_link("wan0").unwrap();
    assert!(!a.link_status("wan0").unwrap().unwrap().carrier);
}

#[test]
fn a_second_lan_is_another_wire() {
    let (_lab, a, b) = pair();
    for (node, address) in [(&a, "10.1.0.2/24"), (&b, "10.1.0.3/24")] {
        node.link_with(LinkSpec {
            name: "eth1".parse().unwrap(),
            addresses: vec![address.parse().unwrap()],
            mac: None,
            lan: 1,
        })
        .unwrap();
    }
    assert_eq!(a.link_status("eth1").unwrap().unwrap().mac, Mac([2, 0, 0, 0, 1, 1]));
    let on_first = b.capture("eth0").unwrap();
    let ping = Pinger::start(&a, ip("10.1.0.3")).unwrap();
    eventually(SOON, "an answer", || ping.last()).unwrap();
    on_first
        .wait_for(QUIET, "a stray echo", |f| matches!(f.decode(), Decoded::Echo(_)))
        .unwrap_err();
}

#[test]
fn a_process_lives_in_its_host_and_dies_with_its_group() {
    let (_lab, a, _b) = pair();
    let mut shell = Command::new("sh");
    // The grandchild leaves the process group: only the search by namespace finds it.
    shell.args(["-c", "hostname; echo error >&2; setsid sleep 1000 & sleep 1001 & echo $!; wait"]);
    let process = a.spawn(shell).unwrap();
    let sleeper = eventually(SOON, "three lines", || {
        let output = process.output();
        let lines: Vec<_> = output.lines().map(str::to_owned).collect();
        match lines.as_slice() {
            [host, error, pid] if host == "lb-01" && error == "error" => Ok(pid.parse::<i32>()),
            _ => Err(output),
        }
    })
    .unwrap()
    .unwrap();
    assert!(exists(Pid::from_raw(sleeper)));
    assert_eq!(namespace_of(process.pid()), format!("net:[{}]", a.namespace_id()));
    process.kill9();
    assert_eq!(process.wait(SOON).unwrap(), Exit::Signal(Signal::SIGKILL));
    assert!(exists(Pid::from_raw(sleeper)), "kill9 kills one process only");
    drop(process);
    eventually(SOON, "the group to end", || !exists(Pid::from_raw(sleeper))).unwrap();

    let mut shell = Command::new("sh");
    shell.args(["-c", "echo out; echo err >&2; exit 3"]);
    let finished = a.output(shell, SOON).unwrap();
    assert_eq!(finished.exit, Exit::Code(3));
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("out\n", "err\n"));
    let error = a.spawn(Command::new("no-such-program")).unwrap_err().to_string();
    assert_eq!(error, "lb-01: cannot run no-such-program: No such file or directory (os error 2)");
}

#[test]
fn settings_belong_to_one_host() {
    let (_lab, a, b) = pair();
    a.sysctl("net/ipv4/conf/eth0/arp_ignore", "1").unwrap();
    assert_eq!(a.read_sysctl("net/ipv4/conf/eth0/arp_ignore").unwrap(), "1");
    assert_eq!(b.read_sysctl("net/ipv4/conf/eth0/arp_ignore").unwrap(), "0");
}

#[test]
fn nothing_is_left_after_the_last_handle() {
    let left = {
        let (lab, a, b) = pair();
        let process = a.spawn(escaping_shell()).unwrap();
        let _capture = a.capture("eth0").unwrap();
        let _ping = Pinger::start(&a, ip("10.0.0.3")).unwrap();
        process.wait_for_output(SOON, "ready").unwrap();
        let left = traces(&lab, &[&a, &b]);
        // A handle that outlives the lab keeps its own host alive and no longer.
        drop(lab);
        assert!(b.has_address(ip("10.0.0.3")).unwrap());
        left
    };
    left.assert_gone();
}

#[test]
fn nothing_is_left_after_a_panic() {
    let mut left = None;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let (lab, a, b) = pair();
        let process = b.spawn(escaping_shell()).unwrap();
        process.wait_for_output(SOON, "ready").unwrap();
        left = Some(traces(&lab, &[&a, &b]));
        panic!("on purpose");
    }));
    assert!(outcome.is_err());
    left.unwrap().assert_gone();
}

#[test]
fn killing_the_program_kills_what_runs_in_its_hosts() {
    const VICTIM: &str = "VIPD_LAB_SELFTEST_VICTIM";
    if std::env::var_os(VICTIM).is_some() {
        let (_lab, a, _b) = pair();
        let mut sleep = Command::new("sleep");
        let sleeper = a
            .spawn({
                sleep.arg("1000");
                sleep
            })
            .unwrap();
        println!("\nsleeper {}", sleeper.pid());
        std::thread::sleep(Duration::from_secs(1000));
    }
    let (lab, a, _b) = pair();
    let mut again = Command::new(std::env::current_exe().unwrap());
    again
        .args(["--exact", "lab_selftest::killing_the_program_kills_what_runs_in_its_hosts"])
        .arg("--nocapture")
        .env(VICTIM, "1")
        // A killed program cannot remove its files.
        .env("TMPDIR", lab.directory());
    let program = a.spawn(again).unwrap();
    let sleeper = eventually(SOON, "the program's own lab", || {
        let output = program.output();
        let pid = output.lines().find_map(|line| line.strip_prefix("sleeper ")?.parse().ok());
        pid.map(Pid::from_raw).ok_or(output)
    })
    .unwrap();
    assert!(exists(sleeper));
    program.kill9();
    eventually(SOON, "the program's process to die with it", || !exists(sleeper)).unwrap();
}

#[test]
fn a_name_is_one_hosts_at_a_time() {
    let lab = lab();
    let first = lab.node("lb-01").unwrap();
    let error = lab.node("lb-01").unwrap_err().to_string();
    assert_eq!(error, "lab: cannot add host lb-01: there is one of this name");
    drop(first);
    lab.node("lb-01").unwrap();
}

#[test]
fn keepalived_elects_a_master_and_fails_over_in_the_lab() {
    println!("keepalived {:?}", keepalived::version().unwrap());
    let (lab, a, b) = pair();
    let client = lab.node("client").unwrap();
    client.link("eth0", &["10.0.0.9/24"]).unwrap();
    let wire = lab.capture_port(&client, "eth0").unwrap();
    let master = Keepalived::start(&a, &instance("MASTER", 150)).unwrap();
    let backup = Keepalived::start(&b, &instance("BACKUP", 100)).unwrap();
    let vip = ip("10.0.0.100");
    eventually(SOON, "the master to take the address", || {
        let (on_a, on_b) = (a.has_address(vip).unwrap(), b.has_address(vip).unwrap());
        if on_a && !on_b { Ok(()) } else { Err(format!("{}\n{}", master.log(), backup.log())) }
    })
    .unwrap();
    let (_, advert) = wire
        .wait_for_decoded(SOON, "the master's advertisement", |d| match d {
            Decoded::Vrrp(v) if v.source == ip("10.0.0.2") => Some(v),
            _ => None,
        })
        .unwrap();
    assert_eq!(
        advert,
        Vrrp {
            source_mac: Mac([2, 0, 0, 0, 0, 1]),
            destination_mac: Mac([1, 0, 0x5e, 0, 0, 0x12]),
            source: ip("10.0.0.2"),
            destination: ip("224.0.0.18"),
            ttl: 255,
            tos: 0xc0,
            behind_ah: false,
            version: 2,
            kind: 1,
            vrid: 51,
            priority: 150,
            count: 1,
            interval_cs: 100,
            auth_type: 1,
            auth_data: Some(*b"1111\0\0\0\0"),
            checksum: advert.checksum,
            checksum_over: ChecksumOver::Message,
            addresses: vec![vip],
            length: 20,
        }
    );
    let ping = Pinger::start(&client, vip).unwrap();
    eventually(SOON, "an answer of the master", || {
        ping.last().filter(|l| l.from == Mac([2, 0, 0, 0, 0, 1]))
    })
    .unwrap();

    // The backup counts from the last advert it has heard, and before the first one from its start.
    eventually(SOON, "the backup", || backup.log().contains("Entering BACKUP STATE")).unwrap();
    wire.mark();
    wire.wait_for_decoded(SOON, "another advertisement", |d| match d {
        Decoded::Vrrp(v) if v.source == ip("10.0.0.2") => Some(()),
        _ => None,
    })
    .unwrap();
    wire.mark();
    let killed = Stamp::now();
    master.kill9();
    // keepalived killed this way leaves the address behind; the cable goes as in a power cut.
    a.unplug().unwrap();
    eventually(SOON, "an answer of the backup", || {
        ping.last().filter(|l| l.from == Mac([2, 0, 0, 0, 0, 2])).ok_or_else(|| backup.log())
    })
    .unwrap();
    // The dead master's own repeats may still be on the wire.
    wire.wait_for(SOON, "the backup's gratuitous ARP", |f| match f.decode() {
        Decoded::Arp(arp) => {
            arp.is_gratuitous() && arp.sender == vip && arp.sender_mac == Mac([2, 0, 0, 0, 0, 2])
        }
        _ => false,
    })
    .unwrap();
    let outage = ping.record().longest_outage_in(killed, Stamp::now()).unwrap();
    assert_eq!(outage.to.unwrap().1, Mac([2, 0, 0, 0, 0, 2]));
    // Master_Down_Interval: 3 s and a skew of 156/256 s, less what the last interval had left.
    let down = outage.length;
    assert!(down > Duration::from_millis(2_500) && down < SOON, "{down:?}\n{}", backup.log());
}

// ── helpers ────────────────────────────────────────────────────────────────────────────────

/// Hosts lb-01 (10.0.0.2, 2001:db8::2) and lb-02 (10.0.0.3, 2001:db8::3).
fn pair() -> (Lab, Node, Node) {
    let lab = lab();
    let (a, b) = (host(&lab, 1), host(&lab, 2));
    (lab, a, b)
}

fn host(lab: &Lab, number: u8) -> Node {
    let node = lab.node(&format!("lb-0{number}")).unwrap();
    let last = number + 1;
    node.link("eth0", &[&format!("10.0.0.{last}/24"), &format!("2001:db8::{last}/64")]).unwrap();
    node
}

fn instance(state: &str, priority: u8) -> String {
    format!(
        "vrrp_instance VI_1 {{
            state {state}
            interface eth0
            virtual_router_id 51
            priority {priority}
            advert_int 1
            authentication {{
                auth_type PASS
                auth_pass 1111
            }}
            virtual_ipaddress {{
                10.0.0.100/32
            }}
        }}\n"
    )
}

fn escaping_shell() -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "setsid sleep 1000 & setsid sleep 1001 & sleep 1002 & echo ready; wait"]);
    shell
}

/// What a lab could leave behind.
struct Traces {
    namespaces: Vec<String>,
    directory: std::path::PathBuf,
}

fn traces(lab: &Lab, nodes: &[&Node]) -> Traces {
    let ids = nodes.iter().flat_map(|n| [n.namespace_id(), n.switch_namespace_id()]);
    let namespaces = ids.map(|id| format!("net:[{id}]")).collect();
    let found = Traces { namespaces, directory: lab.directory().to_owned() };
    assert!(!users_of(&found.namespaces).is_empty(), "the search must find a living lab");
    found
}

impl Traces {
    fn assert_gone(&self) {
        assert!(!self.directory.exists(), "{}", self.directory.display());
        // Another test's fork may hold copies of our descriptors until it has become a program.
        eventually(SOON, "the namespaces to be unused", || {
            let users = users_of(&self.namespaces);
            if users.is_empty() { Ok(()) } else { Err(users.join("\n")) }
        })
        .unwrap();
    }
}

/// Threads inside the namespaces and descriptors of them, in any process.
fn users_of(namespaces: &[String]) -> Vec<String> {
    let mut users = Vec::new();
    let mut look = |path: std::path::PathBuf| {
        if let Ok(target) = fs::read_link(&path)
            && namespaces.iter().any(|n| target.as_os_str() == n.as_str())
        {
            users.push(path.display().to_string());
        }
    };
    for process in list("/proc").filter(|p| p.file_name().unwrap().as_encoded_bytes()[0] < b'A') {
        list(process.join("task")).for_each(|thread| look(thread.join("ns/net")));
        list(process.join("fd")).for_each(&mut look);
    }
    users
}

/// Entries of a directory; a process may end while it is looked at.
fn list(directory: impl AsRef<std::path::Path>) -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir(directory).into_iter().flatten().filter_map(|e| Some(e.ok()?.path()))
}

fn namespace_of(pid: Pid) -> String {
    fs::read_link(format!("/proc/{pid}/ns/net")).unwrap().display().to_string()
}

fn exists(pid: Pid) -> bool {
    // A zombie waiting for init has no namespace any more.
    fs::read_link(format!("/proc/{pid}/ns/net")).is_ok()
}

fn answered_after(ping: &Pinger, since: Stamp) -> bool {
    ping.last().is_some_and(|answer| answer.sent > since)
}

fn is_vrrp(frame: &vipd::lab::Frame) -> bool {
    matches!(frame.decode(), Decoded::Vrrp(_))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
