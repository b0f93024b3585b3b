//! haproxy.cfg: lexer (words, quotes, variables) → sections → proxies (settings of a section and of
//! its defaults) → roles and routes (what its checks and conditions mean) → lowering ([`Raw`]).
//!
//! Several files are one, in the order of the command line, as HAProxy has it.

mod check;
mod cluster;
mod condition;
mod explain;
mod exporter;
mod keywords;
mod lexer;
mod lint;
mod listener;
mod lower;
mod page;
mod proxy;
mod role;
mod route;
mod sections;
mod server;
mod stats;
mod values;

use crate::config::diag::FileId;
use crate::config::explain::Statement;
use crate::config::raw::Raw;
use crate::config::sources::{Loading, Text};
use crate::import::coverage;

/// Words that begin a section, and thereby a haproxy.cfg.
pub(crate) fn is_section(word: &str) -> bool {
    keywords::KeywordScope::Section.find(word).is_some()
}

/// The coverage table of vipd-haproxy(5) as mdoc(7).
#[must_use]
pub fn coverage_roff() -> String {
    coverage::roff(keywords::coverage(), |place| match place {
        "the sections" => "Sections".to_owned(),
        "global" => "Inside global".to_owned(),
        "a proxy" => "Inside defaults, listen, frontend and backend".to_owned(),
        "a bind line" => "Words of a bind line".to_owned(),
        "a server line" => "Words of a server line".to_owned(),
        behind => format!("Behind {behind}"),
    })
}

/// What vipd does with every keyword, in the order of the manual.
pub fn coverage() -> impl Iterator<Item = coverage::CoverageRow> {
    keywords::coverage()
}

/// Collects the files.
#[derive(Default)]
pub(crate) struct Importer {
    lines: Vec<lexer::Line>,
}

impl Importer {
    /// Reads one.
    pub(crate) fn file(&mut self, load: &mut Loading<'_>, file: FileId, text: &Text) {
        self.lines.extend(lexer::lines(file, &text.text, load));
    }

    /// Lowers all of them, and explains them if that is asked for.
    pub(crate) fn finish(
        self,
        load: &mut Loading<'_>,
        explain: bool,
        raw: &mut Raw,
    ) -> Vec<Statement> {
        if self.lines.is_empty() {
            return Vec::new();
        }
        let mut reporter = keywords::Reporter::new(&mut load.out);
        let sections = sections::sections(self.lines, &mut reporter);
        let (before, pages) = (raw.listeners.len(), raw.pages.len());
        lower::lower(&sections, raw, &mut reporter);
        let inferred = raw.listeners.iter().skip(before).flat_map(|listener| &listener.inferred);
        let pages = raw.pages.iter().skip(pages).flat_map(|page| &page.inferred);
        let inferred: Vec<_> = inferred.chain(pages).cloned().collect();
        if explain { explain::explain(&sections, &inferred) } else { Vec::new() }
    }
}
