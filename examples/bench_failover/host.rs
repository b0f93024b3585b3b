//! A load balancer of the lab: a host with a daemon that can be started, hurt and started again.

use std::fmt;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;
use vipd::lab::deadline::eventually;
use vipd::lab::keepalived::Keepalived;
use vipd::lab::{Lab, Node, Proc, Vipd};

use crate::figures::Pace;

/// Long enough for anything that is not a protocol's own waiting, on a machine that also compiles.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// The link every host has.
pub(crate) const LINK: &str = "eth0";

/// Which daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Vipd,
    Keepalived,
}

/// The master's daemon and the backup's.
pub(crate) type Pair = (Kind, Kind);

impl Kind {
    pub(crate) const PAIRS: [Pair; 4] = [
        (Kind::Vipd, Kind::Vipd),
        (Kind::Keepalived, Kind::Keepalived),
        (Kind::Vipd, Kind::Keepalived),
        (Kind::Keepalived, Kind::Vipd),
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Vipd => "vipd",
            Kind::Keepalived => "keepalived",
        })
    }
}

/// Where the programs are; keepalived is found in the search path.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) vipd: PathBuf,
}

/// What one daemon is told; both read the same text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) pace: Pace,
    pub(crate) priority: u8,
    /// Virtual routers, each with an address of its own.
    pub(crate) instances: u8,
}

impl Plan {
    /// The address of a virtual router, counting from 1.
    pub(crate) fn vip(instance: u8) -> String {
        format!("10.0.1.{instance}")
    }

    fn text(self) -> String {
        let Plan { pace, priority, instances } = self;
        let state = if priority == crate::figures::HIGH { "MASTER" } else { "BACKUP" };
        let (version, interval, authentication) = match pace {
            Pace::Second => (2, "1", "authentication {\n auth_type PASS\n auth_pass bench\n }\n"),
            Pace::Tenth => (3, "0.1", ""),
            Pace::Hundredth => (3, "0.01", ""),
        };
        let mut text = String::from("global_defs {\n router_id bench\n}\n");
        for vrid in 1..=instances {
            let vip = Plan::vip(vrid);
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "vrrp_instance V{vrid} {{\n state {state}\n interface {LINK}\n version {version}\n \
                 virtual_router_id {vrid}\n priority {priority}\n advert_int {interval}\n \
                 {authentication} virtual_ipaddress {{\n {vip}/32\n }}\n}}\n"
            );
        }
        text
    }
}

/// A host and its daemon.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) node: Node,
    kind: Kind,
    plan: Plan,
    vipd: PathBuf,
    running: Option<Running>,
}

#[derive(Debug)]
enum Running {
    Vipd(Vipd),
    Keepalived(Keepalived),
}

impl Host {
    /// A host of the lab, its daemon not yet started. `own_copy` gives vipd a file of its own: two
    /// hosts of one lab would otherwise share its pages in memory, as real hosts never do.
    pub(crate) fn new(
        lab: &Lab,
        name: &str,
        address: &str,
        kind: Kind,
        plan: Plan,
        programs: &Programs,
        own_copy: bool,
    ) -> Result<Host> {
        let node = lab.node(name)?;
        node.link(LINK, &[address])?;
        let vipd = if own_copy && kind == Kind::Vipd {
            copy_into(&node.directory()?, &programs.vipd)?
        } else {
            programs.vipd.clone()
        };
        Ok(Host { node, kind, plan, vipd, running: None })
    }

    /// Starts the daemon, in place of one that may still be there.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.running = None;
        let config = self.plan.text();
        self.running = Some(match self.kind {
            Kind::Vipd => {
                Running::Vipd(Vipd::start(&self.node, &self.vipd, "keepalived.conf", &config)?)
            }
            Kind::Keepalived => {
                self.remove_pid_files()?;
                Running::Keepalived(Keepalived::start(&self.node, &config)?)
            }
        });
        Ok(())
    }

    /// Signals every process of the daemon.
    pub(crate) fn signal_all(&self, pids: &[Pid], signal: Signal) {
        for pid in pids {
            // One that has ended meanwhile needs no signal.
            let _ = kill(*pid, signal);
        }
    }

    /// Asks the daemon to stop, as a service manager does.
    pub(crate) fn ask_to_stop(&self) -> Result<()> {
        self.process()?.signal(Signal::SIGTERM);
        Ok(())
    }

    /// Starts `vipd NAME`, which asks the daemon for something and waits for it.
    pub(crate) fn command(&self, name: &str) -> Result<Proc> {
        let Some(Running::Vipd(daemon)) = &self.running else {
            bail!("{} on {} has no commands", self.kind, self.node.name())
        };
        let mut command = Command::new(&self.vipd);
        command.arg(name).arg("--run-dir").arg(daemon.run_dir());
        Ok(self.node.spawn(command)?)
    }

    /// Waits until the daemon has ended by itself.
    pub(crate) fn wait_for_end(&self) -> Result<()> {
        self.process()?.wait(SOON)?;
        Ok(())
    }

    /// Every process of the daemon: all that runs in the host.
    pub(crate) fn pids(&self) -> Result<Vec<Pid>> {
        let namespace = format!("net:[{}]", self.node.namespace_id());
        let own = std::process::id().to_string();
        let mut pids = Vec::new();
        for entry in fs::read_dir("/proc").context("cannot read /proc")?.flatten() {
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let Ok(pid) = name.parse::<i32>() else { continue };
            let Ok(link) = fs::read_link(entry.path().join("ns/net")) else { continue };
            if link.as_os_str() == namespace.as_str() && name != own {
                pids.push(Pid::from_raw(pid));
            }
        }
        if pids.is_empty() {
            bail!("{} on {} does not run:\n{}", self.kind, self.node.name(), self.log());
        }
        Ok(pids)
    }

    /// Its last lines.
    pub(crate) fn log(&self) -> String {
        let log = self.process().map(Proc::output).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines.get(lines.len().saturating_sub(8)..).unwrap_or_default().join("\n")
    }

    /// Removes what a reboot would: the virtual addresses a killed daemon has left.
    pub(crate) fn forget_addresses(&self) -> Result<()> {
        for address in self.node.addresses(LINK)? {
            let text = address.cidr.to_string();
            if text.starts_with("10.0.1.") {
                self.node.del_address(LINK, &text)?;
            }
        }
        Ok(())
    }

    /// Waits until it carries that many virtual addresses.
    pub(crate) fn wait_for_addresses(&self, count: usize, within: Duration) -> Result<()> {
        let what = format!("{count} addresses on {} ({})", self.node.name(), self.kind);
        let held = eventually(within, what, || {
            let addresses = self.node.addresses(LINK).map_err(|e| e.to_string())?;
            let virtual_ones = addresses.iter().filter(|a| a.cidr.prefix() == 32).count();
            if virtual_ones == count { Ok(()) } else { Err(format!("{virtual_ones} addresses")) }
        });
        held.with_context(|| self.log())
    }

    /// A killed keepalived leaves them, and refuses to start while the kernel still lists the killed
    /// child, which in a container without an init is for ever.
    fn remove_pid_files(&self) -> Result<()> {
        for name in ["keepalived.pid", "keepalived-vrrp.pid"] {
            let path = self.node.directory()?.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn process(&self) -> Result<&Proc> {
        match &self.running {
            Some(Running::Vipd(vipd)) => Ok(vipd.process()),
            Some(Running::Keepalived(keepalived)) => Ok(keepalived.process()),
            None => bail!("{} on {} has not been started", self.kind, self.node.name()),
        }
    }
}

fn copy_into(directory: &Path, program: &Path) -> Result<PathBuf> {
    let copy = directory.join("vipd");
    fs::copy(program, &copy).with_context(|| format!("cannot copy {}", program.display()))?;
    Ok(copy)
}
