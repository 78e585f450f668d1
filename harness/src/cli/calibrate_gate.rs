//! `consensus-bench calibrate-gate`: how often paired verdicts err on this machine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use thiserror::Error;

use super::gate::workspace_policy;
use super::{Format, step_line};
use crate::exit::{EXIT_BASELINE, EXIT_OK, EXIT_TOOL, EXIT_USAGE};
use crate::files::{FileError, write_atomically};
use crate::gate::policy::{Policy, PolicyError};
use crate::gate::report::Tier;
use crate::gate::{CLIENTS, PAIRED_METRICS, row};
use crate::interrupt;
use crate::machine;
use crate::output::say;
use crate::pair::{
    Arm, Arms, BenchNoise, BlockSpec, NOISE_FILE, NOISE_SCHEMA_VERSION, Noise, NoiseError, PairError, Round,
    Rules, Study, StudyPlan, burn_ns, calibrate_commits, cost_of, run_round, study_of,
};
use crate::scenario::USUAL_SEED;
use crate::store::Store;
use crate::suite::{Suite, SuiteError};
use crate::table::{empty_table, lines_of, quantity};
use protocol_core::Order;

#[derive(Args)]
pub(super) struct CalibrateGate {
    /// Protocols to measure, by name; all that run in a closed loop when none is given
    #[arg(long, value_delimiter = ',')]
    protocol: Vec<String>,
    /// Rounds of processes to record for each
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rounds: u64,
    /// Windows to draw from them
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    windows: u64,
    /// Slow-downs to inject, as shares of the CPU time per commit
    #[arg(long, value_delimiter = ',', default_values_t = [0.02, 0.05, 0.1, 0.2])]
    effects: Vec<f64>,
    /// Keeps every block that was measured, as JSON
    #[arg(long, value_name = "FILE")]
    blocks: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Why the noise is not known.
#[derive(Debug, Error)]
pub(super) enum CalibrateGateError {
    #[error(transparent)]
    Suite(#[from] SuiteError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error("--effects: {0} is outside 0 to 10")]
    Effect(f64),
    #[error("{rounds} rounds are fewer than the {needed} of one window: give more with --rounds")]
    FewRounds { rounds: u64, needed: usize },
    #[error("{0}: updates may miss a replica, so it has no closed loop to measure")]
    NoClosedLoop(String),
    #[error(transparent)]
    Pair(#[from] PairError),
    #[error(transparent)]
    Noise(#[from] NoiseError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("this program's path: {0}")]
    Program(std::io::Error),
    #[error("noise as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl CalibrateGateError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            CalibrateGateError::Suite(_)
            | CalibrateGateError::Policy(_)
            | CalibrateGateError::Effect(_)
            | CalibrateGateError::FewRounds { .. }
            | CalibrateGateError::NoClosedLoop(_) => EXIT_USAGE,
            CalibrateGateError::Noise(_) => EXIT_BASELINE,
            _ => EXIT_TOOL,
        }
    }
}

impl CalibrateGate {
    pub(super) fn run(&self, suite: &Suite) -> Result<u8, CalibrateGateError> {
        if let Some(&effect) = self.effects.iter().find(|effect| !(0.0..=10.0).contains(*effect)) {
            return Err(CalibrateGateError::Effect(effect));
        }
        let machine = machine::describe();
        let store = Store::from_environment(&machine.fingerprint);
        // As the gate of this workspace judges.
        let (policy, _) = workspace_policy(&store, None)?;
        let needed = policy.paired.screen_pairs + policy.paired.confirm_pairs;
        if (self.rounds as usize) < needed {
            return Err(CalibrateGateError::FewRounds { rounds: self.rounds, needed });
        }
        let protocols = self.protocols(suite)?;
        let path = store.machine_file(NOISE_FILE);
        // What was measured of other protocols stays, if the gate still judges that way.
        let known = Noise::read(&path, &machine.fingerprint)?;
        if known.as_ref().is_some_and(|noise| !noise.is_of(&policy.paired)) {
            eprintln!(
                "{}: measured with other blocks, pairs or significance: it is replaced",
                path.display()
            );
        }
        let known = known.filter(|noise| noise.is_of(&policy.paired));
        let mut noise = Noise {
            schema_version: NOISE_SCHEMA_VERSION,
            fingerprint: machine.fingerprint,
            measured_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            block_ms: policy.paired.block_ms,
            screen_pairs: policy.paired.screen_pairs,
            confirm_pairs: policy.paired.confirm_pairs,
            significance: policy.paired.significance,
            benches: known.map(|noise| noise.benches).unwrap_or_default(),
        };
        if let Some(folder) = path.parent() {
            let unwritable = |source| FileError::Unwritable { path: path.clone(), source };
            std::fs::create_dir_all(folder).map_err(unwritable)?;
        }
        if let Err(error) = interrupt::listen() {
            eprintln!("Ctrl-C will not be heard between blocks: {error}");
        }
        let line = step_line();
        let mut recorded: BTreeMap<String, Vec<Round>> = BTreeMap::new();
        for protocol in &protocols {
            let arms = self.arms(protocol)?;
            let rounds = self.record(protocol, &arms, &policy, |what| line.set_message(what))?;
            noise.benches.insert(row(protocol), self.study(protocol, &rounds, &policy));
            // Minutes of measuring are kept, whatever becomes of the next protocol.
            noise.write(&path)?;
            recorded.insert(row(protocol), rounds);
        }
        line.finish_and_clear();
        if let Some(path) = &self.blocks {
            write_atomically(path, serde_json::to_string(&recorded)?.as_bytes())?;
        }
        match self.format {
            Format::Text => say!("{}\nwritten: {}", table(&noise, &protocols), path.display()),
            Format::Json => say!("{}", serde_json::to_string_pretty(&noise)?),
        }
        Ok(EXIT_OK)
    }

    fn protocols(&self, suite: &Suite) -> Result<Vec<String>, CalibrateGateError> {
        let asked = suite.select(&self.protocol)?;
        let mut found = Vec::new();
        for registration in asked.all() {
            if registration.protocol.descriptor().order != Order::Set {
                found.push(registration.name.clone());
            } else if !self.protocol.is_empty() {
                return Err(CalibrateGateError::NoClosedLoop(registration.name.clone()));
            }
        }
        Ok(found)
    }

    /// This program three times over and more: as it is, again as its own copy, and slower by every effect.
    fn arms(&self, protocol: &str) -> Result<Arms, CalibrateGateError> {
        let program = std::env::current_exe().map_err(CalibrateGateError::Program)?;
        let arm = |name: String, burn| Arm { name, program: program.clone(), burn };
        let base = arm(BASE.into(), 0);
        let cost = cost_of(&base, protocol, CLIENTS)?;
        let per_iteration = burn_ns();
        let slower = self.effects.iter().map(|&effect| {
            let iterations = (cost * effect / per_iteration).round() as u64;
            arm(slower(effect), iterations)
        });
        let arms = [base.clone(), arm(COPY.into(), 0)].into_iter().chain(slower).collect();
        Ok(Arms { arms, seed: USUAL_SEED })
    }

    fn record(
        &self,
        protocol: &str,
        arms: &Arms,
        policy: &Policy,
        progress: impl Fn(String),
    ) -> Result<Vec<Round>, CalibrateGateError> {
        let commits = calibrate_commits(&arms.arms[0], protocol, CLIENTS, policy.paired.block_ms)?;
        let spec = BlockSpec { protocol: protocol.into(), clients: CLIENTS, commits, burn: 0 };
        let started = Instant::now();
        let mut rounds = Vec::new();
        for round in 0..self.rounds {
            progress(format!(
                "{protocol}: round {} of {}, {:.0} s",
                round + 1,
                self.rounds,
                started.elapsed().as_secs_f64()
            ));
            rounds.push(run_round(arms, round, &spec)?);
        }
        Ok(rounds)
    }

    fn study(&self, protocol: &str, rounds: &[Round], policy: &Policy) -> BTreeMap<String, BenchNoise> {
        let slower: Vec<(String, f64)> = self.effects.iter().map(|&by| (slower(by), by)).collect();
        let of_metric = |(metric, _, better): (&str, &str, _)| {
            let tolerance = policy.ruling(Tier::Paired, &row(protocol), metric).tolerance;
            let plan = StudyPlan {
                windows: self.windows as usize,
                screen_pairs: policy.paired.screen_pairs,
                confirm_pairs: policy.paired.confirm_pairs,
                rules: Rules { tolerance, significance: policy.paired.significance, better },
                seed: USUAL_SEED,
            };
            let study = Study { rounds, metric, base: BASE, copy: COPY, slower: &slower };
            Some((metric.to_string(), study_of(&study, &plan)?))
        };
        PAIRED_METRICS.into_iter().filter_map(of_metric).collect()
    }
}

const BASE: &str = "base";
const COPY: &str = "copy";

fn slower(by: f64) -> String {
    format!("slower by {by}")
}

fn table(noise: &Noise, protocols: &[String]) -> String {
    let mut table = empty_table(
        &["benchmark", "metric", "windows", "false alarms", "detectable", "detected of", "may block"],
        false,
    );
    for protocol in protocols {
        for (metric, found) in noise.benches.get(&row(protocol)).into_iter().flatten() {
            let effects: Vec<String> = found
                .effects
                .iter()
                .map(|effect| format!("+{:.0} %: {}", 100.0 * effect.asked, quantity::share(effect.detected)))
                .collect();
            table.add_row(vec![
                row(protocol),
                metric.clone(),
                found.windows.to_string(),
                found.false_alarms.to_string(),
                quantity::change(found.detectable),
                effects.join(", "),
                found
                    .reason_not_to_block(found.tolerance)
                    .map_or_else(|| "yes".into(), |reason| format!("no: {reason}")),
            ]);
        }
    }
    lines_of(&table)
}
