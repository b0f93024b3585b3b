//! What files are read from, and how.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::checks::PemFile;
use super::diag::{Diagnostic, FileId, SourceMap, Span};

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

/// A dialect of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// vipd's own.
    Toml,
    /// keepalived.conf
    Keepalived,
    /// haproxy.cfg
    Haproxy,
}

impl Format {
    /// The word for it on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Format::Toml => "toml",
            Format::Keepalived => "keepalived",
            Format::Haproxy => "haproxy",
        }
    }
}

impl FromStr for Format {
    type Err = String;
    fn from_str(text: &str) -> Result<Format, String> {
        match text {
            "toml" => Ok(Format::Toml),
            "keepalived" => Ok(Format::Keepalived),
            "haproxy" => Ok(Format::Haproxy),
            _ => Err(format!("unknown format {text:?}: toml, keepalived or haproxy")),
        }
    }
}

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
