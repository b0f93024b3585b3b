//! keepalived as a peer: the daemon vipd has to get along with, in a host of the lab.

use std::process::Command;

use nix::sys::signal::Signal;

use super::error::{Error, Result};
use super::node::Node;
use super::process::Proc;

/// keepalived running in a host.
#[derive(Debug)]
pub struct Keepalived {
    process: Proc,
}

impl Keepalived {
    /// Starts keepalived with `config` as its configuration file. It logs everything (`-D`) to its
    /// output, and dumps into the node's directory.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] if there is none, [`Error::Kernel`] if it cannot be run.
    pub fn start(node: &Node, config: &str) -> Result<Keepalived> {
        let file = node.write_file("keepalived.conf", config)?;
        let directory = node.directory()?;
        let mut command = Command::new("keepalived");
        command
            .env("TMPDIR", &directory)
            .args(["--dont-fork", "--log-console", "--log-detail", "--vrrp"])
            .arg(format!("--use-file={}", file.display()))
            .arg(format!("--pid={}", directory.join("keepalived.pid").display()))
            .arg(format!("--vrrp_pid={}", directory.join("keepalived-vrrp.pid").display()));
        let process = node.spawn(command).map_err(|error| error.or_not_installed("keepalived"))?;
        Ok(Keepalived { process })
    }

    /// The main process; the one that speaks VRRP is its child.
    #[must_use]
    pub fn process(&self) -> &Proc {
        &self.process
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// Kills main process and child at once, as a power cut would: no resignation is sent.
    pub fn kill9(&self) {
        self.process.signal_group(Signal::SIGKILL);
    }

    /// Asks it to stop; it resigns first.
    pub fn stop(&self) {
        self.process.signal(Signal::SIGTERM);
    }
}

/// The version of the keepalived in the search path, such as `(2, 2, 7)`.
///
/// # Errors
/// [`Error::NotInstalled`] if there is none; [`Error::Program`] if it does not say.
pub fn version() -> Result<(u16, u16, u16)> {
    let output = Command::new("keepalived").arg("--version").output().map_err(|source| {
        Error::Kernel { place: "lab".into(), what: "run keepalived".into(), source }
            .or_not_installed("keepalived")
    })?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    parse_version(&text).ok_or_else(|| Error::Program {
        node: "lab".into(),
        program: "keepalived --version".into(),
        what: "printed no version".into(),
        output: text,
    })
}

/// From `Keepalived v2.2.7 (01/16,2022)`.
fn parse_version(text: &str) -> Option<(u16, u16, u16)> {
    let rest = text.split_once("Keepalived v")?.1;
    let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_in_what_keepalived_prints() {
        assert_eq!(parse_version("Keepalived v2.2.7 (01/16,2022)\n\nCopy"), Some((2, 2, 7)));
        assert_eq!(parse_version("Keepalived v1.3.5 (03/19,2017)"), Some((1, 3, 5)));
        assert_eq!(parse_version("command not found"), None);
    }
}
