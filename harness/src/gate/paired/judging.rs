//! From rounds of blocks to findings: who is a suspect, what shares the chance of being none, what the control
//! allows, and what may block. Pure functions over blocks.

use std::collections::{BTreeMap, BTreeSet};

use super::{BASE, COPY, Contest, HEAD, Outcome, PAIRED_METRICS, row};
use crate::gate::policy::{PairedPolicy, Policy};
use crate::gate::report::{Control, Effect, Finding, FindingVerdict, Shift, Tier};
use crate::pair::{Judged, Noise, Round, Rules, Stage, judge, shift_of, suspicious};
use crate::results::Better;
use crate::stats;

/// The metric that does not depend on who else used the machine's cores.
const CPU_TIME: &str = "cpu_ns_per_commit";

/// Rounds by protocol.
pub(super) type Blocks = BTreeMap<String, Vec<Round>>;

/// One metric of one protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bench<'a> {
    pub(super) protocol: &'a str,
    metric: &'static str,
    unit: &'static str,
    better: Better,
}

/// What the policy does not ignore: the rest is not even run, and has no share in the chance of an alarm.
pub(super) fn benches_of<'a>(contest: &Contest<'a>) -> Vec<Bench<'a>> {
    let of_protocol = |protocol: &'a String| {
        PAIRED_METRICS.map(|(metric, unit, better)| Bench { protocol, metric, unit, better })
    };
    let judged = |bench: &Bench<'_>| {
        contest.policy.ruling(Tier::Paired, &row(bench.protocol), bench.metric).effect != Effect::Ignore
    };
    contest.protocols.iter().flat_map(of_protocol).filter(judged).collect()
}

/// Protocols of which a metric looks worse or better than the base's, or the copy does, or can't be told from it.
pub(super) fn suspects_of<'a>(
    contest: &Contest<'_>,
    benches: &[Bench<'a>],
    screened: &Blocks,
) -> BTreeSet<&'a str> {
    let quiet = is_quiet(screened, &contest.policy.paired);
    let is_suspect = |bench: &&Bench<'_>| {
        let rules = rules(contest.policy, bench);
        [HEAD, COPY].iter().any(|arm| {
            let shift = shift_of(&pairs(screened, bench, arm), contest.seed);
            shift.is_none_or(|shift| suspicious(&shift, &rules))
        })
    };
    let told = benches.iter().filter(|bench| quiet || bench.metric == CPU_TIME);
    told.filter(is_suspect).map(|bench| bench.protocol).collect()
}

/// The findings: of suspects by their fresh rounds alone, of the others by the first ones.
pub(super) fn judge_rounds(
    contest: &Contest<'_>,
    benches: &[Bench<'_>],
    screened: &Blocks,
    confirmed: &Blocks,
) -> Outcome {
    let policy = &contest.policy.paired;
    // What decides has to be quiet, and so has what chose the suspects.
    let quiet = is_quiet(screened, policy) && (confirmed.is_empty() || is_quiet(confirmed, policy));
    let measured: Vec<Measured<'_>> = benches
        .iter()
        .filter(|bench| quiet || bench.metric == CPU_TIME)
        .map(|&bench| match confirmed.contains_key(bench.protocol) {
            true => Measured { bench, stage: Stage::Confirmed, blocks: confirmed },
            false => Measured { bench, stage: Stage::Screened, blocks: screened },
        })
        .collect();
    let control = control_of(verdicts(contest, &measured, COPY));
    let mut findings = verdicts(contest, &measured, HEAD);
    if !control.alarms.is_empty() {
        for finding in &mut findings {
            finding.verdict = FindingVerdict::Inconclusive;
            finding.reason = Some("the base differs from its own copy".into());
        }
    }
    let noise = contest.noise.filter(|noise| noise.is_of(policy));
    findings.iter_mut().for_each(|finding| admit(finding, noise));
    Outcome { findings, control, notes: notes(contest, quiet) }
}

fn notes(contest: &Contest<'_>, quiet: bool) -> Vec<String> {
    let policy = &contest.policy.paired;
    let mut notes = Vec::new();
    if !quiet {
        notes.push(format!(
            "only CPU time is judged: threads waited for a core for {:.1} % of the time or more",
            100.0 * policy.run_delay
        ));
    }
    let why = match contest.noise {
        None => Some("was not measured"),
        Some(noise) if !noise.is_of(policy) => Some("was measured with other blocks, pairs or significance"),
        Some(_) => None,
    };
    if let Some(why) = why {
        notes.push(format!(
            "this machine's noise {why}, so nothing here blocks; `cargo consensus-bench calibrate-gate` measures it"
        ));
    }
    notes
}

/// One metric of one protocol, and where its blocks are.
struct Measured<'a> {
    bench: Bench<'a>,
    stage: Stage,
    blocks: &'a Blocks,
}

/// Whether threads had their cores: the median block of all.
fn is_quiet(blocks: &Blocks, policy: &PairedPolicy) -> bool {
    let of_rounds = blocks.values().flatten().flat_map(BTreeMap::values);
    let mut delays: Vec<f64> = of_rounds.filter_map(|block| block.run_delay).collect();
    stats::median(&mut delays).is_some_and(|delay| delay < policy.run_delay)
}

fn pairs(blocks: &Blocks, bench: &Bench<'_>, arm: &str) -> Vec<(f64, f64)> {
    let value = |round: &Round, arm: &str| round.get(arm)?.metric(bench.metric);
    let of_round = |round: &Round| value(round, BASE).zip(value(round, arm));
    blocks.get(bench.protocol).into_iter().flatten().filter_map(of_round).collect()
}

fn rules(policy: &Policy, bench: &Bench<'_>) -> Rules {
    let tolerance = policy.ruling(Tier::Paired, &row(bench.protocol), bench.metric).tolerance;
    Rules { tolerance, significance: policy.paired.significance, better: bench.better }
}

/// The verdicts of an arm against the base; suspects share what chance they may have of being none.
fn verdicts(contest: &Contest<'_>, measured: &[Measured<'_>], arm: &str) -> Vec<Finding> {
    let shifts: Vec<Option<Shift>> =
        measured.iter().map(|one| shift_of(&pairs(one.blocks, &one.bench, arm), contest.seed)).collect();
    let p_of_suspects: Vec<f64> = measured
        .iter()
        .zip(&shifts)
        .filter(|(one, _)| one.stage == Stage::Confirmed)
        .map(|(_, shift)| shift.map_or(1.0, |shift| shift.p))
        .collect();
    let mut adjusted = stats::holm(&p_of_suspects).into_iter();
    let mut finding = |(one, shift): (&Measured<'_>, Option<Shift>)| {
        let p = if one.stage == Stage::Confirmed { adjusted.next() } else { None };
        let shift = shift.map(|shift| Shift { p: p.unwrap_or(shift.p), ..shift });
        finding_of(contest.policy, one, shift, arm)
    };
    measured.iter().zip(shifts).map(&mut finding).collect()
}

fn finding_of(policy: &Policy, one: &Measured<'_>, shift: Option<Shift>, arm: &str) -> Finding {
    let Bench { protocol, metric, unit, better } = one.bench;
    let ruling = policy.ruling(Tier::Paired, &row(protocol), metric);
    let judged = shift.map(|shift| judge(shift, &rules(policy, &one.bench), one.stage));
    let pairs = pairs(one.blocks, &one.bench, arm);
    let middle =
        |side: fn(&(f64, f64)) -> f64| stats::median(&mut pairs.iter().map(side).collect::<Vec<_>>());
    Finding {
        row: row(protocol),
        metric: metric.into(),
        unit: unit.into(),
        better,
        verdict: judged.map_or(FindingVerdict::Inconclusive, |judged: Judged| judged.verdict),
        effect: ruling.effect,
        base: middle(|pair| pair.0),
        head: middle(|pair| pair.1),
        shift,
        tolerance: ruling.tolerance,
        owner: ruling.owner,
        reason: judged.is_none().then(|| "the system does not tell this number".to_string()),
    }
}

fn control_of(findings: Vec<Finding>) -> Control {
    let shift = |finding: &Finding| finding.shift.map_or(0.0, |shift| shift.relative.abs());
    let largest_shift = findings.iter().map(shift).fold(0.0, f64::max);
    let judged = findings.len();
    let differs =
        |finding: &Finding| matches!(finding.verdict, FindingVerdict::Regressed | FindingVerdict::Improved);
    Control { judged, alarms: findings.into_iter().filter(differs).collect(), largest_shift }
}

/// Only benchmarks whose false alarms were counted on this machine, by no looser rules, and came to none, may block.
fn admit(finding: &mut Finding, noise: Option<&Noise>) {
    let known = noise.and_then(|noise| noise.of(&finding.row, &finding.metric));
    let why = match known {
        _ if finding.effect != Effect::Block => return,
        None => "its noise on this machine is not known".to_string(),
        Some(known) => match known.reason_not_to_block(finding.tolerance) {
            None => return,
            Some(reason) => reason,
        },
    };
    finding.effect = Effect::Warn;
    let why = format!("does not block: {why}");
    finding.reason = Some(finding.reason.take().map_or(why.clone(), |reason| format!("{reason}; {why}")));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::pair::{BLOCK_VERSION, BenchNoise, Block, NOISE_SCHEMA_VERSION};

    const PROTOCOLS: [&str; 2] = ["abd", "raft-rs"];

    /// Rounds in which blocks vary by a few thousandths, and an arm's CPU time and latency are so many times the
    /// base's.
    fn blocks(rounds: usize, times: impl Fn(&str, &str) -> f64, run_delay: f64) -> Blocks {
        let block = |protocol: &str, arm: &str, index: usize| {
            let wobble = 1.0 + 0.002 * ((index * 7 + arm.len() * 3) % 5) as f64;
            let cost = 1_000.0 * wobble * times(protocol, arm);
            Block {
                version: BLOCK_VERSION,
                throughput_per_s: 1e9 / cost,
                cpu_ns_per_commit: Some(cost),
                response_ns_p50: 64.0 * cost,
                run_delay: Some(run_delay),
            }
        };
        let round = |protocol: &str, index| {
            [BASE, HEAD, COPY].iter().map(|arm| (arm.to_string(), block(protocol, arm, index))).collect()
        };
        let all = |protocol: &str| (0..rounds).map(|index| round(protocol, index)).collect();
        PROTOCOLS.iter().map(|protocol| (protocol.to_string(), all(protocol))).collect()
    }

    fn noise(policy: &Policy) -> Noise {
        let bench = BenchNoise {
            tolerance: policy.paired.tolerance,
            rounds: 200,
            windows: 300,
            false_alarms: 0,
            detectable: 0.02,
            effects: Vec::new(),
        };
        let metrics = || PAIRED_METRICS.map(|(metric, ..)| (metric.to_string(), bench.clone())).into();
        Noise {
            schema_version: NOISE_SCHEMA_VERSION,
            fingerprint: "0f3a9c21d4e7".into(),
            measured_unix_s: 0,
            block_ms: policy.paired.block_ms,
            screen_pairs: policy.paired.screen_pairs,
            confirm_pairs: policy.paired.confirm_pairs,
            significance: policy.paired.significance,
            benches: PROTOCOLS.iter().map(|protocol| (row(protocol), metrics())).collect(),
        }
    }

    /// Both stages by a policy, where all rounds of a stage are alike.
    fn judged(policy: &str, screened: &Blocks, confirmed: &Blocks, known: bool) -> Outcome {
        let policy = Policy::parse(Path::new("policy.toml"), policy).unwrap();
        let (noise, protocols) = (noise(&policy), PROTOCOLS.map(String::from));
        let nowhere = Path::new("unused");
        let contest = Contest {
            base: nowhere,
            copy: nowhere,
            head: nowhere,
            protocols: &protocols,
            noise: known.then_some(&noise),
            policy: &policy,
            seed: 1,
        };
        let benches = benches_of(&contest);
        let suspects = suspects_of(&contest, &benches, screened);
        let mut confirmed = confirmed.clone();
        confirmed.retain(|protocol, _| suspects.contains(protocol.as_str()));
        judge_rounds(&contest, &benches, screened, &confirmed)
    }

    fn slow_head(protocol: &str, arm: &str) -> f64 {
        if protocol == "raft-rs" && arm == HEAD { 1.1 } else { 1.0 }
    }

    fn told(outcome: &Outcome) -> Vec<String> {
        let line = |finding: &Finding| {
            format!("{} {} {} {:?}", finding.row, finding.metric, finding.verdict.name(), finding.effect)
        };
        outcome.findings.iter().map(line).collect()
    }

    #[test]
    fn what_is_slower_is_blamed_and_what_is_not_passes() {
        let outcome = judged("", &blocks(10, slow_head, 0.0), &blocks(24, slow_head, 0.0), true);
        insta::assert_snapshot!(told(&outcome).join("\n"), @r"
        commit/abd cpu_ns_per_commit passed Block
        commit/abd throughput_per_s passed Block
        commit/abd response_ns_p50 passed Block
        commit/raft-rs cpu_ns_per_commit regressed Block
        commit/raft-rs throughput_per_s regressed Block
        commit/raft-rs response_ns_p50 regressed Block
        ");
        assert!(outcome.control.alarms.is_empty() && outcome.control.judged == 6 && outcome.notes.is_empty());
        let shift = outcome.findings[3].shift.unwrap();
        assert!((shift.relative - 0.1).abs() < 0.01 && shift.pairs == 24, "{shift:?}");
    }

    #[test]
    fn fresh_rounds_alone_decide_about_a_suspect() {
        let outcome = judged("", &blocks(10, slow_head, 0.0), &blocks(24, |_, _| 1.0, 0.0), true);
        assert!(told(&outcome).iter().all(|line| line.contains(" passed ")), "{:?}", told(&outcome));
    }

    #[test]
    fn a_base_that_differs_from_its_copy_makes_every_verdict_inconclusive() {
        let odd = |protocol: &str, arm: &str| if arm == COPY { 1.2 } else { slow_head(protocol, arm) };
        let outcome = judged("", &blocks(10, odd, 0.0), &blocks(24, odd, 0.0), true);
        assert_eq!(outcome.control.alarms.len(), 6);
        assert!(told(&outcome).iter().all(|line| line.contains(" inconclusive ")), "{:?}", told(&outcome));
    }

    #[test]
    fn on_a_busy_machine_only_cpu_time_is_judged_in_whichever_stage_it_was_busy() {
        for (first, second) in [(0.5, 0.0), (0.0, 0.5)] {
            let outcome = judged("", &blocks(10, slow_head, first), &blocks(24, slow_head, second), true);
            let told = told(&outcome);
            assert_eq!(told.len(), 2, "{told:?}");
            assert!(told.iter().all(|line| line.contains("cpu_ns_per_commit")), "{told:?}");
            assert!(outcome.notes[0].starts_with("only CPU time is judged"));
        }
    }

    #[test]
    fn what_the_policy_ignores_is_not_measured_and_alarms_no_one() {
        let policy = "[[rule]]\ntier = \"paired\"\nprotocol = \"abd\"\neffect = \"ignore\"";
        let odd = |protocol: &str, arm: &str| {
            if protocol == "abd" && arm == COPY { 1.2 } else { slow_head(protocol, arm) }
        };
        let outcome = judged(policy, &blocks(10, odd, 0.0), &blocks(24, odd, 0.0), true);
        assert!(outcome.control.alarms.is_empty() && outcome.control.judged == 3);
        let told = told(&outcome);
        assert!(told.len() == 3 && told.iter().all(|line| line.contains("regressed")), "{told:?}");
    }

    #[test]
    fn what_is_not_known_not_to_alarm_does_not_block() {
        let (screened, confirmed) = (blocks(10, slow_head, 0.0), blocks(24, slow_head, 0.0));
        let outcome = judged("", &screened, &confirmed, false);
        assert!(told(&outcome).iter().all(|line| line.ends_with("Warn")), "{:?}", told(&outcome));
        assert!(outcome.notes[0].contains("was not measured"));
        // A rule that is stricter than what the noise was measured under has not been tried.
        let strict = "[[rule]]\ntier = \"paired\"\nprotocol = \"raft-rs\"\ntolerance = 0.01";
        let policy = Policy::parse(Path::new("policy.toml"), strict).unwrap();
        let known = noise(&policy).of("commit/raft-rs", "cpu_ns_per_commit").cloned().unwrap();
        assert!(known.reason_not_to_block(0.05).is_none());
        let outcome = judged(strict, &screened, &confirmed, true);
        assert!(outcome.findings[3].reason.as_ref().unwrap().contains("does not block"));
        assert_eq!((outcome.findings[0].effect, outcome.findings[3].effect), (Effect::Block, Effect::Warn));
    }
}
