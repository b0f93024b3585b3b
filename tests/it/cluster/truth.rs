//! Who takes writes, and from when on.

use serde_json::json;
use vipd::pool::{Cause as EndCause, Hint, Role, SessionPolicy};
use vipd::track::outcome::Cause;

use super::bench::*;

#[test]
fn before_the_first_answer_nobody_may_be_used() {
    let mut bench = Bench::start(usual());
    assert_eq!(bench.did, ["listen writers", "listen readers", "listen any"]);
    assert_eq!(bench.asked.len(), 3, "all nodes at once, and one question each");
    for listener in ["writers", "readers", "any"] {
        assert!(bench.usable(listener).is_empty());
        assert_eq!(bench.why(listener, "pg-1"), "held: not probed yet");
    }
    bench.answer(1, &silent());
    assert_eq!(bench.why("writers", "pg-1"), "held: no answer yet: timed out");
    bench.answer(2, &primary(5));
    assert_eq!(bench.usable("writers"), ["pg-2"]);
    assert_eq!(bench.usable("any"), ["pg-2"]);
}

#[test]
fn one_question_to_each_node_serves_every_listener() {
    let mut bench = Bench::settled();
    let before = bench.rounds[&1].len();
    bench.run_for(secs(10));
    for n in 1..=3 {
        assert_eq!(bench.rounds[&n].len() - before, 10, "pg-{n}");
    }
    assert_eq!(bench.published, 0, "nothing changed, nothing was said");
    assert_eq!(bench.usable("writers"), ["pg-1"]);
    assert_eq!(bench.usable("readers"), ["pg-2", "pg-3"]);
    assert_eq!(bench.usable("any"), ["pg-1", "pg-2", "pg-3"]);
}

#[test]
fn a_primary_takes_writes_only_if_code_role_and_state_say_so() {
    let refused = [
        primary(5).status(503),
        standby(5).status(200),
        bare(200, "starting", "primary"),
        bare(200, "unknown", "primary"),
        bare(200, "running", "promoted"),
        Says::Json(404, json!({})),
    ];
    for says in refused {
        let mut bench = Bench::start(usual());
        bench.answer(1, &says);
        assert!(bench.usable("writers").is_empty(), "{says:?}");
    }
}

#[test]
fn a_later_primary_evicts_the_one_before_in_the_same_turn() {
    let mut bench = Bench::settled();
    bench.run_for(INTERVAL - ms(1));
    bench.now = bench.engine.poll_deadline().unwrap();
    bench.input(vipd::io::Input::Tick);
    bench.answer(2, &primary(6));
    assert_eq!(bench.usable("writers"), ["pg-2"]);
    assert_eq!(bench.session_policy("writers", "pg-1"), SessionPolicy::End(EndCause::RoleLost));
    assert_eq!(bench.session_policy("any", "pg-1"), SessionPolicy::Keep);
    // Whatever it goes on saying.
    bench.answer(1, &primary(5));
    assert_eq!(bench.usable("writers"), ["pg-2"]);
    let why = "held: also claims to be the primary (timeline 5); pg-2 is the primary (timeline 6)";
    assert_eq!(bench.why("any", "pg-1"), why);
}

#[test]
fn a_stopping_primary_is_out_before_its_code_says_so() {
    for state in ["stopping", "stopped", "starting", "crashed", "restarting"] {
        let mut bench = Bench::settled();
        bench.nodes.insert(1, bare(200, state, "master"));
        bench.run_for(INTERVAL);
        assert!(bench.usable("writers").is_empty());
        assert_eq!(bench.session_policy("writers", "pg-1"), SessionPolicy::End(EndCause::Down));
        let why = format!("down: holds the leader lock, but PostgreSQL is {state}");
        assert_eq!(bench.why("writers", "pg-1"), why);
    }
    let mut bench = Bench::settled();
    bench.nodes.insert(1, primary(5).status(503));
    bench.run_for(INTERVAL);
    assert_eq!(bench.session_policy("writers", "pg-1"), SessionPolicy::End(EndCause::RoleLost));
}

#[test]
fn a_primary_that_cannot_be_asked_keeps_its_sessions_for_the_lease() {
    let mut bench = Bench::settled();
    bench.nodes.insert(1, bare(200, "unknown", "master"));
    bench.run_for(INTERVAL);
    assert!(bench.usable("writers").is_empty());
    assert_eq!(bench.session_policy("writers", "pg-1"), SessionPolicy::Keep);
    bench.run_for(secs(6));
    assert_eq!(bench.session_policy("writers", "pg-1"), SessionPolicy::Keep);
    bench.run_for(secs(1));
    assert_ne!(bench.session_policy("writers", "pg-1"), SessionPolicy::Keep);
}

#[test]
fn a_frozen_primary_is_used_until_its_lease_ends_and_no_longer() {
    let mut bench = Bench::settled();
    let confirmed = *bench.rounds[&1].last().unwrap();
    bench.nodes.insert(1, silent());
    bench.dead_ports.push(1);
    bench.run_for(ms(1200));
    assert_eq!(bench.usable("writers"), ["pg-1"], "it may be alive");
    bench.dead_ports.clear();
    bench.leader = 1;
    bench.nodes.insert(2, silent());
    bench.nodes.insert(3, silent());
    bench.run_for(secs(7) - bench.now.since(confirmed));
    assert_eq!(bench.usable("writers"), ["pg-1"], "it may be alive");
    bench.run_for(ms(999));
    assert_eq!(bench.session_policy("writers", "pg-1"), SessionPolicy::Keep);
    bench.run_for(ms(2));
    assert!(bench.usable("writers").is_empty());
    assert!(matches!(bench.session_policy("writers", "pg-1"), SessionPolicy::End(_)));
    assert_eq!(bench.server("any", "pg-1").role, Role::Unknown);
    // It is believed again at its first answer.
    bench.nodes.insert(1, primary(5));
    bench.run_for(INTERVAL);
    assert_eq!(bench.usable("writers"), ["pg-1"]);
}

#[test]
fn the_lease_follows_patronis_own_settings() {
    let mut bench = Bench::start(usual());
    bench.settings = json!({ "ttl": 20, "loop_wait": 14 });
    bench.nodes.extend([(1, primary(5)), (2, standby(5)), (3, standby(5))]);
    bench.run_for(secs(5));
    let confirmed = *bench.rounds[&1].last().unwrap();
    bench.nodes.extend([(1, silent()), (2, silent()), (3, silent())]);
    bench.run_for(secs(3) - bench.now.since(confirmed) + ms(1));
    assert!(bench.usable("writers").is_empty());
}

#[test]
fn a_silent_standby_is_down_after_the_silence_and_used_again_when_it_answers() {
    let mut bench = Bench::settled();
    bench.nodes.insert(3, Says::Nothing(Cause::Refused));
    bench.dead_ports.push(3);
    bench.run_for(SILENCE);
    bench.run_for(INTERVAL);
    assert_eq!(bench.usable("readers"), ["pg-2"]);
    assert_eq!(bench.why("readers", "pg-3"), "down: no answer: connection refused");
    let failures: Vec<_> = bench.cluster().members.iter().map(|m| m.check_failures).collect();
    assert!(failures[..2] == [Some(0); 2] && failures[2] > Some(1), "{failures:?}");
    let snapshot = bench.engine.snapshot(bench.now);
    let of = |name: &str| snapshot.listeners.iter().find(|l| l.name == name).unwrap();
    let fits = |name: &str| -> Vec<bool> { of(name).servers.iter().map(|s| s.fits).collect() };
    assert_eq!(fits("writers"), [true, false, false]);
    assert_eq!(fits("readers"), [false, true, true]);
    bench.nodes.insert(3, standby(5));
    bench.dead_ports.clear();
    bench.run_for(secs(2));
    assert_eq!(bench.usable("readers"), ["pg-2", "pg-3"]);
}

#[test]
fn hints_make_it_look_and_change_nothing() {
    for hint in [Hint::Refused, Hint::Unreachable, Hint::GaveUp, Hint::NotNow, Hint::Ended] {
        let mut bench = Bench::settled();
        bench.run_for(ms(300));
        let before = bench.rounds[&2].len();
        bench.hint("writers", "pg-1", hint);
        assert_eq!(bench.published, 0);
        for n in 1..=3 {
            assert_eq!(*bench.rounds[&n].last().unwrap(), bench.now, "{hint:?}: pg-{n} is asked");
        }
        bench.run_for(secs(1));
        assert_eq!(bench.rounds[&2].len() - before, 4, "at once, and three times more");
        assert_eq!(bench.published, 0);
    }
}

/// What a planned switchover looks like from outside, step by step.
#[test]
fn a_switchover_is_followed_step_by_step() {
    let mut bench = Bench::settled();
    bench.nodes.insert(1, bare(200, "stopping", "master"));
    bench.hint("writers", "pg-1", Hint::Ended);
    bench.run_for(ms(1));
    assert!(bench.usable("writers").is_empty());
    bench.nodes.insert(1, bare(503, "stopped", "demoted"));
    bench.nodes.insert(2, standby(5).status(200));
    bench.run_for(FAST);
    assert_eq!(bench.why("writers", "pg-2"), "held: holds the leader lock, is being promoted");
    assert_eq!(bench.usable("readers"), ["pg-2", "pg-3"], "it can be read from meanwhile");
    bench.nodes.insert(2, primary(6));
    bench.run_for(FAST);
    assert_eq!(bench.usable("writers"), ["pg-2"]);
    bench.nodes.insert(1, standby(6));
    bench.run_for(FAST);
    assert_eq!(bench.usable("readers"), ["pg-1", "pg-3"]);
}
