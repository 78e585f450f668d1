//! Under which conditions a tuning's trials are made: what decides whether an earlier one knows anything of them.

use crate::history::TrialConditions;
use crate::machine;
use crate::scenario::{Hooks, Scenario};
use crate::trial::{Trial, simulation_of};

/// The conditions of a trial by a build of the program, on the machine with this fingerprint.
pub fn conditions(trial: &Trial, program: &str, fingerprint: &str) -> TrialConditions {
    let pair = &trial.pair;
    let mut scenario = trial.costs.as_ref().map_or(&pair.scenario, |twin| twin.scenario()).clone();
    scenario = Scenario { name: String::new(), about: String::new(), hooks: Hooks::default(), ..scenario };
    // It has what a scenario only names: the links of a topology's file, and the costs that were measured.
    let simulated = trial.is_virtual().then(|| simulation_of(trial, pair.scenario.seed).ok());
    let costs = trial.costs.as_ref().map(|twin| twin.identity());
    let identity =
        format!("{scenario:?}|{:?}|{:?}|{program}|{costs:?}|{simulated:?}", trial.load, pair.settings);
    TrialConditions {
        protocol: pair.name.clone(),
        scenario: pair.scenario.name.clone(),
        digest: machine::short_digest(&identity),
        is_virtual: trial.is_virtual(),
        fingerprint: fingerprint.into(),
    }
}

/// What tells this build of the program from others, by its file: with an adapter that was mended, or without
/// optimisation, nothing is known of what another build measured.
pub fn this_program() -> String {
    let file = std::env::current_exe().and_then(|path| path.metadata());
    let identity = file.map(|file| (file.len(), file.modified().ok()));
    format!("{}|{:?}", env!("CARGO_PKG_VERSION"), identity.ok())
}
