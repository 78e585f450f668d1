//! What a look at a cluster says while faults come and go, in real and in virtual time.

use protocol_core::Observation;

/// Whether someone who runs leads.
pub(super) fn is_led(now: &Observation) -> bool {
    now.leader.is_some_and(|leader| now.replicas.get(leader.index()).is_some_and(|one| one.live))
}

/// Commands delivered by the replica that delivered most.
pub(super) fn most_delivered(now: &Observation) -> u64 {
    now.replicas
        .iter()
        .filter(|replica| !replica.corrupted)
        .map(|replica| replica.delivered)
        .max()
        .unwrap_or(0)
}

/// Whether every replica runs and delivered so many commands.
pub(super) fn all_delivered(now: &Observation, commands: u64) -> bool {
    now.replicas.iter().all(|replica| replica.live && replica.delivered >= commands)
}

/// The highest view known, as a number.
pub(super) fn view(now: &Observation) -> u64 {
    now.view.map_or(0, |view| view.0)
}
