//! Files to a checked configuration. Pure: whatever touches the file system is behind
//! [`Sources`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::check::check;
use super::checks::PemFile;
use super::diag::{Diagnostic, FileId, Severity, SourceMap, Span};
use super::explain::Statement;
use super::format::{Format, recognise};
use super::lenient::{Dropped, check_rest, pass_over};
use super::model::Config;
use super::pem;
use super::raw::Raw;
use super::replaced;
use super::vipd_toml;
use crate::import::{haproxy, keepalived};
use crate::text::counted;

/// Where files come from: the file system in `cli/`, a map in tests.
pub trait Sources {
    /// Reads a whole file.
    ///
    /// # Errors
    /// [`ReadError`] if it cannot be read.
    fn read(&self, path: &Path) -> Result<Text, ReadError>;

    /// The files that match `pattern`, a path relative to `dir` with `*`, `?` and `[...]`, in
    /// alphabetical order; none is not an error.
    fn glob(&self, dir: &Path, pattern: &str) -> Vec<PathBuf>;

    /// The configuration files of a directory, in the order HAProxy reads them; `None` if it is
    /// none.
    fn directory_of_files(&self, path: &Path) -> Option<Vec<PathBuf>> {
        let _ = path;
        None
    }

    /// Whether a file found by `glob` is one: reading a FIFO would wait for ever.
    fn is_regular(&self, path: &Path) -> bool {
        let _ = path;
        true
    }

    /// The directory of a file, as `${_PWD}` in keepalived.conf names it.
    fn directory(&self, file: &Path) -> PathBuf {
        file.parent().unwrap_or(Path::new("")).to_owned()
    }

    /// The node's host name.
    fn host_name(&self) -> Option<String>;

    /// Whether a file that TLS needs can be used.
    ///
    /// # Errors
    /// Why not.
    fn usable(&self, file: &PemFile<'_>) -> Result<(), String> {
        let _ = file;
        Ok(())
    }

    /// What `@ID` lines in keepalived.conf are compared with: the first label of the host name
    /// unless the user says otherwise.
    fn config_id(&self) -> Option<String> {
        first_label(&self.host_name()?)
    }

    /// A variable of the environment, for `${_ENV NAME}` in keepalived.conf.
    fn variable(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }
}

/// A host name without its domain.
#[must_use]
pub fn first_label(host: &str) -> Option<String> {
    host.split('.').next().filter(|label| !label.is_empty()).map(str::to_owned)
}

/// A file as read.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// The text; bytes that are not UTF-8 are U+FFFD.
    pub text: String,
    /// Whether some were not.
    pub lossy: bool,
    /// Whether any execute bit is set: keepalived skips such a file.
    pub executable: bool,
}

/// Why a file cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot read {}: {reason}", path.display())]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// The operating system's words.
    pub reason: String,
}

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

/// How files are read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// The dialect of all files, if their content does not give it away.
    pub format: Option<Format>,
    /// Leave out what cannot be used, as keepalived does, instead of using nothing.
    pub lenient: bool,
    /// Pass over what is about virtual servers: another program has them.
    pub vrrp_only: bool,
    /// Say what becomes of each statement.
    pub explain: bool,
}

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

/// What reading files shares: the files so far and everything found wrong.
pub(crate) struct Loading<'s> {
    pub(crate) sources: &'s dyn Sources,
    pub(crate) map: SourceMap,
    pub(crate) out: Vec<Diagnostic>,
    pub(crate) unreadable: bool,
}

impl Loading<'_> {
    /// Reads a file named on the command line or, at `by`, by an `include`.
    pub(crate) fn open(&mut self, path: &Path, by: Option<Span>) -> Option<(FileId, Text)> {
        match self.sources.read(path) {
            Ok(text) => {
                let file = self.map.add(path.display().to_string(), text.text.clone());
                Some((file, text))
            }
            Err(error) => {
                self.unreadable = true;
                self.out.push(match by {
                    Some(span) => Diagnostic::error(span, error.to_string()),
                    None => Diagnostic::general(error.to_string()),
                });
                None
            }
        }
    }
}
