//! Configurations made of the words of the languages, in any order and with any value: what damage
//! to real files hardly ever reaches in lowering and checking. `VIPD_FUZZ_ITERATIONS` as for
//! `config_hostile`.

use std::path::PathBuf;

use vipd::config::Format;
use vipd::config::vipd_toml::KEYS;
use vipd::import::coverage::CoverageRow;
use vipd::import::haproxy;
use vipd::import::keepalived::coverage;

use crate::config_hostile::{Files, ITERATIONS, survives};
use crate::wire_hostile::{SplitMix, iterations};

/// Values that some setting takes, or nearly takes.
const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "2",
    "3",
    "51",
    "100",
    "254",
    "255",
    "256",
    "-1",
    "-32768",
    "65536",
    "4294967295",
    "9223372036854775807",
    "9223372036854775808",
    "1e9",
    "0.01",
    "0.5",
    "1.000001",
    "nan",
    "inf",
    "0x10",
    "007",
    "on",
    "off",
    "true",
    "no",
    "MASTER",
    "BACKUP",
    "PASS",
    "AH",
    "secret",
    "eth0",
    "lo",
    "eth0.100",
    "an-interface-too-long",
    "10.0.0.9",
    "10.0.0.9/24",
    "10.0.0.0/33",
    "0.0.0.0/0",
    "255.255.255.255",
    "224.0.0.18",
    "127.0.0.1",
    "fe80::1",
    "fe80::1/64",
    "2001:db8::1/128",
    "ff02::12",
    "::",
    "::ffff:10.0.0.1",
    "dev",
    "brd",
    "label",
    "scope",
    "+",
    "min_ttl",
    "all",
    "weight",
    "reverse",
    "node_a",
    "VI_0",
    "VI_1",
    "é",
    "\"a b\"",
    "\"\"",
    "\"/bin/x 'y'\"",
    "<",
    "5s",
    "1h",
];

#[test]
fn any_words_of_keepalived_conf_are_survived() {
    let rows: Vec<CoverageRow> = coverage().collect();
    hostile(Format::Keepalived, |random| {
        let mut text = String::new();
        for n in 0..=random.below(3) {
            match random.below(4) {
                0 => block(random, &rows, &mut text, 0),
                _ => instance(random, &rows, n, &mut text),
            }
        }
        text
    });
}

/// An instance that can be used, but for a few lines.
fn instance(random: &mut SplitMix, rows: &[CoverageRow], n: usize, text: &mut String) {
    text.push_str(&format!(
        "vrrp_instance VI_{n} {{\ninterface eth0\nvirtual_router_id {}\nvirtual_ipaddress {{\n",
        51 + n
    ));
    if random.below(4) == 0 {
        line(random, rows, "an address line", text, 0);
    }
    text.push_str(&format!("10.0.{n}.10/24\n}}\n"));
    for _ in 0..random.below(5) {
        line(random, rows, "vrrp_instance", text, 1);
    }
    text.push_str("}\n");
}

/// A block of the language with lines from it, or from others.
fn block(random: &mut SplitMix, rows: &[CoverageRow], text: &mut String, depth: usize) {
    let name = rows[random.below(rows.len())].block.clone();
    // The table has names in words for what is no block.
    let opens = !name.contains(' ');
    if opens {
        text.push_str(&format!("{name} {} {{\n", value(random)));
    }
    for _ in 0..random.below(8) {
        let other = random.below(8) == 0;
        let from = if other { &rows[random.below(rows.len())].block } else { &name };
        line(random, rows, from, text, depth + 1);
    }
    if opens {
        text.push_str("}\n");
    }
}

fn line(random: &mut SplitMix, rows: &[CoverageRow], from: &str, text: &mut String, depth: usize) {
    let known: Vec<&CoverageRow> = rows.iter().filter(|row| row.block == from).collect();
    text.push_str(known[random.below(known.len())].keyword);
    for _ in 0..random.below(4) {
        text.push(' ');
        text.push_str(value(random));
    }
    if depth < 4 && random.below(4) == 0 {
        text.push_str(" {\n");
        for _ in 0..random.below(4) {
            if random.below(2) == 0 {
                text.push_str(&format!("{} {}\n", value(random), value(random)));
            } else {
                block(random, rows, text, depth + 1);
            }
        }
        text.push('}');
    }
    text.push('\n');
}

#[test]
fn any_words_of_vipd_toml_are_survived() {
    hostile(Format::Toml, |random| {
        let mut text = String::new();
        for n in 0..=random.below(2) {
            text.push_str(&format!(
                "[vrrp.r{n}]\ninterface = \"eth0\"\nvrid = {}\naddresses = [\"10.0.{n}.10/24\"]\n",
                51 + n
            ));
            for _ in 0..random.below(4) {
                pair(random, "vrrp.NAME", &mut text);
                text.push('\n');
            }
        }
        for _ in 0..random.below(2) {
            let (table, _) = KEYS[random.below(KEYS.len())];
            match table {
                "" => {}
                "static" => text.push_str("[[static]]\n"),
                _ => text.push_str(&format!("[{}]\n", table.replace("NAME", "eth0"))),
            }
            for _ in 0..random.below(4) {
                pair(random, table, &mut text);
                text.push('\n');
            }
        }
        text
    });
}

/// `key = value` with a key of a table, or now and then of another.
fn pair(random: &mut SplitMix, table: &str, text: &mut String) {
    let other = random.below(10) == 0;
    let of = |(name, _): &&(&str, &[&str])| *name == table;
    let (_, keys) =
        if other { &KEYS[random.below(KEYS.len())] } else { KEYS.iter().find(of).unwrap() };
    text.push_str(keys[random.below(keys.len())]);
    text.push_str(" = ");
    toml_value(random, text, 0);
}

fn toml_value(random: &mut SplitMix, text: &mut String, depth: usize) {
    match random.below(if depth < 3 { 8 } else { 5 }) {
        0 | 1 => text.push_str(&format!("\"{}\"", value(random).trim_matches('"'))),
        2 => {
            let numbers = ["0", "1", "3", "51", "255", "-1", "9223372036854775807", "1.5", "nan"];
            text.push_str(numbers[random.below(numbers.len())]);
        }
        3 => text.push_str(["true", "false", "1979-05-27", "07:32:00"][random.below(4)]),
        4 => text.push_str(["\"now\"", "\"rfc9568\"", "\"3 adverts\"", "'é'"][random.below(4)]),
        5 | 6 => {
            text.push('[');
            for _ in 0..random.below(4) {
                toml_value(random, text, depth + 1);
                text.push(',');
            }
            text.push(']');
        }
        _ => {
            let table = ["address", "peer", "announce"][random.below(3)];
            text.push('{');
            pair(random, table, text);
            text.push('}');
        }
    }
}

/// The same of haproxy.cfg.
const HAPROXY: &[&str] = &[
    "0",
    "1",
    "100",
    "256",
    "-1",
    "99999999999",
    "8008",
    "3s",
    "50ms",
    "5000",
    "7d",
    "1us",
    "10.0.1.11:5432",
    "10.0.1.12:8008",
    "db1:80",
    "[::1]:80",
    "*:5001",
    ":::5002",
    ":1-3",
    "/x",
    "OPTIONS",
    "GET",
    "/",
    "/primary",
    "/replica?lag=16MB&tag_a=b",
    "/read-only",
    "/async?lag=x",
    "/health",
    "HTTP/1.1",
    "status",
    "200",
    "200-299,503",
    "string",
    "if",
    "unless",
    "{",
    "}",
    "!",
    "or",
    "nbsrv(l0)",
    "nbsrv",
    "eq",
    "gt",
    "never",
    "TRUE",
    "l0",
    "l1",
    "b0",
    "b1",
    "check",
    "port",
    "none",
    "required",
    "shutdown-sessions",
    "http",
    "tcp",
    "leastconn",
    "first",
    "option",
    "httpchk",
    "\"a b\"",
    "'",
    "\\",
    "${HOME}",
    "${X-1}",
    "é",
];

#[test]
fn any_words_of_haproxy_cfg_are_survived() {
    let rows: Vec<CoverageRow> = haproxy::coverage().collect();
    hostile(Format::Haproxy, |random| {
        let mut text = String::new();
        for section in ["global", "defaults"] {
            if random.below(3) == 0 {
                text.push_str(&format!("{section}\n"));
                proxy_line(random, &rows, section, &mut text);
            }
        }
        for n in 0..=random.below(3) {
            let kind = ["listen l", "listen l", "frontend l", "backend b"][random.below(4)];
            text.push_str(&format!("{kind}{n}\n"));
            if !kind.starts_with("backend") {
                text.push_str(&format!("bind :{}\n", 5000 + n));
            }
            if kind.starts_with("frontend") {
                text.push_str("default_backend l0\n");
            } else {
                let path = HAPROXY[random.below(HAPROXY.len())];
                if random.below(2) == 0 && path.starts_with('/') {
                    text.push_str(&format!("option httpchk GET {path}\n"));
                }
                let port = ["", " port 8008", " port 8009"][random.below(3)];
                text.push_str(&format!("server a 10.0.1.11:5432 check{port}\n"));
            }
            for _ in 0..random.below(4) {
                proxy_line(random, &rows, "a proxy", &mut text);
            }
        }
        text
    });
}

/// A line of a section, or of what stands behind its words.
fn proxy_line(random: &mut SplitMix, rows: &[CoverageRow], from: &str, text: &mut String) {
    let honoured = random.below(4) > 0;
    let places = ["timeout", "option", "http-check", "a bind line", "a server line", "a proxy"];
    let place = if from == "a proxy" { places[random.below(6)] } else { from };
    let known: Vec<&CoverageRow> = rows
        .iter()
        .filter(|row| row.block == place && (!honoured || row.status == "yes"))
        .collect();
    text.push_str(match place {
        "a bind line" => "bind :80 ",
        "a server line" => ["server b 10.0.1.12:5432 check ", "default-server "][random.below(2)],
        "timeout" => "timeout ",
        "option" => "option ",
        "http-check" => "http-check ",
        _ => "",
    });
    text.push_str(known.get(random.below(known.len().max(1))).map_or("mode", |row| row.keyword));
    for _ in 0..random.below(4) {
        text.push(' ');
        text.push_str(HAPROXY[random.below(HAPROXY.len())]);
    }
    text.push('\n');
}

fn value(random: &mut SplitMix) -> &'static str {
    VALUES[random.below(VALUES.len())]
}

fn hostile(format: Format, text: impl Fn(&mut SplitMix) -> String) {
    let iterations = iterations(ITERATIONS * 2);
    let mut usable = 0;
    for seed in 0..iterations {
        let text = text(&mut SplitMix(0x5eed_c0de_0000_0002 + seed));
        let files = Files([(PathBuf::from("a.conf"), text)].into());
        usable += u64::from(survives(&files, format, seed));
    }
    // Both sides of the checks are met.
    let rejected = iterations - usable;
    assert!(usable.min(rejected) >= iterations / 50, "{usable} of {iterations} could be used");
}
