//! `vipd check --pair`: what it says about many mismatches, and whether two engines do as the table
//! says.

use std::path::PathBuf;
use std::process::ExitCode;

use vipd::cli::check::{CheckArgs, check};
use vipd::cli::exit;

use crate::expected::{Below, expect};

mod engines;

const GOOD: &str = "\
global_defs {
    router_id lb1
}
vrrp_instance VI_1 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 150
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass secret
    }
    virtual_ipaddress {
        10.0.0.10/24
        10.0.1.10/24 dev eth1
    }
}
";

fn change(text: &str, edits: &[(&str, &str)]) -> String {
    edits.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in\n{text}");
        text.replace(from, to)
    })
}

const AUTH: &str =
    "    authentication {\n        auth_type PASS\n        auth_pass secret\n    }\n";
const V3: (&str, &str) = (AUTH, "    version 3\n");

const SCRIPT: (&str, &str) = (
    "vrrp_instance",
    "vrrp_script chk {\n    script \"/bin/true\"\n    weight -20\n}\nvrrp_instance",
);
const TRACKED: (&str, &str) =
    ("advert_int 1", "advert_int 1\n    track_script {\n        chk\n    }");

/// A name, what is changed on both nodes, and what on the second only.
type Case = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static [(&'static str, &'static str)],
);

const CASES: &[Case] = &[
    ("good", &[], &[]),
    ("vrid", &[], &[("router_id 51", "router_id 52")]),
    (
        "family",
        &[V3],
        &[("10.0.0.10/24\n", "fe80::10/64\n"), ("        10.0.1.10/24 dev eth1\n", "")],
    ),
    ("version", &[], &[V3]),
    ("password", &[], &[("secret", "Secret")]),
    ("no-password", &[], &[(AUTH, "")]),
    ("interval-v2", &[], &[("advert_int 1", "advert_int 2")]),
    ("interval-v3", &[V3], &[("advert_int 1", "advert_int 2")]),
    (
        "interval-v3-short",
        &[V3, ("advert_int 1", "advert_int 0.1")],
        &[("advert_int 0.1", "advert_int 1")],
    ),
    ("interval-v3-long", &[V3], &[("advert_int 1", "advert_int 20")]),
    ("cast", &[], &[("advert_int 1", "unicast_peer {\n        10.0.0.2\n    }")]),
    ("group", &[], &[("advert_int 1", "mcast_dst_ip 224.0.0.42")]),
    ("same-source", &[("advert_int 1", "mcast_src_ip 10.0.0.2")], &[]),
    (
        "peer-unlisted",
        &[("advert_int 1", "unicast_src_ip 10.0.0.2\n    unicast_peer {\n        10.0.0.3\n    }")],
        &[("src_ip 10.0.0.2", "src_ip 10.0.0.4"), ("        10.0.0.3\n", "        10.0.0.2\n")],
    ),
    ("peers-copied", &[("advert_int 1", "unicast_peer {\n        10.0.0.3\n    }")], &[]),
    (
        "peer-behind-a-router",
        &[("advert_int 1", "unicast_peer {\n        10.1.0.3\n    }")],
        &[("        10.1.0.3\n", "        10.0.0.2\n")],
    ),
    (
        "peer-itself",
        &[("advert_int 1", "unicast_src_ip 10.0.0.2\n    unicast_peer {\n        10.0.0.3\n    }")],
        &[("src_ip 10.0.0.2", "src_ip 10.0.0.3")],
    ),
    (
        "ttl",
        &[("advert_int 1", "unicast_peer {\n        10.0.0.2\n        10.0.0.3\n    }")],
        &[("unicast_peer", "unicast_ttl 64\n    unicast_peer")],
    ),
    ("checksum", &[V3], &[("advert_int 1", "v3_checksum_as_v2")]),
    (
        "checksum-old",
        &[V3, ("advert_int 1", "unicast_peer {\n 10.0.0.2\n 10.0.0.3\n }")],
        &[("unicast_peer", "old_unicast_checksum\n    unicast_peer")],
    ),
    (
        "slow-link",
        &[("vrrp_instance", "interface_up_down_delays {\n    eth1 0.5\n}\nvrrp_instance")],
        &[],
    ),
    ("addresses", &[], &[("10.0.1.10/24", "10.0.1.11/24")]),
    ("addresses-fewer", &[], &[("        10.0.1.10/24 dev eth1\n", "")]),
    (
        "excluded",
        &[],
        &[(
            "virtual_ipaddress {",
            "virtual_ipaddress_excluded {\n        10.0.2.10/24\n    }\n    virtual_ipaddress {",
        )],
    ),
    (
        "excluded-here-only",
        &[],
        &[(
            "        10.0.1.10/24 dev eth1\n    }",
            "    }\n    virtual_ipaddress_excluded {\n        10.0.1.10/24 dev eth1\n    }",
        )],
    ),
    ("prefix", &[], &[("10.0.0.10/24", "10.0.0.10")]),
    ("equal", &[("priority 150", "priority 100")], &[]),
    (
        "equal-with-sources",
        &[("priority 150", "priority 100\n    mcast_src_ip 10.0.0.2")],
        &[("10.0.0.2", "10.0.0.3")],
    ),
    ("owners", &[("state BACKUP", "state MASTER"), ("    priority 150\n", "")], &[]),
    ("one-owner", &[("priority 150", "priority 255")], &[("priority 255", "priority 100")]),
    ("nopreempt-both", &[("state BACKUP", "state BACKUP\n    nopreempt")], &[]),
    ("nopreempt-lower", &[], &[("state BACKUP", "state BACKUP\n    nopreempt")]),
    ("nopreempt-higher", &[], &[("priority 100", "priority 200\n    nopreempt")]),
    ("preempt-delay", &[("advert_int 1", "advert_int 1\n    preempt_delay 60")], &[]),
    ("preempt-delay-lower", &[], &[("advert_int 1", "advert_int 1\n    preempt_delay 60")]),
    ("check-small", &[SCRIPT, TRACKED], &[]),
    ("check-large", &[SCRIPT, TRACKED, ("weight -20", "weight -51")], &[]),
    ("check-exactly-the-gap", &[SCRIPT, TRACKED, ("weight -20", "weight -50")], &[]),
    ("check-fault", &[SCRIPT, TRACKED, ("    weight -20\n", "")], &[]),
    (
        "check-adds",
        &[SCRIPT, TRACKED, ("weight -20", "weight 2"), ("priority 150", "priority 101")],
        &[("priority 101", "priority 100")],
    ),
    (
        "check-adds-too-little",
        &[SCRIPT, TRACKED, ("weight -20", "weight 2"), ("priority 150", "priority 105")],
        &[("priority 105", "priority 100")],
    ),
    (
        "check-peer-without-preemption",
        &[SCRIPT, TRACKED, ("weight -20", "weight -60")],
        &[("state BACKUP", "state BACKUP\n    nopreempt")],
    ),
    (
        "check-two-together",
        &[
            SCRIPT,
            (
                "vrrp_script",
                "vrrp_script two {\n    script /bin/true\n    weight -40\n}\nvrrp_script",
            ),
            ("advert_int 1", "advert_int 1\n    track_script {\n        chk\n        two\n    }"),
        ],
        &[],
    ),
    (
        "link-weights",
        &[(
            "advert_int 1",
            "advert_int 1\n    track_interface {\n        eth2 weight -60\n        eth3 weight -5\n    }",
        )],
        &[],
    ),
    ("other-interface", &[], &[("interface eth0", "interface ens3")]),
    ("renamed", &[], &[("VI_1", "WEB")]),
    ("only-here", &[], &[("VI_1", "WEB"), ("10.0.", "10.9."), ("router_id 51", "router_id 52")]),
    ("strict", &[V3], &[("advert_int 1", "strict_mode on\n    v3_checksum_as_v2 on")]),
];

/// Two routers that change state together.
const GROUPED: &str = "\
vrrp_sync_group EDGE {
    group {
        IN
        OUT
    }
}
vrrp_instance IN {
    interface eth0
    virtual_router_id 51
    priority 150
    virtual_ipaddress {
        10.0.0.10/24
    }
}
vrrp_instance OUT {
    interface eth1
    virtual_router_id 52
    priority 150
    virtual_ipaddress {
        10.0.1.10/24
    }
}
";

/// A third router, in the group or not.
const THIRD: (&str, &str) = (
    "vrrp_instance OUT",
    "vrrp_instance DMZ {\n    interface eth2\n    virtual_router_id 53\n    priority 150\n    \
     virtual_ipaddress {\n        10.0.2.10/24\n    }\n}\nvrrp_instance OUT",
);
const OUT_TO_DMZ: (&str, &str) = ("        OUT\n", "        DMZ\n");
const AND_DMZ: (&str, &str) = ("        OUT\n", "        OUT\n        DMZ\n");
const NO_GROUP: (&str, &str) =
    ("vrrp_sync_group EDGE {\n    group {\n        IN\n        OUT\n    }\n}\n", "");

const GROUP_CASES: &[Case] = &[
    ("group", &[], &[("EDGE", "PATH")]),
    ("group-here-only", &[], &[NO_GROUP]),
    ("group-other-members", &[THIRD], &[OUT_TO_DMZ]),
    ("group-fewer-members", &[THIRD, AND_DMZ], &[("        DMZ\n", "")]),
    (
        "group-member-here-only",
        &[THIRD, AND_DMZ],
        &[
            ("        DMZ\n", ""),
            ("DMZ", "LAB"),
            ("router_id 53", "router_id 54"),
            ("10.0.2.", "10.0.3."),
        ],
    ),
];

const EDGE: &str = "\
[vrrp.web]
interface = \"eth0\"
vrid = 51
priority = 150
addresses = [\"10.0.0.10/24\"]

[cluster.pg]
members = [\"10.0.0.21\", \"10.0.0.22\"]

[listener.write]
bind = \"*:5000\"
role = \"writer\"

[listener.read]
bind = \"*:5001\"
role = \"reader\"
";

const LISTENER_CASES: &[Case] = &[
    ("listeners", &[], &[]),
    ("listener-here-only", &[], &[("[listener.read]\nbind = \"*:5001\"\nrole = \"reader\"\n", "")]),
    (
        "listeners-here-only",
        &[],
        &[(
            "[cluster.pg]\nmembers = [\"10.0.0.21\", \"10.0.0.22\"]\n\n[listener.write]\nbind = \
             \"*:5000\"\nrole = \"writer\"\n\n[listener.read]\nbind = \"*:5001\"\nrole = \"reader\"\n",
            "",
        )],
    ),
    ("listener-port", &[], &[("5001", "5002")]),
    ("listener-renamed", &[], &[("listener.read", "listener.replicas")]),
    ("listener-role", &[], &[("\"reader\"", "\"any\"")]),
    ("cluster-members", &[], &[("\"10.0.0.22\"", "\"10.0.0.23\"")]),
    ("cluster-fewer-members", &[], &[(", \"10.0.0.22\"", "")]),
    (
        "listener-servers",
        &[("role = \"reader\"", "role = \"reader\"\nservers = [\"10.0.0.21\", \"10.0.0.22\"]")],
        &[("servers = [\"10.0.0.21\", ", "servers = [")],
    ),
    (
        "listener-without-roles",
        &[],
        &[
            ("members =", "check = \"tcp\"\nmembers ="),
            ("\nrole = \"writer\"", ""),
            ("\nrole = \"reader\"", ""),
            ("21\"", "21:5432\""),
            ("22\"", "22:5432\""),
        ],
    ),
];

/// The exit status and everything printed.
fn run(a: &str, b: &str, json: bool) -> (ExitCode, String) {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("a.conf", a), ("b.conf", b)].map(|(name, text)| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    });
    let mut out = Vec::new();
    let code = check(&CheckArgs { pair: paths.into(), json, ..CheckArgs::default() }, &mut out);
    let text = String::from_utf8(out).unwrap();
    (code, text.replace(&format!("{}/", dir.path().display()), ""))
}

#[test]
fn golden() {
    let mut text = String::new();
    let of = |base: &'static str, cases: &'static [Case]| cases.iter().map(move |c| (base, c));
    let all = of(GOOD, CASES).chain(of(GROUPED, GROUP_CASES)).chain(of(EDGE, LISTENER_CASES));
    for (base, (name, both, second)) in all {
        let a = change(base, both);
        let b = a.replace("lb1", "lb2").replace("priority 150", "priority 100");
        let b = b.replace("priority = 150", "priority = 100");
        let (code, said) = run(&a, &change(&b, second), false);
        let status = if code == ExitCode::SUCCESS { 0 } else { exit::CONFIG };
        assert_eq!(code, ExitCode::from(status));
        text += &format!("==== {name}: exit status {status}\n{said}\n");
    }
    expect(&Below::project("tests/golden").0.join("pair.expected"), &text);
}

/// A node may be a directory, or a list of files: a keepalived.conf and the haproxy.cfg beside it.
#[test]
fn nodes_of_several_files_are_compared() {
    let dir = tempfile::tempdir().unwrap();
    let router = "vrrp_script chk_haproxy {\n    script \"killall -0 haproxy\"\n    interval 2\n    \
                  weight 2\n}\nvrrp_instance VI_1 {\n    interface eth0\n    virtual_router_id 51\n    \
                  priority 101\n    virtual_ipaddress {\n        10.0.0.10/24\n    }\n    \
                  track_script {\n        chk_haproxy\n    }\n}\n";
    let proxy = "listen primary\n    bind :5000\n    server pg1 10.0.0.21:5432\n";
    for (node, router) in [("lb1", router.to_owned()), ("lb2", router.replace("101", "100"))] {
        let node = dir.path().join(node);
        std::fs::create_dir(&node).unwrap();
        std::fs::write(node.join("keepalived.conf"), router).unwrap();
        std::fs::write(node.join("haproxy.cfg"), proxy).unwrap();
        std::fs::write(node.join("haproxy.cfg.dpkg-old"), "nonsense").unwrap();
    }
    let said = |nodes: [PathBuf; 2]| {
        let mut out = Vec::new();
        let args = CheckArgs { pair: nodes.into(), ..CheckArgs::default() };
        assert_eq!(check(&args, &mut out), ExitCode::SUCCESS, "{}", String::from_utf8_lossy(&out));
        String::from_utf8(out).unwrap().replace(&format!("{}/", dir.path().display()), "")
    };
    let directories = said(["lb1", "lb2"].map(|node| dir.path().join(node)));
    let lists = said(["lb1", "lb2"].map(|node| {
        let file = |name: &str| dir.path().join(node).join(name).display().to_string();
        format!("{},{}", file("haproxy.cfg"), file("keepalived.conf")).into()
    }));
    assert_eq!(
        directories,
        "A  lb1/haproxy.cfg lb1/keepalived.conf\n\
         B  lb2/haproxy.cfg lb2/keepalived.conf\n\n\
         VI_1: priority 103 on A, 102 on B\n  \
           at rest                      A serves\n  \
           A dies or loses eth0         B takes over after 2.6 to 3.6 s\n  \
           chk_haproxy fails on A       B takes over after 2.6 to 3.6 s\n  \
           A is stopped                 B takes over after 602 ms\n  \
           A comes back                 A takes over after 3.6 s\n  \
           B dies or loses eth0         A goes on\n  \
           they cannot hear each other  both serve\n\n\
         ok: 1 virtual router and 1 listener in common\n"
    );
    assert_eq!(lists, directories);
    let empty = dir.path().join("none");
    std::fs::create_dir(&empty).unwrap();
    let mut out = Vec::new();
    let pair = vec![empty, dir.path().join("lb1")];
    let code = check(&CheckArgs { pair, ..CheckArgs::default() }, &mut out);
    assert_eq!(code, ExitCode::from(exit::NO_INPUT));
    assert!(String::from_utf8(out).unwrap().contains("holds no configuration"));
}

#[test]
fn json_has_the_table_in_milliseconds() {
    let b = GOOD.replace("lb1", "lb2").replace("priority 150", "priority 100");
    let (code, text) = run(GOOD, &b, true);
    assert_eq!(code, ExitCode::SUCCESS);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["usable"], &json["errors"]), (&true.into(), &0.into()));
    assert_eq!(json["nodes"][1]["name"], "lb2");
    let outcomes = json["routers"][0]["outcomes"].as_array().unwrap();
    let dies = outcomes.iter().find(|o| o["event"] == "dies" && o["node"] == "lb1").unwrap();
    assert_eq!(dies["serving"], serde_json::json!(["lb2"]));
    assert_eq!(dies["after_ms"], serde_json::json!([2609, 3609]));

    let (code, text) = run(GOOD, &b.replace("secret", "Secret"), true);
    assert_eq!(code, ExitCode::from(exit::CONFIG));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["usable"], false);
    assert_eq!(json["diagnostics"][0]["file"], "a.conf");
    assert_eq!(json["diagnostics"][0]["line"], 12);
}

/// Two that share an address which something else moves.
#[test]
fn proxies_without_routers_may_be_compared() {
    let proxy = &EDGE[EDGE.find("[cluster").unwrap()..];
    let (code, text) = run(proxy, proxy, false);
    assert_eq!(code, ExitCode::SUCCESS, "{text}");
    assert!(text.ends_with("ok: 2 listeners in common\n"), "{text}");
}

/// Both dialects; a node without a name of its own is A or B.
#[test]
fn dialects_may_differ() {
    let toml = "[vrrp.web]\ninterface = \"eth0\"\nvrid = 51\nauth_pass = \"secret\"\n\
                addresses = [\"10.0.0.10/24\", \"10.0.1.10/24\"]\n";
    let (code, text) = run(GOOD, toml, false);
    assert_eq!(code, ExitCode::SUCCESS, "{text}");
    assert!(text.contains("VI_1: priority 150 on A, 100 on B\n"), "{text}");
}

#[test]
fn a_file_that_cannot_be_used_is_reported_with_the_other_ones_mistakes() {
    let wrong = |text: &str| text.replace("eth0", "lo");
    let (code, text) = run(&wrong(GOOD), &wrong(GOOD).replace("51", "0"), false);
    assert_eq!(code, ExitCode::from(exit::CONFIG));
    assert!(
        text.contains("a.conf:6:15: error: ") && text.contains("b.conf:7:23: error: "),
        "{text}"
    );
    assert!(text.ends_with("\n3 errors, 0 warnings\n"), "{text}");
    let gone = CheckArgs { pair: vec!["/gone/a".into(), "/gone/b".into()], ..CheckArgs::default() };
    assert_eq!(check(&gone, &mut Vec::new()), ExitCode::from(exit::NO_INPUT));
}

/// One file for both nodes, as `@ID` lines make it.
#[test]
fn one_file_may_be_both_nodes() {
    let text = GOOD
        .replace("    router_id lb1\n", "")
        .replace("    priority 150\n", "@one    priority 150\n@two    priority 100\n");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keepalived.conf");
    std::fs::write(&path, text).unwrap();
    let config_id = Some("one,two".to_owned());
    let args = CheckArgs { pair: vec![path.clone(), path], config_id, ..CheckArgs::default() };
    let mut out = Vec::new();
    assert_eq!(check(&args, &mut out), ExitCode::SUCCESS);
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("VI_1: priority 150 on one, 100 on two\n"), "{text}");
}

/// An address that two routers elect for apart from each other.
#[test]
fn an_address_in_another_router_of_the_other_node_is_an_error() {
    let two = |first: &str, second: &str| {
        let one = GOOD.replace("10.0.1.10/24 dev eth1", first);
        let other = GOOD[GOOD.find("vrrp_instance").unwrap()..]
            .replace("VI_1", "VI_2")
            .replace("router_id 51", "router_id 52")
            .replace("10.0.0.10", "10.0.0.20")
            .replace("10.0.1.10/24 dev eth1", second);
        one + &other
    };
    let (_, text) = run(&two("10.0.0.30/24", ""), &two("", "10.0.0.30/24"), false);
    assert!(text.contains("10.0.0.30 belongs to VI_1 on A, but to VI_2 on B"), "{text}");
}

/// Routers that behave alike share a table.
#[test]
fn many_routers_make_one_table() {
    let many = |priority: &str| -> String {
        (1..=250)
            .map(|n| {
                format!(
                    "vrrp_instance V{n} {{\ninterface eth0\nvirtual_router_id {n}\n\
                     priority {priority}\nvirtual_ipaddress {{\n10.0.{n}.1\n}}\n}}\n"
                )
            })
            .collect()
    };
    let (code, text) = run(&many("150"), &many("100"), false);
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(text.contains("V1 and 249 like it: priority 150 on A, 100 on B\n"), "{text}");
    assert!(text.ends_with("ok: 250 virtual routers in common\n"), "{text}");
    assert_eq!(text.matches("at rest").count(), 1);
}
