//! The scenario `stress`: closed loop under Criterion, then its phases in an open loop.

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenario("stress", &consensus_bench_suite::protocols())
}
