//! What all workers share, and what a listener's settings come to.

use crate::config::Frontend;

/// Whether its sessions have to be looked at now and then.
pub(super) fn has_limits(frontend: &Frontend) -> bool {
    let limits = [
        frontend.options.idle_timeout,
        frontend.client.tcp_user_timeout,
        frontend.server.tcp_user_timeout,
    ];
    limits.iter().any(Option::is_some)
}

/// What all workers share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Threads, each with its own share of every listener; 0 for one per CPU.
    pub workers: usize,
    /// Moving bulk data without copying it.
    pub splice: Splice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Splice {
    /// Pipes a worker may have; 0 copies everything.
    pub pipes: usize,
    /// Their size in bytes.
    pub size: usize,
}

impl Default for Options {
    fn default() -> Options {
        // An unprivileged user may have 64 pipes of this size (fs.pipe-user-pages-soft); further
        // ones come out smaller and are not used.
        Options { workers: 0, splice: Splice { pipes: 32, size: 1 << 20 } }
    }
}
