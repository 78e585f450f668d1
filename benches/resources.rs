//! What a load costs in CPU, memory, network and storage, and what limits it.

use consensus_bench_suite::REFERENCES;

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenarios_of(
        &["resources", "resources_wal"],
        &REFERENCES,
        &consensus_bench_suite::suite(),
    )
}
