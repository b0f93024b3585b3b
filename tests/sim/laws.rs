//! Laws that hold at every moment.

use vipd::status::{FaultCode, FaultStatus, Standing, State};
use vipd::vrrp::timing;

use crate::checks;
use crate::world::{MAX_OP, World};

impl World {
    /// Holds the laws against what the last event touched, and against the time that has passed.
    pub fn check_laws(&mut self) {
        for n in 0..self.nodes.len() {
            self.leases_end(n);
            if std::mem::take(&mut self.nodes[n].touched) {
                self.check_node(n);
                self.nodes[n].wake = self.nodes[n].wake_time();
            }
            self.not_apart_for_long(n);
        }
    }

    /// Nobody who is not there keeps addresses.
    fn leases_end(&self, n: usize) {
        let node = &self.nodes[n];
        let Some(since) = node.silent.filter(|_| node.asleep.is_none()) else { return };
        for (address, _) in node.kernel.held.iter() {
            let interval = node.config.routers[node.router_of(*address)].interval;
            let limit = since + timing::lease(interval, 3).as_duration() * 7 / 4 + MAX_OP * 8;
            assert!(
                self.time <= limit,
                "{}: node {n}, silent since {since:?}, still holds {:?}",
                self.place(),
                node.kernel.held
            );
        }
    }

    fn check_node(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        let Some(engine) = &node.engine else { return };
        if node.frozen {
            return;
        }
        let states: Vec<State> = engine.states().collect();
        let moved = states != node.judged;
        if (moved || std::mem::take(&mut node.probed)) && states.contains(&State::Master) {
            self.serve_truly(n);
        }
        let node = &mut self.nodes[n];
        node.judged.clone_from(&states);
        if node.kernel.queue.is_empty() && !node.kernel.sick {
            for (r, state) in states.into_iter().enumerate() {
                self.holds_what_it_should(n, r, state);
            }
        }
    }

    /// A master has heard from every check, and nothing it tracks is in the way.
    fn serve_truly(&self, n: usize) {
        let snapshot = self.snapshot(n);
        let untested = snapshot.trackers.iter().find(|t| t.standing == Standing::Untested);
        for router in snapshot.routers.iter().filter(|router| router.state == State::Master) {
            let adopted = router.reason.starts_with("restarted");
            assert!(
                untested.is_none() || adopted,
                "{}: node {n} took over before {untested:?} said anything",
                self.place()
            );
            let fault = router.tracking.iter().find(|tracked| tracked.fault);
            assert!(fault.is_none(), "{}: node {n} is master with {fault:?}", self.place());
        }
    }

    /// A master holds every address of its router, others none.
    fn holds_what_it_should(&self, n: usize, r: usize, state: State) {
        let node = &self.nodes[n];
        let expected = match state {
            State::Master => node.config.routers[r].addresses.len(),
            State::Leaving => return,
            State::Backup | State::Fault => 0,
        };
        if node.held(r) == expected || !node.kernel.links[node.lan(r)].present {
            return;
        }
        let router = &self.snapshot(n).routers[r];
        assert!(
            router.addresses.iter().any(|a| a.error.is_some() || a.readded > 4),
            "{}: node {n} is {state} and holds {:?}",
            self.place(),
            node.kernel.held
        );
    }

    /// Members of a sync group change state together (R29). What they owe each other is settled
    /// with every single input; only an adopted member, or one whose sockets are opened anew, follows later.
    pub fn check_group(&mut self, n: usize) {
        let Some(engine) = &self.nodes[n].engine else { return };
        let states: Vec<State> = engine.states().collect();
        let any = |state| states.contains(&state);
        let as_one = states.iter().all(|state| *state == states[0]);
        let place = || {
            let members = self.snapshot(n).routers.into_iter();
            let members: Vec<_> = members.map(|m| (m.name, m.state, m.reason)).collect();
            format!("{}: node {n} is {members:?}", self.place())
        };
        assert!(
            !(any(State::Master) && any(State::Leaving)),
            "{}: it leaves one member's addresses and keeps another's",
            place()
        );
        if any(State::Fault) && !as_one {
            let own = |f: &FaultStatus| !matches!(f.code, FaultCode::Group | FaultCode::Starting);
            let unable = self.snapshot(n).routers.into_iter().find(|m| m.faults.iter().any(own));
            assert!(unable.is_none(), "{}: it goes on without {unable:?}", place());
        }
        let apart = any(State::Master) && !as_one;
        let node = &self.nodes[n];
        for (r, state) in states.iter().enumerate() {
            let member = &node.members[r];
            let took_over = *state == State::Master && member.seen != Some(State::Master);
            // Those that are late join the others.
            if apart && took_over && node.apart.is_none() {
                let reason = &self.snapshot(n).routers[r].reason;
                assert!(reason.starts_with("restarted"), "{}: it serves one alone", place());
            }
            // Who follows a better master says nothing: its successor comes without being called.
            assert!(
                !member.resigns || node.stopping || *state == State::Fault,
                "{}: it resigned",
                place()
            );
        }
        let time = self.time;
        let node = &mut self.nodes[n];
        for (member, state) in node.members.iter_mut().zip(states) {
            member.seen = Some(state);
            member.resigns = false;
        }
        let apart = apart && !node.kernel.sick;
        node.apart = if apart { node.apart.or(Some(time)) } else { None };
    }

    /// A group is split for one master-down interval of the member that follows at most, after what
    /// delays that one: start-up delay, checks and sockets.
    fn not_apart_for_long(&self, n: usize) {
        let node = &self.nodes[n];
        let Some(since) = node.apart.filter(|_| !node.frozen) else { return };
        let limit =
            self.longest_master_down() + node.config.globals.startup_delay + checks::SLOWEST;
        assert!(
            self.time <= since + limit + MAX_OP * 8,
            "{}: node {n} serves a part of its group since {since:?}",
            self.place()
        );
    }
}
