//! Terminals of several widths: no line is longer, and nothing is left out to make it so.

pub(crate) mod pty;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use vipd::cli::{details, render};
use vipd::lab::deadline::eventually;

use crate::page::look::everything;
use crate::status_render;
use crate::unprivileged::{Vipd, published};
use pty::on_terminal;

/// Columns of windows people have, and those that are used: a table is not folded below 80.
const WIDTHS: [(u16, u16); 3] = [(60, 80), (80, 80), (120, 120)];

/// Every letter, how often. Ages and counts change while one looks.
fn letters(text: &str, counts: bool) -> BTreeMap<char, usize> {
    let mut letters = BTreeMap::new();
    let kept = |c: &char| !c.is_whitespace() && (counts || !c.is_ascii_digit());
    for letter in text.chars().filter(kept) {
        *letters.entry(letter).or_default() += 1;
    }
    letters
}

fn fits(text: &str, width: u16) {
    let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(longest <= width.into(), "{longest} columns instead of {width}:\n{text}");
}

#[test]
fn a_status_fits_every_width_and_loses_nothing() {
    for snapshot in [status_render::snapshot(), status_render::tracking(), everything()] {
        let page = |name: &str, width| details::of(&snapshot, &snapshot.named(name), width);
        let mut texts: Vec<Box<dyn Fn(u16) -> String>> = vec![
            Box::new(|width| render::overview(&snapshot, width)),
            Box::new(|width| render::live(&snapshot, width)),
        ];
        for name in snapshot.names() {
            texts.push(Box::new(move |width| page(name, width)));
        }
        for text in texts {
            let whole = text(u16::MAX);
            for (width, used) in WIDTHS {
                let folded = text(width);
                fits(&folded, used);
                assert_eq!(letters(&folded, true), letters(&whole, true), "{folded}\n{whole}");
            }
        }
    }
}

#[test]
fn vipd_status_fits_its_terminal_and_is_whole_in_a_pipe() {
    let vipd = Vipd::start(&published());
    for (width, used) in WIDTHS {
        let look = || {
            let shown = on_terminal(vipd.asks(&["status"]).env("NO_COLOR", "1"), width);
            let piped = vipd.asks(&["status"]).output().unwrap();
            let piped = String::from_utf8(piped.stdout).unwrap();
            let there = shown.contains("pg_primary") && shown.contains("pg-node-3");
            match there && letters(&shown, false) == letters(&piped, false) {
                true => Ok(shown),
                false => Err(format!("{piped}\n{shown}")),
            }
        };
        // Unless something changed in between.
        let shown = eventually(Duration::from_secs(20), "the same", look).unwrap();
        fits(&shown, used);
    }
}

#[test]
fn the_word_has_a_colour_on_a_terminal_that_shows_some_to_people_who_want_some() {
    let vipd = Vipd::start(&published());
    let up = || vipd.asks(&["status"]).output().unwrap().status.success().then_some(());
    eventually(Duration::from_secs(20), "an answer", up).unwrap();
    for args in [&["status"][..], &["status", "pg_primary"]] {
        let begins = |command: &Command, with: &str| {
            let shown = on_terminal(command, 80);
            assert!(shown.starts_with(with), "{shown:?}");
            assert_eq!(shown.contains('\x1b'), with.contains('\x1b'), "{shown:?}");
        };
        begins(&vipd.asks(args), "\x1b[1;31mCRITICAL\x1b[0m: ");
        begins(vipd.asks(args).env("NO_COLOR", ""), "\x1b[1;31mCRITICAL\x1b[0m: ");
        begins(vipd.asks(args).env("NO_COLOR", "1"), "CRITICAL: ");
        begins(vipd.asks(args).env("TERM", "dumb"), "CRITICAL: ");
        let piped = vipd.asks(args).env("TERM", "xterm").output().unwrap();
        assert!(piped.stdout.starts_with(b"CRITICAL: "), "{piped:?}");
        assert!(!piped.stdout.contains(&0x1b), "{piped:?}");
    }
}

/// What it printed until it was killed, once that holds `text` so many times.
fn watched(mut command: Command, text: &str, times: usize) -> String {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut shown = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    while shown.matches(text).count() < times && reader.read_line(&mut shown).unwrap() > 0 {}
    child.kill().unwrap();
    child.wait().unwrap();
    shown
}

#[test]
fn the_time_behind_watch_needs_no_sign_and_a_name_may_stand_there() {
    let vipd = Vipd::start(&published().replace("pg_replicas", "2"));
    let up = || vipd.asks(&["status"]).output().unwrap().status.success().then_some(());
    eventually(Duration::from_secs(20), "an answer", up).unwrap();
    for args in [&["-w", "0.1"][..], &["-w=0.1"], &["-w0.1"], &["--watch", "0.1"], &["--watch=0.1"]]
    {
        let all = [&["status"], args].concat();
        let began = Instant::now();
        let shown = watched(vipd.asks(&all), "NOW GOES TO", 3);
        assert!(shown.matches("NOW GOES TO").count() == 3, "{args:?}: {shown}");
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    // A name, before or behind, alone or beside a time; and one that is a number.
    let one = "listener     pg_primary";
    for args in [&["-w", "pg_primary"][..], &["pg_primary", "-w"], &["-w", "0.1", "pg_primary"]] {
        let shown = watched(vipd.asks(&[&["status"], args].concat()), one, 2);
        assert!(shown.matches(one).count() == 2, "{args:?}: {shown}");
    }
    for args in [&["-w", "0.1", "2"][..], &["-w", "0.1", "listener/2"], &["-w", "listener/2"]] {
        let shown = watched(vipd.asks(&[&["status"], args].concat()), "listener     2", 1);
        assert!(shown.contains("listener     2"), "{args:?}: {shown}");
    }
    for (args, code, text) in [
        (&["-w", "a", "b"][..], 64, "one name at a time"),
        (&["-w", "0.01"], 64, "0.1 to 3600 seconds are possible"),
        (&["-w", "nobody"], 66, "is called \"nobody\"; there are: pg_primary, 2"),
    ] {
        let done = vipd.asks(&[&["status"], args].concat()).output().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.code() == Some(code) && said.contains(text), "{args:?}: {said}");
    }
}
