//! Clusters and the listeners they serve: asked in time, and published as views.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::listener_health::{ListenerHealth, hysteresis};
use super::timer_queue::TimerQueue;
use crate::cluster::by_status::Statuses;
use crate::cluster::serving::{Addresses, Serving, unresolved_reason};
use crate::cluster::{Cluster, ClusterAction, MemberId};
use crate::config::checks::{Endpoint, Host, HostName};
use crate::config::{ClusterConfig, Config, ListenerConfig};
use crate::io::{Action, ProbeId};
use crate::pool::{Hinted, ListenerId, ServerId};
use crate::status::{ClusterStatus, ListenerStatus};
use crate::track::outcome::{self, Cause, Outcome};
use crate::track::patroni::{Answer, Topic};
use crate::track::weight::CheckState;
use crate::types::Now;
use crate::vrrp::outbox::Outbox;

/// One cluster for as long as the daemon knows its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ClusterId(u32);

/// What a `ProbeId` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Subject {
    cluster: ClusterId,
    member: MemberId,
    /// `None`: a check of the server itself.
    topic: Option<Topic>,
}

/// Every cluster and listener of the configuration.
#[derive(Debug, Default)]
pub(super) struct Clusters {
    running: BTreeMap<ClusterId, Running>,
    by_name: BTreeMap<String, ClusterId>,
    listeners: BTreeMap<ListenerId, Listening>,
    by_listener: BTreeMap<String, ListenerId>,
    /// Those that decide where members are not Patroni; begun when that is so.
    by_status: Vec<(Arc<ClusterConfig>, ClusterId)>,
    timers: TimerQueue<Due>,
    probes: BTreeMap<ProbeId, Subject>,
    by_subject: BTreeMap<Subject, ProbeId>,
    addresses: Addresses,
    /// The names whose addresses are kept known.
    names: BTreeSet<HostName>,
    /// The proxy does not turn.
    stands_still: bool,
    /// What a listener says to routers may have changed.
    turned: bool,
    /// Of the input that is being handled.
    pub(super) now: Now,
    next_id: u32,
    next_server: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Cluster(ClusterId),
    Listener(ListenerId),
    Health(ListenerId),
}

#[derive(Debug)]
struct Running {
    cfg: Arc<ClusterConfig>,
    cluster: Cluster,
}

#[derive(Debug)]
struct Listening {
    serving: Serving,
    cluster: ClusterId,
    health: ListenerHealth,
}

/// The source of all `ProbeId`s.
#[derive(Debug, Default)]
pub(super) struct ProbeIds(u32);

impl ProbeIds {
    pub(super) fn fresh(&mut self) -> ProbeId {
        let id = ProbeId(self.0);
        self.0 += 1;
        id
    }
}

impl Clusters {
    pub(super) fn reconfigure(
        &mut self,
        now: Now,
        config: &Config,
        ids: &mut ProbeIds,
        out: &mut Outbox,
    ) {
        let mut before = std::mem::take(&mut self.by_name);
        let mut places = Vec::new();
        for cfg in &config.clusters {
            let known = before.remove(&cfg.name).filter(|id| {
                let running = self.running.get_mut(id);
                running.is_some_and(|running| {
                    running.cfg = Arc::clone(cfg);
                    running.cluster.reconfigured(now, cfg)
                })
            });
            let id = known.unwrap_or_else(|| self.begin(now, cfg, out));
            self.by_name.insert(cfg.name.clone(), id);
            places.push(id);
        }
        let kept: BTreeSet<ClusterId> = places.iter().copied().collect();
        let by_status = |id: &ClusterId| self.by_status.iter().any(|(_, known)| known == id);
        let gone = self.running.keys().filter(|id| !kept.contains(id) && !by_status(id));
        let gone: Vec<ClusterId> = gone.copied().collect();
        for id in gone {
            self.end(id, out);
        }

        let mut before = std::mem::take(&mut self.by_listener);
        for cfg in &config.listeners {
            let Some(&cluster) = places.get(cfg.cluster) else { continue };
            let known = before.remove(cfg.name());
            let id = known.unwrap_or_else(|| ListenerId(self.fresh()));
            let same = self.listeners.get(&id).is_some_and(|l| l.serving.config() == cfg);
            match self.listeners.get_mut(&id) {
                Some(listening) => {
                    listening.serving.reconfigured(Arc::clone(cfg));
                    if std::mem::replace(&mut listening.cluster, cluster) != cluster {
                        listening.serving.moved();
                    }
                }
                None => {
                    let serving = Serving::new(Arc::clone(cfg));
                    self.listeners.insert(
                        id,
                        Listening { serving, cluster, health: ListenerHealth::UNKNOWN },
                    );
                }
            }
            self.by_listener.insert(cfg.name().to_owned(), id);
            if !same {
                out.push(Action::Listen { listener: id, config: Arc::clone(cfg) });
            }
        }
        for listener in before.into_values() {
            out.push(Action::Unlisten { listener });
            if let Some(listening) = self.listeners.get_mut(&listener) {
                listening.serving.close(now);
            }
        }
        self.require_names(out);
        for id in kept {
            self.touched(id, ids, out);
        }
        self.follow_speech(now, ids, out);
        self.refresh(now, None, out);
    }

    fn begin(&mut self, now: Now, cfg: &Arc<ClusterConfig>, out: &mut Outbox) -> ClusterId {
        if let Some(&other) = self.by_name.get(&cfg.name) {
            self.end(other, out);
        }
        let id = ClusterId(self.fresh());
        let cluster = Cluster::new(now, cfg);
        self.running.insert(id, Running { cfg: Arc::clone(cfg), cluster });
        id
    }

    fn end(&mut self, id: ClusterId, out: &mut Outbox) {
        self.running.remove(&id);
        self.timers.set(Due::Cluster(id), None);
        self.forget(|subject| subject.cluster == id, out);
    }

    fn fresh(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    /// Nothing is asked any more; the views stay as they are.
    pub(super) fn stop(&mut self, out: &mut Outbox) {
        while let Some(id) = self.running.keys().next().copied() {
            self.end(id, out);
        }
        for id in std::mem::take(&mut self.listeners).into_keys() {
            self.timers.set(Due::Listener(id), None);
            self.timers.set(Due::Health(id), None);
        }
    }

    pub(super) fn deadline(&self) -> Option<Now> {
        self.timers.first()
    }

    /// Who waits for the earliest deadline, in words.
    pub(super) fn waiting(&self) -> Option<(Now, String)> {
        let (at, due) = self.timers.next()?;
        let name = match due {
            Due::Cluster(id) => format!("cluster {}", self.running.get(&id)?.cfg.name),
            Due::Listener(id) | Due::Health(id) => {
                format!("listener {}", self.listeners.get(&id)?.serving.config().name())
            }
        };
        Some((at, name))
    }

    pub(super) fn time_passed(&mut self, now: Now, ids: &mut ProbeIds, out: &mut Outbox) {
        while let Some(due) = self.timers.due(now) {
            match due {
                Due::Cluster(id) => {
                    if let Some(running) = self.running.get_mut(&id) {
                        running.cluster.time_passed(now);
                    }
                    self.touched(id, ids, out);
                    self.follow_speech(now, ids, out);
                    self.refresh(now, Some(id), out);
                }
                Due::Listener(_) => self.refresh(now, None, out),
                Due::Health(_) => self.turned = true,
            }
        }
    }

    pub(super) fn suspended(
        &mut self,
        now: Now,
        gap: Duration,
        ids: &mut ProbeIds,
        out: &mut Outbox,
    ) {
        for id in self.running.keys().copied().collect::<Vec<_>>() {
            if let Some(running) = self.running.get_mut(&id) {
                running.cluster.suspended(now, gap);
            }
            self.touched(id, ids, out);
        }
        self.refresh(now, None, out);
    }

    pub(super) fn stalled(&mut self, now: Now, gap: Duration) {
        self.running.values_mut().for_each(|running| running.cluster.stalled(now, gap));
    }

    pub(super) fn answered(
        &mut self,
        now: Now,
        probe: ProbeId,
        answer: Answer,
        ids: &mut ProbeIds,
        out: &mut Outbox,
    ) {
        let Some(subject) = self.probes.get(&probe).copied() else { return };
        let (Some(topic), Some(running)) = (subject.topic, self.running.get_mut(&subject.cluster))
        else {
            return;
        };
        running.cluster.answered(now, subject.member, topic, answer);
        self.touched(subject.cluster, ids, out);
        self.follow_speech(now, ids, out);
        self.refresh(now, Some(subject.cluster), out);
    }

    /// Gives the outcome back if it is not about a server.
    pub(super) fn probed(
        &mut self,
        now: Now,
        probe: ProbeId,
        outcome: Outcome,
        ids: &mut ProbeIds,
        out: &mut Outbox,
    ) -> Option<Outcome> {
        let Some(subject) = self.probes.get(&probe).copied() else { return Some(outcome) };
        if let Some(running) = self.running.get_mut(&subject.cluster) {
            running.cluster.probed(now, subject.member, outcome);
        }
        self.touched(subject.cluster, ids, out);
        self.refresh(now, Some(subject.cluster), out);
        None
    }

    pub(super) fn resolved(&mut self, now: Now, name: HostName, to: IpAddr, out: &mut Outbox) {
        if self.names.contains(&name) && self.addresses.insert(name, to) != Some(to) {
            self.refresh(now, None, out);
        }
    }

    pub(super) fn hinted(
        &mut self,
        now: Now,
        hinted: Hinted,
        ids: &mut ProbeIds,
        out: &mut Outbox,
    ) {
        let Some(listening) = self.listeners.get(&hinted.listener) else { return };
        let Some(member) = listening.serving.member(hinted.server) else { return };
        let id = listening.cluster;
        let Some(running) = self.running.get_mut(&id) else { return };
        running.cluster.hinted(now, member, hinted.hint);
        let place = running.cluster.members().iter().position(|known| *known == member);
        self.touched(id, ids, out);
        let by_status = self.listeners.get(&hinted.listener);
        let by_status = by_status.and_then(|l| l.serving.config().by_status.as_ref());
        let own = by_status.and_then(|by| self.status_cluster(&by.own));
        if let (Some(own), Some(place)) = (own, place)
            && let Some(running) = self.running.get_mut(&own)
            && let Some(member) = running.cluster.members().get(place)
        {
            running.cluster.hinted(now, *member, hinted.hint);
            self.touched(own, ids, out);
        }
    }

    /// Whether the proxy's workers run at all.
    pub(super) fn proxy_alive(&mut self, alive: bool) {
        self.turned |= self.stands_still == alive;
        self.stands_still = !alive;
    }

    /// Whether a listener is open at all its addresses.
    pub(super) fn accepting(&mut self, listener: ListenerId, accepting: bool) {
        if let Some(listening) = self.listeners.get_mut(&listener) {
            self.turned |= listening.health.accepts != Some(accepting);
            listening.health.accepts = Some(accepting);
        }
    }

    /// Whether what a listener says to routers may have changed since this was last asked.
    pub(super) fn take_turned(&mut self) -> bool {
        std::mem::take(&mut self.turned)
    }

    /// What a listener says to a router that has its addresses, or has not.
    pub(super) fn reading(&self, listener: &str, master: bool) -> CheckState {
        let id = self.by_listener.get(listener);
        let Some(listening) = id.and_then(|id| self.listeners.get(id)) else {
            return CheckState::Untested;
        };
        let mut health = listening.health;
        if self.stands_still {
            health.accepts = Some(false);
        }
        let cluster = self.running.get(&listening.cluster);
        let hysteresis = cluster.map(|running| hysteresis(&running.cfg)).unwrap_or_default();
        health.reading(self.now, master, hysteresis)
    }

    /// What a check is told that asks for HAProxy: whether the proxy works and all its listeners are
    /// open. `None` while that is not known.
    pub(super) fn open(&self) -> Option<Outcome> {
        let mut closed = Vec::new();
        for (name, id) in &self.by_listener {
            match self.listeners.get(id)?.health.accepts? {
                true => {}
                false => closed.push(name.as_str()),
            }
        }
        let (verdict, detail) = if self.stands_still {
            (outcome::Verdict::Failed(Cause::TimedOut), "the proxy does not turn".to_owned())
        } else if closed.is_empty() {
            (outcome::Verdict::Passed, "all listeners are open".to_owned())
        } else {
            (outcome::Verdict::Failed(Cause::Closed), closed.join(", "))
        };
        Some(Outcome { verdict, detail, output: String::new(), took: Duration::ZERO })
    }

    /// In the order of the configuration.
    pub(super) fn cluster_status(&self, config: &Config, now: Now) -> Vec<ClusterStatus> {
        let unresolved = |place: &Endpoint| match &place.host {
            Host::Name(name) if self.names.contains(name) && !self.addresses.contains_key(name) => {
                Some(unresolved_reason(name))
            }
            Host::Name(_) | Host::Address(_) => None,
        };
        let status = |cfg: &Arc<ClusterConfig>| {
            let running = self.running.get(self.by_name.get(&cfg.name)?)?;
            Some(running.cluster.status(&cfg.name, now, &unresolved))
        };
        config.clusters.iter().filter_map(status).collect()
    }

    /// In the order of the configuration.
    pub(super) fn listener_status(&self, config: &Config) -> Vec<ListenerStatus> {
        let status = |cfg: &Arc<ListenerConfig>| {
            let id = *self.by_listener.get(cfg.name())?;
            let Listening { serving, cluster, health } = self.listeners.get(&id)?;
            let name = self.running.get(cluster).map_or("", |running| &running.cfg.name);
            Some(serving.status(id, name, health.accepts == Some(true) && !self.stands_still))
        };
        config.listeners.iter().filter_map(status).collect()
    }

    fn status_cluster(&self, cfg: &Arc<ClusterConfig>) -> Option<ClusterId> {
        self.by_status.iter().find(|(known, _)| known == cfg).map(|(_, id)| *id)
    }

    /// Begins the checks by status of listeners whose cluster is not Patroni, and ends the others.
    fn follow_speech(&mut self, now: Now, ids: &mut ProbeIds, out: &mut Outbox) {
        let mut wanted: Vec<Arc<ClusterConfig>> = Vec::new();
        for listening in self.by_listener.values().filter_map(|id| self.listeners.get(id)) {
            let running = self.running.get(&listening.cluster);
            let Some(by) = &listening.serving.config().by_status else { continue };
            if running.is_some_and(|running| running.cluster.is_by_status()) {
                wanted.push(Arc::clone(&by.own));
                wanted.extend(by.primary.clone());
            }
        }
        let over: Vec<_> =
            self.by_status.extract_if(.., |(cfg, _)| !wanted.contains(cfg)).collect();
        for (_, id) in over {
            self.end(id, out);
        }
        for cfg in wanted {
            if self.status_cluster(&cfg).is_none() {
                let id = ClusterId(self.fresh());
                let cluster = Cluster::new(now, &cfg);
                self.running.insert(id, Running { cfg: Arc::clone(&cfg), cluster });
                self.by_status.push((cfg, id));
                if let Some(running) = self.running.get_mut(&id) {
                    running.cluster.time_passed(now);
                }
                self.touched(id, ids, out);
            }
        }
    }

    /// Passes on what a cluster wants, and sets its timer.
    fn touched(&mut self, id: ClusterId, ids: &mut ProbeIds, out: &mut Outbox) {
        while let Some(action) = self.running.get_mut(&id).and_then(|r| r.cluster.poll_action()) {
            self.perform(id, action, ids, out);
        }
        let deadline = self.running.get(&id).and_then(|running| running.cluster.deadline());
        self.timers.set(Due::Cluster(id), deadline);
    }

    fn perform(
        &mut self,
        id: ClusterId,
        action: ClusterAction,
        ids: &mut ProbeIds,
        out: &mut Outbox,
    ) {
        match action {
            ClusterAction::Ask { member, question, timeout } => {
                let topic = Some(question.topic());
                let probe = self.probe(Subject { cluster: id, member, topic }, ids);
                out.push(Action::Ask { probe, question, timeout });
            }
            ClusterAction::Probe { member, check, timeout } => {
                let probe = self.probe(Subject { cluster: id, member, topic: None }, ids);
                out.push(Action::Probe { probe, check, timeout });
            }
            ClusterAction::Forget { member } => {
                self.forget(|subject| subject.cluster == id && subject.member == member, out);
            }
            ClusterAction::Log { level, message } => {
                let name = self.running.get(&id).map_or("", |running| &running.cfg.name);
                out.record(level, None, format!("cluster {name}: {message}"));
            }
        }
    }

    fn probe(&mut self, subject: Subject, ids: &mut ProbeIds) -> ProbeId {
        let probe = *self.by_subject.entry(subject).or_insert_with(|| ids.fresh());
        self.probes.insert(probe, subject);
        probe
    }

    fn forget(&mut self, gone: impl Fn(&Subject) -> bool, out: &mut Outbox) {
        for (_, probe) in self.by_subject.extract_if(.., |subject, _| gone(subject)) {
            self.probes.remove(&probe);
            out.push(Action::Cancel { probe });
        }
    }

    fn require_names(&mut self, out: &mut Outbox) {
        let mut names = BTreeSet::new();
        for listening in self.listeners.values() {
            let Some(running) = self.running.get(&listening.cluster) else { continue };
            names.extend(listening.serving.names(&running.cfg));
        }
        if names != self.names {
            self.addresses.retain(|name, _| names.contains(name));
            out.push(Action::Resolve { names: names.iter().cloned().collect() });
            self.names = names;
        }
    }

    /// Publishes what is new to the listeners of a cluster, or to all.
    fn refresh(&mut self, now: Now, only: Option<ClusterId>, out: &mut Outbox) {
        let mut over = Vec::new();
        let by_status = |id| self.by_status.iter().any(|(_, known)| *known == id);
        let only = only.filter(|only| !by_status(*only));
        for (id, listening) in &mut self.listeners {
            if only.is_some_and(|only| only != listening.cluster) {
                continue;
            }
            let running = self.running.get(&listening.cluster);
            let cluster = running.map(|running| (&running.cluster, &*running.cfg));
            let judge = |cfg: &Arc<ClusterConfig>| {
                let (_, id) = self.by_status.iter().find(|(known, _)| known == cfg)?;
                Some(&self.running.get(id)?.cluster)
            };
            let cfg = Arc::clone(listening.serving.config());
            let other = running.is_some_and(|running| running.cluster.is_by_status());
            let statuses = cfg.by_status.as_ref().filter(|_| other).and_then(|by| {
                let primary = by.primary.as_ref().and_then(judge);
                Some(Statuses { own: judge(&by.own)?, primary, on_down: by.on_down })
            });
            let next = &mut self.next_server;
            let mut fresh = || {
                *next += 1;
                ServerId(*next)
            };
            let serving = &mut listening.serving;
            if let Some(view) = serving.refresh(now, cluster, statuses, &self.addresses, &mut fresh)
            {
                out.push(Action::Publish { listener: *id, view });
            }
            self.timers.set(Due::Listener(*id), serving.deadline());
            let before = listening.health;
            let judged = match &statuses {
                Some(statuses) => statuses.is_judged(),
                None => running.is_some_and(|running| running.cluster.is_judged()),
            };
            listening.health.look(now, serving.serves(), judged);
            if before != listening.health {
                self.turned = true;
                let hysteresis =
                    running.map(|running| hysteresis(&running.cfg)).unwrap_or_default();
                let settles = listening.health.settles(hysteresis);
                self.timers.set(Due::Health(*id), settles.filter(|at| *at > now));
            }
            if serving.is_over() {
                over.push(*id);
            }
        }
        for id in over {
            self.listeners.remove(&id);
            self.timers.set(Due::Listener(id), None);
            self.timers.set(Due::Health(id), None);
        }
    }
}
