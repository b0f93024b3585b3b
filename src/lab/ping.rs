//! A client that pings an address all the time and knows when it was out of reach, and from whom
//! the answers came.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, Socket, Type};

use super::decode::{Decoded, decode};
use super::error::{Error, Result};
use super::node::Node;
use super::raw::checksum;
use super::{Stamp, lock};
use crate::sys::frames::FrameSocket;
use crate::sys::realtime::prefer_this_thread;
use crate::types::Mac;

/// Time between two probes.
pub const INTERVAL: Duration = Duration::from_millis(2);

/// An answer that comes later than this is nobody's: its sequence number may be in use again.
const TOO_LATE: Duration = Duration::from_secs(10);

/// A client pinging one address; dropping it ends it.
#[derive(Debug)]
pub struct Pinger {
    target: IpAddr,
    state: Arc<Mutex<Record>>,
    /// Closing this end ends the thread.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

/// An answered probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When the probe was sent.
    pub sent: Stamp,
    /// When the kernel received the answer.
    pub at: Stamp,
    /// The Ethernet address it came from: which router has the virtual address.
    pub from: Mac,
}

/// A time in which nothing was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The last answer before.
    pub from: Stamp,
    /// Who gave it.
    pub before: Mac,
    /// The first answer after, and who gave it; `None` while it lasts.
    pub to: Option<(Stamp, Mac)>,
    /// Until the next answer, or until now: from the answer before, or from one interval before the
    /// first probe that had to wait, whichever is later. While the client itself did not ask,
    /// because its host gave it no processor, nothing was out.
    pub length: Duration,
}

/// Everything a pinger has seen, copied at one moment.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Probes sent, those the host could not even send included.
    pub sent: u64,
    /// Probes the host refused to send: no route, no neighbour, interface down.
    pub refused: u64,
    /// When each of them was sent.
    pub probes: Vec<Stamp>,
    /// The answers in the order they came.
    pub answers: Vec<Answer>,
    /// Time between two probes.
    pub interval: Duration,
    /// When the record was copied.
    pub taken: Stamp,
}

impl Pinger {
    /// Pings `target` from `node` every 2 ms.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the host cannot open the sockets.
    pub fn start(node: &Node, target: IpAddr) -> Result<Pinger> {
        Pinger::start_every(node, target, INTERVAL)
    }

    /// Pings `target` from `node` every `interval`. Routing and neighbour resolution are the
    /// host's own, so a stale ARP entry counts as the outage it is.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the host cannot open the sockets.
    pub fn start_every(node: &Node, target: IpAddr, interval: Duration) -> Result<Pinger> {
        let (sender, receiver) = node
            .inside(format!("ping {target}"), move || Ok((sender(target)?, receiver(target)?)))?;
        let failed = |source| Error::Kernel {
            place: node.name().to_owned(),
            what: format!("ping {target}"),
            source,
        };
        let (stop, stopped) = UnixStream::pair().map_err(failed)?;
        let state = Arc::new(Mutex::new(Record { interval, ..Record::default() }));
        let mut client = Client {
            target,
            // Only its own host's answers arrive here: the number need not be unique beyond it.
            id: next_id(),
            interval,
            sender,
            receiver,
            stopped,
            state: Arc::clone(&state),
            waiting: BTreeMap::new(),
        };
        let thread = thread::Builder::new()
            .name("lab:ping".into())
            .spawn(move || {
                // A probe that waits for a processor would count as an outage. Where this is not
                // permitted, it does.
                let _ = prefer_this_thread(1);
                client.run();
            })
            .map_err(failed)?;
        Ok(Pinger { target, state, stop: Some(stop), thread: Some(thread) })
    }

    /// The address pinged.
    #[must_use]
    pub fn target(&self) -> IpAddr {
        self.target
    }

    /// Everything so far.
    #[must_use]
    pub fn record(&self) -> Record {
        Record { taken: Stamp::now(), ..lock(&self.state).clone() }
    }

    /// Probes sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        lock(&self.state).sent
    }

    /// Probes answered so far.
    #[must_use]
    pub fn received(&self) -> usize {
        lock(&self.state).answers.len()
    }

    /// The latest answer: how old it is tells whether the address is reachable.
    #[must_use]
    pub fn last(&self) -> Option<Answer> {
        lock(&self.state).answers.last().copied()
    }
}

impl Drop for Pinger {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has printed why.
            drop(thread.join());
        }
    }
}

impl Record {
    /// The times without an answer longer than `threshold`, the first answer being the start.
    #[must_use]
    pub fn outages(&self, threshold: Duration) -> Vec<Outage> {
        let ends = self.answers.iter().skip(1).map(Some).chain([None]);
        let gaps = self.answers.iter().zip(ends).map(|(last, next)| {
            let end = next.map_or(self.taken, |answer| answer.at);
            // If it was sent long after the last answer, all before it was the client's own pause.
            let asked = self.asked_after(last.sent).unwrap_or(end);
            Outage {
                from: last.at,
                before: last.from,
                to: next.map(|answer| (answer.at, answer.from)),
                length: end.since(last.at).min(end.since(asked) + self.interval),
            }
        });
        gaps.filter(|gap| gap.length > threshold).collect()
    }

    /// When the first probe after `sent` was sent.
    fn asked_after(&self, sent: Stamp) -> Option<Stamp> {
        let next = self.probes.partition_point(|probe| *probe <= sent);
        self.probes.get(next).copied()
    }

    /// The longest time without an answer.
    #[must_use]
    pub fn longest_outage(&self) -> Option<Outage> {
        self.outages(Duration::ZERO).into_iter().max_by_key(|gap| gap.length)
    }

    /// The longest time without an answer that touches the window from `from` to `to`.
    #[must_use]
    pub fn longest_outage_in(&self, from: Stamp, to: Stamp) -> Option<Outage> {
        let end = |gap: &Outage| gap.to.map_or(self.taken, |(at, _)| at);
        let gaps = self.outages(Duration::ZERO).into_iter();
        gaps.filter(|gap| gap.from <= to && end(gap) >= from).max_by_key(|gap| gap.length)
    }

    /// The probes sent from `from` to `to`, `to` excluded, that were not answered by now.
    #[must_use]
    pub fn lost_in(&self, from: Stamp, to: Stamp) -> usize {
        let within = |sent: &Stamp| (from..to).contains(sent);
        let sent = self.probes.iter().filter(|sent| within(sent)).count();
        let answered = self.answers.iter().filter(|answer| within(&answer.sent)).count();
        sent.saturating_sub(answered)
    }
}

struct Client {
    target: IpAddr,
    id: u16,
    interval: Duration,
    sender: Socket,
    receiver: FrameSocket,
    stopped: UnixStream,
    state: Arc<Mutex<Record>>,
    /// Unanswered probes by sequence number.
    waiting: BTreeMap<u16, Stamp>,
}

impl Client {
    fn run(&mut self) {
        let mut buffer = [0; 256];
        let mut sequence = 0_u16;
        let mut next = Instant::now();
        loop {
            let wait = next.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                self.send(sequence);
                sequence = sequence.wrapping_add(1);
                // After a pause of the machine the missed probes are not made up for.
                next = (next + self.interval).max(Instant::now());
                continue;
            }
            let mut ready = [
                PollFd::new(self.receiver.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.stopped.as_fd(), PollFlags::POLLIN),
            ];
            // Only EINTR can happen, and then the next round polls again.
            let _ = ppoll(&mut ready, Some(TimeSpec::from(wait)), None);
            let [_, stop] = &ready;
            if stop.any().unwrap_or(false) {
                return;
            }
            while let Ok(Some(received)) = self.receiver.receive(&mut buffer) {
                let frame = buffer.get(..received.length).unwrap_or_default();
                self.received(frame, Stamp::from_epoch(received.at));
            }
        }
    }

    fn send(&mut self, sequence: u16) {
        let now = Stamp::now();
        let probe = request(self.target, self.id, sequence);
        let outcome = self.sender.send_to(&probe, &SocketAddr::new(self.target, 0).into());
        self.waiting.insert(sequence, now);
        let mut state = lock(&self.state);
        state.sent += 1;
        state.probes.push(now);
        if outcome.is_err() {
            state.refused += 1;
        }
    }

    fn received(&mut self, frame: &[u8], at: Stamp) {
        let Decoded::Echo(echo) = decode(frame) else { return };
        if !echo.reply || echo.id != self.id || echo.source != self.target {
            return;
        }
        let Some(sent) = self.waiting.remove(&echo.sequence) else { return };
        if at.since(sent) < TOO_LATE {
            lock(&self.state).answers.push(Answer { sent, at, from: echo.source_mac });
        }
    }
}

fn sender(target: IpAddr) -> std::io::Result<Socket> {
    let (domain, protocol) = match target {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn receiver(target: IpAddr) -> std::io::Result<FrameSocket> {
    FrameSocket::receiving(if target.is_ipv4() { 0x0800 } else { 0x86dd })
}

/// An echo request (RFC 792, RFC 4443 section 4.1). The kernel fills in ICMPv6's checksum.
fn request(target: IpAddr, id: u16, sequence: u16) -> [u8; 8] {
    let kind = if target.is_ipv4() { 8 } else { 128 };
    let ([i, d], [s, n]) = (id.to_be_bytes(), sequence.to_be_bytes());
    let [high, low] = if target.is_ipv4() {
        checksum(&[kind, 0, 0, 0, i, d, s, n]).to_be_bytes()
    } else {
        [0, 0]
    };
    [kind, 0, high, low, i, d, s, n]
}

fn next_id() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outages_are_the_gaps_between_answers_and_the_last_one_may_be_open() {
        let at = |ms| Stamp::from_epoch(Duration::from_millis(ms));
        let (one, two) = (Mac([1; 6]), Mac([2; 6]));
        let answer = |ms, from| Answer { sent: at(ms), at: at(ms), from };
        let record = Record {
            sent: 9,
            refused: 0,
            probes: [10, 12, 14, 512, 514, 516].map(at).to_vec(),
            answers: vec![answer(10, one), answer(12, one), answer(512, two), answer(514, two)],
            interval: Duration::from_millis(2),
            taken: at(1514),
        };
        let outages = record.outages(Duration::from_millis(100));
        let change = Outage {
            from: at(12),
            before: one,
            to: Some((at(512), two)),
            length: Duration::from_millis(500),
        };
        let open = Outage { from: at(514), before: two, to: None, length: Duration::from_secs(1) };
        assert_eq!(outages, [change, open]);
        assert_eq!(record.longest_outage(), Some(open));
        assert_eq!(record.longest_outage_in(at(100), at(513)), Some(change));
        assert_eq!(Record::default().longest_outage(), None);
        assert_eq!(record.lost_in(at(10), at(516)), 1);
        assert_eq!(record.lost_in(at(10), at(517)), 2);
        assert_eq!(record.lost_in(at(512), at(516)), 0);
    }

    #[test]
    fn a_pause_of_the_client_is_no_outage() {
        let at = |ms| Stamp::from_epoch(Duration::from_millis(ms));
        let answer = |sent, arrived| Answer { sent: at(sent), at: at(arrived), from: Mac([1; 6]) };
        let record = Record {
            probes: [10, 40, 42, 44].map(at).to_vec(),
            answers: vec![answer(10, 10), answer(40, 49), answer(42, 49), answer(44, 49)],
            interval: Duration::from_millis(2),
            taken: at(50),
            ..Record::default()
        };
        let lengths = record.outages(Duration::ZERO);
        let lengths: Vec<u128> = lengths.iter().map(|o| o.length.as_millis()).collect();
        assert_eq!(lengths, [11, 1], "from 38 ms, an interval before the first that waited");
    }
}
