//! Every sentence vipd can say about a configuration has been seen in an expected output.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use vipd::config::Format;
use vipd::config::sources::{ReadError, Sources, Text};
use vipd::load::{Failed, Loaded, load};

use crate::architecture::sources;
use crate::beside;
use crate::config_keepalived::golden_files;
use crate::expected::{Below, OneFile};
use crate::lenient::leniently;

/// Source file and line.
type Place = (String, u32);

/// A file that is found, but gone when it is read.
struct Vanished;

impl Sources for Vanished {
    fn read(&self, path: &Path) -> Result<Text, ReadError> {
        match path.to_str() {
            Some("a.conf") => Ok(Text { text: "include b.conf\n".into(), ..Text::default() }),
            _ => Err(ReadError { path: path.into(), reason: "No such file or directory".into() }),
        }
    }

    fn glob(&self, dir: &Path, pattern: &str) -> Vec<PathBuf> {
        vec![dir.join(pattern)]
    }

    fn host_name(&self) -> Option<String> {
        None
    }
}

/// The places whose diagnostics the golden files show.
fn shown() -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    let mut note = |outcome: Result<Loaded, Failed>| {
        let said = match outcome {
            Ok(loaded) => [loaded.warnings, loaded.remarks].concat(),
            Err(failed) => failed.diagnostics,
        };
        places.extend(said.iter().map(|d| (d.origin.0.file().to_owned(), d.origin.0.line())));
    };
    for dir in ["tests/golden/config", "tests/golden/config/published"] {
        for name in golden_files(dir) {
            note(load(&Below::project(dir), &[name.into()], None));
        }
    }
    let twice = ["toml-proxy.toml"; 2].map(PathBuf::from);
    note(load(&Below::project("tests/golden/config"), &twice, None));
    for name in golden_files("tests/golden/lenient") {
        note(leniently(&Below::project("tests/golden/lenient"), &name));
    }
    for (_, outcome) in beside::outcomes() {
        note(outcome);
    }
    let (lacking, missing) = beside::lacking();
    note(Ok(Loaded { warnings: missing, ..lacking }));
    for text in too_much() {
        note(load(&OneFile(text), &["a.toml".into()], Some(Format::Toml)));
    }
    for files in [vec![], vec!["a.conf".into()], vec!["b.conf".into()]] {
        note(load(&Vanished, &files, None));
    }
    places
}

/// The places that make diagnostics.
fn made() -> BTreeSet<Place> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut places = BTreeSet::new();
    for (file, text) in ["config", "import"].iter().flat_map(|module| sources(module)) {
        let name = file.strip_prefix(root).unwrap().display().to_string();
        if name == "src/config/diag/mod.rs" {
            continue;
        }
        let product = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
        for (line, number) in product.zip(1..) {
            let makes = [
                "Diagnostic::error(",
                "Diagnostic::warning(",
                "Diagnostic::remark(",
                "Diagnostic::general(",
                "self.error(",
            ];
            // The one that passes its caller's place on.
            let passes_on = line.contains("self.push(Diagnostic::error(span, message))");
            if makes.iter().any(|call| line.contains(call)) && !passes_on {
                places.insert((name.clone(), number));
            }
        }
    }
    places
}

/// What no file on disk can provoke.
#[test]
fn no_file_and_a_missing_file_are_said_so() {
    let said = |files: &[&str]| {
        let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
        load(&Vanished, &files, None).unwrap_err()
    };
    assert_eq!(said(&[]).render(), "error: no configuration file is given\n");
    let missing = said(&["b.conf"]);
    assert_eq!(missing.render(), "error: cannot read b.conf: No such file or directory\n");
    let included = said(&["a.conf"]).render();
    let first = "a.conf:1:9: error: cannot read b.conf: No such file or directory\n";
    assert!(included.starts_with(first), "{included}");
    assert!(missing.unreadable);
}

/// Too long for expected outputs: more mistakes than anybody reads, and more bytes than are read.
fn too_much() -> [String; 2] {
    [(0..1500).map(|i| format!("[vrrp.{i}]\n")).collect(), "x\n".repeat(1 << 20)]
}

#[test]
fn too_much_is_said_to_be_too_much() {
    let [mistakes, bytes] = too_much()
        .map(|text| load(&OneFile(text), &["a.toml".into()], Some(Format::Toml)).unwrap_err());
    assert_eq!(mistakes.summary(), "the configuration has 1001 errors");
    let last = "error: 3500 more remarks are not shown\n = help: see to those before it first\n";
    assert!(mistakes.render().ends_with(last));
    let said = "a.toml:1:1: error: a vipd.toml has at most 1 MiB\n";
    assert!(bytes.render().starts_with(said), "{}", bytes.render());
}

#[test]
fn every_message_has_an_expected_output() {
    let made = made();
    assert!(made.len() > 100, "the search finds too little: {}", made.len());
    let shown = shown();
    let unseen: Vec<String> =
        made.difference(&shown).map(|(file, line)| format!("{file}:{line}")).collect();
    assert!(
        unseen.is_empty(),
        "add a file to tests/golden/config that provokes the message of\n{}",
        unseen.join("\n")
    );
}

/// The comparison in the README is what vipd says.
#[test]
fn the_mistakes_in_the_readme_are_reported_as_printed_there() {
    let read = |file| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
    let readme = read("README.md").unwrap();
    let said = read("tests/golden/config/error-mistakes.conf.expected").unwrap();
    let said = said.split("refused: ").next().unwrap().trim_end();
    assert!(readme.contains(&said.replace("error-mistakes.conf", "keepalived.conf")), "{said}");
}
