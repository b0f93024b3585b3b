//! `vipd drain`, `vipd resume`, `vipd handover`: ask, wait for the end of it, say what came of it.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::status::json;
use super::{complain, exit, no_router, print, run_dir, strange, unavailable};
use crate::api::client::{AskError, ask};
use crate::api::protocol::{Request, Response, Subject};
use crate::status::text::span;
use crate::status::{RouterStatus, Snapshot, State, Successor};
use crate::text::age;

/// Between two looks at the routers.
const PAUSE: Duration = Duration::from_millis(10);

/// A successor waits for its skew, at most one interval and for VRRPv2 at most one second, and is
/// then heard at once.
const AFTER_SKEW: Duration = Duration::from_secs(1);

/// What can be said to `vipd resume` and `vipd handover`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Virtual router; all of them if none is named
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Run directory of the daemon [default: /run/vipd]
    #[arg(long, value_name = "DIR", default_value_os_t = run_dir::of_daemon())]
    #[arg(hide_default_value = true)]
    run_dir: PathBuf,
}

/// What can be said to `vipd drain`.
#[derive(Debug, clap::Args)]
pub struct DrainArgs {
    #[command(flatten)]
    common: Args,
    /// Stay drained when the daemon is restarted; a reboot of the machine ends it
    #[arg(long)]
    sticky: bool,
    /// Stay drained even if nobody takes over: the addresses are nowhere then
    #[arg(long)]
    force: bool,
    /// Only say who would serve
    #[arg(short = 'n', long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Drain { sticky: bool },
    Resume,
    Handover,
}

/// What became of one router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Outcome {
    router: String,
    before: State,
    state: State,
    /// Who serves now; `None` if nobody was heard.
    master: Option<IpAddr>,
    master_is_self: bool,
    drained: bool,
    /// From the request to the end of the hand-over.
    took_ms: Option<u64>,
    /// What was asked for is the case, and somebody serves.
    ok: bool,
    message: String,
}

pub(super) fn drain(args: &DrainArgs) -> u8 {
    let DrainArgs { common, sticky, force, dry_run } = args;
    if *dry_run {
        return plan(common, *force);
    }
    let (router, sticky, force) = (common.name.clone(), *sticky, *force);
    operate(common, Verb::Drain { sticky }, &Request::Drain { router, sticky, force })
}

pub(super) fn resume(args: &Args) -> u8 {
    let request = Request::Resume { router: args.name.clone() };
    operate(args, Verb::Resume, &request)
}

pub(super) fn handover(args: &Args) -> u8 {
    let request = Request::Handover { router: args.name.clone() };
    operate(args, Verb::Handover, &request)
}

fn operate(args: &Args, verb: Verb, request: &Request) -> u8 {
    let asked = Instant::now();
    let subjects = match ask(&args.run_dir, request) {
        Ok(Response::Accepted(subjects)) if subjects.is_empty() => return no_router("", &[]),
        Ok(Response::Accepted(subjects)) => subjects,
        Ok(Response::Unknown { router, routers }) => return no_router(&router, &routers),
        Ok(Response::NotKept(why)) => {
            complain(&why);
            return exit::IO_ERR;
        }
        Ok(other) => return strange(&other),
        Err(error) => return unavailable(&error),
    };
    let outcomes = match wait(&args.run_dir, verb, &subjects, asked) {
        Ok(outcomes) => outcomes,
        Err(error) => return unavailable(&error),
    };
    report(args, &outcomes)
}

fn report(args: &Args, outcomes: &[Outcome]) -> u8 {
    let text = if args.json {
        json(&outcomes).unwrap_or_default()
    } else {
        outcomes.iter().fold(String::new(), |mut text, outcome| {
            let _ = writeln!(text, "{}: {}", outcome.router, outcome.message);
            text
        })
    };
    match print(&text) {
        exit::OK if outcomes.iter().any(|outcome| !outcome.ok) => exit::WARNINGS,
        status => status,
    }
}

/// Who would serve if it were drained, and everything that is drained with it.
fn plan(args: &Args, force: bool) -> u8 {
    let snapshot = match ask(&args.run_dir, &Request::Status) {
        Ok(Response::Status(snapshot)) => snapshot,
        Ok(other) => return strange(&other),
        Err(error) => return unavailable(&error),
    };
    let named = |router: &&RouterStatus| args.name.as_ref().is_none_or(|name| *name == router.name);
    let groups: Vec<&String> =
        snapshot.routers.iter().filter(named).filter_map(|router| router.group.as_ref()).collect();
    let in_step =
        |router: &RouterStatus| router.group.as_ref().is_some_and(|g| groups.contains(&g));
    if !snapshot.routers.iter().any(|router| named(&router)) {
        let names: Vec<String> = snapshot.routers.iter().map(|r| r.name.clone()).collect();
        return no_router(args.name.as_deref().unwrap_or_default(), &names);
    }
    let concerned = snapshot.routers.iter().filter(|r| named(r) || in_step(r));
    let outcomes: Vec<Outcome> = concerned.map(|router| planned(router, force)).collect();
    report(args, &outcomes)
}

fn planned(router: &RouterStatus, force: bool) -> Outcome {
    let serves = matches!(router.state, State::Master | State::Leaving);
    let failover = router.failover.as_ref().filter(|_| serves);
    let successor = failover.and_then(|failover| failover.successor);
    let master = router.master.as_ref().filter(|master| !master.is_self && master.priority > 0);
    let message = match (serves, failover, successor, master) {
        _ if router.drained => "is DRAINED already".to_owned(),
        (true, Some(failover), Some(Successor { address, priority, last_heard_ms, .. }), _) => {
            format!(
                "{address} would serve after {}, if it is alive: it was last heard {} ago, with priority \
             {priority}",
                span(failover.on_resign),
                age(last_heard_ms.unwrap_or_default())
            )
        }
        (true, ..) if force => "no other node was heard: perhaps nobody would serve".to_owned(),
        (true, ..) => {
            "no other node was heard: if nobody takes over, it is not drained and serves \
                       on (--force drains it all the same)"
                .to_owned()
        }
        (false, _, _, Some(master)) => format!("is {}; {} serves", router.state, master.address),
        (false, ..) => format!("is {}; no master is heard", router.state),
    };
    Outcome {
        router: router.name.clone(),
        before: router.state,
        state: router.state,
        master: successor.map(|s| s.address).or(master.map(|master| master.address)),
        master_is_self: false,
        drained: router.drained,
        took_ms: None,
        ok: !serves || router.drained || successor.is_some(),
        message,
    }
}

/// Looks until every router has arrived or has had its time.
fn wait(
    run_dir: &Path,
    verb: Verb,
    subjects: &[Subject],
    asked: Instant,
) -> Result<Vec<Outcome>, AskError> {
    loop {
        let snapshot = match ask(run_dir, &Request::Status)? {
            Response::Status(snapshot) => snapshot,
            _ => return Err(AskError::Refusal("no status".to_owned())),
        };
        let elapsed = asked.elapsed();
        let over = elapsed >= patience(&snapshot, subjects);
        let outcomes: Option<Vec<Outcome>> = subjects
            .iter()
            .filter_map(|subject| {
                let router = snapshot.routers.iter().find(|router| router.name == subject.name)?;
                Some(outcome(verb, subject, router, elapsed, over))
            })
            .collect();
        if let Some(outcomes) = outcomes {
            return Ok(outcomes);
        }
        thread::sleep(PAUSE);
    }
}

fn patience(snapshot: &Snapshot, subjects: &[Subject]) -> Duration {
    let concerned = |r: &&RouterStatus| subjects.iter().any(|subject| subject.name == r.name);
    let interval = snapshot.routers.iter().filter(concerned).map(|router| router.interval_ms).max();
    Duration::from_millis(interval.unwrap_or_default().max(1000)) + AFTER_SKEW
}

/// What became of a router, or `None` if it is still on its way and there is time.
fn outcome(
    verb: Verb,
    subject: &Subject,
    router: &RouterStatus,
    elapsed: Duration,
    over: bool,
) -> Option<Outcome> {
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    // A claim from before the request says nothing about who serves after it.
    let heard = router.master.as_ref().filter(|master| {
        master.is_self
            || (master.priority > 0 && master.last_advert_ms.is_some_and(|ms| ms <= elapsed_ms))
    });
    let served = subject.state == State::Master || subject.state == State::Leaving;
    let gives = verb != Verb::Resume && served;
    // A router that was resumed has forgotten whom it heard before.
    let listens = verb == Verb::Resume && router.state == State::Backup;
    let on_its_way = router.state == State::Leaving
        || (gives && heard.is_none())
        // Whoever serves instead is worth a moment's waiting, but not all of it.
        || (!gives && heard.is_none() && (router.master.is_some() || listens));
    if on_its_way && !over {
        return None;
    }
    let took_ms = gives.then(|| elapsed_ms.saturating_sub(router.state_age_ms));
    let others = heard.filter(|master| !master.is_self);
    let message = message(verb, subject, router, others.map(|m| (m.address, m.priority)), took_ms);
    let ok = match verb {
        Verb::Drain { .. } => router.drained && (!gives || others.is_some()),
        Verb::Resume => !router.drained,
        Verb::Handover => gives && others.is_some(),
    };
    Some(Outcome {
        router: router.name.clone(),
        before: subject.state,
        state: router.state,
        master: heard.map(|master| master.address),
        master_is_self: heard.is_some_and(|master| master.is_self),
        drained: router.drained,
        took_ms,
        ok,
        message,
    })
}

fn message(
    verb: Verb,
    subject: &Subject,
    router: &RouterStatus,
    other: Option<(IpAddr, u8)>,
    took_ms: Option<u64>,
) -> String {
    let master = match other {
        Some((address, priority)) => format!("{address} (priority {priority}) is master"),
        None if router.state == State::Master => "this node is master".to_owned(),
        None => nobody(router),
    };
    match (verb, took_ms, other) {
        (Verb::Resume, ..) if !subject.drained => format!("was not drained; {master}"),
        (Verb::Resume, ..) => format!("takes part again as {}; {master}", router.state),
        (Verb::Drain { sticky }, Some(took), Some((address, priority))) => format!(
            "handed over to {address} (priority {priority}) in {took} ms; {}",
            drained(sticky || router.drained_sticky)
        ),
        (Verb::Drain { .. }, Some(_), None) if !router.drained => format!(
            "NOBODY took over: it is not drained, this node is {} again; `vipd drain --force` drains \
             it all the same",
            router.state
        ),
        (Verb::Drain { sticky }, Some(_), None) => format!(
            "NOBODY took over, its addresses are nowhere; {}",
            drained(sticky || router.drained_sticky)
        ),
        (Verb::Drain { sticky }, None, _) => format!(
            "was {}; {master}; {}",
            if subject.drained { "DRAINED already".to_owned() } else { subject.state.to_string() },
            drained(sticky || router.drained_sticky)
        ),
        (Verb::Handover, Some(took), Some((address, priority))) => {
            format!("handed over to {address} (priority {priority}) in {took} ms")
        }
        (Verb::Handover, Some(_), None) if router.state == State::Master => {
            "NOBODY took over; this node serves on".to_owned()
        }
        (Verb::Handover, Some(_), None) => {
            format!("NOBODY took over; this node is {}", router.state)
        }
        (Verb::Handover, None, _) => {
            format!("nothing to hand over, it is {}; {master}", router.state)
        }
    }
}

/// No master was heard since the request.
fn nobody(router: &RouterStatus) -> String {
    match router.next_deadline_ms.filter(|_| router.state == State::Backup) {
        Some(left) => format!(
            "no master has been heard since; this node serves in {}.{} s unless one is",
            left / 1000,
            left % 1000 / 100
        ),
        None => "no master is heard".to_owned(),
    }
}

fn drained(sticky: bool) -> &'static str {
    if sticky {
        "DRAINED until `vipd resume` or a reboot"
    } else {
        "DRAINED until `vipd resume` or a restart"
    }
}
