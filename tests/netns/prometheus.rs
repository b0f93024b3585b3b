//! What Prometheus' own tool says of the alert rules and of a scrape.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Debian's package `prometheus` has it (tests/setup-debian.sh).
fn promtool(args: &[&str], input: Option<File>) -> Output {
    let mut command = Command::new("promtool");
    command.args(args).current_dir(project("packaging/prometheus"));
    if let Some(input) = input {
        command.stdin(input);
    }
    command
        .output()
        .unwrap_or_else(|error| panic!("promtool is needed, package prometheus: {error}"))
}

#[test]
fn every_alert_fires_when_it_must_and_none_in_a_quiet_pair() {
    for args in [["check", "rules", "vipd.rules.yml"], ["test", "rules", "vipd.rules.test.yml"]] {
        let said = promtool(&args, None);
        assert!(said.status.success(), "{args:?}: {said:?}");
    }
    let read = |name: &str| std::fs::read_to_string(project("packaging/prometheus").join(name));
    let (rules, tests) = (read("vipd.rules.yml").unwrap(), read("vipd.rules.test.yml").unwrap());
    let after = |text: &str, key: &str| -> Vec<String> {
        let values = text.lines().filter_map(|line| line.trim_start().strip_prefix(key));
        values.map(|value| value.trim().to_owned()).collect()
    };
    let alerts = after(&rules, "- alert: ");
    assert!(alerts.len() > 12, "{alerts:?}");
    for name in &alerts {
        let fires = format!("ALERTS{{alertname=\"{name}\", alertstate=\"firing\"}}");
        assert!(tests.contains(&fires), "{name} has no test");
    }
    for key in ["summary: ", "remedy: "] {
        assert_eq!(after(&rules, key).len(), alerts.len(), "{key}");
    }
}

#[test]
fn a_scrape_is_what_prometheus_reads() {
    let golden = File::open(project("tests/golden/metrics/everything.txt")).unwrap();
    let said = promtool(&["check", "metrics"], Some(golden));
    // It reads all of it, and would call some counters otherwise: the exporters' names are as they are.
    let text = String::from_utf8(said.stderr).unwrap();
    let odd: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("keepalived_vrrp_") || !line.contains("\"_total\" suffix"))
        .collect();
    assert!(odd.is_empty() && text.lines().count() == 14, "{text}");
}
