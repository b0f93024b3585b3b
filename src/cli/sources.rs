//! [`Sources`] on the real file system.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::config::checks::PemFile;
use crate::config::sources::{ReadError, Sources, Text, first_label};
use crate::probe::tls;

/// A configuration file larger than this is something else.
const LARGEST: u64 = 16 << 20;

/// Files of this machine.
#[derive(Clone, Debug, Default)]
pub struct FileSystem {
    /// What `@ID` lines in keepalived.conf are compared with, if not the host name.
    pub config_id: Option<String>,
    /// Whether files that checks read must be there: the configuration is this machine's.
    pub own: bool,
}

impl Sources for FileSystem {
    fn read(&self, path: &Path) -> Result<Text, ReadError> {
        let failed = |reason: String| ReadError { path: path.to_owned(), reason };
        let metadata = fs::metadata(path).map_err(|error| failed(reason(&error)))?;
        if metadata.is_dir() {
            return Err(failed("it is a directory without a file *.cfg".into()));
        }
        // A device says nothing about its size: the limit counts what is read.
        let mut bytes = Vec::new();
        fs::File::open(path)
            .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
            .map_err(|error| failed(reason(&error)))?;
        if u64::try_from(bytes.len()).is_ok_and(|len| len > LARGEST) {
            return Err(failed(format!("it has more than {} MiB", LARGEST >> 20)));
        }
        let executable = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
        Ok(match String::from_utf8(bytes) {
            Ok(text) => Text { text, lossy: false, executable },
            Err(error) => Text {
                text: String::from_utf8_lossy(error.as_bytes()).into_owned(),
                lossy: true,
                executable,
            },
        })
    }

    fn glob(&self, dir: &Path, pattern: &str) -> Vec<PathBuf> {
        // As glob(3): a leading dot and a slash are matched by themselves only.
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let pattern = if Path::new(pattern).is_absolute() || dir.as_os_str().is_empty() {
            pattern.to_owned()
        } else {
            format!("{}/{pattern}", glob::Pattern::escape(&dir.display().to_string()))
        };
        let Ok(found) = glob::glob_with(&pattern, options) else { return Vec::new() };
        // A match that cannot be looked at is still a match: reading it tells why. A directory
        // between the files of `conf.d/*` is none.
        found
            .map(|path| path.unwrap_or_else(|error| error.path().to_owned()))
            .filter(|path| !path.is_dir())
            .collect()
    }

    fn directory_of_files(&self, path: &Path) -> Option<Vec<PathBuf>> {
        let entries = fs::read_dir(path).ok()?;
        let named = |path: &PathBuf| {
            let name = path.file_name().map(std::ffi::OsStr::as_encoded_bytes).unwrap_or_default();
            name.ends_with(b".cfg") && !name.starts_with(b".")
        };
        let entries = entries.flatten().map(|entry| entry.path());
        let mut files: Vec<PathBuf> =
            entries.filter(|path| named(path) && self.is_regular(path)).collect();
        // By bytes, whatever the locale.
        files.sort();
        Some(files)
    }

    fn is_regular(&self, path: &Path) -> bool {
        // What cannot be looked at is read, and reading it tells why.
        path.metadata().map_or(true, |metadata| metadata.is_file())
    }

    fn directory(&self, file: &Path) -> PathBuf {
        let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        directory.canonicalize().unwrap_or_else(|_| directory.to_owned())
    }

    fn host_name(&self) -> Option<String> {
        nix::unistd::gethostname().ok()?.into_string().ok()
    }

    fn config_id(&self) -> Option<String> {
        self.config_id.clone().or_else(|| first_label(&self.host_name()?))
    }

    fn usable(&self, file: &PemFile<'_>) -> Result<(), String> {
        if self.own { tls::usable(file) } else { Ok(()) }
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// The operating system's words without the number.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
