//! What a host lacks that its configuration needs: `vipd check --host`. Pure: the host answers through
//! [`Host`].

use std::net::SocketAddr;

use super::checks::{Check, ScriptCheck};
use super::diag::{Diagnostic, Span, Spanned};
use super::model::{Config, RouterConfig};
use super::notify::NotifyConfig;
use super::raw::{Raw, RawNotify, RawRouter};

/// The host a configuration is for.
pub trait Host {
    /// Whether it has an interface of this name.
    fn has_interface(&self, name: &str) -> bool;

    /// Whether it has a group of this name.
    fn has_group(&self, name: &str) -> bool;

    /// Whether a command could be started; what somebody else could change although it runs as root.
    ///
    /// # Errors
    /// Why it could not.
    fn runs(&self, command: &ScriptCheck) -> Result<Option<String>, String>;

    /// Another program than vipd that listens where a listener would: its name and pid.
    fn listens(&self, at: SocketAddr) -> Option<String>;
}

/// Everything the configuration needs and the host does not have, in no order.
#[must_use]
pub fn missing(config: &Config, raw: &Raw, host: &dyn Host) -> Vec<Diagnostic> {
    let mut look = Look { host, out: Vec::new() };
    if let (Some(group), Some(at)) = (&config.globals.control_group, &raw.globals.control_group)
        && !host.has_group(group)
    {
        look.warn(at.span, format!("there is no group {group}"), "nobody but root commands vipd");
    }
    for (router, raw) in config.routers.iter().zip(&raw.routers) {
        look.interfaces(router, raw);
        look.told(&router.notify, &raw.notify);
    }
    for group in &config.groups {
        if let Some(raw) = raw.groups.iter().find(|raw| raw.name.value == group.name) {
            look.told(&group.notify, &raw.notify);
        }
    }
    for tracker in config.trackers.iter().filter(|tracker| !tracker.listeners) {
        let Check::Script(script) = &*tracker.check else { continue };
        let own = raw.trackers.iter().find(|raw| {
            raw.kind.namespace() == tracker.key.namespace && raw.name.value == tracker.key.name
        });
        if let Some(at) = own.and_then(|raw| raw.settings.command.as_ref()) {
            look.tracked(&tracker.key.name, script, at.span);
        }
    }
    let globals = &raw.globals;
    for (script, raw) in
        [(&config.globals.startup, &globals.startup), (&config.globals.shutdown, &globals.shutdown)]
    {
        if let (Some(script), Some(raw)) = (script, &raw.command) {
            look.command(&script.command, raw.command.span);
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
        if let (Some(ensure), Some(raw)) = (&notify.ensure, &raw.while_master) {
            self.command(&ensure.command, raw.command.span);
        }
    }

    /// A check that cannot run is no check: its router would never serve, or never hand over.
    fn tracked(&mut self, name: &str, script: &ScriptCheck, at: Span) {
        match self.host.runs(script) {
            Ok(None) => {}
            Ok(Some(weakness)) => self.out.push(Diagnostic::warning(at, weakness)),
            Err(why) => self.out.push(
                Diagnostic::error(at, format!("{name} cannot be run on this host: {why}")).note(
                    "the check would always fail: its bonus is lost for good, or (weight 0) the \
                     router stays in FAULT",
                ),
            ),
        }
    }

    fn command(&mut self, command: &ScriptCheck, at: Span) {
        match self.host.runs(command) {
            Ok(None) => {}
            Ok(Some(weakness)) => self.out.push(Diagnostic::warning(at, weakness)),
            Err(why) => {
                let text = format!("this command cannot be run on this host: {why}");
                self.out.push(Diagnostic::warning(at, text));
            }
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
