//! consensus-bench adapter over [`omnipaxos`]: one [`OmniPaxos`](omnipaxos::OmniPaxos) as a
//! [`Replica`](protocol_core::Replica).

mod election;
mod messages;
mod replica;
mod storage;

use std::sync::Arc;

use async_trait::async_trait;
use omnipaxos::util::FlexibleQuorum;
use protocol_core::{
    Cluster, Constraint, Descriptor, DriverOptions, Family, FaultModel, Floors, LaunchError, LaunchSpec,
    Operation, Order, Protocol, Quorums, ReplicaCluster, Role, Scale, Settings, SimulatedCluster, Simulation,
    SimulationSpec, Situation, StorageSpec, Timing, Tunable, check_size,
};

pub use messages::{Change, OmniMessage, Proposal, Record, State};
pub use replica::{OmniReplica, Setup};
pub use storage::LogStore;

const READ_QUORUM: Tunable = Tunable {
    name: "read_quorum_replicas",
    role: Role::ReadQuorum,
    about: "replicas whose promises make a leader; 0 is a majority",
    range: (0.0, 101.0),
    scale: Scale::Linear,
    default: 0.0,
    live: false,
    trades: Some("how many replicas may fail"),
};
const WRITE_QUORUM: Tunable = Tunable {
    name: "write_quorum_replicas",
    role: Role::WriteQuorum,
    about: "replicas whose logs make a commit, the leader's included; 0 is a majority",
    range: (0.0, 101.0),
    scale: Scale::Linear,
    default: 0.0,
    live: false,
    trades: Some("how many replicas may fail"),
};
const BATCH: Tunable = Tunable {
    name: "batch_commands",
    role: Role::MinimumBatch,
    about: "commands that the library collects, on leader and followers, before it writes and sends them",
    range: (1.0, 65_536.0),
    scale: Scale::Logarithmic,
    default: 1.0,
    live: false,
    trades: None,
};
const FLUSH_BATCH: Tunable = Tunable {
    name: "flush_batch_ticks",
    role: Role::Linger,
    about: "ticks, of a fifth of a heartbeat, until a batch that is not full goes on",
    range: (1.0, 1_000.0),
    scale: Scale::Logarithmic,
    default: 1.0,
    live: false,
    trades: None,
};
const ELECTION_ROUNDS: Tunable = Tunable {
    name: "election_rounds",
    role: Role::Other,
    about: "rounds of heartbeats in the shortest election time-out; a dead leader is missed after two or three",
    range: (1.0, 6.0),
    scale: Scale::Linear,
    default: 2.0,
    live: false,
    trades: Some("how soon a failed leader is missed"),
};
const RESEND: Tunable = Tunable {
    name: "resend_heartbeats",
    role: Role::Other,
    about: "heartbeat intervals until a message of an election or a recovery is sent again",
    range: (1.0, 1_000.0),
    scale: Scale::Logarithmic,
    default: 6.0,
    live: false,
    trades: Some("how soon a recovery gets over a loss"),
};

/// A leader has to see every commit of those before it.
const MEETING_QUORUMS: Constraint = Constraint {
    says: "read_quorum_replicas + write_quorum_replicas > n, both ≥ 2, the first no smaller",
    broken: |Situation { replicas, settings, .. }| match flexible_quorum(settings, *replicas) {
        Err(LaunchError::Settings(how)) => Some(how),
        _ => None,
    },
};

/// The protocol `omnipaxos`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Omnipaxos;

#[async_trait]
impl Protocol for Omnipaxos {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "omnipaxos",
            family: Family::Paxos,
            implementation: "omnipaxos 0.2.4",
            fault_model: FaultModel::Crash,
            tolerates,
            cluster_sizes: (2, 101),
            order: Order::Total,
            operation: Operation::append,
            commit_means: "in the log of a write quorum (a majority unless set otherwise), durably when the \
                           storage is, and applied by the leader",
            quorums: |replicas, settings| {
                let (read, write) = quorum_sizes(flexible_quorum(settings, replicas)?, replicas);
                Ok(Quorums::from([("commit", write), ("election", read)]))
            },
            floors: |replicas| Floors::without_cryptography(2.0 * replicas.saturating_sub(1) as f64, 2.0),
            tunables: &[
                READ_QUORUM,
                WRITE_QUORUM,
                DriverOptions::LARGEST_PROPOSAL,
                BATCH,
                FLUSH_BATCH,
                ELECTION_ROUNDS,
                RESEND,
                Timing::HEARTBEAT,
                Timing::ELECTION_MIN,
                DriverOptions::LINGER,
                StorageSpec::GROUP_COMMIT,
            ],
            constraints: &[MEETING_QUORUMS, Timing::WHOLE_HEARTBEAT, Timing::ELECTION_AFTER_HEARTBEAT],
            particulars: Default::default(),
        }
    }

    async fn launch(&self, spec: LaunchSpec) -> Result<Arc<dyn Cluster>, LaunchError> {
        check_size(&self.descriptor(), spec.replicas)?;
        let setup = Setup {
            timing: spec.timing,
            settings: spec.settings.clone(),
            durable: spec.storage != StorageSpec::Memory,
            quorum: flexible_quorum(&spec.settings, spec.replicas)?,
        };
        let options = driver_options(&spec.settings);
        ReplicaCluster::launch(&spec, options, move |boot| OmniReplica::new(boot, &setup)).await
    }

    fn simulate(&self, spec: &SimulationSpec) -> Result<Box<dyn Simulation>, LaunchError> {
        check_size(&self.descriptor(), spec.replicas)?;
        let setup = Setup {
            timing: spec.timing,
            settings: spec.settings.clone(),
            durable: spec.durable,
            quorum: flexible_quorum(&spec.settings, spec.replicas)?,
        };
        let options = driver_options(&spec.settings);
        SimulatedCluster::launch(spec, options, move |boot| OmniReplica::new(boot, &setup))
    }
}

fn driver_options(settings: &Settings) -> DriverOptions {
    let largest_proposal = settings.get(&DriverOptions::LARGEST_PROPOSAL) as usize;
    DriverOptions { largest_proposal, ..DriverOptions::of(&Omnipaxos.descriptor()) }
}

/// Replicas of a read quorum and of a write quorum.
fn quorum_sizes(quorum: Option<FlexibleQuorum>, replicas: usize) -> (usize, usize) {
    let majority = replicas / 2 + 1;
    quorum.map_or((majority, majority), |quorum| (quorum.read_quorum_size, quorum.write_quorum_size))
}

/// A leader needs its read quorum, which is no smaller than the write quorum.
fn tolerates(replicas: usize, settings: &Settings) -> usize {
    match settings.get(&READ_QUORUM) as usize {
        0 => replicas.saturating_sub(1) / 2,
        read => replicas.saturating_sub(read),
    }
}

/// The quorums that the settings ask for; none when both are majorities. The rules are the library's.
fn flexible_quorum(settings: &Settings, replicas: usize) -> Result<Option<FlexibleQuorum>, LaunchError> {
    let (read, write) = (settings.get(&READ_QUORUM) as usize, settings.get(&WRITE_QUORUM) as usize);
    if (read, write) == (0, 0) {
        return Ok(None);
    }
    let or_majority = |size| if size == 0 { replicas / 2 + 1 } else { size };
    let (read, write) = (or_majority(read), or_majority(write));
    // The write quorum is kept if it can be: it is what a commit waits for.
    let nearest_write = write.clamp(2, replicas);
    let nearest_read = read.clamp(nearest_write.max(replicas + 1 - nearest_write), replicas);
    if (read, write) != (nearest_read, nearest_write) {
        return Err(LaunchError::Settings(format!(
            "a read quorum of {read} and a write quorum of {write} of {replicas} replicas: both have to be 2 to \
             {replicas}, together more than {replicas}, and the read quorum no smaller than the write quorum; \
             nearest is `{}` = {nearest_read} with `{}` = {nearest_write}",
            READ_QUORUM.name, WRITE_QUORUM.name,
        )));
    }
    Ok(Some(FlexibleQuorum { read_quorum_size: read, write_quorum_size: write }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quorum(replicas: usize, read: usize, write: usize) -> Result<Option<(usize, usize)>, String> {
        let values = [(READ_QUORUM.name, read), (WRITE_QUORUM.name, write)];
        let values = values.map(|(name, value)| (name.to_string(), value as f64)).into();
        let settings = Settings::checked(values, &Omnipaxos.descriptor()).unwrap();
        let quorum = flexible_quorum(&settings, replicas).map_err(|error| error.to_string())?;
        Ok(quorum.map(|quorum| (quorum.read_quorum_size, quorum.write_quorum_size)))
    }

    #[test]
    fn quorums_are_majorities_unless_set() {
        assert_eq!(quorum(5, 0, 0), Ok(None));
        assert_eq!(quorum(5, 4, 0), Ok(Some((4, 3))));
        assert_eq!(quorum(5, 4, 2), Ok(Some((4, 2))));
    }

    #[test]
    fn quorums_that_the_library_refuses_are_refused_with_the_nearest_it_takes() {
        for replicas in 2..=9 {
            for (read, write) in (0..12).flat_map(|read| (0..12).map(move |write| (read, write))) {
                let Err(error) = quorum(replicas, read, write) else { continue };
                let sizes: Vec<usize> = error
                    .rsplit_once("nearest is")
                    .unwrap()
                    .1
                    .split(|c: char| !c.is_ascii_digit())
                    .filter_map(|number| number.parse().ok())
                    .collect();
                assert_eq!(quorum(replicas, sizes[0], sizes[1]), Ok(Some((sizes[0], sizes[1]))), "{error}");
            }
        }
        let error = quorum(5, 0, 2).unwrap_err();
        assert!(error.ends_with("`read_quorum_replicas` = 4 with `write_quorum_replicas` = 2"), "{error}");
    }

    #[test]
    fn the_library_has_the_same_rules() {
        for replicas in 2..=7 {
            for (read, write) in (1..9).flat_map(|read| (1..9).map(move |write| (read, write))) {
                let flexible_quorum =
                    Some(FlexibleQuorum { read_quorum_size: read, write_quorum_size: write });
                let nodes = (1..=replicas as u64).collect();
                let cluster = omnipaxos::ClusterConfig { configuration_id: 1, nodes, flexible_quorum };
                let ours = quorum(replicas, read, write).is_ok();
                assert_eq!(ours, cluster.validate().is_ok(), "{read} and {write} of {replicas}");
            }
        }
    }
}
