//! The scenario `stress`: closed loop under Criterion, then all five phases, breaking point and recovery.

use consensus_bench_suite::REFERENCES;

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenarios_of(&["stress"], &REFERENCES, &consensus_bench_suite::suite())
}
