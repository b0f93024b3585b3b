//! A host: links, addresses, processes, faults.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};

use super::capture::{Capture, Frame};
use super::deadline::eventually;
use super::error::{Error, Result};
use super::lock;
use super::namespace::Namespace;
use super::netlink::{self, Address, Link, NeighbourEntry, change_link, index_of, kernel};
use super::switch::{Plug, Switch};
use crate::sys::frames::FrameSocket;
use crate::types::{Cidr, IfIndex, IfName, Mac};

/// How long a link may take from "up" to usable.
const LINK_READY: Duration = Duration::from_secs(10);

/// Settings of a host before its first link: addresses usable at once (no duplicate address
/// detection), EUI-64 link-local addresses, and nobody asking for or listening to routers.
const SETTINGS: [(&str, &str); 7] = [
    ("net/ipv6/conf/all/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/dad_transmits", "0"),
    ("net/ipv6/conf/default/addr_gen_mode", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/default/router_solicitations", "0"),
    ("net/ipv6/conf/default/disable_ipv6", "0"),
];

/// A host of the lab. Cloning it gives another handle to the same host.
#[derive(Clone, Debug)]
pub struct Node(Arc<Host>);

/// A link to be.
#[derive(Clone, Debug)]
pub struct LinkSpec {
    /// Interface name in the host.
    pub name: IfName,
    /// Addresses it gets.
    pub addresses: Vec<Cidr>,
    /// Its MAC address; `None` takes the next of the host's own.
    pub mac: Option<Mac>,
    /// Which LAN, from 0.
    pub lan: u8,
}

/// Which of a host's frames are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What the host sends never arrives; it still hears the others.
    Sending,
    /// The host hears nothing; the others still hear it.
    Receiving,
}

#[derive(Debug)]
struct Host {
    number: u8,
    namespace: Namespace,
    switch: Arc<Switch>,
    files: Arc<tempfile::TempDir>,
    links: Mutex<BTreeMap<String, Plugged>>,
}

#[derive(Clone, Debug)]
struct Plugged {
    port: u32,
    spec: LinkSpec,
}

impl Node {
    pub(super) fn new(
        name: &str,
        number: u8,
        switch: Arc<Switch>,
        files: Arc<tempfile::TempDir>,
    ) -> Result<Node> {
        let namespace = Namespace::new(name)?;
        switch.add_node(name)?;
        let host = Host { number, namespace, switch, files, links: Mutex::default() };
        host.namespace.run("bring up lo", async |netlink| {
            for (path, value) in SETTINGS {
                netlink::sysctl_if_there(path, value)?;
            }
            netlink::set_up(&netlink, index_of("lo")?, true).await
        })?;
        Ok(Node(Arc::new(host)))
    }

    /// The name, which is the host name inside.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.namespace.name()
    }

    /// The inode number of the network namespace, as in `net:[4026532000]`.
    #[must_use]
    pub fn namespace_id(&self) -> u64 {
        self.0.namespace.id()
    }

    /// The inode number of the switch's network namespace.
    #[must_use]
    pub fn switch_namespace_id(&self) -> u64 {
        self.0.switch.namespace_id()
    }

    // ── links ──────────────────────────────────────────────────────────────────────────────

    /// Connects the host to LAN 0: `node.link("eth0", &["10.0.0.2/24", "2001:db8::2/64"])`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a bad name or address, [`Error::Kernel`] if the name is taken.
    pub fn link(&self, name: &str, addresses: &[&str]) -> Result<Link> {
        let addresses = addresses.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        self.link_with(LinkSpec { name: name.parse()?, addresses, mac: None, lan: 0 })
    }

    /// Connects the host as `spec` says and returns when the link has carrier and, with IPv6, its
    /// link-local address.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the name is taken, [`Error::Overdue`] if the link does not come up.
    pub fn link_with(&self, spec: LinkSpec) -> Result<Link> {
        let name = spec.name.to_string();
        let mut links = lock(&self.0.links);
        let used = u8::try_from(links.len()).unwrap_or(u8::MAX);
        let mac = spec.mac.unwrap_or(Mac([2, 0, 0, 0, used, self.0.number]));
        let spec = LinkSpec { mac: Some(mac), ..spec };
        let port = self.0.switch.connect(Plug {
            node: self.name().to_owned(),
            namespace: self.0.namespace.raw_fd(),
            link: name.clone(),
            mac,
            lan: spec.lan,
        })?;
        let addresses = spec.addresses.clone();
        links.insert(name.clone(), Plugged { port, spec });
        drop(links);
        let on = name.clone();
        self.run(format!("bring up {name}"), async move |netlink| {
            let index = index_of(&on)?;
            netlink::set_up(&netlink, index, true).await?;
            for cidr in addresses {
                netlink::add_address(&netlink, index, cidr).await?;
            }
            Ok(())
        })?;
        self.wait_until_usable(&name)
    }

    /// Deletes the interface as a driver going away does; the cable goes with it.
    ///
    /// # Errors
    /// [`Error::NoLink`] if the lab did not make it.
    pub fn delete_link(&self, name: &str) -> Result<()> {
        self.0.switch.disconnect(self.plugged(name)?.port)
    }

    /// Makes a deleted link again: same name, MAC address, LAN and addresses; another index. A
    /// capture sees the old link only: start another.
    ///
    /// # Errors
    /// As for [`Node::link_with`].
    pub fn recreate_link(&self, name: &str) -> Result<Link> {
        let spec = self.plugged(name)?.spec;
        self.link_with(spec)
    }

    /// Renames an interface, taking it down for the moment where the kernel insists on that.
    ///
    /// # Errors
    /// [`Error::Kernel`] if there is no such interface or the new name is taken.
    pub fn rename_link(&self, from: &str, to: &str) -> Result<()> {
        let new: IfName = to.parse()?;
        let old = from.to_owned();
        self.run(format!("rename {from} to {to}"), async move |netlink| {
            let index = index_of(&old)?;
            let rename = || LinkUnspec::new_with_index(index).name(new.as_str()).build();
            match change_link(&netlink, rename()).await {
                Err(e) if e.raw_os_error() == Some(nix::libc::EBUSY) => {
                    netlink::set_up(&netlink, index, false).await?;
                    change_link(&netlink, rename()).await?;
                    netlink::set_up(&netlink, index, true).await
                }
                other => other,
            }
        })?;
        let mut links = lock(&self.0.links);
        if let Some(plugged) = links.remove(from) {
            links.insert(to.to_owned(), plugged);
        }
        Ok(())
    }

    /// Sets an interface administratively up.
    ///
    /// # Errors
    /// [`Error::Kernel`] if there is no such interface.
    pub fn set_up(&self, link: &str) -> Result<()> {
        self.admin(link, true)
    }

    /// Sets an interface administratively down. The kernel drops its IPv6 addresses.
    ///
    /// # Errors
    /// [`Error::Kernel`] if there is no such interface.
    pub fn set_down(&self, link: &str) -> Result<()> {
        self.admin(link, false)
    }

    /// What the kernel says about one interface; `None` if it is not there.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the kernel does not answer.
    pub fn link_status(&self, name: &str) -> Result<Option<Link>> {
        Ok(self.links()?.into_iter().find(|link| link.name == name))
    }

    /// All interfaces of the host.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the kernel does not answer.
    pub fn links(&self) -> Result<Vec<Link>> {
        self.run("list interfaces", async |netlink| netlink::links(&netlink).await)
    }

    // ── faults at the switch ───────────────────────────────────────────────────────────────

    /// Pulls all cables of the host: its interfaces stay up and lose carrier.
    ///
    /// # Errors
    /// [`Error::Kernel`] if a link has been deleted meanwhile.
    pub fn unplug(&self) -> Result<()> {
        self.each_port(|switch, port| switch.set_carrier(port, false))
    }

    /// Puts all cables back.
    ///
    /// # Errors
    /// [`Error::Kernel`] if a link has been deleted meanwhile.
    pub fn plug(&self) -> Result<()> {
        self.each_port(|switch, port| switch.set_carrier(port, true))
    }

    /// Pulls the cable of one link.
    ///
    /// # Errors
    /// [`Error::NoLink`] if there is no such link.
    pub fn unplug_link(&self, name: &str) -> Result<()> {
        self.0.switch.set_carrier(self.plugged(name)?.port, false)
    }

    /// Puts the cable of one link back.
    ///
    /// # Errors
    /// [`Error::NoLink`] if there is no such link.
    pub fn plug_link(&self, name: &str) -> Result<()> {
        self.0.switch.set_carrier(self.plugged(name)?.port, true)
    }

    /// Loses all frames in one direction, the other one and the carrier staying as they are.
    ///
    /// # Errors
    /// [`Error::Kernel`] on a kernel before 5.18, which cannot lock a port.
    pub fn block(&self, direction: Direction) -> Result<()> {
        let sending = direction == Direction::Sending;
        self.each_port(|switch, port| switch.lose(port, sending, !sending))
    }

    /// Ends [`Node::block`].
    ///
    /// # Errors
    /// [`Error::Kernel`] if a link has been deleted meanwhile.
    pub fn unblock(&self) -> Result<()> {
        self.each_port(|switch, port| switch.lose(port, false, false))
    }

    // ── addresses, neighbours, settings ────────────────────────────────────────────────────

    /// The addresses of an interface, in the kernel's order.
    ///
    /// # Errors
    /// [`Error::Kernel`] if there is no such interface.
    pub fn addresses(&self, link: &str) -> Result<Vec<Address>> {
        let name = link.to_owned();
        self.run(format!("list the addresses of {link}"), async move |netlink| {
            netlink::addresses(&netlink, index_of(&name)?).await
        })
    }

    /// Whether any interface carries the address.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the kernel does not answer.
    pub fn has_address(&self, ip: impl Into<IpAddr>) -> Result<bool> {
        let ip = ip.into();
        self.run("list addresses", async move |netlink| {
            for link in netlink::links(&netlink).await? {
                let on_link = netlink::addresses(&netlink, link.index.0).await?;
                if on_link.iter().any(|a| a.cidr.address() == ip) {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// Adds an address as an administrator would.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a bad address, [`Error::Kernel`] with EEXIST if it is there.
    pub fn add_address(&self, link: &str, cidr: &str) -> Result<()> {
        let (name, parsed) = (link.to_owned(), cidr.parse()?);
        self.run(format!("add {cidr} to {link}"), async move |netlink| {
            netlink::add_address(&netlink, index_of(&name)?, parsed).await
        })
    }

    /// Deletes an address as an administrator would.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a bad address, [`Error::Kernel`] with EADDRNOTAVAIL if it is not
    /// there with this prefix length.
    pub fn del_address(&self, link: &str, cidr: &str) -> Result<()> {
        let (name, parsed) = (link.to_owned(), cidr.parse()?);
        self.run(format!("delete {cidr} from {link}"), async move |netlink| {
            netlink::del_address(&netlink, index_of(&name)?, parsed).await
        })
    }

    /// Routes everything without a better route through `gateway`.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the gateway is not reachable on a link.
    pub fn default_route(&self, gateway: IpAddr) -> Result<()> {
        self.run(format!("route via {gateway}"), async move |netlink| {
            let route = match gateway {
                IpAddr::V4(v4) => {
                    RouteMessageBuilder::<std::net::Ipv4Addr>::new().gateway(v4).build()
                }
                IpAddr::V6(v6) => {
                    RouteMessageBuilder::<std::net::Ipv6Addr>::new().gateway(v6).build()
                }
            };
            netlink.route().add(route).execute().await.map_err(kernel)
        })
    }

    /// The ARP and neighbour caches.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the kernel does not answer.
    pub fn neighbours(&self) -> Result<Vec<NeighbourEntry>> {
        self.run("list neighbours", async |netlink| netlink::neighbours(&netlink).await)
    }

    /// Empties the ARP and neighbour caches, static entries excepted.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the kernel refuses.
    pub fn forget_neighbours(&self) -> Result<()> {
        self.run("flush neighbours", async |netlink| netlink::forget_neighbours(&netlink).await)
    }

    /// Writes a network setting, such as `net/ipv4/conf/eth0/arp_ignore`. Only those below `net`
    /// belong to the host; all others are the machine's.
    ///
    /// # Errors
    /// [`Error::Kernel`] if it does not exist or refuses the value.
    pub fn sysctl(&self, path: &str, value: &str) -> Result<()> {
        let (file, value) = (setting(path), value.to_owned());
        self.inside(format!("set {path} to {value}"), move || std::fs::write(file, value))
    }

    /// Reads a network setting, without the line end.
    ///
    /// # Errors
    /// [`Error::Kernel`] if it does not exist.
    pub fn read_sysctl(&self, path: &str) -> Result<String> {
        let file = setting(path);
        let value = self.inside(format!("read {path}"), || std::fs::read_to_string(file))?;
        Ok(value.trim_end().to_owned())
    }

    // ── work inside ────────────────────────────────────────────────────────────────────────

    /// Runs `work` on the host's thread, with a netlink connection of the host. Sockets made there
    /// stay in the host. `what` completes the sentence "cannot …". The thread does one thing at a
    /// time: `work` must end by itself.
    ///
    /// # Errors
    /// What `work` returned, as [`Error::Kernel`].
    pub fn run<T, F, R>(&self, what: impl Into<String>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Handle) -> R + Send + 'static,
        R: Future<Output = io::Result<T>> + 'static,
    {
        self.0.namespace.run(what, work)
    }

    /// The same for work that needs no netlink, such as opening a socket.
    ///
    /// # Errors
    /// What `work` returned, as [`Error::Kernel`].
    pub fn inside<T, F>(&self, what: impl Into<String>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> io::Result<T> + Send + 'static,
    {
        self.0.namespace.inside(what, work)
    }

    /// Captures every frame of one link, both directions.
    ///
    /// # Errors
    /// [`Error::Kernel`] if there is no such interface.
    pub fn capture(&self, link: &str) -> Result<Capture> {
        self.capture_only(link, |_| true)
    }

    /// Captures those frames of one link that `keep` wants.
    ///
    /// # Errors
    /// [`Error::Kernel`] if there is no such interface.
    pub fn capture_only(
        &self,
        link: &str,
        keep: impl Fn(&Frame) -> bool + Send + 'static,
    ) -> Result<Capture> {
        Capture::start_only(format!("{} {link}", self.name()), self.frame_socket(link)?, keep)
    }

    /// Sends one frame, Ethernet header first.
    ///
    /// # Errors
    /// [`Error::Kernel`] if there is no such interface or it is down.
    pub fn send_frame(&self, link: &str, frame: &[u8]) -> Result<()> {
        self.frame_socket(link)?.send(frame).map_err(|source| Error::Kernel {
            place: self.name().to_owned(),
            what: format!("send a frame on {link}"),
            source,
        })
    }

    /// Writes a file of the host's own, removed with the lab.
    ///
    /// # Errors
    /// [`Error::Kernel`] if it cannot be written.
    pub fn write_file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let directory = self.directory()?;
        let path = directory.join(name);
        let written = std::fs::write(&path, text);
        written.map(|()| path).map_err(|source| Error::Kernel {
            place: self.name().to_owned(),
            what: format!("write {name}"),
            source,
        })
    }

    /// The host's own directory, made on first use and removed with the lab.
    ///
    /// # Errors
    /// [`Error::Kernel`] if it cannot be made.
    pub fn directory(&self) -> Result<PathBuf> {
        let path = self.files().join(self.name());
        std::fs::create_dir_all(&path).map_err(|source| Error::Kernel {
            place: self.name().to_owned(),
            what: format!("make {}", path.display()),
            source,
        })?;
        Ok(path)
    }

    fn files(&self) -> &Path {
        self.0.files.path()
    }

    fn frame_socket(&self, link: &str) -> Result<FrameSocket> {
        let name = link.to_owned();
        self.inside(format!("open a packet socket on {link}"), move || {
            FrameSocket::on_interface(IfIndex(index_of(&name)?))
        })
    }

    fn admin(&self, link: &str, up: bool) -> Result<()> {
        let name = link.to_owned();
        self.run(format!("set {link} {}", if up { "up" } else { "down" }), async move |netlink| {
            netlink::set_up(&netlink, index_of(&name)?, up).await
        })
    }

    fn plugged(&self, link: &str) -> Result<Plugged> {
        let found = lock(&self.0.links).get(link).cloned();
        found.ok_or_else(|| Error::NoLink { node: self.name().into(), link: link.into() })
    }

    fn each_port(&self, work: impl Fn(&Switch, u32) -> Result<()>) -> Result<()> {
        let ports: Vec<_> = lock(&self.0.links).values().map(|plugged| plugged.port).collect();
        ports.into_iter().try_for_each(|port| work(&self.0.switch, port))
    }

    fn wait_until_usable(&self, name: &str) -> Result<Link> {
        let wants_ipv6 = Path::new("/proc/sys/net/ipv6").exists();
        let what = format!("{name} of {} to be usable", self.name());
        let usable = eventually(LINK_READY, what, || {
            let status = self.link_status(name).map_err(|e| e.to_string())?;
            let link = status.ok_or("no such interface")?;
            let addresses = self.addresses(name).map_err(|e| e.to_string())?;
            let local = addresses.iter().any(|a| match a.cidr.address() {
                IpAddr::V6(v6) => v6.is_unicast_link_local() && !a.has_flag(IFA_F_TENTATIVE),
                IpAddr::V4(_) => false,
            });
            match (link.carrier, local || !wants_ipv6) {
                (true, true) => Ok(link),
                (false, _) => Err("no carrier".to_owned()),
                (true, false) => Err("no link-local address".to_owned()),
            }
        });
        Ok(usable?)
    }
}

/// linux/if_addr.h
const IFA_F_TENTATIVE: u32 = 0x40;

impl Drop for Host {
    fn drop(&mut self) {
        // A destructor has nobody to tell; what is left dies with this program or its thread.
        drop(self.namespace.kill_all());
        drop(self.switch.remove_node(self.namespace.name()));
    }
}

fn setting(path: &str) -> PathBuf {
    Path::new("/proc/sys").join(path)
}
