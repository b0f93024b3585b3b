//! What scripts and exporters read after a signal: the same file on both, the same dumps.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Map, Value};
use vipd::lab::deadline::eventually;
use vipd::lab::keepalived::Keepalived;
use vipd::lab::{Node, Vipd};

use crate::common::binary;
use crate::{SOON, lab};

/// keepalived's signals, as `kill` knows them.
const DATA: &str = "USR1";
const STATS: &str = "USR2";
const JSON: &str = "36";

/// Every form of address, check and command that is in the dumps.
fn config(vrid: u8, globals: &str) -> String {
    format!(
        "global_defs {{
            router_id lb
            script_user root
            {globals}
        }}
        vrrp_script chk {{
            script \"/usr/bin/test -e /etc/passwd\"
            interval 2
            timeout 1
            rise 2
            fall 3
        }}
        vrrp_sync_group G {{
            group {{
                VI_1
                VI_6
            }}
        }}
        vrrp_instance VI_1 {{
            state BACKUP
            interface eth0
            virtual_router_id {vrid}
            priority 150
            advert_int 1
            preempt_delay 5
            authentication {{
                auth_type PASS
                auth_pass secret
            }}
            virtual_ipaddress {{
                10.0.0.{vrid}/24 dev eth0
                10.0.1.{vrid}/32 label eth0:1
                10.0.2.{vrid}/24 brd 10.0.2.255 scope link
            }}
            virtual_ipaddress_excluded {{
                10.0.3.{vrid}/24
            }}
            track_script {{
                chk
            }}
            track_interface {{
                eth1
            }}
            notify_master \"/usr/bin/true m\"
            notify_stop /usr/bin/true
            notify \"/usr/bin/true n\"
        }}
        vrrp_instance VI_6 {{
            interface eth0
            virtual_router_id {vrid}
            version 3
            advert_int 0.5
            priority 100
            garp_master_delay 3
            lower_prio_no_advert
            nopreempt
            virtual_ipaddress {{
                fe80::{vrid}
                2001:db8::{vrid}/64
            }}
        }}"
    )
}

fn host(lab: &vipd::lab::Lab, name: &str, last: u8) -> Node {
    let node = lab.node(name).unwrap();
    node.link("eth0", &[&format!("10.0.0.{last}/24"), &format!("2001:db8::{last}/64")]).unwrap();
    node.link("eth1", &[]).unwrap();
    node
}

/// Sends `signal` to `pid` and waits for the file.
fn dump(node: &Node, pid: nix::unistd::Pid, signal: &str, file: &str) -> String {
    let path = node.directory().unwrap().join(file);
    let _ = fs::remove_file(&path);
    let killed = Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap();
    assert!(killed.success());
    // keepalived writes into the file: it is complete when it ends as it should.
    let end = if file.ends_with("json") { ["]\n", "}\n"] } else { ["\n"; 2] };
    let read = || fs::read_to_string(&path).ok().filter(|text| text.trim_end().len() > 1);
    let what = format!("{file} of {}", node.name());
    let whole = || read().filter(|text| end.iter().any(|end| text.ends_with(end)));
    let text =
        eventually(SOON, what, || whole().ok_or_else(|| read().unwrap_or_default())).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{file}");
    text
}

/// The names in the order in which they are written.
fn names(json: &str) -> Vec<&str> {
    json.split('"')
        .collect::<Vec<_>>()
        .windows(2)
        .filter_map(|pair| pair[1].starts_with(':').then_some(pair[0]))
        .collect()
}

/// Without what two nodes differ in, and passwords.
fn settled(mut object: Map<String, Value>) -> Map<String, Value> {
    for volatile in ["last_transition", "auth_data"] {
        assert!(object[if volatile == "auth_data" { "auth_type" } else { volatile }].is_number());
        object.remove(volatile);
    }
    // On by default here (D21).
    object.remove("higher_prio_send_advert");
    for list in ["vips", "evips"] {
        if let Some(Value::Array(all)) = object.get_mut(list) {
            for text in all {
                *text = text.as_str().unwrap().replace(".52", ".51").replace("::52", "::51").into();
            }
        }
    }
    object
}

fn without_numbers(text: &str) -> Vec<String> {
    let mask = |line: &str| match line.split_once(": ") {
        Some((name, number)) if number.parse::<u64>().is_ok() => format!("{name}: N"),
        _ => line.to_owned(),
    };
    text.lines().map(mask).collect()
}

#[test]
fn the_dumps_of_keepalived_are_written_in_its_words() {
    let lab = lab();
    let (a, b) = (host(&lab, "lb-01", 2), host(&lab, "lb-02", 3));
    let keepalived = Keepalived::start(&a, &config(51, "")).unwrap();
    let vipd = Vipd::start(&b, binary(), "keepalived.conf", &config(52, "")).unwrap();
    let (theirs, ours) = (keepalived.process().pid(), vipd.process().pid());
    for (node, vip) in [(&a, "10.0.3.51"), (&b, "10.0.3.52")] {
        let vip: std::net::Ipv4Addr = vip.parse().unwrap();
        eventually(SOON, "a master", || node.has_address(vip).unwrap()).unwrap();
    }

    let theirs_json = dump(&a, theirs, JSON, "keepalived.json");
    let ours_json = dump(&b, ours, JSON, "keepalived.json");
    assert_eq!(names(&ours_json), names(&theirs_json), "{ours_json}\n{theirs_json}");
    assert!(ours_json.contains(r"10.0.0.52\/24 dev eth0 scope global set"), "{ours_json}");
    let parse = |text: &str| -> Vec<Map<String, Value>> { serde_json::from_str(text).unwrap() };
    for (ours, theirs) in parse(&ours_json).into_iter().zip(parse(&theirs_json)) {
        let data = |of: &Map<String, Value>| {
            let mut data = settled(of["data"].as_object().unwrap().clone());
            assert!(matches!(data.remove("vrid").unwrap().as_u64(), Some(51 | 52)));
            data
        };
        assert_eq!(data(&ours), data(&theirs));
        let stats = |of: &Map<String, Value>, name: &str| of["stats"][name].as_u64().unwrap();
        for name in ["become_master", "release_master", "pri_zero_sent"] {
            assert_eq!(stats(&ours, name), stats(&theirs, name), "{name}");
        }
        assert!(stats(&ours, "advert_sent") > 0);
        // Others may read it where they read keepalived's.
        assert!(!ours_json.contains("secret"));
    }

    let theirs_stats = dump(&a, theirs, STATS, "keepalived.stats");
    let ours_stats = dump(&b, ours, STATS, "keepalived.stats");
    assert_eq!(without_numbers(&ours_stats), without_numbers(&theirs_stats));

    let theirs_data = dump(&a, theirs, DATA, "keepalived.data");
    let ours_data = dump(&b, ours, DATA, "keepalived.data");
    let volatile = ["Last transition", "higher priority advert", "src_ip", "Router ID", "Timeout"];
    for line in ours_data.lines().filter(|line| !volatile.iter().any(|v| line.contains(v))) {
        let line = line.replace(".52", ".51").replace("::52", "::51");
        // keepalived adds as whom a script runs.
        let known = theirs_data.lines().any(|known| known.starts_with(&line));
        assert!(known, "{line:?} is not in\n{theirs_data}");
    }
    for needed in
        [" VRRP Instance = VI_6", "   State = MASTER", "   Status = GOOD", "   State = idle"]
    {
        assert!(ours_data.lines().any(|line| line == needed), "{needed:?}: {ours_data}");
    }
}

#[test]
fn the_second_layout_has_processes_and_a_full_disk_is_said() {
    let lab = lab();
    let node = host(&lab, "lb-01", 2);
    let elsewhere = PathBuf::from("/nowhere/vipd.data");
    let globals = format!("json_version 2\nstate_dump_file {}", elsewhere.display());
    let process = "vrrp_track_process db {
        process /usr/bin/postgres -D
        param_match initial
        quorum 2
    }";
    let user = "vrrp_instance VI_P {
        interface eth0
        virtual_router_id 53
        virtual_ipaddress {
            10.0.0.53/24
        }
        track_process {
            db
        }
    }";
    let text = format!("{process}\n{}\n{user}", config(51, &globals));
    let vipd = Vipd::start(&node, binary(), "keepalived.conf", &text).unwrap();
    eventually(SOON, "a start", || vipd.status().is_ok()).unwrap();
    let json = dump(&node, vipd.process().pid(), JSON, "keepalived.json");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["vrrp"][0]["data"]["iname"], "VI_1");
    let process = &json["track_process"][0];
    assert_eq!(
        (&process["param_match"], &process["min_processes"]),
        (&"initial".into(), &2.into())
    );
    assert_eq!((&process["have_quorum"], &process["parameters"]), (&false.into(), &"-D".into()));

    vipd.process().signal(nix::sys::signal::Signal::SIGUSR1);
    eventually(SOON, "the reason", || {
        vipd.log().contains("cannot write /nowhere/vipd.data: No such file")
    })
    .unwrap();
    vipd.status().unwrap();
}
