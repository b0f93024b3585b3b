//! Certificates and keys in files of PEM.

pub(crate) mod x509;

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::{Error, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, InconsistentKeys, RootCertStore};

use crate::sys::cause;
use crate::types::Identity;
use x509::Certificate;

/// At least one.
///
/// # Errors
/// Why there is none.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = all.map_err(|error| unreadable(path, &error))?;
    if all.is_empty() {
        return Err(format!("{} has no certificate in it", path.display()));
    }
    Ok(all)
}

/// `own`, from the file `path`, as authorities.
///
/// # Errors
/// Why they are none.
pub(crate) fn authorities(
    path: &Path,
    own: &[CertificateDer<'static>],
) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in own {
        store.add(certificate.clone()).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(store)
}

/// A certificate and its key.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn identity(own: &Identity) -> Result<CertifiedKey, String> {
    let chain = certificates(&own.certificate)?;
    let key =
        PrivateKeyDer::from_pem_file(&own.key).map_err(|error| unreadable(&own.key, &error))?;
    let refused = |error: rustls::Error| {
        format!("{} and {}: {error}", own.certificate.display(), own.key.display())
    };
    let key = default_provider().key_provider.load_private_key(key).map_err(refused)?;
    let old =
        chain.first().is_some_and(|own| Certificate::read(own).is_some_and(|c| c.version < 3));
    let identity = CertifiedKey::new(chain, key);
    match identity.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        // webpki reads none of version 1; whether its key fits the other side will say.
        Err(_) if old => {}
        Err(error) => return Err(refused(error)),
    }
    Ok(identity)
}

/// Time of change and size of a file, by which a new one is known.
pub(crate) type Version = Option<(SystemTime, u64)>;

/// Those of a file that is there.
pub(crate) fn version(path: &Path) -> Version {
    let found = fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len()))
}

fn unreadable(path: &Path, error: &Error) -> String {
    let why = match error {
        Error::Io(error) => cause(error),
        Error::NoItemsFound => "nothing of the kind in it".to_owned(),
        other => other.to_string(),
    };
    format!("{}: {why}", path.display())
}
