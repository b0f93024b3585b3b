//! Actions to system calls.
//!
//! Adverts, announcements and sockets are done on the spot: none of them waits. Addresses go through
//! a queue to a thread of their own, because the kernel answers only when it has its routing lock,
//! which a busy machine can withhold for a fifth of a second. It does them one after the other, lease
//! renewals among them: a renewal overtaken by a removal would bring the address back. The queue is
//! bounded by what the engine has outstanding: one operation per configured address and, because a
//! renewal is dropped while the one before is under way, one batch of renewals.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::libc;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Inbox;
use super::background::{Background, Notice};
use super::host::{ECHO_WITHIN, unreachable_text};
use super::listeners::Listeners;
use super::probes::Probes;
use super::sockets::{Fit, Links, Sockets};
use super::status::RefusedSends;
use crate::config::{Cast, Config, RouterFlag, VirtualAddress};
use crate::engine::allow_vrrp_out;
use crate::hook::{FINISH_LIMIT, Hooks, run_to_its_end};
use crate::io::{
    Action, Applied, Event, Kind, Level, Link, LinkChange, Notification, NotifyEvent, OpError,
    OpId, Renewal, Want,
};
use crate::proxy::Left;
use crate::status::{State, millis};
use crate::sys::echo;
use crate::sys::netlink::leases::Leases;
use crate::sys::netlink::{Netlink, name_of};
use crate::sys::packet::FrameSender;
use crate::sys::realtime::prefer_this_thread;
use crate::types::{Family, IfIndex, Now};
use crate::wire::{arp, ndisc};

/// How long a reading of the forwarding sysctl is believed.
const FORWARDING_FRESH: Duration = Duration::from_secs(5);

/// At most one warning about failing sends or about an unreachable group per interface and this time.
const WARNING_PAUSE: Duration = Duration::from_secs(60);

/// At most one loopback test per interface and this time: a packet filter may have come since.
const LOOPBACK_PAUSE: Duration = Duration::from_millis(250);

/// How long an address waits for the end of the sessions that came in by it: their clients can be
/// told only while it is there, and a proxy that is stuck must not keep it.
const LEAVE_WITHIN: Duration = Duration::from_millis(20);

/// Whatever performs actions.
pub(super) struct Effects {
    pub(super) sockets: Sockets,
    pub(super) listeners: Listeners,
    pub(super) config: Arc<Config>,
    /// Adverts and announcements the kernel would not take.
    pub(super) send_drops: u64,
    /// Questions to the LAN who has an address.
    pub(super) solicited: u64,
    /// Where the host's own packet filter refuses adverts: since the start, and the last time.
    refused: BTreeMap<(IfIndex, Family), (u64, Now)>,
    frames: Frames,
    addresses: UnboundedSender<AddressOp>,
    /// A batch of renewals is in the queue.
    renewing: Arc<AtomicBool>,
    inbox: UnboundedSender<Inbox>,
    background: Background,
    links: Links,
    hooks: Hooks,
    probes: Probes,
    forwarding: BTreeMap<IfIndex, (Now, bool)>,
    /// By interface, family and the system's error.
    send_warnings: BTreeMap<(IfIndex, Family, i32), Now>,
    loopback_checked: BTreeMap<(IfIndex, Family), Now>,
    loopback_warnings: BTreeMap<(IfIndex, Family), Now>,
    states: BTreeMap<String, State>,
}

/// Missing as long as there is no virtual router: the daemon may not have the rights.
#[derive(Debug)]
struct Frames(Option<FrameSender>);

impl Frames {
    fn send(&mut self, iface: IfIndex, frame: &[u8]) -> io::Result<()> {
        if self.0.is_none() {
            self.0 = Some(FrameSender::open()?);
        }
        self.0.as_ref().map_or(Ok(()), |sender| sender.send(iface, frame))
    }
}

enum AddressOp {
    /// Says when everything before it is done.
    Finish(oneshot::Sender<()>),
    /// Whoever is told finds everything before it done.
    Tell(Notification),
    Set {
        op: OpId,
        iface: IfIndex,
        address: Arc<VirtualAddress>,
        want: Want,
        /// Sessions that came in by it, and end first.
        left: Option<Left>,
    },
    Renew(Vec<Renewal>),
    PromoteSecondaries(IfIndex),
}

impl Effects {
    /// Must run inside the control thread's runtime. The thread for addresses ends when this is
    /// dropped.
    pub(super) fn new(
        config: Arc<Config>,
        frames: Option<FrameSender>,
        inbox: UnboundedSender<Inbox>,
        background: Background,
        probes: Probes,
        hooks: Hooks,
        realtime: Option<u8>,
    ) -> io::Result<Effects> {
        let (addresses, queue) = unbounded_channel();
        let renewing = Arc::new(AtomicBool::new(false));
        let told = hooks.clone();
        address_thread(queue, inbox.clone(), told, Arc::clone(&renewing), realtime)?;
        Ok(Effects {
            sockets: Sockets::new()?,
            listeners: Listeners::new(inbox.clone(), background.effects.clone()),
            config,
            send_drops: 0,
            solicited: 0,
            refused: BTreeMap::new(),
            frames: Frames(frames),
            addresses,
            renewing,
            inbox,
            background,
            links: Links::new(),
            hooks,
            probes,
            forwarding: BTreeMap::new(),
            send_warnings: BTreeMap::new(),
            loopback_checked: BTreeMap::new(),
            loopback_warnings: BTreeMap::new(),
            states: BTreeMap::new(),
        })
    }

    /// Keep what the configuration says about interfaces in step with the kernel's.
    pub(super) fn links_changed(&mut self, change: &LinkChange) {
        let before = self.links.clone();
        let known = |link: &Link| (link.index, (link.name.clone(), link.mtu));
        match change {
            LinkChange::Link(link) => self.links.extend([known(link)]),
            LinkChange::Gone(index) => {
                self.links.remove(index);
                self.forwarding.remove(index);
            }
            LinkChange::Resync(table) => {
                self.links = table.iter().map(|(link, _)| known(link)).collect();
            }
            LinkChange::Address { .. } | LinkChange::AddressGone { .. } => return,
        }
        if self.links != before {
            self.sockets.refit(&self.config, &self.links);
        }
    }

    /// Use a new configuration.
    pub(super) fn reconfigure(&mut self, config: Arc<Config>) {
        self.hooks.reconfigure(Arc::clone(&config));
        self.background.pages(&config.pages);
        self.config = config;
        self.sockets.refit(&self.config, &self.links);
    }

    /// Do it, without waiting. Breaks on [`Action::Exit`].
    pub(super) fn perform(&mut self, now: Now, action: Action) -> ControlFlow<()> {
        match action {
            Action::Transmit { iface, source, destination, hop_limit, bytes } => {
                let sent = self.sockets.send(iface, (source, destination), hop_limit, &bytes);
                self.note_send(now, (iface, Family::of(source)), "adverts", sent);
            }
            Action::Announce { iface, mac, vip, router_flag } => {
                let sent = match vip {
                    IpAddr::V4(vip) => {
                        self.frames.send(iface, &arp::gratuitous(arp::Variant::Request, mac, vip))
                    }
                    IpAddr::V6(vip) => {
                        let router = self.is_router(now, iface, router_flag);
                        self.frames.send(iface, &ndisc::unsolicited_na(mac, vip, router))
                    }
                };
                self.note_send(now, (iface, Family::of(vip)), "announcements", sent);
            }
            Action::Solicit { iface, mac, source, target } => {
                let sent = match (source, target) {
                    (_, IpAddr::V4(target)) => self.frames.send(iface, &arp::probe(mac, target)),
                    (IpAddr::V6(source), IpAddr::V6(target)) => {
                        self.frames.send(iface, &ndisc::solicitation(mac, source, target))
                    }
                    (IpAddr::V4(_), IpAddr::V6(_)) => Ok(()),
                };
                self.solicited += 1;
                self.note_send(now, (iface, Family::of(target)), "solicitations", sent);
            }
            Action::Address { op, iface, address, want } => {
                let left = match want {
                    Want::Gone => self.listeners.leave(address.cidr.address()),
                    Want::Held(_) => None,
                };
                let _ = self.addresses.send(AddressOp::Set { op, iface, address, want, left });
            }
            Action::PromoteSecondaries { iface } => {
                let _ = self.addresses.send(AddressOp::PromoteSecondaries(iface));
            }
            Action::Renew(renewals) => {
                if self.renewing.swap(true, Ordering::Relaxed) {
                    tracing::debug!("the kernel is slow: the last renewal is still under way");
                } else {
                    let _ = self.addresses.send(AddressOp::Renew(renewals));
                }
            }
            Action::Socket { op, iface, listen, open: true } => {
                let fit = Fit::of(&self.config, self.links.get(&iface), listen);
                let result = self.sockets.open(iface, listen, &fit);
                self.done(op, result.map(|()| Applied::Changed));
            }
            Action::Socket { op, iface, listen, open: false } => {
                let was_open = self.sockets.close(iface, listen);
                self.done(op, Ok(if was_open { Applied::Changed } else { Applied::Already }));
            }
            Action::Probe { probe, check, timeout } => self.probes.run(probe, check, timeout),
            Action::Ask { probe, question, timeout } => self.probes.ask(probe, question, timeout),
            Action::Resolve { names } => self.probes.resolve(names),
            Action::Listen { listener, config } => self.listeners.listen(listener, config),
            Action::Unlisten { listener } => self.listeners.unlisten(listener),
            Action::Publish { listener, view } => self.listeners.publish(listener, view),
            Action::Cancel { probe } => self.probes.cancel(probe),
            Action::Observe { iface, listen, open: true } => {
                let fit = Fit::of(&self.config, self.links.get(&iface), listen);
                if let Err(error) = self.sockets.observe(iface, listen, &fit) {
                    tracing::debug!("listen for misconfigured peers: {error}");
                }
            }
            Action::Observe { iface, listen, open: false } => {
                self.sockets.overhear_no_more(iface, listen);
            }
            Action::Notify(told) => {
                self.told(now, &told);
                let _ = self.addresses.send(AddressOp::Tell(told));
            }
            Action::Record(event) => record(&event),
            Action::NotDrained { router } => self.background.not_drained(router),
            Action::Exit => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn done(&self, op: OpId, result: Result<Applied, OpError>) {
        let _ = self.inbox.send(Inbox::Done { op, result });
    }

    /// The daemon ends: whoever wants to know is told, within a limit.
    pub(super) async fn finish(&self) {
        let (over, when_over) = oneshot::channel();
        let _ = self.addresses.send(AddressOp::Finish(over));
        // An address thread that hangs keeps nobody from ending.
        let _ = timeout(FINISH_LIMIT, when_over).await;
        self.hooks.finish().await;
        let globals = &self.config.globals;
        if let Some(script) = &globals.shutdown_script {
            let (runtime, scripts) = (&self.background.effects, self.probes.scripts());
            let limit = globals.shutdown_script_timeout;
            run_to_its_end(runtime, scripts, script, limit, "shutdown_script").await;
        }
    }

    /// A full queue is counted only; anything else is also said, now and then.
    fn note_send(
        &mut self,
        now: Now,
        (iface, family): (IfIndex, Family),
        what: &str,
        sent: io::Result<()>,
    ) {
        let Err(error) = sent else { return };
        self.send_drops += 1;
        let filtered = error.raw_os_error() == Some(libc::EPERM);
        if filtered {
            let (count, last) = self.refused.entry((iface, family)).or_insert((0, now));
            *count += 1;
            *last = now;
        }
        let full = matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS));
        let reason = (iface, family, error.raw_os_error().unwrap_or_default());
        if full || !is_due(&mut self.send_warnings, reason, now, WARNING_PAUSE) {
            return;
        }
        if filtered {
            let out = allow_vrrp_out(family);
            tracing::warn!(
                "the host's own packet filter refuses {what} on {} (EPERM): no other node hears this \
                 one. {out} lets VRRP out",
                name_of(iface)
            );
            return;
        }
        tracing::warn!("cannot send {what} on {}: {}", name_of(iface), crate::sys::cause(&error));
    }

    /// What the host itself drops of our adverts.
    pub(super) fn refused(&self, now: Now) -> RefusedSends {
        let named = self.refused.iter().filter_map(|((iface, family), (count, last))| {
            let (name, _) = self.links.get(iface)?;
            Some((name.clone(), *family, *count, millis(now.since(*last))))
        });
        RefusedSends(named.collect())
    }

    /// A router that took over because it heard nobody: whether it could.
    fn check_loopback(&mut self, now: Now, name: &str) {
        let Some(router) = self.config.routers.iter().find(|router| router.name == *name) else {
            return;
        };
        let Cast::Multicast { group } = router.cast else { return };
        let iface = self.links.iter().find(|(_, (name, _))| *name == router.iface);
        let Some((&iface, _)) = iface else { return };
        if !is_due(&mut self.loopback_checked, (iface, Family::of(group)), now, LOOPBACK_PAUSE) {
            return;
        }
        let inbox = self.inbox.clone();
        self.background.effects.spawn_blocking(move || {
            if !echo::unreachable(&[(iface, group)], ECHO_WITHIN).is_empty() {
                let _ = inbox.send(Inbox::Deaf { iface, group });
            }
        });
    }

    /// The host does not hear itself.
    pub(super) fn is_deaf(&mut self, now: Now, iface: IfIndex, group: IpAddr) {
        let place = (iface, Family::of(group));
        let Some((name, _)) = self.links.get(&iface) else { return };
        if is_due(&mut self.loopback_warnings, place, now, WARNING_PAUSE) {
            tracing::warn!("{}", unreachable_text(name, group));
        }
    }

    fn is_router(&mut self, now: Now, iface: IfIndex, flag: RouterFlag) -> bool {
        match flag {
            RouterFlag::Set => true,
            RouterFlag::Clear => false,
            RouterFlag::Forwarding => match self.forwarding.get(&iface) {
                Some(&(read, router)) if now.since(read) < FORWARDING_FRESH => router,
                _ => {
                    let router = forwards_ipv6(&name_of(iface));
                    self.forwarding.insert(iface, (now, router));
                    router
                }
            },
        }
    }

    fn told(&mut self, at: Now, told: &Notification) {
        if told.kind == Kind::Group {
            return;
        }
        let now = match told.event {
            NotifyEvent::Entered { to, .. } => {
                if to == State::Master {
                    self.check_loopback(at, &told.name);
                }
                self.states.insert(told.name.clone(), to);
                to.to_string()
            }
            NotifyEvent::Deleted => {
                self.states.remove(&told.name);
                "removed".to_owned()
            }
            NotifyEvent::Stopped
            | NotifyEvent::LowerPriorityHeard
            | NotifyEvent::PriorityChanged { .. } => return,
        };
        let count = |state| self.states.values().filter(|&&s| s == state).count();
        let (masters, backups, faults) =
            (count(State::Master), count(State::Backup), count(State::Fault));
        self.background.notify(Notice::Status(format!(
            "{masters} master, {backups} backup, {faults} fault; last: {} {now}",
            told.name
        )));
    }
}

/// Whether it was not done within the last `pause`; it is done now.
fn is_due<K: Ord>(done: &mut BTreeMap<K, Now>, what: K, now: Now, pause: Duration) -> bool {
    let due = done.get(&what).is_none_or(|&at| now.since(at) >= pause);
    if due {
        done.insert(what, now);
    }
    due
}

fn address_thread(
    queue: UnboundedReceiver<AddressOp>,
    inbox: UnboundedSender<Inbox>,
    hooks: Hooks,
    renewing: Arc<AtomicBool>,
    realtime: Option<u8>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let netlink = {
        let _of_that_thread = runtime.enter();
        Netlink::connect()?
    };
    let leases = Leases::connect()?;
    thread::Builder::new().name("addresses".to_owned()).spawn(move || {
        if let Some(priority) = realtime {
            // The control thread says it if this is not permitted.
            let _ = prefer_this_thread(priority);
        }
        runtime.block_on(perform_addresses(netlink, leases, queue, inbox, hooks, renewing));
    })?;
    Ok(())
}

/// One operation at a time, in the order given. The order matters: the first address of a subnet
/// becomes its primary, and an address removed and added again must end up present.
async fn perform_addresses(
    mut netlink: Netlink,
    mut leases: Leases,
    mut queue: UnboundedReceiver<AddressOp>,
    inbox: UnboundedSender<Inbox>,
    hooks: Hooks,
    renewing: Arc<AtomicBool>,
) {
    while let Some(operation) = queue.recv().await {
        match operation {
            AddressOp::Set { op, iface, address, want, left } => {
                if let Some(left) = left {
                    left.wait(LEAVE_WITHIN);
                }
                let result = match want {
                    Want::Held(lease) => netlink.set_present(iface, &address, lease).await,
                    Want::Gone => netlink.set_absent(iface, address.kernel_cidr()).await,
                };
                if inbox.send(Inbox::Done { op, result }).is_err() {
                    return;
                }
            }
            AddressOp::Tell(told) => hooks.notify(told),
            AddressOp::Finish(over) => {
                let _ = over.send(());
            }
            AddressOp::PromoteSecondaries(iface) => {
                if let Err(error) = netlink.promote_secondaries(iface).await {
                    tracing::warn!("cannot {error}");
                }
            }
            AddressOp::Renew(renewals) => {
                for (Renewal { iface, address, .. }, error) in leases.renew(&renewals) {
                    // The engine asks for the address itself, and says so if that fails too.
                    tracing::debug!("cannot {error}");
                    let _ = inbox.send(Inbox::NotRenewed { iface, cidr: address.kernel_cidr() });
                }
                renewing.store(false, Ordering::Relaxed);
            }
        }
    }
}

fn forwards_ipv6(iface: &str) -> bool {
    std::fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{iface}/forwarding"))
        .is_ok_and(|value| value.trim() != "0")
}

fn record(event: &Event) {
    let router = event.router.as_deref().unwrap_or_default();
    let message = event.message.as_str();
    match event.level {
        Level::Debug => tracing::debug!(router, message),
        Level::Info => tracing::info!(router, message),
        Level::Warn => tracing::warn!(router, message),
    }
}
