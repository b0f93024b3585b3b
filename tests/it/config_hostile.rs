//! Hostile configurations: nothing panics, everything ends soon, every place that is shown lies in
//! the file it names. `VIPD_FUZZ_ITERATIONS` sets the number of texts; the number of a text that
//! fails is printed, and names the same text every time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use vipd::config::Format;
use vipd::config::command::command_line;
use vipd::config::diag::{Diagnostic, SourceMap, Span};
use vipd::config::sources::{ReadError, Reading, Sources, Text};
use vipd::import::keepalived::coverage;
use vipd::load::emit::emit;
use vipd::load::load_as;

use crate::config_keepalived::golden_files;
use crate::expected::dump;
use crate::wire_hostile::{SplitMix, iterations};

/// Enough to meet every branch in seconds; a long run asks for a million.
pub(crate) const ITERATIONS: u64 = 500;
/// Time on the processor, unoptimised; a release build takes a tenth of it.
const LONG: Duration = Duration::from_secs(20);
/// The memory of a small machine, in bytes of address space.
const MEMORY: &str = "--as=1000000000";

/// Files in memory, of which one may include the others.
pub(crate) struct Files(pub(crate) BTreeMap<PathBuf, String>);

impl Sources for Files {
    fn read(&self, path: &Path) -> Result<Text, ReadError> {
        let text = self.0.get(path);
        text.map(|text| Text { text: text.clone(), ..Text::default() })
            .ok_or_else(|| ReadError { path: path.to_owned(), reason: "is not there".into() })
    }

    fn glob(&self, dir: &Path, pattern: &str) -> Vec<PathBuf> {
        let matches = |path: &&PathBuf| pattern.contains('*') || **path == dir.join(pattern);
        self.0.keys().filter(matches).cloned().collect()
    }

    fn host_name(&self) -> Option<String> {
        Some("lb1.example".into())
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "HOME").then(|| "/root ${_ENV HOME} $A # { \"".into())
    }
}

#[test]
fn damaged_files_never_panic_and_every_place_is_real() {
    let iterations = iterations(ITERATIONS);
    let pieces = pieces();
    let mut usable = 0;
    for seed in 0..iterations {
        let mut random = SplitMix(0x5eed_c0de_0000_0001 + seed);
        let names = ["a.conf", "b.conf", "c.conf"];
        let files = names.map(|name| (PathBuf::from(name), text(&mut random, &pieces)));
        let files = Files(files.into());
        usable += u64::from(survives(&files, Format::Keepalived, seed));
        for line in files.0.values().flat_map(|text| text.split('\n')) {
            let _ = command_line(line);
        }
    }
    // If nothing ever loads, the mutations are too wild to get beyond the lexer.
    assert!(usable >= iterations / 100, "{usable} of {iterations} could be used");
}

/// Reads `a.conf` strictly and leniently and goes through everything that comes of it; whether it
/// could be used strictly. `seed` names the text.
pub(crate) fn survives(files: &Files, format: Format, seed: u64) -> bool {
    let started = cpu_time();
    let read = |lenient| {
        let reading = Reading { format: Some(format), lenient, ..Reading::default() };
        load_as(files, &["a.conf".into()], reading)
    };
    let outcome = read(false);
    let usable = outcome.is_ok();
    for outcome in [outcome, read(true)] {
        let (said, map) = match outcome {
            Ok(loaded) => {
                drop(dump(&loaded.config));
                drop(emit(&loaded));
                (loaded.warnings, loaded.map)
            }
            Err(failed) => {
                assert!(!failed.diagnostics.is_empty(), "text {seed}");
                (failed.diagnostics, failed.map)
            }
        };
        for diagnostic in &said {
            every_place_is_real(diagnostic, &map, seed);
        }
        // Rendering takes longest: a few of many are enough.
        for diagnostic in said.iter().take(10) {
            let text = diagnostic.render(&map, false);
            assert!(text.ends_with('\n'), "text {seed}: {text}");
            drop(diagnostic.report(&map));
        }
    }
    let took = cpu_time() - started;
    assert!(took < LONG, "text {seed} took {took:?}");
    usable
}

/// What this thread has computed so far: other tests, and other programs, do not count.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

fn every_place_is_real(diagnostic: &Diagnostic, map: &SourceMap, seed: u64) {
    let secondary = diagnostic.secondary.iter().map(|(span, _)| *span);
    for span in diagnostic.span.into_iter().chain(secondary) {
        let steps = map.trail(span).iter().map(|step| step.at);
        for place in steps.chain([span]) {
            assert!(is_real(place, map), "text {seed}: {place:?} of {diagnostic:?}");
        }
    }
}

fn is_real(place: Span, map: &SourceMap) -> bool {
    map.file(place.file).is_some_and(|file| file.text.get(place.start..place.end).is_some())
}

/// Lines of real files, keywords, and what the preprocessor looks for.
fn pieces() -> Vec<Vec<String>> {
    let mut files = Vec::new();
    for dir in ["tests/golden/config", "tests/golden/config/published"] {
        for name in golden_files(dir).iter().filter(|name| name.ends_with(".conf")) {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir).join(name);
            let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
            // The files that test limits would make every text one of these.
            if text.len() < 4000 && !name.contains("doubling") && !name.contains("remarks") {
                files.push(text.lines().map(str::to_owned).collect());
            }
        }
    }
    files.push(coverage().map(|row| row.keyword.to_owned()).collect());
    files
}

const NAMES: [&str; 4] = ["A", "B", "NAME", "_HASH"];
const VALUES: [&str; 12] = [
    "",
    "51",
    "eth0",
    "10.0.0.9/24",
    "${A}${B}",
    "$A $B",
    "@lb1",
    "{",
    "}",
    "\"x",
    "include b.conf",
    "~SEQ(A,1,3) x",
];
const GLUE: [&str; 22] = [
    "{",
    "}",
    "\"",
    "'",
    "\\",
    "#",
    "!",
    "$",
    "${",
    "${A}",
    "$B ",
    "${_RANDOM 1 9}",
    "@lb1 ",
    "@^lb1 ",
    "~SEQ(A,1,3) ",
    "~LST({A,B},{1,2},{x}) ",
    " ",
    "\t",
    "\u{a0}",
    "é",
    "\0",
    "\r",
];

/// One to three real files, a few of their lines changed.
fn text(random: &mut SplitMix, pieces: &[Vec<String>]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for _ in 0..=random.below(2) {
        lines.extend_from_slice(&pieces[random.below(pieces.len() - 1)]);
    }
    for _ in 0..random.below(12) {
        let at = random.below(lines.len() + 1);
        match random.below(8) {
            0 => lines.insert(at, inserted(random, pieces)),
            1 => lines.truncate(at.max(4)),
            2 if at < lines.len() => drop(lines.remove(at)),
            3 if at < lines.len() => {
                let other = random.below(lines.len());
                lines.swap(at, other);
            }
            // The body of a definition.
            4 => {
                let end = (at + random.below(6)).min(lines.len());
                lines[at..end].iter_mut().for_each(|line| line.push_str(" \\"));
                lines.insert(at, format!("${}= \\", NAMES[random.below(NAMES.len())]));
            }
            _ => {
                if let Some(line) = lines.get_mut(at) {
                    let glue = GLUE[random.below(GLUE.len())];
                    let at = line.floor_char_boundary(random.below(line.len() + 1));
                    line.insert_str(at, glue);
                }
            }
        }
    }
    lines.join("\n")
}

fn inserted(random: &mut SplitMix, pieces: &[Vec<String>]) -> String {
    let name = NAMES[random.below(NAMES.len())];
    let value = VALUES[random.below(VALUES.len())];
    // Now and then a number nobody means.
    let number = if random.below(40) == 0 { random.next() } else { random.next() % 5 };
    match random.below(8) {
        0 | 1 => format!("${name}={value}"),
        2 => format!("~SEQ({name},{number}) {value} ${name}"),
        3 => format!("~SEQx({name},{number},{value},9) ${name}"),
        4 => format!("~LST({name},{value},{value}) ~SEQ(B,{number}) ${{B}} {value}"),
        5 => format!("include {}.conf", ["a", "b", "c", "*", "{b,c}"][random.below(5)]),
        6 => format!("@{} {value}", ["lb1", "^lb1", "lb2", "", "^"][random.below(5)]),
        _ => {
            let file = &pieces[random.below(pieces.len())];
            format!("{} {value}", file[random.below(file.len())])
        }
    }
}

/// What a slip or malice asks for.
#[test]
fn limits_hold_in_time_and_memory() {
    let doubling: String = (0..60).map(|i| format!("$A{i}=${{A{0}}}${{A{0}}}\n", i + 1)).collect();
    let empty = doubling.clone() + "$A60=\nrouter_id ${A0}\n";
    let bodies: String = (0..30)
        .map(|i| format!("$B{i}= \\\n$B{0} \\\n$B{0}\n", i + 1))
        .chain(["$B30=x\n$B0\n".to_owned()])
        .collect();
    let loops: String = (0..40).map(|i| format!("~SEQ(L{i},1,9)")).collect();
    stand_up_to(
        "keepalived",
        &[
            ("range", "~SEQ(N,1,1000000000) x $N\n".to_owned()),
            ("wide range", "~SEQ(N,-9223372036854775808,9223372036854775807) x\n".to_owned()),
            ("ranges", "~SEQ(N,1,99999)~SEQ(M,1,99999) x$N\n".to_owned()),
            ("loops", format!("{loops} x\n")),
            ("doubling", doubling + "$A60=ha\nrouter_id ${A0}\n"),
            ("doubling of nothing", empty),
            ("doubling of lines", bodies),
            ("itself", "$A=x${A}\nrouter_id ${A}\n".to_owned()),
            ("include loop", "include a.conf\ninclude ./a.conf\ninclude ../*/a.conf\n".to_owned()),
            ("braces of files", format!("include {}\n", "{a,b}".repeat(4000))),
            ("nested braces", format!("include {}\n", "{a,".repeat(20_000))),
            ("one line", "x ".repeat(8 << 20)),
            ("one comment", format!("#{}", "x".repeat(1 << 20))),
            ("lines", "x\n".repeat(4 << 20)),
            ("CRLF", "x\r\n".repeat(2 << 20)),
            ("NUL", "\0\n".repeat(4 << 20)),
            ("one NUL", "\0".repeat(8 << 20)),
            ("braces", "{".repeat(4 << 20)),
            ("blocks", "a {\n".repeat(1 << 20)),
            ("quotes", "\"\n".repeat(1 << 20)),
            ("conditions", "{@lb1 ".repeat(10_000) + "\n"),
            ("long conditions", "@lb1 ".repeat(13_000) + "x\n"),
            ("undefined", "x $A ${B} ${C}\n".repeat(90_000)),
            ("unknown", (0..15_000).map(|i| format!("word{i}\n")).collect()),
            ("definitions", (0..90_000).map(|i| format!("$N{i}=1\n")).collect()),
            ("password", format!("auth_pass {}\n", "$x ".repeat(20_000))),
        ],
    );
    stand_up_to(
        "keepalived",
        &[("no UTF-8", b"x \xff\xc3\n".repeat(2 << 20)), ("one line of it", vec![0xff; 8 << 20])],
    );
}

#[test]
fn limits_hold_for_toml() {
    let tables: String = (0..70_000).map(|i| format!("[vrrp.r{i}]\n")).collect();
    let key = |part: &str, n| part.repeat(n) + "a";
    stand_up_to(
        "toml",
        &[
            ("arrays", format!("a = {}", "[".repeat(1_000_000))),
            ("closed arrays", format!("a = {}{}", "[".repeat(60), "]".repeat(60))),
            ("inline tables", format!("a = {}", "{a=".repeat(1 << 18))),
            ("dotted key", format!("{} = 1", key("a.", 1 << 18))),
            ("dotted table", format!("[{}]", key("a.", 1 << 18))),
            ("dotted tables", (0..700).map(|i| format!("[{}]\n", key("a.", i))).collect()),
            ("empty tables", tables),
            ("unknown keys", (0..70_000).map(|i| format!("word{i} = 1\n")).collect()),
            ("quotes", "\"".repeat(1 << 20)),
            ("one string", format!("a = \"{}\"", "x".repeat(1_000_000))),
            ("lines", "x\n".repeat(1 << 19)),
            ("too much", "x\n".repeat(1 << 20)),
            ("NUL", "\0\n".repeat(1 << 19)),
            ("number", format!("a = {}", "9".repeat(1_000_000))),
        ],
    );
    stand_up_to("toml", &[("no UTF-8", b"a = \"\xff\"\n".repeat(1 << 20))]);
}

/// That `vipd check` refuses each of these within bounds.
fn stand_up_to<T: AsRef<[u8]>>(format: &str, cases: &[(&str, T)]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.conf");
    let time = format!("--cpu={}", LONG.as_secs());
    for (what, text) in cases {
        std::fs::write(&path, text).unwrap();
        let mut vipd = Command::new("prlimit");
        vipd.args([MEMORY, &time, "--core=0", env!("CARGO_BIN_EXE_vipd"), "check"]);
        vipd.args(["--config-id=lb1", "--format", format]).arg(&path);
        let done = vipd.output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        let end = said.char_indices().nth_back(500).map_or(&*said, |(at, _)| &said[at..]);
        assert_eq!(done.status.code(), Some(78), "{what}: {:?} …{end}", done.status);
    }
}
