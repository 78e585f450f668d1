//! `consensus-bench tune`: settings that serve a goal better, searched, proven and written down.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::history::HistoryCommandError;
use super::overrides::Overrides;
use super::{CliError, Format, Source, settings, step_line, store};
use crate::calibration::{self, CalibrationError, check_costs};
use crate::exit::{EXIT_OK, EXIT_TOOL, EXIT_UNSAFE, EXIT_USAGE};
use crate::history::{History, HistoryError};
use crate::interrupt::{self, EXIT_INTERRUPTED};
use crate::machine;
use crate::output::say;
use crate::run::Limits;
use crate::scenario::{self, Measure, Scenario};
use crate::suite::Suite;
use crate::trial::{Goal, LoadKind, Trial, TrialError};
use crate::tune::{
    LiveOptions, SearchClock, TuneError, TuneOptions, Tuning, conditions, live, simulated, this_program, tune,
};

#[derive(Args)]
pub(super) struct Tune {
    /// Protocol to tune, by name
    protocol: String,
    /// Scenario to tune it for, by name
    #[arg(long)]
    scenario: String,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    overrides: Overrides,
    /// What to be good at
    #[arg(long, value_enum, required_unless_present = "live")]
    goal: Option<Goal>,
    /// What has to hold besides, as in p99<100ms
    #[arg(long, value_name = "p99<TIME")]
    target: Option<String>,
    /// Time for everything, about: 90s, 5m
    #[arg(long, default_value = "5m")]
    budget: String,
    /// Blocks that the search runs, at most
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u32).range(4..=10_000))]
    trials: u32,
    /// One topology of a scenario in virtual time that lists several; `--replicas` chooses the size
    #[arg(long, value_name = "NAME")]
    topology: Option<String>,
    /// Clients of a closed loop, in place of the load that the scenario and the goal suggest
    #[arg(long, conflicts_with = "rate_per_s")]
    clients: Option<usize>,
    /// Requests per second of an open loop, likewise
    #[arg(long)]
    rate_per_s: Option<f64>,
    /// A tunable to search, in place of all whose whole price a load shows; may be repeated, but not with --live
    #[arg(long, value_name = "NAME")]
    tunable: Vec<String>,
    /// A tunable that is set already, as NAME=VALUE; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// By which clock to search: simulated first, or the scenario's own
    #[arg(long, value_enum, default_value_t = SearchClock::Simulated)]
    search: SearchClock,
    /// Length of a block in real time, in milliseconds
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(20..=600_000))]
    block_ms: u64,
    /// Writes the settings that were found, for `run --settings`; those of other protocols in the file stay
    #[arg(long, value_name = "TOML")]
    apply: Option<PathBuf>,
    /// Adapts one tunable while a cluster runs, by additive increase and multiplicative decrease, to `--target`
    #[arg(long, requires = "target", conflicts_with_all = ["goal", "budget", "trials", "search", "apply"])]
    live: bool,
    /// With --live: intervals, after each of which the value may change
    #[arg(long, default_value_t = 60, requires = "live", value_parser = clap::value_parser!(u32).range(6..=10_000))]
    intervals: u32,
    /// With --live: length of an interval in milliseconds
    #[arg(long, default_value_t = 250, requires = "live", value_parser = clap::value_parser!(u64).range(10..=600_000))]
    interval_ms: u64,
    /// Neither learns from earlier tunings nor leaves anything to later ones
    #[arg(long)]
    no_history: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

impl Tune {
    pub(super) fn run(&self, suite: &Suite) -> Result<u8, CliError> {
        let mut trial = self.trial(suite)?;
        trial.target = self.target.as_deref().map(str::parse).transpose()?;
        if self.live {
            return self.follow(&trial);
        }
        let options = self.options()?;
        // A file that can't be added to is told of before the search, not after it.
        self.apply.as_deref().map(settings::kept).transpose()?;
        let calibration = measured_costs()?;
        if let Err(error) = interrupt::listen() {
            eprintln!("Ctrl-C will lose the search: {error}");
        }
        let fingerprint = machine::describe().fingerprint;
        let arena = simulated(&trial, &options, calibration.as_ref());
        let conditions = conditions(arena.as_ref().unwrap_or(&trial), &this_program(), &fingerprint);
        let mut history = if self.no_history { None } else { Some(self.history()?) };
        let known = match &history {
            Some(history) => history.known_trials(&conditions).map_err(HistoryCommandError::from)?,
            None => Vec::new(),
        };
        let line = step_line();
        let (mut tried, mut unwritten) = (0, None::<HistoryError>);
        let tuning = tune(&trial, &options, calibration.as_ref(), &known, |one| {
            tried += 1;
            line.set_message(format!("{}: {tried} trials", trial.pair.id()));
            // What was given up early was not measured as others are.
            let (Some(history), false) = (&mut history, one.pruned) else { return };
            let found = one.sample.as_ref().ok_or_else(|| one.failure.as_deref().unwrap_or("no sample"));
            unwritten = history.record_trial(&conditions, trial.goal, &one.settings, found).err();
        });
        line.finish_and_clear();
        let tuning = tuning?;
        if let Some(error) = unwritten {
            eprintln!("a later tuning will know less: {error}");
        }
        self.tell(&tuning)?;
        Ok(EXIT_OK)
    }

    fn history(&self) -> Result<History, HistoryCommandError> {
        Ok(History::open(&store().history_path())?)
    }

    fn trial(&self, suite: &Suite) -> Result<Trial, CliError> {
        let suite = suite.select(std::slice::from_ref(&self.protocol))?;
        let suite = suite.with_settings(&settings::parse(&self.settings)?)?;
        let mut chosen = scenario::find(&self.source.scenarios()?, &self.scenario)?.clone();
        self.overrides.apply(&mut chosen);
        self.choose_topology(&mut chosen).map_err(TuneError::from)?;
        chosen.check("command line")?;
        let pairs = suite.pairs(&[chosen], Limits::default())?;
        check_costs(&pairs)?;
        let Some(pair) = pairs.into_iter().next() else {
            return Err(TuneError::NothingToCompareWith("no such protocol".into()).into());
        };
        // Live mode follows a response time, under an offered rate.
        let mut trial = Trial::of(pair, self.goal.unwrap_or(Goal::MinP99));
        match (self.clients, self.rate_per_s) {
            (Some(clients), _) => trial.load = LoadKind::Closed { clients },
            (None, Some(rate_per_s)) => trial.load = LoadKind::Open { rate_per_s },
            (None, None) => {}
        }
        trial.check().map_err(TuneError::from)?;
        Ok(trial)
    }

    fn choose_topology(&self, chosen: &mut Scenario) -> Result<(), TrialError> {
        let Some(topology) = &self.topology else { return Ok(()) };
        let name = &chosen.name;
        match &mut chosen.measure {
            Measure::Exact(plan) => plan.topologies = vec![topology.clone()],
            _ => {
                let why = format!(
                    "{name}: `--topology` is for loads in virtual time; `--delay-ms` sets the links of others"
                );
                return Err(TrialError::Unsuitable(why));
            }
        }
        Ok(())
    }

    fn follow(&self, trial: &Trial) -> Result<u8, CliError> {
        let Some(target) = trial.target else {
            return Err(TuneError::NothingToCompareWith("no target".into()).into());
        };
        if self.tunable.len() > 1 {
            let why = "`--live` adapts one tunable; name one with `--tunable`".to_string();
            return Err(TuneError::from(TrialError::Unsuitable(why)).into());
        }
        let options = LiveOptions {
            tunable: self.tunable.first().cloned(),
            target,
            intervals: self.intervals as usize,
            interval_s: self.interval_ms as f64 / 1e3,
        };
        if let Err(error) = interrupt::listen() {
            eprintln!("Ctrl-C will lose the run: {error}");
        }
        let run = live(trial, &options)?;
        match self.format {
            Format::Json => say!("{}", serde_json::to_string_pretty(&run)?),
            Format::Text => say!("{}", run.to_string().trim_end()),
        }
        Ok(if interrupt::requested() { EXIT_INTERRUPTED } else { EXIT_OK })
    }

    fn options(&self) -> Result<TuneOptions, CliError> {
        let budget = humantime::parse_duration(&self.budget).ok().filter(|budget| !budget.is_zero());
        Ok(TuneOptions {
            budget: budget.ok_or_else(|| CliError::Budget(self.budget.clone()))?,
            most_blocks: self.trials as usize,
            tunables: self.tunable.clone(),
            clock: self.search,
            seed: self.overrides.seed.unwrap_or(1),
            block: Duration::from_millis(self.block_ms),
        })
    }

    fn tell(&self, tuning: &Tuning) -> Result<(), CliError> {
        match self.format {
            Format::Json => say!("{}", serde_json::to_string_pretty(tuning)?),
            Format::Text => {
                say!("{}", tuning.to_string().trim_end());
                if let Some(best) = &tuning.best {
                    say!("  {}{}{}", tuning.command(best), self.source.flags(), self.overrides.flags());
                }
            }
        }
        let Some(path) = &self.apply else { return Ok(()) };
        // A default that stands takes nothing away from what was proven before.
        let written = match &tuning.best {
            Some(best) => {
                settings::write(path, &tuning.protocol, &tuning.settings_with(best))?;
                format!("  written to {}", path.display())
            }
            None => format!("  nothing to write to {}", path.display()),
        };
        if self.format == Format::Text {
            say!("{written}");
        }
        Ok(())
    }
}

/// This machine's costs; none where they were not measured.
fn measured_costs() -> Result<Option<calibration::Calibration>, CliError> {
    match calibration::of_this_machine() {
        Ok(costs) => Ok(Some(costs)),
        Err(CalibrationError::Missing { .. } | CalibrationError::OtherMachine { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn exit_code(error: &TuneError) -> u8 {
    match error {
        TuneError::Space(_) | TuneError::Trial(TrialError::Base(_) | TrialError::Unsuitable(_)) => EXIT_USAGE,
        TuneError::Trial(TrialError::UnsafeBase(_)) => EXIT_UNSAFE,
        TuneError::Trial(TrialError::Interrupted) => EXIT_INTERRUPTED,
        _ => EXIT_TOOL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_c_is_told_from_a_failure_by_the_exit_code() {
        assert_eq!(exit_code(&TrialError::Interrupted.into()), 130);
        let full = TrialError::Folder(std::io::ErrorKind::StorageFull.into());
        assert_eq!(exit_code(&full.into()), EXIT_TOOL);
    }
}
