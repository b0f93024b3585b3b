//! The files that TLS needs, before anything relies on them.

use std::path::Path;

use crate::config::checks::PemFile;
use crate::config::diag::{Diagnostic, Spanned};
use crate::config::raw::Raw;
use crate::config::sources::Sources;
use crate::types::Identity;

/// A file as written.
type File = Option<Spanned<String>>;

/// Says which cannot be used. What is no absolute path is wrong already.
pub(super) fn check(raw: &Raw, sources: &dyn Sources, out: &mut Vec<Diagnostic>) {
    let clusters = raw.clusters.iter().map(|cluster| &cluster.tls);
    let of_clusters = clusters.map(|tls| (&tls.ca, &tls.cert, &tls.key));
    let trackers = raw.trackers.iter().map(|tracker| &tracker.settings);
    let of_trackers = trackers.map(|own| (&own.ca, &own.cert, &own.key));
    for (ca, cert, key) in of_clusters.chain(of_trackers) {
        let without = "without it every check that needs it fails";
        if let Some(ca) = absolute(ca) {
            let usable = sources.usable(&PemFile::Authorities(Path::new(&ca.value)));
            refuse(ca, usable, without, out);
        }
        identity(cert, key, sources, without, out);
    }
    for listener in &raw.listeners {
        let without =
            "without it clients that verify certificates do not learn why they are refused";
        identity(&listener.cert, &listener.key, sources, without, out);
    }
}

fn identity(
    cert: &File,
    key: &File,
    sources: &dyn Sources,
    without: &str,
    out: &mut Vec<Diagnostic>,
) {
    if let (Some(cert), Some(key)) = (absolute(cert), absolute(key)) {
        let (certificate, key) = (cert.value.clone().into(), key.value.clone().into());
        let usable = sources.usable(&PemFile::Identity(&Identity { certificate, key }));
        refuse(cert, usable, without, out);
    }
}

fn absolute(path: &File) -> Option<&Spanned<String>> {
    path.as_ref().filter(|path| path.value.starts_with('/'))
}

fn refuse(
    path: &Spanned<String>,
    usable: Result<(), String>,
    without: &str,
    out: &mut Vec<Diagnostic>,
) {
    if let Err(why) = usable {
        out.push(
            Diagnostic::error(path.span, format!("this file cannot be used: {why}"))
                .note(without)
                .help("a PEM file that the user vipd runs as may read"),
        );
    }
}
