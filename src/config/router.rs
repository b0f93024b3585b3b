//! The settings of a virtual router.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::announce::RawAnnounce;
use super::diag::{Span, Spanned};
use super::key::{settings, words};
use super::parts::{RawAddress, RawPeers, RawReceiveBuffer, Secret, Words};
use super::raw::{RawNotify, RawTrackRef, RawTrackedInterface};
use crate::types::{Centis, V3Checksum};

/// When the addresses go at a planned hand-over: stop, drain, handover, yielding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Release {
    /// As soon as the successor announces each of them, so that no packet is lost.
    #[default]
    AfterSuccessor,
    /// At once, as keepalived does.
    Now,
}

/// The RFC followed to the letter (protocol rules D1–D27, column "strict option").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strict {
    /// VRRPv2.
    Rfc3768,
    /// VRRPv3 of 2010; what keepalived's `vrrp_strict` comes closest to.
    Rfc5798,
    /// VRRPv3 of 2024.
    Rfc9568,
}

/// The R flag of unsolicited neighbour advertisements (rule W36).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouterFlag {
    /// Set it exactly if the interface forwards IPv6, as keepalived does.
    #[default]
    Forwarding,
    /// Always set.
    Set,
    /// Never set.
    Clear,
}

settings! {
    /// What a virtual router does, apart from who it is and whom it serves.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct RouterOptions, RawRouter, "" {
        /// Adverts missed before taking over; the RFCs say 3.
        down_timer_adverts keepalived "down_timer_adverts": u8 = 3, 1..=100;
        /// Answer a lower-priority advert at once (RFC 9568 section 6.4.3). False is keepalived's
        /// `lower_prio_no_advert`.
        answer_lower: bool = true;
        /// Send one more advert before yielding to a higher priority (`higher_prio_send_advert`).
        advert_before_yield keepalived "higher_prio_send_advert": bool = true;
        /// With priority 255: read the adverts of others, so that one of two owners gives way.
        /// False is keepalived's `owner_ignore_adverts`.
        owner_listens: bool = true;
        /// Compare a peer's address list with ours (`skip_check_adv_addr` turns it off for a master we
        /// already follow).
        check_addresses keepalived "!skip_check_adv_addr": bool = true;
        /// The longest interval learnt from a VRRPv3 master (deviation D25). Default: three times
        /// its own interval, at least 3 s.
        max_learned_interval: Centis = Centis::MAX_V3, Centis::MIN..=Centis::MAX_V3;
        /// Whether some router on this LAN may claim priority 255 (validation V25).
        expect_owner: bool = true;
        /// Go to Fault when the router's interface is down (`dont_track_primary` turns it off).
        track_interface keepalived "!dont_track_primary": bool = true;
        /// Go to Fault when no interface of this host has the source address (`track_src_ip`). With
        /// unicast that is always so: nobody could answer.
        track_source keepalived "track_src_ip": bool = false;
        /// Have the kernel keep the other IPv4 addresses of a network on the interface when its first
        /// one goes.
        promote_secondaries keepalived "promote_secondaries": bool = false;
        /// Install the addresses with a lease the kernel ends by itself.
        lease keepalived "vipd_lease": bool = true;
        /// When the addresses go at a planned hand-over.
        release keepalived "vipd_release": Release = Release::AfterSuccessor;
        /// The R flag of unsolicited neighbour advertisements.
        router_flag: RouterFlag = RouterFlag::Forwarding;
    }
    given {
        /// Its name, at the place of the block's header.
        name: Spanned<String>;
        /// How the dialect names the settings, for messages.
        words: &'static Words;
    }
    written {
        /// The interface that carries the adverts.
        interface: String;
        /// The virtual router identifier, 1 to 255: the same on all nodes.
        vrid keepalived "virtual_router_id": i64;
        /// The priority before tracking, 1 to 255; the highest is master. Default: 100.
        priority keepalived "priority": i64;
        /// The version of VRRP, 2 or 3. Default: 2 for IPv4, 3 for IPv6.
        version: i64;
        /// The time between adverts: the same on all nodes.
        interval keepalived "advert_int": Duration;
        /// Whether a better backup takes over from a master. Default: true.
        preempt: bool;
        /// How long a better router waits before it takes over. Default: 0 s.
        preempt_delay keepalived "preempt_delay": Duration;
        /// The best priority another node has: a master that stood still for so long that such a
        /// peer has taken over becomes backup. Default: none.
        highest_peer_priority: i64;
        /// One RFC to the letter.
        strict: Strict;
        /// Source address of the adverts. Default: the primary IPv4 or link-local IPv6 address of
        /// interface.
        source keepalived "mcast_src_ip" or "unicast_src_ip": IpAddr;
        /// Multicast group of the adverts. Default: 224.0.0.18 or ff02::12.
        group keepalived "mcast_dst_ip": IpAddr;
        /// Whether a router is in Fault while its list of peers is empty. Default: false.
        fault_without_peers keepalived "unicast_fault_no_peer": bool;
        /// TTL or hop limit of adverts to peers. Default: 255.
        ttl keepalived "unicast_ttl": i64;
        /// The form of the VRRPv3 checksum over IPv4. Default: pseudo-header.
        checksum: V3Checksum;
    }
    beside {
        /// The settings that are there at all: one that cannot be read is wrong, not missing.
        written: BTreeSet<String>;
        /// The VRRPv2 password.
        auth_pass: Option<Spanned<Secret>>;
        /// Unicast peers, if adverts go to them.
        peers: Option<RawPeers>;
        /// How much the kernel keeps while nobody reads.
        receive_buffer: Option<Spanned<RawReceiveBuffer>>;
        /// Addresses in the advert.
        addresses: Vec<RawAddress>;
        /// Addresses that are not.
        excluded: Vec<RawAddress>;
        /// Set if having no address in the advert is meant.
        no_addresses: Option<Span>;
        /// Gratuitous ARP and unsolicited NA.
        announce: RawAnnounce;
        /// Trackers that move its priority.
        track: Vec<RawTrackRef>;
        /// Further interfaces that do.
        track_interfaces: Vec<RawTrackedInterface>;
        /// Who is told what.
        notify: RawNotify;
    }
}

words! {
    Strict: "rfc3768" Rfc3768, "rfc5798" Rfc5798, "rfc9568" Rfc9568;
    V3Checksum: "pseudo-header" PseudoHeader, "message-only" MessageOnly, "old-unicast" OldUnicast;
    Release: "after-successor" AfterSuccessor, "now" Now;
    RouterFlag: "forwarding" Forwarding, "set" Set, "clear" Clear;
}
