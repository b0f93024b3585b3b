//! keepalived.conf: preprocessor (files, definitions, conditions, loops) → lexer (words, quotes,
//! braces) → tree (blocks) → lowering (keyword table → [`Raw`]).
//!
//! Blocks may stand in any order: names are resolved and globals applied once everything is read.

mod address;
mod buffers;
mod explain;
mod globals;
mod groups;
mod instance;
mod keywords;
mod lexer;
mod lower;
mod manual;
mod notify;
mod own;
mod peers;
mod preprocess;
mod process;
mod statics;
mod tracking;
mod tree;
mod values;
mod walk;

use std::path::Path;

pub use keywords::coverage;
pub use manual::coverage_roff;
pub use process::parse_umask;

use crate::config::diag::FileId;
use crate::config::explain::Statement;
use crate::config::raw::Raw;
use crate::config::sources::{Loading, Reading, Text};

/// Whether `word` may begin a line of keepalived.conf outside every block.
pub(crate) fn is_root_keyword(word: &str) -> bool {
    keywords::Block::Root.find(word).is_some() || preprocess::INCLUDES.contains(&word)
}

/// Collects keepalived files; several make one configuration, as if one included the next.
pub(crate) struct Importer {
    preprocessor: preprocess::Preprocessor,
}

impl Importer {
    /// For the node that lines `@ID` call `config_id`.
    pub(crate) fn new(config_id: Option<String>) -> Importer {
        Importer { preprocessor: preprocess::Preprocessor::new(config_id) }
    }

    /// Reads one file and what it includes.
    pub(crate) fn file(&mut self, load: &mut Loading<'_>, file: FileId, path: &Path, text: &Text) {
        self.preprocessor.file(load, file, path, text);
    }

    /// Lowers everything read, and explains it if that is asked for.
    pub(crate) fn finish(
        self,
        load: &mut Loading<'_>,
        reading: Reading,
        raw: &mut Raw,
    ) -> Vec<Statement> {
        let tokens = self.preprocessor.finish(load);
        let mut nodes = tree::build(tokens, &mut load.out);
        let lvs = ["virtual_server", "virtual_server_group", "SSL"];
        nodes.retain(|node| !(reading.vrrp_only && lvs.contains(&node.keyword.text.as_str())));
        if !nodes.is_empty() {
            lower::lower(&nodes, raw, &mut load.out);
        }
        if reading.explain { explain::explain(&nodes) } else { Vec::new() }
    }
}
