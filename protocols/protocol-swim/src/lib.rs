//! consensus-bench adapter over [`foca`]: SWIM membership, with clients' updates on its packets, one member
//! as a [`Replica`].
//!
//! Paper: Das, Gupta, Motivala, "SWIM: Scalable Weakly-consistent Infection-style Process Group Membership
//! Protocol" (DSN 2002).
//!
//! [`Replica`]: protocol_core::Replica

mod identity;
mod packet;
mod replica;
mod updates;

use std::sync::Arc;

use async_trait::async_trait;
use protocol_core::{
    ClientRule, Cluster, Constraint, Descriptor, DriverOptions, Family, FaultModel, Floors, LaunchError,
    LaunchSpec, Operation, Order, Particulars, Protocol, ReplicaCluster, Role, Scale, SimulatedCluster,
    Simulation, SimulationSpec, Situation, Timing, Tunable, check_size, no_quorums,
};

pub use packet::Packet;
pub use replica::{SwimReplica, SwimSetup};

/// The smallest packet without the longest header (32 bytes), the length of an update and a command's id.
const LARGEST_PAYLOAD_BYTES: usize = PACKET.range.0 as usize - 32 - 2 - 8;

const FANOUT: Tunable = Tunable {
    name: "gossip_fanout_replicas",
    role: Role::Fanout,
    about: "members that each one sends its news to at every heartbeat",
    range: (1.0, 100.0),
    scale: Scale::Linear,
    default: 3.0,
    live: false,
    trades: None,
};
const PUSH: Tunable = Tunable {
    name: "push_flag",
    role: Role::Other,
    about: "1: new updates are passed on at once, not only with the next gossip",
    range: (0.0, 1.0),
    scale: Scale::Linear,
    default: 0.0,
    live: false,
    trades: None,
};
const PACKET: Tunable = Tunable {
    name: "max_packet_bytes",
    role: Role::Other,
    about: "size of a packet, at most; updates that don't fit wait for the next",
    range: (1_400.0, 65_507.0),
    scale: Scale::Logarithmic,
    default: 1_400.0,
    live: false,
    trades: None,
};
const SUSPICION: Tunable = Tunable {
    name: "suspicion_periods",
    role: Role::Other,
    about: "a suspect has so many periods, times log10 of the cluster's size, to prove that it lives",
    range: (1.0, 20.0),
    scale: Scale::Linear,
    default: 4.0,
    live: false,
    trades: Some("how soon a failed member is missed, and how often one is missed that lives"),
};

/// A member that is probed more often than it gossips is held to have failed before its news could travel.
const PROBES_AFTER_GOSSIP: Constraint = Constraint {
    says: "election_max_ms > heartbeat_ms",
    broken: |Situation { timing, .. }| {
        (timing.election_max <= timing.heartbeat).then(|| {
            format!(
                "election_max_ms, the period of probes, is {:?}, and has to be longer than heartbeat_ms, that of \
                 gossip, which is {:?}",
                timing.election_max, timing.heartbeat
            )
        })
    },
};

/// The protocol `swim`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Swim;

#[async_trait]
impl Protocol for Swim {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "swim",
            family: Family::Gossip,
            implementation: "foca 2.0.0",
            fault_model: FaultModel::Crash,
            tolerates: |replicas, _| replicas.saturating_sub(1),
            cluster_sizes: (1, 1_000),
            order: Order::Set,
            operation: Operation::append,
            commit_means: "delivered by every replica that lives and lived when it was sent; in memory, and in \
                           no order",
            quorums: no_quorums,
            // Updates of all clients share packets, so there is no least number of them for one.
            floors: |replicas| Floors::without_cryptography(0.0, if replicas > 1 { 1.0 } else { 0.0 }),
            tunables: &[FANOUT, PUSH, PACKET, SUSPICION, Timing::HEARTBEAT, Timing::ELECTION_MAX],
            constraints: &[Timing::WHOLE_HEARTBEAT, PROBES_AFTER_GOSSIP],
            particulars: Particulars {
                largest_payload_bytes: Some(LARGEST_PAYLOAD_BYTES),
                forgets_safely: true,
                ..Particulars::default()
            },
        }
    }

    async fn launch(&self, spec: LaunchSpec) -> Result<Arc<dyn Cluster>, LaunchError> {
        check_size(&self.descriptor(), spec.replicas)?;
        let setup = SwimSetup { timing: spec.timing, settings: spec.settings.clone(), seed: spec.seed };
        ReplicaCluster::launch(&spec, driver_options(), move |boot| Ok(SwimReplica::new(boot, &setup))).await
    }

    fn simulate(&self, spec: &SimulationSpec) -> Result<Box<dyn Simulation>, LaunchError> {
        check_size(&self.descriptor(), spec.replicas)?;
        let setup = SwimSetup { timing: spec.timing, settings: spec.settings.clone(), seed: spec.seed };
        SimulatedCluster::launch(spec, driver_options(), move |boot| Ok(SwimReplica::new(boot, &setup)))
    }
}

fn driver_options() -> DriverOptions {
    DriverOptions { clients: ClientRule::Broadcast, ..DriverOptions::of(&Swim.descriptor()) }
}
