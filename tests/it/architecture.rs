//! The rules of the crate's map that the compiler does not see: which modules are pure, and which
//! may use which.

use std::fs;
use std::path::{Path, PathBuf};

const PURE: [&str; 14] = [
    "types", "wire", "vrrp", "track", "cluster", "engine", "io", "config", "import", "notify",
    "pair", "pool", "status", "page",
];

/// What only the shell may name. The pure modules get time, files and packets as arguments.
const SHELL: [&str; 14] = [
    "tokio",
    "socket2",
    "nix::",
    "rtnetlink",
    "std::net::Udp",
    "std::net::Tcp",
    "std::fs",
    "std::process",
    "std::env",
    "std::thread",
    "Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
];

/// Who may use whom; everything else is an arrow pointing upwards.
const ARROWS: [(&str, &[&str]); 23] = [
    ("types", &[]),
    ("wire", &["types"]),
    ("track", &["types", "config"]),
    ("status", &["types"]),
    ("config", &["types", "import", "wire", "pool"]),
    ("import", &["types", "config", "pool"]),
    ("io", &["track", "pool", "config", "status", "types"]),
    ("vrrp", &["wire", "track", "config", "status", "types", "io"]),
    ("cluster", &["track", "pool", "config", "status", "types", "io"]),
    ("engine", &["io", "vrrp", "track", "cluster", "pool", "config", "status", "wire", "types"]),
    ("notify", &["config", "status", "types", "io"]),
    ("pair", &["config", "vrrp", "track", "wire", "types"]),
    ("pool", &["types"]),
    ("sys", &["wire", "types", "io", "config"]),
    ("pem", &["sys", "types"]),
    ("probe", &["pem", "sys", "config::checks", "track", "types"]),
    ("proxy", &["pem", "sys", "pool", "types"]),
    ("hook", &["probe", "sys", "notify", "engine", "io", "config", "status", "track", "types"]),
    ("page", &["status"]),
    ("api", &["page", "status", "types"]),
    ("lab", &["sys", "types"]),
    (
        "daemon",
        &[
            "pool", "proxy", "engine", "io", "sys", "probe", "hook", "api", "config", "log",
            "status", "types", "wire", "import", "track", "page",
        ],
    ),
    ("log", &["io", "types"]),
];

pub(crate) fn sources(module: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let file = root.join(format!("{module}.rs"));
    if file.exists() {
        found.push(file);
    }
    let mut folders = vec![root.join(module)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "module {module} has no source");
    found.into_iter().map(|p| (p.clone(), fs::read_to_string(p).unwrap())).collect()
}

/// The lines that are code: no comments, no unit tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.trim_start().starts_with("#[cfg(test)]"))
        .map(|(n, line)| (n + 1, line.split("//").next().unwrap_or_default()))
}

#[test]
fn pure_modules_name_nothing_of_the_shell() {
    let mut offences = Vec::new();
    for module in PURE {
        for (path, text) in sources(module) {
            for (number, line) in code(&text) {
                for word in SHELL {
                    if line.contains(word) {
                        offences.push(format!("{}:{number}: {word}", path.display()));
                    }
                }
            }
        }
    }
    assert!(offences.is_empty(), "the pure modules name:\n{}", offences.join("\n"));
}

#[test]
fn every_pure_module_denies_the_disallowed() {
    for module in PURE {
        if module == "types" {
            continue;
        }
        let denies = sources(module).iter().any(|(_, text)| {
            text.contains("#![deny(clippy::disallowed_methods, clippy::disallowed_types)]")
        });
        assert!(denies, "module {module} lacks its inner #![deny(clippy::disallowed_…)]");
    }
}

#[test]
fn no_arrow_points_upwards() {
    let mut offences = Vec::new();
    for (module, allowed) in ARROWS {
        for (path, text) in sources(module) {
            for (number, line) in code(&text) {
                for used in used_modules(line) {
                    let fits = used.starts_with(module)
                        || allowed
                            .iter()
                            .any(|a| used == *a || used.starts_with(&format!("{a}::")));
                    if !fits {
                        offences.push(format!("{}:{number}: crate::{used}", path.display()));
                    }
                }
            }
        }
    }
    assert!(offences.is_empty(), "arrows that point upwards:\n{}", offences.join("\n"));
}

/// `crate::a::b` and `crate::{a::x, b}` as `a::b`, `a::x`, `b`.
fn used_modules(line: &str) -> Vec<String> {
    let mut used = Vec::new();
    for part in line.split("crate::").skip(1) {
        let path = |text: &str| -> String {
            text.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect()
        };
        match part.strip_prefix('{') {
            Some(list) => used.extend(list.split(',').map(|p| path(p.trim()))),
            None => used.push(path(part)),
        }
    }
    used.retain(|u| !u.is_empty());
    used
}

#[test]
fn unsafe_lives_in_sys_alone() {
    for module in PURE.iter().chain(&["api", "probe", "proxy", "daemon", "lab", "cli"]) {
        for (path, text) in sources(module) {
            for (number, line) in code(&text) {
                // A word of the Content-Security-Policy.
                let line = line.replace("'unsafe-inline'", "");
                assert!(!line.contains("unsafe"), "{}:{number}: unsafe", path.display());
            }
        }
    }
}
