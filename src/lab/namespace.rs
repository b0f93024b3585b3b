//! A network namespace held by a thread that lives in it and works on request.

use std::fs;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::fstat;
use nix::unistd::Pid;
use rtnetlink::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::deadline::{Overdue, eventually};
use super::error::{Error, Result};
use crate::sys::netns;

type Work = Box<dyn FnOnce(Handle) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// The namespace, its thread and a netlink connection inside.
#[derive(Debug)]
pub(super) struct Namespace {
    name: String,
    fd: OwnedFd,
    id: u64,
    work: Option<UnboundedSender<Work>>,
    thread: Option<JoinHandle<()>>,
}

impl Namespace {
    /// A new namespace with nothing but a loopback interface (down). `name` is the thread's and
    /// the namespace's host name.
    pub(super) fn new(name: &str) -> Result<Namespace> {
        let failed = |what: &str, source| Error::Kernel {
            place: name.to_owned(),
            what: what.to_owned(),
            source,
        };
        let (work, requests) = unbounded_channel();
        let (ready, started) = mpsc::channel();
        let hostname = name.to_owned();
        let thread = thread::Builder::new()
            .name(format!("lab:{name}"))
            .spawn(move || live_inside(&hostname, requests, &ready))
            .map_err(|e| failed("start a thread", e))?;
        let fd = started
            .recv()
            .map_err(|_| Error::ThreadGone { place: name.to_owned() })?
            .map_err(|source| refused(name, source))?;
        let id = fstat(&fd).map_err(|e| failed("identify its namespace", e.into()))?.st_ino;
        Ok(Namespace { name: name.to_owned(), fd, id, work: Some(work), thread: Some(thread) })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The descriptor netlink takes to name this namespace.
    pub(super) fn raw_fd(&self) -> RawFd {
        self.fd.as_fd().as_raw_fd()
    }

    /// The inode number of the namespace, as in `net:[4026532000]`.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Kills whatever runs inside, this program apart.
    pub(super) fn kill_all(&self) -> Result<(), Overdue> {
        let own = Pid::this();
        let name = format!("net:[{}]", self.id);
        eventually(Duration::from_secs(5), "a host's processes to end", || {
            let left: Vec<_> = running_in(&name).into_iter().filter(|pid| *pid != own).collect();
            for pid in &left {
                // It may have ended since the look.
                let _ = kill(*pid, Signal::SIGKILL);
            }
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
    }

    /// Runs `work` inside and waits for it. `what` completes the sentence "cannot …".
    pub(super) fn run<T, F, R>(&self, what: impl Into<String>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Handle) -> R + Send + 'static,
        R: Future<Output = io::Result<T>> + 'static,
    {
        let gone = || Error::ThreadGone { place: self.name.clone() };
        let (answer, answered) = mpsc::channel();
        let request: Work = Box::new(move |netlink| {
            let work = work(netlink);
            Box::pin(async move {
                // The asker waits below; it cannot be gone.
                drop(answer.send(work.await));
            })
        });
        self.work.as_ref().ok_or_else(gone)?.send(request).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?.map_err(|source| Error::Kernel {
            place: self.name.clone(),
            what: what.into(),
            source,
        })
    }

    /// The same for work that needs no netlink.
    pub(super) fn inside<T, F>(&self, what: impl Into<String>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> io::Result<T> + Send + 'static,
    {
        self.run(what, move |_| std::future::ready(work()))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take() {
            // A panic in work given to the thread has been reported to whoever gave it.
            drop(thread.join());
        }
    }
}

fn live_inside(
    hostname: &str,
    mut requests: UnboundedReceiver<Work>,
    ready: &mpsc::Sender<io::Result<OwnedFd>>,
) {
    let opened = netns::unshare_network(hostname).and_then(|fd| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok((fd, runtime))
    });
    let (fd, runtime) = match opened {
        Ok(opened) => opened,
        Err(error) => return drop(ready.send(Err(error))),
    };
    runtime.block_on(async {
        match rtnetlink::new_connection() {
            Ok((connection, netlink, _)) => {
                tokio::spawn(connection);
                drop(ready.send(Ok(fd)));
                while let Some(work) = requests.recv().await {
                    work(netlink.clone()).await;
                }
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    });
}

fn refused(name: &str, source: io::Error) -> Error {
    if source.raw_os_error() == Some(Errno::EPERM as i32) {
        Error::Forbidden {
            what: "make a network namespace",
            why: "CAP_SYS_ADMIN is missing".into(),
            remedy: "Run it as root (in a container: --privileged, or --cap-add SYS_ADMIN and \
                     NET_ADMIN and NET_RAW)."
                .into(),
        }
    } else {
        Error::Kernel { place: name.to_owned(), what: "make its network namespace".into(), source }
    }
}

fn running_in(namespace: &str) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let link = fs::read_link(entry.path().join("ns/net")).ok()?;
            (link.as_os_str() == namespace).then_some(Pid::from_raw(pid))
        })
        .collect()
}
