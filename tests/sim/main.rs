//! The deterministic simulator: whole engines in a seeded world, faults, and laws checked after
//! every event. `VIPD_SIM_SEED=N` replays one seed, `VIPD_SIM_SEEDS` and `VIPD_SIM_STEPS` make the
//! run longer (`make sim SEEDS=…`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    unreachable_pub
)]

mod checks;
mod clusters;
mod faults;
mod follower;
mod groups;
mod healing;
mod kernel;
mod laws;
mod network;
mod node;
mod patroni;
mod rng;
mod settings;
mod world;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use network::MAX_DELAY;
use vipd::config::Release;
use vipd::status::State;
use vipd::vrrp::timing::master_down;
use world::World;

const SEEDS: u64 = 256;
const STEPS: u64 = 2000;

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|v| v.parse().unwrap_or_else(|_| panic!("{name}={v}")))
}

#[test]
fn laws_hold_under_any_fate() {
    under_any_fate(SEEDS, World::new);
}

/// One world per seed, on every processor.
fn under_any_fate(seeds: u64, build: fn(u64) -> World) {
    let steps = from_env("VIPD_SIM_STEPS").unwrap_or(STEPS);
    let seeds = match from_env("VIPD_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_env("VIPD_SIM_SEEDS").unwrap_or(seeds),
    };
    let next = AtomicU64::new(seeds.start);
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    eprintln_on_panic(seed, || fate(build(seed), steps));
                }
            });
        }
    });
}

/// What holds of the listeners of a Patroni cluster under any fate.
#[test]
fn writers_find_the_primary_and_nobody_else_under_any_fate() {
    let rounds = from_env("VIPD_SIM_STEPS").map_or(4, |steps| steps.div_ceil(500));
    let seeds = match from_env("VIPD_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_env("VIPD_SIM_SEEDS").unwrap_or(SEEDS) / 8,
    };
    for seed in seeds {
        eprintln_on_panic(seed, || clusters::fate_of_clusters(seed, rounds));
    }
}

/// Whatever is reloaded, whoever comes and goes: the deadline moves on, and the primary is found.
#[test]
fn deadlines_of_clusters_move_on_under_any_settings() {
    let steps = from_env("VIPD_SIM_STEPS").unwrap_or(STEPS) * 16;
    let seeds = match from_env("VIPD_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_env("VIPD_SIM_SEEDS").unwrap_or(SEEDS) / 32,
    };
    for seed in seeds {
        eprintln_on_panic(seed, || clusters::fate_of_settings(seed, steps));
    }
}

/// Names the seed even where the panic comes from inside the engine.
fn eprintln_on_panic(seed: u64, run: impl FnOnce()) {
    struct Guard(u64);
    impl Drop for Guard {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("failing seed: VIPD_SIM_SEED={} cargo test --test sim", self.0);
            }
        }
    }
    let guard = Guard(seed);
    run();
    drop(guard);
}

/// Rounds of chaos and quiet until the steps are used up.
fn fate(mut world: World, steps: u64) {
    settle(&mut world);
    check_quiet(&mut world);
    while world.steps < steps {
        world.chaos = true;
        let end = world.steps + 150;
        while world.steps < end && world.step(world.time + Duration::from_secs(60)) {}
        world.chaos = false;
        world.heal();
        settle(&mut world);
        check_quiet(&mut world);
    }
}

/// Long enough for every timer: start-up and preemption delays, retries, two elections.
fn settle(world: &mut World) {
    let wait = world.longest_master_down() * 4 + Duration::from_secs(15) + checks::SLOWEST;
    world.run_until(world.time + wait);
}

/// Without faults: exactly one master, it holds everything, and it advertises on schedule. Whoever
/// follows a router or a group knows where it is.
fn check_quiet(world: &mut World) {
    let master = master_of(world);
    let place = world.place();
    for (n, node) in world.nodes.iter().enumerate() {
        for (r, router) in node.config.routers.iter().enumerate() {
            let expected = if n == master { router.addresses.len() } else { 0 };
            assert_eq!(node.held(r), expected, "{place}: node {n} of master {master}");
        }
    }
    for n in 0..world.nodes.len() {
        for r in 0..world.routers() {
            let Some(state) = world.state(n, r).map(|state| state.to_string()) else { continue };
            let node = &mut world.nodes[n];
            let router = node.config.routers[r].name.as_str();
            let group = node.config.groups.iter().map(|group| group.name.as_str());
            for name in std::iter::once(router).chain(group) {
                let follower = node.followers.get_mut(name).unwrap();
                follower.catch_up();
                assert_eq!(follower.heard, Some(state.as_str()), "{place}: {name} of node {n}");
            }
        }
    }
    for r in 0..world.routers() {
        let sent = |world: &World, n: usize| world.nodes[n].members[r].adverts.len();
        let before: Vec<usize> = (0..world.nodes.len()).map(|n| sent(world, n)).collect();
        world.run_until(world.time + world.interval_of(r) * 20);
        for (n, before) in before.into_iter().enumerate() {
            let sent = sent(world, n) - before;
            let expected = if n == master { 19..=21 } else { 0..=0 };
            assert!(expected.contains(&sent), "{place}: node {n} sent {sent}, master {master}");
        }
    }
}

/// When the master dies without a word, the first to speak does so at its own master-down interval
/// after the last advert it heard, and it is the one whose interval is shortest.
#[test]
fn takeover_comes_at_the_master_down_interval() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        settle(&mut world);
        let master = master_of(&world);
        let last = *world.nodes[master].members[0].adverts.last().unwrap();
        world.crash(master);
        world.run_until(last + world.longest_master_down() + MAX_DELAY * 2);
        let place = world.place();
        let spoke = (0..world.nodes.len())
            .filter(|n| *n != master)
            .filter_map(|n| world.nodes[n].members[0].adverts.iter().copied().find(|at| *at > last))
            .min()
            .unwrap_or_else(|| panic!("{place}: nobody took over"));
        let due = (0..world.nodes.len())
            .filter(|n| *n != master)
            .map(|n| {
                let cfg = &world.nodes[n].config.routers[0];
                let priority = world.priority(n, 0);
                master_down(&cfg.dialect, priority, cfg.interval, cfg.options.down_timer_adverts)
            })
            .min()
            .unwrap();
        // The last advert arrived up to MAX_DELAY later, and clocks err by up to 500 ppm.
        let error = due / 2000;
        let window = last + due - error..=last + due + MAX_DELAY + error;
        assert!(window.contains(&spoke), "{place}: spoke at {spoke:?}, due in {window:?}");
        world.run_until(world.time + MAX_DELAY * 4);
        master_of(&world);
    }
}

/// The one master there is, of every router.
fn master_of(world: &World) -> usize {
    let masters_of = |r: usize| -> Vec<usize> {
        (0..world.nodes.len()).filter(|n| world.state(*n, r) == Some(State::Master)).collect()
    };
    let masters = masters_of(0);
    assert_eq!(masters.len(), 1, "{}: masters {masters:?}", world.place());
    for r in 1..world.routers() {
        assert_eq!(masters_of(r), masters, "{}: masters of router {r}", world.place());
    }
    masters[0]
}

/// A planned stop is heard: the successor follows within its skew.
#[test]
fn a_stop_hands_over_within_a_skew() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        settle(&mut world);
        let master = master_of(&world);
        let make_before_break =
            world.nodes[master].config.routers[0].options.release == Release::AfterSuccessor;
        world.stop(master);
        let skew = world.interval().max(Duration::from_secs(1));
        let end = world.time + skew + MAX_DELAY * 2;
        while world.step(end) {
            let covered = world.nodes[master].config.routers[0].addresses.iter().all(|a| {
                let address = a.cidr.address();
                world.nodes.iter().any(|n| n.kernel.held.contains_key(&address))
            });
            assert!(covered || !make_before_break, "{}: nobody answers", world.place());
        }
        let masters =
            (0..world.nodes.len()).filter(|n| world.state(*n, 0) == Some(State::Master)).count();
        assert!(masters >= 1, "{}: {masters} masters", world.place());
        assert!(world.nodes[master].engine.is_none(), "{}", world.place());
    }
}
