//! Who serves when: at rest, and after each thing that can happen to one node.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use super::compat::{learned, master_down_interval};
use super::weights::{Failure, Tracked};
use super::{NodeSide, RouterPair, Side};
use super::{better, preempts};
use crate::config::{Cast, Preempt};
use crate::types::IfName;
use crate::vrrp::timing;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// Nothing: both nodes run and receive each other's adverts.
    Rest,
    /// The serving node loses its power, or the link that carries its adverts.
    Dies(Side),
    /// The serving node loses another link that carries an address or is tracked.
    LosesLink(Side, IfName),
    /// A check of the serving node fails; counted from the moment it has failed often enough.
    Fails(Side, String),
    /// The serving node's daemon is stopped.
    Stops(Side),
    /// The node starts while the other one serves.
    Returns(Side),
    /// The nodes no longer receive each other's adverts.
    Split,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Serving {
    One(Side),
    /// Whichever did before; this one if both start together, where that is known.
    Incumbent(Option<Side>),
    Both,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    pub event: Event,
    pub serving: Serving,
    /// After how long at least and at most, if that is another node than before.
    pub after: Option<[Duration; 2]>,
}

/// The table of one router; `same_group` moves with it on both nodes.
pub(super) fn of(pair: &RouterPair<'_>, same_group: &[&RouterPair<'_>]) -> Vec<Outcome> {
    let still = |event, serving| Outcome { event, serving, after: None };
    let better = better(pair);
    match (has_no_peer(&pair.a), has_no_peer(&pair.b)) {
        (false, false) => {}
        (true, false) => return vec![still(Event::Rest, Serving::One(Side::B))],
        (false, true) => return vec![still(Event::Rest, Serving::One(Side::A))],
        (true, true) => return Vec::new(),
    }
    if pair.flaps || pair.a.router.priority.is_owner() && pair.b.router.priority.is_owner() {
        // The addresses come and go.
        return Vec::new();
    }
    // A node that accepts no advert of the other one serves in any case.
    let listener = match (pair.a_accepts, pair.b_accepts) {
        (true, true) => None,
        (false, false) => return vec![still(Event::Rest, Serving::Both)],
        (true, false) => Some(Side::A),
        (false, true) => Some(Side::B),
    };
    if let Some(listener) = listener {
        let refusing = listener.other();
        return match better {
            Some(side) if side == refusing => vec![still(Event::Rest, Serving::One(refusing))],
            Some(_) if preempts(pair) == Some(listener) => {
                vec![still(Event::Rest, Serving::Both)]
            }
            // Who started first, or an address nobody knows here, makes the difference.
            _ => Vec::new(),
        };
    }
    let preferred = preempts(pair);
    let masters = match preferred {
        Some(side) => vec![side],
        None => vec![Side::A, Side::B],
    };
    let mut table =
        vec![still(Event::Rest, preferred.map_or(Serving::Incumbent(first(pair)), Serving::One))];
    for side in masters {
        let next = Serving::One(side.other());
        // A group takes over when the last of its routers may.
        let all = || std::iter::once(pair).chain(same_group.iter().copied());
        let silence = slowest(all().map(|one| Some(after_silence(one, side))));
        let resigned = slowest(all().map(|one| Some(after_resignation(one, side))));
        table.push(Outcome { event: Event::Dies(side), serving: next, after: silence });
        let own = &pair.node(side).router.iface;
        let mut links = BTreeMap::new();
        for other in same_group {
            let router = other.node(side).router;
            if router.options.track_interface && router.iface != *own {
                // Its adverts end without a word, and the others resign.
                let ends = Some(after_silence(other, side));
                let after = slowest([ends, resigned].into_iter());
                links.insert(router.iface.clone(), (Duration::ZERO, after));
            }
        }
        for node in all().map(|one| one.node(side)) {
            for (link, noticed) in other_links(node) {
                if link != *own {
                    links.entry(link).or_insert((noticed, resigned));
                }
            }
        }
        for (link, (noticed, after)) in links {
            let event = Event::LosesLink(side, link);
            let after = after.map(|range| range.map(|length| noticed + length));
            table.push(Outcome { event, serving: next, after });
        }
        for failure in failures(pair, same_group, side) {
            if !table.iter().any(|known| known.event == failure.event) {
                table.push(failure);
            }
        }
        table.push(Outcome { event: Event::Stops(side), serving: next, after: resigned });
        table.push(match preferred {
            Some(_) => {
                let back = slowest(all().map(|one| Some(after_return(one, side))));
                Outcome { event: Event::Returns(side), serving: Serving::One(side), after: back }
            }
            None => still(Event::Returns(side), next),
        });
    }
    if let Some(side) = preferred {
        table.push(still(Event::Dies(side.other()), Serving::One(side)));
    }
    table.push(still(Event::Split, Serving::Both));
    table
}

/// The outcome of each tracker of the master that fails, including trackers of routers in its sync
/// group.
fn failures(pair: &RouterPair<'_>, same_group: &[&RouterPair<'_>], master: Side) -> Vec<Outcome> {
    let all = || std::iter::once(pair).chain(same_group.iter().copied());
    let carries = other_links(pair.node(master));
    let mut table = Vec::new();
    for one in all() {
        let is_own = std::ptr::eq(one, pair);
        let node = one.node(master);
        for Failure { tracked, priority } in node.failures() {
            let (event, noticed) = match tracked {
                Tracked::Check(name) => (Event::Fails(master, name.to_owned()), Duration::ZERO),
                // The address it carries decides.
                Tracked::Link(link) if carries.contains_key(link) => continue,
                Tracked::Link(link) => {
                    (Event::LosesLink(master, link.clone()), down_delay(node, link))
                }
            };
            // A weight moves a group only if it moves each of its routers.
            let lowers = |other: &RouterPair<'_>| {
                let theirs = other.node(master.other()).priority();
                let same = |failure: &Failure<'_>| match (&failure.tracked, &event) {
                    (Tracked::Check(name), Event::Fails(_, own)) => name == own,
                    (Tracked::Link(link), Event::LosesLink(_, own)) => *link == own,
                    _ => false,
                };
                let own = other.node(master).failures();
                own.iter().any(|f| same(f) && f.priority.is_some_and(|left| left < theirs))
            };
            let range = match priority {
                None => slowest(all().map(|other| Some(after_resignation(other, master)))),
                Some(_) if !is_own => continue,
                Some(_) if all().all(lowers) => {
                    slowest(all().map(|other| after_lower_priority(other, master)))
                }
                Some(_) => None,
            };
            let after = range.map(|range| range.map(|length| noticed + length));
            let serving = Serving::One(if after.is_some() { master.other() } else { master });
            table.push(Outcome { event, serving, after });
        }
    }
    table
}

/// The latest of them; `None` if one of them never happens.
fn slowest(mut all: impl Iterator<Item = Option<[Duration; 2]>>) -> Option<[Duration; 2]> {
    let first = all.next()??;
    all.try_fold(first, |[a, b], next| next.map(|[c, d]| [a.max(c), b.max(d)]))
}

/// The node that serves first if both start together.
fn first(pair: &RouterPair<'_>) -> Option<Side> {
    let wait = |side| {
        let node = pair.node(side);
        let [_, startup_listening] = startup_listening(node);
        startup_listening + master_down_interval(node, node.router.interval)
    };
    match wait(Side::A).cmp(&wait(Side::B)) {
        Ordering::Less => Some(Side::A),
        Ordering::Greater => Some(Side::B),
        Ordering::Equal => better(pair),
    }
}

/// A unicast node whose only peer is itself stays in Fault.
fn has_no_peer(node: &NodeSide<'_>) -> bool {
    match &node.router.cast {
        Cast::Unicast { peers, .. } => {
            peers.iter().all(|peer| Some(peer.address) == node.router.source)
        }
        Cast::Multicast { .. } => false,
    }
}

/// The links besides its own whose loss takes a router out of service, and how long that takes.
fn other_links(node: &NodeSide<'_>) -> BTreeMap<IfName, Duration> {
    let addresses = node.router.addresses.iter().filter(|address| address.track);
    let links = addresses.filter_map(|address| address.iface.clone());
    links.map(|link| (link.clone(), down_delay(node, &link))).collect()
}

/// How long a link must be down before it counts.
fn down_delay(node: &NodeSide<'_>, link: &IfName) -> Duration {
    node.config.interfaces.get(link).map(|config| config.down_delay).unwrap_or_default()
}

/// How long a node only listens after its start: at least, and at most if it has just been booted.
fn startup_listening(node: &NodeSide<'_>) -> [Duration; 2] {
    let globals = &node.config.globals;
    [globals.startup_delay, globals.startup_delay.max(globals.delay_after_boot)]
}

/// From the failure of the master, which is up to an interval after its last advert.
fn after_silence(pair: &RouterPair<'_>, master: Side) -> [Duration; 2] {
    let interval = pair.node(master).router.interval;
    let wait = master_down_interval(pair.node(master.other()), interval);
    [wait.saturating_sub(interval.as_duration()), wait]
}

/// A master that resigns leaves the backup its skew, or less if the backup was about to take over.
fn after_resignation(pair: &RouterPair<'_>, master: Side) -> [Duration; 2] {
    let backup = pair.node(master.other());
    let interval = learned(backup, pair.node(master).router.interval);
    let skew = timing::skew(&backup.router.dialect, backup.priority(), interval);
    let [least, _] = after_silence(pair, master);
    [skew.min(least), skew]
}

/// A master that advertises too low a priority is not followed any longer: the backup's timer runs
/// on from the advert before. `None`: the backup follows any master.
fn after_lower_priority(pair: &RouterPair<'_>, master: Side) -> Option<[Duration; 2]> {
    let backup = pair.node(master.other());
    match backup.router.preempt {
        _ if backup.router.priority.is_owner() => Some(after_silence(pair, master)),
        Preempt::Never => None,
        Preempt::After(delay) if delay.is_zero() => Some(after_silence(pair, master)),
        // It follows every advert within the delay, and waits after the last one.
        Preempt::After(delay) => {
            let interval = pair.node(master).router.interval;
            let wait = master_down_interval(backup, interval);
            Some([delay.saturating_sub(interval.as_duration()) + wait, delay + wait])
        }
    }
}

/// From its start until the better node has taken over.
fn after_return(pair: &RouterPair<'_>, side: Side) -> [Duration; 2] {
    let own = pair.node(side);
    let master = pair.node(side.other()).router.interval;
    let [least, most] = match own.router.preempt {
        _ if own.router.priority.is_owner() => [Duration::ZERO; 2],
        Preempt::After(delay) if !delay.is_zero() => {
            // It follows every advert within the delay, and waits after the last one.
            let interval = master.as_duration();
            let adverts = delay.as_nanos().div_ceil(interval.as_nanos());
            let whole = interval * u32::try_from(adverts).unwrap_or(u32::MAX);
            let wait = master_down_interval(own, master);
            let least = whole.saturating_sub(interval) + wait;
            // Unless it has taken over before it heard of the other at all.
            let unheard = master_down_interval(own, own.router.interval);
            [if unheard <= interval { unheard } else { least }, whole + wait]
        }
        Preempt::After(_) | Preempt::Never => [master_down_interval(own, own.router.interval); 2],
    };
    let [shortest, longest] = startup_listening(own);
    [shortest + least, longest + most]
}
