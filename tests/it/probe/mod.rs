//! Checks against real processes and sockets of this machine.

mod beside_haproxy;
mod net;
mod script;
mod server;
mod watched;

use std::future::Future;
use std::time::Duration;

/// For what must answer at once.
const SOON: Duration = Duration::from_secs(10);

/// Runs in a runtime like that of the daemon's "effects" thread.
fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(180), future).await.expect("a test that ends")
    })
}
