//! The receive buffer of a router: in what it is counted, and how far.

use super::RouterCheck;
use crate::config::diag::Spanned;
use crate::config::model::ReceiveBuffer;
use crate::config::raw::RawReceiveBuffer;
use crate::types::Dialect;
use crate::wire::vrrp::packet_len;

/// As much as a socket option holds, twice over: the kernel doubles it.
const MOST_BYTES: i64 = 1 << 29;

/// So that the product stays below that.
const MOST_TIMES: i64 = 1000;

impl RouterCheck<'_> {
    pub(super) fn receive_buffer(
        &mut self,
        dialect: Option<&Dialect>,
        addresses: usize,
    ) -> Option<ReceiveBuffer> {
        let Spanned { value, span } = self.raw.receive_buffer?;
        let (number, most) = match value {
            RawReceiveBuffer::Bytes(bytes) => (bytes, MOST_BYTES),
            RawReceiveBuffer::Adverts(times) | RawReceiveBuffer::Mtus(times) => (times, MOST_TIMES),
        };
        let Some(number) = u32::try_from(number).ok().filter(|_| (1..=most).contains(&number))
        else {
            let what = match value {
                RawReceiveBuffer::Bytes(_) => "bytes",
                RawReceiveBuffer::Adverts(_) => "adverts",
                RawReceiveBuffer::Mtus(_) => "times the MTU",
            };
            self.error(span, format!("a receive buffer is 1 to {most} {what}, not {number}"));
            return None;
        };
        Some(match value {
            RawReceiveBuffer::Bytes(_) => ReceiveBuffer::Bytes(number),
            RawReceiveBuffer::Mtus(_) => ReceiveBuffer::Mtus(number),
            RawReceiveBuffer::Adverts(_) => {
                let one = u32::try_from(packet_len(dialect?, addresses)).unwrap_or(u32::MAX);
                ReceiveBuffer::Bytes(number.saturating_mul(one))
            }
        })
    }
}
