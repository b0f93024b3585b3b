//! Manual pages that repeat what the code knows.

use std::path::Path;

use vipd::import::{haproxy, keepalived};

use crate::expected::expect;

const BEGIN: &str =
    ".\\\" Generated from the keyword table: VIPD_BLESS=1 cargo test --test it manual\n";
const END: &str = ".\\\" End of the generated part\n";

#[test]
fn the_coverage_tables_are_what_the_code_does() {
    for (name, table) in [
        ("vipd-keepalived.5", keepalived::coverage_roff()),
        ("vipd-haproxy.5", haproxy::coverage_roff()),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(name);
        let page = std::fs::read_to_string(&path).unwrap();
        let (head, rest) = page.split_once(BEGIN).unwrap();
        let (_, tail) = rest.split_once(END).unwrap();
        expect(&path, &format!("{head}{BEGIN}{table}{END}{tail}"));
    }
}
