//! A fault of a plan as what is done to a cluster: whom it hits, what begins it, what ends it. The same in
//! real and in virtual time.

use std::iter;
use std::time::Duration;

use protocol_core::{Behaviour, Descriptor, Fault, Order, ReplicaId, Settings};

use crate::results::FaultCycle;
use crate::scenario::{FaultConfig, FaultKind, FaultTarget};

/// One fault on a cluster of some size.
pub(super) struct FaultScript<'a> {
    fault: &'a FaultConfig,
    replicas: usize,
    /// Replicas that may fail at once.
    tolerates: usize,
    /// Whether any replica coordinates, and none has to have what others have.
    leaderless: bool,
    /// Whether a commit is that every replica has the command.
    spreads: bool,
    /// How its replicas can be made to lie.
    behaviours: &'static [Behaviour],
}

impl<'a> FaultScript<'a> {
    pub(super) fn new(
        fault: &'a FaultConfig,
        replicas: usize,
        protocol: &Descriptor,
        settings: &Settings,
    ) -> Self {
        let (leaderless, spreads) = (!protocol.order.shows_in_logs(), protocol.order == Order::Set);
        let tolerates = (protocol.tolerates)(replicas, settings);
        let behaviours = protocol.particulars.behaviours;
        FaultScript { leaderless, spreads, behaviours, ..FaultScript::led(fault, replicas, tolerates) }
    }

    /// Of a protocol with a leader and one order.
    fn led(fault: &'a FaultConfig, replicas: usize, tolerates: usize) -> Self {
        FaultScript { fault, replicas, tolerates, leaderless: false, spreads: false, behaviours: &[] }
    }

    /// Why the plan's faults say nothing of the protocol; none when they do.
    pub(super) fn means_nothing(&self) -> Option<&'static str> {
        let lies = self.fault.kind.behaviour();
        if lies.is_some_and(|behaviour| !self.behaviours.contains(&behaviour)) {
            return Some("its replicas take each other's word");
        }
        self.spreads
            .then_some("it has no leader and needs no majority; `cost` and `wan` measure how it comes back")
    }

    /// Whether no one leads: then the first replica stands for the leader, as all coordinate alike, each a
    /// share of the commands.
    pub(super) fn leaderless(&self) -> bool {
        self.leaderless
    }

    /// How many commands every replica must have in the end when one has so many: none where a replica may
    /// go without a write for ever.
    pub(super) fn owed_to_all(&self, most: u64) -> u64 {
        if self.leaderless { 0 } else { most }
    }

    /// Whether the cluster is to go on during the fault.
    pub(super) fn tolerated(&self) -> bool {
        let hit = match self.fault.target {
            FaultTarget::Leader | FaultTarget::Follower => 1,
            FaultTarget::Minority => self.tolerates,
            FaultTarget::Majority => self.tolerates + 1,
        };
        !self.silences() || hit <= self.tolerates
    }

    /// Whether the others can't do with those that are hit. Slow and lossy replicas still take part.
    fn silences(&self) -> bool {
        match self.fault.kind {
            FaultKind::Slow => false,
            FaultKind::Loss => self.fault.loss >= 1.0,
            _ => true,
        }
    }

    /// Whom it hits when this one leads; another follower in each cycle, as some sit better than others.
    pub(super) fn targets(&self, leader: Option<ReplicaId>, cycle: usize) -> Vec<ReplicaId> {
        let leader = leader.unwrap_or(ReplicaId(0));
        let others: Vec<ReplicaId> = ReplicaId::all(self.replicas).filter(|&id| id != leader).collect();
        let others = (0..others.len()).map(|index| others[(index + cycle) % others.len()]);
        match self.fault.target {
            FaultTarget::Leader => vec![leader],
            FaultTarget::Follower => others.take(1).collect(),
            FaultTarget::Minority => others.take(self.tolerates).collect(),
            FaultTarget::Majority => iter::once(leader).chain(others.take(self.tolerates)).collect(),
        }
    }

    /// What begins it, in order.
    pub(super) fn begin(&self, leader: Option<ReplicaId>, hit: &[ReplicaId]) -> Vec<Fault> {
        let links = self.links(leader, hit).into_iter().filter(|(from, to)| from != to);
        let links = links.map(|(from, to)| match self.fault.kind {
            FaultKind::Loss => {
                Fault::Degrade { from, to, extra_delay: Duration::ZERO, loss: self.fault.loss }
            }
            FaultKind::Slow => {
                let extra_delay = Duration::from_secs_f64(self.fault.extra_delay_ms / 1e3);
                Fault::Degrade { from, to, extra_delay, loss: 0.0 }
            }
            _ => Fault::Cut { from, to },
        });
        let replicas = hit.iter().filter_map(|&id| match self.fault.kind {
            FaultKind::Crash => Some(Fault::Crash(id)),
            FaultKind::Pause => Some(Fault::Pause(id)),
            kind => kind.behaviour().map(|behaviour| Fault::Corrupt(id, behaviour)),
        });
        links.chain(replicas).collect()
    }

    /// What ends it, in order.
    pub(super) fn end(&self, hit: &[ReplicaId]) -> Vec<Fault> {
        let replicas = hit.iter().filter_map(|&id| match self.fault.kind {
            FaultKind::Crash => Some(Fault::Restart(id)),
            FaultKind::Pause => Some(Fault::Resume(id)),
            kind => kind.behaviour().map(|_| Fault::Corrupt(id, Behaviour::Honest)),
        });
        replicas.chain([Fault::Heal]).collect()
    }

    /// The violation, when a cluster beyond its tolerance acknowledged what it can't have agreed on.
    pub(super) fn lie(&self, cycles: &[FaultCycle]) -> Option<String> {
        let lies: u64 = cycles.iter().map(|cycle| cycle.acknowledged_during).sum();
        let name = self.fault.name();
        (!self.tolerated() && lies > 0).then(|| {
            format!("{name}: {lies} commands were acknowledged while a majority could not take part")
        })
    }

    /// The links that it changes, those of a replica to itself among them.
    fn links(&self, leader: Option<ReplicaId>, hit: &[ReplicaId]) -> Vec<(ReplicaId, ReplicaId)> {
        let all = || ReplicaId::all(self.replicas);
        let outgoing = || hit.iter().flat_map(|&from| all().map(move |to| (from, to)));
        let incoming = || outgoing().map(|(from, to)| (to, from));
        match self.fault.kind {
            FaultKind::Crash | FaultKind::Pause => Vec::new(),
            FaultKind::Cut | FaultKind::Loss | FaultKind::Slow => outgoing().chain(incoming()).collect(),
            FaultKind::CutOutgoing => outgoing().collect(),
            FaultKind::CutIncoming => incoming().collect(),
            FaultKind::PartialConnectivity => {
                let hub = all().find(|&id| Some(id) != leader);
                let pairs = all().flat_map(|from| all().map(move |to| (from, to)));
                pairs.filter(|&(from, to)| Some(from) != hub && Some(to) != hub).collect()
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEADER: Option<ReplicaId> = Some(ReplicaId(1));

    fn config(kind: FaultKind, target: FaultTarget) -> FaultConfig {
        FaultConfig {
            kind,
            target,
            for_s: None,
            replicas: None,
            cycles: None,
            loss: 0.1,
            extra_delay_ms: 20.0,
        }
    }

    fn ids(ids: &[u32]) -> Vec<ReplicaId> {
        ids.iter().map(|&id| ReplicaId(id)).collect()
    }

    #[test]
    fn targets_are_by_role_and_followers_take_turns() {
        for (target, cycle, expected) in [
            (FaultTarget::Leader, 0, ids(&[1])),
            (FaultTarget::Follower, 0, ids(&[0])),
            (FaultTarget::Follower, 1, ids(&[2])),
            (FaultTarget::Minority, 3, ids(&[4, 0])),
            (FaultTarget::Majority, 0, ids(&[1, 0, 2])),
        ] {
            let config = config(FaultKind::Crash, target);
            assert_eq!(FaultScript::led(&config, 5, 2).targets(LEADER, cycle), expected, "{target:?}");
        }
    }

    #[test]
    fn only_more_silent_replicas_than_tolerated_stop_a_cluster() {
        for (kind, target, tolerated) in [
            (FaultKind::Crash, FaultTarget::Minority, true),
            (FaultKind::Crash, FaultTarget::Majority, false),
            (FaultKind::Slow, FaultTarget::Majority, true),
            (FaultKind::Loss, FaultTarget::Majority, true),
        ] {
            let config = config(kind, target);
            assert_eq!(FaultScript::led(&config, 3, 1).tolerated(), tolerated, "{}", config.name());
        }
        let silent = FaultConfig { loss: 1.0, ..config(FaultKind::Loss, FaultTarget::Majority) };
        assert!(!FaultScript::led(&silent, 3, 1).tolerated());
    }

    #[test]
    fn an_acknowledgement_beyond_tolerance_is_a_lie() {
        let cycle = |acknowledged_during| FaultCycle {
            replicas: vec![1, 0],
            fault_ns: 1,
            rate_before_per_s: 1.0,
            unavailability_ns: 1,
            first_commit_ns: None,
            recovered_ns: None,
            backlog_drain_ns: None,
            p99_before_ns: 1,
            p99_during_ns: 1,
            failed: 0,
            acknowledged_during,
            views: 0,
            seed: None,
            caught_up_ns: None,
            timeline: None,
        };
        let majority = config(FaultKind::Cut, FaultTarget::Majority);
        let script = FaultScript::led(&majority, 3, 1);
        assert_eq!(script.lie(&[cycle(0), cycle(0)]), None);
        let told = script.lie(&[cycle(3), cycle(4)]).unwrap();
        assert_eq!(told, "cut_majority: 7 commands were acknowledged while a majority could not take part");
        let leader = config(FaultKind::Cut, FaultTarget::Leader);
        assert_eq!(FaultScript::led(&leader, 3, 1).lie(&[cycle(7)]), None);
    }

    #[test]
    fn what_begins_is_what_ends() {
        let (one, others) = (ReplicaId(1), ids(&[0, 2]));
        let cut = |from, to| Fault::Cut { from, to };
        for (kind, begin, end) in [
            (FaultKind::Crash, vec![Fault::Crash(one)], vec![Fault::Restart(one), Fault::Heal]),
            (FaultKind::Pause, vec![Fault::Pause(one)], vec![Fault::Resume(one), Fault::Heal]),
            (FaultKind::CutOutgoing, others.iter().map(|&to| cut(one, to)).collect(), vec![Fault::Heal]),
            (FaultKind::CutIncoming, others.iter().map(|&from| cut(from, one)).collect(), vec![Fault::Heal]),
            // Replica 0 is the hub: only the two others lose each other.
            (
                FaultKind::PartialConnectivity,
                vec![cut(one, ReplicaId(2)), cut(ReplicaId(2), one)],
                vec![Fault::Heal],
            ),
        ] {
            let config = config(kind, FaultTarget::Leader);
            let script = FaultScript::led(&config, 3, 1);
            assert_eq!((script.begin(LEADER, &[one]), script.end(&[one])), (begin, end), "{kind:?}");
        }
    }
}
