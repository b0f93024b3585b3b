//! Listeners: who is let in, and whom they get.

use std::sync::Arc;
use std::time::Duration;

use super::cluster::{by_status, identity, member_name};
use super::{data, max_lag_time};
use crate::config::checks::MaxLag;
use crate::config::diag::{Diagnostic, Span, Spanned, nearest, quoted};
use crate::config::listener::{Frontend, ListenerOptions, Liveness, ServerOptions};
use crate::config::model::{
    BindConfig, ByStatus, ClusterConfig, ListenerConfig, ListenerProtocol, Members, OnDown,
    ServerConfig,
};
use crate::config::raw::{RawCheck, RawCluster, RawListener, RawLiveness, RawServer};
use crate::pool::{Balance, Wants};
use crate::types::Identity;

pub(super) struct ListenerCheck<'a, 'o> {
    pub(super) raw: &'a RawListener,
    /// As written, and checked where right.
    pub(super) clusters: &'a [(&'a RawCluster, Option<&'a ClusterConfig>)],
    pub(super) out: &'o mut Vec<Diagnostic>,
}

impl ListenerCheck<'_, '_> {
    pub(super) fn run(mut self) -> Option<ListenerConfig> {
        let raw = self.raw;
        let binds: Vec<BindConfig> = raw.binds.iter().map(|bind| bind.value.clone()).collect();
        if binds.is_empty() && !raw.unreadable {
            self.missing("bind", "bind = \"*:5000\"");
        }
        let cluster = self.cluster();
        let members = cluster.and_then(|at| self.clusters.get(at));
        let members = members.map(|(raw, _)| *raw);
        let roles = members.is_none_or(has_roles);
        let wants = self.wants(roles, members);
        let servers = members.map(|cluster| self.servers(cluster));
        let fallback = self.fallback(wants, roles);
        let max_lag = self.max_lag(wants, roles, members);
        let tags = raw.tags.iter().map(|(k, v)| (k.value.clone(), v.value.clone())).collect();
        let replication_state = raw.replication_state.as_ref().map(|state| state.value.clone());
        let protocol = raw.protocol.map_or_else(|| standard_protocol(members), |p| p.value);
        let identity = self.identity(protocol);
        let on_down = self.on_down(roles);
        let frontend = Frontend {
            name: raw.name.value.as_str().into(),
            binds,
            protocol,
            identity,
            options: raw.over(&ListenerOptions::default(), self.out),
            client: liveness(&raw.client, self.out),
            server: liveness(&raw.server, self.out),
        };
        let by_status = self.by_status(cluster, fallback);
        Some(ListenerConfig {
            frontend,
            cluster: cluster?,
            servers: servers??,
            wants: wants?,
            fallback,
            max_lag,
            tags,
            replication_state,
            on_down,
            by_status,
        })
    }

    /// What counts where members turn out not to be Patroni.
    fn by_status(&mut self, cluster: Option<usize>, fallback: bool) -> Option<ByStatus> {
        let raw = self.raw;
        let (check, primary) = (raw.status_check.as_ref(), raw.primary_status_check.as_ref());
        let own = check.or(primary)?;
        let (_, config) = self.clusters.get(cluster?)?;
        let Members::Patroni(patroni) = &(*config)?.members else {
            let error = Diagnostic::error(own.span, "it is for members that may be Patroni");
            self.out.push(error.help("remove it, or leave `check` of the cluster out"));
            return None;
        };
        if check.is_none() {
            let error = Diagnostic::error(own.span, "it needs a `status_check` beside it");
            self.out.push(error);
        }
        let name = config.map_or("", |config| config.name.as_str());
        let by = |raw, out: &mut Vec<Diagnostic>| by_status(raw, name, patroni, out);
        let primary = primary.filter(|_| fallback).and_then(|raw| by(raw, self.out));
        let on_down = check.and_then(|check| check.on_down);
        Some(ByStatus {
            own: Arc::new(by(check?, self.out)?),
            primary: primary.map(Arc::new),
            on_down: on_down.map_or(OnDown::End, |on_down| on_down.value),
        })
    }

    /// Of a listener that answers clients itself.
    fn identity(&mut self, protocol: ListenerProtocol) -> Option<Identity> {
        let RawListener { cert, key, .. } = self.raw;
        if let (ListenerProtocol::Tcp, Some(own)) = (protocol, cert.as_ref().or(key.as_ref())) {
            let text = "only with `protocol = \"postgres\"` are clients told why they are refused";
            let note =
                "sessions pass TLS through to the servers, which have certificates of their own";
            let error = Diagnostic::error(own.span, text).note(note);
            self.out.push(error.help("remove `cert` and `key`"));
        }
        identity((cert, key), "a certificate", self.out)
    }

    fn missing(&mut self, setting: &str, example: &str) {
        let name = &self.raw.name;
        let text = format!("listener {} has no `{setting}`", quoted(&name.value));
        let error = Diagnostic::error(name.span, text).help(format!("add `{example}`"));
        self.out.push(error);
    }

    fn cluster(&mut self) -> Option<usize> {
        let names = || self.clusters.iter().map(|(raw, _)| raw.name.value.as_str());
        let Some(Spanned { value, span }) = &self.raw.cluster else {
            if self.clusters.len() != 1 {
                let example = if self.clusters.is_empty() {
                    "[cluster.NAME]` with `members = [\"10.0.0.11\", …]"
                } else {
                    "cluster = \"NAME\""
                };
                self.missing("cluster", example);
            }
            return (self.clusters.len() == 1).then_some(0);
        };
        let found = names().position(|name| name == value);
        if found.is_none() {
            let text = format!("there is no cluster {}", quoted(value));
            let error = Diagnostic::error(*span, text).suggest(nearest(value, names()));
            self.out.push(error);
        }
        found
    }

    fn wants(&mut self, roles: bool, members: Option<&RawCluster>) -> Option<Wants> {
        match self.raw.role {
            Some(role) if !roles => {
                let name = members.map_or("", |cluster| cluster.name.value.as_str());
                let text = format!("the members of {} have no roles", quoted(name));
                let error = Diagnostic::error(role.span, text);
                self.out.push(error.help("remove it, or let Patroni be asked"));
                None
            }
            Some(role) => Some(role.value),
            None if roles => {
                self.missing("role", "role = \"writer\"");
                None
            }
            None => Some(Wants::Any),
        }
    }

    fn servers(&mut self, cluster: &RawCluster) -> Option<Vec<ServerConfig>> {
        let names: Vec<String> = cluster.members.iter().map(member_name).collect();
        let all: Vec<RawServer> = names
            .iter()
            .map(|name| RawServer::new(Spanned::new(name.clone(), self.raw.name.span)))
            .collect();
        let list = self.raw.servers.as_ref().unwrap_or(&all);
        let mut servers: Vec<ServerConfig> = Vec::new();
        let mut right = true;
        for raw in list {
            let Spanned { value: name, span } = &raw.member;
            let Some(member) = names.iter().position(|member| member == name) else {
                let text = format!("{} is no member of the cluster", quoted(name));
                let known = names.iter().map(String::as_str);
                let error = Diagnostic::error(*span, text).suggest(nearest(name, known));
                self.out.push(error);
                right = false;
                continue;
            };
            let address = raw.address.as_ref().map(|address| address.value.clone());
            let own = cluster.members.get(member).map(|member| &member.address.value);
            let address = address.filter(|address| own != Some(address));
            let same = |s: &ServerConfig| s.member == member && s.address == address;
            if servers.iter().any(same) {
                let text = format!("server {} is listed twice", quoted(name));
                self.out.push(Diagnostic::error(*span, text));
                right = false;
                continue;
            }
            let mut own = raw.clone();
            own.maxconn = raw.maxconn.or(self.raw.server_maxconn);
            let options = own.over(&ServerOptions::default(), self.out);
            servers.push(ServerConfig { member, address, options });
        }
        if let Some(balance) = self.raw.balance
            && balance.value == Balance::First
            && self.raw.role.is_none_or(|role| reads(role.value))
            && servers.iter().all(|server| server.options.maxconn.is_none())
        {
            self.out.push(
                Diagnostic::warning(balance.span, "the first server gets every connection")
                    .note("`first` goes on to the next server when one is full")
                    .help("limit them with `maxconn`, or use `leastconn`"),
            );
        }
        let nobody = servers.is_empty() && !cluster.members.is_empty();
        if nobody && right {
            let text = format!("listener {} has no servers", quoted(&self.raw.name.value));
            let error = Diagnostic::error(self.raw.name.span, text);
            self.out.push(error.help("leave `servers` out to use all members"));
        }
        (right && !servers.is_empty()).then_some(servers)
    }

    /// By default whoever reads gets the primary while no other server fits: an answer from there
    /// is better than none.
    fn fallback(&mut self, wants: Option<Wants>, roles: bool) -> bool {
        let reads = wants.is_some_and(reads);
        match self.raw.fallback {
            None => reads && roles && wants != Some(Wants::Any),
            Some(on) => {
                if on.value && wants.is_some() && !(reads && roles) {
                    self.unread(on.span, "there is nothing to fall back to");
                }
                on.value && reads && roles
            }
        }
    }

    fn max_lag(
        &mut self,
        wants: Option<Wants>,
        roles: bool,
        cluster: Option<&RawCluster>,
    ) -> MaxLag {
        let reads = wants.is_none_or(reads) && roles;
        let tag = self.raw.tags.first().map(|(name, _)| name.span);
        let tag = tag.or(self.raw.replication_state.as_ref().map(|state| state.span));
        let own = self.raw.max_lag.as_ref().map(|lag| lag.span);
        let own = own.or(self.raw.max_lag_time.map(|lag| lag.span)).or(tag);
        if !reads {
            if let Some(span) = own {
                self.unread(span, "neither lag, tags nor replication state matter here");
            }
            return MaxLag::default();
        }
        let inherited = cluster.and_then(|cluster| cluster.max_lag.as_ref());
        let time = cluster.and_then(|cluster| cluster.max_lag_time);
        MaxLag {
            bytes: data(self.raw.max_lag.as_ref().or(inherited), self.out),
            time: max_lag_time(self.raw.max_lag_time.or(time), self.out),
        }
    }

    fn unread(&mut self, span: Span, text: &str) {
        let error = Diagnostic::error(span, text);
        self.out.push(error.help("it is for clients that only read, from Patroni's members"));
    }

    fn on_down(&mut self, roles: bool) -> OnDown {
        match self.raw.on_down {
            Some(Spanned { value: OnDown::Keep, span }) if roles => {
                let text = "sessions of a server that may have lost its role cannot go on";
                self.out.push(
                    Diagnostic::error(span, text)
                        .note("a demoted primary that comes back would still have them")
                        .help("remove it"),
                );
                OnDown::End
            }
            on_down => on_down.map_or(OnDown::End, |on_down| on_down.value),
        }
    }
}

fn liveness(raw: &RawLiveness, out: &mut Vec<Diagnostic>) -> Liveness {
    let own = raw.over(&Liveness::default(), out);
    Liveness { keepalive: own.keepalive.map(whole), interval: whole(own.interval), ..own }
}

/// The kernel counts seconds.
fn whole(time: Duration) -> Duration {
    let more = u64::from(time.subsec_nanos() > 0);
    Duration::from_secs(time.as_secs().saturating_add(more))
}

fn has_roles(cluster: &RawCluster) -> bool {
    cluster.check.is_none_or(|check| check.value == RawCheck::Patroni)
}

fn reads(wants: Wants) -> bool {
    match wants {
        Wants::Writer | Wants::Leader => false,
        Wants::Reader | Wants::Any | Wants::Sync | Wants::Async => true,
    }
}

fn standard_protocol(cluster: Option<&RawCluster>) -> ListenerProtocol {
    match cluster.and_then(|cluster| cluster.check).map(|check| check.value) {
        None | Some(RawCheck::Patroni | RawCheck::Postgres) => ListenerProtocol::Postgres,
        Some(RawCheck::Tcp | RawCheck::Http | RawCheck::None) => ListenerProtocol::Tcp,
    }
}
