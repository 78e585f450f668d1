//! `consensus-bench calibrate`: measures what work costs on this machine.

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use protocol_core::Order;
use serde::Serialize;
use thiserror::Error;

use super::{Format, step_line};
use crate::calibration::{
    self, Calibration, CalibrationError, Design, SCHEMA_VERSION, costs_path, is_not_simulated,
    measure_machine, measure_protocol,
};
use crate::exit::{EXIT_BASELINE, EXIT_OK, EXIT_TOOL, EXIT_UNSAFE, EXIT_USAGE, exit_code_of_file};
use crate::machine::{self, run_delay_ns};
use crate::output::say;
use crate::run::RunError;
use crate::store::Store;
use crate::suite::{Suite, SuiteError};
use crate::table::quantity;

/// Probes of each kind of machine time.
const PROBES: usize = 1_000;
const PROBES_IN_BRIEF: usize = 80;
/// Share of the time that threads may wait for a core before the measurement counts as disturbed.
const RUN_DELAY_AT_MOST: f64 = 0.02;
/// What stands beside numbers of [`Design::brief`].
const BRIEF: &str = "measured with --brief, for a moment: worth little";
/// Costs that miss the loops that they were fitted to by more than this, in the median, are marked.
const FIT_ERROR_AT_MOST: f64 = 0.15;

#[derive(Args)]
pub(super) struct Calibrate {
    /// Protocols to measure, by name; all that can be simulated when none is given. Costs of others stay
    #[arg(long, value_delimiter = ',')]
    protocol: Vec<String>,
    /// Where to write, in place of `baselines/<machine>/costs.json`; `--brief` needs it
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Measures for a moment: shows that everything runs, and gives numbers that are worth little and say so
    #[arg(long, requires = "output")]
    brief: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Why nothing was calibrated.
#[derive(Debug, Error)]
pub(super) enum CalibrateError {
    #[error(transparent)]
    Suite(#[from] SuiteError),
    #[error("{name}: {error}")]
    Protocol { name: String, error: RunError },
    #[error("this machine: {0}")]
    Machine(RunError),
    #[error("none of the protocols can be simulated; `--protocol NAME` tells why one can't")]
    Nothing,
    #[error(transparent)]
    File(#[from] CalibrationError),
    #[error("a folder for logs: {0}")]
    Folder(std::io::Error),
    #[error("costs as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl CalibrateError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            CalibrateError::Suite(_) | CalibrateError::Nothing => EXIT_USAGE,
            CalibrateError::Protocol { error, .. } if is_not_simulated(error) => EXIT_USAGE,
            CalibrateError::Protocol { error: RunError::Unsafe(_), .. } => EXIT_UNSAFE,
            CalibrateError::File(error) => exit_code_of_calibration(error),
            _ => EXIT_TOOL,
        }
    }
}

/// What is missing or unusable is so as a baseline is; what the system refused is its failure.
pub(super) fn exit_code_of_calibration(error: &CalibrationError) -> u8 {
    match error {
        CalibrationError::File(error) => exit_code_of_file(error),
        _ => EXIT_BASELINE,
    }
}

/// What was measured, and where it went.
#[derive(Serialize)]
struct Report<'a> {
    path: &'a Path,
    elapsed_s: f64,
    not_calibrated: &'a [(String, String)],
    calibration: &'a Calibration,
}

impl Calibrate {
    pub(super) fn run(&self, suite: &Suite) -> Result<u8, CalibrateError> {
        let started = Instant::now();
        let suite = suite.select(&self.protocol)?;
        let machine = machine::describe();
        let store = Store::from_environment(&machine.fingerprint);
        let path = self.output.clone().unwrap_or_else(|| costs_path(&store));
        // Refused before anything is measured, if it can't be taken over.
        let before = match calibration::read_for(&path, &machine.fingerprint) {
            Ok(before) => Some(before),
            Err(CalibrationError::Missing { .. } | CalibrationError::OtherMachine { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let scratch = scratch_folder(&store).map_err(CalibrateError::Folder)?;
        let (design, probes) = match self.brief {
            true => (Design::brief(), PROBES_IN_BRIEF),
            false => (Design::default(), PROBES),
        };
        let mut calibration = Calibration {
            schema_version: SCHEMA_VERSION,
            calibrated_unix_s: now_unix_s(),
            harness_version: env!("CARGO_PKG_VERSION").into(),
            machine,
            disturbed: self.brief.then(|| BRIEF.to_string()).into_iter().collect(),
            machine_times: Default::default(),
            protocols: before.map(|before| before.protocols).unwrap_or_default(),
        };
        let not_calibrated = self.measure(&suite, &design, probes, scratch.path(), &mut calibration)?;
        calibration::write(&path, &calibration)?;
        let elapsed_s = started.elapsed().as_secs_f64();
        match self.format {
            Format::Text => print(&calibration, &not_calibrated, &path, elapsed_s),
            Format::Json => {
                let report = Report {
                    path: &path,
                    elapsed_s,
                    not_calibrated: &not_calibrated,
                    calibration: &calibration,
                };
                say!("{}", serde_json::to_string_pretty(&report)?);
            }
        }
        Ok(EXIT_OK)
    }

    /// Fills the calibration. Returns the protocols that can't be simulated, and why.
    fn measure(
        &self,
        suite: &Suite,
        design: &Design,
        probes: usize,
        folder: &Path,
        calibration: &mut Calibration,
    ) -> Result<Vec<(String, String)>, CalibrateError> {
        let line = step_line();
        let mut not_calibrated = Vec::new();
        for registration in suite.all() {
            let name = &registration.name;
            line.set_message(format!("{name}: closed loops"));
            let (started, waited) = (Instant::now(), run_delay_ns());
            match measure_protocol(registration, design, folder, calibration.calibrated_unix_s) {
                Ok(mut costs) => {
                    let waited =
                        run_delay_ns().zip(waited).map(|(after, before)| after.saturating_sub(before));
                    let waited_ns = waited.unwrap_or(0) as f64;
                    let share = waited_ns / started.elapsed().as_nanos() as f64;
                    costs.disturbed = self.doubts(costs.fit_error_median, share);
                    calibration.protocols.retain(|known| known.protocol != costs.protocol);
                    calibration.protocols.push(costs);
                }
                Err(error) if self.passes_over(registration.protocol.descriptor().order, &error) => {
                    not_calibrated.push((name.clone(), error.to_string()));
                }
                Err(error) => return Err(CalibrateError::Protocol { name: name.clone(), error }),
            }
        }
        if not_calibrated.len() == suite.all().len() {
            return Err(CalibrateError::Nothing);
        }
        // How long the probes' threads wait says nothing: they share a core by design.
        line.set_message("threads, links and the disk");
        calibration.machine_times = measure_machine(folder, probes).map_err(CalibrateError::Machine)?;
        line.finish_and_clear();
        Ok(not_calibrated)
    }

    /// Why the costs of one protocol are not to be trusted.
    fn doubts(&self, fit_error_median: f64, run_delay_share: f64) -> Vec<String> {
        let brief = self.brief.then(|| BRIEF.to_string());
        let missed = (fit_error_median > FIT_ERROR_AT_MOST).then(|| {
            let percent = fit_error_median * 100.0;
            format!("the costs miss half of the loops they were fitted to by more than {percent:.0} %")
        });
        let waited = (run_delay_share > RUN_DELAY_AT_MOST).then(|| {
            let percent = run_delay_share * 100.0;
            format!("threads waited for a core during {percent:.1} % of the time (limit 2 %)")
        });
        brief.into_iter().chain(missed).chain(waited).collect()
    }

    /// Who asks for all protocols gets those that can be simulated and keep up with closed loops, which those
    /// of gossip need not, and is told of the others. Whatever else goes wrong is an error.
    fn passes_over(&self, order: Order, error: &RunError) -> bool {
        let is_too_slow = order == Order::Set && matches!(error, RunError::ClosedLoop(_));
        self.protocol.is_empty() && (is_not_simulated(error) || is_too_slow)
    }
}

/// A folder for logs, on the disk where runs keep theirs.
pub(super) fn scratch_folder(store: &Store) -> std::io::Result<tempfile::TempDir> {
    std::fs::create_dir_all(&store.home)?;
    tempfile::Builder::new().prefix("scratch-").tempdir_in(&store.home)
}

fn now_unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn print(calibration: &Calibration, not_calibrated: &[(String, String)], path: &Path, elapsed_s: f64) {
    for costs in &calibration.protocols {
        let named = costs.costs.named();
        let shown = named.iter().filter(|(_, cost)| *cost > 0.0).map(|(name, cost)| {
            format!("{} {}", name.trim_end_matches("_ns"), quantity::in_unit(*cost, "ns"))
        });
        say!("{}: {}", costs.protocol, shown.collect::<Vec<_>>().join(", "));
        say!("    awake after {}", quantity::in_unit(costs.resume_ns, "ns"));
        say!(
            "    fitted to {} closed loops within {:.1} % in the median, {:.0} % at most",
            costs.cells.len(),
            costs.fit_error_median * 100.0,
            costs.fit_error_max * 100.0
        );
    }
    for (name, why) in not_calibrated {
        say!("{name}: not calibrated: {why}");
    }
    say!("this machine, median (99th percentile):");
    for (name, spread) in calibration.machine_times.spreads() {
        let [median, p99] = [0.5, 0.99].map(|quantile| quantity::in_unit(spread.at(quantile), "ns"));
        say!("    {name} {median} ({p99})");
    }
    for why in calibration.disturbances() {
        say!("DISTURBED: {why}");
    }
    say!("{elapsed_s:.0} s; {}", path.display());
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;
    use protocol_core::LaunchError;

    use super::*;
    use crate::load::ClosedLoopError;

    fn parsed(arguments: &[&str]) -> Result<Calibrate, clap::Error> {
        let command = Calibrate::augment_args(clap::Command::new("calibrate").no_binary_name(true));
        Calibrate::from_arg_matches(&command.try_get_matches_from(arguments)?)
    }

    #[test]
    fn brief_numbers_take_no_others_place_and_say_what_they_are() {
        assert!(parsed(&["--brief"]).is_err());
        let brief = parsed(&["--brief", "--output", "costs.json"]).unwrap();
        assert_eq!(brief.doubts(0.0, 0.0), [BRIEF]);
        let whole = parsed(&[]).unwrap();
        assert!(whole.doubts(0.15, 0.02).is_empty());
        let [missed, waited] = &whole.doubts(0.2, 0.031)[..] else { panic!("two doubts") };
        assert!(missed.contains("more than 20 %") && waited.contains("3.1 % of the time"));
    }

    #[test]
    fn only_what_cannot_be_measured_is_passed_over_and_only_when_all_are_asked_for() {
        let not_simulated =
            || RunError::Settings(LaunchError::NotSimulated { protocol: "toy", why: "it is a toy" });
        let all = parsed(&[]).unwrap();
        assert!(all.passes_over(Order::Total, &not_simulated()));
        assert!(!all.passes_over(Order::Set, &RunError::Unsafe("two leaders".into())));
        assert!(!all.passes_over(Order::Set, &RunError::NotFitted));
        let one = parsed(&["--protocol", "toy"]).unwrap();
        assert!(!one.passes_over(Order::Total, &not_simulated()));
        let hung = || {
            let (timeout, last_error) = (std::time::Duration::from_secs(30), "timed out".into());
            RunError::ClosedLoop(ClosedLoopError::TimedOut {
                acknowledged: 8,
                wanted: 9,
                timeout,
                last_error,
            })
        };
        assert!(all.passes_over(Order::Set, &hung()) && !all.passes_over(Order::Total, &hung()));
    }
}
