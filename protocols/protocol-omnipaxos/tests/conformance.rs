//! The adapter keeps the contract: agreement, exactly once, recovery, on every network and storage.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use protocol_core::{
    Cluster, Command, CommandId, Fault, FaultError, LaunchError, LaunchSpec, LinkSpec, NetworkSpec, Protocol,
    ReplicaId, Settings, StorageSpec, submit_and_wait,
};
use protocol_omnipaxos::Omnipaxos;

async fn commit(cluster: &Arc<dyn Cluster>, ids: std::ops::Range<u64>) {
    let tasks: Vec<_> = ids
        .map(|id| {
            let cluster = cluster.clone();
            tokio::spawn(async move {
                submit_and_wait(&*cluster, Command::new(CommandId(id), &[id as u8; 128])).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

/// Waits until every live replica applied `count` commands, and checks that they agree.
async fn agree(cluster: &Arc<dyn Cluster>, live: usize, count: u64) {
    for _ in 0..2_000 {
        let audits = cluster.audit();
        if audits.len() == live && audits.iter().all(|(_, log)| log.ids().len() == count) {
            for (id, log) in &audits {
                assert_eq!(log.agrees_with(&audits[0].1), Ok(true), "replica {id}");
                assert!(log.violations().is_empty(), "{:?}", log.violations());
                assert!(log.duplicates() <= cluster.observe().resubmissions);
            }
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("replicas did not converge: {:?}", cluster.observe());
}

fn wal(spec: LaunchSpec) -> (LaunchSpec, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let storage = StorageSpec::Wal { folder: folder.path().into() };
    (LaunchSpec { storage, ..spec }, folder)
}

fn write_quorum(write: usize, read: usize) -> Settings {
    let values = [("write_quorum_replicas", write), ("read_quorum_replicas", read)];
    let values = values.map(|(name, size)| (name.to_string(), size as f64));
    Settings::checked(values.into(), &Omnipaxos.descriptor()).unwrap()
}

#[tokio::test]
async fn commits_and_agrees_on_every_network_and_storage() {
    for network in [NetworkSpec::channel(), NetworkSpec::tcp()] {
        let memory = LaunchSpec { network, ..LaunchSpec::in_memory(3) };
        let (on_disk, _folder) = wal(memory.clone());
        for spec in [memory, on_disk] {
            let cluster = Omnipaxos.launch(spec).await.unwrap();
            commit(&cluster, 0..2_000).await;
            agree(&cluster, 3, 2_000).await;
            cluster.stop().await;
        }
    }
}

#[tokio::test]
async fn a_crashed_leader_is_replaced_and_comes_back_from_its_log() {
    let (spec, _folder) = wal(LaunchSpec::in_memory(3));
    let cluster = Omnipaxos.launch(spec).await.unwrap();
    commit(&cluster, 0..500).await;
    let leader = cluster.observe().leader.unwrap();
    cluster.inject(Fault::Crash(leader)).await.unwrap();
    commit(&cluster, 500..1_000).await;
    assert_ne!(cluster.observe().leader, Some(leader));
    agree(&cluster, 2, 1_000).await;
    cluster.inject(Fault::Restart(leader)).await.unwrap();
    commit(&cluster, 1_000..1_100).await;
    agree(&cluster, 3, 1_100).await;
    cluster.stop().await;
}

#[tokio::test]
async fn the_whole_cluster_restarts_with_everything_it_acknowledged() {
    let (spec, _folder) = wal(LaunchSpec::in_memory(3));
    let cluster = Omnipaxos.launch(spec.clone()).await.unwrap();
    commit(&cluster, 0..500).await;
    cluster.stop().await;
    drop(cluster);
    let cluster = Omnipaxos.launch(spec).await.unwrap();
    commit(&cluster, 500..501).await;
    agree(&cluster, 3, 501).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_follower_beyond_the_kept_log_gets_a_snapshot() {
    let (spec, _folder) = wal(LaunchSpec::in_memory(3));
    let cluster = Omnipaxos.launch(spec).await.unwrap();
    commit(&cluster, 0..100).await;
    let follower = ReplicaId(2);
    cluster.inject(Fault::Crash(follower)).await.unwrap();
    for chunk in 0..6 {
        commit(&cluster, 100 + chunk * 5_000..100 + (chunk + 1) * 5_000).await;
    }
    cluster.inject(Fault::Restart(follower)).await.unwrap();
    agree(&cluster, 3, 30_100).await;
    let transfer = cluster.observe().total().of(protocol_core::MessageKind::StateTransfer);
    assert!(transfer.messages > 0);
    cluster.stop().await;
}

#[tokio::test]
async fn a_leader_cut_off_is_replaced_and_rejoins() {
    let cluster = Omnipaxos.launch(LaunchSpec::in_memory(3)).await.unwrap();
    commit(&cluster, 0..100).await;
    let leader = cluster.observe().leader.unwrap();
    for peer in ReplicaId::all(3).filter(|&peer| peer != leader) {
        cluster.inject(Fault::Cut { from: leader, to: peer }).await.unwrap();
        cluster.inject(Fault::Cut { from: peer, to: leader }).await.unwrap();
    }
    commit(&cluster, 100..200).await;
    cluster.inject(Fault::Heal).await.unwrap();
    commit(&cluster, 200..300).await;
    agree(&cluster, 3, 300).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_closed_loop_costs_one_round_trip() {
    let mut spec = LaunchSpec::in_memory(3);
    spec.network.link.delay = Duration::from_millis(25);
    spec.timing = protocol_core::Timing::for_delay(spec.network.link.delay);
    let cluster = Omnipaxos.launch(spec).await.unwrap();
    commit(&cluster, 0..1).await;
    let mut times = Vec::new();
    for id in 1..20 {
        let committed = submit_and_wait(&*cluster, Command::new(CommandId(id), b"")).await.unwrap();
        times.push(committed.phases.total_ns());
    }
    times.sort_unstable();
    let round_trips = times[times.len() / 2] as f64 / 50e6;
    assert!((1.0..2.0).contains(&round_trips), "{round_trips} round trips");
    cluster.stop().await;
}

/// Two of five replicas commit, where a majority would be three.
#[tokio::test]
async fn a_small_write_quorum_commits_where_a_majority_is_gone() {
    let spec = LaunchSpec { settings: write_quorum(2, 4), ..LaunchSpec::in_memory(5) };
    let cluster = Omnipaxos.launch(spec).await.unwrap();
    commit(&cluster, 0..100).await;
    let leader = cluster.observe().leader.unwrap();
    for id in ReplicaId::all(5).filter(|&id| id != leader).take(3) {
        cluster.inject(Fault::Crash(id)).await.unwrap();
    }
    commit(&cluster, 100..200).await;
    assert_eq!(cluster.observe().leader, Some(leader));
    agree(&cluster, 2, 200).await;
    cluster.stop().await;
}

/// A lost message costs a retransmission, and not the session.
#[tokio::test]
async fn links_that_lose_repeat_and_reorder_are_a_connection_all_the_same() {
    let mut spec = LaunchSpec::in_memory(3);
    let jitter = Duration::from_millis(1);
    spec.network.link = LinkSpec { jitter, loss: 0.002, duplication: 0.2, ..LinkSpec::default() };
    let cluster = Omnipaxos.launch(spec).await.unwrap();
    commit(&cluster, 0..500).await;
    agree(&cluster, 3, 500).await;
    cluster.stop().await;
}

#[tokio::test]
async fn what_can_not_be_done_is_said() {
    let cluster = Omnipaxos.launch(LaunchSpec::in_memory(3)).await.unwrap();
    commit(&cluster, 0..1).await;
    cluster.inject(Fault::Crash(ReplicaId(1))).await.unwrap();
    let restart = cluster.inject(Fault::Restart(ReplicaId(1))).await;
    assert!(matches!(restart, Err(FaultError::Unsupported { .. })), "{restart:?}");
    let nobody = cluster.inject(Fault::Crash(ReplicaId(7))).await;
    assert!(matches!(nobody, Err(FaultError::NotApplicable { .. })), "{nobody:?}");
    cluster.stop().await;
    let descriptor = Omnipaxos.descriptor();
    let unknown = Settings::checked([("batch".to_string(), 1.0)].into(), &descriptor);
    assert!(unknown.unwrap_err().to_string().contains("batch_commands"));
    for alone in [0, 1] {
        let refused = Omnipaxos.launch(LaunchSpec::in_memory(alone)).await.err().unwrap();
        assert!(matches!(refused, LaunchError::ClusterSize { low: 2, .. }), "{refused}");
    }
    let spec = LaunchSpec { settings: write_quorum(2, 3), ..LaunchSpec::in_memory(5) };
    let refused = Omnipaxos.launch(spec).await.err().unwrap();
    assert!(matches!(refused, LaunchError::Settings(_)), "{refused}");
}
