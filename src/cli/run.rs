//! `vipd run`: load the configuration, then be the daemon.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::check::{self, CheckArgs};
use super::sources::FileSystem;
use super::{complain, exit, keepalived, print, run_dir, upgrade};
use crate::config::diag::{Diagnostic, without_effect};
use crate::config::{Config, Format, Process, Reading};
use crate::daemon::{self, Options, Reread, StartError, Warning};
use crate::load::{Failed, Loaded, load_as};
use crate::log::{Log, LogFormat};
use crate::status::text::missing;

/// How long the log may take to write that a thread panicked.
const LAST_LINE: Duration = Duration::from_millis(300);

/// What can be said to `vipd run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file: vipd.toml, keepalived.conf or haproxy.cfg; give it more than once to combine several
    #[arg(short, long, required_unless_present = "signum", value_name = "FILE")]
    #[arg(short_alias = 'f', alias = "use-file")]
    config: Vec<PathBuf>,
    /// Language of the files, if it cannot be told by their content: toml, keepalived or haproxy
    #[arg(long)]
    format: Option<Format>,
    /// Which node it is to the `@ID` lines of a keepalived.conf [default: the host name]
    #[arg(short = 'i', long, value_name = "ID")]
    config_id: Option<String>,
    /// Directory of the control socket and the pid file [default: /run/vipd, or
    /// $XDG_RUNTIME_DIR/vipd for a user who may not write there, with the names of the configuration's
    /// network namespace and instance below it]
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// How log lines look on standard error
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
    /// Leave the scheduling of the threads as it is
    #[arg(long)]
    no_realtime: bool,
    /// Leave out what cannot be used, as keepalived does, instead of refusing to start
    #[arg(long)]
    lenient: bool,
    #[command(flatten)]
    keepalived: keepalived::Options,
}

pub(super) fn run(args: Args) -> u8 {
    if let Some(report) = &args.keepalived.config_test {
        return test(&args, report);
    }
    if let Some(number) = args.keepalived.signum {
        return print(&format!("{number}\n"));
    }
    let format = args.log_format;
    die_with_any_thread(format);
    let log = Log::start(format);
    let loaded = match args.load() {
        Ok(loaded) => loaded,
        Err(failed) => return refuse(&failed, format, log),
    };
    if let Err(why) = daemon::names::resolve(&loaded.config, &Config::default()) {
        match format {
            LogFormat::Text => drop(writeln!(io::stderr(), "{why}")),
            LogFormat::Json => tracing::error!("{why}"),
        }
        if !args.lenient {
            return exit::CONFIG;
        }
    }
    let warnings = warnings(&loaded);
    for Warning { line, text } in &warnings {
        match format {
            LogFormat::Text => drop(io::stderr().write_all(text.as_bytes())),
            LogFormat::Json => tracing::warn!(text, "{line}"),
        }
    }
    if let Some(missing) = missing(&loaded.dropped.settings, &loaded.dropped.left_out()) {
        tracing::warn!("{missing}");
    }
    for answered in loaded.config.trackers.iter().filter_map(|tracker| tracker.answered()) {
        tracing::info!("{answered}");
    }
    let args = Arc::new(args);
    let options = Options {
        files: args.config.iter().map(|file| file.display().to_string()).collect(),
        reload: Arc::new({
            let args = Arc::clone(&args);
            move || reload(&args)
        }),
        verify: Arc::new({
            let args = Arc::clone(&args);
            move |binary| {
                upgrade::verify(binary, &args.config, args.reading(), args.config_id.as_deref())
            }
        }),
        // Known now: a package manager may replace the file while we run.
        executable: std::env::current_exe().ok(),
        run_dir: args.run_dir.clone().unwrap_or_else(|| run_dir_of(&loaded.config.globals.process)),
        pid_files: args.keepalived.pid.clone(),
        config: loaded.config,
        dropped: loaded.dropped,
        warned: warnings.into_iter().map(|warning| warning.line).collect(),
        host_name: nix::unistd::gethostname()
            .map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned()),
    };
    let outcome = daemon::run(options, &log);
    match outcome {
        Ok(()) => exit::OK,
        Err(error) => {
            let status = exit_status(&error);
            last_words(&format!("{:#}", anyhow::Error::new(error)), format, log);
            status
        }
    }
}

/// Why it ends, on standard error, after everything that was logged.
fn last_words(text: &str, format: LogFormat, log: Log) {
    match format {
        LogFormat::Text => {
            drop(log);
            complain(text);
        }
        LogFormat::Json => {
            tracing::error!("{text}");
            drop(log);
        }
    }
}

impl Args {
    fn reading(&self) -> Reading {
        let (lenient, vrrp_only) = (self.lenient, self.keepalived.vrrp);
        Reading { format: self.format, lenient, vrrp_only, explain: false }
    }

    /// Read the files; what the command line says goes before.
    fn load(&self) -> Result<Loaded, Failed> {
        let sources = FileSystem { config_id: self.config_id.clone(), own: true };
        let mut loaded = load_as(&sources, &self.config, self.reading())?;
        let process = &mut loaded.config.globals.process;
        process.realtime &= !self.no_realtime;
        let keepalived::Options { namespace, umask, .. } = &self.keepalived;
        process.net_namespace = namespace.clone().or(process.net_namespace.take());
        process.umask = umask.or(process.umask);
        Ok(loaded)
    }
}

/// Daemons with different names do not get into each other's way.
fn run_dir_of(process: &Process) -> PathBuf {
    let names = process.net_namespace.iter().chain(&process.instance);
    names.fold(run_dir::own(), |path, name| path.join(name))
}

/// keepalived's `-t`: check and report, do not run.
fn test(args: &Args, report: &Path) -> u8 {
    let check = CheckArgs {
        files: args.config.clone(),
        format: args.format,
        config_id: args.config_id.clone(),
        lenient: args.lenient,
        vrrp: args.keepalived.vrrp,
        own: true,
        ..CheckArgs::default()
    };
    if report == Path::new("-") {
        return check::report(&check, &mut io::stderr());
    }
    match File::create(report) {
        Ok(mut file) => check::report(&check, &mut file),
        Err(error) => {
            complain(&format!("cannot create {}: {error}", report.display()));
            exit::CANT_CREATE
        }
    }
}

fn exit_status(error: &StartError) -> u8 {
    match error {
        StartError::Permission { .. } => exit::NO_PERM,
        StartError::Busy { .. }
        | StartError::Taken { .. }
        | StartError::Held(_)
        | StartError::Create { .. }
        | StartError::RunDir { .. } => exit::CANT_CREATE,
        StartError::Kernel { source, .. } | StartError::Namespace { source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            exit::NO_PERM
        }
        StartError::Kernel { .. } | StartError::Namespace { .. } | StartError::Interfaces(_) => {
            exit::OS_ERR
        }
    }
}

fn refuse(failed: &Failed, format: LogFormat, log: Log) -> u8 {
    match format {
        LogFormat::Text => drop(io::stderr().write_all(failed.render().as_bytes())),
        LogFormat::Json => tracing::error!(text = failed.render(), "the configuration is refused"),
    }
    last_words(&failed.summary(), format, log);
    if failed.unreadable { exit::NO_INPUT } else { exit::CONFIG }
}

/// On a thread of its own.
fn reload(args: &Args) -> Result<Reread, String> {
    match args.load() {
        Ok(loaded) => {
            let warnings = warnings(&loaded);
            let Loaded { config, dropped, .. } = loaded;
            Ok(Reread { config, dropped, warnings })
        }
        Err(failed) => Err(failed.render().trim_end().to_owned()),
    }
}

fn warnings(loaded: &Loaded) -> Vec<Warning> {
    let map = &loaded.map;
    let warning = |diagnostic: &Diagnostic| Warning {
        line: diagnostic.line(map),
        text: diagnostic.render(map, false),
    };
    let note = |note: String| {
        let line = format!("note: {note}");
        Warning { text: format!("{line}\n"), line }
    };
    let notes = without_effect(&loaded.notes, map).into_iter().map(note);
    loaded.warnings.iter().map(warning).chain(notes).collect()
}

/// A daemon with one dead thread would keep its addresses like a ghost. Release builds abort on a
/// panic anyway; the others are made to.
fn die_with_any_thread(format: LogFormat) {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        match format {
            LogFormat::Text => report(panic),
            LogFormat::Json => {
                tracing::error!("{panic}");
                // The line is written by a thread of its own.
                std::thread::sleep(LAST_LINE);
            }
        }
        std::process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_daemon_has_a_run_directory_of_its_own() {
        let dir = |namespace: Option<&str>, instance: Option<&str>| {
            let [net_namespace, instance] = [namespace, instance].map(|n| n.map(str::to_owned));
            run_dir_of(&Process { net_namespace, instance, ..Process::default() })
        };
        assert_eq!(dir(None, None), Path::new("/run/vipd"));
        assert_eq!(dir(Some("blue"), None), Path::new("/run/vipd/blue"));
        assert_eq!(dir(None, Some("edge")), Path::new("/run/vipd/edge"));
        assert_eq!(dir(Some("blue"), Some("edge")), Path::new("/run/vipd/blue/edge"));
    }
}
