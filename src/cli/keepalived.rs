//! keepalived's command line, as far as scripts and service files use it, so that `vipd run` can
//! stand where `keepalived` stood.

use std::path::PathBuf;

use nix::libc;

use crate::import::keepalived::parse_umask;

/// Options of keepalived that `vipd run` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    /// Write the process id to this file as well
    #[arg(short, long, value_name = "FILE", alias = "vrrp_pid", short_alias = 'r')]
    pub(super) pid: Vec<PathBuf>,
    /// Work in this network namespace (ip netns), whatever the configuration says
    #[arg(short = 's', long, value_name = "NAME")]
    pub(super) namespace: Option<String>,
    /// Permissions that files of the daemon do not get, whatever the configuration says
    #[arg(short, long, value_name = "MASK", value_parser = umask)]
    pub(super) umask: Option<u16>,
    /// Pass over virtual servers: `keepalived -C` runs them beside
    #[arg(short = 'P', long)]
    pub(super) vrrp: bool,
    /// As `vipd check`, but the findings go to standard error or to FILE
    #[arg(short = 't', long, value_name = "FILE", hide = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub(super) config_test: Option<PathBuf>,
    /// Print the number of the signal that does this: STOP, RELOAD, DATA, STATS, STATS_CLEAR, JSON
    #[arg(long, value_name = "NAME", hide = true, value_parser = signal_number)]
    pub(super) signum: Option<i32>,
    /// What vipd does anyway, or has nothing to do it with
    #[arg(short = 'n', long = "dont-fork", hide = true, action = clap::ArgAction::Count)]
    #[arg(short_aliases = ['l', 'D', 'd', 'G', 'R', 'X', 'B', 'I', 'a'])]
    #[arg(aliases = [
        "log-console", "log-detail", "dump-conf", "no-syslog", "dont-respawn", "release-vips",
        "no_bfd", "dont-release-ipvs", "address-monitoring", "flush-log-file", "no-mem-check",
    ])]
    _without_effect: u8,
    /// Names for the syslog and for processes that vipd does not have
    #[arg(short = 'S', long = "log-facility", hide = true, value_name = "NAME")]
    #[arg(short_alias = 'b', aliases = ["bfd_pid", "checkers_pid"])]
    _without_effect_of: Vec<String>,
}

/// keepalived's names of signals.
fn signal_number(name: &str) -> Result<i32, String> {
    match name {
        "STOP" => Ok(libc::SIGTERM),
        "RELOAD" => Ok(libc::SIGHUP),
        "DATA" => Ok(libc::SIGUSR1),
        "STATS" => Ok(libc::SIGUSR2),
        "STATS_CLEAR" => Ok(libc::SIGRTMAX() - 1),
        "JSON" => Ok(libc::SIGRTMIN() + 2),
        _ => Err("STOP, RELOAD, DATA, STATS, STATS_CLEAR or JSON is possible".to_owned()),
    }
}

fn umask(text: &str) -> Result<u16, String> {
    let mask = parse_umask(text).and_then(|mask| u16::try_from(mask).ok());
    mask.filter(|mask| *mask <= 0o777).ok_or_else(|| "a umask is 0 to 0777, octal".to_owned())
}
