//! `vipd check --pair`: what two nodes read, compared.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::exit::Findings;
use super::sources::FileSystem;
use crate::config::diag::{Diagnostic, Report, Severity, SourceMap, printable};
use crate::config::sources::Reading;
use crate::load::{Loaded, load_beside};
use crate::pair::{Event, Node, Outcome, Pairing, Serving, Side, compare, rough};
use crate::text::counted;

/// What each node reads, and what was found.
pub(super) struct Pair {
    nodes: [Half; 2],
    /// What is wrong with the pair, or with files that cannot be used.
    diagnostics: Vec<Diagnostic>,
    /// `None` if a node's files cannot be used.
    routers: Option<Vec<Pairing>>,
    listeners: usize,
    map: SourceMap,
    unreadable: bool,
}

/// One node's files.
struct Half {
    name: String,
    /// What the command line says: a file, several with commas between them, or a directory.
    given: PathBuf,
    files: Vec<PathBuf>,
    /// Warnings about the files by themselves.
    warnings: usize,
}

/// The files of a node.
fn files_of(given: &Path) -> Result<Vec<PathBuf>, Box<Diagnostic>> {
    if given.is_dir() {
        let unreadable = |error: std::io::Error| {
            Box::new(Diagnostic::general(format!("cannot read {}: {error}", given.display())))
        };
        let entries = given.read_dir().map_err(unreadable)?;
        let paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
        let mut files = paths.map_err(unreadable)?;
        let endings = ["conf", "cfg", "toml"].map(Some);
        files.retain(|file| {
            file.is_file() && endings.contains(&file.extension().and_then(|end| end.to_str()))
        });
        files.sort();
        if files.is_empty() {
            let text = format!("{} holds no configuration", given.display());
            let error = Diagnostic::general(text).help("its files end in .conf, .cfg or .toml");
            return Err(Box::new(error));
        }
        return Ok(files);
    }
    if given.exists() {
        return Ok(vec![given.to_owned()]);
    }
    Ok(given.to_string_lossy().split(',').map(PathBuf::from).collect())
}

/// Loads and compares what two nodes read.
/// `id` is one for both nodes, or two with a comma between them.
pub(super) fn compared(given: [&Path; 2], id: Option<&str>, reading: Reading) -> Pair {
    let ids = match id.and_then(|id| id.split_once(',')) {
        Some((a, b)) => [Some(a), Some(b)],
        None => [id; 2],
    };
    let mut map = SourceMap::default();
    let mut diagnostics = Vec::new();
    let mut unreadable = false;
    let files = given.map(|given| {
        files_of(given).unwrap_or_else(|error| {
            unreadable = true;
            diagnostics.push(*error);
            Vec::new()
        })
    });
    let mut read = |files: &[PathBuf], id: Option<&str>| {
        if files.is_empty() {
            return None;
        }
        let sources = FileSystem { config_id: id.map(str::to_owned), own: false };
        match load_beside(std::mem::take(&mut map), &sources, files, reading) {
            Ok(mut loaded) => {
                map = std::mem::take(&mut loaded.map);
                Some(loaded)
            }
            Err(failed) => {
                map = failed.map;
                unreadable |= failed.unreadable;
                diagnostics.extend(failed.diagnostics);
                None
            }
        }
    };
    let ([files_a, files_b], [id_a, id_b]) = (files, ids);
    let (a, b) = (read(&files_a, id_a), read(&files_b, id_b));
    let names = names(a.as_ref(), b.as_ref(), ids);
    let warnings = [&a, &b].map(|node| node.as_ref().map_or(0, |loaded| loaded.warnings.len()));
    let (mut routers, mut listeners) = (None, 0);
    if let (Some(a), Some(b)) = (&a, &b) {
        let [first, second] = &names;
        let found = compare(
            Node { name: first, config: &a.config, raw: &a.raw },
            Node { name: second, config: &b.config, raw: &b.raw },
        );
        diagnostics.extend(found.diagnostics);
        (routers, listeners) = (Some(found.routers), found.listeners);
    }
    let ([name_a, name_b], [warnings_a, warnings_b]) = (names, warnings);
    let [given_a, given_b] = given.map(Path::to_owned);
    let nodes = [
        Half { name: name_a, given: given_a, files: files_a, warnings: warnings_a },
        Half { name: name_b, given: given_b, files: files_b, warnings: warnings_b },
    ];
    Pair { nodes, diagnostics, routers, listeners, map, unreadable }
}

/// Their `router_id`s if those tell them apart, else what `@ID` lines call them.
fn names(a: Option<&Loaded>, b: Option<&Loaded>, ids: [Option<&str>; 2]) -> [String; 2] {
    let id = |node: Option<&Loaded>| node?.config.globals.router_id.clone();
    match (id(a), id(b), ids) {
        (Some(a), Some(b), _) if a != b => [printable(&a), printable(&b)],
        (_, _, [Some(a), Some(b)]) if a != b => [printable(a), printable(b)],
        _ => ["A".to_owned(), "B".to_owned()],
    }
}

impl Pair {
    pub(super) fn findings(&self) -> Findings {
        let count = |severity| self.diagnostics.iter().filter(|d| d.severity == severity).count();
        Findings {
            unreadable: self.unreadable,
            errors: count(Severity::Error),
            warnings: count(Severity::Warning)
                + self.nodes.iter().map(|n| n.warnings).sum::<usize>(),
        }
    }

    fn name(&self, side: Side) -> &str {
        let [a, b] = &self.nodes;
        match side {
            Side::A => &a.name,
            Side::B => &b.name,
        }
    }

    pub(super) fn text(&self, color: bool) -> String {
        let mut text = self.legend();
        for diagnostic in &self.diagnostics {
            text.push_str(&diagnostic.render(&self.map, color));
            text.push('\n');
        }
        let count = |severity| self.diagnostics.iter().filter(|d| d.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let found = format!("{}, {}", counted(errors, "error"), counted(warnings, "warning"));
        let Some(routers) = &self.routers else { return text + &found + "\n" };
        text.push_str(&self.tables(routers));
        let common = match (routers.len(), self.listeners) {
            (0, listeners @ 1..) => counted(listeners, "listener"),
            (routers, 0) => counted(routers, "virtual router"),
            (routers, listeners) => {
                format!(
                    "{} and {}",
                    counted(routers, "virtual router"),
                    counted(listeners, "listener")
                )
            }
        };
        let common = format!("{common} in common");
        text.push_str(&match (errors, warnings) {
            (0, 0) => format!("ok: {common}\n"),
            (0, _) => format!("usable: {common}, {}\n", counted(warnings, "warning")),
            _ => format!("{found}: {common}\n"),
        });
        text
    }

    /// Which file is which node.
    fn legend(&self) -> String {
        let width = self.nodes.iter().map(|node| node.name.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for node in &self.nodes {
            let files: Vec<_> = node.files.iter().map(|file| file.display().to_string()).collect();
            let file = printable(&files.join(" "));
            let own = match node.warnings {
                0 => String::new(),
                n => format!("  ({} of its own: vipd check {file})", counted(n, "warning")),
            };
            text.push_str(&format!("{:width$}  {file}{own}\n", node.name));
        }
        text + "\n"
    }

    /// Who serves when; routers that behave alike share a table.
    fn tables(&self, routers: &[Pairing]) -> String {
        let mut groups: Vec<(&Pairing, Vec<&Pairing>)> = Vec::new();
        for router in routers.iter().filter(|router| !router.outcomes.is_empty()) {
            match groups.iter_mut().find(|(first, _)| first.behaves_as(router)) {
                Some((_, alike)) => alike.push(router),
                None => groups.push((router, Vec::new())),
            }
        }
        let mut text = String::new();
        for (first, alike) in groups {
            let more = match alike.as_slice() {
                [] => String::new(),
                [one] => format!(" and {}", printable(one.name())),
                more => format!(" and {} like it", more.len()),
            };
            let [a, b] = first.priorities;
            text.push_str(&format!(
                "{}{more}: priority {a} on {}, {b} on {}\n",
                printable(first.name()),
                self.name(Side::A),
                self.name(Side::B),
            ));
            let rows: Vec<_> = first.outcomes.iter().map(|o| self.row(first, o)).collect();
            let width = rows.iter().map(|(event, _)| event.chars().count()).max().unwrap_or(0);
            for (event, outcome) in rows {
                text.push_str(&format!("  {event:width$}  {outcome}\n"));
            }
            text.push('\n');
        }
        text
    }

    fn row(&self, router: &Pairing, outcome: &Outcome) -> (String, String) {
        let Outcome { event, serving, after } = outcome;
        let name = |side: &Side| self.name(*side);
        let happens = match event {
            Event::Rest => "at rest".to_owned(),
            Event::Dies(side) => {
                let [a, b] = &router.interfaces;
                let link = if *side == Side::A { a } else { b };
                format!("{} dies or loses {link}", name(side))
            }
            Event::LosesLink(side, link) => format!("{} loses {link}", name(side)),
            Event::Fails(side, check) => {
                format!("{} fails on {}", printable(check), name(side))
            }
            Event::Stops(side) => format!("{} is stopped", name(side)),
            Event::Returns(side) => format!("{} comes back", name(side)),
            Event::Split => "they cannot hear each other".to_owned(),
        };
        let then = match (serving, after, event) {
            (Serving::Both, _, _) => "both serve".to_owned(),
            (Serving::One(side), None, Event::Rest) => format!("{} serves", name(side)),
            (Serving::One(side), None, _) => format!("{} goes on", name(side)),
            (Serving::One(side), Some(after), _) => {
                format!("{} takes over {}", name(side), span(*after))
            }
            (Serving::Incumbent(first), _, _) => {
                let together = first.map_or_else(
                    || ", the higher address if both start together".to_owned(),
                    |side| format!(", {} if both start together", self.name(side)),
                );
                format!("whoever serves goes on{together}")
            }
        };
        (happens, then)
    }

    /// The form for programs: fields are added, never repurposed.
    pub(super) fn json(&self) -> String {
        let Findings { errors, warnings, .. } = self.findings();
        let node = |half: &Half| JsonNode {
            name: half.name.clone(),
            file: half.given.display().to_string(),
            files: half.files.iter().map(|file| file.display().to_string()).collect(),
            warnings: half.warnings,
        };
        let json = Json {
            usable: errors == 0,
            errors,
            warnings,
            nodes: self.nodes.iter().map(node).collect(),
            diagnostics: self.diagnostics.iter().map(|d| d.report(&self.map)).collect(),
            routers: self.routers.iter().flatten().map(|r| self.json_router(r)).collect(),
        };
        serde_json::to_string_pretty(&json).map_or_else(|e| format!("{e}\n"), |text| text + "\n")
    }

    fn json_router<'p>(&'p self, router: &'p Pairing) -> JsonRouter<'p> {
        JsonRouter {
            names: &router.names,
            vrid: router.vrid.get(),
            version: router.version,
            family: router.family.to_string().to_lowercase(),
            priorities: router.priorities,
            outcomes: router.outcomes.iter().map(|outcome| self.json_outcome(outcome)).collect(),
        }
    }

    fn json_outcome<'p>(&'p self, outcome: &'p Outcome) -> JsonOutcome<'p> {
        let (event, node) = match &outcome.event {
            Event::Rest => ("rest", None),
            Event::Dies(side) => ("dies", Some(*side)),
            Event::LosesLink(side, _) => ("loses_link", Some(*side)),
            Event::Fails(side, _) => ("fails", Some(*side)),
            Event::Stops(side) => ("stops", Some(*side)),
            Event::Returns(side) => ("returns", Some(*side)),
            Event::Split => ("split", None),
        };
        let link = match &outcome.event {
            Event::LosesLink(_, link) => Some(link.as_str()),
            _ => None,
        };
        let tracker = match &outcome.event {
            Event::Fails(_, check) => Some(check.as_str()),
            _ => None,
        };
        let serving = match outcome.serving {
            Serving::One(side) => vec![self.name(side)],
            Serving::Both => vec![self.name(Side::A), self.name(Side::B)],
            Serving::Incumbent(_) => Vec::new(),
        };
        let after_ms = outcome.after.map(|range| range.map(|length| length.as_millis()));
        let node = node.map(|side| self.name(side));
        JsonOutcome { event, node, link, tracker, serving, after_ms }
    }
}

/// A range of time as people say it: `2.6 to 3.6 s`.
fn span([least, most]: [Duration; 2]) -> String {
    if most.is_zero() {
        return "at once".to_owned();
    }
    let (least, most) = (rough(least), rough(most));
    if least == most {
        return format!("after {most}");
    }
    let unit = most.rsplit(' ').next().unwrap_or_default();
    let least = least.strip_suffix(unit).map_or(least.as_str(), str::trim_end);
    format!("after {least} to {most}")
}

#[derive(JsonSchema, Serialize)]
pub(super) struct Json<'p> {
    /// Whether the two nodes make a pair that works.
    usable: bool,
    errors: usize,
    warnings: usize,
    nodes: Vec<JsonNode>,
    diagnostics: Vec<Report>,
    routers: Vec<JsonRouter<'p>>,
}

#[derive(JsonSchema, Serialize)]
struct JsonNode {
    name: String,
    /// What the command line names.
    file: String,
    /// Every file that was read.
    files: Vec<String>,
    /// Warnings about the files by themselves; not among the diagnostics.
    warnings: usize,
}

#[derive(JsonSchema, Serialize)]
struct JsonRouter<'p> {
    names: &'p [String; 2],
    vrid: u8,
    version: u8,
    family: String,
    priorities: [u8; 2],
    outcomes: Vec<JsonOutcome<'p>>,
}

#[derive(JsonSchema, Serialize)]
struct JsonOutcome<'p> {
    /// `rest`, `dies`, `loses_link`, `fails`, `stops`, `returns` or `split`.
    event: &'static str,
    /// To which node; absent if to none in particular.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'p str>,
    /// What fails, by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    tracker: Option<&'p str>,
    /// Who serves then; nobody in particular if it depends on the past.
    serving: Vec<&'p str>,
    /// Milliseconds until then, least and most; absent if nobody takes over.
    #[serde(skip_serializing_if = "Option::is_none")]
    after_ms: Option<[u128; 2]>,
}
