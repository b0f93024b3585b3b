//! Sync groups: routers that change state together (R29).
//!
//! A member that cannot serve keeps the others from serving, through their environment. What else
//! they owe each other is settled after every input: a member that follows a better master takes
//! the others along, without a resignation; one whose timer has ended waits until all want to be
//! master, or joins those that are.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{GroupConfig, RouterKey};
use crate::engine::Engine;
use crate::io::{Action, Kind, Level, Notification, NotifyEvent, RouterId};
use crate::status::State;
use crate::types::Now;
use crate::vrrp::environment::{Environment, Fault};
use crate::vrrp::reason::Reason;
use crate::vrrp::router::Router;

/// The groups of the configuration. One of a single member has nothing to keep in step, but is told of.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: Vec<Group>,
    of: BTreeMap<RouterId, usize>,
    /// Those of which a member may have changed since they were settled.
    touched: BTreeSet<usize>,
}

#[derive(Debug)]
struct Group {
    name: String,
    members: Vec<RouterId>,
    /// The state those who follow it were told last.
    told: Option<State>,
}

impl Groups {
    pub(super) fn configure(
        &mut self,
        configs: &[GroupConfig],
        by_key: &BTreeMap<RouterKey, RouterId>,
    ) {
        let before = std::mem::take(self);
        let told = |name: &str| before.groups.iter().find(|g| g.name == name).and_then(|g| g.told);
        for config in configs {
            let members: Vec<RouterId> =
                config.members.iter().filter_map(|key| by_key.get(key).copied()).collect();
            if !members.is_empty() {
                self.of.extend(members.iter().map(|id| (*id, self.groups.len())));
                let (name, told) = (config.name.clone(), told(&config.name));
                self.groups.push(Group { name, members, told });
            }
        }
    }

    pub(super) fn touched(&mut self, id: RouterId) {
        self.touched.extend(self.of.get(&id));
    }

    /// Whether another router must change state with this one.
    pub(super) fn bind(&self, id: RouterId) -> bool {
        self.beside(id).next().is_some()
    }

    fn of(&self, id: RouterId) -> Option<&Group> {
        self.groups.get(*self.of.get(&id)?)
    }

    /// The others of its group.
    pub(super) fn beside(&self, id: RouterId) -> impl Iterator<Item = RouterId> + use<'_> {
        let members = self.of(id).map(|group| group.members.as_slice()).unwrap_or_default();
        members.iter().copied().filter(move |member| *member != id)
    }

    pub(super) fn name_of(&self, id: RouterId) -> Option<&str> {
        self.of(id).map(|group| group.name.as_str())
    }
}

impl Engine {
    /// The routers a command for one of them is for: its whole group.
    pub(super) fn in_step_with(&self, id: RouterId) -> BTreeSet<RouterId> {
        std::iter::once(id).chain(self.groups.beside(id)).collect()
    }

    /// A member that cannot serve keeps `id` from serving.
    pub(super) fn group_faults(&self, id: RouterId, env: &mut Environment) {
        let Some(name) = self.groups.name_of(id) else { return };
        let others = self.groups.beside(id).filter_map(|id| self.routers.get(&id));
        for other in others {
            if let Some(fault) = other.env.own_fault() {
                let (group, member) = (name.to_owned(), other.cfg.name.clone());
                env.faults.insert(Fault::Group { group, member, why: Box::new(fault.clone()) });
            }
        }
    }

    /// Brings every group in step of which a member may have changed.
    pub(super) fn settle_groups(&mut self, now: Now) {
        for group in std::mem::take(&mut self.groups.touched) {
            self.settle(now, group);
            self.tell_of(group);
        }
        self.groups.touched.clear();
    }

    fn settle(&mut self, now: Now, group: usize) {
        let Some(Group { name, members, .. }) = self.groups.groups.get(group) else { return };
        let (name, members) = (name.clone(), members.clone());
        let with = |holds: fn(&Router) -> bool| -> Vec<RouterId> {
            let held = |id: &RouterId| self.routers.get(id).is_some_and(holds);
            members.iter().copied().filter(held).collect()
        };
        let masters = with(|router| router.state() == State::Master);
        if let Some(better) = with(Router::follows_a_better_one).first() {
            let better = self.routers.get(better);
            let (follower, claim) =
                (better.map(|r| r.cfg.name.clone()), better.and_then(|r| r.just_heard(now)));
            let reason =
                Reason::SyncGroup { group: name.clone(), member: follower.unwrap_or_default() };
            for id in &members {
                if let Some(router) = self.routers.get_mut(id) {
                    router.group_succeeded();
                }
            }
            for id in &masters {
                if let Some(router) = self.routers.get_mut(id) {
                    router.follow_group(now, claim, reason.clone(), &mut self.out);
                }
                self.rearm(*id);
            }
            if !masters.is_empty() {
                self.synced(&name, State::Backup);
            }
            return;
        }
        let willing = with(Router::wants_master);
        if willing.is_empty() || (masters.is_empty() && willing.len() < members.len()) {
            return;
        }
        for id in willing {
            if let Some(router) = self.routers.get_mut(&id) {
                router.join_masters(now, &mut self.out);
            }
            self.rearm(id);
        }
        self.synced(&name, State::Master);
    }

    /// The other members of a group announce with the one that answered a rival: a group is served as one.
    pub(super) fn rival_of_group_heard(&mut self, now: Now, id: RouterId) {
        for other in self.groups.beside(id).collect::<Vec<_>>() {
            if let Some(router) = self.routers.get_mut(&other) {
                router.announce_beside_rival(now, &mut self.out);
            }
            self.rearm(other);
        }
    }

    /// A group is where all of its members were told to be; while they differ, where it was.
    fn tell_of(&mut self, group: usize) {
        let Some(Group { name, members, told }) = self.groups.groups.get_mut(group) else { return };
        let mut states = members.iter().map(|id| self.routers.get(id).and_then(Router::told_state));
        let Some(to) = states.next().flatten() else { return };
        if *told == Some(to) || !states.all(|state| state == Some(to)) {
            return;
        }
        let from = told.replace(to);
        let last = members.iter().filter_map(|id| self.routers.get(id)).max_by_key(|r| r.since);
        let reason = last.map_or_else(String::new, |r| format!("{}: {}", r.cfg.name, r.reason));
        let (kind, name) = (Kind::Group, name.clone());
        let event = NotifyEvent::Entered { from, to };
        self.out.push(Action::Notify(Notification { kind, name, event, reason, priority: 0 }));
    }

    /// The daemon ends.
    pub(super) fn tell_groups_of_stop(&mut self) {
        for Group { name, .. } in &self.groups.groups {
            let (kind, name) = (Kind::Group, name.clone());
            let reason = "the daemon stops".to_owned();
            let stop =
                Notification { kind, name, event: NotifyEvent::Stopped, reason, priority: 0 };
            self.out.push(Action::Notify(stop));
        }
    }

    /// keepalived's line.
    fn synced(&mut self, group: &str, state: State) {
        let message = format!("VRRP_Group({group}) Syncing instances to {state} state");
        self.out.record(Level::Info, None, message);
    }
}
