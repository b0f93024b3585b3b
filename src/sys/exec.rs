//! One process image in place of another.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use nix::unistd::execve;

use super::signals;

/// Replaces this process by `binary` with the same arguments and environment, plus `marker`. Its
/// number stays, other threads end, descriptors close. Signals that ask for something wait for
/// [`signals::accept`].
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
    signals::hold_all()?;
    let Err(refused) = execve(&path, &arguments, &environment);
    signals::accept()?;
    Err(refused.into())
}
