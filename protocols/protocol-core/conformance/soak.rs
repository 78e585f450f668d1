//! The same faults again and again, to find what goes wrong once in a hundred times.

use protocol_core::{Fault, Protocol};

use super::bench::Bench;
use super::{size, spec};

/// Repetitions when the environment says nothing: enough to see that the check works.
const REPETITIONS: u64 = 3;

fn repetitions() -> u64 {
    match std::env::var("SOAK_REPETITIONS") {
        Ok(number) => number.parse().expect("SOAK_REPETITIONS is a number"),
        Err(_) => REPETITIONS,
    }
}

/// The leader crashes under load and comes back from its log.
pub async fn leaders_crash_and_restart_under_load(protocol: &dyn Protocol) {
    let bench = Bench::launch_on_disk(protocol, spec(protocol)).await;
    for _ in 0..repetitions() {
        bench.progress("commits with all", 100).await;
        let leader = bench.leader().await;
        bench.submit(200);
        bench.inject(Fault::Crash(leader)).await;
        bench.progress("commits without the leader", 100).await;
        bench.submit(200);
        bench.inject(Fault::Restart(leader)).await;
    }
    bench.all_answered().await;
    bench.commit(100).await;
    bench.agree(size(protocol)).await;
    bench.stop().await;
}
