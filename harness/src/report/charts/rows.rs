//! Rows of named things: a mark for each series in a row with its interval, or the series one after the
//! other.

use maud::{Markup, html};

use super::axes::Ruler;
use super::chart::{ChartData, Form, Point, Series};
use super::svg::{look_of, mark, number, picture, shown, title_of};
use crate::report::identity::Looks;

const WIDTH: f64 = 520.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 44.0;
/// Height of a bar, and of the gap to the next row.
const BAR: f64 = 20.0;
const GAP: f64 = 8.0;
/// Distance between two marks of one row.
const APART: f64 = 8.0;
/// Width of a character of a name, about.
const CHARACTER: f64 = 6.9;

/// Draws rows of marks or of stacked bars.
pub(super) fn draw(chart: &ChartData, looks: &Looks) -> Markup {
    let stacked = chart.form == Form::Stacks;
    let names = &chart.y.categories;
    let within = if stacked { BAR } else { (chart.series.len() as f64 * APART).max(BAR - GAP) };
    let height = TOP + names.len() as f64 * (within + GAP) + BOTTOM;
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0) as f64;
    let left = (longest * CHARACTER + 14.0).clamp(60.0, 210.0);
    let x = Ruler::lay(&chart.x, chart.held().x, left, WIDTH - RIGHT);
    let top_of = |row: usize| TOP + row as f64 * (within + GAP) + GAP / 2.0;
    picture(
        chart,
        WIDTH,
        height,
        html! {
            (frame(chart, &x, [left, height], within, &top_of))
            @for reference in chart.references.iter().filter(|one| one.of_x) {
                path.rule d={ "M" (number(x.at(reference.at))) " " (number(TOP)) "V" (number(height - BOTTOM)) } {
                    title { (reference.label) }
                }
            }
            @if stacked {
                (stacks(chart, looks, &x, &top_of))
            } @else {
                @for (index, series) in chart.series.iter().enumerate() {
                    (dots(chart, series, index, looks, &x, &|row| top_of(row) + (index as f64 + 0.5) * APART))
                }
            }
        },
    )
}

fn frame(
    chart: &ChartData,
    x: &Ruler,
    [left, height]: [f64; 2],
    within: f64,
    top_of: &dyn Fn(usize) -> f64,
) -> Markup {
    let (right, bottom) = (WIDTH - RIGHT, height - BOTTOM);
    let longest_name = ((left - 10.0) / CHARACTER) as usize;
    html! {
        @for tick in x.ticks() {
            path.grid d={ "M" (number(tick.at)) " " (number(TOP)) "V" (number(bottom)) } {}
            text.tick x=(number(tick.at)) y=(number(bottom + 16.0)) text-anchor="middle" { (tick.label) }
        }
        @for (row, name) in chart.y.categories.iter().enumerate() {
            @if row % 2 == 1 {
                rect class="phase" x="0" y=(number(top_of(row) - GAP / 2.0)) width=(number(right))
                    height=(number(within + GAP)) {}
            }
            text.tick x=(number(left - 8.0)) y=(number(top_of(row) + within / 2.0 + 4.0)) text-anchor="end" {
                (shortened(name, longest_name))
            }
        }
        path.axis d={ "M" (number(left)) " " (number(TOP)) "V" (number(bottom)) "H" (number(right)) } {}
        text.axis-name x=(number((left + right) / 2.0)) y=(number(height - 8.0)) text-anchor="middle" {
            (chart.x.label)
        }
    }
}

fn shortened(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.into();
    }
    let kept: String = name.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

fn dots(
    chart: &ChartData,
    series: &Series,
    index: usize,
    looks: &Looks,
    x: &Ruler,
    height_of: &dyn Fn(usize) -> f64,
) -> Markup {
    let look = look_of(series, index, looks);
    let at = |point: &Point| height_of(point.y as usize);
    html! {
        g class={ "series " (look.classes()) } data-protocol=[series.protocol.as_deref()] {
            @for point in &series.points {
                @if let (Some(lower), Some(upper)) = (point.lower, point.upper) {
                    path.whisker d={ "M" (number(x.at(lower))) " " (number(at(point))) "H" (number(x.at(upper))) }
                    {}
                }
                (mark(look, point.hollow, x.at(point.x), at(point), &title_of(series, point, chart)))
            }
        }
    }
}

/// Bars, the parts of each one after the other in the order of the series.
fn stacks(chart: &ChartData, looks: &Looks, x: &Ruler, top_of: &dyn Fn(usize) -> f64) -> Markup {
    let mut reached = vec![0.0; chart.y.categories.len()];
    let mut bars = Vec::new();
    for (index, series) in chart.series.iter().enumerate() {
        let mut parts = Vec::new();
        for point in &series.points {
            let Some(from) = reached.get_mut(point.y as usize) else { continue };
            let (start, end) = (x.at(*from), x.at(*from + point.x));
            *from += point.x;
            parts.push((start, end, top_of(point.y as usize), point));
        }
        bars.push((look_of(series, index, looks), series, parts));
    }
    html! {
        @for (look, series, parts) in &bars {
            g class={ "series " (look.classes()) } {
                @for (start, end, top, point) in parts {
                    rect class={ "bar b" (look.colour) } x=(number(*start)) y=(number(*top))
                        width=(number((end - start).max(0.0))) height=(number(BAR)) {
                        title { (title_of(series, point, chart)) }
                    }
                    // A value is written where there is room for it.
                    @if end - start > shown(point.x, &chart.x).chars().count() as f64 * CHARACTER + 4.0 {
                        text.in-bar x=(number((start + end) / 2.0)) y=(number(top + 14.0)) text-anchor="middle" {
                            (shown(point.x, &chart.x))
                        }
                    }
                }
            }
        }
    }
}
