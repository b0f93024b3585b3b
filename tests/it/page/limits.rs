//! Limits that clients run into, as the page, the status and the log of a whole daemon have them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use serde_json::Value;
use socket2::{Domain, Socket, Type};
use vipd::lab::deadline::eventually;

use super::served::{SOON, connect};
use crate::unprivileged::Vipd;

/// A server that answers each byte with itself, and a vipd in front of it that shows a page.
fn in_front_of_a_server(limits: &str) -> Vipd {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut byte = [0];
                while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
            });
        }
    });
    let vipd = Vipd::start(&format!(
        "listen pg\n mode tcp\n timeout connect 4s\n bind HOST:5000\n{limits} \
         server a {server}\nlisten stats\n mode http\n bind HOST:7000\n stats uri /\n"
    ));
    vipd.get(7000, "/", 200);
    vipd
}

fn served(at: SocketAddr) -> TcpStream {
    let ask = || {
        let mut stream = connect(at)?;
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0]).map(|()| stream)
    };
    eventually(SOON, "an answer", ask).unwrap()
}

/// Waits until the page says `text`, and whether clients wait: yellow, and the listener red.
fn await_page(vipd: &Vipd, text: &str, wait: bool) {
    eventually(SOON, format!("{text:?} on the page"), || {
        let page = vipd.get(7000, "/", 200).body;
        let (heading, cell) = match wait {
            true => ("<h1 class=odd>", "<td data-label=\"Now goes to\" class=\"bad\">a</td>"),
            false => ("<h1 class=good>", "<td data-label=\"Now goes to\" class=\"good\">a</td>"),
        };
        let right = page.contains(text) && page.contains(heading) && page.contains(cell);
        if right { Ok(()) } else { Err(format!("{page}\n{}", vipd.log())) }
    })
    .unwrap();
}

#[test]
fn a_full_listener_is_red_on_the_page_and_one_line_of_the_log() {
    let vipd = in_front_of_a_server(" maxconn 2\n");
    let at = vipd.at(5000);
    let mut sessions = vec![served(at), served(at)];
    let waiting: Vec<TcpStream> = (0..3).map(|_| connect(at).unwrap()).collect();
    let reached = "maxconn (2) is reached, 3 clients wait: raise maxconn";
    await_page(&vipd, &format!("pg: {reached}"), true);
    let status = vipd.command(&["status"]);
    assert!(status.contains(reached), "{status}");
    // Looked at every second, it is told of once.
    assert_eq!(vipd.log().matches("maxconn (2) is reached").count(), 1, "{}", vipd.log());
    assert!(vipd.log().contains(" WARN  pg: maxconn (2) is reached"), "{}", vipd.log());

    drop(waiting);
    sessions.clear();
    await_page(&vipd, "<li>maxconn (2) was reached: raise maxconn</li>", false);
    assert_eq!(vipd.log().matches("maxconn (2)").count(), 1, "{}", vipd.log());
}

#[test]
fn attempts_that_a_full_accept_queue_drops_are_counted() {
    let vipd = in_front_of_a_server(" maxconn 1\n backlog 1\n");
    let _session = served(vipd.at(5000));
    // Each worker has a queue, and one connection more than its length fits.
    let knocking: Vec<Socket> = (0..64)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&vipd.at(5000).into());
            socket
        })
        .collect();
    await_page(&vipd, "the accept queue (1) ", true);
    let status: Value = serde_json::from_str(&vipd.command(&["status", "--json"])).unwrap();
    let limits = status["listeners"][0]["traffic"]["limits"].as_array().unwrap();
    let backlog = limits.iter().find(|limit| limit["limit"] == "backlog").unwrap();
    assert_eq!((&backlog["most"], &backlog["raise"]), (&1.into(), &"backlog".into()));
    let dropped = backlog["refused"].as_u64().unwrap();
    assert!(dropped > 0, "{backlog}");
    let log = vipd.log();
    let line = log.lines().find(|line| line.contains("the accept queue (1) is full")).unwrap();
    assert!(line.contains("WARN  pg: ") && line.contains("dropped"), "{line}");
    let page = vipd.get(7000, "/", 200).body;
    assert!(page.contains("to connect were dropped"), "{page}");
    drop(knocking);
}
