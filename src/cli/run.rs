//! `vipd run`: load the configuration, then be the daemon.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use super::sources::FileSystem;
use super::{RUN_DIR, complain, exit, upgrade};
use crate::config::{Failed, Format, Loaded, load};
use crate::daemon::{self, Options, Reread, StartError};
use crate::log::{Log, LogFormat};

/// What can be said to `vipd run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file: vipd.toml or keepalived.conf; give it more than once to combine several
    #[arg(short, long, required = true, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Language of the files, if it cannot be told by their content: toml or keepalived
    #[arg(long)]
    format: Option<Format>,
    /// Which node it is to the `@ID` lines of a keepalived.conf [default: the host name]
    #[arg(short = 'i', long, value_name = "ID")]
    config_id: Option<String>,
    /// Directory of the control socket and the pid file
    #[arg(long, value_name = "DIR", default_value = RUN_DIR)]
    run_dir: PathBuf,
    /// How log lines look on standard error
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
    /// Leave the scheduling of the threads as it is
    #[arg(long)]
    no_realtime: bool,
}

pub(super) fn run(args: Args) -> u8 {
    die_with_any_thread();
    let sources = FileSystem { config_id: args.config_id };
    let loaded = match load(&sources, &args.config, args.format) {
        Ok(loaded) => loaded,
        Err(failed) => return refuse(&failed),
    };
    let mut stderr = io::stderr();
    for warning in warnings(&loaded) {
        let _ = stderr.write_all(warning.as_bytes());
    }

    let log = Log::start(args.log_format);
    let files = args.config.iter().map(|file| file.display().to_string()).collect();
    let options = Options {
        config: loaded.config,
        files,
        reload: Arc::new({
            let (sources, files) = (sources.clone(), args.config.clone());
            move || reload(&sources, &files, args.format)
        }),
        verify: Arc::new(move |binary| {
            upgrade::verify(binary, &args.config, args.format, sources.config_id.as_deref())
        }),
        // Known now: a package manager may replace the file while we run.
        executable: std::env::current_exe().ok(),
        realtime: !args.no_realtime,
        run_dir: args.run_dir,
        host_name: nix::unistd::gethostname()
            .map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned()),
    };
    let outcome = daemon::run(options, &log);
    // Flushed before anything else is written to standard error.
    drop(log);
    match outcome {
        Ok(()) => exit::OK,
        Err(error) => {
            let status = exit_status(&error);
            complain(&format!("{:#}", anyhow::Error::new(error)));
            status
        }
    }
}

fn exit_status(error: &StartError) -> u8 {
    match error {
        StartError::Permission { .. } => exit::NO_PERM,
        StartError::Busy { .. } | StartError::Create { .. } => exit::CANT_CREATE,
        StartError::Kernel { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            exit::NO_PERM
        }
        StartError::Kernel { .. } | StartError::Interfaces(_) => exit::OS_ERR,
    }
}

fn refuse(failed: &Failed) -> u8 {
    let _ = io::stderr().write_all(failed.render().as_bytes());
    complain(&failed.summary());
    if failed.unreadable { exit::NO_INPUT } else { exit::CONFIG }
}

/// On the reload thread: the log is the place for what there is to say.
fn reload(
    sources: &FileSystem,
    files: &[PathBuf],
    format: Option<Format>,
) -> Result<Reread, String> {
    match load(sources, files, format) {
        Ok(loaded) => {
            let warnings: Vec<String> = warnings(&loaded).collect();
            for warning in &warnings {
                tracing::warn!("{}", warning.trim_end());
            }
            Ok(Reread { config: loaded.config, warnings: warnings.concat() })
        }
        Err(failed) => Err(failed.render().trim_end().to_owned()),
    }
}

fn warnings(loaded: &Loaded) -> impl Iterator<Item = String> {
    loaded.warnings.iter().map(|warning| warning.render(&loaded.map, false))
}

/// A daemon with one dead thread would keep its addresses like a ghost. Release builds abort on a
/// panic anyway; the others are made to.
fn die_with_any_thread() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}
