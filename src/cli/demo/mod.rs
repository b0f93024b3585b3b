//! `vipd demo`: two load balancers fail over before the user's eyes, in namespaces of this process.

mod acts;
mod database;
mod keep;
mod screen;
mod stage;
mod timeline;

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::unistd::geteuid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use self::acts::{Outcome, Show, ms};
use self::screen::Screen;
use self::stage::Stage;
use super::{complain, exit};
use crate::lab::{self, Lab};

/// The virtual address.
const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 10);

/// What can be said to `vipd demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Afterwards open a shell in which to break things yourself
    #[arg(long)]
    keep: bool,
}

/// The long text of `vipd demo --help`.
pub(super) const ABOUT: &str = "\
Watch two load balancers fail over, and what their client notices

Makes two hosts and a client out of network namespaces, runs this vipd on both hosts with an \
everyday keepalived.conf, pings the virtual address every 2 ms and then kills, revives and stops \
the master. Behind them stands something that looks like a database run by Patroni: its primary \
dies, and clients with rows to write wait for the next. It shows who is master when, measures every \
outage, and takes about 25 seconds. \
Nothing outside these namespaces is touched, and nothing is left behind.

Needs root, or a system on which users may make user namespaces. The exit status is 0 only if \
every failover happened in the time VRRP gives it.";

pub(super) fn run(args: &Args) -> u8 {
    let privileged = geteuid().is_root();
    // Before any thread is started: a process with threads cannot change its user namespace.
    let outcome = Lab::enter_user_namespace_if_needed()
        .map_err(End::from)
        .and_then(|()| Signals::catch())
        .and_then(|signals| perform(args, &signals, privileged));
    match outcome {
        Ok(()) => exit::OK,
        Err(end) => end.report(),
    }
}

/// Why the demo ended before its end.
#[derive(Debug)]
enum End {
    /// By this signal.
    Signal(i32),
    /// Standard output is gone.
    Output(io::Error),
    Lab(lab::Error),
    /// An act did not go as it must.
    Failed(String),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> End {
        End::Output(error)
    }
}

impl From<lab::Error> for End {
    fn from(error: lab::Error) -> End {
        End::Lab(error)
    }
}

impl End {
    fn report(&self) -> u8 {
        match self {
            End::Signal(signal) => {
                complain("demo interrupted; everything it made is removed");
                u8::try_from(128 + signal).unwrap_or(exit::SOFTWARE)
            }
            End::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => exit::IO_ERR,
            End::Output(error) => {
                complain(&format!("cannot write to standard output: {error}"));
                exit::IO_ERR
            }
            End::Lab(error) => {
                complain(&format!("demo: {error}"));
                match error {
                    lab::Error::Forbidden { .. } => exit::NO_PERM,
                    lab::Error::Kernel { .. } => exit::OS_ERR,
                    _ => exit::SOFTWARE,
                }
            }
            End::Failed(what) => {
                complain(&format!("demo failed: {what}"));
                exit::SOFTWARE
            }
        }
    }
}

/// Signals that end the demo, noted instead of obeyed so that everything is removed first.
#[derive(Clone, Debug)]
struct Signals(Arc<AtomicUsize>);

impl Signals {
    fn catch() -> Result<Signals, End> {
        let caught = Arc::new(AtomicUsize::new(0));
        for (signal, number) in [(SIGINT, 2), (SIGTERM, 15), (SIGHUP, 1)] {
            signal_hook::flag::register_usize(signal, Arc::clone(&caught), number).map_err(
                |source| lab::Error::Kernel {
                    place: "demo".into(),
                    what: "install signal handlers".into(),
                    source,
                },
            )?;
        }
        Ok(Signals(caught))
    }

    fn caught(&self) -> Option<i32> {
        i32::try_from(self.0.load(Ordering::Relaxed)).ok().filter(|signal| *signal != 0)
    }

    fn check(&self) -> Result<(), End> {
        self.caught().map_or(Ok(()), |signal| Err(End::Signal(signal)))
    }

    fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

fn perform(args: &Args, signals: &Signals, privileged: bool) -> Result<(), End> {
    let mut screen = Screen::of_this_process();
    let stage = Stage::build(binary()?)?;
    introduce(&stage, &mut screen, privileged)?;

    let mut show = Show::new(stage, &mut screen, signals);
    let played = acts(&mut show, args.keep);
    if matches!(played, Err(End::Failed(_) | End::Lab(_))) {
        last_words(&mut show)?;
    }
    let Show { mut stage, .. } = show;
    played?;
    if args.keep {
        keep::keep(&mut stage, &mut screen, signals, privileged)?;
    }
    drop(stage);
    screen.say("\nEverything the demo made is gone again: hosts, processes and files.")?;
    Ok(())
}

fn acts(show: &mut Show<'_>, keep: bool) -> Result<(), End> {
    let mut outcomes = vec![show.election()?, show.crash()?, show.failback()?];
    for balancer in &show.stage.balancers {
        show.screen.heading(&format!("{}# vipd status", balancer.node.name()))?;
        let status = balancer.status(&show.stage.binary)?;
        show.screen.quote(&status)?;
    }
    outcomes.push(show.stop()?);
    let writers = show.primary_dies()?;
    summarise(&outcomes, &writers, show.screen, keep)?;
    if keep { show.reset() } else { Ok(()) }
}

fn introduce(stage: &Stage, screen: &mut Screen, privileged: bool) -> io::Result<()> {
    let [first, second] = &stage.balancers;
    let [one, two, client] = stage.names();
    screen.say(&format!(
        "Two load balancers, {one} ({}) and {two} ({}), share the virtual\n\
         address {VIP}. A {client} pings it every 2 ms. Both run vipd with a\n\
         haproxy.cfg, which act 5 shows, and this keepalived.conf; {two} has\n\
         \"state BACKUP\" and \"priority {}\".\n",
        first.address, second.address, second.priority
    ))?;
    for line in first.keepalived_conf().lines() {
        screen.say(&format!("    {line}"))?;
    }
    if !privileged {
        screen.say(
            "\nNot root, so all of this is in a user namespace of its own. Larger socket\n\
             buffers are denied there; the demo does without.",
        )?;
    }
    match screen.style() {
        Some(style) => screen.say(&format!("\n{}", style.legend())),
        None => Ok(()),
    }
}

fn summarise(
    outcomes: &[Outcome],
    writers: &str,
    screen: &mut Screen,
    keep: bool,
) -> io::Result<()> {
    screen.heading("What the client noticed")?;
    screen.remark(&format!(
        "     {:<20}{:<13}{:>8}{:>13}   {}",
        "", "now master", "outage", "pings lost", "VRRP waits"
    ))?;
    for (number, outcome) in (1..).zip(outcomes) {
        let Outcome { title, holder, outage, lost, waits } = outcome;
        let outage = if *lost == Some(0) { "none".into() } else { ms(*outage) };
        let lost = lost.map_or_else(|| "-".into(), |lost| lost.to_string());
        screen
            .say(&format!("  {number}. {title:<20}{holder:<13}{outage:>8}{lost:>13}   {waits}"))?;
    }
    screen.say(&format!("  5. {writers}"))?;
    if keep {
        return Ok(());
    }
    screen.say(
        "\nNext, look at the file you have. This runs nothing:\n\
         \n    vipd check /etc/keepalived/keepalived.conf\n\
         \nTo break things yourself: vipd demo --keep. All else is in README.md.",
    )
}

/// What the daemons said, for a failure that nobody can explain from outside.
fn last_words(show: &mut Show<'_>) -> io::Result<()> {
    for balancer in &show.stage.balancers {
        show.screen.heading(&format!("The last lines {} logged:", balancer.node.name()))?;
        show.screen.quote(&balancer.last_words())?;
    }
    Ok(())
}

fn binary() -> Result<PathBuf, End> {
    Ok(std::env::current_exe().map_err(|source| lab::Error::Kernel {
        place: "demo".into(),
        what: "find its own program file".into(),
        source,
    })?)
}
