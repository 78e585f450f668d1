//! Replicas that stand still or die, and links that are slow.

use std::time::{Duration, Instant};

use protocol_core::{Fault, FaultError, Protocol, ReplicaId};

use super::bench::Bench;
use super::{size, spec};

pub async fn degraded_links_of_a_follower_hold_no_one_up(protocol: &dyn Protocol) {
    let bench = Bench::launch(protocol, spec(protocol)).await;
    bench.commit(100).await;
    let leader = bench.leader().await;
    let follower = ReplicaId((leader.0 + 1) % size(protocol) as u32);
    let (extra_delay, loss) = (Duration::from_millis(5), 0.2);
    for peer in ReplicaId::all(size(protocol)).filter(|&peer| peer != follower) {
        bench.inject(Fault::Degrade { from: follower, to: peer, extra_delay, loss }).await;
        bench.inject(Fault::Degrade { from: peer, to: follower, extra_delay, loss }).await;
    }
    for _ in 0..30 {
        bench.commit(20).await;
    }
    bench.inject(Fault::Heal).await;
    bench.commit(100).await;
    bench.agree(size(protocol)).await;
    bench.stop().await;
}

pub async fn a_paused_leader_is_replaced_and_rejoins(protocol: &dyn Protocol) {
    let bench = Bench::launch(protocol, spec(protocol)).await;
    bench.commit(100).await;
    let leader = bench.leader().await;
    bench.inject(Fault::Pause(leader)).await;
    let delivered = || bench.cluster.observe().replicas[leader.index()].delivered;
    let before = delivered();
    // These wait at the old leader, whose process is there but does not answer.
    bench.submit(50);
    bench.another_leader(leader).await;
    bench.progress("commits without the old leader", 200).await;
    assert_eq!(delivered(), before, "a replica that stands still applies nothing");
    assert!(bench.cluster.observe().replicas[leader.index()].live, "it is not dead");
    bench.inject(Fault::Resume(leader)).await;
    bench.all_answered().await;
    bench.commit(100).await;
    bench.agree(size(protocol)).await;
    bench.stop().await;
}

/// No one answers while the replica stands still; what became too late meanwhile ends when it goes on.
pub async fn requests_that_became_late_at_a_paused_replica_end(protocol: &dyn Protocol) {
    let bench = Bench::launch(protocol, spec(protocol)).await;
    bench.commit(100).await;
    let leader = bench.leader().await;
    bench.inject(Fault::Pause(leader)).await;
    let patience = Duration::from_millis(20);
    let (late, deadline) = (bench.submit_for(50, patience), Instant::now() + patience);
    bench.another_leader(leader).await;
    bench.until("the deadline", |_| Instant::now() > deadline).await;
    bench.inject(Fault::Resume(leader)).await;
    bench.outcomes(late).await;
    bench.agree(size(protocol)).await;
    bench.stop().await;
}

pub async fn a_paused_follower_catches_up(protocol: &dyn Protocol) {
    let bench = Bench::launch(protocol, spec(protocol)).await;
    bench.commit(100).await;
    let follower = ReplicaId((bench.leader().await.0 + 1) % size(protocol) as u32);
    bench.inject(Fault::Pause(follower)).await;
    bench.commit(500).await;
    bench.inject(Fault::Resume(follower)).await;
    bench.agree(size(protocol)).await;
    bench.stop().await;
}

pub async fn a_paused_replica_crashes_and_stops_like_any_other(protocol: &dyn Protocol) {
    let bench = Bench::launch_on_disk(protocol, spec(protocol)).await;
    bench.commit(100).await;
    let leader = bench.leader().await;
    bench.inject(Fault::Pause(leader)).await;
    let waiting = bench.submit(50);
    bench.inject(Fault::Crash(leader)).await;
    // The crash gave them back to the client.
    for (_, outcome) in bench.outcomes(waiting).await {
        outcome.unwrap();
    }
    bench.inject(Fault::Restart(leader)).await;
    bench.commit(100).await;
    bench.agree(size(protocol)).await;
    let leader = bench.leader().await;
    bench.inject(Fault::Pause(leader)).await;
    bench.submit(50);
    bench.cluster.stop().await;
    bench.all_answered().await;
}

pub async fn pauses_that_make_no_sense_say_so(protocol: &dyn Protocol) {
    let bench = Bench::launch(protocol, spec(protocol)).await;
    let (running, paused, dead) = (ReplicaId(0), ReplicaId(1), ReplicaId(2));
    bench.commit(1).await;
    bench.inject(Fault::Pause(paused)).await;
    bench.inject(Fault::Crash(dead)).await;
    let strange = Fault::Degrade { from: running, to: paused, extra_delay: Duration::ZERO, loss: 1.5 };
    let senseless = [
        Fault::Pause(paused),
        Fault::Pause(dead),
        Fault::Resume(running),
        Fault::Resume(dead),
        Fault::Pause(ReplicaId(size(protocol) as u32)),
        strange,
    ];
    for fault in senseless {
        let refused = bench.cluster.inject(fault).await;
        assert!(matches!(refused, Err(FaultError::NotApplicable { .. })), "{fault:?}: {refused:?}");
    }
    bench.inject(Fault::Resume(paused)).await;
    let twice = bench.cluster.inject(Fault::Resume(paused)).await;
    assert!(matches!(twice, Err(FaultError::NotApplicable { .. })), "{twice:?}");
    bench.agree(size(protocol) - 1).await;
    bench.stop().await;
}

/// Whoever survives, nothing is acknowledged until there is a majority again, and then all is.
pub async fn without_a_majority_nothing_is_acknowledged(protocol: &dyn Protocol) {
    for survivor_leads in [false, true] {
        let bench = Bench::launch_on_disk(protocol, spec(protocol)).await;
        bench.commit(200).await;
        let leader = bench.leader().await;
        let follower = ReplicaId((leader.0 + 1) % size(protocol) as u32);
        let survivor = if survivor_leads { leader } else { follower };
        for id in ReplicaId::all(size(protocol)).filter(|&id| id != survivor) {
            bench.inject(Fault::Crash(id)).await;
        }
        let (acknowledged, resubmissions) =
            (bench.acknowledged().len(), bench.cluster.observe().resubmissions);
        let waiting = bench.submit(20);
        // Each was refused many times, also by a leader that knows that it lost its followers.
        bench.until("refusals", |seen| seen.resubmissions >= resubmissions + 400).await;
        assert_eq!(bench.acknowledged().len(), acknowledged, "one replica of three acknowledged");
        for id in ReplicaId::all(size(protocol)).filter(|&id| id != survivor) {
            bench.inject(Fault::Restart(id)).await;
        }
        for (_, outcome) in bench.outcomes(waiting).await {
            outcome.unwrap();
        }
        bench.commit(100).await;
        bench.agree(size(protocol)).await;
        bench.stop().await;
    }
}
