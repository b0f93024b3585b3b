//! What a load balancer asks: whether this node is to get connections. One line, and a status of HTTP.

use crate::status::health::{listener_words, router_words};
use crate::status::view::is_open;
use crate::status::{
    HealthReason, ListenerStatus, Object, RouterStatus, Snapshot, State, health_of, outages,
};

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healthz {
    /// Of HTTP: 200 it is, 503 it is not, 404 there is nothing of that name, 400 the question is none.
    pub status: u16,
    /// Why, without its end.
    pub line: String,
}

impl Healthz {
    const fn new(status: u16, line: String) -> Healthz {
        Healthz { status, line }
    }
}

/// The answer to a query: `master=ROUTER`, `listener=NAME`, several of them, or nothing, which asks for everything
/// this node should serve.
#[must_use]
pub fn healthz(snapshot: &Snapshot, query: &str) -> Healthz {
    let questions: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    if questions.is_empty() {
        return everything(snapshot);
    }
    let answers = questions.iter().map(|(about, name)| match &**about {
        "master" => match snapshot.routers.iter().find(|router| router.name == *name) {
            Some(router) => master(router),
            None => {
                let names = snapshot.routers.iter().map(|router| router.name.as_str());
                unknown("virtual router", name, names)
            }
        },
        "listener" => match snapshot.listeners.iter().find(|l| l.name == *name) {
            Some(of) => listener(snapshot, of),
            None => unknown("listener", name, snapshot.listeners.iter().map(|of| of.name.as_str())),
        },
        other => {
            let text = format!("{other:?} is no question; master=ROUTER and listener=NAME are");
            Healthz::new(400, text)
        }
    });
    let answers: Vec<Healthz> = answers.collect();
    // A question that is none comes first, then one that nobody knows, then the one that is answered with no.
    let worst = |answer: &Healthz| [400, 404, 503].iter().position(|of| *of == answer.status);
    let decides = answers.iter().filter(|a| a.status != 200).min_by_key(|answer| worst(answer));
    match decides {
        Some(no) => no.clone(),
        None => {
            let lines: Vec<String> = answers.into_iter().map(|answer| answer.line).collect();
            Healthz::new(200, lines.join("; "))
        }
    }
}

fn everything(snapshot: &Snapshot) -> Healthz {
    let outages = outages(snapshot);
    match outages.is_empty() {
        true => Healthz::new(200, snapshot.judged().line()),
        false => Healthz::new(503, format!("cannot serve: {}", outages.join("; "))),
    }
}

fn master(router: &RouterStatus) -> Healthz {
    let status = if router.state == State::Master { 200 } else { 503 };
    Healthz::new(status, format!("{} is {}", router.name, router_words(router)))
}

fn listener(snapshot: &Snapshot, listener: &ListenerStatus) -> Healthz {
    let health = health_of(snapshot, &[Object::Listener(listener)]);
    let gets = is_open(listener) && listener.servers.iter().any(|server| server.takes);
    match gets && !health.reasons.iter().any(HealthReason::is_outage) {
        true => Healthz::new(200, listener_words(listener)),
        false if health.reasons.is_empty() => Healthz::new(503, listener_words(listener)),
        false => Healthz::new(503, health.summary),
    }
}

fn unknown<'n>(what: &str, name: &str, names: impl Iterator<Item = &'n str>) -> Healthz {
    let names: Vec<&str> = names.collect();
    let there = match names.is_empty() {
        true => "there is none".to_owned(),
        false => format!("there are: {}", names.join(", ")),
    };
    Healthz::new(404, format!("no {what} is called {name:?}; {there}"))
}
