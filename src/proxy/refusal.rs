//! Clients that are refused and would understand the reason only in TLS, or after an answer to their
//! request for it: PostgreSQL's drivers believe no error before that (CVE-2024-10977).
//!
//! A thread of its own takes part in the handshake, with the listener's certificate or one made
//! when it starts: what such a client sends was for the server, and nothing but the refusal passes
//! through here. Drivers that verify certificates refuse the latter, and say so.

use std::collections::BTreeMap;
use std::io::{self, Cursor};
use std::net::TcpStream as Socket;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, join};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{self, ServerConfig};

use super::postgres::{Request, request};
use crate::config::Frontend;
use crate::pem;
use crate::types::Identity;

/// Refusals under way at most; further ones end without a word.
const MOST: usize = 256;

/// How long one may take.
const LIMIT: Duration = Duration::from_secs(5);

/// How long reading a certificate may take; else the one made at start is shown.
const READING: Duration = Duration::from_secs(1);

/// The longest message a client may send before it is refused.
const LONGEST: usize = 10_000;

/// Who refuses clients; one for all workers.
#[derive(Clone, Debug)]
pub(super) struct Refuser {
    to: UnboundedSender<Placed>,
    free: Arc<Semaphore>,
}

#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) client: OwnedFd,
    pub(super) listener: Arc<Frontend>,
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
    let certificates = Arc::new(Certificates::new().map_err(io::Error::other)?);
    // Files are read one after the other: one that hangs holds one thread.
    let runtime =
        runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build()?;
    runtime.block_on(async {
        while let Some((refusal, place)) = refusals.recv().await {
            let certificates = Arc::clone(&certificates);
            tokio::spawn(async move {
                let tls = certificates.of(&refusal.listener).await;
                // Who is gone, or too slow, or does not want this certificate, does not learn why.
                let _ = timeout(LIMIT, tell(refusal, &tls)).await;
                drop(place);
            });
        }
    });
    Ok(())
}

struct Certificates {
    /// One nobody has reason to trust, and its key, for as long as the process lives.
    made: TlsAcceptor,
    /// Those of files.
    known: Arc<Mutex<BTreeMap<Identity, Known>>>,
}

/// What was read of files, last.
#[derive(Default)]
struct Known {
    files: [pem::Version; 2],
    /// A renewal may be half done: what could be used before is, until both files fit again.
    tls: Option<TlsAcceptor>,
}

impl Certificates {
    fn new() -> Result<Certificates, Box<dyn std::error::Error + Send + Sync>> {
        let made = rcgen::generate_simple_self_signed(["vipd".to_owned()])?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let key = default_provider().key_provider.load_private_key(key)?;
        let made = acceptor(CertifiedKey::new(vec![made.cert.der().clone()], key))?;
        Ok(Certificates { made, known: Arc::default() })
    }

    async fn of(&self, listener: &Arc<Frontend>) -> TlsAcceptor {
        if listener.identity.is_none() {
            return self.made.clone();
        }
        let read = async {
            let mut known = Arc::clone(&self.known).lock_owned().await;
            let listener = Arc::clone(listener);
            spawn_blocking(move || read(&mut known, &listener)).await.ok().flatten()
        };
        timeout(READING, read).await.ok().flatten().unwrap_or_else(|| self.made.clone())
    }
}

/// Blocks.
fn read(known: &mut BTreeMap<Identity, Known>, listener: &Frontend) -> Option<TlsAcceptor> {
    let own = listener.identity.as_ref()?;
    let known = known.entry(own.clone()).or_default();
    let files = [pem::version(&own.certificate), pem::version(&own.key)];
    if known.files != files || known.tls.is_none() {
        let tls = pem::identity(own);
        match tls.and_then(|own| acceptor(own).map_err(|error| error.to_string())) {
            Ok(tls) => known.tls = Some(tls),
            Err(why) if known.files != files => {
                tracing::warn!(
                    "listener {}: the certificate for refused clients cannot be used: {why}",
                    listener.name
                );
            }
            Err(_) => {}
        }
        known.files = files;
    }
    known.tls.clone()
}

fn acceptor(own: CertifiedKey) -> Result<TlsAcceptor, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
    // What a client must offer that begins with TLS at once.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    // Nobody comes back to resume a refusal.
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn tell(refusal: Refusal, tls: &TlsAcceptor) -> io::Result<()> {
    let Refusal { client, listener: _, said, encrypted, reason } = refusal;
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
