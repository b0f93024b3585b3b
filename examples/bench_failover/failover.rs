//! One fail-over of each kind in one pair: hurt the master, watch the successor, bring the master
//! back.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde::Serialize;
use vipd::lab::deadline::eventually;
use vipd::lab::ping::Pinger;
use vipd::lab::{Capture, Decoded, Lab, Node, Proc, Stamp, Vrrp};
use vipd::types::Mac;

use crate::figures::{GHOST_WATCH, HIGH, LOW, Pace, millis};
use crate::holding::{Holding, both};
use crate::host::{Host, Kind, LINK, Pair, Plan, Programs, SOON};
use crate::yardstick::Yardstick;

/// The address the client pings.
const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);

/// The two load balancers' own addresses.
const FIRST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3));

/// Their MAC addresses, which the lab gives out in order.
const FIRST_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const SECOND_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);

/// How a master fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scenario {
    /// The host dies: every process is killed and the switch port loses its carrier.
    Crash,
    /// Only the daemon dies; the kernel keeps the address and goes on answering.
    Kill,
    /// The daemon is frozen.
    Freeze,
    /// A planned stop.
    Stop,
    /// Taken out of service, later put back; only vipd can.
    Drain,
    /// Handed over to the successor for good, later started again; only vipd can.
    Handover,
    /// The cable is pulled, the daemon lives.
    Unplug,
}

impl Scenario {
    pub(crate) const ALL: &[Scenario] = &[
        Scenario::Crash,
        Scenario::Kill,
        Scenario::Freeze,
        Scenario::Stop,
        Scenario::Drain,
        Scenario::Handover,
        Scenario::Unplug,
    ];
    pub(crate) const QUICK: &[Scenario] = &[Scenario::Crash, Scenario::Stop];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Scenario::Crash => "host dies: SIGKILL, carrier cut",
            Scenario::Kill => "daemon dies: SIGKILL, carrier stays",
            Scenario::Freeze => "daemon frozen: SIGSTOP, later SIGCONT",
            Scenario::Stop => "planned stop: SIGTERM",
            Scenario::Drain => "vipd drain, later vipd resume",
            Scenario::Handover => "vipd handover, later a restart",
            Scenario::Unplug => "cable pulled, daemon alive",
        }
    }

    /// The operator hands over: no packet need be lost.
    pub(crate) fn is_planned(self) -> bool {
        matches!(self, Scenario::Stop | Scenario::Drain | Scenario::Handover)
    }

    fn is_possible(self, master: Kind) -> bool {
        master == Kind::Vipd || !matches!(self, Scenario::Drain | Scenario::Handover)
    }

    fn cuts_carrier(self) -> bool {
        matches!(self, Scenario::Crash | Scenario::Unplug)
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Scenario::Crash => "crash",
            Scenario::Kill => "kill",
            Scenario::Freeze => "freeze",
            Scenario::Stop => "stop",
            Scenario::Drain => "drain",
            Scenario::Handover => "handover",
            Scenario::Unplug => "unplug",
        })
    }
}

/// One fail-over and the way back. Times in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) pace: Pace,
    pub(crate) pair: Pair,
    pub(crate) scenario: Scenario,
    pub(crate) run: u8,
    /// From the master's advert before the fault to the fault, as planned.
    pub(crate) phase: f64,
    /// Longest time the client had no answer.
    pub(crate) outage: f64,
    /// Of its probes, those never answered.
    pub(crate) lost: usize,
    /// The successor's first advert, relative to the old master's last plus what the RFC has it
    /// wait; negative is early.
    pub(crate) late: f64,
    /// By how much a thread of this program that only sleeps was woken too late meanwhile: what the
    /// machine adds, whoever runs on it.
    pub(crate) machine_late: f64,
    /// Both hosts had the address and a carrier.
    pub(crate) both: f64,
    /// They still had when the watch ended and the master was brought back.
    pub(crate) both_lasts: bool,
    /// From the repair to the master's first advert.
    pub(crate) back: f64,
    /// Longest time the client had no answer on the way back.
    pub(crate) back_outage: f64,
    /// Of its probes, those never answered.
    pub(crate) back_lost: usize,
    /// Both hosts had the address, from the repair on.
    pub(crate) back_both: f64,
}

/// What came of one run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) samples: Vec<Sample>,
    /// Why there are not more of them.
    pub(crate) failure: Option<anyhow::Error>,
}

/// All scenarios once, in a network made for them.
pub(crate) fn run(
    programs: &Programs,
    yardstick: &Arc<Yardstick>,
    pace: Pace,
    pair: Pair,
    (run, runs): (u8, u8),
    scenarios: &[Scenario],
) -> Outcome {
    let mut samples = Vec::new();
    let phase = pace.interval() * (2 * u32::from(run) + 1) / (2 * u32::from(runs));
    let mut measure_all = || {
        let mut bench = Bench::build(programs, yardstick, pace, pair)?;
        for &scenario in scenarios.iter().filter(|s| s.is_possible(pair.0)) {
            let sample = bench.measure(scenario, phase);
            let sample = sample.with_context(|| format!("{scenario}\n{}", bench.logs()))?;
            samples.push(Sample { pair, run, ..sample });
        }
        Ok(())
    };
    let failure = measure_all().err();
    Outcome { samples, failure }
}

/// Two load balancers, a client and whatever watches them.
struct Bench {
    pace: Pace,
    pair: Pair,
    first: Host,
    second: Host,
    first_holding: Holding,
    second_holding: Holding,
    /// VRRP on the second host's link, sent and received: one clock for both sides' adverts.
    adverts: Capture,
    client: Pinger,
    yardstick: Arc<Yardstick>,
    /// Dropping the last handle of a host removes it.
    _client_node: Node,
    _lab: Lab,
}

impl Bench {
    /// Builds the network and waits until the first host is master and the client knows it.
    fn build(
        programs: &Programs,
        yardstick: &Arc<Yardstick>,
        pace: Pace,
        pair: Pair,
    ) -> Result<Bench> {
        let lab = Lab::new()?;
        let plan = |priority| Plan { pace, priority, instances: 1 };
        let host = |name, address, kind, priority| {
            Host::new(&lab, name, address, kind, plan(priority), programs, false)
        };
        let first = host("lb-01", "10.0.0.2/16", pair.0, HIGH)?;
        let second = host("lb-02", "10.0.0.3/16", pair.1, LOW)?;
        let client = lab.node("client")?;
        client.link(LINK, &["10.0.0.9/16"])?;
        let mut bench = Bench {
            pace,
            pair,
            first_holding: Holding::watch(&first.node, VIP)?,
            second_holding: Holding::watch(&second.node, VIP)?,
            adverts: capture_adverts(&second.node)?,
            client: Pinger::start_every(&client, VIP.into(), pace.probe_interval())?,
            yardstick: Arc::clone(yardstick),
            first,
            second,
            _client_node: client,
            _lab: lab,
        };
        let start = Stamp::now();
        bench.first.start()?;
        bench.second.start()?;
        bench.wait_until_first_is_master(start).with_context(|| bench.logs())?;
        Ok(bench)
    }

    fn measure(&mut self, scenario: Scenario, phase: Duration) -> Result<Sample> {
        thread::sleep(self.settling());
        let pids = self.first.pids()?;
        let advert = self.next_advert_of_first()?;
        thread::sleep((advert + phase).since(Stamp::now()));

        let fault = Stamp::now();
        let asked = self.hurt(scenario, &pids)?;
        let cut = Stamp::now();
        let takeover = self.wait_for_takeover(fault)?;
        let answered = Stamp::now();
        if scenario == Scenario::Stop {
            self.first.wait_for_end()?;
        }
        if let Some(command) = asked
            && !command.wait(SOON)?.success()
        {
            bail!("{}", command.output());
        }
        thread::sleep((takeover + self.pace.watch()).since(Stamp::now()));
        if scenario == Scenario::Kill {
            while self.both_hold() && Stamp::now() < takeover + GHOST_WATCH {
                thread::sleep(Duration::from_millis(10));
            }
        }

        let repair = Stamp::now();
        // Without a carrier the address is on a host nobody reaches.
        let reachable_until = if scenario.cuts_carrier() { cut } else { repair };
        let both_in = both(&self.first_holding, &self.second_holding, fault, reachable_until)?;
        let both_lasts = !scenario.cuts_carrier() && self.both_hold();
        let plugged = self.repair(scenario, &pids)?;
        let back = self.wait_until_first_is_master(repair)?;
        let settled = Stamp::now();
        thread::sleep(self.settling());

        let end = Stamp::now();
        let seen = self.client.record();
        let longest = |from, to| {
            let outage = seen.longest_outage_in(from, to);
            outage.map(|o| millis(o.length)).ok_or_else(|| anyhow!("the client has no answer"))
        };
        if self.adverts.lost() > 0 {
            bail!("the capture lost {} frames", self.adverts.lost());
        }
        Ok(Sample {
            pace: self.pace,
            pair: self.pair,
            scenario,
            run: 0,
            phase: millis(phase),
            outage: longest(fault, repair)?,
            lost: seen.lost_in(fault, repair),
            late: self.lateness(fault)?,
            machine_late: millis(self.yardstick.latest(fault, answered)),
            both: millis(both_in),
            both_lasts,
            back: millis(back.since(repair)),
            back_outage: longest(repair, end)?,
            back_lost: seen.lost_in(repair, settled),
            back_both: millis(both(&self.first_holding, &self.second_holding, plugged, end)?),
        })
    }

    /// Returns the command that waits for the end of it, if it is one.
    fn hurt(&self, scenario: Scenario, pids: &[Pid]) -> Result<Option<Proc>> {
        match scenario {
            Scenario::Crash => {
                self.kill_first(pids);
                self.first.node.unplug()?;
            }
            Scenario::Kill => self.kill_first(pids),
            Scenario::Freeze => self.first.signal_all(pids, Signal::SIGSTOP),
            Scenario::Stop => self.first.ask_to_stop()?,
            Scenario::Drain => return Ok(Some(self.first.command("drain")?)),
            Scenario::Handover => return Ok(Some(self.first.command("handover")?)),
            Scenario::Unplug => self.first.node.unplug()?,
        }
        Ok(None)
    }

    /// Kills all processes at one moment: a child of keepalived's that outlives its parent even
    /// briefly resigns, which a dying host does not.
    fn kill_first(&self, pids: &[Pid]) {
        self.first.signal_all(pids, Signal::SIGSTOP);
        self.first.signal_all(pids, Signal::SIGKILL);
    }

    /// Returns from when on the first host is reachable.
    fn repair(&mut self, scenario: Scenario, pids: &[Pid]) -> Result<Stamp> {
        match scenario {
            Scenario::Crash => {
                self.first.forget_addresses()?;
                self.first.node.plug()?;
                self.first.start()?;
            }
            Scenario::Kill | Scenario::Stop => self.first.start()?,
            Scenario::Freeze => self.first.signal_all(pids, Signal::SIGCONT),
            Scenario::Drain => drop(self.first.command("resume")?.wait(SOON)?),
            Scenario::Handover => {
                self.first.ask_to_stop()?;
                self.first.wait_for_end()?;
                self.first.start()?;
            }
            Scenario::Unplug => {
                let plugged = Stamp::now();
                self.first.node.plug()?;
                return Ok(plugged);
            }
        }
        Ok(Stamp::now())
    }

    fn both_hold(&self) -> bool {
        self.first_holding.now() && self.second_holding.now()
    }

    /// Time without change that makes a state a steady one.
    fn settling(&self) -> Duration {
        (self.pace.interval() * 5 / 4).max(Duration::from_millis(200))
    }

    fn next_advert_of_first(&self) -> Result<Stamp> {
        self.adverts.mark();
        let within = self.pace.interval() * 4 + SOON;
        let sent_by_first = |decoded| advert_of(FIRST, decoded);
        let (frame, _) =
            self.adverts.wait_for_decoded(within, "the master's advert", sent_by_first)?;
        Ok(frame.at)
    }

    /// Returns when the successor's first advert was sent; the client has found it by then.
    fn wait_for_takeover(&self, fault: Stamp) -> Result<Stamp> {
        let within = self.pace.master_down(LOW) + SOON;
        let advert = self.adverts.wait_for(within, "the successor's advert", |frame| {
            frame.at > fault && advert_of(SECOND, frame.decode()).is_some()
        })?;
        self.wait_for_answer(SECOND_MAC, fault)?;
        Ok(advert.at)
    }

    /// Returns when the first host's first advert after `since` arrived.
    fn wait_until_first_is_master(&self, since: Stamp) -> Result<Stamp> {
        let within = self.pace.master_down(HIGH) + SOON;
        let advert = self.adverts.wait_for(within, "the master's advert", |frame| {
            frame.at > since
                && advert_of(FIRST, frame.decode()).is_some_and(|advert| advert.priority != 0)
        })?;
        eventually(SOON, "only the first host to have the address", || {
            let held = (self.first_holding.now(), self.second_holding.now());
            if held == (true, false) { Ok(()) } else { Err(format!("{held:?}")) }
        })?;
        self.wait_for_answer(FIRST_MAC, advert.at)?;
        Ok(advert.at)
    }

    fn wait_for_answer(&self, from: Mac, since: Stamp) -> Result<()> {
        eventually(SOON, format!("the client to be answered by {from}"), || {
            match self.client.last() {
                Some(answer) if answer.sent > since && answer.from == from => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })?;
        Ok(())
    }

    /// By how much the successor's first advert missed the moment the RFC wants it, ms.
    fn lateness(&self, fault: Stamp) -> Result<f64> {
        let frames = self.adverts.frames();
        let first_of_successor = frames
            .iter()
            .find(|frame| frame.at > fault && advert_of(SECOND, frame.decode()).is_some())
            .context("the successor's advert is not in the capture")?;
        let last_of_master = frames
            .iter()
            .rev()
            .filter(|frame| frame.at < first_of_successor.at)
            .find_map(|frame| Some((frame.at, advert_of(FIRST, frame.decode())?)));
        let (last, advert) = last_of_master.context("the master's last advert is not there")?;
        let resigned = advert.priority == 0;
        let wait = if resigned { self.pace.skew(LOW) } else { self.pace.master_down(LOW) };
        Ok(millis(first_of_successor.at.since(last)) - millis(wait))
    }

    fn logs(&self) -> String {
        let (first, second) = (self.first.log(), self.second.log());
        format!("lb-01 ({}):\n{first}\nlb-02 ({}):\n{second}", self.pair.0, self.pair.1)
    }
}

fn capture_adverts(node: &Node) -> Result<Capture> {
    Ok(node.capture_only(LINK, |frame| matches!(frame.decode(), Decoded::Vrrp(_)))?)
}

fn advert_of(source: IpAddr, decoded: Decoded) -> Option<Vrrp> {
    match decoded {
        Decoded::Vrrp(vrrp) if vrrp.source == source => Some(vrrp),
        _ => None,
    }
}
