//! The registers in real time, on every network and storage: from ABD a client that waits for each answer
//! reads what it wrote last, whichever replicas it asks.
#![allow(clippy::unwrap_used)]

#[path = "../../protocol-core/conformance/mod.rs"]
mod conformance;

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol_core::{
    Cluster, Command, CommandId, Fault, LaunchSpec, NetworkSpec, Operation, Protocol, ReplicaId, Settings,
    StorageSpec, submit_and_wait,
};
use protocol_register::{Abd, Dynamo};
use tempfile::TempDir;

conformance::registers!(Abd);

mod dynamo {
    use super::*;

    conformance::registers!(Dynamo);

    #[tokio::test]
    async fn a_log_on_disk_is_waited_for() {
        conformance::phases::a_log_on_disk_is_waited_for(&Dynamo).await;
    }
}

/// By key, the output of the next read.
type Newest = BTreeMap<u64, u64>;

fn settings(protocol: &dyn Protocol) -> Settings {
    Settings::checked([("keys".to_string(), 20.0)].into(), &protocol.descriptor()).unwrap()
}

/// Sends commands one after the other, and checks what the reads among them see.
async fn read_and_write(
    cluster: &Arc<dyn Cluster>,
    settings: &Settings,
    ids: std::ops::Range<u64>,
    newest: &mut Newest,
) {
    for id in ids.map(CommandId) {
        let committed = submit_and_wait(&**cluster, Command::new(id, &[id.0 as u8; 128])).await.unwrap();
        match Operation::on_register(id, settings) {
            Operation::Write { key } => drop(newest.insert(key, id.0 + 1)),
            Operation::Read { key } => {
                assert_eq!(committed.output, newest.get(&key).copied().unwrap_or(0), "{id:?} of key {key}");
            }
            Operation::Append => panic!("no register is appended to"),
        }
    }
}

fn wal(spec: LaunchSpec) -> (LaunchSpec, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let storage = StorageSpec::Wal { folder: folder.path().into() };
    (LaunchSpec { storage, ..spec }, folder)
}

/// A cluster on every network and storage.
async fn everywhere(protocol: &dyn Protocol, settings: &Settings) -> Vec<(Arc<dyn Cluster>, TempDir)> {
    let mut clusters = Vec::new();
    for network in [NetworkSpec::channel(), NetworkSpec::tcp()] {
        let memory = LaunchSpec { network, settings: settings.clone(), ..LaunchSpec::in_memory(3) };
        let (on_disk, folder) = wal(memory.clone());
        clusters.push((protocol.launch(memory).await.unwrap(), tempfile::tempdir().unwrap()));
        clusters.push((protocol.launch(on_disk).await.unwrap(), folder));
    }
    clusters
}

#[tokio::test]
async fn abd_reads_see_the_last_write_on_every_network_and_storage() {
    let settings = settings(&Abd);
    for (cluster, _folder) in everywhere(&Abd, &settings).await {
        read_and_write(&cluster, &settings, 0..300, &mut Newest::new()).await;
        cluster.stop().await;
    }
}

/// Its reads may be stale even then: a write whose coordinator has not heard of the last one loses to it.
#[tokio::test]
async fn dynamo_answers_all_on_every_network_and_storage() {
    let settings = settings(&Dynamo);
    for (cluster, _folder) in everywhere(&Dynamo, &settings).await {
        commit_all(&cluster, 0..300).await;
        cluster.stop().await;
    }
}

/// Commands at once; all are answered.
async fn commit_all(cluster: &Arc<dyn Cluster>, ids: std::ops::Range<u64>) {
    let tasks: Vec<_> = ids
        .map(|id| {
            let cluster = cluster.clone();
            tokio::spawn(async move { submit_and_wait(&*cluster, Command::new(CommandId(id), b"x")).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_replica_that_crashed_is_done_without_and_comes_back() {
    let settings = settings(&Abd);
    let (spec, _folder) = wal(LaunchSpec { settings: settings.clone(), ..LaunchSpec::in_memory(3) });
    let cluster = Abd.launch(spec).await.unwrap();
    let mut newest = Newest::new();
    for replica in ReplicaId::all(3) {
        let first = 300 * u64::from(replica.0);
        read_and_write(&cluster, &settings, first..first + 100, &mut newest).await;
        cluster.inject(Fault::Crash(replica)).await.unwrap();
        read_and_write(&cluster, &settings, first + 100..first + 200, &mut newest).await;
        cluster.inject(Fault::Restart(replica)).await.unwrap();
        read_and_write(&cluster, &settings, first + 200..first + 300, &mut newest).await;
    }
    cluster.stop().await;
}

#[tokio::test]
async fn the_whole_cluster_restarts_with_everything_it_acknowledged() {
    let settings = settings(&Abd);
    let (spec, _folder) = wal(LaunchSpec { settings: settings.clone(), ..LaunchSpec::in_memory(3) });
    let mut newest = Newest::new();
    for life in 0..3 {
        let cluster = Abd.launch(spec.clone()).await.unwrap();
        read_and_write(&cluster, &settings, life * 200..(life + 1) * 200, &mut newest).await;
        cluster.stop().await;
    }
}
