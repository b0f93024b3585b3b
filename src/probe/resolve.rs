//! Host names to addresses, in the background.
//!
//! A name is looked up with the system's resolver, so `/etc/hosts` and its like count, on a helper
//! thread, at most one look-up per name at a time. Addresses once found stay in use until a later
//! look-up finds others: checks go on while the name server is away.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Deadline, Failure};
use crate::config::checks::{Host, HostName};
use crate::track::outcome::Cause;

/// Known addresses are looked up again when they are older than this.
const FRESH: Duration = Duration::from_secs(10);

/// Names without an address are looked up again after this time.
const UNKNOWN_AGAIN: Duration = Duration::from_secs(1);

/// How a name is looked up; blocks.
type LookUp = dyn Fn(&HostName) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Looks names up and remembers what it found.
#[derive(Clone)]
pub struct Resolver {
    look_up: Arc<LookUp>,
    fresh: Duration,
    names: Arc<Mutex<BTreeMap<HostName, Name>>>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("names", &self.names).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Name {
    /// When the last look-up began.
    asked: Instant,
    /// What it said; a look-up is under way while this is `None` or `Busy`.
    known: watch::Sender<Known>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    busy: bool,
    /// The last good answer.
    addresses: Vec<IpAddr>,
    /// Why the last look-up failed.
    error: Option<String>,
}

impl Default for Resolver {
    fn default() -> Resolver {
        Resolver::with(FRESH, |name: &HostName| {
            let found = (name.as_str(), 0).to_socket_addrs()?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

impl Resolver {
    /// A resolver with another look-up, which is repeated when an answer is older than `fresh`.
    pub fn with(
        fresh: Duration,
        look_up: impl Fn(&HostName) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Resolver {
        Resolver { look_up: Arc::new(look_up), fresh, names: Arc::default() }
    }

    /// The addresses of a host in the resolver's order, at least one. Waits only for a name that
    /// has never been found.
    pub(super) async fn addresses(
        &self,
        host: &Host,
        deadline: Deadline,
    ) -> Result<Vec<IpAddr>, Failure> {
        let name = match host {
            Host::Address(address) => return Ok(vec![*address]),
            Host::Name(name) => name,
        };
        let mut known = self.ask(name);
        let waited = async {
            known
                .wait_for(|known| !known.addresses.is_empty() || !known.busy)
                .await
                .map(|k| k.clone())
        };
        let what = format!("resolving {}", name.as_str());
        let known = deadline.step(&what, waited).await?;
        match known {
            Ok(Known { addresses, .. }) if !addresses.is_empty() => Ok(addresses),
            Ok(Known { error: Some(error), .. }) => Err(Failure::new(Cause::Resolve, error)),
            _ => Err(Failure::new(Cause::Resolve, name.as_str())),
        }
    }

    /// Wait until `last` is none of the addresses of `name`, and return one of them.
    pub async fn another(&self, name: &HostName, last: Option<IpAddr>) -> IpAddr {
        loop {
            let mut known = self.ask(name);
            // It ends only if the resolver does.
            let looked_up = known.wait_for(|known| !known.busy).await;
            let addresses = looked_up.map(|known| known.addresses.clone()).unwrap_or_default();
            match addresses.first() {
                Some(first) if last.is_none_or(|last| !addresses.contains(&last)) => return *first,
                Some(_) => tokio::time::sleep(self.fresh).await,
                None => tokio::time::sleep(UNKNOWN_AGAIN).await,
            }
        }
    }

    /// Begins a look-up if one is due.
    fn ask(&self, name: &HostName) -> watch::Receiver<Known> {
        let mut names = self.lock();
        let now = Instant::now();
        let (due, receiver) = match names.get_mut(name) {
            Some(entry) => {
                let receiver = entry.known.subscribe();
                let known = receiver.borrow().clone();
                let old = known.addresses.is_empty() || now - entry.asked >= self.fresh;
                let due = old && !known.busy;
                if due {
                    entry.asked = now;
                    entry.known.send_modify(|known| known.busy = true);
                }
                (due, receiver)
            }
            None => {
                let (known, receiver) = watch::channel(Known { busy: true, ..Known::default() });
                names.insert(name.clone(), Name { asked: now, known });
                (true, receiver)
            }
        };
        drop(names);
        if due {
            tokio::spawn(self.clone().look_up(name.clone()));
        }
        receiver
    }

    async fn look_up(self, name: HostName) {
        let (look_up, asked) = (Arc::clone(&self.look_up), name.clone());
        let answer = tokio::task::spawn_blocking(move || look_up(&asked)).await;
        let answer = match answer {
            Ok(Ok(addresses)) if addresses.is_empty() => Err("no address".to_owned()),
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(error)) => Err(plain(&error)),
            Err(error) => Err(error.to_string()),
        };
        let names = self.lock();
        let Some(entry) = names.get(&name) else { return };
        entry.known.send_modify(|known| {
            known.busy = false;
            match answer {
                Ok(addresses) => (known.addresses, known.error) = (addresses, None),
                Err(error) => known.error = Some(format!("{}: {error}", name.as_str())),
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<HostName, Name>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The resolver's words without those of the standard library before them.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn name(text: &str) -> Host {
        text.parse().unwrap()
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(future)
    }

    #[test]
    fn the_last_good_address_outlives_the_name_server() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let resolver =
            Resolver::with(Duration::ZERO, move |_| match count.fetch_add(1, Ordering::SeqCst) {
                0 => Err(io::Error::other("try again")),
                1 => Ok(vec!["10.0.0.1".parse().unwrap()]),
                _ => Err(io::Error::other("no name server")),
            });
        let deadline = || Deadline::after(Duration::from_secs(5));
        run(async {
            let host = name("db");
            let failed = resolver.addresses(&host, deadline()).await.unwrap_err();
            assert_eq!(failed, Failure::new(Cause::Resolve, "db: try again"));
            let found = resolver.addresses(&host, deadline()).await.unwrap();
            assert_eq!(found, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
            // Each of these is looked up in the background, in vain.
            while asked.load(Ordering::SeqCst) < 5 {
                assert_eq!(resolver.addresses(&host, deadline()).await.unwrap(), found);
                tokio::task::yield_now().await;
            }
        });
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_told_and_one_more_address_is_not() {
        let answers = ["10.0.0.1", "10.0.0.2 10.0.0.1", "10.0.0.2"];
        let asked = AtomicUsize::new(0);
        let resolver = Resolver::with(Duration::from_millis(1), move |_| {
            let nth = asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
            Ok(answers[nth].split(' ').map(|address| address.parse().unwrap()).collect())
        });
        let Host::Name(name) = name("db") else { panic!() };
        run(async {
            let first = resolver.another(&name, None).await;
            assert_eq!(first.to_string(), "10.0.0.1");
            assert_eq!(resolver.another(&name, Some(first)).await.to_string(), "10.0.0.2");
        });
    }

    #[test]
    fn a_fresh_answer_is_not_asked_for_again() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let resolver = Resolver::with(FRESH, move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(vec!["10.0.0.1".parse().unwrap()])
        });
        run(async {
            for _ in 0..3 {
                let deadline = Deadline::after(Duration::from_secs(5));
                resolver.addresses(&name("db"), deadline).await.unwrap();
            }
        });
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_resolver_that_does_not_answer_is_asked_once_and_costs_the_deadline() {
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let held = Mutex::new(held);
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let resolver = Resolver::with(FRESH, move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = held.lock().unwrap().recv();
            Ok(vec!["10.0.0.1".parse().unwrap()])
        });
        run(async {
            let deadline = || Deadline::after(Duration::from_millis(20));
            for _ in 0..3 {
                let failed = resolver.addresses(&name("db"), deadline()).await.unwrap_err();
                assert_eq!(failed, Failure::new(Cause::TimedOut, "no answer while resolving db"));
            }
            assert_eq!(asked.load(Ordering::SeqCst), 1);
            drop(hold);
            let deadline = Deadline::after(Duration::from_secs(5));
            assert!(resolver.addresses(&name("db"), deadline).await.is_ok());
        });
    }
}
