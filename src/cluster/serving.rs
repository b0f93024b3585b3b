//! The view of one listener: which servers its clients may have, and why not the others.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::by_status::Statuses;
use super::flap_damping::FlapDamping;
use super::lag::{LagHysteresis, Limit};
use super::report::{admission_status, role_status};
use super::{Cluster, MemberId, MemberState};
use crate::config::checks::{Endpoint, Host, HostName};
use crate::config::{ClusterConfig, ListenerConfig, MOST_LEASE, OnDown, ServerConfig};
use crate::pool::{
    Admission, ListenerId, PoolView, Role, Server, ServerId, Wants, Weight, candidates, explain,
};
use crate::status::{AdmissionStatus, ListenerStatus, ServerStatus};
use crate::types::Now;

/// How long a server that was removed from the configuration keeps its sessions, unless it was the
/// primary.
pub const REMOVED_SERVER_GRACE: Duration = Duration::from_secs(600);

/// Host names and their addresses, as far as they are known.
pub type Addresses = BTreeMap<HostName, IpAddr>;

/// A server of the same name and address keeps its number in later views.
type Key = (Arc<str>, SocketAddr);

#[derive(Debug)]
pub struct Serving {
    cfg: Arc<ListenerConfig>,
    known: BTreeMap<Key, Known>,
    view: Option<Arc<PoolView>>,
    /// The listener itself was taken out of the configuration.
    closed: Option<Now>,
}

#[derive(Clone, Debug)]
struct Known {
    id: ServerId,
    member: Option<MemberId>,
    /// Its role in the last view.
    role: Role,
    /// Since when a reload has it asked in another way, until it has answered.
    reasked: Option<Now>,
    /// When it was removed from the configuration.
    left: Option<Now>,
    lag_hysteresis: LagHysteresis,
    damping: FlapDamping,
    /// It is up and has to wait, because it comes and goes.
    waits: bool,
    /// It is a usable standby but for its lag.
    late: bool,
}

impl Serving {
    #[must_use]
    pub fn new(cfg: Arc<ListenerConfig>) -> Serving {
        Serving { cfg, known: BTreeMap::new(), view: None, closed: None }
    }

    #[must_use]
    pub fn config(&self) -> &Arc<ListenerConfig> {
        &self.cfg
    }

    /// Takes another configuration of the same listener.
    pub fn reconfigured(&mut self, cfg: Arc<ListenerConfig>) {
        self.cfg = cfg;
    }

    /// A reload gave it another cluster, whose members have other numbers.
    pub fn moved(&mut self) {
        self.known.values_mut().for_each(|known| known.member = None);
    }

    /// It is configured no longer: its servers take no new sessions.
    pub fn close(&mut self, now: Now) {
        self.closed.get_or_insert(now);
    }

    /// Whether it is closed, and its last server is gone.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.closed.is_some() && self.known.is_empty()
    }

    /// Which member of its cluster a server is; `None` if it is in no view.
    #[must_use]
    pub fn member(&self, server: ServerId) -> Option<MemberId> {
        self.known.values().find(|known| known.id == server)?.member
    }

    /// The host names it needs the addresses of.
    pub fn names<'s>(&'s self, cluster: &'s ClusterConfig) -> impl Iterator<Item = HostName> + 's {
        let servers = self.cfg.servers.iter();
        servers.filter_map(|server| match &address(server, cluster)?.1.host {
            Host::Name(name) => Some(name.clone()),
            Host::Address(_) => None,
        })
    }

    /// When the next server that was taken out loses its sessions.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        let removal_deadline = |known: &Known| Some(self.removal_deadline(known, known.left?));
        let waiting = |known: &Known| known.damping.until().filter(|_| known.waits);
        let reasked = |known: &Known| known.believed_until();
        let moments = |known| [removal_deadline(known), waiting(known), reasked(known)];
        self.known.values().flat_map(moments).flatten().min()
    }

    /// Compute the view, and return it if it differs from the last. Where members are not Patroni,
    /// `statuses` decide; `fresh` gives numbers to new servers; `cluster` is `None` when it has been removed
    /// from the configuration.
    pub fn refresh(
        &mut self,
        now: Now,
        cluster: Option<(&Cluster, &ClusterConfig)>,
        statuses: Option<Statuses<'_>>,
        addresses: &Addresses,
        fresh: &mut impl FnMut() -> ServerId,
    ) -> Option<Arc<PoolView>> {
        let members = cluster.map(|(cluster, _)| cluster.members()).unwrap_or_default();
        let (mut wanted, mut unresolved) = (Vec::new(), Vec::new());
        for server in self.cfg.servers.iter().filter(|_| self.closed.is_none()) {
            let Some((_, config)) = cluster else { continue };
            let Some((name, endpoint)) = address(server, config) else { continue };
            let address = match resolved(endpoint, addresses) {
                Ok(address) => address,
                Err(host) => {
                    unresolved.push(format!("{name}: {}", unresolved_reason(host)));
                    continue;
                }
            };
            let member = members.get(server.member).copied();
            wanted.push(((name, address), member, server));
        }
        for (key, member, _) in &wanted {
            let new = || Known::new(fresh(), *member);
            let known = self.known.entry(key.clone()).or_insert_with(new);
            if let Some(left) = known.left.take()
                && known.member.is_none()
            {
                // It is configured again; nobody has asked it meanwhile.
                known.reasked.get_or_insert(left);
            }
            known.member = *member;
        }
        for (key, known) in &mut self.known {
            if !wanted.iter().any(|(other, ..)| other == key) {
                let left = known.left.get_or_insert(now);
                known.member = known.member.filter(|member| members.contains(member));
                if known.member.is_none()
                    && let Some(reasked) = known.reasked.take()
                {
                    // Its role has been unknown since then, and nobody asks for it any more.
                    *left = reasked.min(*left);
                }
            }
        }
        let over: Vec<Key> = self
            .known
            .iter()
            .filter(|(_, known)| {
                known.left.is_some_and(|left| self.removal_deadline(known, left) <= now)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in over {
            self.known.remove(&key);
        }

        let wants = self.cfg.wants;
        let state_of = |known: &Known| match &statuses {
            Some(statuses) => {
                let place = members.iter().position(|member| Some(*member) == known.member)?;
                statuses.member_state(place, wants)
            }
            None => cluster?.0.member_state(known.member?),
        };
        let leads =
            |state: MemberState| state.role == Role::Primary && state.admission == Admission::Up;
        let mut all = members.iter().filter_map(|member| cluster?.0.member_state(*member));
        let led = all.any(leads);
        for known in self.known.values_mut() {
            (known.waits, known.late) = (false, false);
            if let Some(state) = state_of(known) {
                known.adopt(now, &state, led);
            }
        }
        let mut servers = Vec::new();
        for ((name, address), _, cfg) in wanted {
            let Some(known) = self.known.get_mut(&(Arc::clone(&name), address)) else { continue };
            let (Some(state), Some((cluster, _))) = (state_of(known), cluster) else { continue };
            let mut admission = self.cfg.admission(cfg, &state);
            if statuses.is_none()
                && is_standby(state.role)
                && let Some(why) = known.objection(now, cluster, &self.cfg, &admission)
            {
                admission = Admission::Drain(why);
            }
            servers.push(Server {
                id: known.id,
                name,
                address,
                role: known.role,
                admission,
                weight: cfg.options.weight,
                maxconn: cfg.options.maxconn,
                backup: cfg.options.backup,
            });
        }
        for ((name, address), known) in self.known.iter().filter(|(_, k)| k.left.is_some()) {
            let admission = match state_of(known).map(|state| state.admission) {
                Some(down @ Admission::Down(_)) => down,
                _ => Admission::Drain(Arc::from("not configured any more")),
            };
            servers.push(Server {
                id: known.id,
                name: Arc::clone(name),
                address: *address,
                role: known.role,
                admission,
                weight: Weight::ONE,
                maxconn: None,
                backup: false,
            });
        }
        let mut view = PoolView {
            wants: self.cfg.wants,
            fallback: self.cfg.fallback,
            balance: self.cfg.frontend.options.balance,
            all_backups: self.cfg.frontend.options.all_backups,
            end_backups: self.cfg.frontend.options.end_backups,
            unknown_protocol: statuses.is_some(),
            servers,
            unresolved,
        };
        self.relax_damping(&mut view);
        if self.view.as_deref() == Some(&view) {
            return None;
        }
        let view = Arc::new(view);
        self.view = Some(Arc::clone(&view));
        Some(view)
    }

    /// Where no other server can be used, one that comes and goes need not wait.
    fn relax_damping(&mut self, view: &mut PoolView) {
        let usable = |s: &Server| s.admission == Admission::Up && view.admits(s.role);
        if view.servers.iter().any(usable) {
            return;
        }
        for known in self.known.values_mut().filter(|known| known.waits) {
            known.waits = false;
            if let Some(server) = view.servers.iter_mut().find(|server| server.id == known.id) {
                server.admission = Admission::Up;
            }
        }
    }

    /// Whether a new connection gets a server.
    #[must_use]
    pub fn serves(&self) -> bool {
        let takes = |view: &PoolView, server: &Server| {
            server.admission == Admission::Up && server.weight.get() > 0 && view.admits(server.role)
        };
        let view = self.view.as_deref();
        view.is_some_and(|view| view.servers.iter().any(|server| takes(view, server)))
    }

    #[must_use]
    pub fn status(&self, id: ListenerId, cluster: &str, accepting: bool) -> ListenerStatus {
        let cfg = &self.cfg;
        let view = self.view.as_deref();
        let usable = |s: &&Server| s.admission == Admission::Up && s.weight.get() > 0;
        let servers = || view.into_iter().flat_map(|view| &view.servers);
        let fits = |s: &Server| cfg.wants.fits(s.role);
        let direct = servers().filter(usable).any(fits);
        let serves = self.serves();
        let next = view.map(|view| candidates(view, &[])).unwrap_or_default();
        let server = |server: &Server| {
            let (admission, why) = admission_status(&server.admission);
            let takes = next.iter().any(|next| next.id == server.id);
            let reason = match admission {
                AdmissionStatus::Usable if !takes && fits(server) && server.backup => {
                    "is a backup".to_owned()
                }
                AdmissionStatus::Usable if !takes => format!("is {}", server.role),
                AdmissionStatus::Usable => String::new(),
                AdmissionStatus::Held | AdmissionStatus::Down => why,
            };
            let known = self.known.values().find(|known| known.id == server.id);
            ServerStatus {
                id: server.id.0,
                name: server.name.to_string(),
                address: server.address,
                role: role_status(server.role),
                admission,
                fits: fits(server) || (!direct && view.is_some_and(|v| v.admits(server.role))),
                takes,
                reason,
                falls: known.map_or(0, |known| known.damping.falls()),
                lags: known.is_some_and(|known| known.late),
                flaps: known.is_some_and(|known| known.waits),
                sessions: None,
                failures: None,
                traffic: None,
                backup: server.backup,
                weight: Some(server.weight.get().into()),
                maxconn: server.maxconn.map(NonZeroU32::get),
                unanswered: None,
                mute: false,
                missing: None,
            }
        };
        ListenerStatus {
            id: id.0,
            name: cfg.name().to_owned(),
            binds: cfg.frontend.binds.iter().map(|bind| bind.address).collect(),
            wants: cfg.wants.to_string(),
            cluster: cluster.to_owned(),
            accepting,
            serves,
            fallen_back: serves && !direct,
            reason: view.filter(|_| !serves).map(explain).unwrap_or_default(),
            maxconn: cfg.frontend.options.maxconn.map(NonZeroU32::get),
            servers: servers().map(server).collect(),
            traffic: None,
        }
    }

    /// When a removed server loses its sessions. A primary that is no longer asked could lose its role
    /// unnoticed: its sessions end with the longest lease.
    fn removal_deadline(&self, known: &Known, left: Now) -> Now {
        let unseen = known.member.is_none() && known.role == Role::Primary;
        left + if unseen { MOST_LEASE } else { REMOVED_SERVER_GRACE }
    }
}

impl Known {
    fn new(id: ServerId, member: Option<MemberId>) -> Known {
        Known {
            id,
            member,
            role: Role::Unknown,
            reasked: None,
            left: None,
            lag_hysteresis: LagHysteresis::default(),
            damping: FlapDamping::default(),
            waits: false,
            late: false,
        }
    }

    /// Take over the state of its member. A member that a reload has asked in another way keeps its
    /// role until it answers, at most for the longest lease; a primary only until there is another
    /// (`led`).
    fn adopt(&mut self, now: Now, state: &MemberState, led: bool) {
        let rival = led && self.role == Role::Primary;
        if state.new && self.role != Role::Unknown && !rival {
            self.reasked.get_or_insert(now);
            if self.believed_until().is_some_and(|until| now < until) {
                return;
            }
        }
        (self.role, self.reasked) = (state.role, None);
    }

    fn believed_until(&self) -> Option<Now> {
        Some(self.reasked? + MOST_LEASE)
    }

    /// Why a standby takes no new sessions of this listener, although the state of its member
    /// allows it.
    fn objection(
        &mut self,
        now: Now,
        cluster: &Cluster,
        cfg: &ListenerConfig,
        admission: &Admission,
    ) -> Option<Arc<str>> {
        let member = self.member?;
        let late = self.lag_hysteresis.judge(cluster.lag(member), cfg.max_lag);
        let said = cluster.answer(member);
        let lacks = cfg.tags.iter().find(|(name, value)| {
            said.and_then(|said| said.tags.get(name)).is_none_or(|has| has != value)
        });
        let wanted = cfg.replication_state.as_deref();
        let state = said.and_then(|said| said.replication_state.as_deref());
        let other = wanted.filter(|wanted| state != Some(wanted));
        let usable = *admission == Admission::Up && !late && lacks.is_none() && other.is_none();
        self.waits = self.damping.observe(now, usable);
        match (admission, lacks) {
            (Admission::Drain(_) | Admission::Down(_), _) => None,
            (Admission::Up, Some((name, value))) => {
                Some(format!("lacks the tag {name} = {value}").into())
            }
            (Admission::Up, None) if other.is_some() => {
                let wanted = wanted.unwrap_or_default();
                let is = state.map_or("of no known replication state".to_owned(), |state| {
                    format!("is {state}")
                });
                Some(format!("{is}, not {wanted}").into())
            }
            (Admission::Up, None) if late => {
                self.late = true;
                Some(format!("lags by more than {}", Limit(cfg.max_lag)).into())
            }
            (Admission::Up, None) if self.waits => Some("comes and goes, has to wait".into()),
            (Admission::Up, None) => None,
        }
    }
}

impl ListenerConfig {
    /// The admission of a member's server for this listener's clients.
    fn admission(&self, server: &ServerConfig, state: &MemberState) -> Admission {
        let held = |why: &str| Admission::Drain(Arc::from(why));
        let leads = matches!(self.wants, Wants::Writer | Wants::Leader);
        match &state.admission {
            Admission::Down(why) if self.on_down == OnDown::Keep => {
                Admission::Drain(Arc::clone(why))
            }
            Admission::Up if server.options.disabled => held("disabled"),
            Admission::Up if state.promoting && leads => {
                held("holds the leader lock, is being promoted")
            }
            Admission::Up if state.unbalanced && !leads => held("noloadbalance"),
            admission => admission.clone(),
        }
    }
}

fn is_standby(role: Role) -> bool {
    matches!(role, Role::Sync | Role::Quorum | Role::Async | Role::Replica)
}

/// Its name, and where sessions go.
fn address<'c>(
    server: &'c ServerConfig,
    cluster: &'c ClusterConfig,
) -> Option<(Arc<str>, &'c Endpoint)> {
    let (name, own) = cluster.member(server.member)?;
    Some((Arc::clone(name), server.address.as_ref().unwrap_or(own)))
}

/// Fails with a host name that has no address yet.
fn resolved<'e>(endpoint: &'e Endpoint, addresses: &Addresses) -> Result<SocketAddr, &'e HostName> {
    let address = match &endpoint.host {
        Host::Address(address) => *address,
        Host::Name(name) => *addresses.get(name).ok_or(name)?,
    };
    Ok(SocketAddr::new(address, endpoint.port.get()))
}

/// Why no connection can go to a server of this host name.
#[must_use]
pub fn unresolved_reason(name: &HostName) -> String {
    format!("the name {} has no address yet", name.as_str())
}
