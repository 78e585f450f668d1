//! Metrics over earlier runs, and where their level changed.

use super::chart::{Axis, Card, ChartData, Point, Scale, Series, Style};
use super::{card as card_of, ids, view};
use crate::history::{Direction, Trend, timestamp};
use crate::report::material::{Material, TRENDS_OF};
use crate::table::quantity;

const ABOUT: &str = "Earlier runs on this machine with the same scenario and settings, oldest first. A hollow mark is \
                     the first of a new level: more than chance explains.";

/// The card of all metrics with a history.
pub(super) fn card(material: &Material) -> Option<Card> {
    let mut views = Vec::new();
    for rows in material.scenarios() {
        for metric in TRENDS_OF {
            let here = |trend: &&Trend| {
                trend.series.metric == metric && trend.series.key.split('/').next() == Some(rows.scenario)
            };
            let trends: Vec<&Trend> = material.trends.iter().filter(here).collect();
            let Some(first) = trends.first() else { continue };
            let chart = ChartData::lines(
                format!("{}: {metric} over earlier runs", rows.scenario),
                Axis::of("runs, oldest first", "", Scale::Linear),
                Axis::of(metric, &first.series.unit, Scale::Linear),
                trends.iter().map(|trend| series(trend)).collect(),
            );
            views.push(view(rows.scenario, metric, chart));
        }
    }
    card_of(ids::TREND, "Has it become better or worse?", ABOUT, views)
}

fn series(trend: &Trend) -> Series {
    let protocol = trend.series.key.split('/').nth(1).unwrap_or(&trend.series.key).to_string();
    let points = trend.series.observations.iter().enumerate().map(|(index, one)| {
        let mut note = timestamp(one.recorded_unix_ms);
        if let Some(commit) = &one.commit {
            note += &format!(", commit {}", commit.chars().take(10).collect::<String>());
        }
        let change = trend.changes.iter().find(|change| change.index == index);
        if let Some(change) = change {
            let what = match change.direction {
                Direction::Better => "better",
                Direction::Worse => "worse",
                Direction::Neither => "another level",
            };
            let by = change.relative.map(|by| format!(" by {}", quantity::change(by))).unwrap_or_default();
            note += &format!(": {what}{by} from here on, p = {}", quantity::count(change.p));
        }
        Point { note, hollow: change.is_some(), ..Point::at(index as f64 + 1.0, one.value) }
    });
    Series { name: protocol.clone(), protocol: Some(protocol), style: Style::Line, points: points.collect() }
}
