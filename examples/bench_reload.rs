//! `make bench-reload`: 250 virtual routers, one of which is changed by a reload, again and again; and
//! a status that is asked for again and again while others send to all of them.
//!
//! The others must not notice. How late are their adverts while the master reloads, beside how late
//! they are when it does not, and how long is the thread that sends them busy with a reload? Nothing
//! here asserts a time: the figures are for a human.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use vipd::config::Config;
use vipd::config::sources::{ReadError, Sources, Text};
use vipd::engine::Engine;
use vipd::io::Datagram as Heard;
use vipd::io::{Action, Applied, Input, KernelView, Link, LinkAddress, OpId};
use vipd::lab::deadline::eventually;
use vipd::lab::raw::{Datagram, checksum};
use vipd::lab::{Capture, Decoded, Lab, Stamp, Vipd};
use vipd::load::load;
use vipd::status::State;
use vipd::sys::frames::FrameSocket;
use vipd::types::{IfIndex, Mac, Now};

const ROUTERS: u8 = 250;
const INTERVAL: Duration = Duration::from_millis(100);
/// The one that is changed.
const CHANGED: u8 = 7;
/// Adverts before each reload, and after it, per router.
const INTERVALS: u32 = 5;
const RELOADS: u8 = 20;
/// Nodes that send for every router.
const STRANGERS: u8 = 32;
const STATUSES: u32 = 100;
const SOON: Duration = Duration::from_secs(20);
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-reload: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<()> {
    Lab::enter_user_namespace_if_needed()?;
    println!("{ROUTERS} virtual routers, one advert per {} ms each", INTERVAL.as_millis());
    let one = engine(|round, n| if n == CHANGED { 200 + round } else { 200 })?;
    let all = engine(|round, _| 200 + round)?;
    println!("\nthe engine's part of a reload, microseconds   median    worst");
    for (what, times) in [("one router changed", one), ("all routers changed", all)] {
        println!("  {what:<44}{:>8}{:>9}", median(&times).as_micros(), worst(&times).as_micros());
    }
    let [quiet, hostile] = status()?;
    println!("\ntaking a status, microseconds                  median    worst");
    for (what, times) in [("nobody else on the segment", quiet), ("hostile senders", hostile)] {
        println!("  {what:<44}{:>8}{:>9}", median(&times).as_micros(), worst(&times).as_micros());
    }
    let (quiet, reloading, asking) = lab()?;
    println!("\nadverts of the other routers, ms late         median    worst   adverts");
    for (what, late) in [
        ("no reload", quiet),
        ("reload of one router", reloading),
        ("status, and hostile senders", asking),
    ] {
        let ms = |at: Duration| at.as_secs_f64() * 1e3;
        let count = late.len();
        println!("  {what:<44}{:>8.2}{:>9.2}{count:>10}", ms(median(&late)), ms(worst(&late)));
    }
    Ok(())
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn worst(times: &[Duration]) -> Duration {
    times.iter().max().copied().unwrap_or_default()
}

fn text(priority: impl Fn(u8) -> u8) -> String {
    let ms = INTERVAL.as_millis();
    let table = |n| {
        let priority = priority(n);
        format!(
            "[vrrp.r{n}]\ninterface = \"eth0\"\nvrid = {n}\npriority = {priority}\nversion = 3\n\
             interval = \"{ms}ms\"\naddresses = [\"10.0.1.{n}/32\"]\n"
        )
    };
    (1..=ROUTERS).map(table).collect()
}

struct OneText(String);

impl Sources for OneText {
    fn read(&self, _: &Path) -> Result<Text, ReadError> {
        Ok(Text { text: self.0.clone(), ..Text::default() })
    }

    fn glob(&self, _: &Path, _: &str) -> Vec<PathBuf> {
        Vec::new()
    }

    fn host_name(&self) -> Option<String> {
        None
    }
}

fn config(text: String) -> Result<Arc<Config>> {
    let loaded = load(&OneText(text), &[PathBuf::from("vipd.toml")], None)?;
    Ok(Arc::new(loaded.config))
}

/// How long an engine takes for each of some reloads, all its routers being masters.
fn engine(priority: impl Fn(u8, u8) -> u8) -> Result<Vec<Duration>> {
    let (mut engine, now) = masters(&text(|n| priority(0, n)))?;
    (1..=RELOADS)
        .map(|round| {
            let config = config(text(|n| priority(round, n)))?;
            let began = Instant::now();
            engine.handle(now, Input::Reload(config));
            let took = began.elapsed();
            ensure!(perform(&mut engine, now) > 0, "the reload changed nothing");
            Ok(took)
        })
        .collect()
}

/// How long it takes to take a status: of the routers and of fifty listeners, before and after others
/// have sent.
fn status() -> Result<[Vec<Duration>; 2]> {
    let cluster =
        "[cluster.pg]\nmembers = [\"10.0.2.1\", \"10.0.2.2\", \"10.0.2.3\"]\n[listener]\n";
    let listener =
        |n| format!("l{n} = {{ bind = \"127.0.0.1:{}\", role = \"reader\" }}\n", 5000 + n);
    let listeners: String = (0..50).map(listener).collect();
    let (mut engine, now) = masters(&(text(|_| 200) + cluster + &listeners))?;
    let take = |engine: &Engine| {
        let took = |_| {
            let began = Instant::now();
            let view = engine.view(now);
            let took = began.elapsed();
            drop(view.snapshot());
            took
        };
        (0..STATUSES).map(took).collect::<Vec<_>>()
    };
    let quiet = take(&engine);
    for packet in hostile(255)? {
        let bytes = packet.packet()?;
        let datagram = Heard::V4(&bytes);
        engine.handle(now, Input::Packet { iface: IfIndex(2), datagram });
        perform(&mut engine, now);
    }
    let bytes = serde_json::to_string_pretty(&engine.snapshot(now))?.len();
    println!("\nJSON of a status with {STRANGERS} hostile senders: {} kB", bytes / 1000);
    Ok([quiet, take(&engine)])
}

/// Adverts of strangers for every router, with as many addresses as fit.
fn hostile(ttl: u8) -> Result<Vec<Datagram>> {
    let mut packets = Vec::new();
    for sender in 1..=STRANGERS {
        for vrid in 1..=ROUTERS {
            let mut message = vec![0x31, vrid, 50, 255, 0, 10, 0, 0];
            message.extend((0..255).flat_map(|n| [203, 0, 113, n]));
            let sum = checksum(&message).to_be_bytes();
            message.splice(6..8, sum);
            let source = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100 + sender));
            let datagram = Datagram::vrrp(source, "224.0.0.18".parse()?, message);
            packets.push(Datagram { ttl, ..datagram });
        }
    }
    Ok(packets)
}

/// An engine whose routers are all masters.
fn masters(text: &str) -> Result<(Engine, Now)> {
    let eth0 = Link {
        index: IfIndex(2),
        name: "eth0".parse()?,
        running: true,
        up: true,
        mac: Some(Mac([2, 0, 0, 0, 0, 1])),
        mtu: 1500,
        noarp: false,
        loopback: false,
    };
    let own = LinkAddress {
        cidr: format!("{OWN}/16").parse()?,
        usable: true,
        secondary: false,
        ours: false,
        renewed: None,
    };
    let mut now = Now::ZERO;
    let host = KernelView { links: vec![(eth0, vec![own])], uptime: Duration::from_secs(600) };
    let mut engine = Engine::new(config(text.to_owned())?, host, now);
    perform(&mut engine, now);
    while engine.snapshot(now).routers.iter().any(|router| router.state != State::Master) {
        now = engine.poll_deadline().context("no deadline")?;
        engine.handle(now, Input::Tick);
        perform(&mut engine, now);
    }
    Ok((engine, now))
}

/// Does at once what the engine wants; returns how much that was.
fn perform(engine: &mut Engine, now: Now) -> usize {
    let mut count = 0;
    let mut ops: Vec<OpId> = Vec::new();
    loop {
        while let Some(action) = engine.poll_action() {
            count += 1;
            if let Action::Address { op, .. } | Action::Socket { op, .. } = action {
                ops.push(op);
            }
        }
        let Some(op) = ops.pop() else { return count };
        engine.handle(now, Input::Done { op, result: Ok(Applied::Changed) });
    }
}

/// How late the adverts of a real daemon are: at rest, after each of some reloads, and while its status
/// is asked for and others send.
fn lab() -> Result<(Vec<Duration>, Vec<Duration>, Vec<Duration>)> {
    let lab = Lab::new()?;
    let node = lab.node("lb-01")?;
    node.link("eth0", &[&format!("{OWN}/16")])?;
    let binary = std::env::current_exe()?.with_file_name("../vipd").canonicalize()?;
    let vipd = Vipd::start(&node, &binary, "vipd.toml", &text(|_| 200))?;
    eventually(SOON, "every router to become master", || {
        let status = vipd.status().map_err(|error| error.to_string())?;
        let all = status["routers"].as_array().into_iter().flatten();
        let masters = all.filter(|router| router["state"] == "master").count();
        if masters == usize::from(ROUTERS) { Ok(()) } else { Err(format!("{masters}")) }
    })?;
    // The second round of announcements is five seconds after the first.
    thread::sleep(Duration::from_secs(6));
    let wire = lab.capture_port(&node, "eth0")?;
    let (mut quiet, mut reloading) = (Vec::new(), Vec::new());
    for round in 1..=RELOADS {
        wire.mark();
        thread::sleep(INTERVAL * INTERVALS);
        let reloaded = Stamp::now();
        vipd.reload(&text(|n| if n == CHANGED { 200 + round } else { 200 }))?;
        thread::sleep(INTERVAL * INTERVALS);
        late(&wire, reloaded, &mut quiet, &mut reloading)?;
    }
    ensure!(wire.lost() == 0, "the capture lost {} frames", wire.lost());
    let reloads = vipd.status()?["daemon"]["reloads"].as_u64();
    ensure!(reloads == Some(RELOADS.into()), "only {reloads:?} reloads\n{}", vipd.log());
    let other = lab.node("other")?;
    other.link("eth0", &["10.0.0.3/16"])?;
    let link = other.link_status("eth0")?.context("no link")?;
    let open = move || FrameSocket::on_interface(link.index);
    let socket = other.inside("open a packet socket", open)?;
    // Another TTL: each is refused, none is answered, and the schedule stays what it is.
    let frames = hostile(254)?.into_iter().map(|packet| packet.frame(link.mac, None));
    let frames = frames.collect::<Result<Vec<_>, _>>()?;
    let over = AtomicBool::new(false);
    let mut asking = Vec::new();
    thread::scope(|scope| -> Result<()> {
        let sending = scope.spawn(|| -> Result<()> {
            for frames in frames.chunks(8).cycle() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                for frame in frames {
                    socket.send(frame)?;
                }
                thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        });
        // Every sender has sent to every router by then.
        thread::sleep(Duration::from_secs(3));
        let mut measure = || -> Result<()> {
            for _ in 0..RELOADS {
                wire.mark();
                let began = Stamp::now();
                for _ in 0..10 {
                    vipd.status()?;
                    thread::sleep(INTERVAL);
                }
                late(&wire, began, &mut Vec::new(), &mut asking)?;
            }
            Ok(())
        };
        let measured = measure();
        over.store(true, Ordering::Relaxed);
        sending.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        measured
    })?;
    Ok((quiet, reloading, asking))
}

/// How late each advert was since the mark: against the schedule of its router, which keeps its
/// phase, and on which the most punctual advert is taken to be.
fn late(
    wire: &Capture,
    reloaded: Stamp,
    quiet: &mut Vec<Duration>,
    reloading: &mut Vec<Duration>,
) -> Result<()> {
    let mut times: BTreeMap<u8, Vec<Stamp>> = BTreeMap::new();
    for frame in wire.new_frames() {
        if let Decoded::Vrrp(advert) = frame.decode()
            && advert.source == IpAddr::V4(OWN)
        {
            times.entry(advert.vrid).or_default().push(frame.at);
        }
    }
    for (vrid, times) in times.iter().filter(|(vrid, _)| **vrid != CHANGED) {
        let Some(&first) = times.first() else { continue };
        let due = |n: u32| (INTERVAL * n).as_secs_f64();
        let offsets: Vec<f64> =
            (0..).zip(times).map(|(n, at)| at.since(first).as_secs_f64() - due(n)).collect();
        let punctual = offsets.iter().copied().fold(f64::INFINITY, f64::min);
        if offsets.iter().any(|offset| offset - punctual > INTERVAL.as_secs_f64() / 2.0) {
            bail!("virtual router {vrid} missed an advert");
        }
        for (offset, at) in offsets.iter().zip(times) {
            let part = if *at < reloaded { &mut *quiet } else { &mut *reloading };
            part.push(Duration::from_secs_f64((offset - punctual).max(0.0)));
        }
    }
    Ok(())
}
