//! A network in one process: hosts, switches and faults made of Linux namespaces.
//!
//! `vipd demo`, the fail-over benchmark and `tests/netns` share it. Every host is a network
//! namespace held by a thread; the switch is one more namespace with a bridge per LAN and a port
//! per host. Nothing has a name outside this process, nothing needs a program such as `ip`, and
//! dropping the last handle removes everything, processes included.
//!
//! ```no_run
//! use std::process::Command;
//! use vipd::lab::{Lab, Result};
//!
//! # fn main() -> Result<()> {
//! let lab = Lab::new()?;
//! let a = lab.node("lb-01")?;
//! let b = lab.node("lb-02")?;
//! a.link("eth0", &["10.0.0.2/24"])?;
//! b.link("eth0", &["10.0.0.3/24"])?;
//! let seen = a.capture("eth0")?;
//! let daemon = b.spawn(Command::new("keepalived"))?;
//! b.unplug()?; // b's eth0 stays up, but has no carrier
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

mod capture;
pub mod cluster;
pub mod deadline;
mod decode;
mod error;
pub mod fake_patroni;
pub mod haproxy;
pub mod keepalived;
mod namespace;
mod netlink;
mod node;
pub mod ping;
mod process;
pub mod raw;
mod stamp;
mod switch;
mod userns;
mod vipd;
pub mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use capture::{Capture, Frame};
pub use decode::{Arp, ChecksumOver, Decoded, Echo, Neighbour, Vrrp};
pub use error::{Error, Result};
pub use netlink::{Address, Link, NeighbourEntry};
pub use node::{Direction, LinkSpec, Node};
pub use process::{Exit, Finished, Proc};
pub use stamp::Stamp;
pub use switch::FdbEntry;

pub use self::vipd::Vipd;
use switch::Switch;

/// A switch and the hosts around it.
///
/// Handles are counted: a node, a process or a capture keeps what it needs alive, and the last one
/// dropped takes it down.
#[derive(Debug)]
pub struct Lab {
    switch: Arc<Switch>,
    files: Arc<tempfile::TempDir>,
    nodes: Mutex<u8>,
}

impl Lab {
    /// Makes an unprivileged process root of its own user namespace, where it may make networks.
    /// Does nothing for root. To be called first thing, while the process has one thread.
    ///
    /// # Errors
    /// [`Error::Forbidden`] naming the setting that forbids it and the remedy.
    pub fn enter_user_namespace_if_needed() -> Result<()> {
        userns::enter_if_needed()
    }

    /// A lab with one switch and no host yet.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without the right to make network namespaces; [`Error::Kernel`] if
    /// bridges are missing or the directory for files cannot be made.
    pub fn new() -> Result<Lab> {
        let files = tempfile::Builder::new().prefix("vipd-lab-").tempdir().map_err(|source| {
            Error::Kernel { place: "lab".into(), what: "make a temporary directory".into(), source }
        })?;
        Ok(Lab { switch: Arc::new(Switch::new()?), files: Arc::new(files), nodes: Mutex::new(0) })
    }

    /// A new host called `name`, which is also its host name. Its links get the MAC addresses
    /// 02:00:00:00:LL:NN: LL counts the host's links from 0, NN the lab's hosts from 1.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the kernel refuses the namespace.
    pub fn node(&self, name: &str) -> Result<Node> {
        let mut count = lock(&self.nodes);
        let number = count.checked_add(1).ok_or_else(|| Error::Kernel {
            place: "lab".into(),
            what: format!("add host {name}"),
            source: std::io::Error::other("255 hosts are the limit"),
        })?;
        let node = Node::new(name, number, Arc::clone(&self.switch), Arc::clone(&self.files))?;
        *count = number;
        Ok(node)
    }

    /// Splits every LAN: hosts of one group reach each other and nobody else. Hosts in no group
    /// stay together. Carrier stays up everywhere: only frames are lost.
    ///
    /// # Errors
    /// [`Error::Kernel`] if a port cannot be moved.
    pub fn partition(&self, groups: &[&[&Node]]) -> Result<()> {
        self.switch.heal()?;
        for (group, nodes) in (1..).zip(groups) {
            for node in *nodes {
                self.switch.move_node(node.name(), group)?;
            }
        }
        Ok(())
    }

    /// Cuts one host off from all others, carrier staying up.
    ///
    /// # Errors
    /// As for [`Lab::partition`].
    pub fn isolate(&self, node: &Node) -> Result<()> {
        self.partition(&[&[node]])
    }

    /// Ends every partition.
    ///
    /// # Errors
    /// [`Error::Kernel`] if a port cannot be moved back.
    pub fn heal(&self) -> Result<()> {
        self.switch.heal()
    }

    /// What the switch has learnt: which MAC address answers behind which host's port.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the table cannot be read.
    pub fn fdb(&self) -> Result<Vec<FdbEntry>> {
        self.switch.fdb()
    }

    /// Captures on the switch's side of a host's link: what really crosses the wire.
    ///
    /// # Errors
    /// [`Error::NoLink`] if the host has no such link; [`Error::Kernel`] if the socket is refused.
    pub fn capture_port(&self, node: &Node, link: &str) -> Result<Capture> {
        self.switch.capture(node.name(), link)
    }

    /// The directory for configuration files and run directories, removed with the lab.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.files.path()
    }
}

/// A panic elsewhere leaves the lab's tables as usable as they were.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
