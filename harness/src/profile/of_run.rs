//! Which profile belongs to which result of a run: a run and the profile of its work are made by two commands.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::allocations::SITES;
use super::{AllocationSites, Attribution, PROFILE_FOLDER, ProfileFiles, Profiled};
use crate::results::{RunResults, ScenarioResult};
use crate::store::{RunFolder, Store};

/// A profile with its numbers.
#[derive(Clone, Debug)]
pub struct FoundProfile {
    /// Its files.
    pub files: ProfileFiles,
    /// Its numbers.
    pub attribution: Attribution,
}

/// Where memory was taken, and which run's folder says so.
#[derive(Clone, Debug)]
pub struct FoundAllocations {
    /// The name of the folder.
    pub run: String,
    /// The sites.
    pub sites: AllocationSites,
}

/// The profiles of a run's results, one for each at most: the one in the run's own folder, or the one made nearest
/// in time by itself, of the same protocol, scenario and settings, at the same commit and on the same machine. A
/// profile that can't be read is none.
pub fn profiles_of(run: &RunResults, folder: &Path, store: &Store) -> Vec<FoundProfile> {
    nearest(run, folder, store, profile_in, |found| &found.attribution.profiled)
}

/// The profiles of allocations of a run's results, found in the same way.
pub fn allocations_of(run: &RunResults, folder: &Path, store: &Store) -> Vec<FoundAllocations> {
    nearest(run, folder, store, allocations_in, |found| &found.sites.profiled)
}

fn nearest<F: Clone>(
    run: &RunResults,
    folder: &Path,
    store: &Store,
    found_in: impl Fn(&Path) -> Option<F>,
    profiled: impl Fn(&F) -> &Profiled,
) -> Vec<F> {
    let mut known: Vec<(Duration, F)> =
        store.run_folders().iter().filter_map(|other| Some((apart(run, other), found_in(other)?))).collect();
    // Those made at the same distance are told apart by their names, which sort by time.
    known.sort_by_key(|(apart, _)| *apart);
    let all: Vec<F> = found_in(folder).into_iter().chain(known.into_iter().map(|(_, found)| found)).collect();
    let of = |result: &ScenarioResult| all.iter().find(|found| is_of(profiled(found), run, result)).cloned();
    run.results.iter().filter_map(of).collect()
}

fn profile_in(run_folder: &Path) -> Option<FoundProfile> {
    let files = ProfileFiles { folder: run_folder.join(PROFILE_FOLDER) };
    let attribution = files.attribution().ok()?;
    Some(FoundProfile { files, attribution })
}

fn allocations_in(run_folder: &Path) -> Option<FoundAllocations> {
    let sites = AllocationSites::read(&run_folder.join(PROFILE_FOLDER).join(SITES)).ok()?;
    Some(FoundAllocations { run: run_folder.file_name()?.to_string_lossy().into_owned(), sites })
}

/// How far in time a folder was made from a run; a folder without a time in its name is the farthest.
fn apart(run: &RunResults, folder: &Path) -> Duration {
    let made = folder.file_name().and_then(|name| RunFolder::started(&name.to_string_lossy()));
    // A results file may hold a time that no clock has.
    let started = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(run.started_unix_s));
    made.zip(started).map_or(Duration::MAX, |(made, started)| {
        made.duration_since(started).or_else(|_| started.duration_since(made)).unwrap_or(Duration::MAX)
    })
}

fn is_of(profiled: &Profiled, run: &RunResults, result: &ScenarioResult) -> bool {
    let is_known_commit = profiled.commit.is_some() && run.manifest.commit.is_some();
    let same_code = !is_known_commit || profiled.commit == run.manifest.commit;
    let here = run.manifest.machine.fingerprint.as_str();
    let same_machine = profiled.machine.is_empty() || profiled.machine == here;
    let same_work = (&profiled.protocol, &profiled.scenario, &profiled.settings)
        == (&result.protocol, &result.scenario.name, &result.settings);
    same_work && same_code && same_machine
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::report::samples;

    /// A profile of raft-rs at a commit, in a folder of a run called so.
    fn profile(store: &Store, id: &str, commit: &str, settings: &[(&str, f64)]) {
        let settings: BTreeMap<String, f64> =
            settings.iter().map(|(name, value)| (name.to_string(), *value)).collect();
        let profiled = Profiled {
            scenario: "resources".into(),
            protocol: "raft-rs".into(),
            settings,
            commit: Some(commit.into()),
            ..Profiled::default()
        };
        samples::profile_of(profiled, &store.home.join(id).join(PROFILE_FOLDER), 0);
    }

    #[test]
    fn a_result_gets_the_profile_of_its_own_work_at_its_own_commit_made_nearest_in_time() {
        let home = tempfile::tempdir().unwrap();
        let store = Store { home: home.path().into(), committed: None, fingerprint: String::new() };
        let mut run = samples::run();
        run.manifest.commit = Some("a".into());
        run.started_unix_s = 1_795_262_400; // 2026-11-21T12:00:00Z
        let found = |run: &RunResults| -> Vec<String> {
            let folder = home.path().join("own");
            let folders = profiles_of(run, &folder, &store).into_iter().map(|found| found.files.folder);
            folders.map(|path| path.strip_prefix(home.path()).unwrap().display().to_string()).collect()
        };
        assert_eq!(found(&run), Vec::<String>::new());
        profile(&store, "20261121T090000.000Z-profile", "a", &[]);
        profile(&store, "20261121T120500.000Z-profile", "a", &[]);
        profile(&store, "20261121T120001.000Z-profile", "b", &[]);
        profile(&store, "20261121T120002.000Z-profile", "a", &[("batch", 1.0)]);
        assert_eq!(found(&run), ["20261121T120500.000Z-profile/profile"]);
        run.started_unix_s -= 3 * 3_600;
        assert_eq!(found(&run), ["20261121T090000.000Z-profile/profile"]);
        run.manifest.commit = Some("b".into());
        assert_eq!(found(&run), ["20261121T120001.000Z-profile/profile"]);
        // What lies in the run's own folder comes first.
        profile(&store, "own", "b", &[]);
        assert_eq!(found(&run), ["own/profile"]);
        run.results.retain(|result| result.protocol != "raft-rs");
        assert_eq!(found(&run), Vec::<String>::new());
    }
}
