//! Priorities that follow a check, an interface or a file, beside keepalived: the same file means the
//! same adverts and the same master.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use vipd::lab::Stamp;
use vipd::lab::deadline::never;

use super::pair::{Case, Dialect, Host, Instance, PAIRS, Pair, cases};
use crate::turns::{each, together};

/// The other host's priority: between those of the first with and without what it tracks.
const OTHER: u8 = 100;

/// What the first host tracks.
#[derive(Clone, Copy, Debug)]
struct Tracking {
    /// Outside of the instance; `FILE` is a path that exists while all is well.
    definition: &'static str,
    /// Inside.
    reference: &'static str,
    /// Configured, and while all is well.
    base: u8,
    good: u8,
    /// While it is not; `None`: Fault.
    bad: Option<u8>,
    /// What the file says, or whether a second interface has a carrier.
    means: Means,
}

#[derive(Clone, Copy, Debug)]
enum Means {
    /// The file is there while all is well.
    Presence,
    /// It is there while it is not.
    Absence,
    /// The number in it: while all is well, and while it is not.
    Number([&'static str; 2]),
    Carrier,
}

#[derive(Clone, Debug)]
struct Scenario {
    pair: Case,
    tracking: Tracking,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tracking { definition, reference, .. } = self.tracking;
        let weight = definition.split("weight ").nth(1).unwrap_or(reference);
        let weight = weight.split('\n').next().unwrap_or_default().trim();
        write!(f, "{}, {:?}, weight {weight}", self.pair, self.tracking.means)
    }
}

// C58, C100, R22, R24
#[test]
fn a_script_moves_the_priority_by_its_weight() {
    const fn script(definition: &'static str, base: u8, bad: Option<u8>, means: Means) -> Tracking {
        let reference = "track_script {\n chk\n }";
        Tracking { definition, reference, base, good: 150, bad, means }
    }
    let scripts = [
        script(
            "vrrp_script chk {\n script \"/usr/bin/test -e FILE\"\n user root\n interval 1\n weight 60\n}",
            90,
            Some(90),
            Means::Presence,
        ),
        script(
            "vrrp_script chk {\n script \"/usr/bin/test -e FILE\"\n user root\n interval 1\n weight -60\n}",
            150,
            Some(90),
            Means::Presence,
        ),
        script(
            "vrrp_script chk {\n script \"/usr/bin/test -e FILE\"\n user root\n interval 1\n}",
            150,
            None,
            Means::Presence,
        ),
        script(
            "vrrp_script chk {\n script \"/usr/bin/test -e FILE\"\n user root\n interval 1\n weight 60 reverse\n}",
            150,
            Some(90),
            Means::Absence,
        ),
        script(
            "vrrp_script chk {\n script \"/usr/bin/test -e FILE\"\n user root\n interval 1\n weight -60 reverse\n}",
            90,
            Some(90),
            Means::Absence,
        ),
    ];
    follow(&scripts);
}

#[test]
fn an_interface_moves_the_priority_by_its_weight() {
    const fn interface(reference: &'static str, base: u8, bad: Option<u8>) -> Tracking {
        Tracking { definition: "", reference, base, good: 150, bad, means: Means::Carrier }
    }
    follow(&[
        interface("track_interface {\n eth1 weight 60\n }", 90, Some(90)),
        interface("track_interface {\n eth1 weight -60\n }", 150, Some(90)),
        interface("track_interface {\n eth1\n }", 150, None),
    ]);
}

#[test]
fn a_file_moves_the_priority_by_its_number() {
    let reference = "track_file {\n mark\n }";
    let weighted = Tracking {
        definition: "vrrp_track_file mark {\n file FILE\n weight 2\n}",
        reference,
        base: 150,
        good: 150,
        bad: Some(90),
        means: Means::Number(["0", "-30"]),
    };
    let fault = Tracking {
        definition: "vrrp_track_file mark {\n file FILE\n weight 0\n}",
        bad: None,
        means: Means::Number(["0", "1"]),
        ..weighted
    };
    follow(&[weighted, fault]);
}

#[test]
fn a_better_host_whose_slow_script_fails_never_takes_over() {
    let _turn = together();
    each(cases(&[Dialect::V3Ipv4], &PAIRS[..2]), |case| {
        for weight in [0, -60] {
            let mut pair = Pair::new(case);
            pair.b.start(&pair.instance(OTHER));
            pair.settled_on_b();
            // The answer takes longer than the wait for a silent master.
            let script = format!(
                "vrrp_script chk {{\n script \"/bin/sh -c 'sleep 2; exit 1'\"\n user root\n \
                 interval 1\n timeout 5\n weight {weight}\n}}"
            );
            let instance = Instance { more: "track_script {\n chk\n }", ..pair.instance(150) };
            let started = Stamp::now();
            pair.a.start(&format!("{script}\n{instance}"));
            let taken = || pair.a.has(pair.vip).then(|| "the address".to_owned());
            let spoken = || pair.wire.adverts_of(&pair.a, started).pop().map(|v| v.1.to_string());
            never(Duration::from_secs(5), || taken().or_else(spoken))
                .unwrap_or_else(|what| panic!("lb-01 had {what}\n{}", pair.logs()));
            pair.settled_on_b();
        }
    });
}

fn follow(trackings: &[Tracking]) {
    let _turn = together();
    let pairs = cases(&[Dialect::V3Ipv4], &PAIRS);
    let all = trackings.iter().flat_map(|tracking| {
        let of = |pair: &Case| Scenario { pair: *pair, tracking: *tracking };
        pairs.iter().map(of).collect::<Vec<_>>()
    });
    each(all, followed);
}

fn followed(scenario: &Scenario) {
    let tracking = scenario.tracking;
    let mut pair = Pair::new(&scenario.pair);
    pair.a.node.link("eth1", &[]).unwrap();
    let file = set(&pair.a, tracking, true);
    let definition = tracking.definition.replace("FILE", &file.display().to_string());
    let instance = Instance { more: tracking.reference, ..pair.instance(tracking.base) };
    let config = format!("{definition}\n{instance}");

    pair.a.start(&config);
    pair.b.start(&pair.instance(OTHER));
    pair.settled_on_a();
    for _ in 0..2 {
        let since = Stamp::now();
        pair.wire.next_of(&pair.a, since, "an advert with its full priority", |advert| {
            advert.priority == tracking.good
        });
        let broken = Stamp::now();
        set(&pair.a, tracking, false);
        let lowered = tracking.bad.unwrap_or(0);
        pair.wire.next_of(&pair.a, broken, "an advert with its lowered priority", |advert| {
            advert.priority == lowered
        });
        pair.settled_on_b();
        set(&pair.a, tracking, true);
        pair.settled_on_a();
    }
}

/// Makes all well, or not; returns the file.
fn set(host: &Host, tracking: Tracking, well: bool) -> PathBuf {
    let node = &host.node;
    let file = node.directory().unwrap().join("mark");
    match (tracking.means, well) {
        (Means::Presence, true) | (Means::Absence, false) => {
            node.write_file("mark", "").unwrap();
        }
        // It may not have been there.
        (Means::Presence, false) | (Means::Absence, true) => drop(std::fs::remove_file(&file)),
        (Means::Number([good, bad]), _) => {
            node.write_file("mark", if well { good } else { bad }).unwrap();
        }
        (Means::Carrier, true) => node.plug_link("eth1").unwrap(),
        (Means::Carrier, false) => node.unplug_link("eth1").unwrap(),
    }
    file
}
