//! `consensus-bench run`: the harness's own runs, real or virtual.

use std::collections::BTreeMap;

use clap::Args;
use protocol_core::check_size;

use super::{CliError, Format, Source, history};
use crate::calibration::check_costs;
use crate::history::Retention;
use crate::interrupt;
use crate::progress::Verbosity;
use crate::run::Limits;
use crate::scenario::{self, Measure, Scenario, StorageConfig, TransportKind};
use crate::session::{Baselines, Report, Session, SessionOptions};
use crate::suite::{Suite, SuiteError};

#[derive(Args)]
pub(super) struct Run {
    /// Protocols to run, by name; all when none is given
    #[arg(long, value_delimiter = ',')]
    protocol: Vec<String>,
    /// Scenarios to run, by name; all of the profile when none is given
    #[arg(long, value_delimiter = ',')]
    scenario: Vec<String>,
    #[command(flatten)]
    source: Source,
    /// How messages move, in place of the scenario's
    #[arg(long, value_enum)]
    network: Option<TransportKind>,
    /// One-way delay of every link in milliseconds, in place of the scenario's
    #[arg(long, allow_negative_numbers = true)]
    delay_ms: Option<f64>,
    /// With tcp, replica i listens on this port plus i
    #[arg(long)]
    base_port: Option<u16>,
    /// Where logs are kept, in place of the scenario's
    #[arg(long, value_enum)]
    storage: Option<StorageConfig>,
    /// Size of the cluster, in place of the scenario's
    #[arg(long)]
    replicas: Option<usize>,
    /// Seed, in place of the scenario's
    #[arg(long)]
    seed: Option<u64>,
    /// A tunable of the protocols, as NAME=VALUE; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// Saves the results as a baseline
    #[arg(long, value_name = "NAME")]
    save: Option<String>,
    /// Compares the results with a baseline
    #[arg(long, value_name = "NAME")]
    baseline: Option<String>,
    /// No progress on standard error
    #[arg(long, short)]
    quiet: bool,
    /// How results are printed at the end
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Under which name the results are kept in the history
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// How long the history keeps the results
    #[arg(long, value_name = "AGE", conflicts_with = "pin")]
    keep_for: Option<String>,
    /// The history keeps the results for good
    #[arg(long)]
    pin: bool,
    /// Keeps the results out of the history
    #[arg(long, conflicts_with_all = ["namespace", "keep_for", "pin"])]
    no_history: bool,
}

impl Run {
    pub(super) fn run(&self, suite: &Suite) -> Result<u8, CliError> {
        let suite = suite.select(&self.protocol)?.with_settings(&settings(&self.settings)?)?;
        // A scenario's cluster grows to what a protocol can have, but not one that someone asks for.
        if let Some(replicas) = self.replicas.filter(|&replicas| replicas > 0) {
            let sizes = suite.all().iter().map(|one| check_size(&one.protocol.descriptor(), replicas));
            sizes.collect::<Result<(), _>>().map_err(SuiteError::from)?;
        }
        let pairs = suite.pairs(&self.chosen_scenarios()?, Limits::default())?;
        check_costs(&pairs)?;
        let options = self.session_options()?;
        if let Err(error) = interrupt::listen() {
            eprintln!("Ctrl-C will lose results: {error}");
        }
        let mut session = Session::start("run", options)?;
        session.run_all(&pairs);
        Ok(session.finish())
    }

    fn session_options(&self) -> Result<SessionOptions, CliError> {
        let baselines = Baselines { save: self.save.clone(), compare: self.baseline.clone(), lenient: false };
        let history = if self.no_history { None } else { Some(self.retention()?) };
        Ok(SessionOptions {
            baselines,
            verbosity: if self.quiet { Verbosity::Quiet } else { Verbosity::Normal },
            report: if self.format == Format::Json { Report::Json } else { Report::Tables },
            history,
        })
    }

    fn retention(&self) -> Result<Retention, history::HistoryCommandError> {
        let mut retention = match &self.namespace {
            Some(name) => Retention::default().in_namespace(name)?,
            None => Retention::from_environment()?,
        };
        if let Some(text) = &self.keep_for {
            retention.keep_for = Some(history::age("--keep-for", text)?);
        }
        retention.pinned = self.pin;
        Ok(retention)
    }

    fn chosen_scenarios(&self) -> Result<Vec<Scenario>, CliError> {
        let all = self.source.scenarios()?;
        let mut chosen = match self.scenario.as_slice() {
            [] => all,
            names => {
                names.iter().map(|name| scenario::find(&all, name).cloned()).collect::<Result<Vec<_>, _>>()?
            }
        };
        for scenario in &mut chosen {
            self.override_scenario(scenario);
            scenario.check("command line")?;
        }
        Ok(chosen)
    }

    fn override_scenario(&self, scenario: &mut Scenario) {
        let network = &mut scenario.network;
        network.kind = self.network.unwrap_or(network.kind);
        network.delay_ms = self.delay_ms.unwrap_or(network.delay_ms);
        network.base_port = self.base_port.or(network.base_port);
        scenario.storage = self.storage.unwrap_or(scenario.storage);
        if let Some(replicas) = self.replicas {
            scenario.replicas = replicas;
            // These bring their own sizes, which an override must not leave as they are.
            match &mut scenario.measure {
                Measure::Scalability(sweep) => sweep.replicas = vec![replicas],
                Measure::Exact(plan) => plan.replicas = vec![replicas],
                _ => {}
            }
        }
        scenario.seed = self.seed.unwrap_or(scenario.seed);
    }
}

/// Values of tunables by name, each given as NAME=VALUE.
pub(super) fn settings(given: &[String]) -> Result<BTreeMap<String, f64>, CliError> {
    let parse = |setting: &String| {
        let (name, value) = setting.split_once('=')?;
        Some((name.trim().to_string(), value.trim().parse().ok()?))
    };
    given.iter().map(|setting| parse(setting).ok_or_else(|| CliError::Setting(setting.clone()))).collect()
}
