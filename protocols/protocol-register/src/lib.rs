//! Quorum registers of our own: multi-writer ABD with crash recovery, and the same replicas by Dynamo's
//! rules.
//!
//! Any replica coordinates what clients give it. It groups a batch of commands into one question to every
//! replica, waits for a quorum, and, where the protocol wants a second phase, groups that too.

mod messages;
mod replica;
mod setup;
mod store;
mod tag;
mod trip;

use std::sync::Arc;

use async_trait::async_trait;
use protocol_core::{
    ClientRule, Cluster, Constraint, Descriptor, DriverOptions, Family, FaultModel, Floors, LaunchError,
    LaunchSpec, Operation, Order, Protocol, ReplicaCluster, Role, Scale, Settings, SimulatedCluster,
    Simulation, SimulationSpec, Situation, StorageSpec, Timing, Tunable, check_size,
};

pub use messages::{Found, Query, Record, RegisterMessage, Stored};
pub use replica::RegisterReplica;
pub use setup::{RegisterSetup, Rules};
pub use tag::Tag;

const READ_QUORUM: Tunable = Tunable {
    name: "read_quorum",
    role: Role::ReadQuorum,
    about: "answers that a read waits for, and the query of an abd write; 0 is a majority",
    range: (0.0, 101.0),
    scale: Scale::Linear,
    default: 0.0,
    live: false,
    trades: Some("how many replicas may fail, and how stale a read may be"),
};
const WRITE_QUORUM: Tunable = Tunable {
    name: "write_quorum",
    role: Role::WriteQuorum,
    about: "replicas that must have stored a value before its write is answered; 0 is a majority",
    range: (0.0, 101.0),
    scale: Scale::Linear,
    default: 0.0,
    live: false,
    trades: Some("how many replicas may fail, and how stale a read may be"),
};
const ONE_ROUND_READ: Tunable = Tunable {
    name: "one_round_read_flag",
    role: Role::Other,
    about: "1: a read whose value a write quorum has already does not write it back",
    range: (0.0, 1.0),
    scale: Scale::Linear,
    default: 1.0,
    live: false,
    trades: None,
};
const READ_REPAIR: Tunable = Tunable {
    name: "read_repair_flag",
    role: Role::Other,
    about: "1: replicas that answer a read with an old value are sent the new one",
    range: (0.0, 1.0),
    scale: Scale::Linear,
    default: 1.0,
    live: false,
    trades: Some("how long replicas stay stale"),
};

/// A read has to ask a replica that took part in the latest write.
const MEETING_QUORUMS: Constraint = Constraint {
    says: "read_quorum + write_quorum > n, neither more than n",
    broken: |Situation { replicas, settings, .. }| how_broken(Abd::rules(settings, *replicas)),
};
/// More answers than replicas never come.
const POSSIBLE_QUORUMS: Constraint = Constraint {
    says: "read_quorum ≤ n and write_quorum ≤ n",
    broken: |Situation { replicas, settings, .. }| how_broken(Dynamo::rules(settings, *replicas)),
};

fn how_broken(rules: Result<Rules, LaunchError>) -> Option<String> {
    match rules {
        Err(LaunchError::Settings(how)) => Some(how),
        _ => None,
    }
}

/// The protocol `abd`: multi-writer atomic registers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Abd;

/// The protocol `dynamo`: eventually consistent registers, the last writer wins.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dynamo;

/// One round trip to all others: no read or write of a quorum protocol takes less. A multi-writer ABD
/// write takes two, so a batch that holds one is at twice the floor.
fn one_round_trip(replicas: usize) -> Floors {
    let delays = if replicas > 1 { 2.0 } else { 0.0 };
    Floors::without_cryptography(2.0 * replicas.saturating_sub(1) as f64, delays)
}

/// Whoever is left must make a quorum for reads and one for writes. None can fail where a quorum is asked of
/// more replicas than there are, which is refused.
fn beyond_both_quorums(replicas: usize, settings: &Settings) -> usize {
    let largest =
        [READ_QUORUM, WRITE_QUORUM].map(|tunable| quorum(settings, &tunable, replicas).unwrap_or(replicas));
    replicas.saturating_sub(largest[0].max(largest[1]))
}

/// The quorum that is set, of at most all replicas.
fn quorum(settings: &Settings, tunable: &Tunable, replicas: usize) -> Result<usize, LaunchError> {
    match settings.get(tunable) as usize {
        0 => Ok(replicas / 2 + 1),
        size if size > replicas => Err(LaunchError::Settings(format!(
            "{} = {size} of {replicas} replicas; at most {replicas}",
            tunable.name
        ))),
        size => Ok(size),
    }
}

impl Abd {
    /// The rules under these settings. Quorums of reads and writes must meet.
    pub fn rules(settings: &Settings, replicas: usize) -> Result<Rules, LaunchError> {
        let read_quorum = quorum(settings, &READ_QUORUM, replicas)?;
        let write_quorum = quorum(settings, &WRITE_QUORUM, replicas)?;
        if read_quorum + write_quorum <= replicas {
            return Err(LaunchError::Settings(format!(
                "read_quorum {read_quorum} + write_quorum {write_quorum} must be more than the {replicas} \
                 replicas, or a read can miss a write; the nearest are write_quorum = {} or read_quorum = {}",
                replicas + 1 - read_quorum,
                replicas + 1 - write_quorum
            )));
        }
        Ok(Rules {
            read_quorum,
            write_quorum,
            writes_query: true,
            writes_back: true,
            one_round_reads: settings.get(&ONE_ROUND_READ) != 0.0,
            read_repair: false,
        })
    }
}

impl Dynamo {
    /// The rules under these settings. Quorums need not meet: that is the trade that Dynamo offers.
    pub fn rules(settings: &Settings, replicas: usize) -> Result<Rules, LaunchError> {
        Ok(Rules {
            read_quorum: quorum(settings, &READ_QUORUM, replicas)?,
            write_quorum: quorum(settings, &WRITE_QUORUM, replicas)?,
            writes_query: false,
            writes_back: false,
            one_round_reads: true,
            read_repair: settings.get(&READ_REPAIR) != 0.0,
        })
    }
}

#[async_trait]
impl Protocol for Abd {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "abd",
            family: Family::Quorum,
            implementation: "our own: multi-writer ABD (Attiya et al. 1995, Lynch and Shvartsman 1997)",
            fault_model: FaultModel::Crash,
            tolerates: beyond_both_quorums,
            cluster_sizes: (1, 101),
            order: Order::Reads,
            operation: Operation::on_register,
            commit_means: "a write: stored by a write quorum, durably when the storage is; a read: its value \
                           is. Linearizable per key, no order across keys",
            quorums: |replicas, settings| Ok(Abd::rules(settings, replicas)?.quorums()),
            floors: one_round_trip,
            tunables: &[
                READ_QUORUM,
                WRITE_QUORUM,
                ONE_ROUND_READ,
                Operation::KEYS,
                Operation::READ_PERCENT,
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
        launch(&self.descriptor(), &spec, Abd::rules(&spec.settings, spec.replicas)?).await
    }

    fn simulate(&self, spec: &SimulationSpec) -> Result<Box<dyn Simulation>, LaunchError> {
        check_size(&self.descriptor(), spec.replicas)?;
        simulate(&self.descriptor(), spec, Abd::rules(&spec.settings, spec.replicas)?)
    }
}

#[async_trait]
impl Protocol for Dynamo {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "dynamo",
            family: Family::Quorum,
            implementation: "our own: Dynamo's quorums and read repair (DeCandia et al. 2007)",
            fault_model: FaultModel::Crash,
            tolerates: beyond_both_quorums,
            cluster_sizes: (1, 101),
            order: Order::Eventual,
            operation: Operation::on_register,
            commit_means: "a write: stored by W replicas; a read: R answered. Not linearizable: a write can \
                           lose against an older one, and a read can be stale",
            quorums: |replicas, settings| Ok(Dynamo::rules(settings, replicas)?.quorums()),
            floors: one_round_trip,
            tunables: &[
                READ_QUORUM,
                WRITE_QUORUM,
                READ_REPAIR,
                Operation::KEYS,
                Operation::READ_PERCENT,
                Timing::HEARTBEAT,
                Timing::ELECTION_MIN,
                DriverOptions::LINGER,
                StorageSpec::GROUP_COMMIT,
            ],
            constraints: &[POSSIBLE_QUORUMS, Timing::WHOLE_HEARTBEAT, Timing::ELECTION_AFTER_HEARTBEAT],
            particulars: Default::default(),
        }
    }

    async fn launch(&self, spec: LaunchSpec) -> Result<Arc<dyn Cluster>, LaunchError> {
        check_size(&self.descriptor(), spec.replicas)?;
        launch(&self.descriptor(), &spec, Dynamo::rules(&spec.settings, spec.replicas)?).await
    }

    fn simulate(&self, spec: &SimulationSpec) -> Result<Box<dyn Simulation>, LaunchError> {
        check_size(&self.descriptor(), spec.replicas)?;
        simulate(&self.descriptor(), spec, Dynamo::rules(&spec.settings, spec.replicas)?)
    }
}

fn driver_options(descriptor: &Descriptor) -> DriverOptions {
    DriverOptions { clients: ClientRule::Coordinator, ..DriverOptions::of(descriptor) }
}

async fn launch(
    descriptor: &Descriptor,
    spec: &LaunchSpec,
    rules: Rules,
) -> Result<Arc<dyn Cluster>, LaunchError> {
    let durable = spec.storage != StorageSpec::Memory;
    let setup = RegisterSetup { rules, timing: spec.timing, settings: spec.settings.clone(), durable };
    let make = move |boot| Ok(RegisterReplica::new(boot, setup.clone()));
    ReplicaCluster::launch(spec, driver_options(descriptor), make).await
}

fn simulate(
    descriptor: &Descriptor,
    spec: &SimulationSpec,
    rules: Rules,
) -> Result<Box<dyn Simulation>, LaunchError> {
    let (timing, settings) = (spec.timing, spec.settings.clone());
    let setup = RegisterSetup { rules, timing, settings, durable: spec.durable };
    let make = move |boot| Ok(RegisterReplica::new(boot, setup.clone()));
    SimulatedCluster::launch(spec, driver_options(descriptor), make)
}
