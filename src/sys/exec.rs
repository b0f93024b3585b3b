//! One process image in place of another.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::unistd::execve;

/// What may arrive while there is nobody to handle it.
const HELD: [Signal; 3] = [Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT];

/// Replaces this process by `binary` with the same arguments and environment, plus `marker`. Its
/// number stays, other threads end, descriptors close. Signals that ask for something wait for
/// [`accept_signals`].
///
/// # Errors
/// Only returns if the kernel refuses; then nothing has changed.
pub fn replace_process(binary: &Path, marker: (&str, &str)) -> io::Result<Infallible> {
    let text = |text: OsString| CString::new(text.into_vec()).map_err(io::Error::other);
    let path = text(binary.as_os_str().to_owned())?;
    let arguments = std::env::args_os().map(text).collect::<io::Result<Vec<_>>>()?;
    let mut environment = Vec::new();
    for (key, value) in std::env::vars_os().filter(|(key, _)| key != marker.0) {
        let mut pair = key;
        pair.push("=");
        pair.push(value);
        environment.push(text(pair)?);
    }
    environment.push(text(format!("{}={}", marker.0, marker.1).into())?);
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&held()), None)?;
    let Err(refused) = execve(&path, &arguments, &environment);
    accept_signals()?;
    Err(refused.into())
}

/// A request to reload waits for [`accept_signals`] from now on, instead of ending the process.
///
/// # Errors
/// None known.
pub fn hold_reload() -> io::Result<()> {
    let reload = std::iter::once(Signal::SIGHUP).collect::<SigSet>();
    Ok(pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&reload), None)?)
}

/// The calling thread takes the signals that were held back: by a replaced process, or by [`hold_reload`].
///
/// # Errors
/// None known.
pub fn accept_signals() -> io::Result<()> {
    Ok(pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(&held()), None)?)
}

fn held() -> SigSet {
    HELD.into_iter().collect()
}
