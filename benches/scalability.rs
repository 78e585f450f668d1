//! Throughput over sizes of the cluster and numbers of clients.

use consensus_bench_suite::REFERENCES;

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenarios_of(&["scalability"], &REFERENCES, &consensus_bench_suite::suite())
}
