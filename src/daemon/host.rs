//! The daemon's side of the control socket: who may do what, and what only files and the wall clock
//! know. What completes a status may take its time, the rest runs on the effects thread.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::net::if_::if_nametoindex;
use nix::unistd::{Group, getegid, geteuid};

use super::drains::Drains;
use super::pages::PageStates;
use crate::api::protocol::{Request, Response};
use crate::api::server::{Client, Host};
use crate::engine::allow_vrrp;
use crate::hook::Hooks;
use crate::status::{HintCode, HintStatus, RouterStatus, Snapshot, State};
use crate::sys::echo::{self, MulticastGroup};
use crate::text::age;
use crate::types::{Family, IfIndex, IfName};

/// How long a packet may take from this host to itself.
pub(super) const ECHO_WITHIN: Duration = Duration::from_millis(50);
/// For how long an unreachable group is not tested again.
const RECHECK_AFTER: Duration = Duration::from_secs(5);

/// What the server asks.
pub(super) struct DaemonHost {
    /// Log lines lost so far.
    pub(super) lost: Box<dyn Fn() -> u64 + Send + Sync>,
    /// Routers out of service.
    pub(super) drains: Drains,
    /// Who may command.
    pub(super) access: Access,
    /// Whether the host lets its own packets in.
    pub(super) loopback: LoopbackCheck,
    /// Notifications; set when the loop starts.
    pub(super) hooks: OnceLock<Hooks>,
    /// Status pages.
    pub(super) pages: PageStates,
}

impl Host for DaemonHost {
    fn complete(&self, snapshot: &mut Snapshot) {
        self.complete(snapshot);
    }

    fn permits(&self, client: Client, request: &Request) -> Result<(), String> {
        self.access.permits(client, request)
    }

    fn accepted(&self, request: &Request, response: Response) -> Response {
        let Response::Accepted(subjects) = &response else { return response };
        let names = subjects.iter().map(|subject| subject.name.clone());
        let (kept, lasting) = match request {
            Request::Drain { sticky, .. } => {
                (self.drains.add(names, &wall_clock(), *sticky), *sticky)
            }
            Request::Resume { .. } => (self.drains.remove(names), true),
            Request::Status
            | Request::Handover { .. }
            | Request::Reload
            | Request::PlanReload
            | Request::Upgrade { .. } => {
                return response;
            }
        };
        match kept {
            Err(error) if lasting => Response::NotKept(format!(
                "it is under way, but a restart of the daemon will not know of it: {error}"
            )),
            _ => response,
        }
    }
}

/// Where routers have received nothing for three intervals, the host tests whether it could.
#[derive(Default)]
pub(super) struct LoopbackCheck {
    unreachable: Mutex<Option<(Instant, BTreeSet<MulticastGroup>)>>,
}

impl LoopbackCheck {
    pub(super) fn complete(&self, snapshot: &mut Snapshot) {
        let place = |router: &RouterStatus| {
            let heard = router.last_heard_ms.is_some_and(|ms| ms <= router.interval_ms * 3);
            let listens = router.state != State::Fault && !heard;
            let group = router.destinations.iter().find(|to| listens && to.is_multicast())?;
            let index = if_nametoindex(router.interface.as_str()).ok()?;
            Some((IfIndex(index), *group))
        };
        let places: BTreeSet<MulticastGroup> = snapshot.routers.iter().filter_map(place).collect();
        if places.is_empty() {
            return;
        }
        let unreachable = self.unreachable_at(&places);
        for router in &mut snapshot.routers {
            if let Some((_, group)) = place(router).filter(|place| unreachable.contains(place)) {
                let hint = unreachable_hint(router, group);
                router.hints.insert(0, HintStatus::new(HintCode::AdvertsFilteredIn, hint));
            }
        }
    }

    /// Groups that can be reached are tested again each time: that answers at once.
    fn unreachable_at(&self, places: &BTreeSet<MulticastGroup>) -> BTreeSet<MulticastGroup> {
        let mut known = self.unreachable.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((at, unreachable)) if at.elapsed() < RECHECK_AFTER && !unreachable.is_empty() => {
                unreachable.clone()
            }
            Some(_) | None => {
                let places: Vec<MulticastGroup> = places.iter().copied().collect();
                let unreachable: BTreeSet<MulticastGroup> =
                    echo::unreachable(&places, ECHO_WITHIN).into_iter().collect();
                *known = Some((Instant::now(), unreachable.clone()));
                unreachable
            }
        }
    }
}

fn unreachable_hint(router: &RouterStatus, group: IpAddr) -> String {
    let interface = &router.interface;
    let heard = match router.last_heard_ms {
        Some(ms) => {
            format!("the last advert of another node was received on {interface} {} ago", age(ms))
        }
        None => {
            format!("no advert of another node was ever received on {interface} since the start")
        }
    };
    format!("{heard}, and {}", unreachable_text(interface, group))
}

/// The hint for a group that cannot be reached.
pub(super) fn unreachable_text(interface: &IfName, group: IpAddr) -> String {
    let allow = allow_vrrp(Family::of(group));
    format!(
        "a packet of IP protocol 112 that this host sends to {group} on {interface} does not come \
         back to it: its own packet filter drops what other nodes send. {allow} lets VRRP in"
    )
}

pub(super) fn wall_clock() -> String {
    jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
}

/// Who may command the daemon: root, its own user, and the members of one group.
///
/// The group owns the socket, mode 0660. So nobody else but its members can connect, and the kernel
/// has looked at all their groups, not only at the first.
pub(super) struct Access {
    socket: PathBuf,
    group: Mutex<Option<String>>,
}

impl Access {
    /// Nobody but root and ourselves.
    pub(super) fn new(socket: PathBuf) -> Access {
        Access { socket, group: Mutex::new(None) }
    }

    /// Give the socket to a group, or take it back. May ask the network who that is.
    pub(super) fn grant(&self, wanted: Option<&str>) {
        let granted = match wanted {
            None => self.give_to(getegid().as_raw()).map(|()| None),
            Some(name) => Group::from_name(name)
                .map_err(io::Error::from)
                .and_then(|group| group.ok_or_else(|| io::Error::other("there is no such group")))
                .and_then(|group| self.give_to(group.gid.as_raw()))
                .map(|()| wanted.map(str::to_owned)),
        };
        *self.group() = granted.unwrap_or_else(|error| {
            let name = wanted.unwrap_or("of the daemon");
            let hint = if error.kind() == io::ErrorKind::PermissionDenied {
                " (under systemd: SupplementaryGroups= in the unit)"
            } else {
                ""
            };
            tracing::warn!(
                "cannot give the control socket to group {name}: {}{hint}",
                crate::sys::cause(&error)
            );
            None
        });
    }

    fn permits(&self, client: Client, request: &Request) -> Result<(), String> {
        if !request.is_command() || client.uid == 0 || client.uid == geteuid().as_raw() {
            return Ok(());
        }
        // Whoever chooses the binary has the daemon's rights.
        let others =
            if matches!(request, Request::Upgrade { .. }) { None } else { self.group().clone() };
        match others {
            Some(_) => Ok(()),
            None if matches!(request, Request::Upgrade { .. }) => {
                Err("only root may upgrade it".to_owned())
            }
            None => Err("only root may command it, unless its configuration names a \
                         control_group"
                .to_owned()),
        }
    }

    fn give_to(&self, gid: u32) -> io::Result<()> {
        if std::fs::metadata(&self.socket)?.gid() == gid {
            return Ok(());
        }
        chown(&self.socket, None, Some(gid))
    }

    fn group(&self) -> MutexGuard<'_, Option<String>> {
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: Client = Client { uid: 4_000_000 };

    #[test]
    fn strangers_may_ask_members_may_command_and_only_root_may_upgrade() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        std::fs::write(&socket, "").unwrap();
        let access = Access::new(socket);
        let drain = Request::Drain { router: None, sticky: false, force: false };
        let upgrade = Request::Upgrade { binary: None };

        assert_eq!(access.permits(STRANGER, &Request::Status), Ok(()));
        let why = access.permits(STRANGER, &drain).unwrap_err();
        assert!(why.contains("control_group"), "{why}");
        for client in [Client { uid: 0 }, Client { uid: geteuid().as_raw() }] {
            assert_eq!(access.permits(client, &upgrade), Ok(()));
        }

        let own = Group::from_gid(getegid()).unwrap().unwrap().name;
        access.grant(Some(&own));
        assert_eq!(access.permits(STRANGER, &drain), Ok(()));
        assert!(access.permits(STRANGER, &upgrade).is_err());
        access.grant(Some("no-such-group"));
        assert!(access.permits(STRANGER, &drain).is_err());
    }
}
