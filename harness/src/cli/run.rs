//! `consensus-bench run`: the harness's own runs, real or virtual.

use std::path::PathBuf;

use clap::Args;
use protocol_core::check_size;

use super::overrides::Overrides;
use super::{CliError, Format, Source, history, settings};
use crate::calibration::check_costs;
use crate::history::Retention;
use crate::interrupt;
use crate::progress::Verbosity;
use crate::run::Limits;
use crate::scenario::{self, Scenario};
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
    #[command(flatten)]
    overrides: Overrides,
    /// A tunable of the protocols, as NAME=VALUE; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// A file of tunables by protocol, as `tune --apply` writes it; `--set` comes on top
    #[arg(long = "settings", value_name = "TOML")]
    settings_file: Option<PathBuf>,
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
    /// Under which name the results are kept in the history; what CONSENSUS_BENCH_NAMESPACE says, or `default`, when
    /// not given
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// How long the history keeps the results: 365d; what CONSENSUS_BENCH_KEEP_FOR says, or 90d, when not given
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
        let suite = match &self.settings_file {
            Some(path) => settings::from_file(suite, path)?,
            None => suite.clone(),
        };
        let suite = suite.select(&self.protocol)?.with_settings(&settings::parse(&self.settings)?)?;
        // A scenario's cluster grows to what a protocol can have, but not one that someone asks for.
        if let Some(replicas) = self.overrides.replicas.filter(|&replicas| replicas > 0) {
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
            call: None,
            is_test: false,
        })
    }

    fn retention(&self) -> Result<Retention, history::HistoryCommandError> {
        let mut retention = Retention::from_environment()?;
        if let Some(name) = &self.namespace {
            retention = retention.in_namespace(name)?;
        }
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
            self.overrides.apply(scenario);
            scenario.check("command line")?;
        }
        Ok(chosen)
    }
}
