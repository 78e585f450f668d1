//! Charts as SVG. Colours, sizes of text and dash patterns are the style sheet's, so that one picture serves
//! light and dark, screen and paper; what a mark stands for is in its title.

use maud::{Markup, html};

use super::axes::{Ruler, Tick, percentile, tick_label};
use super::chart::{Axis, Band, ChartData, Form, Point, Reference, Scale, Series, Style};
use super::{map, rows};
use crate::report::identity::{Look, Looks};
use crate::table::quantity;

/// Size of a picture of lines; the page scales it.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 320.0;
/// Room for names along the axes.
const LEFT: f64 = 66.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 46.0;
/// Marks of all series of a picture together, about: they are what makes a page large.
const MARKS: usize = 240;

/// Draws a chart.
pub fn draw(chart: &ChartData, looks: &Looks) -> Markup {
    match chart.form {
        Form::Lines => lines(chart, looks),
        Form::Dots | Form::Stacks => rows::draw(chart, looks),
        Form::Map => map::draw(chart),
    }
}

/// The frame of a picture: its size, and what it says to those who don't see it.
pub(super) fn picture(chart: &ChartData, width: f64, height: f64, inside: Markup) -> Markup {
    html! {
        svg.chart viewBox={ "0 0 " (number(width)) " " (number(height)) } role="img" aria-label=(chart.title) {
            (inside)
        }
    }
}

/// A number of the picture: a tenth of a unit is finer than anyone sees.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_string).unwrap_or(text)
}

/// The look of a series: its protocol's, or one by its number.
pub fn look_of(series: &Series, index: usize, looks: &Looks) -> Look {
    series.protocol.as_deref().map_or_else(|| Look::number(index), |protocol| looks.get(protocol))
}

/// A value as people read it on an axis.
pub fn shown(value: f64, axis: &Axis) -> String {
    match (axis.scale, axis.unit.as_str()) {
        (Scale::Tail, _) => percentile(value),
        (Scale::Categories, _) => axis.categories.get(value as usize).cloned().unwrap_or_default(),
        (_, "s" | "share") => tick_label(value, &axis.unit),
        (_, "" | "1") if value.fract() == 0.0 && value.abs() < 1e5 => format!("{value}"),
        (_, unit) => quantity::in_unit(value, unit),
    }
}

/// What a mark's title says: whose it is, where it is, how sure that is.
pub(super) fn title_of(series: &Series, point: &Point, chart: &ChartData) -> String {
    let (measured, at, value) = match chart.form {
        Form::Lines | Form::Map => (&chart.y, shown(point.x, &chart.x), point.y),
        Form::Dots | Form::Stacks => (&chart.x, shown(point.y, &chart.y), point.x),
    };
    let mut title = format!("{}: {}", series.name, shown(value, measured));
    if let (Some(lower), Some(upper)) = (point.lower, point.upper) {
        title += &format!(" [{} to {}]", shown(lower, measured), shown(upper, measured));
    }
    title += &format!(" at {at}");
    if !point.note.is_empty() {
        title += &format!(", {}", point.note);
    }
    title
}

fn lines(chart: &ChartData, looks: &Looks) -> Markup {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let held = chart.held();
    let (x, y) = (Ruler::lay(&chart.x, held.x, LEFT, right), Ruler::lay(&chart.y, held.y, bottom, TOP));
    let most_marks = (MARKS / chart.series.len().max(1)).clamp(8, 40);
    picture(
        chart,
        WIDTH,
        HEIGHT,
        html! {
            @for (index, band) in chart.bands.iter().enumerate() { (shade(band, index, &x)) }
            (grid(&x.ticks(), &y.ticks(), chart))
            @for reference in &chart.references { (rule(reference, &x, &y)) }
            @for (index, series) in chart.series.iter().enumerate() {
                (line(chart, series, look_of(series, index, looks), [&x, &y], most_marks))
            }
        },
    )
}

/// A stretch of x: a phase lightly, a fault with hatching and its name.
fn shade(band: &Band, index: usize, x: &Ruler) -> Markup {
    let (from, to) = (x.at(band.from), x.at(band.to));
    let class = match (band.is_fault, index % 2) {
        (true, _) => "fault",
        (false, 0) => "phase",
        (false, _) => "phase alt",
    };
    // A name that is wider than its stretch would lie upon the next one.
    let fits = band.label.chars().count() as f64 * 6.6 <= to - from || band.is_fault;
    html! {
        rect class=(class) x=(number(from)) y=(number(TOP)) width=(number((to - from).max(1.0)))
            height=(number(HEIGHT - BOTTOM - TOP)) { title { (band.label) } }
        @if fits {
            text class="band" x=(number(from + 3.0)) y=(number(TOP - 6.0)) { (band.label) }
        }
    }
}

fn grid(x: &[Tick], y: &[Tick], chart: &ChartData) -> Markup {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    // Names of x that would touch each other are left out, the lines stay.
    let longest = x.iter().map(|tick| tick.label.chars().count()).max().unwrap_or(0) as f64 * 7.4 + 8.0;
    let mut free = f64::NEG_INFINITY;
    let mut is_free = |at: f64| {
        let fits = at - longest / 2.0 >= free;
        free = if fits { at + longest / 2.0 } else { free };
        fits
    };
    html! {
        @for tick in y {
            path.grid d={ "M" (number(LEFT)) " " (number(tick.at)) "H" (number(right)) } {}
            text.tick x=(number(LEFT - 6.0)) y=(number(tick.at + 4.0)) text-anchor="end" { (tick.label) }
        }
        @for tick in x {
            path.grid d={ "M" (number(tick.at)) " " (number(TOP)) "V" (number(bottom)) } {}
            @if is_free(tick.at) {
                text.tick x=(number(tick.at)) y=(number(bottom + 16.0)) text-anchor="middle" { (tick.label) }
            }
        }
        path.axis d={ "M" (number(LEFT)) " " (number(TOP)) "V" (number(bottom)) "H" (number(right)) } {}
        text.axis-name x=(number((LEFT + right) / 2.0)) y=(number(HEIGHT - 8.0)) text-anchor="middle" {
            (chart.x.label)
        }
        // Without bands their line is free for what y measures.
        @if chart.bands.is_empty() {
            text.axis-name x="2" y="13" { (chart.y.label) }
        } @else {
            text.axis-name transform={ "translate(12 " (number((TOP + bottom) / 2.0)) ") rotate(-90)" }
                text-anchor="middle" { (chart.y.label) }
        }
    }
}

fn rule(reference: &Reference, x: &Ruler, y: &Ruler) -> Markup {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    html! {
        @if reference.of_x {
            path.rule d={ "M" (number(x.at(reference.at))) " " (number(TOP)) "V" (number(bottom)) } {
                title { (reference.label) }
            }
            text.rule-name x=(number(x.at(reference.at) + 4.0)) y=(number(TOP + 12.0)) { (reference.label) }
        } @else {
            path.rule d={ "M" (number(LEFT)) " " (number(y.at(reference.at))) "H" (number(right)) } {
                title { (reference.label) }
            }
            text.rule-name x=(number(LEFT + 4.0)) y=(number(y.at(reference.at) - 5.0)) {
                (reference.label)
            }
        }
    }
}

fn line(chart: &ChartData, series: &Series, look: Look, [x, y]: [&Ruler; 2], most_marks: usize) -> Markup {
    let joined = series.style != Style::Marks;
    let model = if series.style == Style::Model { " model" } else { "" };
    let marked: Vec<&Point> = match series.style {
        Style::Model => Vec::new(),
        _ => {
            let step = series.points.len().div_ceil(most_marks).max(1);
            let last = series.points.len() - 1;
            let chosen =
                |(index, point): &(usize, &Point)| index % step == 0 || *index == last || point.hollow;
            series.points.iter().enumerate().filter(chosen).map(|(_, point)| point).collect()
        }
    };
    html! {
        g class={ "series " (look.classes()) (model) } data-protocol=[series.protocol.as_deref()] {
            @if joined {
                path.ln d=(path(&series.points, x, y)) {
                    @if marked.is_empty() { title { (series.name) } }
                }
            }
            @for point in &marked {
                @if let (Some(lower), Some(upper)) = (point.lower, point.upper) {
                    path.whisker d={ "M" (number(x.at(point.x))) " " (number(y.at(lower))) "V" (number(y.at(upper))) }
                    {}
                }
            }
            @for point in &marked {
                (mark(look, point.hollow, x.at(point.x), y.at(point.y), &title_of(series, point, chart)))
            }
        }
    }
}

/// A mark with what it stands for.
pub(super) fn mark(look: Look, hollow: bool, x: f64, y: f64, title: &str) -> Markup {
    html! {
        use class=(if hollow { "m hollow" } else { "m" }) href={ "#m" (look.shape) } x=(number(x)) y=(number(y)) {
            title { (title) }
        }
    }
}

fn path(points: &[Point], x: &Ruler, y: &Ruler) -> String {
    let places: Vec<String> =
        points.iter().map(|point| format!("{} {}", number(x.at(point.x)), number(y.at(point.y)))).collect();
    format!("M{}", places.join("L"))
}
