//! The scenario `stress`: closed loop under Criterion, then all five phases, breaking point and recovery.

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenarios(&["stress"], &consensus_bench_suite::suite())
}
