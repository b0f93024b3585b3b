//! A checked configuration to vipd.toml: `vipd convert`.
//!
//! Only what differs from a default is written, and the defaults are asked of [`check`] itself: a
//! router that says no more than its identity. Comments point at the lines of another dialect whose
//! spelling is not recognisable any more, and list what was said about the rest.

mod globals;
mod notify;
mod page;
mod proxy;
mod router;
mod table;
mod track;
mod values;

use super::Loaded;
use super::recognise::recognise;
use crate::config::check::check;
use crate::config::diag::{Diagnostic, SourceMap, printable};
use crate::config::raw::{Raw, RawAddress, RawInterface, RawStatic};
use crate::config::{Config, Dropped, Format, RouterConfig, Text, vipd_toml};
use crate::types::{AuthV2, Dialect};
use values::key;

/// What vipd.toml has no words for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inexpressible {
    /// TOML is UTF-8, and the eight bytes that travel end inside a character.
    #[error(
        "the password of {router} cannot be converted: its 8 bytes end inside a character, and \
         vipd.toml is UTF-8; change it on all nodes, to letters and digits"
    )]
    Password {
        /// The router's name.
        router: String,
    },
    /// Read back, the text means something else: a mistake of this program.
    #[error("read back, the converted text is not the same configuration: {0}")]
    Differs(String),
}

/// The vipd.toml that means the same as `loaded`, read back and compared.
///
/// # Errors
/// [`Inexpressible`]; no text is better than one that means something else.
pub fn emit(loaded: &Loaded) -> Result<String, Inexpressible> {
    let Loaded { config, raw, warnings, notes, remarks, dropped, map, .. } = loaded;
    let Config { routers, static_addresses, pages, .. } = config;
    let mut tables = Vec::new();
    tables.extend(globals::globals(&raw.globals, map));
    // One that is listed twice: the last one counts.
    let last = |at: usize, own: &RawInterface| {
        raw.interfaces.iter().skip(at + 1).all(|other| other.name.value != own.name.value)
    };
    let interfaces = raw.interfaces.iter().enumerate().filter(|(at, own)| last(*at, own));
    tables.extend(interfaces.map(|(_, own)| globals::interface(own, map)));
    for (number, group) in (1..).zip(&raw.pacing) {
        tables.push(globals::pacing(number, group, map));
    }
    for own in static_addresses {
        // A lenient reading may have left out some of those that are written.
        let is_own = |raw: &&RawStatic| {
            let RawAddress { cidr, dev, .. } = &raw.address;
            let dev = dev.as_ref().map(|dev| dev.value.as_str());
            cidr.value == own.address.cidr && dev == Some(own.iface.as_str())
        };
        if let Some(raw) = raw.static_addresses.iter().find(is_own) {
            tables.push(globals::static_address(own, &raw.address, map));
        }
    }
    tables.extend(track::trackers(raw, map));
    for (router, raw) in routers.iter().zip(&raw.routers) {
        tables.push(router::router(router, raw, loaded)?);
        let heading = format!("[vrrp.{}.notify]", key(&router.name));
        tables.extend(notify::notify(heading, &raw.notify, map));
    }
    for group in &raw.groups {
        tables.push(track::group(group, loaded));
        let heading = format!("[group.{}.notify]", key(&group.name.value));
        tables.extend(notify::notify(heading, &group.notify, map));
    }
    tables.extend(raw.fifos.iter().map(|fifo| notify::fifo(fifo, map)));
    tables.extend(raw.mail.as_ref().map(|mail| notify::mail(mail, map)));
    tables.extend(raw.clusters.iter().map(|own| proxy::cluster(own, map)));
    let listeners = raw.listeners.iter();
    tables.extend(listeners.map(|own| proxy::listener(own, &raw.clusters, map)));
    for (own, raw) in pages.iter().zip(&raw.pages) {
        tables.push(page::page(own, raw, map));
    }
    let body = tables.join("\n");
    let repeated = read_back(&body, config)?;
    let is_new = |d: &&Diagnostic| repeated.iter().all(|again| again.message != d.message);
    let mut lines = head(config, *dropped == Dropped::default(), map);
    if lines.is_empty() {
        return Ok(body);
    }
    lines.extend(list("What reads differently now:", warnings.iter().filter(is_new), map));
    lines.extend(list("Left out, because it does nothing here:", notes.iter().chain(remarks), map));
    let comment = |line: &String| format!("# {}", printable(line)).trim_end().to_owned() + "\n";
    Ok(lines.iter().map(comment).collect::<String>() + "\n" + &body)
}

/// What `check` says about the text, if it means `config`.
fn read_back(body: &str, config: &Config) -> Result<Vec<Diagnostic>, Inexpressible> {
    let mut map = SourceMap::default();
    let file = map.add("vipd.toml", body);
    let mut raw = Raw::default();
    let mut said = Vec::new();
    let own = Text { text: body.to_owned(), ..Text::default() };
    vipd_toml::lower(file, &own, &mut raw, &mut said);
    match check(&raw, &mut said) {
        Some(again) if again == *config => Ok(said),
        _ => {
            let first = said.first().map(|d| d.message.clone());
            Err(Inexpressible::Differs(first.unwrap_or_else(|| "a setting is lost".to_owned())))
        }
    }
}

/// What stands above the first table, unless the source was a vipd.toml already.
fn head(config: &Config, complete: bool, map: &SourceMap) -> Vec<String> {
    let names: Vec<&str> =
        map.files().filter(|f| !is_toml(&f.text)).map(|f| f.name.as_str()).collect();
    if names.is_empty() && complete {
        return Vec::new();
    }
    let names = names.join(", ");
    let mut lines = vec![if complete {
        format!("Converted from {names}: to vipd both mean the same.")
    } else {
        format!("Converted from {names}, but NOT ALL of it: see \"dropped\" and \"not run\" below.")
    }];
    lines.push("Every option: vipd.toml(5).".to_owned());
    let secret = |r: &RouterConfig| matches!(r.dialect, Dialect::V2(AuthV2::Pass(_)));
    let users = config.pages.iter().any(|page| !page.users.is_empty());
    if users || config.routers.iter().any(|router| secret(router)) {
        lines.push("A password stands in clear text here: chmod 640.".to_owned());
    }
    lines
}

/// What was said, each once, with the first place and how many more there are.
fn list<'d>(
    title: &str,
    said: impl Iterator<Item = &'d Diagnostic>,
    map: &SourceMap,
) -> Vec<String> {
    let mut found: Vec<(&Diagnostic, usize)> = Vec::new();
    for diagnostic in said {
        match found.iter_mut().find(|(first, _)| first.message == diagnostic.message) {
            Some((_, more)) => *more += 1,
            None => found.push((diagnostic, 0)),
        }
    }
    let line = |(first, more): (&Diagnostic, usize)| {
        let place = first.span.map(|span| map.place(span)).unwrap_or_default();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let notes: String = first.notes.iter().map(|note| format!("; {note}")).collect();
        format!("  {place}{more}: {}{notes}", first.message)
    };
    let lines: Vec<String> = found.into_iter().map(line).collect();
    let title = [String::new(), title.to_owned()];
    if lines.is_empty() { lines } else { title.into_iter().chain(lines).collect() }
}

fn is_toml(text: &str) -> bool {
    recognise(text) == Some(Format::Toml)
}
