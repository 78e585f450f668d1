//! The list of protocols. A new one is a dependency in `Cargo.toml` and a line here.

use std::sync::Arc;

use consensus_bench::resources::CountingAllocator;
use consensus_bench::suite::Suite;
use protocol_core::Protocol;

/// Counts what a commit takes from the heap, in every bench target and the binary.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// What targets that take long measure when no one asks for others.
pub const REFERENCES: [&str; 2] = ["raft-rs", "openraft"];

/// What the target about liars measures when no one asks for others.
pub const BYZANTINE: [&str; 2] = ["pbft", "tendermint-mac"];

/// Every protocol that the bench targets and the command line know, in the order of tables.
pub fn suite() -> Suite {
    let protocols: [Arc<dyn Protocol>; 11] = [
        Arc::new(protocol_raft_rs::RaftRs),
        Arc::new(protocol_openraft::Openraft),
        Arc::new(protocol_omnipaxos::Omnipaxos),
        Arc::new(protocol_pbft::Pbft::MAC),
        Arc::new(protocol_pbft::Pbft::SIGNED),
        Arc::new(protocol_tendermint::Tendermint::CODES),
        Arc::new(protocol_tendermint::Tendermint::SIGNATURES),
        Arc::new(protocol_plumtree::Plumtree),
        Arc::new(protocol_swim::Swim),
        Arc::new(protocol_register::Abd),
        Arc::new(protocol_register::Dynamo),
    ];
    match Suite::of(protocols) {
        Ok(suite) => suite,
        Err(error) => unreachable!("the list above names each protocol once: {error}"),
    }
}
