//! vipd.toml

use super::diag::{Diagnostic, FileId};
use super::load::Text;
use super::raw::Raw;

/// Lowers vipd.toml
pub fn lower(_file: FileId, _text: &Text, _raw: &mut Raw, _out: &mut Vec<Diagnostic>) {}
