//! The status as metrics for Prometheus, and for everything that reads its text or OpenMetrics.
//!
//! Three sets of names say the same: vipd's own, those of the exporters for keepalived, and those of
//! HAProxy's built-in exporter, so that dashboards and alerts go on working. What the status does not
//! have is left out; a name is never served with a number that means something else.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod clusters;
mod daemon;
mod family;
mod haproxy;
mod keepalived;
mod listeners;
mod query;
mod routers;

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text, text};
use prometheus_client::registry::Registry;

use crate::status::Snapshot;
use family::Families;
use query::Scope;
pub use query::{Format, Query};

/// The metrics `query` asks for.
#[must_use]
pub fn exposition(snapshot: Arc<Snapshot>, query: &Query, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape { snapshot, query: query.clone() }));
    let mut out = String::new();
    let written = match format {
        Format::Prometheus => prometheus_text::encode(&mut out, &registry),
        Format::OpenMetrics => text::encode(&mut out, &registry),
    };
    debug_assert!(written.is_ok(), "a string takes everything");
    match format {
        // What OpenMetrics has no type for: a counter without `_total`. A line break inside a label
        // is escaped, so this is the end of a line of types.
        Format::Prometheus => out.replace(" untyped\n", " counter\n"),
        Format::OpenMetrics => out,
    }
}

/// One request.
#[derive(Debug)]
struct Scrape {
    snapshot: Arc<Snapshot>,
    query: Query,
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Scrape { snapshot, query } = self;
        let mut out = Families::new(encoder, query.clone());
        if query.has(Scope::Vipd) {
            daemon::write(&mut out, snapshot)?;
            routers::write(&mut out, snapshot)?;
            clusters::write(&mut out, snapshot)?;
            listeners::write(&mut out, snapshot)?;
        }
        if query.has(Scope::Keepalived) && !snapshot.routers.is_empty() {
            keepalived::write(&mut out, snapshot)?;
        }
        if !snapshot.listeners.is_empty() {
            haproxy::write(&mut out, snapshot, query)?;
        }
        Ok(())
    }
}
