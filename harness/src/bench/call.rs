//! The targets of one `cargo bench`: each is a process of its own, and whoever called them wants one answer.
//!
//! They know each other by cargo's process, which is the parent of all. Which of them is the last no one knows, so
//! each leaves the answer as far as it goes.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System, get_current_pid};

use crate::files::{FileError, write_atomically};
use crate::store::{RESULTS_FILE, Store};

/// Where the runs of the last call are kept, within the home.
const FILE: &str = "cargo-bench.json";
const CARGO: &str = "cargo";

/// One call of cargo. Numbers of processes come again, so the time belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    process: u32,
    started_unix_s: u64,
}

/// The runs that are meant where none is named: all of the last call if the newest run is one of them, and else
/// that one alone.
pub(crate) fn newest_runs(store: &Store) -> Vec<String> {
    let newest = store.latest().map(|run| run.run_id).ok();
    let of_call =
        made(store).map(|made| made.runs).filter(|runs| newest.is_some_and(|one| runs.contains(&one)));
    let mut runs = of_call.unwrap_or_default();
    runs.retain(|run| store.home.join(run).join(RESULTS_FILE).is_file());
    if runs.is_empty() { vec!["latest".into()] } else { runs }
}

/// What the last call made. A file that can't be read says no more than one that is not there.
fn made(store: &Store) -> Option<Made> {
    serde_json::from_slice(&std::fs::read(store.home.join(FILE)).ok()?).ok()
}

/// What the targets of a call made so far.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    call: Call,
    /// Ids of runs, in their order.
    runs: Vec<String>,
}

impl Call {
    /// The call that this process is a part of; none when no cargo started it.
    pub fn of_this_process() -> Option<Call> {
        let mut system = System::new();
        let mut process = |pid: Pid| {
            system.refresh_processes_specifics(
                ProcessesToUpdate::Some(&[pid]),
                true,
                ProcessRefreshKind::nothing(),
            );
            let found = system.process(pid)?;
            let name = found.name().to_string_lossy().into_owned();
            Some((name, found.start_time(), found.parent()))
        };
        let (_, _, parent) = process(get_current_pid().ok()?)?;
        let parent = parent?;
        let (name, started_unix_s, _) = process(parent)?;
        let is_cargo = Path::new(&name).file_stem().is_some_and(|stem| stem == CARGO);
        is_cargo.then(|| Call { process: parent.as_u32(), started_unix_s })
    }

    /// Adds a run to those of the call, and gives all of them. What another call left there is forgotten.
    pub fn add(self, store: &Store, run: &str) -> Result<Vec<String>, FileError> {
        let path = store.home.join(FILE);
        let mut runs = made(store).filter(|made| made.call == self).map(|made| made.runs).unwrap_or_default();
        runs.push(run.into());
        let made = Made { call: self, runs };
        let bytes = serde_json::to_vec(&made)
            .map_err(|error| FileError::NotReadableBack { path: path.clone(), reason: error.to_string() })?;
        write_atomically(&path, &bytes)?;
        Ok(made.runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    #[test]
    fn the_runs_of_one_call_are_together_and_another_call_starts_anew() {
        let home = tempfile::tempdir().unwrap();
        let store = Store { home: home.path().into(), committed: None, fingerprint: String::new() };
        let call = Call { process: 7, started_unix_s: 100 };
        assert_eq!(call.add(&store, "a").unwrap(), ["a"]);
        assert_eq!(call.add(&store, "b").unwrap(), ["a", "b"]);
        let later = Call { started_unix_s: 101, ..call };
        assert_eq!(later.add(&store, "c").unwrap(), ["c"]);
        std::fs::write(home.path().join(FILE), "{").unwrap();
        assert_eq!(later.add(&store, "d").unwrap(), ["d"]);
    }

    #[test]
    fn without_a_name_all_targets_of_the_last_call_are_meant_until_there_is_a_newer_run() {
        let home = tempfile::tempdir().unwrap();
        let store = Store { home: home.path().into(), committed: None, fingerprint: String::new() };
        let run = |label| {
            let folder = store.create_run(label).unwrap();
            let mut results = files::parse_results(Path::new("sample"), files::SAMPLE).unwrap();
            results.run_id.clone_from(&folder.id);
            folder.write_results(&results).unwrap();
            folder.id
        };
        assert_eq!(newest_runs(&store), ["latest"]);
        let call = Call { process: 7, started_unix_s: 100 };
        let ids = ["cost", "wan"].map(run);
        ids.iter().for_each(|id| drop(call.add(&store, id).unwrap()));
        assert_eq!(newest_runs(&store), ids);
        std::fs::remove_dir_all(home.path().join(&ids[0])).unwrap();
        assert_eq!(newest_runs(&store), ids[1..]);
        run("run");
        assert_eq!(newest_runs(&store), ["latest"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn cargo_is_known_as_the_parent_when_it_is() {
        // Cargo runs this test, a test runner of another name may too.
        let parent = std::os::unix::process::parent_id();
        let name = std::fs::read_to_string(format!("/proc/{parent}/comm")).unwrap_or_default();
        let expected = (name.trim() == CARGO).then_some(parent);
        assert_eq!(Call::of_this_process().map(|call| call.process), expected);
        assert_eq!(Call::of_this_process(), Call::of_this_process());
    }
}
