//! The choice of a server, and what a new view does to sessions: examples, and laws for any view.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use proptest::collection::vec;
use proptest::prelude::*;
use vipd::pool::{
    Admission, Balance, Balancer, Cause, Choice, PoolView, Role, Server, ServerId, SessionPolicy,
    Wants, Weight, explain, session_policy,
};

const ROLES: [Role; 7] = [
    Role::Primary,
    Role::StandbyLeader,
    Role::Sync,
    Role::Quorum,
    Role::Async,
    Role::Replica,
    Role::Unknown,
];
const WANTS: [Wants; 6] =
    [Wants::Writer, Wants::Reader, Wants::Any, Wants::Sync, Wants::Async, Wants::Leader];

fn server(id: u32, role: Role) -> Server {
    Server {
        id: ServerId(id),
        name: format!("pg-{id}").into(),
        address: ([10, 0, 0, u8::try_from(id).unwrap()], 5432).into(),
        role,
        admission: Admission::Up,
        weight: Weight::ONE,
        maxconn: None,
        backup: false,
    }
}

fn view(wants: Wants, servers: Vec<Server>) -> PoolView {
    PoolView {
        wants,
        fallback: false,
        balance: Balance::RoundRobin,
        all_backups: false,
        end_backups: false,
        unknown_protocol: false,
        servers,
        unresolved: Vec::new(),
    }
}

fn cluster(wants: Wants) -> PoolView {
    view(wants, vec![server(1, Role::Primary), server(2, Role::Sync), server(3, Role::Async)])
}

/// The numbers of the next servers, `0` for none and `9` for full.
fn picks(view: &PoolView, balancer: &mut Balancer, count: usize) -> Vec<u32> {
    (0..count)
        .map(|_| match balancer.choose(view, |_| 0, &[]) {
            Choice::Server(server) => server.id.0,
            Choice::Nobody => 0,
            Choice::Full => 9,
        })
        .collect()
}

#[test]
fn each_kind_of_listener_gets_the_roles_it_wants() {
    for (wants, expected) in [
        (Wants::Writer, vec![1, 1]),
        (Wants::Leader, vec![1, 1]),
        (Wants::Reader, vec![2, 3]),
        (Wants::Any, vec![1, 2]),
        (Wants::Sync, vec![2, 2]),
        (Wants::Async, vec![3, 3]),
    ] {
        assert_eq!(picks(&cluster(wants), &mut Balancer::default(), 2), expected, "{wants:?}");
    }
    let standby = view(Wants::Writer, vec![server(1, Role::StandbyLeader)]);
    assert_eq!(picks(&standby, &mut Balancer::default(), 1), [0]);
}

#[test]
fn readers_fall_back_to_the_primary_only_while_no_replica_is_usable() {
    let mut reader = cluster(Wants::Reader);
    reader.fallback = true;
    assert_eq!(picks(&reader, &mut Balancer::default(), 4), [2, 3, 2, 3]);
    for replica in &mut reader.servers[1..] {
        replica.admission = Admission::Down("refused".into());
    }
    assert_eq!(picks(&reader, &mut Balancer::default(), 2), [1, 1]);
    reader.fallback = false;
    assert_eq!(picks(&reader, &mut Balancer::default(), 1), [0]);
    // A writer falls back to nothing, whatever the view says.
    let mut writer = view(Wants::Writer, vec![server(1, Role::StandbyLeader)]);
    writer.fallback = true;
    assert_eq!(picks(&writer, &mut Balancer::default(), 1), [0]);
}

#[test]
fn backups_serve_while_no_other_can_and_only_the_first_unless_all() {
    let mut any = view(Wants::Any, (1..=3).map(|id| server(id, Role::Unknown)).collect());
    any.servers[1].backup = true;
    any.servers[2].backup = true;
    assert_eq!(picks(&any, &mut Balancer::default(), 2), [1, 1]);
    any.servers[0].admission = Admission::Drain("drained".into());
    assert_eq!(picks(&any, &mut Balancer::default(), 3), [2, 2, 2]);
    any.all_backups = true;
    assert_eq!(picks(&any, &mut Balancer::default(), 3), [2, 3, 2]);
}

#[test]
fn sessions_of_backups_end_when_another_is_back_if_that_is_wanted() {
    let mut any = view(Wants::Any, (1..=3).map(|id| server(id, Role::Unknown)).collect());
    any.servers[2].backup = true;
    assert_eq!(session_policy(&any, ServerId(3)), SessionPolicy::Keep);
    any.end_backups = true;
    assert_eq!(session_policy(&any, ServerId(3)), SessionPolicy::End(Cause::Returned));
    assert_eq!(session_policy(&any, ServerId(1)), SessionPolicy::Keep);
    // One that gets no sessions has not come back.
    any.servers[0].admission = Admission::Drain("drained".into());
    any.servers[1].weight = Weight::try_from(0).unwrap();
    assert_eq!(session_policy(&any, ServerId(3)), SessionPolicy::Keep);
    any.servers[0].admission = Admission::Up;
    assert_eq!(session_policy(&any, ServerId(3)), SessionPolicy::End(Cause::Returned));
}

#[test]
fn a_full_server_is_waited_for_and_a_tried_one_passed_over() {
    let mut reader = cluster(Wants::Reader);
    reader.fallback = true;
    for server in &mut reader.servers {
        server.maxconn = NonZeroU32::new(5);
    }
    let mut balancer = Balancer::default();
    let choice = balancer.choose(&reader, |id| if id == ServerId(2) { 5 } else { 4 }, &[]);
    assert_eq!(choice, Choice::Server(&reader.servers[2]));
    assert_eq!(balancer.choose(&reader, |_| 5, &[]), Choice::Full);
    let tried = [ServerId(2), ServerId(3)];
    assert_eq!(balancer.choose(&reader, |_| 0, &tried), Choice::Server(&reader.servers[0]));
    let tried = [ServerId(1), ServerId(2), ServerId(3)];
    assert_eq!(balancer.choose(&reader, |_| 0, &tried), Choice::Nobody);
}

#[test]
fn workers_begin_with_different_servers() {
    let any = view(Wants::Any, (1..=3).map(|id| server(id, Role::Unknown)).collect());
    let first: Vec<u32> =
        (0..4).map(|worker| picks(&any, &mut Balancer::starting_at(worker), 1)[0]).collect();
    assert_eq!(first, [1, 2, 3, 1]);
}

#[test]
fn weighted_turns_are_spread_evenly() {
    let mut any = view(Wants::Any, vec![server(1, Role::Unknown), server(2, Role::Unknown)]);
    any.servers[0].weight = Weight::try_from(3).unwrap();
    assert_eq!(picks(&any, &mut Balancer::default(), 8), [1, 1, 2, 1, 1, 1, 2, 1]);
    assert!(Weight::try_from(257).is_err());
}

#[test]
fn role_loss_and_unreachable_servers_end_sessions_and_holding_back_does_not() {
    let mut writer = cluster(Wants::Writer);
    let policies = |view: &PoolView| -> Vec<SessionPolicy> {
        (1..=4).map(|id| session_policy(view, ServerId(id))).collect()
    };
    let lost = SessionPolicy::End(Cause::RoleLost);
    let removed = SessionPolicy::End(Cause::Removed);
    assert_eq!(policies(&writer), [SessionPolicy::Keep, lost, lost, removed]);
    writer.servers[0].admission = Admission::Drain("only its API is silent".into());
    assert_eq!(policies(&writer)[0], SessionPolicy::Keep);
    writer.servers[0].admission = Admission::Down("no answer for 8 s".into());
    assert_eq!(policies(&writer)[0], SessionPolicy::End(Cause::Down));

    let mut reader = cluster(Wants::Reader);
    assert_eq!(policies(&reader)[0], lost);
    reader.fallback = true;
    assert_eq!(policies(&reader)[0], SessionPolicy::Keep);
}

#[test]
fn a_client_without_a_server_is_told_about_each() {
    let mut writer = cluster(Wants::Writer);
    writer.servers[0].admission = Admission::Down("no answer for 8 s".into());
    writer.servers[2].admission = Admission::Drain("not probed yet".into());
    assert_eq!(
        explain(&writer),
        "no usable primary: pg-1 is down (no answer for 8 s), pg-2 is a synchronous standby, \
         pg-3 is not used (not probed yet)"
    );
    writer.servers.clear();
    assert_eq!(explain(&writer), "no usable primary: the pool has no servers");
}

fn servers() -> impl Strategy<Value = Vec<Server>> {
    let one = (
        prop::sample::select(ROLES.to_vec()),
        prop_oneof![4 => Just(0), 1 => Just(1), 1 => Just(2)],
        prop_oneof![1 => Just(0_u16), 5 => 1..=7_u16],
        prop::option::of(1..4_u32),
        prop::bool::weighted(0.3),
    );
    vec(one, 0..7).prop_map(|all| {
        let mut servers = Vec::new();
        for (id, (role, admission, weight, maxconn, backup)) in (1..).zip(all) {
            servers.push(Server {
                admission: match admission {
                    0 => Admission::Up,
                    1 => Admission::Drain("held".into()),
                    _ => Admission::Down("down".into()),
                },
                weight: Weight::try_from(weight).unwrap(),
                maxconn: maxconn.and_then(NonZeroU32::new),
                backup,
                ..server(id, role)
            });
        }
        servers
    })
}

fn views() -> impl Strategy<Value = PoolView> {
    let balance =
        prop::sample::select(vec![Balance::RoundRobin, Balance::LeastConn, Balance::First]);
    let wants = prop::sample::select(WANTS.to_vec());
    (wants, any::<bool>(), balance, any::<bool>(), servers()).prop_map(
        |(wants, fallback, balance, all_backups, servers)| PoolView {
            wants,
            fallback,
            balance,
            all_backups,
            end_backups: false,
            unknown_protocol: false,
            servers,
            unresolved: Vec::new(),
        },
    )
}

/// Whether a new connection may go there at all, sessions and rank apart.
fn may(view: &PoolView, server: &Server, tried: &[ServerId]) -> bool {
    server.admission == Admission::Up
        && server.weight.get() > 0
        && view.admits(server.role)
        && !tried.contains(&server.id)
}

fn has_room(server: &Server, sessions: u32) -> bool {
    server.maxconn.is_none_or(|most| sessions < most.get())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whoever_is_chosen_may_be_and_nobody_means_nobody(
        view in views(), load in vec(0..4_u32, 7), tried in vec(1..7_u32, 0..3), skip in 0..4_u32,
    ) {
        let tried: Vec<ServerId> = tried.into_iter().map(ServerId).collect();
        let sessions = |id: ServerId| load[usize::try_from(id.0).unwrap() - 1];
        let mut balancer = Balancer::starting_at(skip);
        for _ in 0..9 {
            match balancer.choose(&view, sessions, &tried) {
                Choice::Server(chosen) => {
                    prop_assert!(may(&view, chosen, &tried));
                    prop_assert!(has_room(chosen, sessions(chosen.id)));
                    prop_assert_eq!(session_policy(&view, chosen.id), SessionPolicy::Keep);
                    if view.wants == Wants::Writer {
                        prop_assert_eq!(chosen.role, Role::Primary);
                    }
                    let better = view.servers.iter().find(|s| {
                        may(&view, s, &tried)
                            && ((view.wants.fits(s.role) && !view.wants.fits(chosen.role))
                                || (view.wants.fits(s.role) == view.wants.fits(chosen.role)
                                    && chosen.backup
                                    && !s.backup))
                    });
                    prop_assert!(better.is_none(), "{better:?} comes before {chosen:?}");
                }
                Choice::Full => prop_assert!(
                    view.servers.iter().any(|s| may(&view, s, &tried) && !has_room(s, sessions(s.id)))
                ),
                Choice::Nobody => {
                    prop_assert!(!view.servers.iter().any(|s| may(&view, s, &tried)));
                }
            }
        }
    }

    #[test]
    fn a_round_gives_everyone_its_weight(mut view in views(), rounds in 1..4_usize) {
        view.balance = Balance::RoundRobin;
        for server in &mut view.servers {
            server.maxconn = None;
        }
        let mut balancer = Balancer::default();
        let mut got: BTreeMap<u32, usize> = BTreeMap::new();
        let Choice::Server(_) = balancer.clone().choose(&view, |_| 0, &[]) else { return Ok(()) };
        // One pass through every class finds the members of the one that is used.
        let members: Vec<&Server> = {
            let mut probe = Balancer::default();
            let mut seen = Vec::new();
            for _ in 0..7 * 7 {
                if let Choice::Server(s) = probe.choose(&view, |_| 0, &[]) && !seen.contains(&s) {
                    seen.push(s);
                }
            }
            seen
        };
        let round: usize = members.iter().map(|s| usize::from(s.weight.get())).sum();
        for id in picks(&view, &mut balancer, round * rounds) {
            *got.entry(id).or_default() += 1;
        }
        for server in members {
            prop_assert_eq!(got[&server.id.0], usize::from(server.weight.get()) * rounds);
        }
    }

    #[test]
    fn the_least_loaded_stay_level(mut view in views(), connections in 1..60_u32) {
        view.balance = Balance::LeastConn;
        for server in &mut view.servers {
            server.maxconn = None;
        }
        let mut balancer = Balancer::default();
        let mut load: BTreeMap<ServerId, u32> = BTreeMap::new();
        for _ in 0..connections {
            let sessions = |id| load.get(&id).copied().unwrap_or_default();
            if let Choice::Server(chosen) = balancer.choose(&view, sessions, &[]) {
                *load.entry(chosen.id).or_default() += 1;
            }
        }
        // Nobody has a session too many: one less would put it at or below everyone else.
        for (id, n) in &load {
            let weight = |id| u32::from(view.server(id).unwrap().weight.get());
            for (other, m) in &load {
                prop_assert!((n - 1) * weight(*other) <= m * weight(*id), "{load:?}");
            }
        }
    }

    #[test]
    fn the_first_with_room_takes_all(mut view in views(), load in vec(0..4_u32, 7)) {
        view.balance = Balance::First;
        let sessions = |id: ServerId| load[usize::try_from(id.0).unwrap() - 1];
        let mut balancer = Balancer::default();
        let once = balancer.choose(&view, sessions, &[]);
        prop_assert_eq!(once, balancer.choose(&view, sessions, &[]));
        if let Choice::Server(chosen) = once {
            let earlier = view.servers.iter().take_while(|s| s.id != chosen.id);
            for server in earlier.filter(|s| may(&view, s, &[])) {
                let same = server.backup == chosen.backup
                    && view.wants.fits(server.role) == view.wants.fits(chosen.role);
                prop_assert!(!same || !has_room(server, sessions(server.id)));
            }
        }
    }
}
