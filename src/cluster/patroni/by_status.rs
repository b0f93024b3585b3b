//! Members that answer by HTTP, but not as Patroni: the status of each listener's own request decides
//! about them, as with HAProxy.

use std::time::Duration;

use super::Patroni;
use crate::io::Level;
use crate::track::outcome::Cause;
use crate::track::patroni::NoAnswer;
use crate::types::Now;

/// Members that are not Patroni are asked so often whether they are now.
const AGAIN: Duration = Duration::from_secs(10);

/// What answers at the API addresses of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cluster) enum ApiKind {
    /// None has answered.
    #[default]
    Unknown,
    /// At least one has answered as Patroni. That stays: another kind of answer is an error from
    /// then on.
    Patroni,
    /// Those that have answered are something else.
    Other,
}

impl Patroni {
    /// Whether the status alone decides about its members.
    pub(in crate::cluster) fn is_by_status(&self) -> bool {
        self.api_kind == ApiKind::Other
    }

    /// A member answered as Patroni.
    pub(super) fn is_patroni(&mut self, now: Now) {
        if self.is_by_status() {
            let (interval, fast) = (self.rhythm.interval, self.rhythm.fast_interval);
            self.schedule.reconfigured(now, interval, fast);
            self.log(Level::Info, "answers as Patroni now: its word decides".to_owned());
        }
        self.api_kind = ApiKind::Patroni;
    }

    /// A member did not.
    pub(super) fn is_not_patroni(&mut self, now: Now, name: &str, why: &NoAnswer) {
        let answered = why.cause == Cause::WrongAnswer;
        if self.api_kind == ApiKind::Unknown && self.cfg.by_status && answered {
            self.api_kind = ApiKind::Other;
            self.schedule.reconfigured(now, AGAIN, AGAIN);
            let message = format!(
                "{name} is not Patroni ({}): the status of each listener's own request decides, as \
                 with HAProxy",
                why.detail
            );
            self.log(Level::Info, message);
        }
    }

    /// The intervals at which members are asked.
    pub(super) fn intervals(&self) -> (Duration, Duration) {
        match self.api_kind {
            ApiKind::Other => (AGAIN, AGAIN),
            ApiKind::Unknown | ApiKind::Patroni => {
                (self.rhythm.interval, self.rhythm.fast_interval)
            }
        }
    }
}
