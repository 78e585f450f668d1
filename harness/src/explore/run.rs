//! One schedule in virtual time, and whether the cluster kept its promises.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol_core::{
    AppliedLog, Command, CommandId, FaultError, IdSet, LaunchError, Observation, Order, Protocol, ReplicaId,
    ReplicaStatus, Settings, Simulation, Slot, Time,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::panics;
use super::schedule::{Action, Schedule, Step};
use crate::safety::{self, Claims};

/// How often replicas are compared while they run. A restart forgets what was applied before it, so
/// looking at the end alone would miss it.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Events of one run, at most: several times what a healthy run takes.
const MOST_EVENTS: u64 = 2_000_000;
/// Virtual time after the last fault within which every replica must have caught up and answer.
const RECOVERY: Duration = Duration::from_secs(60);
/// Commands sent after the last fault.
const PROBES: u64 = 3;
/// Before the first of them, so that they test a cluster that had time to find a leader.
const CALM: Duration = Duration::from_secs(1);

/// Why a schedule could not be run. What a protocol does wrong is a [`Violation`] instead.
#[derive(Debug, Error)]
pub enum ExploreError {
    /// The protocol can't be simulated, or not in this size.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The simulation refuses a kind of fault.
    #[error("the simulation can't follow the schedule: {0}")]
    Fault(#[from] FaultError),
}

/// What a cluster promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// No replica panics, stops by itself, or fails to start from its own log.
    Health,
    /// All replicas apply the same commands in the same slots, in all their lives.
    Agreement,
    /// Only what clients sent is applied.
    Validity,
    /// Slots ascend, and a command comes twice only if a client sent it twice.
    Integrity,
    /// What was acknowledged is applied on every replica.
    Durability,
    /// Once all faults have ended, commands are answered and replicas catch up.
    Liveness,
}

impl Promise {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Promise::Health => "health",
            Promise::Agreement => "agreement",
            Promise::Validity => "validity",
            Promise::Integrity => "integrity",
            Promise::Durability => "durability",
            Promise::Liveness => "liveness",
        }
    }
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// How it was broken.
    pub what: String,
}

/// What came of a schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Broken promises, the first one first; none is a pass.
    pub violations: Vec<Violation>,
    /// Events that were handled; 0 after a panic, which takes the count with it.
    pub events: u64,
    /// Commands that clients were told to have committed.
    pub acknowledged: u64,
    /// Digest of what the replicas applied: tells two runs apart.
    pub digest: u64,
}

impl Outcome {
    /// Whether this promise was broken.
    pub fn breaks(&self, promise: Promise) -> bool {
        self.violations.iter().any(|violation| violation.promise == promise)
    }
}

/// Runs a schedule, ends all faults, and checks what clients and replicas know then.
pub fn run(
    protocol: &dyn Protocol,
    settings: &Settings,
    schedule: &Schedule,
) -> Result<Outcome, ExploreError> {
    let ran = panics::catch(|| -> Result<Outcome, ExploreError> {
        let mut run =
            Run::start(protocol.simulate(&schedule.spec(settings))?, protocol.descriptor().order, schedule);
        run.follow(schedule)?;
        run.recover(schedule)?;
        run.judge();
        Ok(run.outcome)
    });
    ran.unwrap_or_else(|what| {
        let violations = vec![Violation { promise: Promise::Health, what }];
        Ok(Outcome { violations, ..Outcome::default() })
    })
}

struct Run {
    order: Order,
    simulation: Box<dyn Simulation>,
    down: Vec<bool>,
    paused: Vec<bool>,
    submitted: u64,
    acknowledged: IdSet,
    /// By slot, whose command was acknowledged there.
    answered: BTreeMap<Slot, CommandId>,
    /// By number of deliveries, a digest and who had it.
    digests: BTreeMap<u64, (u64, usize)>,
    outcome: Outcome,
}

impl Run {
    fn start(simulation: Box<dyn Simulation>, order: Order, schedule: &Schedule) -> Run {
        let mut run = Run {
            order,
            simulation,
            down: vec![false; schedule.replicas],
            paused: vec![false; schedule.replicas],
            submitted: 0,
            acknowledged: IdSet::default(),
            answered: BTreeMap::new(),
            digests: BTreeMap::new(),
            outcome: Outcome::default(),
        };
        run.simulation.limit_events(MOST_EVENTS);
        schedule.commands_us.iter().for_each(|&at_us| run.submit(micros(at_us), schedule.seed));
        run
    }

    fn submit(&mut self, at: Time, seed: u64) {
        let command = Command::new(CommandId(self.submitted), &seed.to_le_bytes());
        self.submitted += 1;
        // Clients never give up: liveness is judged by the end of the run.
        self.simulation.submit(at, command, Time(u64::MAX));
    }

    fn is_storm(&self) -> bool {
        self.simulation.events() >= MOST_EVENTS
    }

    fn break_promise(&mut self, promise: Promise, what: String) {
        if !self.outcome.breaks(promise) {
            self.outcome.violations.push(Violation { promise, what });
        }
    }

    fn follow(&mut self, schedule: &Schedule) -> Result<(), ExploreError> {
        for &Step { at_us, action } in &schedule.steps {
            self.run_until(micros(at_us));
            self.act(action)?;
        }
        self.run_until(micros(schedule.horizon_us));
        Ok(())
    }

    /// Runs, and compares replicas on the way.
    fn run_until(&mut self, until: Time) {
        while self.simulation.now() < until && !self.is_storm() {
            let look_at = (self.simulation.now() + LOOK_EVERY).min(until);
            self.simulation.run_until(look_at);
            self.look();
        }
    }

    /// An action on a replica that is in no state for it does nothing: shrinking takes the crash out
    /// before the restart.
    fn act(&mut self, action: Action) -> Result<(), ExploreError> {
        let applies = match action {
            Action::Crash { replica } => !self.down[replica as usize],
            Action::Restart { replica } => self.down[replica as usize],
            Action::Pause { replica } => !self.down[replica as usize] && !self.paused[replica as usize],
            Action::Resume { replica } => self.paused[replica as usize],
            Action::Corrupt { replica, .. } => !self.down[replica as usize],
            Action::Cut { .. } | Action::Degrade { .. } | Action::Heal => true,
        };
        if !applies {
            return Ok(());
        }
        match (action, self.simulation.inject(action.fault())) {
            (Action::Restart { replica }, Err(FaultError::NotApplicable { why, .. })) => {
                self.break_promise(Promise::Health, format!("replica {replica} can't restart: {why}"));
                return Ok(());
            }
            (_, injected) => injected?,
        }
        match action {
            Action::Crash { replica } => {
                (self.down[replica as usize], self.paused[replica as usize]) = (true, false);
            }
            Action::Restart { replica } => self.down[replica as usize] = false,
            Action::Pause { replica } => self.paused[replica as usize] = true,
            Action::Resume { replica } => self.paused[replica as usize] = false,
            Action::Cut { .. } | Action::Degrade { .. } | Action::Heal | Action::Corrupt { .. } => {}
        }
        Ok(())
    }

    /// Takes answers, and compares replicas that applied as many commands, in whichever life.
    fn look(&mut self) -> Observation {
        for answer in self.simulation.take_answers() {
            let Ok(slot) = answer.outcome else { continue };
            self.acknowledged.insert(answer.id);
            if self.order != Order::Total {
                continue;
            }
            let first = *self.answered.entry(slot).or_insert(answer.id);
            if first != answer.id {
                let (slot, first, second) = (slot.0, first.0, answer.id.0);
                let what = format!("slot {slot} was acknowledged for commands {first} and {second}");
                self.break_promise(Promise::Agreement, what);
            }
        }
        let observation = self.simulation.observe();
        let comparable =
            |status: &ReplicaStatus| status.live && !status.corrupted && self.order == Order::Total;
        let replicas: Vec<_> =
            observation.replicas.iter().enumerate().filter(|(_, status)| comparable(status)).collect();
        for (replica, status) in replicas {
            let (digest, other) = *self.digests.entry(status.delivered).or_insert((status.digest, replica));
            if digest != status.digest {
                let delivered = status.delivered;
                let what =
                    format!("replicas {other} and {replica} part within their first {delivered} deliveries");
                self.break_promise(Promise::Agreement, what);
            }
        }
        observation
    }

    /// Ends all faults, and waits until commands are answered and replicas stand at the same point.
    fn recover(&mut self, schedule: &Schedule) -> Result<(), ExploreError> {
        self.act(Action::Heal)?;
        for replica in 0..schedule.replicas as u32 {
            self.act(Action::Resume { replica })?;
            self.act(Action::Restart { replica })?;
        }
        let end = self.simulation.now() + RECOVERY;
        self.run_until(self.simulation.now() + CALM);
        let first_probe = self.submitted;
        (0..PROBES).for_each(|_| self.submit(self.simulation.now(), schedule.seed));
        let probes = first_probe..self.submitted;
        loop {
            let observation = self.look();
            let mut replicas = observation.replicas.iter().filter(|replica| !replica.corrupted);
            let delivered = replicas.clone().next().map_or(0, |replica| replica.delivered);
            let missing = probes.clone().filter(|&id| !self.acknowledged.contains(CommandId(id))).count();
            let level = self.order == Order::Reads || replicas.all(|replica| replica.delivered == delivered);
            if missing == 0 && level {
                return Ok(());
            }
            if self.is_storm() {
                let what = format!("{MOST_EVENTS} events without an end: messages beget messages");
                self.break_promise(Promise::Liveness, what);
                return Ok(());
            }
            if self.simulation.now() >= end {
                let counts: Vec<u64> = observation.replicas.iter().map(|replica| replica.delivered).collect();
                let what = format!(
                    "{RECOVERY:?} after all faults ended {missing} of {PROBES} new commands were not \
                     answered, and replicas applied {counts:?} commands"
                );
                self.break_promise(Promise::Liveness, what);
                return Ok(());
            }
            self.simulation.run_until(self.simulation.now() + LOOK_EVERY);
        }
    }

    fn judge(&mut self) {
        let (logs, observation) = (self.simulation.audit(), self.simulation.observe());
        self.outcome.events = self.simulation.events();
        self.outcome.acknowledged = self.acknowledged.len();
        self.outcome.digest = observation
            .replicas
            .iter()
            .fold(0, |digest: u64, replica| digest.rotate_left(7) ^ replica.digest ^ replica.delivered);
        if let Some(what) = safety::stopped(&observation) {
            self.break_promise(Promise::Health, what);
        }
        let claims = Claims { submitted: self.submitted, acknowledged: self.acknowledged.clone() };
        let safety = safety::check(&logs, &observation, &claims);
        if safety.violations.is_empty() {
            return;
        }
        let what = safety.violations.join("; ");
        let mut known = false;
        for (promise, broken) in [
            (Promise::Agreement, parted(&logs)),
            (Promise::Validity, logs.iter().any(|(_, log)| invents(log, self.submitted))),
            (Promise::Integrity, safety.applied_twice > 0 || logs.iter().any(|(_, log)| breaks_rules(log))),
            (Promise::Durability, safety.lost > 0),
        ] {
            if broken {
                known = true;
                self.break_promise(promise, what.clone());
            }
        }
        if !known {
            self.break_promise(Promise::Integrity, what);
        }
    }
}

fn parted(logs: &[(ReplicaId, AppliedLog)]) -> bool {
    logs.iter().any(|(_, log)| logs.iter().any(|(_, other)| log.agrees_with(other).is_err()))
}

fn invents(log: &AppliedLog, submitted: u64) -> bool {
    log.ids().difference(&IdSet::default()).any(|id| id.0 >= submitted)
}

fn breaks_rules(log: &AppliedLog) -> bool {
    !log.violations().is_empty()
}

fn micros(at_us: u64) -> Time {
    Time(at_us.saturating_mul(1_000))
}
