//! Why a packet for one of our routers was not obeyed, each with the counter it moves.

use std::net::IpAddr;

use thiserror::Error;

use crate::types::Centis;
use crate::wire::vrrp::Malformed;

/// A reason from the receive validation, protocol rules V4 to V25.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("sent to {found}, but this router listens {}", place(*.expected))]
    WrongCast { found: IpAddr, expected: Option<IpAddr> },
    #[error("its address is not in our list of peers")]
    UnknownPeer,
    #[error("its advert interval is {theirs}, ours is {ours}; VRRPv2 routers must agree")]
    Interval { theirs: Centis, ours: Centis },
    #[error("its IPv6 source address is not link-local, and strict mode requires it")]
    SourceNotLinkLocal,
    #[error("the first IPv6 address is not link-local, and strict mode requires it")]
    FirstAddressNotLinkLocal,
    #[error("this node owns the addresses, and is told that an owner ignores adverts")]
    OwnerHearsNobody,
    #[error("it claims priority 255, but no owner is expected here")]
    UnexpectedOwner,
    #[error("it lists other addresses than we do, and strict mode refuses that")]
    AddressList,
    #[error("it lists {}, none of them ours: it belongs to another cluster", some(*.first, *.more))]
    OtherCluster { first: Option<IpAddr>, more: usize },
}

impl Refusal {
    /// The name of the counter.
    pub(crate) fn counter(&self) -> &'static str {
        match self {
            Refusal::Malformed(malformed) => malformed.counter(),
            Refusal::WrongCast { .. } => "wrong_cast",
            Refusal::UnknownPeer => "unknown_peer",
            Refusal::Interval { .. } => "interval_errors",
            Refusal::SourceNotLinkLocal => "src_not_ll",
            Refusal::FirstAddressNotLinkLocal => "first_addr_not_ll",
            Refusal::OwnerHearsNobody => "owner_conflict",
            Refusal::UnexpectedOwner => "unexpected_owner",
            Refusal::AddressList | Refusal::OtherCluster { .. } => "address_list_errors",
        }
    }
}

/// Whatever a stranger lists, a sentence stays short.
pub(crate) fn some(first: Option<IpAddr>, more: usize) -> String {
    match (first, more) {
        (None, _) => "no address".to_owned(),
        (Some(first), 0) => first.to_string(),
        (Some(first), more) => format!("{first} and {more} more"),
    }
}

fn place(expected: Option<IpAddr>) -> String {
    expected.map_or_else(|| "nowhere yet".to_owned(), |address| format!("at {address}"))
}
