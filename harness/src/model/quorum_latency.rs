//! What a command takes from its links: the k-th smallest of the ways that it waits for.
//!
//! A closed form would do for one round trip over links without jitter. With jitter, or where all replicas
//! talk to all, the times that are compared are not independent, so they are drawn and compared, seeded. What
//! is left out: losses, queues, bandwidth, and the wait of a message behind one that jitter held up.

use std::time::Duration;

use protocol_core::{Descriptor, FaultModel, LaunchError, LinkSpec, Order, Settings, SimulationSpec};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::folds::Move;

/// Draws per leader or coordinator where links have jitter; without it one says all.
const DRAWS: usize = 2_000;

/// Which replicas a command's steps wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// The leader tells all and waits for a quorum, itself included. Raft and Paxos.
    Leader {
        /// The quorum.
        commit: usize,
    },
    /// The leader tells all; all tell all, twice; the client waits for equal answers. PBFT (Castro and Liskov
    /// 1999, figure 1) and Tendermint (Buchman et al. 2018, algorithm 1).
    Agreement {
        /// Voices of the first exchange, the proposal's included.
        prepare: usize,
        /// Voices of the second.
        commit: usize,
        /// Answers.
        reply: usize,
    },
    /// Whoever was asked asks a quorum. Registers.
    Register {
        /// The quorum of a question.
        read: usize,
        /// The quorum of a value.
        write: usize,
        /// Whether a write asks for the latest value first.
        write_queries: bool,
        /// Whether a read stores what it read.
        read_stores: bool,
    },
}

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It reads a register.
    Read,
    /// It writes one, or takes its place in a log.
    Write,
}

/// Where replicas and clients are.
#[derive(Clone, Copy, Debug)]
pub struct Sites<'a> {
    /// Links, by sender and receiver.
    pub links: &'a [Vec<LinkSpec>],
    /// One-way delay between the clients and each replica.
    pub client_delays: &'a [Duration],
}

impl<'a> Sites<'a> {
    /// Those of a simulated cluster.
    pub fn of(spec: &'a SimulationSpec) -> Sites<'a> {
        Sites { links: &spec.links, client_delays: &spec.client_delays }
    }

    fn client_ns(&self, replica: usize) -> f64 {
        self.client_delays.get(replica).map_or(0.0, |delay| delay.as_nanos() as f64)
    }

    fn has_jitter(&self) -> bool {
        self.links.iter().flatten().any(|link| !link.jitter.is_zero())
    }

    /// One message, in nanoseconds.
    fn way_ns(&self, from: usize, to: usize, random: &mut ChaCha8Rng) -> f64 {
        if from == to {
            return 0.0;
        }
        let link = &self.links[from][to];
        link.delay.as_nanos() as f64 + link.jitter.as_nanos() as f64 * random.random::<f64>()
    }
}

impl Pattern {
    /// How a protocol's commands go; none where nothing waits for a quorum, as with gossip.
    pub fn of(
        protocol: &Descriptor,
        settings: &Settings,
        replicas: usize,
    ) -> Result<Option<Pattern>, LaunchError> {
        let quorums = (protocol.quorums)(replicas, settings)?;
        let of = |step: &str| quorums.get(step).copied();
        let pattern = match (protocol.order, protocol.fault_model) {
            (Order::Total, FaultModel::Crash) => of("commit").map(|commit| Pattern::Leader { commit }),
            (Order::Total, FaultModel::Byzantine) => of("commit").zip(of("reply")).map(|(commit, reply)| {
                Pattern::Agreement { prepare: of("prepare").unwrap_or(commit), commit, reply }
            }),
            (Order::Reads, _) => of("read").zip(of("write")).map(|(read, write)| Pattern::Register {
                read,
                write,
                write_queries: true,
                // Answers of fewer replicas than a write quorum can't show that it has the value.
                read_stores: read < write || !one_round_reads(protocol, settings),
            }),
            (Order::Eventual, _) => of("read").zip(of("write")).map(|(read, write)| Pattern::Register {
                read,
                write,
                write_queries: false,
                read_stores: false,
            }),
            (Order::Set, _) => None,
        };
        Ok(pattern)
    }

    /// Times from the client's request to its answer, in nanoseconds, each as likely, with the replica `at`
    /// as leader or coordinator. Work, queues and waits for a batch come on top.
    pub fn times_ns(&self, access: Access, sites: &Sites, at: usize, seed: u64) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let draws = if sites.has_jitter() { DRAWS } else { 1 };
        (0..draws).map(|_| self.draw(access, sites, at, &mut random)).collect()
    }

    fn draw(&self, access: Access, sites: &Sites, at: usize, random: &mut ChaCha8Rng) -> f64 {
        let both_ways = 2.0 * sites.client_ns(at);
        match *self {
            Pattern::Leader { commit } => both_ways + round_trip(commit, sites, at, random),
            Pattern::Register { read, write, write_queries, read_stores } => {
                let phases: &[usize] = match access {
                    Access::Write if write_queries => &[read, write],
                    Access::Write => &[write],
                    Access::Read if read_stores => &[read, write],
                    Access::Read => &[read],
                };
                both_ways + phases.iter().map(|&quorum| round_trip(quorum, sites, at, random)).sum::<f64>()
            }
            Pattern::Agreement { prepare, commit, reply } => {
                let asked = sites.client_ns(at);
                let told: Vec<f64> =
                    (0..sites.links.len()).map(|to| asked + sites.way_ns(at, to, random)).collect();
                let prepared = exchange(prepare, &told, Some(at), sites, random);
                let committed = exchange(commit, &prepared, None, sites, random);
                let answered = committed.iter().enumerate().map(|(from, time)| time + sites.client_ns(from));
                kth_smallest(reply, answered.collect())
            }
        }
    }

    /// Median and 99th percentile of a write: with the replica nearest to the clients as leader, whom they are
    /// placed with, or with each one as coordinator in turn.
    fn usual(&self, sites: &Sites, seed: u64) -> Move {
        let nearest =
            (0..sites.links.len()).min_by(|&a, &b| sites.client_ns(a).total_cmp(&sites.client_ns(b)));
        let at: Vec<usize> = match self {
            Pattern::Register { .. } => (0..sites.links.len()).collect(),
            Pattern::Leader { .. } | Pattern::Agreement { .. } => nearest.into_iter().collect(),
        };
        let times = at.iter().flat_map(|&at| self.times_ns(Access::Write, sites, at, seed));
        let times: Vec<f64> = times.collect();
        Move { p50_ns: quantile_of(&times, 0.5), p99_ns: quantile_of(&times, 0.99) }
    }

    /// How much longer a command takes over other links, with the usual leader of either place.
    pub fn moved(&self, from: &Sites, to: &Sites, seed: u64) -> Move {
        let (before, after) = (self.usual(from, seed), self.usual(to, seed));
        Move { p50_ns: after.p50_ns - before.p50_ns, p99_ns: after.p99_ns - before.p99_ns }
    }
}

/// The flag of registers that lets a read end after one round; a protocol without it has none to save.
fn one_round_reads(protocol: &Descriptor, settings: &Settings) -> bool {
    let flag = protocol.tunables.iter().find(|tunable| tunable.name == "one_round_read_flag");
    flag.is_some_and(|flag| settings.get(flag) != 0.0)
}

/// Until so many replicas, the asking one among them, have answered.
fn round_trip(quorum: usize, sites: &Sites, at: usize, random: &mut ChaCha8Rng) -> f64 {
    let trip = |to| sites.way_ns(at, to, random) + sites.way_ns(to, at, random);
    kth_smallest(quorum, (0..sites.links.len()).map(trip).collect())
}

/// All tell all: when each replica has heard so many voices, its own included. The voice of the one who
/// proposed came with the proposal.
fn exchange(
    voices: usize,
    ready: &[f64],
    proposer: Option<usize>,
    sites: &Sites,
    random: &mut ChaCha8Rng,
) -> Vec<f64> {
    let mut heard_by = |to: usize| {
        let voice = |(from, time): (usize, &f64)| match proposer == Some(from) {
            true => ready[to],
            false => time + sites.way_ns(from, to, random),
        };
        kth_smallest(voices, ready.iter().enumerate().map(voice).collect()).max(ready[to])
    };
    (0..ready.len()).map(&mut heard_by).collect()
}

/// The k-th smallest value, from 1 on; the largest when there are fewer.
fn kth_smallest(k: usize, mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(k.max(1) - 1).or(values.last()).copied().unwrap_or(0.0)
}

/// The nearest-rank quantile; 0 without values.
pub fn quantile_of(values: &[f64], quantile: f64) -> f64 {
    let rank = (quantile * values.len() as f64).ceil() as usize;
    kth_smallest(rank, values.to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn link(delay_ms: f64, jitter_ms: f64) -> LinkSpec {
        let millis = |value: f64| Duration::from_secs_f64(value / 1e3);
        LinkSpec { delay: millis(delay_ms), jitter: millis(jitter_ms), ..LinkSpec::default() }
    }

    fn even(replicas: usize, delay_ms: f64, jitter_ms: f64) -> Vec<Vec<LinkSpec>> {
        vec![vec![link(delay_ms, jitter_ms); replicas]; replicas]
    }

    fn one(pattern: Pattern, access: Access, links: &[Vec<LinkSpec>], at: usize) -> f64 {
        let client_delays = vec![Duration::ZERO; links.len()];
        let sites = Sites { links, client_delays: &client_delays };
        let times = pattern.times_ns(access, &sites, at, 1);
        assert_eq!(times.len(), 1, "without jitter one draw says all");
        times[0] / 1e6
    }

    #[test]
    fn floors_of_the_families_come_out_on_even_links() {
        let links = even(4, 10.0, 0.0);
        let write = |pattern| one(pattern, Access::Write, &links, 0);
        assert_eq!(write(Pattern::Leader { commit: 3 }), 20.0);
        assert_eq!(write(Pattern::Leader { commit: 1 }), 0.0, "the leader alone");
        assert_eq!(write(Pattern::Agreement { prepare: 3, commit: 3, reply: 2 }), 30.0);
        let register =
            |write_queries, read_stores| Pattern::Register { read: 3, write: 3, write_queries, read_stores };
        assert_eq!(write(register(true, false)), 40.0);
        assert_eq!(write(register(false, false)), 20.0);
        assert_eq!(one(register(true, false), Access::Read, &links, 1), 20.0);
        assert_eq!(one(register(true, true), Access::Read, &links, 1), 40.0);
    }

    #[test]
    fn a_leader_waits_for_the_kth_nearest() {
        // 0 is 1, 5 and 50 ms from the others; links of unequal directions.
        let mut links = even(4, 100.0, 0.0);
        for (to, delay) in [(1, 1.0), (2, 5.0), (3, 50.0)] {
            (links[0][to], links[to][0]) = (link(delay, 0.0), link(2.0 * delay, 0.0));
        }
        let commit = |commit| one(Pattern::Leader { commit }, Access::Write, &links, 0);
        assert_eq!([1, 2, 3, 4].map(commit), [0.0, 3.0, 15.0, 150.0]);
        let client_delays = [2.0, 0.0, 0.0, 0.0].map(|ms: f64| Duration::from_secs_f64(ms / 1e3));
        let sites = Sites { links: &links, client_delays: &client_delays };
        let with_client = Pattern::Leader { commit: 2 }.times_ns(Access::Write, &sites, 0, 1);
        assert_eq!(with_client, [7e6]);
    }

    #[test]
    fn jitter_gives_the_order_statistics_of_uniform_times() {
        // One way has all the jitter, so the k-th of m round trips is that of m uniform times: the median of
        // 3 has mean 1/2, and is below t with probability 3t² − 2t³.
        let mut links = even(4, 1.0, 0.0);
        (1..4).for_each(|to| links[0][to] = link(1.0, 10.0));
        let sites = Sites { links: &links, client_delays: &[Duration::ZERO; 4] };
        let times = Pattern::Leader { commit: 3 }.times_ns(Access::Write, &sites, 0, 7);
        let mean = times.iter().sum::<f64>() / times.len() as f64;
        assert!((mean / 7e6 - 1.0).abs() < 0.02, "{mean}");
        // 3t² − 2t³ = 0.99 at t = 0.941.
        let p99 = quantile_of(&times, 0.99);
        assert!((p99 / 11.41e6 - 1.0).abs() < 0.02, "{p99}");
    }

    #[test]
    fn another_place_costs_the_difference() {
        let (near, far) = (even(3, 1.0, 0.0), even(3, 25.0, 0.0));
        let client_delays = [Duration::ZERO; 3];
        let sites = |links| Sites { links, client_delays: &client_delays };
        let by = Pattern::Leader { commit: 2 }.moved(&sites(&near), &sites(&far), 1);
        assert_eq!(by, Move { p50_ns: 48e6, p99_ns: 48e6 });
    }

    proptest! {
        #[test]
        fn a_larger_quorum_never_takes_less(
            delays in proptest::collection::vec(0.1f64..200.0, 25), at in 0usize..5, k in 1usize..5,
        ) {
            let links: Vec<Vec<LinkSpec>> =
                (0..5).map(|from| (0..5).map(|to| link(delays[5 * from + to], 0.0)).collect()).collect();
            let take = |pattern| one(pattern, Access::Write, &links, at);
            let leader = |commit| Pattern::Leader { commit };
            prop_assert!(take(leader(k)) <= take(leader(k + 1)));
            let agreement = |prepare, reply| Pattern::Agreement { prepare, commit: 4, reply };
            prop_assert!(take(agreement(k, 2)) <= take(agreement(k + 1, 2)));
            prop_assert!(take(agreement(4, k)) <= take(agreement(4, k + 1)));
        }
    }
}
