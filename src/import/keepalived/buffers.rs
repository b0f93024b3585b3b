//! `vrrp_rx_bufs_policy` and its kin: how much the kernel keeps while nobody reads.

use super::tree::Node;
use super::values::number;
use crate::config::diag::{Diagnostic, Spanned, quoted};
use crate::config::raw::RawReceiveBuffer;

/// keepalived's, if there is no `vrrp_rx_bufs_multiplier`.
const MULTIPLIER: i64 = 3;

/// What `global_defs` says for instances without `kernel_rx_buf_size`.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    policy: Option<Spanned<RawReceiveBuffer>>,
    multiplier: Option<Spanned<i64>>,
}

impl Policy {
    /// Takes a keyword if it is one of these.
    pub(crate) fn set(&mut self, name: &str, node: &Node, out: &mut Vec<Diagnostic>) -> bool {
        let word = node.args.first();
        match name {
            "vrrp_rx_bufs_policy" => {
                self.policy = word.and_then(|word| {
                    let policy = match word.text.as_str() {
                        "MTU" => RawReceiveBuffer::Mtus(MULTIPLIER),
                        "ADVERT" => RawReceiveBuffer::Adverts(MULTIPLIER),
                        text if text.starts_with(|c: char| c.is_ascii_digit()) => {
                            RawReceiveBuffer::Bytes(number(word, out)?.value)
                        }
                        text => {
                            let text = format!("unknown policy {}", quoted(text));
                            let error = Diagnostic::error(word.span, text);
                            out.push(error.help("allowed: MTU, ADVERT or a number of bytes"));
                            return None;
                        }
                    };
                    Some(Spanned::new(policy, word.span))
                });
            }
            "vrrp_rx_bufs_multiplier" => {
                self.multiplier = word.and_then(|word| number(word, out));
            }
            _ => return false,
        }
        true
    }

    /// For one instance.
    pub(crate) fn finish(&self) -> Option<Spanned<RawReceiveBuffer>> {
        let policy = self.policy?;
        let times = self.multiplier.unwrap_or(Spanned::new(MULTIPLIER, policy.span));
        Some(match policy.value {
            RawReceiveBuffer::Mtus(_) => times.map(RawReceiveBuffer::Mtus),
            RawReceiveBuffer::Adverts(_) => times.map(RawReceiveBuffer::Adverts),
            RawReceiveBuffer::Bytes(_) => policy,
        })
    }
}
