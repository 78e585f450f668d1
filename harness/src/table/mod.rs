//! Results as terminal tables: one per scenario, a row per protocol. What disturbed, spoiled or
//! changed a row stands below its table, so that no number is seen without it.

use comfy_table::{Cell, CellAlignment, Table, TableComponent, presets};

use crate::results::{Metric, Outcome, RegisterCheck, ScenarioResult, quorums_in_words};
use crate::scenario::{Arrivals, Measure, Scenario};

mod dissemination;
mod exact;
mod faults;
mod latency;
mod phases;
pub mod quantity;
mod ranking;
mod scalability;
mod throughput;
mod virtual_faults;
mod virtual_load;

pub use ranking::ranking_table;
pub use scalability::scalability_table;
mod resources;

use quantity::NOTHING;
pub use resources::resources_table;

/// Heads of the columns.
const HEADS: [&str; 10] = [
    "protocol",
    "commits/s",
    "p50",
    "p95",
    "p99",
    "p99.9",
    "success",
    "messages/\ncommit\n(÷ floor)",
    "bytes/\ncommit",
    "CPU/\ncommit",
];

/// Results as tables: one for each scenario, in the order in which scenarios first appear.
///
/// Times are response times, from the moment a request was due. Below each value is its 95 %
/// interval, in per cent of it.
pub fn scenario_table(results: &[ScenarioResult]) -> String {
    // The heading says what was run, and so rows under one heading ran the same.
    let mut tables: Vec<(String, Vec<&ScenarioResult>)> = Vec::new();
    for result in results {
        let heading = heading(&result.scenario);
        match tables.iter_mut().find(|(known, _)| *known == heading) {
            Some((_, rows)) => rows.push(result),
            None => tables.push((heading, vec![result])),
        }
    }
    let shown = |(heading, rows): &(String, Vec<_>)| format!("{heading}\n{}{}", body(rows), notes(rows));
    tables.iter().map(shown).collect::<Vec<_>>().join("\n\n")
}

/// What is shown depends on what was measured.
fn body(rows: &[&ScenarioResult]) -> String {
    let parts = match &rows[0].scenario.measure {
        Measure::Load => vec![table(rows), phases::phases_table(rows)],
        Measure::Throughput(_) => vec![table(rows), throughput::throughput_table(rows)],
        Measure::Latency => vec![latency::latency_table(rows)],
        Measure::Resources => vec![table(rows), resources_table(rows)],
        Measure::Scalability(_) => vec![scalability_table(rows)],
        Measure::FaultTolerance(_) => vec![faults::faults_table(rows)],
        Measure::Exact(plan) if plan.costs.is_none() => {
            vec![exact::exact_table(rows), dissemination::dissemination_table(rows)]
        }
        Measure::Exact(_) => vec![virtual_load::virtual_load_table(rows)],
        Measure::VirtualFaultTolerance(_) => vec![virtual_faults::virtual_faults_table(rows)],
    };
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// The rows whose numbers may be seen.
pub(crate) fn shown_rows<'a>(rows: &'a [&ScenarioResult]) -> impl Iterator<Item = &'a ScenarioResult> {
    rows.iter().copied().filter(|result| no_numbers(result).is_none())
}

/// An empty table with the given heads, its first column to the left and the others to the right.
/// A row of several lines wants a rule below it.
pub(crate) fn empty_table(heads: &[&str], rules: bool) -> Table {
    let mut table = Table::new();
    // Without a terminal's width and colours, so that a table is the same in a file.
    table.force_no_tty().load_preset(presets::UTF8_HORIZONTAL_ONLY);
    if !rules {
        table.remove_style(TableComponent::HorizontalLines);
        table.remove_style(TableComponent::MiddleIntersections);
    }
    table.set_header(heads.iter().map(Cell::new));
    for column in table.column_iter_mut() {
        let is_first = column.index == 0;
        column.set_padding((1, 0));
        column.set_cell_alignment(if is_first { CellAlignment::Left } else { CellAlignment::Right });
    }
    table
}

/// The table's lines without the blanks that fill them up.
pub(crate) fn lines_of(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_string()).collect::<Vec<_>>().join("\n")
}

/// Why a result's numbers are not shown.
enum NoNumbers {
    /// The safety check failed, or did not run.
    Withheld(&'static str),
    /// It did not run to its end.
    Failed(String),
    /// The protocol can't be measured in this way.
    NotMeasured(String),
}

/// Why a result's numbers are not to be shown, if they aren't.
fn no_numbers(result: &ScenarioResult) -> Option<NoNumbers> {
    if let Some(why) = result.exact.as_ref().and_then(|exact| exact.not_simulated.clone()) {
        return Some(NoNumbers::NotMeasured(why));
    }
    match &result.outcome {
        Outcome::Unsafe => Some(NoNumbers::Withheld("safety violation")),
        Outcome::Failed { reason } => Some(NoNumbers::Failed(reason.clone())),
        Outcome::Completed | Outcome::Interrupted if !result.safety.violations.is_empty() => {
            Some(NoNumbers::Withheld("safety violation"))
        }
        Outcome::Completed | Outcome::Interrupted if !result.safety.checked => {
            Some(NoNumbers::Withheld("safety was not checked"))
        }
        Outcome::Completed | Outcome::Interrupted => None,
    }
}

/// Whether a result's numbers are for anyone to see.
pub(crate) fn shows_numbers(result: &ScenarioResult) -> bool {
    no_numbers(result).is_none()
}

fn heading(scenario: &Scenario) -> String {
    let arrivals = match scenario.arrivals {
        Arrivals::Constant => "constant",
        Arrivals::Poisson => "Poisson",
    };
    let mut about = format!("{}\n", scenario.name);
    if !scenario.about.is_empty() {
        about = format!("{}: {}\n", scenario.name, scenario.about);
    }
    let (replicas, payload) = (scenario.replicas, scenario.payload_bytes);
    about += &match &scenario.measure {
        // They bring their own sizes and loads.
        Measure::Scalability(_) | Measure::Exact(_) => format!("{payload}-byte payloads, closed loop"),
        Measure::FaultTolerance(plan) => format!(
            "{replicas} replicas, {payload}-byte payloads, {arrivals} arrivals at {}/s",
            quantity::count(plan.rate_per_s)
        ),
        Measure::VirtualFaultTolerance(plan) => format!(
            "{replicas} replicas on {}, {payload}-byte payloads, {} clients that send {}/s together at equal \
             distances",
            plan.topology,
            plan.clients,
            quantity::count(plan.rate_per_s)
        ),
        _ => format!("{replicas} replicas, {payload}-byte payloads, {arrivals} arrivals"),
    };
    if let Some(phase) = scenario.measured_phase().and_then(|index| scenario.phases.get(index)) {
        let from = if phase.ramp.is_some() { "from " } else { "at " };
        about += &format!(
            "; {} {} s {from}{}/s",
            phase.kind.name(),
            phase.duration_s,
            quantity::count(phase.rate_per_s)
        );
    }
    about + &links(scenario)
}

/// What links do beside moving messages; nothing when they do nothing else.
fn links(scenario: &Scenario) -> String {
    let network = &scenario.network;
    let mut traits = Vec::new();
    if network.delay_ms > 0.0 {
        traits.push(format!("{} ms delay", network.delay_ms));
    }
    if network.jitter_ms > 0.0 {
        traits.push(format!("{} ms jitter", network.jitter_ms));
    }
    if network.loss > 0.0 {
        traits.push(format!("{} lost", quantity::share(network.loss)));
    }
    if network.duplication > 0.0 {
        traits.push(format!("{} doubled", quantity::share(network.duplication)));
    }
    if let Some(rate) = network.bandwidth_bytes_per_s {
        traits.push(format!("{}B/s", quantity::count(rate)));
    }
    if traits.is_empty() { String::new() } else { format!("; links: {}", traits.join(", ")) }
}

fn table(rows: &[&ScenarioResult]) -> String {
    let mut table = empty_table(&HEADS, true);
    for result in rows {
        table.add_row(row(result));
    }
    lines_of(&table)
}

fn row(result: &ScenarioResult) -> Vec<String> {
    let mut name = result.row_name();
    if !result.disturbed.is_empty() {
        name += " *";
    }
    if result.outcome == Outcome::Interrupted {
        name += " ~";
    }
    let word = match no_numbers(result) {
        Some(NoNumbers::Withheld(_)) => "withheld",
        Some(NoNumbers::Failed(_)) => "failed",
        Some(NoNumbers::NotMeasured(_)) => "not measured",
        None => return numbers(name, result),
    };
    let mut cells = vec![name, word.into()];
    cells.resize(HEADS.len(), NOTHING.into());
    cells
}

fn numbers(name: String, result: &ScenarioResult) -> Vec<String> {
    let shown = |metric: &str, show: &dyn Fn(&Metric) -> String| {
        result.metric(metric).map_or_else(|| NOTHING.to_string(), |metric| with_spread(show(metric), metric))
    };
    let number = |metric: &Metric| quantity::count(metric.value);
    let time = |metric: &Metric| quantity::in_unit(metric.value, "ns");
    let against_floor = |metric: &Metric| match result.metric("messages_per_commit_over_floor") {
        Some(over) => format!("{} ({})", number(metric), number(over)),
        None => number(metric),
    };
    // Its interval is below what two digits show.
    let success = result.metric("success_ratio").map(|metric| quantity::share(metric.value));
    vec![
        name,
        shown("throughput_per_s", &number),
        shown("response_ns_p50", &time),
        shown("response_ns_p95", &time),
        shown("response_ns_p99", &time),
        shown("response_ns_p999", &time),
        success.unwrap_or_else(|| NOTHING.into()),
        shown("messages_per_commit", &against_floor),
        shown("bytes_per_commit", &number),
        shown("cpu_ns_per_commit", &time),
    ]
}

fn with_spread(shown: String, metric: &Metric) -> String {
    let interval = metric.lower.zip(metric.upper);
    match interval.and_then(|(lower, upper)| quantity::spread(metric.value, lower, upper)) {
        Some(spread) => format!("{shown}\n{spread}"),
        None => shown,
    }
}

/// What a reader must know about the rows above.
fn notes(rows: &[&ScenarioResult]) -> String {
    let mut notes = String::new();
    let mut note = |line: String| notes += &format!("\n{line}");
    let loads = rows[0].scenario.measure.needs_phases();
    if loads && rows.iter().any(|result| no_numbers(result).is_none()) {
        note("Response times; below a value its 95 % interval (± its wider side); - is not measured.".into());
        note(format!(
            "Commands per proposal, messages per wake-up: {}",
            rows.iter().filter_map(|result| batches(result)).collect::<Vec<_>>().join("; ")
        ));
        let timing = rows[0].timing;
        note(format!(
            "Failure detection: heartbeats every {} ms, elections after {} to {} ms of silence",
            timing.heartbeat_ms, timing.election_min_ms, timing.election_max_ms
        ));
    }
    for result in rows {
        let name = result.row_name();
        if !result.disturbed.is_empty() {
            note(format!("* {name}: disturbed: {}", result.disturbed.join("; ")));
        }
        if result.outcome == Outcome::Interrupted {
            note(format!("~ {name}: interrupted: the numbers are of the part that ran"));
        }
        if let Some(fsync) = &result.fsync {
            let time = |nanos: u64| quantity::in_unit(nanos as f64, "ns");
            note(format!(
                "{name}: one append with fdatasync takes {} here, 1 % more than {}",
                time(fsync.p50_ns),
                time(fsync.p99_ns)
            ));
        }
        match no_numbers(result) {
            Some(NoNumbers::Withheld(reason)) => {
                note(format!("{name}: withheld: {reason}"));
                result.safety.violations.iter().for_each(|broken| note(format!("  - {broken}")));
            }
            Some(NoNumbers::Failed(reason)) => note(format!("{name}: failed: {reason}")),
            Some(NoNumbers::NotMeasured(why)) => note(format!("{name}: not measured: {why}")),
            None => {}
        }
        if let Some(registers) = &result.safety.registers {
            note(format!("{name}: {}", linearizability(registers)));
        }
        if !result.settings.is_empty() {
            let settings: Vec<String> =
                result.settings.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            note(format!("{name}: settings: {}", settings.join(", ")));
        }
    }
    for line in quorum_notes(rows) {
        note(line);
    }
    if rows.iter().any(|result| result.commit_means != rows[0].commit_means) {
        note("These rows do not promise the same; a commit means".into());
        for result in rows {
            note(format!("  - {}: {}", result.row_name(), result.commit_means));
        }
    }
    notes
}

/// How many replicas each step takes: one line for all protocols of which the same is to be said.
fn quorum_notes(rows: &[&ScenarioResult]) -> Vec<String> {
    let mut said: Vec<(String, Vec<&str>)> = Vec::new();
    for result in rows.iter().filter(|result| !result.quorums.is_empty()) {
        let words = quorums_in_words(&result.quorums);
        match said.iter_mut().find(|(known, _)| *known == words) {
            Some((_, names)) if names.contains(&&*result.protocol) => {}
            Some((_, names)) => names.push(&result.protocol),
            None => said.push((words, vec![&result.protocol])),
        }
    }
    said.into_iter()
        .map(|(words, names)| format!("Quorums of {}, in replicas: {words}", names.join(", ")))
        .collect()
}

/// What the reads and writes of registers showed.
fn linearizability(found: &RegisterCheck) -> String {
    let RegisterCheck { linearizable, operations, keys, violated_keys, stale_reads } = found;
    match (violated_keys, linearizable) {
        (0, true) => format!("linearizable: yes ({operations} operations on {keys} keys)"),
        (0, false) => {
            format!("linearizable: not promised, and so here ({operations} operations on {keys} keys)")
        }
        (_, true) => format!("linearizable: NO ({violated_keys} of {keys} keys violated)"),
        (_, false) => format!(
            "linearizable: no, and not promised ({violated_keys} of {keys} keys violated; at least \
             {stale_reads} of {operations} operations were stale reads)"
        ),
    }
}

/// How large the batches of a row came out; a library that owns its runtime tells only the first.
fn batches(result: &ScenarioResult) -> Option<String> {
    let shown = |name: &str| result.metric(name).map(|metric| quantity::count(metric.value));
    let commands = shown("commands_per_proposal").filter(|_| no_numbers(result).is_none())?;
    let messages = shown("messages_per_wake_up").unwrap_or_else(|| NOTHING.into());
    Some(format!("{} {commands}, {messages}", result.protocol))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::files;
    use crate::results::ClusterQuorums;
    use crate::scenario::StorageConfig;

    fn sample() -> Vec<ScenarioResult> {
        files::parse_results(Path::new("sample"), files::SAMPLE).unwrap().results
    }

    #[test]
    fn what_registers_showed_is_told_with_what_was_promised() {
        let told = |linearizable, violated_keys| {
            let check =
                RegisterCheck { linearizable, operations: 90, keys: 7, violated_keys, stale_reads: 5 };
            linearizability(&check)
        };
        assert_eq!(told(true, 0), "linearizable: yes (90 operations on 7 keys)");
        assert_eq!(told(true, 2), "linearizable: NO (2 of 7 keys violated)");
        assert!(told(false, 0).contains("not promised, and so here"));
        assert!(told(false, 3).contains("no, and not promised (3 of 7 keys violated; at least 5 of 90"));
    }

    #[test]
    fn protocols_of_a_scenario_stand_side_by_side() {
        let mut results = sample();
        results[1].metrics.retain(|metric| metric.name != "cpu_ns_per_commit");
        let mut low = results[0].clone();
        low.scenario.name = "low_load".into();
        low.scenario.about.clear();
        low.scenario.phases[1].ramp = None;
        low.scenario.network.delay_ms = 0.5;
        low.scenario.network.loss = 0.01;
        low.settings.clear();
        results.push(low);
        let shown = scenario_table(&results);
        assert!(shown.lines().all(|line| line.chars().count() <= 120), "{shown}");
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn what_spoils_a_row_is_said_and_its_numbers_are_kept_back() {
        let mut disturbed = sample().remove(0);
        disturbed.disturbed = vec!["run delay 3.1 % of wall time".into(), "lateness p99 1.2 ms".into()];
        let mut interrupted = sample().remove(1);
        interrupted.outcome = Outcome::Interrupted;
        let mut broken = sample().remove(0);
        broken.protocol = "sketch".into();
        broken.family = "gossip".into();
        broken.commit_means = "one replica has heard of it".into();
        broken.outcome = Outcome::Unsafe;
        broken.settings.clear();
        broken.safety.violations = vec![
            "replicas 0 and 2 differ at slot 7".into(),
            "command 12 was acknowledged and is gone".into(),
        ];
        let mut failed = sample().remove(1);
        failed.scenario.storage = StorageConfig::Wal;
        failed.outcome = Outcome::Failed { reason: "no leader within 10 s".into() };
        let mut unchecked = sample().remove(1);
        unchecked.protocol = "hasty".into();
        unchecked.safety.checked = false;

        insta::assert_snapshot!(scenario_table(&[disturbed, interrupted, broken, failed, unchecked]));
    }

    #[test]
    fn protocols_of_the_same_quorums_share_a_line() {
        let quorums = |commit| {
            let steps = [("commit".to_string(), commit)].into();
            vec![ClusterQuorums { replicas: 3, steps }]
        };
        let said = |rows: &[ScenarioResult]| quorum_notes(&rows.iter().collect::<Vec<_>>());
        let mut rows = sample();
        assert_eq!(said(&rows), [""; 0], "older results have none");
        rows.push(rows[0].clone());
        rows.iter_mut().for_each(|result| result.quorums = quorums(2));
        assert_eq!(said(&rows), ["Quorums of raft-rs, openraft, in replicas: of 3: commit 2"]);
        rows[1].quorums = quorums(3);
        let apart = [
            "Quorums of raft-rs, in replicas: of 3: commit 2",
            "Quorums of openraft, in replicas: of 3: commit 3",
        ];
        assert_eq!(said(&rows), apart);
        assert!(scenario_table(&rows).contains(&apart.join("\n")));
    }

    #[test]
    fn no_results_have_no_tables() {
        assert_eq!(scenario_table(&[]), "");
    }
}
