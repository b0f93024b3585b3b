//! Any sequence of inputs whatever: no panic, and the contract of `io` holds. The bench checks
//! after every input that operation ids are fresh, that nothing is announced before the kernel has it
//! and nothing is sent where no socket is open; every deadline lies after the tick that was drained.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use vipd::config::{Cast, Preempt, RouterConfig, Strict};
use vipd::io::{Datagram, Input};
use vipd::types::{Dialect, IfIndex};

use super::bench::{Answers, Bench};
use super::setup::*;

#[derive(Clone, Debug)]
enum Step {
    Run(u32),
    RunToDeadline,
    Stall(u32),
    Tick,
    Hear { source: u8, priority: u8, cs: u16, dialect: Dialect, flip: Option<(u8, u8)>, ttl: u8 },
    Bytes(Vec<u8>),
    Message { hop_limit: Option<u8>, bytes: Vec<u8> },
    Answer,
    Refuse,
    OnDemand(bool),
    Track { delta: i32, failed: bool },
    LinkRunning { eth1: bool, running: bool },
    Steal { nth: usize },
    SourceGone,
    SourceBack,
    Rename(bool),
    Replace,
    Suspend(u32),
    Reload(usize),
    Shutdown,
}

fn dialects() -> impl Strategy<Value = Dialect> {
    prop::sample::select(vec![V2, V2_PASS, V3, V3_MESSAGE, V3_IPV6])
}

fn hearing() -> impl Strategy<Value = Step> {
    let flip = prop::option::weighted(0.2, (0..40_u8, 1..=255_u8));
    let ttl = prop_oneof![9 => Just(255_u8), 1 => any::<u8>()];
    let value = prop_oneof![any::<u8>(), prop::sample::select(vec![0_u8, 99, 100, 101, 255])];
    (prop::sample::select(vec![9_u8, 101, 200, 251]), value, 1..400_u16, dialects(), flip, ttl)
        .prop_map(|(source, priority, cs, dialect, flip, ttl)| {
            let cs = if dialect.version() == 2 { 100 } else { cs };
            Step::Hear { source, priority, cs, dialect, flip, ttl }
        })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..5_000_u32).prop_map(Step::Run),
        6 => Just(Step::RunToDeadline),
        2 => (0..20_000_u32).prop_map(Step::Stall),
        3 => Just(Step::Tick),
        12 => hearing(),
        1 => vec(any::<u8>(), 0..80).prop_map(Step::Bytes),
        1 => (any::<Option<u8>>(), vec(any::<u8>(), 0..80))
            .prop_map(|(hop_limit, bytes)| Step::Message { hop_limit, bytes }),
        4 => Just(Step::Answer),
        2 => Just(Step::Refuse),
        2 => any::<bool>().prop_map(Step::OnDemand),
        2 => (-300..300_i32, prop::bool::weighted(0.2))
            .prop_map(|(delta, failed)| Step::Track { delta, failed }),
        2 => (any::<bool>(), any::<bool>())
            .prop_map(|(eth1, running)| Step::LinkRunning { eth1, running }),
        3 => (0..4_usize).prop_map(|nth| Step::Steal { nth }),
        1 => Just(Step::SourceGone),
        1 => Just(Step::SourceBack),
        1 => any::<bool>().prop_map(Step::Rename),
        1 => Just(Step::Replace),
        1 => (0..10_000_u32).prop_map(Step::Suspend),
        2 => (0..CONFIGS).prop_map(Step::Reload),
        1 => prop::bool::weighted(0.05).prop_map(|stop| if stop { Step::Shutdown } else { Step::Tick }),
    ];
    vec(step, 1..120)
}

const CONFIGS: usize = 9;

fn routers(nth: usize) -> Vec<RouterConfig> {
    let both = || vec![vip(VIP), vip_on("198.51.100.7", Some("eth1"))];
    match nth {
        0 => vec![with_priority(100)],
        1 => vec![router(|r| r.addresses = both())],
        2 => vec![with_priority(255), router_v6(|r| r.name = "VI_6".to_owned())],
        3 => vec![router(|r| {
            r.dialect = V2_PASS;
            r.preempt = Preempt::Never;
        })],
        4 => vec![router(|r| {
            r.preempt = Preempt::After(Duration::from_secs(3));
            r.announce.refresh = Duration::from_secs(2);
            r.announce.garp_interval = Duration::from_millis(30);
        })],
        5 => vec![router(|r| {
            r.strict = Some(Strict::Rfc9568);
            r.dialect = V3_MESSAGE;
            r.interval = centis(2);
            r.options.advert_before_yield = true;
        })],
        6 => vec![],
        7 => vec![router(|r| {
            r.addresses = vec![vip("192.0.2.252")];
            r.cast = Cast::Multicast { group: ip("224.0.0.118") };
            r.options.track_interface = false;
        })],
        8 => vec![router(|r| r.cast = unicast(&["192.0.2.1", "192.0.2.101", "192.0.2.102"]))],
        _ => vec![router_v6(|r| r.addresses = vec![vip(VIP_V6), vip("2001:db8::1")])],
    }
}

/// `nth` makes the index of a replaced interface: the kernel does not use one twice in a row.
fn take(bench: &mut Bench, nth: usize, step: &Step) {
    match step {
        Step::Run(millis) => bench.run_for(ms(u64::from(*millis))),
        Step::RunToDeadline => {
            if bench.engine.poll_deadline().is_some() {
                let at = bench.deadline().max(bench.elapsed());
                bench.run_until(at);
            }
        }
        Step::Stall(millis) => bench.stall(ms(u64::from(*millis))),
        Step::Tick => bench.tick(),
        Step::Hear { source, priority, cs, dialect, flip, ttl } => {
            let from = match dialect {
                Dialect::V3Ipv6 => format!("fe80::{source:x}"),
                Dialect::V2(_) | Dialect::V3Ipv4(_) => format!("192.0.2.{source}"),
            };
            let listed = if *dialect == V3_IPV6 { VIP_V6 } else { VIP };
            let heard = advert(&from, *priority).speaking(*dialect).every(*cs).listing(&[listed]);
            let mut message = heard.message();
            if let Some((at, mask)) = flip {
                let at = usize::from(*at) % message.len();
                message[at] ^= mask;
            }
            bench.hear_message(&heard.hop_limit(Some(*ttl)), &message);
        }
        Step::Bytes(bytes) => bench.hear_bytes(ETH0, bytes),
        Step::Message { hop_limit, bytes } => bench.feed(Input::Packet {
            iface: ETH0,
            datagram: Datagram::V6 {
                source: "fe80::9".parse().unwrap(),
                destination: "ff02::12".parse().unwrap(),
                hop_limit: *hop_limit,
                message: bytes,
            },
        }),
        Step::Answer if bench.asked_something() => bench.answer(),
        Step::Refuse if bench.asked_something() => bench.refuse("as told"),
        Step::Answer | Step::Refuse => {}
        Step::OnDemand(on_demand) => {
            bench.answers = if *on_demand { Answers::OnDemand } else { Answers::AtOnce };
        }
        Step::Track { delta, failed } => bench.track(*delta, *failed),
        Step::LinkRunning { eth1, running } => {
            let index = if *eth1 { ETH1 } else { ETH0 };
            if bench.links.contains_key(&index) {
                bench.link_running(index, *running);
            }
        }
        Step::Steal { nth } => {
            let ours = bench.links.iter().flat_map(|(i, (_, a))| a.iter().map(|a| (*i, *a)));
            let ours: Vec<_> = ours.filter(|(_, a)| a.ours).collect();
            if let Some((index, stolen)) = ours.get(*nth) {
                bench.address_removed(*index, &stolen.cidr.to_string());
            }
        }
        Step::SourceGone if bench.links.contains_key(&ETH0) => {
            bench.address_removed(ETH0, "192.0.2.101/24");
            bench.address_removed(ETH0, "fe80::64/64");
        }
        Step::SourceBack if bench.links.contains_key(&ETH0) => {
            bench.address_added(ETH0, "192.0.2.101/24");
            bench.address_added(ETH0, "fe80::64/64");
        }
        Step::SourceGone | Step::SourceBack => {}
        Step::Rename(away) => {
            if bench.links.contains_key(&ETH0) {
                bench.link_changed(link(ETH0, if *away { "lan0" } else { "eth0" }));
            }
        }
        Step::Replace => {
            let mut links = links();
            links[0].0 = link(IfIndex(100 + u32::try_from(nth).unwrap()), "eth0");
            bench.resync(links);
        }
        Step::Suspend(secs_asleep) => bench.suspend(secs(u64::from(*secs_asleep))),
        Step::Reload(nth) => bench.reload(routers(*nth)),
        Step::Shutdown => bench.shut_down(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_sequence_of_inputs_keeps_the_contract(first in 0..CONFIGS, steps in steps()) {
        let mut bench = Bench::start(config(routers(first)));
        let mut exited = false;
        for (n, step) in steps.iter().enumerate() {
            take(&mut bench, n, step);
            // A second tick at the same moment does nothing.
            bench.tick();
            exited |= bench.did().contains(&"exit".to_owned());
            let before = (bench.snapshot(), bench.engine.poll_deadline());
            bench.tick();
            prop_assert!(bench.did().is_empty(), "a spurious tick did something");
            prop_assert_eq!(before, (bench.snapshot(), bench.engine.poll_deadline()));
            prop_assert!(bench.snapshot().routers.iter().all(|r| r.peers.len() <= 64));
        }
        // Whatever happened, a shutdown ends with an exit and an empty kernel.
        bench.answers = Answers::AtOnce;
        bench.answer_all();
        bench.shut_down();
        bench.run_for(secs(5));
        exited |= bench.did().contains(&"exit".to_owned());
        prop_assert!(exited, "no exit");
        prop_assert!(bench.held().is_empty(), "left behind: {:?}", bench.held());
    }

    /// The same inputs, the same actions: nothing in the engine depends on anything else.
    #[test]
    fn the_engine_is_deterministic(first in 0..CONFIGS, steps in steps()) {
        let run = || {
            let mut bench = Bench::start(config(routers(first)));
            for (n, step) in steps.iter().enumerate() {
                take(&mut bench, n, step);
            }
            (bench.did(), bench.logs.clone(), bench.snapshot())
        };
        prop_assert_eq!(run(), run());
    }

    /// After any history, silence makes one master that holds what it should.
    #[test]
    fn silence_after_any_history_makes_a_master(first in 0..CONFIGS, steps in steps()) {
        let mut bench = Bench::start(config(routers(first)));
        let steps = steps.iter().filter(|s| !matches!(s, Step::Shutdown));
        for (n, step) in steps.enumerate() {
            take(&mut bench, n, step);
        }
        bench.answers = Answers::AtOnce;
        bench.answer_all();
        bench.track(0, false);
        bench.reload(routers(1));
        bench.track(0, false);
        // A new eth0, and eth1 with what it holds.
        let mut links = links();
        links[0].0 = link(IfIndex(250), "eth0");
        if let Some((_, known)) = bench.links.get(&ETH1) {
            links[1].1.extend(known.iter().filter(|a| a.ours));
        }
        bench.resync(links);
        bench.run_for(secs(60));
        let status = bench.status();
        prop_assert_eq!(status.state, vipd::status::State::Master, "{:?}", status);
        prop_assert_eq!(bench.held().len(), 2, "{:?}", status);
        let sent = bench.sent.len();
        bench.run_for(secs(10));
        prop_assert_eq!(bench.sent.len() - sent, 10);
    }
}
