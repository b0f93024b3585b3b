//! Clients that go on while the balancers behind the address change.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use vipd::lab::deadline::eventually;
use vipd::lab::{Node, Stamp};

use super::VIP;
use crate::SOON;
use crate::common::pass;

/// A server that answers each byte with another.
pub(super) fn serve(node: &Node) {
    let at = SocketAddr::from(([10, 0, 0, 21], 7000));
    let listener = node.inside("listen", move || TcpListener::bind(at)).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut byte = [0];
                while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
            });
        }
    });
}

/// Clients that never stop: one that opens a connection for each request, and one session.
pub(super) struct Load {
    over: Arc<AtomicBool>,
    served: Arc<AtomicU32>,
    pub(super) failed: Arc<Mutex<Vec<String>>>,
    /// Answers within the session.
    answered: Arc<AtomicU32>,
    ended: Arc<AtomicU32>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub(super) fn start(short: &Node, long: &Node) -> Load {
        let mut load = Load {
            over: Arc::default(),
            served: Arc::default(),
            failed: Arc::default(),
            answered: Arc::default(),
            ended: Arc::default(),
            threads: Vec::new(),
        };
        let (over, served, failed) =
            (Arc::clone(&load.over), Arc::clone(&load.served), Arc::clone(&load.failed));
        let node = short.clone();
        load.threads.push(thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let from = Stamp::now();
                match connect(&node).and_then(|mut stream| ask(&mut stream)) {
                    Ok(()) => drop(served.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => {
                        let text = format!("{error} after {:?}", Stamp::now().since(from));
                        failed.lock().unwrap().push(text);
                    }
                }
                pass(Duration::from_millis(20));
            }
        }));
        let (over, answered, ended) =
            (Arc::clone(&load.over), Arc::clone(&load.answered), Arc::clone(&load.ended));
        let node = long.clone();
        load.threads.push(thread::spawn(move || {
            let mut session: Option<TcpStream> = None;
            while !over.load(Ordering::Relaxed) {
                let Some(stream) = &mut session else {
                    session = connect(&node).ok();
                    continue;
                };
                if ask(stream).is_ok() {
                    answered.fetch_add(1, Ordering::Relaxed);
                } else {
                    ended.fetch_add(1, Ordering::Relaxed);
                    session = None;
                }
                pass(Duration::from_millis(50));
            }
        }));
        load
    }

    /// Waits until requests are answered again, and the session lives or there is another.
    pub(super) fn settle(&self) {
        let count =
            || [&self.served, &self.answered].map(|counter| counter.load(Ordering::Relaxed));
        let before = count();
        let look = || {
            let now = count();
            let goes_on = now.iter().zip(before).all(|(now, before)| *now > before + 5);
            if goes_on { Ok(()) } else { Err(self.failed.lock().unwrap().join("\n")) }
        };
        eventually(SOON, "answers", look).unwrap();
    }

    pub(super) fn count(&self) -> (usize, u32) {
        (self.failed.lock().unwrap().len(), self.ended.load(Ordering::Relaxed))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn connect(node: &Node) -> std::io::Result<TcpStream> {
    let at = SocketAddr::from((VIP, 5000));
    let connect = move || TcpStream::connect_timeout(&at, Duration::from_secs(5));
    let stream = node.inside("connect", connect).map_err(std::io::Error::other)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(stream)
}

fn ask(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"x")?;
    stream.read_exact(&mut [0])
}
