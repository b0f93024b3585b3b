//! The addresses of one router: which should be there, which are, and who took them away.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::VirtualAddress;
use crate::io::{Action, Applied, Lease, OpError, OpId, Renewal, Want};
use crate::status::{AddressStatus, millis};
use crate::types::{Cidr, IfIndex, IfName, Now};
use crate::vrrp::outbox::Outbox;

/// How often leases are lengthened; the shortest is 2 s.
pub(crate) const RENEW_EVERY: Duration = Duration::from_millis(500);
/// Pause before the kernel is asked again after it refused.
const RETRY: Duration = Duration::from_secs(1);
/// This many removals by somebody else within [`FIGHT_WINDOW`] are a fight: from then on the address
/// is put back once per [`RETRY`] instead of at once.
const FIGHT: usize = 5;
const FIGHT_WINDOW: Duration = Duration::from_secs(10);

/// All addresses of one router, in the order of the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct AddressSet {
    addresses: Vec<Entry>,
    /// What the kernel is told to keep each address for; `None`: for ever.
    lease: Option<Lease>,
    /// An owner's addresses that the interface has anyway: nobody here removes those, and they get no lease (R21).
    native: BTreeSet<(IfIndex, Cidr)>,
}

#[derive(Clone, Debug)]
struct Entry {
    address: Arc<VirtualAddress>,
    iface_name: IfName,
    /// Where the last operation went; addresses of a deleted link are gone with it.
    iface: Option<IfIndex>,
    wanted: bool,
    held: bool,
    /// When the kernel may end the lease; it is late, never early.
    expires: Option<Now>,
    op: Option<OpId>,
    retry: Option<Now>,
    error: Option<OpError>,
    readded: u64,
    vanished_at: Vec<Now>,
    /// The pending `Held` puts back what somebody removed.
    restoring: bool,
    /// Reported as removed while `op` is under way: before or after it was performed, who knows.
    doubtful: bool,
    /// Configured no longer: forgotten as soon as it is gone.
    leaving: bool,
    /// `op` removes what nobody here put there.
    stray: bool,
}

/// What a finished operation meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OpOutcome {
    /// Not an operation of this router, or one overtaken by a later one.
    NotOurs,
    /// Done as asked.
    Done,
    /// It was there although nobody here wanted it, and is gone.
    Stray(Cidr),
    /// There at last, after the kernel had refused it.
    Recovered(Cidr),
    /// Somebody had removed the address; it is back.
    Restored {
        /// Which.
        cidr: Cidr,
        /// It keeps happening.
        fight: bool,
    },
    /// The kernel refused; it is asked again later.
    Refused(OpError),
}

impl AddressSet {
    /// Which addresses of an owner its interfaces have without us.
    pub(crate) fn set_native(&mut self, native: BTreeSet<(IfIndex, Cidr)>) {
        self.native = native;
    }

    /// On which lease addresses are held.
    pub(crate) fn lease(&self) -> Option<Lease> {
        self.lease
    }

    /// On which lease addresses are held from now on.
    pub(crate) fn set_lease(&mut self, lease: Option<Lease>) {
        self.lease = lease;
    }

    /// Takes over a new address list: `true` if an address was added that is wanted at once.
    pub(crate) fn configure(
        &mut self,
        list: &[(Arc<VirtualAddress>, IfName)],
        mut index_of: impl FnMut(&IfName) -> Option<IfIndex>,
        held_now: bool,
        now: Now,
        out: &mut Outbox,
    ) -> bool {
        let lease = self.lease;
        let mut old = std::mem::take(&mut self.addresses);
        let mut added = false;
        for (address, iface_name) in list {
            let kept = old
                .iter()
                .position(|e| e.address == *address && e.iface_name == *iface_name && !e.leaving);
            if let Some(at) = kept {
                let entry = old.remove(at);
                self.addresses.push(entry);
                continue;
            }
            self.addresses.push(Entry::new(Arc::clone(address), iface_name.clone()));
            added |= held_now;
        }
        for mut entry in old {
            // Absent before the new list is installed: an address whose attributes changed is
            // removed first and then added again.
            entry.leaving = true;
            if entry.wanted {
                entry.let_go(now, &self.native, out);
            }
            self.addresses.push(entry);
        }
        self.forget_the_gone();
        if held_now {
            for entry in &mut self.addresses {
                if !entry.leaving && !entry.wanted {
                    entry.hold(now, lease, index_of(&entry.iface_name), &self.native, out);
                } else if !entry.leaving && lease.is_none() && entry.expires.is_some() {
                    // Nobody renews it any more: the kernel must not end it.
                    entry.ask(now, Want::Held(Some(Lease::FOREVER)), entry.iface, out);
                    entry.expires = None;
                }
            }
        }
        added
    }

    /// Asks for all addresses.
    pub(crate) fn install(
        &mut self,
        now: Now,
        mut index_of: impl FnMut(&IfName) -> Option<IfIndex>,
        out: &mut Outbox,
    ) {
        for entry in self.addresses.iter_mut().filter(|e| !e.leaving) {
            entry.hold(now, self.lease, index_of(&entry.iface_name), &self.native, out);
        }
    }

    /// Keeps every address on the link that now has its interface's name: `true` if one moved. The
    /// link it was on may live on under another name. Without any it is not wanted until there is one.
    pub(crate) fn follow(
        &mut self,
        now: Now,
        mut index_of: impl FnMut(&IfName) -> Option<IfIndex>,
        out: &mut Outbox,
    ) -> bool {
        let mut moved = false;
        let lease = self.lease;
        for entry in self.addresses.iter_mut().filter(|e| !e.leaving) {
            let index = index_of(&entry.iface_name);
            if entry.wanted && entry.iface == index {
                continue;
            }
            if entry.wanted {
                entry.let_go(now, &self.native, out);
            }
            if index.is_some() {
                entry.hold(now, lease, index, &self.native, out);
                moved = true;
            }
        }
        moved
    }

    /// Puts back what the kernel took when its lease ended; `true` if there was any.
    pub(crate) fn reinstall_lapsed(&mut self, now: Now, out: &mut Outbox) -> bool {
        let lease = self.lease;
        let mut any = false;
        for entry in self.addresses.iter_mut().filter(|e| e.wanted && e.lapsed(now)) {
            entry.hold(now, lease, entry.iface, &self.native, out);
            any = true;
        }
        any
    }

    /// The leases to lengthen.
    pub(crate) fn renew(&mut self, now: Now, renewals: &mut Vec<Renewal>) {
        let Some(lease) = self.lease else { return };
        let native = &self.native;
        let alive = |e: &&mut Entry| {
            e.held && e.wanted && e.op.is_none() && !e.lapsed(now) && !e.is_native(native)
        };
        for entry in self.addresses.iter_mut().filter(alive) {
            let Some(iface) = entry.iface else { continue };
            entry.expires = Some(now + lease.as_duration());
            renewals.push(Renewal { iface, address: Arc::clone(&entry.address), lease });
        }
    }

    /// The kernel would not lengthen a lease. Whoever asks for the address itself learns why, and
    /// goes on asking.
    pub(crate) fn not_renewed(&mut self, now: Now, iface: IfIndex, cidr: Cidr, out: &mut Outbox) {
        let lease = self.lease;
        for entry in self.addresses.iter_mut().filter(|e| e.held && e.wanted && e.op.is_none()) {
            if entry.iface == Some(iface) && entry.address.kernel_cidr() == cidr {
                entry.hold(now, lease, Some(iface), &self.native, out);
            }
        }
    }

    /// Lets go of one address.
    pub(crate) fn release(&mut self, now: Now, address: IpAddr, out: &mut Outbox) {
        for entry in &mut self.addresses {
            if entry.wanted && entry.address.cidr.address() == address {
                entry.let_go(now, &self.native, out);
            }
        }
        self.forget_the_gone();
    }

    /// Some address is wanted and held on a lease.
    pub(crate) fn needs_renewal(&self) -> bool {
        self.lease.is_some() && !self.let_go()
    }

    /// An address is asked for there, or in place because it was.
    pub(crate) fn wants(&self, iface: IfIndex, cidr: Cidr) -> bool {
        let there = |e: &Entry| e.iface == Some(iface) && e.address.kernel_cidr() == cidr;
        self.addresses.iter().any(|e| e.wanted && there(e))
    }

    /// Why an address is not there; `None` if it is, or is being put there for the first time since it
    /// was.
    pub(crate) fn why_absent(&self, address: &VirtualAddress, iface: &IfName) -> Option<String> {
        let is_it = |e: &&Entry| !e.leaving && *e.address == *address && e.iface_name == *iface;
        let entry = self.addresses.iter().find(is_it)?;
        match &entry.error {
            _ if entry.held => None,
            Some(error) => Some(error.to_string()),
            None if !entry.wanted => Some("the interface does not exist".to_owned()),
            None if entry.op.is_some() => None,
            None => Some("somebody keeps removing it".to_owned()),
        }
    }

    /// No address is wanted any more.
    pub(crate) fn let_go(&self) -> bool {
        self.addresses.iter().all(|e| !e.wanted)
    }

    /// Asks for all addresses to go. Those never asked for are left alone.
    pub(crate) fn remove(&mut self, now: Now, out: &mut Outbox) {
        for entry in &mut self.addresses {
            if entry.wanted {
                entry.let_go(now, &self.native, out);
            }
        }
        self.forget_the_gone();
    }

    /// Asks for an address to go that bears our mark although nobody wants it there.
    pub(crate) fn remove_stray(&mut self, now: Now, iface: IfIndex, cidr: Cidr, out: &mut Outbox) {
        let idle = |e: &&mut Entry| !e.wanted && !e.held && e.op.is_none() && e.retry.is_none();
        let it = |e: &&mut Entry| !e.leaving && e.address.kernel_cidr() == cidr;
        if let Some(entry) = self.addresses.iter_mut().filter(it).find(idle) {
            entry.ask(now, Want::Gone, Some(iface), out);
            entry.stray = true;
        }
    }

    /// One of the addresses waits for the end of this operation.
    pub(crate) fn awaits(&self, op: OpId) -> bool {
        self.addresses.iter().any(|entry| entry.op == Some(op))
    }

    /// An operation was answered.
    pub(crate) fn done(
        &mut self,
        now: Now,
        op: OpId,
        result: &Result<Applied, OpError>,
        out: &mut Outbox,
    ) -> OpOutcome {
        let Some(entry) = self.addresses.iter_mut().find(|e| e.op == Some(op)) else {
            return OpOutcome::NotOurs;
        };
        entry.op = None;
        let settled = match result {
            Ok(_) if entry.doubtful => {
                entry.hold(now, self.lease, entry.iface, &self.native, out);
                entry.restoring = true;
                OpOutcome::Done
            }
            Ok(applied) => {
                let refused_before = entry.error.take().is_some();
                entry.held = entry.wanted;
                if std::mem::take(&mut entry.stray) && *applied == Applied::Changed {
                    return OpOutcome::Stray(entry.address.cidr);
                }
                let restored = std::mem::take(&mut entry.restoring) && *applied == Applied::Changed;
                if entry.held && restored {
                    entry.readded += 1;
                    entry.vanished_at.retain(|at| now.since(*at) <= FIGHT_WINDOW);
                    entry.vanished_at.push(now);
                    OpOutcome::Restored { cidr: entry.address.cidr, fight: entry.fighting() }
                } else if entry.held && refused_before {
                    OpOutcome::Recovered(entry.address.cidr)
                } else {
                    OpOutcome::Done
                }
            }
            Err(error) => {
                entry.error = Some(error.clone());
                entry.retry = Some(now + RETRY);
                OpOutcome::Refused(error.clone())
            }
        };
        self.forget_the_gone();
        settled
    }

    /// The kernel says an address is gone. While we hold it that was somebody else, unless the
    /// notice is an old one of our own removal: asking again tells (the answer is `Already`).
    pub(crate) fn vanished(&mut self, now: Now, iface: IfIndex, cidr: Cidr, out: &mut Outbox) {
        for entry in &mut self.addresses {
            let matches = entry.iface == Some(iface) && entry.address.kernel_cidr() == cidr;
            if !matches || !entry.wanted {
                continue;
            }
            if entry.op.is_some() {
                entry.doubtful = true;
                continue;
            }
            entry.held = false;
            if entry.lapsed(now) {
                // Not a theft. Nothing is put back before the state machine has decided who is
                // master (R36).
                continue;
            }
            entry.restoring = true;
            if entry.fighting() {
                entry.retry = Some(entry.retry.unwrap_or(now + RETRY));
            } else {
                entry.hold(now, self.lease, entry.iface, &self.native, out);
                entry.restoring = true;
            }
        }
    }

    /// A link was deleted: what was on it is gone, and nobody needs to remove it.
    pub(crate) fn link_gone(&mut self, iface: IfIndex) {
        for entry in self.addresses.iter_mut().filter(|e| e.iface == Some(iface)) {
            entry.iface = None;
            entry.held = false;
            entry.op = None;
            entry.retry = None;
            entry.wanted = false;
            entry.expires = None;
        }
        self.forget_the_gone();
    }

    /// Retries whose time has come.
    pub(crate) fn time_passed(&mut self, now: Now, out: &mut Outbox) {
        let kept: Vec<_> = self.addresses.iter().filter_map(Entry::claim).collect();
        for entry in &mut self.addresses {
            if entry.retry.is_some_and(|at| at <= now) {
                if entry.leaving && kept.contains(&(entry.iface, entry.address.kernel_cidr())) {
                    // Configured again since: removing it now would hit its successor.
                    entry.retry = None;
                    entry.held = false;
                    continue;
                }
                let restoring = entry.restoring;
                if entry.wanted {
                    entry.hold(now, self.lease, entry.iface, &self.native, out);
                } else {
                    entry.ask(now, Want::Gone, entry.iface, out);
                }
                entry.restoring = restoring;
            }
        }
        self.forget_the_gone();
    }

    pub(crate) fn deadline(&self) -> Option<Now> {
        self.addresses.iter().filter_map(|e| e.retry).min()
    }

    /// No operation is under way.
    pub(crate) fn settled(&self) -> bool {
        self.addresses.iter().all(|e| e.op.is_none())
    }

    /// Nothing of ours is left in the kernel, nor on its way there.
    pub(crate) fn released(&self) -> bool {
        // A refused removal is tried again, even where the answer to the installation it overtook
        // was never waited for.
        self.addresses.iter().all(|e| !e.wanted && e.op.is_none() && !e.held && e.retry.is_none())
    }

    /// The addresses that can be announced: present in the kernel, with their interface.
    pub(crate) fn held(&self) -> Vec<(IfIndex, Cidr)> {
        self.addresses
            .iter()
            .filter(|e| e.held && !e.leaving)
            .filter_map(|e| Some((e.iface?, e.address.kernel_cidr())))
            .collect()
    }

    pub(crate) fn status(&self, now: Now) -> Vec<AddressStatus> {
        let configured = self.addresses.iter().filter(|e| !e.leaving);
        configured
            .map(|e| AddressStatus {
                address: e.address.cidr.to_string(),
                interface: e.iface_name.clone(),
                held: e.held,
                advertised: e.address.advertised,
                lease_ms: e.expires.filter(|_| e.held).map(|at| millis(at.since(now))),
                error: e.error.as_ref().map(ToString::to_string),
                readded: e.readded,
            })
            .collect()
    }

    /// Addresses somebody keeps removing, and how often each was put back.
    pub(crate) fn fights(&self, now: Now) -> impl Iterator<Item = (Cidr, u64)> {
        let recent = move |e: &&Entry| {
            e.vanished_at.iter().filter(|at| now.since(**at) <= FIGHT_WINDOW).count() >= FIGHT
        };
        self.addresses.iter().filter(recent).map(|e| (e.address.cidr, e.readded))
    }

    fn forget_the_gone(&mut self) {
        self.addresses.retain(|e| !(e.leaving && e.op.is_none() && e.retry.is_none() && !e.held));
    }
}

impl Entry {
    fn new(address: Arc<VirtualAddress>, iface_name: IfName) -> Entry {
        Entry {
            address,
            iface_name,
            iface: None,
            wanted: false,
            held: false,
            expires: None,
            op: None,
            retry: None,
            error: None,
            readded: 0,
            vanished_at: Vec::new(),
            restoring: false,
            doubtful: false,
            leaving: false,
            stray: false,
        }
    }

    /// What it occupies in the kernel, if it is to stay there.
    fn claim(&self) -> Option<(Option<IfIndex>, Cidr)> {
        let stays = !self.leaving && self.wanted;
        stays.then(|| (self.iface, self.address.kernel_cidr()))
    }

    /// The lease has run out; the kernel may be late, never early.
    fn lapsed(&self, now: Now) -> bool {
        self.op.is_none() && self.expires.is_some_and(|at| at <= now)
    }

    fn fighting(&self) -> bool {
        self.vanished_at.len() >= FIGHT
    }

    fn is_native(&self, native: &BTreeSet<(IfIndex, Cidr)>) -> bool {
        self.iface.is_some_and(|iface| native.contains(&(iface, self.address.kernel_cidr())))
    }

    /// Asks for the address on `lease`, unless it is the interface's own: no daemon's death may take that away.
    fn hold(
        &mut self,
        now: Now,
        lease: Option<Lease>,
        iface: Option<IfIndex>,
        native: &BTreeSet<(IfIndex, Cidr)>,
        out: &mut Outbox,
    ) {
        let cidr = self.address.kernel_cidr();
        let is_native = iface.is_some_and(|iface| native.contains(&(iface, cidr)));
        self.ask(now, Want::Held(lease.filter(|_| !is_native)), iface, out);
    }

    /// Asks for the address to go, unless it is the interface's own.
    fn let_go(&mut self, now: Now, native: &BTreeSet<(IfIndex, Cidr)>, out: &mut Outbox) {
        if self.is_native(native) {
            self.wanted = false;
            self.held = false;
            self.op = None;
            self.retry = None;
            self.expires = None;
            self.doubtful = false;
            self.restoring = false;
        } else {
            self.ask(now, Want::Gone, self.iface, out);
        }
    }

    /// Issues an operation. A later one overtakes an earlier: the kernel performs them in order, so
    /// only the last answer counts.
    fn ask(&mut self, now: Now, want: Want, iface: Option<IfIndex>, out: &mut Outbox) {
        let lease = match want {
            Want::Held(lease) => Some(lease),
            Want::Gone => None,
        };
        self.wanted = lease.is_some();
        self.retry = None;
        self.restoring = false;
        self.doubtful = false;
        self.stray = false;
        self.vanished_at.retain(|at| now.since(*at) <= FIGHT_WINDOW);
        let Some(index) = iface else {
            // The address' own interface does not exist yet: look again.
            self.retry = self.wanted.then_some(now + RETRY);
            return;
        };
        self.iface = iface;
        if self.wanted {
            // Not known until the answer: a removal may be under way before it.
            self.held = false;
        }
        self.expires = lease.flatten().map(|lease| now + lease.as_duration());
        let op = out.next_op();
        self.op = Some(op);
        out.push(Action::Address { op, iface: index, address: Arc::clone(&self.address), want });
    }
}
