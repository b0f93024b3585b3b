//! Clients of PostgreSQL that ask for TLS, or begin it, and are refused.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
};
use vipd::config::ListenerProtocol;
use vipd::types::Identity;

use super::bench::*;
use super::postgres::{GSS_REQUEST, SSL_REQUEST, read_message, startup};

/// A listener that turns everyone away at once.
fn nobody() -> Bench {
    let mut settings = listener(ListenerProtocol::Postgres);
    settings.options.queue_timeout = Duration::ZERO;
    Bench::new(settings, COPY, &[])
}

/// As `sslmode=require` does, which takes any certificate.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Begin TLS, and say in it who wants in; the answer up to an orderly end.
pub fn answer_in_tls(client: TcpStream) -> (String, Option<Vec<u8>>) {
    let (stream, answer) = tls(client);
    let alpn = stream.conn.alpn_protocol().map(<[u8]>::to_vec);
    (String::from_utf8_lossy(&answer).into_owned(), alpn)
}

fn tls(client: TcpStream) -> (StreamOwned<ClientConnection, TcpStream>, Vec<u8>) {
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    let name = ServerName::try_from("db.example").unwrap();
    let tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(tls, client);
    stream.write_all(&startup("alice")).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    (stream, answer)
}

fn ask_for(client: &mut TcpStream, request: [u8; 8], answer: &[u8]) {
    client.write_all(&request).unwrap();
    assert_eq!(read(client, 1), answer);
}

#[test]
fn a_client_that_asks_for_encryption_learns_why_it_is_refused() {
    let bench = nobody();
    let mut client = bench.connect();
    ask_for(&mut client, SSL_REQUEST, b"S");
    let (answer, _) = answer_in_tls(client);
    assert!(
        answer.starts_with('E') && answer.contains("\0C57P03\0Mno usable server"),
        "{answer:?}"
    );

    let mut client = bench.connect();
    ask_for(&mut client, GSS_REQUEST, b"N");
    ask_for(&mut client, SSL_REQUEST, b"S");
    assert!(answer_in_tls(client).0.contains("\0C57P03\0"));

    let mut client = bench.connect();
    ask_for(&mut client, GSS_REQUEST, b"N");
    client.write_all(&startup("alice")).unwrap();
    let answer = String::from_utf8_lossy(&read_all(&mut client)).into_owned();
    assert!(answer.contains("\0C57P03\0"), "{answer:?}");
    bench.wait_for("none is left", |state| state.connections == 0);
    assert_eq!(bench.state().counters.unserved, 3);
}

/// `sslnegotiation=direct`: it would not go on without its protocol being named.
#[test]
fn a_client_that_begins_tls_at_once_learns_why_it_is_refused() {
    let (answer, alpn) = answer_in_tls(nobody().connect());
    assert!(answer.contains("\0C57P03\0"), "{answer:?}");
    assert_eq!(alpn.as_deref(), Some(b"postgresql".as_slice()));
}

/// A certificate that was renewed is shown from then on, one half of a new pair is not.
#[test]
fn a_client_that_is_refused_is_shown_the_certificate_of_the_listener() {
    let pem = |name: &str| format!("{}/tests/golden/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let renew = |of: &str, end: &str| {
        // The time of change alone may be that of the last.
        fs::remove_file(file(end)).ok();
        fs::copy(pem(&format!("{of}.{end}")), file(end)).unwrap();
    };
    let mut settings = listener(ListenerProtocol::Postgres);
    settings.options.queue_timeout = Duration::ZERO;
    settings.identity = Some(Identity { certificate: file("pem"), key: file("key") });
    let bench = Bench::new(settings, COPY, &[]);
    let shown = || {
        let (stream, answer) = tls(bench.connect());
        assert!(String::from_utf8_lossy(&answer).contains("\0C57P03\0"), "{answer:?}");
        stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
    };
    let known = |name: &str| CertificateDer::from_pem_file(pem(&format!("{name}.pem"))).unwrap();
    // Nothing there yet: the reason is worth more than the certificate.
    let made = shown();
    renew("server", "pem");
    renew("server", "key");
    assert_ne!(made, known("server"));
    assert_eq!(shown(), known("server"));
    renew("own", "pem");
    assert_eq!(shown(), known("server"));
    renew("own", "key");
    assert_eq!(shown(), known("own"));
}

#[test]
fn a_client_told_to_begin_tls_by_a_server_that_went_away_learns_why_it_is_refused() {
    let address = serve(|mut stream| {
        if read_message(&mut stream).is_some() {
            stream.write_all(b"S").unwrap();
            // The hello of the client is the last it sees.
            let _ = stream.read(&mut [0; 1024]);
        }
    });
    let mut settings = listener(ListenerProtocol::Postgres);
    settings.options.queue_timeout = Duration::from_millis(300);
    let bench = Bench::new(settings, COPY, &[address]);
    let mut client = bench.connect();
    ask_for(&mut client, SSL_REQUEST, b"S");
    let (answer, _) = answer_in_tls(client);
    assert!(answer.contains("it closed the connection"), "{answer:?}");
}

/// Each costs a handshake: those who say nothing more are bounded in number and in time.
#[test]
fn clients_that_stop_in_the_middle_of_being_refused_keep_nobody_else_from_it_for_long() {
    let bench = nobody();
    let silent: Vec<_> = (0..300)
        .map(|_| {
            let mut client = bench.connect();
            client.write_all(&SSL_REQUEST).unwrap();
            client
        })
        .collect();
    bench.wait_for("all are turned away", |state| state.counters.unserved == 300);
    until("somebody learns why", || {
        let mut client = bench.connect();
        client.write_all(&SSL_REQUEST).unwrap();
        let mut answer = [0];
        client.read(&mut answer).is_ok_and(|count| count == 1)
            && answer_in_tls(client).0.contains("\0C57P03\0")
    });
    drop(silent);
}
