//! vipd next to vipd and next to Debian's keepalived: elections, hand-overs, disagreements.
//!
//! Judged by packets on the wire, the kernel's addresses, the switch's table, the client's neighbour
//! cache and what a pinging client gets; never by our own log.

mod dumps;
mod groups;
mod ipv6;
mod lifecycle;
mod mismatch;
mod nopreempt;
mod options;
mod pair;
mod published;
mod reload;
mod stall;
mod tiebreak;
mod tracking;
mod unicast;
