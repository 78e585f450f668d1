//! The protocols whose commits are counted. A new one is a dependency in `Cargo.toml`, a line here and one in
//! `instructions.rs`.

use protocol_core::Protocol;

/// All, in the order of tables. The list of the suite can't be used: with it would come its allocator, whose
/// counting would be counted.
pub fn all() -> [Box<dyn Protocol>; 11] {
    [
        Box::new(protocol_raft_rs::RaftRs),
        Box::new(protocol_openraft::Openraft),
        Box::new(protocol_omnipaxos::Omnipaxos),
        Box::new(protocol_pbft::Pbft::MAC),
        Box::new(protocol_pbft::Pbft::SIGNED),
        Box::new(protocol_tendermint::Tendermint::CODES),
        Box::new(protocol_tendermint::Tendermint::SIGNATURES),
        Box::new(protocol_plumtree::Plumtree),
        Box::new(protocol_swim::Swim),
        Box::new(protocol_register::Abd),
        Box::new(protocol_register::Dynamo),
    ]
}
