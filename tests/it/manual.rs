//! Manual pages that repeat what the code knows.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use vipd::import::{haproxy, keepalived};

use crate::expected::expect;

const BEGIN: &str =
    ".\\\" Generated from the keyword table: VIPD_BLESS=1 cargo test --test it manual\n";
const END: &str = ".\\\" End of the generated part\n";

#[test]
fn the_coverage_tables_are_what_the_code_does() {
    for (name, table) in [
        ("vipd-keepalived.5", keepalived::coverage_roff()),
        ("vipd-haproxy.5", haproxy::coverage_roff()),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(name);
        let page = std::fs::read_to_string(&path).unwrap();
        let (head, rest) = page.split_once(BEGIN).unwrap();
        let (_, tail) = rest.split_once(END).unwrap();
        expect(&path, &format!("{head}{BEGIN}{table}{END}{tail}"));
    }
}

/// Options of other programs that the code starts or cites.
const FOREIGN: [&str; 15] = [
    "advertise-client-urls",
    "cap-add",
    "data-dir",
    "haproxy",
    "initial-advertise-peer-urls",
    "initial-cluster",
    "listen-client-urls",
    "listen-peer-urls",
    "name",
    "no-header",
    "preserve-credentials",
    "privileged",
    "quiet",
    "start-daemon",
    "version",
];

fn long_options(command: &clap::Command, out: &mut BTreeSet<String>) {
    for argument in command.get_arguments() {
        let aliases = argument.get_all_aliases().unwrap_or_default();
        out.extend(argument.get_long().into_iter().chain(aliases).map(str::to_owned));
    }
    command.get_subcommands().for_each(|command| long_options(command, out));
}

fn sources(directory: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}

/// What follows each `mark` in a text, as far as it can be an option's name.
fn named_after<'t>(text: &'t str, mark: &'t str) -> impl Iterator<Item = &'t str> {
    text.match_indices(mark).filter_map(move |(at, _)| {
        // `a--b`, `---`
        let word = |c: char| c.is_alphanumeric() || c == '-';
        let before = text.get(..at)?.chars().next_back();
        let rest = text.get(at + mark.len()..)?;
        let end =
            rest.find(|c: char| !c.is_ascii_lowercase() && !"-_".contains(c)).unwrap_or(rest.len());
        let name = rest.get(..end)?;
        (!before.is_some_and(word) && name.starts_with(|c: char| c.is_ascii_lowercase()))
            .then_some(name)
    })
}

#[test]
fn no_message_and_no_page_names_an_option_that_does_not_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut known = BTreeSet::new();
    let mut command = vipd::cli::Cli::command();
    command.build();
    long_options(&command, &mut known);
    known.extend(FOREIGN.map(str::to_owned));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    let mut unknown = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        for name in named_after(&text, "--").filter(|name| !known.contains(*name)) {
            unknown.push(format!("{}: --{name}", path.display()));
        }
    }
    for entry in std::fs::read_dir(root.join("man")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        // `.Fl -name` of mdoc(7).
        for name in named_after(&text, "Fl -").filter(|name| !known.contains(*name)) {
            unknown.push(format!("{}: --{name}", path.display()));
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}
