//! Lenient reading: what is left out, and what never is.

use std::path::PathBuf;

use vipd::config::sources::{Reading, Sources};
use vipd::load::{Failed, Loaded, load, load_as};

use crate::config_keepalived::golden_files;
use crate::expected::{Below, OneFile, expect, told};

pub(crate) fn leniently(sources: &dyn Sources, file: &str) -> Result<Loaded, Failed> {
    let reading = Reading { lenient: true, ..Reading::default() };
    load_as(sources, &[PathBuf::from(file)], reading)
}

#[test]
fn golden() {
    let dir = "tests/golden/lenient";
    let below = Below::project(dir);
    for name in golden_files(dir) {
        let outcome = leniently(&below, &name);
        let dropped = outcome.as_ref().map(|loaded| format!("{:#?}\n", loaded.dropped));
        let dropped = dropped.unwrap_or_default();
        expect(&below.0.join(format!("{name}.expected")), &(told(outcome) + &dropped));
    }
}

#[test]
fn what_is_right_is_read_the_same() {
    let dir = "tests/golden/config";
    let below = Below::project(dir);
    for name in golden_files(dir) {
        let Ok(strict) = load(&below, &[PathBuf::from(&name)], None) else { continue };
        let lenient = leniently(&below, &name).unwrap();
        assert_eq!(strict.config, lenient.config, "{name}");
        assert_eq!(strict.warnings, lenient.warnings, "{name}");
        assert!(lenient.dropped.settings.is_empty() && lenient.dropped.routers.is_empty());
    }
}

/// Nodes that no longer hear each other would both serve.
#[test]
fn a_slip_in_what_the_nodes_must_agree_on_is_never_passed_over() {
    let instance = "vrrp_instance VI_1 {
        interface eth0
        virtual_router_id 51
        version 2
        advert_int 2
        unicast_src_ip 10.0.0.2
        unicast_peer {
            10.0.0.3
        }
        authentication {
            auth_type PASS
            auth_pass secret
        }
        virtual_ipaddress {
            10.0.0.10/24
        }
        virtual_ipaddress_excluded {
            10.0.0.11/24
        }
    }";
    assert!(leniently(&OneFile(instance.to_owned()), "a.conf").unwrap().warnings.is_empty());
    let words =
        instance.split_whitespace().filter(|word| word.contains(|c: char| c.is_lowercase()));
    let keywords: Vec<&str> = words.filter(|word| !["eth0", "secret"].contains(word)).collect();
    assert!(keywords.len() > 10, "{keywords:?}");
    for keyword in keywords {
        let (most, last) = keyword.split_at(keyword.len() - 1);
        for slip in [most.to_owned(), format!("{keyword}{last}"), keyword.to_uppercase()] {
            let text = instance.replacen(&format!("{keyword} "), &format!("{slip} "), 1);
            assert_ne!(text, instance);
            if let Ok(loaded) = leniently(&OneFile(text), "a.conf") {
                panic!("{slip} for {keyword}: {:?}", loaded.dropped);
            }
        }
    }
}

/// As [`load`] finds them, whatever the dialect.
#[test]
fn a_router_of_a_vipd_toml_is_left_out_as_well() {
    let router = |name, vrid| {
        format!("[vrrp.{name}]\ninterface='eth0'\nvrid={vrid}\naddresses=['10.0.0.{vrid}/24']\n")
    };
    let loaded = leniently(&OneFile(router("a", 51) + &router("b", 0)), "a.toml").unwrap();
    assert_eq!(loaded.dropped.left_out(), ["b (a.toml:5)"]);
    assert_eq!(loaded.config.routers.len(), 1);
}
