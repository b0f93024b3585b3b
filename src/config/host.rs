//! What a host lacks that its configuration needs: `vipd check --host`. Pure: the host answers through
//! [`Host`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::check::commands::{Use, remark_script};
use super::check::{ANY_TTL, HOW_FAR};
use super::checks::{Check, Command, RunAs, ScriptCheck};
use super::diag::{Diagnostic, Span, Spanned};
use super::model::{Cast, Config, RouterConfig};
use super::notify::NotifyConfig;
use super::raw::{Raw, RawFifo, RawNotify, RawRouter};
use super::sandbox::{Sandbox, written};
use crate::types::Cidr;

/// The host a configuration is for.
pub trait Host {
    /// Whether it has an interface of this name.
    fn has_interface(&self, name: &str) -> bool;

    /// The addresses of an interface, with their networks.
    fn addresses(&self, interface: &str) -> Vec<Cidr>;

    /// Whether it has a group of this name.
    fn has_group(&self, name: &str) -> bool;

    /// Whether a command could be started; what somebody else could change although it runs as root.
    ///
    /// # Errors
    /// Why it could not.
    fn runs(&self, command: &ScriptCheck) -> Result<Option<String>, String>;

    /// A script in a file: its path and text. `None` if the command is none, or too long to be read.
    fn script(&self, command: &ScriptCheck) -> Option<(PathBuf, String)>;

    /// Whether root reads a file only because root reads everything.
    fn is_closed(&self, file: &Path) -> bool;

    /// What the unit vipd is started by keeps from its commands.
    fn sandbox(&self) -> Sandbox;

    /// What there is at the path of a FIFO.
    fn pipe(&self, path: &Path) -> Pipe;

    /// Another program than vipd that listens where a listener would: its name and pid.
    fn listens(&self, at: SocketAddr) -> Option<String>;
}

/// What there is at the path of a FIFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipe {
    /// Nothing, nor a directory to make it in.
    Nowhere,
    /// Nothing yet, or a FIFO nobody reads.
    Unread,
    /// A FIFO some program reads.
    Read,
    /// Something else.
    Other,
}

/// Everything the configuration needs and the host does not have, in no order.
#[must_use]
pub fn missing(config: &Config, raw: &Raw, host: &dyn Host) -> Vec<Diagnostic> {
    let mut look = Look { host, sandbox: host.sandbox(), out: Vec::new() };
    if let (Some(group), Some(at)) = (&config.globals.control_group, &raw.globals.control_group)
        && !host.has_group(group)
    {
        look.warn(at.span, format!("there is no group {group}"), "nobody but root commands vipd");
    }
    for (router, raw) in config.routers.iter().zip(&raw.routers) {
        look.interfaces(router, raw);
        look.peers(router, raw);
        look.told(&router.notify, &raw.notify);
    }
    for group in &config.groups {
        if let Some(raw) = raw.groups.iter().find(|raw| raw.name.value == group.name) {
            look.told(&group.notify, &raw.notify);
        }
    }
    for tracker in config.trackers.iter().filter(|tracker| !tracker.listeners) {
        let own = raw.trackers.iter().find(|raw| {
            raw.kind.namespace() == tracker.key.namespace && raw.name.value == tracker.key.name
        });
        let settings = own.map(|raw| &raw.settings);
        match &*tracker.check {
            Check::Script(script) => {
                if let Some(at) = settings.and_then(|own| own.command.as_ref()) {
                    look.tracked(&tracker.key.name, script, at.span);
                }
            }
            Check::File(file) => {
                if let Some(at) = settings.and_then(|own| own.path.as_ref()) {
                    look.kept_apart(&file.path, true, at.span);
                }
            }
            _ => {}
        }
    }
    for (fifo, raw) in config.fifos.iter().zip(&raw.fifos) {
        look.fifo(&fifo.path, fifo.reader.as_ref(), raw);
    }
    let globals = &raw.globals;
    for (script, raw) in [
        (&config.globals.startup_script, &globals.startup_script),
        (&config.globals.shutdown_script, &globals.shutdown_script),
    ] {
        if let (Some(script), Some(raw)) = (script, raw) {
            look.command(script, raw.command.span);
        }
    }
    let binds = raw.listeners.iter().flat_map(|listener| &listener.binds);
    let pages = raw.pages.iter().flat_map(|page| &page.binds);
    for bind in binds.chain(pages) {
        look.port(bind.value.address, bind.span);
    }
    look.out
}

struct Look<'h> {
    host: &'h dyn Host,
    sandbox: Sandbox,
    out: Vec<Diagnostic>,
}

impl Look<'_> {
    fn warn(&mut self, at: Span, text: String, note: &str) {
        self.out.push(Diagnostic::warning(at, text).note(note));
    }

    fn interfaces(&mut self, router: &RouterConfig, raw: &RawRouter) {
        let own = raw.interface.iter().map(|name| (name, "the router is in FAULT until there is"));
        let tracked = raw
            .track_interfaces
            .iter()
            .map(|tracked| (&tracked.name, "it counts as down until there is"));
        for (name, note) in own.chain(tracked) {
            self.interface(name, note);
        }
        let known = |name: &str| {
            name == router.iface.as_str()
                || raw.track_interfaces.iter().any(|tracked| tracked.name.value == name)
        };
        let mut said: Vec<&str> = Vec::new();
        for address in &router.addresses {
            let Some(iface) = &address.iface else { continue };
            let name = iface.as_str();
            if known(name) || said.contains(&name) {
                continue;
            }
            said.push(name);
            let ip = address.cidr.address();
            let mut written = raw.addresses.iter().chain(&raw.excluded);
            let at = written.find(|raw| raw.cidr.value.address() == ip);
            let at = at.map_or(raw.name.span, |raw| raw.cidr.span);
            let name = Spanned::new(name.to_owned(), at);
            self.interface(&name, "the address cannot be put in place until there is");
        }
    }

    /// Peers in none of the networks the adverts could come from. An address without a network says nothing.
    fn peers(&mut self, router: &RouterConfig, raw: &RawRouter) {
        let Cast::Unicast { peers, .. } = &router.cast else { return };
        let family = router.dialect.family();
        let virtual_networks = || router.addresses.iter().map(|address| address.cidr);
        let here: Vec<Cidr> = self
            .host
            .addresses(router.iface.as_str())
            .into_iter()
            .filter(|own| own.family() == family && own.prefix() < family.bits())
            .filter(|own| virtual_networks().all(|vip| vip.address() != own.address()))
            .filter(|own| router.source.is_none_or(|source| own.address() == source))
            .collect();
        let Some(first) = here.first() else { return };
        // Known without looking at the host.
        if router.source.is_some_and(|source| virtual_networks().any(|vip| vip.contains(source))) {
            return;
        }
        let written = raw.peers.iter().flat_map(|peers| &peers.list);
        for peer in written.filter(|peer| peer.min_ttl.is_none()) {
            let Spanned { value, span } = peer.address;
            let listed = peers.iter().any(|known| known.address == value);
            if listed && here.iter().all(|own| !own.contains(value)) {
                let iface = &router.iface;
                let text = format!("the peer {value} is in no network of {iface}, as {first} is");
                self.out.push(Diagnostic::warning(span, text).note(ANY_TTL).help(HOW_FAR));
            }
        }
    }

    fn interface(&mut self, name: &Spanned<String>, note: &str) {
        if !self.host.has_interface(&name.value) {
            let text = format!("this host has no interface {}", name.value);
            self.warn(name.span, text, note);
        }
    }

    fn told(&mut self, notify: &NotifyConfig, raw: &RawNotify) {
        for (moment, command) in &notify.commands {
            if let Some(raw) = raw.commands.get(moment) {
                self.command(command, raw.command.span);
            }
        }
        if let (Some(script), Some(raw)) = (&notify.while_master, &raw.while_master) {
            self.command(script, raw.command.span);
        }
    }

    /// A check that cannot run is no check: its router would never serve, or never hand over.
    fn tracked(&mut self, name: &str, script: &ScriptCheck, at: Span) {
        let error = |why: String| {
            Diagnostic::error(at, format!("{name} cannot be run on this host: {why}")).note(
                "the check would always fail: its bonus is lost for good, or (weight 0) the \
                 router stays in FAULT",
            )
        };
        self.run(script, at, Use::Check, error);
    }

    fn command(&mut self, command: &ScriptCheck, at: Span) {
        let warning = |why: String| {
            Diagnostic::warning(at, format!("this command cannot be run on this host: {why}"))
        };
        self.run(command, at, Use::Notice, warning);
    }

    fn run(
        &mut self,
        command: &ScriptCheck,
        at: Span,
        used: Use,
        cannot: impl FnOnce(String) -> Diagnostic,
    ) {
        match self.host.runs(command) {
            Ok(weakness) => {
                self.out.extend(weakness.map(|weakness| Diagnostic::warning(at, weakness)));
            }
            Err(why) => return self.out.push(cannot(why)),
        }
        let script = self.host.script(command);
        if let Some((path, text)) = &script {
            let path = path.display().to_string();
            remark_script((&path, text), at, used, &mut self.out);
            self.writes(&path, text, at);
        }
        let words: Vec<&str> = match &command.command {
            Command::Argv { program, args } => {
                std::iter::once(program).chain(args).map(String::as_str).collect()
            }
            Command::Shell(text) => text.split_whitespace().collect(),
        };
        for path in words.into_iter().filter(|word| word.starts_with('/')) {
            self.kept_apart(Path::new(path), is_root(command), at);
        }
    }

    /// A file that is not there for the unit's commands.
    fn kept_apart(&mut self, path: &Path, by_root: bool, at: Span) {
        let shown = path.display();
        if let Some(setting) = self.sandbox.hides(path) {
            let text = format!("{shown} is out of reach in the unit's sandbox");
            self.warn(at, text, &format!("by {setting}"));
        } else if let Some(setting) = self.sandbox.replaces(path) {
            let text = format!("{shown} is another file in the unit's sandbox than outside");
            self.warn(at, text, &format!("by {setting}"));
        } else if by_root
            && let Some(setting) = self.sandbox.binds_root()
            && self.host.is_closed(path)
        {
            let text = format!("{shown} cannot be read in the unit's sandbox");
            let note = format!("root itself may not, and CAP_DAC_OVERRIDE is taken by {setting}");
            self.warn(at, text, &note);
        }
    }

    /// The first file a script writes to in vain, for each reason.
    fn writes(&mut self, script: &str, text: &str, at: Span) {
        let mut said: Vec<String> = Vec::new();
        for (line, target) in written(text) {
            let path = Path::new(&target);
            let place = format!("line {line} of {script} writes to {target}");
            let (setting, text) = if let Some(setting) = self.sandbox.replaces(path) {
                (setting, format!("{place}, another file in the unit's sandbox than outside"))
            } else if let Some(setting) =
                self.sandbox.hides(path).or_else(|| self.sandbox.closes(path))
            {
                (setting, format!("{place}, which the unit's sandbox forbids"))
            } else {
                continue;
            };
            if !said.contains(&setting) {
                self.warn(at, text, &format!("by {setting}"));
                said.push(setting);
            }
        }
    }

    fn fifo(&mut self, path: &Path, reader: Option<&ScriptCheck>, raw: &RawFifo) {
        if let (Some(reader), Some(raw)) = (reader, &raw.reader) {
            self.command(reader, raw.command.span);
        }
        let (at, shown) = (raw.path.span, path.display());
        self.kept_apart(path, true, at);
        match self.host.pipe(path) {
            Pipe::Nowhere => self.warn(
                at,
                format!("there is no directory to make {shown} in"),
                "nothing is written until there is; keepalived does not even try again",
            ),
            Pipe::Other => self.warn(
                at,
                format!("{shown} is no FIFO"),
                "nothing is written until it is gone; keepalived writes into whatever it is",
            ),
            Pipe::Unread if reader.is_none() => self.warn(
                at,
                format!("no program reads {shown}"),
                "64 kB of lines wait for one in the pipe, as with keepalived, and 1024 more in \
                 vipd; then the oldest are lost",
            ),
            Pipe::Unread | Pipe::Read => {}
        }
    }

    fn port(&mut self, at: SocketAddr, span: Span) {
        if let Some(program) = self.host.listens(at) {
            let text = format!("port {} is taken by {program}", at.port());
            self.out.push(
                Diagnostic::warning(span, text)
                    .note("the listener opens as soon as that program is gone")
                    .help("stop it before vipd starts"),
            );
        }
    }
}

fn is_root(command: &ScriptCheck) -> bool {
    match &command.run_as {
        RunAs::Default => true,
        RunAs::User { user, .. } => user == "root" || user == "0",
    }
}
