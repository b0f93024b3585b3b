//! `vipd cleanup`: remove what a daemon that will not come back has left.

use std::fmt::Write;
use std::path::PathBuf;

use super::{complain, exit, print, run_dir};
use crate::api::client::{AskError, ask};
use crate::api::protocol::Request;
use crate::daemon::holder_of_address;
use crate::io::OpError;
use crate::sys::netlink::Netlink;

/// What can be said to `vipd cleanup`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only say what would be removed
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Even while a daemon answers in the run directory
    #[arg(long)]
    force: bool,
    /// Run directory a daemon would answer in [default: /run/vipd]
    #[arg(long, value_name = "DIR", default_value_os_t = run_dir::of_daemon())]
    #[arg(hide_default_value = true)]
    run_dir: PathBuf,
}

pub(super) fn run(args: &Args) -> u8 {
    let dead = matches!(
        ask(&args.run_dir, &Request::Status),
        Err(AskError::NoSocket { .. } | AskError::Refused { .. })
    );
    if !dead && !args.force && !args.dry_run {
        complain(&format!(
            "a daemon runs with the run directory {}: stop it (it removes its addresses itself), \
             or give --force",
            args.run_dir.display()
        ));
        return exit::CANT_CREATE;
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot ask the kernel: {error}"));
            return exit::OS_ERR;
        }
    };
    match runtime.block_on(sweep(args)) {
        Ok((text, complete)) => match print(&text) {
            exit::OK if !complete => exit::OS_ERR,
            status => status,
        },
        Err(error) => {
            complain(&format!("cannot {error}"));
            exit::OS_ERR
        }
    }
}

/// What was done, line by line, and whether everything could be.
async fn sweep(args: &Args) -> Result<(String, bool), OpError> {
    let mut netlink = Netlink::connect().map_err(|error| OpError {
        operation: "open a netlink socket".to_owned(),
        cause: crate::sys::cause(&error),
    })?;
    let mut text = String::new();
    let mut complete = true;
    for (link, addresses) in netlink.dump().await? {
        for address in addresses.iter().filter(|address| address.ours) {
            let (cidr, name) = (address.cidr, &link.name);
            let holder = holder_of_address(name, cidr.address()).filter(|_| !args.force);
            if let Some(holder) = holder {
                let _ = writeln!(text, "{cidr} on {name} stays: it belongs to {holder}");
                continue;
            }
            if args.dry_run {
                let _ = writeln!(text, "would remove {cidr} from {name}");
                continue;
            }
            match netlink.set_absent(link.index, cidr).await {
                Ok(_) => {
                    let _ = writeln!(text, "removed {cidr} from {name}");
                }
                Err(error) => {
                    complain(&format!("cannot {error}"));
                    complete = false;
                }
            }
        }
    }
    if text.is_empty() && complete {
        text.push_str("no address of vipd is here\n");
    }
    Ok((text, complete))
}
