//! Words to a tree of statements and blocks, with `include` resolved.

use std::path::{Path, PathBuf};

use super::lexer::{Token, Word, is_include, lex};
use crate::config::diag::{Diagnostic, FileId, Span, quoted};
use crate::config::load::{Loading, Text};

/// Blocks inside blocks; keepalived itself knows four levels.
const DEEPEST: usize = 16;
/// Files read through `include`, so that files that include each other twice come to an end.
const MOST_FILES: usize = 1000;
const MOST_NESTED_FILES: usize = 16;

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

/// Reads `text` and everything it includes.
pub(crate) fn parse(load: &mut Loading<'_>, file: FileId, path: &Path, text: &Text) -> Vec<Node> {
    let mut reader = Reader { load, stack: vec![path.to_owned()], files: 0 };
    reader.file(file, path, text)
}

struct Reader<'a, 's> {
    load: &'a mut Loading<'s>,
    /// The files being read, outermost first.
    stack: Vec<PathBuf>,
    files: usize,
}

impl Reader<'_, '_> {
    fn file(&mut self, file: FileId, path: &Path, text: &Text) -> Vec<Node> {
        if text.executable {
            let at = Span::new(file, 0..0);
            self.load.out.push(
                Diagnostic::warning(at, "keepalived would skip this file: it is executable")
                    .note("vipd reads it")
                    .help("chmod a-x, so that both see the same configuration"),
            );
        }
        let tokens = lex(file, &text.text, &mut self.load.out);
        let mut open: Vec<(Node, Span, Vec<Node>)> = Vec::new();
        let mut nodes: Vec<Node> = Vec::new();
        let mut too_deep = 0_usize;
        for token in tokens {
            match token {
                Token::Line(words) => {
                    let mut words = words.into_iter();
                    let Some(keyword) = words.next() else { continue };
                    let node = Node { keyword, args: words.collect(), block: None };
                    if self.preprocessor(&node) {
                        continue;
                    }
                    if is_include(&node.keyword) {
                        nodes.append(&mut self.include(path, &node));
                    } else {
                        nodes.push(node);
                    }
                }
                Token::Open(span) if open.len() >= DEEPEST => {
                    if too_deep == 0 {
                        let text = format!("blocks nested more than {DEEPEST} deep");
                        self.load.out.push(Diagnostic::error(span, text));
                    }
                    too_deep += 1;
                }
                Token::Open(span) => {
                    let owner = nodes.pop_if(|node| node.block.is_none());
                    let owner = owner.unwrap_or_else(|| {
                        self.load.out.push(
                            Diagnostic::error(span, "a block without a keyword")
                                .help("write the keyword before the `{`"),
                        );
                        let keyword = Word { text: String::new(), span, is_quoted: false };
                        Node { keyword, args: Vec::new(), block: None }
                    });
                    open.push((owner, span, std::mem::take(&mut nodes)));
                }
                Token::Close(_) if too_deep > 0 => too_deep -= 1,
                Token::Close(span) => match open.pop() {
                    Some((mut node, _, outer)) => {
                        node.block = Some(std::mem::replace(&mut nodes, outer));
                        nodes.push(node);
                    }
                    None => self.load.out.push(
                        Diagnostic::error(span, "this `}` closes nothing")
                            .help("remove it, or look for a missing `{` above"),
                    ),
                },
            }
        }
        while let Some((mut node, span, outer)) = open.pop() {
            let words: Vec<&str> = node.words().map(|word| word.text.as_str()).take(2).collect();
            let text = format!("the block of {} is not closed", quoted(&words.join(" ")));
            self.load.out.push(
                Diagnostic::error(span, text).label("opens here").help("add the missing `}`"),
            );
            node.block = Some(std::mem::replace(&mut nodes, outer));
            nodes.push(node);
        }
        // A nameless block was complained about already.
        nodes.retain(|node| !node.keyword.text.is_empty() || node.keyword.is_quoted);
        nodes
    }

    /// Refuses what keepalived's preprocessor would rewrite: misreading it would be worse.
    fn preprocessor(&mut self, node: &Node) -> bool {
        let word = &node.keyword;
        let refused = if word.is_quoted {
            None
        } else if word.text.starts_with('@') {
            Some((word.span, "conditional lines (`@ID …`) are not supported yet"))
        } else if word.text.starts_with('$') && node.words().any(|w| w.text.contains('=')) {
            Some((node.span(), "definitions (`$NAME=…`) are not supported yet"))
        } else {
            None
        };
        let refused = refused.or_else(|| {
            node.words().find_map(|w| {
                if w.text.contains("~SEQ") || w.text.contains("~LST") {
                    Some((w.span, "`~SEQ` and `~LST` are not supported yet"))
                } else if w.text.contains("${_") || (!w.is_quoted && w.text.contains("${")) {
                    Some((w.span, "`${NAME}` is not supported yet"))
                } else {
                    None
                }
            })
        });
        let Some((span, message)) = refused else { return false };
        self.load.out.push(
            Diagnostic::error(span, message)
                .help("write the lines out as keepalived would see them"),
        );
        true
    }

    fn include(&mut self, including: &Path, node: &Node) -> Vec<Node> {
        let must_match = node.keyword.text != "include";
        let dir = including.parent().unwrap_or(Path::new("")).to_owned();
        let mut nodes = Vec::new();
        if node.args.is_empty() {
            self.load.out.push(Diagnostic::error(node.keyword.span, "`include` needs a file name"));
        }
        for word in &node.args {
            let patterns = braces(&word.text);
            let mut paths: Vec<PathBuf> = Vec::new();
            for pattern in &patterns {
                paths.extend(self.load.sources.glob(&dir, pattern));
            }
            if paths.is_empty() {
                let text = format!("no file matches {}", quoted(&word.text));
                let found = if must_match {
                    Diagnostic::error(word.span, text)
                } else {
                    Diagnostic::warning(word.span, text)
                };
                let place = if dir.as_os_str().is_empty() { Path::new(".") } else { &dir };
                let note = format!("looked in {}, where the including file is", place.display());
                self.load.out.push(found.note(note));
            }
            for path in paths {
                nodes.append(&mut self.included(&path, word.span));
            }
        }
        nodes
    }

    fn included(&mut self, path: &Path, by: Span) -> Vec<Node> {
        let text = if self.stack.iter().any(|outer| outer == path) {
            format!("{} includes itself", path.display())
        } else if self.stack.len() > MOST_NESTED_FILES {
            format!("files included more than {MOST_NESTED_FILES} deep")
        } else if self.files >= MOST_FILES {
            format!("more than {MOST_FILES} files included")
        } else {
            self.files += 1;
            let Some((file, text)) = self.load.open(path, Some(by)) else { return Vec::new() };
            self.stack.push(path.to_owned());
            let nodes = self.file(file, path, &text);
            self.stack.pop();
            return nodes;
        };
        self.load.out.push(Diagnostic::error(by, text));
        Vec::new()
    }
}

/// `a{b,c}d` as glob(3) expands it: `abd`, `acd`. Not nested; at most 100.
fn braces(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut todo = vec![pattern.to_owned()];
    while let Some(pattern) = todo.pop() {
        let parts = pattern.split_once('{').and_then(|(head, rest)| {
            let (choices, tail) = rest.split_once('}')?;
            Some((head.to_owned(), choices.to_owned(), tail.to_owned()))
        });
        match parts {
            Some((head, choices, tail)) if todo.len() + done.len() < 100 => {
                let expanded = choices.split(',').map(|choice| format!("{head}{choice}{tail}"));
                let mut expanded: Vec<String> = expanded.collect();
                expanded.reverse();
                todo.append(&mut expanded);
            }
            _ => done.push(pattern),
        }
    }
    done
}
