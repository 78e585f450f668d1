//! From what the search found to what is proven: the best few side by side with what is set now, and the best of
//! those again, on fresh blocks.

use std::time::{Duration, Instant};

use super::{Changed, Finalist, Space, TuneError, TuneOptions, Tuning};
use crate::results::Better;
use crate::trial::{Plan, SettingValues, SideBySide, Trial, Verdict, side_by_side};

/// Rounds in which finalists are compared, and in which the best one is proven.
const FIRST_ROUNDS: usize = 6;
const PROOF_ROUNDS: (usize, usize) = (8, 24);

/// Proves the best of the settings, and enters what came of it.
pub(super) fn confirm(
    trial: &Trial,
    space: &Space,
    finalists: &[SettingValues],
    options: &TuneOptions,
    left: Duration,
    tuning: &mut Tuning,
) -> Result<(), TuneError> {
    let none = SettingValues::new();
    let compare = |settings: &SettingValues, rounds: usize, seed: u64| {
        side_by_side(trial, &none, settings, &Plan { rounds, block: options.block, seed })
    };
    let (started, mut per_round) = (Instant::now(), Duration::ZERO);
    let mut ranked: Vec<(f64, SettingValues, Finalist)> = Vec::new();
    for settings in finalists {
        // Time for the first is taken in any case.
        if !ranked.is_empty() && started.elapsed() + per_round * FIRST_ROUNDS as u32 > left / 2 {
            break;
        }
        let begun = Instant::now();
        let found = compare(settings, FIRST_ROUNDS, options.seed)?;
        per_round = begun.elapsed() / FIRST_ROUNDS as u32;
        let finalist = finalist(trial, space, settings, &found);
        ranked.push((gain(trial, &found), settings.clone(), finalist));
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    tuning.finalists = ranked.iter().map(|(_, _, finalist)| finalist.clone()).collect();
    let Some((gain, settings, _)) = ranked.into_iter().next() else { return Ok(()) };
    if gain <= 0.0 {
        tuning.stands = Some("none of the best few did better side by side with what is set now".into());
        return Ok(());
    }
    let rounds = left.saturating_sub(started.elapsed()).as_secs_f64() / per_round.as_secs_f64().max(1e-3);
    let rounds = (rounds as usize).clamp(PROOF_ROUNDS.0, PROOF_ROUNDS.1);
    // Blocks that had no part in the choice.
    let found = compare(&settings, rounds, options.seed.wrapping_add(1_000))?;
    tuning.disturbed =
        found.disturbed.iter().map(|(what, blocks)| format!("{blocks} blocks: {what}")).collect();
    let proven = finalist(trial, space, &settings, &found);
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

/// How much better, in logarithms; below zero when it is refused.
fn gain(trial: &Trial, found: &SideBySide) -> f64 {
    match (&found.verdict, &found.effect) {
        (Verdict::Refused { .. }, _) => f64::NEG_INFINITY,
        (_, Some(effect)) if trial.goal.better() == Better::Higher => effect.ratio.ln(),
        (_, Some(effect)) => -effect.ratio.ln(),
        (Verdict::Better, None) => f64::INFINITY,
        (_, None) => 0.0,
    }
}

fn finalist(trial: &Trial, space: &Space, settings: &SettingValues, found: &SideBySide) -> Finalist {
    let none = SettingValues::new();
    let changes = settings.iter().map(|(name, &to)| {
        let from = trial.in_force(&none, name).unwrap_or(f64::NAN);
        Changed { name: name.clone(), from, to }
    });
    debug_assert!(space.point(settings).is_some());
    Finalist { changes: changes.collect(), verdict: found.verdict.clone(), effect: found.effect.clone() }
}
