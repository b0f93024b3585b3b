//! Clients and servers that do anything at any time, while the primary keeps changing: whatever
//! they do, nothing is left behind and nobody is left waiting.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use vipd::config::ListenerProtocol;
use vipd::pool::{Admission, Role, Wants};

use super::bench::*;
use super::postgres::{SSL_REQUEST, read_message, startup};

const CLIENTS: u64 = 6;
const CONNECTIONS: u64 = 60;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % sides
    }
}

/// A server whose behaviour depends on the client's name.
fn moody(name: u8) -> SocketAddr {
    serve(move |mut stream| {
        let mut dice = Dice(u64::from(name));
        while let Some(message) = read_message(&mut stream) {
            dice.0 ^= message.iter().map(|byte| u64::from(*byte)).sum::<u64>();
            if message == SSL_REQUEST {
                let _ = stream.write_all(b"N");
                continue;
            }
            match dice.roll(8) {
                0 => return reset(stream),
                1 => return,
                2 => {
                    let refusal = b"E\0\0\0\x17SFATAL\0C57P03\0Mno\0\0";
                    let _ = stream.write_all(refusal);
                    return;
                }
                3 => thread::sleep(Duration::from_millis(20)),
                _ => {}
            }
            let _ = stream.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I");
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..count]).is_err() {
                    return;
                }
                if dice.roll(50) == 0 {
                    return reset(stream);
                }
            }
            return;
        }
    })
}

fn client(address: SocketAddr, dice: &mut Dice) {
    let mut stream = connect(address);
    if dice.roll(3) == 0 {
        let _ = stream.write_all(&SSL_REQUEST);
        let _ = stream.read(&mut [0]);
    }
    let name = dice.roll(1 << 30).to_string();
    let message = startup(&name);
    match dice.roll(12) {
        0 => return,
        1 => return reset(stream),
        2 => {
            let _ = stream.write_all(&message[..6]);
            return;
        }
        3 => {
            let _ = stream.write_all(&message);
            return reset(stream);
        }
        _ => {
            let _ = stream.write_all(&message);
        }
    }
    for _ in 0..dice.roll(6) {
        let size = [1, 100, 70_000, 600_000][usize::try_from(dice.roll(4)).unwrap()];
        let mut out: TcpStream = stream.try_clone().unwrap();
        let sender = thread::spawn(move || out.write_all(&vec![7; size]).is_ok());
        let mut left = size;
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            let got = stream.read(&mut buffer);
            if let Err(error) = &got {
                assert_ne!(error.kind(), ErrorKind::WouldBlock, "left waiting for an answer");
            }
            let Ok(count @ 1..) = got else {
                let _ = sender.join();
                return;
            };
            left = left.saturating_sub(count);
        }
        sender.join().unwrap();
    }
    match dice.roll(3) {
        0 => reset(stream),
        1 => {
            let _ = stream.shutdown(Shutdown::Write);
            let mut rest = Vec::new();
            let error = stream.read_to_end(&mut rest).err().map(|error| error.kind());
            assert_ne!(error, Some(ErrorKind::WouldBlock), "left waiting for the end");
        }
        _ => {}
    }
}

#[test]
fn whatever_clients_and_servers_do_nothing_is_left_behind() {
    for (seed, splice) in [(1, SPLICE), (2, ONE_PAGE), (3, COPY)] {
        let mut settings = listener(ListenerProtocol::Postgres);
        // Primaries come and go within some 30 ms: who waits as long as this on a busy machine, waits
        // in vain.
        settings.options.queue_timeout = Duration::from_secs(2);
        settings.options.queue_timeout_full = settings.options.queue_timeout;
        settings.options.startup_timeout = Duration::from_secs(2);
        let mut bench = Bench::new(settings, splice, &[moody(1), moody(2)]);
        bench.view.wants = Wants::Writer;
        let address = bench.address;
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    scope.spawn(move || {
                        let mut dice = Dice(seed * 1000 + number);
                        (0..CONNECTIONS).for_each(|_| client(address, &mut dice));
                    })
                })
                .collect();
            scope.spawn(|| {
                // A client that fails shows as such, and not as one that goes on for ever.
                let failed = clients.into_iter().filter_map(|client| client.join().err()).count();
                over.store(true, Ordering::Release);
                assert_eq!(failed, 0, "seed {seed}");
            });
            let mut dice = Dice(seed);
            while !over.load(Ordering::Acquire) {
                let primary = usize::try_from(dice.roll(3)).unwrap();
                for (number, server) in bench.view.servers.iter_mut().enumerate() {
                    server.role = if number == primary { Role::Primary } else { Role::Replica };
                    server.admission = match dice.roll(8) {
                        0 => Admission::Down("dice".into()),
                        1 => Admission::Drain("dice".into()),
                        _ => Admission::Up,
                    };
                }
                bench.publish();
                thread::sleep(Duration::from_millis(dice.roll(30)));
            }
        });
        bench.wait_for("everyone has left", |state| state.connections == 0 && state.waiting == 0);
        let left: u32 = bench.proxy.servers().map(|server| server.sessions).sum();
        assert_eq!(left, 0, "seed {seed}");
        let counters = bench.state().counters;
        assert_eq!(counters.accepted, CLIENTS * CONNECTIONS, "seed {seed}");
        assert!(counters.sessions > 50, "seed {seed}: {counters:?}");
    }
}
