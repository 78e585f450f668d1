//! What happens to a cluster and when: plain data, drawn from a seed, so that it can be printed,
//! replayed and made smaller.

use std::fmt;
use std::time::Duration;

use protocol_core::{Costs, Fault, LinkSpec, ReplicaId, Settings, SimulationSpec, Timing};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Short against the horizon, so that leaders change often; long against [`Conditions`], so that a
/// healed cluster can keep one.
const TIMING: Timing = Timing {
    heartbeat: Duration::from_millis(30),
    election_min: Duration::from_millis(150),
    election_max: Duration::from_millis(300),
};
/// Clocks of real machines are off by some 100 ppm; a bad one is found sooner.
const MAX_SKEW_PPM: i64 = 50_000;
/// Chance that a crash may go beyond a minority, and how long those replicas are away at most.
const MAJORITY_CRASH: f64 = 0.15;
const MAJORITY_AWAY_US: f64 = 200_000.0;

/// What a schedule is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Decides everything else. The same seed of the same plan gives the same schedule.
    pub seed: u64,
    /// Size of the cluster.
    pub replicas: usize,
    /// Commands that clients send.
    pub commands: usize,
    /// How long faults go on, in milliseconds of virtual time.
    pub horizon_ms: u64,
    /// Whether links always keep order, as TCP does; otherwise they do for one seed in four.
    pub fifo: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Plan { seed: 0, replicas: 3, commands: 200, horizon_ms: 5_000, fifo: false }
    }
}

/// The condition of every link while nothing is degraded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// One-way delay, in microseconds.
    pub delay_us: u64,
    /// Added to it, uniform from zero to this.
    pub jitter_us: u64,
    /// Share of messages lost.
    pub loss: f64,
    /// Share of messages that arrive twice.
    pub duplication: f64,
    /// Whether messages arrive in the order they were sent.
    pub fifo: bool,
}

/// A fault, as data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
#[allow(missing_docs, reason = "each is the fault of the same name, with its numbers")]
pub enum Action {
    Crash { replica: u32 },
    Restart { replica: u32 },
    Pause { replica: u32 },
    Resume { replica: u32 },
    Cut { from: u32, to: u32 },
    Degrade { from: u32, to: u32, extra_delay_us: u64, loss: f64 },
    Heal,
}

impl Action {
    /// The fault of the contract.
    pub fn fault(self) -> Fault {
        match self {
            Action::Crash { replica } => Fault::Crash(ReplicaId(replica)),
            Action::Restart { replica } => Fault::Restart(ReplicaId(replica)),
            Action::Pause { replica } => Fault::Pause(ReplicaId(replica)),
            Action::Resume { replica } => Fault::Resume(ReplicaId(replica)),
            Action::Cut { from, to } => Fault::Cut { from: ReplicaId(from), to: ReplicaId(to) },
            Action::Degrade { from, to, extra_delay_us, loss } => Fault::Degrade {
                from: ReplicaId(from),
                to: ReplicaId(to),
                extra_delay: Duration::from_micros(extra_delay_us),
                loss,
            },
            Action::Heal => Fault::Heal,
        }
    }
}

/// An action and its time, in microseconds since the start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// When.
    pub at_us: u64,
    /// What.
    #[serde(flatten)]
    pub action: Action,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12.3} ms  ", self.at_us as f64 / 1e3)?;
        match self.action {
            Action::Crash { replica } => write!(f, "crash {replica}"),
            Action::Restart { replica } => write!(f, "restart {replica}"),
            Action::Pause { replica } => write!(f, "pause {replica}"),
            Action::Resume { replica } => write!(f, "resume {replica}"),
            Action::Cut { from, to } => write!(f, "cut {from} to {to}"),
            Action::Degrade { from, to, extra_delay_us, loss } => {
                let delay_ms = extra_delay_us as f64 / 1e3;
                write!(f, "degrade {from} to {to}: {delay_ms:.3} ms later, {:.0} % lost", 100.0 * loss)
            }
            Action::Heal => write!(f, "heal all links"),
        }
    }
}

/// One run, complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Seed of the links' and the replicas' own random numbers.
    pub seed: u64,
    /// Size of the cluster.
    pub replicas: usize,
    /// Links without faults.
    pub conditions: Conditions,
    /// What a flush of the log takes, in microseconds: what is written meanwhile is lost in a crash.
    pub fsync_us: u64,
    /// How much faster than true each replica's clock runs.
    pub clock_skew_ppm: Vec<i64>,
    /// Times at which clients send a command, ascending; the first is command 0.
    pub commands_us: Vec<u64>,
    /// Faults, in order of time.
    pub steps: Vec<Step>,
    /// When all faults end, in microseconds.
    pub horizon_us: u64,
}

impl Schedule {
    /// Draws a schedule. Each kind of fault is missing in one seed of four, and how often the others
    /// come differs by two orders of magnitude (swarm testing, Groce et al., 2012): some faults show
    /// only when others keep quiet.
    pub fn draw(plan: &Plan) -> Schedule {
        let mut draw = Draw {
            random: ChaCha8Rng::seed_from_u64(plan.seed),
            replicas: plan.replicas as u32,
            horizon_us: plan.horizon_ms * 1_000,
            steps: Vec::new(),
            back_at_us: vec![0; plan.replicas],
        };
        let conditions = draw.conditions(plan.fifo);
        let fsync_us = draw.log_uniform(50.0, 15_000.0) as u64;
        let skewed = draw.random.random_bool(0.5);
        let skew = |random: &mut ChaCha8Rng| random.random_range(-MAX_SKEW_PPM..=MAX_SKEW_PPM);
        let clock_skew_ppm = (0..plan.replicas).map(|_| if skewed { skew(&mut draw.random) } else { 0 });
        let clock_skew_ppm = clock_skew_ppm.collect();
        let mut commands_us: Vec<u64> =
            (0..plan.commands).map(|_| draw.random.random_range(0..=draw.horizon_us)).collect();
        commands_us.sort_unstable();
        draw.faults();
        let Draw { mut steps, horizon_us, .. } = draw;
        steps.retain(|step| step.at_us < horizon_us);
        steps.sort_by_key(|step| step.at_us);
        let (seed, replicas) = (plan.seed, plan.replicas);
        Schedule { seed, replicas, conditions, fsync_us, clock_skew_ppm, commands_us, steps, horizon_us }
    }

    /// The cluster that the schedule runs on.
    pub fn spec(&self, settings: &Settings) -> SimulationSpec {
        let Conditions { delay_us, jitter_us, loss, duplication, fifo } = self.conditions;
        let delay = Duration::from_micros(delay_us);
        let jitter = Duration::from_micros(jitter_us);
        let link = LinkSpec { delay, jitter, loss, duplication, fifo, ..LinkSpec::default() };
        SimulationSpec {
            timing: TIMING,
            settings: settings.clone(),
            links: vec![vec![link; self.replicas]; self.replicas],
            client_delays: vec![delay; self.replicas],
            costs: Costs { fsync_ns: self.fsync_us as f64 * 1e3, ..Costs::default() },
            durable: true,
            clock_skew_ppm: self.clock_skew_ppm.clone(),
            ..SimulationSpec::uniform(self.replicas, delay, self.seed)
        }
    }

    /// Steps and commands together: what shrinking makes fewer.
    pub fn size(&self) -> usize {
        self.steps.len() + self.commands_us.len()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conditions { delay_us, jitter_us, loss, duplication, fifo } = self.conditions;
        let order = if fifo { "in order" } else { "in any order" };
        writeln!(
            f,
            "{} replicas; links {delay_us} us + up to {jitter_us} us, {order}, {:.1} % lost, {:.1} % twice; \
             flush {} us; clocks off by {:?} ppm",
            self.replicas,
            100.0 * loss,
            100.0 * duplication,
            self.fsync_us,
            self.clock_skew_ppm
        )?;
        let mut commands = self.commands_us.iter().enumerate().peekable();
        for step in &self.steps {
            while let Some((id, at_us)) = commands.next_if(|(_, at_us)| **at_us <= step.at_us) {
                writeln!(f, "{:>12.3} ms  command {id}", *at_us as f64 / 1e3)?;
            }
            writeln!(f, "{step}")?;
        }
        for (id, at_us) in commands {
            writeln!(f, "{:>12.3} ms  command {id}", *at_us as f64 / 1e3)?;
        }
        write!(f, "{:>12.3} ms  all faults end", self.horizon_us as f64 / 1e3)
    }
}

/// A schedule in the making.
struct Draw {
    random: ChaCha8Rng,
    replicas: u32,
    horizon_us: u64,
    steps: Vec<Step>,
    /// When each replica is back from its latest crash.
    back_at_us: Vec<u64>,
}

impl Draw {
    /// As likely to lie between 1 and 10 as between 10 and 100.
    fn log_uniform(&mut self, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.random.random_range(0.0..1.0))
    }

    /// A share up to `most`: none for one seed in four.
    fn share(&mut self, most: f64) -> f64 {
        if self.random.random_bool(0.25) { 0.0 } else { self.log_uniform(most / 100.0, most) }
    }

    fn conditions(&mut self, fifo: bool) -> Conditions {
        Conditions {
            delay_us: self.log_uniform(100.0, 5_000.0) as u64,
            jitter_us: self.share(20_000.0) as u64,
            loss: self.share(0.1),
            duplication: self.share(0.2),
            fifo: self.random.random_bool(0.25) || fifo,
        }
    }

    fn faults(&mut self) {
        let every_us = self.log_uniform(10_000.0, 1_000_000.0);
        let weights: [f64; 4] = std::array::from_fn(|_| self.share(1.0));
        let away_us = self.log_uniform(5_000.0, 1_000_000.0);
        let total: f64 = weights.iter().sum();
        if total == 0.0 {
            return;
        }
        let mut at = 0.0;
        loop {
            // Exponential pauses: faults come together now and then.
            at -= every_us * (1.0 - self.random.random_range(0.0..1.0f64)).ln();
            let at_us = at as u64;
            if at_us >= self.horizon_us {
                return;
            }
            let mut pick = self.random.random_range(0.0..total);
            let kind = weights.iter().position(|weight| {
                pick -= weight;
                pick < 0.0
            });
            match kind.unwrap_or(0) {
                0 => self.crash(at_us, away_us),
                1 => self.pause(at_us, away_us),
                2 => self.split(at_us, away_us),
                _ => self.slow_down(at_us, away_us),
            }
        }
    }

    fn push(&mut self, at_us: u64, action: Action) {
        self.steps.push(Step { at_us, action });
    }

    fn replica(&mut self) -> u32 {
        self.random.random_range(0..self.replicas)
    }

    fn until(&mut self, at_us: u64, most_us: f64) -> u64 {
        at_us + self.random.random_range(0.0..=most_us) as u64
    }

    /// One replica, or, as when the power fails, several at once. Beyond a minority they are soon back.
    fn crash(&mut self, at_us: u64, away_us: f64) {
        let minority = (self.replicas as usize - 1) / 2;
        let several = self.random.random_bool(0.25);
        let first = self.replica();
        for replica in 0..self.replicas {
            let chosen = replica == first || (several && self.random.random_bool(0.7));
            let is_down = |back_at_us: &&u64| **back_at_us >= at_us;
            let down = self.back_at_us.iter().filter(is_down).count();
            if !chosen || self.back_at_us[replica as usize] >= at_us {
                continue;
            }
            let beyond = down >= minority;
            if beyond && !several && !self.random.random_bool(MAJORITY_CRASH) {
                continue;
            }
            let most_us = if beyond { away_us.min(MAJORITY_AWAY_US) } else { away_us };
            let back_at_us = self.until(at_us, most_us) + 1;
            self.back_at_us[replica as usize] = back_at_us;
            self.push(at_us, Action::Crash { replica });
            self.push(back_at_us, Action::Restart { replica });
        }
    }

    fn pause(&mut self, at_us: u64, away_us: f64) {
        let (replica, until_us) = (self.replica(), self.until(at_us, away_us));
        self.push(at_us, Action::Pause { replica });
        self.push(until_us, Action::Resume { replica });
    }

    /// Links one way, both ways, all of one replica, or all between two halves.
    fn split(&mut self, at_us: u64, away_us: f64) {
        let (from, to) = (self.replica(), self.replica());
        let halves = self.random.random_range(0..1u64 << self.replicas.min(63));
        let shape = self.random.random_range(0..4);
        for a in 0..self.replicas {
            for b in (0..self.replicas).filter(|&b| b != a) {
                let side = |replica: u32| halves >> replica.min(63) & 1;
                let cut = match shape {
                    0 => (a, b) == (from, to),
                    1 => (a, b) == (from, to) || (b, a) == (from, to),
                    2 => a == from || b == from,
                    _ => side(a) != side(b),
                };
                if cut {
                    self.push(at_us, Action::Cut { from: a, to: b });
                }
            }
        }
        let until_us = self.until(at_us, away_us);
        self.push(until_us, Action::Heal);
    }

    /// One link, or all that leave a replica. What is on its way when this ends is overtaken, and may
    /// arrive terms later.
    fn slow_down(&mut self, at_us: u64, away_us: f64) {
        let (from, only) = (self.replica(), self.replica());
        let extra_delay_us = self.log_uniform(1_000.0, 2_000_000.0) as u64;
        let loss = self.share(0.9);
        let all = self.random.random_bool(0.5);
        for to in (0..self.replicas).filter(|&to| to != from && (all || to == only)) {
            self.push(at_us, Action::Degrade { from, to, extra_delay_us, loss });
        }
        let until_us = self.until(at_us, away_us);
        self.push(until_us, Action::Heal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64) -> Plan {
        Plan { seed, replicas: 5, ..Plan::default() }
    }

    #[test]
    fn the_same_seed_draws_the_same_schedule_and_another_seed_another() {
        assert_eq!(Schedule::draw(&plan(3)), Schedule::draw(&plan(3)));
        assert_ne!(Schedule::draw(&plan(3)), Schedule::draw(&plan(4)));
    }

    #[test]
    fn a_schedule_is_in_order_and_within_its_bounds() {
        for seed in 0..300 {
            let schedule = Schedule::draw(&plan(seed));
            assert!(schedule.steps.is_sorted_by_key(|step| step.at_us), "seed {seed}");
            assert!(schedule.commands_us.is_sorted(), "seed {seed}");
            for step in &schedule.steps {
                assert_eq!(step.action.fault().check(5), Ok(()), "seed {seed}: {step}");
                assert!(step.at_us < schedule.horizon_us, "seed {seed}: {step}");
            }
            assert!(schedule.clock_skew_ppm.iter().all(|skew| skew.abs() <= MAX_SKEW_PPM), "seed {seed}");
        }
        let fifo = |seed| Schedule::draw(&Plan { fifo: true, ..plan(seed) }).conditions.fifo;
        assert!((0..100).all(fifo));
    }

    #[test]
    fn every_kind_of_fault_is_drawn() {
        let text: String = (0..50).map(|seed| Schedule::draw(&plan(seed)).to_string()).collect();
        for kind in
            ["crash", "restart", "pause", "resume", "cut", "degrade", "heal", "in any order", "in order"]
        {
            assert!(text.contains(kind), "{kind}");
        }
    }

    #[test]
    fn a_schedule_survives_json() {
        let schedule = Schedule::draw(&plan(9));
        let json = serde_json::to_string(&schedule).unwrap();
        assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), schedule);
    }
}
