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

/// The suite with the settings of a file; every protocol and tunable in it must be one of the suite's.
pub(super) fn from_file(suite: &Suite, path: &Path) -> Result<Suite, CliError> {
    let refused = |reason: String| CliError::SettingsFile { path: path.into(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    let file: SettingsFile =
        toml::from_str(&text).map_err(|error| refused(scenario::one_line(&error, &text)))?;
    let mut suite = suite.clone();
    for (protocol, settings) in &file.settings {
        suite.set(protocol, settings).map_err(|error| refused(error.to_string()))?;
    }
    Ok(suite)
}

/// Writes a file that [`from_file`] reads.
pub(super) fn write(path: &Path, protocol: &str, settings: &SettingValues) -> Result<(), CliError> {
    let file = SettingsFile { settings: BTreeMap::from([(protocol.into(), settings.clone())]) };
    let text = toml::to_string(&file)
        .map_err(|error| CliError::SettingsFile { path: path.into(), reason: error.to_string() })?;
    let head = "# Written by `consensus-bench tune --apply`; `consensus-bench run --settings` reads it.\n\n";
    write_atomically(path, format!("{head}{text}").as_bytes())
        .map_err(|error: FileError| CliError::SettingsFile { path: path.into(), reason: error.to_string() })
}
