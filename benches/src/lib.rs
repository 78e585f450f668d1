//! The list of protocols. A new one is a dependency in `Cargo.toml` and a line here.

use std::sync::Arc;

use protocol_core::Protocol;

/// Every protocol that the bench targets and the command line know, in the order of tables.
pub fn protocols() -> Vec<Arc<dyn Protocol>> {
    vec![Arc::new(protocol_raft_rs::RaftRs), Arc::new(protocol_openraft::Openraft)]
}
