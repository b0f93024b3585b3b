//! What reading may cost: a slip such as `~SEQ(N, 1, 1000000000)` must not cost the machine's
//! memory, nor a reload its time.

use crate::config::diag::{Diagnostic, Span};

/// Lines, read and made. Nobody runs more routers than this has room for.
pub(super) const MOST_LINES: usize = 100_000;
/// Bytes of these lines.
pub(super) const MOST_BYTES: usize = 8 << 20;
/// Uses of definitions.
pub(super) const MOST_USES: usize = 200_000;
/// Bytes of one line.
pub(super) const LONGEST_LINE: usize = 64 << 10;
/// Remarks after which nobody reads on.
const MOST_REMARKS: usize = 10_000;
/// Definitions in definitions, and loops in loops.
pub(super) const DEEPEST: usize = 32;

/// What is left.
#[derive(Debug)]
pub(super) struct Budget {
    lines: usize,
    bytes: usize,
    uses: usize,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { lines: MOST_LINES, bytes: MOST_BYTES, uses: MOST_USES }
    }
}

/// What ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exhausted {
    Lines,
    Bytes,
    Uses,
    Remarks,
}

impl Budget {
    /// One line of that many bytes.
    pub(super) fn line(&mut self, bytes: usize) -> Result<(), Exhausted> {
        take(&mut self.lines, 1, Exhausted::Lines)?;
        take(&mut self.bytes, bytes, Exhausted::Bytes)
    }

    /// So many remarks so far.
    pub(super) fn remarks(&self, so_far: usize) -> Result<(), Exhausted> {
        if so_far > MOST_REMARKS { Err(Exhausted::Remarks) } else { Ok(()) }
    }

    /// One use, replaced by that many bytes.
    pub(super) fn replaced(&mut self, bytes: usize) -> Result<(), Exhausted> {
        take(&mut self.uses, 1, Exhausted::Uses)?;
        take(&mut self.bytes, bytes, Exhausted::Bytes)
    }
}

fn take(left: &mut usize, n: usize, what: Exhausted) -> Result<(), Exhausted> {
    *left = left.checked_sub(n).ok_or(what)?;
    Ok(())
}

impl Exhausted {
    /// The error at the place where it ran out.
    pub(super) fn diagnostic(self, at: Span) -> Diagnostic {
        let text = match self {
            Exhausted::Lines => format!("the configuration has more than {MOST_LINES} lines here"),
            Exhausted::Bytes => {
                format!("the configuration has more than {} MiB here", MOST_BYTES >> 20)
            }
            Exhausted::Uses => format!("more than {MOST_USES} definitions are used up to here"),
            Exhausted::Remarks => {
                return Diagnostic::error(
                    at,
                    format!("more than {MOST_REMARKS} remarks up to here"),
                )
                .note("vipd stops reading here")
                .help("is this a keepalived.conf?");
            }
        };
        Diagnostic::error(at, text)
            .note("vipd stops reading here; the limits are listed in vipd-keepalived(5)")
            .help("shorten the sequence, or look for definitions that multiply each other")
    }
}
