//! Everything that may take its time, on two threads that end with the process.
//!
//! "effects" runs the control socket's server, the status pages, the checks ([`super::probes`]) and the hooks
//! ([`crate::hook`]) in a runtime of its own. "notify" talks to the service manager, which may not be
//! reading: it gets its notices over a bounded channel, and one that does not fit is dropped. A status
//! line is outdated by the next anyway.

use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::thread;

use sd_notify::NotifyState;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use super::dumps;
use super::host::DaemonHost;
use super::pages;
use crate::api::page::Source;
use crate::api::server::{self, Ask};
use crate::config::{Config, PageConfig};
use crate::dump::Dump;
use crate::hook::Hooks;
use crate::status::Snapshot;

/// Notices waiting for a service manager that does not read.
const NOTICES: usize = 64;

/// Something for the service manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// Started, or a reload is over.
    Ready,
    /// A reload begins.
    Reloading,
    /// Shutting down.
    Stopping,
    /// One line on how things are.
    Status(String),
    /// For ourselves: this group may command from now on. To know it may mean asking the network.
    ControlGroup(Option<String>),
}

/// The threads, from outside.
#[derive(Clone)]
pub(super) struct Background {
    /// Of the "effects" thread.
    pub(super) effects: Handle,
    host: Arc<DaemonHost>,
    notices: blocking::SyncSender<Notice>,
    pages: mpsc::UnboundedSender<Vec<PageConfig>>,
    dumps: Arc<Semaphore>,
}

impl Background {
    /// Start the threads, serving clients of `listener` by asking `control`.
    pub(super) fn start(
        listener: UnixListener,
        control: mpsc::Sender<Ask>,
        host: Arc<DaemonHost>,
        group: Option<String>,
    ) -> io::Result<Background> {
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let effects = runtime.handle().clone();
        let served = Arc::clone(&host);
        let (pages, wanted) = mpsc::unbounded_channel();
        let source = Source::new(control.clone(), host.clone());
        let states = host.pages.clone();
        thread::Builder::new().name("effects".to_owned()).spawn(move || {
            runtime.block_on(async move {
                tokio::spawn(pages::keep(wanted, source, states));
                let outcome = match tokio::net::UnixListener::from_std(listener) {
                    Ok(listener) => server::serve(listener, control, served).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = outcome {
                    tracing::error!("the control socket is dead, `vipd status` too: {error}");
                }
                // Checks and hooks live here too.
                std::future::pending::<()>().await;
            });
        })?;
        let asked = Arc::clone(&host);
        let (notices, inbox) = blocking::sync_channel(NOTICES);
        thread::Builder::new().name("notify".to_owned()).spawn(move || {
            host.access.grant(group.as_deref());
            for notice in inbox {
                match notice {
                    Notice::ControlGroup(group) => host.access.grant(group.as_deref()),
                    notice => tell_service_manager(&notice),
                }
            }
        })?;
        Ok(Background {
            effects,
            host: asked,
            notices,
            pages,
            dumps: Arc::new(Semaphore::new(dumps::MOST)),
        })
    }

    /// From here on the status says how those who are told are doing.
    pub(super) fn hooks(&self, hooks: Hooks) {
        let _ = self.host.hooks.set(hooks);
    }

    /// From here on these pages are shown.
    pub(super) fn pages(&self, wanted: &[PageConfig]) {
        let _ = self.pages.send(wanted.to_vec());
    }

    /// A router that was to be drained serves on: a restart must not drain it.
    pub(super) fn not_drained(&self, router: String) {
        let host = Arc::clone(&self.host);
        self.effects.spawn(async move {
            if let Err(error) = host.drains.remove([router]) {
                tracing::warn!("a restart of the daemon will drain it: {error}");
            }
        });
    }

    /// Write a dump of what `view` tells, unless too many are being written.
    pub(super) fn dump(
        &self,
        dump: Dump,
        signal: i32,
        view: Box<dyn FnOnce() -> Snapshot + Send>,
        config: Arc<Config>,
    ) {
        let Ok(permit) = Arc::clone(&self.dumps).try_acquire_owned() else {
            tracing::warn!("too many dumps are being written: is their file system all right?");
            return;
        };
        let host = Arc::clone(&self.host);
        self.effects.spawn_blocking(move || {
            let _permit = permit;
            let mut snapshot = view();
            host.complete(&mut snapshot);
            dumps::write(dump, signal, &snapshot, &config);
        });
    }

    /// Pass on a notice, unless too many wait already.
    pub(super) fn notify(&self, notice: Notice) {
        let _ = self.notices.try_send(notice);
    }
}

/// Without a service manager (NOTIFY_SOCKET unset) this does nothing.
fn tell_service_manager(notice: &Notice) {
    let told = match notice {
        Notice::Ready => sd_notify::notify(&[NotifyState::Ready]),
        Notice::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
        Notice::Status(text) => sd_notify::notify(&[NotifyState::Status(text)]),
        Notice::ControlGroup(_) => Ok(()),
        Notice::Reloading => NotifyState::monotonic_usec_now()
            .and_then(|time| sd_notify::notify(&[NotifyState::Reloading, time])),
    };
    if let Err(error) = told {
        tracing::debug!("tell the service manager: {error}");
    }
}
