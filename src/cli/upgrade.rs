//! `vipd upgrade`: the daemon continues as another binary, in the same process.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{complain, exit, print, run_dir, strange, unavailable};
use crate::api::client::{AskError, ask, ask_within};
use crate::api::protocol::{Request, Response};
use crate::config::Reading;
use crate::status::Snapshot;

/// More than the daemon allows itself.
const PATIENCE: Duration = Duration::from_secs(25);

/// How long the new binary may take to answer on the socket.
const RETURN_WITHIN: Duration = Duration::from_secs(5);

/// How long it may take to state its version or to check the configuration.
const PROOF_WITHIN: Duration = Duration::from_secs(5);

/// Between two looks at something that takes its time.
const PAUSE: Duration = Duration::from_millis(5);

/// What can be said to `vipd upgrade`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The new binary; by default the file the daemon was started from
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Run directory of the daemon [default: /run/vipd]
    #[arg(long, value_name = "DIR", default_value_os_t = run_dir::of_daemon())]
    #[arg(hide_default_value = true)]
    run_dir: PathBuf,
}

pub(super) fn run(args: Args) -> u8 {
    let binary = match args.binary.map(|path| (path.canonicalize(), path)) {
        None => None,
        Some((Ok(absolute), _)) => Some(absolute),
        Some((Err(error), path)) => {
            complain(&format!("cannot find {}: {error}", path.display()));
            return exit::NO_INPUT;
        }
    };
    let before = match ask(&args.run_dir, &Request::Status) {
        Ok(Response::Status(snapshot)) => snapshot.daemon,
        Ok(other) => return strange(&other),
        Err(error) => return unavailable(&error),
    };
    let asked = Instant::now();
    match ask_within(&args.run_dir, &Request::Upgrade { binary }, PATIENCE) {
        Err(AskError::Gone { .. }) => {}
        Err(AskError::Refusal(why)) => {
            complain(&format!("{why}\nvipd {} runs on", before.version));
            return exit::SOFTWARE;
        }
        Err(error) => return unavailable(&error),
        Ok(other) => return strange(&other),
    }
    match returned(&args.run_dir, asked) {
        Ok(snapshot) => {
            let daemon = &snapshot.daemon;
            let same = if daemon.pid == before.pid { "still" } else { "now" };
            print(&format!(
                "vipd {} -> {}, {same} pid {}; {} of {} virtual routers were master and stayed it\n",
                before.version,
                daemon.version,
                daemon.pid,
                daemon.adopted,
                snapshot.routers.len()
            ))
        }
        Err(error) => {
            complain("the new binary was executed, but does not answer; see its log");
            unavailable(&error)
        }
    }
}

/// The first status of a daemon younger than the request.
fn returned(run_dir: &Path, asked: Instant) -> Result<Box<Snapshot>, AskError> {
    let deadline = Instant::now() + RETURN_WITHIN;
    loop {
        let answer = ask(run_dir, &Request::Status);
        let error = match answer {
            Ok(Response::Status(snapshot))
                if Duration::from_millis(snapshot.daemon.uptime_ms) <= asked.elapsed() =>
            {
                return Ok(snapshot);
            }
            Ok(_) => AskError::Refusal("the old binary still answers".to_owned()),
            Err(error) => error,
        };
        if Instant::now() >= deadline {
            return Err(error);
        }
        thread::sleep(PAUSE);
    }
}

/// Whether a daemon with these files could go on as `binary`; its version if so.
pub(super) fn verify(
    binary: &Path,
    files: &[PathBuf],
    reading: Reading,
    config_id: Option<&str>,
) -> Result<String, String> {
    let mut command = Command::new(binary);
    command.arg("--version");
    let said = prove(command)?;
    let Some(version) = said.trim().strip_prefix("vipd ") else {
        return Err(format!("{} says {:?}, which is no vipd", binary.display(), said.trim()));
    };
    let mut command = Command::new(binary);
    command.arg("check");
    if let Some(format) = reading.format {
        command.args(["--format", format.name()]);
    }
    if reading.lenient {
        command.arg("--lenient");
    }
    if reading.vrrp_only {
        command.arg("--vrrp");
    }
    if let Some(id) = config_id {
        // Written as one word: an older binary, which has no such option, says so.
        command.arg(format!("--config-id={id}"));
    }
    command.arg("--").args(files);
    prove(command)?;
    Ok(version.to_owned())
}

/// What a command that must succeed prints; the error holds what it said.
fn prove(mut command: Command) -> Result<String, String> {
    let what = format!("{command:?}").replace('"', "");
    let failed = |error: std::io::Error| format!("{what}: {error}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    // Read aside, so that a binary that talks much cannot block on a full pipe.
    let drain = |pipe: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut text = Vec::new();
            let _ = pipe.map(|pipe| pipe.take(1 << 20).read_to_end(&mut text));
            String::from_utf8_lossy(&text).into_owned()
        })
    };
    let stdout = drain(child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>));
    let stderr = drain(child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>));
    let deadline = Instant::now() + PROOF_WITHIN;
    let status = loop {
        match child.try_wait().map_err(failed)? {
            Some(status) => break status,
            None if Instant::now() >= deadline => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{what}: no end after {} s", PROOF_WITHIN.as_secs()));
            }
            None => thread::sleep(PAUSE),
        }
    };
    let stdout = stdout.join().unwrap_or_default();
    if status.success() {
        return Ok(stdout);
    }
    let stderr = stderr.join().unwrap_or_default();
    let code =
        status.code().map_or_else(|| status.to_string(), |code| format!("exit status {code}"));
    Err(format!("{what}: {code}\n{}{}", stdout, stderr.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_vipd_is_refused() {
        for (binary, why) in [
            ("/nonexistent/vipd", "No such file"),
            ("/bin/false", "exit status 1"),
            ("/bin/true", "no vipd"),
        ] {
            let error = verify(Path::new(binary), &[], Reading::default(), None).unwrap_err();
            assert!(error.contains(why) && error.contains(binary), "{error}");
        }
    }
}
