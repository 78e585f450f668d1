//! What is counted instruction by instruction: commits of every protocol in virtual time, on one thread with
//! fixed seeds, and the harness's own hot paths. The same program does the same in every run, so a count tells
//! of a change that no clock would see.
//!
//! The bench target counts instructions under callgrind; the binary `instruction-workloads` does the same
//! without valgrind, says how many operations each workload has, and counts what they take from the heap.

mod closed_loop;
mod entropy;
mod paths;
mod protocols;
mod relay;

use consensus_bench::gate::instructions::Per;

pub use closed_loop::ClosedLoop;
pub use relay::{Relay, RelayMessage};

/// Something made ready, of which one run is counted.
pub trait Workload {
    /// Does it, and says how many operations that were.
    fn run(&mut self) -> u64;

    /// What was wrong with what it did; of such a run no count is told.
    fn check(&mut self) -> Result<(), String>;
}

/// Every workload, in the order of tables.
pub fn names() -> Vec<(&'static str, Per)> {
    let protocols = protocols::all();
    let protocols = protocols.iter().map(|protocol| (protocol.descriptor().name, Per::Commit));
    protocols.chain(paths::ALL.iter().map(|(name, _)| (*name, Per::Operation))).collect()
}

/// Makes a workload ready, or says why it can't.
pub fn prepare(name: &str) -> Result<Box<dyn Workload>, String> {
    if let Some((_, make)) = paths::ALL.iter().find(|(path, _)| *path == name) {
        return make().map_err(|error| format!("{name}: {error}"));
    }
    let mut protocols = protocols::all().into_iter();
    let protocol = protocols
        .find(|protocol| protocol.descriptor().name == name)
        .ok_or_else(|| format!("no workload is called {name}: see src/protocols.rs and src/paths.rs"))?;
    match ClosedLoop::start(&*protocol) {
        Ok(clients) => Ok(Box::new(clients)),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_does_the_same_each_time_and_keeps_its_promises() {
        for (name, _) in names() {
            let run = || {
                let mut workload = prepare(name).unwrap();
                let operations = workload.run();
                workload.check().unwrap_or_else(|what| panic!("{name}: {what}"));
                operations
            };
            let operations = run();
            assert!(operations > 0, "{name} did nothing");
            assert_eq!(run(), operations, "{name}");
        }
    }

    #[test]
    fn names_are_unlike_and_nothing_else_can_be_prepared() {
        let mut all: Vec<&str> = names().into_iter().map(|(name, _)| name).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(prepare("nothing").is_err_and(|error| error.starts_with("no workload is called nothing")));
    }
}
