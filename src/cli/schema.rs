//! What programs may rely on in the JSON vipd prints, and editors in vipd.toml, as JSON Schema (draft 2020-12).

use clap::ValueEnum;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;

use super::{check, pair, reload};
use crate::config;
use crate::status::Snapshot;

/// Something there is a schema of.
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
    /// vipd.toml itself, for editors
    Config,
}

impl Printed {
    /// The schema, indented.
    #[must_use]
    pub fn schema(self) -> String {
        match self {
            Printed::Check => of::<check::Json<'static>>("vipd check --json"),
            Printed::CheckPair => of::<pair::Json<'static>>("vipd check --pair --json"),
            Printed::Status => of::<Snapshot>("vipd status --json"),
            Printed::Reload => of::<reload::Json>("vipd reload --json"),
            Printed::Config => pretty(&config::schema::schema()),
        }
    }
}

fn of<T: JsonSchema>(title: &str) -> String {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    pretty(&schema)
}

fn pretty(schema: &impl Serialize) -> String {
    serde_json::to_string_pretty(schema).map_or_else(|e| format!("{e}\n"), |text| text + "\n")
}
