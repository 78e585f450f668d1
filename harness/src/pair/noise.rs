//! What a machine's noise does to paired verdicts: a file of the machine, measured by `calibrate-gate`. Only
//! benchmarks that raised no alarm there may block.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::files::{Document, FileError, write_atomically};
use crate::gate::policy::PairedPolicy;

/// Its name, in the folder of a machine's baselines.
pub const NOISE_FILE: &str = "noise.json";
/// Version of the schema of [`Noise`].
pub const NOISE_SCHEMA_VERSION: u32 = 2;
const DOCUMENT: Document = Document { what: "noise of a machine", version: NOISE_SCHEMA_VERSION };
/// With fewer windows, none of which alarmed, too little is known to block on.
const FEWEST_WINDOWS: usize = 300;
/// With fewer rounds the windows are all but the same one.
const FEWEST_ROUNDS: usize = 200;

/// The noise of one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Noise {
    /// [`NOISE_SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Of which machine.
    pub fingerprint: String,
    /// When, in seconds since 1970.
    pub measured_unix_s: u64,
    /// CPU time of a block, in milliseconds.
    pub block_ms: f64,
    /// Pairs of a window's first stage.
    pub screen_pairs: usize,
    /// Pairs of its second.
    pub confirm_pairs: usize,
    /// The chance that was allowed to a false alarm of one window.
    pub significance: f64,
    /// By row (`commit/raft-rs`) and metric.
    pub benches: BTreeMap<String, BTreeMap<String, BenchNoise>>,
}

/// The noise of one metric of one benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BenchNoise {
    /// Relative change that was put up with.
    pub tolerance: f64,
    /// Rounds of processes that were recorded.
    pub rounds: usize,
    /// Windows that were drawn from them.
    pub windows: usize,
    /// Windows in which a program came out worse or better than its own copy.
    pub false_alarms: usize,
    /// Relative change that a window shows in 80 of 100 cases, by its spread: the median over windows.
    pub detectable: f64,
    /// Slow-downs on purpose.
    pub effects: Vec<DetectedEffect>,
}

/// A slow-down on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DetectedEffect {
    /// Relative slow-down of CPU time per commit that was asked for.
    pub asked: f64,
    /// What it came to over all rounds, for this metric.
    pub measured: f64,
    /// Share of windows in which it was called a regression.
    pub detected: f64,
}

impl BenchNoise {
    /// Why the benchmark may not block under a tolerance; none when no window alarmed, of enough, under no wider one.
    pub fn reason_not_to_block(&self, tolerance: f64) -> Option<String> {
        let BenchNoise { rounds, windows, false_alarms, .. } = self;
        if *false_alarms > 0 {
            return Some(format!("{false_alarms} of {windows} windows of this machine's noise alarmed"));
        }
        if *windows < FEWEST_WINDOWS || *rounds < FEWEST_ROUNDS {
            return Some(format!(
                "its noise was measured in {windows} windows of {rounds} rounds, less than {FEWEST_WINDOWS} of {FEWEST_ROUNDS}"
            ));
        }
        (self.tolerance > tolerance)
            .then(|| format!("its noise was measured under a tolerance of {} %", 100.0 * self.tolerance))
    }
}

/// Why a machine's noise is not known.
#[derive(Debug, Error)]
pub enum NoiseError {
    /// The file is missing or unusable.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is of another machine.
    #[error(
        "{path}: measured on another machine ({measured_on}, this one is {here}): `cargo consensus-bench calibrate-gate` measures this one"
    )]
    OtherMachine {
        /// File.
        path: String,
        /// Fingerprint in it.
        measured_on: String,
        /// This machine's.
        here: String,
    },
}

impl Noise {
    /// Reads the noise of this machine; none when it was not measured.
    pub fn read(path: &Path, fingerprint: &str) -> Result<Option<Noise>, NoiseError> {
        let noise: Noise = match DOCUMENT.read(path) {
            Err(FileError::Missing { .. }) => return Ok(None),
            noise => noise?,
        };
        if noise.fingerprint != fingerprint {
            let (path, measured_on, here) =
                (path.display().to_string(), noise.fingerprint, fingerprint.to_string());
            return Err(NoiseError::OtherMachine { path, measured_on, here });
        }
        Ok(Some(noise))
    }

    /// Understands the text of such a file; `path` names it in errors.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Noise, FileError> {
        DOCUMENT.parse(path, text)
    }

    /// Writes it, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| FileError::NotJson { path: path.into(), reason: error.to_string() })?;
        write_atomically(path, (text + "\n").as_bytes())
    }

    /// Whether it was measured as a policy judges: otherwise its false alarms are those of other rules.
    pub fn is_of(&self, policy: &PairedPolicy) -> bool {
        self.block_ms == policy.block_ms
            && self.screen_pairs == policy.screen_pairs
            && self.confirm_pairs == policy.confirm_pairs
            && self.significance >= policy.significance
    }

    /// What is known about a metric of a row.
    pub fn of(&self, row: &str, metric: &str) -> Option<&BenchNoise> {
        self.benches.get(row)?.get(metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::policy::Policy;

    #[test]
    fn noise_counts_only_for_the_rules_that_it_was_measured_with() {
        let policy = Policy::shipped().unwrap().paired;
        let noise = Noise {
            schema_version: NOISE_SCHEMA_VERSION,
            fingerprint: "0f3a9c21d4e7".into(),
            measured_unix_s: 0,
            block_ms: policy.block_ms,
            screen_pairs: policy.screen_pairs,
            confirm_pairs: policy.confirm_pairs,
            significance: policy.significance,
            benches: BTreeMap::new(),
        };
        assert!(noise.is_of(&policy));
        // What did not alarm with a looser p does not with a stricter one.
        assert!(noise.is_of(&PairedPolicy { significance: 0.5 * policy.significance, ..policy.clone() }));
        assert!(!noise.is_of(&PairedPolicy { significance: 2.0 * policy.significance, ..policy.clone() }));
        assert!(!noise.is_of(&PairedPolicy { confirm_pairs: policy.confirm_pairs + 1, ..policy.clone() }));
        assert!(!noise.is_of(&PairedPolicy { block_ms: 2.0 * policy.block_ms, ..policy }));
    }
}
