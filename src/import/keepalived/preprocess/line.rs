//! One line of text in which every byte knows where it was written and what put it here.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::config::diag::{FileId, SourceMap, Span, Step};

/// Steps shown at either end of a long chain of definitions.
const MOST_STEPS: usize = 3;

/// A line as the lexer gets it: no comments, definitions replaced.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    text: String,
    runs: Vec<Run>,
    /// It stands in a comment that vipd reads and keepalived skips.
    is_own: bool,
}

/// A part of the text with one origin; it ends where the next begins.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: usize,
    /// Where it is written.
    at: Span,
    /// Byte by byte; otherwise the place stands for the text as a whole.
    exact: bool,
    frame: Option<FrameId>,
}

impl Line {
    /// Text that stands nowhere, such as a number of a sequence; `at` is to blame for it.
    pub(crate) fn made(text: String, at: Span) -> Line {
        let runs = vec![Run { start: 0, at, exact: false, frame: None }];
        Line { text, runs, is_own: false }
    }

    /// The same line, as one that only vipd reads.
    pub(crate) fn own(self) -> Line {
        Line { is_own: true, ..self }
    }

    /// Whether keepalived takes it for a comment.
    pub(crate) fn is_own(&self) -> bool {
        self.is_own
    }

    /// Appends text as it stands in a file.
    pub(crate) fn push_written(&mut self, file: FileId, start: usize, text: &str) {
        let at = Span::new(file, start..start + text.len());
        self.runs.push(Run { start: self.text.len(), at, exact: true, frame: None });
        self.text.push_str(text);
    }

    /// Appends a part of another line; with `frame`, as the text that a use was replaced by.
    pub(crate) fn push(&mut self, other: &Line, range: Range<usize>, frame: Option<FrameId>) {
        self.is_own |= other.is_own;
        let Some(text) = other.text.get(range.clone()).filter(|text| !text.is_empty()) else {
            return;
        };
        for run in other.runs_in(range.clone()) {
            let start = run.start.max(range.start);
            let at = self.part(run, &range);
            let start = self.text.len() + (start - range.start);
            self.runs.push(Run { start, at, exact: run.exact, frame: frame.or(run.frame) });
        }
        self.text.push_str(text);
    }

    /// A part as a line of its own.
    pub(crate) fn slice(&self, range: Range<usize>) -> Line {
        let mut line = Line::default();
        line.push(self, range, None);
        line
    }

    /// The same text as if it had been written rather than put here: what a definition keeps.
    pub(crate) fn forget_frames(mut self) -> Line {
        self.is_own = false;
        for run in &mut self.runs {
            run.frame = None;
        }
        self
    }

    /// The text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What put the byte `at` here.
    pub(crate) fn frame(&self, at: usize) -> Option<FrameId> {
        self.runs_in(at..at + 1).next().and_then(|run| run.frame)
    }

    /// Where the bytes `range` are written.
    pub(crate) fn place(&self, range: Range<usize>) -> Option<Span> {
        let mut places = self.runs_in(range.clone()).map(|run| self.part(run, &range));
        let first = places.next()?;
        Some(places.fold(first, join))
    }

    /// The place a reader looks at for the bytes `range`: in the file, with the steps from there
    /// to here.
    pub(crate) fn span(&self, range: Range<usize>, frames: &Frames, map: &mut SourceMap) -> Span {
        let mut runs = self.runs_in(range.clone());
        let Some(first) = runs.next() else {
            let anywhere = self.runs.first().map_or(Span::new(FileId::default(), 0..0), |r| r.at);
            return Span::new(anywhere.file, anywhere.end..anywhere.end);
        };
        let first_place = self.part(first, &range);
        let mut place = first_place;
        let mut mixed = first.frame;
        let mut deepest = (first.frame, first_place);
        for run in runs {
            let part = self.part(run, &range);
            if run.frame == mixed {
                place = join(place, part);
                continue;
            }
            let common = frames.common(mixed, run.frame);
            place = join(
                frames.seen_from(common, mixed, place),
                frames.seen_from(common, run.frame, part),
            );
            mixed = common;
            if frames.depth(run.frame) > frames.depth(deepest.0) {
                deepest = (run.frame, part);
            }
        }
        frames.resolve(mixed, place, deepest, map)
    }

    fn runs_in(&self, range: Range<usize>) -> impl Iterator<Item = &Run> {
        let first = self.runs.partition_point(|run| run.start <= range.start).saturating_sub(1);
        let runs = self.runs.get(first..).unwrap_or_default();
        runs.iter().take_while(move |run| run.start < range.end)
    }

    /// The place of the bytes that `run` and `range` share.
    fn part(&self, run: &Run, range: &Range<usize>) -> Span {
        if !run.exact {
            return run.at;
        }
        let from = run.at.start + range.start.saturating_sub(run.start);
        let to = run.at.start + range.end.saturating_sub(run.start);
        Span::new(run.at.file, from.min(run.at.end)..to.min(run.at.end))
    }
}

/// From the first to the last of two places in one file; the first if they are not.
fn join(a: Span, b: Span) -> Span {
    if a.file == b.file { Span::new(a.file, a.start.min(b.start)..a.end.max(b.end)) } else { a }
}

/// One use of a definition: what stands at `site` was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FrameId(usize);

#[derive(Clone, Debug)]
struct Frame {
    what: Arc<str>,
    site: Span,
    outer: Option<FrameId>,
    depth: usize,
}

/// All uses so far.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    list: Vec<Frame>,
    known: BTreeMap<(Span, Option<FrameId>), FrameId>,
}

impl Frames {
    /// The use of `what` that is written at `site`, in text that `outer` put there.
    pub(crate) fn enter(&mut self, what: &str, site: Span, outer: Option<FrameId>) -> FrameId {
        *self.known.entry((site, outer)).or_insert_with(|| {
            let depth = outer.and_then(|outer| self.list.get(outer.0)).map_or(1, |f| f.depth + 1);
            self.list.push(Frame { what: what.into(), site, outer, depth });
            FrameId(self.list.len() - 1)
        })
    }

    /// How many uses lie around a text.
    pub(crate) fn depth(&self, frame: Option<FrameId>) -> usize {
        self.get(frame).map_or(0, |frame| frame.depth)
    }

    /// What was replaced, outermost first.
    pub(crate) fn names(&self, frame: Option<FrameId>) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = self.around(frame).map(|frame| frame.what.clone()).collect();
        names.reverse();
        names
    }

    fn get(&self, frame: Option<FrameId>) -> Option<&Frame> {
        frame.and_then(|id| self.list.get(id.0))
    }

    /// A use and those around it, innermost first.
    fn around(&self, frame: Option<FrameId>) -> impl Iterator<Item = &Frame> {
        std::iter::successors(self.get(frame), |frame| self.get(frame.outer))
    }

    /// The innermost use that both lie in.
    fn common(&self, mut a: Option<FrameId>, mut b: Option<FrameId>) -> Option<FrameId> {
        let outer = |frame| self.get(frame).and_then(|frame| frame.outer);
        while a != b {
            if self.depth(a) >= self.depth(b) {
                a = outer(a);
            } else {
                b = outer(b);
            }
        }
        a
    }

    /// What a reader of the text in `level` sees of something at `place` in `frame`.
    fn seen_from(&self, level: Option<FrameId>, frame: Option<FrameId>, place: Span) -> Span {
        let depth = self.depth(level) + 1;
        self.around(frame).find(|frame| frame.depth == depth).map_or(place, |frame| frame.site)
    }

    /// The place in the file for text at `place` in `level`, with the steps to it and on to what
    /// is written at the place of `detail`, if that lies further in.
    fn resolve(
        &self,
        level: Option<FrameId>,
        place: Span,
        detail: (Option<FrameId>, Span),
        map: &mut SourceMap,
    ) -> Span {
        let mut steps = Vec::new();
        let mut at = detail.1;
        let depth = self.depth(level);
        for frame in self.around(detail.0) {
            if frame.depth == depth {
                at = place;
            }
            steps.push(Step { what: frame.what.clone(), at });
            at = frame.site;
        }
        if depth == 0 {
            at = place;
        }
        steps.reverse();
        // Nobody follows a chain of 30: its ends are what matters.
        if steps.len() > 2 * MOST_STEPS {
            steps.drain(MOST_STEPS..steps.len() - MOST_STEPS);
        }
        map.via(at, &steps)
    }
}
