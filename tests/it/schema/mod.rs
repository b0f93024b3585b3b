//! The published schemas are what the code prints, and everything it prints follows them.

mod violations;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use vipd::cli::check::{CheckArgs, check};
use vipd::cli::schema::Printed;
use vipd::config::vipd_toml;
use vipd::status::{Change, Changes, ObjectChange, RouterChange, SettingChange, Snapshot, State};

use crate::cluster;
use crate::engine::bench::Bench;
use crate::engine::setup::{HIGH, LOW, V2, advert, secs, with_priority};
use crate::expected::expect;
use crate::status_render;
use violations::violations;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compares with what is published.
fn published(printed: Printed, name: &str) -> Value {
    let schema = printed.schema();
    expect(&project("packaging/schema").join(name), &schema);
    serde_json::from_str(&schema).unwrap()
}

fn printed(args: &CheckArgs) -> Value {
    let mut out = Vec::new();
    check(&CheckArgs { json: true, ..args.clone() }, &mut out);
    serde_json::from_slice(&out).unwrap()
}

/// Every configuration the tests have.
fn configurations() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![project("tests/golden/config"), project("tests/golden/lenient")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|e| e.to_str()) {
                _ if path.is_dir() => folders.push(path),
                Some("conf" | "toml" | "cfg") => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

#[test]
fn everything_check_prints_follows_its_published_schema() {
    let schema = published(Printed::Check, "check.json");
    let files = configurations();
    assert!(files.len() > 50, "{files:?}");
    for file in files {
        for lenient in [false, true] {
            let args = CheckArgs {
                files: vec![file.clone()],
                lenient,
                explain: lenient.then(String::new),
                ..CheckArgs::default()
            };
            let found = violations(&schema, &schema, &printed(&args), "");
            assert!(found.is_empty(), "{}: {found:#?}", file.display());
        }
    }
}

/// The tables named so in [`vipd_toml::KEYS`], wherever they stand in the schema.
fn tables<'s>(schema: &'s Value, name: &str) -> Vec<&'s Value> {
    let of = |pointer: &str| {
        schema.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in the schema"))
    };
    let router = "/properties/vrrp/additionalProperties";
    let listener = "/properties/listener/additionalProperties/properties";
    let member = "/properties/cluster/additionalProperties/properties/members/items/anyOf/1";
    let (kind, is_tracker) = match name.strip_prefix("track.") {
        Some(rest) => (rest.trim_end_matches(".NAME"), true),
        None => (name.trim_end_matches(".NAME"), false),
    };
    let tracker =
        |kind: &str| of(&format!("/properties/track/properties/{kind}/additionalProperties"));
    match (name, kind) {
        (_, "KIND") => vec![tracker("script"), tracker("postgres")],
        (_, kind) if is_tracker => vec![tracker(kind)],
        ("", _) => vec![schema],
        ("global" | "mail" | "metrics", _) => vec![of(&format!("/properties/{kind}"))],
        ("static" | "fifo", _) => vec![of(&format!("/properties/{kind}/items"))],
        ("announce", _) => vec![of(&format!("{router}/properties/announce"))],
        ("vrrp.NAME.notify", _) => vec![of(&format!("{router}/properties/notify"))],
        ("address", _) => vec![of(&format!("{router}/properties/addresses/items/anyOf/1"))],
        ("peer", _) => vec![of(&format!("{router}/properties/peers/items/anyOf/1"))],
        ("an entry", _) => vec![of(&format!("{router}/properties/track/items/anyOf/1"))],
        ("command", _) => {
            vec![of(&format!("{router}/properties/notify/properties/master/anyOf/1"))]
        }
        ("a member", _) => vec![of(member)],
        ("a place to listen at", _) => vec![of(&format!("{listener}/bind/anyOf/0/anyOf/1"))],
        ("a server", _) => vec![of(&format!("{listener}/servers/items/anyOf/1"))],
        ("client", _) => vec![of(&format!("{listener}/client")), of(&format!("{listener}/server"))],
        ("status_check", _) => ["status_check", "primary_status_check"]
            .map(|key| of(&format!("{listener}/{key}")))
            .into(),
        ("a user", _) => {
            vec![of("/properties/page/additionalProperties/properties/users/items")]
        }
        _ => vec![of(&format!("/properties/{kind}/additionalProperties"))],
    }
}

#[test]
fn the_schema_of_vipd_toml_has_every_setting_and_no_other() {
    let schema = published(Printed::Config, "vipd.toml.json");
    let mut of_table: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (table, names) in vipd_toml::KEYS {
        for found in tables(&schema, table) {
            let properties = found["properties"].as_object().unwrap();
            for name in *names {
                assert!(properties.contains_key(*name), "{table}: {name} is not in {found:#}");
            }
            let known = of_table.entry(table).or_default();
            known.extend(*names);
        }
    }
    for (table, names) in of_table {
        for found in tables(&schema, table).into_iter().filter(|_| !table.starts_with("track.")) {
            for (name, setting) in found["properties"].as_object().unwrap() {
                let known = names.contains(&**name) || setting["deprecated"] == true;
                assert!(known, "{table}: {name} is no setting");
            }
        }
    }
}

/// What stands behind "Default:", up to the reason for it.
fn default_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("Default: ")?;
    let ends = [", ", "; ", ". ", ": ", " ("].iter().filter_map(|end| rest.find(end));
    let value = &rest[..ends.min().unwrap_or(rest.len())];
    let value = value.trim_end_matches('.').replace(" seconds", "s").replace('"', "");
    let words: Vec<&str> = value.split_whitespace().collect();
    let value = match words.as_slice() {
        [number, "s"] if number.parse::<f64>().is_ok() => format!("{number}s"),
        ["never"] => "0s".to_owned(),
        words => words.join(" "),
    };
    Some(value)
}

/// What vipd.toml(5) says of a setting.
struct Entry {
    /// What stands behind its name and `=`.
    value: String,
    text: String,
}

/// All of them, by section and setting.
fn manual() -> BTreeMap<(String, String), Vec<Entry>> {
    let page = std::fs::read_to_string(project("man/vipd.toml.5")).unwrap();
    let mut found: BTreeMap<(String, String), Vec<Entry>> = BTreeMap::new();
    let mut section = String::new();
    // Settings whose text stands with the next of them.
    let mut waiting: Vec<(String, String)> = Vec::new();
    for part in page.split("\n.It Ic ").flat_map(|part| part.split("\n.Bl ")) {
        let (names, text) = part.split_once('\n').unwrap_or((part, ""));
        let text = text.split("\n.El").next().unwrap_or_default().replace("\\&\"", "");
        let bare = |line: &str| -> String {
            if let Some(aside) = line.strip_prefix(".Pq ") {
                return format!("({aside})");
            }
            let macros = [".Ql ", ".Ic ", ".Ar "];
            macros.iter().find_map(|name| line.strip_prefix(name)).unwrap_or(line).to_owned()
        };
        let text: Vec<String> = text.lines().map(bare).collect();
        let text = text.join(" ").replace(" .", ".").replace(" ,", ",").replace(" ;", ";");
        let text = text.replace("\\-", "-");
        let (names, value) = names.split_once(" No = ").unwrap_or((names, ""));
        waiting.extend(names.split(" , ").map(|name| (name.to_owned(), value.to_owned())));
        if !text.is_empty() {
            for (name, value) in waiting.drain(..) {
                let entry = Entry { value, text: text.clone() };
                found.entry((section.clone(), name)).or_default().push(entry);
            }
        }
        for line in part.lines().filter(|line| line.starts_with(".Sh ") || line.starts_with(".Ss "))
        {
            section = line[4..].to_owned();
        }
    }
    found
}

/// The numbers of the first "1 to 255" in a text.
fn range_in(text: &str) -> Option<(i64, i64)> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |word: &str| word.trim_end_matches([',', '.', ';', ':']).parse().ok();
    words.windows(3).filter(|words| words[1] == "to").find_map(|words| {
        let range: (i64, i64) = (number(words[0])?, number(words[2])?);
        (range.0 < range.1).then_some(range)
    })
}

/// What is wrong with an entry of the manual, by what its row says.
fn contradiction(setting: &Value, entry: &Entry) -> Option<String> {
    let Entry { value, text } = entry;
    if let Some(words) = setting["enum"].as_array() {
        let all = format!("{value} {text}");
        let missing = words.iter().find(|word| !all.contains(word.as_str().unwrap()));
        return missing.map(|word| format!("says nothing of {word}"));
    }
    let kind = match (setting["type"].as_str(), &setting["pattern"]) {
        (Some("integer"), _) => "number",
        (Some("boolean"), _) => "boolean",
        (_, Value::String(_)) => "time",
        _ => "text",
    };
    // `2 | 3` are numbers as well, and an address is a text.
    let others = match kind {
        "number" => value.starts_with(|c: char| c.is_ascii_digit()),
        "text" => value.contains("address"),
        _ => false,
    };
    if !value.contains(kind) && !others {
        return Some(format!("is {value} instead of a {kind}"));
    }
    let own = (setting["minimum"].as_i64()?, setting["maximum"].as_i64()?);
    range_in(text).filter(|said| *said != own).map(|said| format!("{said:?} instead of {own:?}"))
}

#[test]
fn the_manual_says_what_the_rows_say() {
    let schema: Value = serde_json::from_str(&Printed::Config.schema()).unwrap();
    let manual = manual();
    let sections: &[(&str, &[&str])] = &[
        ("global", &["GLOBAL", "The process"]),
        ("interface.NAME", &["INTERFACES"]),
        ("pacing.NAME", &["INTERFACES", "Announcements"]),
        ("vrrp.NAME", &["Identity", "Election", "Packets"]),
        ("announce", &["Announcements"]),
        ("vrrp.NAME.notify", &["NOTIFICATIONS"]),
        ("track.script.NAME", &["TRACKERS", "script"]),
        ("track.file.NAME", &["TRACKERS", "file"]),
        ("track.process.NAME", &["TRACKERS", "process"]),
        ("track.tcp.NAME", &["TRACKERS", "tcp, postgres"]),
        ("track.http.NAME", &["TRACKERS", "http, patroni, haproxy"]),
        ("track.patroni.NAME", &["TRACKERS", "http, patroni, haproxy"]),
        ("track.haproxy.NAME", &["TRACKERS", "http, patroni, haproxy"]),
        ("track.KIND.NAME", &["TRACKERS", "script"]),
        ("group.NAME", &["GROUPS"]),
        ("fifo", &["FIFOs"]),
        ("mail", &["Mail"]),
        ("cluster.NAME", &["CLUSTERS", "http, patroni, haproxy"]),
        ("a member", &["CLUSTERS"]),
        ("listener.NAME", &["LISTENERS"]),
        ("a server", &["LISTENERS"]),
        ("client", &["LISTENERS"]),
        ("status_check", &["LISTENERS", "CLUSTERS", "http, patroni, haproxy"]),
        ("address", &["ADDRESSES"]),
        ("static", &["STATIC ADDRESSES", "ADDRESSES"]),
        ("peer", &["PEERS"]),
        ("page.NAME", &["STATUS PAGES"]),
    ];
    let page = std::fs::read_to_string(project("man/vipd.toml.5")).unwrap();
    // `path` of a request has a sentence instead of an entry.
    let named: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix(".Ic "))
        .flat_map(str::split_whitespace)
        .collect();
    let (mut compared, mut differing) = (0, Vec::new());
    for table in vipd_toml::KEYS.iter().map(|(table, _)| *table).collect::<BTreeSet<&str>>() {
        let settings = tables(&schema, table)[0]["properties"].as_object().unwrap();
        let sections = sections.iter().find(|(known, _)| *known == table);
        // What has no row is prose alone.
        let rows = settings.iter().filter(|(_, setting)| setting["deprecated"].is_null());
        for (name, setting) in rows {
            let Some(about) = setting["description"].as_str() else { continue };
            let (_, sections) = sections.unwrap_or_else(|| panic!("{table} is in no section"));
            let entries: Vec<&Entry> = sections
                .iter()
                .filter_map(|section| manual.get(&((*section).to_owned(), name.clone())))
                .flatten()
                .collect();
            if entries.is_empty() {
                if !named.contains(name.as_str()) {
                    differing.push(format!("{table} {name}: not in {sections:?}"));
                }
                continue;
            }
            let wrong: Vec<String> =
                entries.iter().filter_map(|entry| contradiction(setting, entry)).collect();
            if wrong.len() == entries.len() {
                differing.push(format!("{table} {name}: {}", wrong.join(", ")));
            }
            let said: Vec<String> =
                entries.iter().filter_map(|entry| default_in(&entry.text)).collect();
            let Some(own) = default_in(about) else { continue };
            compared += said.len();
            if !said.contains(&own) {
                differing.push(format!("{table} {name}: {own}, in the manual {said:?}"));
            }
        }
    }
    assert!(compared > 80, "{compared}");
    assert!(differing.is_empty(), "{differing:#?}");
}

#[test]
fn every_vipd_toml_that_can_be_used_follows_the_schema() {
    let schema: Value = serde_json::from_str(&Printed::Config.schema()).unwrap();
    let mut used = 0;
    let examples = std::fs::read_dir(project("examples")).unwrap();
    let examples = examples.map(|entry| entry.unwrap().path());
    for file in configurations().into_iter().chain(examples) {
        if file.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let args = CheckArgs { files: vec![file.clone()], ..CheckArgs::default() };
        if printed(&args)["usable"] != true {
            continue;
        }
        let Ok(value) = toml::from_str::<toml::Value>(&text) else { continue };
        used += 1;
        let found = violations(&schema, &schema, &serde_json::to_value(value).unwrap(), "");
        assert!(found.is_empty(), "{}: {found:#?}", file.display());
    }
    assert!(used > 10, "{used}");
}

#[test]
fn everything_a_comparison_prints_follows_its_published_schema() {
    let schema = published(Printed::CheckPair, "check-pair.json");
    let mut pairs = 0;
    for file in configurations() {
        for other in [&file, &project("examples/keepalived-edge.conf")] {
            let pair = vec![file.clone(), other.clone()];
            let value = printed(&CheckArgs { pair, ..CheckArgs::default() });
            pairs += usize::from(!value["routers"].as_array().unwrap().is_empty());
            let found = violations(&schema, &schema, &value, "");
            assert!(found.is_empty(), "{}: {found:#?}", file.display());
        }
    }
    assert!(pairs > 20, "{pairs}");
}

/// Statuses with something in every field, between them.
fn statuses() -> Vec<Snapshot> {
    let mut engine = Bench::master(with_priority(150));
    let reigning = engine.snapshot();
    engine.hear(&advert(LOW, 50).speaking(V2));
    engine.hear(&advert(HIGH, 200).at(engine.elapsed() + secs(1)));
    let clusters = cluster::bench::Bench::settled();
    let clusters = clusters.engine.snapshot(clusters.now);
    assert!(!clusters.clusters.is_empty() && !clusters.listeners.is_empty());
    let routers = [status_render::snapshot(), status_render::tracking(), reigning];
    routers.into_iter().chain([engine.snapshot(), clusters]).collect()
}

fn follows(schema: &Value, value: &impl Serialize) {
    let value = serde_json::to_value(value).unwrap();
    let found = violations(schema, schema, &value, "");
    assert!(found.is_empty(), "{value:#}: {found:#?}");
}

#[test]
fn every_status_follows_its_published_schema() {
    let schema = published(Printed::Status, "status.json");
    // What is printed about one router.
    let of_one = &schema["$defs"]["RouterStatus"];
    for status in statuses() {
        follows(&schema, &status);
        for router in status.routers {
            let router = serde_json::to_value(router).unwrap();
            assert_eq!(violations(&schema, of_one, &router, ""), [""; 0]);
        }
    }
}

#[test]
fn the_answer_to_a_reload_follows_its_published_schema() {
    let schema = published(Printed::Reload, "reload.json");
    let settings = vec![SettingChange {
        setting: "priority".into(),
        from: Some("100".into()),
        to: None,
        note: String::new(),
    }];
    let change = RouterChange {
        name: "VI_1".into(),
        change: Change::Changed,
        state: Some(State::Master),
        effect: "stays master".into(),
        settings: settings.clone(),
    };
    let object = ObjectChange {
        kind: "listener".to_owned(),
        name: "write".to_owned(),
        change: Change::Changed,
        settings: settings.clone(),
    };
    let changes =
        Changes { globals: settings, routers: vec![change], objects: vec![object], unchanged: 3 };
    for (refused, changes) in [(None, Some(changes)), (Some("line 3: no"), None)] {
        let answer = serde_json::json!({
            "reloaded": changes.is_some(),
            "dry_run": false,
            "refused": refused,
            "warnings": "",
            "changes": changes,
            "failures": [],
        });
        follows(&schema, &answer);
    }
}

#[test]
fn the_checker_of_these_tests_notices() {
    let schema = serde_json::json!({
        "type": "object",
        "properties": { "n": { "type": "integer" }, "s": { "type": ["string", "null"] } },
        "required": ["n"],
    });
    let all = |value| violations(&schema, &schema, &value, "");
    assert_eq!(all(serde_json::json!({ "n": 1, "s": null })), [""; 0]);
    assert_eq!(
        all(serde_json::json!({ "s": 1 })),
        [": n is missing", ".s: integer instead of string or null"]
    );
    assert_eq!(all(serde_json::json!({ "n": 1, "x": 1 })), [".x: not in the schema"]);
}
