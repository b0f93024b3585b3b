//! The command line: what can be typed, and one file per subcommand.

pub mod check;
mod cleanup;
pub mod convert;
mod demo;
pub mod details;
pub mod exit;
mod explain;
mod fold;
mod generate;
mod host;
mod keepalived;
mod listeners;
mod operate;
mod pair;
pub mod reload;
pub mod render;
mod run;
mod run_dir;
pub mod schema;
pub mod sources;
mod status;
mod upgrade;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use sources::FileSystem;

use crate::api::SOCKET_NAME;
use crate::api::client::AskError;
use crate::api::protocol::Response;
use crate::config::sources::Sources as _;
use crate::probe::script::guard;
use crate::sys::signals;
use crate::text::plain;

/// Virtual IP failover (VRRP) and role-aware PostgreSQL proxy.
#[derive(Debug, Parser)]
#[command(name = "vipd", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon in the foreground
    Run(run::Args),
    /// Check configuration files without touching the running system
    Check(check::CheckArgs),
    /// Print the vipd.toml that means the same as other files
    Convert(convert::ConvertArgs),
    /// Show what a running daemon does and why
    Status(status::Args),
    /// Hand over and stay out of elections until `vipd resume`
    Drain(operate::DrainArgs),
    /// Take part in elections again after `vipd drain`
    Resume(operate::Args),
    /// Hand over to another node once
    Handover(operate::Args),
    /// Have the daemon read its configuration again, and wait for the result
    Reload(reload::Args),
    /// Continue as another binary without moving an address
    Upgrade(upgrade::Args),
    /// Remove the addresses a dead daemon left on this host
    Cleanup(cleanup::Args),
    /// Watch two load balancers fail over, and what their client notices
    #[command(long_about = demo::ABOUT)]
    Demo(demo::Args),
    /// Write the manual page, shell completions or JSON schemas to standard output
    #[command(hide = true)]
    Generate(generate::Args),
    /// End the scripts of a daemon that is gone; started by it
    #[command(hide = true)]
    Guard,
}

/// Parse the command line and do what it says.
#[must_use]
pub fn main() -> ExitCode {
    // What is sent to a daemon in its first moment waits until it can handle it.
    if std::env::args_os().nth(1).is_some_and(|command| command == "run" || command == "guard")
        && let Err(error) = signals::hold()
    {
        complain(&format!("cannot hold back signals: {error}"));
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return exit::code(match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => exit::OK,
                _ => exit::USAGE,
            });
        }
    };
    exit::code(match cli.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => return check::check(&args, &mut io::stdout()),
        Command::Convert(args) => convert::convert(&args, &mut io::stdout(), &mut io::stderr()),
        Command::Status(args) => status::run(&args),
        Command::Drain(args) => operate::drain(&args),
        Command::Resume(args) => operate::resume(&args),
        Command::Handover(args) => operate::handover(&args),
        Command::Reload(args) => reload::run(&args),
        Command::Upgrade(args) => upgrade::run(args),
        Command::Cleanup(args) => cleanup::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Guard => {
            guard::serve(io::stdin().lock());
            exit::OK
        }
    })
}

/// Write to standard output. A reader that has seen enough (`vipd status | head`) is no error.
fn print(text: &str) -> u8 {
    write(text, &mut io::stdout().lock())
}

fn write(text: &str, out: &mut dyn Write) -> u8 {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => exit::OK,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit::OK,
        Err(error) => {
            complain(&format!("cannot write to standard output: {error}"));
            exit::IO_ERR
        }
    }
}

/// Write a complaint to standard error; there is nowhere to complain if that fails.
fn complain(text: &str) {
    // It may be the words of another daemon.
    let _ = writeln!(io::stderr(), "vipd: {}", plain(text));
}

/// Say why the daemon gave no answer.
fn unavailable(error: &AskError) -> u8 {
    let mut text = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        text += &format!(": {source}");
    }
    if let AskError::NoSocket { run_dir } = error {
        // One per network namespace or instance: see `run::run_dir_of`.
        for name in ["*", "*/*"] {
            let pattern = format!("{name}/{SOCKET_NAME}");
            for socket in FileSystem::default().glob(run_dir, &pattern) {
                let dir = socket.parent().unwrap_or(run_dir);
                text += &format!("\nvipd: another one has --run-dir {}", dir.display());
            }
        }
    }
    complain(&text);
    match error {
        AskError::Denied { .. } | AskError::Forbidden(_) => exit::NO_PERM,
        _ => exit::UNAVAILABLE,
    }
}

/// An answer to another question: a daemon of another version.
fn strange(answer: &Response) -> u8 {
    let text = serde_json::to_string(answer).unwrap_or_default();
    let start: String = text.chars().take(80).collect();
    complain(&format!("the daemon gave an answer that makes no sense here: {start}"));
    exit::UNAVAILABLE
}

fn no_router(name: &str, routers: &[String]) -> u8 {
    if routers.is_empty() {
        complain("there is no virtual router here, only listeners: `vipd status` shows them");
    } else {
        let names = routers.join(", ");
        complain(&format!("no virtual router is called {name:?}; there are: {names}"));
    }
    exit::NO_INPUT
}
