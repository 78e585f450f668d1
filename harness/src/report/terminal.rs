//! The story in 80 columns, for the end of a run: who won, by how much, how sure, what to try next.

use std::io::IsTerminal;

use super::material::{Material, Rows};
use super::story::{Board, Group, ProtocolStory, Story};
use crate::results::ScenarioResult;
use crate::scenario::Measure;
use crate::stats::median;
use crate::threshold::Kept;

/// Width of the summary.
const COLUMNS: usize = 80;
/// Characters of a sparkline.
const SPARK: usize = 48;
/// A sparkline goes up to so many times its median.
const BURST: f64 = 1.6;
/// Characters of a row's name, at most.
const LONGEST_NAME: usize = 28;
/// Heights of a sparkline, from nothing on.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Whether to colour: only on a terminal, and not where someone does not want it (<https://no-color.org>).
pub fn colours() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !unwanted
}

/// Text with or without colours; words and signs say the same.
struct Paint(bool);

impl Paint {
    fn of(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.into() }
    }

    fn bold(&self, text: &str) -> String {
        self.of("1", text)
    }

    fn good(&self, text: &str) -> String {
        self.of("32", text)
    }

    fn bad(&self, text: &str) -> String {
        self.of("31", text)
    }
}

/// The summary, without the path of the page.
pub fn summary(material: &Material, colours: bool) -> String {
    let (story, paint) = (Story::of(material), Paint(colours));
    let mut lines = vec![paint.bold("Summary")];
    // Of each scenario the cost that comes first: the page has the others beside it.
    let costs = story.costs.iter().filter_map(|boards| boards.first());
    for board in story.capacity.iter().chain(costs).chain(&story.leader) {
        lines.extend(board_lines(board, &paint));
    }
    lines.extend(load_sparklines(material, &paint));
    lines.extend(crash_sparklines(material, &paint));
    lines.extend(problems(material, &story.protocols, &paint));
    lines.push(String::new());
    lines.extend(next(material, &paint));
    lines.join("\n")
}

/// What a board says, and a line for each row of it.
fn board_lines(board: &Board, paint: &Paint) -> Vec<String> {
    let mut lines =
        vec![String::new(), paint.bold(&capitalised(&format!("{}, in {}", board.label, board.scenario)))];
    let values = board.groups.iter().flat_map(|group| &group.rows).map(|row| row.metric.value);
    let longest = values.fold(f64::MIN_POSITIVE, f64::max);
    for group in &board.groups {
        if board.groups.len() > 1 && !group.title.is_empty() {
            lines.extend(wrapped(&format!("{}:", group.title), 2));
        }
        if group.rows.len() > 1 {
            lines.extend(wrapped(&format!("{}.", group.verdict), 2));
        }
        lines.extend(rows_of(group, longest));
    }
    if !board.note.is_empty() {
        lines.extend(wrapped(&board.note, 2));
    }
    lines
}

/// Room for the names of rows: what tells two rows of one protocol apart comes last in theirs.
fn width_of<'a>(names: impl Iterator<Item = &'a str>, least: usize) -> usize {
    names.map(|name| name.chars().count()).max().unwrap_or(0).clamp(least, LONGEST_NAME)
}

fn rows_of(group: &Group, longest: f64) -> Vec<String> {
    let wide = width_of(group.rows.iter().map(|row| row.name.as_str()), 16);
    // Longer names take their room from the bars.
    let most = 36 - wide;
    let line = |row: &super::story::Row| {
        let place = match (row.place, row.tied) {
            (Some(place), true) => format!("={place}"),
            (Some(place), false) => format!(" {place}"),
            (None, _) => "  ".into(),
        };
        let name = cut(&row.name, wide);
        let filled = (row.metric.value / longest * most as f64).round().clamp(1.0, most as f64) as usize;
        let (bar, marks) = ("█".repeat(filled), row.marks());
        cut(&format!("  {place:>3} {name:<wide$} {bar:<most$} {}{marks}", row.shown), COLUMNS)
    };
    group.rows.iter().map(line).collect()
}

/// Commits over time of each row of the first load.
fn load_sparklines(material: &Material, paint: &Paint) -> Vec<String> {
    let scenarios = material.scenarios();
    let is_load = |rows: &&Rows| {
        rows.shown()
            .any(|result| result.scenario.measure == Measure::Load && !commits_over_time(result).is_empty())
    };
    let Some(rows) = scenarios.iter().find(is_load) else { return Vec::new() };
    let series: Vec<(String, Vec<u64>)> =
        rows.shown().map(|result| (rows.name_of(result), commits_over_time(result))).collect();
    let wide = width_of(series.iter().map(|(name, _)| name.as_str()), 20);
    let head = format!("Commits per second over time, in {}", rows.scenario);
    let line = |(name, rates): &(String, Vec<u64>)| {
        format!("  {:<wide$} {}", cut(name, wide), sparkline(rates, SPARK))
    };
    [String::new(), paint.bold(&head)].into_iter().chain(series.iter().map(line)).collect()
}

fn commits_over_time(result: &ScenarioResult) -> Vec<u64> {
    let intervals = result.phases.iter().flat_map(|phase| &phase.intervals);
    intervals.map(|one| (one.succeeded as f64 / one.duration_s.max(1e-9)).round() as u64).collect()
}

/// Commits of each row around its leader's crash, of the first scenario that crashes leaders.
fn crash_sparklines(material: &Material, paint: &Paint) -> Vec<String> {
    let scenarios = material.scenarios();
    let with_fault =
        scenarios.iter().find(|rows| rows.shown().any(|result| leader_timeline(result).is_some()));
    let Some(rows) = with_fault else { return Vec::new() };
    let mut lines = vec![
        String::new(),
        paint.bold(&format!("Commits around the leader's crash (▲), in {}", rows.scenario)),
    ];
    let names: Vec<String> = rows.shown().map(|result| rows.name_of(result)).collect();
    let wide = width_of(names.iter().map(String::as_str), 20);
    let mut marked = false;
    for result in rows.shown() {
        let Some((commits, fault_at)) = leader_timeline(result) else { continue };
        if !marked {
            let at = (fault_at * SPARK as f64) as usize;
            lines.push(format!("  {:<wide$} {}▲", "", " ".repeat(at)));
            marked = true;
        }
        lines.push(format!("  {:<wide$} {}", cut(&rows.name_of(result), wide), sparkline(&commits, SPARK)));
    }
    lines
}

/// Commits around the leader's crash, and after which share of the time it came.
fn leader_timeline(result: &ScenarioResult) -> Option<(Vec<u64>, f64)> {
    let fault = result.faults.iter().find(|fault| fault.fault == "crash_leader")?;
    let timeline = fault.cycles.iter().find_map(|cycle| cycle.timeline.as_ref())?;
    let length = timeline.bin_s * timeline.commits.len() as f64;
    Some((timeline.commits.clone(), (-timeline.from_s / length).clamp(0.0, 1.0)))
}

/// A series in so many characters at most, each the mean of its stretch; nothing at all is a blank.
pub fn sparkline(values: &[u64], width: usize) -> String {
    let width = width.min(values.len());
    let mean = |index: usize| {
        let stretch = &values[index * values.len() / width..(index + 1) * values.len() / width];
        stretch.iter().sum::<u64>() as f64 / stretch.len() as f64
    };
    let means: Vec<f64> = (0..width).map(mean).collect();
    let mut something: Vec<f64> = means.iter().copied().filter(|&mean| mean > 0.0).collect();
    // What is served at once after an outage would flatten all else.
    let usual = median(&mut something).unwrap_or(1.0);
    let most = means.iter().copied().fold(f64::MIN_POSITIVE, f64::max).min(BURST * usual);
    let height = |mean: &f64| match (mean / most * 8.0).ceil() as usize {
        0 => ' ',
        height => HEIGHTS[height.min(8) - 1],
    };
    means.iter().map(height).collect()
}

/// What did not end, targets that were missed, and results that are not to be trusted.
fn problems(material: &Material, protocols: &[ProtocolStory], paint: &Paint) -> Vec<String> {
    let mut lines = Vec::new();
    let mut say = |text: String| lines.extend(wrapped(&text, 2));
    for run in material.runs.iter().filter(|run| !run.complete) {
        say(format!("✗ the run {} did not come to its end", run.run_id));
    }
    for one in protocols {
        for line in &one.unsafe_in {
            say(format!("✗ {} broke a promise: {line}", one.protocol));
        }
        for line in &one.failed_in {
            say(format!("✗ {} failed: {line}", one.protocol));
        }
        for held in one.targets.0.iter().filter(|held| held.met == Some(Kept::No)) {
            say(format!("✗ {} misses {}: {}", one.protocol, held.target, held.evidence));
        }
    }
    let count = |of: fn(&ProtocolStory) -> usize| protocols.iter().map(of).sum::<usize>();
    let unknown =
        |one: &ProtocolStory| one.targets.0.iter().filter(|held| held.met == Some(Kept::Unknown)).count();
    match count(unknown) {
        0 => {}
        unknown => {
            say(format!("? Of {unknown} targets it can't be told whether they are met: the page says why."))
        }
    }
    match count(|one| one.interrupted_in.len()) {
        0 => {}
        results => say(format!(
            "† {results} of the results were interrupted: their numbers are of what ran until then."
        )),
    }
    match count(|one| one.disturbed_in.len()) {
        0 => {}
        results => say(format!(
            "* Something else on this machine disturbed {results} of the results; run again when it is quiet."
        )),
    }
    if lines.is_empty() {
        let measured = protocols.iter().any(|one| one.targets.0.iter().any(|held| held.met.is_some()));
        return if measured {
            vec![String::new(), paint.good("  ✓ all targets that were measured are met")]
        } else {
            Vec::new()
        };
    }
    std::iter::once(String::new())
        .chain(lines.into_iter().map(|line| if line.contains('✗') { paint.bad(&line) } else { line }))
        .collect()
}

fn next(material: &Material, paint: &Paint) -> Vec<String> {
    let text = match material.advice.as_ref().map(|advice| (advice, advice.recommendations.first())) {
        Some((_, Some(one))) => format!(
            "Try next: {} ({}, {}): {}; `cargo consensus-bench recommend` has all advice",
            super::advice::action(&one.change),
            one.protocol,
            one.scenario,
            one.reason
        ),
        Some((advice, None)) if !advice.withheld.is_empty() => format!(
            "Try next: the same again: {} of the results can't be relied on, and get no advice; \
             `cargo consensus-bench recommend` says why",
            advice.withheld.len()
        ),
        Some((_, None)) => {
            "Try next: nothing that the rules of advice know of; `cargo consensus-bench recommend` \
                            says why"
                .into()
        }
        None => "Try next: `cargo consensus-bench recommend` says what to change, and why".into(),
    };
    let mut lines = wrapped(&text, 0);
    if let Some(line) = lines.first_mut() {
        *line = line.replacen("Try next:", &paint.bold("Try next:"), 1);
    }
    lines
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.into();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// Lines of at most [`COLUMNS`] characters, indented.
fn wrapped(text: &str, indent: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = cut(word, COLUMNS - indent - 2);
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < COLUMNS => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => {
                let more = if lines.is_empty() { 0 } else { 2 };
                lines.push(format!("{}{word}", " ".repeat(indent + more)));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests;
