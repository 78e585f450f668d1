//! From what the search found to what is proven: the best few side by side with what is set now, each change of the
//! best one side by side with the rest of it, and what is left again, on fresh blocks.

use std::time::{Duration, Instant};

use super::search::PENALTY;
use super::{Changed, Finalist, Proposal, Space, TuneError, TuneOptions, Tuning};
use crate::results::Better;
use crate::trial::{Plan, SettingValues, SideBySide, Trial, Verdict, side_by_side};

/// Rounds in which finalists are compared, and in which the best one is proven.
const FIRST_ROUNDS: usize = 6;
const PROOF_ROUNDS: (usize, usize) = (8, 24);

/// Of the time for proofs, what comparing finalists may take, and what looking at each of their changes may.
const FINALISTS_SHARE: f64 = 0.5;
const APART_SHARE: f64 = 0.75;

/// Proves the best of the proposals, and enters what came of it.
pub(super) fn confirm(
    trial: &Trial,
    space: &Space,
    finalists: &[Proposal],
    options: &TuneOptions,
    left: Duration,
    tuning: &mut Tuning,
) -> Result<(), TuneError> {
    let mut proof = Proof { trial, space, options, left, started: Instant::now(), per_round: Duration::ZERO };
    let mut ranked: Vec<(f64, Proposal, Finalist)> = Vec::new();
    for proposal in finalists {
        // Time for the first is taken in any case.
        if !ranked.is_empty() && !proof.has_time(FINALISTS_SHARE) {
            break;
        }
        let found = proof.compare(&SettingValues::new(), &proposal.settings, FIRST_ROUNDS, 0)?;
        tuning.now_p99_ns = trial.target.and_then(|target| found.base_misses(target));
        ranked.push((gain(trial, &found), proposal.clone(), proof.finalist(proposal, &found)));
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    tuning.finalists = ranked.iter().map(|(_, _, finalist)| finalist.clone()).collect();
    let Some((gain, proposal, _)) = ranked.into_iter().next() else { return Ok(()) };
    if gain <= 0.0 {
        tuning.stands = Some(match (trial.target, tuning.now_p99_ns) {
            (Some(target), Some(_)) => {
                format!("none of the best few holds {target} either, side by side with it")
            }
            _ => "none of the best few did better side by side with what is set now".into(),
        });
        return Ok(());
    }
    let (proposal, idle) = proof.without_idle(proposal)?;
    tuning.dropped.extend(idle);
    // What the search dropped from one of the best settings may stand in another.
    tuning.dropped.retain(|name| !proposal.settings.contains_key(name));
    tuning.dropped.sort();
    tuning.dropped.dedup();
    // Blocks that had no part in the choice.
    let found = proof.compare(&SettingValues::new(), &proposal.settings, proof.rounds_left(), 1_000)?;
    tuning.now_p99_ns = trial.target.and_then(|target| found.base_misses(target));
    tuning.disturbed =
        found.disturbed.iter().map(|(what, blocks)| format!("{blocks} blocks: {what}")).collect();
    let proven = proof.finalist(&proposal, &found);
    match &found.verdict {
        Verdict::Better => tuning.best = Some(proven),
        Verdict::Refused { reason } => tuning.stands = Some(format!("the best settings: {reason}")),
        _ => {
            let effect = proven.effect.as_ref().map_or_else(String::new, |effect| {
                format!(": {:.3} [{:.3}, {:.3}] of what is set now", effect.ratio, effect.lower, effect.upper)
            });
            tuning.stands = Some(format!("fresh blocks do not bear out what the search found{effect}"));
        }
    }
    Ok(())
}

/// Comparisons side by side, within a time.
struct Proof<'a> {
    trial: &'a Trial,
    space: &'a Space,
    options: &'a TuneOptions,
    left: Duration,
    started: Instant,
    /// How long a round took last.
    per_round: Duration,
}

impl Proof<'_> {
    fn has_time(&self, share: f64) -> bool {
        self.started.elapsed() + self.per_round * FIRST_ROUNDS as u32 <= self.left.mul_f64(share)
    }

    /// Rounds that the rest of the time is enough for.
    fn rounds_left(&self) -> usize {
        let left = self.left.saturating_sub(self.started.elapsed());
        let rounds = left.as_secs_f64() / self.per_round.as_secs_f64().max(1e-3);
        (rounds as usize).clamp(PROOF_ROUNDS.0, PROOF_ROUNDS.1)
    }

    fn compare(
        &mut self,
        base: &SettingValues,
        changed: &SettingValues,
        rounds: usize,
        fresh: u64,
    ) -> Result<SideBySide, TuneError> {
        let seed = self.options.seed.wrapping_add(fresh);
        let begun = Instant::now();
        let found =
            side_by_side(self.trial, base, changed, &Plan { rounds, block: self.options.block, seed })?;
        self.per_round = begun.elapsed() / rounds as u32;
        Ok(found)
    }

    /// The proposal without the changes that no interval speaks for once the others are made, and their names. The
    /// model may see something in a setting that does nothing on this machine.
    fn without_idle(&mut self, proposal: Proposal) -> Result<(Proposal, Vec<String>), TuneError> {
        let (mut kept, mut idle) = (proposal.settings.clone(), Vec::new());
        for (index, name) in proposal.settings.keys().enumerate() {
            if kept.len() == 1 || !self.has_time(APART_SHARE) {
                break;
            }
            let mut without = kept.clone();
            without.remove(name);
            // Some settings are only possible together.
            if self.trial.check_settings(&without).is_err() {
                continue;
            }
            let found = self.compare(&without, &kept, FIRST_ROUNDS, 100 + index as u64)?;
            if found.verdict != Verdict::Better {
                kept = without;
                idle.push(name.clone());
            }
        }
        let expected = proposal.expected.filter(|_| idle.is_empty());
        Ok((Proposal { settings: kept, expected }, idle))
    }

    fn finalist(&self, proposal: &Proposal, found: &SideBySide) -> Finalist {
        debug_assert!(self.space.point(&proposal.settings).is_some());
        let none = SettingValues::new();
        let changes = proposal.settings.iter().map(|(name, &to)| {
            let from = self.trial.in_force(&none, name).unwrap_or(f64::NAN);
            Changed { name: name.clone(), from, to }
        });
        Finalist {
            changes: changes.collect(),
            expected: proposal.expected,
            verdict: found.verdict.clone(),
            effect: found.effect.clone(),
        }
    }
}

/// How much better, in logarithms; below zero when it is refused, and more than any metric differs when it holds a
/// target that what is set now misses.
fn gain(trial: &Trial, found: &SideBySide) -> f64 {
    let missed = trial.target.is_some_and(|target| found.base_misses(target).is_some());
    let met = if missed { PENALTY } else { 0.0 };
    match (&found.verdict, &found.effect) {
        (Verdict::Refused { .. }, _) => f64::NEG_INFINITY,
        (_, Some(effect)) if trial.goal.better() == Better::Higher => met + effect.ratio.ln(),
        (_, Some(effect)) => met - effect.ratio.ln(),
        (Verdict::Better, None) => f64::INFINITY,
        (_, None) => 0.0,
    }
}
