//! What is on a status page, to the letter.

use std::path::Path;
use std::time::Duration;

use vipd::page::{Look, html, silent};
use vipd::status::{AdmissionStatus, PageStatus, Phase, RoleStatus, Snapshot, Traffic};

use crate::expected::expect;
use crate::serving_render::{cluster, listener, member, server};
use crate::status_render;

fn look() -> Look {
    Look { refresh: Some(Duration::from_secs(5)), json: "/status.json".into() }
}

/// Routers, trackers, listeners and a cluster with all that can be wrong with them.
pub(crate) fn everything() -> Snapshot {
    let mut lagging = member("pg-3", RoleStatus::AsyncStandby, 5);
    (lagging.admission, lagging.reason) = (AdmissionStatus::Held, "lags by 20 MB".into());
    (lagging.lag_bytes, lagging.lag_ms) = (Some(20 << 20), Some(90_000));
    let mut gone = member("pg-1", RoleStatus::Replica, 5);
    (gone.admission, gone.reason) = (AdmissionStatus::Down, "silent for 9.0 s".into());
    let members = vec![gone, member("pg-2", RoleStatus::Primary, 5), lagging];
    let takes = |name: &str| members.iter().map(|m| server(m, m.name == name, 3)).collect();
    let mut read = listener("read", 5001, "replica", takes("pg-2"));
    read.fallen_back = true;
    let mut closed = listener("closed", 5002, "replica", takes("pg-2"));
    let failure = Some("listen on 0.0.0.0:5002 for closed: Address already in use".into());
    closed.traffic = Some(Traffic { failure, ..Traffic::default() });
    let listeners = vec![listener("write", 5000, "primary", takes("pg-2")), read, closed];
    let mut pg = cluster(Phase::Primary, "pg-2 is the primary, timeline 5", members);
    (pg.primary, pg.paused) = (Some("pg-2".into()), true);
    let failure = Some("listen on 10.0.0.10:7000 for page ops: Address already in use".into());
    let bind = ([10, 0, 0, 10], 7000).into();
    let page = PageStatus { name: "ops".into(), bind, path: "/".into(), failure };
    Snapshot { clusters: vec![pg], listeners, pages: vec![page], ..status_render::tracking() }
}

/// The text of a page, a line per line of the source, with its tags but without its style.
fn body(page: &str) -> String {
    let (head, rest) = page.split_once("<style>").unwrap();
    let (_, rest) = rest.split_once("</style>").unwrap();
    format!("{head}{rest}")
}

#[test]
fn everything_there_is_to_say_stands_on_the_page() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/page/everything.html");
    expect(&path, &body(&html(&everything(), &look())));
}

#[test]
fn names_and_reasons_are_text_wherever_they_stand() {
    const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&";
    let mut all = everything();
    let mut places: Vec<&mut String> = vec![&mut all.daemon.node, &mut all.daemon.taken_at];
    for router in &mut all.routers {
        places.extend([&mut router.name, &mut router.reason]);
        places.extend(router.faults.iter_mut().map(|fault| &mut fault.text));
        places.extend(router.hints.iter_mut().map(|hint| &mut hint.text));
        places.extend(router.tracking.iter_mut().map(|tracked| &mut tracked.name));
        places.extend(router.addresses.iter_mut().map(|address| &mut address.address));
        places.extend(router.transitions.iter_mut().map(|change| &mut change.reason));
    }
    for tracker in &mut all.trackers {
        places.extend([&mut tracker.name, &mut tracker.kind, &mut tracker.detail]);
        places.push(&mut tracker.output);
        places.extend(&mut tracker.answer);
    }
    for listener in &mut all.listeners {
        places.extend([&mut listener.name, &mut listener.wants, &mut listener.reason]);
        places.extend(listener.traffic.as_mut().and_then(|traffic| traffic.failure.as_mut()));
        for server in &mut listener.servers {
            places.extend([&mut server.name, &mut server.reason]);
        }
    }
    for cluster in &mut all.clusters {
        places.extend([&mut cluster.name, &mut cluster.summary]);
        for member in &mut cluster.members {
            places.extend([&mut member.name, &mut member.address, &mut member.reason]);
            places.extend(&mut member.notes);
        }
    }
    all.daemon.reload_error = Some(EVIL.into());
    places.push(&mut all.pages[0].name);
    places.into_iter().for_each(|place| *place = EVIL.into());
    for page in [html(&all, &look()), silent(EVIL, &look())] {
        assert!(page.contains("&lt;script&gt;"), "{page}");
        for tag in ["<script", "<img", "\"'>"] {
            assert!(!page.contains(tag), "{tag}: {page}");
        }
    }
}

#[test]
fn nothing_is_loaded_and_nothing_is_run() {
    let page = html(&everything(), &look());
    for word in ["<script", "javascript:", " src=", "<link", "@import", "url(", "<form", "http://"]
    {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("<meta http-equiv=refresh content=\"5\">"));
    let still = html(&everything(), &Look { refresh: None, ..look() });
    assert!(!still.contains("http-equiv"), "{still}");
}
