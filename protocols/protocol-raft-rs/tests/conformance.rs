//! The library keeps the contract.

#[path = "../../protocol-core/conformance/mod.rs"]
mod conformance;

use conformance::recovery;
use protocol_raft_rs::RaftRs;

conformance::crash_tolerant_log!(RaftRs);

#[tokio::test]
async fn a_follower_beyond_the_kept_log_gets_a_snapshot() {
    recovery::a_follower_beyond_the_kept_log_gets_a_snapshot(&RaftRs, Default::default(), 30_000).await;
}
