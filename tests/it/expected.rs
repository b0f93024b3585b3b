//! Expected outputs are files: `VIPD_BLESS=1 cargo test` rewrites them, review reads the diff.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use vipd::cli::sources::FileSystem;
use vipd::config::checks::PemFile;
use vipd::config::sources::{ReadError, Sources, Text};
use vipd::config::{
    AnnounceConfig, Cast, Config, NotifyConfig, Process, Rhythm, RouterConfig, RouterOptions,
    StaticAddress, Strict, VirtualAddress,
};
use vipd::load::{Failed, Loaded, load};

/// Files below one directory, named relative to it, so that outputs are the same everywhere.
pub(crate) struct Below(pub(crate) PathBuf);

impl Below {
    pub(crate) fn project(dir: &str) -> Below {
        Below(Path::new(env!("CARGO_MANIFEST_DIR")).join(dir))
    }
}

impl Sources for Below {
    fn read(&self, path: &Path) -> Result<Text, ReadError> {
        FileSystem::default()
            .read(&self.0.join(path))
            .map_err(|error| ReadError { path: path.to_owned(), ..error })
    }

    fn glob(&self, dir: &Path, pattern: &str) -> Vec<PathBuf> {
        let found = FileSystem::default().glob(&self.0.join(dir), pattern);
        found.iter().map(|path| path.strip_prefix(&self.0).unwrap_or(path).to_owned()).collect()
    }

    fn is_regular(&self, path: &Path) -> bool {
        FileSystem::default().is_regular(&self.0.join(path))
    }

    fn usable(&self, file: &PemFile<'_>) -> Result<(), String> {
        let path = match file {
            PemFile::Authorities(path) => path,
            PemFile::Identity(own) => own.key.as_path(),
        };
        let absent = path.ends_with("absent.pem");
        if absent { Err(format!("{}: No such file or directory", path.display())) } else { Ok(()) }
    }

    fn host_name(&self) -> Option<String> {
        Some("lb1".into())
    }
}

/// One file, whatever it is called.
pub(crate) struct OneFile(pub(crate) String);

impl Sources for OneFile {
    fn read(&self, _: &Path) -> Result<Text, ReadError> {
        Ok(Text { text: self.0.clone(), ..Text::default() })
    }

    fn glob(&self, _: &Path, _: &str) -> Vec<PathBuf> {
        Vec::new()
    }

    fn host_name(&self) -> Option<String> {
        None
    }
}

/// Compares with the file, or writes it if asked to.
pub(crate) fn expect(file: &Path, actual: &str) {
    if std::env::var_os("VIPD_BLESS").is_some() {
        std::fs::write(file, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        expected == actual,
        "{} differs; look at it, then VIPD_BLESS=1 rewrites it. Now:\n{actual}",
        file.display()
    );
}

/// What loading a file gives: every diagnostic, then the checked configuration.
pub(crate) fn outcome(sources: &dyn Sources, file: &str) -> String {
    told(load(sources, &[PathBuf::from(file)], None))
}

/// The same for what was loaded already.
pub(crate) fn told(outcome: Result<Loaded, Failed>) -> String {
    match outcome {
        Ok(loaded) => {
            let mut text: String =
                loaded.warnings.iter().map(|w| w.render(&loaded.map, false) + "\n").collect();
            text.push_str(&dump(&loaded.config));
            text
        }
        Err(failed) => {
            let text: String =
                failed.diagnostics.iter().map(|d| d.render(&failed.map, false) + "\n").collect();
            let kind = if failed.unreadable { "unreadable" } else { "refused" };
            format!("{text}{kind}: {}\n", failed.summary())
        }
    }
}

/// The checked configuration: the main settings always, the others where they differ.
pub(crate) fn dump(config: &Config) -> String {
    let mut globals = format!("{:?}", config.globals);
    let process = format!(", process: {:?}", Process::default());
    for default in [
        ", delay_after_boot: 0ns",
        ", control_group: None",
        ", state_dump_file: None",
        ", json_version: 1",
        ", startup_script_timeout: 10s",
        ", shutdown_script_timeout: 10s",
        &process,
        ", startup_script: None",
        ", shutdown_script: None",
    ] {
        globals = globals.replace(default, "");
    }
    let mut out = globals + "\n";
    for wanted in &config.static_addresses {
        let StaticAddress { iface, address, required_by } = &**wanted;
        writeln!(out, "static on {iface}: {} required by {required_by:?}", address_line(address))
            .unwrap();
    }
    for group in &config.pacing {
        writeln!(out, "{group:?}").unwrap();
    }
    for (name, interface) in &config.interfaces {
        writeln!(out, "interface {name}: {interface:?}").unwrap();
    }
    out.push_str(&crate::proxy_config::dump(config));
    for router in &config.routers {
        let RouterConfig {
            name,
            iface,
            vrid,
            dialect,
            priority,
            interval,
            preempt,
            highest_peer_priority,
            strict,
            source,
            cast,
            receive_buffer,
            addresses,
            announce,
            options,
            track,
            track_interfaces,
            notify,
        } = &**router;
        let learned = options.max_learned_interval;
        writeln!(out, "router {name}: {iface} vrid {vrid} {dialect:?} priority {priority}")
            .unwrap();
        writeln!(out, "  interval {interval} (learns {learned}), preempt {preempt:?}").unwrap();
        let strict_owner = matches!(strict, Some(Strict::Rfc3768 | Strict::Rfc5798));
        let cast = match cast {
            Cast::Multicast { group } => format!("group {group}"),
            Cast::Unicast { peers, ttl } => {
                let peers: Vec<String> = peers
                    .iter()
                    .map(|peer| format!("{} accepts {:?}", peer.address, peer.accepted_ttl))
                    .collect();
                format!("unicast ttl {ttl} [{}]", peers.join(", "))
            }
        };
        writeln!(out, "  {cast} source {source:?} strict {strict:?}").unwrap();
        if *announce != AnnounceConfig::default() {
            let announce = format!("{announce:?}").replace(", refresh_elsewhere: 0ns", "");
            writeln!(out, "  {announce}").unwrap();
        }
        if let Some(priority) = highest_peer_priority {
            writeln!(out, "  highest_peer_priority {priority}").unwrap();
        }
        if receive_buffer.is_some() {
            writeln!(out, "  receive_buffer {receive_buffer:?}").unwrap();
        }
        let usual = RouterOptions {
            max_learned_interval: learned,
            answer_lower: !strict_owner,
            owner_listens: !strict_owner,
            advert_before_yield: strict.is_none(),
            ..RouterOptions::default()
        };
        let fields = |options: &RouterOptions| {
            let text = format!("{options:?}").replace("RouterOptions { ", "").replace(" }", "");
            text.split(", ").map(|field| field.replacen(": ", " ", 1)).collect::<Vec<_>>()
        };
        for (own, usual) in fields(options).into_iter().zip(fields(&usual)) {
            if own != usual {
                writeln!(out, "  {own}").unwrap();
            }
        }
        for address in addresses {
            writeln!(out, "  {}", address_line(address)).unwrap();
        }
        for tracked in track {
            writeln!(out, "  tracks {} {}", tracked.tracker, tracked.weight).unwrap();
        }
        for tracked in track_interfaces {
            writeln!(out, "  tracks interface {} {}", tracked.iface, tracked.weight).unwrap();
        }
        if *notify != NotifyConfig::default() {
            writeln!(out, "  {notify:?}").unwrap();
        }
    }
    for tracker in &config.trackers {
        let Rhythm {
            watched,
            interval,
            timeout,
            rise,
            fall,
            init_fail,
            on_timeout,
            rise_delay,
            fall_delay,
        } = &tracker.rhythm;
        writeln!(out, "tracker {}: {:?}", tracker.key, tracker.check).unwrap();
        if !watched {
            writeln!(
                out,
                "  every {interval:?} for {timeout:?}, rise {rise} fall {fall} init_fail \
                 {init_fail} {on_timeout:?}"
            )
            .unwrap();
        }
        if !rise_delay.is_zero() || !fall_delay.is_zero() {
            writeln!(out, "  rise_delay {rise_delay:?} fall_delay {fall_delay:?}").unwrap();
        }
    }
    for group in &config.groups {
        let names: Vec<String> =
            group.members.iter().map(|key| format!("{} {}", key.iface, key.vrid)).collect();
        writeln!(out, "group {}: {}", group.name, names.join(", ")).unwrap();
        if group.notify != NotifyConfig::default() {
            writeln!(out, "  {:?}", group.notify).unwrap();
        }
    }
    for fifo in &config.fifos {
        writeln!(out, "{fifo:?}").unwrap();
    }
    if let Some(mail) = &config.mail {
        writeln!(out, "{mail:?}").unwrap();
    }
    out
}

fn address_line(address: &VirtualAddress) -> String {
    let mut line = format!("{address:?}");
    for default in [
        ", iface: None",
        ", scope: 0",
        ", broadcast: None",
        ", label: None",
        ", peer: None",
        ", dad: false",
        ", home: false",
        ", mngtmpaddr: false",
        ", noprefixroute: false",
        ", autojoin: false",
        ", preferred_lft: None",
        ", track: true",
    ] {
        line = line.replace(default, "");
    }
    let cidr = format!("{:?}", address.cidr);
    line.replace(&format!("VirtualAddress {{ cidr: {cidr},"), &format!("{} {{", address.cidr))
}
