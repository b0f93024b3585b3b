//! What checks cost: a thousand built-in HTTP checks a second beside twenty `curl` scripts a second,
//! in CPU time of vipd's side. The server they ask is a process of its own and does not count.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::num::NonZeroU16;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use vipd::config::checks::{
    Check, Command as Script, Endpoint, Host, HttpCheck, HttpTarget, RunAs, ScriptCheck, Statuses,
};
use vipd::probe::resolve::Resolver;
use vipd::probe::{Probe, ProbeContext};
use vipd::track::outcome::Verdict;

/// How long each side runs.
const MEASURED: Duration = Duration::from_secs(10);

/// Every check runs once in this time.
const INTERVAL: Duration = Duration::from_secs(1);

const BUILT_IN: u32 = 1000;
const SCRIPTS: u32 = 20;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if std::env::args().nth(1).as_deref() == Some("serve") {
        runtime.block_on(serve());
        return ExitCode::SUCCESS;
    }
    let (mut server, port) = start_server();
    let (built_in, scripts) = runtime.block_on(async {
        (measure(BUILT_IN, &http(port)).await, measure(SCRIPTS, &curl(port)).await)
    });
    server.kill().unwrap();
    server.wait().unwrap();
    println!("{BUILT_IN:>5} built-in HTTP checks a second: {built_in}");
    println!("{SCRIPTS:>5} curl scripts a second:         {scripts}");
    let factor = f64::from(BUILT_IN) / f64::from(SCRIPTS) * scripts.cpu / built_in.cpu;
    println!("one curl script costs as much as {factor:.0} built-in checks");
    let complete = built_in.failed == 0 && scripts.failed == 0;
    if complete && built_in.cpu < scripts.cpu { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Cost {
    /// Seconds of CPU time per second.
    cpu: f64,
    passed: u32,
    failed: u32,
    /// Of an answer.
    slowest: Duration,
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Cost { cpu, passed, failed, slowest } = self;
        let (ms, slowest) = (cpu * 1000.0, slowest.as_secs_f64() * 1000.0);
        write!(f, "{ms:6.1} ms CPU; {passed} passed, {failed} failed, slowest {slowest:.1} ms")
    }
}

async fn measure(count: u32, check: &Check) -> Cost {
    let context = ProbeContext::new(Resolver::default()).unwrap();
    let mut tasks = JoinSet::new();
    let (began, before) = (Instant::now(), cpu());
    for n in 0..count {
        let mut probe = Probe::new(check, &context);
        tasks.spawn(async move {
            tokio::time::sleep(INTERVAL * n / count).await;
            let mut ticks = tokio::time::interval(INTERVAL);
            let (mut passed, mut failed, mut slowest) = (0, 0, Duration::ZERO);
            while began.elapsed() + INTERVAL / 2 < MEASURED {
                ticks.tick().await;
                let outcome = probe.run(INTERVAL).await;
                slowest = slowest.max(outcome.took);
                if outcome.verdict == Verdict::Passed { passed += 1 } else { failed += 1 }
            }
            (passed, failed, slowest)
        });
    }
    let mut cost = Cost { cpu: 0.0, passed: 0, failed: 0, slowest: Duration::ZERO };
    for (passed, failed, slowest) in tasks.join_all().await {
        cost.passed += passed;
        cost.failed += failed;
        cost.slowest = cost.slowest.max(slowest);
    }
    cost.cpu = (cpu() - before).as_secs_f64() / began.elapsed().as_secs_f64();
    cost
}

/// Of this process and of those it has waited for.
fn cpu() -> Duration {
    let of = |who| {
        let usage = getrusage(who).unwrap();
        [usage.user_time(), usage.system_time()]
    };
    let times = [of(UsageWho::RUSAGE_SELF), of(UsageWho::RUSAGE_CHILDREN)].concat();
    let micros = times.iter().map(|time| time.tv_sec() * 1_000_000 + time.tv_usec());
    Duration::from_micros(micros.map(|micros| u64::try_from(micros).unwrap()).sum())
}

fn http(port: NonZeroU16) -> Check {
    let endpoint = Endpoint { host: "127.0.0.1".parse::<Host>().unwrap(), port };
    Check::Http(HttpCheck {
        target: HttpTarget { endpoint, tls: None, host: None, headers: Vec::new() },
        method: http::Method::GET,
        path: "/health".parse().unwrap(),
        expect: Statuses::default(),
        body_contains: Some("ok".to_owned()),
    })
}

fn curl(port: NonZeroU16) -> Check {
    let args = ["-fsS", "-o", "/dev/null", &format!("http://127.0.0.1:{port}/health")];
    let args = args.iter().map(|&arg| arg.to_owned()).collect();
    Check::Script(ScriptCheck {
        command: Script::Argv { program: "/usr/bin/curl".to_owned(), args },
        run_as: RunAs::Default,
        security: false,
    })
}

fn start_server() -> (Child, NonZeroU16) {
    let own = std::env::current_exe().unwrap();
    let mut server = Command::new(own).arg("serve").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (server, line.trim().parse().unwrap())
}

async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(ANSWER).await;
        });
    }
}
