//! What one sees first: what ran, who won, what it costs, what a dead leader does, and every number in one
//! table.

use maud::{Markup, html};

use super::identity::Looks;
use super::material::Material;
use super::story::{Board, Cell, Held, Matrix, ProtocolStory, Row, Story, ordinal};
use crate::history::timestamp;
use crate::results::{RunResults, ScenarioResult};
use crate::table::quantity;
use crate::threshold::Kept;

/// Recommendations that are shown at a glance.
const ADVICE_SHOWN: usize = 3;

/// What ran, where and when.
pub(super) fn heading(material: &Material) -> Markup {
    let (protocols, scenarios) = (material.protocols().len(), material.scenarios().len());
    let started = material.runs.iter().map(|run| run.started_unix_s).max().unwrap_or(0);
    let machine = material.runs.last().map(|run| &run.manifest.machine);
    html! {
        p.brand { "consensus-bench" }
        h1 { (counted(protocols, "protocol")) ", " (counted(scenarios, "scenario")) }
        p.facts {
            span { (when(started)) }
            @if let Some(machine) = machine {
                span { (machine.cpu_model) ", " (machine.cores) " cores" }
                span { (machine.os) }
            }
            @for run in &material.runs {
                @if let Some(commit) = run.manifest.commit.as_ref().filter(|_| material.runs.len() == 1) {
                    span {
                        "commit " code {
                            (commit.chars().take(12).collect::<String>()) @if commit.ends_with('+') { "+" }
                        }
                    }
                }
                @if !run.complete { span.bad { "✗ the run did not come to its end" } }
            }
            @match material.runs.as_slice() {
                [one] => { span { "run " code { (one.run_id) } } }
                several => { span { (several.len()) " runs as one" } }
            }
        }
    }
}

/// `2026-11-21 15:36 UTC`.
pub(super) fn when(unix_s: u64) -> String {
    let text = timestamp(unix_s.saturating_mul(1_000).try_into().unwrap_or(i64::MAX));
    format!("{} UTC", text.chars().take(16).collect::<String>().replace('T', " "))
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The four answers, on one screen.
pub(super) fn glance(material: &Material, story: &Story, looks: &Looks) -> Markup {
    html! {
        @for warning in warnings(story) { p.warning { (warning) } }
        div.answers {
            (answer("Who holds the most load?", story.capacity.as_slice(), looks,
                "throughput", "searches for the highest rate that holds the target"))
            (cost_answer(story, looks))
            (answer("What happened when the leader died?", &story.leader, looks,
                "fault_tolerance", "crashes leaders under load"))
            (advice_answer(material))
        }
    }
}

fn warnings(story: &Story) -> Vec<String> {
    let count = |of: fn(&ProtocolStory) -> usize| story.protocols.iter().map(of).sum::<usize>();
    let (unsafe_rows, disturbed, interrupted, failed) = (
        count(|one| one.unsafe_in.len()),
        count(|one| one.disturbed_in.len()),
        count(|one| one.interrupted_in.len()),
        count(|one| one.failed_in.len()),
    );
    let mut warnings = Vec::new();
    if unsafe_rows > 0 {
        warnings.push(format!(
            "✗ {} broke a promise of safety; their numbers are withheld.",
            counted(unsafe_rows, "result")
        ));
    }
    if disturbed > 0 {
        warnings.push(format!(
            "* Something else on the machine disturbed {}: differences there may be its doing.",
            counted(disturbed, "result")
        ));
    }
    if interrupted > 0 {
        warnings.push(format!(
            "† {} interrupted: the numbers are of what ran until then.",
            if interrupted == 1 { "1 result was".into() } else { format!("{interrupted} results were") }
        ));
    }
    if failed > 0 {
        warnings.push(format!("✗ {} failed: the protocols' table says why.", counted(failed, "result")));
    }
    warnings
}

fn answer(question: &str, boards: &[Board], looks: &Looks, scenario: &str, does: &str) -> Markup {
    html! {
        article.answer {
            h3 { (question) }
            @if boards.is_empty() {
                p.muted { "Not measured in this run. The scenario " code { (scenario) } " " (does) "." }
            }
            @for board in boards {
                p.what { (board.label) ", in " a href={ "#" (board.card) } { (board.scenario) } }
                @for group in &board.groups {
                    @if !group.title.is_empty() && board.groups.len() > 1 { p.promise { (group.title) } }
                    @if group.rows.len() > 1 { p.verdict { (group.verdict) } }
                    (bars(board, &group.rows, looks))
                }
                @if !board.note.is_empty() { p.note { (board.note) } }
            }
        }
    }
}

/// A row's name with its protocol's sign, and with marks of what is the matter with it.
fn row_head(row: &Row, looks: &Looks) -> Markup {
    html! {
        th scope="row" {
            (looks.get(&row.protocol).key()) (row.name)
            @if row.disturbed { span title="disturbed" { " *" } }
            @if row.interrupted { span title="interrupted" { " †" } }
        }
    }
}

/// Rows of a board with a bar each, as long as their share of the longest.
fn bars(board: &Board, rows: &[Row], looks: &Looks) -> Markup {
    let longest = board.groups.iter().flat_map(|group| &group.rows).map(|row| row.metric.value);
    let longest = longest.fold(f64::MIN_POSITIVE, f64::max);
    html! {
        table.bars {
            tbody {
                @for row in rows {
                    tr data-protocol=(row.protocol) {
                        (row_head(row, looks))
                        td.bar-cell {
                            @let width = (row.metric.value / longest * 100.0).clamp(0.5, 100.0);
                            svg class={ "bar-line s" (looks.get(&row.protocol).colour) } viewBox="0 0 100 8"
                                preserveAspectRatio="none" aria-hidden="true" {
                                rect class="paint" width=(format!("{width:.1}")) height="8" {}
                            }
                        }
                        td { (row.shown) }
                    }
                }
            }
        }
    }
}

/// Costs as a table for each scenario: a column each.
fn cost_answer(story: &Story, looks: &Looks) -> Markup {
    if story.costs.is_empty() {
        return answer("What does a commit cost?", &[], looks, "cost", "counts it");
    }
    html! {
        article.answer {
            h3 { "What does each cost per commit?" }
            @for boards in &story.costs { (cost_table(boards, looks)) }
        }
    }
}

fn cost_table(boards: &[Board], looks: &Looks) -> Markup {
    let Some(first) = boards.first() else { return html! {} };
    let row_of = |board: &Board, name: &str| -> Option<Row> {
        board.groups.iter().flat_map(|group| &group.rows).find(|row| row.name == name).cloned()
    };
    html! {
        p.what { "in " a href={ "#" (first.card) } { (first.scenario) } }
        table.costs {
            thead {
                tr {
                    th scope="col" { "protocol" }
                    @for board in boards { th scope="col" { (board.label.replace(" per commit", "")) } }
                }
            }
            tbody {
                @for row in first.groups.iter().flat_map(|group| &group.rows) {
                    tr data-protocol=(row.protocol) {
                        (row_head(row, looks))
                        @for board in boards { (cost_cell(row_of(board, &row.name))) }
                    }
                }
            }
        }
        @if !first.note.is_empty() { p.note { (first.note) } }
    }
}

/// A cost without its interval, for which there is no room beside the others: pointing at it shows it.
fn cost_cell(row: Option<Row>) -> Markup {
    let Some(row) = row else { return html! { td { (quantity::NOTHING) } } };
    html! { td title=(row.shown) { (quantity::of_metric(&row.metric.name, row.metric.value, &row.metric.unit)) } }
}

fn advice_answer(material: &Material) -> Markup {
    let advice = material.advice.as_ref();
    html! {
        article.answer.advised {
            h3 { "What to change?" }
            @match advice {
                None => { p.muted { "No one has looked yet: " code { "cargo consensus-bench recommend" } " does." } }
                Some(advice) if advice.recommendations.is_empty() => {
                    p { "Nothing that the rules know of." }
                    @if !advice.withheld.is_empty() {
                        p.note {
                            (advice.withheld.len()) " of the results can't be relied on, and get no advice: "
                            a href="#advice" { "why" }
                        }
                    }
                }
                Some(advice) => {
                    ol.brief {
                        @for one in advice.recommendations.iter().take(ADVICE_SHOWN) {
                            li {
                                strong { (super::advice::action(&one.change)) }
                                " (" (one.protocol) ", " (one.scenario) "): " (one.reason)
                            }
                        }
                    }
                    p { a href="#advice" { "All of it, with its evidence" } }
                }
            }
        }
    }
}

/// A line for each protocol, with its targets.
pub(super) fn protocols(story: &Story, looks: &Looks) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Protocols" {
            table.protocols {
                thead {
                    tr {
                        th scope="col" { "protocol" }
                        th scope="col" { "verdict" }
                        th scope="col" { "targets" }
                    }
                }
                tbody {
                    @for one in &story.protocols {
                        tr data-protocol=(one.protocol) {
                            th scope="row" {
                                (looks.get(&one.protocol).key()) (one.protocol) br; span.muted {
                                    (one.implementation)
                                }
                            }
                            td {
                                (one.verdict) "."
                                @if !one.promise.is_empty() {
                                    br; span.muted { "Promises " (one.promise) "." }
                                }
                                @for line in &one.unsafe_in { br; span.bad { "✗ unsafe: " (line) } }
                                (remarks("* disturbed", "warn", &one.disturbed_in))
                                (remarks("† interrupted", "warn", &one.interrupted_in))
                                (remarks("✗ failed", "bad", &one.failed_in))
                                (remarks("not measured", "muted", &one.not_measured_in))
                            }
                            td { ul.targets { @for held in &one.targets.0 { (target(held)) } } }
                        }
                    }
                }
            }
        }
    }
}

/// In how many scenarios something is the matter, and what, for those who open it.
fn remarks(what: &str, class: &str, lines: &[String]) -> Markup {
    html! {
        @if !lines.is_empty() {
            details {
                summary { span class=(class) { (what) " in " (counted(lines.len(), "scenario")) } }
                ul { @for line in lines { li { (line) } } }
            }
        }
    }
}

fn target(held: &Held) -> Markup {
    let (mark, word, class) = match held.met {
        Some(Kept::Yes) => ("✓", "pass", "good"),
        Some(Kept::No) => ("✗", "fail", "bad"),
        Some(Kept::Unknown) => ("?", "can't be told", "warn"),
        None => ("–", "not measured", "muted"),
    };
    html! {
        li { span class=(class) { (mark) " " (word) } ": " (held.target) span.muted { ", " (held.evidence) } }
    }
}

/// Protocols by scenarios.
pub(super) fn matrix(story: &Story, looks: &Looks) -> Markup {
    let Matrix { columns, rows } = &story.matrix;
    html! {
        p.about {
            "One number for each, with its 95 % interval; places are among protocols that promise the same. "
            "= can't be told from the one before or beside it; * was disturbed; † was interrupted; \
             ✗ broke its promises, or failed."
        }
        div.scroll tabindex="0" role="region" aria-label="Results" {
            table.matrix {
                thead {
                    tr {
                        th scope="col" { "protocol" }
                        @for column in columns {
                            th scope="col" { (column.scenario) br; span.muted { (column.what) } }
                        }
                    }
                }
                tbody {
                    @for (protocol, cells) in rows {
                        tr data-protocol=(protocol) {
                            th scope="row" { (looks.get(protocol).key()) (protocol) }
                            @for cell in cells { (matrix_cell(cell)) }
                        }
                    }
                }
            }
        }
    }
}

fn matrix_cell(cell: &Cell) -> Markup {
    let why = cell.failed.clone().or_else(|| (!cell.disturbed.is_empty()).then(|| cell.disturbed.join("; ")));
    html! {
        td title=[why] class=[cell.is_unsafe.then_some("bad")] {
            @if cell.is_unsafe { "✗ " }
            (cell.text)
            @if !cell.disturbed.is_empty() { " *" }
            @if cell.interrupted { " †" }
            @if let Some(place) = cell.place { br; span.muted { @if cell.tie { "= " } (ordinal(place)) } }
        }
    }
}

/// Under what the numbers were measured.
pub(super) fn manifest(material: &Material) -> Markup {
    html! {
        @for run in &material.runs { (manifest_of(run)) }
        @if !material.not_read.is_empty() {
            h3 { "Not read" }
            ul { @for line in &material.not_read { li { (line) } } }
        }
    }
}

fn settings_of(result: &ScenarioResult) -> String {
    let settings = result.settings.iter().map(|(name, value)| format!("{name} = {value}"));
    settings.collect::<Vec<_>>().join(", ")
}

fn manifest_of(run: &RunResults) -> Markup {
    let manifest = &run.manifest;
    let machine = &manifest.machine;
    let facts = [
        ("run", run.run_id.clone()),
        ("started", when(run.started_unix_s)),
        ("complete", if run.complete { "yes".into() } else { "no".into() }),
        ("command", manifest.command.join(" ")),
        ("commit", manifest.commit.clone().unwrap_or_else(|| "none".into())),
        ("consensus-bench", manifest.harness_version.clone()),
        (
            "machine",
            format!(
                "{}, {} cores, {}",
                machine.cpu_model,
                machine.cores,
                quantity::in_unit(machine.memory_bytes as f64, "bytes")
            ),
        ),
        ("system", format!("{}, kernel {}", machine.os, machine.kernel)),
        ("compiler", machine.rustc.clone()),
        ("fingerprint", machine.fingerprint.clone()),
        ("clients", manifest.client_placement.clone()),
    ];
    html! {
        div.scroll tabindex="0" role="region" aria-label={ "Manifest of " (run.run_id) } {
            table.facts-table {
                tbody { @for (name, value) in facts { tr { th scope="row" { (name) } td { (value) } } } }
            }
        }
        @if run.results.iter().any(|result| !result.settings.is_empty()) {
            p { "Settings that differ from the defaults:" }
            ul {
                @for result in run.results.iter().filter(|result| !result.settings.is_empty()) {
                    li { (result.scenario.name) " " (result.row_name()) ": "
                        (settings_of(result)) }
                }
            }
        }
    }
}
