//! Every keyword of keepalived.conf, once: what the importer knows, what "did you mean" offers and
//! what the coverage table in vipd-keepalived(5) says come from here.

mod table;

use std::fmt;

use crate::import::coverage::CoverageRow;
use crate::import::keepalived::lexer::Word;

/// The block a keyword belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Block {
    /// Lines rewritten before anything else.
    Preprocessor,
    /// Outside every block.
    Root,
    /// `global_defs`
    Globals,
    /// `vrrp_instance`
    Instance,
    /// `authentication` in `vrrp_instance`
    Authentication,
    /// The words of a line in `virtual_ipaddress`.
    Address,
    /// The words of a line in `unicast_peer`.
    Peer,
    /// `vrrp_sync_group`
    SyncGroup,
    /// `vrrp_script`
    Script,
    /// `vipd_check`
    Check,
    /// `track_file`
    TrackFile,
    /// `vrrp_track_process`
    TrackProcess,
    /// `garp_group`
    GarpGroup,
    /// `track_group`
    TrackGroup,
    /// `bfd_instance`
    Bfd,
    /// `auth_hmac` in `vrrp_instance`
    AuthHmac,
}

impl Block {
    /// Every block, in the order of the manual.
    pub(crate) const ALL: &'static [Block] = &[
        Block::Preprocessor,
        Block::Root,
        Block::Globals,
        Block::Instance,
        Block::Authentication,
        Block::AuthHmac,
        Block::Address,
        Block::Peer,
        Block::SyncGroup,
        Block::Script,
        Block::Check,
        Block::TrackFile,
        Block::TrackProcess,
        Block::GarpGroup,
        Block::TrackGroup,
        Block::Bfd,
    ];

    /// The keywords of this block.
    pub(crate) fn keywords(self) -> &'static [Keyword] {
        match self {
            Block::Preprocessor => table::PREPROCESSOR,
            Block::Root => table::ROOT,
            Block::Globals => table::GLOBALS,
            Block::Instance => table::INSTANCE,
            Block::Authentication => table::AUTHENTICATION,
            Block::Address => table::ADDRESS,
            Block::Peer => table::PEER,
            Block::SyncGroup => table::SYNC_GROUP,
            Block::Script => table::SCRIPT,
            Block::Check => table::CHECK,
            Block::TrackFile => table::TRACK_FILE,
            Block::TrackProcess => table::TRACK_PROCESS,
            Block::GarpGroup => table::GARP_GROUP,
            Block::TrackGroup => table::TRACK_GROUP,
            Block::Bfd => table::BFD,
            Block::AuthHmac => table::AUTH_HMAC,
        }
    }

    /// The keyword a word stands for. In a `#vipd` comment vipd's own go without their prefix, and
    /// nobody else's stand there.
    pub(crate) fn keyword(self, word: &Word) -> Option<&'static Keyword> {
        match word.is_own && self != Block::Check {
            true => self.find(&format!("vipd_{}", word.text)),
            false => self.find(&word.text),
        }
    }

    /// The keyword of this name.
    pub(crate) fn find(self, name: &str) -> Option<&'static Keyword> {
        self.keywords().iter().find(|keyword| keyword.name == name)
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Block::Preprocessor => "the preprocessor",
            Block::Root => "the top level",
            Block::Globals => "global_defs",
            Block::Instance => "vrrp_instance",
            Block::Authentication => "authentication",
            Block::Address => "an address line",
            Block::Peer => "a peer line",
            Block::SyncGroup => "vrrp_sync_group",
            Block::Script => "vrrp_script",
            Block::Check => "vipd_check",
            Block::TrackFile => "track_file",
            Block::TrackProcess => "vrrp_track_process",
            Block::GarpGroup => "garp_group",
            Block::TrackGroup => "track_group",
            Block::Bfd => "bfd_instance",
            Block::AuthHmac => "auth_hmac",
        })
    }
}

/// One keyword.
#[derive(Debug)]
pub(crate) struct Keyword {
    pub(crate) name: &'static str,
    /// Fewest and most arguments.
    pub(crate) args: (usize, usize),
    pub(crate) body: Body,
    pub(crate) class: Class,
    /// What vipd does with it, for the manual.
    pub(crate) text: &'static str,
}

impl Keyword {
    /// What vipd does with it, or why not.
    pub(crate) fn explanation(&self) -> String {
        match self.class {
            Class::Refused(why, instead) if self.text.is_empty() => format!("{why}; {instead}"),
            Class::Apart(why, instead) => format!("{why}; {instead}; --lenient goes on without"),
            Class::Warned(text) if self.text.is_empty() => text.to_owned(),
            _ => self.text.to_owned(),
        }
    }
}

/// What may stand in braces after a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Nothing.
    No,
    /// A block, always.
    Yes,
    /// Not looked at: the keyword has no effect or is refused.
    Any,
}

/// What vipd does with a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// As keepalived does.
    Honoured,
    /// Nothing, and nothing is lost by it.
    Quiet,
    /// Nothing, and a warning with this text says so.
    Warned(&'static str),
    /// An error: going on without it would change the election, the packets, the addresses or the
    /// routes. The reason and what to do instead.
    Refused(&'static str, &'static str),
    /// An error as well, but no virtual router depends on it: what to read and to do instead.
    Apart(&'static str, &'static str),
}

impl Class {
    pub(crate) fn status(self) -> &'static str {
        match self {
            Class::Honoured => "yes",
            Class::Quiet => "no effect",
            Class::Warned(_) => "not supported",
            Class::Refused(..) | Class::Apart(..) => "refused",
        }
    }
}

/// What vipd does with every keyword of keepalived.conf, in the order of the manual.
pub fn coverage() -> impl Iterator<Item = CoverageRow> {
    Block::ALL.iter().flat_map(|block| {
        block.keywords().iter().map(|keyword| CoverageRow {
            block: block.to_string(),
            keyword: keyword.name,
            status: keyword.class.status(),
            text: keyword.explanation(),
        })
    })
}

/// What stands in the braces of a keyword.
pub(super) enum Content {
    Statements(Block),
    /// One entry a line; its options are the keywords of this block, if it has any.
    Lines(Option<Block>),
}

impl Content {
    pub(super) fn of(block: Block, keyword: &str) -> Content {
        match (block, keyword) {
            (Block::Root, "vrrp_track_file") => Content::Statements(Block::TrackFile),
            (Block::Root, "static_ipaddress")
            | (Block::Instance, "virtual_ipaddress" | "virtual_ipaddress_excluded") => {
                Content::Lines(Some(Block::Address))
            }
            (Block::Instance, "unicast_peer") => Content::Lines(Some(Block::Peer)),
            (Block::Root, _) | (Block::Instance, "authentication" | "auth_hmac") => {
                let own = Block::ALL.iter().find(|home| home.to_string() == keyword);
                own.map_or(Content::Lines(None), |inner| Content::Statements(*inner))
            }
            _ => Content::Lines(None),
        }
    }
}
