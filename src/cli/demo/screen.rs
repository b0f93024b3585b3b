//! Where the demo writes: a terminal on which the current rows are redrawn in place, or anything
//! else, which gets one line per event and no escape code.

use std::env;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::time::Instant;

use super::timeline::Style;
use crate::cli::fold::fold;
use crate::sys;

/// The demo is written for this many columns and uses no more.
const WIDEST: usize = 80;

/// Below this the rows say nothing.
const NARROWEST: usize = 50;

#[derive(Debug)]
pub(super) struct Screen {
    /// `None` if this is no terminal that can redraw.
    style: Option<Style>,
    started: Instant,
    /// The rows on the terminal that will be drawn over.
    rows: Vec<String>,
}

impl Screen {
    pub(super) fn of_this_process() -> Screen {
        let width = sys::terminal_width().map_or(WIDEST, usize::from).min(WIDEST);
        let dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let redraws = io::stdout().is_terminal() && !dumb && width >= NARROWEST;
        let style = redraws.then(|| Style {
            width,
            // https://no-color.org: set and not empty.
            colour: env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            lines: utf8(),
        });
        Screen { style, started: Instant::now(), rows: Vec::new() }
    }

    pub(super) fn style(&self) -> Option<Style> {
        self.style
    }

    /// Text that stays. On a terminal the rows drawn so far stay above it.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        self.rows.clear();
        put(&format!("{text}\n"))
    }

    /// A heading.
    pub(super) fn heading(&mut self, text: &str) -> io::Result<()> {
        let text = self.style.map_or_else(|| text.to_owned(), |style| style.strong(text));
        self.say(&format!("\n{text}"))
    }

    /// What a program printed, its long lines folded.
    pub(super) fn quote(&mut self, output: &str) -> io::Result<()> {
        let width = self.style.map_or(WIDEST, |style| style.width);
        self.say(
            &output.trim_end().lines().map(|line| fold(line, width)).collect::<Vec<_>>().join("\n"),
        )
    }

    /// A remark that may be overlooked.
    pub(super) fn remark(&mut self, text: &str) -> io::Result<()> {
        let text = self.style.map_or_else(|| text.to_owned(), |style| style.quiet(text));
        self.say(&text)
    }

    /// Something happened. A terminal shows it in the rows instead.
    pub(super) fn event(&mut self, text: &str) -> io::Result<()> {
        if self.style.is_some() {
            return Ok(());
        }
        let since = self.started.elapsed().as_secs_f64();
        put(&format!("{since:7.2} s  {text}\n"))
    }

    /// Draws rows over the ones drawn before. Nothing but a terminal shows them.
    pub(super) fn draw(&mut self, rows: Vec<String>) -> io::Result<()> {
        if self.style.is_none() || rows == self.rows {
            return Ok(());
        }
        let mut text = String::new();
        // Writing to a string cannot fail.
        if !self.rows.is_empty() {
            let _ = write!(text, "\r\x1b[{}A", self.rows.len());
        }
        for row in &rows {
            let _ = write!(text, "{row}\x1b[K\r\n");
        }
        self.rows = rows;
        put(&text)
    }
}

/// In one piece, so that a terminal never shows half a picture.
fn put(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Whether the user's locale has line-drawing characters.
fn utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}
