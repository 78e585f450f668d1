//! The file of a calibration: where it is, and what is refused.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Calibration, SCHEMA_VERSION};
use crate::files::{Document, FileError, write_atomically};
use crate::store::Store;

/// The name of the file, within the machine's folder.
pub const COSTS_FILE: &str = "costs.json";
const COSTS: Document = Document { what: "costs", version: SCHEMA_VERSION };

/// Why there are no calibrated costs. One line that says how to go on.
#[derive(Debug, Error)]
pub enum CalibrationError {
    /// Nothing was measured on this machine.
    #[error("{}: no costs were measured on this machine: run `cargo consensus-bench calibrate`", path.display())]
    Missing {
        /// Where they would be.
        path: PathBuf,
    },
    /// Others were measured, and this one was not.
    #[error(
        "{protocol}: its costs were not measured: run `cargo consensus-bench calibrate --protocol {protocol}`"
    )]
    NotCalibrated {
        /// The protocol.
        protocol: String,
    },
    /// Measured elsewhere, or before this machine's kernel or compiler changed.
    #[error(
        "{}: measured on another machine ({measured_on}, this one is {here}): run `cargo consensus-bench calibrate`",
        path.display()
    )]
    OtherMachine {
        /// File.
        path: PathBuf,
        /// Fingerprint in it.
        measured_on: String,
        /// This machine's.
        here: String,
    },
    /// It was not written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Where the costs of this machine are: with its committed baselines, or outside a workspace in the home.
pub fn costs_path(store: &Store) -> PathBuf {
    store.machine_file(COSTS_FILE)
}

/// Writes a calibration, whole or not at all; makes its folder.
pub fn write(path: &Path, calibration: &Calibration) -> Result<(), CalibrationError> {
    let unwritable = |source| FileError::Unwritable { path: path.into(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(unwritable)?;
    }
    let text = serde_json::to_string_pretty(calibration).map_err(|error| unwritable(error.into()))?;
    // What would be refused when it is read must not be kept.
    parse(path, &text)?;
    Ok(write_atomically(path, (text + "\n").as_bytes())?)
}

/// Reads a calibration.
pub fn read(path: &Path) -> Result<Calibration, CalibrationError> {
    match COSTS.read(path) {
        Err(FileError::Missing { path }) => Err(CalibrationError::Missing { path }),
        found => check(path, found?),
    }
}

/// Reads a calibration, which must be of the machine with this fingerprint.
pub fn read_for(path: &Path, fingerprint: &str) -> Result<Calibration, CalibrationError> {
    let found = read(path)?;
    if found.machine.fingerprint == fingerprint {
        return Ok(found);
    }
    Err(CalibrationError::OtherMachine {
        path: path.into(),
        measured_on: found.machine.fingerprint,
        here: fingerprint.into(),
    })
}

/// Reads a calibration from text; `path` names it in errors.
pub fn parse(path: &Path, text: &str) -> Result<Calibration, CalibrationError> {
    check(path, COSTS.parse(path, text.as_bytes())?)
}

/// Costs that no machine has are refused.
fn check(path: &Path, mut found: Calibration) -> Result<Calibration, CalibrationError> {
    bring_up_to_date(&mut found);
    let broken =
        |reason: String| COSTS.wrong(path, reason + "; remove it and run `cargo consensus-bench calibrate`");
    for costs in &found.protocols {
        let named = costs.costs.named().into_iter().chain([("resume_ns", costs.resume_ns)]);
        for (name, cost) in named {
            if !(cost >= 0.0 && cost.is_finite()) {
                return Err(broken(format!("{}: {name} = {cost} is below 0", costs.protocol)).into());
            }
        }
    }
    for (name, spread) in found.machine_times.spreads() {
        if !spread.is_valid() {
            return Err(broken(format!("{name}: quantiles do not ascend from 0 to 1")).into());
        }
    }
    Ok(found)
}

/// Gives each protocol of a file of version 1 what disturbed its measurement, as far as that is not said of
/// another one by name.
fn bring_up_to_date(found: &mut Calibration) {
    if found.schema_version > 1 {
        return;
    }
    found.schema_version = SCHEMA_VERSION;
    let prefixes: Vec<String> = found.protocols.iter().map(|costs| format!("{}: ", costs.protocol)).collect();
    let about = |reason: &str| prefixes.iter().position(|prefix| reason.starts_with(prefix));
    for (index, costs) in found.protocols.iter_mut().enumerate() {
        for reason in &found.disturbed {
            match about(reason) {
                Some(named) if named == index => {
                    costs.disturbed.push(reason[prefixes[index].len()..].into());
                }
                Some(_) => {}
                None => costs.disturbed.push(reason.clone()),
            }
        }
    }
    found.disturbed.retain(|reason| about(reason).is_none());
}

#[cfg(test)]
mod tests {
    use super::super::{FittedCell, MachineTimes, ProtocolCosts, WorkCosts};
    use super::*;
    use crate::machine;
    use crate::stats::Spread;

    fn sample() -> Calibration {
        let spread = Spread::of(vec![10, 20, 30_000]);
        let cell =
            FittedCell { replicas: 3, measured_ns: 1234.5, fitted_ns: 1300.0, ..FittedCell::default() };
        Calibration {
            schema_version: SCHEMA_VERSION,
            calibrated_unix_s: 1_700_000_000,
            harness_version: "0.1.0".into(),
            machine: machine::describe(),
            disturbed: vec!["someone else".into()],
            machine_times: MachineTimes {
                resume: spread.clone(),
                hand_over: spread.clone(),
                link_lateness: spread.clone(),
                flush: spread,
            },
            protocols: vec![ProtocolCosts {
                protocol: "raft-rs".into(),
                implementation: "raft".into(),
                calibrated_unix_s: 1_700_000_000,
                disturbed: vec!["a late thread".into()],
                costs: WorkCosts { wake_up_ns: 812.25, byte_ns: 0.125, ..WorkCosts::default() },
                resume_ns: 20_000.0,
                cells: vec![cell],
                fit_error_median: 0.05,
                fit_error_max: 0.1,
            }],
        }
    }

    #[test]
    fn a_calibration_reads_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("machine").join(COSTS_FILE);
        write(&path, &sample()).unwrap();
        assert_eq!(read(&path).unwrap(), sample());
        assert_eq!(read(&path).unwrap().of("raft-rs").unwrap().costs.wake_up_ns, 812.25);
    }

    #[test]
    fn a_file_of_version_1_reads_with_what_disturbed_each_protocol() {
        let mut old = sample();
        old.schema_version = 1;
        old.protocols[0].disturbed.clear();
        old.protocols.push(ProtocolCosts { protocol: "abd".into(), ..old.protocols[0].clone() });
        old.disturbed = vec!["threads waited".into(), "abd: missed".into()];
        let text = serde_json::to_string(&old).unwrap();
        let found = parse(Path::new("costs.json"), &text).unwrap();
        let of_protocols: Vec<_> = found.protocols.iter().map(|costs| costs.disturbed.clone()).collect();
        assert_eq!(of_protocols, [vec!["threads waited"], vec!["threads waited", "missed"]]);
        assert_eq!((found.schema_version, &found.disturbed[..]), (2, &["threads waited".to_string()][..]));
        assert_eq!(
            found.disturbances(),
            ["this machine: threads waited", "raft-rs: threads waited", "abd: threads waited", "abd: missed"]
        );
    }

    #[test]
    fn what_is_no_calibration_is_refused_in_one_line() {
        let good = serde_json::to_string(&sample()).unwrap();
        let later = good.replace("\"schema_version\":2", "\"schema_version\":9");
        let negative = good.replace("812.25", "-3.0");
        let odd = good.replacen("[0.05,10.0]", "[0.05,99.0]", 1);
        for (text, expected) in [
            (good[..good.len() / 2].to_string(), "costs.json: cut off (EOF"),
            ("[]".into(), "costs.json: no costs: "),
            (later, "written by a later version (schema 9, this one reads up to 2)"),
            (negative, "raft-rs: wake_up_ns = -3 is below 0"),
            (odd, "resume: quantiles do not ascend"),
            (good.replacen("\"disturbed\"", "\"disturbing\"", 1), "unknown field `disturbing`"),
        ] {
            let error = parse(Path::new("costs.json"), &text).unwrap_err().to_string();
            assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
        }
        let error = read(Path::new("/nowhere/costs.json")).unwrap_err().to_string();
        assert!(error.contains("run `cargo consensus-bench calibrate`"), "{error}");
        let error = sample().of("zab").unwrap_err().to_string();
        assert!(error.contains("run `cargo consensus-bench calibrate --protocol zab`"), "{error}");
    }
}
