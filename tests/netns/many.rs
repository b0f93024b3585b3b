//! 250 routers on one interface: as many as there are ids, nearly.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use vipd::lab::deadline::eventually;
use vipd::lab::{Capture, Node, Stamp, Vipd};

use crate::common::{Machine, Site, adverts, pass, site, snapshot, start};
use crate::turns::alone;

const ROUTERS: u8 = 250;

/// Starting 250 routers on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const INTERVAL: Duration = Duration::from_millis(500);

fn config(priority: impl Fn(u8) -> u8) -> String {
    (1..=ROUTERS)
        .map(|n| {
            format!(
                "[vrrp.r{n}]\ninterface = \"eth0\"\nvrid = {n}\npriority = {}\nversion = 3\n\
                 interval = \"500ms\"\naddresses = [\"10.0.1.{n}/32\"]\n",
                priority(n)
            )
        })
        .collect()
}

fn await_all(vipd: &Vipd, state: &str) {
    eventually(PATIENCE, format!("all routers to become {state}"), || {
        let status = vipd.status().map_err(|e| e.to_string())?;
        let routers = status["routers"].as_array().unwrap();
        let there = routers.iter().filter(|r| r["state"] == state).count();
        if there == usize::from(ROUTERS) { Ok(()) } else { Err(format!("{there} of {ROUTERS}")) }
    })
    .unwrap();
}

fn virtual_addresses(node: &Node) -> usize {
    let all = node.addresses("eth0").unwrap();
    all.iter().filter(|a| a.cidr.to_string().starts_with("10.0.1.")).count()
}

fn processor_time(vipd: &Vipd) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", vipd.process().pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|&n| fields[n].parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// The adverts of each router since the mark.
fn by_vrid(wire: &Capture, source: &str) -> BTreeMap<u8, Vec<Stamp>> {
    let mut times: BTreeMap<u8, Vec<Stamp>> = BTreeMap::new();
    for (at, advert) in adverts(&wire.new_frames(), source) {
        times.entry(advert.vrid).or_default().push(at);
    }
    times
}

#[test]
fn two_hundred_and_fifty_routers_start_reload_fail_over_and_stop() {
    let _turn = alone();
    let Site { lab, a, b, client } = site();
    let first = start(&a, &config(|_| 200));
    await_all(&first, "master");
    let second = start(&b, &config(|_| 100));
    await_all(&second, "backup");
    eventually(PATIENCE, "all addresses", || virtual_addresses(&a) == usize::from(ROUTERS))
        .unwrap();

    // Steady: everybody in time, and cheap.
    let machine = Machine::watch();
    let wire = lab.capture_port(&client, "eth0").unwrap();
    let used = (processor_time(&first), processor_time(&second));
    pass(Duration::from_secs(2));
    for (vipd, before) in [(&first, used.0), (&second, used.1)] {
        let share = (processor_time(vipd) - before).as_secs_f64() / 2.0;
        // An unoptimised build; 500 adverts a second.
        assert!(share < 0.5, "{share} of a core");
    }
    let steady = by_vrid(&wire, "10.0.0.2");
    assert_eq!(steady.len(), usize::from(ROUTERS));
    let worst = |times: &[Stamp]| times.windows(2).map(|p| p[1].since(p[0])).max().unwrap();
    for (vrid, times) in &steady {
        let gap = worst(times);
        assert!(
            gap < machine.allows(INTERVAL + INTERVAL / 4),
            "VRID {vrid} was silent for {gap:?}"
        );
    }

    // One priority changes: the others keep their schedule, to the hundredth of an interval.
    wire.mark();
    first.reload(&config(|n| if n == 7 { 201 } else { 200 })).unwrap();
    pass(INTERVAL * 3);
    let changed = by_vrid(&wire, "10.0.0.2");
    let mut late = Vec::new();
    for (vrid, times) in changed.iter().filter(|(vrid, _)| **vrid != 7) {
        let schedule = &steady[vrid];
        let phase = |at: &Stamp| {
            let since = at.since(schedule[0]).as_secs_f64() / INTERVAL.as_secs_f64();
            (since - since.round()) * INTERVAL.as_secs_f64()
        };
        let punctual = schedule.iter().map(phase).fold(f64::INFINITY, f64::min);
        late.extend(times.iter().map(|at| (phase(at) - punctual).abs()));
        assert!((2..=4).contains(&times.len()), "VRID {vrid}: {}", times.len());
    }
    late.sort_by(f64::total_cmp);
    let (median, worst) = (late[late.len() / 2], late[late.len() - 1]);
    let most = machine.allows(Duration::ZERO).as_secs_f64();
    assert!(median < 0.005 && worst < most, "{median} s late, at worst {worst} s of {most} s");
    let told: Vec<u8> = adverts(&wire.new_frames(), "10.0.0.2")
        .into_iter()
        .filter_map(|(_, advert)| (advert.priority == 201).then_some(advert.vrid))
        .collect();
    assert!(told.len() >= 2 && told.iter().all(|vrid| *vrid == 7), "{told:?}");
    let status = snapshot(&second);
    assert!(status["routers"].as_array().unwrap().iter().all(|r| r["state"] == "backup"));

    // All at once.
    wire.mark();
    let died = Stamp::now();
    first.kill9();
    a.unplug().unwrap();
    await_all(&second, "master");
    let taken = by_vrid(&wire, "10.0.0.3");
    assert_eq!(taken.len(), usize::from(ROUTERS));
    let slowest = taken.values().map(|times| times[0].since(died)).max().unwrap();
    // 3 intervals and a skew of 156/256 interval.
    assert!(slowest < machine.allows(Duration::from_millis(1_805 + 400)), "{slowest:?}");
    eventually(PATIENCE, "all addresses", || virtual_addresses(&b) == usize::from(ROUTERS))
        .unwrap();

    second.stop();
    assert!(second.process().wait(PATIENCE).unwrap().success(), "{}", second.log());
    assert_eq!(virtual_addresses(&b), 0);
}
