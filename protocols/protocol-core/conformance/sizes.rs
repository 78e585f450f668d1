//! Sizes of clusters.

use std::time::Duration;

use protocol_core::{LaunchError, Protocol, SimulationSpec};

use super::agree;
use super::virtual_time::closed_loop;

const LARGEST: usize = 8;

/// The smallest ones commit, whether they tolerate a fault or not; those that the descriptor rules out are
/// refused, with what it says.
pub fn clusters_of_every_size_commit_or_are_refused(protocol: &dyn Protocol) {
    let descriptor = protocol.descriptor();
    for replicas in (0..=LARGEST).chain([descriptor.cluster_sizes.1 + 1]) {
        let simulated = protocol.simulate(&SimulationSpec::uniform(replicas, Duration::from_millis(2), 1));
        match simulated {
            Ok(mut simulation) => {
                assert!(descriptor.fits(replicas), "{replicas} replicas were launched");
                closed_loop(&mut *simulation, 0..20);
                agree(protocol, &mut *simulation, replicas, 20);
            }
            Err(refused) => {
                assert!(!descriptor.fits(replicas), "{replicas} replicas: {refused}");
                assert!(matches!(refused, LaunchError::ClusterSize { .. }), "{refused}");
                let rule = descriptor.particulars.sizes.map_or("", |sizes| sizes.rule);
                assert!(refused.to_string().contains(rule), "{refused}");
            }
        }
    }
}
