//! Asking a daemon. Synchronous: a command-line client has nothing else to do.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};
use thiserror::Error;

use super::SOCKET_NAME;
use super::protocol::{Request, Response};

/// How long a living daemon may take. Its control loop answers itself, so no answer means that it
/// hangs.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// A daemon with thousands of routers answers with more than it would read.
const LONGEST_ANSWER: u64 = 64 << 20;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// No socket: the daemon is not running, or has another run directory.
    #[error("no daemon runs with the run directory {}", .run_dir.display())]
    NoSocket {
        /// Where we looked.
        run_dir: PathBuf,
    },
    /// The socket is a leftover.
    #[error(
        "the daemon with the run directory {} has died: its socket is there but nobody listens",
        .run_dir.display()
    )]
    Refused {
        /// Where we looked.
        run_dir: PathBuf,
    },
    /// We may not.
    #[error(
        "no permission to ask the daemon at {}: be root, or a member of its control_group",
        .socket.display()
    )]
    Denied {
        /// The socket.
        socket: PathBuf,
    },
    /// Connected, but no answer came.
    #[error(
        "the daemon with the run directory {} hangs: it gave no answer within {} s",
        .run_dir.display(), .patience.as_secs()
    )]
    Silent {
        /// Where it listens.
        run_dir: PathBuf,
        /// How long we waited.
        patience: Duration,
    },
    /// Anything else.
    #[error("cannot ask the daemon at {}", .socket.display())]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The daemon said no.
    #[error("the daemon answered: {0}")]
    Refusal(String),
    /// We may ask, but not for this.
    #[error("the daemon refuses: {0}")]
    Forbidden(String),
    /// It ended or replaced itself without an answer.
    #[error("the daemon with the run directory {} ended the conversation", .run_dir.display())]
    Gone {
        /// Where it listened.
        run_dir: PathBuf,
    },
}

/// Ask the daemon of this run directory one thing.
///
/// # Errors
/// [`AskError`]
pub fn ask(run_dir: &Path, request: &Request) -> Result<Response, AskError> {
    ask_within(run_dir, request, PATIENCE)
}

/// The same with another patience: for requests the daemon answers when they are done.
///
/// # Errors
/// [`AskError`]
pub fn ask_within(
    run_dir: &Path,
    request: &Request,
    patience: Duration,
) -> Result<Response, AskError> {
    let socket = run_dir.join(SOCKET_NAME);
    match converse(&socket, request, patience) {
        Ok(Response::Error(refusal)) => Err(AskError::Refusal(refusal)),
        Ok(Response::Denied(why)) => Err(AskError::Forbidden(why)),
        Ok(answer) => Ok(answer),
        Err(error) => {
            let run_dir = run_dir.to_owned();
            Err(match error.kind() {
                io::ErrorKind::NotFound => AskError::NoSocket { run_dir },
                io::ErrorKind::ConnectionRefused => AskError::Refused { run_dir },
                io::ErrorKind::PermissionDenied => AskError::Denied { socket },
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    AskError::Silent { run_dir, patience }
                }
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe => AskError::Gone { run_dir },
                _ => AskError::Broken { socket, source: error },
            })
        }
    }
}

fn converse(socket: &Path, request: &Request, patience: Duration) -> io::Result<Response> {
    let deadline = Instant::now() + patience;
    // A daemon that accepts nobody any more lets others wait as soon as its queue is full.
    let connection = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    connection.set_write_timeout(Some(patience))?;
    connection.connect(&SockAddr::unix(socket)?)?;
    let mut stream = UnixStream::from(connection);
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;

    let answer = read_line(&stream, deadline)?;
    if answer.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection"));
    }
    Ok(serde_json::from_slice(&answer)?)
}

/// One line, or an error once `deadline` has passed, however slowly the bytes drip.
fn read_line(stream: &UnixStream, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut reader = BufReader::with_capacity(64 << 10, stream.take(LONGEST_ANSWER));
    let mut answer = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let (taken, complete) = match reader.fill_buf() {
            Ok([]) => return Ok(answer),
            Ok(chunk) => match chunk.iter().position(|&byte| byte == b'\n') {
                Some(end) => {
                    answer.extend(chunk.iter().take(end));
                    (end + 1, true)
                }
                None => {
                    answer.extend_from_slice(chunk);
                    (chunk.len(), false)
                }
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (0, false),
            Err(error) => return Err(error),
        };
        reader.consume(taken);
        if complete {
            return Ok(answer);
        }
    }
}
