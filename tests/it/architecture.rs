//! The rules of the crate's map that the compiler does not see: which modules are pure, and which
//! may use which. The map is the table in `src/lib.rs`, from the bottom to the top.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The highest module of the table that is pure, as all below it are.
const HIGHEST_PURE: &str = "engine";

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

/// One row of the map: modules of one layer, and those they may use beside each other.
struct Layer {
    modules: Vec<String>,
    may_use: Vec<String>,
}

/// The table in the crate's documentation. "all above" in its last column are the rows above.
fn layers() -> Vec<Layer> {
    let text = fs::read_to_string(source_root().join("lib.rs")).unwrap();
    let mut layers: Vec<Layer> = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("//! | [`")) {
        let cells: Vec<&str> = line.trim_start_matches("//! |").split('|').map(str::trim).collect();
        let names = |cell: &str| -> Vec<String> {
            let names = cell.split(',').map(|name| name.trim().trim_matches(['[', ']', '`']));
            names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        let may_use = match cells[2] {
            "all above" => layers.iter().flat_map(|layer| layer.modules.clone()).collect(),
            listed => names(listed),
        };
        layers.push(Layer { modules: names(cells[0]), may_use });
    }
    layers
}

fn pure() -> Vec<String> {
    let mut pure = Vec::new();
    for layer in layers() {
        let last = layer.modules.iter().any(|module| module == HIGHEST_PURE);
        pure.extend(layer.modules);
        if last {
            return pure;
        }
    }
    panic!("no row of the map is about {HIGHEST_PURE}");
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

pub(crate) fn sources(module: &str) -> Vec<(PathBuf, String)> {
    let root = source_root();
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
    for module in pure() {
        for (path, text) in sources(&module) {
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
    for module in pure() {
        let denies = sources(&module).iter().any(|(_, text)| {
            text.contains("#![deny(clippy::disallowed_methods, clippy::disallowed_types)]")
        });
        assert!(denies, "module {module} lacks its inner #![deny(clippy::disallowed_…)]");
    }
}

#[test]
fn the_map_has_every_module_and_uses_only_what_is_above() {
    let mut above: BTreeSet<String> = BTreeSet::new();
    for layer in layers() {
        for used in &layer.may_use {
            assert!(above.contains(used), "{:?} use {used}, which is not above", layer.modules);
        }
        above.extend(layer.modules);
    }
    let text = fs::read_to_string(source_root().join("lib.rs")).unwrap();
    let declared = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    assert_eq!(above, declared.map(str::to_owned).collect());
}

#[test]
fn no_module_uses_one_above_it() {
    let mut offences = Vec::new();
    for layer in layers() {
        for module in &layer.modules {
            for (path, text) in sources(module) {
                for Used { line, path: used, .. } in used(&own_path(&path), &tokens(&text)) {
                    let used = &used[0];
                    if !layer.modules.contains(used) && !layer.may_use.contains(used) {
                        offences.push(format!("{}:{line}: {used}", path.display()));
                    }
                }
            }
        }
    }
    assert!(offences.is_empty(), "against the map in src/lib.rs:\n{}", offences.join("\n"));
}

/// The module path of a file below `src`.
fn own_path(file: &Path) -> Vec<String> {
    let inside = file.strip_prefix(source_root()).unwrap().with_extension("");
    let mut path: Vec<String> =
        inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if path.last().is_some_and(|last| last == "mod") {
        path.pop();
    }
    path
}

/// A path below the crate's root that a file names.
struct Used {
    line: usize,
    path: Vec<String>,
    /// Whether a `use` brings it in, so that others find it in this file too.
    is_imported: bool,
}

/// Every path that a file names by `use`, `crate::` or `super::`, in whole `use` trees and in the code, its unit
/// tests included. One of another crate seems to lie in the file itself.
fn used(own: &[String], tokens: &[(usize, String)]) -> Vec<Used> {
    let mut used = Vec::new();
    // The inline modules around a token, each with the number of braces it was opened in.
    let mut inline: Vec<(usize, String)> = Vec::new();
    let mut braces = 0;
    let mut at = 0;
    while let Some((line, token)) = tokens.get(at) {
        let after = |n: usize| tokens.get(at + n).map(|(_, token)| token.as_str());
        let mut next = at + 1;
        match token.as_str() {
            "{" => braces += 1,
            "}" => {
                braces -= 1;
                if inline.last().is_some_and(|(outside, _)| *outside == braces) {
                    inline.pop();
                }
            }
            "mod" if after(2) == Some("{") => {
                inline.push((braces, after(1).unwrap_or_default().to_owned()));
            }
            "use" | "crate" | "super" if token == "use" || begins_a_path(tokens, at) => {
                let is_imported = token == "use";
                let mut base: Vec<String> = own.to_vec();
                base.extend(inline.iter().map(|(_, name)| name.clone()));
                let mut paths = Vec::new();
                let from = if is_imported { at + 1 } else { at };
                next = tree(tokens, from, &mut Vec::new(), &mut paths).max(next);
                let paths = paths.iter().map(|path| absolute(&base, path));
                let inside = paths.filter(|path| !path.is_empty());
                used.extend(inside.map(|path| Used { line: *line, path, is_imported }));
            }
            _ => {}
        }
        at = next;
    }
    used
}

fn begins_a_path(tokens: &[(usize, String)], at: usize) -> bool {
    let is_colons = |at: Option<usize>| {
        at.and_then(|at| tokens.get(at)).is_some_and(|(_, token)| token == "::")
    };
    is_colons(Some(at + 1)) && !is_colons(at.checked_sub(1))
}

/// Where a path leads from `base`.
fn absolute(base: &[String], path: &[String]) -> Vec<String> {
    let mut base = base.to_vec();
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        match first.as_str() {
            "crate" => base.clear(),
            "super" => drop(base.pop()),
            "self" => {}
            _ => break,
        }
        rest = after;
    }
    base.extend(rest.iter().filter(|name| *name != "self").cloned());
    base
}

/// The paths of the tree that begins at a token; the first token after it.
fn tree(
    tokens: &[(usize, String)],
    mut at: usize,
    prefix: &mut Vec<String>,
    found: &mut Vec<Vec<String>>,
) -> usize {
    let depth = prefix.len();
    while let Some((_, token)) = tokens.get(at) {
        match token.as_str() {
            "::" => at += 1,
            "{" if prefix.len() > depth || depth > 0 => {
                at += 1;
                while tokens.get(at).is_some_and(|(_, t)| t != "}") {
                    let after = tree(tokens, at, prefix, found);
                    at = if after > at { after } else { at + 1 };
                }
                prefix.truncate(depth);
                return at + 1;
            }
            name if name.starts_with(|c: char| c.is_alphabetic() || c == '_') || name == "*" => {
                prefix.push(name.to_owned());
                at += 1;
                if tokens.get(at).is_none_or(|(_, t)| t != "::") {
                    break;
                }
            }
            _ => break,
        }
    }
    if prefix.len() > depth {
        found.push(prefix.clone());
    }
    prefix.truncate(depth);
    at
}

/// Names, `::` and single characters, each with its line; no comments, no texts.
fn tokens(text: &str) -> Vec<(usize, String)> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            'r' if rest.starts_with("r#\"") => rest.find("\"#").map_or(rest.len(), |end| end + 2),
            '"' => text_length(rest),
            '\'' => char_length(rest),
            ':' if rest.starts_with("::") => 2,
            c if c.is_alphanumeric() || c == '_' => {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        if !token.starts_with(['/', '"', '\'']) && !first.is_whitespace() {
            tokens.push((line, token.to_owned()));
        }
        line += token.matches('\n').count();
        rest = after;
    }
    tokens
}

/// How long the text at the start is, with its quotes.
fn text_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    rest.len()
}

/// How long the character at the start is, with its quotes; of a lifetime, the quote alone.
fn char_length(rest: &str) -> usize {
    let inside = &rest[1..];
    let escaped = inside.starts_with('\\');
    let longest = if escaped { 12 } else { 4 };
    let end = inside.char_indices().skip(if escaped { 2 } else { 1 }).find(|(_, c)| *c == '\'');
    end.filter(|(at, _)| *at <= longest).map_or(1, |(at, _)| at + 2)
}

#[test]
fn whole_use_trees_are_read() {
    let own = ["vrrp".to_owned(), "router".to_owned()];
    let text = r##"
        use crate::{types::{Now, text::plain}, wire::{self, vrrp::Advert}};
        use super::super::config::{
            Config,
        };
        use super::outbox::Outbox;
        // use crate::cli::Comment;
        const TEXT: &str = "crate::lab";
        const QUOTE: char = '"';
        fn f<'a>(x: &'a crate::status::State) {}
        #[cfg(test)]
        mod tests {
            use super::*;
            use super::super::super::pool::Pool;
            fn f() { crate::daemon::run(); }
        }
        use crate::sys::Late;
    "##;
    let found: Vec<String> = used(&own, &tokens(text)).iter().map(|u| u.path[0].clone()).collect();
    let expected = "types types wire wire config vrrp status vrrp pool daemon sys";
    assert_eq!(found.join(" "), expected);
}

#[test]
fn unsafe_lives_in_sys_alone() {
    let others = ["api", "probe", "proxy", "daemon", "lab", "cli"].map(str::to_owned);
    for module in pure().iter().chain(&others) {
        for (path, text) in sources(module) {
            for (number, line) in code(&text) {
                // A word of the Content-Security-Policy.
                let line = line.replace("'unsafe-inline'", "");
                assert!(!line.contains("unsafe"), "{}:{number}: unsafe", path.display());
            }
        }
    }
}

/// No two files use each other, be it through a third, unit tests apart. What passes between a module's file and the
/// files below it does not count: a parent names its parts, and they are made of what it defines.
#[test]
fn no_circle_of_files() {
    let mut files = Files::from([(Vec::new(), Vec::new())]);
    for module in layers().iter().flat_map(|layer| &layer.modules) {
        for (path, text) in sources(module) {
            let own = own_path(&path);
            if own.last().is_some_and(|name| name != "tests") {
                let used = used(&own, &without_unit_tests(&tokens(&text)));
                files.insert(own, used);
            }
        }
    }
    let mut uses: BTreeMap<&[String], BTreeMap<&[String], BTreeSet<&str>>> = BTreeMap::new();
    for (own, used) in &files {
        for Used { path, .. } in used {
            let home = home(path, &files);
            let (home, _) = files.get_key_value(&home).unwrap();
            if !home.starts_with(own) && !own.starts_with(home) {
                let names = uses.entry(own).or_default().entry(home).or_default();
                names.extend(path.last().map(String::as_str));
            }
        }
    }
    let mut in_circles = Vec::new();
    for (file, used) in &uses {
        for (other, names) in used {
            let mut reached = BTreeSet::from([other]);
            let mut next = vec![other];
            while let Some(from) = next.pop() {
                let beyond = uses.get(from).into_iter().flat_map(|used| used.keys());
                next.extend(beyond.filter(|file| reached.insert(file)));
            }
            if reached.contains(file) {
                in_circles.push(format!("{} uses {}: {names:?}", file.join("/"), other.join("/")));
            }
        }
    }
    assert!(in_circles.is_empty(), "in circles:\n{}", in_circles.join("\n"));
}

/// The files of the crate by the modules they are, and what each names.
type Files = BTreeMap<Vec<String>, Vec<Used>>;

/// The file that has the last name of a path, past those that merely import it.
fn home(path: &[String], files: &Files) -> Vec<String> {
    let mut path = path.to_vec();
    // A file that imports a name from one that imports it, and so on: there are no more than a few.
    for _ in 0..8 {
        let known = (0..=path.len()).rev().find(|n| files.contains_key(&path[..*n])).unwrap();
        let Some(name) = path.get(known) else { break };
        let imported = files[&path[..known]].iter().find(|used| {
            used.is_imported && used.path.last() == Some(name) && used.path != path[..=known]
        });
        match imported {
            Some(used) => path = [&used.path, &path[known + 1..]].concat(),
            None => path.truncate(known),
        }
    }
    path
}

fn without_unit_tests(tokens: &[(usize, String)]) -> Vec<(usize, String)> {
    let mut kept = Vec::new();
    let mut rest = tokens;
    while let Some((first, after)) = rest.split_first() {
        let attribute = rest.iter().map(|(_, token)| token.as_str());
        rest = after;
        if attribute.take(7).eq(["#", "[", "cfg", "(", "test", ")", "]"]) {
            let mut braces = 0;
            let end = rest.iter().position(|(_, token)| {
                braces += i32::from(token == "{") - i32::from(token == "}");
                braces == 0 && (token == "}" || token == ";")
            });
            rest = &rest[end.map_or(rest.len(), |end| end + 1)..];
        } else {
            kept.push(first.clone());
        }
    }
    kept
}

/// A file holds one idea. The tables of other programs' keywords are one each, however long.
#[test]
fn no_file_is_longer_than_six_hundred_lines() {
    let tables = ["import/haproxy/keywords/table.rs", "import/keepalived/keywords/table.rs"];
    let mut long = Vec::new();
    for module in layers().iter().flat_map(|layer| &layer.modules) {
        for (path, text) in sources(module) {
            let lines = text.lines().count();
            if lines > 600 && !tables.iter().any(|table| path.ends_with(table)) {
                long.push(format!("{}: {lines}", path.display()));
            }
        }
    }
    assert!(long.is_empty(), "more than 600 lines:\n{}", long.join("\n"));
}
