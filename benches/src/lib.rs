//! The list of protocols. A new one is a dependency in `Cargo.toml` and a line here.

use std::sync::Arc;

use consensus_bench::resources::CountingAllocator;
use protocol_core::Protocol;

/// Counts what a commit takes from the heap, in every bench target and the binary.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Every protocol that the bench targets and the command line know, in the order of tables.
pub fn protocols() -> Vec<Arc<dyn Protocol>> {
    vec![Arc::new(protocol_raft_rs::RaftRs), Arc::new(protocol_openraft::Openraft)]
}
