//! `[cluster.NAME]` and `[listener.NAME]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;

use super::{Reader, Value, entries};
use crate::config::checks::Endpoint;
use crate::config::diag::{Diagnostic, Spanned, quoted};
use crate::config::model::BindConfig;
use crate::config::raw::{
    Raw, RawCluster, RawListener, RawLiveness, RawMember, RawRequest, RawRhythm, RawServer,
    RawStatusCheck, RawTls,
};

pub(super) const CLUSTER: &[&str] = &["members", "tls", "headers"];

pub(super) const MEMBER: &[&str] = &["address", "probe"];

pub(super) const LISTENER: &[&str] =
    &["bind", "servers", "tags", "client", "server", "status_check", "primary_status_check"];

pub(super) const BIND: &[&str] = &["address", "v6_only", "interface"];

pub(super) const SERVER: &[&str] = &["member", "address"];

/// PostgreSQL's.
const PORT: Option<NonZeroU16> = NonZeroU16::new(5432);

impl Reader<'_> {
    pub(super) fn clusters(&mut self, value: &Value<'_>, raw: &mut Raw) {
        let Some(table) = self.table(value) else { return };
        for (name, span, value) in entries(table) {
            let name = Spanned::new(name.to_owned(), self.span(span));
            raw.clusters.extend(self.cluster(name, value));
        }
    }

    fn cluster(&mut self, name: Spanned<String>, value: &Value<'_>) -> Option<RawCluster> {
        let place = format!("[cluster.{}]", name.value);
        let mut raw = RawCluster::new(name);
        for (key, span, value) in entries(self.table(value)?) {
            match key {
                "members" => {
                    let list = self.list(value, "members, such as [\"10.0.0.11\"]");
                    raw.members = list.iter().filter_map(|item| self.member(item)).collect();
                    raw.unreadable = raw.members.len() < list.len() || !value.get_ref().is_array();
                }
                "tls" => raw.tls.https = self.boolean(value),
                "headers" => raw.request.headers = self.pairs(value),
                _ => {
                    let entry = (key, span, value);
                    let known = self.known(&mut raw.rhythm, RawRhythm::KEYS, &entry)
                        || self.known(&mut raw.tls, RawTls::KEYS, &entry)
                        || self.known(&mut raw.request, RawRequest::KEYS, &entry);
                    if !known {
                        let others =
                            [CLUSTER, RawRhythm::NAMES, RawTls::NAMES, RawRequest::NAMES].concat();
                        self.setting(&mut raw, RawCluster::KEYS, entry, &others, &place);
                    }
                }
            }
        }
        Some(raw)
    }

    fn member(&mut self, value: &Value<'_>) -> Option<RawMember> {
        if value.get_ref().is_str() {
            return self.endpoint(value, PORT).map(RawMember::new);
        }
        let table = self.record(value, "address")?;
        let mut raw = RawMember::new(self.endpoint(table.get("address")?, PORT)?);
        for (key, span, value) in entries(table) {
            match key {
                "address" => {}
                "probe" => raw.probe = self.endpoint(value, None),
                _ => {
                    let entry = (key, span, value);
                    self.setting(&mut raw, RawMember::KEYS, entry, MEMBER, "a member");
                }
            }
        }
        Some(raw)
    }

    pub(super) fn listeners(&mut self, value: &Value<'_>, raw: &mut Raw) {
        let Some(table) = self.table(value) else { return };
        for (name, span, value) in entries(table) {
            let name = Spanned::new(name.to_owned(), self.span(span));
            raw.listeners.extend(self.listener(name, value));
        }
    }

    fn listener(&mut self, name: Spanned<String>, value: &Value<'_>) -> Option<RawListener> {
        let place = format!("[listener.{}]", name.value);
        let mut raw = RawListener::new(name);
        for (key, span, value) in entries(self.table(value)?) {
            match key {
                "bind" => (raw.binds, raw.unreadable) = self.binds(value),
                "servers" => {
                    let list = self.list(value, "servers, such as [\"10.0.0.11\"]");
                    raw.servers = Some(list.iter().filter_map(|item| self.server(item)).collect());
                }
                "tags" => raw.tags = self.pairs(value),
                "client" => raw.client = self.liveness(value),
                "server" => raw.server = self.liveness(value),
                "status_check" => raw.status_check = self.status_check(value),
                "primary_status_check" => raw.primary_status_check = self.status_check(value),
                _ => {
                    let entry = (key, span, value);
                    self.setting(&mut raw, RawListener::KEYS, entry, LISTENER, &place);
                }
            }
        }
        Some(raw)
    }

    /// One place to listen at or several, and whether some cannot be read.
    pub(super) fn binds(&mut self, value: &Value<'_>) -> (Vec<Spanned<BindConfig>>, bool) {
        let one = std::slice::from_ref(value);
        let many = value.get_ref().as_array().map(|array| array.iter().collect());
        let places: Vec<&Value<'_>> = many.unwrap_or_else(|| one.iter().collect());
        let binds: Vec<_> = places.iter().filter_map(|place| self.bind(place)).collect();
        let unreadable = binds.len() < places.len();
        (binds, unreadable)
    }

    fn bind(&mut self, value: &Value<'_>) -> Option<Spanned<BindConfig>> {
        if value.get_ref().is_str() {
            let address = self.socket_address(value)?;
            return Some(address.map(BindConfig::from));
        }
        let table = self.record(value, "address")?;
        let address = self.socket_address(table.get("address")?)?;
        let mut bind = BindConfig::from(address.value);
        for (key, span, value) in entries(table) {
            match key {
                "address" => {}
                "v6_only" => bind.v6_only = self.boolean(value)?.value,
                "interface" => bind.interface = Some(self.interface_name(value)?),
                _ => self.unknown(key, span, BIND, "a place to listen at"),
            }
        }
        Some(Spanned::new(bind, address.span))
    }

    /// `10.0.0.1:5000`, `[::]:5000`, or `*:5000` for every IPv4 address.
    fn socket_address(&mut self, value: &Value<'_>) -> Option<Spanned<SocketAddr>> {
        let text = self.text(value)?;
        let any = text.value.strip_prefix("*:").and_then(|port| port.parse().ok());
        let any = any.map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port));
        let address = any.or_else(|| text.value.parse().ok()).filter(|a| a.port() != 0);
        if address.is_none() {
            let message = format!("{} is no address and port", quoted(&text.value));
            self.out.push(
                Diagnostic::error(text.span, message)
                    .help("for example \"*:5000\", \"10.0.0.10:5000\" or \"[::]:5000\""),
            );
        }
        Some(Spanned::new(address?, text.span))
    }

    fn server(&mut self, value: &Value<'_>) -> Option<RawServer> {
        if value.get_ref().is_str() {
            return self.text(value).map(RawServer::new);
        }
        let table = self.record(value, "member")?;
        let mut raw = RawServer::new(self.text(table.get("member")?)?);
        for (key, span, value) in entries(table) {
            match key {
                "member" => {}
                "address" => raw.address = self.endpoint(value, PORT),
                _ => {
                    let entry = (key, span, value);
                    self.setting(&mut raw, RawServer::KEYS, entry, SERVER, "a server");
                }
            }
        }
        Some(raw)
    }

    fn status_check(&mut self, value: &Value<'_>) -> Option<RawStatusCheck> {
        const PLACE: &str = "a check by status";
        let mut raw = RawStatusCheck::new(self.span(value.span()));
        for (key, span, value) in entries(self.table(value)?) {
            match key {
                "headers" => raw.request.headers = self.pairs(value),
                _ => {
                    let entry = (key, span, value);
                    let known = self.known(&mut raw.rhythm, RawRhythm::KEYS, &entry)
                        || self.known(&mut raw.request, RawRequest::KEYS, &entry);
                    if !known {
                        let others = [&["headers"], RawRhythm::NAMES, RawRequest::NAMES].concat();
                        self.setting(&mut raw, RawStatusCheck::KEYS, entry, &others, PLACE);
                    }
                }
            }
        }
        Some(raw)
    }

    fn liveness(&mut self, value: &Value<'_>) -> RawLiveness {
        self.settings(value, RawLiveness::KEYS, "the liveness of a side")
    }

    fn endpoint(
        &mut self,
        value: &Value<'_>,
        port: Option<NonZeroU16>,
    ) -> Option<Spanned<Endpoint>> {
        let text = self.text(value)?;
        match Endpoint::parse(&text.value, port) {
            Ok(endpoint) => Some(Spanned::new(endpoint, text.span)),
            Err(error) => {
                self.out.push(Diagnostic::error(text.span, error.to_string()));
                None
            }
        }
    }

    fn interface_name(&mut self, value: &Value<'_>) -> Option<crate::types::IfName> {
        let text = self.text(value)?;
        let name = text.value.parse();
        name.map_err(|error: crate::types::OutOfRange| {
            self.out.push(Diagnostic::error(text.span, error.to_string()));
        })
        .ok()
    }

    /// The elements of an array of `what`.
    pub(super) fn list<'v, 't>(&mut self, value: &'v Value<'t>, what: &str) -> Vec<&'v Value<'t>> {
        let Some(array) = value.get_ref().as_array() else {
            self.expected(value, &format!("an array of {what}"));
            return Vec::new();
        };
        array.iter().collect()
    }

    /// The table of an entry that is more than a text.
    pub(super) fn record<'v, 't>(
        &mut self,
        value: &'v Value<'t>,
        key: &str,
    ) -> Option<&'v toml::de::DeTable<'t>> {
        let Some(table) = value.get_ref().as_table() else {
            self.expected(value, &format!("a text or {{ {key} = \"…\", … }}"));
            return None;
        };
        if !table.contains_key(key) {
            let span = self.span(value.span());
            self.out.push(Diagnostic::error(span, format!("an entry without `{key}`")));
            return None;
        }
        Some(table)
    }
}
