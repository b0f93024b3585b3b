//! Root of a user namespace: how a user without rights may still make networks.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

use super::error::{Error, Result};

/// Settings that forbid user namespaces, and the value that allows them.
const SETTINGS: [(&str, &str, &str); 3] = [
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ("user.max_user_namespaces", "0", "10000"),
];

pub(super) fn enter_if_needed() -> Result<()> {
    if geteuid().is_root() { Ok(()) } else { enter().map_err(forbidden) }
}

fn enter() -> io::Result<()> {
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER)?;
    // Without this the kernel refuses the group map (user_namespaces(7)).
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

fn forbidden(error: io::Error) -> Error {
    let what = "make a user namespace";
    if error.raw_os_error() == Some(Errno::EINVAL as i32) {
        return Error::Kernel {
            place: "lab".into(),
            what: format!("{what}: the process has several threads"),
            source: error,
        };
    }
    let blocking = SETTINGS.iter().find(|(name, forbids, _)| {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        fs::read_to_string(path).is_ok_and(|value| value.trim() == *forbids)
    });
    match blocking {
        Some((name, value, allows)) => Error::Forbidden {
            what,
            why: format!("this system has {name} = {value}"),
            remedy: format!("Run it as root, or allow it with: sysctl -w {name}={allows}"),
        },
        None => Error::Forbidden {
            what,
            why: error.to_string(),
            remedy: "Run it as root. In a container the runtime's seccomp profile usually forbids \
                     namespaces; a privileged container allows them."
                .into(),
        },
    }
}
