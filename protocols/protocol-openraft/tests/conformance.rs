//! The adapter keeps the contract, on both networks and both storages, through every fault.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use protocol_core::{
    Cluster, Command, CommandId, Committed, Fault, FaultError, IdSet, LaunchError, LaunchSpec, MessageKind,
    NetworkSpec, Observation, Protocol, ReplicaId, Settings, StorageSpec, SubmitError, Timing,
    submit_and_wait,
};
use protocol_openraft::Openraft;
use tempfile::TempDir;

/// A look at the cluster every so often, and this many looks before a test gives up.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
const LOOKS: usize = 4000;

const FIRST: ReplicaId = ReplicaId(0);

/// No election but the first, however busy the machine is.
const PATIENT: Timing = Timing {
    heartbeat: Duration::from_millis(50),
    election_min: Duration::from_secs(10),
    election_max: Duration::from_secs(20),
};

fn networks() -> [NetworkSpec; 2] {
    [NetworkSpec::channel(), NetworkSpec::tcp()]
}

fn wal() -> (StorageSpec, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (StorageSpec::Wal { folder: folder.path().to_path_buf() }, folder)
}

/// Three replicas.
fn on(network: NetworkSpec, storage: StorageSpec) -> LaunchSpec {
    LaunchSpec { network, storage, ..LaunchSpec::in_memory(3) }
}

fn in_memory() -> LaunchSpec {
    LaunchSpec::in_memory(3)
}

async fn launch(spec: LaunchSpec) -> Arc<dyn Cluster> {
    Openraft.launch(spec).await.unwrap()
}

fn settings(values: &[(&str, f64)]) -> Settings {
    let values: BTreeMap<String, f64> = values.iter().map(|&(name, value)| (name.into(), value)).collect();
    Settings::checked(values, &Openraft.descriptor()).unwrap()
}

async fn submit(cluster: &dyn Cluster, id: u64) -> Result<Committed, SubmitError> {
    submit_and_wait(cluster, Command::new(CommandId(id), &id.to_be_bytes().repeat(8))).await
}

/// Commits commands, all submitted at once.
async fn commit(cluster: &dyn Cluster, ids: std::ops::Range<u64>) -> Vec<Committed> {
    let committed = join_all(ids.map(|id| submit(cluster, id))).await;
    committed.into_iter().map(|outcome| outcome.expect("committed")).collect()
}

async fn until(cluster: &dyn Cluster, what: &str, holds: impl Fn(&Observation) -> bool) {
    for _ in 0..LOOKS {
        if holds(&cluster.observe()) {
            return;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    panic!("never {what}: {:#?}", cluster.observe());
}

/// Waits until all live replicas applied the same, and checks that it is just the commands that
/// were committed. Returns the commands that a retry put into the log twice.
async fn converge(cluster: &dyn Cluster, commands: u64) -> u64 {
    until(cluster, "all the same", |seen| {
        let live: Vec<_> = seen.replicas.iter().filter(|replica| replica.live).collect();
        live.iter().all(|replica| {
            replica.delivered >= commands
                && (replica.delivered, replica.digest) == (live[0].delivered, live[0].digest)
        })
    })
    .await;
    let logs = cluster.audit();
    let expected: IdSet = (0..commands).map(CommandId).collect();
    for (id, log) in &logs {
        assert_eq!(log.violations(), [] as [String; 0], "replica {id}");
        assert_eq!(log.agrees_with(&logs[0].1), Ok(true), "replica {id}");
        assert_eq!(expected.difference(log.ids()).next(), None, "replica {id} misses a command");
        assert_eq!(log.ids().len(), commands, "replica {id} invented a command");
    }
    logs[0].1.duplicates()
}

/// Waits until another replica than `old` leads, and returns it.
async fn another_leader(cluster: &dyn Cluster, old: ReplicaId) -> ReplicaId {
    until(cluster, "another leader", |seen| seen.leader.is_some_and(|leader| leader != old)).await;
    cluster.observe().leader.unwrap()
}

#[tokio::test]
async fn commands_commit_once_on_every_network_and_storage() {
    for network in networks() {
        let (wal, _folder) = wal();
        for storage in [StorageSpec::Memory, wal] {
            let least_logged = if storage == StorageSpec::Memory { 0 } else { 2000 * 72 };
            let cluster = launch(LaunchSpec { timing: PATIENT, ..on(network, storage) }).await;
            let committed = commit(&*cluster, 0..2000).await;
            assert!(committed.iter().all(|one| one.phases.consensus_ns() > 0));
            assert_eq!(converge(&*cluster, 2000).await, 0, "no command was retried");
            let seen = cluster.observe();
            assert_eq!(seen.leader, Some(FIRST), "the first replica leads first");
            let leader = seen.replicas[0].counters;
            assert_eq!(leader.proposed_commands, 2000);
            assert!(leader.proposals < 2000, "commands that come together are proposed together");
            assert_eq!(seen.total().proposed_commands, 2000, "followers propose nothing");
            assert!(seen.replicas.iter().all(|replica| replica.counters.log_bytes >= least_logged));
            assert_eq!(seen.total().log_bytes == 0, least_logged == 0, "memory writes nothing");
            assert!(seen.replicas.iter().all(|replica| replica.counters.syncs > 0));
            cluster.stop().await;
            assert_eq!(submit(&*cluster, 2000).await, Err(SubmitError::Unavailable));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_commit_on_several_threads() {
    let cluster = launch(LaunchSpec { timing: PATIENT, ..on(NetworkSpec::tcp(), StorageSpec::Memory) }).await;
    commit(&*cluster, 0..2000).await;
    assert_eq!(converge(&*cluster, 2000).await, 0);
    cluster.stop().await;
}

#[tokio::test]
async fn clusters_of_other_sizes_commit() {
    for replicas in [1, 2, 5] {
        let cluster = launch(LaunchSpec { timing: PATIENT, ..LaunchSpec::in_memory(replicas) }).await;
        commit(&*cluster, 0..200).await;
        assert_eq!(converge(&*cluster, 200).await, 0);
        cluster.stop().await;
    }
    let refused = Openraft.launch(LaunchSpec::in_memory(102)).await.err();
    assert!(matches!(refused, Some(LaunchError::ClusterSize { high: 101, .. })), "{refused:?}");
}

#[tokio::test]
async fn times_that_can_not_work_are_refused() {
    let changes: [fn(&mut LaunchSpec); 4] = [
        |spec| spec.timing.heartbeat = spec.timing.election_min,
        |spec| spec.timing.election_max = spec.timing.election_min,
        |spec| spec.timing.heartbeat = Duration::from_micros(900),
        // The answer to a heartbeat would come after the next one.
        |spec| spec.network.link.delay = spec.timing.heartbeat / 2,
    ];
    for change in changes {
        let mut spec = in_memory();
        change(&mut spec);
        let refused = Openraft.launch(spec).await.err();
        assert!(matches!(refused, Some(LaunchError::Settings(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn an_idle_cluster_sends_heartbeats_and_nothing_else() {
    let cluster = launch(LaunchSpec { timing: PATIENT, ..in_memory() }).await;
    commit(&*cluster, 0..10).await;
    converge(&*cluster, 10).await;
    let total = |kind| cluster.observe().total().of(kind).messages;
    let (protocol, heartbeats) = (total(MessageKind::Protocol), total(MessageKind::Heartbeat));
    until(&*cluster, "twenty heartbeats", |seen| {
        seen.total().of(MessageKind::Heartbeat).messages >= heartbeats + 20
    })
    .await;
    // Followers learn of the last commit by one more request each.
    assert!(total(MessageKind::Protocol) <= protocol + 4, "heartbeats are counted apart");
    assert_eq!(total(MessageKind::StateTransfer), 0);
    cluster.stop().await;
}

#[tokio::test]
async fn a_commit_takes_one_round_trip_over_slow_links() {
    let one_way = Duration::from_millis(25);
    let mut spec = LaunchSpec { timing: Timing::for_delay(one_way), ..in_memory() };
    spec.network.link.delay = one_way;
    let cluster = launch(spec).await;
    submit(&*cluster, 0).await.unwrap();
    let mut consensus = Vec::new();
    for id in 1..=21 {
        consensus.push(Duration::from_nanos(submit(&*cluster, id).await.unwrap().phases.consensus_ns()));
    }
    consensus.sort();
    // How many round trips fit into the median says how many the protocol made.
    let round_trips = consensus[10].as_secs_f64() / (2 * one_way).as_secs_f64();
    assert_eq!(round_trips.floor(), 1.0, "{round_trips} round trips");
    converge(&*cluster, 22).await;
    cluster.stop().await;
}

#[tokio::test]
async fn links_that_lose_double_and_reorder_are_survived() {
    let mut spec = in_memory();
    let link = &mut spec.network.link;
    (link.jitter, link.loss, link.duplication) = (Duration::from_millis(2), 0.02, 0.02);
    let cluster = launch(spec).await;
    for batch in 0..20 {
        commit(&*cluster, batch * 20..(batch + 1) * 20).await;
    }
    converge(&*cluster, 400).await;
    cluster.stop().await;
}

#[tokio::test]
async fn another_replica_leads_when_the_leader_crashes() {
    for network in networks() {
        let cluster = launch(on(network, StorageSpec::Memory)).await;
        commit(&*cluster, 0..100).await;
        let (crash, commits) = tokio::join!(cluster.inject(Fault::Crash(FIRST)), commit(&*cluster, 100..300));
        crash.unwrap();
        assert_eq!(commits.len(), 200);
        another_leader(&*cluster, FIRST).await;
        commit(&*cluster, 300..400).await;
        converge(&*cluster, 400).await;
        assert_eq!(cluster.audit().len(), 2, "a replica that is down is not audited");
        assert!(!cluster.observe().replicas[0].live);
        cluster.stop().await;
    }
}

#[tokio::test]
async fn a_restarted_replica_catches_up_from_its_log() {
    for network in networks() {
        let (storage, _folder) = wal();
        let cluster = launch(on(network, storage)).await;
        commit(&*cluster, 0..300).await;
        for (round, id) in [ReplicaId(2), FIRST].into_iter().enumerate() {
            let start = 300 + 200 * round as u64;
            cluster.inject(Fault::Crash(id)).await.unwrap();
            commit(&*cluster, start..start + 100).await;
            cluster.inject(Fault::Restart(id)).await.unwrap();
            commit(&*cluster, start + 100..start + 200).await;
            converge(&*cluster, start + 200).await;
        }
        assert_eq!(cluster.audit().len(), 3);
        cluster.stop().await;
    }
}

#[tokio::test]
async fn a_cluster_remembers_everything_when_all_crash() {
    let (storage, _folder) = wal();
    let spec = on(NetworkSpec::channel(), storage);
    let cluster = launch(spec.clone()).await;
    commit(&*cluster, 0..500).await;
    for id in ReplicaId::all(3) {
        cluster.inject(Fault::Crash(id)).await.unwrap();
    }
    for id in ReplicaId::all(3) {
        cluster.inject(Fault::Restart(id)).await.unwrap();
    }
    commit(&*cluster, 500..600).await;
    converge(&*cluster, 600).await;
    cluster.stop().await;
    let again = launch(spec).await;
    commit(&*again, 600..700).await;
    converge(&*again, 700).await;
    again.stop().await;
}

#[tokio::test]
async fn faults_that_make_no_sense_say_so() {
    let cluster = launch(in_memory()).await;
    let inject = |fault| cluster.inject(fault);
    inject(Fault::Crash(ReplicaId(1))).await.unwrap();
    let restart = inject(Fault::Restart(ReplicaId(1))).await;
    assert!(matches!(restart, Err(FaultError::Unsupported { .. })), "{restart:?}");
    let twice = inject(Fault::Crash(ReplicaId(1))).await;
    assert!(matches!(twice, Err(FaultError::NotApplicable { .. })), "{twice:?}");
    let stranger = inject(Fault::Cut { from: FIRST, to: ReplicaId(3) }).await;
    assert!(matches!(stranger, Err(FaultError::NotApplicable { .. })), "{stranger:?}");
    cluster.stop().await;

    let (storage, _folder) = wal();
    let cluster = launch(on(NetworkSpec::channel(), storage)).await;
    let running = cluster.inject(Fault::Restart(FIRST)).await;
    assert!(matches!(running, Err(FaultError::NotApplicable { .. })), "{running:?}");
    cluster.stop().await;
}

#[tokio::test]
async fn a_replica_whose_log_fails_stops_and_says_why() {
    let (storage, folder) = wal();
    let settings = settings(&[("snapshot_interval_entries", 50.0), ("kept_entries", 0.0)]);
    let cluster = launch(LaunchSpec { settings, ..on(NetworkSpec::channel(), storage) }).await;
    commit(&*cluster, 0..10).await;
    // The open files go on, but none can be written anew when the logs are shortened.
    folder.close().unwrap();
    let client = tokio::spawn({
        let cluster = cluster.clone();
        async move {
            let mut id = 10;
            while submit(&*cluster, id).await.is_ok() {
                id += 1;
            }
        }
    });
    until(&*cluster, "a failure", |seen| {
        seen.replicas.iter().any(|replica| {
            !replica.live && replica.failure.as_ref().is_some_and(|why| why.contains("replica-"))
        })
    })
    .await;
    cluster.stop().await;
    client.await.unwrap();
}

async fn cut_off(cluster: &dyn Cluster, id: ReplicaId) {
    for peer in ReplicaId::all(3).filter(|&peer| peer != id) {
        cluster.inject(Fault::Cut { from: id, to: peer }).await.unwrap();
        cluster.inject(Fault::Cut { from: peer, to: id }).await.unwrap();
    }
}

#[tokio::test]
async fn a_leader_that_is_cut_off_is_replaced_and_comes_back() {
    for network in networks() {
        let cluster = launch(on(network, StorageSpec::Memory)).await;
        commit(&*cluster, 0..100).await;
        cut_off(&*cluster, FIRST).await;
        // These reach the old leader, which can't commit them and gives them back.
        commit(&*cluster, 100..300).await;
        assert_ne!(cluster.observe().leader, Some(FIRST));
        assert!(cluster.observe().resubmissions > 0);
        assert_eq!(cluster.observe().replicas[0].delivered, 100, "the old leader is alone");
        cluster.inject(Fault::Heal).await.unwrap();
        commit(&*cluster, 300..400).await;
        converge(&*cluster, 400).await;
        cluster.stop().await;
    }
}

#[tokio::test]
async fn a_follower_behind_a_snapshot_catches_up() {
    for network in networks() {
        let (wal, _folder) = wal();
        for storage in [StorageSpec::Memory, wal] {
            let settings = settings(&[("snapshot_interval_entries", 50.0), ("kept_entries", 0.0)]);
            let cluster = launch(LaunchSpec { settings, ..on(network, storage.clone()) }).await;
            commit(&*cluster, 0..100).await;
            cut_off(&*cluster, ReplicaId(2)).await;
            for batch in 1..10 {
                commit(&*cluster, batch * 100..(batch + 1) * 100).await;
            }
            // The leader keeps what the follower lacks until it takes the follower for lost.
            until(&*cluster, "a snapshot on its way", |seen| {
                seen.total().of(MessageKind::StateTransfer).messages > 0
            })
            .await;
            cluster.inject(Fault::Heal).await.unwrap();
            commit(&*cluster, 1000..1100).await;
            converge(&*cluster, 1100).await;
            if storage != StorageSpec::Memory {
                // Its own log now starts with the snapshot.
                cluster.inject(Fault::Crash(ReplicaId(2))).await.unwrap();
                cluster.inject(Fault::Restart(ReplicaId(2))).await.unwrap();
                commit(&*cluster, 1100..1200).await;
                converge(&*cluster, 1200).await;
            }
            cluster.stop().await;
        }
    }
}

#[tokio::test]
async fn every_setting_takes_its_extremes() {
    for extreme in [0, 1] {
        let descriptor = Openraft.descriptor();
        let values: Vec<(&str, f64)> = descriptor
            .tunables
            .iter()
            .map(|tunable| (tunable.name, [tunable.range.0, tunable.range.1][extreme]))
            .collect();
        let cluster =
            launch(LaunchSpec { settings: settings(&values), timing: PATIENT, ..in_memory() }).await;
        commit(&*cluster, 0..300).await;
        assert_eq!(converge(&*cluster, 300).await, 0);
        cluster.stop().await;
    }
}
