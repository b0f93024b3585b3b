//! What programs may rely on in the JSON vipd prints, as JSON Schema (draft 2020-12).

use clap::ValueEnum;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use super::{check, pair, reload};
use crate::status::Snapshot;

/// Something vipd prints as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Printed {
    /// `vipd check --json`
    Check,
    /// `vipd check --pair --json`
    CheckPair,
    /// `vipd status --json`
    Status,
    /// `vipd reload --json`
    Reload,
}

impl Printed {
    /// The schema, indented.
    #[must_use]
    pub fn schema(self) -> String {
        let (schema, title) = match self {
            Printed::Check => (of::<check::Json<'static>>(), "vipd check --json"),
            Printed::CheckPair => (of::<pair::Json<'static>>(), "vipd check --pair --json"),
            Printed::Status => (of::<Snapshot>(), "vipd status --json"),
            Printed::Reload => (of::<reload::Json>(), "vipd reload --json"),
        };
        let mut schema = schema;
        schema.insert("title".to_owned(), title.into());
        serde_json::to_string_pretty(&schema).map_or_else(|e| format!("{e}\n"), |text| text + "\n")
    }
}

fn of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}
