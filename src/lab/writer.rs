//! A client that writes to PostgreSQL, or reads from it, all the time, connects again at once when it
//! has to, and knows when it could not.

use std::fmt;
use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::error::Result;
use super::node::Node;
use super::{Stamp, lock};

/// Time between two rows, and between two attempts that failed.
const PAUSE: Duration = Duration::from_millis(5);

/// How long a connection or an answer may take, unless it is said otherwise: the shortest
/// `connect_timeout` libpq has.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest message accepted from a server, in bytes.
const LONGEST: usize = 1 << 20;

/// What the writers write to; a statement for the superuser.
pub const TABLE: &str = "create table written (writer text, n bigint, primary key (writer, n))";

/// The setting by which a server of the lab says which host it is on.
pub(super) const HOST_SETTING: &str = "lab.node";

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Insert one row after the other into [`TABLE`], in one session as long as that lives.
    Write,
    /// The same, each row in a session of its own.
    WriteOnce,
    /// Read one row after the other, each in a session of its own.
    ReadOnce,
}

/// A client that works all the time; dropping it ends it.
#[derive(Debug)]
pub struct Writer {
    diary: Arc<Mutex<Diary>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Its network must not end before it.
    _node: Node,
}

/// Everything a writer has seen.
#[derive(Clone, Debug, Default)]
pub struct Diary {
    /// What was acknowledged, in order.
    pub written: Vec<Written>,
    /// What was not, in order.
    pub refused: Vec<Refusal>,
}

/// A row the server acknowledged, or sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its number; numbers of refused rows are not used again.
    pub n: u64,
    /// When the acknowledgement came.
    pub at: Stamp,
    /// The host whose server it was.
    pub by: String,
}

/// A connection or a row that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When it was known.
    pub at: Stamp,
    /// Whether there was no session yet.
    pub connecting: bool,
    /// Why.
    pub cause: Cause,
}

/// Why a connection or a statement came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The network: refused, reset, closed, or silent for too long.
    Network(io::ErrorKind),
    /// The server said no.
    Server {
        /// SQLSTATE.
        code: String,
        /// Its text.
        message: String,
    },
}

/// A time without an acknowledged row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The last row before.
    pub before: Written,
    /// The first row after.
    pub after: Written,
}

impl Writer {
    /// Writes from `node` as `name` to the first of `targets`, and to the next one whenever one
    /// fails, in turn. One target is a client that follows an address; all servers are one that
    /// looks for the primary itself.
    ///
    /// # Errors
    /// [`Error::Kernel`](super::Error::Kernel) if the host can start no thread.
    pub fn start(node: &Node, name: &str, targets: &[SocketAddr]) -> Result<Writer> {
        Writer::doing(Work::Write, PATIENCE, node, name, targets)
    }

    /// The same with other work, and with as much patience with a silent server.
    ///
    /// # Errors
    /// As of [`Writer::start`].
    pub fn doing(
        work: Work,
        patience: Duration,
        node: &Node,
        name: &str,
        targets: &[SocketAddr],
    ) -> Result<Writer> {
        let (diary, over) = (Arc::<Mutex<Diary>>::default(), Arc::new(AtomicBool::new(false)));
        let client = Client {
            work,
            patience,
            name: name.to_owned(),
            targets: targets.to_vec(),
            diary: Arc::clone(&diary),
            over: Arc::clone(&over),
        };
        // A thread that the host's own thread starts is in the host's network as well.
        let thread = node.inside(format!("write to {targets:?}"), move || {
            thread::Builder::new().name("lab:writer".into()).spawn(move || client.run())
        })?;
        Ok(Writer { diary, over, thread: Some(thread), _node: node.clone() })
    }

    /// Everything so far.
    #[must_use]
    pub fn diary(&self) -> Diary {
        lock(&self.diary).clone()
    }

    /// The last acknowledged row.
    #[must_use]
    pub fn last(&self) -> Option<Written> {
        lock(&self.diary).written.last().cloned()
    }
}

/// Runs a statement that takes a minute on `target`, from `node`, and cancels it there as libpq does;
/// returns what the server said to it.
///
/// # Errors
/// [`Error::Kernel`](super::Error::Kernel) if there is no session, or no answer within `patience`.
pub fn cancel_on(node: &Node, target: SocketAddr, patience: Duration) -> Result<Cause> {
    const CODE: i32 = 80_877_102;
    let cancelled = move || {
        let mut session = Session::open(target, patience).map_err(io::Error::other)?;
        session.send(Some(b'Q'), &[b"select pg_sleep(60)", &[0]])?;
        thread::sleep(PAUSE * 20);
        let key = session.key.clone();
        let mut request = TcpStream::connect_timeout(&target, patience)?;
        request.write_all(&[&16_i32.to_be_bytes()[..], &CODE.to_be_bytes(), &key].concat())?;
        request.set_read_timeout(Some(patience))?;
        // Its end says that the server has seen it.
        request.read_to_end(&mut Vec::new())?;
        match session.answer() {
            Err(cause) => Ok(cause),
            Ok(_) => Err(io::Error::other("the statement ended by itself")),
        }
    };
    node.inside(format!("cancel a statement on {target}"), cancelled)
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has printed why.
            drop(thread.join());
        }
    }
}

impl Diary {
    /// The longest time without an acknowledged row that touches the time from `from` to `to`.
    #[must_use]
    pub fn longest_gap_in(&self, from: Stamp, to: Stamp) -> Option<Gap> {
        let gaps = self.written.iter().zip(self.written.iter().skip(1));
        gaps.filter(|(before, after)| before.at <= to && after.at >= from)
            .max_by_key(|(before, after)| after.at.since(before.at))
            .map(|(before, after)| Gap { before: before.clone(), after: after.clone() })
    }

    /// What came to nothing from `from` to `to`.
    pub fn refused_in(&self, from: Stamp, to: Stamp) -> impl Iterator<Item = &Refusal> {
        self.refused.iter().filter(move |refusal| (from..=to).contains(&refusal.at))
    }

    /// How many attempts a server answered with "read-only" from `from` to `to`.
    #[must_use]
    pub fn read_only_in(&self, from: Stamp, to: Stamp) -> usize {
        self.refused_in(from, to).filter(|refusal| refusal.cause.is_read_only()).count()
    }
}

impl Gap {
    /// From the last acknowledgement before to the first one after.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.after.at.since(self.before.at)
    }
}

impl Cause {
    /// Whether a standby answered (SQLSTATE 25006, `read_only_sql_transaction`).
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        matches!(self, Cause::Server { code, .. } if code == "25006")
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Network(kind) => write!(f, "{kind}"),
            Cause::Server { code, message } => write!(f, "{code} {message}"),
        }
    }
}

impl std::error::Error for Cause {}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Cause {
        Cause::Network(error.kind())
    }
}

struct Client {
    work: Work,
    patience: Duration,
    name: String,
    targets: Vec<SocketAddr>,
    diary: Arc<Mutex<Diary>>,
    over: Arc<AtomicBool>,
}

impl Client {
    fn run(&self) {
        let mut n = 0;
        while !self.is_over() {
            // Whoever looks for the primary pauses once it has asked everybody.
            for target in &self.targets {
                if let Err((connecting, cause)) = self.work_with(*target, &mut n) {
                    let refusal = Refusal { at: Stamp::now(), connecting, cause };
                    lock(&self.diary).refused.push(refusal);
                }
            }
            thread::sleep(PAUSE);
        }
    }

    /// Works until the server or the network says no, or a session is over.
    fn work_with(&self, target: SocketAddr, n: &mut u64) -> std::result::Result<(), (bool, Cause)> {
        if self.is_over() {
            return Ok(());
        }
        let mut session = Session::open(target, self.patience).map_err(|cause| (true, cause))?;
        while !self.is_over() {
            *n += 1;
            let by = session.ask(&self.statement(*n)).map_err(|cause| (false, cause))?;
            lock(&self.diary).written.push(Written { n: *n, at: Stamp::now(), by });
            if self.work != Work::Write {
                session.close();
                break;
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn statement(&self, n: u64) -> String {
        let who = format!("current_setting('{HOST_SETTING}')");
        match self.work {
            Work::Write | Work::WriteOnce => {
                format!("insert into written values ('{}', {n}) returning {who}", self.name)
            }
            Work::ReadOnce => format!("select {who}"),
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// A connection to a server that trusts everybody: PostgreSQL's protocol 3.0, simple queries only.
struct Session {
    stream: BufReader<TcpStream>,
    /// What a cancel request has to name.
    key: Vec<u8>,
}

impl Session {
    fn open(target: SocketAddr, patience: Duration) -> std::result::Result<Session, Cause> {
        const VERSION: i32 = 3 << 16;
        const USER: &[u8] = b"user\0postgres\0database\0postgres\0\0";
        let stream = TcpStream::connect_timeout(&target, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        let mut session = Session { stream: BufReader::new(stream), key: Vec::new() };
        session.send(None, &[&VERSION.to_be_bytes(), USER])?;
        session.answer()?;
        Ok(session)
    }

    /// Ends it as libpq does.
    fn close(mut self) {
        // Nobody is there to tell if that fails.
        let _ = self.send(Some(b'X'), &[]);
    }

    /// Runs one statement and returns the first value of the last row.
    fn ask(&mut self, statement: &str) -> std::result::Result<String, Cause> {
        self.send(Some(b'Q'), &[statement.as_bytes(), &[0]])?;
        self.answer()
    }

    fn send(&mut self, kind: Option<u8>, parts: &[&[u8]]) -> io::Result<()> {
        let length = parts.iter().map(|part| part.len()).sum::<usize>() + 4;
        let length = i32::try_from(length).map_err(io::Error::other)?;
        let mut message: Vec<u8> = kind.into_iter().chain(length.to_be_bytes()).collect();
        parts.iter().for_each(|part| message.extend_from_slice(part));
        self.stream.get_mut().write_all(&message)
    }

    /// Reads until the server is ready for the next statement.
    fn answer(&mut self) -> std::result::Result<String, Cause> {
        let mut value = String::new();
        let mut complaint = None;
        loop {
            let (kind, body) = match (self.message(), complaint.take()) {
                (Ok(message), before) => {
                    complaint = before;
                    message
                }
                // A server that ends a session says why and closes.
                (Err(_), Some(complaint)) => return Err(complaint),
                (Err(error), None) => return Err(error.into()),
            };
            match kind {
                b'Z' => return complaint.map_or(Ok(value), Err),
                b'E' => complaint = Some(complaint_in(&body)),
                b'K' => self.key = body,
                b'D' => value = first_value(&body).unwrap_or_default(),
                // 0 is "authenticated"; anything else asks for a password.
                b'R' if body != [0; 4] => return Err(io::Error::other("no trust").into()),
                _ => {}
            }
        }
    }

    fn message(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or_default();
        let length = length.checked_sub(4).filter(|length| *length <= LONGEST);
        let mut body = vec![0; length.ok_or(io::ErrorKind::InvalidData)?];
        self.stream.read_exact(&mut body)?;
        Ok((kind, body))
    }
}

/// The first column of a `DataRow`: count, then length and bytes of each.
fn first_value(row: &[u8]) -> Option<String> {
    let (length, rest) = row.get(2..)?.split_at_checked(4)?;
    let length = usize::try_from(i32::from_be_bytes(length.try_into().ok()?)).ok()?;
    Some(String::from_utf8_lossy(rest.get(..length)?).into_owned())
}

/// The fields of an `ErrorResponse`: a letter and a text that ends with a zero byte each.
fn complaint_in(body: &[u8]) -> Cause {
    let field = |letter: u8| {
        let found = body.split(|byte| *byte == 0).find(|field| field.first() == Some(&letter));
        found.map_or_else(String::new, |field| {
            String::from_utf8_lossy(field.get(1..).unwrap_or_default()).into_owned()
        })
    };
    Cause::Server { code: field(b'C'), message: field(b'M') }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_lie_between_acknowledgements_and_touch_the_time_asked_for() {
        let at = |ms| Stamp::from_epoch(Duration::from_millis(ms));
        let row = |n, ms| Written { n, at: at(ms), by: "pg-01".to_owned() };
        let diary = Diary {
            written: vec![row(1, 0), row(2, 900), row(3, 1000), row(5, 1400), row(6, 1405)],
            refused: vec![Refusal {
                at: at(1200),
                connecting: false,
                cause: Cause::Server { code: "25006".into(), message: String::new() },
            }],
        };
        let length = |from, to| diary.longest_gap_in(at(from), at(to)).map(|gap| gap.length());
        assert_eq!(length(0, 2000), Some(Duration::from_millis(900)));
        assert_eq!(length(1000, 1300), Some(Duration::from_millis(400)));
        assert_eq!(length(1404, 1500), Some(Duration::from_millis(5)));
        assert_eq!(length(1406, 1500), None);
        assert_eq!(diary.read_only_in(at(1000), at(1300)), 1);
        assert_eq!(diary.read_only_in(at(1201), at(1300)), 0);
    }

    #[test]
    fn a_complaint_is_read_field_by_field_and_a_row_within_its_bounds() {
        let cause = complaint_in(b"SERROR\0C25006\0Mcannot execute INSERT\0\0");
        assert!(cause.is_read_only());
        assert_eq!(cause.to_string(), "25006 cannot execute INSERT");
        assert_eq!(
            complaint_in(b""),
            Cause::Server { code: String::new(), message: String::new() }
        );
        assert_eq!(first_value(b"\0\x01\0\0\0\x05pg-01"), Some("pg-01".to_owned()));
        assert_eq!(first_value(b"\0\x01\0\0\0\x06pg-01"), None);
        assert_eq!(first_value(b"\0\x01\xff\xff\xff\xff"), None);
        assert_eq!(first_value(b"\0"), None);
    }
}
