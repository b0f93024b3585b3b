//! Files to a checked configuration: each in its dialect to what it says ([`Raw`]), all of that checked. Pure:
//! whatever touches the file system is behind [`Sources`].
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod emit;
mod pem;
mod recognise;
mod replaced;

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::config::check::check;
use crate::config::diag::{Diagnostic, FileId, Severity, SourceMap, Span};
use crate::config::explain::Statement;
use crate::config::lenient::{check_rest, pass_over};
use crate::config::raw::Raw;
use crate::config::sources::Loading;
use crate::config::{Config, Dropped, Format, Reading, Sources, vipd_toml};
use crate::import::{haproxy, keepalived};
use crate::text::counted;
use recognise::recognise;

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The same as written; its routers are those of `config`, one by one.
    pub raw: Raw,
    /// What the user should know nevertheless.
    pub warnings: Vec<Diagnostic>,
    /// Settings that have no effect here, in the order of the files.
    pub notes: Vec<Diagnostic>,
    /// What is there without effect and does no harm, in the order of the files.
    pub remarks: Vec<Diagnostic>,
    /// What a lenient reading did without.
    pub dropped: Dropped,
    /// What becomes of each statement of a keepalived.conf, if that was asked for.
    pub statements: Vec<Statement>,
    /// The files, for rendering.
    pub map: SourceMap,
}

/// A configuration that cannot.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", self.summary())]
pub struct Failed {
    /// Errors and warnings, in the order of the files; at least one error.
    pub diagnostics: Vec<Diagnostic>,
    /// The files, for rendering.
    pub map: SourceMap,
    /// What becomes of each statement of a keepalived.conf, if that was asked for.
    pub statements: Vec<Statement>,
    /// Whether a file could not be read (exit status 66 instead of 78).
    pub unreadable: bool,
}

impl Failed {
    /// How many errors, as a headline.
    #[must_use]
    pub fn summary(&self) -> String {
        let errors = self.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
        format!("the configuration has {}", counted(errors, "error"))
    }

    /// All diagnostics as text, without colour, each ending in a newline.
    #[must_use]
    pub fn render(&self) -> String {
        self.diagnostics.iter().map(|d| d.render(&self.map, false)).collect()
    }
}

/// Remarks after which nobody reads on.
const MOST_SHOWN: usize = 1000;

/// Reads `files`, each in its own dialect unless `format` says otherwise, as one configuration.
///
/// # Errors
/// [`Failed`] with everything that is wrong in all of them.
pub fn load(
    sources: &dyn Sources,
    files: &[PathBuf],
    format: Option<Format>,
) -> Result<Loaded, Failed> {
    load_as(sources, files, Reading { format, ..Reading::default() })
}

/// The same with every choice there is.
///
/// # Errors
/// As [`load`].
pub fn load_as(
    sources: &dyn Sources,
    files: &[PathBuf],
    reading: Reading,
) -> Result<Loaded, Failed> {
    load_beside(SourceMap::default(), sources, files, reading)
}

/// The same with a map that has other files already, so that messages can point into all of them.
///
/// # Errors
/// As [`load`].
pub fn load_beside(
    map: SourceMap,
    sources: &dyn Sources,
    files: &[PathBuf],
    reading: Reading,
) -> Result<Loaded, Failed> {
    let others = map.files().count();
    let mut state = Loading { sources, map, out: Vec::new(), unreadable: false };
    let mut raw = Raw::default();
    let mut importer = keepalived::Importer::new(sources.config_id());
    let mut proxies = haproxy::Importer::default();
    let mut first_ids = Vec::new();
    let mut beside_haproxy_cfg = false;
    let files = files.iter().flat_map(|path| match sources.directory_of_files(path) {
        Some(found) if !found.is_empty() => found,
        // Reading it tells why not.
        Some(_) | None => vec![path.clone()],
    });
    for path in files {
        let path = &path;
        let Some((file, text)) = state.open(path, None) else { continue };
        first_ids.push(file);
        match reading.format.or_else(|| recognise(&text.text)) {
            Some(Format::Toml) => vipd_toml::lower(file, &text, &mut raw, &mut state.out),
            Some(Format::Keepalived) => importer.file(&mut state, file, path, &text),
            Some(Format::Haproxy) => {
                beside_haproxy_cfg = true;
                proxies.file(&mut state, file, &text);
            }
            None => state.out.push(unknown_format(file, &text.text)),
        }
    }
    let mut statements = importer.finish(&mut state, reading, &mut raw);
    statements.extend(proxies.finish(&mut state, reading.explain, &mut raw));
    replaced::read(&mut raw, beside_haproxy_cfg, &mut statements, &mut state.out);
    // In the order of the command line: what a file includes is numbered right after it.
    let place = |span: Span| first_ids.partition_point(|first| *first <= span.file);
    raw.routers.sort_by_key(|router| place(router.name.span));
    raw.clusters.sort_by_key(|cluster| place(cluster.name.span));
    raw.listeners.sort_by_key(|listener| place(listener.name.span));
    finish(state, others, reading.lenient, raw, statements)
}

fn finish(
    state: Loading<'_>,
    others: usize,
    lenient: bool,
    mut raw: Raw,
    statements: Vec<Statement>,
) -> Result<Loaded, Failed> {
    let Loading { sources, map, mut out, unreadable } = state;
    pem::check(&raw, sources, &mut out);
    let config = if lenient { check_rest(&mut raw, &mut out) } else { check(&raw, &mut out) };
    // In the order of the files; what has no place comes first. A global setting that is wrong for
    // every instance is wrong once, and so is a line that a loop repeats.
    out.sort_by_key(|d| d.span.map(|span| (span.file, span.start, span.end)));
    let dropped =
        if lenient { pass_over(&mut out, &raw.sections, &map) } else { Dropped::default() };
    let mut said = BTreeSet::new();
    out.retain(|d| said.insert((d.span, d.message.clone())));
    let remarks = out.extract_if(.., |d| d.severity == Severity::Remark).collect();
    let notes: Vec<_> = out.extract_if(.., |d| d.severity == Severity::Note).collect();
    let mut failed = out.iter().any(|d| d.severity == Severity::Error);
    if let Some(rest) = out.len().checked_sub(MOST_SHOWN).filter(|rest| *rest > 0) {
        out.truncate(MOST_SHOWN);
        let are = if rest == 1 { "is" } else { "are" };
        let message = format!("{} {are} not shown", counted(rest, "more remark"));
        let general = Diagnostic::general(message).help("see to those before it first");
        let severity = if failed { Severity::Error } else { Severity::Warning };
        out.push(Diagnostic { severity, ..general });
    }
    if raw.routers.is_empty() && raw.listeners.is_empty() && !failed {
        let nothing = if dropped.routers.is_empty() {
            nothing_to_do(&map, others)
        } else {
            Diagnostic::general("nothing to do: nothing of it can be run")
        };
        out.insert(0, nothing);
        failed = true;
    }
    match config {
        Some(config) if !failed => {
            Ok(Loaded { config, raw, warnings: out, notes, remarks, dropped, statements, map })
        }
        _ => Err(Failed { diagnostics: out, statements, map, unreadable }),
    }
}

fn nothing_to_do(map: &SourceMap, others: usize) -> Diagnostic {
    let names: Vec<&str> = map.files().skip(others).map(|file| file.name.as_str()).collect();
    if names.is_empty() {
        return Diagnostic::general("no configuration file is given");
    }
    let text = format!("nothing to do: no virtual router and no listener in {}", names.join(", "));
    Diagnostic::general(text)
        .help("keepalived.conf: add a `vrrp_instance NAME { … }` block")
        .help("vipd.toml: add a `[vrrp.NAME]` or a `[listener.NAME]` table")
        .help("haproxy.cfg: add a `listen NAME` section")
}

fn unknown_format(file: FileId, text: &str) -> Diagnostic {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let start = text.find(first).unwrap_or_default();
    let span = Span::new(file, start..start + first.len());
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Diagnostic::warning(Span::new(file, 0..0), "this file sets nothing");
    }
    Diagnostic::error(span, "neither vipd.toml, keepalived.conf nor haproxy.cfg")
        .help("say which it is: `--format toml`, `--format keepalived` or `--format haproxy`")
}
