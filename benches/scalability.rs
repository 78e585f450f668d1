//! Throughput over sizes of the cluster and numbers of clients.

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenarios(&["scalability"], &consensus_bench_suite::suite())
}
