//! Two sides: what changed, exact changes first, each with its interval.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::material::Material;
use super::overview::when;
use crate::compare::{ComparedMetric, ComparedRow, Comparison, Verdict};
use crate::results::{Class, Manifest};
use crate::table::quantity;

const CAVEAT: &str = "Runs made at different times also differ by what else the machine did, and intervals from within \
                      one run don't cover that: measured changes are for orientation. Exact ones are certain.";

/// What is set against what.
pub(super) fn heading(a: &Material, b: &Material) -> Markup {
    let started = |side: &Material| side.runs.iter().map(|run| run.started_unix_s).max().unwrap_or(0);
    html! {
        p.brand { "consensus-bench" }
        h1 { "A against B" }
        p.facts {
            @for (name, side) in [("A", a), ("B", b)] {
                span { strong { (name) } " = " code { (side.name) } ", " (when(started(side))) }
            }
        }
    }
}

/// How much became better and worse, and what could not be compared.
pub(super) fn summary(comparison: &Comparison) -> Markup {
    let metrics = || comparison.rows.iter().flat_map(|row| &row.metrics);
    let count = |verdict: Verdict, exact: bool| {
        metrics().filter(|one| one.verdict == verdict && (one.class == Class::Exact) == exact).count()
    };
    html! {
        div.scroll tabindex="0" role="region" aria-label="Metrics by verdict" {
            table.facts-table {
                thead {
                    tr {
                        th scope="col" { "metrics" }
                        @for word in ["better", "worse", "otherwise different", "no difference"] {
                            th scope="col" { (word) }
                        }
                    }
                }
                tbody {
                    @for (name, exact) in [("exact", true), ("measured", false)] {
                        tr {
                            th scope="row" { (name) }
                            @for verdict in [Verdict::Better, Verdict::Worse, Verdict::Differs, Verdict::Same] {
                                td { (count(verdict, exact)) }
                            }
                        }
                    }
                }
            }
        }
        p.about { (CAVEAT) }
        @if comparison.rows.is_empty() { p.warning { "Nothing could be compared." } }
        @for refused in &comparison.refused {
            p { "Not compared: " strong { (refused.name) } ": " (refused.reason) }
        }
        @for (side, names) in [("A", &comparison.only_in_a), ("B", &comparison.only_in_b)] {
            @if !names.is_empty() { p { "Only in " (side) ": " (names.join("; ")) } }
        }
    }
}

/// Counts that are not what they were.
pub(super) fn exact(comparison: &Comparison) -> Option<Markup> {
    let is_exact = |metric: &&ComparedMetric| metric.class == Class::Exact;
    let any = comparison.rows.iter().flat_map(|row| &row.metrics).any(|metric| is_exact(&metric));
    any.then(|| {
        let changed = |metric: &&ComparedMetric| is_exact(metric) && metric.verdict != Verdict::Same;
        rows(comparison, &changed, "Every count is what it was.")
    })
}

/// Everything else, what differs first.
pub(super) fn measured(comparison: &Comparison) -> Option<Markup> {
    let is_measured = |metric: &&ComparedMetric| metric.class != Class::Exact;
    let any = comparison.rows.iter().flat_map(|row| &row.metrics).any(|metric| is_measured(&metric));
    any.then(|| rows(comparison, &is_measured, ""))
}

fn rows(comparison: &Comparison, chosen: &dyn Fn(&&ComparedMetric) -> bool, none: &str) -> Markup {
    let with: Vec<(&ComparedRow, Vec<&ComparedMetric>)> = comparison
        .rows
        .iter()
        .map(|row| {
            let mut metrics: Vec<&ComparedMetric> =
                row.metrics.iter().filter(|metric| chosen(metric)).collect();
            metrics.sort_by_key(|metric| order(metric.verdict));
            (row, metrics)
        })
        .filter(|(_, metrics)| !metrics.is_empty())
        .collect();
    html! {
        @if with.is_empty() && !none.is_empty() { p { (none) } }
        @for (row, metrics) in with {
            h3 { (row.name) @if !row.disturbed.is_empty() { span.warn { " * disturbed" } } }
            @for line in &row.disturbed { p.note { (line) } }
            @for setting in &row.settings {
                p.note { "setting " (setting.name) ": " (value_of(setting.a)) " → " (value_of(setting.b)) }
            }
            @for note in &row.notes { p.note { (note) } }
            div.scroll tabindex="0" role="region" aria-label={ "Changes of " (row.name) } {
                table {
                    thead {
                        tr {
                            @for head in ["metric", "A", "B", "change, 95 % interval", "verdict"] {
                                th scope="col" { (head) }
                            }
                        }
                    }
                    tbody { @for metric in metrics { (line(metric)) } }
                }
            }
        }
    }
}

/// What is worse first.
fn order(verdict: Verdict) -> usize {
    match verdict {
        Verdict::Worse => 0,
        Verdict::Better => 1,
        Verdict::Differs => 2,
        Verdict::Same => 3,
        Verdict::Unknown => 4,
    }
}

fn value_of(setting: Option<f64>) -> String {
    setting.map_or_else(|| "default".into(), |value| value.to_string())
}

fn line(metric: &ComparedMetric) -> Markup {
    // Rounding would make numbers look equal that are compared for equality.
    let number = |value: f64| match metric.class {
        Class::Exact => value.to_string(),
        _ => quantity::of_metric(&metric.name, value, &metric.unit),
    };
    let (mark, word, class) = match (metric.verdict, metric.class) {
        (Verdict::Better, _) => ("▲", "better", "good"),
        (Verdict::Worse, _) => ("▼", "worse", "bad"),
        (Verdict::Differs, _) => ("≠", "differs", "warn"),
        (Verdict::Same, Class::Exact) => ("=", "equal", "muted"),
        (Verdict::Same, _) => ("=", "no difference seen", "muted"),
        (Verdict::Unknown, _) => ("?", "no interval to tell by", "muted"),
    };
    html! {
        tr {
            th scope="row" { code { (metric.name) } }
            td { (number(metric.a.value)) } td { (number(metric.b.value)) }
            td {
                @match metric.ratio {
                    Some(ratio) => { (quantity::change(ratio - 1.0)) }
                    None => { (quantity::NOTHING) }
                }
                @if let Some(change) = metric.change {
                    " [" (quantity::change(change.lower)) " to " (quantity::change(change.upper)) "]"
                }
            }
            td { span class=(class) { (mark) " " (word) } }
        }
    }
}

type Facts = [(&'static str, String); 7];

fn facts(manifest: &Manifest) -> Facts {
    let machine = &manifest.machine;
    [
        ("commit", manifest.commit.clone().unwrap_or_else(|| "none".into())),
        ("consensus-bench", manifest.harness_version.clone()),
        ("command", manifest.command.join(" ")),
        ("machine", format!("{} ({}, {} cores)", machine.fingerprint, machine.cpu_model, machine.cores)),
        ("system", format!("{}, kernel {}", machine.os, machine.kernel)),
        ("compiler", machine.rustc.clone()),
        ("clients", manifest.client_placement.clone()),
    ]
}

/// The facts of all runs of a side: rows of a baseline may be of several commits.
fn facts_of(side: &Material) -> Option<Facts> {
    let mut runs = side.runs.iter().map(|run| facts(&run.manifest));
    let mut all = runs.next()?.map(|(name, value)| (name, BTreeSet::from([value])));
    for run in runs {
        for ((_, values), (_, value)) in all.iter_mut().zip(run) {
            values.insert(value);
        }
    }
    Some(all.map(|(name, values)| (name, values.into_iter().collect::<Vec<_>>().join("; "))))
}

/// What else differs: machine, commit, command.
pub(super) fn manifests(a: &Material, b: &Material) -> Markup {
    let (Some(first), Some(second)) = (facts_of(a), facts_of(b)) else {
        return html! { p { "One side has no run." } };
    };
    let pairs: Vec<_> = first.into_iter().zip(second).filter(|(a, b)| a.1 != b.1).collect();
    html! {
        @if pairs.is_empty() { p { "Nothing: same commit, machine and command." } } @else {
            div.scroll tabindex="0" role="region" aria-label="Differences of the manifests" {
                table.facts-table {
                    thead { tr { th scope="col" { "what" } th scope="col" { "A" } th scope="col" { "B" } } }
                    tbody {
                        @for ((name, a), (_, b)) in pairs {
                            tr { th scope="row" { (name) } td { (a) } td { (b) } }
                        }
                    }
                }
            }
        }
    }
}
