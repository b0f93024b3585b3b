//! What becomes of every statement, in the words of the keyword table.

use super::keywords::{Block, Class, Content};
use super::tree::Node;
use super::walk::unknown;
use crate::config::diag::{masked, printable};
use crate::config::explain::Statement;

/// The statements of a file, each block before what stands in it.
pub(crate) fn explain(nodes: &[Node]) -> Vec<Statement> {
    let mut found = Vec::new();
    statements(Block::Root, 0, nodes, &mut found);
    found
}

fn statements(block: Block, depth: usize, nodes: &[Node], out: &mut Vec<Statement>) {
    for node in nodes {
        let Some(keyword) = block.keyword(&node.keyword) else {
            let said = unknown(block, node);
            let why = if said.help.is_empty() { said.notes } else { said.help }.join("; ");
            out.push(Statement { status: "unknown", why, ..statement(block, depth, node) });
            continue;
        };
        let (status, why) = (keyword.class.status(), keyword.explanation());
        out.push(Statement { status, why, ..statement(block, depth, node) });
        let lines = node.block.as_deref().unwrap_or_default();
        match (keyword.class, Content::of(block, keyword.name)) {
            // Nobody looks inside.
            (Class::Quiet | Class::Warned(_) | Class::Refused(..) | Class::Apart(..), _) => {}
            (_, Content::Statements(inner)) => statements(inner, depth + 1, lines, out),
            (_, Content::Lines(options)) => {
                let entry = |line| entry(block, options, depth + 1, line);
                out.extend(lines.iter().map(entry));
            }
        }
    }
}

/// An entry is honoured with the block it stands in, but an option may be refused.
fn entry(block: Block, options: Option<Block>, depth: usize, line: &Node) -> Statement {
    let mut known = line.args.iter().filter_map(|word| options?.find(&word.text));
    let (status, why) = match known.find(|k| matches!(k.class, Class::Refused(..))) {
        Some(option) => (option.class.status(), option.explanation()),
        None => ("", String::new()),
    };
    Statement { status, why, ..statement(options.unwrap_or(block), depth, line) }
}

fn statement(block: Block, depth: usize, node: &Node) -> Statement {
    let own = if node.keyword.is_own { "#vipd " } else { "" };
    let words: Vec<&str> = node.words().map(|word| word.text.as_str()).collect();
    Statement {
        span: node.keyword.span,
        places: node.words().map(|word| word.span).chain([node.span()]).collect(),
        block: block.to_string(),
        depth,
        text: format!("{own}{}", printable(&masked(&words.join(" "))).trim()),
        status: "",
        why: String::new(),
    }
}
