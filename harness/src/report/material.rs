//! All that a report is made of, read before anything is drawn: results, histograms, advice, flame graphs and
//! trends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hdrhistogram::Histogram;

use crate::advice;
use crate::analysis::{is_same_scenario, rankings};
use crate::histogram_log;
use crate::history::{
    AllSeries, DEFAULT_SIGNIFICANCE, Filter, History, HistoryError, SeriesOptions, Trend, Trends,
};
use crate::profile::{FoundProfile, profiles_of};
use crate::results::{Advice, Ranking, RunResults, ScenarioResult};
use crate::store::{Recorded, Store, StoreError};
use crate::table::shows_numbers;

/// Entries of a scenario's history that are looked at, at most: reading them takes a millisecond each.
const MOST_ENTRIES: u32 = 300;
/// Metrics whose history is drawn.
pub const TRENDS_OF: [&str; 3] = ["throughput_per_s", "response_ns_p99", "cpu_ns_per_commit"];

/// One side of a report: a run, several runs as one, or a baseline.
#[derive(Clone, Debug)]
pub struct Material {
    /// By what name it was asked for.
    pub name: String,
    /// The folder of the one run that it is; none of several runs and of a baseline.
    pub folder: Option<PathBuf>,
    /// Its runs.
    pub runs: Vec<RunResults>,
    /// The order of protocols by metric, over the results of all runs.
    pub rankings: Vec<Ranking>,
    /// Response times of the measured phases.
    pub percentiles: Vec<Percentiles>,
    /// What to change; none when no one has looked for it yet.
    pub advice: Option<Advice>,
    /// Profiles of what ran.
    pub profiles: Vec<RunProfile>,
    /// How metrics went over earlier runs.
    pub trends: Vec<Trend>,
    /// What is there and could not be read, a line each.
    pub not_read: Vec<String>,
}

/// The response times of one row.
#[derive(Clone, Debug)]
pub struct Percentiles {
    /// Scenario.
    pub scenario: String,
    /// Row.
    pub row: String,
    /// Times in nanoseconds.
    pub times: Histogram<u64>,
}

/// A profile with its picture.
#[derive(Clone, Debug)]
pub struct RunProfile {
    /// Its numbers and where its files are.
    pub profile: FoundProfile,
    /// The flame graph, an SVG of its own.
    pub svg: String,
}

/// The results of one scenario.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    /// Its name.
    pub scenario: &'a str,
    /// All rows, those without numbers too.
    pub all: Vec<&'a ScenarioResult>,
}

impl Material {
    /// Bare results.
    pub fn of_runs(name: &str, runs: Vec<RunResults>) -> Material {
        Material {
            name: name.into(),
            folder: None,
            rankings: rankings_of(&runs),
            runs,
            percentiles: Vec::new(),
            advice: None,
            profiles: Vec::new(),
            trends: Vec::new(),
            not_read: Vec::new(),
        }
    }

    /// What was recorded under one name, with all that lies beside it. Only the results themselves have to be
    /// there.
    pub fn load(store: &Store, reference: &str) -> Result<Material, StoreError> {
        let (Recorded { name, runs }, folder) = store.locate(reference)?;
        let folders: Vec<Option<PathBuf>> = match &folder {
            Some(folder) => vec![Some(folder.clone())],
            None => runs.iter().map(|run| store.folder_of(run)).collect(),
        };
        let mut material = Material { folder, ..Material::of_runs(&name, runs) };
        material.read_beside(store, &folders);
        material.read_trends(&store.history_path());
        Ok(material)
    }

    /// All targets of one `cargo bench`, by their runs.
    pub fn of_targets(store: &Store, runs: &[String]) -> Result<Material, StoreError> {
        let parts: Result<_, _> = runs.iter().map(|run| Material::load(store, run)).collect();
        let name = format!("{} targets of one cargo bench", runs.len());
        Ok(Material { name, ..Material::together(parts?) })
    }

    /// What was recorded in a folder that is at hand.
    pub fn of_run(store: &Store, run: RunResults, folder: &Path) -> Material {
        let mut material =
            Material { folder: Some(folder.into()), ..Material::of_runs(&run.run_id.clone(), vec![run]) };
        material.read_beside(store, &[Some(folder.into())]);
        material.read_trends(&store.history_path());
        material
    }

    /// Several as one. Of rows that more than one has, the last one's count.
    pub fn together(parts: Vec<Material>) -> Material {
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        let mut all = Material::of_runs(&names.join(" + "), Vec::new());
        for mut part in parts {
            let new: Vec<(String, String)> = part.results().map(key_of).collect();
            for run in &mut all.runs {
                run.results.retain(|result| !new.contains(&key_of(result)));
            }
            all.percentiles.retain(|one| !new.contains(&(one.scenario.clone(), one.row.clone())));
            all.percentiles.append(&mut part.percentiles);
            all.runs.append(&mut part.runs);
            all.profiles.append(&mut part.profiles);
            all.trends.append(&mut part.trends);
            all.not_read.append(&mut part.not_read);
            all.add_advice(part.advice);
        }
        all.rankings = rankings_of(&all.runs);
        all
    }

    /// All results, in the order in which they ran.
    pub fn results(&self) -> impl Iterator<Item = &ScenarioResult> {
        self.runs.iter().flat_map(|run| &run.results)
    }

    /// All protocols, in the order in which they first appear.
    pub fn protocols(&self) -> Vec<&str> {
        let mut protocols: Vec<&str> = Vec::new();
        for result in self.results() {
            if !protocols.contains(&result.protocol.as_str()) {
                protocols.push(&result.protocol);
            }
        }
        protocols
    }

    /// The results by scenario, in the order in which they first appear.
    pub fn scenarios(&self) -> Vec<Rows<'_>> {
        let mut scenarios: Vec<Rows> = Vec::new();
        for result in self.results() {
            let name = result.scenario.name.as_str();
            match scenarios.iter_mut().find(|rows| rows.scenario == name) {
                Some(rows) => rows.all.push(result),
                None => scenarios.push(Rows { scenario: name, all: vec![result] }),
            }
        }
        scenarios
    }

    fn read_beside(&mut self, store: &Store, folders: &[Option<PathBuf>]) {
        let mut read = BTreeSet::new();
        for (index, folder) in folders.iter().enumerate() {
            let Some(folder) = folder else { continue };
            self.read_percentiles(index, folder);
            // Rows of a baseline may come from one run.
            if read.insert(folder) {
                self.read_advice(folder);
            }
            self.read_profiles(profiles_of(&self.runs[index], folder, store));
        }
    }

    fn read_percentiles(&mut self, run: usize, folder: &Path) {
        for result in self.runs[run].results.iter().filter(|result| shows_numbers(result)) {
            let phase = result.scenario.measured_phase().and_then(|index| result.phases.get(index));
            let Some(file) = phase.and_then(|phase| phase.histograms.get("response")) else { continue };
            match histogram_log::read(&folder.join(file), "response") {
                Ok(Some(times)) if !times.is_empty() => self.percentiles.push(Percentiles {
                    scenario: result.scenario.name.clone(),
                    row: result.row_name(),
                    times,
                }),
                Ok(_) => {}
                Err(error) => self.not_read.push(error.to_string()),
            }
        }
    }

    fn read_advice(&mut self, folder: &Path) {
        match advice::read(folder) {
            Ok(advice) => self.add_advice(advice),
            Err(error) => self.not_read.push(error.to_string()),
        }
    }

    fn add_advice(&mut self, advice: Option<Advice>) {
        let Some(advice) = advice else { return };
        let known = self.advice.get_or_insert_default();
        known.recommendations.extend(advice.recommendations);
        known.symptoms.extend(advice.symptoms);
        known.withheld.extend(advice.withheld);
        advice::rank(&mut known.recommendations);
    }

    fn read_profiles(&mut self, profiles: Vec<FoundProfile>) {
        for profile in profiles {
            let path = profile.files.flame_graph();
            match std::fs::read_to_string(&path) {
                Ok(svg) => self.profiles.push(RunProfile { profile, svg }),
                Err(error) => self.not_read.push(format!("{}: {error}", path.display())),
            }
        }
    }

    /// Trends of the runs' own series: same machine, scenario, settings.
    fn read_trends(&mut self, history: &Path) {
        match trends_of(history, &self.runs) {
            Ok(trends) => self.trends = trends,
            Err(error) => self.not_read.push(format!("history: {error}")),
        }
    }
}

impl<'a> Rows<'a> {
    /// Rows whose numbers may be seen.
    pub fn shown(&self) -> impl Iterator<Item = &'a ScenarioResult> {
        self.all.iter().copied().filter(|result| shows_numbers(result))
    }

    /// What a row is called in this scenario: its protocol, unless another row has the same.
    pub fn name_of(&self, result: &ScenarioResult) -> String {
        let alike = self.all.iter().filter(|other| other.protocol == result.protocol);
        if alike.count() > 1 { result.row_name() } else { result.protocol.clone() }
    }
}

fn key_of(result: &ScenarioResult) -> (String, String) {
    (result.scenario.name.clone(), result.row_name())
}

/// What a run that came to its end has found out itself is not found out again.
fn rankings_of(runs: &[RunResults]) -> Vec<Ranking> {
    match runs {
        [RunResults { analysis: Some(analysis), .. }] => analysis.rankings.clone(),
        _ => rankings(runs.iter().flat_map(|run| &run.results)),
    }
}

fn trends_of(history: &Path, runs: &[RunResults]) -> Result<Vec<Trend>, HistoryError> {
    let Some(history) = History::open_existing(history)? else { return Ok(Vec::new()) };
    let mut all = AllSeries::default();
    let names: BTreeMap<&str, &RunResults> = runs
        .iter()
        .flat_map(|run| run.results.iter().map(move |one| (one.scenario.name.as_str(), run)))
        .collect();
    for (scenario, run) in names {
        let filter =
            Filter { scenario: Some(scenario.into()), limit: Some(MOST_ENTRIES), ..Filter::default() };
        let here = history.series(&filter, &SeriesOptions::default())?.series.into_iter().filter(|series| {
            TRENDS_OF.contains(&series.metric.as_str())
                && series.observations.len() > 1
                && series.fingerprint.as_ref().is_none_or(|known| *known == run.manifest.machine.fingerprint)
                && run.results.iter().any(|result| {
                    result.scenario.name == scenario
                        && series.key.split('/').nth(1) == Some(&result.protocol)
                        && series.settings == result.settings
                        && is_same_scenario(&series.scenario, &result.scenario)
                })
        });
        all.series.extend(here);
    }
    Ok(Trends::of(all, DEFAULT_SIGNIFICANCE).trends)
}
