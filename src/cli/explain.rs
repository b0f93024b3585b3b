//! What `vipd check --explain` prints: what becomes of every statement, and every setting in force
//! that no statement says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use annotate_snippets::renderer::{AnsiColor, Effects};
use schemars::JsonSchema;
use serde::Serialize;

use super::fold::fold_under;
use crate::config::diag::{SourceMap, Span, nearest, printable, quoted};
use crate::config::explain::{
    Block, Setting, Statement, globals, objects, others, router as settings_of,
};
use crate::import::coverage::CoverageRow;
use crate::import::{haproxy, keepalived};
use crate::load::Loaded;

/// A statement wider than this has its explanation on the next line.
const WIDEST: usize = 44;

/// Whose a setting is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Owner<'a> {
    Daemon,
    Router(&'a str),
    /// As `listener write`.
    Block(String),
}

/// A setting in force.
struct InForce<'a> {
    owner: Owner<'a>,
    setting: Setting,
}

impl InForce<'_> {
    fn of(loaded: &Loaded) -> Vec<InForce<'_>> {
        let mut all = InForce::of_daemon_and_routers(loaded);
        all.extend(blocks(loaded).into_iter().flat_map(|Block { title, settings }| {
            let owner = match title.as_str() {
                "global" => Owner::Daemon,
                _ => Owner::Block(title),
            };
            settings.into_iter().map(move |setting| InForce { owner: owner.clone(), setting })
        }));
        all
    }

    fn of_daemon_and_routers(loaded: &Loaded) -> Vec<InForce<'_>> {
        let Loaded { config, raw, .. } = loaded;
        let daemon = globals(&config.globals, &raw.globals).into_iter();
        let daemon = daemon.map(|setting| InForce { owner: Owner::Daemon, setting });
        let routers = config.routers.iter().zip(&raw.routers).flat_map(|(router, own)| {
            let owner = Owner::Router(router.name.as_str());
            // The header of the block says the name already.
            let settings = settings_of(router, own, &raw.groups).into_iter();
            let settings = settings.filter(|s| s.name != "name");
            settings.map(move |setting| InForce { owner: owner.clone(), setting })
        });
        daemon.chain(routers).collect()
    }
}

/// Everything but the settings of the daemon and of the routers that have a place of their own.
fn blocks(loaded: &Loaded) -> Vec<Block> {
    let own = InForce::of_daemon_and_routers(loaded);
    let mut known: Vec<Span> = own.iter().filter_map(|own| own.setting.origin).collect();
    let mut blocks = objects(&loaded.config, &loaded.raw);
    known.extend(blocks.iter().flat_map(|block| &block.settings).filter_map(|s| s.origin));
    for block in others(&loaded.raw, &known, &loaded.map) {
        match blocks.iter_mut().find(|known| known.title == block.title) {
            Some(known) => known.settings.extend(block.settings),
            None => blocks.push(block),
        }
    }
    blocks
}

/// Whether a setting that names a place of the statement is from it: what a loop repeats is all in one
/// place.
fn is_from(setting: &Setting, statement: &Statement) -> bool {
    let address = |text: &str| {
        let word = text.split(['/', ' ']).next().unwrap_or_default();
        word.parse::<IpAddr>().ok()
    };
    !matches!(setting.name.as_str(), "addresses" | "excluded")
        || address(&setting.value) == address(&statement.text)
}

/// What there is to explain.
pub(super) struct Explained<'a> {
    statements: &'a [Statement],
    in_force: Vec<InForce<'a>>,
    /// The settings by the place they were written at.
    made_by: BTreeMap<Span, Vec<usize>>,
    /// All routers there are.
    routers: Vec<&'a str>,
    map: &'a SourceMap,
}

impl<'a> Explained<'a> {
    pub(super) fn new(
        statements: &'a [Statement],
        usable: Option<&'a Loaded>,
        map: &'a SourceMap,
    ) -> Explained<'a> {
        let routers = usable.iter().flat_map(|l| &l.config.routers).map(|r| r.name.as_str());
        let in_force = usable.map(InForce::of).unwrap_or_default();
        let mut made_by: BTreeMap<Span, Vec<usize>> = BTreeMap::new();
        for (at, InForce { setting, .. }) in in_force.iter().enumerate() {
            if let Some(origin) = setting.origin {
                made_by.entry(origin).or_default().push(at);
            }
        }
        Explained { statements, in_force, made_by, routers: routers.collect(), map }
    }

    /// The statements and what becomes of each, file by file; folded to `width` columns if there is a
    /// limit. Then the settings in force that no statement says.
    pub(super) fn text(&self, width: Option<usize>, color: bool) -> String {
        self.statements_text(width, color) + &self.settings_text()
    }

    fn statements_text(&self, width: Option<usize>, color: bool) -> String {
        let indented = |s: &Statement| format!("{:1$}{2}", "", 2 * s.depth, s.text);
        let columns = |text: &str| text.chars().count();
        let line = |s: &Statement| self.map.position(s.span.file, s.span.start).map(|at| at.line);
        let gutter =
            self.statements.iter().filter_map(line).max().unwrap_or(0).to_string().len() + 2;
        let widths = self.statements.iter().map(|s| columns(&indented(s)));
        let text = widths.filter(|n| *n <= WIDEST).max().unwrap_or(0);
        let status = self.statements.iter().map(|s| columns(s.status)).max().unwrap_or(0);
        let mut out = String::new();
        let mut file = None;
        let mut told = BTreeSet::new();
        for statement in self.statements {
            if file != Some(statement.span.file) {
                file = Some(statement.span.file);
                let name = self.map.file(statement.span.file).map_or("", |file| &file.name);
                out.push_str(&format!("{}\n", printable(name)));
            }
            let number = line(statement).map(|n| n.to_string()).unwrap_or_default();
            let mut row = format!("{number:>gutter$}  {}", indented(statement));
            let effect = self.effect(statement, &mut told);
            let before = gutter + 2 + text;
            if columns(&row) > before && !(statement.status.is_empty() && effect.is_empty()) {
                out.push_str(&row);
                out.push('\n');
                row.clear();
            }
            let what = statement.status;
            let row = format!("{row:before$}  {what:status$}  {effect}");
            let row = match width {
                Some(width) => fold_under(row.trim_end(), before + status + 4, width),
                None => row.trim_end().to_owned(),
            };
            out.push_str(&if color { painted(row, before + 2, what) } else { row });
            out.push('\n');
        }
        if !out.is_empty() {
            out.push('\n');
        }
        out
    }

    /// The settings a statement makes; without any, what the coverage table says. An honoured keyword
    /// is described once: the second time it is known.
    fn effect(&self, statement: &'a Statement, told: &mut BTreeSet<&'a str>) -> String {
        let mut settings: Vec<(&Setting, Vec<&str>)> = Vec::new();
        let places: BTreeSet<Span> = statement.places.iter().copied().collect();
        let made = places.iter().filter_map(|place| self.made_by.get(place)).flatten();
        let made = made.filter_map(|at| self.in_force.get(*at));
        for InForce { owner, setting } in made.filter(|made| is_from(&made.setting, statement)) {
            let router = match owner {
                Owner::Daemon => None,
                Owner::Router(name) => Some(*name),
                // What becomes of it is said in the words of the statement.
                Owner::Block(_) => continue,
            };
            match settings.iter_mut().find(|(known, _)| *known == setting) {
                Some((_, routers)) => routers.extend(router),
                None => settings.push((setting, router.into_iter().collect())),
            }
        }
        let text = |(setting, routers): &(&Setting, Vec<&str>)| {
            let Setting { name, value, .. } = setting;
            if statement.block == "global_defs" && (1..self.routers.len()).contains(&routers.len())
            {
                return Some(format!("{name} {value} ({})", routers.join(", ")));
            }
            // What is taken as it stands needs no repetition.
            let (_, given) = statement.text.split_once(' ').unwrap_or_default();
            let as_written = *value == given || *value == statement.text;
            (settings.len() > 1 || !as_written).then(|| format!("{name} {value}"))
        };
        if !settings.is_empty() {
            return settings.iter().filter_map(text).collect::<Vec<_>>().join(", ");
        }
        if statement.status == "yes" && !told.insert(&statement.why) {
            return String::new();
        }
        statement.why.clone()
    }

    /// One line per setting: name, value, routers, origin; what was written first.
    fn settings_text(&self) -> String {
        let mut rows: Vec<(&Setting, Vec<&Owner<'_>>)> = Vec::new();
        let told: BTreeSet<Span> =
            self.statements.iter().flat_map(|s| &s.places).copied().collect();
        for InForce { owner, setting } in &self.in_force {
            if setting.origin.is_some_and(|origin| told.contains(&origin)) {
                continue;
            }
            match rows.iter_mut().find(|(known, _)| *known == setting) {
                Some((_, owners)) => owners.push(owner),
                None => rows.push((setting, vec![owner])),
            }
        }
        // Defaults that differ from router to router stand together.
        let mut names: Vec<&str> = Vec::new();
        for (setting, _) in &rows {
            if !names.contains(&setting.name.as_str()) {
                names.push(&setting.name);
            }
        }
        let rank = |setting: &Setting| names.iter().position(|name| *name == setting.name);
        rows.sort_by_key(|(setting, _)| match setting.origin {
            Some(origin) => (0, Some((origin.file, origin.start)), None),
            None => (1, None, rank(setting)),
        });
        let cells = rows.iter().map(|(setting, owners)| {
            let routers = owners.iter().filter(|owner| matches!(owner, Owner::Router(_))).count();
            let all_routers = routers == self.routers.len() && routers > 1;
            let mut named: Vec<String> = Vec::new();
            for owner in owners {
                match owner {
                    Owner::Daemon => named.push("the daemon".to_owned()),
                    Owner::Router(_) if all_routers => {
                        if !named.iter().any(|name| name == "all routers") {
                            named.push("all routers".to_owned());
                        }
                    }
                    Owner::Router(name) => named.push((*name).to_owned()),
                    Owner::Block(title) => named.push(title.clone()),
                }
            }
            let origin = setting.origin.map_or_else(|| "default".to_owned(), |o| self.map.place(o));
            [setting.name.clone(), setting.value.clone(), origin, named.join(", ")]
        });
        let cells: Vec<_> = cells.collect();
        if cells.is_empty() {
            return String::new();
        }
        let heading = ["SETTING", "VALUE", "FROM", "OF"].map(str::to_owned);
        aligned(&[vec![heading], cells].concat()) + "\n"
    }
}

/// The columns under each other; a value that is wider than most does not push the rest away.
fn aligned(rows: &[[String; 4]]) -> String {
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).filter(|n| *n <= WIDEST).max().unwrap_or(0)
    };
    let (name, value, origin) = (widest(0), widest(1), widest(2));
    let line = |[a, b, c, d]: &[String; 4]| {
        format!("{a:name$}  {b:value$}  {c:origin$}  {d}").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// The row with its status in colour, if the status is at this column still and is one to look at.
fn painted(row: String, column: usize, status: &str) -> String {
    let shade = match status {
        "refused" | "unknown" => AnsiColor::BrightRed,
        "not supported" => AnsiColor::Yellow,
        _ => return row,
    };
    let head: String = row.chars().take(column).collect();
    let Some(tail) = row.strip_prefix(&head).and_then(|rest| rest.strip_prefix(status)) else {
        return row;
    };
    let style = shade.on_default().effects(Effects::BOLD);
    format!("{head}{style}{status}{style:#}{tail}")
}

/// What vipd does with one keyword of keepalived.conf or haproxy.cfg, wherever it may stand.
///
/// # Errors
/// Nobody knows it: what to say instead.
pub(super) fn keyword(name: &str) -> Result<String, String> {
    let own = |row: &CoverageRow| row.keyword == name || row.shown() == name;
    let said = |row: CoverageRow, file: &str| {
        format!("{} in {}{file}: {}: {}\n", row.shown(), row.block, row.status, row.text)
    };
    let text: String = keepalived::coverage()
        .filter(own)
        .map(|row| said(row, ""))
        .chain(haproxy::coverage().filter(own).map(|row| said(row, " of haproxy.cfg")))
        .collect();
    if !text.is_empty() {
        return Ok(text);
    }
    let known: Vec<&str> =
        keepalived::coverage().chain(haproxy::coverage()).map(|row| row.keyword).collect();
    let nobody = format!("no keyword of keepalived.conf or haproxy.cfg is called {}", quoted(name));
    Err(match nearest(name, known) {
        Some(near) => format!("{nobody}; did you mean {near}?"),
        None => nobody,
    })
}

/// Where something was written.
#[derive(JsonSchema, Serialize)]
pub(super) struct JsonPlace {
    file: String,
    line: usize,
}

impl JsonPlace {
    fn of(span: Span, map: &SourceMap) -> Option<JsonPlace> {
        let file = map.file(span.file)?.name.clone();
        Some(JsonPlace { file, line: map.position(span.file, span.start)?.line })
    }
}

/// A statement for programs.
#[derive(JsonSchema, Serialize)]
pub(super) struct JsonStatement<'a> {
    place: Option<JsonPlace>,
    block: &'a str,
    depth: usize,
    statement: &'a str,
    /// As in the coverage tables of vipd-keepalived(5) and vipd-haproxy(5), or `unknown`; absent for an entry of a list.
    #[serde(skip_serializing_if = "str::is_empty")]
    status: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    explanation: &'a str,
}

impl JsonStatement<'_> {
    pub(super) fn of<'a>(statement: &'a Statement, map: &SourceMap) -> JsonStatement<'a> {
        let Statement { span, block, depth, text, status, why, .. } = statement;
        let place = JsonPlace::of(*span, map);
        JsonStatement { place, block, depth: *depth, statement: text, status, explanation: why }
    }
}

/// A setting for programs.
#[derive(JsonSchema, Serialize)]
pub(super) struct JsonSetting {
    setting: String,
    value: String,
    /// Absent for a default.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<JsonPlace>,
}

impl JsonSetting {
    pub(super) fn of(setting: Setting, map: &SourceMap) -> JsonSetting {
        let Setting { name, value, origin } = setting;
        JsonSetting { setting: name, value, place: origin.and_then(|o| JsonPlace::of(o, map)) }
    }
}

/// The settings of one table of vipd.toml, for programs.
#[derive(JsonSchema, Serialize)]
pub(super) struct JsonBlock {
    /// As `listener write`, `track script chk`, `mail`.
    name: String,
    settings: Vec<JsonSetting>,
}

impl JsonBlock {
    /// Everything that is not shown with the daemon or a router.
    pub(super) fn all(loaded: &Loaded) -> Vec<JsonBlock> {
        let json = |Block { title, settings }: Block| {
            let settings =
                settings.into_iter().map(|setting| JsonSetting::of(setting, &loaded.map));
            JsonBlock { name: title, settings: settings.collect() }
        };
        blocks(loaded).into_iter().map(json).collect()
    }
}
