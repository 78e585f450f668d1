//! `consensus-bench model`: a performance model fitted to runs, and what it predicts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use protocol_core::{LaunchError, Settings, SimulationSpec, check_size};
use serde_json::json;
use thiserror::Error;

use super::{Format, step_line, store};
use crate::calibration::CalibrationError;
use crate::exit::{EXIT_BASELINE, EXIT_OK, EXIT_TOOL, EXIT_UNSAFE, EXIT_USAGE, exit_code_of};
use crate::files::FileError;
use crate::machine;
use crate::model::by_simulation::{self, Simulator, spec_at};
use crate::model::quorum_latency::{Pattern, Sites};
use crate::model::{
    CommitCost, FitError, Load, Model, Move, PlaceModel, PredictError, Prediction, Setting, Surroundings,
    file, predictions, text,
};
use crate::output::say;
use crate::results::RunResults;
use crate::run::RunError;
use crate::store::StoreError;
use crate::suite::{Registration, Suite, SuiteError};

/// Models, within the home.
const MODELS: &str = "models";
const SEED: u64 = 1;

#[derive(Args)]
pub(super) struct ModelCommand {
    /// Protocol
    protocol: String,
    /// Runs to fit it to: ids, `latest`, baselines or paths
    #[arg(default_value = "latest")]
    runs: Vec<String>,
    /// A setting to predict: clients=C or rate=R, with replicas=N and topology=T or delay_ms=D if it has others.
    /// CPU time per commit is by the simulator with the costs of `consensus-bench calibrate`
    #[arg(long, value_name = "KEY=VALUE,…")]
    predict: Vec<Wanted>,
    /// Predicts with another value of a protocol's setting, by simulation
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, f64)>,
    /// Predicts by the simulator in place of formulas
    #[arg(long)]
    simulate: bool,
    /// Where the model is kept; models/PROTOCOL.json beside the runs when it is not given
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Why there is no model, or no prediction.
#[derive(Debug, Error)]
pub(super) enum ModelCommandError {
    #[error(transparent)]
    Suite(#[from] SuiteError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "{runs}: nothing of {protocol} to fit a model to; `cargo consensus-bench run --profile full --protocol \
         {protocol} --scenario scalability,throughput` measures what it takes"
    )]
    NoCells { protocol: String, runs: String },
    #[error("--set {0}: give --predict too, to say for which load")]
    NothingToPredict(String),
    #[error(transparent)]
    Fit(#[from] FitError),
    #[error(transparent)]
    Predict(#[from] PredictError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the model as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl ModelCommandError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            ModelCommandError::Store(error) => exit_code_of(error),
            ModelCommandError::NoCells { .. }
            | ModelCommandError::Fit(_)
            | ModelCommandError::Predict(_)
            | ModelCommandError::Run(RunError::Calibration(
                CalibrationError::Missing { .. } | CalibrationError::NotCalibrated { .. },
            )) => EXIT_BASELINE,
            ModelCommandError::Suite(_)
            | ModelCommandError::NothingToPredict(_)
            | ModelCommandError::Launch(_)
            | ModelCommandError::Run(RunError::Topology(_) | RunError::Settings(_)) => EXIT_USAGE,
            ModelCommandError::Run(RunError::Unsafe(_)) => EXIT_UNSAFE,
            ModelCommandError::Run(_) | ModelCommandError::File(_) | ModelCommandError::Json(_) => EXIT_TOOL,
        }
    }
}

/// A setting as the command line says it.
#[derive(Clone, Debug, PartialEq)]
struct Wanted {
    load: Load,
    replicas: Option<usize>,
    place: Option<Place>,
}

/// Another place than the measured ones.
#[derive(Clone, Debug, PartialEq)]
enum Place {
    Topology(String),
    DelayMs(f64),
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut load, mut replicas, mut place) = (None, None, None);
        for part in text.split(',') {
            let (key, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is not KEY=VALUE"))?;
            let number = |least: f64| {
                let number = value.parse::<f64>().ok().filter(|number| *number >= least && *number <= 1e9);
                number.ok_or_else(|| format!("`{part}`: a number from {least} to 1e9"))
            };
            let whole = || {
                number(1.0).and_then(|number| match number.fract() == 0.0 {
                    true => Ok(number as usize),
                    false => Err(format!("`{part}`: a whole number")),
                })
            };
            match key {
                "clients" | "rate" if load.is_some() => return Err("one of clients and rate, once".into()),
                "clients" => load = Some(Load::Clients(whole()?)),
                "rate" => load = Some(Load::Rate(number(1e-3)?)),
                "replicas" => replicas = Some(whole()?),
                "topology" | "delay_ms" if place.is_some() => {
                    return Err("one of topology and delay_ms, once".into());
                }
                "topology" => place = Some(Place::Topology(value.into())),
                "delay_ms" => place = Some(Place::DelayMs(number(0.0)?)),
                _ => {
                    return Err(format!(
                        "no key `{key}`; there are: clients, rate, replicas, topology, delay_ms"
                    ));
                }
            }
        }
        let load = load.ok_or("clients=… or rate=… is missing")?;
        Ok(Wanted { load, replicas, place })
    }
}

fn setting(text: &str) -> Result<(String, f64), String> {
    let parsed = text.split_once('=').and_then(|(name, value)| Some((name.to_string(), value.parse().ok()?)));
    parsed.ok_or_else(|| "not NAME=VALUE with a number as the value".into())
}

impl ModelCommand {
    pub(super) fn run(&self, suite: &Suite) -> Result<u8, ModelCommandError> {
        let registration = suite.get(&self.protocol)?;
        if let (Some((name, _)), true) = (self.set.first(), self.predict.is_empty()) {
            return Err(ModelCommandError::NothingToPredict(name.clone()));
        }
        let store = store();
        let mut runs: Vec<RunResults> = Vec::new();
        for reference in &self.runs {
            runs.extend(store.load(reference)?.runs);
        }
        let model = Model::fit(&self.protocol, &runs)?;
        if model.places.is_empty() {
            let (protocol, runs) = (self.protocol.clone(), self.runs.join(", "));
            return Err(ModelCommandError::NoCells { protocol, runs });
        }
        let path = self
            .output
            .clone()
            .unwrap_or_else(|| store.home.join(MODELS).join(format!("{}.json", self.protocol)));
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|source| FileError::Unwritable { path: folder.into(), source })?;
        }
        file::write(&path, &model)?;
        let found = self.predictions(registration, &model)?;
        match self.format {
            Format::Text => {
                say!("{}", text(&model));
                if !found.is_empty() {
                    say!("\n{}", predictions(&found));
                }
                say!("\nkept in {}", path.display());
            }
            Format::Json => {
                let of_place = |place: &PlaceModel| {
                    let [closed, open] = place.errors();
                    json!({ "place": place.surroundings.name(), "closed_loops": closed, "open_loops": open })
                };
                let errors: Vec<_> = model.places.iter().map(of_place).collect();
                let predicted = found
                    .iter()
                    .map(|(place, prediction)| json!({ "place": place, "prediction": prediction }));
                let predicted: Vec<_> = predicted.collect();
                let all = json!({ "model": model, "held_out_errors": errors, "predictions": predicted });
                say!("{}", serde_json::to_string_pretty(&all)?);
            }
        }
        Ok(EXIT_OK)
    }

    /// Every setting in every place that has a law for it; an error when one has none anywhere.
    fn predictions(
        &self,
        registration: &Registration,
        model: &Model,
    ) -> Result<Vec<(String, Prediction)>, ModelCommandError> {
        let line = step_line();
        let here = machine::describe().fingerprint;
        let elsewhere = Some(model.machine.as_str()).filter(|machine| *machine != here);
        let mut found = Vec::new();
        for wanted in &self.predict {
            let before = found.len();
            let mut first_error = None;
            for place in &model.places {
                line.set_message(place.surroundings.name());
                match self.predict_in(registration, place, wanted, elsewhere) {
                    Ok(prediction) => found.push(prediction),
                    Err(error @ ModelCommandError::Predict(_)) => {
                        first_error.get_or_insert(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            if let (Some(error), true) = (first_error, found.len() == before) {
                return Err(error);
            }
        }
        line.finish_and_clear();
        Ok(found)
    }

    fn predict_in(
        &self,
        registration: &Registration,
        place: &PlaceModel,
        wanted: &Wanted,
        elsewhere: Option<&str>,
    ) -> Result<(String, Prediction), ModelCommandError> {
        let first = place.cells.first().map_or(1, |cell| cell.replicas);
        let setting = Setting { replicas: wanted.replicas.unwrap_or(first), load: wanted.load };
        check_size(&registration.protocol.descriptor(), setting.replicas)?;
        let mut name = place.surroundings.name();
        match &wanted.place {
            Some(Place::Topology(topology)) => name += &format!(" → {topology}"),
            Some(Place::DelayMs(delay)) => name += &format!(" → links of {delay} ms"),
            None => {}
        }
        name.extend(self.set.iter().map(|(set, value)| format!(", {set}={value}")));
        let simulator = || self.simulator(registration, place, wanted);
        let mut prediction = if self.simulate || !self.set.is_empty() {
            let known = Simulator::new(registration, &place.surroundings, None, &BTreeMap::new())?;
            by_simulation::predict(&known, &simulator()?, &place.cells, setting)?
        } else {
            let by = wanted.place.as_ref();
            let by = by.map(|to| moved(registration, &place.surroundings, to, setting.replicas));
            place.predict(setting, by.transpose()?)?
        };
        prediction.cost = Some(match elsewhere {
            Some(machine) if place.surroundings.is_of_the_clock() => {
                CommitCost::unknown(format!("the runs are of another machine ({machine})"))
            }
            _ => match simulator().and_then(|simulator| simulator.cost_per_commit(setting)) {
                Err(error @ RunError::Unsafe(_)) => return Err(error.into()),
                cost => cost.unwrap_or_else(|error| CommitCost::unknown(error.to_string())),
            },
        });
        Ok((name, prediction))
    }

    /// The place with what is asked for in place of its own links and settings.
    fn simulator<'a>(
        &self,
        registration: &'a Registration,
        place: &PlaceModel,
        wanted: &Wanted,
    ) -> Result<Simulator<'a>, RunError> {
        let set: BTreeMap<String, f64> = self.set.iter().cloned().collect();
        let topology = match &wanted.place {
            Some(Place::Topology(reference)) => Some(reference.as_str()),
            Some(Place::DelayMs(_)) | None => None,
        };
        let changed = Simulator::new(registration, &place.surroundings, topology, &set)?;
        Ok(match wanted.place {
            Some(Place::DelayMs(delay)) => changed.over_links_of(delay),
            _ => changed,
        })
    }
}

/// How much longer a command takes over other links.
fn moved(
    registration: &Registration,
    from: &Surroundings,
    to: &Place,
    replicas: usize,
) -> Result<Move, ModelCommandError> {
    let descriptor = registration.protocol.descriptor();
    let settings = Settings::checked(from.settings.clone(), &descriptor)?;
    let uniform =
        |delay_ms: f64| SimulationSpec::uniform(replicas, Duration::from_secs_f64(delay_ms / 1e3), SEED);
    let before = match &from.topology {
        Some(topology) => spec_at(topology, replicas, SEED)?,
        None => uniform(from.network.delay_ms),
    };
    let after = match to {
        Place::Topology(topology) => spec_at(topology, replicas, SEED)?,
        Place::DelayMs(delay) => uniform(*delay),
    };
    let pattern = Pattern::of(&descriptor, &settings, replicas)?;
    Ok(pattern
        .map_or_else(Move::default, |pattern| pattern.moved(&Sites::of(&before), &Sites::of(&after), SEED)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_or_refused_in_one_line() {
        let wanted: Wanted = "clients=128,replicas=5,topology=wan3".parse().unwrap();
        let topology = Some(Place::Topology("wan3".into()));
        assert_eq!(wanted, Wanted { load: Load::Clients(128), replicas: Some(5), place: topology });
        let wanted: Wanted = "rate=2.5e3,delay_ms=0".parse().unwrap();
        assert_eq!((wanted.load, wanted.place), (Load::Rate(2_500.0), Some(Place::DelayMs(0.0))));
        for (text, expected) in [
            ("replicas=3", "clients=… or rate=… is missing"),
            ("clients=0", "a number from 1"),
            ("clients=1.5", "a whole number"),
            ("clients=2,rate=3", "one of clients and rate, once"),
            ("clients=2,topology=lan,delay_ms=3", "one of topology and delay_ms, once"),
            ("clients", "`clients` is not KEY=VALUE"),
            ("speed=3", "no key `speed`; there are: clients"),
            ("rate=inf", "a number from"),
        ] {
            let error = text.parse::<Wanted>().unwrap_err();
            assert!(error.contains(expected) && error.lines().count() == 1, "{text}: {error}");
        }
        assert_eq!(setting("a=2"), Ok(("a".into(), 2.0)));
        assert!(setting("a").is_err() && setting("a=b").is_err());
    }
}
