//! What the lab asks of and tells rtnetlink, in terms of the lab.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use futures_util::TryStreamExt;
use nix::net::if_::if_nametoindex;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use rtnetlink::{Handle, LinkUnspec};

use crate::types::{Cidr, IfIndex, Mac};

/// An address on an interface, with everything the kernel says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Address and prefix length.
    pub cidr: Cidr,
    /// The label, such as `eth0:1`; IPv4 only.
    pub label: Option<String>,
    /// rt_scope: 0 global, 200 site, 253 link, 254 host, 255 nowhere.
    pub scope: u8,
    /// The broadcast address; IPv4 only.
    pub broadcast: Option<Ipv4Addr>,
    /// IFA_PROTO: who put it there. None on kernels before 5.18 or if nobody said.
    pub protocol: Option<u8>,
    /// IFA_F_ bits (linux/if_addr.h).
    pub flags: u32,
    /// What is left of its life; `None` is for ever.
    pub valid: Option<Duration>,
    /// What is left until it is deprecated; `None` is for ever.
    pub preferred: Option<Duration>,
    /// When it was added, in hundredths of a second since boot: an address removed and added again
    /// is another one.
    pub created: Option<u32>,
}

impl Address {
    /// Whether an IFA_F_ bit is set, such as `nix::libc::IFA_F_NODAD`.
    #[must_use]
    pub const fn has_flag(&self, bit: u32) -> bool {
        self.flags & bit != 0
    }
}

/// An interface as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Index; another one after the interface was made again.
    pub index: IfIndex,
    /// Name.
    pub name: String,
    /// Ethernet address.
    pub mac: Mac,
    /// Administratively up.
    pub up: bool,
    /// There is a cable: `up` without this is what `ip` shows as NO-CARRIER.
    pub carrier: bool,
    /// Largest payload in bytes.
    pub mtu: u32,
}

/// An entry of the ARP or neighbour cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighbourEntry {
    /// Whose address.
    pub ip: IpAddr,
    /// What it resolved to.
    pub mac: Option<Mac>,
    /// The state in lower case: reachable, stale, failed...
    pub state: String,
    /// On which interface.
    pub link: IfIndex,
}

/// The index of an interface of the calling thread's namespace.
pub(super) fn index_of(name: &str) -> io::Result<u32> {
    Ok(if_nametoindex(name)?)
}

pub(super) async fn set_up(netlink: &Handle, index: u32, up: bool) -> io::Result<()> {
    let change = LinkUnspec::new_with_index(index);
    change_link(netlink, if up { change.up() } else { change.down() }.build()).await
}

pub(super) async fn change_link(netlink: &Handle, change: LinkMessage) -> io::Result<()> {
    netlink.link().change(change).execute().await.map_err(kernel)
}

pub(super) async fn links(netlink: &Handle) -> io::Result<Vec<Link>> {
    let messages: Vec<_> = netlink.link().get().execute().try_collect().await.map_err(kernel)?;
    Ok(messages.iter().map(link).collect())
}

pub(super) async fn add_address(netlink: &Handle, index: u32, cidr: Cidr) -> io::Result<()> {
    netlink.address().add(index, cidr.address(), cidr.prefix()).execute().await.map_err(kernel)
}

pub(super) async fn del_address(netlink: &Handle, index: u32, cidr: Cidr) -> io::Result<()> {
    let found = address_messages(netlink, index)
        .await?
        .into_iter()
        .find(|m| address(m).is_some_and(|a| a.cidr == cidr));
    match found {
        Some(message) => netlink.address().del(message).execute().await.map_err(kernel),
        None => Err(io::Error::from_raw_os_error(nix::libc::EADDRNOTAVAIL)),
    }
}

pub(super) async fn addresses(netlink: &Handle, index: u32) -> io::Result<Vec<Address>> {
    Ok(address_messages(netlink, index).await?.iter().filter_map(address).collect())
}

async fn address_messages(netlink: &Handle, index: u32) -> io::Result<Vec<AddressMessage>> {
    let dump = netlink.address().get().set_link_index_filter(index).execute();
    dump.try_collect().await.map_err(kernel)
}

pub(super) async fn neighbour_messages(
    netlink: &Handle,
    family: AddressFamily,
) -> io::Result<Vec<NeighbourMessage>> {
    let dump = netlink.neighbours().get().set_address_family(family).execute();
    dump.try_collect().await.map_err(kernel)
}

pub(super) async fn neighbours(netlink: &Handle) -> io::Result<Vec<NeighbourEntry>> {
    let mut all = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        all.extend(neighbour_messages(netlink, family).await?.iter().filter_map(neighbour));
    }
    Ok(all)
}

/// Forgets every learnt neighbour, as `ip neigh flush` does.
pub(super) async fn forget_neighbours(netlink: &Handle) -> io::Result<()> {
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        for message in neighbour_messages(netlink, family).await? {
            let fixed =
                matches!(message.header.state, NeighbourState::Noarp | NeighbourState::Permanent);
            if fixed {
                continue;
            }
            match netlink.neighbours().del(message).execute().await.map_err(kernel) {
                // It may have gone by itself in between.
                Err(e) if e.raw_os_error() != Some(nix::libc::ENOENT) => return Err(e),
                _ => {}
            }
        }
    }
    Ok(())
}

/// The kernel's own words and number where there are some.
pub(super) fn kernel(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other),
    }
}

pub(super) fn mac_of(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok().map(Mac)
}

fn link(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: IfIndex(message.header.index),
        name: String::new(),
        mac: Mac([0; 6]),
        up: message.header.flags.contains(LinkFlags::Up),
        carrier: message.header.flags.contains(LinkFlags::LowerUp),
        mtu: 0,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Address(bytes) => link.mac = mac_of(bytes).unwrap_or(link.mac),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            _ => {}
        }
    }
    link
}

fn address(message: &AddressMessage) -> Option<Address> {
    let (mut local, mut remote) = (None, None);
    let (mut label, mut broadcast, mut protocol) = (None, None, None);
    let (mut valid, mut preferred, mut created) = (None, None, None);
    let mut flags = u32::from(message.header.flags.bits());
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Address(ip) => remote = Some(*ip),
            AddressAttribute::Label(text) => label = Some(text.clone()),
            AddressAttribute::Broadcast(ip) => broadcast = Some(*ip),
            AddressAttribute::Protocol(number) => protocol = Some(u8::from(*number)),
            AddressAttribute::Flags(bits) => flags = bits.bits(),
            AddressAttribute::CacheInfo(life) => {
                valid = lifetime(life.ifa_valid);
                preferred = lifetime(life.ifa_preferred);
                created = Some(life.cstamp);
            }
            _ => {}
        }
    }
    Some(Address {
        cidr: Cidr::new(local.or(remote)?, message.header.prefix_len).ok()?,
        label,
        scope: message.header.scope.into(),
        broadcast,
        protocol,
        flags,
        valid,
        preferred,
        created,
    })
}

/// The kernel writes "for ever" as all ones.
fn lifetime(seconds: u32) -> Option<Duration> {
    (seconds != u32::MAX).then(|| Duration::from_secs(seconds.into()))
}

fn neighbour(message: &NeighbourMessage) -> Option<NeighbourEntry> {
    let (mut ip, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => {
                ip = Some(IpAddr::V4(*v4));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => {
                ip = Some(IpAddr::V6(*v6));
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = mac_of(bytes),
            _ => {}
        }
    }
    Some(NeighbourEntry {
        ip: ip?,
        mac,
        state: message.header.state.to_string(),
        link: IfIndex(message.header.ifindex),
    })
}

/// Writes a setting below /proc/sys of the calling thread's namespace; a kernel without IPv6 has
/// none of IPv6's.
pub(super) fn sysctl_if_there(path: &str, value: &str) -> io::Result<()> {
    match std::fs::write(format!("/proc/sys/{path}"), value) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
