//! PostgreSQL's SSLRequest: the cheapest question a server that can still start sessions answers.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::connect::{broken, connect};
use super::resolve::Resolver;
use super::{Deadline, Failure, tls};
use crate::config::checks::PostgresCheck;
use crate::track::outcome::Cause;

/// Its length and its code, as in the protocol's list of message formats.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// How long taking leave may take; nobody waits for it.
const FAREWELL: Duration = Duration::from_secs(2);

/// Asks once.
pub(super) async fn run(
    check: &PostgresCheck,
    resolver: &Resolver,
    deadline: Deadline,
) -> Result<String, Failure> {
    let (mut stream, address) = connect(&check.endpoint, resolver, deadline).await?;
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
        Some(_) => Err(Failure::new(
            Cause::WrongAnswer,
            format!("{address} does not speak PostgreSQL's protocol"),
        )),
        None => {
            let text = format!("{address} closed the connection without an answer");
            Err(Failure::new(Cause::Unreachable, text))
        }
    }
}

/// A server that has agreed to TLS logs a client that goes away before the handshake, every time. So
/// shake hands, say goodbye and read to the end. That decides nothing: it is politeness.
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
