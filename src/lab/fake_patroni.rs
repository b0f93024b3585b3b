//! A stand-in for a database node run by Patroni: as much of the REST API and of PostgreSQL's
//! protocol 3.0 as a proxy and its clients need, and no data.
//!
//! It answers every statement with one row, its name. Statements that begin with `insert` it refuses
//! unless it is the primary, as a standby does.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::cluster::{API_PORT, SQL_PORT};
use super::deadline::eventually;
use super::error::Result;
use super::node::Node;
use super::{Stamp, lock};

/// Between two looks for a connection.
const LOOK: Duration = Duration::from_millis(1);

/// How long the ports may take to be opened or closed.
const SOON: Duration = Duration::from_secs(5);

/// The longest message read, in bytes.
const LONGEST: usize = 1 << 20;

const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;

/// What a node is at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FakeRole {
    /// It takes writes, on this timeline.
    Primary(u64),
    /// It follows a primary on this timeline.
    Replica(u64),
    /// It was the primary and shuts down: Patroni holds the lock still.
    Stopping(u64),
    /// Nobody listens, neither PostgreSQL nor Patroni.
    Dead,
}

/// One node. Dropping it ends it.
#[derive(Debug)]
pub struct FakePatroni {
    node: Node,
    address: Ipv4Addr,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    /// `None`: it is over.
    role: Option<FakeRole>,
    /// Ports that are open now: the API's and PostgreSQL's.
    open: [bool; 2],
    sessions: Vec<TcpStream>,
}

impl FakePatroni {
    /// A replica on timeline 1 at `address` of `node`, with the ports of the lab's real cluster.
    ///
    /// # Errors
    /// [`Error::Kernel`](super::Error::Kernel) if the host has no thread to give,
    /// [`Error::Overdue`](super::Error::Overdue) if its ports are in use.
    pub fn start(node: &Node, address: Ipv4Addr) -> Result<FakePatroni> {
        let shared = Shared {
            name: node.name().to_owned(),
            role: Some(FakeRole::Replica(1)),
            open: [false; 2],
            sessions: Vec::new(),
        };
        let shared = Arc::new(Mutex::new(shared));
        for (number, port) in [API_PORT, SQL_PORT].into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            let listen = move || {
                let name = format!("lab:{port}");
                let port = OpenPort { number, at: (address, port).into(), shared };
                // In the host's network, as the thread that starts it.
                thread::Builder::new().name(name).spawn(move || port.keep()).map(drop)
            };
            node.inside(format!("serve port {port}"), listen)?;
        }
        let fake = FakePatroni { node: node.clone(), address, shared };
        fake.settle()?;
        Ok(fake)
    }

    /// The host.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Make it this. Sessions end, unless it takes writes before and after.
    ///
    /// # Errors
    /// [`Error::Overdue`](super::Error::Overdue) if its ports cannot be opened or closed.
    pub fn set_role(&self, role: FakeRole) -> Result<()> {
        let before = lock(&self.shared).role.replace(role);
        let writes = |role| matches!(role, Some(FakeRole::Primary(_)));
        if !(writes(before) && writes(Some(role))) && before != Some(role) {
            self.end_sessions(role != FakeRole::Dead);
        }
        self.settle()
    }

    fn end_sessions(&self, saying_why: bool) {
        for mut session in std::mem::take(&mut lock(&self.shared).sessions) {
            if saying_why {
                let why = "terminating connection due to administrator command";
                let _ = session.write_all(&error("57P01", why));
            }
            let _ = session.shutdown(Shutdown::Both);
        }
    }

    fn settle(&self) -> Result<()> {
        let what = format!("the ports of {}", self.node.name());
        eventually(SOON, what, || {
            let shared = lock(&self.shared);
            let wanted = [0, 1].map(|port| opens(shared.role, port));
            if shared.open == wanted { Ok(()) } else { Err(format!("{:?}", shared.open)) }
        })?;
        Ok(())
    }
}

impl Drop for FakePatroni {
    fn drop(&mut self) {
        lock(&self.shared).role = None;
        self.end_sessions(false);
    }
}

/// Whether the API, or PostgreSQL, is to be reached.
fn opens(role: Option<FakeRole>, port: usize) -> bool {
    match role {
        None | Some(FakeRole::Dead) => false,
        Some(FakeRole::Stopping(_)) => port == 0,
        Some(FakeRole::Primary(_) | FakeRole::Replica(_)) => true,
    }
}

/// One port.
struct OpenPort {
    number: usize,
    at: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

impl OpenPort {
    fn keep(self) {
        let mut listener: Option<TcpListener> = None;
        loop {
            let role = lock(&self.shared).role;
            if role.is_none() {
                return;
            }
            match (&listener, opens(role, self.number)) {
                (None, true) => listener = bind(self.at).ok(),
                (Some(_), false) => listener = None,
                (None, false) | (Some(_), true) => {}
            }
            if let Some(open) = lock(&self.shared).open.get_mut(self.number) {
                *open = listener.is_some();
            }
            match listener.as_ref().map(TcpListener::accept) {
                Some(Ok((stream, _))) => self.serve(stream),
                Some(Err(_)) | None => thread::sleep(LOOK),
            }
        }
    }

    fn serve(&self, stream: TcpStream) {
        let shared = Arc::clone(&self.shared);
        let serve = if self.number == 0 { answer } else { converse };
        // Who cannot be served sees the end of the connection.
        let _ = thread::Builder::new().name("lab:client".into()).spawn(move || {
            let _ = stream.set_nonblocking(false);
            let _ = serve(&shared, stream);
        });
    }
}

fn bind(at: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(at)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// One request to the REST API.
fn answer(shared: &Mutex<Shared>, mut stream: TcpStream) -> io::Result<()> {
    let mut request = String::new();
    let mut lines = BufReader::new(&stream);
    lines.read_line(&mut request)?;
    let mut line = String::new();
    while lines.read_line(&mut line)? > 2 {
        line.clear();
    }
    let (role, name) = {
        let shared = lock(shared);
        (shared.role.unwrap_or(FakeRole::Dead), shared.name.clone())
    };
    let path = request.split(' ').nth(1).unwrap_or("/");
    let (status, body) = say(path, role, &name);
    write!(stream, "HTTP/1.0 {status} \r\nContent-Type: application/json\r\n\r\n{body}")
}

fn say(path: &str, role: FakeRole, name: &str) -> (u16, String) {
    if path == "/config" {
        return (200, json!({ "ttl": 30, "loop_wait": 10, "retry_timeout": 10 }).to_string());
    }
    let (state, role, timeline) = match role {
        FakeRole::Primary(timeline) => ("running", "primary", timeline),
        FakeRole::Stopping(timeline) => ("stopping", "primary", timeline),
        FakeRole::Replica(timeline) => ("running", "replica", timeline),
        FakeRole::Dead => ("stopped", "replica", 0),
    };
    let leads = role == "primary";
    if path == "/cluster" {
        let role = if leads { "leader" } else { "replica" };
        let member = json!({ "name": name, "role": role, "state": state, "timeline": timeline });
        return (200, json!({ "members": [member], "scope": "stand-in" }).to_string());
    }
    let good = match path.split('?').next().unwrap_or(path) {
        "/replica" => !leads && state == "running",
        "/read-only" | "/health" => state == "running",
        _ => leads,
    };
    let log = if leads {
        json!({ "location": 1_000_000 })
    } else {
        json!({ "received_location": 1_000_000, "replayed_location": 1_000_000,
                "replayed_timestamp": null, "paused": false })
    };
    let body = json!({
        "state": state, "role": role, "timeline": timeline, "server_version": 170_000, "xlog": log,
        "dcs_last_seen": Stamp::now().since_epoch().as_secs(), "database_system_identifier": "7000000000000000000",
        "patroni": { "version": "4.0.4", "scope": "stand-in", "name": name },
    });
    (if good { 200 } else { 503 }, body.to_string())
}

/// One connection of PostgreSQL's protocol, from its first message to its end.
fn converse(shared: &Mutex<Shared>, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let message = read_body(&mut stream)?;
        let code = message.get(..4).and_then(|code| code.try_into().ok());
        match code.map(u32::from_be_bytes) {
            Some(SSL_REQUEST | GSSENC_REQUEST) => stream.write_all(b"N")?,
            Some(CANCEL_REQUEST) | None => return Ok(()),
            Some(_) => break,
        }
    }
    {
        let mut shared = lock(shared);
        if !opens(shared.role, 1) {
            return stream.write_all(&error("57P03", "the database system is shutting down"));
        }
        shared.sessions.push(stream.try_clone()?);
    }
    // AuthenticationOk, BackendKeyData, ReadyForQuery.
    stream.write_all(
        &[message(b'R', &[0; 4]), message(b'K', &[0; 8]), message(b'Z', b"I")].concat(),
    )?;
    loop {
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        let body = read_body(&mut stream)?;
        let (role, name) = {
            let shared = lock(shared);
            (shared.role, shared.name.clone())
        };
        let writes = body.get(..6).is_some_and(|verb| verb.eq_ignore_ascii_case(b"insert"));
        let answer = match kind {
            [b'X'] => return Ok(()),
            [b'Q'] if writes && !matches!(role, Some(FakeRole::Primary(_))) => {
                error("25006", "cannot execute INSERT in a read-only transaction")
            }
            [b'Q'] => row(&name, if writes { b"INSERT 0 1\0" } else { b"SELECT 1\0" }),
            _ => error("0A000", "the stand-in knows simple queries only"),
        };
        stream.write_all(&[answer, message(b'Z', b"I")].concat())?;
    }
}

/// What follows a length, which counts itself.
fn read_body(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    let length = length.checked_sub(4).filter(|length| *length <= LONGEST);
    let mut body = vec![0; length.ok_or(ErrorKind::InvalidData)?];
    stream.read_exact(&mut body)?;
    Ok(body)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&[kind], &length.to_be_bytes()[..], body].concat()
}

fn error(code: &str, text: &str) -> Vec<u8> {
    message(b'E', format!("SERROR\0C{code}\0M{text}\0\0").as_bytes())
}

/// `RowDescription`, `DataRow` and `CommandComplete` of one column of text.
fn row(value: &str, done: &[u8]) -> Vec<u8> {
    // Of no table, type 25 (text) of any length, as text.
    let column = [0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0];
    let length = u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes();
    [
        message(b'T', &[&[0, 1], &b"node\0"[..], &column].concat()),
        message(b'D', &[&[0, 1], &length[..], value.as_bytes()].concat()),
        message(b'C', done),
    ]
    .concat()
}
