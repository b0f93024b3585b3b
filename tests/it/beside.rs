//! What no single file says: a haproxy.cfg beside a keepalived.conf, and a host that lacks what its
//! configuration needs.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use vipd::config::checks::{Command, ScriptCheck};
use vipd::config::diag::Diagnostic;
use vipd::config::host::{Host, Pipe, missing};
use vipd::config::sandbox::Sandbox;
use vipd::load::{Failed, Loaded, load};
use vipd::types::Cidr;

use crate::config_keepalived::Memory;
use crate::expected::{Below, expect};

const SCRIPTS: &str = r#"vrrp_script usual {
    script "/usr/bin/killall -0 haproxy"
    weight 2
}
vrrp_script unclear {
    script "/bin/sh -c 'pidof haproxy && pidof pgbouncer'"
}
vrrp_script named {
    script "/etc/keepalived/check_haproxy.sh"
}
vrrp_script decided {
    script "/etc/keepalived/check_proxy.sh"
    #vipd listeners
}
vrrp_track_process none {
    process haproxy
    quorum_max 0
}
#vipd check socket {
#vipd     haproxy /run/haproxy/admin.sock
#vipd     proxy primary
#vipd }
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 101
    virtual_ipaddress {
        10.0.0.10/24
    }
    track_script {
        usual
        unclear
        named
        decided
        #vipd socket
    }
    track_process {
        none
    }
}
"#;
const PROXY: &str = "listen primary\n    bind :5000\n    server pg1 10.0.0.21:5432\n";
const EDGE: &str = "[cluster.pg]\nmembers = [\"10.0.0.21\"]\n\n[listener.write]\nrole = \"writer\"\nbind = \"*:5000\"\n";

fn with(files: &[(&str, &str)]) -> Result<Loaded, Failed> {
    let texts = files.iter().map(|(name, text)| ((*name).into(), (*text).to_owned()));
    let names: Vec<PathBuf> = files.iter().map(|(name, _)| (*name).into()).collect();
    load(&Memory(texts.collect()), &names, None)
}

/// The same checks alone, beside HAProxy's configuration, and beside vipd's own.
pub(crate) fn outcomes() -> Vec<(&'static str, Result<Loaded, Failed>)> {
    let conf = ("keepalived.conf", SCRIPTS);
    vec![
        ("alone", with(&[conf])),
        ("beside a haproxy.cfg", with(&[conf, ("haproxy.cfg", PROXY)])),
        ("beside a vipd.toml", with(&[conf, ("vipd.toml", EDGE)])),
    ]
}

/// It has nothing but eth7.
struct Bare;

impl Host for Bare {
    fn has_interface(&self, name: &str) -> bool {
        name == "eth7"
    }

    fn addresses(&self, interface: &str) -> Vec<Cidr> {
        let own = ["192.0.2.2/24", "203.0.113.2/32", "2001:db8::2/64"];
        let own = own.iter().filter(|_| interface == "eth7");
        own.map(|own| own.parse().unwrap()).collect()
    }

    fn has_group(&self, _: &str) -> bool {
        false
    }

    fn runs(&self, command: &ScriptCheck) -> Result<Option<String>, String> {
        let subject = format!("{:?}", command.command);
        match subject.contains("weak") {
            true => Ok(Some("weak.sh is run as root, but it is writable by everyone".to_owned())),
            false => Err("/etc/keepalived: No such file or directory".to_owned()),
        }
    }

    fn script(&self, _: &ScriptCheck) -> Option<(PathBuf, String)> {
        None
    }

    fn is_closed(&self, _: &Path) -> bool {
        false
    }

    fn sandbox(&self) -> Sandbox {
        Sandbox::default()
    }

    fn pipe(&self, path: &Path) -> Pipe {
        if path.starts_with("/run/absent") { Pipe::Nowhere } else { Pipe::Other }
    }

    fn listens(&self, at: SocketAddr) -> Option<String> {
        (at.port() == 5000).then(|| "haproxy (pid 812)".to_owned())
    }
}

/// It has everything, and a sandbox for vipd.
struct Sandboxed;

impl Host for Sandboxed {
    fn has_interface(&self, _: &str) -> bool {
        true
    }

    fn addresses(&self, _: &str) -> Vec<Cidr> {
        Vec::new()
    }

    fn has_group(&self, _: &str) -> bool {
        true
    }

    fn runs(&self, _: &ScriptCheck) -> Result<Option<String>, String> {
        Ok(None)
    }

    fn script(&self, command: &ScriptCheck) -> Option<(PathBuf, String)> {
        let Command::Argv { program, .. } = &command.command else { return None };
        let text = match program.rsplit('/').next()? {
            "gone.sh" => {
                "#!/bin/sh\n# systemctl stop keepalived\npidof nginx ||\n  pkill keepalived\n"
            }
            "master.sh" => {
                "#!/bin/sh\nLOG=/var/log/vrrp.log\necho $3 >$LOG\necho $3 > /run/vip\ndate >/tmp/at\n"
            }
            _ => "#!/bin/sh\nexit 0\n",
        };
        Some((program.into(), text.to_owned()))
    }

    fn is_closed(&self, file: &Path) -> bool {
        file.ends_with("claim.sh")
    }

    fn sandbox(&self) -> Sandbox {
        let text = include_str!("../../packaging/vipd-sandbox.conf");
        Sandbox::of(&[("vipd.service.d/sandbox.conf".to_owned(), text.to_owned())])
    }

    fn pipe(&self, path: &Path) -> Pipe {
        if path.ends_with("other") { Pipe::Read } else { Pipe::Unread }
    }

    fn listens(&self, _: SocketAddr) -> Option<String> {
        None
    }
}

const NEEDS: &str = r#"global_defs {
    #vipd control_group ops
    startup_script "/root/start.sh"
    notify_fifo /run/absent/fifo
    vrrp_notify_fifo /tmp/other
    vrrp_notify_fifo_script "/etc/keepalived/read.sh"
}
vrrp_script gone {
    script "/etc/keepalived/gone.sh"
}
vrrp_script weak {
    script "/etc/keepalived/weak.sh"
}
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    virtual_ipaddress {
        10.0.0.10/24
        10.0.1.10/24 dev eth1
        10.0.1.11/24 dev eth1
    }
    track_interface {
        eth2
    }
    track_script {
        gone
        weak
    }
    notify_master "/etc/keepalived/master.sh"
    notify_backup "/etc/keepalived/weak.sh"
    #vipd while_master "/etc/keepalived/claim.sh"
}
vrrp_instance VI_2 {
    interface eth7
    virtual_router_id 52
    unicast_peer {
        198.51.100.3
    }
    virtual_ipaddress {
        10.0.2.10/32
    }
}
"#;

/// What a host lacks that has nothing.
pub(crate) fn lacking() -> (Loaded, Vec<Diagnostic>) {
    lacking_on(&Bare)
}

fn lacking_on(host: &dyn Host) -> (Loaded, Vec<Diagnostic>) {
    let loaded = with(&[("keepalived.conf", NEEDS), ("haproxy.cfg", PROXY)]).unwrap();
    let mut found = missing(&loaded.config, &loaded.raw, host);
    found.sort_by_key(|d| d.span.map(|span| (span.file, span.start, span.end)));
    (loaded, found)
}

#[test]
fn golden() {
    let mut text = String::new();
    for (name, outcome) in outcomes() {
        let said = match outcome {
            Ok(Loaded { warnings, map, .. }) => {
                warnings.iter().map(|d| d.render(&map, false)).collect()
            }
            Err(failed) => failed.render(),
        };
        writeln!(text, "==== {name}\n{said}").unwrap();
    }
    for (name, host) in [("on a bare host", &Bare as &dyn Host), ("in a sandbox", &Sandboxed)] {
        let (loaded, found) = lacking_on(host);
        let said: String = found.iter().map(|d| d.render(&loaded.map, false)).collect();
        writeln!(text, "==== {name}\n{said}").unwrap();
    }
    expect(&Below::project("tests/golden").0.join("beside.expected"), &text);
}

#[test]
fn a_peer_in_no_network_of_the_interface_is_said_unless_min_ttl_says_how_far_it_is() {
    let found = |interface: &str, more: &str, peer: &str| -> Vec<String> {
        let text = format!(
            "vrrp_instance VI_1 {{\n interface {interface}\n virtual_router_id 51\n {more}\n \
             unicast_peer {{\n {peer}\n }}\n virtual_ipaddress {{\n 10.0.0.10/32\n }}\n}}\n"
        );
        let loaded = with(&[("keepalived.conf", &text)]).unwrap();
        let found = missing(&loaded.config, &loaded.raw, &Bare);
        found.iter().map(|d| d.message.clone()).filter(|text| text.contains("peer")).collect()
    };
    let said = ["the peer 198.51.100.3 is in no network of eth7, as 192.0.2.2/24 is"];
    assert_eq!(found("eth7", "", "198.51.100.3"), said);
    assert_eq!(found("eth7", "unicast_src_ip 192.0.2.2", "198.51.100.3"), said);
    let none: [&str; 0] = [];
    for (interface, more, peer) in [
        ("eth7", "", "192.0.2.3"),
        ("eth7", "", "198.51.100.3 min_ttl 254"),
        // Nothing is known of the network there.
        ("eth7", "unicast_src_ip 203.0.113.2", "198.51.100.3"),
        ("eth7", "unicast_src_ip 198.51.100.2", "198.51.100.3"),
        ("eth8", "", "198.51.100.3"),
    ] {
        assert_eq!(found(interface, more, peer), none, "{interface} {more} {peer}");
    }
}
