//! The acts: what is done to the hosts, what must follow, and the watching in between.

use std::time::{Duration, Instant};

use super::VIP;
use super::database::{HAPROXY_CFG, Tally, Writers};
use super::screen::Screen;
use super::stage::{INTERVAL, Stage};
use super::timeline::{Column, Reach, Role, SLICE};
use super::{End, Signals};
use crate::lab::Stamp;

/// Time between two looks at everything.
const TICK: Duration = Duration::from_millis(20);

/// Quiet time shown before and after what happens.
const BEFORE: Duration = Duration::from_millis(1000);
const AFTER: Duration = Duration::from_millis(1250);

/// What a busy machine may add to the protocol's own time before the demo calls it a failure.
const TOLERANCE: Duration = Duration::from_secs(3);

/// How long after its time the demo waits for an act's end, to say what was there instead.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long there is no primary, in act 5. In real life it takes longer: a switchover about as long.
const WITHOUT_PRIMARY: Duration = Duration::from_millis(1500);

const FIRST: usize = 0;
const SECOND: usize = 1;

/// What an act came to.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) title: &'static str,
    /// Who has the address now.
    pub(super) holder: String,
    /// How long the client got no answer.
    pub(super) outage: Duration,
    /// Pings without an answer; `None` before there was an address to ping.
    pub(super) lost: Option<u64>,
    /// What the protocol's timers make of it, for the table.
    pub(super) waits: String,
}

/// The stage, and the one who watches it.
pub(super) struct Show<'a> {
    pub(super) stage: Stage,
    pub(super) screen: &'a mut Screen,
    signals: &'a Signals,
    columns: Vec<Column>,
    slice: Slice,
    seen: View,
    /// Since when the client gets no answer.
    silent_since: Option<Instant>,
    writers: Option<Writers>,
    /// What they had come to when the last slice ended.
    tally: Tally,
}

/// What is so at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct View {
    roles: [Role; 2],
    /// Which load balancer answers the client.
    answering: Option<usize>,
}

/// The slice of time that is not yet a column.
#[derive(Clone, Copy, Debug)]
struct Slice {
    start: Instant,
    sent: u64,
    received: usize,
}

/// One act after the first.
struct Act {
    number: u8,
    title: &'static str,
    what: &'static str,
    why: String,
    /// Who must have the address at the end, and what the load balancers must then be.
    holder: usize,
    roles: [Role; 2],
    timer: Duration,
    waits: String,
}

impl<'a> Show<'a> {
    pub(super) fn new(stage: Stage, screen: &'a mut Screen, signals: &'a Signals) -> Show<'a> {
        Show {
            stage,
            screen,
            signals,
            columns: Vec::new(),
            slice: Slice { start: Instant::now(), sent: 0, received: 0 },
            seen: View { roles: [Role::Down; 2], answering: None },
            silent_since: None,
            writers: None,
            tally: Tally::default(),
        }
    }

    /// The daemons start; the one with the higher priority must win.
    pub(super) fn election(&mut self) -> Result<Outcome, End> {
        let [first, _] = &self.stage.balancers;
        let timer = first.master_down();
        let skew = ms(first.skew());
        self.open(
            "1. Both daemons start",
            &format!(
                "Nobody is heard, so each waits 3 s and its skew. lb-01's is shorter: {skew}."
            ),
        )?;
        let start = Stamp::now();
        self.stage.start(FIRST)?;
        self.stage.start(SECOND)?;
        let goal = [Role::Master, Role::Backup];
        self.until("the election", timer, FIRST, goal)?;
        self.watch(AFTER, |_| false)?;
        let answered = self.stage.ping.record().answers.first().map(|answer| answer.at);
        let after = answered.unwrap_or_else(Stamp::now).since(start);
        within("the election", after, timer)?;
        self.close(&format!("lb-01 is master: {VIP} answers {} after the start.", ms(after)))?;
        Ok(Outcome {
            title: "both start",
            holder: self.name(FIRST),
            outage: after,
            lost: None,
            waits: ms(timer),
        })
    }

    /// The master's host goes away without a word.
    pub(super) fn crash(&mut self) -> Result<Outcome, End> {
        let [_, second] = &self.stage.balancers;
        let (timer, skew) = (second.master_down(), ms(second.skew()));
        let act = Act {
            number: 2,
            title: "lb-01 dies",
            what: "lb-01 dies: cable pulled, daemon killed with SIGKILL",
            why: format!("lb-02 waits 3 s and its skew of {skew} from the last advert it heard."),
            holder: SECOND,
            roles: [Role::Down, Role::Master],
            timer,
            // The last advert was sent up to an interval before the host died.
            waits: format!("{} to {}", (timer - INTERVAL).as_millis(), ms(timer)),
        };
        let outcome = self.play(&act, |stage| stage.balancers[FIRST].die())?;
        self.close(&format!("lb-02 took over. {}", sentence(&outcome)))?;
        Ok(outcome)
    }

    /// The host with the higher priority is back.
    pub(super) fn failback(&mut self) -> Result<Outcome, End> {
        let act = Act {
            number: 3,
            title: "lb-01 comes back",
            what: "lb-01 boots again: cable back, daemon started",
            why: "It ignores the lesser master and takes over when its own time is up; lb-02\n\
                  lets go as soon as it hears a higher priority."
                .into(),
            holder: FIRST,
            roles: [Role::Master, Role::Backup],
            timer: Duration::ZERO,
            waits: "-".into(),
        };
        let outcome = self.play(&act, |stage| {
            stage.balancers[FIRST].node.plug()?;
            stage.start(FIRST)
        })?;
        self.close(&format!("lb-01 took the address back. {}", sentence(&outcome)))?;
        Ok(outcome)
    }

    /// The master is stopped as an administrator does it.
    pub(super) fn stop(&mut self) -> Result<Outcome, End> {
        let [_, second] = &self.stage.balancers;
        let timer = second.skew();
        let act = Act {
            number: 4,
            title: "lb-01 is stopped",
            what: "lb-01 is stopped for maintenance: SIGTERM",
            why: format!(
                "Its last advert has priority 0, so lb-02 waits only its skew, {}.\n\
                 Until lb-02 announces the address, lb-01 goes on answering for it.",
                ms(timer)
            ),
            holder: SECOND,
            roles: [Role::Down, Role::Master],
            timer,
            waits: ms(timer),
        };
        let outcome = self.play(&act, |stage| {
            stage.balancers[FIRST].stop();
            Ok(())
        })?;
        self.close(&format!("lb-02 took over. {}", sentence(&outcome)))?;
        Ok(outcome)
    }

    /// The database's primary goes away, and a second and a half later there is another. What its
    /// clients noticed, for the table.
    pub(super) fn primary_dies(&mut self) -> Result<String, End> {
        self.open(
            "5. pg-01, the database's primary, dies",
            "Until pg-02 is promoted there is nobody to write to. Three clients that open a\n\
             session for each row write to 10.0.0.10:5000, by this haproxy.cfg:",
        )?;
        for line in HAPROXY_CFG.lines() {
            self.screen.remark(&format!("    {line}"))?;
        }
        self.writers = Some(Writers::start(&self.stage.client)?);
        if !self.watch(PATIENCE, |show| show.writes_go_to("pg-01"))? {
            return Err(End::Failed("no client could write to pg-01 through lb-02".into()));
        }
        self.watch(BEFORE, |_| false)?;
        let (start, before) = (Stamp::now(), self.tally());
        self.stage.database.primary_dies()?;
        self.screen.event("pg-01 is dead")?;
        self.watch(WITHOUT_PRIMARY, |_| false)?;
        self.stage.database.promote()?;
        self.screen.event("pg-02 is promoted")?;
        if !self.watch(PATIENCE, |show| show.writes_go_to("pg-02"))? {
            return Err(End::Failed("no client could write to pg-02 through lb-02".into()));
        }
        self.watch(AFTER, |_| false)?;
        let writers = self.writers.take();
        let waited = ms(writers.map_or(Duration::ZERO, |writers| writers.longest_gap(start)));
        let refused = self.tally.refused.saturating_sub(before.refused);
        self.stage.database.repair()?;
        if refused > 0 {
            return Err(End::Failed(format!("{refused} connections were refused")));
        }
        self.close(&format!("Clients waited, at most {waited}, and went on. None was refused."))?;
        Ok(format!("pg-01 dies: writers waited {waited}; no connection failed"))
    }

    fn writes_go_to(&self, node: &str) -> bool {
        self.writers.as_ref().and_then(Writers::last_by).as_deref() == Some(node)
    }

    fn tally(&self) -> Tally {
        self.writers.as_ref().map_or(self.tally, Writers::tally)
    }

    /// Back to the beginning, for the user's own experiments.
    pub(super) fn reset(&mut self) -> Result<(), End> {
        self.open("lb-01 is started again", "The rest is up to you.")?;
        self.stage.start(FIRST)?;
        let [first, _] = &self.stage.balancers;
        self.until("the restart", first.master_down(), FIRST, [Role::Master, Role::Backup])
    }

    fn play(
        &mut self,
        act: &Act,
        action: impl FnOnce(&mut Stage) -> crate::lab::Result<()>,
    ) -> Result<Outcome, End> {
        self.open(&format!("{}. {}", act.number, act.what), &act.why)?;
        self.watch(BEFORE, |_| false)?;
        let unanswered = self.stage.unanswered();
        let start = Stamp::now();
        action(&mut self.stage)?;
        // Before it takes over, a balancer that came back waits as long as one that hears nothing.
        let [first, _] = &self.stage.balancers;
        self.until(act.title, first.master_down(), act.holder, act.roles)?;
        self.watch(AFTER, |_| false)?;
        let lost = self.stage.unanswered().saturating_sub(unanswered);
        let record = self.stage.ping.record();
        let outage =
            record.longest_outage_in(start, Stamp::now()).map_or(Duration::ZERO, |gap| gap.length);
        within(act.title, outage, act.timer)?;
        let holder = self.name(act.holder);
        let waits = act.waits.clone();
        Ok(Outcome { title: act.title, holder, outage, lost: Some(lost), waits })
    }

    /// Watches until the load balancers are what they must be and the right one answers.
    fn until(
        &mut self,
        act: &str,
        timer: Duration,
        holder: usize,
        roles: [Role; 2],
    ) -> Result<(), End> {
        let goal = View { roles, answering: Some(holder) };
        if self.watch(timer + TOLERANCE + PATIENCE, |show| show.seen == goal)? {
            return Ok(());
        }
        let [first, second, _] = self.stage.names();
        let now = self.seen.roles;
        Err(End::Failed(format!(
            "{act}: expected {first} {}, {second} {}, answer from {}\n\
             but there is {first} {}, {second} {}, {}",
            roles[FIRST].word(),
            roles[SECOND].word(),
            self.name(holder),
            now[FIRST].word(),
            now[SECOND].word(),
            self.client_note(),
        )))
    }

    /// Looks at everything again and again, and shows it, until `enough` or the time is up. Says
    /// whether it was enough.
    fn watch(&mut self, time: Duration, enough: impl Fn(&Self) -> bool) -> Result<bool, End> {
        let start = Instant::now();
        loop {
            self.signals.check()?;
            self.look()?;
            if enough(self) {
                return Ok(true);
            }
            if start.elapsed() >= time {
                return Ok(false);
            }
            std::thread::sleep(TICK);
        }
    }

    fn look(&mut self) -> Result<(), End> {
        let view = View { roles: self.stage.roles(), answering: self.stage.answering() };
        let before = std::mem::replace(&mut self.seen, view);
        self.silent_since = match view.answering {
            Some(_) => None,
            None => self.silent_since.or_else(|| Some(Instant::now())),
        };
        for which in [FIRST, SECOND] {
            if view.roles[which] != before.roles[which] {
                let event = format!("{} is {}", self.name(which), view.roles[which].word());
                self.screen.event(&event)?;
            }
        }
        if view.answering != before.answering {
            let event = view.answering.map_or_else(
                || format!("client: {VIP} does not answer"),
                |which| format!("client: {VIP} answers from {}", self.name(which)),
            );
            self.screen.event(&event)?;
        }
        self.end_slices();
        self.draw()
    }

    fn end_slices(&mut self) {
        if self.slice.start.elapsed() < SLICE {
            return;
        }
        let now = Slice {
            start: self.slice.start + SLICE,
            sent: self.stage.ping.sent(),
            received: self.stage.ping.received(),
        };
        let sent = now.sent.saturating_sub(self.slice.sent);
        let received = now.received.saturating_sub(self.slice.received);
        let client = Reach::of(sent, u64::try_from(received).unwrap_or(u64::MAX));
        self.slice = now;
        let tally = self.tally();
        let rows = self.writers.as_ref().map(|_| tally.since(self.tally));
        self.tally = tally;
        // A start that took longer than a slice is drawn as long as it took.
        loop {
            self.columns.push(Column { balancers: self.seen.roles, client, rows });
            if self.slice.start.elapsed() < SLICE {
                return;
            }
            self.slice.start += SLICE;
        }
    }

    fn draw(&mut self) -> Result<(), End> {
        let Some(style) = self.screen.style() else { return Ok(()) };
        let [first, second] = self.seen.roles.map(|role| role.word().to_owned());
        let rows = match self.columns.last().and_then(|column| column.rows) {
            Some(Reach::All) => {
                self.writers.as_ref().and_then(Writers::last_by).unwrap_or_default()
            }
            Some(Reach::None) => "wait".to_owned(),
            Some(Reach::Some) => "refused".to_owned(),
            None => String::new(),
        };
        let notes = [first, second, self.client_note(), rows];
        let rows = style.rows(self.stage.names(), &self.columns, &notes);
        Ok(self.screen.draw(rows)?)
    }

    fn client_note(&self) -> String {
        match (self.seen.answering, self.silent_since) {
            (Some(which), _) => format!("answer from {}", self.name(which)),
            (None, Some(since)) => format!("no answer {:.1} s", since.elapsed().as_secs_f64()),
            (None, None) => "no answer".into(),
        }
    }

    fn open(&mut self, heading: &str, why: &str) -> Result<(), End> {
        self.screen.heading(heading)?;
        self.screen.remark(why)?;
        self.columns.clear();
        self.slice = Slice {
            start: Instant::now(),
            sent: self.stage.ping.sent(),
            received: self.stage.ping.received(),
        };
        Ok(())
    }

    fn close(&mut self, conclusion: &str) -> Result<(), End> {
        Ok(self.screen.say(&format!("=> {conclusion}"))?)
    }

    fn name(&self, which: usize) -> String {
        self.stage.balancers.get(which).map_or_else(String::new, |b| b.node.name().to_owned())
    }
}

/// A time in milliseconds.
pub(super) fn ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

fn sentence(outcome: &Outcome) -> String {
    match outcome.lost {
        Some(0) => "The client noticed nothing: no ping was lost.".into(),
        Some(1) => format!("The client lost one ping, {}.", ms(outcome.outage)),
        lost => {
            format!("Outage: {} ({} pings lost).", ms(outcome.outage), lost.unwrap_or_default())
        }
    }
}

fn within(act: &str, took: Duration, timer: Duration) -> Result<(), End> {
    if took <= timer + TOLERANCE {
        return Ok(());
    }
    Err(End::Failed(format!(
        "{act}: the client had no answer for {}, but the protocol waits {} and this demo allows \
         {} more",
        ms(took),
        ms(timer),
        ms(TOLERANCE),
    )))
}
