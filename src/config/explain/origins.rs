//! Where the settings of clusters, listeners, trackers and their like were written.

use crate::config::diag::{Span, Spanned};
use crate::config::raw::{
    Raw, RawCluster, RawFifo, RawInterface, RawListener, RawLiveness, RawMail, RawNotify,
    RawPacing, RawPage, RawTracker,
};
use crate::config::settings::Object;

use super::place;

/// The place of one setting; `None`: it is the default, or follows from others.
pub(super) fn origin(raw: &Raw, object: &Object, key: &str) -> Option<Span> {
    let name = object.name.as_str();
    match object.kind {
        "interface" => {
            let own = raw.interfaces.iter().find(|own| own.name.value == name)?;
            place(own, key, RawInterface::KEYS)
        }
        "pacing" => {
            let own = raw.pacing.iter().find(|own| {
                let names = own.interfaces.iter().map(|iface| iface.value.as_str());
                names.eq(name.split(' '))
            })?;
            place(own, key, RawPacing::KEYS)
        }
        "static" => {
            let mut all = raw.static_addresses.iter();
            let own = all.find(|own| own.address.cidr.value.to_string() == name)?;
            match key {
                "address" => Some(own.address.cidr.span),
                "required_by" => at(own.required_by.first()),
                _ => None,
            }
        }
        "track" => {
            let own = raw.trackers.iter().find(|own| {
                name.split_once(' ') == Some((own.kind.name(), own.name.value.as_str()))
            })?;
            tracker(own, key)
        }
        "group" => {
            let own = raw.groups.iter().find(|own| own.name.value == name)?;
            match key {
                "members" => at(own.members.first()),
                "notify" => notify(&own.notify),
                _ => None,
            }
        }
        "fifo" => {
            let own = raw.fifos.iter().find(|own| own.path.value == name)?;
            match key {
                "reader" => own.reader.as_ref().map(|reader| reader.command.span),
                _ => place(own, key, RawFifo::KEYS),
            }
        }
        "mail" => {
            let own = raw.mail.as_ref()?;
            match key {
                "to" => at(own.to.first()),
                _ => place(own, key, RawMail::KEYS),
            }
        }
        "cluster" => cluster(raw.clusters.iter().find(|own| own.name.value == name)?, key),
        "listener" => listener(raw.listeners.iter().find(|own| own.name.value == name)?, key),
        "page" => page(raw.pages.iter().find(|own| own.name.value == name)?, key),
        _ => None,
    }
}

fn tracker(own: &RawTracker, key: &str) -> Option<Span> {
    let mut settings = own.settings.clone();
    if key == "check" || key == "command" {
        let command = at(settings.command.as_ref()).or_else(|| at(settings.processes.as_ref()));
        let others = ["url", "connect", "socket", "path"];
        return command.or_else(|| others.iter().find_map(|key| settings.slot(key)?.origin()));
    }
    settings.slot(key)?.origin()
}

fn cluster(own: &RawCluster, key: &str) -> Option<Span> {
    match key {
        "interval" => at(own.interval.as_ref()),
        "fast_interval" => at(own.fast_interval.as_ref()),
        "down_interval" => at(own.down_interval.as_ref()),
        "timeout" => at(own.timeout.as_ref()),
        "rise" => at(own.rise.as_ref()),
        "fall" => at(own.fall.as_ref()),
        "silence" => at(own.silence.as_ref()),
        "lease" => at(own.lease.as_ref()),
        "resolve_at_start" => at(own.resolve_at_start.as_ref()),
        _ => {
            let name = key.strip_prefix("member ")?;
            let is_it = |named: Option<&str>, host: &str| named.unwrap_or(host) == name;
            let own = own.members.iter().find(|member| {
                let named = member.name.as_ref().map(|name| name.value.as_str());
                is_it(named, &member.address.value.host.to_string())
            });
            own.map(|member| member.address.span)
        }
    }
}

fn listener(own: &RawListener, key: &str) -> Option<Span> {
    match key {
        "bind" => at(own.binds.first()),
        "cluster" => at(own.cluster.as_ref()),
        "role" => at(own.role.as_ref()),
        "fallback" => at(own.fallback.as_ref()),
        "balance" => at(own.balance.as_ref()),
        "all_backups" => at(own.all_backups.as_ref()),
        "end_backups" => at(own.end_backups.as_ref()),
        "replication_state" => at(own.replication_state.as_ref()),
        "status_check" => own.status_check.as_ref().map(|check| check.span),
        "max_lag" => at(own.max_lag.as_ref()),
        "max_lag_time" => at(own.max_lag_time.as_ref()),
        "tags" => own.tags.first().map(|(name, _)| name.span),
        "protocol" => at(own.protocol.as_ref()),
        "maxconn" => at(own.maxconn.as_ref()),
        "backlog" => at(own.backlog.as_ref()),
        "connect_timeout" => at(own.connect_timeout.as_ref()),
        "first_message" => at(own.first_message.as_ref()),
        "hold" => at(own.hold.as_ref()),
        "hold_full" => at(own.hold_full.as_ref()),
        "hold_most" => at(own.hold_most.as_ref()),
        "hold_burst" => at(own.hold_burst.as_ref()),
        "hold_rate" => at(own.hold_rate.as_ref()),
        "idle_timeout" => at(own.idle_timeout.as_ref()),
        "half_closed" => at(own.half_closed.as_ref()),
        "on_down" => at(own.on_down.as_ref()),
        "client" => liveness(&own.client),
        "server" => liveness(&own.server),
        _ => {
            let name = key.strip_prefix("server ")?;
            let servers = own.servers.as_ref()?;
            servers.iter().find(|server| server.member.value == name).map(|s| s.member.span)
        }
    }
}

fn liveness(own: &RawLiveness) -> Option<Span> {
    at(own.keepalive.as_ref())
        .or_else(|| at(own.interval.as_ref()))
        .or_else(|| at(own.count.as_ref()))
        .or_else(|| at(own.unacknowledged.as_ref()))
}

fn page(own: &RawPage, key: &str) -> Option<Span> {
    match key {
        "bind" => at(own.binds.first()),
        _ => match key.strip_prefix("user ") {
            Some(name) => own.users.iter().find(|u| u.name.value == name).map(|u| u.name.span),
            None => place(own, key, RawPage::KEYS),
        },
    }
}

/// The first of what somebody is told.
pub(super) fn notify(own: &RawNotify) -> Option<Span> {
    let commands = own.commands.values().chain(&own.while_master);
    let others = RawNotify::KEYS.iter().filter_map(|key| (key.origin)(own));
    commands.map(|command| command.command.span).chain(others).next()
}

pub(super) fn at<T>(raw: Option<&Spanned<T>>) -> Option<Span> {
    raw.map(|raw| raw.span)
}
