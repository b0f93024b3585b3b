//! What notifications of a router or a group say: the arguments of a command, the line of a FIFO, a
//! mail; in which order they run ([`queue`]), and what is repeated ([`reconciler`]).
//!
//! Words and lines are keepalived's, byte for byte: scripts written for it must not notice.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod mail;
pub mod queue;
pub mod reconciler;

use crate::config::checks::{Command, ScriptCheck};
use crate::config::key::Words as _;
use crate::config::{Moment, NotifyConfig};
use crate::io::{Kind, Notification, NotifyEvent};
use crate::status::State;

/// A command that is to be run once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Which of the configured commands, by its key in vipd.toml.
    pub hook: &'static str,
    /// The word for what happened: `MASTER`, `BACKUP`, …
    pub about: &'static str,
    /// What to run, with the arguments for this notice.
    pub check: ScriptCheck,
    /// Variables for its environment.
    pub environment: Vec<(&'static str, String)>,
}

/// The key in vipd.toml of the command that is repeated while a router is master.
pub const ENSURE: &str = "while_master";

/// keepalived's word for what happened; `None` if scripts are not notified of it.
#[must_use]
pub fn word(event: NotifyEvent, config: &NotifyConfig) -> Option<&'static str> {
    Some(match event {
        NotifyEvent::Entered { to: State::Master, .. } => "MASTER",
        NotifyEvent::Entered { to: State::Backup, .. } => "BACKUP",
        NotifyEvent::Entered { to: State::Fault, .. } => "FAULT",
        NotifyEvent::Entered { to: State::Leaving, .. } => return None,
        NotifyEvent::Stopped => "STOP",
        NotifyEvent::Deleted if config.say_deleted => "DELETED",
        NotifyEvent::Deleted => "FAULT",
        NotifyEvent::LowerPriorityHeard => "MASTER_RX_LOWER_PRI",
        NotifyEvent::PriorityChanged { master: true } => "MASTER_PRIORITY",
        NotifyEvent::PriorityChanged { master: false } => "BACKUP_PRIORITY",
    })
}

/// The line a FIFO gets, its end included.
#[must_use]
pub fn line(notification: &Notification, config: &NotifyConfig) -> Option<String> {
    if matches!(notification.event, NotifyEvent::PriorityChanged { .. }) && !config.priority_changes
    {
        return None;
    }
    let word = word(notification.event, config)?;
    Some(format!(
        "{} \"{}\" {word} {}\n",
        kind(notification.kind),
        notification.name,
        notification.priority
    ))
}

/// The commands to run, in this order. `last`: the state notified before, if any.
#[must_use]
pub fn jobs(notification: &Notification, last: Option<State>, config: &NotifyConfig) -> Vec<Job> {
    let Some(word) = word(notification.event, config) else { return Vec::new() };
    let moments: &[Moment] = match notification.event {
        NotifyEvent::Entered { to: State::Master, .. } => &[Moment::Master, Moment::Any],
        NotifyEvent::Entered { to: State::Backup, .. } => &[Moment::Backup, Moment::Any],
        NotifyEvent::Entered { to: State::Fault, .. } => &[Moment::Fault, Moment::Any],
        NotifyEvent::Stopped => &[Moment::Stop, Moment::Any],
        NotifyEvent::Deleted => &[Moment::Deleted, Moment::Any],
        NotifyEvent::LowerPriorityHeard => &[Moment::LowerPriority],
        NotifyEvent::Entered { to: State::Leaving, .. } | NotifyEvent::PriorityChanged { .. } => {
            &[]
        }
    };
    let job = |moment: &Moment| {
        let mut check = config.commands.get(moment)?.clone();
        if *moment == Moment::Any {
            let words = [
                kind(notification.kind),
                &notification.name,
                word,
                &notification.priority.to_string(),
            ];
            append(&mut check.command, words);
        }
        let environment = environment(notification, last, word);
        Some(Job { hook: moment.word(), about: word, check, environment })
    };
    moments.iter().filter_map(job).collect()
}

/// The reader of a FIFO: the command with the path as its last word.
#[must_use]
pub fn reader(check: &ScriptCheck, path: &str) -> ScriptCheck {
    let mut check = check.clone();
    append(&mut check.command, [path]);
    check
}

/// The job of `while_master`.
#[must_use]
pub fn ensuring(notification: &Notification, command: &ScriptCheck) -> Job {
    let (check, environment) = (command.clone(), environment(notification, None, "MASTER"));
    Job { hook: ENSURE, about: "MASTER", check, environment }
}

/// Variables that keepalived does not set: the state before, and the reason.
fn environment(
    notification: &Notification,
    last: Option<State>,
    word: &str,
) -> Vec<(&'static str, String)> {
    let before = match notification.event {
        NotifyEvent::Entered { from, .. } => from,
        NotifyEvent::Stopped | NotifyEvent::Deleted => last,
        NotifyEvent::LowerPriorityHeard | NotifyEvent::PriorityChanged { .. } => None,
    };
    let before = before.map_or_else(String::new, |state| state.to_string());
    vec![
        ("VIPD_KIND", kind(notification.kind).to_owned()),
        ("VIPD_NAME", notification.name.clone()),
        ("VIPD_STATE", word.to_owned()),
        ("VIPD_PREVIOUS_STATE", before),
        ("VIPD_PRIORITY", notification.priority.to_string()),
        ("VIPD_REASON", notification.reason.clone()),
    ]
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Router => "INSTANCE",
        Kind::Group => "GROUP",
    }
}

/// Further words at the end of a command.
fn append<'a>(command: &mut Command, words: impl IntoIterator<Item = &'a str>) {
    match command {
        Command::Argv { args, .. } => args.extend(words.into_iter().map(str::to_owned)),
        Command::Shell(text) => {
            for word in words {
                text.push_str(" '");
                text.push_str(&word.replace('\'', "'\\''"));
                text.push('\'');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::checks::RunAs;

    fn command(words: &[&str]) -> ScriptCheck {
        let mut words = words.iter().map(|&word| word.to_owned());
        let (program, args) = (words.next().unwrap(), words.collect());
        let command = Command::Argv { program, args };
        ScriptCheck { command, run_as: RunAs::Default, security: false }
    }

    fn notification(kind: Kind, event: NotifyEvent, priority: u8) -> Notification {
        Notification { kind, name: "VI_1".into(), event, reason: "because".into(), priority }
    }

    const MASTER: NotifyEvent =
        NotifyEvent::Entered { from: Some(State::Backup), to: State::Master };

    fn all() -> NotifyConfig {
        let own = |moment: &Moment| (*moment, command(&["/x", moment.word()]));
        let commands = Moment::WORDS.iter().map(|(_, moment)| own(moment)).collect();
        NotifyConfig { commands, ..NotifyConfig::default() }
    }

    /// The words a command is started with.
    fn argv(job: &Job) -> String {
        match &job.check.command {
            Command::Argv { program, args } => format!("{program} {}", args.join(" ")),
            Command::Shell(text) => text.clone(),
        }
    }

    // Measured on keepalived 2.2.7.
    #[test]
    fn lines_and_words_are_keepalived_s() {
        let entered = |to| NotifyEvent::Entered { from: None, to };
        for (event, line_of_it, words) in [
            (MASTER, "MASTER 150", vec!["/x master", "/x any INSTANCE VI_1 MASTER 150"]),
            (
                entered(State::Backup),
                "BACKUP 150",
                vec!["/x backup", "/x any INSTANCE VI_1 BACKUP 150"],
            ),
            (
                entered(State::Fault),
                "FAULT 150",
                vec!["/x fault", "/x any INSTANCE VI_1 FAULT 150"],
            ),
            (NotifyEvent::Stopped, "STOP 150", vec!["/x stop", "/x any INSTANCE VI_1 STOP 150"]),
            (
                NotifyEvent::Deleted,
                "DELETED 150",
                vec!["/x deleted", "/x any INSTANCE VI_1 DELETED 150"],
            ),
            (NotifyEvent::LowerPriorityHeard, "MASTER_RX_LOWER_PRI 150", vec!["/x lower_priority"]),
            (NotifyEvent::PriorityChanged { master: true }, "MASTER_PRIORITY 150", vec![]),
            (NotifyEvent::PriorityChanged { master: false }, "BACKUP_PRIORITY 150", vec![]),
        ] {
            let config = NotifyConfig { say_deleted: true, priority_changes: true, ..all() };
            let notification = notification(Kind::Router, event, 150);
            assert_eq!(
                line(&notification, &config).unwrap(),
                format!("INSTANCE \"VI_1\" {line_of_it}\n")
            );
            let run: Vec<String> = jobs(&notification, None, &config).iter().map(argv).collect();
            assert_eq!(run, words);
        }
        let group = notification(Kind::Group, MASTER, 0);
        assert_eq!(line(&group, &all()).unwrap(), "GROUP \"VI_1\" MASTER 0\n");
        assert_eq!(argv(&jobs(&group, None, &all())[1]), "/x any GROUP VI_1 MASTER 0");
    }

    #[test]
    fn what_is_not_asked_for_is_not_told() {
        let priority =
            notification(Kind::Router, NotifyEvent::PriorityChanged { master: true }, 90);
        assert_eq!(line(&priority, &all()), None);
        let leaving = NotifyEvent::Entered { from: Some(State::Master), to: State::Leaving };
        assert_eq!(line(&notification(Kind::Router, leaving, 90), &all()), None);
        assert_eq!(
            jobs(&notification(Kind::Router, MASTER, 90), None, &NotifyConfig::default()),
            vec![]
        );
    }

    // Without notify_deleted keepalived tells the generic command and the FIFO of a FAULT, and does
    // not run notify_fault.
    #[test]
    fn a_removal_is_told_as_a_fault_unless_asked_otherwise() {
        let mut config = all();
        config.commands.remove(&Moment::Deleted);
        let deleted = notification(Kind::Router, NotifyEvent::Deleted, 90);
        assert_eq!(line(&deleted, &config).unwrap(), "INSTANCE \"VI_1\" FAULT 90\n");
        let run: Vec<String> = jobs(&deleted, None, &config).iter().map(argv).collect();
        assert_eq!(run, ["/x any INSTANCE VI_1 FAULT 90"]);
    }

    #[test]
    fn the_environment_says_what_arguments_do_not() {
        let text = |event, last| {
            let jobs = jobs(&notification(Kind::Router, event, 150), last, &all());
            let variables = jobs[0].environment.iter();
            variables.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            text(MASTER, None),
            "VIPD_KIND=INSTANCE VIPD_NAME=VI_1 VIPD_STATE=MASTER VIPD_PREVIOUS_STATE=BACKUP \
             VIPD_PRIORITY=150 VIPD_REASON=because"
        );
        let stop = text(NotifyEvent::Stopped, Some(State::Master));
        assert!(stop.contains("VIPD_STATE=STOP VIPD_PREVIOUS_STATE=MASTER"), "{stop}");
    }

    #[test]
    fn words_for_a_shell_are_quoted() {
        let mut command = Command::Shell("</dev/null; x".to_owned());
        append(&mut command, ["it's", "a b"]);
        assert_eq!(command, Command::Shell("</dev/null; x 'it'\\''s' 'a b'".to_owned()));
    }
}
