//! Tunables on the command line: `--set NAME=VALUE`, and files of them by protocol.
//!
//! A file has a table per protocol: `[settings.raft-rs]` with lines such as `linger_us = 128.0`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::CliError;
use crate::files::{FileError, write_atomically};
use crate::scenario;
use crate::suite::Suite;
use crate::trial::SettingValues;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsFile {
    settings: BTreeMap<String, SettingValues>,
}

/// The values of `--set`.
pub(super) fn parse(settings: &[String]) -> Result<SettingValues, CliError> {
    let parse = |setting: &String| {
        let (name, value) = setting.split_once('=')?;
        Some((name.trim().to_string(), value.trim().parse().ok()?))
    };
    settings.iter().map(|setting| parse(setting).ok_or_else(|| CliError::Setting(setting.clone()))).collect()
}

/// The settings of a file, by protocol; an error when there is none.
fn read(path: &Path) -> Result<SettingsFile, CliError> {
    let refused = |reason: String| CliError::SettingsFile { path: path.into(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    toml::from_str(&text).map_err(|error| refused(scenario::one_line(&error, &text)))
}

/// The same of a file that is about to be written: nothing when there is none yet.
pub(super) fn kept(path: &Path) -> Result<BTreeMap<String, SettingValues>, CliError> {
    match path.try_exists() {
        Ok(false) => Ok(BTreeMap::new()),
        _ => Ok(read(path)?.settings),
    }
}

/// The suite with the settings of a file; every protocol and tunable in it must be one of the suite's.
pub(super) fn from_file(suite: &Suite, path: &Path) -> Result<Suite, CliError> {
    let refused = |reason: String| CliError::SettingsFile { path: path.into(), reason };
    let file = read(path)?;
    let mut suite = suite.clone();
    for (protocol, settings) in &file.settings {
        suite.set(protocol, settings).map_err(|error| refused(error.to_string()))?;
    }
    Ok(suite)
}

/// Writes a protocol's settings to a file that [`from_file`] reads. Those of other protocols stay; its own go, for
/// what was proven is these settings and no mixture.
pub(super) fn write(path: &Path, protocol: &str, settings: &SettingValues) -> Result<(), CliError> {
    let mut all = kept(path)?;
    all.insert(protocol.into(), settings.clone());
    let file = SettingsFile { settings: all };
    let text = toml::to_string(&file)
        .map_err(|error| CliError::SettingsFile { path: path.into(), reason: error.to_string() })?;
    let head = "# Written by `cargo consensus-bench tune --apply`; `cargo consensus-bench run --settings` reads it.\n\n";
    write_atomically(path, format!("{head}{text}").as_bytes())
        .map_err(|error: FileError| CliError::SettingsFile { path: path.into(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_one_protocols_settings_keeps_those_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tuned.toml");
        assert!(kept(&path).unwrap().is_empty());
        let set = |name: &str, value| SettingValues::from([(name.to_string(), value)]);
        write(&path, "raft-rs", &set("linger_us", 16.0)).unwrap();
        write(&path, "pbft", &set("window_batches", 8.0)).unwrap();
        write(&path, "raft-rs", &set("max_inflight_messages", 4.0)).unwrap();
        let expected = [("pbft", set("window_batches", 8.0)), ("raft-rs", set("max_inflight_messages", 4.0))];
        assert_eq!(
            kept(&path).unwrap(),
            expected.map(|(name, settings)| (name.to_string(), settings)).into()
        );
        std::fs::write(&path, "settings = 1").unwrap();
        let error = write(&path, "pbft", &set("window_batches", 8.0)).unwrap_err().to_string();
        assert!(error.contains("tuned.toml: ") && error.lines().count() == 1, "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "settings = 1");
    }
}
