//! The coverage table of vipd-keepalived(5), from the keyword table.

use super::keywords::coverage;
use crate::import::coverage::roff;

/// The coverage table as mdoc(7).
#[must_use]
pub fn coverage_roff() -> String {
    roff(coverage(), heading)
}

fn heading(block: &str) -> String {
    match block {
        "the preprocessor" => "Lines read before anything else".to_owned(),
        "the top level" => "Outside every block".to_owned(),
        "an address line" => "Words of an address line".to_owned(),
        "a peer line" => "Words of a line in unicast_peer".to_owned(),
        "vipd_check" => "Inside #vipd check".to_owned(),
        block => format!("Inside {block}"),
    }
}
