//! The library keeps the contract.

#[path = "../../protocol-core/conformance/mod.rs"]
mod conformance;

use std::time::Duration;

use conformance::{bench::Bench, recovery, spec, virtual_time::settings};
use protocol_core::{Fault, LaunchError, LaunchSpec, LinkSpec, Protocol, ReplicaId, Settings};
use protocol_omnipaxos::Omnipaxos;

// Its syncs queue up only under a longer load than the suite's: `benches/tests/trial.rs` has one.
conformance::crash_tolerant_log!(
    Omnipaxos, quiet_settings: ["group_commit_flag"], values_tried: conformance::tunables::TRIED,
    busy_leader_gives_way: true
);

#[tokio::test]
async fn a_follower_beyond_the_kept_log_gets_a_snapshot() {
    recovery::a_follower_beyond_the_kept_log_gets_a_snapshot(&Omnipaxos, Settings::default(), 30_000).await;
}

fn quorums(write: u32, read: u32) -> Settings {
    let values = [("write_quorum_replicas", write.into()), ("read_quorum_replicas", read.into())];
    settings(&Omnipaxos, &values)
}

/// Two of five replicas commit, where a majority would be three.
#[tokio::test]
async fn a_small_write_quorum_commits_where_a_majority_is_gone() {
    let spec = LaunchSpec { settings: quorums(2, 4), ..LaunchSpec::in_memory(5) };
    let bench = Bench::launch(&Omnipaxos, spec).await;
    bench.commit(100).await;
    let leader = bench.leader().await;
    for id in ReplicaId::all(5).filter(|&id| id != leader).take(3) {
        bench.inject(Fault::Crash(id)).await;
    }
    bench.commit(100).await;
    assert_eq!(bench.leader().await, leader);
    bench.agree(2).await;
    bench.stop().await;
}

/// Any two of five may fail, and of four that a read quorum needs only one: a leader could not be replaced.
#[test]
fn larger_quorums_tolerate_less() {
    let tolerates = |settings| (Omnipaxos.descriptor().tolerates)(5, &settings);
    assert_eq!((tolerates(Settings::default()), tolerates(quorums(2, 4))), (2, 1));
}

/// A lost message costs a retransmission, and not the session.
#[tokio::test]
async fn links_that_lose_repeat_and_reorder_are_a_connection_all_the_same() {
    let mut spec = spec(&Omnipaxos);
    let jitter = Duration::from_millis(1);
    spec.network.link = LinkSpec { jitter, loss: 0.002, duplication: 0.2, ..LinkSpec::default() };
    let bench = Bench::launch(&Omnipaxos, spec).await;
    bench.commit(500).await;
    bench.agree(3).await;
    bench.stop().await;
}

#[tokio::test]
async fn quorums_that_need_not_meet_are_refused() {
    let spec = LaunchSpec { settings: quorums(2, 3), ..LaunchSpec::in_memory(5) };
    let refused = Omnipaxos.launch(spec).await.err().unwrap();
    assert!(matches!(refused, LaunchError::Settings(_)), "{refused}");
}
