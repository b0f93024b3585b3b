//! Whoever sends for more of our routers than a status has room for: summed up per sender.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PeerStatus, RouterStatus};
use crate::types::{DropCounter, IfName};

/// Senders shown with each router. A router has a few peers; more are a mistake or an attack.
pub const MOST_PEERS: usize = 4;

/// Senders shown for all routers together.
pub const MOST_STRANGERS: usize = 64;

/// A sender that the routers it was heard by have no room for.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct StrangerStatus {
    /// Its address.
    pub address: IpAddr,
    /// Where it was heard.
    pub interface: IfName,
    /// How many virtual routers it was heard by and left out of.
    pub routers: u64,
    /// Since its last packet for one of them.
    pub last_seen_ms: u64,
    /// Adverts these accepted.
    pub accepted: u64,
    /// Packets they refused, by counter.
    pub refused: BTreeMap<DropCounter, u64>,
    /// The last refusal in words.
    pub last_refusal: Option<String>,
    /// Since the last refusal.
    pub last_refusal_ms: Option<u64>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Strangers(BTreeMap<(IfName, IpAddr), StrangerStatus>);

impl Strangers {
    /// Leaves a router those that were heard last, half of the room being for those it accepts adverts
    /// of, and takes the others.
    pub(crate) fn take_from(&mut self, router: &mut RouterStatus) {
        if router.peers.len() <= MOST_PEERS {
            return;
        }
        let accepted = router.peers.iter().enumerate().filter(|(_, peer)| peer.accepted > 0);
        let mut stay: BTreeSet<usize> = accepted.map(|(at, _)| at).take(MOST_PEERS / 2).collect();
        let mut newest = 0..router.peers.len();
        while stay.len() < MOST_PEERS {
            stay.extend(newest.next());
        }
        let peers = std::mem::take(&mut router.peers);
        for (at, peer) in peers.into_iter().enumerate() {
            if stay.contains(&at) {
                router.peers.push(peer);
            } else {
                router.more_peers += 1;
                self.add(&router.interface, peer);
            }
        }
    }

    fn add(&mut self, interface: &IfName, peer: PeerStatus) {
        let new = || StrangerStatus {
            address: peer.address,
            interface: interface.clone(),
            routers: 0,
            last_seen_ms: peer.last_seen_ms,
            accepted: 0,
            refused: BTreeMap::new(),
            last_refusal: None,
            last_refusal_ms: None,
        };
        let stranger = self.0.entry((interface.clone(), peer.address)).or_insert_with(new);
        stranger.routers += 1;
        stranger.last_seen_ms = stranger.last_seen_ms.min(peer.last_seen_ms);
        stranger.accepted += peer.accepted;
        for (reason, count) in peer.refused {
            *stranger.refused.entry(reason).or_default() += count;
        }
        let newer = |theirs: u64| stranger.last_refusal_ms.is_none_or(|known| theirs < known);
        if peer.last_refusal_ms.is_some_and(newer) {
            stranger.last_refusal = peer.last_refusal;
            stranger.last_refusal_ms = peer.last_refusal_ms;
        }
    }

    /// Those heard last, the most recent first, and how many more there are.
    pub(crate) fn latest(self) -> (Vec<StrangerStatus>, u64) {
        let mut strangers: Vec<_> = self.0.into_values().collect();
        strangers.sort_by_key(|stranger| (stranger.last_seen_ms, stranger.address));
        let more = strangers.len().saturating_sub(MOST_STRANGERS);
        strangers.truncate(MOST_STRANGERS);
        (strangers, u64::try_from(more).unwrap_or(u64::MAX))
    }
}
