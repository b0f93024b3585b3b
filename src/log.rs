//! The log: standard error, through a writer that never makes the daemon wait and counts what it
//! loses.
//!
//! One thread (`tracing-appender`) owns standard error; it ends, flushing, when [`Log`] is dropped.

use std::fmt::{self, Write};
use std::io;
use std::os::fd::AsFd;

use jiff::Zoned;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::text::plain;

/// Lines that wait for a slow terminal or a busy journal before one is lost.
const BACKLOG: usize = 8192;

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people; under systemd without the time, which the journal adds, and with a priority.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Keeps the log going; dropping it writes out what waits.
#[derive(Debug)]
pub struct Log {
    lost: ErrorCounter,
    _writer: WorkerGuard,
}

impl Log {
    /// Start logging. What is logged follows the environment variable `VIPD_LOG`, by default
    /// everything from "info" on.
    #[must_use]
    pub fn start(format: LogFormat) -> Log {
        let (writer, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(BACKLOG)
            .thread_name("log")
            .finish(io::stderr());
        let lost = writer.error_counter();
        // What libraries have to say is for whoever asks for it.
        let filter = match std::env::var("VIPD_LOG") {
            Ok(wanted) => targets(&wanted),
            Err(_) => Targets::new()
                .with_default(LevelFilter::ERROR)
                .with_target("vipd", LevelFilter::INFO),
        };
        let lines = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE);
        let lines = lines.with_writer(writer);
        match format {
            LogFormat::Text => {
                let text = Text { journal: stderr_is_the_journal() };
                lines.event_format(text).finish().with(filter).init();
            }
            LogFormat::Json => {
                let json = lines.json().flatten_event(true).with_target(false);
                json.finish().with(filter).init();
            }
        }
        Log { lost, _writer: guard }
    }

    /// How many lines were lost so far, as a function that can be asked from any thread.
    pub fn lost(&self) -> impl Fn() -> u64 + Send + Sync + use<> {
        let lost = self.lost.clone();
        move || u64::try_from(lost.dropped_lines()).unwrap_or(u64::MAX)
    }
}

/// A level, or levels of modules: `debug`, `warn,vipd=trace`. What is no such thing is said and left out.
fn targets(wanted: &str) -> Targets {
    let mut all = Targets::new().with_default(LevelFilter::INFO);
    for part in wanted.split(',').filter(|part| !part.is_empty()) {
        match part.parse::<Targets>() {
            Ok(one) => {
                if let Some(level) = one.default_level() {
                    all = all.with_default(level);
                }
                all = all.with_targets(one.iter());
            }
            Err(error) => eprintln!("VIPD_LOG: {part}: {error}"),
        }
    }
    all
}

/// Whether standard error is the journal's socket and not something a parent put in its place:
/// systemd.exec(5) gives its device and inode.
fn stderr_is_the_journal() -> bool {
    let Some(journal) = std::env::var_os("JOURNAL_STREAM") else { return false };
    nix::sys::stat::fstat(io::stderr().as_fd())
        .is_ok_and(|stat| *journal == *format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// `2026-11-21T03:12:44.123+01:00 WARN  (VI_1) text key=value`
struct Text {
    journal: bool,
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = *event.metadata().level();
        let lead = if self.journal {
            format!("<{}>", syslog_priority(level))
        } else {
            format!("{} {level:<5} ", Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%.3f%:z"))
        };
        let text = fields.text();
        // Each line is an entry of its own to the journal.
        for line in plain(&text).lines() {
            writeln!(out, "{lead}{line}")?;
        }
        Ok(())
    }
}

fn syslog_priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[derive(Default)]
struct Fields {
    router: String,
    message: String,
    others: String,
}

impl Fields {
    /// `(router) message key=value`, the form people grep for.
    fn text(&self) -> String {
        let Fields { router, message, others } = self;
        let name = format!("({router})");
        if router.is_empty() || message.starts_with(&name) {
            format!("{message}{others}")
        } else {
            format!("{name} {message}{others}")
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            "router" => self.router.push_str(value),
            // What the `log` crate's records carry, via tracing-log.
            name if name.starts_with("log.") => {}
            name => {
                let _ = write!(self.others, " {name}={value:?}");
            }
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "router" => write!(self.router, "{value:?}"),
            name if name.starts_with("log.") => Ok(()),
            name => write!(self.others, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_and_what_is_none_changes_nothing() {
        let enabled = |wanted: &str, target: &str| {
            let targets = targets(wanted);
            let levels = [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR];
            levels.into_iter().find(|level| targets.would_enable(target, level))
        };
        assert_eq!(enabled("debug", "vipd::log"), Some(Level::DEBUG));
        assert_eq!(enabled("warn,vipd=trace", "vipd::log"), Some(Level::TRACE));
        assert_eq!(enabled("warn,vipd=trace", "hyper"), Some(Level::WARN));
        assert_eq!(enabled("vipd=debug", "hyper"), Some(Level::INFO));
        assert_eq!(enabled("vipd=debug=debug,", "vipd::log"), Some(Level::INFO));
    }

    #[test]
    fn the_router_is_named_once() {
        let text = |router: &str, message: &str| {
            Fields { router: router.into(), message: message.into(), others: String::new() }.text()
        };
        assert_eq!(text("VI_1", "Entering MASTER STATE"), "(VI_1) Entering MASTER STATE");
        assert_eq!(text("VI_1", "(VI_1) Entering MASTER STATE"), "(VI_1) Entering MASTER STATE");
        assert_eq!(text("", "started"), "started");
    }
}
