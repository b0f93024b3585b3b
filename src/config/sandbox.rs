//! What the settings of a systemd unit keep from the commands of its daemon. Pure: the text of the
//! unit's files in, sentences out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Directories that `ProtectHome=` is about.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
/// Those that `PrivateTmp=` is about.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
/// What `ProtectSystem=strict` leaves alone.
const KERNEL: [&str; 3] = ["/dev", "/proc", "/sys"];
/// Settings that make a directory the unit may write to, and where.
const DIRECTORIES: [(&str, &str); 4] = [
    ("RuntimeDirectory", "/run"),
    ("StateDirectory", "/var/lib"),
    ("LogsDirectory", "/var/log"),
    ("CacheDirectory", "/var/cache"),
];
/// What root reads everything by.
const OVERRIDE: &str = "CAP_DAC_OVERRIDE";

/// The sandbox of a unit.
#[derive(Clone, Debug, Default)]
pub struct Sandbox {
    /// The last value of each setting, and the file it stands in.
    settings: BTreeMap<String, (String, String)>,
    writable: Vec<PathBuf>,
}

impl Sandbox {
    /// That of a unit whose files, name and text, are read in this order.
    #[must_use]
    pub fn of(files: &[(String, String)]) -> Sandbox {
        let mut sandbox = Sandbox::default();
        for (file, text) in files {
            for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
                let Some((key, value)) = line.split_once('=') else { continue };
                let (key, value) = (key.trim(), value.trim());
                let below = DIRECTORIES.iter().find(|(known, _)| *known == key);
                let names =
                    value.split_whitespace().map(|name| name.trim_start_matches(['-', '+']));
                match below {
                    Some((_, at)) => sandbox.writable.extend(names.map(|n| Path::new(at).join(n))),
                    None if key == "ReadWritePaths" => {
                        sandbox.writable.extend(names.map(PathBuf::from));
                    }
                    None => {
                        let said = (value.to_owned(), file.clone());
                        sandbox.settings.insert(key.to_owned(), said);
                    }
                }
            }
        }
        sandbox
    }

    /// The setting by which a path cannot be seen.
    #[must_use]
    pub fn hides(&self, path: &Path) -> Option<String> {
        let hidden = |value: &str| is_on(value) || value == "tmpfs";
        self.setting("ProtectHome", hidden).filter(|_| is_below(path, &HOMES))
    }

    /// The setting by which a path is another one than everybody else's.
    #[must_use]
    pub fn replaces(&self, path: &Path) -> Option<String> {
        let private = |value: &str| is_on(value) || value == "disconnected";
        self.setting("PrivateTmp", private).filter(|_| is_below(path, &TEMPORARY))
    }

    /// The setting by which a path cannot be written to.
    #[must_use]
    pub fn closes(&self, path: &Path) -> Option<String> {
        let real = path.strip_prefix("/var/run").map(|rest| Path::new("/run").join(rest));
        let path = real.as_deref().unwrap_or(path);
        if self.writable.iter().any(|known| path.starts_with(known)) {
            return None;
        }
        let system = self.setting("ProtectSystem", |value| match value {
            "strict" => !is_below(path, &KERNEL),
            "full" => is_below(path, &["/usr", "/boot", "/efi", "/etc"]),
            value => is_on(value) && is_below(path, &["/usr", "/boot", "/efi"]),
        });
        let home = |value: &str| value == "read-only" && is_below(path, &HOMES);
        system.or_else(|| self.setting("ProtectHome", home))
    }

    /// The setting by which root reads only what its owner, group or everybody may read.
    #[must_use]
    pub fn binds_root(&self) -> Option<String> {
        self.setting("CapabilityBoundingSet", |value| match value.strip_prefix('~') {
            Some(without) => without.split_whitespace().any(|name| name == OVERRIDE),
            None => !value.split_whitespace().any(|name| name == OVERRIDE),
        })
    }

    /// A setting whose value does it, and where it stands.
    fn setting(&self, key: &str, does: impl Fn(&str) -> bool) -> Option<String> {
        let (value, file) = self.settings.get(key)?;
        let shown = if key == "CapabilityBoundingSet" { "" } else { value.as_str() };
        let is = if shown.is_empty() { "" } else { "=" };
        does(value).then(|| format!("{key}{is}{shown} in {file}"))
    }
}

fn is_on(value: &str) -> bool {
    ["1", "yes", "y", "true", "t", "on"].contains(&value.to_ascii_lowercase().as_str())
}

fn is_below(path: &Path, directories: &[&str]) -> bool {
    directories.iter().any(|directory| path.starts_with(directory))
}

/// Files a shell script writes to, as far as that can be seen: the line, from 1, and the path.
#[must_use]
pub fn written(script: &str) -> Vec<(usize, String)> {
    let mut variables: BTreeMap<&str, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for (number, line) in script.lines().enumerate() {
        let mut words =
            line.split_whitespace().take_while(|word| !word.starts_with('#')).peekable();
        let mut creates = false;
        while let Some(word) = words.next() {
            if let Some((name, value)) = word.split_once('=')
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            {
                variables.insert(name, bare(value));
                continue;
            }
            let redirected = word.trim_start_matches(['1', '2', '&']).strip_prefix('>');
            let target = match redirected.map(|rest| rest.trim_start_matches(['>', '|'])) {
                Some("") => words.next(),
                Some(target) => Some(target),
                None if creates && !word.starts_with('-') => Some(word),
                None => None,
            };
            let command = word.rsplit('/').next().unwrap_or(word);
            creates = match target {
                Some(_) => false,
                None => creates || matches!(command, "tee" | "touch" | "mkdir"),
            };
            let Some(target) = target.map(bare) else { continue };
            let path = expanded(target, &variables);
            if path.starts_with('/') && !path.starts_with("/dev/") {
                found.push((number + 1, path));
            }
        }
    }
    found
}

/// Without quotes, and without what ends a command.
fn bare(word: &str) -> &str {
    word.trim_end_matches([';', ')', '&']).trim_matches(['"', '\''])
}

/// With the variable it begins with.
fn expanded(target: &str, variables: &BTreeMap<&str, &str>) -> String {
    let Some(rest) = target.strip_prefix('$') else { return target.to_owned() };
    let (name, rest) = match rest.strip_prefix('{') {
        Some(rest) => rest.split_once('}').unwrap_or((rest, "")),
        None => {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()))
        }
    };
    format!("{}{rest}", variables.get(name).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_script_writes_to_is_seen() {
        let script = "#!/bin/bash\nLOG=/var/log/notify.log\nSTATE=\"/var/run/vip.state\"\n\
                      # echo > /comment\n\
                      echo \"$(date) $1\" >> $LOG\necho $3 > \"${STATE}.new\"; touch /tmp/here\n\
                      logger x 2>/dev/null >&2\ncat /etc/hosts | tee -a /srv/copy\n\
                      [ -f $LOG ] || exit 1\n";
        let found = [
            (5, "/var/log/notify.log"),
            (6, "/var/run/vip.state.new"),
            (6, "/tmp/here"),
            (8, "/srv/copy"),
        ];
        let found: Vec<_> = found.map(|(line, path)| (line, path.to_owned())).into();
        assert_eq!(written(script), found);
    }

    fn sandbox(text: &str) -> Sandbox {
        Sandbox::of(&[("unit".to_owned(), text.to_owned())])
    }

    #[test]
    fn settings_say_what_is_out_of_reach() {
        let path = Path::new;
        let ours = include_str!("../../packaging/vipd-sandbox.conf");
        let unit = include_str!("../../packaging/vipd.service");
        let both = [("vipd.service", unit), ("sandbox.conf", ours)];
        let both = Sandbox::of(&both.map(|(name, text)| (name.to_owned(), text.to_owned())));
        let home = Some("ProtectHome=yes in sandbox.conf".to_owned());
        assert_eq!(both.hides(path("/root/check.sh")), home);
        assert_eq!(both.hides(path("/rooted")), None);
        assert_eq!(
            both.replaces(path("/tmp/x")),
            Some("PrivateTmp=yes in sandbox.conf".to_owned())
        );
        let strict = Some("ProtectSystem=strict in sandbox.conf".to_owned());
        assert_eq!(both.closes(path("/var/run/state")), strict);
        assert_eq!(both.closes(path("/var/log/x.log")), strict);
        assert_eq!(both.closes(path("/var/run/vipd/x")), None);
        let root = Some("CapabilityBoundingSet in sandbox.conf".to_owned());
        assert_eq!(both.binds_root(), root);
    }

    #[test]
    fn what_is_not_set_or_taken_back_keeps_nothing_away() {
        let bare = sandbox("[Service]\nExecStart=/usr/bin/vipd run\n");
        let path = Path::new("/var/log/x");
        assert!(bare.closes(path).is_none() && bare.binds_root().is_none());
        let text = "ProtectSystem=strict\nProtectHome=yes\nProtectHome=read-only\n\
                    ReadWritePaths=-/var/log\nCapabilityBoundingSet=~CAP_SYS_ADMIN\n";
        let some = sandbox(text);
        assert!(some.closes(path).is_none() && some.binds_root().is_none());
        assert!(some.hides(Path::new("/root/x")).is_none());
        assert!(some.closes(Path::new("/root/x")).is_some());
        assert!(sandbox("ProtectSystem=full\n").closes(Path::new("/etc/x")).is_some());
    }
}
