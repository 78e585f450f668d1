//! `--profile-time` for Criterion: the same files as `consensus-bench profile` writes, per benchmark.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use criterion::profiler::Profiler;

use crate::machine;
use crate::profile::{Bounded, ProfileError, ProfileFiles, Profiled, ProfiledLoad, Sampling, attribute};
use crate::session::git_commit;

/// Commands that closed loops committed since the process began. Criterion's profiler and the benchmark that
/// it watches know nothing of each other.
static COMMITTED: AtomicU64 = AtomicU64::new(0);

/// Counts commands that a closed loop committed.
pub(super) fn committed(commands: u64) {
    COMMITTED.fetch_add(commands, Relaxed);
}

/// Samples the whole process by CPU time. Waits are not seen.
#[derive(Default)]
pub struct PprofProfiler {
    running: Option<(Sampling, u64)>,
}

impl Profiler for PprofProfiler {
    fn start_profiling(&mut self, id: &str, _folder: &Path) {
        match Sampling::start() {
            Ok(sampling) => self.running = Some((sampling, COMMITTED.load(Relaxed))),
            Err(error) => eprintln!("{id}: {error}"),
        }
    }

    fn stop_profiling(&mut self, id: &str, folder: &Path) {
        let Some((sampling, before)) = self.running.take() else { return };
        let commits = COMMITTED.load(Relaxed).saturating_sub(before);
        match write(id, sampling, (commits > 0).then_some(commits), folder) {
            Ok(files) => println!("{id}: profile in {}", files.folder.display()),
            Err(error) => eprintln!("{id}: {error}"),
        }
    }
}

fn write(
    id: &str,
    sampling: Sampling,
    commits: Option<u64>,
    folder: &Path,
) -> Result<ProfileFiles, ProfileError> {
    let samples = sampling.stop()?;
    let machine = machine::describe().fingerprint;
    let profiled = Profiled { commits, machine, commit: git_commit(), ..named(id) };
    let cpu_ns =
        samples.cpu_s.zip(commits).map(|(cpu_s, commits)| Bounded::exactly(cpu_s * 1e9 / commits as f64));
    ProfileFiles::write(folder, &samples, &attribute(&samples, profiled, cpu_ns))
}

/// What an id `scenario/protocol/parameter=value` says.
fn named(id: &str) -> Profiled {
    let mut parts = id.splitn(3, '/').map(str::to_string);
    let (scenario, protocol) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let clients = parts.next().and_then(|parameter| parameter.strip_prefix("clients=")?.parse().ok());
    let load = clients.map_or(ProfiledLoad::Other, |clients| ProfiledLoad::Closed { clients });
    Profiled { scenario, protocol, load, ..Profiled::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_scenario_protocol_and_clients() {
        let named = named("high_load/raft-rs/clients=64");
        assert_eq!((named.scenario.as_str(), named.protocol.as_str()), ("high_load", "raft-rs"));
        assert_eq!(named.load, ProfiledLoad::Closed { clients: 64 });
        assert_eq!(super::named("simulator/events").load, ProfiledLoad::Other);
        assert_eq!(super::named("alone").protocol, "");
    }
}
