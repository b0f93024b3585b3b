//! What a mail says. The subjects are keepalived's, so that filters and pagers know them.

use crate::config::{MailConfig, NotifyConfig};
use crate::io::{Kind, Notification, NotifyEvent};
use crate::status::State;

/// A mail without its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// One line.
    pub subject: String,
    pub body: String,
}

/// The mail about a notification from the node of that name; `None` if nobody wants one. `last` is the
/// last mail's word for this router: the same again is no news.
#[must_use]
pub fn letter(
    notification: &Notification,
    config: &NotifyConfig,
    mail: &MailConfig,
    node: &str,
    last: &mut Option<&'static str>,
) -> Option<Letter> {
    let word = super::word(notification.event, config).filter(|_| config.mail)?;
    let what = match notification.event {
        NotifyEvent::Entered { .. } => format!("Entering {word} state"),
        NotifyEvent::Deleted if !config.say_deleted => format!("Entering {word} state"),
        NotifyEvent::Deleted => "Removed".to_owned(),
        NotifyEvent::Stopped => "Stopping".to_owned(),
        NotifyEvent::LowerPriorityHeard | NotifyEvent::PriorityChanged { .. } => return None,
    };
    if (word == "FAULT" && !mail.options.faults) || *last == Some(word) {
        return None;
    }
    *last = Some(word);
    let kind = match notification.kind {
        Kind::Router => "VRRP Instance",
        Kind::Group => "VRRP Group",
    };
    let Notification { name, reason, priority, .. } = notification;
    let before = match notification.event {
        NotifyEvent::Entered { from: Some(from), .. } => format!("State:     {from} -> {word}\n"),
        _ => format!("State:     {word}\n"),
    };
    let holds = match notification.event {
        NotifyEvent::Entered { to: State::Master, .. } => "holds the virtual addresses",
        _ => "does not hold the virtual addresses",
    };
    let strength = match notification.kind {
        Kind::Router => format!("Priority:  {priority}\n"),
        Kind::Group => String::new(),
    };
    Some(Letter {
        subject: format!("[{node}] {kind} {name} - {what}"),
        body: format!(
            "{node} {holds} of {name}.\n\n{before}Reason:    {reason}\n{strength}\nMore: vipd status {name}\n"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MailOptions;
    use crate::config::checks::Endpoint;

    fn mail(faults: bool) -> MailConfig {
        MailConfig {
            to: vec!["ops@example.org".into()],
            server: Endpoint::parse("localhost:25", None).unwrap(),
            options: MailOptions { faults, ..MailOptions::default() },
        }
    }

    fn notification(event: NotifyEvent) -> Notification {
        let reason = "no advert from 10.0.0.12 for 3.41 s".into();
        Notification { kind: Kind::Router, name: "VI_1".into(), event, reason, priority: 150 }
    }

    fn entered(to: State) -> NotifyEvent {
        NotifyEvent::Entered { from: Some(State::Backup), to }
    }

    #[test]
    fn subjects_are_keepalived_s_and_the_body_says_why() {
        let config = NotifyConfig { mail: true, ..NotifyConfig::default() };
        let mut last = None;
        let mut subject = |event| {
            letter(&notification(event), &config, &mail(true), "LB1", &mut last).map(|l| l.subject)
        };
        for (event, said) in [
            (entered(State::Master), Some("Entering MASTER state")),
            (entered(State::Master), None),
            (entered(State::Fault), Some("Entering FAULT state")),
            (NotifyEvent::LowerPriorityHeard, None),
            (NotifyEvent::PriorityChanged { master: true }, None),
            (NotifyEvent::Deleted, None),
            (NotifyEvent::Stopped, Some("Stopping")),
        ] {
            let said = said.map(|text| format!("[LB1] VRRP Instance VI_1 - {text}"));
            assert_eq!(subject(event), said, "{event:?}");
        }
        let letter =
            letter(&notification(entered(State::Master)), &config, &mail(true), "LB1", &mut None);
        assert_eq!(
            letter.unwrap().body,
            "LB1 holds the virtual addresses of VI_1.\n\n\
             State:     BACKUP -> MASTER\n\
             Reason:    no advert from 10.0.0.12 for 3.41 s\n\
             Priority:  150\n\n\
             More: vipd status VI_1\n"
        );
    }

    #[test]
    fn faults_and_routers_that_are_not_mailed_are_not() {
        let fault = notification(entered(State::Fault));
        let on = NotifyConfig { mail: true, ..NotifyConfig::default() };
        assert_eq!(letter(&fault, &on, &mail(false), "LB1", &mut None), None);
        let off = NotifyConfig::default();
        assert_eq!(letter(&fault, &off, &mail(true), "LB1", &mut None), None);
    }
}
