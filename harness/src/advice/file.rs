//! Advice in a run's folder, and what that folder knows beside results.

use std::collections::BTreeMap;
use std::path::Path;

use super::facts::{Background, Places};
use crate::files::{FileError, write_atomically};
use crate::history::{Filter, History, SeriesOptions};
use crate::profile::{AllocationSite, Attribution, Kind, Share, allocations_of, profiles_of};
use crate::results::{Advice, Evidence, RunResults, ScenarioResult};
use crate::stats::median;
use crate::store::Store;

const ALLOCATIONS: &str = "allocations_per_commit";
/// Functions that are named of each kind of work.
const PLACES: usize = 3;
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
            let key = (profile.profiled.protocol.clone(), profile.profiled.scenario.clone());
            let shares = profile.kinds.iter().map(|kind| (kind.of.name().to_string(), kind.lower));
            background.work_shares.insert(key.clone(), shares.collect());
            let run = found.files.folder.parent().and_then(Path::file_name).unwrap_or_default();
            let source = format!("profile {}", run.to_string_lossy());
            let places = Places {
                protocol: functions(&profile, &[Kind::ProtocolLogic, Kind::Encoding], &source),
                encoding: functions(&profile, &[Kind::Encoding], &source),
                allocations: Vec::new(),
            };
            background.places.insert(key, places);
        }
    }
    for found in allocations_of(run, folder, store) {
        let place = |site: &AllocationSite| Evidence {
            what: site.function.clone(),
            value: site.allocations_per_commit,
            threshold: None,
            unit: "allocations/commit".into(),
            source: format!("profile of allocations {}", found.run),
        };
        let key = (found.sites.profiled.protocol.clone(), found.sites.profiled.scenario.clone());
        let sites = found.sites.beside_harness().take(PLACES).map(place);
        background.places.entry(key).or_default().allocations = sites.collect();
    }
    background.usual = usual(run, store);
    background
}

/// The functions that do work of these kinds, with their share of the CPU time.
fn functions(profile: &Attribution, kinds: &[Kind], source: &str) -> Vec<Evidence> {
    let place = |function: &Share<String>| Evidence {
        what: function.of.clone(),
        value: function.share,
        threshold: None,
        unit: "of the CPU time".into(),
        source: source.into(),
    };
    profile.functions_of(kinds).take(PLACES).map(place).collect()
}

/// What earlier runs took from the heap, as medians: of undisturbed ones of the same scenario and settings, and in
/// virtual time of each combination. Nothing where the history can't be read: it only sharpens what counts say by
/// themselves.
fn usual(run: &RunResults, store: &Store) -> BTreeMap<(String, String), BTreeMap<String, f64>> {
    let path = store.history_path();
    let Some(history) = path.is_file().then(|| History::open(&path).ok()).flatten() else {
        return BTreeMap::new();
    };
    let options = SeriesOptions::default();
    let of = |result: &ScenarioResult| {
        let (protocol, scenario) = (result.protocol.clone(), result.scenario.name.clone());
        let key = (protocol.clone(), scenario.clone());
        let filter = Filter { protocol: Some(protocol), scenario: Some(scenario), ..Filter::default() };
        let all = history.series(&filter, &options).ok()?.series;
        // Metrics of a combination have it in front of their name.
        let alike = all.iter().filter(|one| {
            one.metric.ends_with(ALLOCATIONS)
                && (&one.scenario, &one.settings) == (&result.scenario, &result.settings)
        });
        let mut by_metric: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for one in alike {
            let earlier = one.observations.iter().filter(|seen| seen.run_id != run.run_id);
            by_metric.entry(one.metric.clone()).or_default().extend(earlier.map(|seen| seen.value));
        }
        by_metric.retain(|_, values| values.len() >= FEWEST_RUNS);
        let medians =
            by_metric.into_iter().filter_map(|(name, mut values)| Some((name, median(&mut values)?)));
        Some((key, medians.collect()))
    };
    run.results.iter().filter_map(of).collect()
}
