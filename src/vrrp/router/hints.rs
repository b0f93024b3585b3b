//! What an operator should know at 3 a.m., and do about it: a sentence each, with the other node's
//! address and the remedy.

use std::net::IpAddr;
use std::time::Duration;

use crate::config::{Cast, Preempt};
use crate::status::{HintCode, HintStatus, State};
use crate::text::{addresses, counted, first_and_more, times};
use crate::types::{Cidr, Dialect, Family, Now};
use crate::vrrp::peer_table::Peer;
use crate::vrrp::router::{Followed, Phase, Router, WaitingFor};
use crate::wire::DropReason;
use crate::wire::vrrp::{Claim, HOP_LIMIT};

/// A stray packet older than this no longer explains the present.
const RECENT: Duration = Duration::from_secs(60);
/// Other nodes there is more to say about than that they exist.
const MOST_DISCUSSED: usize = 3;
/// Two configurations that differ do so until somebody changes one, and a keepalived that refuses us
/// holds the addresses without another word: what it said once is remembered for this long.
pub(super) const DISAGREEMENT: Duration = Duration::from_secs(24 * 60 * 60);

/// How a host's packet filter is told to let VRRP in.
#[must_use]
pub fn allow_vrrp(family: Family) -> String {
    allow(family, "input")
}

/// How it is told to let VRRP out.
#[must_use]
pub fn allow_vrrp_out(family: Family) -> String {
    allow(family, "output")
}

fn allow(family: Family, chain: &str) -> String {
    let iptables = match family {
        Family::Ipv4 => "iptables",
        Family::Ipv6 => "ip6tables",
    };
    let upper = chain.to_ascii_uppercase();
    format!(
        "`nft insert rule inet filter {chain} meta l4proto 112 accept` or `{iptables} -I {upper} -p \
         112 -j ACCEPT`"
    )
}

impl Router {
    /// The most urgent first. `heard` is when another node's last packet arrived on the interface.
    pub(crate) fn hints(&self, now: Now, heard: Option<Now>) -> Vec<HintStatus> {
        let mut hints = self.peer_hints(now);
        let alone = [
            (HintCode::TwoMasters, self.two_masters_hint(now)),
            (HintCode::AddressConflict, self.conflict_hint(now, heard)),
            (HintCode::NotPreempted, self.preempt_hint(now)),
            (HintCode::JustStarted, self.first_wait_hint(now)),
            (HintCode::Untested, self.untested_hint()),
            (HintCode::WaitsForGroup, self.group_hint()),
        ];
        let alone = alone.into_iter().filter_map(|(code, text)| Some((code, text?)));
        let foreign = self.foreign_hints().map(|text| (HintCode::ForeignAddress, text));
        let fights = self.addresses.fights(now).map(|(cidr, readded)| {
            let text = format!(
                "something keeps removing {cidr}, restored {}: look for a network manager or \
                 another VRRP daemon on this host",
                times(readded)
            );
            (HintCode::AddressFight, text)
        });
        let duplicate = (self.stats.counters.duplicate_source > 0).then(|| {
            let text = "adverts arrive from our own address: a loop in the network, or another node \
                        uses this address";
            (HintCode::DuplicateSource, text.to_owned())
        });
        let others = alone.chain(foreign).chain(fights).chain(duplicate);
        hints.extend(others.map(|(code, text)| HintStatus::new(code, text)));
        hints
    }

    /// An address that another program put on this host answers here, whoever is master.
    fn foreign_hints(&self) -> impl Iterator<Item = String> {
        let state = self.state();
        let serves = !matches!(self.phase, Phase::Fault | Phase::Backup { .. });
        // One that a master holds is its own, whoever was first.
        let held = |cidr: &Cidr| self.cfg.addresses.iter().any(|own| own.kernel_cidr() == *cidr);
        let stays = move |cidr: &Cidr| !self.cfg.priority.is_owner() && !held(cidr);
        let foreign = self.env.foreign.iter().filter(move |(_, cidr)| !serves || stays(cidr));
        foreign.map(move |(iface, cidr)| {
            let (although, effect) = if serves {
                (String::new(), "it stays when another node takes over, and then two hosts answer for it")
            } else {
                (format!(" although this router is {state}"), "two hosts may answer for it")
            };
            format!(
                "{cidr} is on {iface}{although}, and vipd did not put it there: {effect}. If it is left over, `ip \
                 address del {cidr} dev {iface}`; if it is this host's own, the router needs another address, or \
                 priority 255"
            )
        })
    }

    /// About those who do not get on with us; if they are many, about those we follow or accept.
    fn peer_hints(&self, now: Now) -> Vec<HintStatus> {
        let mut peers: Vec<_> = self.peers.peers().collect();
        if peers.len() > MOST_DISCUSSED {
            let followed = self.followed.map(|followed| followed.address);
            peers.sort_by_key(|(address, peer)| {
                (followed != Some(**address), std::cmp::Reverse(peer.last_accepted))
            });
        }
        let mut hints = Vec::new();
        let mut discussed = 0;
        for (at, (address, peer)) in peers.iter().enumerate() {
            if discussed == MOST_DISCUSSED {
                let more = counted(peers.len() - at, "more node");
                let text = format!(
                    "VRID {} is in packets of {more}: `vipd status --json` has them under \
                     `strangers`",
                    self.cfg.vrid
                );
                hints.push(HintStatus::new(HintCode::MoreNodes, text));
                break;
            }
            let before = hints.len();
            let (list, differs) = self.list_hint(now, **address, peer).unzip();
            let about = [
                (HintCode::PacketsRefused, self.refusal_hint(now, **address, peer)),
                (list.unwrap_or(HintCode::AddressListsDiffer), differs),
                (HintCode::SecondMaster, self.rival_hint(now, **address, peer)),
                (HintCode::DistantPeer, self.distance_hint(now, **address, peer)),
            ];
            let about = about.into_iter().filter_map(|(code, text)| Some((code, text?)));
            hints.extend(about.map(|(code, text)| HintStatus::about(code, **address, text)));
            discussed += usize::from(hints.len() > before);
        }
        hints
    }

    /// A peer we cannot understand, and what would make both agree.
    fn refusal_hint(&self, now: Now, address: IpAddr, peer: &Peer) -> Option<String> {
        let (at, reason) = peer.last_refusal.as_ref()?;
        let (remedy, remembered) = self.remedy(reason);
        if now.since(*at) > remembered || peer.last_accepted.is_some_and(|heard| heard > *at) {
            return None;
        }
        let vrid = self.cfg.vrid;
        if let DropReason::OtherCluster { first, more } = reason {
            return Some(format!(
                "{address} uses VRID {vrid} too, for {}: another cluster, and its adverts are refused. Give one \
                 of them another `virtual_router_id`; or make the lists equal, if it is a peer: until then both \
                 may be master",
                first_and_more(*first, *more)
            ));
        }
        let silence = self.silence(now, peer);
        Some(format!(
            "{address} speaks for VRID {vrid} too, but we refuse it: {reason}. Both nodes may be \
             master{silence}: {remedy}, or another `virtual_router_id` if it is no peer of ours"
        ))
    }

    /// What to do about packets dropped for `reason`, and for how long one of them matters.
    fn remedy(&self, reason: &DropReason) -> (&'static str, Duration) {
        match reason {
            DropReason::Family { .. }
            | DropReason::UnknownVersion { .. }
            | DropReason::Version2OverIpv6
            | DropReason::OtherVersion { .. } => {
                ("set the same `version` on both nodes", DISAGREEMENT)
            }
            DropReason::UnknownAuthType { .. }
            | DropReason::AuthTypeMismatch { .. }
            | DropReason::AuthenticationHeader
            | DropReason::WrongPassword => {
                ("set the same `authentication` on both nodes", DISAGREEMENT)
            }
            DropReason::ZeroInterval | DropReason::Interval { .. } => {
                ("set the same `advert_int` on both nodes", DISAGREEMENT)
            }
            DropReason::Ipv4TooShort { .. }
            | DropReason::Ipv4Version { .. }
            | DropReason::Ipv4HeaderLength { .. }
            | DropReason::Ipv4TotalLength { .. }
            | DropReason::TooShort { .. }
            | DropReason::Length { .. }
            | DropReason::AuthExtension => {
                ("does it sign its adverts (auth_hmac) or differ in version?", DISAGREEMENT)
            }
            DropReason::WrongCast { .. } => {
                ("use unicast with the same peers on all nodes, or on none", DISAGREEMENT)
            }
            DropReason::UnknownPeer => ("add it to the list of peers", DISAGREEMENT),
            DropReason::HopLimit { .. } | DropReason::HopLimitUnknown if self.cfg.is_unicast() => {
                ("set its `min_ttl` if a router is between you", DISAGREEMENT)
            }
            DropReason::HopLimit { .. } | DropReason::HopLimitUnknown => {
                ("find the router or tunnel between you, or the forger", RECENT)
            }
            DropReason::UnexpectedOwner => {
                ("take priority 255 away from it, or set `expect_owner = true`", DISAGREEMENT)
            }
            DropReason::OwnerIgnoresAdverts => {
                ("give one of them a priority below 255", DISAGREEMENT)
            }
            DropReason::Checksum if self.cfg.strict.is_some() => {
                ("have it send the checksum of RFC 9568, or turn `strict` off here", DISAGREEMENT)
            }
            DropReason::Checksum => ("its packets are damaged on the way, or forged", RECENT),
            DropReason::NoAddress => ("give it an address", DISAGREEMENT),
            DropReason::AddressList | DropReason::OtherCluster { .. } => {
                ("make the address lists equal", DISAGREEMENT)
            }
            DropReason::SourceNotLinkLocal | DropReason::FirstAddressNotLinkLocal => {
                ("give it a link-local address, or turn `strict` off here", DISAGREEMENT)
            }
            DropReason::Protocol { .. } | DropReason::Type { .. } => {
                ("see `vipd status NAME` for the counters", RECENT)
            }
            // Counted for the daemon: no peer of a router has them.
            DropReason::Truncated
            | DropReason::OwnSource
            | DropReason::UnknownVrid
            | DropReason::VridZero => ("see `vipd status` for the counters", RECENT),
        }
    }

    /// A stranger with our VRID; or a peer that keepalived before 2.3.3 would refuse, or that refuses
    /// us for the same reason. It is told as a backup already: once both are master it is too late.
    fn list_hint(&self, now: Now, address: IpAddr, peer: &Peer) -> Option<(HintCode, String)> {
        let theirs = peer.other_list.as_ref()?;
        if self.last_advert_age(now, peer)? > DISAGREEMENT {
            return None;
        }
        let ours: Vec<IpAddr> = self.cfg.advertised().collect();
        let without = |all: &[IpAddr], others: &[IpAddr]| {
            all.iter().filter(|a| !others.contains(a)).copied().collect::<Vec<_>>()
        };
        let (missing, extra) = (without(&ours, theirs), without(theirs, &ours));
        if missing.len() == ours.len() && !extra.is_empty() {
            let following = self.state() == State::Backup
                && self.followed.is_some_and(|followed| followed.address == address);
            let (code, effect) = if following {
                let effect = format!("we follow it, so nobody serves {}", addresses(&ours));
                (HintCode::AddressesUnserved, effect)
            } else {
                let effect = "while one of us is master, nobody serves the addresses of the other";
                (HintCode::AddressListsDiffer, effect.to_owned())
            };
            let text = format!(
                "{address} is a peer, but lists {}, none of them ours: {effect}. Make the lists equal",
                first_and_more(extra.first().copied(), extra.len().saturating_sub(1))
            );
            return Some((code, text));
        }
        let mut differences = Vec::new();
        if !extra.is_empty() {
            differences.push(format!("lists {}, which we do not", addresses(&extra)));
        }
        if !missing.is_empty() {
            differences.push(format!("does not list our {}", addresses(&missing)));
        }
        let silence = self.silence(now, peer);
        let text = format!(
            "{address} {}: keepalived before 2.3.3 refuses such adverts, and then both nodes are \
             master{silence}: make the lists equal",
            differences.join(" and ")
        );
        Some((HintCode::AddressListsDiffer, text))
    }

    /// A peer that goes on advertising although we are master, and whose list is not the reason.
    fn rival_hint(&self, now: Now, address: IpAddr, peer: &Peer) -> Option<String> {
        let Some(Claim::Priority(theirs)) = peer.claim else { return None };
        // Once is no more than a node that has just come up and not yet heard our answer.
        let again =
            peer.accepted_before.is_some_and(|at| now.since(at) <= self.silence_limit() * 2);
        let advertising = again && self.last_advert_age(now, peer)? <= self.silence_limit();
        let reigning =
            self.state() == State::Master && now.since(self.since) > self.silence_limit();
        if !advertising || !reigning || peer.other_list.is_some() {
            return None;
        }
        let cause = if let (Dialect::V3Ipv4(ours), Some(theirs)) = (self.cfg.dialect, peer.checksum)
            && ours != theirs
        {
            "it uses the other VRRPv3 checksum form and probably refuses our adverts: set \
             v3_checksum_as_v2 on one side"
                .to_owned()
        } else {
            format!(
                "it does not hear or does not accept our adverts: compare its configuration, and \
                 look for a filter on IP protocol 112, on it or between you; there, {} lets VRRP in",
                allow_vrrp(self.cfg.dialect.family())
            )
        };
        Some(format!("{address} is master too, with priority {theirs}: {cause}"))
    }

    /// A listed peer whose adverts come from farther than the LAN, with nothing said about how far they may.
    fn distance_hint(&self, now: Now, address: IpAddr, peer: &Peer) -> Option<String> {
        let Cast::Unicast { peers, .. } = &self.cfg.cast else { return None };
        let listed = peers.iter().find(|listed| listed.address == address)?;
        let hop_limit = peer.hop_limit.filter(|found| *found < HOP_LIMIT)?;
        let lately = self.last_advert_age(now, peer)? <= DISAGREEMENT;
        (lately && *listed.accepted_ttl.start() == 1).then(|| {
            format!(
                "adverts of {address} arrive with TTL {hop_limit}, not {HOP_LIMIT}: a router is between you, or it sends \
                 them so. Others beyond that router can forge its address: `min_ttl` {hop_limit} for this peer \
                 refuses what comes from farther away"
            )
        })
    }

    /// Two others that advertise in turns: each of them was heard between two adverts of the other.
    fn two_masters_hint(&self, now: Now) -> Option<String> {
        if self.state() != State::Backup {
            return None;
        }
        let reigning = self.peers.peers().filter_map(|(address, peer)| {
            let Claim::Priority(priority) = peer.claim? else { return None };
            let (last, before) = (peer.last_accepted?, peer.accepted_before?);
            (now.since(last) <= self.silence_limit()).then_some((priority, *address, last, before))
        });
        let mut reigning: Vec<_> = reigning.collect();
        reigning.sort_by_key(|(priority, address, ..)| std::cmp::Reverse((*priority, *address)));
        let [(high, best, last, before), (low, rival, other_last, other_before), ..] =
            &reigning[..]
        else {
            return None;
        };
        (last > other_before && other_last > before).then(|| {
            format!(
                "{best} (priority {high}) and {rival} (priority {low}) are both master: {rival} does \
                 not hear or does not accept the other's adverts: compare its configuration, and \
                 look for a filter on IP protocol 112 on it"
            )
        })
    }

    /// How long a worse master is left alone, and why.
    fn preempt_hint(&self, now: Now) -> Option<String> {
        let Phase::Backup { hold, master_down, .. } = &self.phase else { return None };
        let Followed { address, claim: Claim::Priority(theirs), .. } = self.followed? else {
            return None;
        };
        let ours = self.effective;
        if theirs >= ours {
            return None;
        }
        let left = |until: Now| until.since(now).as_secs_f64();
        Some(match (self.cfg.preempt, hold) {
            (Preempt::Never, _) => format!(
                "{address} stays master with priority {theirs}, ours is {ours}: nopreempt is set"
            ),
            (Preempt::After(_), _) if self.yielded => format!(
                "{address} stays master with priority {theirs}, ours is {ours}: the operator handed \
                 over to it (`vipd handover`); this node serves again when {address} falls silent or \
                 resigns"
            ),
            (Preempt::After(_), Some(until)) if *until > now => format!(
                "{address} stays master with priority {theirs}, ours is {ours}: preempt_delay has \
                 {:.1} s left",
                left(*until)
            ),
            (Preempt::After(_), _) => format!(
                "{address} is about to be preempted: it has priority {theirs}, ours is {ours}; \
                 {:.1} s left",
                left(*master_down)
            ),
        })
    }

    /// Whoever has just started the preferred node wonders why it says BACKUP.
    fn first_wait_hint(&self, now: Now) -> Option<String> {
        let Phase::Backup { master_down, waiting_for: WaitingFor::AnyMaster, .. } = &self.phase
        else {
            return None;
        };
        let waits = self.may_take_over() && !self.wants_master();
        (waits && !self.stats.has_changed() && !self.effective.is_owner()).then(|| {
            format!(
                "just started: every router begins as BACKUP and listens whether somebody serves; it \
                 becomes master in {:.1} s if nobody does",
                master_down.since(now).as_secs_f64()
            )
        })
    }

    /// A timer that may end without consequence.
    fn untested_hint(&self) -> Option<String> {
        if self.may_take_over() || !matches!(self.phase, Phase::Backup { .. }) {
            return None;
        }
        let names: Vec<&str> = self.env.untested.iter().map(String::as_str).collect();
        let (have, they) = if names.len() == 1 { ("has", "it has") } else { ("have", "they have") };
        let names = names.join(", ");
        Some(format!("{names} {have} not answered yet: until {they}, nothing is taken over"))
    }

    /// A timer that has ended without consequence.
    fn group_hint(&self) -> Option<String> {
        let text = "nobody is master here, but another member of the group waits for its timer or \
                    follows a better master";
        self.wants_master().then(|| text.to_owned())
    }

    /// Since a peer's last advert that we accepted, unless that was a resignation.
    fn last_advert_age(&self, now: Now, peer: &Peer) -> Option<Duration> {
        match peer.claim? {
            Claim::Resign => None,
            Claim::Priority(_) => Some(now.since(peer.last_accepted?)),
        }
    }

    /// A master that refuses what it hears may be quiet: keepalived's advert timer starts again with
    /// every packet it receives, and ours come first.
    fn silence(&self, now: Now, peer: &Peer) -> &'static str {
        if self.state() == State::Master && now.since(peer.last_seen) > self.silence_limit() {
            " (it is silent now, but may still hold the addresses)"
        } else {
            ""
        }
    }

    /// A master that is still there has advertised within this time.
    pub(super) fn silence_limit(&self) -> Duration {
        self.cfg.interval.as_duration() * 3
    }
}
