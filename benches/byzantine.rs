//! Replicas that lie, under load in real time: what it costs while it lasts, and that no one believes them.

use consensus_bench_suite::BYZANTINE;

fn main() -> std::process::ExitCode {
    consensus_bench::bench::scenarios_of(&["byzantine"], &BYZANTINE, &consensus_bench_suite::suite())
}
