//! What is wrong with the daemon as a whole.

use super::super::text::{
    RECENT_MS, failed_runs, first_error, missing, run, stalled, static_words,
};
use super::super::{AddressStatus, NotifyStatus, Snapshot};
use super::{AboutStatus, Finding, ObjectKind, ReasonCode, Severity};
use crate::text::{counted, times};

/// A stall is a matter of the present for so long: two rounds of a check every five minutes.
const STALL_MATTERS_MS: u64 = 10 * 60 * 1000;

/// One that costs clients of a listener something, where no router has an interval.
const LONG_STALL_MS: u64 = 1000;

/// Every one of them in words, each with where to read on.
pub(crate) fn daemon_notes(snapshot: &Snapshot) -> Vec<String> {
    let files = snapshot.daemon.config.join(" ");
    let mut notes = Vec::new();
    for finding in findings(snapshot) {
        let more = match finding.reason.code {
            ReasonCode::ReloadRefused => Some(format!("  to see all: vipd check {files}")),
            ReasonCode::RoutersLeftOut | ReasonCode::SettingsDropped => {
                Some(format!("  to see why: vipd check --lenient {files}"))
            }
            _ => None,
        };
        notes.push(finding.reason.text);
        notes.extend(more);
    }
    notes
}

pub(super) fn findings(snapshot: &Snapshot) -> Vec<Finding> {
    let mut findings = own(snapshot);
    let trouble = |a: &&AddressStatus| !a.held || a.error.is_some() || a.readded > 0;
    findings.extend(snapshot.static_addresses.iter().filter(trouble).map(|address| {
        let amiss = !address.held || address.error.is_some();
        let severity = if amiss { Severity::Degraded } else { Severity::Notice };
        let text = format!("static address {}", static_words(address));
        Finding::new(ReasonCode::StaticAddress, severity, Vec::new(), text)
    }));
    for (name, group) in &snapshot.groups {
        let about = AboutStatus::new(ObjectKind::Group, name);
        findings.extend(unnotified(&about, &format!("group {name}"), group));
    }
    findings.extend(fifos_mail_and_pages(snapshot));
    findings.extend(snapshot.unattributed.iter().filter(|(_, count)| **count > 0).map(
        |(reason, count)| {
            let packets = counted(*count, "packet");
            let text = format!("{packets} of no virtual router here: {reason}");
            Finding::new(ReasonCode::Losses, Severity::Notice, Vec::new(), text)
        },
    ));
    findings
}

/// Commands whose last run failed. After a day nobody waits for what they were to do.
pub(super) fn unnotified(
    about: &AboutStatus,
    name: &str,
    notify: &NotifyStatus,
) -> impl Iterator<Item = Finding> {
    failed_runs(notify).map(move |failed| {
        let recent = failed.age_ms <= RECENT_MS;
        let severity = if recent { Severity::Degraded } else { Severity::Notice };
        let text = format!("{name}: notify {}", run(failed));
        Finding::new(ReasonCode::NotifyFailed, severity, vec![about.clone()], text)
    })
}

/// The process and its configuration.
fn own(snapshot: &Snapshot) -> Vec<Finding> {
    let daemon = &snapshot.daemon;
    let mut findings = Vec::new();
    let mut add = |code, severity, text: String| {
        findings.push(Finding::new(code, severity, Vec::new(), text));
    };
    if let Some(error) = &daemon.reload_error {
        // The whole report is in the log; `vipd check` prints it again.
        let why = first_error(error);
        let text = format!("the last reload was refused, the old configuration runs on: {why}");
        add(ReasonCode::ReloadRefused, Severity::Degraded, text);
    }
    if let Some(text) = missing(&daemon.settings_dropped, &daemon.routers_left_out) {
        // keepalived drops settings as well, and whoever wrote --lenient wants that. A router that does not run has
        // no second node.
        let (code, severity) = match daemon.routers_left_out.is_empty() {
            true => (ReasonCode::SettingsDropped, Severity::Notice),
            false => (ReasonCode::RoutersLeftOut, Severity::Degraded),
        };
        add(code, severity, text);
    }
    if daemon.send_drops > 0 {
        let text = format!("not sent: {}", counted(daemon.send_drops, "packet"));
        add(ReasonCode::Losses, Severity::Notice, text);
    }
    if daemon.netlink_overruns > 0 {
        let overruns = times(daemon.netlink_overruns);
        let text = format!("the kernel's interface events were lost and read again {overruns}");
        add(ReasonCode::Losses, Severity::Notice, text);
    }
    if daemon.log_lines_lost > 0 {
        let lines = counted(daemon.log_lines_lost, "line");
        add(ReasonCode::Losses, Severity::Notice, format!("the log is too slow: {lines} lost"));
    }
    if let (Some(stall), Some(text)) = (daemon.stall, stalled(daemon)) {
        let interval = snapshot.routers.iter().map(|router| router.interval_ms).min();
        let missed = stall.lasted_ms >= interval.unwrap_or(LONG_STALL_MS);
        let matters = missed && stall.age_ms < STALL_MATTERS_MS;
        let severity = if matters { Severity::Degraded } else { Severity::Notice };
        add(ReasonCode::Stall, severity, text);
    }
    if !daemon.removed_at_start.is_empty() && daemon.uptime_ms <= RECENT_MS {
        let text = format!(
            "removed at the start, because nobody here was master yet: {}. If it was this host's own \
             address, the virtual router needs another one, or priority 255",
            daemon.removed_at_start.join(", ")
        );
        add(ReasonCode::Hint, Severity::Notice, text);
    }
    findings
}

/// Where news and the status go.
fn fifos_mail_and_pages(snapshot: &Snapshot) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |code, severity, about, text: String| {
        findings.push(Finding::new(code, severity, about, text));
    };
    for fifo in &snapshot.fifos {
        let path = fifo.path.display();
        if let Some(error) = &fifo.error {
            add(ReasonCode::Fifo, Severity::Degraded, Vec::new(), format!("FIFO {path}: {error}"));
        }
        if fifo.lost > 0 {
            let lines = counted(fifo.lost, "line");
            let text = format!("FIFO {path}: {lines} lost, nobody reads fast enough");
            add(ReasonCode::Fifo, Severity::Notice, Vec::new(), text);
        }
    }
    if let Some(mail) = &snapshot.mail {
        if let Some(error) = &mail.error {
            let text = format!("mail to {}: {} waiting: {error}", mail.server, mail.waiting);
            add(ReasonCode::Mail, Severity::Degraded, Vec::new(), text);
        }
        if mail.failed + mail.lost > 0 {
            let text = format!("mail to {}: {} never sent", mail.server, mail.failed + mail.lost);
            add(ReasonCode::Mail, Severity::Notice, Vec::new(), text);
        }
    }
    for page in &snapshot.pages {
        if let Some(failure) = &page.failure {
            let text = format!("page {} is not open: cannot {failure}", page.name);
            let about = vec![AboutStatus::new(ObjectKind::Page, &page.name)];
            add(ReasonCode::PageClosed, Severity::Degraded, about, text);
        }
    }
    findings
}
