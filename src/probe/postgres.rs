//! PostgreSQL's SSLRequest: the cheapest request that only a server answers that can still start
//! sessions. With a user it begins a session instead, which is subject to the server's `pg_hba.conf`.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::connect::{broken, connect};
use super::resolve::Resolver;
use super::tls::{self, Roots};
use super::{Deadline, Failure};
use crate::config::checks::PostgresCheck;
use crate::track::outcome::Cause;

/// Its length and its code, as in the protocol's list of message formats.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// The longest first message that is read.
const MESSAGE: usize = 8 * 1024;
/// A message about authentication: its kind, its length, and the method.
const AUTHENTICATION: usize = 9;
/// The methods a server may ask for, 0 for none: those HAProxy knows.
const METHODS: [u32; 9] = [0, 2, 3, 4, 5, 6, 7, 9, 10];

/// How long closing the connection properly may take; nobody waits for it.
const FAREWELL: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Postgres {
    check: PostgresCheck,
    tls: Option<tls::Client>,
}

impl Postgres {
    pub(super) fn new(check: &PostgresCheck, roots: Roots) -> Postgres {
        let host = &check.endpoint.host;
        let tls = check.tls.as_ref().map(|tls| tls::Client::new(tls, host, roots));
        Postgres { check: check.clone(), tls }
    }

    pub(super) async fn run(
        &mut self,
        resolver: &Resolver,
        deadline: Deadline,
    ) -> Result<String, Failure> {
        let Postgres { check, tls } = self;
        let (stream, address) = connect(&check.endpoint, resolver, deadline).await?;
        match (tls, &check.user) {
            (None, None) => negotiate(stream, address, deadline).await,
            (Some(tls), None) => {
                tls.connect(stream, deadline).await.map(|_| "speaks TLS".to_owned())
            }
            (None, Some(user)) => begin(stream, user, address, deadline).await,
            (Some(tls), Some(user)) => {
                let stream = tls.connect(stream, deadline).await?;
                begin(stream, user, address, deadline).await
            }
        }
    }
}

async fn negotiate(
    mut stream: TcpStream,
    address: SocketAddr,
    deadline: Deadline,
) -> Result<String, Failure> {
    let ask = async {
        stream.write_all(&SSL_REQUEST).await?;
        let mut answer = [0];
        let count = stream.read(&mut answer).await?;
        Ok((count > 0).then_some(answer[0]))
    };
    let what = format!("waiting for the answer of {address}");
    let answer = deadline.step(&what, ask).await?.map_err(|error| broken(address, &error))?;
    match answer {
        Some(b'N') => Ok("answers, without TLS".to_owned()),
        Some(b'S') => {
            tokio::spawn(take_leave(stream));
            Ok("answers, with TLS".to_owned())
        }
        Some(b'E') => {
            Err(Failure::new(Cause::WrongAnswer, format!("{address} answers with an error")))
        }
        Some(_) => Err(not_postgres(address)),
        None => Err(closed(address)),
    }
}

/// A session of `user`, as far as the first message of the server.
async fn begin<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    user: &str,
    address: SocketAddr,
    deadline: Deadline,
) -> Result<String, Failure> {
    let mut startup = vec![0, 3, 0, 0];
    for part in [b"user\0".as_slice(), user.as_bytes(), b"\0\0"] {
        startup.extend_from_slice(part);
    }
    let length = u32::try_from(startup.len() + 4).unwrap_or(u32::MAX).to_be_bytes();
    let message = [length.as_slice(), &startup].concat();
    let ask = async {
        stream.write_all(&message).await?;
        stream.flush().await?;
        let mut answer = Vec::new();
        while answer.len() < MESSAGE {
            // An error is read to its end, because people are shown its text.
            let complete = answer.first() == Some(&b'E') && answer.ends_with(b"\0\0");
            let asked = matches!(answer.first(), Some(b'R')) && answer.len() >= AUTHENTICATION;
            let strange = answer.first().is_some_and(|kind| !b"ER".contains(kind));
            if complete || asked || strange || stream.read_buf(&mut answer).await? == 0 {
                break;
            }
        }
        Ok(answer)
    };
    let what = format!("waiting for the answer of {address}");
    let answer = deadline.step(&what, ask).await?.map_err(|error| broken(address, &error))?;
    let code = answer.get(5..AUTHENTICATION).and_then(|code| <[u8; 4]>::try_from(code).ok());
    match (answer.first(), code.map(u32::from_be_bytes)) {
        (Some(b'R'), Some(code)) if METHODS.contains(&code) => {
            Ok(format!("takes sessions of {user}"))
        }
        (Some(b'E'), _) => {
            let why = reason(&answer);
            Err(Failure::new(Cause::WrongAnswer, format!("{address} refuses {user}: {why}")))
        }
        (Some(_), _) => Err(not_postgres(address)),
        (None, _) => Err(closed(address)),
    }
}

/// The text of an ErrorResponse.
fn reason(message: &[u8]) -> String {
    let mut fields = message.get(5..).unwrap_or_default().split(|byte| *byte == 0);
    let text = fields.find_map(|field| field.strip_prefix(b"M"));
    let text = text.map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn not_postgres(address: SocketAddr) -> Failure {
    let text = format!("{address} does not speak PostgreSQL's protocol");
    Failure::new(Cause::WrongAnswer, text)
}

fn closed(address: SocketAddr) -> Failure {
    let text = format!("{address} closed the connection without an answer");
    Failure::new(Cause::Unreachable, text)
}

/// A server that has agreed to TLS logs every client that closes before the handshake. So complete the
/// handshake and close properly, to keep its log clean; the outcome of the check is decided already.
async fn take_leave(stream: TcpStream) {
    let deadline = Deadline::after(FAREWELL);
    let Ok(mut stream) = tls::Client::unverified().connect(stream, deadline).await else { return };
    let goodbye = async {
        stream.shutdown().await?;
        let mut rest = [0; 256];
        while stream.read(&mut rest).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    // Whatever comes of it.
    let _ = deadline.step("taking leave", goodbye).await;
}
