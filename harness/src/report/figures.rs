//! Charts on the page: a card for each question, with its views, its legend and its values as a table.

use maud::{Markup, PreEscaped, html};

use super::charts::chart::{Form, Point, Series, Style};
use super::charts::svg::{look_of, shown};
use super::charts::{Card, ChartData, View, draw};
use super::identity::{COLOURS, Looks};
use super::page::Detail;

/// Values of a chart that the page has as a table; more are in the exported files.
const MOST_IN_TABLE: usize = 150;
/// What writes all values of all charts.
const DATA: PreEscaped<&str> = PreEscaped("<code>cargo consensus-bench report --data FOLDER</code>");
/// Views that are named before they are opened.
const NAMED: usize = 3;

/// Which protocols are shown; scripts make it work, without them all are.
pub(super) fn filter(looks: &Looks) -> Markup {
    let protocols = looks.protocols();
    html! {
        form.filter id="filter" hidden aria-label="Protocols that are shown" {
            @for protocol in protocols {
                label {
                    input type="checkbox" name="protocol" value=(protocol) checked;
                    (looks.get(protocol).key()) (protocol)
                }
            }
            button type="button" id="filter-all" { "all" }
        }
    }
}

/// Fills of bars: hatched besides coloured.
pub(super) fn patterns() -> Markup {
    let strokes =
        ["", "M0 8L8 0", "M0 0L8 8", "M0 4H8", "M4 0V8", "M0 0L8 8M0 8L8 0", "M0 4H8M4 0V8", "M2 2h1v1h-1z"];
    html! {
        svg class="defs" width="0" height="0" aria-hidden="true" {
            defs {
                @for (index, stroke) in strokes.iter().enumerate().take(COLOURS) {
                    pattern id={ "h" (index) } class={ "s" (index) } width="8" height="8"
                        patternUnits="userSpaceOnUse" {
                        rect class="paint" width="8" height="8" {}
                        path class="hatch" d=(stroke) {}
                    }
                }
                pattern id="fault" width="8" height="8" patternUnits="userSpaceOnUse" {
                    path class="fault-hatch" d="M0 8L8 0M-2 2L2-2M6 10L10 6" {}
                }
            }
        }
    }
}

/// All cards, one after the other.
pub(super) fn all(cards: &[Card], looks: &Looks, detail: Detail) -> Option<Markup> {
    if detail.views == 0 && !cards.is_empty() {
        return Some(left_out());
    }
    (!cards.is_empty())
        .then(|| html! { div.cards.flow { @for card in cards { (figure_of(card, "", looks, detail)) } } })
}

fn left_out() -> Markup {
    html! {
        p.note { "Charts would make this page too large: " (DATA) " writes their values." }
    }
}

/// Cards of two sides, side by side.
pub(super) fn beside(a: &[Card], b: &[Card], looks: &Looks, detail: Detail) -> Option<Markup> {
    let (a, b) = (&on_axes_of(a, b), &on_axes_of(b, a));
    let only_b = b.iter().filter(|card| a.iter().all(|one| one.id != card.id));
    let ids: Vec<&str> = a.iter().chain(only_b).map(|card| card.id.as_str()).collect();
    if detail.views == 0 && !ids.is_empty() {
        return Some(left_out());
    }
    (!ids.is_empty()).then(|| {
        html! {
            div.cards {
                @for id in ids {
                    @for (cards, side) in [(a, "A"), (b, "B")] { (figure_of_side(cards, side, id, looks, detail)) }
                }
            }
        }
    })
}

/// The cards with axes that hold the values of the same views of others too.
fn on_axes_of(cards: &[Card], others: &[Card]) -> Vec<Card> {
    let like = |card: &Card, view: &View| -> Option<&View> {
        let other = others.iter().find(|other| other.id == card.id)?;
        let same = |one: &&View| {
            (&one.subject, &one.metric, &one.scale) == (&view.subject, &view.metric, &view.scale)
        };
        other.views.iter().find(same)
    };
    let together = |card: &Card| {
        let views = card.views.iter().map(|view| match like(card, view) {
            Some(other) => View { chart: view.chart.beside(&other.chart), ..view.clone() },
            None => view.clone(),
        });
        Card { views: views.collect(), ..card.clone() }
    };
    cards.iter().map(together).collect()
}

fn figure_of_side(cards: &[Card], side: &str, id: &str, looks: &Looks, detail: Detail) -> Markup {
    match cards.iter().find(|card| card.id == id) {
        Some(card) => {
            let title = format!("{side}: {}", card.title);
            figure_of(&Card { title, ..card.clone() }, side, looks, detail)
        }
        None => html! { article.card { h3 { (side) } p.muted { "Not measured in " (side) "." } } },
    }
}

/// A card: without scripts its first view, and the others below a line that opens.
fn figure_of(card: &Card, side: &str, looks: &Looks, detail: Detail) -> Markup {
    let id = if side.is_empty() { card.id.clone() } else { format!("{}-{side}", card.id) };
    // On another scale a view says nothing new: it is for those who can choose.
    let later = card.views.iter().take(detail.views).skip(1);
    let (rest, other_scales): (Vec<&View>, Vec<&View>) = later.partition(|view| !is_second_scale(card, view));
    let left_out = card.views.len().saturating_sub(detail.views);
    html! {
        article.card id=(id) aria-labelledby={ (id) "-name" } {
            h3 id={ (id) "-name" } { a.anchor href={ "#" (id) } { (card.title) } }
            p.about { (card.about) }
            div.choice {}
            @if let Some(first) = card.views.first() { (figure(first, looks, true, false, detail.tables > 0)) }
            @if !rest.is_empty() {
                details.more {
                    summary { (rest.len()) " more: " (names_of(&rest)) }
                    @for (index, view) in rest.iter().enumerate() {
                        (figure(view, looks, false, false, detail.tables > index + 1))
                    }
                }
            }
            @for view in other_scales { (figure(view, looks, false, true, false)) }
            @if left_out > 0 {
                p.note { (left_out) " more would make this page too large: " (DATA) " writes their values." }
            }
        }
    }
}

fn is_second_scale(card: &Card, view: &View) -> bool {
    let first = card.views.iter().find(|other| other.subject == view.subject && other.metric == view.metric);
    first.is_some_and(|first| first.scale != view.scale)
}

fn figure(view: &View, looks: &Looks, is_first: bool, is_hidden: bool, has_table: bool) -> Markup {
    html! {
        figure.view data-subject=(view.subject) data-metric=(view.metric) data-scale=(view.scale)
            data-first[is_first] hidden[is_hidden] {
            figcaption { (view.chart.title) @if !view.scale.is_empty() { span.muted { ", " (view.scale) } } }
            div.picture { (draw(&view.chart, looks)) }
            (legend(&view.chart, looks))
            @for note in &view.chart.notes { p.note { (note) } }
            @if has_table { (values(&view.chart)) }
        }
    }
}

fn legend(chart: &ChartData, looks: &Looks) -> Markup {
    if chart.form == Form::Map {
        return html! {};
    }
    let measured = |series: &&Series| series.style != Style::Model || series.protocol.is_none();
    let models =
        chart.series.iter().filter(|one| one.style == Style::Model && one.protocol.is_some()).count();
    html! {
        ul.legend {
            @for (index, series) in chart.series.iter().enumerate().filter(|(_, one)| measured(one)) {
                li data-protocol=[series.protocol.as_deref()] {
                    @if chart.form == Form::Stacks { (swatch(look_of(series, index, looks).colour)) }
                    @else if series.style == Style::Model {
                        svg class="key model" viewBox="0 0 28 12" width="28" height="12" aria-hidden="true" {
                            path class="ln" d="M1 6H27" {}
                        }
                    }
                    @else { (look_of(series, index, looks).key()) }
                    (series.name)
                }
            }
            @if models > 0 { li.muted { "thin lines without marks: computed, or asked of the protocol" } }
        }
    }
}

/// The first few views by name.
fn names_of(views: &[&View]) -> String {
    let names = views.iter().take(NAMED).map(|view| format!("{}, {}", view.subject, view.metric));
    let more = if views.len() > NAMED { "; …" } else { "" };
    names.collect::<Vec<_>>().join("; ") + more
}

fn points_of(chart: &ChartData) -> impl Iterator<Item = (&Series, &Point)> {
    chart.series.iter().flat_map(|series| series.points.iter().map(move |point| (series, point)))
}

fn swatch(colour: usize) -> Markup {
    html! {
        svg class={ "key s" (colour) } viewBox="0 0 28 12" width="28" height="12" aria-hidden="true" {
            rect class={ "bar b" (colour) } width="28" height="12" {}
        }
    }
}

/// The values, for those who can't see the picture or want the numbers.
fn values(chart: &ChartData) -> Markup {
    // What thinning took away counts too: a chart with fewer points on it is not one with fewer values.
    let count = chart.thinned_away + chart.series.iter().map(|series| series.points.len()).sum::<usize>();
    if count > MOST_IN_TABLE {
        return html! { p.note { (count) " values: " (DATA) " writes them as CSV and JSON." } };
    }
    let rows = matches!(chart.form, Form::Dots | Form::Stacks);
    let (at, value) = if rows { (&chart.y, &chart.x) } else { (&chart.x, &chart.y) };
    html! {
        details.values {
            summary { "Values" }
            div.scroll tabindex="0" role="region" aria-label={ "Values: " (chart.title) } {
                table {
                    thead {
                        tr {
                            th scope="col" { "series" }
                            th scope="col" { (at.label) }
                            th scope="col" { (value.label) }
                            th scope="col" { "95 % interval" }
                        }
                    }
                    tbody {
                        @for (series, point) in points_of(chart) {
                            @let (place, number) = if rows { (point.y, point.x) } else { (point.x, point.y) };
                            tr data-protocol=[series.protocol.as_deref()] {
                                td { (series.name) } td { (shown(place, at)) }
                                td {
                                    (shown(number, value)) @if !point.note.is_empty() {
                                        " (" (point.note) ")"
                                    }
                                }
                                td {
                                    @if let (Some(lower), Some(upper)) = (point.lower, point.upper) {
                                        (shown(lower, value)) " to " (shown(upper, value))
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
