//! Places by their distances: a map on which two places are as far apart as a message takes, as well as a
//! plane allows.

use maud::{Markup, html};

use super::chart::ChartData;
use super::svg::{number, picture, shown};

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 320.0;
/// Room for names around the places.
const MARGIN_X: f64 = 74.0;
const MARGIN_Y: f64 = 34.0;
/// Steps of the layout; it settles long before.
const STEPS: usize = 300;
/// With more links than these, their numbers would cover the map.
const MOST_LABELS: usize = 12;

/// Draws places, and the links between them with their delays.
pub(super) fn draw(chart: &ChartData) -> Markup {
    let names = &chart.x.categories;
    let distances = distances(chart);
    let places = fitted(&layout(&distances));
    let pairs: Vec<(usize, usize)> =
        (0..names.len()).flat_map(|a| (a + 1..names.len()).map(move |b| (a, b))).collect();
    let labelled = pairs.len() <= MOST_LABELS;
    picture(
        chart,
        WIDTH,
        HEIGHT,
        html! {
            @for &(a, b) in &pairs {
                @let ((from, to), delay) = ((places[a], places[b]), shown(distances[a][b], &chart.y));
                path.link d={ "M" (number(from.0)) " " (number(from.1)) "L" (number(to.0)) " " (number(to.1)) } {
                    title { (names[a]) " to " (names[b]) ": " (delay) }
                }
                @if labelled {
                    text.link-name x=(number((from.0 + to.0) / 2.0)) y=(number((from.1 + to.1) / 2.0 - 3.0))
                        text-anchor="middle" { (delay) }
                }
            }
            @for (name, place) in names.iter().zip(&places) {
                circle.place cx=(number(place.0)) cy=(number(place.1)) r="5" { title { (name) } }
                text.place-name x=(number(place.0)) y=(number(place.1 - 10.0)) text-anchor="middle" { (name) }
            }
        },
    )
}

/// Mean of both directions, between any two places.
fn distances(chart: &ChartData) -> Vec<Vec<f64>> {
    let count = chart.x.categories.len();
    let mut distances = vec![vec![0.0; count]; count];
    for (from, series) in chart.series.iter().enumerate().take(count) {
        for point in &series.points {
            let to = point.x as usize;
            if to < count {
                distances[from][to] += point.y / 2.0;
                distances[to][from] += point.y / 2.0;
            }
        }
    }
    distances
}

/// Places in a plane, by majorisation of the stress (SMACOF: de Leeuw 1977), from a circle on.
fn layout(distances: &[Vec<f64>]) -> Vec<(f64, f64)> {
    let count = distances.len();
    let longest = distances.iter().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
    let around = |index: usize| std::f64::consts::TAU * index as f64 / count as f64;
    let mut places: Vec<(f64, f64)> = (0..count)
        .map(|index| (around(index).cos() * longest / 2.0, around(index).sin() * longest / 2.0))
        .collect();
    for _ in 0..STEPS {
        let pull = |at: usize| {
            let mut moved = (0.0, 0.0);
            for other in (0..count).filter(|&other| other != at) {
                let (dx, dy) = (places[at].0 - places[other].0, places[at].1 - places[other].1);
                let apart = dx.hypot(dy).max(1e-9);
                // Places without a delay between them would lie upon each other.
                let wanted = distances[at][other].max(longest * 0.05);
                moved.0 += places[other].0 + wanted * dx / apart;
                moved.1 += places[other].1 + wanted * dy / apart;
            }
            (moved.0 / (count - 1) as f64, moved.1 / (count - 1) as f64)
        };
        if count > 1 {
            places = (0..count).map(pull).collect();
        }
    }
    places
}

/// The same places within the picture, to one scale in both directions unless they lie on a line.
fn fitted(places: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let ends = |of: fn(&(f64, f64)) -> f64| {
        let (low, high) = places
            .iter()
            .map(of)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        ((low + high) / 2.0, (high - low).max(1e-9))
    };
    let ((middle_x, wide), (middle_y, tall)) = (ends(|place| place.0), ends(|place| place.1));
    let scale = ((WIDTH - 2.0 * MARGIN_X) / wide).min((HEIGHT - 2.0 * MARGIN_Y) / tall);
    let at =
        |&(x, y): &(f64, f64)| ((x - middle_x) * scale + WIDTH / 2.0, (y - middle_y) * scale + HEIGHT / 2.0);
    places.iter().map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_as_far_apart_as_their_delays() {
        // A right triangle, which a plane holds exactly.
        let distances = vec![vec![0.0, 30.0, 40.0], vec![30.0, 0.0, 50.0], vec![40.0, 50.0, 0.0]];
        let places = layout(&distances);
        for a in 0..3 {
            for b in 0..3 {
                let apart = (places[a].0 - places[b].0).hypot(places[a].1 - places[b].1);
                assert!((apart - distances[a][b]).abs() < 0.5, "{a} to {b}: {apart}");
            }
        }
        assert!(fitted(&places).iter().all(|place| (0.0..=WIDTH).contains(&place.0)));
        assert_eq!(fitted(&layout(&[vec![0.0]])), [(WIDTH / 2.0, HEIGHT / 2.0)]);
    }
}
