//! Which program, as whom, and whether that is safe. Everything here may block.

use std::ffi::CString;
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

use crate::config::checks::{Command, RunAs, ScriptCheck};
use crate::probe::Failure;
use crate::sys::cause;
use crate::sys::process::{Identity, set_apart};
use crate::track::outcome::Cause;

/// Where programs without a `/` are if vipd itself was started without a PATH.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The account keepalived runs scripts as if there is one.
const DEFAULT_ACCOUNT: &str = "keepalived_script";

/// Variables that would change what a script runs, or let it speak to the service manager.
const NOT_INHERITED: [&str; 9] = [
    "IFS",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
];

/// A script that can be started.
#[derive(Debug)]
pub(super) struct Prepared {
    program: PathBuf,
    args: Vec<String>,
    account: Option<Account>,
    /// Further variables of its environment.
    pub(super) environment: Vec<(&'static str, String)>,
    /// What other users than root could change of a script that runs as root, as a sentence.
    pub(super) weakness: Option<String>,
}

#[derive(Debug)]
struct Account {
    identity: Identity,
    name: String,
    home: PathBuf,
    shell: PathBuf,
}

/// Looks everything up that can change between two runs.
pub(super) fn prepare(check: &ScriptCheck) -> Result<Prepared, Failure> {
    let account = account(&check.run_as)?;
    let (program, args) = match &check.command {
        Command::Argv { program, args } => (find(program)?, args.clone()),
        Command::Shell(text) => ("/bin/sh".into(), vec!["-c".to_owned(), text.clone()]),
    };
    let uid = account.as_ref().map_or_else(Uid::effective, |account| account.identity.uid);
    let weak = if uid.is_root() { weak_point(&program) } else { None };
    let shown = program.display();
    let weakness = match weak {
        Some(weak) if check.security => {
            let text = format!("{shown} is not run as root: {weak}");
            return Err(Failure::new(Cause::CannotRun, text));
        }
        weak => weak.map(|weak| {
            format!("{shown} is run as root, but {weak}; enable_script_security would refuse it")
        }),
    };
    Ok(Prepared { program, args, account, environment: Vec::new(), weakness })
}

/// Why a script could not be started, as a sentence; and what other users than root could change of
/// one that would run as root, as another. Runs nothing.
pub(crate) fn inspect(check: &ScriptCheck) -> Result<Option<String>, String> {
    let prepared = prepare(check).map_err(|failure| failure.detail)?;
    match prepared.forbidden().or_else(|| missing_interpreter(&prepared.program)) {
        Some(why) => Err(why),
        None => Ok(prepared.weakness),
    }
}

impl Prepared {
    pub(super) fn command(&self, (out, err): (Stdio, Stdio)) -> process::Command {
        let mut command = process::Command::new(&self.program);
        command.args(&self.args).current_dir("/");
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        for name in NOT_INHERITED {
            command.env_remove(name);
        }
        if std::env::var_os("PATH").is_none() {
            command.env("PATH", PATH);
        }
        if let Some(Account { name, home, shell, .. }) = &self.account {
            command.env("USER", name).env("LOGNAME", name).env("HOME", home).env("SHELL", shell);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        set_apart(&mut command, self.account.as_ref().map(|account| account.identity.clone()));
        command
    }

    /// Why it could not be started, with the part of the path that prevents it.
    pub(super) fn explain(&self, error: &io::Error) -> Failure {
        let text = match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EPERM) => self.account.as_ref().map(|account| {
                format!(
                    "vipd may not become user {}: it needs CAP_SETUID and CAP_SETGID",
                    account.name
                )
            }),
            Some(Errno::ENOENT) => missing_interpreter(&self.program),
            Some(Errno::EACCES) => self.forbidden(),
            _ => None,
        };
        let text = text.unwrap_or_else(|| format!("{}: {}", self.program.display(), cause(error)));
        Failure::new(Cause::CannotRun, text)
    }

    /// The first part of the path that the script's user may not enter, or not execute.
    fn forbidden(&self) -> Option<String> {
        let name = match &self.account {
            Some(account) => account.name.clone(),
            None => Uid::effective().to_string(),
        };
        let blamed = ancestors(&self.program)
            .into_iter()
            .find(|path| fs::metadata(path).is_ok_and(|found| !self.may_execute(&found)))?;
        let verb = if blamed == self.program { "execute" } else { "enter" };
        Some(format!("user {name} may not {verb} {}", blamed.display()))
    }

    fn may_execute(&self, found: &Metadata) -> bool {
        let (uid, gid, groups) = match &self.account {
            Some(Account { identity, .. }) => (identity.uid, identity.gid, &*identity.groups),
            None => (Uid::effective(), Gid::effective(), &[][..]),
        };
        let group = Gid::from_raw(found.gid());
        let bits = if uid.is_root() && !found.is_dir() {
            0o111
        } else if uid.is_root() {
            return true;
        } else if found.uid() == uid.as_raw() {
            0o100
        } else if group == gid || groups.contains(&group) {
            0o010
        } else {
            0o001
        };
        found.mode() & bits != 0
    }
}

fn account(run_as: &RunAs) -> Result<Option<Account>, Failure> {
    let failed = |what: &str, errno: Errno| Failure::cannot(what, &errno.into());
    let (user, group) = match run_as {
        RunAs::Default if !Uid::effective().is_root() => return Ok(None),
        RunAs::Default => {
            let found = User::from_name(DEFAULT_ACCOUNT);
            match found.map_err(|errno| failed("read the user database", errno))? {
                Some(user) => (user, None),
                None => return Ok(None),
            }
        }
        RunAs::User { user, group } => (find_user(user)?, group.as_deref()),
    };
    let (gid, groups) = match group {
        Some(group) => {
            let gid = find_group(group)?;
            (gid, vec![gid])
        }
        None => {
            let name = CString::new(user.name.as_str()).map_err(|error| {
                Failure::cannot("read the user database", &io::Error::other(error))
            })?;
            let groups = getgrouplist(&name, user.gid);
            (user.gid, groups.map_err(|errno| failed("read the group database", errno))?)
        }
    };
    // Nothing to change, and perhaps no permission to.
    if user.uid == Uid::effective() && !user.uid.is_root() {
        return Ok(None);
    }
    let identity = Identity { uid: user.uid, gid, groups };
    Ok(Some(Account { identity, name: user.name, home: user.dir, shell: user.shell }))
}

fn find_user(name: &str) -> Result<User, Failure> {
    let found = match name.parse() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(name),
    };
    let found = found.map_err(|errno| Failure::cannot("read the user database", &errno.into()))?;
    found.ok_or_else(|| Failure::new(Cause::CannotRun, format!("there is no user {name}")))
}

fn find_group(name: &str) -> Result<Gid, Failure> {
    if let Ok(number) = name.parse() {
        return Ok(Gid::from_raw(number));
    }
    let found = Group::from_name(name)
        .map_err(|errno| Failure::cannot("read the group database", &errno.into()))?;
    let group =
        found.ok_or_else(|| Failure::new(Cause::CannotRun, format!("there is no group {name}")))?;
    Ok(group.gid)
}

/// Whose a file shall be: of a user alone also the primary group. May block.
///
/// # Errors
/// There is no such user or group, or nobody knows.
pub(crate) fn owner(
    user: Option<&str>,
    group: Option<&str>,
) -> io::Result<(Option<Uid>, Option<Gid>)> {
    let unknown = |failure: Failure| io::Error::other(failure.detail);
    let user = user.map(find_user).transpose().map_err(unknown)?;
    let group = group.map(find_group).transpose().map_err(unknown)?;
    let group = group.or_else(|| user.as_ref().map(|user| user.gid));
    Ok((user.map(|user| user.uid), group))
}

/// The file of a program, which need not be executable, but must be there.
fn find(program: &str) -> Result<PathBuf, Failure> {
    if program.contains('/') {
        let path = PathBuf::from(program);
        return match fs::metadata(&path) {
            Ok(_) => Ok(path),
            Err(error) => Err(unreachable(&path, &error)),
        };
    }
    let list = std::env::var("PATH").unwrap_or_else(|_| PATH.to_owned());
    let found = list.split(':').map(|dir| Path::new(dir).join(program)).find(|p| p.is_file());
    found.ok_or_else(|| Failure::new(Cause::CannotRun, format!("no {program} in PATH ({list})")))
}

/// Says which part of a path is missing or closed.
fn unreachable(path: &Path, error: &io::Error) -> Failure {
    let blamed = ancestors(path)
        .into_iter()
        .find(|part| fs::metadata(part).is_err())
        .unwrap_or_else(|| path.to_owned());
    Failure::new(Cause::CannotRun, format!("{}: {}", blamed.display(), cause(error)))
}

/// Every path on the way to this one, from the root, itself included.
fn ancestors(path: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> =
        path.ancestors().filter(|part| !part.as_os_str().is_empty()).map(Path::to_owned).collect();
    all.reverse();
    all
}

/// `#!` names a program that does not exist.
fn missing_interpreter(script: &Path) -> Option<String> {
    let mut start = [0; 256];
    let count = fs::File::open(script).ok()?.read(&mut start).ok()?;
    let text = String::from_utf8_lossy(start.get(..count)?).into_owned();
    let interpreter = text.strip_prefix("#!")?.split_whitespace().next()?.to_owned();
    let missing = !Path::new(&interpreter).exists();
    missing.then(|| format!("{} needs {interpreter}, which does not exist", script.display()))
}

/// The part of a path, links followed, that somebody other than root could change.
fn weak_point(program: &Path) -> Option<String> {
    let real = fs::canonicalize(program).ok()?;
    let parts = ancestors(program).into_iter().chain(ancestors(&real));
    for part in parts {
        let Ok(found) = fs::metadata(&part) else { continue };
        let sticky = found.is_dir() && found.mode() & 0o1000 != 0;
        let shown = part.display();
        if found.uid() != 0 {
            let owner = User::from_uid(Uid::from_raw(found.uid())).ok().flatten();
            let owner = owner.map_or_else(|| found.uid().to_string(), |user| user.name);
            return Some(format!("{shown} belongs to {owner}"));
        }
        if found.mode() & 0o002 != 0 && !sticky {
            return Some(format!("{shown} is writable by everyone"));
        }
        if found.mode() & 0o020 != 0 && found.gid() != 0 && !sticky {
            let group = Group::from_gid(Gid::from_raw(found.gid())).ok().flatten();
            let group = group.map_or_else(|| found.gid().to_string(), |group| group.name);
            return Some(format!("{shown} is writable by group {group}"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    #[test]
    fn a_path_names_its_missing_part() {
        let dir = tempfile::tempdir().unwrap();
        let failure = find(dir.path().join("checks/web.sh").to_str().unwrap()).unwrap_err();
        let missing = format!("{}/checks: No such file or directory", dir.path().display());
        assert_eq!(failure, Failure::new(Cause::CannotRun, missing));
        assert!(find("sh").unwrap().ends_with("sh"));
        assert!(find("no-such-program").unwrap_err().detail.starts_with("no no-such-program in"));
    }

    // Changing owners needs root, as most of what vipd does.
    #[test]
    fn a_weak_point_is_found_on_the_way_and_behind_links() {
        let dir = tempfile::tempdir_in("/run").unwrap();
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        set(dir.path(), 0o755);
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::create_dir(&real).unwrap();
        let script = real.join("check.sh");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        symlink(&real, &link).unwrap();
        let by_link = link.join("check.sh");
        assert_eq!(weak_point(&by_link), None);

        set(&script, 0o757);
        let weak = weak_point(&script).unwrap();
        assert_eq!(weak, format!("{} is writable by everyone", script.display()));
        set(&script, 0o755);
        chown(&real, None, Some(1)).unwrap();
        set(&real, 0o775);
        let weak = weak_point(&by_link).unwrap();
        assert_eq!(weak, format!("{} is writable by group daemon", link.display()));
        set(&real, 0o1777);
        assert_eq!(weak_point(&by_link), None, "nobody can replace another's file there");
        set(&real, 0o755);
        chown(&script, Some(1), None).unwrap();
        let weak = weak_point(&by_link).unwrap();
        assert_eq!(weak, format!("{} belongs to daemon", by_link.display()));
    }
}
