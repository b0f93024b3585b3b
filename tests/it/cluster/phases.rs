//! The states of a cluster are told apart, and the status says so.

use serde_json::json;
use vipd::config::Members;
use vipd::io::Level;
use vipd::status::{AdmissionStatus, Phase};
use vipd::track::outcome::Cause;

use super::bench::*;

#[test]
fn every_state_has_its_phase() {
    let refused = || Says::Nothing(Cause::Refused);
    let old = json!(1_795_000_000);
    let blind = |says: Says| says.with("dcs_last_seen", old.clone());
    let unlocked = || standby(5).with("cluster_unlocked", json!(true));
    let cases: [(Phase, [Says; 3]); 10] = [
        (Phase::Primary, [primary(5), standby(5), standby(5)]),
        (Phase::Silent, [refused(), refused(), refused()]),
        (Phase::Stopping, [bare(200, "stopping", "master"), standby(5), standby(5)]),
        (Phase::CrashRestart, [bare(200, "crashed", "master"), standby(5), standby(5)]),
        (Phase::CrashRestart, [bare(200, "starting", "replica"), standby(5), standby(5)]),
        (Phase::Promoting, [standby(5).status(200), standby(5), refused()]),
        (Phase::Unlocked, [unlocked(), unlocked(), refused()]),
        (Phase::StoreOutage, [blind(unlocked()), blind(standby(5)), refused()]),
        (Phase::StandbyCluster, [bare(503, "running", "standby_leader"), standby(5), standby(5)]),
        (Phase::Leaderless, [standby(5), standby(5), standby(5)]),
    ];
    for (phase, says) in cases {
        let mut bench = Bench::start(usual());
        assert_eq!(bench.cluster().phase, Phase::Unknown);
        for (n, says) in (1..).zip(&says) {
            bench.nodes.insert(n, says.clone());
        }
        bench.run_for(ms(900));
        let cluster = bench.cluster();
        assert_eq!(cluster.phase, phase, "{}", cluster.summary);
    }
    let mut bench = Bench::settled();
    bench.nodes.insert(1, bare(200, "unknown", "master"));
    bench.run_for(INTERVAL);
    assert_eq!(bench.cluster().phase, Phase::Unsure);

    // Two of equal right, left over by one that was above them.
    let mut bench = Bench::settled();
    bench.nodes.extend([(1, primary(6)), (2, primary(5)), (3, primary(5))]);
    bench.run_for(secs(2));
    assert_eq!(bench.cluster().phase, Phase::Primary);
    bench.nodes.insert(1, standby(6));
    bench.run_for(INTERVAL);
    assert_eq!(bench.cluster().phase, Phase::Rivals);
    assert!(bench.usable("writers").is_empty());
}

#[test]
fn what_an_operator_should_know_is_said() {
    let mut config = usual();
    let mut cluster = patroni(3);
    let Members::Patroni(patroni) = &mut cluster.members else { unreachable!() };
    patroni.primary_lease = Some(secs(19));
    config.clusters = vec![cluster.into()];
    let mut bench = Bench::start(config);
    let failsafe = primary(5).with("failsafe_mode_is_active", json!(true));
    bench.nodes.extend([(1, failsafe), (2, standby(5).with("pause", json!(true)))]);
    bench.nodes.insert(3, primary(4));
    bench.run_for(secs(3));
    let cluster = bench.cluster();
    assert!(cluster.failsafe && cluster.paused);
    assert_eq!(cluster.primary.as_deref(), Some("pg-1"));
    assert_eq!(cluster.lease_ms, Some(19_000));
    assert!(
        cluster.hints[0].text.starts_with("the lease of 19s is too long"),
        "{:?}",
        cluster.hints
    );
    let rivals = "pg-1 (timeline 5) and pg-3 (timeline 4) claim to be the primary at the same time; \
                  pg-1 is used";
    assert_eq!(cluster.hints[1].text, rivals);
    let alarms =
        bench.logs.iter().filter(|(level, text)| *level == Level::Warn && text.ends_with(rivals));
    assert_eq!(alarms.count(), 1);
    let complaints = |(level, text): &&(Level, String)| {
        *level == Level::Warn && text.contains("the lease of 19s is too long")
    };
    assert_eq!(bench.logs.iter().filter(complaints).count(), 1, "{:?}", bench.logs);
}

#[test]
fn a_listener_tells_where_a_connection_goes_and_why_not_elsewhere() {
    let mut bench = Bench::settled();
    let listeners = bench.engine.snapshot(bench.now).listeners;
    let told = |n: usize| -> Vec<(bool, String)> {
        listeners[n].servers.iter().map(|s| (s.takes, s.reason.clone())).collect()
    };
    let replica = || (false, "is an asynchronous standby".to_owned());
    assert_eq!(told(0), [(true, String::new()), replica(), replica()]);
    assert_eq!(told(1)[0], (false, "is the primary".to_owned()));
    assert!(listeners[1].serves && !listeners[1].fallen_back);

    bench.nodes.insert(2, Says::Nothing(Cause::Refused));
    bench.nodes.insert(3, Says::Nothing(Cause::Refused));
    bench.dead_ports.extend([2, 3]);
    bench.run_for(SILENCE + INTERVAL);
    let listeners = bench.engine.snapshot(bench.now).listeners;
    assert!(listeners[1].serves && listeners[1].fallen_back);
    assert!(listeners[1].servers[0].takes);
    bench.nodes.insert(1, bare(200, "stopping", "master"));
    bench.run_for(INTERVAL);
    let writers = &bench.engine.snapshot(bench.now).listeners[0];
    assert!(!writers.serves);
    assert_eq!(writers.servers[0].admission, AdmissionStatus::Down);
    let expected = "no usable primary: pg-1 is down (holds the leader lock, but PostgreSQL is \
                    stopping), pg-2 is down";
    assert!(writers.reason.starts_with(expected), "{}", writers.reason);
}
