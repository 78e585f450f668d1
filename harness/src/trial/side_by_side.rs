//! Two settings side by side: blocks of both, interleaved, and what the change does to each metric.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{P99Target, Sample, SettingValues, Trial, TrialError};
use crate::pair::order;
use crate::results::{Better, Effect};
use crate::run::RunError;
use crate::stats::{hodges_lehmann, hodges_lehmann_interval, log_ratios, median, signed_rank_p};

/// With fewer rounds no interval is sure enough.
pub const FEWEST_ROUNDS: usize = 6;
const BASE: usize = 0;
const CHANGED: usize = 1;
/// What targets are about.
const P99: &str = "response_ns_p99";

/// How thoroughly two settings are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Rounds, each of one block of either; at least six for an interval.
    pub rounds: usize,
    /// Length of a block in real time.
    pub block: Duration,
    /// Seed of the order, and of the blocks: both of a round have the same.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Plan { rounds: 10, block: Duration::from_millis(600), seed: 1 }
    }
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// The interval of the goal's metric lies on the better side; or the target is missed without the change, and
    /// held with it by a 99th percentile whose interval lies below no change.
    Better,
    /// It lies on the worse side.
    Worse,
    /// It includes no change.
    Undecided,
    /// Whatever the numbers say: it broke a promise, does not run, or misses the target.
    Refused {
        /// Why.
        reason: String,
    },
}

/// Two settings side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SideBySide {
    /// What became of the change.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What it does to the goal's metric; none with fewer than six rounds in which both settings served.
    pub effect: Option<Effect>,
    /// The same of every metric that both have, the goal's included.
    pub effects: Vec<Effect>,
    /// Two-sided p of the signed-rank test of the goal's metric; 1 without pairs.
    pub p: f64,
    /// Rounds that ran.
    pub rounds: usize,
    /// Blocks in which the cluster did not serve, without the change and with it.
    pub failed: [usize; 2],
    /// What disturbed blocks, and how many; the pairs share it, and still it widens the interval.
    pub disturbed: BTreeMap<String, usize>,
    /// The blocks without the change, a failed one left out.
    pub base: Vec<Sample>,
    /// The blocks with it.
    pub changed: Vec<Sample>,
}

impl SideBySide {
    /// Median of a metric with the change; none when no block has it.
    pub fn changed_median(&self, metric: &str) -> Option<f64> {
        median_of(&self.changed, metric)
    }

    /// Median of a metric without it.
    pub fn base_median(&self, metric: &str) -> Option<f64> {
        median_of(&self.base, metric)
    }

    /// The 99th percentile of the response time without the change, in nanoseconds, where it misses a target.
    pub fn base_misses(&self, target: P99Target) -> Option<f64> {
        p99_beyond(target, &self.base)
    }
}

/// Compares settings with others that differ from them. Blocks of both come in the order ABBA or BAAB, by the
/// seed, each on a cluster of its own; in virtual time a block is exact, and rounds differ by their seed.
///
/// The change is refused as soon as one of its blocks breaks a promise, or does not serve where the settings
/// without it do. Settings that do not serve without the change are no error: then it is better when it always
/// serves where they never did.
pub fn side_by_side(
    trial: &Trial,
    base: &SettingValues,
    changed: &SettingValues,
    plan: &Plan,
) -> Result<SideBySide, TrialError> {
    trial.check()?;
    trial.check_settings(base).map_err(TrialError::Base)?;
    let mut blocks = Blocks::default();
    if let Err(error) = trial.check_settings(changed) {
        return Ok(blocks.judged(trial, Some(error.to_string())));
    }
    let arms = [base, changed];
    for round in 0..plan.rounds as u64 {
        let mut found = [None, None];
        for arm in order(arms.len(), round, plan.seed) {
            match trial.block(arms[arm], plan.block, plan.seed.wrapping_add(round)) {
                Ok(sample) => found[arm] = Some(sample),
                Err(TrialError::Run(RunError::Unsafe(how))) if arm == CHANGED => {
                    return Ok(blocks.judged(trial, Some(format!("SAFETY VIOLATION: {how}"))));
                }
                Err(TrialError::Run(RunError::Unsafe(how))) => return Err(TrialError::UnsafeBase(how)),
                Err(error) if error.is_the_settings_doing() => {
                    blocks.failed[arm] += 1;
                    blocks.last_failure[arm] = Some(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        blocks.rounds += 1;
        blocks.enter(found);
        if let (Some(how), 0) = (&blocks.last_failure[CHANGED], blocks.failed[BASE]) {
            let reason = format!("it does not serve: {how}");
            return Ok(blocks.judged(trial, Some(reason)));
        }
    }
    Ok(blocks.judged(trial, None))
}

/// What was measured so far.
#[derive(Default)]
struct Blocks {
    rounds: usize,
    /// Of rounds in which both served.
    pairs: Vec<(Sample, Sample)>,
    base: Vec<Sample>,
    changed: Vec<Sample>,
    failed: [usize; 2],
    last_failure: [Option<String>; 2],
}

impl Blocks {
    fn enter(&mut self, found: [Option<Sample>; 2]) {
        if let [Some(base), Some(changed)] = &found {
            self.pairs.push((base.clone(), changed.clone()));
        }
        let [base, changed] = found;
        self.base.extend(base);
        self.changed.extend(changed);
    }

    fn judged(&mut self, trial: &Trial, refused: Option<String>) -> SideBySide {
        let blocks = std::mem::take(self);
        let effects: Vec<Effect> =
            Sample::METRICS.iter().filter_map(|(name, _)| effect_on(name, &blocks.pairs, trial)).collect();
        let goal = trial.goal.metric();
        let effect = effects.iter().find(|effect| effect.metric == goal).cloned();
        let p = signed_rank_p(&log_ratios(&pairs_of(goal, &blocks.pairs)));
        let refused = refused.or_else(|| serves_less(&blocks)).or_else(|| misses_target(trial, &blocks));
        let verdict = match refused {
            Some(reason) => Verdict::Refused { reason },
            None => verdict(trial, &effects, &blocks),
        };
        let mut disturbed = BTreeMap::new();
        for sample in blocks.base.iter().chain(&blocks.changed) {
            for reason in &sample.disturbed {
                *disturbed.entry(without_numbers(reason)).or_insert(0) += 1;
            }
        }
        SideBySide {
            verdict,
            effect,
            effects,
            p,
            rounds: blocks.rounds,
            failed: blocks.failed,
            disturbed,
            base: blocks.base,
            changed: blocks.changed,
        }
    }
}

/// The numbers in a reason differ from block to block, what they are about does not.
fn without_numbers(reason: &str) -> String {
    let mut about = String::new();
    for letter in reason.chars() {
        match letter {
            '0'..='9' | '.' if about.ends_with('…') => {}
            '0'..='9' => about.push('…'),
            letter => about.push(letter),
        }
    }
    about
}

fn pairs_of(metric: &str, pairs: &[(Sample, Sample)]) -> Vec<(f64, f64)> {
    pairs.iter().filter_map(|(base, changed)| base.metric(metric).zip(changed.metric(metric))).collect()
}

/// What the change does to a metric: the Hodges-Lehmann estimate over the logarithms of the pairs' ratios, with
/// the interval that belongs to the signed-rank test.
fn effect_on(metric: &str, pairs: &[(Sample, Sample)], trial: &Trial) -> Option<Effect> {
    let logs = log_ratios(&pairs_of(metric, pairs));
    let (estimate, (lower, upper)) = (hodges_lehmann(&logs)?, hodges_lehmann_interval(&logs)?);
    let time = if trial.is_virtual() { "virtual time" } else { "real time" };
    Some(Effect {
        metric: metric.into(),
        ratio: estimate.exp(),
        lower: lower.exp(),
        upper: upper.exp(),
        basis: format!("{} pairs of blocks in {time}", logs.len()),
    })
}

/// Pairs are of rounds in which both served, so what fails more often is not in them.
fn serves_less(blocks: &Blocks) -> Option<String> {
    let [base, changed] = blocks.failed;
    let rounds = blocks.rounds;
    (changed > base).then(|| {
        let how = blocks.last_failure[CHANGED].as_deref().unwrap_or("no reason was told");
        format!("it does not serve in {changed} of {rounds} rounds, and in {base} without the change: {how}")
    })
}

fn misses_target(trial: &Trial, blocks: &Blocks) -> Option<String> {
    let target = trial.target?;
    let p99 = p99_beyond(target, &blocks.changed)?;
    let without = match p99_beyond(target, &blocks.base) {
        Some(p99) => format!(", and {:.3} ms without the change", p99 / 1e6),
        None => String::new(),
    };
    Some(format!("misses {target}: p99 is {:.3} ms{without}", p99 / 1e6))
}

/// The median of the blocks' 99th percentiles where it misses a target.
fn p99_beyond(target: P99Target, samples: &[Sample]) -> Option<f64> {
    median_of(samples, P99).filter(|&p99| p99 >= target.below_ns)
}

fn verdict(trial: &Trial, effects: &[Effect], blocks: &Blocks) -> Verdict {
    let on = |metric: &str| effects.iter().find(|effect| effect.metric == metric);
    let Some(effect) = on(trial.goal.metric()) else {
        // Six failures of six, and none with the change: as unlikely by chance as the interval asks for.
        let only_changed_serves = blocks.failed[BASE] == blocks.rounds && blocks.failed[CHANGED] == 0;
        let enough = blocks.rounds >= FEWEST_ROUNDS;
        return if only_changed_serves && enough { Verdict::Better } else { Verdict::Undecided };
    };
    // A target comes before the goal, as long as its metric did not just happen to fall on the right side.
    let missed = trial.target.is_some_and(|target| p99_beyond(target, &blocks.base).is_some());
    if missed && on(P99).is_some_and(|p99| p99.upper < 1.0) {
        return Verdict::Better;
    }
    let (more, less) = (effect.lower > 1.0, effect.upper < 1.0);
    match (trial.goal.better(), more, less) {
        (Better::Higher, true, _) | (Better::Lower, _, true) => Verdict::Better,
        (Better::Higher, _, true) | (Better::Lower, true, _) => Verdict::Worse,
        _ => Verdict::Undecided,
    }
}

fn median_of(samples: &[Sample], metric: &str) -> Option<f64> {
    median(&mut samples.iter().filter_map(|sample| sample.metric(metric)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_more_often_is_refused_however_fast_the_rest_is() {
        let blocks = |base, changed| Blocks {
            rounds: 10,
            failed: [base, changed],
            last_failure: [None, Some("no leader".into())],
            ..Blocks::default()
        };
        assert_eq!(
            serves_less(&blocks(1, 3)).unwrap(),
            "it does not serve in 3 of 10 rounds, and in 1 without the change: no leader"
        );
        assert_eq!(serves_less(&blocks(3, 3)), None);
        assert_eq!(serves_less(&blocks(3, 0)), None);
    }
}
