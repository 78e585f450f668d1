//! Profiles as people read them.

use comfy_table::Cell;

use super::{AllocationSites, Attribution, Bounded, Change, Difference, Measured, Share, Waits};
use crate::table::{empty_table, lines_of, quantity};

/// Rows of a table of crates, functions or sites.
const ROWS: usize = 12;
/// Characters of a function's name.
const NAME_CHARACTERS: usize = 70;

/// A profile: kinds of work, crates, functions, waits, and how it was sampled.
pub fn attribution_text(attribution: &Attribution) -> String {
    let profiled = &attribution.profiled;
    let mut heading = format!("{}: {}", attribution.name(), profiled.load.in_words());
    if !profiled.settings.is_empty() {
        let settings = profiled.settings.iter().map(|(name, value)| format!("{name}={value}"));
        heading += &format!(", {}", settings.collect::<Vec<_>>().join(" "));
    }
    let kinds: Vec<Share<String>> =
        attribution.kinds.iter().map(|share| share.called(share.of.name().to_string())).collect();
    let mut parts = vec![
        format!("{heading}\n{}", facts(attribution)),
        shares("kind of work", &kinds, kinds.len()),
        shares("crate", &attribution.crates, ROWS),
        shares("function (with what it asks of the standard library)", &attribution.functions, ROWS),
    ];
    parts.extend(attribution.waits.as_ref().map(waits_text));
    if let Some(runtime) = attribution.runtime {
        let per_commit = runtime
            .parks_per_commit
            .map_or(String::new(), |parks| format!(", {} per commit", quantity::count(parks)));
        parts.push(format!(
            "cluster's runtime: busy {}, slept {} times/s{per_commit}, {} tasks",
            quantity::share(runtime.busy),
            quantity::count(runtime.parks_per_s),
            runtime.tasks
        ));
    }
    parts.extend(attribution.disturbed.iter().map(|reason| format!("DISTURBED: {reason}")));
    parts.join("\n\n")
}

/// How often was looked, and what caps that; and what it cost.
fn facts(attribution: &Attribution) -> String {
    let facts = &attribution.sampling;
    let mut line = format!("{} samples", facts.samples);
    if let (Some(cpu_s), Some(rate)) = (facts.cpu_s, facts.per_cpu_s) {
        line += &format!(" of {cpu_s:.2} CPU seconds in {:.2} s: {rate:.0} per CPU second", facts.wall_s);
        if facts.capped {
            line += &format!(" ({:.0} asked for; the kernel's clock tick caps it)", facts.asked_per_s);
        }
    }
    if let Some(cpu) = attribution.cpu_ns_per_commit {
        line += &format!("\nCPU per commit {}", quantity::in_unit(cpu.value, "ns"));
        line += &quantity::spread(cpu.value, cpu.lower, cpu.upper)
            .map_or(String::new(), |spread| format!(" {spread}"));
    }
    line
}

fn shares(head: &str, shares: &[Share<String>], most: usize) -> String {
    let per_commit = shares.iter().any(|share| share.ns_per_commit.is_some());
    let mut heads = vec![head, "share", "95 % interval", "samples"];
    heads.extend(per_commit.then_some("CPU/commit"));
    let mut table = empty_table(&heads, false);
    for share in shares.iter().take(most) {
        let mut row = vec![
            shortened(&share.of),
            percent(share.share),
            format!("{} to {}", percent(share.lower), percent(share.upper)),
            share.samples.to_string(),
        ];
        if per_commit {
            row.push(
                share.ns_per_commit.map_or(quantity::NOTHING.into(), |ns| quantity::in_unit(ns.value, "ns")),
            );
        }
        table.add_row(row.iter().map(Cell::new));
    }
    let mut text = lines_of(&table);
    if shares.len() > most {
        let rest: f64 = shares[most..].iter().map(|share| share.share).sum();
        text += &format!("\n {} more, {} together", shares.len() - most, percent(rest));
    }
    text
}

fn waits_text(waits: &Waits) -> String {
    let mut table = empty_table(&["part of a request's time", "mean", "share", "waits for"], false);
    for phase in &waits.phases {
        table.add_row([
            Cell::new(&phase.phase),
            Cell::new(quantity::in_unit(phase.mean_ns, "ns")),
            Cell::new(percent(phase.share)),
            Cell::new(&phase.waits_for),
        ]);
    }
    if let Some(column) = table.column_mut(3) {
        column.set_cell_alignment(comfy_table::CellAlignment::Left);
    }
    let mut text = lines_of(&table);
    text += &format!("\n {} from sent to answered", quantity::in_unit(waits.service_ns, "ns"));
    if let Some(off_cpu_ns) = waits.off_cpu_ns_at_least {
        text += &format!(
            ", of which no core worked for it during at least {}",
            quantity::in_unit(off_cpu_ns, "ns")
        );
    }
    text
}

/// What two profiles differ in.
pub fn difference_text(difference: &Difference) -> String {
    let mut parts = Vec::new();
    let mut judged = 0;
    let totals: Vec<Change> = difference.total.iter().cloned().collect();
    for (head, changes) in
        [("CPU", &totals), ("kind of work", &difference.kinds), ("crate", &difference.crates)]
    {
        let changes: Vec<&Change> = changes.iter().filter(|change| change.is_seen()).collect();
        judged += changes.len();
        if !changes.is_empty() {
            parts.push(changes_table(head, &changes, difference.measured));
        }
    }
    parts.push(format!(
        "{} \"?\" marks what may be no change. The intervals hold what sampling leaves open, not what\ndiffers \
         from process to process; of these {judged} changes one in twenty is beyond its interval by chance.",
        match difference.measured {
            Measured::NsPerCommit => "CPU time per commit.",
            Measured::Share => "Shares of the CPU time: a profile does not know its commits.",
        }
    ));
    parts.extend(difference.notes.iter().map(|note| format!("NOTE: {note}")));
    parts.join("\n\n")
}

fn changes_table(head: &str, changes: &[&Change], measured: Measured) -> String {
    let mut table = empty_table(&[head, "before", "after", "change", "95 % interval", ""], false);
    for change in changes.iter().take(ROWS) {
        let Bounded { value, lower, upper } = change.change;
        table.add_row([
            Cell::new(shortened(&change.of)),
            Cell::new(measured.number(change.before.value)),
            Cell::new(measured.number(change.after.value)),
            Cell::new(measured.signed(value)),
            Cell::new(format!("{} to {}", measured.signed(lower), measured.signed(upper))),
            Cell::new(verdict(change)),
        ]);
    }
    let mut text = lines_of(&table);
    if changes.len() > ROWS {
        text += &format!("\n {} more with smaller changes", changes.len() - ROWS);
    }
    text
}

fn verdict(change: &Change) -> &'static str {
    match change.is_certain() {
        false => "?",
        true if change.change.value > 0.0 => "grew",
        true => "shrank",
    }
}

/// Where memory is taken, per commit.
pub fn allocations_text(sites: &AllocationSites) -> String {
    let mut table = empty_table(&["allocated by", "per commit", "bytes/commit", "share"], false);
    for site in sites.sites.iter().take(ROWS) {
        table.add_row([
            Cell::new(shortened(&site.function)),
            Cell::new(quantity::count(site.allocations_per_commit)),
            Cell::new(quantity::count(site.bytes_per_commit)),
            Cell::new(percent(site.share)),
        ]);
    }
    format!(
        "{}: {} allocations and {} B per commit, over {} commits\n\n{}",
        sites.name(),
        quantity::count(sites.allocations_per_commit),
        quantity::count(sites.bytes_per_commit),
        sites.commits,
        lines_of(&table)
    )
}

/// Per cent to a tenth: samples tell no more.
fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// The end of a name says which function it is, and the beginning of which crate.
fn shortened(name: &str) -> String {
    let length = name.chars().count();
    if length <= NAME_CHARACTERS {
        return name.into();
    }
    let half = NAME_CHARACTERS / 2;
    let (first, last): (String, String) =
        (name.chars().take(half).collect(), name.chars().skip(length - half + 1).collect());
    format!("{first}…{last}")
}

#[cfg(test)]
mod tests {
    use super::super::{Frame, Profiled, ProfiledLoad, RuntimeUse, Samples, Stack, attribute, difference};
    use super::*;
    use crate::load::SpanTotals;

    fn attribution(raft: u64, crypto: u64) -> Attribution {
        let stack = |function: &str, samples| Stack {
            thread: "cluster".into(),
            frames: vec![Frame { function: function.into(), file: String::new() }],
            samples,
        };
        let samples = Samples {
            stacks: vec![stack("raft::raft::Raft<T>::step", raft), stack("blake3::hash", crypto)],
            asked_per_s: 997.0,
            cpu_s: Some((raft + crypto) as f64 / 249.0),
            wall_s: 3.0,
            disturbed: vec!["threads waited for a core during 3.1 % of the time (limit 2 %)".into()],
            ..Samples::default()
        };
        let profiled = Profiled {
            scenario: "high_load".into(),
            protocol: "raft-rs".into(),
            settings: [("max_inflight_messages".to_string(), 16.0)].into(),
            load: ProfiledLoad::Closed { clients: 64 },
            commits: Some(1_000),
            machine: "abc".into(),
            commit: None,
        };
        let cpu = Bounded { value: 4_000.0, lower: 3_900.0, upper: 4_120.0 };
        let mut attribution = attribute(&samples, profiled, Some(cpu));
        let mut spans = SpanTotals::default();
        spans.record(&protocol_core::Phases {
            submission_ns: 20_000,
            replication_ns: 1_000,
            quorum_wait_ns: 200_000,
            application_ns: 500,
            fsync_ns: 120_000,
        });
        spans.add_service_ns(230_000);
        attribution.waits = Waits::of(&spans, 0.0, Some(4_000.0));
        attribution.runtime = Some(RuntimeUse {
            busy: 0.91,
            parks_per_s: 1_234.0,
            parks_per_commit: Some(0.01),
            tasks: 4,
            queued: 0,
        });
        attribution
    }

    #[test]
    fn a_profile_reads_from_the_whole_to_the_function_to_the_wait() {
        insta::assert_snapshot!(attribution_text(&attribution(500, 250)));
    }

    #[test]
    fn a_difference_says_what_grew_and_what_may_not_have() {
        insta::assert_snapshot!(difference_text(&difference(&attribution(500, 250), &attribution(480, 700))));
    }

    #[test]
    fn long_names_keep_both_ends() {
        let name = format!("raft::{}::step", "x".repeat(100));
        let short = shortened(&name);
        assert_eq!(short.chars().count(), NAME_CHARACTERS);
        assert!(short.starts_with("raft::x") && short.ends_with("x::step"));
        assert_eq!(shortened("raft::step"), "raft::step");
    }
}
