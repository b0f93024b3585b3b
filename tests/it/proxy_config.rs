//! Clusters and listeners: what comes of them, and examples that load.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vipd::config::diag::Severity;
use vipd::config::sources::{ReadError, Sources, Text};
use vipd::config::vipd_toml::role_word;
use vipd::config::{
    ByStatus, ClusterConfig, Config, Format, Frontend, ListenerConfig, Members, PageConfig,
    PageUser, Rhythm,
};
use vipd::import::haproxy::coverage;
use vipd::load::{Failed, Loaded, load};
use vipd::pool::Wants;

use crate::config_keepalived::Memory;
use crate::convert::convert_keeps;
use crate::expected::{Below, OneFile};

/// The tables of vipd-haproxy(5) and the code agree: what is said to have no effect is passed over in
/// silence, or with a warning, what is refused is an error, and the rest is read.
#[test]
fn every_keyword_of_haproxy_is_treated_as_its_manual_says() {
    for row in coverage() {
        let keyword = row.keyword.replace(".*", ".x");
        for words in ["", " 1", " 1 1", " 1 1 1"] {
            let (before, line) = match row.block.as_str() {
                "the sections" if words.len() == 2 => ("", format!("{keyword} 1\n")),
                "the sections" => continue,
                "global" => ("", format!("global\n {keyword}{words}\n")),
                "a proxy" => ("", format!("{keyword}{words}\n")),
                "a bind line" => ("", format!("bind :2 {keyword}{words}\n")),
                "a server line" => ("", format!("server b 10.0.0.2:1 {keyword}{words}\n")),
                behind => (" ", format!("{behind} {keyword}{words}\n")),
            };
            let (own, line) = if line.starts_with("global") || row.block == "the sections" {
                (line, String::new())
            } else {
                (String::new(), before.to_owned() + &line)
            };
            let text = format!("{own}listen a\nbind :1\nserver a 10.0.0.1:1\n{line}");
            let outcome = load(&OneFile(text.clone()), &["a.cfg".into()], Some(Format::Haproxy));
            let said = match &outcome {
                Ok(loaded) => &loaded.warnings,
                Err(failed) => &failed.diagnostics,
            };
            let errors = said.iter().filter(|d| d.severity == Severity::Error).count();
            let right = match row.status {
                "yes" => true,
                "refused" => errors > 0,
                // Words may be missing, or be too many and keywords of their own.
                "no effect" => said.iter().all(|d| {
                    d.message.ends_with("needs a value") || d.message.starts_with("unknown keyword")
                }),
                _ => match &outcome {
                    Ok(loaded) => loaded.notes.iter().any(|d| d.message.contains(&row.text)),
                    Err(_) => said.iter().all(|d| d.message.starts_with("unknown keyword")),
                },
            };
            assert!(right, "{row:?}\n{text}\n{said:?}");
        }
    }
}

/// A keepalived.conf with the address and a haproxy.cfg with the listeners, as edges have them.
#[test]
fn a_keepalived_conf_and_a_haproxy_cfg_make_one_configuration() {
    let below = Below::project("tests/golden/config/published");
    let files = ["patroni-2node-master.conf", "patroni-2node-fallback.cfg"].map(PathBuf::from);
    let loaded = load(&below, &files, None).unwrap();
    let Config { routers, clusters, listeners, .. } = &loaded.config;
    assert_eq!((routers.len(), clusters.len()), (1, 1));
    let roles: Vec<_> = listeners.iter().map(|l| (l.name(), l.wants, l.fallback)).collect();
    assert_eq!(roles, [("PG1", Wants::Writer, false), ("PG1_ro", Wants::Reader, true)]);
    drop(convert_keeps(&loaded));
}

/// The router of a keepalived.conf tracks what a haproxy.cfg serves.
#[test]
fn a_keepalived_conf_tracks_a_listener_of_a_haproxy_cfg() {
    let router = "vrrp_instance VI_1 {\ninterface eth0\nvirtual_router_id 51\n\
                  virtual_ipaddress {\n10.0.0.10/24\n}\n\
                  #vipd track_listener {\n#vipd primary\n#vipd replicas weight -5\n#vipd }\n}\n";
    let proxy = "listen primary\n bind :5000\n server a 10.0.0.1:80\n\
                 listen replicas\n bind :5001\n server a 10.0.0.1:80\n";
    let files = [("k.conf", router), ("h.cfg", proxy)];
    let memory = Memory(files.map(|(name, text)| (name.into(), text.to_owned())).into());
    let loaded = load(&memory, &files.map(|(name, _)| name.into()), None).unwrap();
    let tracked: Vec<_> = loaded.config.routers[0]
        .track
        .iter()
        .map(|t| format!("{:?} {} {}", t.tracker.namespace, t.tracker, t.weight))
        .collect();
    assert_eq!(tracked, ["Listener primary -20", "Listener replicas -5"]);
    drop(convert_keeps(&loaded));
}

const PROXY: (&str, &str) = ("h.cfg", "listen primary\n bind :5000\n server a 10.0.0.1:80\n");

/// A keepalived.conf whose router tracks `name` in a `kind` block, defined by `block`.
fn tracking(block: &str, kind: &str) -> String {
    let name = block.split_whitespace().nth(1).unwrap();
    format!(
        "{block}\nvrrp_instance VI_1 {{\ninterface eth0\nvirtual_router_id 51\n\
         virtual_ipaddress {{\n10.0.0.10/24\n}}\n{kind} {{\n{name}\n}}\n}}\n"
    )
}

fn loaded(files: &[(&str, &str)]) -> Result<Loaded, Failed> {
    let texts = files.iter().map(|(name, text)| ((*name).into(), (*text).to_owned()));
    let names: Vec<PathBuf> = files.iter().map(|(name, _)| (*name).into()).collect();
    load(&Memory(texts.collect()), &names, None)
}

/// Beside a haproxy.cfg the usual checks of HAProxy mean vipd's own listeners, with their own weight,
/// rise, fall and interval; alone they run.
#[test]
fn checks_of_haproxy_are_answered_by_the_listeners_that_replace_it() {
    let script =
        "vrrp_script chk {\nscript \"killall -0 haproxy\"\ninterval 2\nweight 2\nrise 3\nfall 4\n}";
    let process = "vrrp_track_process chk {\nprocess haproxy\nweight -9\nterminate_delay 1\n}";
    for (block, kind, weight) in [(script, "track_script", "2"), (process, "track_process", "-9")] {
        let conf = tracking(block, kind);
        let beside = loaded(&[("k.conf", &conf), PROXY]).unwrap();
        assert!(beside.warnings.is_empty(), "{:?}", beside.warnings);
        let alone = loaded(&[("k.conf", &conf)]).unwrap();
        let [of_listeners, run] = [&beside, &alone].map(|loaded| &*loaded.config.trackers[0]);
        assert!(of_listeners.listeners && !run.listeners);
        assert_eq!(of_listeners.kind(), "listeners");
        let watched = Rhythm { watched: false, ..run.rhythm.clone() };
        assert_eq!(of_listeners.rhythm, watched);
        assert_eq!(beside.config.routers[0].track, alone.config.routers[0].track);
        assert_eq!(beside.config.routers[0].track[0].weight.to_string(), weight);
        drop(convert_keeps(&beside));
        let off = conf.replacen('\n', "\n#vipd listeners false\n", 1);
        let off = loaded(&[("k.conf", &off), PROXY]).unwrap();
        assert!(!off.config.trackers[0].listeners);
    }
}

/// A check that would fail for good is an error, and one that is only known by its name a warning.
#[test]
fn a_check_of_haproxy_that_cannot_succeed_is_an_error() {
    let said = |block: &str, others: &[(&str, &str)]| {
        let conf = tracking(block, "track_script");
        let files: Vec<_> =
            [("k.conf", conf.as_str())].into_iter().chain(others.to_vec()).collect();
        match loaded(&files) {
            Ok(loaded) => loaded.warnings.iter().map(|d| d.render(&loaded.map, false)).collect(),
            Err(failed) => failed.render(),
        }
    };
    let unclear = "vrrp_script chk {\nscript \"sh -c 'pidof haproxy && pidof pgbouncer'\"\n}";
    let text: String = said(unclear, &[PROXY]);
    assert!(
        text.contains("error: chk asks for HAProxy") && text.contains("#vipd listeners"),
        "{text}"
    );
    assert!(!said(unclear, &[]).contains("error"));
    let socket = "vipd_check chk {\nhaproxy /run/haproxy/admin.sock\nproxy primary\n}";
    let text = said(socket, &[PROXY]);
    assert!(
        text.contains("error: chk asks for HAProxy") && text.contains("track_listener"),
        "{text}"
    );
    let named = "vrrp_script chk {\nscript /etc/keepalived/check_haproxy.sh\n}";
    let text = said(named, &[PROXY]);
    assert!(text.contains("warning: chk is taken for a check of HAProxy, by its name"), "{text}");
    // Whether HAProxy runs beside listeners of a vipd.toml is for the user to say.
    let toml = (
        "v.toml",
        "[cluster.pg]\nmembers = [\"10.0.0.1\"]\n[listener.w]\nrole = \"writer\"\nbind = \"*:5000\"\n",
    );
    let usual = "vrrp_script chk {\nscript \"killall -0 haproxy\"\n}";
    let text = said(usual, &[toml]);
    assert!(text.contains("error: chk asks for HAProxy, but vipd is a proxy here"), "{text}");
    let decided = usual.replace("}", "#vipd listeners\n}");
    assert_eq!(said(&decided, &[toml]), "");
    assert!(said(&decided, &[]).contains("error: there are no listeners that could answer"));
}

/// Settings of one file hold for the next, as with several `-f` of HAProxy.
#[test]
fn several_haproxy_cfg_are_one() {
    struct Two;
    impl Sources for Two {
        fn read(&self, path: &Path) -> Result<Text, ReadError> {
            let text = match path.to_str() {
                Some("a.cfg") => "defaults\n timeout connect 3s\n",
                _ => "listen x\n bind :\"${PORT}\"\n server a 10.0.0.1:80\n",
            };
            Ok(Text { text: text.into(), ..Text::default() })
        }
        fn glob(&self, _: &Path, _: &str) -> Vec<PathBuf> {
            Vec::new()
        }
        fn host_name(&self) -> Option<String> {
            None
        }
        fn variable(&self, name: &str) -> Option<String> {
            (name == "PORT").then(|| "5000".into())
        }
    }
    let loaded = load(&Two, &["a.cfg".into(), "b.cfg".into()], None).unwrap();
    let listener = &loaded.config.listeners[0];
    assert_eq!(listener.frontend.options.connect_timeout, Duration::from_secs(3));
    assert_eq!(listener.frontend.binds[0].address.port(), 5000);
}

/// The whole of an edge in front of Patroni takes five lines.
#[test]
fn five_lines_make_an_edge() {
    let loaded = load(&Below::project("examples"), &["vipd-proxy.toml".into()], None).unwrap();
    let text = &loaded.map.files().next().unwrap().text;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    assert_eq!(lines.count(), 5);
    let Config { clusters, listeners, .. } = &loaded.config;
    assert_eq!(clusters[0].names(), ["10.0.1.11", "10.0.1.12", "10.0.1.13"]);
    let served: Vec<_> = listeners
        .iter()
        .map(|l| (l.frontend.binds[0].address.port(), l.wants, l.fallback, l.servers.len()))
        .collect();
    assert_eq!(served, [(5000, Wants::Writer, false, 3), (5001, Wants::Reader, true, 3)]);
}

#[test]
fn names_are_unique_over_all_files() {
    let below = Below::project("tests/golden/config");
    let file = PathBuf::from("toml-proxy.toml");
    let said = load(&below, &[file.clone(), file], None).unwrap_err().render();
    for twice in ["cluster \"web\" exists twice", "listener \"read\" exists twice"] {
        assert!(said.contains(twice), "{said}");
    }
}

/// The checked clusters and listeners, every setting of each.
pub(crate) fn dump(config: &Config) -> String {
    let mut out = String::new();
    for cluster in &config.clusters {
        let ClusterConfig { name, members, rhythm, resolve_at_start } = &**cluster;
        writeln!(out, "cluster {name}: {rhythm:?}").unwrap();
        if *resolve_at_start {
            writeln!(out, "  names must resolve").unwrap();
        }
        match members {
            Members::Patroni(patroni) => {
                let (silence, lease) = (patroni.down_after, patroni.primary_lease);
                writeln!(out, "  Patroni, silence {silence:?} lease {lease:?}").unwrap();
                for member in &patroni.members {
                    let (name, address, api) = (&member.name, &member.address, &member.api);
                    write!(out, "  {name}: {address}, API {}", api.endpoint).unwrap();
                    let tls = api.tls.as_ref().map_or(String::new(), |tls| format!(" {tls:?}"));
                    writeln!(out, "{tls}").unwrap();
                }
            }
            Members::Plain(members) => {
                for member in members {
                    let (name, address, check) = (&member.name, &member.address, &member.check);
                    writeln!(out, "  {name}: {address}, {check:?}").unwrap();
                }
            }
        }
    }
    for listener in &config.listeners {
        let ListenerConfig {
            frontend,
            cluster,
            servers,
            wants,
            fallback,
            max_lag,
            tags,
            replication_state,
            on_down,
            by_status,
        } = &**listener;
        let Frontend { name, binds, protocol, identity, options, client, server } = frontend;
        let cluster = &config.clusters[*cluster];
        let role = role_word(*wants);
        writeln!(out, "listener {name}: {role} of {}, fallback {fallback}", cluster.name).unwrap();
        for bind in binds {
            writeln!(out, "  {bind:?}").unwrap();
        }
        writeln!(out, "  {protocol:?} {on_down:?} {max_lag:?} tags {tags:?}").unwrap();
        writeln!(out, "  replication state {replication_state:?}").unwrap();
        writeln!(out, "  {options:?}").unwrap();
        if let Some(identity) = identity {
            writeln!(out, "  {identity:?}").unwrap();
        }
        writeln!(out, "  client {client:?}").unwrap();
        writeln!(out, "  server {server:?}").unwrap();
        if let Some(ByStatus { own, primary, on_down }) = by_status {
            writeln!(out, "  if not Patroni: {on_down:?}").unwrap();
            for cluster in primary.iter().chain([own]) {
                let Members::Plain(members) = &cluster.members else { continue };
                writeln!(out, "  {} {:?}", cluster.name, cluster.rhythm).unwrap();
                writeln!(out, "    {:?}", members[0].check).unwrap();
            }
        }
        for server in servers {
            let member = cluster.names()[server.member];
            writeln!(out, "  {member}: {server:?}").unwrap();
        }
    }
    for page in &config.pages {
        let PageConfig { name, binds, path, refresh, shows, open_metrics, users } = page;
        let open = if *open_metrics { " open metrics" } else { "" };
        writeln!(out, "page {name}: {path} refresh {refresh:?} {shows:?}{open}").unwrap();
        for bind in binds {
            writeln!(out, "  {bind:?}").unwrap();
        }
        for PageUser { name, password } in users {
            writeln!(out, "  {name}: a password of {} bytes", password.0.len()).unwrap();
        }
    }
    out
}
