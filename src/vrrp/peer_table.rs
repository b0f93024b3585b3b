//! The other nodes one router heard, and who claims its addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::status::{PeerStatus, millis};
use crate::types::{DropCounter, Mac, Now, V3Checksum};
use crate::wire::DropReason;
use crate::wire::vrrp::Claim;

/// Senders remembered per router; the one silent for longest makes room.
const MAX_PEERS: usize = 32;
/// Whoever has an address answers within this time.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// Peers and rivals of one router.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeerTable {
    /// It grows with what others send, so it is shared with those who write a status of it.
    peers: Arc<BTreeMap<IpAddr, Peer>>,
    /// Our addresses that somebody else announced, or answered for, while we were master.
    rivals: BTreeMap<IpAddr, Rival>,
    /// The MACs of peers that were asked for.
    located: BTreeMap<IpAddr, Mac>,
    /// Masters that fell silent, and have not been heard since.
    lost: BTreeSet<IpAddr>,
}

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

impl PeerTable {
    /// A packet from `source` was refused.
    pub(crate) fn refused(&mut self, now: Now, source: IpAddr, reason: DropReason) {
        let peer = self.peer(now, source);
        *peer.refused.entry(reason.counter()).or_default() += 1;
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
        if let Some(rival) = self.rivals.get_mut(&vip) {
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
        let rival = self.rivals.entry(vip).or_insert(new);
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
        if let Some(rival) = self.rivals.get_mut(&vip) {
            rival.corrected = true;
        }
    }

    /// Our state has changed: who claims our addresses begins anew.
    pub(crate) fn clear_conflicts(&mut self) {
        self.rivals.clear();
    }

    /// Addresses of ours that somebody else announced or answers for since we became master.
    pub(crate) fn rivals(&self) -> impl Iterator<Item = (IpAddr, Rival)> {
        self.rivals.iter().map(|(vip, rival)| (*vip, *rival))
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
}
