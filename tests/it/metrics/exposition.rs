//! A strict reader of Prometheus' text and of OpenMetrics: what it lets pass, every scraper reads.

use std::collections::{BTreeMap, BTreeSet};

/// A metric and its samples.
#[derive(Clone, Debug, Default)]
pub(super) struct Family {
    pub(super) kind: String,
    pub(super) help: String,
    pub(super) samples: Vec<(Vec<(String, String)>, f64)>,
}

/// Metrics by the names of their samples.
pub(super) type Families = BTreeMap<String, Family>;

/// Every metric of `text`, or where and why it is none.
pub(super) fn read(text: &str, open: bool) -> Result<Families, String> {
    let body = match open {
        true => text.strip_suffix("# EOF\n").ok_or("does not end in # EOF")?,
        false => text,
    };
    if !body.is_empty() && !body.ends_with('\n') {
        return Err("the last line has no end".into());
    }
    let mut families = Families::new();
    let mut helped: Option<(String, String)> = None;
    let mut current: Option<(String, String)> = None;
    let mut series = BTreeSet::new();
    for line in body.lines() {
        let wrong = |why: &str| Err(format!("{why}: {line}"));
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
            if helped.is_some() || help.is_empty() || help.contains('"') && open {
                return wrong("a HELP out of place");
            }
            helped = Some((name.to_owned(), help.to_owned()));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = rest.split_once(' ') else { return wrong("no type") };
            let Some((_, help)) = helped.take().filter(|(of, _)| of == name) else {
                return wrong("a TYPE without its HELP");
            };
            let known: &[&str] =
                if open { &["counter", "gauge", "unknown"] } else { &["counter", "gauge"] };
            if !known.contains(&kind) || !is_name(name) {
                return wrong("no type or no name");
            }
            let sample = match (open, kind) {
                (true, "counter") if name.ends_with("_total") => {
                    return wrong("_total in a family");
                }
                (true, "counter") => format!("{name}_total"),
                _ => name.to_owned(),
            };
            let family = Family { kind: kind.to_owned(), help, samples: vec![] };
            if families.insert(sample.clone(), family).is_some() {
                return wrong("twice");
            }
            current = Some((sample, kind.to_owned()));
        } else if line.starts_with('#') {
            return wrong("an unknown comment");
        } else {
            let Some((name, kind)) = &current else { return wrong("a sample without a TYPE") };
            let (labels, value) = sample(line, name).map_err(|why| format!("{why}: {line}"))?;
            if kind == "counter" && (value < 0.0 || value.is_nan()) {
                return wrong("a counter below zero");
            }
            if !series.insert((name.clone(), labels.iter().cloned().collect::<BTreeSet<_>>())) {
                return wrong("a series twice");
            }
            families.get_mut(name).unwrap().samples.push((labels, value));
        }
    }
    match families.iter().find(|(_, family)| family.samples.is_empty()) {
        Some((name, _)) => Err(format!("{name} has no samples")),
        None => Ok(families),
    }
}

fn is_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(word) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty()
}

/// `name{label="value",…} number`
fn sample(line: &str, name: &str) -> Result<(Vec<(String, String)>, f64), String> {
    let mut rest = line.strip_prefix(name).ok_or("a sample of another metric")?;
    let mut labels: Vec<(String, String)> = Vec::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            let (label, after) = inside.split_once("=\"").ok_or("a label without a value")?;
            if !is_name(label) || labels.iter().any(|(known, _)| known == label) {
                return Err(format!("label {label:?}"));
            }
            let mut value = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                match chars.next().ok_or("a label without an end")? {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match chars.next() {
                        Some((_, 'n')) => '\n',
                        Some((_, c @ ('"' | '\\'))) => c,
                        other => return Err(format!("\\ before {other:?}")),
                    }),
                    (_, c) => value.push(c),
                }
            };
            labels.push((label.to_owned(), value));
            inside = &after[end + 1..];
            if let Some(more) = inside.strip_prefix(',') {
                inside = more;
            } else {
                rest = inside.strip_prefix('}').ok_or("labels without an end")?;
                break;
            }
        }
    }
    let value = rest.strip_prefix(' ').ok_or("no value")?;
    let number = value.parse().map_err(|_| format!("no number {value:?}"))?;
    Ok((labels, number))
}

#[test]
fn what_no_scraper_would_read_is_refused() {
    let head = "# HELP a b\n# TYPE a gauge\n";
    for (text, open) in [
        ("a 1\n", false),
        ("# TYPE a gauge\na 1\n", false),
        ("# HELP a b\n# TYPE a gauge\n", false),
        ("# HELP a b\n# TYPE a gauge\na 1", false),
        ("# HELP a b\n# TYPE a gauge\na one\n", false),
        ("# HELP a b\n# TYPE a gauge\na{b=\"c\"} 1\na{b=\"c\"} 2\n", false),
        ("# HELP a b\n# TYPE a gauge\na{b=\"c\",b=\"d\"} 1\n", false),
        ("# HELP a b\n# TYPE a gauge\na{b=\"c\\d\"} 1\n", false),
        ("# HELP a b\n# TYPE a gauge\na{b=\"c} 1\n", false),
        ("# HELP a b\n# TYPE a gauge\nb 1\n", false),
        ("# HELP a b\n# TYPE a counter\na -1\n", false),
        ("# HELP a b\n# TYPE a untyped\na 1\n", false),
        ("# HELP a b\n# TYPE a gauge\na 1\n", true),
        ("# HELP a_total b\n# TYPE a_total counter\na_total 1\n# EOF\n", true),
    ] {
        assert!(read(text, open).is_err(), "{text}");
    }
    let twice = format!("{head}a 1\n{head}a 2\n");
    assert!(read(&twice, false).is_err());
    assert_eq!(
        read(&format!("{head}a{{b=\"c\\\\\\n\"}} 1\n"), false).unwrap()["a"].samples[0].0[0].1,
        "c\\\n"
    );
    assert!(read(&format!("{head}a 1\n# EOF\n"), true).is_ok());
}
