//! The published schemas are what the code prints, and everything it prints follows them.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use vipd::cli::check::{CheckArgs, check};
use vipd::cli::schema::Printed;

use crate::expected::expect;

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

/// What is wrong with `value`, stricter than the standard: a field the schema does not name is.
fn violations(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let Some(schema) = schema.as_object() else {
        return if schema == &Value::Bool(true) {
            vec![]
        } else {
            vec![format!("{at}: no schema")]
        };
    };
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(name.trim_start_matches('#')).unwrap();
        return violations(root, target, value, at);
    }
    if let Some(some) = ["anyOf", "oneOf"].iter().find_map(|key| schema.get(*key)?.as_array()) {
        let each: Vec<_> = some.iter().map(|s| violations(root, s, value, at)).collect();
        return each.into_iter().min_by_key(Vec::len).unwrap();
    }
    if let Some(only) = schema.get("const") {
        return if only == value { vec![] } else { vec![format!("{at}: {value} is not {only}")] };
    }
    if let Some(all) = schema.get("enum").and_then(Value::as_array) {
        return if all.contains(value) { vec![] } else { vec![format!("{at}: {value}")] };
    }
    let types = match schema.get("type") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(some)) => some.iter().filter_map(Value::as_str).collect(),
        _ => return vec![format!("{at}: the schema says nothing of its type")],
    };
    let name = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !types.contains(&name) {
        return vec![format!("{at}: {name} instead of {}", types.join(" or "))];
    }
    match value {
        Value::Array(entries) => {
            let entry = schema.get("items").unwrap_or(&Value::Null);
            let each = entries.iter().enumerate();
            each.flat_map(|(n, value)| violations(root, entry, value, &format!("{at}[{n}]")))
                .collect()
        }
        Value::Object(fields) => object(root, schema, fields, at),
        _ => vec![],
    }
}

fn object(
    root: &Value,
    schema: &Map<String, Value>,
    fields: &Map<String, Value>,
    at: &str,
) -> Vec<String> {
    let none = Map::new();
    let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let other = schema.get("additionalProperties");
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    let missing = required.filter_map(Value::as_str).filter(|name| !fields.contains_key(*name));
    let mut found: Vec<_> = missing.map(|name| format!("{at}: {name} is missing")).collect();
    for (name, value) in fields {
        let at = format!("{at}.{name}");
        match known.get(name).or(other) {
            Some(schema) => found.extend(violations(root, schema, value, &at)),
            None => found.push(format!("{at}: not in the schema")),
        }
    }
    found
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
