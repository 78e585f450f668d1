//! What a load costs in CPU, memory, network and storage, and what limits it.

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenarios(&["resources", "resources_wal"], &consensus_bench_suite::suite())
}
