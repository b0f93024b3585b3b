//! The tables of a status: the same rows on a terminal and on a status page.

use super::text::{
    RECENT_MS, WallClock, address_line, bind, change_text, everything, goes_to, is, listener_notes,
    master, next_failure, priority, router_notes, sessions, since, state, vips,
};
use super::{
    AdmissionStatus, ClusterStatus, LimitStatus, ListenerStatus, MemberStatus, Phase, RouterStatus,
    ServerStatus, Snapshot, Standing, State, Traffic,
};
use crate::text::{age, bytes};

/// With more routers than this, only those with something to say get lines of their own.
pub(crate) const MANY_ROUTERS: usize = 8;

/// Addresses of one router that are listed.
const MOST_ADDRESSES: usize = 8;

/// State changes shown for all routers together.
const CHANGES: usize = 10;

#[derive(Debug)]
pub(crate) struct View<const N: usize> {
    pub(crate) columns: [Column; N],
    pub(crate) rows: Vec<Row<N>>,
}

#[derive(Debug)]
pub(crate) struct Row<const N: usize> {
    pub(crate) cells: [Cell; N],
    /// What else there is to say.
    pub(crate) notes: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// The same on a terminal.
    pub(crate) short: &'static str,
    pub(crate) holds: Holds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Number,
    /// What must not be broken into lines: half an address is no address.
    Whole,
    /// What may be broken between words.
    Words,
}

#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) text: String,
    /// More of the same, for a page.
    pub(crate) detail: Option<String>,
    pub(crate) health: Option<Health>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Good,
    Neutral,
    Warning,
    Bad,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell { text: text.into(), detail: None, health: None }
    }
}

fn with_health(health: Health, text: impl Into<String>) -> Cell {
    Cell { health: Some(health), ..Cell::from(text) }
}

fn detailed(text: String, detail: String) -> Cell {
    Cell { detail: Some(detail), ..Cell::from(text) }
}

const fn column(name: &'static str, short: &'static str, holds: Holds) -> Column {
    Column { name, short, holds }
}

pub(crate) fn routers(snapshot: &Snapshot, clock: &WallClock) -> View<9> {
    let few = snapshot.routers.len() <= MANY_ROUTERS;
    let row = |router: &RouterStatus| {
        let mut notes = router_notes(snapshot, router, clock);
        if few || !notes.is_empty() {
            notes.extend(next_failure(router));
        }
        let health = match router.state {
            State::Master => Health::Good,
            State::Backup => Health::Neutral,
            State::Leaving => Health::Warning,
            State::Fault if router.drained => Health::Warning,
            State::Fault => Health::Bad,
        };
        let cells = [
            router.name.clone().into(),
            router.interface.to_string().into(),
            router.vrid.to_string().into(),
            router.version.to_string().into(),
            with_health(health, state(router)),
            since(router, clock).into(),
            priority(router).into(),
            master(router).into(),
            detailed(vips(&router.addresses), addresses(router)),
        ];
        Row { cells, notes }
    };
    View {
        columns: [
            column("Router", "ROUTER", Holds::Whole),
            column("On", "ON", Holds::Whole),
            column("VRID", "VRID", Holds::Number),
            column("Version", "V", Holds::Whole),
            column("State", "STATE", Holds::Whole),
            column("Since", "SINCE", Holds::Words),
            column("Priority", "PRIO", Holds::Whole),
            column("Master", "MASTER", Holds::Words),
            column("Addresses", "VIPS", Holds::Whole),
        ],
        rows: snapshot.routers.iter().map(row).collect(),
    }
}

fn addresses(router: &RouterStatus) -> String {
    let held = |address| address_line(address).replace(": held", "");
    let mut all: Vec<String> = router.addresses.iter().take(MOST_ADDRESSES).map(held).collect();
    if router.addresses.len() > MOST_ADDRESSES {
        all.push(format!("{} more", router.addresses.len() - MOST_ADDRESSES));
    }
    all.join("; ")
}

pub(crate) fn listeners(snapshot: &Snapshot) -> View<6> {
    let row = |listener: &ListenerStatus| {
        let binds: Vec<String> = listener.binds.iter().map(bind).collect();
        let count = |of: fn(&Traffic) -> u32| {
            let traffic = listener.traffic.as_ref();
            Cell::from(traffic.map_or_else(dash, |traffic| of(traffic).to_string()))
        };
        let limited = limits(listener).any(|limit| limit.reached);
        let to = match (listener.serves, listener.fallen_back) {
            _ if !is_open(listener) => with_health(Health::Bad, "nobody: it is not open"),
            (serves, _) if !serves || limited => with_health(Health::Bad, goes_to(listener)),
            (_, true) => with_health(Health::Warning, goes_to(listener)),
            (_, false) => with_health(Health::Good, goes_to(listener)),
        };
        let cells = [
            listener.name.clone().into(),
            binds.join(" ").into(),
            listener.wants.clone().into(),
            count(|traffic| traffic.connections),
            count(|traffic| traffic.waiting),
            to,
        ];
        Row { cells, notes: listener_notes(snapshot, listener) }
    };
    View {
        columns: [
            column("Listener", "LISTENER", Holds::Whole),
            column("Bind", "BIND", Holds::Words),
            column("Role", "ROLE", Holds::Whole),
            column("Clients", "CLIENTS", Holds::Number),
            column("Waiting", "WAIT", Holds::Number),
            column("Now goes to", "NOW GOES TO", Holds::Words),
        ],
        rows: snapshot.listeners.iter().map(row).collect(),
    }
}

/// The servers of one listener.
pub(crate) fn servers(listener: &ListenerStatus) -> View<7> {
    let row = |server: &ServerStatus| {
        let number = |count: Option<u64>| Cell::from(count.map_or_else(dash, |n| n.to_string()));
        let (health, state) = match (server.admission, server.takes) {
            (AdmissionStatus::Usable, true) => (Health::Good, server.role.to_string()),
            (AdmissionStatus::Usable, false) if server.is_full() => {
                (Health::Warning, format!("{}, full", server.role))
            }
            (AdmissionStatus::Usable, false) => {
                (Health::Neutral, format!("{}, not for these clients", server.role))
            }
            (AdmissionStatus::Held, _) => (Health::Warning, format!("not used: {}", server.reason)),
            (AdmissionStatus::Down, _) => (Health::Bad, format!("down: {}", server.reason)),
        };
        let backup = if server.backup { ", backup" } else { "" };
        let sessions = match (server.sessions, server.maxconn) {
            (Some(sessions), Some(most)) => format!("{sessions}/{most}"),
            (Some(sessions), None) => sessions.to_string(),
            (None, _) => dash(),
        };
        let cells = [
            server.name.clone().into(),
            server.address.to_string().into(),
            with_health(health, format!("{state}{backup}")),
            sessions.into(),
            number(server.weight.map(u64::from)),
            number(server.failures),
            number(server.unanswered),
        ];
        Row { cells, notes: Vec::new() }
    };
    View {
        columns: [
            column("Server", "SERVER", Holds::Whole),
            column("Address", "ADDRESS", Holds::Whole),
            column("State", "STATE", Holds::Words),
            column("Sessions", "SESSIONS", Holds::Number),
            column("Weight", "WEIGHT", Holds::Number),
            column("Failed", "FAILED", Holds::Number),
            column("Unanswered", "UNANSWERED", Holds::Number),
        ],
        rows: listener.servers.iter().map(row).collect(),
    }
}

/// It takes connections, whoever gets them.
pub(crate) fn is_open(listener: &ListenerStatus) -> bool {
    listener.traffic.as_ref().is_none_or(|traffic| traffic.failure.is_none())
}

/// Limits its clients run into.
pub(crate) fn limits(listener: &ListenerStatus) -> impl Iterator<Item = &LimitStatus> {
    listener.traffic.iter().flat_map(|traffic| &traffic.limits)
}

pub(crate) fn cluster_health(cluster: &ClusterStatus) -> Health {
    match cluster.phase {
        Phase::Primary if cluster.paused || cluster.failsafe => Health::Warning,
        Phase::Primary | Phase::StandbyCluster => Health::Good,
        Phase::Plain => Health::Neutral,
        Phase::ApiSilent | Phase::SecondOpinion | Phase::Unsure | Phase::Promoting => {
            Health::Warning
        }
        Phase::Unknown
        | Phase::Stopping
        | Phase::CrashRestart
        | Phase::Rivals
        | Phase::Unlocked
        | Phase::StoreOutage
        | Phase::Leaderless
        | Phase::Silent => Health::Bad,
    }
}

pub(crate) fn members(snapshot: &Snapshot, cluster: &ClusterStatus) -> View<7> {
    let row = |member: &MemberStatus| {
        let mut primaries = cluster.primary.iter().flat_map(|names| names.split(", "));
        let leads = primaries.any(|name| name == member.name);
        let health = match member.admission {
            AdmissionStatus::Usable if leads => Health::Good,
            AdmissionStatus::Usable => Health::Neutral,
            AdmissionStatus::Held => Health::Warning,
            AdmissionStatus::Down => Health::Bad,
        };
        let sessions = sessions(snapshot, cluster, member);
        let cells = [
            member.name.clone().into(),
            member.address.clone().into(),
            with_health(health, is(member)),
            member.timeline.map_or_else(dash, |timeline| timeline.to_string()).into(),
            lag(member),
            age(member.since_ms).into(),
            sessions.map_or_else(dash, |count| count.to_string()).into(),
        ];
        Row { cells, notes: Vec::new() }
    };
    View {
        columns: [
            column("Member", "MEMBER", Holds::Whole),
            column("Address", "ADDRESS", Holds::Whole),
            column("State", "STATE", Holds::Words),
            column("Timeline", "TL", Holds::Number),
            column("Lag", "LAG", Holds::Number),
            column("Age", "AGE", Holds::Number),
            column("Sessions", "SESSIONS", Holds::Number),
        ],
        rows: cluster.members.iter().map(row).collect(),
    }
}

fn lag(member: &MemberStatus) -> Cell {
    let amount = member.lag_bytes.map_or_else(dash, bytes);
    match member.lag_ms.filter(|_| member.lag_bytes.is_some_and(|bytes| bytes > 0)) {
        Some(time) if time >= 1000 => detailed(amount.clone(), format!("{amount}, {}", age(time))),
        _ => amount.into(),
    }
}

fn dash() -> String {
    "-".to_owned()
}

pub(crate) fn trackers(snapshot: &Snapshot) -> View<3> {
    let rows = snapshot.trackers.iter().map(|tracker| {
        let health = match tracker.standing {
            Standing::Up => Health::Good,
            Standing::Value(_) => Health::Neutral,
            Standing::Untested => Health::Warning,
            Standing::Down => Health::Bad,
        };
        let cells = [
            tracker.name.clone().into(),
            tracker.kind.clone().into(),
            with_health(health, everything(tracker)),
        ];
        Row { cells, notes: Vec::new() }
    });
    View {
        columns: [
            column("Check", "CHECK", Holds::Whole),
            column("Kind", "KIND", Holds::Whole),
            column("Says", "SAYS", Holds::Words),
        ],
        rows: rows.collect(),
    }
}

/// The recent state changes of all routers together, the latest first.
pub(crate) fn changes(snapshot: &Snapshot, clock: &WallClock) -> View<3> {
    let all = snapshot.routers.iter().flat_map(|router| {
        router.transitions.iter().map(move |change| (router.name.as_str(), change))
    });
    let mut all: Vec<_> = all.filter(|(_, change)| change.age_ms <= RECENT_MS).collect();
    all.sort_by_key(|(_, change)| change.age_ms);
    let row = |(name, change): (&str, &super::TransitionStatus)| {
        let ago = format!("{} ago", age(change.age_ms));
        let when = match clock.before(change.age_ms) {
            Some(then) => detailed(ago, then.long()),
            None => ago.into(),
        };
        Row { cells: [when, name.into(), change_text(change).into()], notes: Vec::new() }
    };
    View {
        columns: [
            column("When", "WHEN", Holds::Whole),
            column("Router", "ROUTER", Holds::Whole),
            column("Change", "CHANGE", Holds::Words),
        ],
        rows: all.into_iter().take(CHANGES).map(row).collect(),
    }
}
