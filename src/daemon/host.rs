//! The daemon's side of the control socket: who may do what, and what only files and the wall clock
//! know. Runs on the effects thread.

use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::unistd::{Group, getegid, geteuid};

use super::drains::Drains;
use crate::api::protocol::{Request, Response};
use crate::api::server::{Client, Host};
use crate::status::Snapshot;

/// What the server asks.
pub(super) struct DaemonHost {
    /// Log lines lost so far.
    pub(super) lost: Box<dyn Fn() -> u64 + Send + Sync>,
    /// Routers out of service.
    pub(super) drains: Drains,
    /// Who may command.
    pub(super) access: Access,
}

impl Host for DaemonHost {
    fn complete(&self, snapshot: &mut Snapshot) {
        snapshot.daemon.taken_at = wall_clock();
        snapshot.daemon.log_lines_lost = (self.lost)();
        for router in snapshot.routers.iter_mut().filter(|router| router.drained) {
            if let Some(drained) = self.drains.get(&router.name) {
                router.drained_since = Some(drained.since);
                router.drained_sticky = drained.sticky;
            }
        }
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
            Err(error) if lasting => Response::Error(format!(
                "it is done, but a restart of the daemon will not know of it: {error}"
            )),
            _ => response,
        }
    }
}

fn wall_clock() -> String {
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
        let drain = Request::Drain { router: None, sticky: false };
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
