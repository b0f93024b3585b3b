//! Where the settings of clusters, listeners, trackers and their like were written.

use crate::config::diag::{Span, Spanned};
use crate::config::raw::{
    Raw, RawCluster, RawListener, RawLiveness, RawNotify, RawPage, RawTracker,
};
use crate::config::settings::Object;

/// The place of one setting; `None`: it is the default, or follows from others.
pub(super) fn origin(raw: &Raw, object: &Object, key: &str) -> Option<Span> {
    let name = object.name.as_str();
    match object.kind {
        "interface" => {
            let own = raw.interfaces.iter().find(|own| own.name.value == name)?;
            match key {
                "down_delay" => at(own.down_delay.as_ref()),
                "up_delay" => at(own.up_delay.as_ref()),
                _ => None,
            }
        }
        "pacing" => {
            let own = raw.pacing.iter().find(|own| {
                let names = own.interfaces.iter().map(|iface| iface.value.as_str());
                names.eq(name.split(' '))
            })?;
            match key {
                "garp_interval" => at(own.garp_interval.as_ref()),
                "gna_interval" => at(own.gna_interval.as_ref()),
                _ => None,
            }
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
                "user" => at(own.user.as_ref()),
                "group" => at(own.group.as_ref()),
                "reader" => own.reader.as_ref().map(|reader| reader.command.span),
                "states_on_reload" => at(own.states_on_reload.as_ref()),
                _ => None,
            }
        }
        "mail" => {
            let own = raw.mail.as_ref()?;
            match key {
                "to" => at(own.to.first()),
                "from" => at(own.from.as_ref()),
                "server" => at(own.server.as_ref()),
                "helo" => at(own.helo.as_ref()),
                "timeout" => at(own.timeout.as_ref()),
                "faults" => at(own.faults.as_ref()),
                _ => None,
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
        "path" => at(own.path.as_ref()),
        "refresh" => at(own.refresh.as_ref()),
        _ => {
            let name = key.strip_prefix("user ")?;
            own.users.iter().find(|user| user.name.value == name).map(|user| user.name.span)
        }
    }
}

/// The first of what somebody is told.
pub(super) fn notify(own: &RawNotify) -> Option<Span> {
    let commands = own.commands.values().chain(&own.while_master);
    commands
        .map(|command| command.command.span)
        .next()
        .or_else(|| at(own.while_master_every.as_ref()))
        .or_else(|| at(own.timeout.as_ref()))
        .or_else(|| at(own.say_deleted.as_ref()))
        .or_else(|| at(own.priority_changes.as_ref()))
        .or_else(|| at(own.mail.as_ref()))
}

pub(super) fn at<T>(raw: Option<&Spanned<T>>) -> Option<Span> {
    raw.map(|raw| raw.span)
}
