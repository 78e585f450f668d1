//! Latency in all percentiles, and where it goes inside the cluster; in memory and with a log on disk.

use consensus_bench_suite::REFERENCES;

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenarios_of(
        &["latency", "latency_wal"],
        &REFERENCES,
        &consensus_bench_suite::suite(),
    )
}
