//! Manual pages that repeat what the code knows.

use std::path::Path;

use vipd::import::keepalived::coverage_roff;

use crate::expected::expect;

const BEGIN: &str =
    ".\\\" Generated from the keyword table: VIPD_BLESS=1 cargo test --test it manual\n";
const END: &str = ".\\\" End of the generated part\n";

#[test]
fn the_coverage_table_is_what_the_code_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man/vipd-keepalived.5");
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(BEGIN).unwrap();
    let (_, tail) = rest.split_once(END).unwrap();
    expect(&path, &format!("{head}{BEGIN}{}{END}{tail}", coverage_roff()));
}
