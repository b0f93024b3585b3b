//! vipd.toml through the front door, and its manual.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use vipd::config::vipd_toml::KEYS;
use vipd::load::load;

use crate::convert::convert_keeps;
use crate::expected::{Below, dump};

fn project_file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

const EXAMPLES: [&str; 13] = [
    "vipd.toml",
    "keepalived-edge.conf",
    "vipd-unicast.toml",
    "keepalived-unicast.conf",
    "vipd-trackers.toml",
    "keepalived-trackers.conf",
    "keepalived-notify.conf",
    "vipd-notify.toml",
    "vipd-patroni.toml",
    "keepalived-patroni.conf",
    "vipd-proxy.toml",
    "vipd-page.toml",
    "haproxy-patroni.cfg",
];

#[test]
fn examples_load_without_a_warning() {
    let below = Below::project("examples");
    for name in EXAMPLES {
        let loaded = load(&below, &[PathBuf::from(name)], None).unwrap();
        let said: String = loaded.warnings.iter().map(|w| w.render(&loaded.map, false)).collect();
        assert_eq!(said, "");
    }
}

/// The first two examples are the same router but for its name.
#[test]
fn both_dialects_lower_to_one_model() {
    let below = Below::project("examples");
    let router = |name: &str| {
        let loaded = load(&below, &[PathBuf::from(name)], None).unwrap();
        let mut router = (*loaded.config.routers[0]).clone();
        router.name = "edge".into();
        router
    };
    assert_eq!(router("vipd.toml"), router("keepalived-edge.conf"));
}

/// The examples for database nodes are the same router and the same checks.
#[test]
fn both_dialects_follow_a_leader_alike() {
    let below = Below::project("examples");
    let load = |name: &str| load(&below, &[PathBuf::from(name)], None).unwrap().config;
    let (toml, conf) = (load("vipd-patroni.toml"), load("keepalived-patroni.conf"));
    assert_eq!(toml.routers, conf.routers);
    assert_eq!(toml.trackers, conf.trackers);
}

/// What is commented out in the example is right as well.
#[test]
fn the_sub_second_example_loads() {
    let text = project_file("examples/vipd.toml")
        .replace("# version = 3 ", "version = 3 ")
        .replace("# interval", "interval")
        .replace("auth_pass = ", "# auth_pass = ");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("v.toml"), text).unwrap();
    let loaded = load(&Below(dir.path().into()), &[PathBuf::from("v.toml")], None).unwrap();
    assert_eq!(loaded.config.routers[0].interval.get(), 25);
    assert_eq!(loaded.config.routers[0].dialect.version(), 3);
}

// C9, W10: what keepalived would take for excluded is to be said in so many words here.
#[test]
fn more_addresses_than_an_advert_carries_are_an_error() {
    let load_with = |count: u32| {
        let list: String =
            (0..count).map(|i| format!("\"10.1.{}.{}/16\", ", i / 200, i % 200 + 1)).collect();
        let text = format!("[vrrp.x]\ninterface = \"eth0\"\nvrid = 1\naddresses = [{list}]\n");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("v.toml"), text).unwrap();
        load(&Below(dir.path().into()), &[PathBuf::from("v.toml")], None)
    };
    assert!(load_with(255).is_ok());
    let said = load_with(256).unwrap_err().render();
    assert!(said.contains("an advert carries at most 255 IPv4 addresses"), "{said}");
}

/// Every key stands in the manual, and every key of the list is read.
#[test]
fn every_key_is_documented_and_read() {
    let manual = project_file("man/vipd.toml.5");
    let full = ["full", "proxy", "page", "metrics"]
        .map(|name| project_file(&format!("tests/golden/config/toml-{name}.toml")))
        .concat();
    for (table, keys) in KEYS {
        for key in *keys {
            let item = format!(".It Ic {key}");
            let documented =
                manual.lines().any(|line| line == item || line.starts_with(&(item.clone() + " ")));
            assert!(documented || table.is_empty(), "{key} of [{table}] is not in vipd.toml(5)");
            let written = full.contains(&format!("{key} = ")) || full.contains(&format!("[{key}"));
            // Strict mode and other values contradict each other: toml-strict.toml has it.
            assert!(written || *key == "strict", "{key} of [{table}] is in none of the files");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Any value under any key: refused, or loaded and converted; never a panic.
    #[test]
    fn arbitrary_values_never_panic(
        settings in proptest::collection::btree_map(key(), value(), 0..12),
        address in proptest::collection::btree_map(key(), value(), 0..6),
    ) {
        let lines: String = settings.iter().map(|(k, v)| format!("{k} = {v}\n")).collect();
        let extra: String = address.iter().map(|(k, v)| format!(", {k} = {v}")).collect();
        let text = format!(
            "[vrrp.x]\ninterface = \"eth0\"\nvrid = 1\n{lines}\
             addresses = [\"10.0.0.10/24\", {{ address = \"10.0.0.11/24\"{extra} }}]\n"
        );
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("v.toml"), &text).unwrap();
        match load(&Below(dir.path().into()), &[PathBuf::from("v.toml")], None) {
            Ok(loaded) => {
                drop(dump(&loaded.config));
                drop(convert_keeps(&loaded));
            }
            Err(failed) => prop_assert!(failed.render().contains("error: ")),
        }
    }
}

fn key() -> impl Strategy<Value = String> {
    let keys = KEYS.iter().flat_map(|(_, keys)| keys.iter());
    let keys = keys.filter(|key| !["interface", "vrid", "addresses", "address"].contains(key));
    proptest::sample::select(keys.map(|key| (*key).to_owned()).collect::<Vec<_>>())
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        (0..300_u16).prop_map(|n| n.to_string()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<u64>().prop_map(|n| format!("\"{n}ms\"")),
        proptest::sample::select(vec![
            "\"1s\"",
            "\"eth0\"",
            "\"10.0.0.1\"",
            "\"fe80::1/64\"",
            "\"rfc5798\"",
            "\"+\"",
            "[]",
            "{}",
            "1.5",
            "{ repeat = 3 }",
            "[\"fe80::1\"]",
            "0x10",
            "1979-05-27",
        ])
        .prop_map(str::to_owned),
    ]
}
