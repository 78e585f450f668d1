//! `consensus-bench history trend`: what crept in over many runs.

use super::{Filters, Format, HistoryCommandError, no_match, recorded, text};
use crate::compare::same_scenario;
use crate::history::{
    Change, DEFAULT_SIGNIFICANCE, Direction, Observation, Series, SeriesOptions, Trend, Trends,
};
use crate::output::say;
use crate::stats::median;
use crate::table::lines_of;
use crate::table::quantity::{self, NOTHING};

/// Characters of a drawn series, at most.
const WIDTH: usize = 60;

/// Values from low to high.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What `--significance` may be: the permutations resolve no less.
const SIGNIFICANCES: std::ops::RangeInclusive<f64> = 0.001..=0.1;

#[derive(clap::Args)]
pub(in crate::cli) struct TrendArguments {
    /// Only this metric, by the name that `show` gives; then series without a change are shown too
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,
    #[command(flatten)]
    filters: Filters,
    /// Disturbed runs count too
    #[arg(long)]
    with_disturbed: bool,
    /// Chance of a false alarm per series
    #[arg(long, value_name = "P", default_value_t = DEFAULT_SIGNIFICANCE, allow_negative_numbers = true)]
    significance: f64,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(super) fn run(arguments: &TrendArguments) -> Result<(), HistoryCommandError> {
    if !SIGNIFICANCES.contains(&arguments.significance) {
        return Err(HistoryCommandError::Significance(arguments.significance));
    }
    let filter = arguments.filters.filter(None)?;
    let history = recorded()?;
    let (metric, with_disturbed) = (arguments.metric.clone(), arguments.with_disturbed);
    let all = history.series(&filter, &SeriesOptions { metric, with_disturbed })?;
    if all.entries == 0 {
        return Err(HistoryCommandError::NoMatch(no_match(&history)?));
    }
    let mut trends = Trends::of(all, arguments.significance);
    let is_shown = |trend: &Trend| arguments.metric.is_some() || !trend.changes.is_empty();
    match arguments.format {
        Format::Text => say!("{}", all_of(&trends, is_shown)),
        Format::Json => {
            trends.trends.retain(is_shown);
            say!("{}", serde_json::to_string_pretty(&trends)?);
        }
    }
    Ok(())
}

/// Every trend that is shown, and what was looked at.
fn all_of(trends: &Trends, is_shown: impl Fn(&Trend) -> bool) -> String {
    let shown = trends.trends.iter().filter(|trend| is_shown(trend));
    let mut paragraphs: Vec<String> =
        shown.map(|trend| one(trend, &trends.trends, trends.fewest_observations)).collect();
    paragraphs.push(looked_at(trends));
    paragraphs.join("\n\n")
}

/// A trend: its name, its drawing and its changes.
fn one(trend: &Trend, all: &[Trend], fewest: usize) -> String {
    let (series, count) = (&trend.series, trend.series.observations.len());
    let place = series.fingerprint.as_ref().map_or("any machine".into(), |print| format!("machine {print}"));
    let mut lines = format!("{} of {}, namespace {}, {place}\n", series.metric, series.key, series.namespace);
    if let Some(conditions) = conditions(series, all) {
        lines += &format!("{conditions}\n");
    }
    if count < fewest {
        let runs = if count == 1 { "run" } else { "runs" };
        return lines + &format!("{count} {runs}; {fewest} are needed to find a change");
    }
    lines += &format!("{} {count} runs", drawing(trend));
    if trend.left_out > 0 {
        lines += &format!(", the newest of {}", count + trend.left_out);
    }
    if trend.changes.is_empty() {
        return lines + ", no change";
    }
    let heads = ["", "change", "before", "after", "p", "since", "commits", "run", "id"];
    let mut table = text::left_table(&heads, &[1, 2, 3, 4, 8]);
    for change in &trend.changes {
        table.add_row(row(series, change));
    }
    format!("{lines}\n{}", lines_of(&table))
}

fn row(series: &Series, change: &Change) -> [String; 9] {
    let shown = |value| quantity::of_metric(text::base(&series.metric), value, &series.unit);
    let direction = match change.direction {
        Direction::Worse => "worse",
        Direction::Better => "better",
        Direction::Neither => "changed",
    };
    let commit = |commit: &Option<String>| commit.clone().unwrap_or_else(|| "unknown".into());
    [
        direction.into(),
        change.relative.map_or_else(|| NOTHING.into(), quantity::change),
        shown(change.before),
        shown(change.after),
        format!("{:.3}", change.p),
        text::seconds(change.first.recorded_unix_ms),
        format!("{}..{}", commit(&change.commit_before), commit(&change.first.commit)),
        change.first.run_id.clone(),
        change.first.entry.to_string(),
    ]
}

/// What tells a series from others of its name: its settings, and where its scenario is not that of the newest.
fn conditions(series: &Series, all: &[Trend]) -> Option<String> {
    let newest = |series: &Series| series.observations.last().map(|last| (last.recorded_unix_ms, last.entry));
    let reference = all
        .iter()
        .map(|trend| &trend.series)
        .filter(|other| other.namespace == series.namespace && other.key == series.key)
        .max_by_key(|other| newest(other))?;
    let settings = series.settings.iter().map(|(name, value)| format!("{name} = {value}"));
    let mut told: Vec<String> = settings.collect();
    let difference = same_scenario(&reference.scenario, &series.scenario).err();
    told.extend(difference.map(|difference| format!("unlike newer runs: {difference}")));
    (!told.is_empty()).then(|| told.join(", "))
}

/// The values as bars from the least to the most, with a line where they changed.
fn drawing(trend: &Trend) -> String {
    let values: Vec<f64> = trend.series.observations.iter().map(|Observation { value, .. }| *value).collect();
    let mut ends: Vec<usize> = trend.changes.iter().map(|change| change.index).collect();
    ends.push(values.len());
    let per_bar = values.len().div_ceil(WIDTH);
    let mut start = 0;
    let segments: Vec<Vec<f64>> = ends
        .into_iter()
        .map(|end| {
            let segment = &values[start..end];
            start = end;
            segment.chunks(per_bar).filter_map(|bar| median(&mut bar.to_vec())).collect()
        })
        .collect();
    let bars = || segments.iter().flatten().copied();
    let (least, most) = (bars().fold(f64::INFINITY, f64::min), bars().fold(f64::NEG_INFINITY, f64::max));
    let level = |value: f64| {
        let share = (value - least) / (most - least);
        // All the same have no range, and a place in the middle.
        let share = if share.is_finite() { share } else { 0.5 };
        LEVELS[((share * LEVELS.len() as f64) as usize).min(LEVELS.len() - 1)]
    };
    let drawn: Vec<String> =
        segments.iter().map(|bars| bars.iter().map(|bar| level(*bar)).collect()).collect();
    drawn.join("│")
}

/// How many series there were, and what was left out.
fn looked_at(trends: &Trends) -> String {
    let Trends { judged, too_few, fewest_observations: fewest, most_of_too_few: most, .. } = trends;
    let changed = trends.trends.iter().filter(|trend| !trend.changes.is_empty()).count();
    let mut lines = Vec::new();
    if *judged > 0 {
        let by_chance = quantity::count(trends.significance * *judged as f64);
        lines.push(format!(
            "{changed} of {judged} series with enough runs changed; by chance alone at most {by_chance} would"
        ));
    }
    if *too_few > 0 {
        lines.push(format!(
            "{too_few} series with less than the {fewest} runs that are needed; the longest has {most}"
        ));
    }
    if judged + too_few == 0 {
        lines.push("no entry has numbers to look at".into());
    }
    if trends.disturbed_entries > 0 {
        let entries = entries(trends.disturbed_entries);
        lines.push(format!(
            "{entries} disturbed: left out of all but exact metrics without `--with-disturbed`"
        ));
    }
    if trends.incomplete_entries > 0 {
        let entries = entries(trends.incomplete_entries);
        lines.push(format!("{entries} left out: interrupted, failed or not safe"));
    }
    lines.join("\n")
}

fn entries(count: usize) -> String {
    format!("{count} {}", if count == 1 { "entry" } else { "entries" })
}

#[cfg(test)]
mod tests;
