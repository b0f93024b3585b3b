//! The choice of a server for one connection.

use std::collections::BTreeMap;

use super::view::{Admission, Balance, PoolView, Server, ServerId, Wants};

/// What [`Balancer::choose`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice<'v> {
    Server(&'v Server),
    /// Those that may be used have no free place.
    Full,
    /// None may be used, or those that may have been tried.
    Nobody,
}

/// The state of one worker's choices for one listener.
#[derive(Clone, Debug, Default)]
pub struct Balancer {
    /// What each server is owed, in sessions times the sum of weights.
    credit: BTreeMap<ServerId, i64>,
    /// Choices to leave out first.
    skip: u32,
}

impl Balancer {
    /// One that begins `skip` choices later, so that workers do not all begin with the same server.
    #[must_use]
    pub fn starting_at(skip: u32) -> Balancer {
        Balancer { credit: BTreeMap::new(), skip }
    }

    /// Choose a server for one connection.
    ///
    /// Of the servers that fit, are usable and were not tried yet, the active ones come before the
    /// backups, and both before the primary a listener may fall back to. `sessions` says how many a
    /// server has; one that is full is waited for, not passed over for a backup.
    pub fn choose<'v>(
        &mut self,
        view: &'v PoolView,
        sessions: impl Fn(ServerId) -> u32,
        tried: &[ServerId],
    ) -> Choice<'v> {
        let candidates = candidates(view, tried);
        if candidates.is_empty() {
            return Choice::Nobody;
        }
        let free: Vec<&Server> = candidates
            .into_iter()
            .filter(|s| s.maxconn.is_none_or(|most| sessions(s.id) < most.get()))
            .collect();
        let chosen = match view.balance {
            Balance::First => free.first().copied(),
            Balance::RoundRobin => self.next(view, &free),
            Balance::LeastConn => self.next(view, &least_loaded(&free, sessions)),
        };
        chosen.map_or(Choice::Full, Choice::Server)
    }

    /// The next in turn. Smooth weighted round robin: everyone is credited its weight, the one with
    /// most credit is chosen and pays for all.
    fn next<'v>(&mut self, view: &PoolView, among: &[&'v Server]) -> Option<&'v Server> {
        if self.credit.len() > view.servers.len() {
            self.credit.retain(|id, _| view.server(*id).is_some());
        }
        for _ in 0..std::mem::take(&mut self.skip) {
            self.pick(among);
        }
        self.pick(among)
    }

    fn pick<'v>(&mut self, among: &[&'v Server]) -> Option<&'v Server> {
        let mut all = 0;
        let mut best: Option<(i64, &Server)> = None;
        for server in among {
            let weight = i64::from(server.weight.get());
            all += weight;
            let credit = self.credit.entry(server.id).or_default();
            *credit += weight;
            if best.is_none_or(|(most, _)| *credit > most) {
                best = Some((*credit, server));
            }
        }
        let (_, chosen) = best?;
        *self.credit.entry(chosen.id).or_default() -= all;
        Some(chosen)
    }
}

/// The servers the next connection may go to. Those that do not answer come last.
#[must_use]
pub fn next_in_line(
    view: &PoolView,
    sessions: impl Fn(ServerId) -> u32,
    mute: &[ServerId],
) -> Vec<ServerId> {
    let mut among = candidates(view, mute);
    if among.is_empty() {
        among = candidates(view, &[]);
    }
    among.retain(|s| s.maxconn.is_none_or(|most| sessions(s.id) < most.get()));
    let next = match view.balance {
        Balance::First => among.into_iter().take(1).collect(),
        Balance::RoundRobin => among,
        Balance::LeastConn => least_loaded(&among, sessions),
    };
    next.into_iter().map(|server| server.id).collect()
}

/// The servers the choice is among: the first non-empty class of those a listener may use.
#[must_use]
pub fn candidates<'v>(view: &'v PoolView, tried: &[ServerId]) -> Vec<&'v Server> {
    let usable = |wants: Wants, backup: bool| {
        view.servers.iter().filter(move |s| {
            s.backup == backup
                && s.admission == Admission::Up
                && s.weight.get() > 0
                && wants.fits(s.role)
                && !tried.contains(&s.id)
        })
    };
    for wants in view.classes() {
        let active: Vec<_> = usable(wants, false).collect();
        if !active.is_empty() {
            return active;
        }
        let backups = if view.all_backups { usize::MAX } else { 1 };
        let backups: Vec<_> = usable(wants, true).take(backups).collect();
        if !backups.is_empty() {
            return backups;
        }
    }
    Vec::new()
}

/// Those with the fewest sessions for their weight.
fn least_loaded<'v>(among: &[&'v Server], sessions: impl Fn(ServerId) -> u32) -> Vec<&'v Server> {
    let mut least: Vec<(u64, &Server)> = Vec::new();
    for server in among {
        let load = u64::from(sessions(server.id));
        let weight = u64::from(server.weight.get());
        // load / weight of this one against that of the best so far, without dividing
        let order = match least.first() {
            Some((best, with)) => (load * u64::from(with.weight.get())).cmp(&(best * weight)),
            None => std::cmp::Ordering::Less,
        };
        match order {
            std::cmp::Ordering::Less => least = vec![(load, server)],
            std::cmp::Ordering::Equal => least.push((load, server)),
            std::cmp::Ordering::Greater => {}
        }
    }
    least.into_iter().map(|(_, server)| server).collect()
}
