//! The JSON Schema of vipd.toml, for editors.

use serde_json::{Map, Value, json};

use super::announce::{AnnounceConfig, RawAnnounce};
use super::checks::ArgsMatch;
use super::cluster::{RawCluster, RawMember, RawRequest, RawRhythm, RawStatusCheck, RawTls};
use super::globals::Globals;
use super::key::{Key, Row, Shape, Words, Written};
use super::listener::{
    ListenerOptions, Liveness, RawListener, RawLiveness, RawServer, ServerOptions,
};
use super::model::PageConfig;
use super::notify::{FifoConfig, MailOptions, Moment, NotifyConfig};
use super::process::{Process, RawProcess};
use super::raw::{
    CheckKind, InterfaceConfig, RawAddress, RawFifo, RawGlobals, RawGroup, RawInterface, RawMail,
    RawNotify, RawPacing, RawPage, RawPeer, RawSettings, Rhythm,
};
use super::router::{RawRouter, RouterOptions};
use super::vipd_toml::SCOPES;

/// A length of time: numbers, each with a unit, or 0.
const TIME: &str = r"^\s*(0|([0-9]+(\.[0-9]+)?\s*[a-z]+\s*)+)$";

/// The settings of one table.
#[derive(Default)]
struct Table(Map<String, Value>);

impl Table {
    fn keys<D>(mut self, keys: &[Key<D>]) -> Table {
        for key in keys {
            let mut schema = shape(key.shape);
            describe(&mut schema, key.about);
            if let Some(former) = key.former {
                let mut schema = schema.clone();
                describe(&mut schema, &format!("Called {} now.", key.name));
                set(&mut schema, "deprecated", json!(true));
                self.0.insert(former.to_owned(), schema);
            }
            self.0.insert(key.name.to_owned(), schema);
        }
        self
    }

    /// What is known of settings beside their shape.
    fn rows<D, C: Default>(mut self, rows: &[Row<D, C>]) -> Table {
        for row in rows {
            let Some(schema) = self.0.get_mut(row.key.name) else { continue };
            // One that follows from other settings says so itself.
            if !row.key.about.contains("Default:") {
                let standard = (row.show)(&C::default());
                describe(schema, &format!("{} Default: {standard}.", row.key.about.trim()));
            }
            if let Some((least, most)) = (row.range)() {
                set(schema, "minimum", json!(least));
                set(schema, "maximum", json!(most));
            }
        }
        self
    }

    fn with(mut self, name: &str, schema: Value) -> Table {
        self.0.insert(name.to_owned(), schema);
        self
    }

    fn closed(self, required: &[&str]) -> Value {
        json!({
            "type": "object",
            "properties": self.0,
            "required": required,
            "additionalProperties": false,
        })
    }
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn set(schema: &mut Value, key: &str, value: Value) {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert(key.to_owned(), value);
    }
}

fn describe(schema: &mut Value, text: &str) {
    set(schema, "description", json!(text.trim()));
}

fn shape(shape: Shape) -> Value {
    match shape {
        Shape::Text | Shape::Address => text(),
        Shape::Number => json!({ "type": "integer" }),
        Shape::Time => json!({ "type": "string", "pattern": TIME }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Word(words) => json!({ "enum": words() }),
    }
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn number() -> Value {
    json!({ "type": "integer" })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn list(of: Value) -> Value {
    object([("type", "array".into()), ("items", of)])
}

fn either(one: Value, other: Value) -> Value {
    object([("anyOf", Value::Array(vec![one, other]))])
}

/// Tables by the names the user gives them.
fn named(of: Value) -> Value {
    object([("type", "object".into()), ("additionalProperties", of)])
}

/// Names with values.
fn pairs() -> Value {
    named(text())
}

/// A text, or its words.
fn command() -> Value {
    either(text(), list(text()))
}

/// The same, or with the user it runs as.
fn run() -> Value {
    let own = Table::default().with("command", command()).with("user", text());
    either(command(), own.with("group", text()).closed(&["command"]))
}

fn address(table: Table) -> Table {
    let scopes: Vec<&str> = SCOPES.iter().map(|(name, _)| *name).collect();
    table
        .keys(RawAddress::KEYS)
        .with("address", text())
        .with("scope", either(number(), json!({ "enum": scopes })))
        .with("broadcast", text())
        .with("peer", text())
        .with("preferred_lft", text())
}

fn tracked() -> Value {
    let entry = Table::default()
        .with("name", text())
        .with("listener", text())
        .with("kind", shape(<CheckKind as Written>::SHAPE))
        .with("weight", number())
        .with("reverse", flag());
    list(either(text(), entry.closed(&[])))
}

fn tracked_interfaces() -> Value {
    let entry = Table::default().with("name", text()).with("weight", number());
    list(either(text(), entry.with("reverse", flag()).closed(&["name"])))
}

fn notify() -> Value {
    let table =
        Table::default().keys(RawNotify::KEYS).rows(NotifyConfig::ROWS).with("while_master", run());
    Moment::words().into_iter().fold(table, |table, name| table.with(name, run())).closed(&[])
}

fn router() -> Value {
    let addresses = || {
        let own = address(Table::default()).with("track", flag());
        list(either(text(), own.closed(&["address"])))
    };
    let peer = Table::default().keys(RawPeer::KEYS).with("address", text()).closed(&["address"]);
    let announce = Table::default().keys(RawAnnounce::KEYS).rows(AnnounceConfig::ROWS);
    Table::default()
        .keys(RawRouter::KEYS)
        .rows(RouterOptions::ROWS)
        .with("addresses", addresses())
        .with("excluded", addresses())
        .with("auth_pass", text())
        .with("announce", announce.closed(&[]))
        .with("peers", list(either(text(), peer)))
        .with("receive_buffer", either(number(), text()))
        .with("track", tracked())
        .with("track_interfaces", tracked_interfaces())
        .with("notify", notify())
        .closed(&[])
}

fn tracker(kind: CheckKind) -> Value {
    let all = Table::default().keys(RawSettings::KEYS).rows(Rhythm::ROWS);
    let own = kind.keys().fold(Table::default(), |table, key| {
        let schema = match key {
            "weight" => number(),
            "reverse" => flag(),
            "headers" | "tags" => pairs(),
            "command" => command(),
            "name" => text(),
            "match" => shape(<ArgsMatch as Written>::SHAPE),
            _ => all.0.get(key).cloned().unwrap_or_else(text),
        };
        table.with(key, schema)
    });
    named(own.closed(&[]))
}

fn request(table: Table) -> Table {
    table.keys(RawRequest::KEYS).with("headers", pairs())
}

fn rhythm(table: Table) -> Table {
    table.keys(RawRhythm::KEYS)
}

fn cluster() -> Value {
    let member = Table::default()
        .keys(RawMember::KEYS)
        .with("address", text())
        .with("probe", text())
        .closed(&["address"]);
    rhythm(request(Table::default().keys(RawCluster::KEYS).keys(RawTls::KEYS)))
        .with("tls", flag())
        .with("members", list(either(text(), member)))
        .closed(&[])
}

fn binds() -> Value {
    let bind = Table::default().with("address", text()).with("v6_only", flag());
    let bind = bind.with("interface", text()).closed(&["address"]);
    either(either(text(), bind.clone()), list(either(text(), bind)))
}

fn listener() -> Value {
    let server = Table::default()
        .keys(RawServer::KEYS)
        .rows(ServerOptions::ROWS)
        .with("member", text())
        .with("address", text())
        .closed(&["member"]);
    let side = || Table::default().keys(RawLiveness::KEYS).rows(Liveness::ROWS).closed(&[]);
    let check = || rhythm(request(Table::default().keys(RawStatusCheck::KEYS))).closed(&[]);
    Table::default()
        .keys(RawListener::KEYS)
        .rows(ListenerOptions::ROWS)
        .with("bind", binds())
        .with("servers", list(either(text(), server)))
        .with("tags", pairs())
        .with("client", side())
        .with("server", side())
        .with("status_check", check())
        .with("primary_status_check", check())
        .closed(&[])
}

fn global() -> Value {
    Table::default()
        .keys(RawGlobals::KEYS)
        .rows(Globals::ROWS)
        .keys(RawProcess::KEYS)
        .rows(Process::ROWS)
        .with("umask", number())
        .with("cpus", list(number()))
        .with("startup_script", run())
        .with("shutdown_script", run())
        .closed(&[])
}

/// The schema of a whole vipd.toml. What a file says is judged by `vipd check`; this is what an editor
/// needs to offer names and to mark those there are not.
#[must_use]
pub fn schema() -> Value {
    let kinds = CheckKind::WORDS.iter();
    let trackers =
        kinds.fold(Table::default(), |table, (name, kind)| table.with(name, tracker(*kind)));
    let interface = Table::default().keys(RawInterface::KEYS).rows(InterfaceConfig::ROWS);
    let pacing = Table::default().keys(RawPacing::KEYS).with("interfaces", list(text()));
    let group = Table::default()
        .keys(RawGroup::KEYS)
        .with("members", list(text()))
        .with("track", tracked())
        .with("track_interfaces", tracked_interfaces())
        .with("notify", notify());
    let fifo = Table::default().keys(RawFifo::KEYS).rows(FifoConfig::ROWS);
    let fifo = fifo.with("path", text()).with("reader", run());
    let mail = Table::default().keys(RawMail::KEYS).rows(MailOptions::ROWS);
    let mail = mail.with("to", list(text()));
    let user = Table::default().with("name", text()).with("password", text());
    let users = list(user.closed(&["name"]));
    let page = Table::default()
        .keys(RawPage::KEYS)
        .rows(PageConfig::ROWS)
        .with("bind", binds())
        .with("users", users.clone());
    let metrics = Table::default().with("bind", binds()).with("path", text()).with("users", users);
    let fixed = address(Table::default()).with("required_by", list(text()));
    let mut schema = Table::default()
        .with("global", global())
        .with("interface", named(interface.closed(&[])))
        .with("pacing", named(pacing.closed(&[])))
        .with("static", list(fixed.closed(&["address"])))
        .with("vrrp", named(router()))
        .with("track", trackers.closed(&[]))
        .with("group", named(group.closed(&[])))
        .with("fifo", list(fifo.closed(&["path"])))
        .with("mail", mail.closed(&[]))
        .with("cluster", named(cluster()))
        .with("listener", named(listener()))
        .with("page", named(page.closed(&[])))
        .with("metrics", metrics.closed(&["bind"]))
        .closed(&[]);
    set(&mut schema, "title", json!("vipd.toml"));
    set(&mut schema, "$schema", json!("https://json-schema.org/draft/2020-12/schema"));
    schema
}
