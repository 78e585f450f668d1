//! What was acknowledged outlasts every crash, and a replica that was away gets it.

use std::time::Duration;

use protocol_core::{Fault, LaunchSpec, MessageKind, Protocol, ReplicaId, Settings, SimulationSpec};

use super::bench::Bench;
use super::virtual_time::{all_answered, closed_loop, crash, restart, run_for, submit};
use super::{agree, keeps_its_leader, size, spec};

pub async fn a_crashed_leader_is_replaced_and_comes_back_from_its_log(protocol: &dyn Protocol) {
    let bench = Bench::launch_on_disk(protocol, spec(protocol)).await;
    bench.commit(500).await;
    let leader = bench.leader().await;
    let under_way = bench.submit(200);
    bench.inject(Fault::Crash(leader)).await;
    for (_, outcome) in bench.outcomes(under_way).await {
        outcome.unwrap();
    }
    bench.commit(300).await;
    assert!(!keeps_its_leader(protocol) || bench.leader().await != leader);
    assert!(!bench.cluster.observe().replicas[leader.index()].live);
    bench.agree(size(protocol) - 1).await;
    bench.inject(Fault::Restart(leader)).await;
    bench.commit(100).await;
    bench.agree(size(protocol)).await;
    bench.stop().await;
}

/// First each replica's process dies, then the whole cluster is stopped and launched again.
pub async fn the_whole_cluster_restarts_with_everything_it_acknowledged(protocol: &dyn Protocol) {
    let mut bench = Bench::launch_on_disk(protocol, spec(protocol)).await;
    bench.commit(500).await;
    for id in ReplicaId::all(size(protocol)) {
        bench.inject(Fault::Crash(id)).await;
    }
    for id in ReplicaId::all(size(protocol)) {
        bench.inject(Fault::Restart(id)).await;
    }
    bench.commit(100).await;
    bench.agree(size(protocol)).await;
    bench.relaunch(protocol).await;
    bench.commit(1).await;
    bench.agree(size(protocol)).await;
    bench.stop().await;
}

/// A follower is away for so many commands under settings with which the others forget the first of them.
pub async fn a_follower_beyond_the_kept_log_gets_a_snapshot(
    protocol: &dyn Protocol,
    settings: Settings,
    commands: u64,
) {
    let spec = LaunchSpec { settings, ..spec(protocol) };
    let bench = Bench::launch_on_disk(protocol, spec).await;
    bench.commit(100).await;
    let follower = ReplicaId((bench.leader().await.0 + 1) % size(protocol) as u32);
    bench.inject(Fault::Crash(follower)).await;
    for _ in 0..6 {
        bench.commit(commands / 6).await;
    }
    bench.inject(Fault::Restart(follower)).await;
    bench.commit(1).await;
    bench.agree(size(protocol)).await;
    let transfer = bench.cluster.observe().total().of(MessageKind::StateTransfer);
    assert!(transfer.messages > 0);
    bench.stop().await;
}

/// All at once, with what they wrote last on its way to the disk.
pub fn a_crash_of_all_at_any_moment_loses_nothing_acknowledged(protocol: &dyn Protocol) {
    for after_us in (1..12).map(|k| k * 700) {
        let mut spec = SimulationSpec::uniform(size(protocol), Duration::from_millis(2), after_us);
        (spec.durable, spec.costs.fsync_ns) = (true, 500_000.0);
        let mut simulation = protocol.simulate(&spec).unwrap();
        closed_loop(&mut *simulation, 0..5);
        submit(&mut *simulation, 5..6);
        run_for(&mut *simulation, Duration::from_micros(after_us));
        crash(&mut *simulation, ReplicaId::all(size(protocol)));
        restart(&mut *simulation, ReplicaId::all(size(protocol)));
        all_answered(&mut *simulation, 5..6);
        closed_loop(&mut *simulation, 6..8);
        agree(protocol, &mut *simulation, size(protocol), 8);
    }
}
