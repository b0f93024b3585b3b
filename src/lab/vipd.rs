//! vipd itself in a host of the lab.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::error::{Error, Result};
use super::node::Node;
use super::process::Proc;

/// How long the status of a daemon may take.
const STATUS_WITHIN: Duration = Duration::from_secs(5);

/// A vipd running in a host.
#[derive(Debug)]
pub struct Vipd {
    binary: PathBuf,
    run_dir: PathBuf,
    config: PathBuf,
    process: Proc,
}

impl Vipd {
    /// Starts `binary run` with `config` written to a file called `file_name`, whose ending says
    /// which language it is in. Its temporary directory is the node's.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the file cannot be written or the program cannot be run.
    pub fn start(node: &Node, binary: &Path, file_name: &str, config: &str) -> Result<Vipd> {
        Vipd::start_with(node, binary, &[(file_name, config)])
    }

    /// The same with several files, each by its name, which make one configuration. The first is
    /// what [`Vipd::reload`] replaces.
    ///
    /// # Errors
    /// As of [`Vipd::start`].
    pub fn start_with(node: &Node, binary: &Path, files: &[(&str, &str)]) -> Result<Vipd> {
        let write = |(name, text): &(&str, &str)| node.write_file(name, text);
        let files = files.iter().map(write).collect::<Result<Vec<_>>>()?;
        let directory = node.directory()?;
        let run_dir = directory.join("run");
        std::fs::create_dir_all(&run_dir).map_err(|source| Error::Kernel {
            place: node.name().to_owned(),
            what: format!("make {}", run_dir.display()),
            source,
        })?;
        let mut command = Command::new(binary);
        command.env("TMPDIR", directory).arg("run").arg("--run-dir").arg(&run_dir);
        for file in &files {
            command.arg("--config").arg(file);
        }
        let process = node.spawn(command)?;
        let config = files.into_iter().next().unwrap_or_default();
        Ok(Vipd { binary: binary.to_owned(), run_dir, config, process })
    }

    /// The daemon's process.
    #[must_use]
    pub fn process(&self) -> &Proc {
        &self.process
    }

    /// The directory of its socket.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// Replaces the configuration file and asks it to read it.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the file cannot be written.
    pub fn reload(&self, config: &str) -> Result<()> {
        std::fs::write(&self.config, config).map_err(|source| Error::Kernel {
            place: self.process.node().name().to_owned(),
            what: format!("write {}", self.config.display()),
            source,
        })?;
        self.process.signal(Signal::SIGHUP);
        Ok(())
    }

    /// What `vipd status --json` says.
    ///
    /// # Errors
    /// [`Error::Program`] with its output if it fails or prints no JSON.
    pub fn status(&self) -> Result<Value> {
        let mut command = Command::new(&self.binary);
        command.args(["status", "--json", "--run-dir"]).arg(&self.run_dir);
        let node = self.process.node();
        let finished = node.output(command, STATUS_WITHIN)?;
        let failed = |what: String| Error::Program {
            node: node.name().to_owned(),
            program: "vipd status --json".into(),
            what,
            output: format!("{}{}", finished.stdout, finished.stderr),
        };
        if !finished.exit.success() {
            return Err(failed(format!("failed: {}", finished.exit)));
        }
        serde_json::from_str(&finished.stdout).map_err(|e| failed(format!("printed no JSON: {e}")))
    }

    /// Kills it as a power cut would: nothing is resigned or removed.
    pub fn kill9(&self) {
        self.process.kill9();
    }

    /// Asks it to stop.
    pub fn stop(&self) {
        self.process.signal(Signal::SIGTERM);
    }
}
