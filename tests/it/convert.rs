//! `vipd convert`: the law (the same configuration, the same engine), and texts worth reading.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use vipd::cli::convert::{ConvertArgs, convert};
use vipd::cli::exit;
use vipd::config::{Config, Format};
use vipd::engine::Engine;
use vipd::io::{Action, Applied, Datagram, Input, KernelView, Link, LinkChange, ProbeId};
use vipd::load::emit::emit;
use vipd::load::{Loaded, load};
use vipd::status::Snapshot;
use vipd::track::outcome::{Cause, Verdict};
use vipd::types::Now;

use crate::engine::bench::outcome;
use crate::engine::setup::{self, Heard, ms};
use crate::expected::{Below, OneFile, expect};

fn load_text(text: &str, format: Format) -> Loaded {
    let loaded = load(&OneFile(text.to_owned()), &[PathBuf::from("a.conf")], Some(format));
    loaded.unwrap_or_else(|failed| panic!("{}\n{text}", failed.render()))
}

/// The law: the converted text is the same configuration, and converting it again changes nothing
/// but the comments.
pub(crate) fn convert_keeps(loaded: &Loaded) -> String {
    let text = emit(loaded).unwrap_or_else(|e| panic!("{e}"));
    let again = load_text(&text, Format::Toml);
    assert_eq!(again.config, loaded.config, "{text}");
    let second = emit(&again).unwrap();
    assert_eq!(second, without_comments(&text));
    assert_eq!(emit(&load_text(&second, Format::Toml)).unwrap(), second);
    text
}

/// Comments of the converter, which stand alone or two blanks behind a value.
fn without_comments(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let bare = lines.map(|line| line.split("  # ").next().unwrap().trim_end());
    bare.map(|line| format!("{line}\n")).collect::<String>().trim_start().to_owned()
}

/// Everything in the golden folders that can be used is converted; the texts of some are kept.
#[test]
fn golden() {
    let kept = [
        "honoured.conf",
        "globals-last.conf",
        "ipv6.conf",
        "min-garp.conf",
        "no-effect.conf",
        "warn-strict.conf",
        "unicast.conf",
        "warn-master-255.conf",
        "toml-full.toml",
        "toml-strict.toml",
        "edge.conf",
        "patroni-2node-backup.conf",
        "patroni-2node-master.conf",
        "patroni-2node-fallback.cfg",
        "patroni-3node.cfg",
        "haproxy-full.cfg",
        "haproxy-plain.cfg",
        "haproxy-page.cfg",
        "haproxy-metrics.cfg",
        "toml-page.toml",
        "toml-metrics.toml",
    ];
    let mut converted = BTreeMap::new();
    for dir in ["tests/golden/config", "tests/golden/config/published", "examples"] {
        let below = Below::project(dir);
        for entry in std::fs::read_dir(&below.0).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if ![".conf", ".toml", ".cfg"].iter().any(|end| name.ends_with(end)) {
                continue;
            }
            let Ok(loaded) = load(&below, &[PathBuf::from(&name)], None) else { continue };
            converted.insert(name, convert_keeps(&loaded));
        }
    }
    let below = Below::project("tests/golden/convert");
    for name in kept {
        let text = converted.get(name).unwrap_or_else(|| panic!("{name} is not converted"));
        expect(&below.0.join(format!("{name}.expected")), text);
    }
}

/// Each of `options`, or nothing.
fn perhaps(options: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just(String::new()),
        1 => proptest::sample::select(options).prop_map(|line| format!("{line}\n")),
    ]
}

/// All of some lines, each of them perhaps.
fn lines(options: &'static [&'static [&'static str]]) -> impl Strategy<Value = String> {
    let each: Vec<_> = options.iter().map(|choices| perhaps(choices)).collect();
    each.prop_map(|lines| lines.concat())
}

const GLOBALS: &[&[&str]] = &[
    &["router_id lb1", "router_id \"load balancer 1\"", "router_id 'it''s'"],
    &["vrrp_version 2", "vrrp_version 3"],
    &["vrrp_startup_delay 2.5", "vrrp_startup_delay 0.000001", "vrrp_startup_delay 90"],
    &["log_unknown_vrids"],
    &["vipd_control_group adm"],
    &["vipd_realtime off", "vipd_realtime on"],
    &["vrrp_no_swap"],
    &["vrrp_mcast_group4 224.0.0.42"],
    &["vrrp_mcast_group6 ff02::42"],
    &["vrrp_down_timer_adverts 3", "vrrp_down_timer_adverts 7"],
    &["vrrp_lower_prio_no_advert", "vrrp_lower_prio_no_advert off"],
    &["vrrp_higher_prio_send_advert on"],
    &["vrrp_skip_check_adv_addr"],
    &["v3_checksum_as_v2"],
    &["vrrp_min_garp", "vrrp_min_garp off"],
    &["vrrp_garp_master_delay 0", "vrrp_garp_master_delay 1.5"],
    &["vrrp_garp_master_repeat 0", "vrrp_garp_master_repeat 3"],
    &["vrrp_garp_master_refresh 60", "vrrp_garp_master_refresh 7200"],
    &["vrrp_garp_master_refresh_repeat 2"],
    &["vrrp_garp_lower_prio_delay 10"],
    &["vrrp_garp_lower_prio_repeat 0"],
    &["vrrp_garp_interval 0.0015", "vrrp_garp_interval 0"],
    &["vrrp_gna_interval 0.25"],
    &["vrrp_iptables", "enable_script_security"],
    &["vrrp_process_name vrrp1"],
    &["umask 027", "umask IWGRP|IWOTH"],
    &["vrrp_priority -5"],
    &["vrrp_cpu_affinity 0 3"],
    &["vrrp_rt_priority 40"],
    &["vrrp_rx_bufs_policy ADVERT", "vrrp_rx_bufs_policy MTU", "vrrp_rx_bufs_policy 50000"],
    &["vrrp_rx_bufs_multiplier 5"],
    &["vrrp_delay_after_boot 30", "vrrp_delay_after_boot 0.5"],
    &["vrrp_owner_ignore_adverts", "vrrp_owner_ignore_adverts off"],
    &["vrrp_garp_extra_if all 10", "vrrp_garp_extra_if 10"],
];

const BLOCKS: &[&[&str]] = &[
    &["net_namespace ns1"],
    &["instance edge"],
    &[
        "interface_up_down_delays {\neth0 0.5 2\neth1 3\n}",
        "interface_up_down_delays {\nbr-lan 0\n}",
    ],
    &["garp_group {\ngarp_interval 0.01\ninterfaces {\neth0 eth1\n}\n}"],
    &["garp_group {\ngna_interval 0.001\ninterface eth2.5\n}"],
];

/// Every kind of tracker, two of one name among them.
const TRACKERS: &[&str] = &[
    "vrrp_script one {\nscript \"/bin/sh -c 'exit 1'\"\ninterval 0.5\nrise 2\nuser nobody nogroup\n}
     track_file one {\nfile /run/one\nweight -2\n}
     vrrp_script two {\nscript \"</dev/tcp/127.0.0.1/80\"\ntimeout 3\ninit_fail\nweight 10 reverse\n}
     vrrp_track_process three {\nprocess haproxy \"a b\"\nparam_match partial\nquorum 2\ndelay 1.5\n}
     vipd_check four {\npatroni https://10.0.0.9:8008\nrole replica\nmax_lag 16MB\ntag zone a\nheader X-A b\nverify off\n}
     vipd_check five {\nhaproxy /run/haproxy.sock\nproxy sql\nside backend\nmin_servers 2\non_timeout keep\n}",
    "vrrp_script two {\nscript /bin/true\n}\nvrrp_script one {\nscript /bin/true\ninterval 3\n}
     track_file one {\nfile /run/one\n}
     vrrp_track_process three {\nprocess haproxy\nquorum_max 0\n}
     vipd_check five {\npostgres db.example\n}
     vipd_check four {\nhttp http://[::1]:80/x\nstatus 200,301-302\nmethod HEAD\nfall 5\n}",
];

/// What an instance may track, if there is anything to track.
const TRACKED: &[&[&str]] = &[
    &["track_script {\none\ntwo weight 3\n}", "track_script {\ntwo weight -5 reverse\nfour\n}"],
    &["track_file {\none weight 2\n}", "track_file {\none\n}"],
    &["track_process {\nthree weight -20\n}"],
    &["track_script {\nfive weight 0\n}"],
];

/// What an instance of any version, family and cast may say.
const ANY: &[&[&str]] = &[
    &["state MASTER", "state BACKUP"],
    &["priority 1", "priority 100", "priority 101", "priority 254", "priority 255"],
    &["nopreempt", "preempt"],
    &["preempt_delay 300", "preempt_delay 0.5", "preempt_delay 0"],
    &["dont_track_primary"],
    &["garp_master_delay 5", "garp_master_delay 0.01"],
    &["garp_master_repeat 1", "garp_master_repeat 255"],
    &["garp_master_refresh 0", "garp_master_refresh 86400"],
    &["garp_master_refresh_repeat 0"],
    &["garp_lower_prio_delay 0"],
    &["garp_lower_prio_repeat 5"],
    &["lower_prio_no_advert", "lower_prio_no_advert no"],
    &["higher_prio_send_advert", "higher_prio_send_advert false"],
    &["skip_check_adv_addr", "skip_check_adv_addr off"],
    &["v3_checksum_as_v2", "v3_checksum_as_v2 off"],
    &["down_timer_adverts 1", "down_timer_adverts 100"],
    &["vipd_lease off", "vipd_lease on"],
    &["vipd_release now", "vipd_release after-successor"],
    &["accept"],
    &["timer_expired_backup", "timer_expired_backup 99"],
    &["track_src_ip"],
    &["owner_ignore_adverts", "owner_ignore_adverts off"],
    &["garp_extra_if all 1.5", "garp_extra_if all 0"],
    &["promote_secondaries"],
    &["kernel_rx_buf_size 40000"],
    &["old_unicast_checksum", "old_unicast_checksum never"],
    &["notify_master /bin/true"],
    &["track_interface {\neth2 weight -7\neth3\n}"],
];

const PASSWORDS: &[&str] =
    &["secret", "\"a b\"", "12345678", "much-too-long", "'it", "pässe", "\"\\\"", "\"it's\""];

const OPTIONS_V4: &[&[&str]] = &[
    &["dev eth1", "dev eth0"],
    &["label eth0:vip", "label x"],
    &["scope link", "scope 7", "scope global"],
    &["brd +", "broadcast -", "brd 10.9.9.9"],
    &["peer 10.8.0.1/16"],
    &["noprefixroute"],
    &["autojoin"],
    &["no_track"],
    &["preferred_lft 0", "preferred_lft 300", "preferred_lft forever"],
    &["home"],
];

const OPTIONS_V6: &[&[&str]] = &[
    &["dev eth1"],
    &["scope host"],
    &["peer fe80::9/128"],
    &["-nodad"],
    &["home"],
    &["mngtmpaddr"],
    &["noprefixroute"],
    &["no_track"],
    &["preferred_lft 0", "preferred_lft 4294967295", "preferred_lft forever"],
    &["label eth0:six"],
];

/// Address lines; `instance` keeps the addresses of two instances apart.
fn addresses(v6: bool, instance: usize, most: usize) -> impl Strategy<Value = String> {
    let prefix = if v6 { vec![64, 127, 128] } else { vec![16, 24, 31, 32] };
    let options = lines(if v6 { OPTIONS_V6 } else { OPTIONS_V4 });
    let one = (proptest::sample::select(prefix), prop_oneof![Just(String::new()), options]);
    proptest::collection::vec(one, 0..=most).prop_map(move |list| {
        let mut text = String::new();
        for (n, (prefix, options)) in list.iter().enumerate() {
            let host = 10 * most + n + 1;
            let address = match v6 {
                true => format!("fe80::{instance}:{host:x}"),
                false => format!("10.{instance}.0.{host}"),
            };
            writeln!(text, "{address}/{prefix} {}", options.replace('\n', " ")).unwrap();
        }
        text
    })
}

/// Version and family.
fn dialect() -> impl Strategy<Value = (Option<u8>, bool)> {
    proptest::sample::select(vec![
        (Some(2), false),
        (None, false),
        (Some(3), false),
        (None, true),
        (Some(3), true),
    ])
}

fn cast(v6: bool) -> impl Strategy<Value = String> {
    let group = if v6 { "ff02::77" } else { "224.0.0.77" };
    let (own, peers) = if v6 { ("fe80::2", "fe80::") } else { ("10.99.0.2", "10.99.0.") };
    let ttls = proptest::sample::select(vec![
        "",
        "min_ttl 255",
        "min_ttl 1",
        "max_ttl 200",
        "min_ttl 60 max_ttl 64",
        "max_ttl 10",
    ]);
    let list = proptest::collection::vec(ttls, 1..4).prop_map(move |ttls| {
        let line = |(n, ttl): (usize, &&str)| format!("{peers}{} {ttl}\n", n + 2);
        let lines: String = ttls.iter().enumerate().map(line).collect();
        format!("unicast_peer {{\n{lines}}}\n")
    });
    let ttl = perhaps(&["unicast_ttl 255", "unicast_ttl 64", "unicast_ttl 1"]);
    let source = prop_oneof![Just(String::new()), Just(format!("mcast_src_ip {own}\n"))];
    prop_oneof![
        2 => source.clone(),
        1 => Just(format!("mcast_dst_ip {group}\n")),
        2 => (source, list, ttl).prop_map(|(source, list, ttl)| source + &list + &ttl),
        1 => Just("unicast_fault_no_peer\n".to_owned()),
    ]
}

/// One `vrrp_instance` that can be used, of whatever the honoured keywords can say together.
fn instance(number: usize, tracked: bool) -> impl Strategy<Value = String> {
    (dialect(), any::<bool>()).prop_flat_map(move |((version, v6), strict)| {
        let intervals: &[&[&str]] = if v6 || version == Some(3) {
            &[&["advert_int 0.01", "advert_int 0.333", "advert_int 1", "advert_int 40.95"]]
        } else {
            &[&["advert_int 1", "advert_int 2.5", "advert_int 0.2", "advert_int 37"]]
        };
        let auth = prop_oneof![
            Just(String::new()),
            proptest::sample::select(PASSWORDS).prop_map(|password| format!(
                "authentication {{\nauth_type PASS\nauth_pass {password}\n}}\n"
            )),
        ];
        let cast = if strict { Just(String::new()).boxed() } else { cast(v6).boxed() };
        let first =
            if v6 { format!("fe80::{number}:ffff/64\n") } else { format!("10.{number}.0.255\n") };
        let more = addresses(v6, number, 3);
        let excluded = (addresses(false, number + 100, 2), addresses(true, number + 100, 2));
        let tracked = if tracked { lines(TRACKED).boxed() } else { Just(String::new()).boxed() };
        let names = proptest::sample::select(vec!["VI", "\"VI of\"", "vi.x", "grün-", "'"]);
        (names, (lines(ANY), tracked), lines(intervals), auth, cast, more, excluded).prop_map(
            move |(name, (any, tracked), interval, auth, cast, more, (four, six))| {
                let name = match name.strip_suffix('"') {
                    Some(quoted) => format!("{quoted} {number}\""),
                    None => format!("{name}{number}"),
                };
                let version = version.map_or_else(String::new, |v| format!("version {v}\n"));
                let strict = if strict { "strict_mode on\n" } else { "" };
                format!(
                    "vrrp_instance {name} {{\ninterface eth{}\nvirtual_router_id {}\n{version}\
                     {strict}{any}{tracked}{interval}{auth}{cast}virtual_ipaddress {{\n{first}{more}}}\n\
                     virtual_ipaddress_excluded {{\n{four}{six}}}\n}}\n\n",
                    number % 2,
                    number + 51,
                )
            },
        )
    })
}

fn configuration() -> impl Strategy<Value = String> {
    any::<bool>().prop_flat_map(|tracked| {
        let group = "vrrp_sync_group both {\ngroup {\nVI2 VI3\n}\n}\n";
        let weights = group.replace("}\n}\n", "}\nsync_group_tracking_weight\n}\n");
        let groups = proptest::sample::select(vec![String::new(), group.to_owned(), weights]);
        let routers = prop_oneof![
            instance(2, tracked),
            (instance(2, tracked), instance(3, tracked), groups).prop_map(|(one, two, group)| {
                let grouped =
                    one.contains("vrrp_instance VI2 ") && two.contains("vrrp_instance VI3 ");
                one + &two + if grouped { &group } else { "" }
            }),
        ];
        let trackers =
            if tracked { proptest::sample::select(TRACKERS).boxed() } else { Just("").boxed() };
        (lines(GLOBALS), lines(BLOCKS), trackers, any::<bool>(), routers).prop_map(
            |(globals, blocks, trackers, last, routers)| {
                let globals = format!("global_defs {{\n{globals}}}\n{blocks}{trackers}");
                if last { routers + &globals } else { globals + &routers }
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_configuration_converts_to_the_same(text in configuration()) {
        convert_keeps(&load_text(&text, Format::Keepalived));
    }

    #[test]
    fn the_engine_does_the_same_with_the_converted_text(
        text in configuration(),
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let loaded = load_text(&text, Format::Keepalived);
        let again = load_text(&convert_keeps(&loaded), Format::Toml);
        prop_assert_eq!(run_engine(loaded.config, &steps), run_engine(again.config, &steps));
    }
}

#[derive(Clone, Debug)]
enum Step {
    RunToDeadline,
    Hear(Heard),
    Answer { probe: u32, passed: bool },
    Carrier(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let dialect = proptest::sample::select(vec![setup::V2, setup::V3]);
    let hear = (dialect, any::<u8>(), 1..300_u16).prop_map(|(dialect, priority, centis)| {
        let centis = if dialect.version() == 2 { 100 } else { centis };
        Step::Hear(setup::advert("192.0.2.9", priority).speaking(dialect).every(centis))
    });
    prop_oneof![
        6 => Just(Step::RunToDeadline),
        4 => hear,
        2 => (0..5_u32, any::<bool>()).prop_map(|(probe, passed)| Step::Answer { probe, passed }),
        1 => any::<bool>().prop_map(Step::Carrier),
    ]
}

/// Everything an engine did, and its state at the end; the kernel does what it is asked.
fn run_engine(config: Config, steps: &[Step]) -> (Vec<Action>, Snapshot) {
    let mut now = setup::T0;
    let host = KernelView { links: setup::links(), uptime: ms(20_000) };
    let mut engine = Engine::new(Arc::new(config), host, now);
    let mut done = Vec::new();
    perform(&mut engine, now, &mut done);
    for step in steps {
        match step {
            Step::RunToDeadline => {
                now = engine.poll_deadline().map_or(now, |at| at.max(now));
                engine.handle(now, Input::Tick);
            }
            Step::Hear(heard) => {
                let bytes = heard.datagram();
                let datagram = Datagram::V4(&bytes);
                engine.handle(now, Input::Packet { iface: setup::ETH0, datagram });
            }
            Step::Answer { probe, passed } => {
                let verdict =
                    if *passed { Verdict::Passed } else { Verdict::Failed(Cause::Exit(1)) };
                engine.handle(
                    now,
                    Input::Probed { probe: ProbeId(*probe), outcome: outcome(verdict) },
                );
            }
            Step::Carrier(running) => {
                let link = Link { running: *running, ..setup::link(setup::ETH0, "eth0") };
                engine.handle(now, Input::Link(LinkChange::Link(link)));
            }
        }
        perform(&mut engine, now, &mut done);
    }
    (done, engine.snapshot(now))
}

fn perform(engine: &mut Engine, now: Now, done: &mut Vec<Action>) {
    let mut asked = VecDeque::new();
    loop {
        while let Some(action) = engine.poll_action() {
            if let Action::Address { op, .. } | Action::Socket { op, .. } = action {
                asked.push_back(op);
            }
            done.push(action);
        }
        let Some(op) = asked.pop_front() else { return };
        engine.handle(now, Input::Done { op, result: Ok(Applied::Changed) });
    }
}

fn args(path: &Path) -> ConvertArgs {
    ConvertArgs { files: vec![path.to_owned()], ..ConvertArgs::default() }
}

/// What the command prints, to standard output and to standard error, and its exit status.
fn run(text: impl AsRef<[u8]>) -> (u8, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.conf");
    std::fs::write(&path, text).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = convert(&args(&path), &mut out, &mut err);
    (status, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

const GOOD: &str = "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n \
                    virtual_ipaddress {\n 10.0.0.10/24\n }\n}\n";

#[test]
fn the_text_goes_to_standard_output_and_warnings_to_standard_error() {
    let (status, out, err) = run("global_defs {\n reload_file /run/x\n}\n".to_owned() + GOOD);
    assert_eq!(status, exit::OK);
    assert!(out.contains("reload_file") && out.contains("[vrrp.VI_1]\n"), "{out}");
    assert!(err.contains("1 setting has no effect here: `reload_file` (line 2)"), "{err}");
}

/// What keepalived would run of a broken file, and what it is not.
#[test]
fn what_is_left_of_a_file_with_errors_is_converted_and_marked() {
    let broken = GOOD
        .replace("VI_1", "VI_2")
        .replace("51", "52")
        .replace("10.0.0.10", "10.0.0.20")
        .replace("eth0\n", "eth0\n no_accept\n");
    let (status, out, err) = run(GOOD.to_owned() + &broken);
    assert_eq!(status, exit::CONFIG);
    assert!(out.contains("but NOT ALL of it"), "{out}");
    assert!(out.contains("VI_2 is not run: `no_accept` is not supported"), "{out}");
    assert!(out.contains("[vrrp.VI_1]\n") && !out.contains("[vrrp.VI_2]"), "{out}");
    assert!(err.contains("error: `no_accept`"), "{err}");
    assert!(err.ends_with("has 1 error; only what they leave is converted\n"), "{err}");
}

#[test]
fn nothing_is_printed_for_a_file_with_errors() {
    let (status, out, err) = run(GOOD.replace("eth0", "lo"));
    assert_eq!((status, out.as_str()), (exit::CONFIG, ""));
    assert!(err.contains("error: ") && err.ends_with("nothing is converted\n"), "{err}");
    let gone = args(Path::new("/nowhere/a.conf"));
    assert_eq!(convert(&gone, &mut Vec::new(), &mut Vec::new()), exit::NO_INPUT);
}

/// The packet carries the first 8 bytes of a password, whatever they are.
#[test]
fn a_password_cut_inside_a_character_is_an_error() {
    let auth = "eth0\n authentication {\n auth_type PASS\n auth_pass 1234567\u{fc}\n }\n";
    let (status, out, err) = run(GOOD.replace("eth0\n", auth));
    assert_eq!((status, out.as_str()), (exit::CONFIG, ""));
    assert!(err.contains("the password of VI_1 cannot be converted"), "{err}");
    assert!(!err.contains("1234567"), "{err}");
}

/// A password is carried over, and stands in no comment.
#[test]
fn a_password_stands_in_its_own_line_only() {
    let auth = "eth0\n authentication { auth_type PASS\n auth_pass \"h'nter \\\\2\" }\n";
    let (status, out, _) = run(GOOD.replace("eth0\n", auth));
    assert_eq!(status, exit::OK);
    assert_eq!(out.matches("h'nter").count(), 1, "{out}");
    assert!(out.contains("chmod 640"), "{out}");
}
