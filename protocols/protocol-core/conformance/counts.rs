//! Counters add up.

use std::time::Duration;

use protocol_core::{FRAME_HEADER_BYTES, MessageKind, Protocol, SimulationSpec};

use super::size;
use super::virtual_time::{PAYLOAD_BYTES, closed_loop, quiet, run_for};

const COMMANDS: u64 = 50;
const SETTLED: Duration = Duration::from_secs(1);

/// One command at a time, and nothing else that costs anything: what was sent arrives, all replicas log what
/// they apply, and nothing is cheaper than the descriptor's floors.
pub fn what_replicas_count_adds_up(protocol: &dyn Protocol) {
    for replicas in [size(protocol), protocol.descriptor().size_for(size(protocol) + 2)] {
        let one_way = Duration::from_millis(10);
        let mut spec = quiet(SimulationSpec::uniform(replicas, one_way, 1));
        (spec.durable, spec.costs.fsync_ns) = (true, 1.0);
        let mut simulation = protocol.simulate(&spec).unwrap();
        closed_loop(&mut *simulation, 0..10);
        run_for(&mut *simulation, SETTLED);
        let before = simulation.observe();
        let latencies = closed_loop(&mut *simulation, 10..10 + COMMANDS);
        run_for(&mut *simulation, SETTLED);
        let after = simulation.observe();

        let spent = after.total() - before.total();
        let floors = (protocol.descriptor().floors)(replicas);
        let at_least = |count: u64, floor: f64| {
            assert!(
                count as f64 >= COMMANDS as f64 * floor,
                "{count} for {COMMANDS} times {floor}: {spent:#?}"
            );
        };
        assert_eq!((spent.proposals, spent.proposed_commands), (COMMANDS, COMMANDS));
        at_least(spent.of(MessageKind::Protocol).messages, floors.messages_per_batch);
        at_least(spent.signatures, floors.signatures_per_batch);
        at_least(spent.verifications, floors.verifications_per_batch);
        at_least(spent.macs, floors.macs_per_batch + floors.macs_per_command);
        let floor_ns = (floors.delays * one_way.as_nanos() as f64) as u64;
        assert!(latencies.iter().all(|&latency| latency >= floor_ns), "{latencies:?}");
        let sent: u64 = spent.traffic.iter().map(|traffic| traffic.messages).sum();
        for traffic in spent.traffic {
            assert!(traffic.bytes >= traffic.messages * FRAME_HEADER_BYTES as u64, "{traffic:?}");
        }
        // A library that owns its runtime counts no wake-ups, nor what is handed over at them.
        assert!(spent.wake_ups == 0 || spent.drained_messages == sent, "{sent} sent: {spent:#?}");
        for (before, after) in before.replicas.iter().zip(&after.replicas) {
            let spent = after.counters - before.counters;
            assert_eq!(after.delivered - before.delivered, COMMANDS);
            assert!(spent.log_bytes >= COMMANDS * PAYLOAD_BYTES && spent.syncs > 0, "{spent:?}");
        }
    }
}
