//! Tier 2: base and head side by side. Every benchmark gets a few pairs of processes; those that look suspicious
//! get fresh ones, and only these decide. The base against its own copy tells whether the machine allows any
//! verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::policy::{PairedPolicy, Policy};
use super::report::{Control, Effect, Finding, FindingVerdict, Shift, Tier};
use crate::pair::{
    Arm, Arms, BlockSpec, Judged, Noise, PairError, Round, Rules, Stage, calibrate_commits, judge, run_round,
    shift_of, suspicious,
};
use crate::results::Better;
use crate::stats;

/// What blocks measure: name, unit, and which way it is better. CPU time comes first: it is what a busy
/// machine changes least.
pub const PAIRED_METRICS: [(&str, &str, Better); 3] = [
    ("cpu_ns_per_commit", "ns", Better::Lower),
    ("throughput_per_s", "1/s", Better::Higher),
    ("response_ns_p50", "ns", Better::Lower),
];
/// The metric that does not depend on who else used the machine's cores.
const CPU_TIME: &str = "cpu_ns_per_commit";
const BASE: &str = "base";
const HEAD: &str = "head";
const COPY: &str = "copy";
/// Clients of the closed loop.
pub const CLIENTS: usize = 64;

/// Two programs, and what to compare of them.
#[derive(Clone, Debug)]
pub struct Contest<'a> {
    /// The program of the base commit.
    pub base: &'a Path,
    /// A byte copy of it.
    pub copy: &'a Path,
    /// The program of the head.
    pub head: &'a Path,
    /// Protocols that both have.
    pub protocols: &'a [String],
    /// What is known about this machine's noise.
    pub noise: Option<&'a Noise>,
    /// The policy.
    pub policy: &'a Policy,
    /// Seed of the order of processes.
    pub seed: u64,
}

/// What a contest came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// A finding per protocol and metric.
    pub findings: Vec<Finding>,
    /// The base against its copy.
    pub control: Control,
    /// What else is to be said.
    pub notes: Vec<String>,
}

/// The name of a protocol's row.
pub fn row(protocol: &str) -> String {
    format!("commit/{protocol}")
}

/// Measures and judges. `progress` hears what runs.
pub fn judge_contest(contest: &Contest<'_>, progress: impl Fn(&str)) -> Result<Outcome, PairError> {
    let policy = &contest.policy.paired;
    let arm = |name: &str, program: &Path| Arm { name: name.into(), program: program.into(), burn: 0 };
    let base = arm(BASE, contest.base);
    let arms = vec![base.clone(), arm(HEAD, contest.head), arm(COPY, contest.copy)];
    let arms = Arms { arms, seed: contest.seed };
    let mut specs = Vec::new();
    for protocol in contest.protocols {
        progress(&format!("paired/{protocol}: how long a commit takes"));
        let commits = calibrate_commits(&base, protocol, CLIENTS, policy.block_ms)?;
        specs.push(BlockSpec { protocol: protocol.clone(), clients: CLIENTS, commits, burn: 0 });
    }
    let all: Vec<&BlockSpec> = specs.iter().collect();
    let screened = rounds(&arms, &all, 0, policy.screen_pairs, "screen", &progress)?;
    let quiet = quiet(&screened, policy);
    let metrics = || PAIRED_METRICS.into_iter().filter(|(name, ..)| quiet || *name == CPU_TIME);
    let suspects: BTreeSet<&str> = contest
        .protocols
        .iter()
        .filter(|protocol| {
            metrics().any(|(metric, _, better)| {
                let rules = rules(contest.policy, protocol, metric, better);
                let suspicious = |arm| {
                    let shift = shift_of(&pairs(&screened, protocol, metric, arm), contest.seed);
                    shift.is_none_or(|shift| suspicious(&shift, &rules))
                };
                suspicious(HEAD) || suspicious(COPY)
            })
        })
        .map(String::as_str)
        .collect();
    let chosen: Vec<&BlockSpec> =
        all.into_iter().filter(|spec| suspects.contains(spec.protocol.as_str())).collect();
    let first = policy.screen_pairs as u64;
    let confirmed = rounds(&arms, &chosen, first, policy.confirm_pairs, "confirm", &progress)?;

    let of_arm = |arm: &str| {
        let mut found = Vec::new();
        for protocol in contest.protocols {
            for (metric, unit, better) in metrics() {
                let stage =
                    if suspects.contains(protocol.as_str()) { Stage::Confirmed } else { Stage::Screened };
                let blocks = if stage == Stage::Confirmed { &confirmed } else { &screened };
                let measured = Measured { protocol, metric, unit, better, stage, blocks };
                found.push(measured);
            }
        }
        verdicts(contest, found, arm)
    };
    let control = control_of(of_arm(COPY));
    let mut findings = of_arm(HEAD);
    if !control.alarms.is_empty() {
        for finding in &mut findings {
            finding.verdict = FindingVerdict::Inconclusive;
            finding.reason = Some("the base differs from its own copy".into());
        }
    }
    let noise = contest.noise.filter(|noise| noise.is_of(policy));
    findings.iter_mut().for_each(|finding| admit(finding, noise));
    let mut notes = Vec::new();
    if !quiet {
        notes.push(format!(
            "only CPU time is judged: threads waited for a core for {:.1} % of the time or more",
            100.0 * policy.run_delay
        ));
    }
    let why = match contest.noise {
        None => Some("was not measured"),
        Some(noise) if !noise.is_of(policy) => Some("was measured with other blocks, pairs or tolerance"),
        Some(_) => None,
    };
    if let Some(why) = why {
        notes.push(format!(
            "this machine's noise {why}, so nothing here blocks; `consensus-bench calibrate-gate` measures it"
        ));
    }
    Ok(Outcome { findings, control, notes })
}

/// One metric of one protocol, and where its blocks are.
struct Measured<'a> {
    protocol: &'a str,
    metric: &'a str,
    unit: &'a str,
    better: Better,
    stage: Stage,
    blocks: &'a Blocks,
}

/// Rounds by protocol.
type Blocks = BTreeMap<String, Vec<Round>>;

/// So many rounds of everything: all benchmarks once, then all again, so that what drifts meets them all.
fn rounds(
    arms: &Arms,
    specs: &[&BlockSpec],
    first: u64,
    count: usize,
    stage: &str,
    progress: impl Fn(&str),
) -> Result<Blocks, PairError> {
    let mut blocks = Blocks::new();
    for index in 0..count as u64 {
        for spec in specs {
            progress(&format!("paired/{}: {stage}, pair {} of {count}", spec.protocol, index + 1));
            let round = run_round(arms, first + index, spec)?;
            blocks.entry(spec.protocol.clone()).or_default().push(round);
        }
    }
    Ok(blocks)
}

/// Whether threads had their cores: the median block of all.
fn quiet(blocks: &Blocks, policy: &PairedPolicy) -> bool {
    let of_rounds = blocks.values().flatten().flat_map(BTreeMap::values);
    let mut delays: Vec<f64> = of_rounds.filter_map(|block| block.run_delay).collect();
    stats::median(&mut delays).is_some_and(|delay| delay < policy.run_delay)
}

fn pairs(blocks: &Blocks, protocol: &str, metric: &str, arm: &str) -> Vec<(f64, f64)> {
    let value = |round: &Round, arm: &str| round.get(arm)?.metric(metric);
    let of_round = |round: &Round| value(round, BASE).zip(value(round, arm));
    blocks.get(protocol).into_iter().flatten().filter_map(of_round).collect()
}

fn rules(policy: &Policy, protocol: &str, metric: &str, better: Better) -> Rules {
    let tolerance = policy.ruling(Tier::Paired, &row(protocol), metric).tolerance;
    Rules { tolerance, significance: policy.paired.significance, better }
}

/// The verdicts of an arm against the base; suspects share what chance they may have of being none.
fn verdicts(contest: &Contest<'_>, measured: Vec<Measured<'_>>, arm: &str) -> Vec<Finding> {
    let shifts: Vec<Option<Shift>> = measured
        .iter()
        .map(|one| shift_of(&pairs(one.blocks, one.protocol, one.metric, arm), contest.seed))
        .collect();
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
    let ruling = policy.ruling(Tier::Paired, &row(one.protocol), one.metric);
    let rules = rules(policy, one.protocol, one.metric, one.better);
    let judged = shift.map(|shift| judge(shift, &rules, one.stage));
    let pairs = pairs(one.blocks, one.protocol, one.metric, arm);
    let middle =
        |side: fn(&(f64, f64)) -> f64| stats::median(&mut pairs.iter().map(side).collect::<Vec<_>>());
    Finding {
        row: row(one.protocol),
        metric: one.metric.into(),
        unit: one.unit.into(),
        better: one.better,
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

/// Only benchmarks whose false alarms were counted on this machine, and came to none, may block.
fn admit(finding: &mut Finding, noise: Option<&Noise>) {
    let known = noise.and_then(|noise| noise.of(&finding.row, &finding.metric));
    if finding.effect != Effect::Block || known.is_some_and(|known| known.may_block()) {
        return;
    }
    finding.effect = Effect::Warn;
    let why = match known {
        Some(known) => format!(
            "does not block: {} of {} windows of this machine's noise alarmed",
            known.false_alarms, known.windows
        ),
        None => "does not block: its noise on this machine is not known".to_string(),
    };
    finding.reason = Some(finding.reason.take().map_or(why.clone(), |reason| format!("{reason}; {why}")));
}
