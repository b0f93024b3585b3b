//! Who is told what: commands, FIFOs and mail.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::PathBuf;

use lettre::Address;

use super::commands;
use crate::config::checks::{Endpoint, RunAs, ScriptCheck};
use crate::config::diag::{Diagnostic, Span, Spanned, quoted};
use crate::config::key::value::{POSITIVE, within};
use crate::config::notify::{FifoConfig, MailConfig, MailOptions, Moment, NotifyConfig};
use crate::config::raw::{Raw, RawCommand, RawFifo, RawGlobals, RawMail, RawNotify};

/// What one router or group tells.
pub(super) fn notify(
    raw: &RawNotify,
    globals: &RawGlobals,
    out: &mut Vec<Diagnostic>,
) -> NotifyConfig {
    let commands: BTreeMap<Moment, ScriptCheck> =
        raw.commands.iter().map(|(moment, raw)| (*moment, script(raw, globals, out))).collect();
    if let (None, Some(at)) = (&raw.while_master, raw.while_master_every) {
        let text = "there is nothing to ensure while master";
        out.push(Diagnostic::error(at.span, text).help("add the command, or remove this"));
    }
    let mut config = raw.over(&NotifyConfig::default(), out);
    config.timeout = within(raw.timeout.as_ref(), &POSITIVE, "the timeout", out);
    config.say_deleted |= commands.contains_key(&Moment::Deleted);
    config.while_master = raw.while_master.as_ref().map(|raw| script(raw, globals, out));
    NotifyConfig { commands, ..config }
}

/// What a group tells: it has a state, but no priority, and no end but the daemon's.
pub(super) fn of_group(
    raw: &RawNotify,
    globals: &RawGlobals,
    out: &mut Vec<Diagnostic>,
) -> NotifyConfig {
    let of_members = [Moment::Deleted, Moment::LowerPriority];
    let commands = of_members.iter().filter_map(|moment| raw.commands.get(moment));
    let commands = commands.map(|command| command.command.span);
    let flags = [raw.say_deleted, raw.priority_changes].into_iter().flatten();
    for span in commands.chain(flags.map(|flag| flag.span)) {
        out.push(
            Diagnostic::error(span, "nothing of this kind happens to a group")
                .help("write it below `[vrrp.NAME.notify]` of its members"),
        );
    }
    notify(raw, globals, out)
}

/// As whom a command runs: as it says itself, else as all scripts do.
pub(super) fn run_as(
    [user, group]: [&Option<Spanned<String>>; 2],
    globals: &RawGlobals,
    out: &mut Vec<Diagnostic>,
) -> RunAs {
    if let (None, Some(group)) = (user, group) {
        out.push(Diagnostic::error(group.span, "a group without a user").help("add `user`"));
    }
    let [user, group] = match user {
        Some(_) => [user, group],
        None => [&globals.script_user, &globals.script_group],
    };
    let group = group.as_ref().map(|group| group.value.clone());
    let user = user.as_ref().map(|user| user.value.clone());
    user.map_or(RunAs::Default, |user| RunAs::User { user, group })
}

pub(super) fn script(
    raw: &RawCommand,
    globals: &RawGlobals,
    out: &mut Vec<Diagnostic>,
) -> ScriptCheck {
    let run_as = run_as([&raw.user, &raw.group], globals, out);
    let security = globals.script_security.is_some_and(|on| on.value);
    commands::remark(&raw.command.value, raw.command.span, commands::Use::Notice, out);
    ScriptCheck { command: raw.command.value.clone(), run_as, security }
}

/// The FIFOs, each path once.
pub(super) fn fifos(raw: &Raw, out: &mut Vec<Diagnostic>) -> Vec<FifoConfig> {
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    let mut fifos = Vec::new();
    for fifo in &raw.fifos {
        let RawFifo { path, reader, .. } = fifo;
        if !path.value.starts_with('/') {
            let text = format!("the path of a FIFO begins with `/`: {}", quoted(&path.value));
            out.push(Diagnostic::error(path.span, text));
        }
        if let Some(first) = seen.insert(&path.value, path.span) {
            let text = format!("{} is a FIFO already", quoted(&path.value));
            out.push(
                Diagnostic::error(path.span, text)
                    .also(first, "first one")
                    .help("every event would be written to it twice: remove one"),
            );
        }
        fifos.push(FifoConfig {
            path: PathBuf::from(&path.value),
            reader: reader.as_ref().map(|reader| script(reader, &raw.globals, out)),
            ..fifo.over(&FifoConfig::default(), out)
        });
    }
    fifos
}

/// Where mail goes, and whether what is mailed goes anywhere.
pub(super) fn mail(raw: &Raw, out: &mut Vec<Diagnostic>) -> Option<MailConfig> {
    let own = raw.routers.iter().map(|router| &router.notify);
    let asked = own.chain(raw.groups.iter().map(|group| &group.notify));
    let mut asked = asked.filter_map(|notify| notify.mail.filter(|on| on.value));
    let Some(mail) = &raw.mail else {
        if let Some(asked) = asked.next() {
            out.push(
                Diagnostic::warning(asked.span, "no mail is sent: nothing says where it goes")
                    .note("as in keepalived, which sends none without recipients and a server")
                    .help(
                        "name recipients and server: `[mail]` in vipd.toml, notification_email and \
                         smtp_server in global_defs",
                    ),
            );
        }
        return None;
    };
    let RawMail { span, to, server, .. } = mail;
    if to.is_empty() {
        out.push(
            Diagnostic::error(*span, "mail to nobody").help("add `to = [\"you@example.org\"]`"),
        );
    }
    for address in to {
        if address.value.parse::<Address>().is_err() {
            let text = format!("{} is no mail address", quoted(&address.value));
            out.push(Diagnostic::error(address.span, text).help("for example `ops@example.org`"));
        }
    }
    let server = match server {
        None => {
            out.push(
                Diagnostic::error(*span, "no server takes the mail")
                    .help("add `server = \"mail.example.org\"`, or \"HOST:PORT\""),
            );
            None
        }
        Some(server) => match Endpoint::parse(&server.value, NonZeroU16::new(25)) {
            Ok(endpoint) => Some(endpoint),
            Err(error) => {
                out.push(Diagnostic::error(server.span, error.to_string()));
                None
            }
        },
    };
    let options = mail.over(&MailOptions::default(), out);
    let to = to.iter().map(|to| to.value.clone()).collect();
    Some(MailConfig { to, server: server?, options })
}
