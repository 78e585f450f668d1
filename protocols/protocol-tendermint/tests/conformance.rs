//! The adapter keeps the contract: agreement, exactly once, recovery, on every network and storage.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use protocol_core::{
    Behaviour, Cluster, Command, CommandId, Fault, FaultError, LaunchError, LaunchSpec, NetworkSpec,
    Protocol, ReplicaId, Settings, StorageSpec, submit_and_wait,
};
use protocol_tendermint::Tendermint;

const BOTH: [Tendermint; 2] = [Tendermint::SIGNATURES, Tendermint::CODES];

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
    for protocol in BOTH {
        for network in [NetworkSpec::channel(), NetworkSpec::tcp()] {
            let memory = LaunchSpec { network, ..LaunchSpec::in_memory(4) };
            let (on_disk, _folder) = wal(memory.clone());
            for spec in [memory, on_disk] {
                let cluster = protocol.launch(spec).await.unwrap();
                commit(&cluster, 0..500).await;
                agree(&cluster, 4, 500).await;
                assert!(cluster.observe().replicas.iter().all(|replica| replica.misbehaviour.is_empty()));
                cluster.stop().await;
            }
        }
    }
}

#[tokio::test]
async fn a_crashed_replica_comes_back_from_its_log() {
    for protocol in BOTH {
        let (spec, _folder) = wal(LaunchSpec::in_memory(4));
        let cluster = protocol.launch(spec).await.unwrap();
        commit(&cluster, 0..300).await;
        let proposer = cluster.observe().leader.unwrap();
        cluster.inject(Fault::Crash(proposer)).await.unwrap();
        commit(&cluster, 300..600).await;
        agree(&cluster, 3, 600).await;
        cluster.inject(Fault::Restart(proposer)).await.unwrap();
        agree(&cluster, 4, 600).await;
        commit(&cluster, 600..700).await;
        agree(&cluster, 4, 700).await;
        cluster.stop().await;
    }
}

#[tokio::test]
async fn the_whole_cluster_restarts_with_everything_it_acknowledged() {
    for protocol in BOTH {
        let (spec, _folder) = wal(LaunchSpec::in_memory(4));
        let cluster = protocol.launch(spec.clone()).await.unwrap();
        commit(&cluster, 0..300).await;
        cluster.stop().await;
        drop(cluster);
        let cluster = protocol.launch(spec).await.unwrap();
        commit(&cluster, 300..301).await;
        agree(&cluster, 4, 301).await;
        cluster.stop().await;
    }
}

#[tokio::test]
async fn what_can_not_be_done_is_said() {
    let protocol = Tendermint::CODES;
    for replicas in 0..4 {
        let refused = protocol.launch(LaunchSpec::in_memory(replicas)).await.err().unwrap().to_string();
        assert!(refused.contains("n ≥ 3f + 1") && refused.contains('4'), "{refused}");
    }
    let refused = protocol.launch(LaunchSpec::in_memory(102)).await.err().unwrap();
    assert!(matches!(refused, LaunchError::ClusterSize { high: 101, .. }), "{refused}");
    let cluster = protocol.launch(LaunchSpec::in_memory(4)).await.unwrap();
    commit(&cluster, 0..1).await;
    cluster.inject(Fault::Crash(ReplicaId(1))).await.unwrap();
    let restart = cluster.inject(Fault::Restart(ReplicaId(1))).await;
    assert!(matches!(restart, Err(FaultError::Unsupported { .. })), "{restart:?}");
    cluster.inject(Fault::Corrupt(ReplicaId(1), Behaviour::Silent)).await.unwrap_err();
    cluster.stop().await;
    let unknown = Settings::checked([("batch".to_string(), 1.0)].into(), &protocol.descriptor());
    assert!(unknown.unwrap_err().to_string().contains("largest_batch_commands"));
}
