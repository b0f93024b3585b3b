//! TLS as a client: which servers are trusted, and with which certificate.
//!
//! rustls with ring: no C library to keep up to date, and light to build. The system's certificate
//! authorities rather than a compiled-in list, so that an authority of the user's own counts and
//! the distribution's updates do.

use std::error::Error;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::{Resumption, WantsClientCert};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::{self, ClientConfig, ConfigBuilder, RootCertStore};

use super::verify::{TrustedServers, Verifier};
use super::{BlockingTask, Deadline, Failure};
use crate::config::checks::{Host, PemFile, Tls, Trust};
use crate::pem;
use crate::sys::cause;
use crate::track::outcome::Cause;

/// How often the system's authorities are read again: that takes milliseconds.
const ROOTS_FRESH: Duration = Duration::from_secs(3600);

/// The system's certificate authorities, read when first needed.
#[derive(Clone, Debug, Default)]
pub(super) struct Roots(Arc<Mutex<Option<Read>>>);

#[derive(Debug)]
struct Read {
    at: Instant,
    roots: Arc<RootCertStore>,
}

impl Roots {
    /// Blocks.
    fn get(&self) -> Arc<RootCertStore> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Read { at, roots }) = &*known
            && at.elapsed() < ROOTS_FRESH
        {
            return Arc::clone(roots);
        }
        let mut store = RootCertStore::empty();
        // Files that are no certificates are left out; without any, no server is trusted.
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let roots = Arc::new(store);
        *known = Some(Read { at: Instant::now(), roots: Arc::clone(&roots) });
        roots
    }
}

/// The TLS settings of one check. Files are read again when they change.
#[derive(Debug)]
pub(super) struct Client {
    source: Source,
    /// Of the server, or a host name no certificate can carry.
    name: Result<ServerName<'static>, String>,
    reading: BlockingTask<Result<Arc<ClientConfig>, Failure>>,
}

/// Where a configuration comes from.
#[derive(Clone, Debug)]
struct Source {
    tls: Tls,
    roots: Roots,
    ready: Arc<Mutex<Option<Made>>>,
}

/// A configuration and what it was made of.
#[derive(Debug)]
struct Made {
    config: Arc<ClientConfig>,
    system: Option<Arc<RootCertStore>>,
    /// Times of change and sizes of the files.
    files: Vec<pem::Version>,
}

impl Client {
    /// For a server that is called `host` unless the configuration has another name for it.
    pub(super) fn new(tls: &Tls, host: &Host, roots: Roots) -> Client {
        let name = match tls.server_name.as_ref().unwrap_or(host) {
            Host::Address(address) => Ok(ServerName::IpAddress((*address).into())),
            Host::Name(name) => {
                let name = name.as_str().trim_end_matches('.').to_owned();
                ServerName::try_from(name.clone()).map_err(|_| name)
            }
        };
        let looked_at = tls.verify_name && tls.trust != Trust::Anyone;
        let asked_for = tls.verify_name || tls.server_name.is_some();
        let name = match name {
            Ok(name) if asked_for => Ok(name),
            Err(name) if looked_at => Err(name),
            // Nobody looks at it.
            Ok(_) | Err(_) => Ok(nameless()),
        };
        let source = Source { tls: tls.clone(), roots, ready: Arc::default() };
        Client { source, name, reading: BlockingTask::default() }
    }

    /// Trusts any certificate and has none.
    pub(super) fn unverified() -> Client {
        let tls = Tls { trust: Trust::Anyone, ..Tls::default() };
        Client::new(&tls, &Host::Address(Ipv4Addr::UNSPECIFIED.into()), Roots::default())
    }

    pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: S,
        deadline: Deadline,
    ) -> Result<TlsStream<S>, Failure> {
        let source = self.source.clone();
        let what = "reading certificates";
        let config = self.reading.run(deadline, what, move || source.config()).await??;
        let name = self.name.clone().map_err(|name| {
            Failure::new(Cause::Tls, format!("no certificate can carry the name {name:?}"))
        })?;
        let handshake = TlsConnector::from(config).connect(name, stream);
        let stream = deadline.step("agreeing on TLS", handshake).await?;
        stream.map_err(|error| Failure::new(Cause::Tls, failure(&error)))
    }
}

fn nameless() -> ServerName<'static> {
    ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into())
}

impl Source {
    /// Blocks.
    fn config(&self) -> Result<Arc<ClientConfig>, Failure> {
        let system = (self.tls.trust == Trust::System).then(|| self.roots.get());
        let files = self.files();
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*ready
            && made.files == files
            && made.system.as_ref().map(Arc::as_ptr) == system.as_ref().map(Arc::as_ptr)
        {
            return Ok(Arc::clone(&made.config));
        }
        let config = Arc::new(self.read()?);
        *ready = Some(Made { config: Arc::clone(&config), system, files });
        Ok(config)
    }

    fn files(&self) -> Vec<pem::Version> {
        let authorities = match &self.tls.trust {
            Trust::File(path) => Some(path),
            Trust::System | Trust::Anyone => None,
        };
        let own = self.tls.identity.iter().flat_map(|own| [&own.certificate, &own.key]);
        authorities.into_iter().chain(own).map(|path| pem::version(path)).collect()
    }

    fn read(&self) -> Result<ClientConfig, Failure> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::new(Cause::Tls, error.to_string()))?;
        let name = self.tls.verify_name;
        let trusted = match &self.tls.trust {
            Trust::System => {
                TrustedServers::SignedBy { roots: self.roots.get(), own: Vec::new(), name }
            }
            Trust::File(path) => {
                let own = pem::certificates(path).map_err(cannot_run)?;
                let roots = pem::authorities(path, &own).map_err(cannot_run)?;
                TrustedServers::SignedBy { roots: Arc::new(roots), own, name }
            }
            Trust::Anyone => TrustedServers::Anyone,
        };
        let verifier = Arc::new(Verifier { provider, trusted });
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = self.identify(builder)?;
        // A resumed session would hide that the certificate has expired or changed.
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    fn identify(
        &self,
        builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    ) -> Result<ClientConfig, Failure> {
        let Some(own) = &self.tls.identity else { return Ok(builder.with_no_client_auth()) };
        let identity = pem::identity(own).map_err(cannot_run)?;
        Ok(builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))))
    }
}

fn cannot_run(why: String) -> Failure {
    Failure::new(Cause::CannotRun, why)
}

/// Whether files of PEM can be used. Blocks.
///
/// # Errors
/// Why not.
pub fn usable(file: &PemFile<'_>) -> Result<(), String> {
    match file {
        PemFile::Authorities(path) => {
            pem::certificates(path).and_then(|own| pem::authorities(path, &own)).map(drop)
        }
        PemFile::Identity(own) => pem::identity(own).map(drop),
    }
}

/// What rustls says about an error it caused, wherever that is wrapped.
pub(super) fn said_by_tls(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(explain(error));
        }
        // An I/O error hides what it wraps from `source`.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn failure(error: &io::Error) -> String {
    said_by_tls(error).unwrap_or_else(|| cause(error))
}

fn explain(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidMessage(_) => format!("{error}; does it speak TLS at all?"),
        _ => error.to_string(),
    }
}
