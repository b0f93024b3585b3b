//! The names keepalived defines itself: `${_PWD}` and the like.

use std::path::PathBuf;

use super::line::Line;
use super::reference::Use;
use crate::config::diag::Span;
use crate::config::sources::Sources;

/// What the names stand for here and now.
pub(super) struct Builtins {
    /// The directory of the file being read.
    pub(super) directory: PathBuf,
    config_id: Option<String>,
    random: u64,
}

impl Builtins {
    pub(super) fn new(config_id: Option<String>) -> Builtins {
        // A reload must not find other numbers than the start did, and two nodes should find
        // different ones: the node's name is the seed (FNV-1a).
        let name = config_id.as_deref().unwrap_or_default().bytes();
        let random = name.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Builtins { directory: PathBuf::new(), config_id, random }
    }

    /// The names, for "did you mean".
    pub(super) const NAMES: [&str; 6] = ["_PWD", "_INSTANCE", "_RANDOM", "_HASH", "_BANG", "_ENV"];

    /// `random_seed`
    pub(super) fn seed(&mut self, seed: u64) {
        self.random = seed;
    }

    /// What a use stands for; `None` if it is none of these names.
    pub(super) fn value(
        &mut self,
        used: &Use,
        site: Option<Span>,
        sources: &dyn Sources,
    ) -> Option<Result<Line, String>> {
        let params: Vec<&str> =
            used.params.as_deref().unwrap_or_default().split_whitespace().collect();
        let text = match (used.name.as_str(), params.as_slice()) {
            ("_PWD", []) => self.directory.display().to_string(),
            ("_INSTANCE", []) => self.config_id.clone()?,
            ("_HASH", []) => "#".to_owned(),
            ("_BANG", []) => "!".to_owned(),
            ("_RANDOM", range) => match self.random(range) {
                Ok(number) => number.to_string(),
                Err(why) => return Some(Err(why)),
            },
            ("_ENV", [name]) => sources.variable(name)?,
            _ => return None,
        };
        Some(Ok(Line::made(text, site?)))
    }

    /// `[least [most]]`
    fn random(&mut self, range: &[&str]) -> Result<u32, String> {
        let number = |text: &&str| text.parse::<u32>().map_err(|_| format!("{text} is no number"));
        let (least, most) = match range {
            [] => (0, 32767),
            [least] => (number(least)?, 32767),
            [least, most] => (number(least)?, number(most)?),
            _ => return Err("`_RANDOM` takes at most two numbers".to_owned()),
        };
        if least > most {
            return Err(format!("no number lies between {least} and {most}"));
        }
        let width = u64::from(most - least) + 1;
        let number = u32::try_from(self.next() % width).unwrap_or_default();
        Ok(least + number)
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
