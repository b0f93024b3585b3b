//! The switch: one namespace, a bridge per LAN and per part of a divided LAN, a port per link.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::RawFd;
use std::sync::Mutex;

use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::{
    InfoBridge, InfoBridgePort, InfoData, InfoVeth, LinkAttribute, LinkMessage,
};
use rtnetlink::packet_route::neighbour::{NeighbourAttribute, NeighbourState};
use rtnetlink::{Handle, LinkBridge, LinkBridgePort, LinkUnspec, LinkVeth};

use super::capture::Capture;
use super::error::{Error, Result};
use super::lock;
use super::namespace::Namespace;
use super::netlink::{self, change_link, index_of, kernel, mac_of};
use crate::sys::frames::FrameSocket;
use crate::types::{IfIndex, Mac};

/// The first port's index. The kernel delays carrier news by up to a second if the two ends of a
/// veth pair happen to have the same index, so ports count far from where hosts do.
const FIRST_PORT: u32 = 1000;

/// One line of the switch's forwarding table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FdbEntry {
    /// The address learnt.
    pub mac: Mac,
    /// The host behind the port.
    pub node: String,
    /// The host's link.
    pub link: String,
}

#[derive(Debug)]
pub(super) struct Switch {
    namespace: Namespace,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By interface index.
    ports: BTreeMap<u32, Port>,
    bridges: BTreeSet<String>,
    nodes: BTreeSet<String>,
    last_port: Option<u32>,
}

#[derive(Clone, Debug)]
struct Port {
    node: String,
    link: String,
    lan: u8,
    /// The part of the LAN: 0, or another while it is divided.
    part: u32,
}

/// What the other end of a new cable looks like.
#[derive(Clone, Debug)]
pub(super) struct Plug {
    pub(super) node: String,
    pub(super) namespace: RawFd,
    pub(super) link: String,
    pub(super) mac: Mac,
    pub(super) lan: u8,
}

impl Switch {
    pub(super) fn new() -> Result<Switch> {
        let namespace = Namespace::new("switch")?;
        namespace.inside("turn IPv6 off", || {
            // The switch itself must not appear in captures.
            netlink::sysctl_if_there("net/ipv6/conf/all/disable_ipv6", "1")?;
            netlink::sysctl_if_there("net/ipv6/conf/default/disable_ipv6", "1")
        })?;
        Ok(Switch { namespace, state: Mutex::default() })
    }

    /// Reserves a host's name; ports are told apart by it.
    pub(super) fn add_node(&self, name: &str) -> Result<()> {
        if lock(&self.state).nodes.insert(name.to_owned()) {
            Ok(())
        } else {
            Err(Error::Kernel {
                place: "lab".into(),
                what: format!("add host {name}"),
                source: io::Error::other("there is one of this name"),
            })
        }
    }

    /// Removes a host with the ports it still has.
    pub(super) fn remove_node(&self, name: &str) -> Result<()> {
        let ports: Vec<_> = {
            let mut state = lock(&self.state);
            state.nodes.remove(name);
            state.ports.iter().filter(|(_, p)| p.node == name).map(|(index, _)| *index).collect()
        };
        ports.into_iter().try_for_each(|port| self.disconnect(port))
    }

    /// Makes a cable whose far end appears in a host; the near end is a port of the LAN.
    pub(super) fn connect(&self, plug: Plug) -> Result<u32> {
        let mut state = lock(&self.state);
        let bridge = self.bridge(&mut state, plug.lan, 0)?;
        let index = state.last_port.map_or(FIRST_PORT, |last| last + 1);
        let what = format!("connect {} of {}", plug.link, plug.node);
        let port = Port { node: plug.node, link: plug.link.clone(), lan: plug.lan, part: 0 };
        let cable = cable(index, plug.link, plug.mac, plug.namespace);
        self.namespace.run(what, async move |netlink| {
            let mut cable = cable;
            cable.attributes.push(LinkAttribute::Controller(index_of(&bridge)?));
            netlink.link().add(cable).execute().await.map_err(kernel)
        })?;
        state.last_port = Some(index);
        state.ports.insert(index, port);
        Ok(index)
    }

    /// Takes the cable away, both ends. It may be gone already: the host can delete its end.
    pub(super) fn disconnect(&self, port: u32) -> Result<()> {
        let mut state = lock(&self.state);
        state.ports.remove(&port);
        self.namespace.run("disconnect a port", async move |netlink| {
            match netlink.link().del(port).execute().await.map_err(kernel) {
                Err(e) if e.raw_os_error() != Some(nix::libc::ENODEV) => Err(e),
                _ => Ok(()),
            }
        })
    }

    /// Pulls the cable out of the port or puts it back.
    pub(super) fn set_carrier(&self, port: u32, carrier: bool) -> Result<()> {
        self.namespace.run("switch a port on or off", async move |netlink| {
            netlink::set_up(&netlink, port, carrier).await
        })
    }

    /// Loses what the host sends (`from_host`), what others send to it (`to_host`), or nothing.
    ///
    /// A locked port accepts only known senders, and with learning off there are none. A port that
    /// floods nothing passes only known receivers: likewise none. Neither needs a packet filter.
    pub(super) fn lose(&self, port: u32, from_host: bool, to_host: bool) -> Result<()> {
        self.namespace.run("lose frames at a port", async move |netlink| {
            let change = LinkBridgePort::new(port)
                .append_info_data(InfoBridgePort::Learning(!from_host && !to_host))
                .append_info_data(InfoBridgePort::Locked(from_host))
                .append_info_data(InfoBridgePort::UnicastFlood(!to_host))
                .append_info_data(InfoBridgePort::MulticastFlood(!to_host))
                .append_info_data(InfoBridgePort::BroadcastFlood(!to_host))
                .append_info_data(InfoBridgePort::Flush);
            netlink.link().set_port(change.build()).execute().await.map_err(kernel)
        })
    }

    /// Moves all links of a host to one part of their LANs.
    pub(super) fn move_node(&self, node: &str, part: u32) -> Result<()> {
        let mut state = lock(&self.state);
        let ports: Vec<_> =
            state.ports.iter().filter(|(_, p)| p.node == node).map(|(i, p)| (*i, p.lan)).collect();
        for (index, lan) in ports {
            self.move_port(&mut state, index, lan, part)?;
        }
        Ok(())
    }

    /// Joins all parts of all LANs again.
    pub(super) fn heal(&self) -> Result<()> {
        let mut state = lock(&self.state);
        let apart: Vec<_> =
            state.ports.iter().filter(|(_, p)| p.part != 0).map(|(i, p)| (*i, p.lan)).collect();
        for (index, lan) in apart {
            self.move_port(&mut state, index, lan, 0)?;
        }
        Ok(())
    }

    pub(super) fn fdb(&self) -> Result<Vec<FdbEntry>> {
        let learnt = self.namespace.run("read the forwarding table", async |netlink| {
            let dump = netlink::neighbour_messages(&netlink, AddressFamily::Bridge).await?;
            Ok(dump
                .into_iter()
                .filter(|m| m.header.state != NeighbourState::Permanent)
                .filter_map(|m| {
                    let mac = m.attributes.iter().find_map(|a| match a {
                        NeighbourAttribute::LinkLayerAddress(bytes) => mac_of(bytes),
                        _ => None,
                    })?;
                    Some((m.header.ifindex, mac))
                })
                .collect::<Vec<_>>())
        })?;
        let state = lock(&self.state);
        let named = learnt.into_iter().filter_map(|(index, mac)| {
            let port = state.ports.get(&index)?;
            Some(FdbEntry { mac, node: port.node.clone(), link: port.link.clone() })
        });
        Ok(named.collect())
    }

    pub(super) fn capture(&self, node: &str, link: &str) -> Result<Capture> {
        let index = lock(&self.state)
            .ports
            .iter()
            .find(|(_, p)| p.node == node && p.link == link)
            .map(|(index, _)| *index)
            .ok_or_else(|| Error::NoLink { node: node.into(), link: link.into() })?;
        let name = format!("switch port of {node} {link}");
        let socket = self.namespace.inside(format!("capture at the {name}"), move || {
            FrameSocket::on_interface(IfIndex(index))
        })?;
        Capture::start(name, socket)
    }

    pub(super) fn namespace_id(&self) -> u64 {
        self.namespace.id()
    }

    fn move_port(&self, state: &mut State, port: u32, lan: u8, part: u32) -> Result<()> {
        let bridge = self.bridge(state, lan, part)?;
        self.namespace.run(format!("move a port to {bridge}"), async move |netlink| {
            let to = index_of(&bridge)?;
            change_link(&netlink, LinkUnspec::new_with_index(port).nocontroller().build()).await?;
            change_link(&netlink, LinkUnspec::new_with_index(port).controller(to).build()).await
        })?;
        if let Some(moved) = state.ports.get_mut(&port) {
            moved.part = part;
        }
        Ok(())
    }

    /// The name of a LAN's bridge, made on first use.
    fn bridge(&self, state: &mut State, lan: u8, part: u32) -> Result<String> {
        let name = if part == 0 { format!("lan{lan}") } else { format!("lan{lan}-{part}") };
        if !state.bridges.contains(&name) {
            let new = name.clone();
            self.namespace.run(format!("make the bridge {name}"), async move |netlink| {
                make_bridge(&netlink, &new).await
            })?;
            state.bridges.insert(name.clone());
        }
        Ok(name)
    }
}

/// A bridge that forwards at once and floods multicast like a plain switch: with snooping, when an
/// advertisement gets through would depend on when its receivers last reported their groups.
async fn make_bridge(netlink: &Handle, name: &str) -> io::Result<()> {
    let bridge = LinkBridge::new(name)
        .append_info_data(InfoBridge::ForwardDelay(0))
        .append_info_data(InfoBridge::MulticastSnooping(false))
        .build();
    netlink.link().add(bridge).execute().await.map_err(kernel)
}

/// A veth pair: the near end `port<index>` up, the far end in `namespace`, still down.
fn cable(index: u32, link: String, mac: Mac, namespace: RawFd) -> LinkMessage {
    let mut far = LinkMessage::default();
    far.attributes = vec![
        LinkAttribute::IfName(link),
        LinkAttribute::Address(mac.0.to_vec()),
        LinkAttribute::NetNsFd(namespace),
    ];
    LinkVeth::new(&format!("port{index}"), "unused")
        .set_info_data(InfoData::Veth(InfoVeth::Peer(far)))
        .index(index)
        .up()
        .build()
}
