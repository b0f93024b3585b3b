//! One router.

use super::Inexpressible;
use super::table::Table;
use super::track;
use super::values::{address, array, key, peer, text};
use crate::config::diag::Spanned;
use crate::config::model::{ReceiveBuffer, RouterConfig};
use crate::config::raw::{RawAddress, RawAnnounce, RawRouter};
use crate::load::Loaded;
use crate::types::{AuthV2, Dialect};

pub(super) fn router(
    own: &RouterConfig,
    raw: &RawRouter,
    loaded: &Loaded,
) -> Result<String, Inexpressible> {
    let heading = format!("[vrrp.{}]", key(&own.name));
    let mut table = Table::new(heading, &loaded.map, Some(raw.name.span));
    let mut raw = raw.clone();
    // Said even if nothing is written: it is what tells the nodes of a group apart.
    raw.priority.get_or_insert(Spanned::new(own.priority.get().into(), raw.name.span));
    table.written(&raw, RawRouter::KEYS);
    let list = |key, all: &[RawAddress]| array(key, &all.iter().map(address).collect::<Vec<_>>());
    table.set("addresses", list("addresses", &raw.addresses));
    if !raw.excluded.is_empty() {
        table.set("excluded", list("excluded", &raw.excluded));
    }
    if let Dialect::V2(AuthV2::Pass(padded)) = own.dialect {
        table.set("auth_pass", password(&padded, &own.name)?);
    }
    track::references(&mut table, &raw.track, &raw.track_interfaces, loaded);
    table.written(&raw.announce, RawAnnounce::KEYS);
    if let Some(peers) = &raw.peers {
        table.set("peers", array("peers", &peers.list.iter().map(peer).collect::<Vec<_>>()));
    }
    if let Some(buffer) = own.receive_buffer {
        let value = match buffer {
            ReceiveBuffer::Bytes(bytes) => bytes.to_string(),
            ReceiveBuffer::Mtus(times) => text(&format!("{times} mtu")),
        };
        table.translated("receive_buffer", value, raw.receive_buffer.map(|b| b.span));
    }
    Ok(table.finish())
}

/// The characters of a password as it travels: padded with zero bytes.
fn password(padded: &[u8; AuthV2::MAX_PASS], router: &str) -> Result<String, Inexpressible> {
    let zeros = padded.iter().rev().take_while(|byte| **byte == 0).count();
    let bytes = padded.get(..padded.len() - zeros).unwrap_or_default();
    let pass = std::str::from_utf8(bytes)
        .map_err(|_| Inexpressible::Password { router: router.to_owned() })?;
    Ok(text(pass))
}
