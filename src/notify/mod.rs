//! What notifications of a router or a group say: the arguments of a command, the line of a FIFO, a
//! mail; in which order they run ([`queue`]), and what is repeated ([`reconciler`]).
//!
//! Words and lines are keepalived's, byte for byte: scripts written for it must not notice.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod mail;
pub mod queue;
pub mod reconciler;

use crate::config::checks::{Command, ScriptCheck};
use crate::config::{Moment, NotifyConfig};
use crate::io::{Kind, News, Notice};
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
pub fn word(news: News, config: &NotifyConfig) -> Option<&'static str> {
    Some(match news {
        News::Entered { to: State::Master, .. } => "MASTER",
        News::Entered { to: State::Backup, .. } => "BACKUP",
        News::Entered { to: State::Fault, .. } => "FAULT",
        News::Entered { to: State::Leaving, .. } => return None,
        News::Stopped => "STOP",
        News::Deleted if config.deleted => "DELETED",
        News::Deleted => "FAULT",
        News::LowerPriorityHeard => "MASTER_RX_LOWER_PRI",
        News::PriorityChanged { master: true } => "MASTER_PRIORITY",
        News::PriorityChanged { master: false } => "BACKUP_PRIORITY",
    })
}

/// The line a FIFO gets, its end included.
#[must_use]
pub fn line(notice: &Notice, config: &NotifyConfig) -> Option<String> {
    if matches!(notice.news, News::PriorityChanged { .. }) && !config.priority_changes {
        return None;
    }
    let word = word(notice.news, config)?;
    Some(format!("{} \"{}\" {word} {}\n", kind(notice.kind), notice.name, notice.priority))
}

/// The commands to run, in this order. `last`: the state notified before, if any.
#[must_use]
pub fn jobs(notice: &Notice, last: Option<State>, config: &NotifyConfig) -> Vec<Job> {
    let Some(word) = word(notice.news, config) else { return Vec::new() };
    let moments: &[Moment] = match notice.news {
        News::Entered { to: State::Master, .. } => &[Moment::Master, Moment::Any],
        News::Entered { to: State::Backup, .. } => &[Moment::Backup, Moment::Any],
        News::Entered { to: State::Fault, .. } => &[Moment::Fault, Moment::Any],
        News::Stopped => &[Moment::Stop, Moment::Any],
        News::Deleted => &[Moment::Deleted, Moment::Any],
        News::LowerPriorityHeard => &[Moment::LowerPriority],
        News::Entered { to: State::Leaving, .. } | News::PriorityChanged { .. } => &[],
    };
    let job = |moment: &Moment| {
        let mut check = config.commands.get(moment)?.clone();
        if *moment == Moment::Any {
            let words = [kind(notice.kind), &notice.name, word, &notice.priority.to_string()];
            append(&mut check.command, words);
        }
        let environment = environment(notice, last, word);
        Some(Job { hook: moment.key(), about: word, check, environment })
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
pub fn ensuring(notice: &Notice, command: &ScriptCheck) -> Job {
    let (check, environment) = (command.clone(), environment(notice, None, "MASTER"));
    Job { hook: ENSURE, about: "MASTER", check, environment }
}

/// Variables that keepalived does not set: the state before, and the reason.
fn environment(notice: &Notice, last: Option<State>, word: &str) -> Vec<(&'static str, String)> {
    let before = match notice.news {
        News::Entered { from, .. } => from,
        News::Stopped | News::Deleted => last,
        News::LowerPriorityHeard | News::PriorityChanged { .. } => None,
    };
    let before = before.map_or_else(String::new, |state| state.to_string());
    vec![
        ("VIPD_KIND", kind(notice.kind).to_owned()),
        ("VIPD_NAME", notice.name.clone()),
        ("VIPD_STATE", word.to_owned()),
        ("VIPD_PREVIOUS_STATE", before),
        ("VIPD_PRIORITY", notice.priority.to_string()),
        ("VIPD_REASON", notice.reason.clone()),
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

    fn notice(kind: Kind, news: News, priority: u8) -> Notice {
        Notice { kind, name: "VI_1".into(), news, reason: "because".into(), priority }
    }

    const MASTER: News = News::Entered { from: Some(State::Backup), to: State::Master };

    fn all() -> NotifyConfig {
        let own = |moment: &Moment| (*moment, command(&["/x", moment.key()]));
        let commands = Moment::ALL.iter().map(|(moment, _)| own(moment)).collect();
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
        let entered = |to| News::Entered { from: None, to };
        for (news, line_of_it, words) in [
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
            (News::Stopped, "STOP 150", vec!["/x stop", "/x any INSTANCE VI_1 STOP 150"]),
            (News::Deleted, "DELETED 150", vec!["/x deleted", "/x any INSTANCE VI_1 DELETED 150"]),
            (News::LowerPriorityHeard, "MASTER_RX_LOWER_PRI 150", vec!["/x lower_priority"]),
            (News::PriorityChanged { master: true }, "MASTER_PRIORITY 150", vec![]),
            (News::PriorityChanged { master: false }, "BACKUP_PRIORITY 150", vec![]),
        ] {
            let config = NotifyConfig { deleted: true, priority_changes: true, ..all() };
            let notice = notice(Kind::Router, news, 150);
            assert_eq!(
                line(&notice, &config).unwrap(),
                format!("INSTANCE \"VI_1\" {line_of_it}\n")
            );
            let run: Vec<String> = jobs(&notice, None, &config).iter().map(argv).collect();
            assert_eq!(run, words);
        }
        let group = notice(Kind::Group, MASTER, 0);
        assert_eq!(line(&group, &all()).unwrap(), "GROUP \"VI_1\" MASTER 0\n");
        assert_eq!(argv(&jobs(&group, None, &all())[1]), "/x any GROUP VI_1 MASTER 0");
    }

    #[test]
    fn what_is_not_asked_for_is_not_told() {
        let priority = notice(Kind::Router, News::PriorityChanged { master: true }, 90);
        assert_eq!(line(&priority, &all()), None);
        let leaving = News::Entered { from: Some(State::Master), to: State::Leaving };
        assert_eq!(line(&notice(Kind::Router, leaving, 90), &all()), None);
        assert_eq!(jobs(&notice(Kind::Router, MASTER, 90), None, &NotifyConfig::default()), vec![]);
    }

    // Without notify_deleted keepalived tells the generic command and the FIFO of a FAULT, and does
    // not run notify_fault.
    #[test]
    fn a_removal_is_told_as_a_fault_unless_asked_otherwise() {
        let mut config = all();
        config.commands.remove(&Moment::Deleted);
        let deleted = notice(Kind::Router, News::Deleted, 90);
        assert_eq!(line(&deleted, &config).unwrap(), "INSTANCE \"VI_1\" FAULT 90\n");
        let run: Vec<String> = jobs(&deleted, None, &config).iter().map(argv).collect();
        assert_eq!(run, ["/x any INSTANCE VI_1 FAULT 90"]);
    }

    #[test]
    fn the_environment_says_what_arguments_do_not() {
        let text = |news, last| {
            let jobs = jobs(&notice(Kind::Router, news, 150), last, &all());
            let variables = jobs[0].environment.iter();
            variables.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            text(MASTER, None),
            "VIPD_KIND=INSTANCE VIPD_NAME=VI_1 VIPD_STATE=MASTER VIPD_PREVIOUS_STATE=BACKUP \
             VIPD_PRIORITY=150 VIPD_REASON=because"
        );
        let stop = text(News::Stopped, Some(State::Master));
        assert!(stop.contains("VIPD_STATE=STOP VIPD_PREVIOUS_STATE=MASTER"), "{stop}");
    }

    #[test]
    fn words_for_a_shell_are_quoted() {
        let mut command = Command::Shell("</dev/null; x".to_owned());
        append(&mut command, ["it's", "a b"]);
        assert_eq!(command, Command::Shell("</dev/null; x 'it'\\''s' 'a b'".to_owned()));
    }
}
