//! Servers for checks to ask, on loopback.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use vipd::config::checks::{Endpoint, Host};

/// How a server treats a client that has asked.
#[derive(Clone, Copy)]
pub(super) enum Manner {
    /// Sends this and closes.
    Says(&'static str),
    /// Sends this again and again.
    SaysForever(&'static str),
    /// Sends one byte of it every 50 ms.
    Trickles(&'static str),
    /// Sends nothing and stays connected.
    Silent,
    /// Closes.
    Closes,
    /// Resets the connection.
    Resets,
}

/// A server and what it was asked.
pub(super) struct Server {
    pub(super) port: NonZeroU16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Reads as much as one read gives, then does as it is told.
    pub(super) async fn start(manner: Manner) -> Server {
        Server::run(manner, None).await
    }

    /// With TLS, by a certificate among the expected files.
    pub(super) async fn with_tls(manner: Manner, certificate: &str, clients: bool) -> Server {
        Server::run(manner, Some(acceptor(certificate, clients))).await
    }

    async fn run(manner: Manner, tls: Option<TlsAcceptor>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = NonZeroU16::new(listener.local_addr().unwrap().port()).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let server = Server { port, asked: Arc::clone(&asked) };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (asked, tls) = (Arc::clone(&asked), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None if matches!(manner, Manner::Resets) => reset(stream).await,
                        None => answer(stream, manner, &asked).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                answer(stream, manner, &asked).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        self.called("127.0.0.1")
    }

    pub(super) fn called(&self, host: &str) -> Endpoint {
        Endpoint { host: host.parse::<Host>().unwrap(), port: self.port }
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn reset(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 4096]).await;
    stream.set_zero_linger().unwrap();
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    manner: Manner,
    asked: &Mutex<Vec<String>>,
) {
    let mut request = [0; 4096];
    let Ok(count) = stream.read(&mut request).await else { return };
    asked.lock().unwrap().push(String::from_utf8_lossy(&request[..count]).into_owned());
    match manner {
        Manner::Says(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Manner::SaysForever(text) => while stream.write_all(text.as_bytes()).await.is_ok() {},
        Manner::Trickles(text) => {
            for byte in text.bytes() {
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Manner::Silent => std::future::pending().await,
        Manner::Closes | Manner::Resets => {}
    }
}

/// A port nobody listens on.
pub(super) async fn nobody() -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = NonZeroU16::new(listener.local_addr().unwrap().port()).unwrap();
    Endpoint { host: Host::Address(IpAddr::from([127, 0, 0, 1])), port }
}

pub(super) fn pem(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tls").join(name)
}

pub(super) fn acceptor(certificate: &str, clients: bool) -> TlsAcceptor {
    let read = |name: &str| CertificateDer::from_pem_file(pem(name)).unwrap();
    let key = PrivateKeyDer::from_pem_file(pem(&format!("{certificate}.key"))).unwrap();
    let provider = Arc::new(ring::default_provider());
    let signer = Arc::clone(&provider);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if clients {
        let mut roots = RootCertStore::empty();
        roots.add(read("authority.pem")).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let chain = vec![read(&format!("{certificate}.pem"))];
    // Not `with_single_cert`, which shows no certificate of version 1.
    let key = signer.key_provider.load_private_key(key).unwrap();
    let shown = SingleCertAndKey::from(CertifiedKey::new(chain, key));
    TlsAcceptor::from(Arc::new(builder.with_cert_resolver(Arc::new(shown))))
}
