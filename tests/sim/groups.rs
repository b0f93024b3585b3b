//! Sync groups: two routers per node, on one LAN or two, that change state together.

use std::time::Duration;

use vipd::status::State;
use vipd::vrrp::timing::master_down;

use crate::network::MAX_DELAY;
use crate::world::World;
use crate::{master_of, settle, under_any_fate};

const SEEDS: u64 = 128;

#[test]
fn a_group_keeps_together_under_any_fate() {
    under_any_fate(SEEDS, World::grouped);
}

/// When the master dies without a word, its group goes over as one: once the last of the timers of
/// the first node all of whose timers have ended has ended.
#[test]
fn a_group_is_taken_over_as_one() {
    for seed in 0..100 {
        let mut world = World::grouped(seed);
        settle(&mut world);
        let master = master_of(&world);
        let last: Vec<Duration> = (0..world.routers())
            .map(|r| *world.nodes[master].members[r].adverts.last().unwrap())
            .collect();
        let crashed = world.time;
        world.crash(master);
        world.run_until(crashed + world.longest_master_down() + MAX_DELAY * 2);
        let place = world.place();
        let spoke = |n: usize, r: usize| {
            world.nodes[n].members[r].adverts.iter().copied().find(|at| *at > crashed)
        };
        let others = || (0..world.nodes.len()).filter(|n| *n != master);
        let successor = others()
            .min_by_key(|n| spoke(*n, 0).unwrap_or(Duration::MAX))
            .unwrap_or_else(|| panic!("{place}: nobody took over"));
        assert_eq!(spoke(successor, 0), spoke(successor, 1), "{place}: not as one");
        let due_of = |n: usize| {
            let due = |r: usize| {
                let cfg = &world.nodes[n].config.routers[r];
                let (priority, adverts) = (world.priority(n, r), cfg.options.down_timer_adverts);
                last[r] + master_down(&cfg.dialect, priority, cfg.interval, adverts)
            };
            (0..world.routers()).map(due).max().unwrap()
        };
        let due = others().map(due_of).min().unwrap();
        // The last adverts arrived up to MAX_DELAY later, and clocks err by up to 500 ppm.
        let error = world.longest_master_down() / 2000;
        let window = due - error..=due + MAX_DELAY + error;
        let at = spoke(successor, 0).unwrap();
        assert!(window.contains(&at), "{place}: spoke at {at:?}, due in {window:?}");
        world.run_until(world.time + MAX_DELAY * 4);
        master_of(&world);
    }
}

/// One link of the master fails: the node lets go of the whole group, and another serves all of it.
#[test]
fn a_fault_of_one_member_moves_the_group() {
    for seed in 0..100 {
        let mut world = World::grouped(seed);
        settle(&mut world);
        let master = master_of(&world);
        let lan = world.rng.index(world.lans());
        world.set_running(master, lan, false);
        for r in 0..world.routers() {
            let state = world.state(master, r);
            assert_eq!(state, Some(State::Fault), "{}: member {r}", world.place());
        }
        world.run_until(world.time + world.longest_master_down() + MAX_DELAY * 8);
        let successor = master_of(&world);
        assert_ne!(successor, master, "{}", world.place());
        for (r, router) in world.nodes[successor].config.routers.iter().enumerate() {
            let held = world.nodes[successor].held(r);
            assert_eq!(held, router.addresses.len(), "{}: member {r}", world.place());
        }
        // Back again, and once more exactly one node serves all of it.
        world.set_running(master, lan, true);
        settle(&mut world);
        master_of(&world);
    }
}
