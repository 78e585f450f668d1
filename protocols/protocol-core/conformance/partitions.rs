//! Networks that carry some messages and not others.

use protocol_core::{Fault, LaunchSpec, Protocol, ReplicaId};

use super::bench::Bench;
use super::{keeps_its_leader, size, spec};

pub async fn a_leader_that_is_cut_off_is_replaced_and_rejoins(protocol: &dyn Protocol) {
    let bench = Bench::launch(protocol, spec(protocol)).await;
    bench.commit(100).await;
    let leader = bench.leader().await;
    bench.agree(size(protocol)).await;
    let delivered = || bench.cluster.observe().replicas[leader.index()].delivered;
    let before = delivered();
    for peer in ReplicaId::all(size(protocol)).filter(|&peer| peer != leader) {
        bench.inject(Fault::Cut { from: leader, to: peer }).await;
        bench.inject(Fault::Cut { from: peer, to: leader }).await;
    }
    // These reach the old leader, which can't commit them and gives them back.
    bench.commit(200).await;
    assert!(!keeps_its_leader(protocol) || bench.leader().await != leader);
    assert_eq!(delivered(), before, "the old leader is alone");
    heal_and_agree(bench, size(protocol)).await;
}

pub async fn a_leader_that_no_one_hears_is_replaced(protocol: &dyn Protocol) {
    let bench = Bench::launch(protocol, spec(protocol)).await;
    bench.commit(100).await;
    let leader = bench.leader().await;
    for peer in ReplicaId::all(size(protocol)).filter(|&peer| peer != leader) {
        bench.inject(Fault::Cut { from: leader, to: peer }).await;
    }
    bench.progress("commits without the old leader", 200).await;
    assert!(!keeps_its_leader(protocol) || bench.leader().await != leader);
    heal_and_agree(bench, size(protocol)).await;
}

/// Its followers still hear it, and don't miss a leader unless it gives way by itself.
pub async fn an_idle_leader_that_hears_no_one_gives_way(protocol: &dyn Protocol) {
    let bench = Bench::launch(protocol, spec(protocol)).await;
    bench.commit(100).await;
    bench.agree(size(protocol)).await;
    let leader = deafen_the_leader(&bench, size(protocol)).await;
    bench.another_leader(leader).await;
    bench.progress("commits without the old leader", 200).await;
    heal_and_agree(bench, size(protocol)).await;
}

/// As before, with commands in the leader's log that wait for a quorum. Some libraries go on sending
/// them, which keeps the followers quiet until the fault ends; then nothing may be lost.
pub async fn a_busy_leader_that_hears_no_one(protocol: &dyn Protocol, gives_way: bool) {
    let bench = Bench::launch(protocol, spec(protocol)).await;
    bench.commit(100).await;
    let leader = deafen_the_leader(&bench, size(protocol)).await;
    if gives_way {
        bench.progress("commits without the old leader", 200).await;
        assert!(!keeps_its_leader(protocol) || bench.leader().await != leader);
    } else {
        let before = bench.cluster.observe().resubmissions;
        bench.submit(50);
        bench.until("refusals", |seen| seen.resubmissions >= before + 500).await;
    }
    heal_and_agree(bench, size(protocol)).await;
}

/// Cuts the leader's incoming links.
async fn deafen_the_leader(bench: &Bench, replicas: usize) -> ReplicaId {
    let leader = bench.leader().await;
    for peer in ReplicaId::all(replicas).filter(|&peer| peer != leader) {
        bench.inject(Fault::Cut { from: peer, to: leader }).await;
    }
    leader
}

async fn heal_and_agree(bench: Bench, replicas: usize) {
    bench.inject(Fault::Heal).await;
    bench.all_answered().await;
    bench.commit(100).await;
    bench.agree(replicas).await;
    bench.stop().await;
}

/// Five replicas of which all can talk to one, and to no other. Only that one can lead, while the
/// leader is another: the *quorum-loss* case of Ng, Haridi and Carbone, "Omni-Paxos" (EuroSys 2023).
pub async fn only_the_hub_can_lead(protocol: &dyn Protocol) {
    let bench = Bench::launch(protocol, LaunchSpec::in_memory(5)).await;
    bench.commit(100).await;
    let leader = bench.leader().await;
    let hub = ReplicaId((leader.0 + 1) % 5);
    let apart = |&(from, to): &(ReplicaId, ReplicaId)| from != to && from != hub && to != hub;
    for (from, to) in
        ReplicaId::all(5).flat_map(|from| ReplicaId::all(5).map(move |to| (from, to))).filter(apart)
    {
        bench.inject(Fault::Cut { from, to }).await;
    }
    bench.progress("commits through the hub", 200).await;
    assert_eq!(bench.leader().await, hub);
    heal_and_agree(bench, 5).await;
}
