//! The files that checks over TLS read, before anything relies on them.

use std::path::Path;

use super::checks::{ClientIdentity, PemFile};
use super::diag::{Diagnostic, Spanned};
use super::load::Sources;
use super::raw::Raw;

/// Says which cannot be used. What is no absolute path is wrong already.
pub(super) fn check(raw: &Raw, sources: &dyn Sources, out: &mut Vec<Diagnostic>) {
    let clusters = raw.clusters.iter().map(|cluster| &cluster.tls);
    let of_clusters = clusters.map(|tls| (&tls.ca, &tls.cert, &tls.key));
    let trackers = raw.trackers.iter().map(|tracker| &tracker.settings);
    let of_trackers = trackers.map(|own| (&own.ca, &own.cert, &own.key));
    for (ca, cert, key) in of_clusters.chain(of_trackers) {
        if let Some(ca) = absolute(ca.as_ref()) {
            refuse(ca, sources.usable(&PemFile::Authorities(Path::new(&ca.value))), out);
        }
        if let (Some(cert), Some(key)) = (absolute(cert.as_ref()), absolute(key.as_ref())) {
            let (certificate, key) = (cert.value.clone().into(), key.value.clone().into());
            let own = ClientIdentity { certificate, key };
            refuse(cert, sources.usable(&PemFile::Identity(&own)), out);
        }
    }
}

fn absolute(path: Option<&Spanned<String>>) -> Option<&Spanned<String>> {
    path.filter(|path| path.value.starts_with('/'))
}

fn refuse(path: &Spanned<String>, usable: Result<(), String>, out: &mut Vec<Diagnostic>) {
    if let Err(why) = usable {
        out.push(
            Diagnostic::error(path.span, format!("this file cannot be used: {why}"))
                .note("without it every check that needs it fails")
                .help("a PEM file that the user vipd runs as may read"),
        );
    }
}
