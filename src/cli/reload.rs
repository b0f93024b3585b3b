//! `vipd reload`: have the configuration read again and say how that went.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::{RUN_DIR, complain, exit, print, strange, unavailable};
use crate::api::client::ask_within;
use crate::api::protocol::{Request, Response};

/// More than the daemon allows itself.
const PATIENCE: Duration = Duration::from_secs(25);

/// What can be said to `vipd reload`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run directory of the daemon
    #[arg(long, value_name = "DIR", default_value = RUN_DIR)]
    run_dir: PathBuf,
}

pub(super) fn run(args: &Args) -> u8 {
    match ask_within(&args.run_dir, &Request::Reload, PATIENCE) {
        Ok(Response::Reloaded { warnings }) => {
            let _ = io::stderr().write_all(warnings.as_bytes());
            print("reloaded\n")
        }
        Ok(Response::ReloadRefused(why)) => {
            let _ = writeln!(io::stderr(), "{}", why.trim_end());
            complain("reload refused, the old configuration stays in use");
            exit::CONFIG
        }
        Ok(other) => strange(&other),
        Err(error) => unavailable(&error),
    }
}
