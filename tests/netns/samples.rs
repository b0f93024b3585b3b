//! keepalived's own sample configurations, as its Debian package ships them: every word is known,
//! and what is refused is refused for a reason.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::common::binary;
use crate::turns::together;

/// Where the package, or `tests/setup-debian.sh`, puts them.
const SAMPLES: &str = "/usr/share/doc/keepalived/samples";

/// The samples that hold VRRP, and what is said against them besides virtual servers.
const VRRP: &[(&str, &[&str])] = &[
    ("SSL_GET", &["`auth_type AH` is not supported"]),
    ("conditional_conf", &["`use_vmac` is not supported"]),
    ("sample", &[]),
    ("track_interface", &["`static_routes` is not supported", "`virtual_routes` is not supported"]),
    ("vrrp", &[]),
    ("vrrp.localcheck", &[]),
    ("vrrp.lvs_syncd", &["the member VI_2 stands outside `group { }`"]),
    ("vrrp.routes", &["`static_routes` is not supported", "`virtual_routes` is not supported"]),
    ("vrrp.rules", &["`static_rules` is not supported", "`virtual_rules` is not supported"]),
    ("vrrp.scripts", &[]),
    ("vrrp.static_ipaddress", &["`virtual_routes` is not supported"]),
    ("vrrp.sync", &[]),
];

fn check(file: &Path, node: &str, options: &[&str]) -> Value {
    let mut vipd = Command::new(binary());
    vipd.args(["check", "--json", "--config-id", node]).args(options).arg(file);
    let done = vipd.output().unwrap();
    serde_json::from_slice(&done.stdout).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

fn errors(said: &Value) -> Vec<&Value> {
    let all = said["diagnostics"].as_array().unwrap().iter();
    all.filter(|d| d["severity"] == "error").collect()
}

fn message(diagnostic: &Value) -> &str {
    diagnostic["message"].as_str().unwrap()
}

#[test]
fn every_sample_is_understood() {
    let _turn = together();
    let entries = std::fs::read_dir(SAMPLES).unwrap_or_else(|e| {
        panic!("cannot read {SAMPLES}: {e}; tests/setup-debian.sh puts keepalived's samples there")
    });
    let mut files = 0;
    for entry in entries {
        let file = entry.unwrap().path();
        let Some(name) = file.file_name().and_then(|name| name.to_str()) else { continue };
        if !name.starts_with("keepalived.conf") {
            continue;
        }
        files += 1;
        for node in ["high", "low"] {
            let said = check(&file, node, &[]);
            let all = said["diagnostics"].as_array().unwrap();
            for strange in ["unknown keyword", "does not belong", "neither vipd.toml"] {
                let found = all.iter().find(|d| message(d).contains(strange));
                assert_eq!(found, None, "{name}");
            }
            for error in errors(&said) {
                assert_ne!(error["help"].as_array().unwrap().len(), 0, "{name}: {error}");
            }
        }
    }
    assert!(files >= 20, "{files} samples in {SAMPLES}");
}

#[test]
fn samples_of_vrrp_run_or_say_which_feature_is_missing() {
    let _turn = together();
    for (name, expected) in VRRP {
        let file = Path::new(SAMPLES).join(format!("keepalived.conf.{name}"));
        for node in ["high", "low"] {
            let said = check(&file, node, &["--vrrp"]);
            let errors = errors(&said);
            let messages: Vec<&str> = errors.iter().map(|e| message(e)).collect();
            assert_eq!(messages, *expected, "{name} on {node}");
            let routers = said["routers"].as_array().unwrap().len();
            assert_eq!(routers > 0, expected.is_empty(), "{name} on {node}: {said}");
        }
    }
}
