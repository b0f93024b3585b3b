//! HAProxy's statistics, from its socket or its page; [`crate::track::haproxy`] judges them.

use std::io;
use std::path::Path;

use http::Method;
use http::uri::PathAndQuery;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::spawn_blocking;

use super::connect::broken;
use super::exchange::Wanted;
use super::http::Server;
use super::resolve::Resolver;
use super::tls::Roots;
use super::{Deadline, Failure};
use crate::config::checks::{HaproxyCheck, HaproxyStats};
use crate::track::haproxy::judge;
use crate::track::outcome::Cause;

/// How much is read: some ten thousand proxies and servers.
const STATISTICS: usize = 8 * 1024 * 1024;

/// Frontends (1) and backends (2) of every proxy, without the servers.
const COMMAND: &[u8] = b"show stat -1 3 -1\n";

#[derive(Debug)]
pub(super) struct Haproxy {
    check: HaproxyCheck,
    page: Option<(Server, PathAndQuery)>,
}

impl Haproxy {
    pub(super) fn new(check: &HaproxyCheck, resolver: Resolver, roots: Roots) -> Haproxy {
        let page = match &check.stats {
            HaproxyStats::Socket(_) => None,
            HaproxyStats::Page(page) => {
                let csv = format!("{};csv;norefresh", page.path);
                let path = csv.parse().unwrap_or_else(|_| page.path.clone());
                Some((Server::new(page.target.clone(), resolver, roots), path))
            }
        };
        Haproxy { check: check.clone(), page }
    }

    pub(super) async fn run(&mut self, deadline: Deadline) -> Result<String, Failure> {
        let wrong = |text| Failure::new(Cause::WrongAnswer, text);
        let statistics = match (&self.check.stats, &mut self.page) {
            (HaproxyStats::Page(_), Some((server, path))) => {
                let wanted = Wanted::Body(STATISTICS);
                let answer = server.ask(&Method::GET, path, wanted, deadline).await?;
                if answer.status != 200 {
                    return Err(wrong(format!("status {} instead of statistics", answer.status)));
                }
                if !answer.complete {
                    let text = "the statistics end before they are complete";
                    return Err(Failure::new(Cause::Unreachable, text));
                }
                answer.body
            }
            (HaproxyStats::Socket(path), _) => from_socket(path, deadline).await?,
            (HaproxyStats::Page(_), None) => Vec::new(),
        };
        // Megabytes may be a mistake or an attack: other checks share this thread.
        let check = self.check.clone();
        let judged = spawn_blocking(move || judge(&check, &statistics));
        let judged = deadline.step("reading the statistics", judged).await?;
        judged
            .map_err(|error| Failure::cannot("read the statistics", &io::Error::other(error)))?
            .map_err(wrong)
    }
}

async fn from_socket(path: &Path, deadline: Deadline) -> Result<Vec<u8>, Failure> {
    let name = path.display();
    let what = format!("waiting for the answer of {name}");
    let stream = deadline.step(&what, UnixStream::connect(path)).await?;
    let mut stream = stream.map_err(|error| broken(name, &error))?;
    let ask = async {
        stream.write_all(COMMAND).await?;
        let mut statistics = Vec::new();
        let limit = u64::try_from(STATISTICS).unwrap_or(u64::MAX);
        stream.take(limit).read_to_end(&mut statistics).await?;
        Ok(statistics)
    };
    deadline.step(&what, ask).await?.map_err(|error| broken(path.display(), &error))
}
