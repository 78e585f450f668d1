//! The core without a driver: all replicas in one loop on one thread, messages handed over as they are. What
//! this gives is the most that a benchmark on one core can give.
//!
//! `cargo run --release -p protocol-pbft --example bare`
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};

use protocol_core::{
    Application, Boot, Command, CommandId, Effects, Input, Protocol, Replica, ReplicaId, Settings,
    SimulationSpec, Time,
};
use protocol_pbft::{Pbft, PbftMessage, PbftReplica, SignatureScheme};

/// Commands under way.
const WINDOW_COMMANDS: u64 = 4_000;

struct Node {
    replica: PbftReplica,
    application: Application,
    inbox: VecDeque<(ReplicaId, PbftMessage)>,
}

/// Nanoseconds that this thread was on a processor.
fn cpu_ns() -> u64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    schedstat.split(' ').next().unwrap().parse().unwrap()
}

fn measure(protocol: Pbft, replicas: usize, batch: u64, commands: u64) {
    let mut spec = SimulationSpec::uniform(replicas, std::time::Duration::ZERO, 1);
    let settings: BTreeMap<_, _> = [("largest_batch_commands".to_string(), batch as f64)].into();
    spec.settings = Settings::checked(settings, &protocol.descriptor()).unwrap();
    let setup = protocol.simulated_setup(&spec, SignatureScheme::Ed25519).unwrap();
    let seal = protocol.seal(&setup);
    let sealed: Vec<Command> =
        (0..commands).map(|id| seal.apply(&Command::new(CommandId(id), &[7; 120]))).collect();
    let mut nodes: Vec<Node> = ReplicaId::all(replicas)
        .map(|id| {
            let application = Application::default();
            let boot = Boot { id, replicas, application: application.clone(), records: Vec::new() };
            Node { replica: PbftReplica::new(boot, &setup).unwrap(), application, inbox: VecDeque::new() }
        })
        .collect();
    let (mut sent, mut done, mut decisions, mut messages) = (0, 0, 0, 0u64);
    let begin = cpu_ns();
    while done < commands {
        let more = (done + WINDOW_COMMANDS).min(commands);
        let requests = &sealed[sent as usize..more as usize];
        sent = more;
        for id in 0..replicas {
            let node = &mut nodes[id];
            let mut effects = Effects::<PbftReplica>::default();
            for (from, message) in node.inbox.drain(..) {
                node.replica.step(Time(0), Input::Message { from, message }, &mut effects);
            }
            for batch in requests.chunks(1_024) {
                node.replica.step(Time(0), Input::Requests(batch.to_vec()), &mut effects);
            }
            node.replica.flush(Time(0), &mut effects);
            let mut log = node.application.log();
            for (slot, command) in effects.delivered() {
                log.apply(slot, command);
            }
            done = if id == 0 { log.ids().len() } else { done };
            drop(log);
            for (to, message) in effects.take_sends() {
                messages += 1;
                nodes[to.index()].inbox.push_back((ReplicaId(id as u32), message));
            }
            decisions += if id == 0 { effects.batches() } else { 0 };
        }
    }
    let cpu = (cpu_ns() - begin) as f64;
    let (rate, per_decision) = (commands as f64 / cpu * 1e9, cpu / decisions as f64 / 1e6);
    println!(
        "{:<12} n={replicas:<3} batch {batch:<5} {rate:>9.0} commands/s  {per_decision:>8.3} ms CPU and {:>6.1} messages per decision",
        protocol.descriptor().name,
        messages as f64 / decisions as f64,
    );
}

fn main() {
    for (protocol, scale) in [(Pbft::MAC, 10), (Pbft::SIGNED, 1)] {
        measure(protocol, 4, 1_000, 40_000 * scale);
        measure(protocol, 4, 10, 10_000 * scale);
        measure(protocol, 31, 10, 1_000 * scale);
    }
}
