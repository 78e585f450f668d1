//! What several measurements say together: throughput by size and clients, and protocols against
//! each other.

use crate::results::{Analysis, Cost, Costs, NotRanked, Ranking, ScenarioResult};
use crate::scenario::Scenario;
use crate::store::reason_not_to_compare;

mod blocks;
mod curves;
mod ranking;
mod scalability;

pub use scalability::{Rounds, scalability};

/// What a commit costs, as metrics name it.
const COSTS: [&str; 5] = [
    "cpu_ns_per_commit",
    "messages_per_commit",
    "bytes_per_commit",
    "syncs_per_commit",
    "allocations_per_commit",
];

/// Sets the protocols of a run against each other, scenario by scenario. A scenario with one row has
/// nothing to compare.
pub fn compare_protocols(results: &[ScenarioResult]) -> Analysis {
    let mut analysis = Analysis::default();
    for group in groups(results) {
        analysis.rankings.extend(ranking::rankings(&group));
        analysis.costs.extend(costs(&group));
        analysis.crossings.extend(curves::comparisons(&group));
    }
    analysis
}

/// The rankings alone, of results that one or several runs made.
pub fn rankings<'a>(results: impl IntoIterator<Item = &'a ScenarioResult>) -> Vec<Ranking> {
    groups(results).iter().flat_map(ranking::rankings).collect()
}

/// Whether two rows may be set against each other: the same scenario, as it ran, and the same promise.
pub fn are_peers(a: &ScenarioResult, b: &ScenarioResult) -> bool {
    a.promise == b.promise && is_same_scenario(&a.scenario, &b.scenario)
}

/// Whether two scenarios are one: what a scenario says about itself changes nothing that is measured.
pub fn is_same_scenario(a: &Scenario, b: &Scenario) -> bool {
    let silent = |scenario: &Scenario| Scenario { about: String::new(), ..scenario.clone() };
    a.name == b.name && silent(a) == silent(b)
}

/// The rows of one scenario, as it ran, that promise the same: same load, same cluster, same network,
/// same storage.
struct Group<'a> {
    /// The row that came first; all others are its peers.
    first: &'a ScenarioResult,
    /// Rows with numbers that may be compared.
    rows: Vec<&'a ScenarioResult>,
    /// The others.
    not_ranked: Vec<NotRanked>,
}

impl Group<'_> {
    fn scenario(&self) -> &Scenario {
        &self.first.scenario
    }

    fn network(&self) -> String {
        self.scenario().network_name().into()
    }

    fn storage(&self) -> String {
        self.scenario().storage.name().into()
    }
}

/// Groups of at least two rows, in the order in which their scenarios first appear.
fn groups<'a>(results: impl IntoIterator<Item = &'a ScenarioResult>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group> = Vec::new();
    for result in results {
        let index = groups.iter().position(|group| are_peers(group.first, result)).unwrap_or_else(|| {
            groups.push(Group { first: result, rows: Vec::new(), not_ranked: Vec::new() });
            groups.len() - 1
        });
        match reason_not_to_compare(result) {
            Some(reason) => groups[index].not_ranked.push(NotRanked { protocol: result.row_name(), reason }),
            None => groups[index].rows.push(result),
        }
    }
    groups.retain(|group| group.rows.len() + group.not_ranked.len() > 1);
    groups
}

fn costs(group: &Group) -> Vec<Costs> {
    let cheapest = |name: &str| {
        let values = group.rows.iter().filter_map(|row| row.metric(name)).map(|metric| metric.value);
        values.min_by(f64::total_cmp)
    };
    let cost = |row: &ScenarioResult, name: &str| {
        let metric = row.metric(name)?;
        Some(Cost {
            metric: name.into(),
            unit: metric.unit.clone(),
            value: metric.value,
            lower: metric.lower,
            upper: metric.upper,
            ratio_to_cheapest: cheapest(name).and_then(|least| crate::stats::ratio(least, metric.value)),
        })
    };
    let of_row = |row: &&ScenarioResult| Costs {
        scenario: group.scenario().name.clone(),
        network: group.network(),
        storage: group.storage(),
        protocol: row.row_name(),
        costs: COSTS.iter().filter_map(|name| cost(row, name)).collect(),
    };
    group.rows.iter().map(of_row).filter(|row| !row.costs.is_empty()).collect()
}

#[cfg(test)]
mod tests;
