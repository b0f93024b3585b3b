//! What a router's links, addresses, sockets and trackers let it do.

use std::net::IpAddr;

use super::Engine;
use super::sockets::SocketState;
use crate::config::{Cast, RouterConfig};
use crate::io::{Listen, RouterId};
use crate::status::State;
use crate::types::{IfIndex, Now};
use crate::vrrp::environment::{Environment, Fault, Port};
use crate::vrrp::router::Router;
use crate::wire::vrrp::max_addresses;

impl Engine {
    /// Tells every router what the kernel offers it now.
    pub(super) fn survey_all(&mut self, now: Now) {
        self.require_sockets();
        self.promote_secondaries();
        if !self.stopping {
            self.statics.follow_links(now, &self.links, &mut self.out);
        }
        for id in self.order.clone() {
            self.reevaluate(now, id);
        }
        self.index_wire();
    }

    pub(super) fn reevaluate(&mut self, now: Now, id: RouterId) {
        let Some(router) = self.routers.get(&id) else { return };
        let env = self.environment_of(router);
        let (serves, first) = (env.own_fault().is_none(), !router.has_a_state());
        let concerns_others = serves != router.env.own_fault().is_none();
        if env != router.env
            && let Some(router) = self.routers.get_mut(&id)
        {
            router.environment_changed(now, env, &mut self.out);
            if first {
                self.remove_strays(now, id);
            }
        }
        self.rearm(id);
        if concerns_others {
            for other in self.groups.beside(id).collect::<Vec<_>>() {
                self.reevaluate(now, other);
            }
        }
    }

    pub(super) fn environment_of(&self, router: &Router) -> Environment {
        let cfg = &router.cfg;
        let mut env = Environment::default();
        self.trackers_of(router, &mut env);
        for (name, tracked) in std::iter::once((&cfg.iface, cfg.options.track_interface))
            .chain(cfg.addresses.iter().map(|a| (cfg.iface_of(a), a.track)))
        {
            let tracked = tracked && (*name != cfg.iface || cfg.options.track_interface);
            match self.links.by_name(name) {
                None => {
                    env.faults.insert(Fault::NoInterface(name.clone()));
                }
                Some(link) => {
                    if tracked {
                        env.faults.extend(self.link_fault(name));
                    }
                    let port = Port {
                        index: link.index,
                        mac: link.mac,
                        announces: link.mac.is_some() && !link.noarp && link.running,
                    };
                    env.ports.insert(name.clone(), port);
                }
            }
        }
        env.faults.extend(self.statics.faults(&cfg.name));
        for address in &cfg.addresses {
            let iface = cfg.iface_of(address);
            let Some(port) = env.ports.get(iface) else { continue };
            for found in self.links.addresses(port.index).iter().filter(|found| !found.ours) {
                if cfg.priority.is_owner() && found.cidr == address.kernel_cidr() {
                    env.native.insert((port.index, found.cidr));
                } else if found.cidr.address() == address.cidr.address() {
                    env.foreign.insert((iface.clone(), found.cidr));
                }
            }
        }
        let Some(port) = env.ports.get(&cfg.iface) else { return env };
        env.iface = Some(port.index);
        env.source = self.source_of(cfg, port.index);
        env.destinations = self.destinations_of(cfg, port.index, env.source);
        if matches!(&cfg.cast, Cast::Unicast { peers, .. } if peers.is_empty()) {
            env.faults.insert(Fault::EmptyPeers);
        } else if env.destinations.is_empty() {
            env.faults.insert(Fault::NoPeer);
        }
        match env.source {
            None if env.faults.is_empty() => {
                let (iface, family) = (cfg.iface.clone(), cfg.dialect.family());
                env.faults.insert(if cfg.is_unicast() {
                    Fault::NoSourceForPeers(iface)
                } else {
                    Fault::NoSource(iface, family)
                });
            }
            // A multicast advert may come from anywhere; one to a peer is answered to this address.
            Some(source)
                if (cfg.is_unicast() || cfg.options.track_source)
                    && !self.links.is_ours(source) =>
            {
                env.faults.insert(Fault::SourceNotHere(source));
            }
            None | Some(_) => {}
        }
        env.source_is_local = env.source.is_some_and(|s| self.links.carries_own(port.index, s));
        let (found, mtu) = (cfg.advertised().count(), self.links.mtu(port.index));
        let most = max_addresses(&cfg.dialect, u16::try_from(mtu).unwrap_or(u16::MAX));
        if found > most {
            env.faults.insert(Fault::Mtu { iface: cfg.iface.clone(), mtu, found, most });
        }
        let listen = self.listen_of(cfg, port.index);
        match listen.map(|listen| self.sockets.get((port.index, listen))) {
            None | Some(Some(SocketState::Open)) => {}
            Some(Some(SocketState::Failed { error, .. })) => {
                env.faults.insert(Fault::Socket(error.to_string()));
            }
            // A router at work goes on while the socket for a new group or a new source address is
            // opened (R27, R32).
            Some(Some(SocketState::Opening(_)) | None) => {
                if router.state() == State::Fault || router.env.iface != env.iface {
                    env.faults.insert(Fault::Starting);
                }
            }
        }
        if router.drained && router.state() != State::Leaving {
            env.faults.insert(Fault::Drained);
        }
        self.group_faults(router.id, &mut env);
        env
    }

    /// The address adverts come from.
    pub(super) fn source_of(&self, cfg: &RouterConfig, iface: IfIndex) -> Option<IpAddr> {
        if cfg.source.is_some() {
            return cfg.source;
        }
        let owner = cfg.priority.is_owner();
        let excluded = |address| !owner && self.is_virtual(address);
        match &cfg.cast {
            Cast::Multicast { .. } => self.links.source(iface, cfg.dialect.family(), excluded),
            Cast::Unicast { peers, .. } => {
                let peers: Vec<IpAddr> = peers.iter().map(|peer| peer.address).collect();
                self.links.source_towards(iface, &peers, excluded)
            }
        }
    }

    /// Whom to send adverts to: the group, or every peer that is not this node.
    pub(super) fn destinations_of(
        &self,
        cfg: &RouterConfig,
        iface: IfIndex,
        source: Option<IpAddr>,
    ) -> Vec<IpAddr> {
        match &cfg.cast {
            Cast::Multicast { group } => vec![*group],
            Cast::Unicast { peers, .. } => peers
                .iter()
                .map(|peer| peer.address)
                .filter(|peer| Some(*peer) != source && !self.links.carries_own(iface, *peer))
                .collect(),
        }
    }

    pub(super) fn listen_of(&self, cfg: &RouterConfig, iface: IfIndex) -> Option<Listen> {
        match &cfg.cast {
            Cast::Multicast { group } => Some(Listen::Group(*group)),
            Cast::Unicast { .. } => self.source_of(cfg, iface).map(Listen::Local),
        }
    }
}
