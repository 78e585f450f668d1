//! Replicas that go and come back, in virtual time, where no one leads: who notices, and when updates reach
//! all of them again.

use std::collections::BTreeSet;
use std::time::Duration;

use protocol_core::{Fault, Observation, ReplicaId, Time};

use super::RunError;
use super::exact::ClosedRun;
use crate::measure::Churn;

/// How often suspicions are looked at, and updates sent. Times are as exact as this.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long replicas are down at least, and how long anything is waited for.
const DOWN_FOR: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(300);

impl ClosedRun {
    /// Crashes a fifth of the replicas, at least one and those with the highest ids; restarts them once
    /// all others noticed or the limit passed.
    pub(super) fn churn(&mut self, replicas: usize) -> Result<Churn, RunError> {
        let all: Vec<ReplicaId> = ReplicaId::all(replicas).collect();
        let victims = &all[replicas - (replicas / 5).max(1)..];
        let mut looks = Looks::default();
        looks.look(&self.clients.simulation.observe());
        let crashed = self.clients.now();
        for &victim in victims {
            self.clients.simulation.inject(Fault::Crash(victim))?;
        }
        let mut detected = None;
        while self.clients.now() < crashed + LIMIT {
            self.clients.simulation.run_until(self.clients.now() + LOOK_EVERY);
            let observation = self.clients.simulation.observe();
            looks.look(&observation);
            detected = detected
                .or_else(|| all_suspect(&observation, victims).then(|| self.clients.now().0 - crashed.0));
            let has_a_detector = !looks.seen.is_empty();
            let is_noticed = detected.is_some() || !has_a_detector;
            // Who has not suspected anyone by half of the limit has no detector.
            let waited = if has_a_detector { DOWN_FOR } else { LIMIT / 2 };
            if is_noticed && self.clients.now() >= crashed + waited {
                break;
            }
        }
        let restarted = self.clients.now();
        for &victim in victims {
            self.clients.simulation.inject(Fault::Restart(victim))?;
        }
        let convergence_ns = self.converge(restarted, &mut looks);
        self.clients.drain()?;
        Ok(Churn {
            detection_ns: detected,
            false_suspicions: (!looks.seen.is_empty()).then_some(looks.wrong),
            convergence_ns,
        })
    }

    /// Sends an update at every look until one has reached all; how long that took from the restart on.
    fn converge(&mut self, restarted: Time, looks: &mut Looks) -> Option<u64> {
        while self.clients.now() < restarted + LIMIT {
            self.send(self.clients.now());
            self.clients.simulation.run_until(self.clients.now() + LOOK_EVERY);
            looks.look(&self.clients.simulation.observe());
            let answers = self.clients.take_answers();
            if let Some(first) = answers.iter().find(|answered| answered.outcome.is_ok()) {
                return Some(first.answered.0 - restarted.0);
            }
        }
        None
    }
}

/// Whether every live replica holds all of these to have failed.
fn all_suspect(observation: &Observation, victims: &[ReplicaId]) -> bool {
    let mut live = observation.replicas.iter().filter(|replica| replica.live);
    live.all(|replica| victims.iter().all(|victim| replica.suspects.contains(victim)))
}

/// Suspicions as they come up.
#[derive(Default)]
struct Looks {
    /// Who suspects whom now.
    now: BTreeSet<(usize, ReplicaId)>,
    /// All who were ever suspected.
    seen: BTreeSet<ReplicaId>,
    /// Suspicions that were wrong when they came up.
    wrong: u64,
}

impl Looks {
    fn look(&mut self, observation: &Observation) {
        let replicas = observation.replicas.iter().enumerate();
        let pairs = replicas.flat_map(|(id, replica)| replica.suspects.iter().map(move |&peer| (id, peer)));
        let found: BTreeSet<_> = pairs.collect();
        for &(_, peer) in found.difference(&self.now) {
            self.seen.insert(peer);
            self.wrong += u64::from(observation.replicas[peer.index()].live);
        }
        self.now = found;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol_core::ReplicaStatus;

    fn seen(suspects: [&[u32]; 3], live: [bool; 3]) -> Observation {
        let status = |(suspects, live): (&[u32], bool)| ReplicaStatus {
            live,
            suspects: suspects.iter().map(|&id| ReplicaId(id)).collect(),
            ..ReplicaStatus::default()
        };
        Observation {
            replicas: suspects.into_iter().zip(live).map(status).collect(),
            ..Observation::default()
        }
    }

    #[test]
    fn a_crash_is_detected_once_all_that_live_suspect_it() {
        let victims = [ReplicaId(2)];
        assert!(!all_suspect(&seen([&[2], &[], &[]], [true, true, false]), &victims));
        assert!(all_suspect(&seen([&[2], &[1, 2], &[]], [true, true, false]), &victims));
    }

    #[test]
    fn a_suspicion_is_counted_once_and_wrong_if_its_object_lives() {
        let mut looks = Looks::default();
        looks.look(&seen([&[2], &[], &[]], [true, true, false]));
        looks.look(&seen([&[2], &[0], &[]], [true, true, false]));
        looks.look(&seen([&[2], &[0], &[]], [true, true, true]));
        assert_eq!((looks.wrong, looks.seen.len()), (1, 2));
        looks.look(&seen([&[], &[], &[]], [true, true, true]));
        looks.look(&seen([&[2], &[], &[]], [true, true, true]));
        assert_eq!(looks.wrong, 2);
    }
}
