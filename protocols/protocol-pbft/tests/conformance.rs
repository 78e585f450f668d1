//! PBFT keeps the contract in real time: agreement, exactly once, recovery, on every network and storage.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use protocol_core::{
    Cluster, Command, CommandId, Fault, LaunchSpec, NetworkSpec, Protocol, ReplicaId, StorageSpec,
    submit_and_wait,
};
use protocol_pbft::Pbft;

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
    for _ in 0..12_000 {
        let audits = cluster.audit();
        if audits.len() == live && audits.iter().all(|(_, log)| log.ids().len() == count) {
            for (id, log) in &audits {
                assert_eq!(log.agrees_with(&audits[0].1), Ok(true), "replica {id}");
                assert!(log.violations().is_empty(), "{:?}", log.violations());
                assert_eq!(log.duplicates(), 0);
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

#[tokio::test]
async fn commits_and_agrees_on_every_network_and_storage() {
    for protocol in [Pbft::MAC, Pbft::SIGNED] {
        for network in [NetworkSpec::channel(), NetworkSpec::tcp()] {
            let memory = LaunchSpec { network, ..LaunchSpec::in_memory(4) };
            let (on_disk, _folder) = wal(memory.clone());
            for spec in [memory, on_disk] {
                let cluster = protocol.launch(spec).await.unwrap();
                commit(&cluster, 0..1_000).await;
                agree(&cluster, 4, 1_000).await;
                cluster.stop().await;
            }
        }
    }
}

#[tokio::test]
async fn a_crashed_primary_is_replaced_and_comes_back_from_its_log() {
    let (spec, _folder) = wal(LaunchSpec::in_memory(4));
    let cluster = Pbft::MAC.launch(spec).await.unwrap();
    commit(&cluster, 0..500).await;
    let primary = cluster.observe().leader.unwrap();
    cluster.inject(Fault::Crash(primary)).await.unwrap();
    commit(&cluster, 500..1_000).await;
    assert_ne!(cluster.observe().leader, Some(primary));
    agree(&cluster, 3, 1_000).await;
    cluster.inject(Fault::Restart(primary)).await.unwrap();
    commit(&cluster, 1_000..1_100).await;
    agree(&cluster, 4, 1_100).await;
    cluster.stop().await;
}

#[tokio::test]
async fn the_whole_cluster_restarts_with_everything_it_acknowledged() {
    let (spec, _folder) = wal(LaunchSpec::in_memory(4));
    let cluster = Pbft::MAC.launch(spec.clone()).await.unwrap();
    commit(&cluster, 0..500).await;
    cluster.stop().await;
    drop(cluster);
    let cluster = Pbft::MAC.launch(spec).await.unwrap();
    commit(&cluster, 500..501).await;
    agree(&cluster, 4, 501).await;
    cluster.stop().await;
}

#[tokio::test]
async fn without_a_quorum_nothing_is_acknowledged() {
    let cluster = Pbft::MAC.launch(LaunchSpec::in_memory(4)).await.unwrap();
    commit(&cluster, 0..10).await;
    cluster.inject(Fault::Crash(ReplicaId(2))).await.unwrap();
    commit(&cluster, 10..20).await;
    cluster.inject(Fault::Crash(ReplicaId(3))).await.unwrap();
    let unanswered = submit_and_wait(&*cluster, Command::new(CommandId(20), b""));
    assert!(tokio::time::timeout(Duration::from_secs(2), unanswered).await.is_err());
    cluster.stop().await;
}
