//! A checker of JSON Schema as far as the published schemas use it.

use serde_json::{Map, Value};

/// What is wrong with `value`, stricter than the standard: a field the schema does not name is.
pub(crate) fn violations(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
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
