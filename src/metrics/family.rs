//! One metric with all its samples.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;
use serde::Serialize;

use super::query::Query;

/// What a metric is. Names are written as they are on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its name ends in `_total`.
    Counter,
    /// A counter whose name does not: OpenMetrics knows none, and calls it unknown.
    Uncounted,
    Gauge,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    Count(u64),
    Signed(i64),
    Real(f64),
}

impl From<bool> for Value {
    fn from(set: bool) -> Value {
        Value::Count(u64::from(set))
    }
}

impl From<u32> for Value {
    fn from(count: u32) -> Value {
        Value::Count(u64::from(count))
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Value {
        Value::Count(count)
    }
}

/// How many.
pub(super) fn number(count: usize) -> Value {
    Value::Count(u64::try_from(count).unwrap_or(u64::MAX))
}

/// Milliseconds in seconds.
pub(super) fn seconds(ms: u64) -> Value {
    Value::Real(Duration::from_millis(ms).as_secs_f64())
}

/// A label and its value.
pub(super) type Label<'a> = (&'static str, Cow<'a, str>);

pub(super) fn label<'a>(name: &'static str, value: impl Into<Cow<'a, str>>) -> Label<'a> {
    (name, value.into())
}

/// A code as the JSON of the status has it.
pub(super) fn code(of: &impl Serialize) -> String {
    match serde_json::to_value(of) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// Writes metrics one after another.
pub(super) struct Families<'e> {
    encoder: DescriptorEncoder<'e>,
    query: Query,
}

impl<'e> Families<'e> {
    pub(super) fn new(encoder: DescriptorEncoder<'e>, query: Query) -> Families<'e> {
        Families { encoder, query }
    }

    /// One metric. Without a sample there is none.
    pub(super) fn add<L: EncodeLabelSet>(
        &mut self,
        kind: Kind,
        name: &'static str,
        help: &str,
        samples: impl IntoIterator<Item = (L, Value)>,
    ) -> fmt::Result {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() || !self.query.wants(name) {
            return Ok(());
        }
        let (stem, of) = match kind {
            Kind::Counter => (name.strip_suffix("_total").unwrap_or(name), MetricType::Counter),
            Kind::Uncounted => (name, MetricType::Unknown),
            Kind::Gauge => (name, MetricType::Gauge),
        };
        let mut family = self.encoder.encode_descriptor(stem, help, None, of)?;
        for (labels, value) in samples {
            let mut sample = family.encode_family(&labels)?;
            match (kind, value) {
                (Kind::Counter, Value::Count(count)) => {
                    sample.encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
                }
                (Kind::Counter, Value::Real(sum)) => {
                    sample.encode_counter::<NoLabelSet, f64, u64>(&sum, None)?;
                }
                (_, Value::Count(count)) => sample.encode_gauge(&count)?,
                (_, Value::Signed(number)) => sample.encode_gauge(&number)?,
                (_, Value::Real(number)) => sample.encode_gauge(&number)?,
            }
        }
        Ok(())
    }

    pub(super) fn gauge<L: EncodeLabelSet>(
        &mut self,
        name: &'static str,
        help: &str,
        samples: impl IntoIterator<Item = (L, Value)>,
    ) -> fmt::Result {
        self.add(Kind::Gauge, name, help, samples)
    }

    pub(super) fn counter<L: EncodeLabelSet>(
        &mut self,
        name: &'static str,
        help: &str,
        samples: impl IntoIterator<Item = (L, Value)>,
    ) -> fmt::Result {
        debug_assert!(name.ends_with("_total"), "{name}");
        self.add(Kind::Counter, name, help, samples)
    }

    /// A number of the whole process.
    pub(super) fn single(
        &mut self,
        kind: Kind,
        name: &'static str,
        help: &str,
        value: impl Into<Value>,
    ) -> fmt::Result {
        let none: [Label<'static>; 0] = [];
        self.add(kind, name, help, [(none, value.into())])
    }
}

/// A metric of everything of one kind: what it is called, and its value, where there is one.
pub(super) struct Row<T> {
    pub(super) kind: Kind,
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) value: fn(&T) -> Option<Value>,
}

pub(super) const fn gauge<T>(
    name: &'static str,
    help: &'static str,
    value: fn(&T) -> Option<Value>,
) -> Row<T> {
    Row { kind: Kind::Gauge, name, help, value }
}

pub(super) const fn counter<T>(
    name: &'static str,
    help: &'static str,
    value: fn(&T) -> Option<Value>,
) -> Row<T> {
    Row { kind: Kind::Counter, name, help, value }
}

/// The rows for all `items`, with the labels each has.
pub(super) fn write_rows<'a, T, L: EncodeLabelSet>(
    out: &mut Families<'_>,
    rows: &[Row<T>],
    items: &'a [T],
    labels: impl Fn(&'a T) -> L,
) -> fmt::Result {
    for row in rows {
        let samples = items.iter().filter_map(|item| Some((labels(item), (row.value)(item)?)));
        out.add(row.kind, row.name, row.help, samples)?;
    }
    Ok(())
}
