//! Agreement, validity and integrity without a fault: all replicas apply what was sent, the same, and once.

use std::collections::BTreeSet;
use std::time::Duration;

use protocol_core::{
    Application, Command, CommandId, FRAME_HEADER_BYTES, LaunchSpec, MessageKind, NetworkSpec, Protocol,
    SimulationSpec, SubmitError, Timing, submit_and_wait,
};

use super::bench::{Bench, PAYLOAD_BYTES};
use super::virtual_time::{command, one_by_one, settle};
use super::{deduplicates, size, spec};

/// No election but the first, however busy the machine is.
const PATIENT: Timing = Timing {
    heartbeat: Duration::from_millis(50),
    election_min: Duration::from_secs(10),
    election_max: Duration::from_secs(20),
};

pub async fn commands_commit_once_on_every_network_and_storage(protocol: &dyn Protocol) {
    for network in [NetworkSpec::channel(), NetworkSpec::tcp()] {
        let spec = LaunchSpec { network, timing: PATIENT, ..spec(protocol) };
        commit_once(protocol, Bench::launch(protocol, spec.clone()).await, false).await;
        commit_once(protocol, Bench::launch_on_disk(protocol, spec).await, true).await;
    }
}

async fn commit_once(protocol: &dyn Protocol, bench: Bench, on_disk: bool) {
    const COMMANDS: u64 = 1_000;
    let n = size(protocol) as u64;
    bench.commit(1).await;
    let before = bench.cluster.observe();
    let committed = bench.commit(COMMANDS).await;
    bench.agree(size(protocol)).await;
    let slots: BTreeSet<_> = committed.iter().map(|(_, one)| one.slot).collect();
    assert_eq!(slots.len() as u64, COMMANDS, "two commands were told the same place");
    let after = bench.cluster.observe();
    assert!(after.replicas.iter().all(|replica| replica.misbehaviour.is_empty()), "{after:#?}");
    assert_eq!(after.resubmissions, before.resubmissions, "nothing failed");
    let (spent, payload) = (after.total() - before.total(), COMMANDS * PAYLOAD_BYTES);
    assert_eq!(spent.proposed_commands, COMMANDS);
    assert!((1..=COMMANDS).contains(&spent.proposals), "{} proposals", spent.proposals);
    let sent = spent.of(MessageKind::Protocol);
    // Where clients ask every replica, commands need not travel between replicas.
    let carried = if deduplicates(protocol) { 0 } else { (n - 1) * payload };
    assert!(sent.bytes >= carried + sent.messages * FRAME_HEADER_BYTES as u64, "{sent:?}");
    for (before, after) in before.replicas.iter().zip(&after.replicas) {
        let spent = after.counters - before.counters;
        assert!(if on_disk { spent.log_bytes >= payload } else { spent.log_bytes == 0 }, "{spent:?}");
        assert!(spent.syncs > 0 || !on_disk, "{spent:?}");
    }
    bench.cluster.stop().await;
    let too_late = submit_and_wait(&*bench.cluster, Command::new(CommandId(COMMANDS + 1), b"")).await;
    assert_eq!(too_late, Err(SubmitError::Unavailable));
}

/// One command after the other over slow links; how many one-way delays fit into the median says how many the
/// protocol makes.
pub async fn a_closed_loop_takes_the_delays_of_the_floor(protocol: &dyn Protocol) {
    let mut spec = spec(protocol);
    let one_way = Duration::from_millis(25);
    (spec.network.link.delay, spec.timing) = (one_way, Timing::for_delay(one_way));
    let bench = Bench::launch(protocol, spec).await;
    bench.commit(1).await;
    let mut times = Vec::new();
    for _ in 0..15 {
        times.extend(bench.commit(1).await.iter().map(|(_, one)| one.phases.total_ns()));
    }
    times.sort_unstable();
    let delays = times[times.len() / 2] as f64 / one_way.as_nanos() as f64;
    let floor = (protocol.descriptor().floors)(size(protocol)).delays;
    assert_eq!(delays.floor(), floor, "{delays} delays");
    bench.stop().await;
}

/// Whoever hears where each command stands, and knows what it asked for, knows what every replica applied.
pub fn answers_tell_what_every_replica_applied(protocol: &dyn Protocol) {
    let spec = SimulationSpec::uniform(size(protocol), Duration::from_millis(2), 1);
    let mut simulation = protocol.simulate(&spec).unwrap();
    let expected = Application::new(protocol.descriptor().order);
    for answer in one_by_one(&mut *simulation, 0..40) {
        expected.log().apply(answer.outcome.unwrap(), &command(answer.id.0));
    }
    settle(&mut *simulation, 40);
    let logs = simulation.audit();
    assert_eq!(logs.len(), spec.replicas);
    for (id, log) in &logs {
        assert_eq!(log.agrees_with(&expected.log()), Ok(true), "replica {id}");
    }
}
