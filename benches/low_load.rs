//! The scenario `low_load`: closed loop under Criterion, then its phases in an open loop.

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenarios(&["low_load"], &consensus_bench_suite::suite())
}
