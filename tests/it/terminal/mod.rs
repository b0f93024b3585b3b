//! Terminals of several widths: no line is longer, and nothing is left out to make it so.

pub(crate) mod pty;

use std::collections::BTreeMap;
use std::time::Duration;

use vipd::cli::render;
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
        let page = |name: &str, width| render::router(&snapshot, name, width).unwrap();
        let mut texts: Vec<Box<dyn Fn(u16) -> String>> = vec![
            Box::new(|width| render::overview(&snapshot, width)),
            Box::new(|width| render::live(&snapshot, width)),
        ];
        for router in &snapshot.routers {
            texts.push(Box::new(|width| page(&router.name, width)));
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
            let shown = on_terminal(&vipd.asks(&["status"]), width);
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
