//! How fast virtual time passes: events of the simulator per second, for each protocol that has it.

use std::time::Duration;

use consensus_bench::bench::criterion;
use criterion::{BenchmarkId, Throughput};
use protocol_core::{Command, CommandId, Simulation, SimulationSpec, Time};

const NEVER: Time = Time(u64::MAX);
/// Gossip may leave a replica out, and then no one would ever say so.
const PATIENCE: Duration = Duration::from_secs(10);

/// Clients, each with one request in flight, and what they sent so far.
struct Loop {
    simulation: Box<dyn Simulation>,
    next_id: u64,
}

impl Loop {
    fn send(&mut self, at: Time) {
        self.simulation.submit(at, Command::new(CommandId(self.next_id), &[0x5A; 128]), at + PATIENCE);
        self.next_id += 1;
    }

    /// Runs at least so many events, and returns how many they were.
    fn run(&mut self, events: u64) -> u64 {
        let start = self.simulation.events();
        while self.simulation.events() - start < events {
            self.simulation.run_until_answer(NEVER);
            for answered in self.simulation.take_answers() {
                self.send(answered.answered);
            }
        }
        self.simulation.events() - start
    }
}

fn main() {
    let mut criterion = criterion();
    let suite = consensus_bench_suite::suite();
    let mut group = criterion.benchmark_group("simulator");
    group.throughput(Throughput::Elements(1));
    for (replicas, clients) in [(5, 1), (5, 64), (31, 1), (101, 1)] {
        for protocol in suite.all() {
            let spec = SimulationSpec::uniform(replicas, Duration::from_micros(250), 1);
            // One that has no virtual time says so in the targets `cost` and `wan`.
            let Ok(simulation) = protocol.protocol.simulate(&spec) else { continue };
            let mut closed = Loop { simulation, next_id: 0 };
            (0..clients).for_each(|_| closed.send(Time(0)));
            let id = BenchmarkId::new(&protocol.name, format!("replicas={replicas}/clients={clients}"));
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|events| {
                    let started = std::time::Instant::now();
                    let ran = closed.run(events);
                    // A round ends with an answer, which may be a few events later.
                    started.elapsed().mul_f64(events as f64 / ran as f64)
                });
            });
        }
    }
    group.finish();
    criterion.final_summary();
}
