//! The library keeps the contract.

#[path = "../../protocol-core/conformance/mod.rs"]
mod conformance;

use std::time::Duration;

use conformance::{bench::Bench, spec, virtual_time::settings};
use protocol_core::{
    Fault, LaunchError, LaunchSpec, MessageKind, NetworkSpec, Protocol, ReplicaId, Settings, StorageSpec,
    Timing,
};
use protocol_openraft::Openraft;

// Its leader goes on sending what waits for a quorum, which keeps the followers quiet until the fault ends. Its
// virtual time is slow, and the ends of the tunables' ranges show what there is to see.
conformance::crash_tolerant_log!(
    Openraft, quiet_settings: ["max_append_entries"], values_tried: [], busy_leader_gives_way: false
);

/// No election but the first, however busy the machine is.
const PATIENT: Timing = Timing {
    heartbeat: Duration::from_millis(50),
    election_min: Duration::from_secs(10),
    election_max: Duration::from_secs(20),
};

/// A log that is shortened often, with nothing kept behind a snapshot.
fn short_log() -> Settings {
    settings(&Openraft, &[("snapshot_interval_entries", 50.0), ("kept_entries", 0.0)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_commit_on_several_threads() {
    let spec = LaunchSpec { timing: PATIENT, network: NetworkSpec::tcp(), ..spec(&Openraft) };
    let bench = Bench::launch(&Openraft, spec).await;
    bench.commit(2_000).await;
    bench.agree(3).await;
    assert!(bench.cluster.audit().iter().all(|(_, log)| log.duplicates() == 0));
    bench.stop().await;
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
        let mut spec = spec(&Openraft);
        change(&mut spec);
        let refused = Openraft.launch(spec).await.err();
        assert!(matches!(refused, Some(LaunchError::Settings(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn an_idle_cluster_sends_heartbeats_and_nothing_else() {
    let bench = Bench::launch(&Openraft, LaunchSpec { timing: PATIENT, ..spec(&Openraft) }).await;
    bench.commit(10).await;
    bench.agree(3).await;
    let total = |kind| bench.cluster.observe().total().of(kind).messages;
    let (protocol, heartbeats) = (total(MessageKind::Protocol), total(MessageKind::Heartbeat));
    bench
        .until("twenty heartbeats", |seen| {
            seen.total().of(MessageKind::Heartbeat).messages >= heartbeats + 20
        })
        .await;
    // Followers learn of the last commit by one more request each.
    assert!(total(MessageKind::Protocol) <= protocol + 4, "heartbeats are counted apart");
    assert_eq!(total(MessageKind::StateTransfer), 0);
    bench.stop().await;
}

#[tokio::test]
async fn links_that_lose_double_and_reorder_are_survived() {
    let mut spec = spec(&Openraft);
    let link = &mut spec.network.link;
    (link.jitter, link.loss, link.duplication) = (Duration::from_millis(2), 0.02, 0.02);
    let bench = Bench::launch(&Openraft, spec).await;
    for _ in 0..20 {
        bench.commit(20).await;
    }
    bench.agree(3).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_replica_whose_log_fails_stops_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let storage = StorageSpec::Wal { folder: folder.path().into() };
    let spec = LaunchSpec { settings: short_log(), storage, ..spec(&Openraft) };
    let bench = Bench::launch(&Openraft, spec).await;
    bench.commit(10).await;
    // The open files go on, but none can be written anew when the logs are shortened.
    folder.close().unwrap();
    bench
        .until("a failure", |seen| {
            bench.submit(5);
            seen.replicas.iter().any(|replica| {
                !replica.live && replica.failure.as_ref().is_some_and(|why| why.contains("replica-"))
            })
        })
        .await;
    bench.stop().await;
}

/// Such a one is down no time; the leader keeps what it lacks until it takes it for lost.
#[tokio::test]
async fn a_follower_behind_a_snapshot_catches_up() {
    for network in [NetworkSpec::channel(), NetworkSpec::tcp()] {
        for on_disk in [false, true] {
            let spec = LaunchSpec { network, settings: short_log(), ..spec(&Openraft) };
            let bench = match on_disk {
                true => Bench::launch_on_disk(&Openraft, spec).await,
                false => Bench::launch(&Openraft, spec).await,
            };
            behind_a_snapshot(&bench, on_disk).await;
            bench.stop().await;
        }
    }
}

async fn behind_a_snapshot(bench: &Bench, on_disk: bool) {
    bench.commit(100).await;
    let lost = ReplicaId((bench.leader().await.0 + 1) % 3);
    for peer in ReplicaId::all(3).filter(|&peer| peer != lost) {
        bench.inject(Fault::Cut { from: lost, to: peer }).await;
        bench.inject(Fault::Cut { from: peer, to: lost }).await;
    }
    for _ in 0..9 {
        bench.commit(100).await;
    }
    let sent = MessageKind::StateTransfer;
    bench.until("a snapshot on its way", |seen| seen.total().of(sent).messages > 0).await;
    bench.inject(Fault::Heal).await;
    bench.commit(100).await;
    bench.agree(3).await;
    if on_disk {
        // Its own log now starts with the snapshot.
        bench.inject(Fault::Crash(lost)).await;
        bench.inject(Fault::Restart(lost)).await;
        bench.commit(100).await;
        bench.agree(3).await;
    }
}
