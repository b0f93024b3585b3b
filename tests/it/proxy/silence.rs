//! Peers that do not read, where there is a limit to how long they may be silent.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use vipd::config::ListenerProtocol;

use super::bench::*;

const LIMIT: Duration = Duration::from_secs(1);

/// More than all buffers on the way hold.
const MUCH: usize = 64 << 20;

/// Reads nothing until the sender has been at a standstill for longer than it takes to be given up.
fn reads_late(mut stream: TcpStream) -> usize {
    thread::sleep(LIMIT * 5);
    let mut count = 0;
    let mut buffer = vec![0; 1 << 20];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        count += read;
    }
    count
}

#[test]
fn who_answers_window_probes_and_does_not_read_keeps_the_session() {
    for splice in [COPY, SPLICE] {
        let mut settings = listener(ListenerProtocol::Tcp);
        settings.client.tcp_user_timeout = Some(LIMIT);
        settings.server.tcp_user_timeout = Some(LIMIT);
        let (server, address) = listen();
        let bench = Bench::new(settings, splice, &[address]);
        let all = vec![7; MUCH];
        let ((to_server, from_client), (from_server, to_client)) =
            (session(&bench, &server), session(&bench, &server));
        thread::scope(|scope| {
            for mut sender in [to_server, to_client] {
                let all = &all;
                scope.spawn(move || sender.write_all(all).unwrap());
            }
            let readers =
                [from_client, from_server].map(|reader| scope.spawn(|| reads_late(reader)));
            for reader in readers {
                assert_eq!(reader.join().unwrap(), MUCH);
            }
        });
    }
}
