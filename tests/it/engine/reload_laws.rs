//! The laws of a reload, over configurations at random: the same again does nothing, what two
//! configurations share notices nothing, and the end is where a fresh start ends.

use std::collections::BTreeMap;

use proptest::prelude::*;
use vipd::config::RouterConfig;
use vipd::engine::diff;
use vipd::status::{Change, RouterStatus};

use super::bench::Bench;
use super::generate::{edits, routers};
use super::reload::essence;
use super::setup::*;

/// Longer than any generated master-down interval, four times over.
const SETTLED: u64 = 60;

/// After some time, in which a better master of VRID 51 may have been heard.
fn history(routers: &[RouterConfig], ran: u64, heard: bool) -> Bench {
    let mut bench = Bench::start(config(routers.to_vec()));
    bench.run_for(ms(ran));
    if heard {
        bench.hear(&advert(HIGH, 120).vrid(51));
    }
    bench.did();
    bench.logs.clear();
    bench
}

/// Interface, destination and VRID with the times of what was sent since the first `skip`.
fn sent(bench: &Bench, skip: usize) -> BTreeMap<String, Vec<u64>> {
    let mut sent: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for advert in &bench.sent[skip..] {
        let key = (advert.iface, advert.destination, advert.advert.vrid);
        let at = u64::try_from(advert.at.since(T0).as_nanos()).unwrap();
        sent.entry(format!("{key:?}")).or_default().push(at);
    }
    sent
}

/// Those both configurations have, to the letter, by name.
fn shared<'c>(old: &'c [RouterConfig], new: &[RouterConfig]) -> Vec<&'c RouterConfig> {
    old.iter().filter(|router| new.contains(router)).collect()
}

fn of<'s>(all: &'s [RouterStatus], router: &RouterConfig) -> &'s RouterStatus {
    all.iter().find(|status| status.name == router.name).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        max_shrink_iters: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_same_again_does_nothing(routers in routers(), ran in 0..20_000_u64, heard: bool) {
        let mut bench = history(&routers, ran, heard);
        let before = (bench.snapshot(), bench.engine.poll_deadline());
        bench.reload(routers.clone());
        prop_assert_eq!(bench.did(), Vec::<String>::new());
        prop_assert!(bench.logs.is_empty(), "{:?}", bench.logs);
        prop_assert_eq!(before, (bench.snapshot(), bench.engine.poll_deadline()));
        prop_assert!(diff(&config(routers.clone()), &config(routers)).is_empty());
    }

    #[test]
    fn every_reload_ends_where_a_fresh_start_does(
        (old, new) in edits(),
        ran in 0..20_000_u64,
    ) {
        let mut fresh = Bench::start(config(new.clone()));
        fresh.run_for(secs(SETTLED));
        let mut bench = history(&old, ran, false);
        bench.reload(new);
        bench.run_for(secs(SETTLED));
        prop_assert_eq!(essence(&bench), essence(&fresh));
        prop_assert_eq!(bench.held(), fresh.held());
        prop_assert_eq!(bench.open_sockets(), fresh.open_sockets());
    }

    /// Not in the moment of the reload, nor in any after it: to the nanosecond what would have been
    /// without it.
    #[test]
    fn what_is_not_changed_notices_nothing(
        (old, new) in edits(),
        ran in 0..20_000_u64,
        heard: bool,
    ) {
        let shared = shared(&old, &new);
        let mut undisturbed = history(&old, ran, heard);
        let mut bench = history(&old, ran, heard);
        let (before, sockets) = (bench.snapshot(), bench.open_sockets().clone());
        let skip = bench.sent.len();
        bench.reload(new.clone());
        let after = bench.snapshot();
        for router in &shared {
            prop_assert_eq!(of(&before.routers, router), of(&after.routers, router));
        }
        let did = bench.did();
        for (iface, listen) in sockets.intersection(bench.open_sockets()) {
            let closed = format!("close {} on {iface}", listen.address());
            prop_assert!(!did.contains(&closed), "{:?}", did);
        }
        for address in shared.iter().flat_map(|router| &router.addresses) {
            let dropped = format!("drop {}", address.cidr.address());
            prop_assert!(!did.iter().any(|did| did.starts_with(&dropped)), "{:?}", did);
        }
        bench.run_for(secs(10));
        undisturbed.run_for(secs(10));
        let (with, without) = (sent(&bench, skip), sent(&undisturbed, skip));
        for router in shared {
            let told = |all: &BTreeMap<String, Vec<u64>>| {
                let status = undisturbed.snapshot().routers;
                let status = of(&status, router);
                let iface = bench.links.values().find(|(l, _)| l.name == status.interface);
                let iface = iface.map(|(link, _)| link.index);
                status.destinations.iter().filter_map(|to| {
                    all.get(&format!("{:?}", (iface?, to, router.vrid))).cloned()
                }).collect::<Vec<_>>()
            };
            prop_assert_eq!(told(&with), told(&without), "{}", router.name);
        }
    }

    /// What is reported to the operator is what happens.
    #[test]
    fn the_reported_changes_are_all_there_are((old, new) in edits(), ran in 0..20_000_u64) {
        let mut changes = diff(&config(old.clone()), &config(new.clone()));
        let mut bench = history(&old, ran, false);
        bench.engine.predict_effects(&config(new.clone()), &mut changes);
        let before = bench.snapshot().routers;
        bench.reload(new.clone());
        let after = bench.snapshot().routers;
        prop_assert_eq!(usize::try_from(changes.unchanged).unwrap(), shared(&old, &new).len());
        let named = |all: &[RouterConfig], name: &str| all.iter().find(|r| r.name == name).cloned();
        for change in &changes.routers {
            let (was, is) = (named(&old, &change.name), named(&new, &change.name));
            match change.change {
                Change::Added => prop_assert!(is.is_some() && change.state.is_none()),
                Change::Removed => prop_assert!(was.is_some() && is.is_none()),
                Change::Replaced => {
                    prop_assert_ne!(was.unwrap().key(), is.unwrap().key());
                }
                Change::Changed => {
                    prop_assert!(!change.settings.is_empty(), "{:?}", change);
                    let was = old.iter().find(|r| r.key() == is.as_ref().unwrap().key()).unwrap();
                    prop_assert_eq!(change.state, Some(of(&before, was).state));
                    let state = of(&after, &is.unwrap()).state;
                    prop_assert!(change.effect.contains(&state.to_string()), "{:?}: {}", change, state);
                }
            }
            prop_assert!(!change.effect.is_empty());
            for setting in &change.settings {
                prop_assert_ne!(&setting.from, &setting.to, "{:?}", change);
            }
        }
        let accounted = changes.routers.len() + shared(&old, &new).len();
        let replaced = changes.routers.iter().filter(|c| c.change == Change::Replaced).count();
        let common = old.iter().filter(|a| new.iter().any(|b| a.key() == b.key())).count();
        prop_assert_eq!(accounted + replaced, old.len() + new.len() - common);
    }
}
