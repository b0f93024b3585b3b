//! What one router counted and whom it heard: the evidence behind `vipd status`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::io::Level;
use crate::status::{Counters, PeerStatus, State, TransitionStatus, millis};
use crate::types::{DropCounter, Mac, Now, V3Checksum};
use crate::vrrp::outbox::Outbox;
use crate::wire::DropReason;
use crate::wire::vrrp::Claim;

/// Senders remembered per router; the one silent for longest makes room.
const MAX_PEERS: usize = 32;
/// State changes remembered per router.
const MAX_TRANSITIONS: usize = 16;
/// Whoever has an address answers within this time.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);
/// One log line per reason and router in this time.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Counters, peers and history of one router. What grows with what others send is shared with those
/// who write a status of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) counters: Counters,
    peers: Arc<BTreeMap<IpAddr, Peer>>,
    /// Our addresses that somebody else announced, or answered for, while we were master.
    claims: BTreeMap<IpAddr, Rival>,
    /// The MACs of peers that were asked for.
    located: BTreeMap<IpAddr, Mac>,
    /// Masters that fell silent, and have not been heard since.
    lost: BTreeSet<IpAddr>,
    transitions: Arc<VecDeque<Transition>>,
    quiet: BTreeMap<&'static str, Quiet>,
}

/// When, from, to, and why.
type Transition = (Now, Option<State>, State, String);

/// A sender heard with this VRID.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) last_seen: Now,
    pub(crate) claim: Option<Claim>,
    pub(crate) last_accepted: Option<Now>,
    /// The one before.
    pub(crate) accepted_before: Option<Now>,
    accepted: u64,
    refused: BTreeMap<DropCounter, u64>,
    pub(crate) last_refusal: Option<(Now, DropReason)>,
    pub(crate) checksum: Option<V3Checksum>,
    /// The TTL or hop limit of the last one accepted.
    pub(crate) hop_limit: Option<u8>,
    /// The address list of its last advert, if it differs from ours.
    pub(crate) other_list: Option<Arc<[IpAddr]>>,
}

/// Who announced an address of ours while we were master, or answers for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rival {
    pub(crate) mac: Mac,
    pub(crate) announced: Option<Now>,
    /// Its last answer to a question of ours.
    answered: Option<Now>,
    /// The last question.
    asked: Option<Now>,
    /// We have announced it since it did, so that the others know better.
    pub(crate) corrected: bool,
    /// We have done so because of it.
    pub(crate) defended: bool,
}

impl Rival {
    /// Its last sign.
    pub(crate) fn at(&self) -> Option<Now> {
        self.announced.max(self.answered)
    }

    /// It answers for the address: the last question, if that was not just now, was answered.
    pub(crate) fn answers(&self, now: Now) -> bool {
        self.answered.is_some_and(|at| {
            self.asked.is_none_or(|asked| asked <= at || now.since(asked) <= ANSWERED_WITHIN)
        })
    }
}

/// A reason that was logged, and how often it occurred since.
#[derive(Clone, Debug)]
struct Quiet {
    logged: Now,
    left_out: u64,
}

impl Ledger {
    /// Logs at most once per reason and minute; says how many were left out.
    pub(crate) fn log(
        &mut self,
        now: Now,
        router: &str,
        reason: &'static str,
        level: Level,
        message: impl FnOnce() -> String,
        out: &mut Outbox,
    ) {
        match self.quiet.get_mut(reason) {
            Some(quiet) if now.since(quiet.logged) < LOG_EVERY => quiet.left_out += 1,
            Some(quiet) => {
                let left_out = std::mem::take(&mut quiet.left_out);
                quiet.logged = now;
                let more = if left_out == 0 {
                    String::new()
                } else {
                    format!(" ({left_out} more since the last such line)")
                };
                out.record(level, Some(router), message() + &more);
            }
            None => {
                self.quiet.insert(reason, Quiet { logged: now, left_out: 0 });
                out.record(level, Some(router), message());
            }
        }
    }

    /// A packet from `source` was refused.
    pub(crate) fn refused(
        &mut self,
        now: Now,
        router: &str,
        source: IpAddr,
        reason: DropReason,
        out: &mut Outbox,
    ) {
        let counter = reason.counter();
        if let Some(value) = self.counters.dropped_mut(counter) {
            *value += 1;
        }
        let message = || format!("Refused a packet from {source}: {reason}");
        self.log(now, router, counter.name(), Level::Warn, message, out);
        let peer = self.peer(now, source);
        *peer.refused.entry(counter).or_default() += 1;
        peer.last_refusal = Some((now, reason));
    }

    /// An advert from `source` was accepted.
    pub(crate) fn accepted(
        &mut self,
        now: Now,
        source: IpAddr,
        hop_limit: Option<u8>,
        claim: Claim,
        checksum: Option<V3Checksum>,
    ) {
        self.counters.adv_rcvd += 1;
        if claim == Claim::Resign {
            self.counters.pri_zero_rcvd += 1;
        }
        match checksum {
            Some(V3Checksum::PseudoHeader | V3Checksum::OldUnicast) => {
                self.counters.checksum_pseudo_header += 1;
            }
            Some(V3Checksum::MessageOnly) => self.counters.checksum_message_only += 1,
            None => {}
        }
        let peer = self.peer(now, source);
        peer.accepted += 1;
        peer.claim = Some(claim);
        peer.accepted_before = peer.last_accepted.replace(now);
        peer.checksum = checksum;
        peer.hop_limit = hop_limit;
    }

    /// Whether an advert from `source` was ever accepted.
    pub(crate) fn has_accepted(&self, source: IpAddr) -> bool {
        self.peers.get(&source).is_some_and(|peer| peer.last_accepted.is_some())
    }

    /// Somebody else announced an address of ours although we are master.
    pub(crate) fn claimed(&mut self, now: Now, vip: IpAddr, mac: Mac) {
        let rival = self.rival(vip, mac);
        rival.announced = Some(now);
        rival.corrected = false;
    }

    /// Somebody else answers for an address of ours although we are master.
    pub(crate) fn answered(&mut self, now: Now, vip: IpAddr, mac: Mac) {
        self.rival(vip, mac).answered = Some(now);
    }

    /// We have asked who else has an address.
    pub(crate) fn asked(&mut self, now: Now, vip: IpAddr) {
        if let Some(rival) = self.claims.get_mut(&vip) {
            rival.asked = Some(now);
        }
    }

    pub(crate) fn rival(&mut self, vip: IpAddr, mac: Mac) -> &mut Rival {
        let new = Rival {
            mac,
            announced: None,
            answered: None,
            asked: None,
            corrected: false,
            defended: false,
        };
        let rival = self.claims.entry(vip).or_insert(new);
        if rival.mac != mac {
            *rival = new;
        }
        rival
    }

    /// Where a peer is on the LAN.
    pub(crate) fn locate(&mut self, peer: IpAddr, mac: Mac) {
        self.located.insert(peer, mac);
    }

    /// The peer that is there.
    pub(crate) fn peer_at(&self, mac: Mac) -> Option<IpAddr> {
        self.located.iter().find(|(_, known)| **known == mac).map(|(peer, _)| *peer)
    }

    /// For how long a peer has said nothing; `None` if it was never heard.
    pub(crate) fn silence(&self, now: Now, peer: IpAddr) -> Option<Duration> {
        Some(now.since(self.peers.get(&peer)?.last_accepted?))
    }

    /// A master fell silent.
    pub(crate) fn lose(&mut self, master: IpAddr) {
        if self.lost.len() < MAX_PEERS {
            self.lost.insert(master);
        }
    }

    /// It is heard again: whether it had been lost.
    pub(crate) fn find(&mut self, peer: IpAddr) -> bool {
        self.lost.remove(&peer)
    }

    /// We announced an address ourselves.
    pub(crate) fn announced(&mut self, vip: IpAddr) {
        self.counters.announcements_sent += 1;
        if let Some(rival) = self.claims.get_mut(&vip) {
            rival.corrected = true;
        }
    }

    /// Addresses of ours that somebody else announced or answers for since we became master.
    pub(crate) fn rivals(&self) -> impl Iterator<Item = (IpAddr, Rival)> {
        self.claims.iter().map(|(vip, rival)| (*vip, *rival))
    }

    pub(crate) fn transition(&mut self, now: Now, from: Option<State>, to: State, reason: &str) {
        self.claims.clear();
        self.remember(now, from, to, reason);
        if to == State::Master {
            self.counters.master_transitions += 1;
        }
        if from == Some(State::Master) {
            self.counters.release_master += 1;
        }
    }

    /// Something of the history that is no change of the state as well.
    pub(crate) fn remember(&mut self, now: Now, from: Option<State>, to: State, reason: &str) {
        let transitions = Arc::make_mut(&mut self.transitions);
        if transitions.len() == MAX_TRANSITIONS {
            transitions.pop_front();
        }
        transitions.push_back((now, from, to, reason.to_owned()));
    }

    /// The state has changed since the start.
    pub(crate) fn has_changed(&self) -> bool {
        self.transitions.iter().any(|(_, from, ..)| from.is_some())
    }

    /// Our side of what must agree has changed: earlier disagreements may be settled.
    pub(crate) fn forget_disagreements(&mut self) {
        for peer in Arc::make_mut(&mut self.peers).values_mut() {
            peer.last_refusal = None;
            peer.other_list = None;
        }
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = (&IpAddr, &Peer)> {
        self.peers.iter()
    }

    /// The entry of a sender; the table is bounded whatever a stranger sends.
    pub(crate) fn peer(&mut self, now: Now, source: IpAddr) -> &mut Peer {
        let peers = Arc::make_mut(&mut self.peers);
        if !peers.contains_key(&source) && peers.len() >= MAX_PEERS {
            let stalest = peers.iter().min_by_key(|(_, p)| p.last_seen).map(|(a, _)| *a);
            if let Some(stalest) = stalest {
                peers.remove(&stalest);
            }
        }
        let peer = peers.entry(source).or_insert_with(|| Peer {
            last_seen: now,
            claim: None,
            last_accepted: None,
            accepted_before: None,
            accepted: 0,
            refused: BTreeMap::new(),
            last_refusal: None,
            checksum: None,
            hop_limit: None,
            other_list: None,
        });
        peer.last_seen = now;
        peer
    }

    pub(crate) fn peer_status(&self, now: Now) -> Vec<PeerStatus> {
        let mut peers: Vec<_> = self.peers.iter().collect();
        peers.sort_by_key(|(_, p)| std::cmp::Reverse(p.last_seen));
        peers
            .into_iter()
            .map(|(address, p)| PeerStatus {
                address: *address,
                last_seen_ms: millis(now.since(p.last_seen)),
                priority: p.claim.map(Claim::wire_value),
                accepted: p.accepted,
                refused: p.refused.clone(),
                last_refusal: p.last_refusal.as_ref().map(|(_, r)| r.to_string()),
                last_refusal_ms: p.last_refusal.as_ref().map(|(at, _)| millis(now.since(*at))),
                checksum: p.checksum,
            })
            .collect()
    }

    pub(crate) fn transition_status(&self, now: Now) -> Vec<TransitionStatus> {
        let newest_first = self.transitions.iter().rev();
        newest_first
            .map(|(at, from, to, reason)| TransitionStatus {
                from: *from,
                to: *to,
                reason: reason.clone(),
                age_ms: millis(now.since(*at)),
            })
            .collect()
    }
}
