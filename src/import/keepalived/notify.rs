//! `notify` and its kind, FIFOs and mail.

use super::lexer::Word;

use super::tree::Node;
use super::values::{boolean, number_in, plain, seconds, text};
use crate::config::command;
use crate::config::diag::{Diagnostic, Spanned, quoted};
use crate::config::notify::Moment;
use crate::config::raw::{Raw, RawCommand, RawFifo, RawMail, RawNotify};

/// Takes a setting of an instance or group; `false` if it is none of these.
pub(crate) fn set(raw: &mut RawNotify, name: &str, node: &Node, out: &mut Vec<Diagnostic>) -> bool {
    let moment = match name {
        "notify" => Moment::Any,
        "notify_master" => Moment::Master,
        "notify_backup" => Moment::Backup,
        "notify_fault" => Moment::Fault,
        "notify_stop" => Moment::Stop,
        "notify_master_rx_lower_pri" => Moment::LowerPriority,
        "notify_deleted" => {
            raw.say_deleted = Some(Spanned::new(true, node.keyword.span));
            if node.args.is_empty() {
                return true;
            }
            Moment::Deleted
        }
        "vipd_while_master" => {
            raw.while_master = told(&node.args, out);
            return true;
        }
        _ => return plain(raw, RawNotify::KEYS, name, node, out),
    };
    raw.commands.extend(told(&node.args, out).map(|command| (moment, command)));
    true
}

/// `COMMAND [USER [GROUP]]`
pub(crate) fn told(args: &[Word], out: &mut Vec<Diagnostic>) -> Option<RawCommand> {
    let (first, others) = args.split_first()?;
    let command = match command::parse(&first.text) {
        Ok(command) => Spanned::new(command, first.span),
        Err(error) => {
            out.push(Diagnostic::error(first.span, error));
            return None;
        }
    };
    if let Some(user) = others.first()
        && !first.is_quoted
        && is_no_user(&user.text)
    {
        let message = format!("{} is taken for the user to run it as", quoted(&user.text));
        let whole: Vec<&str> = args.iter().map(|word| word.text.as_str()).collect();
        out.push(
            Diagnostic::warning(user.span, message)
                .note("as in keepalived: only the first word is the command")
                .help(format!("put the command in quotes: \"{}\"", whole.join(" "))),
        );
    }
    Some(RawCommand { command, user: others.first().map(text), group: others.get(1).map(text) })
}

/// What nobody calls an account.
/// A name alone is an account of the mail server's host.
fn mailbox(word: &Word) -> Spanned<String> {
    let mut address = text(word);
    if !address.value.contains('@') {
        address.value.push_str("@localhost");
    }
    address
}

fn is_no_user(word: &str) -> bool {
    word.starts_with(['-', '$', '/', '>']) || word.chars().any(|c| c.is_ascii_uppercase())
}

/// What `global_defs` says about FIFOs and mail.
#[derive(Debug, Default)]
pub(crate) struct Tellers {
    /// `notify_fifo` and `vrrp_notify_fifo`.
    fifos: [Pipe; 2],
    states_on_reload: Option<Spanned<bool>>,
    priority_changes: Option<Spanned<bool>>,
    alert: Option<Spanned<bool>>,
    mail: Option<RawMail>,
}

#[derive(Debug, Default)]
struct Pipe {
    fifo: Option<RawFifo>,
    reader: Option<RawCommand>,
}

impl Tellers {
    /// Takes one of their keywords; `false` if it is none.
    pub(crate) fn set(&mut self, name: &str, node: &Node, out: &mut Vec<Diagnostic>) -> bool {
        let span = node.keyword.span;
        let [all, vrrp] = &mut self.fifos;
        let pipe = if name.starts_with("vrrp_") { vrrp } else { all };
        match (name, node.args.as_slice()) {
            ("notify_fifo" | "vrrp_notify_fifo", [path, owner @ ..]) => {
                let (user, group) = (owner.first().map(text), owner.get(1).map(text));
                pipe.fifo = Some(RawFifo { user, group, ..RawFifo::new(text(path)) });
            }
            ("notify_fifo_script" | "vrrp_notify_fifo_script", args) => {
                pipe.reader = told(args, out);
            }
            ("fifo_write_vrrp_states_on_reload", _) => {
                self.states_on_reload = Some(Spanned::new(true, span));
            }
            ("vrrp_notify_priority_changes", _) => self.priority_changes = boolean(node, out),
            ("smtp_alert", _) => self.alert = self.alert.or(boolean(node, out)),
            ("smtp_alert_vrrp", _) => self.alert = boolean(node, out),
            ("notification_email", _) => {
                let lines = node.block.as_deref().unwrap_or_default();
                self.mail(node).to.extend(lines.iter().flat_map(Node::words).map(mailbox));
            }
            ("notification_email_from", [from, ..]) => self.mail(node).from = Some(mailbox(from)),
            ("smtp_server", [host, port @ ..]) => {
                let mut server = text(host);
                if let Some(port) = port.first() {
                    let port = number_in("the port", port, (1, 65_535), out);
                    let host = match host.text.contains(':') {
                        true => format!("[{}]", host.text),
                        false => host.text.clone(),
                    };
                    server.value =
                        port.map_or(host.clone(), |port| format!("{host}:{}", port.value));
                }
                self.mail(node).server = Some(server);
            }
            ("smtp_helo_name", [name, ..]) => self.mail(node).helo = Some(text(name)),
            ("smtp_connect_timeout", [word, ..]) => {
                self.mail(node).timeout = seconds(word, out);
            }
            ("no_email_faults", _) => {
                self.mail(node).faults = Some(Spanned::new(false, span));
            }
            _ => return false,
        }
        true
    }

    fn mail(&mut self, node: &Node) -> &mut RawMail {
        self.mail.get_or_insert_with(|| RawMail::new(node.keyword.span))
    }

    /// What holds for every router that does not say otherwise.
    pub(crate) fn complete(&self, notify: &mut RawNotify) {
        notify.mail = notify.mail.or(self.alert);
        notify.priority_changes = notify.priority_changes.or(self.priority_changes);
    }

    pub(crate) fn finish(self, raw: &mut Raw, out: &mut Vec<Diagnostic>) {
        for Pipe { fifo, reader } in self.fifos {
            match (fifo, reader) {
                (Some(fifo), reader) => {
                    let states_on_reload = self.states_on_reload;
                    raw.fifos.push(RawFifo { reader, states_on_reload, ..fifo });
                }
                (None, Some(reader)) => {
                    let text = "there is no FIFO for this script to read";
                    out.push(
                        Diagnostic::warning(reader.command.span, text)
                            .help("add `notify_fifo PATH`, or `vrrp_notify_fifo PATH`"),
                    );
                }
                (None, None) => {}
            }
        }
        // Without recipients or a server keepalived sends none.
        raw.mail = self.mail.filter(|mail| !mail.to.is_empty() && mail.server.is_some());
    }
}
