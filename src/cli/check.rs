//! `vipd check`: what is wrong with a configuration, or what it would do. Offline: no interface,
//! no socket and no running daemon is asked, but for what this host lacks (`--host`).

use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::exit::Findings;
use super::explain::{self, Explained, JsonBlock, JsonSetting, JsonStatement};
use super::host::ThisHost;
use super::listeners::{self, JsonListener, JsonPage};
use super::sources::FileSystem;
use super::{complain, exit, pair, write};
use crate::config::diag::{
    Diagnostic, Report, Severity, SourceMap, Span, printable, without_effect,
};
use crate::config::explain::{Setting, Statement, globals, router as settings_of};
use crate::config::host::missing as missing_here;
use crate::config::sources::Reading;
use crate::config::{Config, Format, Preempt, RouterConfig};
use crate::load::{Failed, Loaded, load_as};
use crate::status::text::missing;
use crate::sys::terminal_width;
use crate::text::{aligned, counted};
use crate::types::{AuthV2, Dialect};

/// Check configuration files without touching the running system.
///
/// The dialect (vipd.toml, keepalived.conf) is recognised by content; several files make one
/// configuration. Exit status: 0 usable, 1 warnings under --deny-warnings, 66 a file cannot be
/// read, 78 errors.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct CheckArgs {
    /// Configuration files; together they make one configuration
    #[arg(required_unless_present_any = ["pair", "explain"], value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Compare two nodes: do they hear each other, and who serves when. Each is a file, several with
    /// commas between them (keepalived.conf,haproxy.cfg), or a directory with the files
    #[arg(long, num_args = 2, value_names = ["NODE", "NODE"], conflicts_with = "files")]
    pub pair: Vec<PathBuf>,
    /// The dialect of all files, if the content does not give it away
    #[arg(long, value_name = "toml|keepalived|haproxy")]
    pub format: Option<Format>,
    /// Which node it is to the `@ID` lines of a keepalived.conf [default: the host name]; with
    /// --pair both nodes, as `ID,ID`
    #[arg(short = 'i', long, value_name = "ID")]
    pub config_id: Option<String>,
    /// Leave out what cannot be used, as `vipd run --lenient` does
    #[arg(long)]
    pub lenient: bool,
    /// Pass over virtual servers, as `vipd run -P` does
    #[arg(short = 'P', long)]
    pub vrrp: bool,
    /// Say what becomes of every statement, and every setting in force; with a keyword of
    /// keepalived.conf instead of files, what vipd does with that
    #[arg(long, value_name = "KEYWORD", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "")]
    pub explain: Option<String>,
    /// Say what this host lacks too: scripts that cannot be run, interfaces, users, groups, ports that
    /// are taken. For files below /etc root gets that without asking
    #[arg(long, conflicts_with = "pair")]
    pub host: bool,
    /// Exit with status 1 if there are warnings
    #[arg(long)]
    pub deny_warnings: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
    /// Whether files that checks read must be there, as on the machine that runs it
    #[arg(skip = true)]
    pub own: bool,
}

/// Checks the files and prints what was found to `out`, all of it in one run.
pub fn check(args: &CheckArgs, out: &mut dyn Write) -> ExitCode {
    let color = !args.json && std::io::stdout().is_terminal() && !no_color();
    exit::code(run(args, color, out))
}

/// The same without colour; returns the exit status.
pub(super) fn report(args: &CheckArgs, out: &mut dyn Write) -> u8 {
    run(args, false, out)
}

fn run(args: &CheckArgs, color: bool, out: &mut dyn Write) -> u8 {
    let &CheckArgs { format, lenient, vrrp: vrrp_only, .. } = args;
    match args.explain.as_deref() {
        Some(keyword) if !keyword.is_empty() => return about(keyword, args, out),
        _ => {}
    }
    let reading = Reading { format, lenient, vrrp_only, explain: args.explain.is_some() };
    let (findings, text) = match args.pair.as_slice() {
        [a, b] => {
            let pair = pair::compared([a, b], args.config_id.as_deref(), reading);
            (pair.findings(), if args.json { pair.json() } else { pair.text(color) })
        }
        _ => one(args, reading, color),
    };
    // A reader that went away has seen enough; the exit status still says what was found.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    findings.status(args.deny_warnings)
}

/// `--explain=KEYWORD`
fn about(keyword: &str, args: &CheckArgs, out: &mut dyn Write) -> u8 {
    if !args.files.is_empty() || !args.pair.is_empty() {
        complain("--explain=KEYWORD takes no files, and --explain explains them all");
        return exit::USAGE;
    }
    match explain::keyword(keyword) {
        Ok(text) => write(&text, out),
        Err(text) => {
            complain(&text);
            exit::NO_INPUT
        }
    }
}

fn one(args: &CheckArgs, reading: Reading, color: bool) -> (Findings, String) {
    let sources = FileSystem { config_id: args.config_id.clone(), own: args.own };
    let outcome = load_as(&sources, &args.files, reading);
    let here = nix::unistd::Uid::effective().is_root()
        && args.files.iter().all(|file| file.starts_with("/etc"));
    let outcome = if args.host || here { outcome.and_then(on_this_host) } else { outcome };
    let found = Found::of(&outcome, reading.explain);
    let text = if args.json { json(&found) } else { text(&found, color) };
    (
        Findings { unreadable: found.unreadable, errors: found.errors, warnings: found.warnings },
        text,
    )
}

/// The same with what this host lacks.
fn on_this_host(mut loaded: Loaded) -> Result<Loaded, Failed> {
    let mut found = missing_here(&loaded.config, &loaded.raw, &ThisHost);
    loaded.warnings.append(&mut found);
    loaded.warnings.sort_by_key(|d| d.span.map(|span| (span.file, span.start, span.end)));
    if loaded.warnings.iter().all(|d| d.severity != Severity::Error) {
        return Ok(loaded);
    }
    let Loaded { warnings: diagnostics, statements, map, .. } = loaded;
    Err(Failed { diagnostics, map, statements, unreadable: false })
}

/// What there is to say, whether the configuration can be used or not.
struct Found<'a> {
    /// The configuration, and with `--explain` where it comes from.
    usable: Option<&'a Loaded>,
    diagnostics: &'a [Diagnostic],
    statements: Option<&'a [Statement]>,
    map: &'a SourceMap,
    unreadable: bool,
    errors: usize,
    warnings: usize,
}

impl Found<'_> {
    fn of(outcome: &Result<Loaded, Failed>, explain: bool) -> Found<'_> {
        let (usable, diagnostics, statements, map, unreadable) = match outcome {
            Ok(loaded) => (Some(loaded), &loaded.warnings, &loaded.statements, &loaded.map, false),
            Err(Failed { diagnostics, statements, map, unreadable }) => {
                (None, diagnostics, statements, map, *unreadable)
            }
        };
        let count = |severity| diagnostics.iter().filter(|d| d.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let statements = explain.then_some(statements.as_slice());
        Found { usable, diagnostics, statements, map, unreadable, errors, warnings }
    }
}

/// Whether the user asked for no colour (<https://no-color.org>).
pub(super) fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

fn text(found: &Found<'_>, color: bool) -> String {
    let &Found { map, errors, warnings, .. } = found;
    let mut text = String::new();
    for diagnostic in found.diagnostics {
        text.push_str(&diagnostic.render(map, color));
        text.push('\n');
    }
    if let Some(statements) = found.statements {
        // Folded for a reader, one line each for a filter.
        let width = terminal_width().map(usize::from);
        text.push_str(&Explained::new(statements, found.usable, map).text(width, color));
    }
    let Some(loaded) = found.usable else {
        text.push_str(&format!("{}, {}\n", counted(errors, "error"), counted(warnings, "warning")));
        return text;
    };
    for note in without_effect(&loaded.notes, map) {
        text.push_str(&format!("note: {note}\n"));
    }
    match found.statements {
        Some(statements) => text.push_str(&reasons(&loaded.notes, statements, map)),
        None if loaded.notes.is_empty() => {}
        None => text.push_str("  = help: `vipd check --explain` says why\n\n"),
    }
    let Loaded { config, dropped, .. } = loaded;
    let routers = (!config.routers.is_empty()).then(|| table(config));
    let tables: Vec<String> = routers.into_iter().chain(listeners::tables(config)).collect();
    text.push_str(&tables.join(
        "
",
    ));
    for tracker in answered(found.usable) {
        text.push_str(&format!("note: {tracker}\n"));
    }
    let has_password = |r: &Arc<RouterConfig>| matches!(r.dialect, Dialect::V2(AuthV2::Pass(_)));
    if config.routers.iter().any(has_password) {
        text.push_str(
            "note: auth_pass travels in clear text; it guards against mistakes, not people\n",
        );
    }
    if let Some(missing) = missing(&dropped.settings, &dropped.left_out()) {
        text.push_str(&missing);
        text.push('\n');
    }
    let routers = counted(config.routers.len(), "virtual router");
    let listeners = counted(config.listeners.len(), "listener");
    let contents = match (config.routers.is_empty(), config.listeners.is_empty()) {
        (_, true) => routers,
        (true, false) => listeners,
        (false, false) => format!("{routers}, {listeners}"),
    };
    let summary = if warnings == 0 {
        format!("ok: {contents}\n")
    } else {
        format!("usable: {contents}, {}\n", counted(warnings, "warning"))
    };
    text.push_str(&summary);
    text
}

/// The checks of HAProxy that vipd's listeners answer.
fn answered(usable: Option<&Loaded>) -> Vec<String> {
    let trackers = usable.into_iter().flat_map(|loaded| &loaded.config.trackers);
    trackers.filter_map(|tracker| tracker.answered()).collect()
}

/// Why settings have no effect that a statement of their own does not explain.
fn reasons(notes: &[Diagnostic], statements: &[Statement], map: &SourceMap) -> String {
    let told =
        |span: &Span| statements.iter().any(|s| s.status == "no effect" && s.places.contains(span));
    let mut text = String::new();
    for note in notes {
        if let Some(span) = note.span.filter(|span| !told(span)) {
            text.push_str(&format!("note: {}: {}\n", map.place(span), printable(&note.message)));
        }
    }
    text
}

/// One aligned line per router, under a heading.
fn table(config: &Config) -> String {
    let heading =
        ["ROUTER", "INTERFACE", "VRID", "VERSION", "PRIORITY", "INTERVAL", "PREEMPT", "ADDRESSES"];
    let mut rows = vec![heading.map(str::to_owned)];
    rows.extend(config.routers.iter().map(|router| row(router)));
    aligned(&rows)
}

fn row(router: &RouterConfig) -> [String; 8] {
    let addresses: Vec<String> = router
        .addresses
        .iter()
        .map(|address| match (&address.iface, address.advertised) {
            (Some(dev), true) => format!("{} dev {dev}", address.cidr),
            (Some(dev), false) => format!("{} dev {dev} (excluded)", address.cidr),
            (None, true) => address.cidr.to_string(),
            (None, false) => format!("{} (excluded)", address.cidr),
        })
        .collect();
    [
        printable(&router.name),
        router.iface.to_string(),
        router.vrid.to_string(),
        router.dialect.version().to_string(),
        router.priority.to_string(),
        router.interval.to_string(),
        match router.preempt {
            Preempt::Never => "no".to_owned(),
            Preempt::After(delay) if delay.is_zero() => "yes".to_owned(),
            Preempt::After(delay) => format!("after {}", humantime::format_duration(delay)),
        },
        if addresses.is_empty() { "none".to_owned() } else { addresses.join(", ") },
    ]
}

/// The form for programs: fields are added, never repurposed.
#[derive(JsonSchema, Serialize)]
pub(super) struct Json<'a> {
    /// Whether the configuration can be used.
    usable: bool,
    errors: usize,
    warnings: usize,
    diagnostics: Vec<Report>,
    routers: Vec<JsonRouter<'a>>,
    listeners: Vec<JsonListener<'a>>,
    pages: Vec<JsonPage<'a>>,
    /// What `--lenient` did without.
    settings_dropped: &'a [String],
    routers_left_out: Vec<String>,
    /// Checks of HAProxy that vipd's listeners answer.
    answered_by_listeners: Vec<String>,
    /// What becomes of each statement of a keepalived.conf, under `--explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    statements: Option<Vec<JsonStatement<'a>>>,
    /// The daemon's settings in force, under `--explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<Vec<JsonSetting>>,
    /// Those of clusters, listeners, pages, trackers and every other table, under `--explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<Vec<JsonBlock>>,
}

#[derive(JsonSchema, Serialize)]
struct JsonRouter<'a> {
    name: &'a str,
    interface: &'a str,
    vrid: u8,
    version: u8,
    family: String,
    priority: u8,
    interval_ms: u64,
    /// Milliseconds; absent if preemption is off.
    preempt_delay_ms: Option<u128>,
    addresses: Vec<String>,
    excluded: Vec<String>,
    /// The settings in force, under `--explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<Vec<JsonSetting>>,
}

fn json(found: &Found<'_>) -> String {
    let map = found.map;
    let explained = |settings: Vec<Setting>| {
        let json = |setting| JsonSetting::of(setting, map);
        settings.into_iter().map(json).collect::<Vec<_>>()
    };
    let routers = found.usable.iter().flat_map(|loaded| {
        loaded.config.routers.iter().zip(&loaded.raw.routers).map(|(router, raw)| JsonRouter {
            settings: found
                .statements
                .map(|_| explained(settings_of(router, raw, &loaded.raw.groups))),
            ..json_router(router)
        })
    });
    let statements = found.statements.map(|statements| {
        statements.iter().map(|statement| JsonStatement::of(statement, map)).collect()
    });
    let daemon = found.usable.filter(|_| found.statements.is_some());
    let notes = found.usable.into_iter().flat_map(|loaded| &loaded.notes);
    let json = Json {
        usable: found.usable.is_some(),
        errors: found.errors,
        warnings: found.warnings,
        diagnostics: found.diagnostics.iter().chain(notes).map(|d| d.report(map)).collect(),
        routers: routers.collect(),
        listeners: found.usable.map_or_else(Vec::new, |loaded| listeners::json(&loaded.config)),
        pages: found.usable.map_or_else(Vec::new, |loaded| listeners::json_pages(&loaded.config)),
        settings_dropped: found.usable.map_or(&[], |loaded| &loaded.dropped.settings),
        routers_left_out: found.usable.map_or_else(Vec::new, |loaded| loaded.dropped.left_out()),
        answered_by_listeners: answered(found.usable),
        statements,
        settings: daemon.map(|l| explained(globals(&l.config.globals, &l.raw.globals))),
        blocks: daemon.map(JsonBlock::all),
    };
    serde_json::to_string_pretty(&json).map_or_else(|e| format!("{e}\n"), |text| text + "\n")
}

fn json_router(router: &RouterConfig) -> JsonRouter<'_> {
    let addresses = |advertised| {
        let some = router.addresses.iter().filter(move |a| a.advertised == advertised);
        some.map(|a| a.cidr.to_string()).collect()
    };
    JsonRouter {
        name: &router.name,
        interface: router.iface.as_str(),
        vrid: router.vrid.get(),
        version: router.dialect.version(),
        family: router.dialect.family().to_string().to_lowercase(),
        priority: router.priority.get(),
        interval_ms: u64::from(router.interval.get()) * 10,
        preempt_delay_ms: match router.preempt {
            Preempt::Never => None,
            Preempt::After(delay) => Some(delay.as_millis()),
        },
        addresses: addresses(true),
        excluded: addresses(false),
        settings: None,
    }
}
