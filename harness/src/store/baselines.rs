//! Baselines: results kept under a name, one file per row, so that a row can be measured again alone.
//!
//! Local ones are in the target folder and go with it. Committed ones are in the workspace, under the
//! fingerprint of the machine that measured them; a local one of the same name hides them.

use std::path::{Path, PathBuf};

use super::{EXACT_BASELINE, Recorded, Store, StoreError, folder_error, is_plain, names_in};
use crate::files;
use crate::results::{Outcome, RunResults, ScenarioResult};

/// A baseline that [`Store::load_baseline`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaselineEntry {
    /// Name.
    pub name: String,
    /// Where it is kept.
    pub place: Place,
    /// Its folder.
    pub path: PathBuf,
    /// Rows in it.
    pub rows: usize,
}

/// Where a baseline is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the target folder.
    Local,
    /// In the workspace, for this machine.
    Committed,
}

impl Place {
    /// The name in lists.
    pub fn name(self) -> &'static str {
        match self {
            Place::Local => "local",
            Place::Committed => "committed",
        }
    }
}

/// What became of a run's results when they were saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaveReport {
    /// Files written.
    pub saved: Vec<PathBuf>,
    /// Rows left out. What the baseline held for them before is still there.
    pub not_saved: Vec<NotSaved>,
}

/// A row that no baseline may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotSaved {
    /// Scenario and row.
    pub row: String,
    /// Why.
    pub reason: String,
}

impl Store {
    /// Saves the completed results of a run as a local baseline, a file each.
    ///
    /// Rows of the same name are replaced, other rows of the baseline stay.
    pub fn save_baseline(&self, name: &str, run: &RunResults) -> Result<SaveReport, StoreError> {
        check_name(name)?;
        let folder = self.local_baselines().join(name);
        let mut report = SaveReport::default();
        for result in &run.results {
            let path = folder.join(file_name(result));
            let reason = match reason_not_to_save(result) {
                // The second would take the place of the first.
                None if report.saved.contains(&path) => Some("the run has this row twice".to_string()),
                reason => reason,
            };
            match reason {
                Some(reason) => {
                    let row = format!("{} {}", result.scenario.name, result.row_name());
                    report.not_saved.push(NotSaved { row, reason });
                }
                None => {
                    let mut result = result.clone();
                    // Comparisons look at metrics; the samples behind them stay with the run.
                    if let Some(resources) = &mut result.resources {
                        resources.samples.clear();
                    }
                    let alone =
                        RunResults { complete: true, results: vec![result], analysis: None, ..run.clone() };
                    write_row(&path, &alone)?;
                    report.saved.push(path);
                }
            }
        }
        Ok(report)
    }

    /// The rows of a baseline: the local one, or else the committed one of this machine.
    pub fn load_baseline(&self, name: &str) -> Result<Recorded, StoreError> {
        check_name(name)?;
        let folder = self.baseline_folder(name).ok_or_else(|| self.unknown_baseline(name))?;
        let runs = rows_in(&folder)?.iter().map(|path| read_row(path)).collect::<Result<_, _>>()?;
        Ok(Recorded { name: name.into(), runs })
    }

    /// All baselines that this machine can load or that a local one hides, by name.
    pub fn list_baselines(&self) -> Result<Vec<BaselineEntry>, StoreError> {
        let mut found = Vec::new();
        let places =
            [(Place::Local, Some(self.local_baselines())), (Place::Committed, self.committed_baselines())];
        for (place, folder) in places {
            let Some(folder) = folder else { continue };
            for name in names_in(&folder)? {
                let path = folder.join(&name);
                // Neither a stray file nor a folder without rows is a baseline.
                let rows = if path.is_dir() { rows_in(&path)?.len() } else { 0 };
                if rows > 0 && check_name(&name).is_ok() {
                    found.push(BaselineEntry { name, place, path, rows });
                }
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Copies a local baseline to the committed ones of this machine. Gives the files written.
    pub fn promote(&self, name: &str) -> Result<Vec<PathBuf>, StoreError> {
        check_name(name)?;
        let committed = self.committed_baselines().ok_or(StoreError::NoWorkspace)?.join(name);
        let paths = rows_in(&self.local_baselines().join(name))?;
        if paths.is_empty() {
            return Err(self.unknown_baseline(name));
        }
        // All rows are looked at before the first is copied.
        let rows = paths.iter().map(|path| self.read_own_row(path)).collect::<Result<Vec<_>, _>>()?;
        let copies: Vec<PathBuf> =
            paths.iter().filter_map(|path| path.file_name()).map(|name| committed.join(name)).collect();
        copies.iter().zip(&rows).try_for_each(|(copy, row)| write_row(copy, row))?;
        Ok(copies)
    }

    /// A row that was measured on this machine: the committed folder is named after it.
    fn read_own_row(&self, path: &Path) -> Result<RunResults, StoreError> {
        let row = read_row(path)?;
        let measured_on = &row.manifest.machine.fingerprint;
        if *measured_on == self.fingerprint {
            return Ok(row);
        }
        Err(StoreError::OtherMachine {
            path: path.into(),
            measured_on: measured_on.clone(),
            here: self.fingerprint.clone(),
        })
    }

    /// Removes a local baseline. Committed ones are git's to remove.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        check_name(name)?;
        let folder = self.local_baselines().join(name);
        if folder.is_dir() {
            return std::fs::remove_dir_all(&folder)
                .map_err(|source| folder_error("remove", &folder, source));
        }
        match self.baseline_folder(name) {
            Some(path) => Err(StoreError::Committed { name: name.into(), path }),
            None => Err(self.unknown_baseline(name)),
        }
    }

    /// The folder of a baseline with rows, if there is one.
    pub(super) fn baseline_folder(&self, name: &str) -> Option<PathBuf> {
        check_name(name).ok()?;
        let folders = [Some(self.local_baselines()), self.committed_baselines()];
        let has_rows = |folder: &PathBuf| rows_in(folder).is_ok_and(|rows| !rows.is_empty());
        folders.into_iter().flatten().map(|folder| folder.join(name)).find(has_rows)
    }

    /// The baselines that there are, as half a sentence of an error.
    pub(super) fn known_baselines(&self) -> String {
        let mut names: Vec<String> =
            self.list_baselines().unwrap_or_default().into_iter().map(|entry| entry.name).collect();
        names.dedup();
        match names.as_slice() {
            [] => "there are no baselines yet".into(),
            names => format!("baselines: {}", names.join(", ")),
        }
    }

    fn unknown_baseline(&self, name: &str) -> StoreError {
        StoreError::UnknownBaseline { name: name.into(), known: self.known_baselines() }
    }

    fn local_baselines(&self) -> PathBuf {
        self.home.join("baselines")
    }

    pub(super) fn committed_baselines(&self) -> Option<PathBuf> {
        let folder = self.committed.as_ref()?;
        is_plain(&self.fingerprint).then(|| folder.join(&self.fingerprint))
    }
}

/// Refuses what can't be the name of a baseline.
pub fn check_name(name: &str) -> Result<(), StoreError> {
    // `latest` always means the newest run, and `exact` the committed counts.
    if is_plain(name) && name != "latest" && name != EXACT_BASELINE {
        return Ok(());
    }
    Err(StoreError::BadName { name: name.into() })
}

/// Network and storage are part of a row's name, and so of its file's.
fn file_name(result: &ScenarioResult) -> String {
    let scenario = &result.scenario;
    let (network, storage) = (result.network_name(), scenario.storage.name());
    format!("{}.{}.{network}-{storage}.json", scenario.name, result.protocol)
}

fn reason_not_to_save(result: &ScenarioResult) -> Option<String> {
    // A protocol's name is its author's choice, and a scenario's may come from a file of results.
    let named = is_plain(&result.scenario.name) && is_plain(&result.protocol);
    let nameless = || "its scenario or protocol has a name that can't be part of a file's".to_string();
    reason_not_to_compare(result).or_else(|| (!named).then(nameless))
}

/// Why a result is no side of a comparison, and so of no use in a baseline; none when it is.
pub(crate) fn reason_not_to_compare(result: &ScenarioResult) -> Option<String> {
    if let Some(why) = result.exact.as_ref().and_then(|exact| exact.not_simulated.as_ref()) {
        return Some(format!("it was not measured: {why}"));
    }
    match &result.outcome {
        Outcome::Completed if !result.safety.checked => Some("its safety was not checked".into()),
        Outcome::Completed if !result.safety.violations.is_empty() => Some("it violated safety".into()),
        Outcome::Completed => None,
        Outcome::Interrupted => Some("it was interrupted".into()),
        Outcome::Failed { reason } => Some(format!("it failed: {reason}")),
        Outcome::Unsafe => Some("it violated safety".into()),
    }
}

/// The files of a baseline, sorted. Temporary files have other endings.
fn rows_in(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let names = names_in(folder)?;
    Ok(names.iter().filter(|name| name.ends_with(".json")).map(|name| folder.join(name)).collect())
}

fn read_row(path: &Path) -> Result<RunResults, StoreError> {
    let run = files::read_results(path)?;
    match run.results.len() {
        1 => Ok(run),
        found => Err(StoreError::NotOneResult { path: path.into(), found }),
    }
}

fn write_row(path: &Path, row: &RunResults) -> Result<(), StoreError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|source| folder_error("make", folder, source))?;
    }
    Ok(files::write_results(path, row)?)
}
