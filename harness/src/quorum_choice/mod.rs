//! Which read and write quorums a protocol with flexible ones should have, in a place and under a share of
//! reads, and what that costs in failures that it survives.
//!
//! H. Howard, D. Malkhi and A. Spiegelman, *Flexible Paxos: Quorum Intersection Revisited*, OPODIS 2016, for
//! logs; D. Gifford, *Weighted Voting for Replicated Data*, SOSP 1979, for registers.

mod text;
mod verify;

use std::collections::BTreeMap;

use protocol_core::{Descriptor, LaunchError, Order, Settings, Tunable};
use serde::Serialize;
use thiserror::Error;

pub use text::text;
pub use verify::{MeasuredLatency, verify};

use crate::model::quorum_latency::{Access, Pattern, Sites, quantile_of};
use crate::run::RunError;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wishes {
    /// Replicas.
    pub replicas: usize,
    /// Share of commands that read, from 0 to 1.
    pub read_share: f64,
    /// Replicas that may fail with reads, writes and elections going on.
    pub tolerate: usize,
    /// The replica that leads, of a protocol with a leader; none averages over all.
    pub leader: Option<usize>,
    /// Seed of what jitter draws.
    pub seed: u64,
}

/// Why no quorums are proposed. One line that says how to mend it.
#[derive(Debug, Error)]
pub enum QuorumError {
    /// The protocol's quorums are what they are.
    #[error("{protocol}: its quorums can't be set; those of omnipaxos, abd and dynamo can")]
    Fixed {
        /// Protocol.
        protocol: String,
    },
    /// No pair survives so many failures.
    #[error("no quorums of {replicas} replicas survive {tolerate} failures; the most is {most}")]
    TooManyFailures {
        /// Size.
        replicas: usize,
        /// Asked for.
        tolerate: usize,
        /// The most that a pair survives.
        most: usize,
    },
    /// There is no such replica.
    #[error("--leader {leader} of {replicas} replicas: they count from 0 to {}", replicas - 1)]
    NoSuchLeader {
        /// Asked for.
        leader: usize,
        /// Size.
        replicas: usize,
    },
    /// No replica leads.
    #[error(
        "--leader {leader}: {protocol} has no leader, every replica does what its clients ask; leave it out"
    )]
    Leaderless {
        /// Protocol.
        protocol: String,
        /// Asked for.
        leader: usize,
    },
    /// The protocol refused, or a simulation failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl From<LaunchError> for QuorumError {
    fn from(error: LaunchError) -> Self {
        QuorumError::Run(error.into())
    }
}

/// Times in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Mean.
    pub mean_ns: f64,
    /// Median.
    pub p50_ns: f64,
    /// 99th percentile.
    pub p99_ns: f64,
}

impl Latency {
    /// Of times, each as likely; zero without any.
    pub fn of(times: &[f64]) -> Latency {
        let mean_ns = times.iter().sum::<f64>() / times.len().max(1) as f64;
        Latency { mean_ns, p50_ns: quantile_of(times, 0.5), p99_ns: quantile_of(times, 0.99) }
    }
}

/// A pair of quorums with what it is predicted to take, and what it survives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// Replicas that a read asks; of a log, that make a leader.
    pub read: usize,
    /// Replicas that a write is stored by; of a log, that make a commit.
    pub write: usize,
    /// Settings that make them.
    pub settings: BTreeMap<String, f64>,
    /// Reads; of a log they are commands as any other.
    pub reads: Latency,
    /// Writes.
    pub writes: Latency,
    /// Mean of all commands, in nanoseconds, by their shares.
    pub mean_ns: f64,
    /// Replicas that may fail while reads go on; of a log, while a leader can still be elected.
    pub reads_survive: usize,
    /// Replicas that may fail while writes go on; of a log, under the leader that there is.
    pub writes_survive: usize,
    /// Whether a read may miss a write that was acknowledged: the quorums need not meet.
    pub may_be_stale: bool,
    /// Whether these are the protocol's defaults.
    pub is_default: bool,
}

/// One replica as leader or coordinator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AtReplica {
    /// Which.
    pub replica: usize,
    /// Its region.
    pub region: String,
    /// Reads by a client beside it, in nanoseconds.
    pub read_p50_ns: f64,
    /// Writes by a client beside it.
    pub write_p50_ns: f64,
}

/// All pairs, the best first, those with stale reads last.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranked {
    /// Whether reads and writes are commands of one log.
    pub is_log: bool,
    /// The pairs.
    pub choices: Vec<Choice>,
    /// Pairs that the protocol takes and that survive fewer failures than was asked for.
    pub too_fragile: usize,
}

impl Ranked {
    /// The pair that the protocol has when none is set, if it survives what was asked for.
    pub fn default_choice(&self) -> Option<&Choice> {
        self.choices.iter().find(|choice| choice.is_default)
    }
}

/// Ranks all pairs of quorums that a protocol takes, by the mean latency of all commands, and of equal ones by
/// the failures they survive.
pub fn rank(
    protocol: &Descriptor,
    base: &Settings,
    sites: &Sites,
    wishes: &Wishes,
) -> Result<Ranked, QuorumError> {
    let n = wishes.replicas;
    if let Some(leader) = wishes.leader.filter(|&leader| leader >= n) {
        return Err(QuorumError::NoSuchLeader { leader, replicas: n });
    }
    let (read, write) = tunables(protocol)?;
    let is_led = !matches!(Pattern::of(protocol, base, n)?, Some(Pattern::Register { .. }));
    if let (Some(leader), false) = (wishes.leader, is_led) {
        return Err(QuorumError::Leaderless { protocol: protocol.name.into(), leader });
    }
    let usual = sizes(protocol, base, n)?;
    let mut choices = Vec::new();
    for (r, w) in (1..=n).flat_map(|r| (1..=n).map(move |w| (r, w))) {
        let set = BTreeMap::from([(read.name.to_string(), r as f64), (write.name.to_string(), w as f64)]);
        let values = base.values().clone().into_iter().chain(set.clone()).collect();
        let settings = Settings::checked(values, protocol)?;
        // What the protocol refuses is no choice; the rules are its own.
        if sizes(protocol, &settings, n).is_ok_and(|sizes| sizes == (r, w)) {
            let pattern = Pattern::of(protocol, &settings, n)?;
            if let Some(pattern) = pattern {
                choices.push(Choice {
                    is_default: (r, w) == usual,
                    settings: set,
                    ..choice(pattern, (r, w), sites, wishes)
                });
            }
        }
    }
    let survives = |choice: &Choice| choice.reads_survive.min(choice.writes_survive);
    let most = choices.iter().map(survives).max().unwrap_or(0);
    let all = choices.len();
    choices.retain(|choice| survives(choice) >= wishes.tolerate);
    if choices.is_empty() {
        return Err(QuorumError::TooManyFailures { replicas: n, tolerate: wishes.tolerate, most });
    }
    // Times are rounded to microseconds here: less is no reason to survive fewer failures.
    let microseconds = |choice: &Choice| (choice.mean_ns / 1e3).round();
    choices.sort_by(|a, b| {
        let stale = a.may_be_stale.cmp(&b.may_be_stale);
        let robust = (survives(b), b.reads_survive + b.writes_survive)
            .cmp(&(survives(a), a.reads_survive + a.writes_survive));
        stale
            .then(microseconds(a).total_cmp(&microseconds(b)))
            .then(robust)
            .then(b.is_default.cmp(&a.is_default))
    });
    let too_fragile = all - choices.len();
    Ok(Ranked { is_log: protocol.order == Order::Total, choices, too_fragile })
}

/// The settings that quorums are set by.
fn tunables(protocol: &Descriptor) -> Result<(&'static Tunable, &'static Tunable), QuorumError> {
    let find = |begin: &str| protocol.tunables.iter().find(|tunable| tunable.name.starts_with(begin));
    find("read_quorum")
        .zip(find("write_quorum"))
        .ok_or_else(|| QuorumError::Fixed { protocol: protocol.name.into() })
}

/// Read and write quorum as the protocol counts them; of a log, those of elections and commits.
fn sizes(protocol: &Descriptor, settings: &Settings, replicas: usize) -> Result<(usize, usize), LaunchError> {
    let quorums = (protocol.quorums)(replicas, settings)?;
    let of = |first: &str, second: &str| quorums.get(first).or(quorums.get(second)).copied().unwrap_or(0);
    Ok((of("read", "election"), of("write", "commit")))
}

fn choice(pattern: Pattern, (read, write): (usize, usize), sites: &Sites, wishes: &Wishes) -> Choice {
    let n = wishes.replicas;
    let at: Vec<usize> = match (pattern, wishes.leader) {
        (Pattern::Leader { .. }, Some(leader)) => vec![leader],
        _ => (0..n).collect(),
    };
    let times = |access| -> Vec<f64> {
        at.iter().flat_map(|&at| pattern.times_ns(access, sites, at, wishes.seed)).collect()
    };
    let (reads, writes) = (Latency::of(&times(Access::Read)), Latency::of(&times(Access::Write)));
    Choice {
        read,
        write,
        settings: BTreeMap::new(),
        reads,
        writes,
        mean_ns: wishes.read_share * reads.mean_ns + (1.0 - wishes.read_share) * writes.mean_ns,
        reads_survive: n - if reads_need_both(pattern) { read.max(write) } else { read },
        writes_survive: n - if writes_need_both(pattern) { read.max(write) } else { write },
        may_be_stale: read + write <= n,
        is_default: false,
    }
}

/// A read that stores what it read needs a write quorum as well.
fn reads_need_both(pattern: Pattern) -> bool {
    matches!(pattern, Pattern::Register { read_stores: true, .. })
}

/// So does a write that asks for the latest value first.
fn writes_need_both(pattern: Pattern) -> bool {
    matches!(pattern, Pattern::Register { write_queries: true, .. })
}

/// What a choice takes at each replica, for a client beside it.
pub fn at_replicas(
    protocol: &Descriptor,
    base: &Settings,
    choice: &Choice,
    sites: &Sites,
    region: impl Fn(usize) -> String,
    seed: u64,
) -> Result<Vec<AtReplica>, QuorumError> {
    let values = base.values().clone().into_iter().chain(choice.settings.clone()).collect();
    let settings = Settings::checked(values, protocol)?;
    let replicas = sites.links.len();
    let beside = vec![std::time::Duration::ZERO; replicas];
    let sites = Sites { client_delays: &beside, ..*sites };
    let Some(pattern) = Pattern::of(protocol, &settings, replicas)? else { return Ok(Vec::new()) };
    let at = |replica: usize| {
        let p50 = |access| quantile_of(&pattern.times_ns(access, &sites, replica, seed), 0.5);
        let (read_p50_ns, write_p50_ns) = (p50(Access::Read), p50(Access::Write));
        AtReplica { replica, region: region(replica), read_p50_ns, write_p50_ns }
    };
    Ok((0..replicas).map(at).collect())
}
