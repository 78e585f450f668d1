//! The order of protocols in every metric that has a better side, and which of them can't be told
//! apart.

use std::collections::BTreeSet;

use super::{Group, blocks};
use crate::results::{Basis, Better, KneeLimit, Metric, NotRanked, Place, Ranking, Ratio, ScenarioResult};
use crate::stats;

/// What is ranked, in this order.
const RANKED: [&str; 10] = [
    "throughput_per_s",
    SUSTAINABLE,
    "response_ns_p50",
    "response_ns_p99",
    "success_ratio",
    "cpu_ns_per_commit",
    "messages_per_commit",
    "bytes_per_commit",
    "syncs_per_commit",
    "allocations_per_commit",
];

/// The highest rate that held a target. Its interval is the bracket of the search.
const SUSTAINABLE: &str = "sustainable_per_s";

/// What else is ranked: of every fault, and of every size of the cluster.
const RANKED_ENDINGS: [&str; 2] = ["_unavailability_ns", "_peak_per_s"];

const RESAMPLES: usize = 1_000;

/// The rankings of one scenario.
pub(super) fn rankings(group: &Group) -> Vec<Ranking> {
    ranked_names(group).iter().filter_map(|name| ranking(group, name)).collect()
}

/// Names that at least one row has.
fn ranked_names(group: &Group) -> Vec<String> {
    let has = |name: &&str| group.rows.iter().any(|row| entry(row, name).is_ok());
    let mut names: Vec<String> =
        RANKED.iter().filter(|name| has(name)).map(|name| name.to_string()).collect();
    for metric in group.rows.iter().flat_map(|row| &row.metrics) {
        let is_ranked = RANKED_ENDINGS.iter().any(|ending| metric.name.ends_with(ending));
        if is_ranked && !names.contains(&metric.name) {
            names.push(metric.name.clone());
        }
    }
    names
}

/// A row's value in a metric, and what is known of its error.
struct Entry<'a> {
    row: &'a ScenarioResult,
    metric: Metric,
    /// The interval is a bracket: its lower end held, its upper end did not.
    bracket: bool,
}

impl Entry<'_> {
    /// Ends of the interval; without an upper end it is open. None without a lower one.
    fn ends(&self) -> Option<(f64, f64)> {
        Some((self.metric.lower?, self.metric.upper.unwrap_or(f64::INFINITY)))
    }
}

/// The row's value; an error says why it has none.
fn entry<'a>(row: &'a ScenarioResult, name: &str) -> Result<Entry<'a>, String> {
    let missing = || {
        let faults = row.faults.iter().filter(|fault| name.starts_with(&format!("{}_", fault.fault)));
        let fault = faults.max_by_key(|fault| fault.fault.len());
        match fault.and_then(|fault| fault.not_measured.as_ref()) {
            Some(reason) => format!("not measured: {reason}"),
            None => "not measured".into(),
        }
    };
    let knee = row.throughput.as_ref().map(|throughput| throughput.knee).filter(|_| name == SUSTAINABLE);
    if knee.is_some_and(|knee| knee.sustainable_per_s.is_none()) {
        return Err("no rate held the target".into());
    }
    let mut metric = row.metric(name).filter(|metric| metric.value.is_finite()).ok_or_else(missing)?.clone();
    if let Some(knee) = knee {
        metric.lower = knee.sustainable_per_s;
        // A search that something else ended leaves open how much more would have held.
        metric.upper = knee.broke_at_per_s.filter(|_| knee.limit == KneeLimit::Target);
    }
    Ok(Entry { row, metric, bracket: knee.is_some() })
}

fn ranking(group: &Group, name: &str) -> Option<Ranking> {
    let (mut entries, mut not_ranked) = (Vec::new(), Vec::new());
    for row in &group.rows {
        match entry(row, name) {
            Ok(entry) => entries.push(entry),
            Err(reason) => not_ranked.push(NotRanked { protocol: row.row_name(), reason }),
        }
    }
    not_ranked.extend(group.not_ranked.iter().cloned());
    let (better, unit) = entries.first().map(|first| (first.metric.better, first.metric.unit.clone()))?;
    if better == Better::Neither || entries.iter().all(|entry| entry.metric.value == 0.0) {
        return None;
    }
    entries.sort_by(|a, b| match better {
        Better::Higher => b.metric.value.total_cmp(&a.metric.value),
        _ => a.metric.value.total_cmp(&b.metric.value),
    });
    let (places, basis) = places(&entries, group.scenario().seed);
    Some(Ranking {
        scenario: group.scenario().name.clone(),
        network: group.network(),
        storage: group.storage(),
        metric: name.into(),
        unit,
        better,
        basis,
        promise: group.first.promise.clone(),
        places,
        not_ranked,
        note: note(&entries, name),
    })
}

/// Places of entries in their order. A row joins the place before it when it can't be told from any
/// row that has it. So a chain of rows that each can't be told from the next doesn't end up as one
/// place, and no row shares the first place that is known to be worse than the best.
fn places(entries: &[Entry], seed: u64) -> (Vec<Place>, Basis) {
    let mut basis = Basis::Paired;
    let mut compared = |a: &Entry, b: &Entry| {
        let compared = compare(a, b, seed);
        basis = basis.max(compared.basis);
        compared
    };
    let mut places: Vec<Place> = Vec::with_capacity(entries.len());
    let mut first_of_place = 0;
    for (index, entry) in entries.iter().enumerate() {
        let tied_with_previous = index > 0 && compared(&entries[index - 1], entry).tied;
        if !entries[first_of_place..index].iter().all(|other| compared(other, entry).tied) {
            first_of_place = index;
        }
        let ratio_to_best = if index > 0 { compared(&entries[0], entry).ratio } else { None };
        places.push(Place {
            place: first_of_place + 1,
            protocol: entry.row.row_name(),
            value: entry.metric.value,
            lower: entry.metric.lower,
            upper: entry.metric.upper,
            ratio_to_best,
            tied_with_previous,
        });
    }
    // A single row was compared with nothing.
    let basis = if entries.len() > 1 { basis } else { Basis::Values };
    (places, basis)
}

/// One row against one that is better, or equal.
struct Compared {
    tied: bool,
    ratio: Option<Ratio>,
    basis: Basis,
}

fn compare(better: &Entry, other: &Entry, seed: u64) -> Compared {
    by_blocks(better, other, seed).or_else(|| by_intervals(better, other)).unwrap_or_else(|| Compared {
        tied: better.metric.value == other.metric.value,
        ratio: stats::ratio(better.metric.value, other.metric.value).map(|value| Ratio {
            value,
            lower: None,
            upper: None,
            p: None,
        }),
        basis: Basis::Values,
    })
}

fn by_blocks(better: &Entry, other: &Entry, seed: u64) -> Option<Compared> {
    let pairs = blocks::pairs(better.row, other.row, &better.metric.name)?;
    let found = stats::paired_ratio(&pairs, RESAMPLES, seed)?;
    // The order is that of the totals. Blocks that say the opposite don't support it.
    let opposite = match better.metric.better {
        Better::Higher => found.lower > 1.0,
        _ => found.upper < 1.0,
    };
    Some(Compared {
        tied: found.tie || opposite,
        ratio: Some(Ratio {
            value: found.ratio,
            lower: Some(found.lower),
            upper: Some(found.upper),
            p: Some(found.p),
        }),
        basis: Basis::Paired,
    })
}

fn by_intervals(better: &Entry, other: &Entry) -> Option<Compared> {
    let ((lower, upper), (other_lower, other_upper)) = (better.ends()?, other.ends()?);
    let tied = if better.bracket || other.bracket {
        // A rate that held on one side and broke on the other tells them apart.
        lower < other_upper && other_lower < upper
    } else {
        lower <= other_upper && other_lower <= upper
    };
    // The ratio that the ends allow: its interval includes 1 just when the intervals overlap.
    let end = |of_other: f64, of_better: f64| {
        stats::ratio(of_better, of_other).filter(|_| of_better.is_finite() && of_better > 0.0)
    };
    let ratio = stats::ratio(better.metric.value, other.metric.value).map(|value| Ratio {
        value,
        lower: end(other_lower, upper),
        upper: end(other_upper, lower),
        p: None,
    });
    Some(Compared { tied, ratio, basis: Basis::Intervals })
}

/// What stands against taking the order at its word.
fn note(entries: &[Entry], name: &str) -> Option<String> {
    let mut notes = Vec::new();
    // By name, so that every metric of a scenario says the same.
    let disturbed: BTreeSet<String> = entries
        .iter()
        .filter(|entry| !entry.row.disturbed.is_empty())
        .map(|entry| entry.row.row_name())
        .collect();
    if !disturbed.is_empty() {
        let disturbed: Vec<String> = disturbed.into_iter().collect();
        notes.push(format!("disturbed: {}", disturbed.join(", ")));
    }
    let of_a_fault = name.ends_with(RANKED_ENDINGS[0]) || name.ends_with(RANKED_ENDINGS[1]);
    if of_a_fault && entries.iter().any(|entry| entry.row.timing != entries[0].row.timing) {
        notes.push("failure detection was not set the same".into());
    }
    (!notes.is_empty()).then(|| notes.join("; "))
}
