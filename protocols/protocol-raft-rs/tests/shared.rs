//! The checks that every adapter passes.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests in real time fail by panicking")]

#[path = "../../protocol-core/conformance/mod.rs"]
mod conformance;

use conformance::phases;
use protocol_raft_rs::RaftRs;

#[tokio::test]
async fn without_a_disk_nothing_is_flushed() {
    phases::without_a_disk_nothing_is_flushed(&RaftRs).await;
}

#[tokio::test]
async fn a_log_on_disk_is_waited_for() {
    phases::a_log_on_disk_is_waited_for(&RaftRs).await;
}

#[tokio::test]
async fn a_replica_alone_has_phases_too() {
    phases::a_replica_alone_has_phases_too(&RaftRs).await;
}

#[tokio::test]
async fn a_quorum_takes_a_round_trip() {
    phases::a_quorum_takes_a_round_trip(&RaftRs).await;
}
