//! Where the settings of clusters, listeners, trackers and their like were written.

use crate::config::diag::{Span, Spanned};
use crate::config::key::Key;
use crate::config::raw::{
    Raw, RawCluster, RawFifo, RawInterface, RawListener, RawLiveness, RawMail, RawMember,
    RawNotify, RawPacing, RawPage, RawRhythm, RawTracker,
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
    let Some(name) = key.strip_prefix("member ") else {
        let rhythm = place(&own.rhythm, key, RawRhythm::KEYS);
        return rhythm.or_else(|| place(own, key, RawCluster::KEYS));
    };
    let is_it = |member: &&RawMember| match &member.name {
        Some(own) => own.value == name,
        None => member.address.value.host.to_string() == name,
    };
    own.members.iter().find(is_it).map(|member| member.address.span)
}

fn listener(own: &RawListener, key: &str) -> Option<Span> {
    match key {
        "bind" => at(own.binds.first()),
        "tags" => own.tags.first().map(|(name, _)| name.span),
        "status_check" => own.status_check.as_ref().map(|check| check.span),
        "client" => first(&own.client, RawLiveness::KEYS),
        "server" => first(&own.server, RawLiveness::KEYS),
        _ => match key.strip_prefix("server ") {
            Some(name) => {
                let mut servers = own.servers.iter().flatten();
                servers.find(|server| server.member.value == name).map(|s| s.member.span)
            }
            None => place(own, key, RawListener::KEYS),
        },
    }
}

fn first<D>(block: &D, keys: &[Key<D>]) -> Option<Span> {
    keys.iter().find_map(|key| (key.origin)(block))
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
    commands.map(|command| command.command.span).next().or_else(|| first(own, RawNotify::KEYS))
}

pub(super) fn at<T>(raw: Option<&Spanned<T>>) -> Option<Span> {
    raw.map(|raw| raw.span)
}
