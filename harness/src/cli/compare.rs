//! `consensus-bench compare`: two runs or baselines, or a run and the committed counts.

use super::{CliError, Format, store};
use crate::compare::{compare, compare_run_exact};
use crate::exit::{EXIT_BASELINE, EXIT_OK};
use crate::output::say;
use crate::results::ScenarioResult;
use crate::run::Limits;
use crate::scenario::{self, Scenario};
use crate::store::{EXACT_BASELINE, Store};
use crate::suite::Suite;

pub(super) fn compare_two(suite: &Suite, a: &str, b: &str, format: Format) -> Result<u8, CliError> {
    let store = store();
    if a == EXACT_BASELINE {
        return compare_with_exact(suite, &store, b, format);
    }
    if b == EXACT_BASELINE {
        return Err(CliError::ExactSecond { other: a.into() });
    }
    let comparison = compare(&store.load(a)?, &store.load(b)?);
    match format {
        Format::Text => say!("{comparison}"),
        Format::Json => say!("{}", serde_json::to_string_pretty(&comparison)?),
    }
    Ok(if comparison.rows.is_empty() { EXIT_BASELINE } else { EXIT_OK })
}

/// The committed counts are those of the quick profile.
fn compare_with_exact(suite: &Suite, store: &Store, run: &str, format: Format) -> Result<u8, CliError> {
    let recorded = store.load(run)?;
    let results: Vec<&ScenarioResult> = recorded.runs.iter().flat_map(|run| &run.results).collect();
    let (committed, scenarios) = (store.exact_baseline()?, scenario::profile("quick")?);
    // A protocol that can't have the size of a scenario's cluster has another.
    let expected = |result: &ScenarioResult| {
        let scenario = scenario::find(&scenarios, &result.scenario.name).ok()?;
        // Counts of other seeds are committed too, in rows of their own.
        let scenario = &Scenario { seed: result.scenario.seed, ..scenario.clone() };
        let registration = suite.get(&result.protocol).ok();
        Some(
            registration
                .map_or_else(|| scenario.clone(), |one| one.pair(scenario, Limits::default()).scenario),
        )
    };
    let comparison = compare_run_exact(&committed, results.iter().copied(), expected);
    match format {
        Format::Text => say!("{comparison}"),
        Format::Json => say!("{}", serde_json::to_string_pretty(&comparison)?),
    }
    Ok(if comparison.compared == 0 { EXIT_BASELINE } else { EXIT_OK })
}
