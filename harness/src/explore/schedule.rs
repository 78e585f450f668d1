//! What happens to a cluster and when: plain data, drawn from a seed, so that it can be printed,
//! replayed and made smaller.

use std::fmt;
use std::time::Duration;

use protocol_core::{Behaviour, Costs, Fault, LinkSpec, ReplicaId, Settings, SimulationSpec, Timing};
use serde::{Deserialize, Serialize};

use crate::behaviour;

/// Short against the horizon, so that leaders change often; long against [`Conditions`], so that a
/// healed cluster can keep one.
const TIMING: Timing = Timing {
    heartbeat: Duration::from_millis(30),
    election_min: Duration::from_millis(150),
    election_max: Duration::from_millis(300),
};
/// What a schedule is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
    /// Replicas that lie, from some time on and to the end of the run.
    pub liars: usize,
    /// How they may lie: what the protocol's descriptor lists.
    #[serde(skip)]
    pub behaviours: &'static [Behaviour],
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            seed: 0,
            replicas: 3,
            commands: 200,
            horizon_ms: 5_000,
            fifo: false,
            liars: 0,
            behaviours: &[],
        }
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
    Crash {
        replica: u32,
    },
    Restart {
        replica: u32,
    },
    Pause {
        replica: u32,
    },
    Resume {
        replica: u32,
    },
    Cut {
        from: u32,
        to: u32,
    },
    Degrade {
        from: u32,
        to: u32,
        extra_delay_us: u64,
        loss: f64,
    },
    Heal,
    Corrupt {
        replica: u32,
        #[serde(with = "behaviour::as_name")]
        behaviour: Behaviour,
    },
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
            Action::Corrupt { replica, behaviour } => Fault::Corrupt(ReplicaId(replica), behaviour),
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
            Action::Corrupt { replica, behaviour } => write!(f, "make {replica} {}", behaviour.name()),
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
    /// The cluster that the schedule runs on.
    pub fn spec(&self, settings: &Settings) -> SimulationSpec {
        let Conditions { delay_us, jitter_us, loss, duplication, fifo } = self.conditions;
        let delay = Duration::from_micros(delay_us);
        let jitter = Duration::from_micros(jitter_us);
        let link = LinkSpec { delay, jitter, loss, duplication, fifo, ..LinkSpec::default() };
        SimulationSpec {
            timing: TIMING.set_by(settings),
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
