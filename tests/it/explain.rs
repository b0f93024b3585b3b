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
    // The columns are as wide as the names of the files, so these must not depend on where the project is.
    let golden = Path::new("tests/golden");
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

/// Whatever a vipd.toml says has a place in the explanation: no setting that was written is a default.
#[test]
fn every_setting_of_a_file_has_an_origin() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = crate::config_keepalived::golden_files("tests/golden/config").into_iter();
    let golden = golden.map(|name| root.join("tests/golden/config").join(name));
    let examples = std::fs::read_dir(root.join("examples")).unwrap().map(|e| e.unwrap().path());
    let mut files = 0;
    for path in golden.chain(examples).filter(|path| path.extension().is_some_and(|e| e == "toml"))
    {
        let args = CheckArgs { json: true, ..of_file(&path) };
        let json: serde_json::Value = serde_json::from_str(&explain(&args).1).unwrap();
        if json["usable"] != true {
            continue;
        }
        files += 1;
        let mut lines = BTreeSet::new();
        places(&json, &mut lines);
        let text = std::fs::read_to_string(&path).unwrap();
        let keys = keys(&text);
        for (n, (line, key)) in keys.iter().enumerate() {
            let next = keys.get(n + 1).map_or(u64::MAX, |(line, _)| *line);
            let shown = lines.range(*line..next.max(line + 1)).next().is_some();
            assert!(shown, "{}:{line}: {key} has no origin", path.display());
        }
    }
    assert!(files > 8, "{files}");
}

/// Every line that `--explain` gives as a place of a setting.
fn places(value: &serde_json::Value, lines: &mut BTreeSet<u64>) {
    match value {
        serde_json::Value::Object(fields) => {
            if fields.contains_key("setting") {
                lines.extend(value["place"]["line"].as_u64());
            }
            fields.values().for_each(|value| places(value, lines));
        }
        serde_json::Value::Array(all) => all.iter().for_each(|value| places(value, lines)),
        _ => {}
    }
}

/// The settings of a file that stand at the beginning of a line, with their lines.
fn keys(text: &str) -> Vec<(u64, String)> {
    let mut depth = 0;
    let mut keys = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap().trim();
        if depth == 0
            && !line.starts_with('[')
            && let Some((key, _)) = line.split_once('=')
        {
            keys.push((u64::try_from(n).unwrap() + 1, key.trim().to_owned()));
        }
        let count = |of: &[char]| i64::try_from(line.matches(of).count()).unwrap();
        depth += count(&['[', '{']) - count(&[']', '}']);
    }
    keys
}
