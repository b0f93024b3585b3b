//! A partition heals: whatever the phases of the two masters' adverts, clients that believed the loser are with
//! the winner again at once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::world::World;
use crate::{eprintln_on_panic, from_env, master_of, settle};

const SEEDS: u64 = 60;

/// The longest a client may be without an answer.
const GAP: Duration = Duration::from_millis(200);

#[test]
fn no_client_stays_with_the_loser_of_a_partition() {
    healed(World::new);
}

#[test]
fn no_client_stays_with_the_loser_of_a_group() {
    healed(World::grouped);
}

fn healed(build: fn(u64) -> World) {
    let seeds = match from_env("VIPD_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_env("VIPD_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let mut moved = 0;
    for seed in seeds.clone() {
        eprintln_on_panic(seed, || moved += usize::from(heal(build(seed))));
    }
    let worlds = usize::try_from(seeds.end - seeds.start).unwrap();
    assert!(
        worlds == 1 || moved > worlds / 2,
        "in {moved} of {worlds} worlds a client had to move"
    );
}

/// Whether a client had to move.
fn heal(mut world: World) -> bool {
    let speaks = |world: &World| {
        world
            .nodes
            .iter()
            .flat_map(|node| &node.config.routers)
            .all(|r| r.options.advert_before_yield)
    };
    if !speaks(&world) {
        return false;
    }
    settle(&mut world);
    let first = master_of(&world);
    // The master alone: the others elect another.
    for side in &mut world.network.side {
        side[first] = 1;
    }
    settle(&mut world);
    let phase = world.rng.duration(Duration::ZERO, world.interval());
    world.run_until(world.time + phase);
    let before = world.believed.clone();
    world.network.heal();
    let end = world.time + world.interval() * 3 + GAP;
    let mut unserved: BTreeMap<(usize, IpAddr), Duration> = BTreeMap::new();
    while world.step(end) {
        for (client, node) in &world.believed {
            if world.nodes[*node].kernel.held.contains_key(&client.1) {
                unserved.remove(client);
                continue;
            }
            let since = *unserved.entry(*client).or_insert(world.time);
            assert!(
                world.time - since <= GAP,
                "{}: the client beside node {} still believes {} at node {node}",
                world.place(),
                client.0,
                client.1
            );
        }
    }
    let winner = master_of(&world);
    for ((client, vip), node) in &world.believed {
        assert_eq!(*node, winner, "{}: client {client} believes {vip} there", world.place());
    }
    before != world.believed
}
