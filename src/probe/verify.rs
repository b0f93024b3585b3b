//! Whether a server's certificate is trusted.
//!
//! As in HAProxy, with the authorities of a file: a self-signed certificate in that file is
//! trusted, whether it is an authority or not; a certificate of version 1 is trusted if one of them
//! signed it; and a name may be in the subject alone. webpki accepts none of these.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{
    CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime,
};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, Error, PeerMisbehaved, RootCertStore, SignatureScheme,
};

use crate::pem::x509::Certificate;

/// Which servers are trusted.
#[derive(Debug)]
pub(super) enum TrustedServers {
    /// All. Signatures are checked, so the server does have the key of its certificate.
    Anyone,
    /// Those whose certificates these authorities signed.
    SignedBy {
        roots: Arc<RootCertStore>,
        /// Those of a file of the user's own, as they stand there.
        own: Vec<CertificateDer<'static>>,
        /// Whether the certificate must carry the name, too.
        name: bool,
    },
}

#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) trusted: TrustedServers,
}

impl Verifier {
    fn algorithms(&self) -> &'static [&'static dyn SignatureVerificationAlgorithm] {
        self.provider.signature_verification_algorithms.all
    }

    fn verify_chain(
        &self,
        server: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        roots: &RootCertStore,
        own: &[CertificateDer<'static>],
    ) -> Result<(), Error> {
        if let Some(read) = Certificate::read(server) {
            let itself = read.issuer == read.subject && own.iter().any(|known| known == server);
            if itself {
                return valid(&read, now);
            }
            if read.version < 3 {
                valid(&read, now)?;
                let signs = |issuer: &CertificateDer<'_>| {
                    Certificate::read(issuer).is_some_and(|issuer| {
                        issuer.subject == read.issuer
                            && valid(&issuer, now).is_ok()
                            && signed(self.algorithms(), &read, &issuer)
                    })
                };
                let known = own.iter().any(signs);
                return known.then_some(()).ok_or(CertificateError::UnknownIssuer.into());
            }
        }
        let parsed = ParsedCertificate::try_from(server)?;
        let algorithms = self.algorithms();
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms)
    }

    /// The signature of a handshake by a certificate webpki does not read.
    fn signed_by_version_1(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
        most: usize,
    ) -> Option<Result<HandshakeSignatureValid, Error>> {
        let read = Certificate::read(certificate).filter(|read| read.version < 3)?;
        let mapping = self.provider.signature_verification_algorithms.mapping;
        let Some((_, algorithms)) = mapping.iter().find(|(known, _)| *known == signature.scheme)
        else {
            return Some(Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into()));
        };
        let fits = |algorithm: &&&dyn SignatureVerificationAlgorithm| {
            algorithm.public_key_alg_id().as_ref() == read.key_algorithm
        };
        let good = algorithms.iter().take(most).filter(fits).any(|algorithm| {
            algorithm.verify_signature(read.key, message, signature.signature()).is_ok()
        });
        Some(if good {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        })
    }
}

fn valid(certificate: &Certificate<'_>, now: UnixTime) -> Result<(), Error> {
    certificate.valid(now.as_secs()).map_err(|over| {
        let why = if over { CertificateError::Expired } else { CertificateError::NotValidYet };
        why.into()
    })
}

/// Whether `issuer` signed `certificate`.
fn signed(
    algorithms: &[&dyn SignatureVerificationAlgorithm],
    certificate: &Certificate<'_>,
    issuer: &Certificate<'_>,
) -> bool {
    let fits = |algorithm: &&&dyn SignatureVerificationAlgorithm| {
        algorithm.signature_alg_id().as_ref() == certificate.algorithm
            && algorithm.public_key_alg_id().as_ref() == issuer.key_algorithm
    };
    algorithms.iter().filter(fits).any(|algorithm| {
        algorithm.verify_signature(issuer.key, certificate.signed, certificate.signature).is_ok()
    })
}

/// Whether a certificate carries a name: as alternative name, or in its subject.
fn carries(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
    if let ServerName::DnsName(name) = name
        && Certificate::read(certificate).is_some_and(|read| read.is_called(name.as_ref()))
    {
        return Ok(());
    }
    match ParsedCertificate::try_from(certificate) {
        Ok(parsed) => verify_server_name(&parsed, name),
        // Of version 1: it has no other names.
        Err(_) => Err(CertificateError::NotValidForName.into()),
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let TrustedServers::SignedBy { roots, own, name } = &self.trusted {
            self.verify_chain(end_entity, intermediates, now, roots, own)?;
            if *name {
                carries(end_entity, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.signed_by_version_1(message, cert, dss, usize::MAX)
            .unwrap_or_else(|| verify_tls12_signature(message, cert, dss, algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // Of several algorithms for a scheme TLS 1.3 means the first.
        let algorithms = &self.provider.signature_verification_algorithms;
        self.signed_by_version_1(message, cert, dss, 1)
            .unwrap_or_else(|| verify_tls13_signature(message, cert, dss, algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
