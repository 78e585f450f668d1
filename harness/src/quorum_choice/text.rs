//! Ranked quorums as a terminal shows them.

use super::{AtReplica, Choice, MeasuredLatency, Ranked};
use crate::table::{empty_table, lines_of, quantity};

/// Choices that are shown.
const SHOWN: usize = 8;

/// The ranking, the price of its first, and what was measured of it, if it was.
pub fn text(ranked: &Ranked, at_replicas: &[AtReplica], measured: &[(Choice, MeasuredLatency)]) -> String {
    let mut lines = vec![table_of(ranked)];
    lines.extend(price(ranked));
    if !at_replicas.is_empty() {
        lines.push(String::new());
        lines.push(sites_of(ranked, at_replicas));
    }
    if !measured.is_empty() {
        lines.push(String::new());
        lines.push(measured_of(measured));
    }
    lines.join("\n")
}

fn names(ranked: &Ranked) -> [&'static str; 2] {
    if ranked.is_log { ["election", "commit"] } else { ["read", "write"] }
}

fn table_of(ranked: &Ranked) -> String {
    let [read, write] = names(ranked);
    let heads = match ranked.is_log {
        true => {
            ["", read, write, "command mean", "command p99", "elections\nsurvive", "commits\nsurvive", ""]
        }
        false => {
            ["", read, write, "read mean/p99", "write mean/p99", "reads\nsurvive", "writes\nsurvive", "mean"]
        }
    };
    let time = |ns| quantity::in_unit(ns, "ns");
    let mut table = empty_table(&heads, false);
    let row = |(index, choice): (usize, &Choice)| {
        let mut notes = Vec::new();
        if choice.is_default {
            notes.push("default");
        }
        if choice.may_be_stale {
            notes.push("reads may be stale");
        }
        let both = |latency: &super::Latency| format!("{} / {}", time(latency.mean_ns), time(latency.p99_ns));
        let latencies = match ranked.is_log {
            true => [time(choice.writes.mean_ns), time(choice.writes.p99_ns)],
            false => [both(&choice.reads), both(&choice.writes)],
        };
        let [first, second] = latencies;
        let last = match ranked.is_log {
            true => notes.join(", "),
            false => std::iter::once(time(choice.mean_ns))
                .chain(notes.iter().map(|note| (*note).to_string()))
                .collect::<Vec<_>>()
                .join(", "),
        };
        let survive = |count: usize| count.to_string();
        let (r, w) = (choice.read.to_string(), choice.write.to_string());
        vec![
            (index + 1).to_string(),
            r,
            w,
            first,
            second,
            survive(choice.reads_survive),
            survive(choice.writes_survive),
            last,
        ]
    };
    let shown = |(index, choice): &(usize, &Choice)| *index < SHOWN || choice.is_default;
    table.add_rows(ranked.choices.iter().enumerate().filter(shown).map(row));
    let hidden = ranked.choices.iter().enumerate().filter(|entry| !shown(entry)).count();
    let mut lines = vec![lines_of(&table)];
    if hidden > 0 {
        lines.push(format!("{hidden} more are slower"));
    }
    if ranked.too_fragile > 0 {
        lines.push(format!("{} more survive too few failures", ranked.too_fragile));
    }
    lines.join("\n")
}

/// What the first costs and brings against the default.
fn price(ranked: &Ranked) -> Vec<String> {
    let [read, write] = names(ranked);
    let Some(best) = ranked.choices.first() else { return Vec::new() };
    let settings: Vec<String> =
        best.settings.iter().map(|(name, value)| format!("--set {name}={value}")).collect();
    let mut lines = Vec::new();
    if best.is_default {
        lines.push("The default is the best.".to_string());
    } else {
        lines.push(format!("Best: {read} {}, {write} {}: {}", best.read, best.write, settings.join(" ")));
    }
    let survives = |choice: &Choice| match ranked.is_log {
        true => format!(
            "commits go on with {} of the others down, a new leader can be elected with {} down",
            choice.writes_survive, choice.reads_survive
        ),
        false => {
            format!("reads go on with {} down, writes with {}", choice.reads_survive, choice.writes_survive)
        }
    };
    lines.push(format!("Price, in replicas: {}.", survives(best)));
    match ranked.default_choice() {
        Some(usual) if !best.is_default => {
            let change = quantity::change(best.mean_ns / usual.mean_ns - 1.0);
            lines.push(format!(
                "Against the default ({} and {}): mean {change}; there {}.",
                usual.read,
                usual.write,
                survives(usual)
            ));
        }
        None => lines.push("The default survives fewer failures than was asked for.".into()),
        Some(_) => {}
    }
    lines
}

fn sites_of(ranked: &Ranked, at: &[AtReplica]) -> String {
    let time = |ns| quantity::in_unit(ns, "ns");
    if ranked.is_log {
        let mut table = empty_table(&["leader at", "region", "command p50, client beside it"], false);
        table.add_rows(
            at.iter().map(|at| vec![at.replica.to_string(), at.region.clone(), time(at.write_p50_ns)]),
        );
        return lines_of(&table);
    }
    let heads = ["coordinator", "region", "read p50, client beside it", "write p50, client beside it"];
    let mut table = empty_table(&heads, false);
    let row = |at: &AtReplica| {
        vec![at.replica.to_string(), at.region.clone(), time(at.read_p50_ns), time(at.write_p50_ns)]
    };
    table.add_rows(at.iter().map(row));
    lines_of(&table)
}

fn measured_of(measured: &[(Choice, MeasuredLatency)]) -> String {
    let heads =
        ["quorums", "command", "predicted mean/p99", "simulated mean/p99", "mean is off by", "leader"];
    let mut table = empty_table(&heads, false);
    let time = |ns| quantity::in_unit(ns, "ns");
    for (choice, found) in measured {
        let kinds = [("read", choice.reads, found.reads), ("write", choice.writes, Some(found.writes))];
        for (kind, predicted, simulated) in kinds {
            let Some(simulated) = simulated else { continue };
            table.add_row(vec![
                format!("{} and {}", choice.read, choice.write),
                kind.into(),
                format!("{} / {}", time(predicted.mean_ns), time(predicted.p99_ns)),
                format!("{} / {}", time(simulated.mean_ns), time(simulated.p99_ns)),
                quantity::change(predicted.mean_ns / simulated.mean_ns - 1.0),
                found.leader.map_or_else(|| quantity::NOTHING.into(), |leader| leader.to_string()),
            ]);
        }
    }
    lines_of(&table)
}
