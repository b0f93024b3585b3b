//! Checks against what they are made for: other users' rights, a network that swallows packets, and
//! real HAProxy, PgBouncer, Patroni and PostgreSQL.

use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::User;
use vipd::config::checks::{
    Check, Command as Script, Endpoint, HaproxyCheck, HaproxyPage, HaproxyStats, HttpTarget,
    MaxLag, PatroniCheck, PatroniRole, PostgresCheck, ProxySide, RunAs, ScriptCheck, TcpCheck,
};
use vipd::lab::Node;
use vipd::lab::cluster::{API_PORT, SQL_PORT};
use vipd::lab::deadline::eventually;
use vipd::probe::resolve::Resolver;
use vipd::probe::{Probe, ProbeContext};
use vipd::track::outcome::{Cause, Outcome, Verdict};

use crate::cluster::cluster;
use crate::turns::{long, together};
use crate::{SOON, lab};

/// Runs checks on the host, in a runtime like that of the daemon.
fn on<T: Send + 'static>(
    node: &Node,
    work: impl AsyncFnOnce(ProbeContext) -> T + Send + 'static,
) -> T {
    // A thread of its own: the host's is inside a runtime already.
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async { Ok(work(ProbeContext::new(Resolver::default())?).await) })
    };
    node.inside("ask", || thread::spawn(run).join().unwrap()).unwrap()
}

fn ask_within(node: &Node, check: Check, timeout: Duration) -> Outcome {
    on(node, async move |context| Probe::new(&check, &context).run(timeout).await)
}

fn ask(node: &Node, check: Check) -> Outcome {
    ask_within(node, check, SOON)
}

#[track_caller]
fn failed(outcome: &Outcome, cause: Cause, said: &str) {
    assert_eq!(outcome.verdict, Verdict::Failed(cause), "{outcome:?}");
    assert!(outcome.detail.contains(said), "{outcome:?}");
}

/// A killed server's sockets take a moment to go.
#[track_caller]
fn comes_to(cause: Cause, ask: impl Fn() -> Outcome) {
    let look = || match ask() {
        outcome if outcome.verdict == Verdict::Failed(cause) => Ok(()),
        outcome => Err(format!("{outcome:?}")),
    };
    eventually(SOON, format!("a check to say: {cause}"), look).unwrap();
}

fn passed(outcome: &Outcome) -> Result<(), String> {
    if outcome.verdict == Verdict::Passed { Ok(()) } else { Err(format!("{outcome:?}")) }
}

fn endpoint(text: &str) -> Endpoint {
    Endpoint::parse(text, None).unwrap()
}

fn target(text: &str) -> HttpTarget {
    HttpTarget { endpoint: endpoint(text), tls: None, host: None, headers: Vec::new() }
}

fn script(text: &str, run_as: RunAs) -> Check {
    let words = ["-c".to_owned(), text.to_owned()];
    let command = Script::Argv { program: "/bin/sh".to_owned(), args: words.into() };
    Check::Script(ScriptCheck { command, run_as, security: true })
}

fn user(name: &str, group: Option<&str>) -> RunAs {
    RunAs::User { user: name.to_owned(), group: group.map(str::to_owned) }
}

#[test]
fn a_script_is_who_it_is_told_to_be_and_nothing_more() {
    let _turn = together();
    let lab = lab();
    let node = lab.node("lb-01").unwrap();
    let identity = |run_as| {
        let text = "id -u; id -g; id -G; echo $HOME $USER; grep -E '^Cap(Prm|Eff|Amb)' \
                    /proc/self/status | cut -f2";
        let outcome = ask(&node, script(text, run_as));
        passed(&outcome).unwrap();
        outcome.output.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let none = "0000000000000000";
    let account = User::from_name("daemon").unwrap().unwrap();
    let (uid, gid) = (account.uid.to_string(), account.gid.to_string());
    let home = format!("{} daemon", account.dir.display());
    let daemon = identity(user("daemon", None));
    assert_eq!(daemon, [&uid, &gid, &gid, &home, none, none, none]);
    let grouped = identity(user(&uid, Some("tty")));
    assert_eq!(grouped[..3], [uid, "5".to_owned(), "5".to_owned()]);
    let root = identity(RunAs::Default);
    assert_eq!(root[..3], ["0", "0", "0"]);
    assert_ne!(root[5], none, "root is root");
    assert_eq!(root[6], none);
}

#[test]
fn what_a_user_may_not_reach_is_named() {
    let _turn = together();
    let lab = lab();
    let node = lab.node("lb-01").unwrap();
    let dir = tempfile::tempdir_in("/run").unwrap();
    let path = dir.path().join("check.sh");
    fs::write(&path, "#!/bin/sh\nexit 0\n").unwrap();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let run = |run_as, security| {
        let command = Script::Argv { program: path.to_str().unwrap().to_owned(), args: Vec::new() };
        ask(&node, Check::Script(ScriptCheck { command, run_as, security }))
    };
    mode(&path, 0o755);
    mode(dir.path(), 0o700);
    let closed = format!("user nobody may not enter {}", dir.path().display());
    failed(&run(user("nobody", None), true), Cause::CannotRun, &closed);
    mode(dir.path(), 0o755);
    passed(&run(user("nobody", None), true)).unwrap();
    passed(&run(RunAs::Default, true)).unwrap();
    mode(&path, 0o700);
    let closed = format!("user nobody may not execute {}", path.display());
    failed(&run(user("nobody", None), true), Cause::CannotRun, &closed);

    // Whoever can write it can make root run anything.
    mode(&path, 0o757);
    let weak = format!("{0} is not run as root: {0} is writable by everyone", path.display());
    failed(&run(RunAs::Default, true), Cause::CannotRun, &weak);
    passed(&run(RunAs::Default, false)).unwrap();
    passed(&run(user("nobody", None), true)).unwrap();
}

#[test]
fn a_script_of_another_user_is_killed_as_well() {
    let _turn = together();
    let lab = lab();
    let node = lab.node("lb-01").unwrap();
    let check = script("trap '' TERM; sleep 6141 & sleep 6142; true", user("daemon", None));
    let outcome = on(&node, async move |context| {
        let outcome = Probe::new(&check, &context).run(Duration::from_millis(300)).await;
        let gone = || {
            let found = Command::new("pgrep").args(["-f", "^sleep 614"]).output();
            found.unwrap().stdout.is_empty()
        };
        let wait = move || eventually(Duration::from_secs(1), "the group to end", gone).unwrap();
        tokio::task::spawn_blocking(wait).await.unwrap();
        outcome
    });
    assert_eq!(outcome.verdict, Verdict::Failed(Cause::TimedOut));
}

#[test]
fn a_network_that_swallows_packets_is_not_one_that_refuses() {
    let _turn = together();
    let lab = lab();
    let (a, b) = (lab.node("lb-01").unwrap(), lab.node("web-01").unwrap());
    a.link("eth0", &["10.0.0.1/24"]).unwrap();
    b.link("eth0", &["10.0.0.2/24"]).unwrap();
    let tcp = |text: &str| Check::Tcp(TcpCheck { endpoint: endpoint(text), tls: None });
    let limit = Duration::from_millis(500);
    failed(&ask(&a, tcp("10.0.0.2:80")), Cause::Refused, "10.0.0.2:80");
    failed(
        &ask(&a, tcp("198.51.100.1:80")),
        Cause::Unreachable,
        "198.51.100.1:80: Network is unreach",
    );
    // Answers before the kernel has given up on finding the neighbour.
    let nobody = ask_within(&a, tcp("10.0.0.77:80"), limit);
    failed(&nobody, Cause::TimedOut, "no answer while connecting to 10.0.0.77:80");
    b.unplug().unwrap();
    let outcome = ask_within(&a, tcp("10.0.0.2:80"), limit);
    failed(&outcome, Cause::TimedOut, "no answer while connecting to 10.0.0.2:80");
    assert!(outcome.took >= limit && outcome.took < limit * 3, "{outcome:?}");
}

#[test]
fn a_real_haproxy_says_whether_it_serves() {
    let _turn = together();
    let lab = lab();
    let node = lab.node("lb-01").unwrap();
    node.link("eth0", &["10.0.0.1/24"]).unwrap();
    let socket = node.directory().unwrap().join("haproxy.sock");
    let text = format!(
        "global\n  stats socket {} level admin\n\
         defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n\
         frontend sql\n  bind 10.0.0.1:5000\n  default_backend nodes\n\
         backend nodes\n  server up 10.0.0.1:6000 check inter 50ms rise 1 fall 1\n  \
         server down 10.0.0.1:6001 check inter 50ms rise 1 fall 1\n\
         backend dead\n  server down 10.0.0.1:6001 check inter 50ms rise 1 fall 1\n\
         listen stub\n  bind 10.0.0.1:6000\n\
         listen stats\n  mode http\n  bind 10.0.0.1:8404\n  stats enable\n  stats uri /stats\n",
        socket.display()
    );
    let config = node.write_file("haproxy.cfg", &text).unwrap();
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(config);
    let haproxy = node.spawn(command).unwrap();

    let from_socket = || HaproxyStats::Socket(socket.clone());
    let page = HaproxyPage { target: target("10.0.0.1:8404"), path: "/stats".parse().unwrap() };
    let from_page = || HaproxyStats::Page(Box::new(page.clone()));
    let serves = |stats, proxy: &str, least| {
        let min_servers = NonZeroU32::new(least).unwrap();
        let check =
            HaproxyCheck { stats, proxy: proxy.to_owned(), side: ProxySide::Every, min_servers };
        ask(&node, Check::Haproxy(check))
    };
    // Servers count as up until their first check.
    let refused = || match serves(from_socket(), "dead", 1) {
        outcome if outcome.detail == "backend DOWN" => Ok(()),
        outcome => Err(format!("{outcome:?}; {}", haproxy.output())),
    };
    eventually(SOON, "HAProxy to find its server down", refused).unwrap();
    for stats in [&from_socket as &dyn Fn() -> HaproxyStats, &from_page] {
        failed(&serves(stats(), "dead", 1), Cause::WrongAnswer, "backend DOWN");
        passed(&serves(stats(), "sql", 1)).unwrap();
        let nodes = serves(stats(), "nodes", 1);
        assert_eq!((nodes.verdict, &*nodes.detail), (Verdict::Passed, "backend UP with 1 server"));
        failed(&serves(stats(), "nodes", 2), Cause::WrongAnswer, "with 1 server, fewer than 2");
        let stats = serves(stats(), "stats", 1);
        assert_eq!(stats.detail, "frontend OPEN, backend UP");
    }
    let mut control = UnixStream::connect(&socket).unwrap();
    control.write_all(b"disable frontend sql\n").unwrap();
    assert_eq!(std::io::read_to_string(control).unwrap().trim(), "");
    failed(&serves(from_socket(), "sql", 1), Cause::WrongAnswer, "frontend ");

    // It exists and answers nobody: what `killall -0` takes for health.
    haproxy.signal(Signal::SIGSTOP);
    let check = HaproxyCheck {
        stats: from_socket(),
        proxy: "nodes".to_owned(),
        side: ProxySide::Every,
        min_servers: NonZeroU32::MIN,
    };
    let outcome = ask_within(&node, Check::Haproxy(check), Duration::from_millis(300));
    failed(&outcome, Cause::TimedOut, "waiting for the answer of");
    haproxy.kill9();
    comes_to(Cause::Refused, || serves(from_page(), "nodes", 1));
    failed(&serves(from_socket(), "nodes", 1), Cause::Refused, "haproxy.sock");
}

#[test]
fn a_real_pgbouncer_answers_or_hangs() {
    let _turn = together();
    let lab = lab();
    let node = lab.node("lb-01").unwrap();
    node.link("eth0", &["10.0.0.1/24"]).unwrap();
    let text = "[databases]\n* = host=10.0.0.1\n[pgbouncer]\nlisten_addr = 10.0.0.1\n\
                listen_port = 6432\nunix_socket_dir =\nauth_type = any\n";
    let config = node.write_file("pgbouncer.ini", text).unwrap();
    let account = User::from_name("postgres").unwrap().unwrap();
    let mut command = Command::new("pgbouncer");
    command.arg(config).uid(account.uid.as_raw()).gid(account.gid.as_raw());
    for part in node.directory().unwrap().ancestors().take(2) {
        fs::set_permissions(part, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let pgbouncer = node.spawn(command).unwrap();
    let check = || {
        Check::Postgres(PostgresCheck {
            endpoint: endpoint("10.0.0.1:6432"),
            user: None,
            tls: None,
        })
    };
    let up = || match ask(&node, check()) {
        outcome if outcome.verdict == Verdict::Passed => Ok(outcome),
        outcome => Err(format!("{outcome:?}; {}", pgbouncer.output())),
    };
    assert_eq!(eventually(SOON, "PgBouncer", up).unwrap().detail, "answers, without TLS");
    pgbouncer.signal(Signal::SIGSTOP);
    let outcome = ask_within(&node, check(), Duration::from_millis(300));
    failed(&outcome, Cause::TimedOut, "waiting for the answer of 10.0.0.1:6432");
    pgbouncer.kill9();
    comes_to(Cause::Refused, || ask(&node, check()));
}

#[test]
fn a_real_patroni_cluster_tells_its_roles() {
    let _turn = long();
    let lab = lab();
    let cluster = cluster(&lab, 2);
    let dcs = cluster.etcd().node();
    let leader = cluster.wait_for_primary(None, Duration::from_secs(1)).unwrap();
    let other = cluster.members().iter().find(|m| m.address() != leader.address()).unwrap();
    let role = |address: Ipv4Addr, role| {
        let target = target(&format!("{address}:{API_PORT}"));
        ask(dcs, Check::Patroni(PatroniCheck { target, role, tags: Vec::new() }))
    };
    let answers = |address: Ipv4Addr| {
        let endpoint = endpoint(&format!("{address}:{SQL_PORT}"));
        ask(dcs, Check::Postgres(PostgresCheck { endpoint, user: None, tls: None }))
    };
    let lag = MaxLag { bytes: Some(100_000_000), time: Some(Duration::from_secs(3600)) };
    let (primary, replica, any) =
        (PatroniRole::Primary, PatroniRole::Replica(lag), PatroniRole::Any(lag));
    let asynchronous = PatroniRole::Async(MaxLag::default());

    for good in [primary, any] {
        passed(&role(leader.address(), good)).unwrap();
    }
    for good in [replica, any, asynchronous] {
        passed(&role(other.address(), good)).unwrap();
    }
    let wrong = role(other.address(), primary);
    failed(&wrong, Cause::WrongAnswer, "replica, running, not primary");
    for bad in [replica, PatroniRole::Sync, asynchronous, PatroniRole::StandbyLeader] {
        failed(&role(leader.address(), bad), Cause::WrongAnswer, ", running, not ");
    }
    failed(&role(other.address(), PatroniRole::Sync), Cause::WrongAnswer, "is not a synchronous");
    failed(&role(other.address(), PatroniRole::Quorum), Cause::WrongAnswer, "knows no quorum");
    for member in [leader, other] {
        passed(&answers(member.address())).unwrap();
    }

    // After a crash of PostgreSQL alone the leader keeps the lock and its 200.
    leader.signal_postmaster(Signal::SIGKILL).unwrap();
    let down = || match role(leader.address(), primary) {
        outcome if outcome.verdict == Verdict::Passed => Err("primary".to_owned()),
        outcome => Ok(outcome),
    };
    let outcome = eventually(SOON, "the check to notice", down).unwrap();
    // Patroni still calls it by the role it had, as a leader from the start or since an election.
    let had = ["master, ", "promoted, "];
    assert!(had.iter().any(|role| outcome.detail.starts_with(role)), "{outcome:?}");
    let (status, _) = leader.request("GET", "/primary", "", SOON).unwrap();
    assert_eq!(status, 200, "{outcome:?}");
    leader.signal_patroni(Signal::SIGSTOP);
    let hung = Check::Patroni(PatroniCheck {
        target: target(&format!("{}:{API_PORT}", leader.address())),
        role: primary,
        tags: Vec::new(),
    });
    let outcome = ask_within(dcs, hung, Duration::from_millis(300));
    failed(&outcome, Cause::TimedOut, "waiting for the answer of");
    leader.signal_patroni(Signal::SIGCONT);
}
