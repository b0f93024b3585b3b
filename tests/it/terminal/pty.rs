//! A program on a terminal of its own.

use std::fs::File;
use std::io::Read as _;
use std::process::Command;

use nix::pty::{Winsize, openpty};

/// What a program shows on a terminal with so many columns, line by line.
pub(crate) fn on_terminal(command: &Command, columns: u16) -> String {
    let size = Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(&size, None).unwrap();
    // /dev/tty is this terminal, whatever the test itself runs on.
    let mut wrapped = Command::new("setsid");
    wrapped.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
    wrapped.env("TERM", "xterm-256color");
    wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let end = || terminal.slave.try_clone().unwrap();
    let mut child = wrapped.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
    drop((wrapped, terminal.slave));
    let mut shown = Vec::new();
    // A terminal whose other end is closed gives EIO.
    let _ = File::from(terminal.master).read_to_end(&mut shown);
    child.wait().unwrap();
    String::from_utf8(shown).unwrap().replace("\r\n", "\n")
}
