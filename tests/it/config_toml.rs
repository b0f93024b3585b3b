//! vipd.toml through the front door, and its manual.

use std::path::{Path, PathBuf};

use vipd::config::load::load;
use vipd::config::vipd_toml::KEYS;

use crate::expected::Below;

fn project_file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn examples_load_without_a_warning() {
    let below = Below::project("examples");
    for name in ["vipd.toml", "keepalived-edge.conf"] {
        let loaded = load(&below, &[PathBuf::from(name)], None).unwrap();
        let said: String = loaded.warnings.iter().map(|w| w.render(&loaded.map, false)).collect();
        assert_eq!(said, "");
    }
}

/// The two examples are the same router but for its name.
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

/// Every key stands in the manual, and every key of the list is read.
#[test]
fn every_key_is_documented_and_read() {
    let manual = project_file("man/vipd.toml.5");
    let full = project_file("tests/golden/config/toml-full.toml");
    for (table, keys) in KEYS {
        for key in *keys {
            let item = format!(".It Ic {key}");
            let documented =
                manual.lines().any(|line| line == item || line.starts_with(&(item.clone() + " ")));
            assert!(documented || table.is_empty(), "{key} of [{table}] is not in vipd.toml(5)");
            let written = full.contains(&format!("{key} = ")) || full.contains(&format!("[{key}"));
            // Strict mode and other values contradict each other: toml-strict.toml has it.
            assert!(written || *key == "strict", "{key} of [{table}] is not in toml-full.toml");
        }
    }
}
