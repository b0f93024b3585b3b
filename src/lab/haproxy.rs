//! `HAProxy` as a rival: the proxy vipd has to do better than, in a host of the lab.

use std::process::Command;

use super::error::Result;
use super::node::Node;
use super::process::Proc;

/// `HAProxy` running in a host.
#[derive(Debug)]
pub struct Haproxy {
    process: Proc,
}

impl Haproxy {
    /// Starts it with `config` as its configuration file.
    ///
    /// # Errors
    /// [`Error::NotInstalled`](super::Error::NotInstalled) if there is none,
    /// [`Error::Kernel`](super::Error::Kernel) if it cannot be run.
    pub fn start(node: &Node, config: &str) -> Result<Haproxy> {
        let file = node.write_file("haproxy.cfg", config)?;
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(file);
        let process = node.spawn(command).map_err(|error| error.or_not_installed("haproxy"))?;
        Ok(Haproxy { process })
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> &Proc {
        &self.process
    }
}
