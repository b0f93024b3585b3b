//! Who serves when: at rest, and after each thing that can happen to one node.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use super::hearing::{learned, patience};
use super::roles::{better, preempts};
use super::weights::{Failure, Tracked};
use super::{Couple, Half, Side};
use crate::config::{Cast, Preempt};
use crate::types::IfName;
use crate::vrrp::timing;

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// Nothing: both nodes run and hear each other.
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
    /// The nodes stop to hear each other.
    Split,
}

/// Who serves then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Serving {
    /// This node.
    One(Side),
    /// Whichever did before; this one if both start together, where that is known.
    Incumbent(Option<Side>),
    /// Both at once.
    Both,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    /// What happens.
    pub event: Event,
    /// Who serves then.
    pub serving: Serving,
    /// After how long at least and at most, if that is another node than before.
    pub after: Option<[Duration; 2]>,
}

/// The table of one router; `company` moves with it on both nodes.
pub(super) fn of(couple: &Couple<'_>, company: &[&Couple<'_>]) -> Vec<Outcome> {
    let still = |event, serving| Outcome { event, serving, after: None };
    let better = better(couple);
    match (has_nobody(&couple.a), has_nobody(&couple.b)) {
        (false, false) => {}
        (true, false) => return vec![still(Event::Rest, Serving::One(Side::B))],
        (false, true) => return vec![still(Event::Rest, Serving::One(Side::A))],
        (true, true) => return Vec::new(),
    }
    if couple.flaps || couple.a.router.priority.is_owner() && couple.b.router.priority.is_owner() {
        // The addresses come and go.
        return Vec::new();
    }
    // A node that does not hear the other one serves in any case.
    let listener = match (couple.a_hears, couple.b_hears) {
        (true, true) => None,
        (false, false) => return vec![still(Event::Rest, Serving::Both)],
        (true, false) => Some(Side::A),
        (false, true) => Some(Side::B),
    };
    if let Some(listener) = listener {
        let deaf = listener.other();
        return match better {
            Some(side) if side == deaf => vec![still(Event::Rest, Serving::One(deaf))],
            Some(_) if preempts(couple) == Some(listener) => {
                vec![still(Event::Rest, Serving::Both)]
            }
            // Who started first, or an address nobody knows here, makes the difference.
            _ => Vec::new(),
        };
    }
    let preferred = preempts(couple);
    let masters = match preferred {
        Some(side) => vec![side],
        None => vec![Side::A, Side::B],
    };
    let mut table =
        vec![still(Event::Rest, preferred.map_or(Serving::Incumbent(first(couple)), Serving::One))];
    for side in masters {
        let next = Serving::One(side.other());
        // A group takes over when the last of its routers may.
        let all = || std::iter::once(couple).chain(company.iter().copied());
        let silence = slowest(all().map(|one| Some(after_silence(one, side))));
        let resigned = slowest(all().map(|one| Some(after_resignation(one, side))));
        table.push(Outcome { event: Event::Dies(side), serving: next, after: silence });
        let own = &couple.half(side).router.iface;
        let mut links = BTreeMap::new();
        for other in company {
            let router = other.half(side).router;
            if router.options.track_interface && router.iface != *own {
                // Its adverts end without a word, and the others resign.
                let ends = Some(after_silence(other, side));
                let after = slowest([ends, resigned].into_iter());
                links.insert(router.iface.clone(), (Duration::ZERO, after));
            }
        }
        for half in all().map(|one| one.half(side)) {
            for (link, noticed) in other_links(half) {
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
        for failure in failures(couple, company, side) {
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

/// What each tracker of the master means, those included that keep a router from serving which it
/// moves with.
fn failures(couple: &Couple<'_>, company: &[&Couple<'_>], master: Side) -> Vec<Outcome> {
    let all = || std::iter::once(couple).chain(company.iter().copied());
    let carries = other_links(couple.half(master));
    let mut table = Vec::new();
    for one in all() {
        let is_own = std::ptr::eq(one, couple);
        let half = one.half(master);
        for Failure { tracked, priority } in half.failures() {
            let (event, noticed) = match tracked {
                Tracked::Check(name) => (Event::Fails(master, name.to_owned()), Duration::ZERO),
                // The address it carries decides.
                Tracked::Link(link) if carries.contains_key(link) => continue,
                Tracked::Link(link) => {
                    (Event::LosesLink(master, link.clone()), down_delay(half, link))
                }
            };
            // A weight moves a group only if it moves each of its routers.
            let lowers = |other: &Couple<'_>| {
                let theirs = other.half(master.other()).priority();
                let same = |failure: &Failure<'_>| match (&failure.tracked, &event) {
                    (Tracked::Check(name), Event::Fails(_, own)) => name == own,
                    (Tracked::Link(link), Event::LosesLink(_, own)) => *link == own,
                    _ => false,
                };
                let own = other.half(master).failures();
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

/// When the last of them may; never if one of them never may.
fn slowest(mut all: impl Iterator<Item = Option<[Duration; 2]>>) -> Option<[Duration; 2]> {
    let first = all.next()??;
    all.try_fold(first, |[a, b], next| next.map(|[c, d]| [a.max(c), b.max(d)]))
}

/// The node that serves first if both start together.
fn first(couple: &Couple<'_>) -> Option<Side> {
    let wait = |side| {
        let half = couple.half(side);
        let [_, quiet] = quiet(half);
        quiet + patience(half, half.router.interval)
    };
    match wait(Side::A).cmp(&wait(Side::B)) {
        Ordering::Less => Some(Side::A),
        Ordering::Greater => Some(Side::B),
        Ordering::Equal => better(couple),
    }
}

/// A unicast node whose only peer is itself stays in Fault.
fn has_nobody(half: &Half<'_>) -> bool {
    match &half.router.cast {
        Cast::Unicast { peers, .. } => {
            peers.iter().all(|peer| Some(peer.address) == half.router.source)
        }
        Cast::Multicast { .. } => false,
    }
}

/// The links besides its own whose loss takes a router out of service, and how long that takes.
fn other_links(half: &Half<'_>) -> BTreeMap<IfName, Duration> {
    let addresses = half.router.addresses.iter().filter(|address| address.track);
    let links = addresses.filter_map(|address| address.iface.clone());
    links.map(|link| (link.clone(), down_delay(half, &link))).collect()
}

/// How long a link must be down before it counts.
fn down_delay(half: &Half<'_>, link: &IfName) -> Duration {
    half.config.interfaces.get(link).map(|config| config.down_delay).unwrap_or_default()
}

/// How long a node only listens after its start, at least and at most: it may just have been booted.
fn quiet(half: &Half<'_>) -> [Duration; 2] {
    let globals = &half.config.globals;
    [globals.startup_delay, globals.startup_delay.max(globals.delay_after_boot)]
}

/// From the moment the master falls silent, up to an interval after its last advert.
fn after_silence(couple: &Couple<'_>, master: Side) -> [Duration; 2] {
    let interval = couple.half(master).router.interval;
    let wait = patience(couple.half(master.other()), interval);
    [wait.saturating_sub(interval.as_duration()), wait]
}

/// A master that resigns leaves the backup its skew, or less if the backup was about to take over.
fn after_resignation(couple: &Couple<'_>, master: Side) -> [Duration; 2] {
    let backup = couple.half(master.other());
    let interval = learned(backup, couple.half(master).router.interval);
    let skew = timing::skew(&backup.router.dialect, backup.priority(), interval);
    let [least, _] = after_silence(couple, master);
    [skew.min(least), skew]
}

/// A master that advertises too low a priority is not followed any longer: the backup's timer runs
/// on from the advert before. `None`: the backup follows any master.
fn after_lower_priority(couple: &Couple<'_>, master: Side) -> Option<[Duration; 2]> {
    let backup = couple.half(master.other());
    match backup.router.preempt {
        _ if backup.router.priority.is_owner() => Some(after_silence(couple, master)),
        Preempt::Never => None,
        Preempt::After(delay) if delay.is_zero() => Some(after_silence(couple, master)),
        // It follows every advert within the delay, and waits after the last one.
        Preempt::After(delay) => {
            let interval = couple.half(master).router.interval;
            let wait = patience(backup, interval);
            Some([delay.saturating_sub(interval.as_duration()) + wait, delay + wait])
        }
    }
}

/// From its start until the better node has taken over.
fn after_return(couple: &Couple<'_>, side: Side) -> [Duration; 2] {
    let own = couple.half(side);
    let master = couple.half(side.other()).router.interval;
    let [least, most] = match own.router.preempt {
        _ if own.router.priority.is_owner() => [Duration::ZERO; 2],
        Preempt::After(delay) if !delay.is_zero() => {
            // It follows every advert within the delay, and waits after the last one.
            let interval = master.as_duration();
            let adverts = delay.as_nanos().div_ceil(interval.as_nanos());
            let whole = interval * u32::try_from(adverts).unwrap_or(u32::MAX);
            let wait = patience(own, master);
            let least = whole.saturating_sub(interval) + wait;
            // Unless it has taken over before it heard of the other at all.
            let unheard = patience(own, own.router.interval);
            [if unheard <= interval { unheard } else { least }, whole + wait]
        }
        Preempt::After(_) | Preempt::Never => [patience(own, own.router.interval); 2],
    };
    let [shortest, longest] = quiet(own);
    [shortest + least, longest + most]
}
