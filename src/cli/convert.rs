//! `vipd convert`: the vipd.toml that means the same as other files. Offline, as `vipd check`.

use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;

use super::check::no_color;
use super::exit;
use super::sources::FileSystem;
use crate::config::Format;
use crate::config::diag::{Diagnostic, SourceMap, without_effect};
use crate::config::sources::Reading;
use crate::load::emit::{Inexpressible, emit};
use crate::load::load_as;

/// Print the vipd.toml that means the same as the given files.
///
/// Comments say what reads differently and what was left out; whatever `vipd check` says about the
/// files goes to standard error. Exit status: 0 converted, 66 a file cannot be read, 78 errors: then
/// only what `vipd run --lenient` would run is printed, or nothing.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ConvertArgs {
    /// Configuration files; together they make one configuration
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The dialect of all files, if the content does not give it away
    #[arg(long, value_name = "toml|keepalived|haproxy")]
    pub format: Option<Format>,
    /// Which node it is to the `@ID` lines of a keepalived.conf [default: the host name]
    #[arg(short = 'i', long, value_name = "ID")]
    pub config_id: Option<String>,
    /// Pass over virtual servers, as `vipd run -P` does
    #[arg(short = 'P', long)]
    pub vrrp: bool,
}

/// Prints the converted text to `out` and everything else to `err`; the exit status.
pub fn convert(args: &ConvertArgs, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let color = std::io::stderr().is_terminal() && !no_color();
    let sources = FileSystem { config_id: args.config_id.clone(), own: false };
    let strict = Reading { format: args.format, vrrp_only: args.vrrp, ..Reading::default() };
    let (loaded, status) = match load_as(&sources, &args.files, strict) {
        Ok(loaded) => {
            say(&loaded.warnings, &loaded.map, color, err);
            for note in without_effect(&loaded.notes, &loaded.map) {
                let _ = writeln!(err, "note: {note}");
            }
            (loaded, exit::OK)
        }
        Err(failed) => {
            say(&failed.diagnostics, &failed.map, color, err);
            let lenient = Reading { lenient: true, ..strict };
            let rest = load_as(&sources, &args.files, lenient).ok();
            let Some(rest) = rest.filter(|_| !failed.unreadable) else {
                let _ = writeln!(err, "{}; nothing is converted", failed.summary());
                return if failed.unreadable { exit::NO_INPUT } else { exit::CONFIG };
            };
            let _ = writeln!(err, "{}; only what they leave is converted", failed.summary());
            (rest, exit::CONFIG)
        }
    };
    match emit(&loaded) {
        Ok(text) => super::write(&text, out).max(status),
        Err(error) => {
            let _ = writeln!(err, "error: {error}");
            match error {
                Inexpressible::Password { .. } => exit::CONFIG,
                Inexpressible::Differs(_) => exit::SOFTWARE,
            }
        }
    }
}

fn say(diagnostics: &[Diagnostic], map: &SourceMap, color: bool, err: &mut dyn Write) {
    for diagnostic in diagnostics {
        let _ = writeln!(err, "{}", diagnostic.render(map, color));
    }
}
