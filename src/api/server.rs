//! The control socket's listening end, on the effects thread.
//!
//! One task accepts, one per client reads and answers; all end with the runtime they run in. The
//! control thread is asked over a bounded channel and answers when it can: a client can wait for the
//! daemon, never the other way round.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use nix::libc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::protocol::{LONGEST_LINE, Request, Response};
use crate::status::Snapshot;

/// Clients served at the same time; one more is told so and sent away.
pub const MOST_CLIENTS: usize = 8;

/// How long a client may take to say something, and to take the answer.
const CLIENT_BUDGET: Duration = Duration::from_millis(500);

/// How long the control loop may take: less than a client's patience, so that the client learns
/// which of the two threads hangs.
const CONTROL_BUDGET: Duration = Duration::from_millis(800);

/// A request on its way to the control thread.
#[derive(Debug)]
pub struct Ask {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes; a client that gave up has dropped the other end.
    pub answer: oneshot::Sender<Answer>,
}

/// What the control thread says.
pub enum Answer {
    /// All of it.
    Complete(Box<Response>),
    /// To [`Request::Status`]: how it is written, which may take its time.
    Status(Box<dyn FnOnce() -> Snapshot + Send>),
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Complete(response) => response.fmt(f),
            Answer::Status(_) => f.write_str("Status(..)"),
        }
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Answer {
        Answer::Complete(Box::new(response))
    }
}

/// Reading a configuration may mean waiting for a disk, checking a binary for a process.
const SLOW_BUDGET: Duration = Duration::from_secs(20);

/// What only the daemon's side of the server knows: who may do what, the wall clock, files.
pub trait Host: Send + Sync {
    /// Completes a snapshot; may take its time.
    fn complete(&self, snapshot: &mut Snapshot);

    /// Whether the client may ask for this.
    ///
    /// # Errors
    /// Why not, for the client.
    fn permits(&self, client: Client, request: &Request) -> Result<(), String>;

    /// Notes what the control thread has accepted; may answer something else.
    fn accepted(&self, request: &Request, response: Response) -> Response;
}

/// Who asks, as the kernel says (SO_PEERCRED).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Effective user id when it connected.
    pub uid: u32,
}

/// Accept clients until the runtime ends or the listener is broken for good.
///
/// # Errors
/// The error that broke the listener.
pub async fn serve(
    listener: UnixListener,
    control: mpsc::Sender<Ask>,
    host: Arc<dyn Host>,
) -> io::Result<()> {
    let seats = Arc::new(Semaphore::new(MOST_CLIENTS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => match error.raw_os_error() {
                Some(libc::ECONNABORTED | libc::EINTR | libc::EPROTO) => continue,
                Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS) => {
                    sleep(CLIENT_BUDGET).await;
                    continue;
                }
                _ => return Err(error),
            },
        };
        let seat = Arc::clone(&seats).try_acquire_owned();
        let (control, host) = (control.clone(), Arc::clone(&host));
        tokio::spawn(async move {
            match seat {
                Ok(_seat) => attend(stream, &control, &host).await,
                Err(_) => {
                    let busy = format!("busy: {MOST_CLIENTS} clients already");
                    let _ = reply(stream, Response::Error(busy)).await;
                }
            }
        });
    }
}

/// Serve one client until it leaves, falls silent or talks nonsense.
async fn attend(mut stream: UnixStream, control: &mpsc::Sender<Ask>, host: &Arc<dyn Host>) {
    let Ok(client) = stream.peer_cred().map(|peer| Client { uid: peer.uid() }) else { return };
    loop {
        let line = match timeout(CLIENT_BUDGET, read_line(&mut stream)).await {
            Ok(Ok(Some(line))) => line,
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(error)) => {
                let _ = reply(stream, Response::Error(error.to_string())).await;
                return;
            }
        };
        let response = match serde_json::from_slice(&line) {
            Ok(request) => match host.permits(client, &request) {
                Ok(()) => answer(request, control, host).await,
                Err(why) => Response::Denied(why),
            },
            Err(error) => Response::Error(format!("not understood: {error}")),
        };
        stream = match reply(stream, response).await {
            Ok(stream) => stream,
            Err(_) => return,
        };
    }
}

pub(super) async fn answer(
    request: Request,
    control: &mpsc::Sender<Ask>,
    host: &Arc<dyn Host>,
) -> Response {
    let (tx, rx) = oneshot::channel();
    let budget = match &request {
        Request::Reload | Request::PlanReload | Request::Upgrade { .. } => SLOW_BUDGET,
        Request::Status
        | Request::Drain { .. }
        | Request::Resume { .. }
        | Request::Handover { .. } => CONTROL_BUDGET,
    };
    // A full channel means that the loop is not answering the others either.
    if control.try_send(Ask { request: request.clone(), answer: tx }).is_err() {
        return Response::Error("the control loop does not answer".to_owned());
    }
    match timeout(budget, rx).await {
        Ok(Ok(Answer::Status(write))) => {
            // Checks run in this runtime too: nobody here may wait.
            let host = Arc::clone(host);
            let completed = spawn_blocking(move || {
                let mut snapshot = Box::new(write());
                host.complete(&mut snapshot);
                Response::Status(snapshot)
            });
            let failed = |error| Response::Error(format!("the status is incomplete: {error}"));
            completed.await.unwrap_or_else(failed)
        }
        Ok(Ok(Answer::Complete(response))) => host.accepted(&request, *response),
        Ok(Err(_)) => Response::Error("the daemon is shutting down".to_owned()),
        Err(_) => Response::Error("the control loop does not answer".to_owned()),
    }
}

/// One line without its end; `None` at the end of the conversation.
async fn read_line(stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let limit = u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX);
    // A client that sends the next request before it has the answer loses it with this reader;
    // nobody does that on a socket with one answer per line.
    let mut reader = BufReader::new(stream.take(limit));
    if reader.read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        let what = format!("a request is one line of at most {LONGEST_LINE} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(Some(line))
}

async fn reply(mut stream: UnixStream, response: Response) -> io::Result<UnixStream> {
    let line = match response {
        // Megabytes, if there are hundreds of routers.
        Response::Status(_) => spawn_blocking(move || line_of(&response)).await??,
        _ => line_of(&response)?,
    };
    timeout(CLIENT_BUDGET, stream.write_all(&line)).await??;
    Ok(stream)
}

fn line_of(response: &Response) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(response)?;
    line.push(b'\n');
    Ok(line)
}
