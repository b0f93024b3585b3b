//! What a reload would change, in the words of vipd.toml, and what would come of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::settings::{self, Object, Setting};
use crate::config::{Config, RouterConfig, RouterKey, TrackerConfig};
use crate::engine::Engine;
use crate::status::{Change, Changes, ObjectChange, RouterChange, SettingChange, State};
use crate::types::IfName;
use crate::vrrp::router::Router;

/// Read once, when the daemon starts.
const AT_START: &str = "from the next start of the daemon on";
/// Nodes that differ here do not understand each other.
const ALL_NODES: &str = "all nodes need the same: until they have it, they refuse each other's \
                         adverts and several may be master";
/// The order of a list is free.
const LISTS: &str = "keepalived before 2.3.3 refuses adverts whose list is not its own: with \
                     such a peer change both nodes at once, or use `excluded`";

/// What turns `old` into `new`. States and effects are left for [`Engine::predict_effects`].
#[must_use]
pub fn diff(old: &Config, new: &Config) -> Changes {
    let mut changes = Changes {
        globals: globals_between(old, new),
        objects: objects_between(old, new),
        ..Changes::default()
    };
    let by_key: BTreeMap<RouterKey, &RouterConfig> =
        old.routers.iter().map(|router| (router.key(), &**router)).collect();
    let by_name: BTreeMap<&str, &RouterConfig> =
        old.routers.iter().map(|router| (router.name.as_str(), &**router)).collect();
    let keys: BTreeSet<RouterKey> = new.routers.iter().map(|router| router.key()).collect();
    let mut replaced = BTreeSet::new();
    for router in &new.routers {
        let (change, before) = match by_key.get(&router.key()) {
            Some(before) if **before == **router => {
                changes.unchanged += 1;
                continue;
            }
            Some(before) => (Change::Changed, Some(*before)),
            None => match by_name.get(router.name.as_str()) {
                Some(before) if !keys.contains(&before.key()) => {
                    replaced.insert(router.name.as_str());
                    (Change::Replaced, Some(*before))
                }
                Some(_) | None => (Change::Added, None),
            },
        };
        let settings = before.map(|before| settings_between(before, router)).unwrap_or_default();
        changes.routers.push(RouterChange { settings, ..about(&router.name, change) });
    }
    let gone = |router: &&RouterConfig| {
        !keys.contains(&router.key()) && !replaced.contains(router.name.as_str())
    };
    let gone = old.routers.iter().map(|router| &**router).filter(gone);
    changes.routers.extend(gone.map(|router| about(&router.name, Change::Removed)));
    changes
}

fn globals_between(old: &Config, new: &Config) -> Vec<SettingChange> {
    let mut changes = compare(settings::globals(&old.globals), settings::globals(&new.globals));
    for change in &mut changes {
        if settings::is_read_at_start(&change.setting) {
            AT_START.clone_into(&mut change.note);
        }
    }
    changes
}

/// Clusters, listeners and everything else with a name, in the order of the new configuration; then
/// what is gone.
fn objects_between(old: &Config, new: &Config) -> Vec<ObjectChange> {
    let (before, after) = (settings::objects(old), settings::objects(new));
    let (known, wanted) = (settings::by_name(&before), settings::by_name(&after));
    let about = |object: &Object, change, settings| ObjectChange {
        kind: object.kind.to_owned(),
        name: object.name.clone(),
        change,
        settings,
    };
    let mut changes = Vec::new();
    for object in &after {
        match known.get(&(object.kind, object.name.as_str())) {
            None => changes.push(about(object, Change::Added, Vec::new())),
            Some(old) => {
                let settings = parts_between(&old.settings, &object.settings);
                if !settings.is_empty() {
                    changes.push(about(object, Change::Changed, settings));
                }
            }
        }
    }
    let gone = before.iter().filter(|o| !wanted.contains_key(&(o.kind, o.name.as_str())));
    changes.extend(gone.map(|object| about(object, Change::Removed, Vec::new())));
    let unshown = unshown_between(old, new, &changes);
    changes.extend(unshown);
    changes
}

/// What is compared, and not shown: a password, the particulars of a check.
fn unshown_between(old: &Config, new: &Config, known: &[ObjectChange]) -> Vec<ObjectChange> {
    let pages = new
        .pages
        .iter()
        .filter(|page| old.pages.iter().any(|old| old.name == page.name && old != *page));
    let pages = pages.map(|page| ("page", page.name.clone(), "password"));
    let trackers = new
        .trackers
        .iter()
        .filter(|tracker| old.trackers.iter().any(|old| old.key == tracker.key && old != *tracker));
    let title = |tracker: &TrackerConfig| format!("{} {}", tracker.kind(), tracker.key);
    let trackers = trackers.map(|tracker| ("track", title(tracker), "check"));
    let clusters = new.clusters.iter().filter(|cluster| {
        old.clusters.iter().any(|old| old.name == cluster.name && old != *cluster)
    });
    let clusters = clusters.map(|cluster| ("cluster", cluster.name.clone(), "check"));
    let differ = pages.chain(trackers).chain(clusters);
    let unsaid = |(kind, name, _): &(&str, String, &str)| {
        !known.iter().any(|change| change.kind == *kind && change.name == *name)
    };
    differ
        .filter(unsaid)
        .map(|(kind, name, setting)| ObjectChange {
            kind: kind.to_owned(),
            name,
            change: Change::Changed,
            settings: vec![SettingChange {
                setting: setting.to_owned(),
                from: Some("set".to_owned()),
                to: Some("set, another one".to_owned()),
                note: String::new(),
            }],
        })
        .collect()
}

/// Settings by name: what differs, what is gone, what comes.
fn parts_between(old: &[(String, String)], new: &[(String, String)]) -> Vec<SettingChange> {
    let value = |all: &[(String, String)], key: &str| {
        all.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
    };
    let gone = old.iter().filter(|(key, _)| value(new, key).is_none());
    new.iter()
        .chain(gone)
        .map(|(key, _)| SettingChange {
            setting: key.clone(),
            from: value(old, key),
            to: value(new, key),
            note: String::new(),
        })
        .filter(|change| change.from != change.to)
        .collect()
}

fn about(name: &str, change: Change) -> RouterChange {
    RouterChange {
        name: name.to_owned(),
        change,
        state: None,
        effect: String::new(),
        settings: Vec::new(),
    }
}

impl Engine {
    /// Completes what [`diff`] found between the configuration in use and `config`: the states the
    /// routers are in, and what would come of the change.
    pub fn predict_effects(&self, config: &Config, changes: &mut Changes) {
        if changes.routers.is_empty() {
            return;
        }
        let in_use: BTreeMap<&str, &RouterConfig> =
            self.config.routers.iter().map(|router| (router.name.as_str(), &**router)).collect();
        let wanted: BTreeMap<&str, &RouterConfig> =
            config.routers.iter().map(|router| (router.name.as_str(), &**router)).collect();
        for change in &mut changes.routers {
            let wanted = wanted.get(change.name.as_str()).copied();
            let before = match (change.change, wanted) {
                (Change::Added, _) => None,
                // It may be renamed: its key is what it is known by.
                (Change::Changed, Some(wanted)) => Some(wanted),
                (Change::Changed | Change::Replaced | Change::Removed, _) => {
                    in_use.get(change.name.as_str()).copied()
                }
            };
            let router = before.and_then(|cfg| self.routers.get(self.by_key.get(&cfg.key())?));
            change.state = router.map(Router::state);
            let drained = router.is_some_and(|router| router.drained);
            let missing = wanted.and_then(|wanted| self.missing_interface(wanted));
            change.effect = effect(change, wanted, drained, missing);
        }
    }

    /// An interface the router needs and the host does not have.
    fn missing_interface<'c>(&self, cfg: &'c RouterConfig) -> Option<&'c IfName> {
        let all = std::iter::once(&cfg.iface).chain(cfg.addresses.iter().map(|a| cfg.iface_of(a)));
        let mut missing = all.filter(|name| self.links.by_name(name).is_none());
        missing.next()
    }
}

/// What comes of the change, in a sentence.
fn effect(
    change: &RouterChange,
    wanted: Option<&RouterConfig>,
    drained: bool,
    missing: Option<&IfName>,
) -> String {
    let state = change.state.unwrap_or(State::Fault);
    let ends = match state {
        State::Master | State::Leaving => "resigns and lets go of its addresses",
        State::Backup | State::Fault => "ends without a word",
    };
    let begins = match missing {
        Some(name) => format!("in FAULT: interface {name} does not exist"),
        None => "as BACKUP".to_owned(),
    };
    match (change.change, missing) {
        (Change::Removed, _) => format!("was {state}: {ends}"),
        (Change::Added, _) => format!("starts {begins}"),
        (Change::Replaced, _) => {
            format!("the one in use {ends}, another router starts {begins}")
        }
        (Change::Changed, _) if drained => "stays DRAINED".to_owned(),
        (Change::Changed, Some(name)) if state == State::Fault => {
            format!("stays in FAULT: interface {name} does not exist")
        }
        (Change::Changed, Some(name)) => {
            format!("{state} to FAULT: interface {name} does not exist")
        }
        (Change::Changed, None) => match state {
            State::Master => {
                let interval = wanted
                    .filter(|_| change.settings.iter().any(|s| s.setting == "interval"))
                    .map(|wanted| format!(", then every {}", wanted.interval));
                format!("stays MASTER: an advert at once{}", interval.unwrap_or_default())
            }
            State::Backup | State::Leaving => format!("stays {state}"),
            State::Fault => "stays in FAULT unless this cures it".to_owned(),
        },
    }
}

/// The pairs whose values differ. Both lists name the same settings in the same order.
fn compare(old: Vec<Setting>, new: Vec<Setting>) -> Vec<SettingChange> {
    let differs = old.into_iter().zip(new).filter(|((_, old), (_, new))| old != new);
    differs
        .map(|((setting, from), (_, to))| SettingChange {
            setting: setting.to_owned(),
            from: Some(from),
            to: Some(to),
            note: String::new(),
        })
        .collect()
}

fn settings_between(old: &RouterConfig, new: &RouterConfig) -> Vec<SettingChange> {
    let mut changes = compare(settings::of(old), settings::of(new));
    let spoken = ["version", "family", "checksum", "auth_pass"];
    if old.dialect != new.dialect && !changes.iter().any(|c| spoken.contains(&&*c.setting)) {
        changes.push(SettingChange {
            setting: "auth_pass".to_owned(),
            from: Some("set".to_owned()),
            to: Some("set, another one".to_owned()),
            note: String::new(),
        });
    }
    for change in &mut changes {
        let note = match change.setting.as_str() {
            "name" => "its state goes on",
            "version" | "auth_pass" | "group" | "strict" => ALL_NODES,
            "interval" if new.dialect.version() == 2 => ALL_NODES,
            "peers" if old.is_unicast() != new.is_unicast() => ALL_NODES,
            _ => "",
        };
        note.clone_into(&mut change.note);
    }
    changes.extend(addresses_between(old, new));
    changes
}

/// Every address that comes, goes or has other options.
fn addresses_between(old: &RouterConfig, new: &RouterConfig) -> Vec<SettingChange> {
    let list =
        |cfg: &RouterConfig| cfg.addresses.iter().map(|a| settings::written(a)).collect::<Vec<_>>();
    let mut changes = compare_lists("addresses", &list(old), &list(new));
    let advertised = |cfg: &RouterConfig| cfg.advertised().collect::<BTreeSet<_>>();
    if let Some(last) = changes.last_mut()
        && advertised(old) != advertised(new)
    {
        LISTS.clone_into(&mut last.note);
    }
    changes
}

/// What leaves a list and what comes; if nothing does, whether its order is another.
fn compare_lists(setting: &str, old: &[String], new: &[String]) -> Vec<SettingChange> {
    let change = |from: Option<String>, to: Option<String>| SettingChange {
        setting: setting.to_owned(),
        from,
        to,
        note: String::new(),
    };
    let (before, after): (BTreeSet<_>, BTreeSet<_>) = (old.iter().collect(), new.iter().collect());
    let gone = old.iter().filter(|e| !after.contains(e)).map(|e| change(Some(e.clone()), None));
    let come = new.iter().filter(|e| !before.contains(e)).map(|e| change(None, Some(e.clone())));
    let mut changes: Vec<_> = gone.chain(come).collect();
    if changes.is_empty() && old != new {
        changes.push(change(Some(old.join(", ")), Some(new.join(", "))));
    }
    changes
}
