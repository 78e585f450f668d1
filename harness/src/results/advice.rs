//! Advice as plain data: what to change, why, what it should bring, and whether that was tried.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Bottleneck, ExactCell, Severity};

/// Advice on the results of a run, the most promising first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Advice {
    /// What to change, ranked; empty when nothing is worth it.
    pub recommendations: Vec<Recommendation>,
    /// What was seen and no change is known for, in the order of results.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub symptoms: Vec<Symptom>,
    /// What no advice is given on, and why: a disturbed run, an unsafe one, an overloaded generator.
    pub withheld: Vec<Withheld>,
}

/// One change that should help.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recommendation {
    /// Rule that found it, which has a page of explanation: `batch-too-small`.
    pub rule: String,
    /// Protocol.
    pub protocol: String,
    /// Scenario.
    pub scenario: String,
    /// Which combination of the scenario's plan it is about; none of a scenario without a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<Cell>,
    /// How much it matters.
    pub severity: Severity,
    /// Which share of the throughput, the response or the cost that it is about it takes, 0 to 1: what mending it
    /// could bring at most.
    pub impact: f64,
    /// What to do.
    pub change: Change,
    /// Other settings that have to change with it, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub with: BTreeMap<String, f64>,
    /// Why, in a sentence.
    pub reason: String,
    /// Numbers that the reason rests on.
    pub evidence: Vec<Evidence>,
    /// What it should bring; none where nothing predicts it.
    pub expected: Option<Effect>,
    /// How sure the rule is of the cause.
    pub confidence: Confidence,
    /// Whether it was tried.
    pub status: Status,
}

/// One combination of a plan of virtual time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cell {
    /// Where replicas and clients are.
    pub topology: String,
    /// Replicas.
    pub replicas: usize,
    /// How it is loaded.
    pub load: CellLoad,
}

/// How a combination is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CellLoad {
    /// So many clients, each with one request in flight.
    Clients(usize),
    /// So many requests per second, whatever is answered.
    RatePerS(f64),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// Another value of a tunable.
    Setting {
        /// Tunable, its unit at the end of the name.
        name: String,
        /// Value now.
        from: f64,
        /// Value to try.
        to: f64,
    },
    /// Something in code, which no setting changes.
    Code {
        /// Where: a crate, a function, a kind of work.
        place: String,
        /// What to do there.
        action: String,
    },
    /// Something about the machine, the network or the load, and not the protocol.
    Surroundings {
        /// What to do.
        action: String,
    },
}

/// A number that advice rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// What was measured, by its metric's name where it has one.
    pub what: String,
    /// Value.
    pub value: f64,
    /// What it is held against; none for a number that explains only.
    pub threshold: Option<f64>,
    /// Unit of both.
    pub unit: String,
    /// Where it is from: a metric of a phase, a profile, a tunable.
    pub source: String,
}

/// What a change does to a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Effect {
    /// Metric.
    pub metric: String,
    /// After over before: 1.2 is a fifth more.
    pub ratio: f64,
    /// Lower end of its 95 % interval.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// What it was taken from: a model, or pairs of runs and how many.
    pub basis: String,
}

/// How sure a rule is of the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// One of several causes that would look the same.
    Low,
    /// The likely cause.
    Medium,
    /// Nothing else explains the numbers.
    High,
}

/// Whether a recommendation was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    /// Not tried.
    Untested,
    /// Tried side by side with what is set now, and better.
    Verified {
        /// What was measured.
        effect: Effect,
        /// How many blocks of it were disturbed, by why.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        disturbed: BTreeMap<String, usize>,
    },
    /// Tried, and not better.
    Refuted {
        /// What was measured.
        effect: Effect,
        /// How many blocks of it were disturbed, by why.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        disturbed: BTreeMap<String, usize>,
    },
    /// Tried, and the interval does not tell.
    Inconclusive {
        /// What was measured.
        effect: Effect,
        /// How many blocks of it were disturbed, by why.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        disturbed: BTreeMap<String, usize>,
    },
    /// Tried, and it serves where nothing was served before: no ratio says that.
    Rescued {
        /// Rounds that were served with it, all of them.
        rounds: usize,
        /// How many blocks of it were disturbed, by why.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        disturbed: BTreeMap<String, usize>,
    },
    /// Tried, and it breaks a promise, does not run, or can't be measured.
    Refused {
        /// Why.
        reason: String,
    },
}

/// Something that was seen in a result, whose cause no rule knows how to mend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Symptom {
    /// Protocol.
    pub protocol: String,
    /// Scenario.
    pub scenario: String,
    /// What it ran up against.
    pub bottleneck: Bottleneck,
}

/// A result that no advice is given on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Withheld {
    /// Protocol.
    pub protocol: String,
    /// Scenario.
    pub scenario: String,
    /// Why.
    pub reason: String,
}

impl Status {
    /// How many blocks of its trial were disturbed, by why; none where no trial came to a verdict.
    pub fn disturbed(&self) -> Option<&BTreeMap<String, usize>> {
        match self {
            Status::Verified { disturbed, .. }
            | Status::Refuted { disturbed, .. }
            | Status::Inconclusive { disturbed, .. }
            | Status::Rescued { disturbed, .. } => Some(disturbed),
            Status::Untested | Status::Refused { .. } => None,
        }
    }
}

impl Cell {
    /// The one that was counted.
    pub fn of(cell: &ExactCell) -> Cell {
        let load = cell.offered_per_s.map_or(CellLoad::Clients(cell.clients), CellLoad::RatePerS);
        Cell { topology: cell.topology.clone(), replicas: cell.replicas, load }
    }

    /// Whether its requests come when they are due, whatever was answered.
    pub fn is_open_loop(&self) -> bool {
        matches!(self.load, CellLoad::RatePerS(_))
    }
}

impl Display for Cell {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {} replicas, ", self.topology, self.replicas)?;
        match self.load {
            CellLoad::Clients(clients) => write!(f, "{clients} clients"),
            CellLoad::RatePerS(rate) => write!(f, "{rate:.0} requests/s"),
        }
    }
}
