//! Advice in a run's folder, and what that folder knows beside results.

use std::collections::BTreeMap;
use std::path::Path;

use super::facts::Background;
use crate::files::{FileError, write_atomically};
use crate::history::{Filter, History, SeriesOptions};
use crate::profile::profiles_of;
use crate::results::{Advice, RunResults, ScenarioResult};
use crate::stats::median;
use crate::store::Store;

const ALLOCATIONS: &str = "allocations_per_commit";
/// Earlier runs, at least, whose median is usual.
const FEWEST_RUNS: usize = 3;

/// The advice on a run, within its folder.
pub const ADVICE_FILE: &str = "advice.json";

/// Writes the advice on a run into its folder, whole or not at all.
pub fn write(folder: &Path, advice: &Advice) -> Result<(), FileError> {
    let path = folder.join(ADVICE_FILE);
    let mut bytes = serde_json::to_vec_pretty(advice)
        .map_err(|error| FileError::NotReadableBack { path: path.clone(), reason: error.to_string() })?;
    bytes.push(b'\n');
    write_atomically(&path, &bytes)
}

/// The advice that is kept in a run's folder; none when there is no such file.
pub fn read(folder: &Path) -> Result<Option<Advice>, FileError> {
    let path = folder.join(ADVICE_FILE);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(FileError::Unreadable { path, source }),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| FileError::WrongShape {
        path,
        what: "advice on a run",
        reason: crate::output::printable(&error.to_string()),
    })
}

/// What is known of a run beside its results: the profiles of its work and the history. A profile that was disturbed
/// is none.
pub fn background_of(folder: &Path, run: &RunResults, store: &Store) -> Background {
    let mut background = Background::default();
    for found in profiles_of(run, folder, store) {
        let profile = found.attribution;
        if profile.disturbed.is_empty() {
            let key = (profile.profiled.protocol, profile.profiled.scenario);
            let shares = profile.kinds.iter().map(|kind| (kind.of.name().to_string(), kind.lower));
            background.work_shares.insert(key, shares.collect());
        }
    }
    background.usual = usual(run, store);
    background
}

/// What earlier runs took from the heap, as medians: of undisturbed ones of the same scenario and settings. Nothing
/// where the history can't be read: it only sharpens what counts say by themselves.
fn usual(run: &RunResults, store: &Store) -> BTreeMap<(String, String), BTreeMap<String, f64>> {
    let path = store.history_path();
    let Some(history) = path.is_file().then(|| History::open(&path).ok()).flatten() else {
        return BTreeMap::new();
    };
    let options = SeriesOptions { metric: Some(ALLOCATIONS.into()), with_disturbed: false };
    let median_of = |result: &ScenarioResult| {
        let (protocol, scenario) = (result.protocol.clone(), result.scenario.name.clone());
        let filter = Filter { protocol: Some(protocol), scenario: Some(scenario), ..Filter::default() };
        let all = history.series(&filter, &options).ok()?.series;
        let alike =
            all.iter().filter(|one| (&one.scenario, &one.settings) == (&result.scenario, &result.settings));
        let earlier = alike.flat_map(|one| &one.observations).filter(|seen| seen.run_id != run.run_id);
        let mut values: Vec<f64> = earlier.map(|seen| seen.value).collect();
        if values.len() < FEWEST_RUNS { None } else { median(&mut values) }
    };
    let of = |result: &ScenarioResult| {
        let key = (result.protocol.clone(), result.scenario.name.clone());
        Some((key, [(ALLOCATIONS.to_string(), median_of(result)?)].into()))
    };
    run.results.iter().filter_map(of).collect()
}
