//! keepalived.conf through the front door.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use vipd::config::RECEIVE_BUFFER;
use vipd::config::sources::{ReadError, Reading, Sources, Text};
use vipd::import::keepalived::coverage;
use vipd::load::{Loaded, load, load_as};
use vipd::types::Family;

use crate::expected::{Below, expect, outcome};

/// Files in memory.
#[derive(Default)]
pub(crate) struct Memory(pub(crate) BTreeMap<PathBuf, String>);

impl Memory {
    fn one(text: &str) -> Memory {
        Memory([(PathBuf::from("a.conf"), text.to_owned())].into())
    }
}

impl Sources for Memory {
    fn read(&self, path: &Path) -> Result<Text, ReadError> {
        self.0.get(path).map(|text| Text { text: text.clone(), ..Text::default() }).ok_or_else(
            || ReadError { path: path.to_owned(), reason: "No such file or directory".into() },
        )
    }

    fn glob(&self, dir: &Path, pattern: &str) -> Vec<PathBuf> {
        let path = dir.join(pattern);
        self.0.contains_key(&path).then_some(path).into_iter().collect()
    }

    fn host_name(&self) -> Option<String> {
        None
    }
}

fn load_text(text: &str) -> Result<Loaded, String> {
    load(&Memory::one(text), &[PathBuf::from("a.conf")], None).map_err(|failed| failed.render())
}

pub(crate) fn golden_files(dir: &str) -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| [".conf", ".toml", ".cfg"].iter().any(|end| name.ends_with(end)))
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

#[test]
fn golden() {
    for dir in ["tests/golden/config", "tests/golden/config/published"] {
        for name in golden_files(dir) {
            let below = Below::project(dir);
            let actual = outcome(&below, &name);
            expect(&below.0.join(format!("{name}.expected")), &actual);
        }
    }
}

#[test]
fn published_configurations_load() {
    let files = golden_files("tests/golden/config/published");
    for name in files.iter().filter(|name| name.ends_with(".conf")) {
        let below = Below::project("tests/golden/config/published");
        let loaded = load(&below, &[PathBuf::from(name)], None).unwrap();
        assert_eq!(loaded.config.routers.len(), 1);
    }
}

#[test]
fn the_order_of_blocks_does_not_matter() {
    let below = Below::project("tests/golden/config");
    let config = |name: &str| load(&below, &[PathBuf::from(name)], None).unwrap().config;
    assert_eq!(config("globals-first.conf"), config("globals-last.conf"));
}

#[test]
fn several_files_of_different_dialects_make_one_configuration() {
    let memory = Memory(
        [
            ("g.conf".into(), "global_defs {\n router_id lb1\n}\n".to_owned()),
            ("k.conf".into(), instance("", "51")),
            (
                "v.toml".into(),
                "[vrrp.b]\ninterface='eth0'\nvrid=52\naddresses=['10.0.0.20/24']\n".to_owned(),
            ),
        ]
        .into(),
    );
    let files: Vec<PathBuf> = ["g.conf", "k.conf", "v.toml"].map(PathBuf::from).into();
    let loaded = load(&memory, &files, None).unwrap();
    let names: Vec<&str> = loaded.config.routers.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["VI_1", "b"]);
    assert_eq!(loaded.config.globals.router_id.as_deref(), Some("lb1"));
}

fn instance(body: &str, vrid: &str) -> String {
    format!(
        "vrrp_instance VI_1 {{\ninterface eth0\nvirtual_router_id {vrid}\n{body}\n\
         virtual_ipaddress {{\n10.0.0.10/24\n}}\n}}\n"
    )
}

// C9, W10
#[test]
fn an_advert_carries_255_ipv4_addresses_and_no_more() {
    let with = |n: u32| {
        let lines: String =
            (0..n).map(|i| format!("10.1.{}.{}/16\n", i / 200, i % 200 + 1)).collect();
        let excluded = "virtual_ipaddress_excluded {\n10.2.0.1/16\n}\n";
        load_text(&instance(excluded, "51").replace("10.0.0.10/24\n", &lines)).unwrap()
    };
    let full = with(255);
    assert_eq!(full.config.routers[0].advertised().count(), 255);
    assert!(full.warnings.is_empty());
    // The 256th follows the state all the same, before those that were excluded anyway.
    let surplus = with(256);
    let router = &surplus.config.routers[0];
    assert_eq!(router.advertised().count(), 255);
    let excluded: Vec<String> = router
        .addresses
        .iter()
        .filter(|a| !a.advertised)
        .map(|a| a.cidr.address().to_string())
        .collect();
    assert_eq!(excluded, ["10.1.1.56", "10.2.0.1"]);
    let said: Vec<&str> = surplus.warnings.iter().map(|w| w.message.as_str()).collect();
    assert_eq!(said, ["256 addresses; an advert carries at most 255 IPv4 addresses"]);
}

#[test]
fn a_global_setting_wrong_for_all_instances_is_reported_once() {
    let second = instance("", "52").replace("VI_1", "VI_2").replace(".10/", ".20/");
    let globals = "global_defs {\nvrrp_garp_master_repeat 300\n}\n";
    let said = load_text(&format!("{globals}{}{second}", instance("", "51"))).unwrap_err();
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
}

#[test]
fn receive_buffers_add_up_per_socket() {
    let of = |globals: &str, first: &str, second: &str| {
        let second = instance(second, "52").replace("VI_1", "VI_2").replace(".10/", ".20/");
        let globals = format!("global_defs {{\n{globals}\n}}\n");
        let loaded = load_text(&format!("{globals}{}{second}", instance(first, "51"))).unwrap();
        loaded.config.receive_buffer(&"eth0".parse().unwrap(), Family::Ipv4, 1500)
    };
    let own = "kernel_rx_buf_size 40000";
    assert_eq!(of("", "", ""), RECEIVE_BUFFER);
    assert_eq!(of("", own, ""), RECEIVE_BUFFER, "one that does not ask loses nothing");
    assert_eq!(of("", own, own), 80_000);
    assert_eq!(of("vrrp_rx_bufs_policy 1000", own, ""), 41_000);
    assert_eq!(of("vrrp_rx_bufs_policy MTU", own, ""), 40_000 + 3 * 1500);
    // IPv4 header, VRRPv2 header, one address, authentication data.
    assert_eq!(of("vrrp_rx_bufs_policy ADVERT", "", ""), 2 * 3 * (20 + 8 + 4 + 8));
    let policy = "vrrp_rx_bufs_policy ADVERT\nvrrp_rx_bufs_multiplier 10";
    assert_eq!(of(policy, "", ""), 2 * 10 * 40);
}

/// Every keyword of the table is known to the parser in its own block.
#[test]
fn no_keyword_of_the_table_is_unknown() {
    let rows: Vec<_> = coverage().collect();
    assert!(rows.len() > 250, "{}", rows.len());
    for row in rows {
        let line = format!("{} 1\n", row.keyword);
        let text = match row.block.as_str() {
            "the preprocessor" | "an address line" | "a peer line" => continue,
            "the top level" => line,
            "global_defs" => format!("global_defs {{\n{line}}}\n"),
            "vrrp_instance" => instance(&line, "51"),
            "authentication" => instance(&format!("authentication {{\n{line}}}\n"), "51"),
            "auth_hmac" => instance(&format!("auth_hmac {{\n{line}}}\n"), "51"),
            block => format!("{block} X {{\n{line}}}\n"),
        };
        let said = match load_text(&text) {
            Ok(loaded) => loaded.warnings.iter().map(|w| w.message.clone()).collect(),
            Err(said) => said,
        };
        assert!(!said.contains("unknown keyword"), "{row:?}: {said}");
        assert!(!said.contains("does not belong"), "{row:?}: {said}");
    }
}

/// Nothing that is refused loads, and nothing that is "not supported" loads without a word.
#[test]
fn classes_are_what_they_say() {
    for row in coverage() {
        let line = format!("{} 1\n", row.keyword);
        let one = |line: &str| instance(line, "51");
        let text = match row.block.as_str() {
            "the top level" => line + &one(""),
            "global_defs" => format!("global_defs {{\n{line}}}\n{}", one("")),
            "vrrp_instance" => one(&line),
            "vrrp_sync_group" => {
                let other = instance("", "52").replace("VI_1", "VI_2").replace(".10/", ".20/");
                let both = one("") + &other;
                format!("{both}vrrp_sync_group G {{\ngroup {{\nVI_1 VI_2\n}}\n{line}}}\n")
            }
            _ => continue,
        };
        let loaded = load_text(&text);
        match row.status {
            "refused" => assert!(loaded.is_err(), "{row:?}"),
            "no effect" => assert!(loaded.unwrap().warnings.is_empty(), "{row:?}"),
            "not supported" => assert_eq!(loaded.unwrap().notes.len(), 1, "{row:?}"),
            _ => {}
        }
    }
}

/// What vipd makes of every keyword it honours is in an expected output.
#[test]
fn every_honoured_keyword_is_in_a_golden() {
    let mut seen = BTreeSet::new();
    for dir in ["tests/golden/config", "tests/golden/config/published"] {
        for name in golden_files(dir).into_iter().filter(|name| name.ends_with(".conf")) {
            let reading = Reading { explain: true, ..Reading::default() };
            let statements = match load_as(&Below::project(dir), &[name.into()], reading) {
                Ok(loaded) => loaded.statements,
                Err(failed) => failed.statements,
            };
            seen.extend(statements.into_iter().map(|statement| {
                // Inside a block of vipd's own each line has the mark, and a plain keyword.
                let own = statement.text.strip_prefix("#vipd ");
                let text = own.unwrap_or(&statement.text);
                let keyword = text.split_whitespace().next().unwrap_or_default();
                let own = own.is_some() && statement.block != "vipd_check";
                (statement.block, if own { format!("vipd_{keyword}") } else { keyword.to_owned() })
            }));
        }
    }
    let inside = ["the preprocessor", "an address line", "a peer line"];
    let unseen: Vec<_> = coverage()
        .filter(|row| row.status == "yes" && !inside.contains(&row.block.as_str()))
        .filter(|row| !seen.contains(&(row.block.clone(), row.keyword.to_owned())))
        .map(|row| format!("{} in {}", row.keyword, row.block))
        .collect();
    assert_eq!(unseen, [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Hostile text: no panic, whatever dialect it is taken for.
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,300}", extra in "[ \t\n\r{}\"#!$@~\\\\\\[\\]=a-z0-9/.]{0,300}") {
        for text in [&text, &extra] {
            for format in [None, Some("toml"), Some("keepalived")] {
                let format = format.map(|f| f.parse().unwrap());
                let loaded = load(&Memory::one(text), &[PathBuf::from("a.conf")], format);
                if let Err(failed) = loaded {
                    prop_assert!(!failed.diagnostics.is_empty());
                    drop(failed.render());
                }
            }
        }
    }
}

#[test]
fn time_is_bounded() {
    let started = std::time::Instant::now();
    for text in ["{".repeat(100_000), "a {\n".repeat(50_000), "x \"\n".repeat(50_000)] {
        assert!(load_text(&text).is_err());
    }
    let many: String =
        (0..2000).map(|i| format!("vrrp_instance V{i} {{\nbogus{i}\n}}\n")).collect();
    assert!(load_text(&many).is_err());
    let files = "include a.conf\ninclude a.conf\n".repeat(200);
    assert!(load_text(&files).is_err());
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
