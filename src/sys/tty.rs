//! The terminal.
#![allow(unsafe_code)]

use std::io::{self, IsTerminal};
use std::os::fd::AsRawFd;

use nix::libc;

nix::ioctl_read_bad!(window_size, libc::TIOCGWINSZ, libc::winsize);

pub(super) fn width() -> Option<u16> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request writes one `winsize` to where the pointer points, which is ours.
    unsafe { window_size(stdout.as_raw_fd(), &raw mut size) }.ok()?;
    (size.ws_col > 0).then_some(size.ws_col)
}
