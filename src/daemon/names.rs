//! Names that must lead somewhere before a configuration is used, as HAProxy has it: a server whose
//! name is misspelt would never serve, and nobody would notice.

use std::collections::BTreeSet;
use std::net::ToSocketAddrs as _;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::config::checks::{Check, Host, HostName};
use crate::config::{ClusterConfig, Config, Members};

/// A name service that takes longer does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Says which names lead nowhere. Those that `known` has were found before. Blocks.
///
/// # Errors
/// The names, for people.
pub fn resolve(config: &Config, known: &Config) -> Result<(), String> {
    let mut names = required(config);
    let all = |config: &Config| -> BTreeSet<HostName> {
        config
            .clusters
            .iter()
            .flat_map(|cluster| of_cluster(cluster))
            .chain(of_listeners(config))
            .collect()
    };
    let before = all(known);
    names.retain(|name| !before.contains(name));
    let (found, answers) = mpsc::channel();
    for name in &names {
        let (name, found) = (name.clone(), found.clone());
        let look_up = move || {
            let answer = (name.as_str(), 0).to_socket_addrs();
            let answer = answer.map(|mut addresses| addresses.next().is_some());
            let _ = found.send((name, answer.unwrap_or(false)));
        };
        // Without a thread nobody knows; the daemon looks again while it runs.
        let _ = thread::Builder::new().name("resolve".to_owned()).spawn(look_up);
    }
    drop(found);
    let deadline = Instant::now() + PATIENCE;
    while let Ok((name, leads)) =
        answers.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        if leads {
            names.remove(&name);
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    let list: Vec<&str> = names.iter().map(HostName::as_str).collect();
    Err(format!(
        "error: no address for {}: HAProxy refuses that, too\n  = help: correct the name, or write \
         `init-addr none` on its server line to go on without",
        list.join(", ")
    ))
}

fn required(config: &Config) -> BTreeSet<HostName> {
    let strict = |cluster: &ClusterConfig| cluster.resolve_at_start;
    let clusters = config.clusters.iter().filter(|cluster| strict(cluster));
    let own = clusters.flat_map(|cluster| of_cluster(cluster));
    let listeners = config.listeners.iter().filter(|listener| {
        config.clusters.get(listener.cluster).is_some_and(|cluster| strict(cluster))
    });
    let addresses = listeners.flat_map(|l| l.servers.iter().filter_map(|s| s.address.as_ref()));
    own.chain(addresses.filter_map(|address| name(&address.host))).collect()
}

fn of_listeners(config: &Config) -> impl Iterator<Item = HostName> + '_ {
    let servers = config.listeners.iter().flat_map(|listener| &listener.servers);
    servers.filter_map(|server| name(&server.address.as_ref()?.host))
}

fn of_cluster(cluster: &ClusterConfig) -> Vec<HostName> {
    let hosts: Vec<Option<HostName>> = match &cluster.members {
        Members::Patroni(patroni) => {
            let members = patroni.members.iter();
            members.flat_map(|m| [name(&m.address.host), name(&m.api.endpoint.host)]).collect()
        }
        Members::Plain(members) => members
            .iter()
            .flat_map(|m| {
                let asked = match m.check.as_deref() {
                    Some(Check::Tcp(check)) => name(&check.endpoint.host),
                    Some(Check::Postgres(check)) => name(&check.endpoint.host),
                    Some(Check::Http(check)) => name(&check.target.endpoint.host),
                    _ => None,
                };
                [name(&m.address.host), asked]
            })
            .collect(),
    };
    hosts.into_iter().flatten().collect()
}

fn name(host: &Host) -> Option<HostName> {
    match host {
        Host::Name(name) => Some(name.clone()),
        Host::Address(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sources::{ReadError, Sources, Text};
    use crate::load::load;

    struct OneFile(&'static str);

    impl Sources for OneFile {
        fn read(&self, _: &std::path::Path) -> Result<Text, ReadError> {
            Ok(Text { text: self.0.to_owned(), ..Text::default() })
        }
        fn glob(&self, _: &std::path::Path, _: &str) -> Vec<std::path::PathBuf> {
            Vec::new()
        }
        fn host_name(&self) -> Option<String> {
            None
        }
    }

    fn config(text: &'static str) -> Config {
        load(&OneFile(text), &["haproxy.cfg".into()], None).unwrap().config
    }

    #[test]
    fn a_name_that_leads_nowhere_is_refused_unless_it_may_wait() {
        let lost = config("listen a\n bind :1\n server a no-such-host.invalid:1 check\n");
        let none = Config::default();
        assert!(resolve(&lost, &none).unwrap_err().contains("no-such-host.invalid"));
        // It was found before, and only the name service is away.
        assert_eq!(resolve(&lost, &lost), Ok(()));
        for right in [
            "listen a\n bind :1\n server a localhost:1 check\n",
            "listen a\n bind :1\n server a no-such-host.invalid:1 check init-addr last,none\n",
            "listen a\n bind :1\n server a no-such-host.invalid:1 check init-addr 127.0.0.1\n",
            "[cluster.a]\ncheck = \"tcp\"\nmembers = [\"no-such-host.invalid\"]\n[listener.a]\nbind = \"*:1\"\n",
        ] {
            assert_eq!(resolve(&config(right), &none), Ok(()), "{right}");
        }
    }
}
