//! Under which conditions a tuning's trials are made: what decides whether an earlier one knows anything of them.

use crate::history::TrialConditions;
use crate::machine;
use crate::scenario::{Hooks, Scenario};
use crate::trial::Trial;

/// The conditions of a trial, on the machine with this fingerprint.
pub fn conditions(trial: &Trial, fingerprint: &str) -> TrialConditions {
    let pair = &trial.pair;
    let mut scenario = trial.costs.as_ref().map_or(&pair.scenario, |twin| twin.scenario()).clone();
    scenario = Scenario { name: String::new(), about: String::new(), hooks: Hooks::default(), ..scenario };
    let protocol = pair.protocol.descriptor();
    let identity = format!(
        "{scenario:?}|{:?}|{:?}|{}|{}|{:?}",
        trial.load,
        pair.settings,
        protocol.implementation,
        env!("CARGO_PKG_VERSION"),
        trial.costs.as_ref().map(|twin| twin.identity()),
    );
    TrialConditions {
        protocol: pair.name.clone(),
        scenario: pair.scenario.name.clone(),
        digest: machine::short_digest(&identity),
        is_virtual: trial.is_virtual(),
        fingerprint: fingerprint.into(),
    }
}
