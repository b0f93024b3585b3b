//! keepalived.conf: lexer (words, quotes, braces) → tree (blocks, `include`) → lowering (keyword
//! table → [`Raw`]).
//!
//! Blocks may stand in any order: names are resolved and globals applied once everything is read.

mod address;
mod instance;
mod keywords;
mod lexer;
mod lower;
mod manual;
mod peers;
mod table;
mod tracking;
mod tree;
mod values;

use std::path::Path;

pub use keywords::{CoverageRow, coverage};
pub use manual::coverage_roff;

use crate::config::diag::{Diagnostic, FileId};
use crate::config::load::{Loading, Text};
use crate::config::raw::Raw;

/// Whether `word` may begin a line of keepalived.conf outside every block.
pub(crate) fn is_root_keyword(word: &str) -> bool {
    keywords::Block::Root.find(word).is_some() || lexer::INCLUDES.contains(&word)
}

/// Collects keepalived files; several make one configuration, as if one included the next.
#[derive(Default)]
pub(crate) struct Importer {
    nodes: Vec<tree::Node>,
}

impl Importer {
    /// Reads one file and what it includes.
    pub(crate) fn file(&mut self, load: &mut Loading<'_>, file: FileId, path: &Path, text: &Text) {
        self.nodes.append(&mut tree::parse(load, file, path, text));
    }

    /// Lowers everything read.
    pub(crate) fn finish(self, raw: &mut Raw, out: &mut Vec<Diagnostic>) {
        if !self.nodes.is_empty() {
            lower::lower(&self.nodes, raw, out);
        }
    }
}
