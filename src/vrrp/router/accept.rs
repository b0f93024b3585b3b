//! An accepted advert: differences from our configuration that are counted and logged once a
//! minute but drop nothing (V20 to V24).

use std::net::IpAddr;

use crate::config::RouterConfig;
use crate::io::Level;
use crate::text::addresses;
use crate::types::{Dialect, Now, Priority, V3Checksum};
use crate::vrrp::outbox::Outbox;
use crate::vrrp::router::{Followed, Router};
use crate::vrrp::timing;
use crate::wire::DropReason;
use crate::wire::vrrp::{Advert, Claim, Parsed};

impl Router {
    /// An advert that passed every check.
    pub(crate) fn accepted(
        &mut self,
        now: Now,
        source: IpAddr,
        hop_limit: Option<u8>,
        parsed: &Parsed,
        out: &mut Outbox,
    ) {
        let advert = &parsed.advert;
        let followed_already = self.followed.is_some_and(|f| f.address == source);
        self.remark_contact(now, source, advert, out);
        self.stats.accepted(advert.claim, parsed.checksum);
        self.peers.accepted(now, source, hop_limit, advert.claim, parsed.checksum);
        self.remark_interval(now, source, advert, out);
        self.remark_family(now, source, advert, out);
        self.remark_owner(now, source, advert, out);
        self.remark_checksum(now, source, parsed, out);
        if self.cfg.options.check_addresses || !followed_already {
            self.remark_addresses(now, source, advert, out);
        }
        self.advert_received(now, source, advert, out);
    }

    /// A packet for this router that failed a check.
    pub(crate) fn refused(
        &mut self,
        now: Now,
        source: IpAddr,
        reason: DropReason,
        out: &mut Outbox,
    ) {
        let counter = reason.counter();
        self.stats.refused(counter);
        let message = || format!("Refused a packet from {source}: {reason}");
        self.log.record(now, &self.cfg.name, counter.name(), Level::Warn, message, out);
        self.peers.refused(now, source, reason);
    }

    /// A valid advert in Fault: only for the status, where the operator looks for who serves instead.
    pub(crate) fn observed(&mut self, now: Now, source: IpAddr, advert: &Advert) {
        let known = self.still_heard(now);
        match advert.claim {
            Claim::Priority(theirs) => {
                let better = known.is_some_and(|master| {
                    (master.claim.wire_value(), master.address) > (theirs.get(), source)
                });
                if !better {
                    let interval = self.learned(advert.interval);
                    self.heard_from(now, source, advert.claim, Some(interval));
                }
            }
            Claim::Resign => self.followed = known.filter(|master| master.address != source),
        }
    }

    /// The master last heard, unless it has been silent for so long that a backup would have replaced
    /// it.
    pub(crate) fn still_heard(&self, now: Now) -> Option<Followed> {
        let RouterConfig { dialect, interval, options, .. } = &*self.cfg;
        self.followed.filter(|master| {
            let theirs = master.interval.unwrap_or(*interval);
            let silence = now.since(master.at);
            silence
                <= timing::master_down(
                    dialect,
                    Priority::LOWEST,
                    theirs,
                    options.down_timer_adverts,
                )
        })
    }

    /// A packet claims to come from one of our own addresses.
    pub(crate) fn own_address_heard(&mut self, now: Now, source: IpAddr, out: &mut Outbox) {
        self.stats.counters.duplicate_source += 1;
        let message = || {
            format!(
                "Received an advert from our own address {source}: a loop in the network, or \
                 another node uses this address"
            )
        };
        self.log.record(now, &self.cfg.name, "duplicate_source", Level::Warn, message, out);
    }

    /// Whether the advert lists exactly our addresses; the order is free.
    pub(crate) fn lists_our_addresses(&self, advert: &Advert) -> bool {
        let ours = self.cfg.advertised().count();
        advert.addresses.len() == ours
            && self.cfg.advertised().all(|own| advert.addresses.contains(&own))
    }

    /// V24: whether the advert is another cluster's that has our VRID by chance: it has no address in common with
    /// us, and none of its sender's ever had. A peer whose addresses change is one of ours all the same.
    pub(crate) fn is_another_clusters(&self, source: IpAddr, advert: &Advert) -> bool {
        let shared = self.cfg.advertised().any(|own| advert.addresses.contains(&own));
        !shared && !self.lists_our_addresses(advert) && !self.peers.has_accepted(source)
    }

    fn remark_interval(&mut self, now: Now, source: IpAddr, advert: &Advert, out: &mut Outbox) {
        let ours = self.cfg.interval;
        if advert.interval == ours {
            return;
        }
        self.stats.counters.interval_errors += 1;
        let theirs = advert.interval;
        let limit = self.cfg.options.max_learned_interval;
        let message = || {
            let cut = if theirs > limit {
                format!(", of which at most {limit} is believed (max_learned_interval)")
            } else {
                String::new()
            };
            format!("{source} advertises every {theirs}, we every {ours}: using its interval{cut}")
        };
        self.log.record(now, &self.cfg.name, "interval_errors", Level::Warn, message, out);
    }

    fn remark_family(&mut self, now: Now, source: IpAddr, advert: &Advert, out: &mut Outbox) {
        let IpAddr::V6(from) = source else { return };
        // A peer behind a router cannot use its link-local address.
        if !from.is_unicast_link_local() && !self.cfg.is_unicast() {
            self.stats.counters.src_not_ll += 1;
            let message = || format!("{source} advertises from an address that is not link-local");
            self.log.record(now, &self.cfg.name, "src_not_ll", Level::Warn, message, out);
        }
        let first_is_link_local = match advert.addresses.first() {
            Some(IpAddr::V6(first)) => first.is_unicast_link_local(),
            Some(IpAddr::V4(_)) | None => true,
        };
        if !first_is_link_local {
            self.stats.counters.first_addr_not_ll += 1;
            let message = || {
                format!("{source} lists a first address that is not link-local (RFC 9568 5.2.9)")
            };
            self.log.record(now, &self.cfg.name, "first_addr_not_ll", Level::Info, message, out);
        }
    }

    fn remark_owner(&mut self, now: Now, source: IpAddr, advert: &Advert, out: &mut Outbox) {
        if !self.cfg.priority.is_owner() || advert.claim != Claim::Priority(Priority::OWNER) {
            return;
        }
        self.stats.counters.owner_conflict += 1;
        let message = || {
            format!(
                "{source} claims priority 255 as we do, but the addresses can have one owner only: \
                 the higher address stays master"
            )
        };
        self.log.record(now, &self.cfg.name, "owner_conflict", Level::Warn, message, out);
    }

    fn remark_checksum(&mut self, now: Now, source: IpAddr, parsed: &Parsed, out: &mut Outbox) {
        let (Dialect::V3Ipv4(ours), Some(theirs)) = (self.cfg.dialect, parsed.checksum) else {
            return;
        };
        if ours != theirs {
            let message = || {
                let (form, set) = match theirs {
                    V3Checksum::MessageOnly => ("without the IPv4 pseudo-header", "message-only"),
                    V3Checksum::PseudoHeader => ("with the IPv4 pseudo-header", "pseudo-header"),
                    V3Checksum::OldUnicast => ("as if sent to the group", "old-unicast"),
                };
                format!(
                    "{source} computes the VRRPv3 checksum {form} and may refuse ours: set \
                     checksum = \"{set}\" (keepalived.conf: v3_checksum_as_v2, \
                     old_unicast_checksum)"
                )
            };
            self.log.record(now, &self.cfg.name, "checksum_form", Level::Warn, message, out);
        }
    }

    fn remark_addresses(&mut self, now: Now, source: IpAddr, advert: &Advert, out: &mut Outbox) {
        let same = self.lists_our_addresses(advert);
        let peer = self.peers.peer(now, source);
        let theirs = (!same).then_some(&*advert.addresses);
        if peer.other_list.as_deref() != theirs {
            peer.other_list = theirs.map(Into::into);
        }
        if same {
            return;
        }
        self.stats.counters.address_list_errors += 1;
        let message = || {
            let theirs = addresses(&advert.addresses);
            let ours = addresses(&self.cfg.advertised().collect::<Vec<_>>());
            format!(
                "{source} lists {theirs} where we list {ours}: accepted, but keepalived before \
                 2.3.3 refuses such adverts and both nodes become master"
            )
        };
        self.log.record(now, &self.cfg.name, "address_list_errors", Level::Warn, message, out);
    }
}
