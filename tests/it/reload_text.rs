//! What `vipd reload` tells the operator, to the letter: two versions of a file, and what is between.

use vipd::cli::reload::text;
use vipd::engine::diff;

use crate::engine::bench::Bench;
use crate::engine::setup::secs;
use crate::unicast::config;

fn router(name: &str, vrid: u8, settings: &str) -> String {
    let interface = if settings.contains("interface") { "" } else { "interface = \"eth0\"" };
    let addresses = if settings.contains("addresses") {
        String::new()
    } else {
        format!("addresses = [\"192.0.2.{}/24\"]", 200 + vrid)
    };
    format!("[vrrp.{name}]\nvrid = {vrid}\n{interface}\n{addresses}\n{settings}\n")
}

/// What an engine that has run for a while says about the way from one file to the other.
fn between(old: &str, new: &str, dry_run: bool) -> String {
    let (old, new) = (config(old), config(new));
    let mut changes = diff(&old, &new);
    let mut bench = Bench::start((*old).clone());
    bench.run_for(secs(10));
    bench.engine.predict_effects(&new, &mut changes);
    let text = text(&changes, dry_run, 80);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    text
}

#[test]
fn everything_an_editor_can_do_is_said() {
    let old = [
        "[global]\nrealtime = true\n".to_owned(),
        router("same", 1, ""),
        router("faster", 2, "version = 3\npriority = 150"),
        router("moved", 3, ""),
        router("gone", 4, ""),
        router("old-name", 5, "auth_pass = \"1111\""),
        router("lists", 6, "addresses = [\"192.0.2.206/24\", \"192.0.2.207/24\"]"),
        router("waiting", 7, "interface = \"eth9\""),
        router("lost", 8, ""),
        router("modern", 10, ""),
    ];
    let new = [
        "[global]\nrealtime = false\nrouter_id = \"lb-01\"\n".to_owned(),
        router("same", 1, ""),
        router("faster", 2, "version = 3\npriority = 120\ninterval = \"500ms\""),
        router("moved", 33, "addresses = [\"192.0.2.203/24\"]"),
        router("new-name", 5, "auth_pass = \"2222\"\naddresses = [\"192.0.2.205/24\"]"),
        router(
            "lists",
            6,
            "addresses = [{ address = \"192.0.2.206/24\", label = \"eth0:1\" }, \
             \"192.0.2.216/24\"]",
        ),
        router("waiting", 7, "interface = \"eth9\"\npreempt = false"),
        router("lost", 8, "addresses = [{ address = \"192.0.2.208/24\", dev = \"eth7\" }]"),
        router("added", 9, ""),
        router("modern", 10, "version = 3\npreempt_delay = \"30s\""),
    ];
    insta::assert_snapshot!(between(&old.concat(), &new.concat(), true));
}

/// A changed setting of a listener is said alone, a new listener in a line or two.
#[test]
fn changes_of_clusters_and_listeners_are_said() {
    let old = "[cluster.pg]\nmembers = [\"10.0.1.11\", \"10.0.1.12\"]\n\
               [cluster.web]\ncheck = \"http\"\nmembers = [\"10.0.2.11:80\"]\n\
               [listener]\n\
               write = { bind = \"*:5000\", cluster = \"pg\", role = \"writer\" }\n\
               gone = { bind = \"*:8080\", cluster = \"web\", maxconn = 10 }\n";
    let new = "[cluster.pg]\nmembers = [\"10.0.1.11\", \"10.0.1.12\"]\nprimary_lease = \"5s\"\n\
               [listener]\n\
               write = { bind = \"*:5000\", cluster = \"pg\", role = \"writer\", queue_timeout = \"10s\" }\n\
               read = { bind = \"*:5001\", cluster = \"pg\", role = \"reader\", max_lag = \"1MB\" }\n";
    insta::assert_snapshot!(text(&diff(&config(old), &config(new)), true, 80));
}

#[test]
fn a_password_is_never_shown() {
    let text = between(
        &router("web", 1, "auth_pass = \"1111\""),
        &router("web", 1, "auth_pass = \"an0ther\""),
        false,
    );
    assert!(!text.contains("1111") && !text.contains("an0ther"), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn nothing_is_said_in_a_line() {
    let same = router("web", 1, "");
    assert_eq!(between(&same, &same, false), "reloaded: nothing changed\n");
    assert_eq!(between(&same, &same, true), "a reload would change nothing\n");
}
