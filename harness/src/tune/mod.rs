//! The tuner: finds settings that serve a goal better than those that are set, and proves it.
//!
//! It proposes by the performance model of settings, the simulator with this machine's costs
//! ([`by_simulation`](crate::model::by_simulation) is the same for predictions), because there a trial is exact and
//! takes milliseconds; drops from the best settings what does not matter; and then runs the few that are left side
//! by side with what is set now, in the scenario's own clock. A change is kept only when its interval excludes no
//! change: each of the best settings by itself, and all together on blocks that had no part in choosing them.

mod aimd;
mod conditions;
mod confirm;
mod live;
mod search;
mod space;
mod text;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::calibration::Calibration;
use crate::results::Effect;
use crate::trial::{Goal, LoadKind, P99Target, Sample, SettingValues, Trial, TrialError, Verdict, twin};

pub use conditions::{conditions, this_program};
pub use live::{LiveOptions, LiveRun, live};
pub use search::{Proposal, Searched};
pub use space::{Dimension, Space, SpaceError};

use confirm::confirm;
use search::{Search, SearchBudget};

/// Of the time, what the search may take; the rest proves what it found.
const SEARCH_SHARE: f64 = 0.4;
/// Blocks of a trial in real time; the median counts, and a poor first one ends the trial.
const REAL_BLOCKS: usize = 3;

/// Which clock the search runs by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum SearchClock {
    /// Virtual time where the protocol has it, real time else.
    #[default]
    Simulated,
    /// The scenario's own.
    Own,
}

/// How to tune.
#[derive(Clone, Debug)]
pub struct TuneOptions {
    /// Time for everything, about.
    pub budget: Duration,
    /// Blocks that the search runs, at most.
    pub most_blocks: usize,
    /// Tunables to search, by name; all that a load shows the whole price of when none is named.
    pub tunables: Vec<String>,
    /// By which clock to search.
    pub clock: SearchClock,
    /// Seed of the search and of the order of blocks.
    pub seed: u64,
    /// Length of a block in real time.
    pub block: Duration,
}

impl Default for TuneOptions {
    fn default() -> Self {
        TuneOptions {
            budget: Duration::from_secs(300),
            most_blocks: 80,
            tunables: Vec::new(),
            clock: SearchClock::Simulated,
            seed: 1,
            block: Duration::from_millis(600),
        }
    }
}

/// One trial of the search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tried {
    /// What was set, besides what was set before.
    pub settings: SettingValues,
    /// Whether its clock was virtual.
    pub is_virtual: bool,
    /// Blocks that were run for it.
    pub blocks: usize,
    /// The block whose goal's metric is the median; none when none served.
    pub sample: Option<Sample>,
    /// Why there is none.
    pub failure: Option<String>,
    /// Whether it was given up after a block that was worse than most.
    pub pruned: bool,
}

/// A setting that is worth changing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// Tunable.
    pub name: String,
    /// Value in force now.
    pub from: f64,
    /// Value to set.
    pub to: f64,
}

/// Settings that the search found, and what became of them side by side with those that are set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finalist {
    /// What it changes.
    pub changes: Vec<Changed>,
    /// What the search expected of the goal's metric, as a multiple of what it is now; none where it could not
    /// say, or tried other settings.
    #[serde(default)]
    pub expected: Option<f64>,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What it does to the goal's metric; none when too few blocks served.
    pub effect: Option<Effect>,
}

/// What tuning found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tuning {
    /// Protocol.
    pub protocol: String,
    /// Scenario.
    pub scenario: String,
    /// Goal.
    pub goal: Goal,
    /// What had to hold besides; none when nothing.
    pub target: Option<String>,
    /// How it was loaded: `64 clients`, `5000 requests/s`.
    pub load: String,
    /// Where the cluster ran and how large it was: `wan5, 5 replicas`.
    pub place: String,
    /// What was set before, and stayed as it was in every trial that does not say otherwise.
    pub settings: SettingValues,
    /// What the search took its costs from, in words.
    pub searched_in: String,
    /// The tunables that were searched.
    pub tunables: Vec<String>,
    /// Trials of earlier tunings that it started from.
    pub known: usize,
    /// Trials of the search.
    pub trials: usize,
    /// Blocks that they took.
    pub blocks: usize,
    /// Of the trials, those given up early.
    pub pruned: usize,
    /// Of the trials, those that did not serve or broke a promise.
    pub failed: usize,
    /// Settings that the search changed and that made no difference.
    pub dropped: Vec<String>,
    /// The best few, as they did in their first blocks, the best first.
    pub finalists: Vec<Finalist>,
    /// The best one on fresh blocks, when it is to be kept; none when what is set now stands.
    pub best: Option<Finalist>,
    /// Why what is set now stands; none when it does not.
    pub stands: Option<String>,
    /// 99th percentile of the response time with what is set now, in nanoseconds, where it misses the target; of the
    /// last blocks that it was measured in.
    pub now_p99_ns: Option<f64>,
    /// What disturbed the blocks side by side.
    pub disturbed: Vec<String>,
}

/// Why nothing was tuned.
#[derive(Debug, Error)]
pub enum TuneError {
    /// There is nothing to search.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// No trial can measure this.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// The sampler refused.
    #[error("the sampler: {0}")]
    Sampler(#[from] optimizer::Error),
    /// With what is set now nothing is served, so nothing can be compared with it.
    #[error("what is set now does not serve: {0}")]
    NothingToCompareWith(String),
}

/// Tunes a protocol under a scenario. `known` are trials of earlier tunings under the same conditions as the
/// search's; `tried` is told of every trial.
pub fn tune(
    trial: &Trial,
    options: &TuneOptions,
    calibration: Option<&Calibration>,
    known: &[(SettingValues, Sample)],
    mut tried: impl FnMut(&Tried),
) -> Result<Tuning, TuneError> {
    let started = Instant::now();
    let simulated = prepared(trial, options, calibration)?;
    let (space, searched) = search_in(trial, simulated.as_ref(), options, known, &mut tried)?;
    let mut tuning = Tuning {
        protocol: trial.pair.name.clone(),
        scenario: trial.pair.scenario.name.clone(),
        goal: trial.goal,
        target: trial.target.as_ref().map(P99Target::to_string),
        load: load_in_words(trial.load),
        place: trial.place(),
        settings: trial.pair.settings.clone(),
        searched_in: clock_in_words(trial, simulated.as_ref()),
        tunables: space.dimensions().iter().map(|one| one.tunable.name.to_string()).collect(),
        known: searched.known,
        trials: searched.trials,
        blocks: searched.blocks,
        pruned: searched.pruned,
        failed: searched.failed,
        dropped: searched.dropped.clone(),
        finalists: Vec::new(),
        best: None,
        stands: None,
        now_p99_ns: searched.base.as_ref().and_then(|base| missed_p99_ns(trial, base)),
        disturbed: Vec::new(),
    };
    if searched.finalists.is_empty() {
        tuning.stands = Some(nothing_better(simulated.is_some()));
        return Ok(tuning);
    }
    let left = options.budget.saturating_sub(started.elapsed());
    confirm(trial, &space, &searched.finalists, options, left, &mut tuning)?;
    Ok(tuning)
}

/// The first half of [`tune`]: what seems best, and nothing proven. The settings are changes to what is set now.
pub fn search(
    trial: &Trial,
    options: &TuneOptions,
    calibration: Option<&Calibration>,
    known: &[(SettingValues, Sample)],
    mut tried: impl FnMut(&Tried),
) -> Result<Searched, TuneError> {
    let simulated = prepared(trial, options, calibration)?;
    Ok(search_in(trial, simulated.as_ref(), options, known, &mut tried)?.1)
}

fn prepared(
    trial: &Trial,
    options: &TuneOptions,
    calibration: Option<&Calibration>,
) -> Result<Option<Trial>, TuneError> {
    trial.check()?;
    trial.check_settings(&SettingValues::new()).map_err(TrialError::Base)?;
    Ok(simulated(trial, options, calibration))
}

fn search_in(
    trial: &Trial,
    simulated: Option<&Trial>,
    options: &TuneOptions,
    known: &[(SettingValues, Sample)],
    tried: &mut dyn FnMut(&Tried),
) -> Result<(Space, Searched), TuneError> {
    let space = Space::of(trial, &options.tunables)?;
    let arena = simulated.unwrap_or(trial);
    let budget = SearchBudget {
        blocks: options.most_blocks,
        until: Instant::now() + options.budget.mul_f64(SEARCH_SHARE),
        per_trial: if arena.is_virtual() { 1 } else { REAL_BLOCKS },
    };
    let searched = Search::new(arena, trial, &space, options, budget)?.run(known, tried)?;
    Ok((space, searched))
}

/// The trial that the search runs in place of the scenario's own; none when that is as good or there is no other.
pub fn simulated(trial: &Trial, options: &TuneOptions, calibration: Option<&Calibration>) -> Option<Trial> {
    if options.clock == SearchClock::Own {
        return None;
    }
    let twin = twin(trial, calibration)?;
    // One block shows whether the protocol has virtual time, and whether it serves there.
    twin.block(&SettingValues::new(), options.block, options.seed).is_ok().then_some(twin)
}

fn nothing_better(simulated: bool) -> String {
    let found = "the search found nothing better than what is set now";
    if simulated {
        format!("{found}, in virtual time; `--search own` looks for it in the scenario's own clock")
    } else {
        found.into()
    }
}

fn missed_p99_ns(trial: &Trial, now: &Sample) -> Option<f64> {
    let missed = trial.target.is_some_and(|target| !target.holds(now));
    now.metric("response_ns_p99").filter(|_| missed)
}

fn load_in_words(load: LoadKind) -> String {
    match load {
        LoadKind::Closed { clients: 1 } => "1 client".into(),
        LoadKind::Closed { clients } => format!("{clients} clients"),
        LoadKind::Open { rate_per_s } => format!("{rate_per_s} requests/s"),
    }
}

fn clock_in_words(trial: &Trial, simulated: Option<&Trial>) -> String {
    match simulated.and_then(|twin| twin.costs.as_ref()) {
        Some(costs) if costs.is_calibrated() => "virtual time, with the costs of this machine".into(),
        Some(_) => {
            "virtual time, with nominal costs (`cargo consensus-bench calibrate` measures this machine's)"
                .into()
        }
        None if trial.is_virtual() => "virtual time, with the scenario's costs".into(),
        None => "real time".into(),
    }
}
