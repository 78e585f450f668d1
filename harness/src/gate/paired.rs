//! Tier 2: base and head side by side. Every benchmark gets a few pairs of processes; those that look suspicious
//! get fresh ones, and only these decide. The base against its own copy tells whether the machine allows any
//! verdict.

mod judging;

use std::path::Path;

use self::judging::{Blocks, benches_of, judge_rounds, suspects_of};
use super::policy::Policy;
use super::report::{Control, Finding};
use crate::pair::{Arm, Arms, BlockSpec, Noise, PairError, calibrate_commits, run_round};
use crate::results::Better;

/// What blocks measure: name, unit, and which way it is better. CPU time comes first: it is what a busy
/// machine changes least.
pub const PAIRED_METRICS: [(&str, &str, Better); 3] = [
    ("cpu_ns_per_commit", "ns", Better::Lower),
    ("throughput_per_s", "1/s", Better::Higher),
    ("response_ns_p50", "ns", Better::Lower),
];
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
    let benches = benches_of(contest);
    let mut specs = Vec::new();
    for protocol in
        contest.protocols.iter().filter(|name| benches.iter().any(|bench| bench.protocol == **name))
    {
        progress(&format!("paired/{protocol}: how long a commit takes"));
        let commits = calibrate_commits(&base, protocol, CLIENTS, policy.block_ms)?;
        specs.push(BlockSpec { protocol: protocol.clone(), clients: CLIENTS, commits, burn: 0 });
    }
    let all: Vec<&BlockSpec> = specs.iter().collect();
    let screened = rounds(&arms, &all, 0, policy.screen_pairs, "screen", &progress)?;
    let suspects = suspects_of(contest, &benches, &screened);
    let chosen: Vec<&BlockSpec> =
        all.into_iter().filter(|spec| suspects.contains(spec.protocol.as_str())).collect();
    let first = policy.screen_pairs as u64;
    let confirmed = rounds(&arms, &chosen, first, policy.confirm_pairs, "confirm", &progress)?;
    Ok(judge_rounds(contest, &benches, &screened, &confirmed))
}

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
