//! How a node is, in one word, and why: decided here alone, for the terminal, the page, the JSON, checks and load
//! balancers.

mod daemon;
mod reasons;
mod routers;
mod serving;
mod summary;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ClusterStatus, ListenerStatus, RouterStatus, Snapshot};
use crate::text::plain_line;
pub(crate) use daemon::daemon_notes;
pub use reasons::{AboutStatus, HealthReason, ObjectKind, ReasonCode, Severity};
pub(crate) use summary::{MOST_REASONS, listener_words, router_words};

/// How long the one line of a check may be: plugins are cut at 4 KiB.
const LONGEST_LINE: usize = 2000;

/// Whether all is well, and if not, why.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct HealthStatus {
    /// The worst of the reasons.
    pub status: HealthLevel,
    /// The same in a line: what is wrong, its cause first, then who serves.
    pub summary: String,
    /// The worst first, and of equals the cause before what follows from it.
    pub reasons: Vec<HealthReason>,
}

/// Health in one word.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum HealthLevel {
    /// Everything works.
    Ok,
    /// Clients are served, but something is amiss: redundancy is lost, or will be.
    Degraded,
    /// Clients are not served, or not as they should be.
    Critical,
    /// There is no answer.
    #[default]
    Unknown,
}

impl fmt::Display for HealthLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            HealthLevel::Ok => "OK",
            HealthLevel::Degraded => "DEGRADED",
            HealthLevel::Critical => "CRITICAL",
            HealthLevel::Unknown => "UNKNOWN",
        })
    }
}

impl HealthStatus {
    /// "CRITICAL: writers wait: nobody holds the leader lock; lb1 is MASTER for 10.0.0.10"
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}: {}", self.status, self.summary)
    }

    /// The same in a monitoring plugin's word: what is degraded is a warning there, and a bar would begin its
    /// performance data.
    #[must_use]
    pub fn plugin_line(&self) -> String {
        let line = match self.status {
            HealthLevel::Degraded => format!("WARNING: {}", self.summary),
            _ => self.line(),
        };
        plain_line(&line.replace('|', "/"), LONGEST_LINE)
    }
}

/// Something that has a health of its own.
#[derive(Clone, Copy, Debug)]
pub enum Object<'s> {
    /// A virtual router.
    Router(&'s RouterStatus),
    /// A listener.
    Listener(&'s ListenerStatus),
    /// A cluster.
    Cluster(&'s ClusterStatus),
}

impl Object<'_> {
    pub(crate) fn about(&self) -> AboutStatus {
        match self {
            Object::Router(router) => AboutStatus::new(ObjectKind::Router, &router.name),
            Object::Listener(listener) => AboutStatus::new(ObjectKind::Listener, &listener.name),
            Object::Cluster(cluster) => AboutStatus::new(ObjectKind::Cluster, &cluster.name),
        }
    }
}

impl Snapshot {
    /// Its health; reckoned here if an older daemon did not say it.
    #[must_use]
    pub fn judged(&self) -> Cow<'_, HealthStatus> {
        match self.health.status {
            HealthLevel::Unknown => Cow::Owned(health(self)),
            _ => Cow::Borrowed(&self.health),
        }
    }

    /// Routers, listeners and clusters of this name; `router/NAME` and its like mean one kind. Names are any text, so
    /// one with a slash in it counts as it stands, too.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<Object<'_>> {
        let short = |kind: &str| name.strip_prefix(kind).and_then(|rest| rest.strip_prefix('/'));
        let fits = |kind: &str, own: &str| own == name || short(kind) == Some(own);
        let routers = self.routers.iter().filter(|r| fits("router", &r.name)).map(Object::Router);
        let listeners = self.listeners.iter().filter(|l| fits("listener", &l.name));
        let clusters = self.clusters.iter().filter(|c| fits("cluster", &c.name));
        routers
            .chain(listeners.map(Object::Listener))
            .chain(clusters.map(Object::Cluster))
            .collect()
    }

    /// Every name [`Snapshot::named`] knows, each once.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let routers = self.routers.iter().map(|router| router.name.as_str());
        let listeners = self.listeners.iter().map(|listener| listener.name.as_str());
        let clusters = self.clusters.iter().map(|cluster| cluster.name.as_str());
        let mut names: Vec<&str> = Vec::new();
        for name in routers.chain(listeners).chain(clusters) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// A reason, and how it is put where little room is.
#[derive(Debug)]
struct Finding {
    reason: HealthReason,
    brief: Option<String>,
}

impl Finding {
    fn new(code: ReasonCode, severity: Severity, about: Vec<AboutStatus>, text: String) -> Finding {
        Finding { reason: HealthReason { code, severity, about, text }, brief: None }
    }

    fn briefly(mut self, brief: String) -> Finding {
        self.brief = Some(brief);
        self
    }

    fn brief(&self) -> &str {
        self.brief.as_ref().unwrap_or(&self.reason.text)
    }

    fn is_about(&self, object: &AboutStatus) -> bool {
        self.reason.about.contains(object)
    }
}

/// The health of a node.
#[must_use]
pub fn health(snapshot: &Snapshot) -> HealthStatus {
    let findings = findings(snapshot);
    let summary = summary::of_node(snapshot, &findings);
    status(findings, summary)
}

/// The health of these alone: what the reasons that name them make of it.
#[must_use]
pub fn health_of(snapshot: &Snapshot, objects: &[Object<'_>]) -> HealthStatus {
    let about: Vec<AboutStatus> = objects.iter().map(Object::about).collect();
    let mut findings = findings(snapshot);
    findings.retain(|finding| about.iter().any(|object| finding.is_about(object)));
    let summary = summary::of_objects(objects, &findings);
    status(findings, summary)
}

/// What keeps this node from serving what it should, in words; empty if nothing does.
#[must_use]
pub fn outages(snapshot: &Snapshot) -> Vec<String> {
    let findings = findings(snapshot);
    let stops = findings.iter().filter(|finding| finding.reason.is_outage());
    stops.map(|finding| finding.brief().to_owned()).collect()
}

fn status(findings: Vec<Finding>, summary: String) -> HealthStatus {
    let reasons: Vec<HealthReason> = findings.into_iter().map(|finding| finding.reason).collect();
    let status = match reasons.iter().map(|reason| reason.severity).max() {
        Some(Severity::Critical) => HealthLevel::Critical,
        Some(Severity::Degraded) => HealthLevel::Degraded,
        Some(Severity::Notice) | None => HealthLevel::Ok,
    };
    HealthStatus { status, summary, reasons }
}

/// All there is to find, the worst first. What is below comes before what stands on it: servers, listeners, routers.
fn findings(snapshot: &Snapshot) -> Vec<Finding> {
    let mut findings = serving::findings(snapshot);
    let routers = routers::findings(snapshot, &findings);
    findings.extend(routers);
    findings.extend(daemon::findings(snapshot));
    findings.sort_by_key(|finding| Reverse(finding.reason.severity));
    findings
}
