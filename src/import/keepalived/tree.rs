//! Words to a tree of statements and blocks.

use super::lexer::{Brace, Token, Word};
use crate::config::diag::{Diagnostic, Span, quoted};

/// Blocks inside blocks; keepalived itself knows four levels.
const DEEPEST: usize = 16;

/// A keyword with its arguments and its block.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The keyword.
    pub(crate) keyword: Word,
    /// What follows on its line.
    pub(crate) args: Vec<Word>,
    /// What stands in braces after it.
    pub(crate) block: Option<Vec<Node>>,
}

impl Node {
    /// From the keyword to the last argument.
    pub(crate) fn span(&self) -> Span {
        self.args.last().map_or(self.keyword.span, |last| self.keyword.span.to(last.span))
    }

    /// The keyword and its arguments.
    pub(crate) fn words(&self) -> impl Iterator<Item = &Word> {
        std::iter::once(&self.keyword).chain(&self.args)
    }
}

/// Builds the tree. A block ends in the file it begins in.
pub(crate) fn build(tokens: Vec<Token>, out: &mut Vec<Diagnostic>) -> Vec<Node> {
    let mut files: Vec<Builder> = Vec::new();
    let mut file = Builder::default();
    for token in tokens {
        match token {
            Token::Begin => files.push(std::mem::take(&mut file)),
            Token::Line(words) => file.line(words, out),
            Token::Open(brace) => file.open(brace, files.len(), out),
            Token::Close(brace) => file.close(brace, out),
            Token::End => {
                file.end(out);
                let mut nodes = std::mem::replace(&mut file, files.pop().unwrap_or_default()).nodes;
                file.nodes.append(&mut nodes);
            }
        }
    }
    file.nodes
}

/// A block that begins in a `#vipd` comment ends in one, and so does each line of it; and the
/// other way round.
fn unseen(span: Span) -> Diagnostic {
    Diagnostic::error(span, "only a part of this block stands in `#vipd` comments")
        .note("keepalived skips such a comment to the end of its line, and reads the rest")
        .help("begin each line of the block with `#vipd`, or none of them")
}

/// One file on its way to a tree.
#[derive(Default)]
struct Builder {
    /// The statements of the innermost block so far.
    nodes: Vec<Node>,
    /// The blocks around it: their owners, their braces and what stands before them.
    open: Vec<(Node, Span, Vec<Node>)>,
    too_deep: usize,
}

impl Builder {
    /// Whether the innermost block was opened in a `#vipd` comment.
    fn is_own(&self) -> bool {
        self.open.last().is_some_and(|(owner, ..)| owner.keyword.is_own)
    }

    fn line(&mut self, words: Vec<Word>, out: &mut Vec<Diagnostic>) {
        let mut words = words.into_iter();
        if let Some(keyword) = words.next() {
            if self.is_own() && !keyword.is_own {
                out.push(unseen(keyword.span));
            }
            self.nodes.push(Node { keyword, args: words.collect(), block: None });
        }
    }

    fn open(&mut self, brace: Brace, files: usize, out: &mut Vec<Diagnostic>) {
        let Brace { span, is_own } = brace;
        if self.open.len() + files > DEEPEST {
            if self.too_deep == 0 {
                let text = format!("blocks nested more than {DEEPEST} deep");
                out.push(Diagnostic::error(span, text));
            }
            self.too_deep += 1;
            return;
        }
        let owner = self.nodes.pop_if(|node| node.block.is_none());
        if owner.as_ref().is_some_and(|owner| owner.keyword.is_own != is_own) {
            out.push(unseen(span));
        }
        let owner = owner.unwrap_or_else(|| {
            out.push(
                Diagnostic::error(span, "a block without a keyword")
                    .help("write the keyword before the `{`"),
            );
            let keyword = Word { text: String::new(), span, is_quoted: false, is_own };
            Node { keyword, args: Vec::new(), block: None }
        });
        self.open.push((owner, span, std::mem::take(&mut self.nodes)));
    }

    fn close(&mut self, brace: Brace, out: &mut Vec<Diagnostic>) {
        let Brace { span, is_own } = brace;
        if self.too_deep > 0 {
            self.too_deep -= 1;
            return;
        }
        if !self.open.is_empty() && self.is_own() != is_own {
            out.push(unseen(span));
        }
        match self.open.pop() {
            Some((mut node, _, outer)) => {
                node.block = Some(std::mem::replace(&mut self.nodes, outer));
                self.nodes.push(node);
            }
            None => out.push(
                Diagnostic::error(span, "this `}` closes nothing")
                    .help("remove it, or look for a missing `{` above"),
            ),
        }
    }

    fn end(&mut self, out: &mut Vec<Diagnostic>) {
        while let Some((mut node, span, outer)) = self.open.pop() {
            let words: Vec<&str> = node.words().map(|word| word.text.as_str()).take(2).collect();
            let text = format!("the block of {} is not closed", quoted(&words.join(" ")));
            out.push(Diagnostic::error(span, text).label("opens here").help("add the missing `}`"));
            node.block = Some(std::mem::replace(&mut self.nodes, outer));
            self.nodes.push(node);
        }
        // A nameless block was complained about already.
        self.nodes.retain(|node| !node.keyword.text.is_empty() || node.keyword.is_quoted);
    }
}
