//! `vipd check --explain`: what becomes of each statement, in the places of the user's own files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use vipd::cli::check::{CheckArgs, check};
use vipd::cli::exit;
use vipd::import::keepalived::coverage;

use crate::expected::expect;

fn explain(args: &CheckArgs) -> (std::process::ExitCode, String) {
    let mut out = Vec::new();
    let code = check(args, &mut out);
    (code, String::from_utf8(out).unwrap())
}

fn of_file(path: &Path) -> CheckArgs {
    CheckArgs {
        files: vec![path.to_owned()],
        config_id: Some("lb1".into()),
        explain: Some(String::new()),
        ..CheckArgs::default()
    }
}

#[test]
fn golden() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for name in [
        "published/edge.conf",
        "published/patroni-2node-master.conf",
        "published/patroni-2node-fallback.cfg",
        "haproxy-full.cfg",
        "haproxy-page.cfg",
        "honoured.conf",
        "globals-last.conf",
        "no-effect.conf",
        "include-main.conf",
        "preprocessor.conf",
        "error-mistakes.conf",
        "error-refused.conf",
        "toml-full.toml",
    ] {
        let path = golden.join("config").join(name);
        let (_, text) = explain(&of_file(&path));
        let text = text.replace(&format!("{}/", path.parent().unwrap().display()), "");
        let expected = format!("{}.expected", path.file_name().unwrap().display());
        expect(&golden.join("explain").join(expected), &text);
    }
}

/// Explaining changes neither the verdict nor what else is said.
#[test]
fn the_verdict_stays_the_same() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/config");
    for name in crate::config_keepalived::golden_files("tests/golden/config") {
        let explained = of_file(&dir.join(&name));
        let plain = CheckArgs { explain: None, ..explained.clone() };
        let (with, text) = explain(&explained);
        let (without, short) = explain(&plain);
        assert_eq!(with, without, "{name}");
        // But for the way to the reasons, which are there now.
        for line in short.lines().filter(|line| !line.ends_with("--explain` says why")) {
            assert!(text.contains(line), "{name}: {line}");
        }
    }
}

#[test]
fn json_has_the_statements_and_where_settings_come_from() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/config/globals-last.conf");
    let args = CheckArgs { json: true, ..of_file(&path) };
    let json: serde_json::Value = serde_json::from_str(&explain(&args).1).unwrap();
    let statuses: BTreeSet<&str> = json["statements"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|statement| statement["status"].as_str())
        .collect();
    assert!(statuses.contains("yes"), "{statuses:?}");
    let first = &json["statements"][0];
    assert_eq!(first["place"]["file"], path.to_str().unwrap());
    assert!(first["place"]["line"].as_u64().unwrap() > 0);
    let settings = json["routers"][0]["settings"].as_array().unwrap();
    let of = |name: &str| settings.iter().find(|s| s["setting"] == name).unwrap();
    assert!(of("vrid")["place"]["line"].as_u64().unwrap() > 0);
    assert!(of("lease").get("place").is_none());
}

#[test]
fn a_keyword_is_looked_up_in_the_coverage_table() {
    let ask =
        |word: &str| explain(&CheckArgs { explain: Some(word.to_owned()), ..CheckArgs::default() });
    for row in coverage().chain(vipd::import::haproxy::coverage()) {
        let (code, text) = ask(row.keyword);
        assert_eq!(code, exit::code(exit::OK), "{}", row.keyword);
        assert!(text.contains(&row.text), "{text}");
    }
    assert_eq!(ask("prioriti").0, exit::code(exit::NO_INPUT));
    let both = CheckArgs {
        files: vec![PathBuf::from("a.conf")],
        explain: Some("x".into()),
        ..CheckArgs::default()
    };
    assert_eq!(explain(&both).0, exit::code(exit::USAGE));
}
