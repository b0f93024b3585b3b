//! Health of whole daemons: the exit status a monitoring system gets, and what load balancers are answered.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;

use vipd::lab::deadline::eventually;
use vipd::lab::fake_patroni::{FakePatroni, FakeRole};
use vipd::lab::{Exit, Finished, Node, Vipd};

use crate::SOON;
use crate::common::{await_state, binary, site, snapshot, start, web};
use crate::turns::together;

const SERVES: &str = "[cluster.pg]\nmembers = [\"10.0.0.21\"]\n\
                      [listener]\nwrite = { bind = \"*:5000\", role = \"writer\" }\n\
                      [page.health]\nbind = \"*:7000\"\n";

fn run(node: &Node, vipd: &Vipd, arguments: &[&str]) -> Finished {
    let mut command = Command::new(binary());
    command.args(arguments).arg("--run-dir").arg(vipd.run_dir());
    node.output(command, SOON).unwrap()
}

/// Waits until a check ends with this status and prints one line that begins so and contains that.
fn await_check(node: &Node, vipd: &Vipd, name: &[&str], code: i32, begins: &str, contains: &str) {
    let arguments = [&["status", "--check"], name].concat();
    eventually(SOON, format!("{begins} {contains} of {name:?}"), || {
        let done = run(node, vipd, &arguments);
        let line = &done.stdout;
        let right = line.starts_with(begins) && line.contains(contains);
        match right && done.exit == Exit::Code(code) && line.lines().count() == 1 {
            true => Ok(()),
            false => Err(format!("{done:?}\n{}", vipd.log())),
        }
    })
    .unwrap();
}

fn await_healthz(from: &Node, path: &str, status: &str) {
    let at = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 2), 7000));
    let path = path.to_owned();
    let status = status.to_owned();
    eventually(SOON, format!("{status} of {path}"), || {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let ask = move || -> std::io::Result<String> {
            let mut stream = TcpStream::connect_timeout(&at, SOON)?;
            stream.set_read_timeout(Some(SOON))?;
            stream.write_all(request.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = from.inside("ask", ask).map_err(|error| error.to_string())?;
        match answer.starts_with(&format!("HTTP/1.1 {status} ")) {
            true => Ok(()),
            false => Err(answer),
        }
    })
    .unwrap();
}

#[test]
fn a_check_ends_with_the_status_of_a_monitoring_plugin() {
    let _turn = together();
    let site = site();
    let db = site.lab.node("pg-01").unwrap();
    db.link("eth0", &["10.0.0.21/24"]).unwrap();
    let server = FakePatroni::start(&db, Ipv4Addr::new(10, 0, 0, 21)).unwrap();
    server.set_role(FakeRole::Primary(2)).unwrap();
    let config = |priority| format!("{}{SERVES}", web(priority, ""));
    let a = start(&site.a, &config(150));
    await_state(&a, "master");
    let check = |name: &[&str], code, begins, contains| {
        await_check(&site.a, &a, name, code, begins, contains);
    };
    check(&[], 0, "OK: ", "is MASTER for 10.0.0.100; writers go to ");
    check(&["web"], 0, "OK: web is MASTER for 10.0.0.100", "");
    check(&["write"], 0, "OK: write goes to ", "");
    check(&["cluster/pg"], 0, "OK: pg: ", "is the primary");
    await_healthz(&site.client, "/healthz", "200");
    await_healthz(&site.client, "/healthz?master=web&listener=write", "200");
    assert_eq!(snapshot(&a)["health"]["status"], "ok");

    // No primary: for whoever writes, and for the node; the router is well.
    server.set_role(FakeRole::Replica(2)).unwrap();
    check(&[], 2, "CRITICAL: writers wait: ", "is MASTER for 10.0.0.100");
    check(&["write"], 2, "CRITICAL: writers wait: ", "");
    check(&["web"], 0, "OK: web is MASTER", "");
    await_healthz(&site.client, "/healthz", "503");
    await_healthz(&site.client, "/healthz?listener=write", "503");
    await_healthz(&site.client, "/healthz?master=web", "200");
    assert_eq!(snapshot(&a)["health"]["reasons"][0]["code"], "no-primary");
    server.set_role(FakeRole::Primary(3)).unwrap();
    check(&[], 0, "OK: ", "writers go to ");

    // Out of service by the operator: the other one serves, alone.
    let b = start(&site.b, &config(100));
    await_state(&b, "backup");
    let drained = run(&site.a, &a, &["drain"]);
    assert_eq!(drained.exit, Exit::Code(0), "{drained:?}");
    check(&[], 1, "WARNING: web is DRAINED, 10.0.0.3 serves 10.0.0.100", "");
    await_healthz(&site.client, "/healthz", "503");
    await_healthz(&site.client, "/healthz?master=web", "503");
    await_check(&site.b, &b, &[], 0, "OK: ", "is MASTER for 10.0.0.100");
    run(&site.a, &a, &["resume"]);
    check(&["web"], 0, "OK: web is MASTER", "");

    // What is not known.
    check(&["nobody"], 3, "UNKNOWN: ", "is called \"nobody\"; there are: web, write, pg");
    a.kill9();
    check(&[], 3, "UNKNOWN: ", "has died");
}

#[test]
fn what_keeps_a_node_from_serving_is_named_once_and_first() {
    let _turn = together();
    let site = site();
    let config = format!("[global]\nrouter_id = \"lb-01\"\n{}", web(150, ""));
    let a = start(&site.a, &config);
    await_state(&a, "master");
    // What runs is not the file any more.
    a.reload("[vrrp.web]\nnonsense = 1\n").unwrap();
    let refused = "WARNING: the last reload was refused, the old configuration runs on: ";
    await_check(&site.a, &a, &[], 1, refused, "; lb-01 is MASTER for 10.0.0.100");
    await_check(&site.a, &a, &["web"], 0, "OK: web is MASTER", "");
    a.reload(&config).unwrap();
    await_check(&site.a, &a, &[], 0, "OK: lb-01 is MASTER for 10.0.0.100", "");

    site.a.set_down("eth0").unwrap();
    let fault = "interface eth0 is down or has no carrier: web in FAULT, nobody is known to serve";
    await_check(&site.a, &a, &[], 2, &format!("CRITICAL: lb-01: {fault} 10.0.0.100"), "");
    let shown = run(&site.a, &a, &["status"]).stdout;
    assert!(shown.starts_with(&format!("CRITICAL: lb-01: {fault}")), "{shown}");
    assert!(!shown.contains('\x1b'), "{shown:?}");
    assert_eq!(snapshot(&a)["health"]["reasons"][0]["code"], "router-fault");
    assert_eq!(snapshot(&a)["health"]["reasons"][0]["about"][0]["name"], "web");
}
