//! Phases are parts of what was measured.

use std::time::Duration;

use protocol_core::{Committed, LaunchSpec, Protocol};

use super::bench::Bench;
use super::{size, spec};

/// Commands in flight at once; enough for batches of many sizes.
const COMMANDS: u64 = 300;

fn nanos(time: Duration) -> u64 {
    time.as_nanos() as u64
}

/// Commits commands all at once and one by one, on so many replicas.
async fn commit(bench: &Bench, replicas: usize) -> Vec<Committed> {
    let mut committed = bench.commit(COMMANDS).await;
    for _ in 0..20 {
        committed.extend(bench.commit(1).await);
    }
    for (took, one) in &committed {
        let phases = one.phases;
        assert!(phases.total_ns() <= nanos(*took), "{phases:?} within {took:?}");
        assert!(phases.fsync_ns <= phases.quorum_wait_ns, "{phases:?}");
    }
    bench.agree(replicas).await;
    committed.into_iter().map(|(_, one)| one).collect()
}

pub async fn without_a_disk_nothing_is_flushed(protocol: &dyn Protocol) {
    let bench = Bench::launch(protocol, spec(protocol)).await;
    let committed = commit(&bench, size(protocol)).await;
    assert!(committed.iter().all(|one| one.phases.fsync_ns == 0));
    assert!(committed.iter().all(|one| one.phases.consensus_ns() > 0));
    bench.stop().await;
}

/// On a fast disk the flush is often over before the messages are out, and then no one waits for it; so
/// commands are tried until one had to.
pub async fn a_log_on_disk_is_waited_for(protocol: &dyn Protocol) {
    let bench = Bench::launch_on_disk(protocol, spec(protocol)).await;
    let mut committed = commit(&bench, size(protocol)).await;
    for _ in 0..100 {
        if committed.iter().any(|one| one.phases.fsync_ns > 0) {
            return bench.stop().await;
        }
        committed = commit(&bench, size(protocol)).await;
    }
    panic!("no command ever waited for the log");
}

/// For most protocols that is a replica alone.
pub async fn the_smallest_cluster_has_phases_too(protocol: &dyn Protocol) {
    let smallest = protocol.descriptor().size_for(1);
    for bench in [
        Bench::launch(protocol, LaunchSpec::in_memory(smallest)).await,
        Bench::launch_on_disk(protocol, LaunchSpec::in_memory(smallest)).await,
    ] {
        let committed = commit(&bench, smallest).await;
        assert!(committed.iter().all(|one| one.phases.consensus_ns() > 0));
        bench.stop().await;
    }
}

/// No quorum is there before a round trip is over. The messages to several peers go out one after the
/// other, and the first answer may be to the first, so that the whole round trip lies within
/// replication and quorum wait; that it is not all called replication, most commands show.
pub async fn a_quorum_takes_a_round_trip(protocol: &dyn Protocol) {
    let mut spec = spec(protocol);
    spec.network.link.delay = Duration::from_millis(5);
    let round_trip = nanos(2 * spec.network.link.delay);
    let bench = Bench::launch(protocol, spec).await;
    let committed = commit(&bench, size(protocol)).await;
    for one in &committed {
        assert!(one.phases.consensus_ns() >= round_trip, "{:?}", one.phases);
    }
    let waited = committed.iter().filter(|one| one.phases.quorum_wait_ns >= round_trip).count();
    assert!(2 * waited > committed.len(), "{waited} of {} waited for a round trip", committed.len());
    bench.stop().await;
}
