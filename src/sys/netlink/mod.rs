//! Requests to the kernel about addresses and links, on a netlink connection of their own: events
//! come in on another one ([`super::monitor`]), so that a flood of them cannot delay an address.
//!
//! [`Netlink::connect`] spawns one task that owns the socket; it ends when the last [`Netlink`] is
//! dropped. Leases are lengthened on a third connection ([`leases`]).

pub mod leases;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::{Stream, StreamExt, TryStreamExt};
use nix::errno::Errno;
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST};
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload, NlasIterator};
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol,
    AddressScope, CacheInfo,
};
use rtnetlink::packet_route::link::{
    AfSpecInet, AfSpecUnspec, InetDevConf, LinkAttribute, LinkFlags, LinkLayerType, LinkMessage,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::{AsyncSocket, Socket};
use rtnetlink::{Error, Handle};

use super::{clock, interface_name};
use crate::config::VirtualAddress;
use crate::io::{Applied, Lease, Link, LinkAddress, OpError};
use crate::types::{Cidr, Family, IfIndex, IfName, Mac};

/// The mark of our addresses (IFA_PROTO, 'v'), which says who to blame and what to clean up.
/// Kernels before 5.18 ignore it.
pub const OUR_IFA_PROTO: u8 = 0x76;

/// "For ever" in `ifa_cacheinfo`.
const FOREVER: u32 = u32::MAX;

/// A connection for requests.
#[derive(Clone, Debug)]
pub struct Netlink {
    handle: Handle,
}

impl Netlink {
    /// Connect. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// The kernel's, if it gives no socket.
    pub fn connect() -> io::Result<Netlink> {
        let (mut connection, handle, _) = rtnetlink::new_connection()?;
        // An answer that was never acknowledged must not pass for success.
        connection.set_forward_ack(true);
        explain_refusals(connection.socket_mut().socket_mut());
        tokio::spawn(connection);
        Ok(Netlink { handle })
    }

    /// Put an address on an interface, with everything its description says. One that is there
    /// already is left as it is, but for its lease.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub async fn set_present(
        &mut self,
        iface: IfIndex,
        address: &VirtualAddress,
        lease: Option<Lease>,
    ) -> Result<Applied, OpError> {
        let message = RouteNetlinkMessage::NewAddress(new_address(iface, address, lease));
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        let mut outcome = self.request(request.clone()).await;
        let existed = matches!(&outcome, Err(refusal) if refusal.errno == Errno::EEXIST);
        if existed {
            outcome = Ok(());
            if lease.is_some() {
                request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_REPLACE;
                outcome = self.request(request).await;
            }
        }
        match outcome {
            Ok(()) if existed => Ok(Applied::Already),
            Ok(()) => Ok(Applied::Changed),
            Err(refusal) => {
                let name = name_of(iface);
                let denied = refusal.errno == Errno::EACCES;
                let mut error = refusal.of_operation(format!("add {} to {name}", address.cidr));
                if denied && address.cidr.family() == Family::Ipv6 {
                    error.cause +=
                        &format!("; is IPv6 off (sysctl net.ipv6.conf.{name}.disable_ipv6)?");
                }
                Err(error)
            }
        }
    }

    /// Take an address off an interface. One that is not there, or whose interface is gone, is
    /// absent already.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub async fn set_absent(&mut self, iface: IfIndex, cidr: Cidr) -> Result<Applied, OpError> {
        let mut message = AddressMessage::default();
        message.header.family = family(cidr.address());
        message.header.prefix_len = cidr.prefix();
        message.header.index = iface.0;
        // Without IFA_ADDRESS an IPv4 address is found whatever its peer is.
        message.attributes.push(AddressAttribute::Local(cidr.address()));
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::DelAddress(message));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK;
        match self.request(request).await {
            Ok(()) => Ok(Applied::Changed),
            Err(Refusal { errno: Errno::EADDRNOTAVAIL | Errno::ENODEV | Errno::ENXIO, .. }) => {
                Ok(Applied::Already)
            }
            Err(refusal) => {
                Err(refusal.of_operation(format!("remove {cidr} from {}", name_of(iface))))
            }
        }
    }

    /// Have the kernel make another address of a network its first one when that goes, instead of
    /// removing all of them (sysctl `promote_secondaries`).
    ///
    /// # Errors
    /// The kernel's refusal.
    pub async fn promote_secondaries(&mut self, iface: IfIndex) -> Result<(), OpError> {
        let mut message = LinkMessage::default();
        message.header.index = iface.0;
        let mut settings = InetDevConf::default();
        settings.promote_secondaries = 1;
        // Those that are zero here are not in the request.
        let inet = AfSpecUnspec::Inet(vec![AfSpecInet::DevConfRequest(settings)]);
        message.attributes.push(LinkAttribute::AfSpecUnspec(vec![inet]));
        self.handle.link().set(message).execute().await.map_err(|error| {
            let what = format!("promote secondary addresses on {}", name_of(iface));
            Refusal::of(&error).of_operation(what)
        })
    }

    /// Every link with its addresses.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn dump(&self) -> Result<Vec<(Link, Vec<LinkAddress>)>, OpError> {
        let step = |what: &'static str| move |error: Error| Refusal::of(&error).of_operation(what);
        let mut table = BTreeMap::new();
        let mut links = self.handle.link().get().execute();
        while let Some(message) = links.try_next().await.map_err(step("read the interfaces"))? {
            if let Some(link) = link(&message) {
                table.insert(link.index, (link, Vec::new()));
            }
        }
        let mut addresses = self.handle.address().get().execute();
        while let Some(message) = addresses.try_next().await.map_err(step("read the addresses"))? {
            if let Some((iface, found)) = address(&message, Some(clock::centis_since_boot()))
                && let Some((_, addresses)) = table.get_mut(&iface)
            {
                addresses.push(found);
            }
        }
        Ok(table.into_values().collect())
    }

    async fn request(
        &mut self,
        message: NetlinkMessage<RouteNetlinkMessage>,
    ) -> Result<(), Refusal> {
        // A connection whose task ended (the kernel closed it, or sent what cannot be read) is
        // replaced once; losing the ability to move addresses for good is not an option.
        match self.request_once(message.clone()).await {
            Err(Error::RequestFailed) => {
                *self = Netlink::connect().map_err(|error| Refusal {
                    errno: error.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
                    why: Some("no new netlink socket".to_owned()),
                })?;
                self.request_once(message).await.map_err(|error| Refusal::of(&error))
            }
            result => result.map_err(|error| Refusal::of(&error)),
        }
    }

    async fn request_once(
        &mut self,
        message: NetlinkMessage<RouteNetlinkMessage>,
    ) -> Result<(), Error> {
        acknowledged(self.handle.request(message)?).await
    }
}

/// Have the kernel say why it refuses, in words.
fn explain_refusals(socket: &Socket) {
    if socket.set_ext_ack(true).and_then(|()| socket.set_cap_ack(true)).is_err() {
        // An old kernel: errors are numbers only, and their body looks like no attribute.
        let _ = socket.set_ext_ack(false);
    }
}

/// Reads the answers to one request to the end.
async fn acknowledged(
    mut answers: impl Stream<Item = NetlinkMessage<RouteNetlinkMessage>> + Unpin,
) -> Result<(), Error> {
    let mut acknowledged = false;
    while let Some(answer) = answers.next().await {
        if let NetlinkPayload::Error(error) = answer.payload {
            if error.code.is_some() {
                return Err(Error::NetlinkError(error));
            }
            acknowledged = true;
        }
    }
    // The stream of a dying connection ends without an acknowledgement.
    if acknowledged { Ok(()) } else { Err(Error::RequestFailed) }
}

/// The name for a message to a human; an interface that is gone has only its number left.
#[must_use]
pub fn name_of(iface: IfIndex) -> String {
    interface_name(iface).unwrap_or_else(|_| format!("interface {iface}"))
}

/// A request the kernel refused, or one it never answered.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    errno: Errno,
    /// The kernel's own sentence, where it has one (Linux 4.12 and later).
    why: Option<String>,
}

impl Refusal {
    /// EIO where the connection broke without a word.
    fn of(error: &Error) -> Refusal {
        match error {
            Error::NetlinkError(message) => Refusal {
                errno: message
                    .code
                    .map_or(Errno::EIO, |c| Errno::from_raw(c.get().saturating_neg())),
                why: explanation(&message.header),
            },
            _ => Refusal { errno: Errno::EIO, why: None },
        }
    }

    fn of_operation(self, operation: impl Into<String>) -> OpError {
        let words = self.errno.desc();
        let cause = self.why.map_or_else(|| words.to_owned(), |why| format!("{words} ({why})"));
        OpError { operation: operation.into(), cause }
    }
}

/// The NLMSGERR_ATTR_MSG of an error: attributes follow the header of the refused request, whose
/// body NETLINK_CAP_ACK leaves out.
fn explanation(refused: &[u8]) -> Option<String> {
    const HEADER: usize = 16;
    const MESSAGE: u16 = 1;
    let attributes = NlasIterator::new(refused.get(HEADER..)?);
    let message = attributes.filter_map(Result::ok).find(|nla| nla.kind() == MESSAGE)?;
    let text = String::from_utf8_lossy(message.value());
    Some(text.trim_end_matches('\0').to_owned()).filter(|text| !text.is_empty())
}

fn new_address(iface: IfIndex, wanted: &VirtualAddress, lease: Option<Lease>) -> AddressMessage {
    let address = wanted.cidr.address();
    // A point-to-point address has the prefix of its peer.
    let far = wanted.peer.unwrap_or(wanted.cidr);

    let mut flags = AddressFlags::empty();
    if address.is_ipv6() && !wanted.dad {
        flags |= AddressFlags::Nodad;
    }
    for (set, flag) in [
        (wanted.home, AddressFlags::Homeaddress),
        (wanted.mngtmpaddr, AddressFlags::Managetempaddr),
        (wanted.noprefixroute, AddressFlags::Noprefixroute),
        (wanted.autojoin, AddressFlags::Mcautojoin),
    ] {
        if set {
            flags |= flag;
        }
    }

    let mut message = AddressMessage::default();
    message.header.family = family(address);
    message.header.prefix_len = far.prefix();
    message.header.scope = AddressScope::from(wanted.scope);
    message.header.index = iface.0;
    let [low, ..] = flags.bits().to_le_bytes();
    message.header.flags = AddressHeaderFlags::from_bits_retain(low);
    message.attributes.extend([
        AddressAttribute::Local(address),
        AddressAttribute::Address(far.address()),
        AddressAttribute::Flags(flags),
        AddressAttribute::Protocol(AddressProtocol::Other(OUR_IFA_PROTO)),
    ]);
    message.attributes.extend(wanted.broadcast.map(AddressAttribute::Broadcast));
    message.attributes.extend(wanted.label.clone().map(AddressAttribute::Label));
    if lease.is_some() || wanted.preferred_lft.is_some() {
        let mut lifetimes = CacheInfo::default();
        lifetimes.ifa_valid = lease.map_or(FOREVER, |lease| lease.0);
        // The kernel refuses an address that is preferred for longer than it is valid.
        lifetimes.ifa_preferred = wanted.preferred_lft.unwrap_or(FOREVER).min(lifetimes.ifa_valid);
        message.attributes.push(AddressAttribute::CacheInfo(lifetimes));
    }
    message
}

/// A link, if the message describes one as such and not as a bridge's port.
pub(super) fn link(message: &LinkMessage) -> Option<Link> {
    if message.header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let flags = message.header.flags;
    let mut name: Option<IfName> = None;
    let (mut mac, mut mtu) = (None, 0);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = text.parse().ok(),
            LinkAttribute::Mtu(bytes) => mtu = *bytes,
            LinkAttribute::Address(bytes)
                if message.header.link_layer_type == LinkLayerType::Ether =>
            {
                mac = bytes.as_slice().try_into().ok().map(Mac);
            }
            _ => {}
        }
    }
    Some(Link {
        index: IfIndex(message.header.index),
        name: name?,
        running: flags.contains(LinkFlags::Up | LinkFlags::Running),
        up: flags.contains(LinkFlags::Up),
        mac,
        mtu,
        noarp: flags.contains(LinkFlags::Noarp),
        loopback: flags.contains(LinkFlags::Loopback),
    })
}

/// An address and where it is; `None` for families other than IPv4 and IPv6.
/// `since_boot`, in hundredths of a second, dates the last renewal.
pub(super) fn address(
    message: &AddressMessage,
    since_boot: Option<u32>,
) -> Option<(IfIndex, LinkAddress)> {
    let (mut local, mut far, mut mark, mut touched) = (None, None, None, None);
    let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    for attribute in &message.attributes {
        match attribute {
            // The address of a point-to-point link is IFA_LOCAL, IFA_ADDRESS its peer; otherwise
            // both are the same or, for IPv6, only the second is there.
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => far = Some(*address),
            AddressAttribute::Flags(all) => flags = *all,
            AddressAttribute::Protocol(protocol) => mark = Some(u8::from(*protocol)),
            AddressAttribute::CacheInfo(info) => touched = Some(info.tstamp),
            _ => {}
        }
    }
    let cidr = Cidr::new(local.or(far)?, message.header.prefix_len).ok()?;
    let tentative =
        flags.contains(AddressFlags::Tentative) && !flags.contains(AddressFlags::Optimistic);
    let found = LinkAddress {
        cidr,
        usable: !tentative && !flags.contains(AddressFlags::Dadfailed),
        secondary: flags.contains(AddressFlags::Secondary),
        ours: mark == Some(OUR_IFA_PROTO),
        renewed: touched.zip(since_boot).map(|(at, now)| {
            // Hundredths of a second since boot, wrapping after 497 days.
            Duration::from_millis(u64::from(now.wrapping_sub(at)) * 10)
        }),
    };
    Some((IfIndex(message.header.index), found))
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtnetlink::packet_core::{Emitable, Parseable};

    fn plain(cidr: &str) -> VirtualAddress {
        VirtualAddress::new(cidr.parse().unwrap())
    }

    /// Through the bytes, as the kernel would echo it.
    fn echoed(wanted: &VirtualAddress) -> (IfIndex, LinkAddress, AddressMessage) {
        let message = new_address(IfIndex(7), wanted, None);
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        let parsed = <AddressMessage as Parseable<[u8]>>::parse(&bytes).unwrap();
        let (iface, found) = address(&parsed, None).unwrap();
        (iface, found, parsed)
    }

    #[test]
    fn an_address_carries_our_mark_and_no_broadcast_unless_asked() {
        let (iface, found, message) = echoed(&plain("10.0.0.10/24"));
        assert_eq!(iface, IfIndex(7));
        assert_eq!(found.cidr.to_string(), "10.0.0.10/24");
        assert!(found.ours && found.usable && !found.secondary);
        assert!(
            !message.attributes.iter().any(|a| matches!(
                a,
                AddressAttribute::Broadcast(_) | AddressAttribute::CacheInfo(_)
            ))
        );
    }

    #[test]
    fn a_peer_gives_its_prefix_and_the_local_address_stays_ours() {
        let mut wanted = plain("10.0.0.10/32");
        wanted.peer = Some("10.9.0.1/30".parse().unwrap());
        let (_, found, message) = echoed(&wanted);
        assert_eq!(found.cidr.to_string(), "10.0.0.10/30");
        assert!(
            message.attributes.contains(&AddressAttribute::Address("10.9.0.1".parse().unwrap()))
        );
    }

    #[test]
    fn ipv6_skips_dad_and_keeps_lifetimes() {
        let mut wanted = plain("2001:db8::10/128");
        wanted.preferred_lft = Some(0);
        let (_, found, message) = echoed(&wanted);
        assert!(found.usable);
        assert!(message.attributes.iter().any(|a| matches!(
            a,
            AddressAttribute::CacheInfo(c) if c.ifa_preferred == 0 && c.ifa_valid == FOREVER
        )));
        assert!(
            message.attributes.iter().any(
                |a| matches!(a, AddressAttribute::Flags(f) if f.contains(AddressFlags::Nodad))
            )
        );
    }

    #[test]
    fn tentative_is_unusable_but_optimistic_is_usable() {
        let mut message = new_address(IfIndex(1), &plain("fe80::1/64"), None);
        for (flags, usable) in [
            (AddressFlags::Tentative, false),
            (AddressFlags::Tentative | AddressFlags::Optimistic, true),
            (AddressFlags::Dadfailed, false),
            (AddressFlags::Permanent, true),
        ] {
            message.attributes.retain(|a| !matches!(a, AddressAttribute::Flags(_)));
            message.attributes.push(AddressAttribute::Flags(flags));
            assert_eq!(address(&message, None).unwrap().1.usable, usable, "{flags:?}");
        }
    }

    #[test]
    fn a_bridge_port_is_not_a_link() {
        let mut message = LinkMessage::default();
        message.header.index = 3;
        message.attributes.push(LinkAttribute::IfName("eth0".to_owned()));
        assert!(link(&message).is_some());
        message.header.interface_family = AddressFamily::Bridge;
        assert!(link(&message).is_none());
    }
}
