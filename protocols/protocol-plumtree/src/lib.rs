//! consensus-bench adapter over the sans-IO protocol of [`iroh_gossip`]: broadcast trees (PlumTree) over an
//! overlay of partial views (HyParView), one node as a [`Replica`].
//!
//! Papers: Leitão, Pereira, Rodrigues, "Epidemic Broadcast Trees" (SRDS 2007) and "HyParView: a membership
//! protocol for reliable gossip-based broadcast" (DSN 2007).
//!
//! [`Replica`]: protocol_core::Replica

mod messages;
mod replica;

use std::sync::Arc;

use async_trait::async_trait;
use protocol_core::{
    ClientRule, Cluster, Descriptor, DriverOptions, Family, FaultModel, Floors, LaunchError, LaunchSpec,
    Operation, Order, Particulars, Protocol, ReplicaCluster, Role, Scale, SimulatedCluster, Simulation,
    SimulationSpec, Timing, Tunable, check_size, no_quorums,
};

pub use messages::GossipMessage;
pub use replica::{GossipReplica, GossipSetup};

/// The library's limit of 4,096 bytes per message, without what a broadcast has around its content (72
/// bytes at most) and without the command's id.
const LARGEST_PAYLOAD_BYTES: usize = 4_096 - 72 - 8;

const ACTIVE_VIEW: Tunable = Tunable {
    name: "active_view_replicas",
    role: Role::Fanout,
    about: "neighbours of each replica, over which updates travel",
    range: (2.0, 100.0),
    scale: Scale::Linear,
    default: 5.0,
    live: false,
    trades: Some("how many replicas may fail at once"),
};
const PASSIVE_VIEW: Tunable = Tunable {
    name: "passive_view_replicas",
    role: Role::Other,
    about: "replicas that each one knows to replace neighbours by",
    range: (2.0, 1_000.0),
    scale: Scale::Logarithmic,
    default: 30.0,
    live: false,
    trades: Some("how many replicas may fail at once"),
};
const DISPATCH_DELAY: Tunable = Tunable {
    name: "dispatch_delay_ms",
    role: Role::Other,
    about: "announcements to neighbours outside the tree wait so long for others to go with",
    range: (0.0, 1_000.0),
    scale: Scale::Linear,
    default: 5.0,
    live: false,
    trades: None,
};
const OPTIMIZATION_THRESHOLD: Tunable = Tunable {
    name: "optimization_threshold_hops",
    role: Role::Other,
    about: "hops that a link outside the tree has to save before it becomes part of it",
    range: (1.0, 100.0),
    scale: Scale::Linear,
    default: 7.0,
    live: false,
    trades: None,
};

/// The protocol `plumtree`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plumtree;

#[async_trait]
impl Protocol for Plumtree {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "plumtree",
            family: Family::Gossip,
            implementation: "iroh-gossip 0.101.0, its protocol without its network",
            fault_model: FaultModel::Crash,
            tolerates: |replicas, _| replicas.saturating_sub(1),
            cluster_sizes: (1, 1_000),
            order: Order::Set,
            operation: Operation::append,
            commit_means: "delivered by every replica that lives and lived when it was sent; in memory, and in \
                           no order",
            quorums: no_quorums,
            floors: |replicas| {
                let depth = tree_depth(replicas, ACTIVE_VIEW.default as usize);
                Floors::without_cryptography(replicas.saturating_sub(1) as f64, depth)
            },
            tunables: &[ACTIVE_VIEW, PASSIVE_VIEW, DISPATCH_DELAY, OPTIMIZATION_THRESHOLD, Timing::HEARTBEAT],
            constraints: &[Timing::WHOLE_HEARTBEAT],
            particulars: Particulars {
                largest_payload_bytes: Some(LARGEST_PAYLOAD_BYTES),
                forgets_safely: true,
                heap_varies: true,
                ..Particulars::default()
            },
        }
    }

    async fn launch(&self, spec: LaunchSpec) -> Result<Arc<dyn Cluster>, LaunchError> {
        check_size(&self.descriptor(), spec.replicas)?;
        let (timing, settings, seed) = (spec.timing, spec.settings.clone(), spec.seed);
        let setup = GossipSetup { timing, settings, seed };
        ReplicaCluster::launch(&spec, driver_options(), move |boot| Ok(GossipReplica::new(boot, &setup)))
            .await
    }

    fn simulate(&self, spec: &SimulationSpec) -> Result<Box<dyn Simulation>, LaunchError> {
        check_size(&self.descriptor(), spec.replicas)?;
        let setup = GossipSetup { timing: spec.timing, settings: spec.settings.clone(), seed: spec.seed };
        SimulatedCluster::launch(spec, driver_options(), move |boot| Ok(GossipReplica::new(boot, &setup)))
    }
}

fn driver_options() -> DriverOptions {
    DriverOptions { clients: ClientRule::Broadcast, ..DriverOptions::of(&Plumtree.descriptor()) }
}

/// Hops that an update needs at least to reach all replicas, when each has so many neighbours: it reaches
/// all of them at first, and from there on one less, which it came from.
fn tree_depth(replicas: usize, neighbours: usize) -> f64 {
    let (mut reached, mut newest, mut depth) = (1, 1, 0);
    while reached < replicas {
        newest *= if depth == 0 { neighbours } else { neighbours - 1 };
        reached += newest;
        depth += 1;
    }
    f64::from(depth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_as_deep_as_its_degree_allows() {
        let depths = [1, 2, 6, 7, 26, 27, 100, 106, 107].map(|replicas| tree_depth(replicas, 5));
        assert_eq!(depths, [0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 4.0]);
    }
}
