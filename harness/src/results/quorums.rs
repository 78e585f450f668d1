//! How many replicas each step of a protocol takes, in one size of cluster.

use std::collections::{BTreeMap, BTreeSet};

use protocol_core::{Descriptor, Settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The quorums of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterQuorums {
    /// Size of the cluster.
    pub replicas: usize,
    /// Replicas that each step takes, by its name; none where a commit waits for everyone who lives.
    pub steps: BTreeMap<String, usize>,
}

impl ClusterQuorums {
    /// Those of a protocol's clusters of these sizes, the smallest first. Where the settings don't fit there is
    /// none, and a launch says why.
    pub fn of(
        protocol: &Descriptor,
        settings: &BTreeMap<String, f64>,
        sizes: impl IntoIterator<Item = usize>,
    ) -> Vec<ClusterQuorums> {
        let Ok(settings) = Settings::checked(settings.clone(), protocol) else { return Vec::new() };
        let sizes: BTreeSet<usize> = sizes.into_iter().collect();
        let of = |replicas| {
            let quorums = (protocol.quorums)(replicas, &settings).ok()?;
            let steps = quorums.into_iter().map(|(step, size)| (step.to_string(), size)).collect();
            Some(ClusterQuorums { replicas, steps })
        };
        sizes.into_iter().filter_map(of).collect()
    }
}

/// Several sizes of cluster in one line: `of 3: commit 2, election 2; of 5: commit 3, election 3`. A protocol
/// without quorums has none in any size.
pub fn quorums_in_words(quorums: &[ClusterQuorums]) -> String {
    if quorums.iter().all(|quorum| quorum.steps.is_empty()) {
        return "none".into();
    }
    let words = |quorum: &ClusterQuorums| {
        let steps = quorum.steps.iter().map(|(step, size)| format!("{} {size}", step.replace('_', " ")));
        format!("of {}: {}", quorum.replicas, steps.collect::<Vec<_>>().join(", "))
    };
    quorums.iter().map(words).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quorums_are_said_for_each_size_and_so_is_that_there_are_none() {
        let of = |replicas, steps: &[(&str, usize)]| {
            let steps = steps.iter().map(|&(step, size)| (step.to_string(), size)).collect();
            ClusterQuorums { replicas, steps }
        };
        let sizes = [of(4, &[("view_change", 3), ("commit", 3)]), of(7, &[("commit", 5)])];
        assert_eq!(quorums_in_words(&sizes), "of 4: commit 3, view change 3; of 7: commit 5");
        assert_eq!(quorums_in_words(&[of(3, &[]), of(5, &[])]), "none");
    }
}
