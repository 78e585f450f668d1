//! Latency in all percentiles, and where it goes inside the cluster; in memory and with a log on disk.

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenarios(&["latency", "latency_wal"], &consensus_bench_suite::suite())
}
