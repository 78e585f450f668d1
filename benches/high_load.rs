//! The scenario `high_load`: closed loop under Criterion, then its phases in an open loop.

use consensus_bench_suite::REFERENCES;

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenarios_of(&["high_load"], &REFERENCES, &consensus_bench_suite::suite())
}
