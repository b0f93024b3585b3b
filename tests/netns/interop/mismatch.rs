//! Two nodes that do not agree: both are master, and `vipd status` says why and what to do.

use std::fmt;
use std::process::Command;
use std::time::Duration;

use vipd::lab::deadline::{eventually, never};

use super::pair::{Case, Dialect, Instance, Kind, Pair, binary};
use crate::SOON;
use crate::turns::{each, long};

/// What differs between two nodes.
#[derive(Clone, Copy)]
struct Disagreement {
    name: &'static str,
    kinds: [Kind; 2],
    /// Priority of the first, which is vipd; the other has 120.
    priority: u8,
    ours: fn(&mut Instance),
    theirs: fn(&mut Instance),
    /// What the hint of the first must contain.
    hint: &'static [&'static str],
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.kinds;
        write!(f, "{}, {a:?}-{b:?}, priority {}", self.name, self.priority)
    }
}

const VK: [Kind; 2] = [Kind::Vipd, Kind::Keepalived];
const VV: [Kind; 2] = [Kind::Vipd, Kind::Vipd];

const LISTS: Disagreement = Disagreement {
    name: "address lists",
    kinds: VK,
    priority: 150,
    ours: |i| i.vips.push("10.0.0.101/24"),
    theirs: |_| {},
    hint: &["10.0.0.3", "10.0.0.101", "make the lists equal"],
};
const INTERVAL: Disagreement = Disagreement {
    name: "intervals",
    ours: |_| {},
    theirs: |i| i.interval = Duration::from_secs(2),
    hint: &["10.0.0.3", "1 s", "2 s", "advert_int"],
    ..LISTS
};
const PASSWORD: Disagreement = Disagreement {
    name: "passwords",
    ours: |_| {},
    theirs: |i| i.password = Some("2222"),
    hint: &["10.0.0.3", "password", "authentication"],
    ..LISTS
};
const NO_PASSWORD: Disagreement = Disagreement {
    name: "authentication",
    ours: |_| {},
    theirs: |i| i.password = None,
    hint: &["10.0.0.3", "authentication"],
    ..LISTS
};
const VERSION: Disagreement = Disagreement {
    name: "versions",
    ours: |_| {},
    theirs: |i| {
        i.dialect = Dialect::V3Ipv4;
        i.password = None;
    },
    hint: &["10.0.0.3", "VRRPv3", "VRRPv2", "version"],
    ..LISTS
};

// C104, C91, V13, V17, V18, V20, V24 with keepalived before 2.3.3
#[test]
fn two_masters_that_disagree_are_explained_with_the_remedy() {
    let _turn = long();
    let of = |d: Disagreement, kinds, priority| Disagreement { kinds, priority, ..d };
    let with_keepalived = [LISTS, INTERVAL, PASSWORD, NO_PASSWORD, VERSION];
    let below = [INTERVAL, PASSWORD, NO_PASSWORD, VERSION];
    let mut all: Vec<_> = with_keepalived.iter().map(|&d| of(d, VK, 150)).collect();
    all.extend(below.iter().map(|&d| of(d, VK, 100)));
    all.extend(below.iter().map(|&d| of(d, VV, 150)));
    each(all, explained);
}

fn explained(case: &Disagreement) {
    let mut pair = Pair::new(&Case { dialect: Dialect::V2Pass, kinds: case.kinds });
    let (mut ours, mut theirs) = (pair.instance(case.priority), pair.instance(120));
    (case.ours)(&mut ours);
    (case.theirs)(&mut theirs);
    foreseen(&ours, &theirs);
    pair.a.start(&ours);
    pair.b.start(&theirs);
    eventually(SOON, "two masters", || pair.a.has(pair.vip) && pair.b.has(pair.vip))
        .unwrap_or_else(|e| panic!("{e}\n{}", pair.logs()));
    hint(&pair, case.hint);
    // keepalived falls silent once it refuses what it hears, but keeps the address.
    let settled = || pair.a.has(pair.vip) && pair.b.has(pair.vip);
    never(ours.interval * 8, || (!settled()).then(|| pair.logs())).unwrap();
    println!("{case}:\n{}", hint(&pair, case.hint));
    if pair.b.kind == Kind::Vipd {
        let hints = pair.b.hints();
        assert!(hints.contains("10.0.0.2 speaks for VRID 51 too"), "{hints}");
    }
}

/// `vipd check --pair` says beforehand that this cannot work.
fn foreseen(ours: &Instance, theirs: &Instance) {
    let dir = tempfile::tempdir().unwrap();
    let files = [("a.conf", ours), ("b.conf", theirs)].map(|(name, instance)| {
        let path = dir.path().join(name);
        std::fs::write(&path, instance.to_string()).unwrap();
        path
    });
    let output = Command::new(binary()).args(["check", "--pair"]).args(&files).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.contains("become master"), "{text}");
}

/// What the master with the shorter list must say before it is too late.
#[test]
fn a_backup_warns_that_its_list_differs_before_it_has_to_take_over() {
    let _turn = long();
    let mut pair = Pair::new(&Case { dialect: Dialect::V2Pass, kinds: VK });
    let ours = Instance { vips: vec!["10.0.0.100/24", "10.0.0.101/24"], ..pair.instance(100) };
    pair.a.start(&ours);
    pair.b.start(&pair.instance(150));
    pair.settled_on_b();
    println!("{}", hint(&pair, &["10.0.0.3", "10.0.0.101", "make the lists equal"]));
}

/// Waits until the status of the first host says all of `words`, and returns its text.
fn hint(pair: &Pair, words: &[&str]) -> String {
    eventually(SOON, format!("a hint with {words:?}"), || {
        let hints = pair.a.hints();
        if words.iter().all(|word| hints.contains(word)) { Ok(()) } else { Err(hints) }
    })
    .unwrap_or_else(|e| panic!("{e}\n{}{}", pair.a.status_text(&[]), pair.logs()));
    let text = pair.a.status_text(&[]);
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.iter().all(|word| plain.contains(word)), "{text}");
    text + &pair.a.status_text(&["VI_1"])
}
