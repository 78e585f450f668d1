//! Faults under load: how long no one is served, and that nothing is lost.

use consensus_bench_suite::REFERENCES;

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenarios_of(&["fault_tolerance"], &REFERENCES, &consensus_bench_suite::suite())
}
