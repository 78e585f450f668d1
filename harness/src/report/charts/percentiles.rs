//! Percentile curves of response times, on the axis on which each nine is as far from the next.

use super::chart::{Axis, Card, ChartData, Point, Scale, Series, Style};
use super::{View, both_scales, card as card_of, ids};
use crate::report::material::{Material, Percentiles, Rows};

const ABOUT: &str = "How long the slowest of so many requests took, from the moment they were due. A curve that rises \
                     late is a system that seldom makes anyone wait.";

/// Places between two nines.
const STEPS: i32 = 8;
/// Requests that must lie beyond the last point, so that it is not a single one's fate.
const BEYOND: f64 = 3.0;

/// The card of all scenarios with histograms.
pub(super) fn card(material: &Material) -> Option<Card> {
    let views = material.scenarios().iter().flat_map(|rows| views_of(material, rows)).collect();
    card_of(ids::PERCENTILES, "How long do the slowest requests take?", ABOUT, views)
}

fn views_of(material: &Material, rows: &Rows) -> Vec<View> {
    let series: Vec<Series> = rows
        .shown()
        .filter_map(|result| {
            let row = result.row_name();
            let times =
                material.percentiles.iter().find(|one| one.scenario == rows.scenario && one.row == row)?;
            let (name, protocol) = (rows.name_of(result), Some(result.protocol.clone()));
            Some(Series { name, protocol, style: Style::Line, points: points(times) })
        })
        .collect();
    let chart = ChartData::lines(
        format!("{}: response time by percentile", rows.scenario),
        Axis::of("share of requests that took no longer", "", Scale::Tail),
        Axis::of("response time", "ns", Scale::Log),
        series,
    );
    both_scales(rows.scenario, "response time", chart).into()
}

fn points(of: &Percentiles) -> Vec<Point> {
    let most = (of.times.len() as f64 / BEYOND).max(1.0);
    let tails = (0..).map(|step| 10f64.powf(f64::from(step) / f64::from(STEPS)));
    tails
        .take_while(|tail| *tail <= most)
        .map(|tail| Point::at(tail, of.times.value_at_quantile(1.0 - 1.0 / tail) as f64))
        .collect()
}
