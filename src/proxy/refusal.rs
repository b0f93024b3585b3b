//! Clients that are refused and would understand the reason only in TLS, or after an answer to their
//! request for it: PostgreSQL's drivers believe no error before that (CVE-2024-10977).
//!
//! A thread of its own takes part in the handshake, with a certificate made when it starts: what such
//! a client sends was for the server, and nothing but the refusal passes through here. Drivers that
//! verify certificates refuse this one, and say so.

use std::io::{self, Cursor};
use std::net::TcpStream as Socket;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, join};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::postgres::{Request, request};

/// Refusals under way at most; further ones end without a word.
const MOST: usize = 256;

/// How long one may take.
const LIMIT: Duration = Duration::from_secs(5);

/// The longest message a client may send before it is refused.
const LONGEST: usize = 10_000;

/// Who refuses clients; one for all workers.
#[derive(Clone, Debug)]
pub(super) struct Refuser {
    to: UnboundedSender<Placed>,
    free: Arc<Semaphore>,
}

/// A client to refuse.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) client: OwnedFd,
    /// What it has said, and nobody has answered.
    pub(super) said: Vec<u8>,
    /// It has begun TLS, as it was told or by itself.
    pub(super) encrypted: bool,
    /// The reason, as it goes over the wire.
    pub(super) reason: Vec<u8>,
}

/// ... and its place among those under way.
type Placed = (Refusal, OwnedSemaphorePermit);

impl Refuser {
    /// Start the thread.
    ///
    /// # Errors
    /// The kernel's, if it has no thread to give.
    pub(super) fn start() -> io::Result<Refuser> {
        let (to, refusals) = unbounded_channel();
        thread::Builder::new().name("proxy-refuse".to_owned()).spawn(move || {
            if let Err(error) = run(refusals) {
                tracing::error!("cannot tell clients why they are refused: {error}");
            }
        })?;
        Ok(Refuser { to, free: Arc::new(Semaphore::new(MOST)) })
    }

    /// Refuse a client, without waiting for it; gives it back where too many are being refused.
    pub(super) fn refuse(&self, refusal: Refusal) -> Result<(), Refusal> {
        let Ok(place) = Arc::clone(&self.free).try_acquire_owned() else { return Err(refusal) };
        self.to.send((refusal, place)).map_err(|unsent| unsent.0.0)
    }
}

fn run(mut refusals: UnboundedReceiver<Placed>) -> io::Result<()> {
    let tls = acceptor().map_err(io::Error::other)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        while let Some((refusal, place)) = refusals.recv().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                // Who is gone, or too slow, or does not want this certificate, does not learn why.
                let _ = timeout(LIMIT, tell(refusal, &tls)).await;
                drop(place);
            });
        }
    });
    Ok(())
}

/// A certificate nobody has reason to trust, and its key, for as long as the process lives.
fn acceptor() -> Result<TlsAcceptor, Box<dyn std::error::Error + Send + Sync>> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["vipd".to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)?;
    // What a client must offer that begins with TLS at once.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    // Nobody comes back to resume a refusal.
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn tell(refusal: Refusal, tls: &TlsAcceptor) -> io::Result<()> {
    let Refusal { client, said, encrypted, reason } = refusal;
    let (read, write) = TcpStream::from_std(Socket::from(client))?.into_split();
    let mut stream = join(Cursor::new(said).chain(read), write);
    if !encrypted {
        loop {
            let mut head = [0; 8];
            stream.read_exact(&mut head).await?;
            match request(head) {
                Request::Gss => stream.write_all(b"N").await?,
                Request::Ssl => {
                    stream.write_all(b"S").await?;
                    break;
                }
                Request::Other(length) => return finish(stream, length, &reason).await,
            }
        }
    }
    let mut stream = tls.accept(stream).await?;
    let mut head = [0; 8];
    stream.read_exact(&mut head).await?;
    match request(head) {
        Request::Other(length) => finish(stream, length, &reason).await,
        Request::Ssl | Request::Gss => Ok(()),
    }
}

/// Read the rest of a message of `length` bytes whose first eight are read, and answer it.
async fn finish(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    length: usize,
    reason: &[u8],
) -> io::Result<()> {
    let mut rest = vec![0; length.min(LONGEST).saturating_sub(8)];
    stream.read_exact(&mut rest).await?;
    stream.write_all(reason).await?;
    stream.shutdown().await?;
    // Closed with bytes unread, it would be a reset that overtakes the reason.
    while stream.read(&mut [0; 512]).await? > 0 {}
    Ok(())
}
