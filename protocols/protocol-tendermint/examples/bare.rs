//! What agreement alone costs: replicas in one thread, messages passed by a queue, no network, no clients
//! and no disk. Prints CPU time per decision, all replicas together, and commands per second.
//!
//! `cargo run --release -p protocol-tendermint --example bare`
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "measures in real time, and prints")]

use std::time::{Duration, Instant};

use protocol_core::{Command, CommandId, Counters, Protocol, SimulationSpec, Time};
use protocol_tendermint::Tendermint;

/// Decisions before the clock starts, and while it runs for so long.
const WARM_UP: u64 = 20;
const MEASURED: Duration = Duration::from_secs(2);

/// What this thread took of a processor, which neighbours do not change; where the system doesn't say, the
/// time that passed.
fn taken(since: Instant) -> Duration {
    let on_processor = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = on_processor.and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| since.elapsed(), Duration::from_nanos)
}

/// Decides batch after batch; decisions, the time they took, and what replicas counted.
fn measure(protocol: Tendermint, replicas: usize, batch: u64) -> (u64, Duration, Counters) {
    let spec = SimulationSpec::uniform(replicas, Duration::from_millis(1), 1);
    let Ok(mut cluster) = protocol.simulate_with_real_signatures(&spec) else {
        unreachable!("the sizes below are valid")
    };
    let mut decide = |number: u64| {
        let now = cluster.now();
        for id in number * batch..(number + 1) * batch {
            cluster.submit(now, Command::new(CommandId(id), &[7; 128]), Time(u64::MAX));
        }
        let mut open = batch as usize;
        while open > 0 && cluster.run_until_answer(now + Duration::from_secs(60)) {
            open -= cluster.take_answers().len();
        }
        assert_eq!(open, 0, "not all commands were decided");
        cluster.observe().total()
    };
    let mut before = Counters::default();
    (0..WARM_UP).for_each(|number| before = decide(number));
    let (start, mut decisions) = (Instant::now(), 0);
    let (before_ns, mut after) = (taken(start), before);
    while start.elapsed() < MEASURED {
        after = decide(WARM_UP + decisions);
        decisions += 1;
    }
    (decisions, taken(start) - before_ns, after - before)
}

fn main() {
    println!(
        "protocol        replicas  batch  ms/decision  commands/s  signed  verified  codes  (per decision)"
    );
    for protocol in [Tendermint::SIGNATURES, Tendermint::CODES] {
        let sizes = [4, 7, 16, 31].map(|replicas| (replicas, 1));
        for (replicas, batch) in sizes.into_iter().chain([10, 100, 1_000].map(|batch| (4, batch))) {
            let (decisions, took, counted) = measure(protocol, replicas, batch);
            let each = |count: u64| count as f64 / decisions as f64;
            println!(
                "{:<15} {replicas:>8} {batch:>6} {:>12.3} {:>11.0} {:>7.1} {:>9.1} {:>6.1}",
                protocol.descriptor().name,
                1e3 * took.as_secs_f64() / decisions as f64,
                (decisions * batch) as f64 / took.as_secs_f64(),
                each(counted.signatures),
                each(counted.verifications),
                each(counted.macs),
            );
        }
    }
}
