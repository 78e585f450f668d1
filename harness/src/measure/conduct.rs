//! From looks at a cluster to how it behaved while it was measured.

use protocol_core::{Floors, MessageKind, Observation, ReplicaId, SimulationSpec, Timing};

use crate::load::PhaseRecord;
use crate::results::{ClusterConduct, ReplicaConduct, TimingUsed};
use crate::scenario::Scenario;

/// How far replicas were behind, over several looks.
#[derive(Clone, Debug, Default)]
pub struct Looks {
    behind: Vec<u64>,
    count: u64,
}

impl Looks {
    /// Takes in another look.
    pub fn take(&mut self, observed: &Observation) {
        let furthest = observed.replicas.iter().map(|replica| replica.delivered).max().unwrap_or(0);
        self.behind.resize(observed.replicas.len(), 0);
        for (behind, replica) in self.behind.iter_mut().zip(&observed.replicas) {
            *behind += furthest - replica.delivered;
        }
        self.count += 1;
    }

    fn mean(&self, index: usize) -> f64 {
        self.behind.get(index).map_or(0.0, |&sum| sum as f64 / self.count.max(1) as f64)
    }
}

/// What the links allow, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinkTimes {
    /// There and back over the slowest.
    pub round_trip_ns_max: f64,
    /// See [`ClusterConduct::consensus_floor_ns`].
    pub consensus_floor_ns: Option<f64>,
    /// There and back between clients and the leader.
    pub client_round_trip_ns: f64,
}

impl LinkTimes {
    /// Those of a cluster in virtual time under this leader.
    pub fn of_spec(spec: &SimulationSpec, floors: &Floors, leader: Option<ReplicaId>) -> Self {
        let delay = |from: usize, to: usize| spec.links[from][to].delay.as_nanos() as f64;
        let round_trip = |a: usize, b: usize| delay(a, b) + delay(b, a);
        let pairs = || (0..spec.replicas).flat_map(|a| (0..a).map(move |b| (a, b)));
        let round_trips: Vec<f64> = pairs().map(|(a, b)| round_trip(a, b)).collect();
        let longest = round_trips.iter().copied().fold(0.0, f64::max);
        let are_alike = round_trips.iter().all(|&one| one == longest);
        let nearest_majority = leader.filter(|_| floors.delays == 2.0).map(|leader| {
            let others = (0..spec.replicas).filter(|&other| other != leader.index());
            let mut times: Vec<f64> = others.map(|other| round_trip(leader.index(), other)).collect();
            times.sort_by(f64::total_cmp);
            // The leader is one of the majority itself.
            (spec.replicas / 2).checked_sub(1).and_then(|last| times.get(last)).copied().unwrap_or(0.0)
        });
        let client = leader.map_or(0, ReplicaId::index);
        LinkTimes {
            round_trip_ns_max: longest,
            consensus_floor_ns: if are_alike {
                Some(floors.delays * longest / 2.0)
            } else {
                nearest_majority
            },
            client_round_trip_ns: 2.0 * spec.client_delays[client].as_nanos() as f64,
        }
    }

    /// Those of a cluster in real time, whose links are alike and whose clients are beside the leader.
    pub fn of_scenario(scenario: &Scenario, floors: &Floors) -> Self {
        let one_way_ns = (scenario.network.delay_ms + scenario.network.jitter_ms / 2.0) * 1e6;
        LinkTimes {
            round_trip_ns_max: 2.0 * (scenario.network.delay_ms + scenario.network.jitter_ms) * 1e6,
            consensus_floor_ns: Some(floors.delays * one_way_ns),
            client_round_trip_ns: 0.0,
        }
    }
}

/// How the cluster behaved between two looks.
pub fn conduct(
    (before, after): (&Observation, &Observation),
    looks: &Looks,
    timing: Timing,
    links: LinkTimes,
) -> ClusterConduct {
    let view = |observed: &Observation| observed.view.map_or(0, |view| view.0);
    let replicas = before.replicas.iter().zip(&after.replicas).enumerate().map(|(index, (before, after))| {
        let spent = after.counters - before.counters;
        ReplicaConduct {
            messages: MessageKind::ALL.map(|kind| spent.of(kind).messages).iter().sum(),
            bytes: MessageKind::ALL.map(|kind| spent.of(kind).bytes).iter().sum(),
            syncs: spent.syncs,
            behind_commands: looks.mean(index),
        }
    });
    ClusterConduct {
        view_changes: view(after).saturating_sub(view(before)),
        resubmissions: after.resubmissions.saturating_sub(before.resubmissions),
        leader: after.leader.map(|leader| leader.index() as u32),
        timing: TimingUsed::of(timing),
        round_trip_ns_max: links.round_trip_ns_max,
        consensus_floor_ns: links.consensus_floor_ns,
        client_round_trip_ns: links.client_round_trip_ns,
        replicas: replicas.collect(),
    }
}

/// How the cluster behaved in a phase of real time; none when the phase has no intervals.
pub fn conduct_of_phase(
    record: &PhaseRecord,
    scenario: &Scenario,
    floors: &Floors,
    timing: Timing,
) -> Option<ClusterConduct> {
    let (first, last) = (record.intervals.first()?, record.intervals.last()?);
    let mut looks = Looks::default();
    record.intervals.iter().for_each(|block| looks.take(&block.observed.1));
    let links = LinkTimes::of_scenario(scenario, floors);
    Some(conduct((&first.observed.0, &last.observed.1), &looks, timing, links))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol_core::{LinkSpec, ReplicaStatus, View};

    use super::*;

    fn observed(delivered: &[u64], view: u64) -> Observation {
        let replicas = delivered.iter().map(|&delivered| ReplicaStatus { delivered, ..Default::default() });
        Observation { replicas: replicas.collect(), view: Some(View(view)), ..Observation::default() }
    }

    #[test]
    fn replicas_are_behind_the_one_furthest_ahead() {
        let mut looks = Looks::default();
        looks.take(&observed(&[10, 8, 0], 1));
        looks.take(&observed(&[20, 22, 10], 3));
        let (before, after) = (observed(&[0, 0, 0], 1), observed(&[20, 22, 10], 3));
        let found = conduct((&before, &after), &looks, Timing::default(), LinkTimes::default());
        let behind: Vec<f64> = found.replicas.iter().map(|replica| replica.behind_commands).collect();
        assert_eq!(behind, [1.0, 1.0, 11.0]);
        assert_eq!((found.view_changes, found.timing.heartbeat_ms), (2, 50.0));
    }

    #[test]
    fn the_floor_of_links_that_differ_is_the_leaders_nearest_majority() {
        let floors = Floors::without_cryptography(8.0, 2.0);
        let mut spec = SimulationSpec::uniform(5, Duration::from_millis(10), 1);
        let alike = LinkTimes::of_spec(&spec, &floors, None);
        assert_eq!((alike.round_trip_ns_max, alike.consensus_floor_ns), (20e6, Some(20e6)));
        for (to, millis) in [(1, 1), (2, 2), (3, 30), (4, 40)] {
            let link = LinkSpec { delay: Duration::from_millis(millis), ..LinkSpec::default() };
            (spec.links[0][to], spec.links[to][0]) = (link, link);
        }
        let differing = LinkTimes::of_spec(&spec, &floors, Some(ReplicaId(0)));
        assert_eq!((differing.round_trip_ns_max, differing.consensus_floor_ns), (80e6, Some(4e6)));
        assert_eq!(LinkTimes::of_spec(&spec, &floors, None).consensus_floor_ns, None, "no one leads");
        let five_delays = Floors::without_cryptography(8.0, 5.0);
        assert_eq!(LinkTimes::of_spec(&spec, &five_delays, Some(ReplicaId(0))).consensus_floor_ns, None);
    }
}
