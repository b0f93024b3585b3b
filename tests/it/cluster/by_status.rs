//! Members that answer by HTTP, but not as Patroni.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use vipd::config::checks::Check;
use vipd::engine::Engine;
use vipd::io::{Action, Input, KernelView, ProbeId};
use vipd::load::load;
use vipd::pool::{Admission, PoolView, Role};
use vipd::status::Phase;
use vipd::track::outcome::{Cause, Outcome, Verdict};
use vipd::track::patroni::{Answer, Question, Topic};
use vipd::types::Now;

use crate::expected::OneFile;

const FILE: &str = "
defaults
  mode tcp
  default-server inter 3s fall 2 rise 1 port 8008
frontend write
  bind :5000
  default_backend primary
frontend read
  bind :5001
  use_backend primary if { nbsrv(standbys) eq 0 }
  default_backend standbys
backend primary
  option httpchk OPTIONS /master
  server pg-1 10.0.0.1:5432 check
  server pg-2 10.0.0.2:5432 check
backend standbys
  option httpchk GET /replica?lag=1MB
  server pg-1 10.0.0.1:5432 check
  server pg-2 10.0.0.2:5432 check
";

struct Edge {
    engine: Engine,
    now: Duration,
    questions: BTreeMap<ProbeId, Arc<Question>>,
    checks: BTreeMap<ProbeId, String>,
    views: BTreeMap<String, Arc<PoolView>>,
    names: BTreeMap<vipd::pool::ListenerId, String>,
}

impl Edge {
    fn start() -> Edge {
        let loaded = load(&OneFile(FILE.to_owned()), &["haproxy.cfg".into()], None);
        let config = loaded.unwrap_or_else(|failed| panic!("{}", failed.render())).config;
        let kernel = KernelView { links: Vec::new(), uptime: Duration::from_secs(100) };
        let engine = Engine::new(Arc::new(config), kernel, Now::ZERO);
        let mut edge = Edge {
            engine,
            now: Duration::ZERO,
            questions: BTreeMap::new(),
            checks: BTreeMap::new(),
            views: BTreeMap::new(),
            names: BTreeMap::new(),
        };
        edge.act();
        edge
    }

    fn act(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Ask { probe, question, .. } if question.topic() == Topic::Node => {
                    self.questions.insert(probe, question);
                }
                Action::Probe { probe, check, .. } => {
                    // PostgreSQL's own port is asked where its Patroni is silent.
                    let Check::Http(http) = &*check else { continue };
                    let text = format!("{} {}{}", http.method, http.target, http.path);
                    self.checks.insert(probe, text);
                }
                Action::Cancel { probe } => drop(self.checks.remove(&probe)),
                Action::Listen { listener, config } => {
                    self.names.insert(listener, config.name().to_owned());
                }
                Action::Publish { listener, view } => {
                    self.views.insert(self.names[&listener].clone(), view);
                }
                _ => {}
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.engine.handle(Now::from_start(self.now), Input::Tick);
        self.act();
    }

    /// Every node that was asked answers this to Patroni's question.
    fn say(&mut self, status: u16, body: &str) {
        for (probe, question) in std::mem::take(&mut self.questions) {
            let said =
                question.read(status, body.as_bytes(), "2026-11-21T20:46:00Z".parse().unwrap());
            let answer = Answer { said, took: Duration::ZERO };
            let now = Now::from_start(self.now);
            self.engine.handle(now, Input::Answered { probe, answer });
            self.act();
        }
    }

    /// The checks under way end, well where they are among these.
    fn end(&mut self, good: &[&str]) {
        for (probe, check) in std::mem::take(&mut self.checks) {
            let verdict = match good.contains(&&*check) {
                true => Verdict::Passed,
                false => Verdict::Failed(Cause::WrongAnswer),
            };
            let (detail, output, took) = (String::new(), String::new(), Duration::ZERO);
            let outcome = Outcome { verdict, detail, output, took };
            self.engine.handle(Now::from_start(self.now), Input::Probed { probe, outcome });
            self.act();
        }
    }

    /// Who may get new sessions of a listener.
    fn serving(&self, listener: &str) -> Vec<String> {
        let view = &self.views[listener];
        let usable = view.servers.iter().filter(|s| s.admission == Admission::Up);
        let direct = |role: Role| view.wants.fits(role);
        let all: Vec<_> = usable.filter(|s| view.admits(s.role)).collect();
        let fits = all.iter().any(|server| direct(server.role));
        let chosen = all.iter().filter(|server| !fits || direct(server.role));
        chosen.map(|server| server.name.to_string()).collect()
    }
}

#[test]
fn the_status_of_each_listeners_own_request_decides_where_nobody_is_patroni() {
    let mut edge = Edge::start();
    assert_eq!(edge.questions.len(), 2);
    assert!(edge.checks.is_empty());
    edge.say(404, "not found");
    let asked: Vec<String> = edge.checks.values().cloned().collect();
    let [one, two] = ["http://10.0.0.1:8008", "http://10.0.0.2:8008"];
    let own = |method: &str, path: &str| [one, two].map(|api| format!("{method} {api}{path}"));
    let (masters, replicas) = (own("OPTIONS", "/master"), own("GET", "/replica?lag=1MB"));
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert!(masters.iter().chain(&replicas).all(|check| asked.contains(check)), "{asked:?}");
    edge.end(&[&masters[0], &replicas[1]]);
    assert_eq!(edge.serving("write"), ["pg-1"]);
    assert_eq!(edge.serving("read"), ["pg-2"]);
    // Without standbys readers get the primary, by its own check.
    edge.pass(Duration::from_secs(3));
    edge.end(&[&masters[0]]);
    edge.pass(Duration::from_secs(3));
    edge.end(&[&masters[0]]);
    assert_eq!(edge.serving("read"), ["pg-1"]);
    let status = edge.engine.snapshot(Now::from_start(edge.now));
    let [cluster] = status.clusters.as_slice() else { panic!("{:?}", status.clusters) };
    assert_eq!(cluster.phase, Phase::Plain);
    assert!(cluster.summary.starts_with("not Patroni"), "{}", cluster.summary);
}

#[test]
fn who_answers_as_patroni_later_is_believed_from_then_on() {
    let mut edge = Edge::start();
    edge.say(200, "ok");
    edge.end(&[]);
    assert!(edge.serving("write").is_empty());
    edge.pass(Duration::from_secs(11));
    let patroni =
        r#"{"state": "running", "role": "primary", "timeline": 1, "xlog": {"location": 1}}"#;
    let first = edge.questions.pop_first().unwrap();
    let rest = std::mem::take(&mut edge.questions);
    edge.questions.insert(first.0, first.1);
    edge.say(200, patroni);
    edge.questions.extend(rest);
    assert_eq!(edge.serving("write"), ["pg-1"]);
    assert!(edge.checks.is_empty(), "{:?}", edge.checks);
    // From now on another answer is wrong.
    edge.say(200, "ok");
    assert!(edge.checks.is_empty(), "{:?}", edge.checks);
    assert_eq!(edge.serving("write"), ["pg-1"]);
}
