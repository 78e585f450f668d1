//! How often paired verdicts err on this machine: windows of rounds that were recorded once, judged as a gate
//! would have judged them.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::judge::{Judged, Rules, Stage, judge, shift_of, suspicious};
use super::noise::{BenchNoise, DetectedEffect};
use super::rounds::Round;
use crate::gate::report::FindingVerdict;
use crate::stats;

/// What is drawn, and how it is judged.
#[derive(Clone, Copy, Debug)]
pub struct StudyPlan {
    /// Windows to draw.
    pub windows: usize,
    /// Pairs of a window's first stage.
    pub screen_pairs: usize,
    /// Pairs of its second.
    pub confirm_pairs: usize,
    /// The rules of verdicts.
    pub rules: Rules,
    /// Seed of the drawing.
    pub seed: u64,
}

/// A metric of one benchmark, with the arms of its rounds.
#[derive(Clone, Debug)]
pub struct Study<'a> {
    /// Rounds in the order in which they ran.
    pub rounds: &'a [Round],
    /// The metric's name.
    pub metric: &'a str,
    /// The arm that all others are compared with.
    pub base: &'a str,
    /// Its copy.
    pub copy: &'a str,
    /// Slower arms, with the slow-down that was asked for.
    pub slower: &'a [(String, f64)],
}

/// What windows of the rounds would have been called. None when the metric was not measured, or there are fewer
/// rounds than a window has.
pub fn study_of(study: &Study<'_>, plan: &StudyPlan) -> Option<BenchNoise> {
    let control = pairs_of(study, study.copy)?;
    let size = plan.screen_pairs + plan.confirm_pairs;
    if control.len() < size {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(plan.seed);
    // Stretches of neighbours, as a gate would have seen them: what noise lasts longer than a round stays in.
    let starts: Vec<usize> =
        (0..plan.windows).map(|_| random.random_range(0..=control.len() - size)).collect();
    let verdicts = |pairs: &[(f64, f64)]| -> Vec<Judged> {
        let window = |(index, &start): (usize, &usize)| {
            judge_window(&pairs[start..start + size], plan, plan.seed.wrapping_add(index as u64))
        };
        starts.iter().enumerate().filter_map(window).collect()
    };
    let alarm =
        |judged: &Judged| matches!(judged.verdict, FindingVerdict::Regressed | FindingVerdict::Improved);
    let judged = verdicts(&control);
    let mut detectable: Vec<f64> = judged.iter().map(|judged| judged.shift.detectable).collect();
    let effects = study.slower.iter().filter_map(|(arm, asked)| {
        let pairs = pairs_of(study, arm)?;
        let found = verdicts(&pairs);
        let regressed = found.iter().filter(|judged| judged.verdict == FindingVerdict::Regressed).count();
        Some(DetectedEffect {
            asked: *asked,
            measured: shift_of(&pairs, plan.seed)?.relative,
            detected: regressed as f64 / found.len().max(1) as f64,
        })
    });
    Some(BenchNoise {
        tolerance: plan.rules.tolerance,
        rounds: control.len(),
        windows: judged.len(),
        false_alarms: judged.iter().filter(|judged| alarm(judged)).count(),
        detectable: stats::median(&mut detectable).unwrap_or_default(),
        effects: effects.collect(),
    })
}

/// A metric of two arms, round by round; none when a round lacks it.
fn pairs_of(study: &Study<'_>, arm: &str) -> Option<Vec<(f64, f64)>> {
    let value = |round: &Round, arm: &str| round.get(arm)?.metric(study.metric);
    study.rounds.iter().map(|round| value(round, study.base).zip(value(round, arm))).collect()
}

/// Both stages. A suspect's p is not adjusted: it is the only one of its window, and where a gate has more, it
/// alarms less.
fn judge_window(pairs: &[(f64, f64)], plan: &StudyPlan, seed: u64) -> Option<Judged> {
    let (screen, confirm) = pairs.split_at(plan.screen_pairs);
    let screened = shift_of(screen, seed)?;
    if suspicious(&screened, &plan.rules) {
        return Some(judge(shift_of(confirm, seed)?, &plan.rules, Stage::Confirmed));
    }
    Some(judge(screened, &plan.rules, Stage::Screened))
}

#[cfg(test)]
mod tests {
    use super::super::block::{BLOCK_VERSION, Block};
    use super::*;
    use crate::results::Better;

    fn rounds(count: usize, spread: f64) -> Vec<Round> {
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let mut block = |factor: f64, shared: f64| {
            let noise = spread * (random.random::<f64>() - 0.5);
            Block {
                version: BLOCK_VERSION,
                cpu_ns_per_commit: Some(1_000.0 * factor * (shared + noise).exp()),
                throughput_per_s: 1.0,
                response_ns_p50: 1.0,
                run_delay: None,
            }
        };
        (0..count)
            .map(|round| {
                let shared = (round as f64 / 9.0).sin();
                let arms = [("base", 1.0), ("copy", 1.0), ("slow", 1.1)];
                arms.map(|(arm, factor)| (arm.to_string(), block(factor, shared))).into()
            })
            .collect()
    }

    #[test]
    fn what_is_planted_is_found_and_a_copy_is_not() {
        let rounds = rounds(120, 0.04);
        let slower = [("slow".to_string(), 0.1)];
        let study = Study {
            rounds: &rounds,
            metric: "cpu_ns_per_commit",
            base: "base",
            copy: "copy",
            slower: &slower,
        };
        let rules = Rules { tolerance: 0.05, significance: 0.01, better: Better::Lower };
        let plan = StudyPlan { windows: 40, screen_pairs: 10, confirm_pairs: 24, rules, seed: 1 };
        let noise = study_of(&study, &plan).unwrap();
        assert_eq!((noise.rounds, noise.windows, noise.false_alarms), (120, 40, 0));
        assert!(noise.detectable < 0.05, "{noise:?}");
        assert!(
            (noise.effects[0].measured - 0.1).abs() < 0.01 && noise.effects[0].detected > 0.95,
            "{noise:?}"
        );
        let reason = |noise: BenchNoise, tolerance| noise.reason_not_to_block(tolerance);
        assert!(reason(noise.clone(), 0.05).unwrap().contains("40 windows of 120 rounds"));
        let enough = BenchNoise { windows: 300, rounds: 200, ..noise };
        assert_eq!(reason(enough.clone(), 0.05), None);
        // One window drawn 300 times.
        assert!(reason(BenchNoise { rounds: 34, ..enough.clone() }, 0.05).is_some());
        assert!(reason(enough.clone(), 0.04).unwrap().contains("a tolerance of 5 %"));
        assert!(reason(BenchNoise { windows: 3_000, false_alarms: 1, ..enough }, 0.05).is_some());
        assert_eq!(study_of(&Study { rounds: &rounds[..33], ..study.clone() }, &plan), None);
        assert_eq!(study_of(&Study { metric: "no_such", ..study }, &plan), None);
    }
}
