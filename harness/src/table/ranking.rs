//! The order of protocols: a table per scenario with a line per metric, and where latency curves
//! cross.

use super::quantity::{self, NOTHING};
use super::{empty_table, lines_of};
use crate::results::{Analysis, Basis, CurveComparison, CurveOutcome, Place, Ranking, Ratio};

/// With more places than this, a line of a table is too long unless cells have two.
const PLACES_ON_ONE_LINE: usize = 3;

const LEGEND: &str = "\
×: over the first one's value [95 % interval]. = shares its place; ≈ can't be told from the row before, but from
the first of that place. Told apart by blocks (ratio of the same requests), by the rows' own intervals, or by values.";

/// The rankings as tables, one for each scenario, network and storage, in the order in which these
/// first appear; nothing when nothing was compared.
pub fn ranking_table(analysis: &Analysis) -> String {
    let mut scenarios: Vec<Key> = Vec::new();
    let of_rankings = analysis.rankings.iter().map(key_of_ranking);
    for key in of_rankings.chain(analysis.crossings.iter().map(key_of_curves)) {
        if !scenarios.contains(&key) {
            scenarios.push(key);
        }
    }
    let mut parts: Vec<String> = scenarios.into_iter().map(|key| of_scenario(analysis, key)).collect();
    if !analysis.rankings.is_empty() {
        parts.push(LEGEND.into());
    }
    parts.join("\n\n")
}

/// Scenario, network, storage and promise.
type Key<'a> = [&'a str; 4];

fn key_of_ranking(ranking: &Ranking) -> Key<'_> {
    [&ranking.scenario, &ranking.network, &ranking.storage, &ranking.promise]
}

fn key_of_curves(curves: &CurveComparison) -> Key<'_> {
    [&curves.scenario, &curves.network, &curves.storage, &curves.promise]
}

fn of_scenario(analysis: &Analysis, key: Key) -> String {
    let [scenario, network, storage, promise] = key;
    // What the heading says need not be said again with every protocol.
    let suffix = format!(" [{network}, {storage}]");
    let short = |text: &str| text.replace(&suffix, "");
    let rankings: Vec<&Ranking> =
        analysis.rankings.iter().filter(|ranking| key_of_ranking(ranking) == key).collect();
    // Said only where it tells tables apart.
    let same_place = |ranking: &&Ranking| key_of_ranking(ranking)[..3] == key[..3];
    let several = analysis.rankings.iter().filter(same_place).any(|ranking| ranking.promise != promise);
    let among = if several { format!(" among those that promise {promise}") } else { String::new() };
    let mut lines = vec![format!("{scenario}{suffix}: protocols in order{among}")];
    if !rankings.is_empty() {
        lines.push(table(&rankings, short));
    }
    lines.extend(notes(&rankings, short));
    let curves = analysis.crossings.iter().filter(|curves| key_of_curves(curves) == key);
    lines.extend(curves.map(|curves| short(&of_curves(curves))));
    lines.join("\n")
}

fn table(rankings: &[&Ranking], short: impl Fn(&str) -> String) -> String {
    let columns = rankings.iter().map(|ranking| ranking.places.len()).max().unwrap_or(0);
    let one_line = columns <= PLACES_ON_ONE_LINE;
    let heads: Vec<String> = (1..=columns).map(ordinal).collect();
    let mut all_heads = vec!["metric", "told by"];
    all_heads.extend(heads.iter().map(String::as_str));
    let mut table = empty_table(&all_heads, !one_line);
    for ranking in rankings {
        let cells = ranking.places.iter().enumerate().map(|(index, place)| {
            // The first has no ratio, and neither has what can't be compared with it.
            let value = || quantity::of_metric(&ranking.metric, place.value, &ranking.unit);
            let second = place.ratio_to_best.map_or_else(value, of_ratio);
            let separator = if one_line { " " } else { "\n" };
            format!("{}{}{separator}{second}", mark(ranking, index, place), short(&place.protocol))
        });
        let mut row = vec![ranking.metric.clone(), told_by(ranking).into()];
        row.extend(cells);
        row.resize(columns + 2, NOTHING.into());
        table.add_row(row);
    }
    lines_of(&table)
}

/// How a row stands to the one before.
fn mark(ranking: &Ranking, index: usize, place: &Place) -> &'static str {
    let before = index.checked_sub(1).and_then(|before| ranking.places.get(before));
    if before.is_some_and(|before| before.place == place.place) {
        "= "
    } else if place.tied_with_previous {
        "≈ "
    } else {
        ""
    }
}

fn told_by(ranking: &Ranking) -> &'static str {
    match ranking.basis {
        _ if ranking.places.len() < 2 => NOTHING,
        Basis::Paired => "blocks",
        Basis::Intervals => "intervals",
        Basis::Values => "values",
    }
}

fn of_ratio(ratio: Ratio) -> String {
    let value = format!("×{}", factor(ratio.value));
    match (ratio.lower, ratio.upper) {
        (None, None) => value,
        (lower, upper) => {
            let end = |end: Option<f64>| end.map_or_else(|| "…".into(), factor);
            format!("{value} [{}, {}]", end(lower), end(upper))
        }
    }
}

/// Three digits, and more where these would hide a difference; what is less still is rounding.
fn factor(value: f64) -> String {
    let difference = (value - 1.0).abs();
    if (0.000_1..0.005).contains(&difference) { format!("{value:.4}") } else { quantity::count(value) }
}

fn ordinal(place: usize) -> String {
    match place {
        1 => "1st".into(),
        2 => "2nd".into(),
        3 => "3rd".into(),
        // No run has twenty protocols under one scenario; its heads would still be understood.
        _ => format!("{place}th"),
    }
}

/// What stands against the order, and who is not in it: said once, with the metrics that it is about
/// unless it is about all.
fn notes(rankings: &[&Ranking], short: impl Fn(&str) -> String) -> Vec<String> {
    let mut notes: Vec<(String, Vec<&str>)> = Vec::new();
    for ranking in rankings {
        let missing = ranking
            .not_ranked
            .iter()
            .map(|row| format!("not ranked: {}: {}", short(&row.protocol), row.reason));
        for note in ranking.note.iter().map(|note| short(note)).chain(missing) {
            match notes.iter_mut().find(|(known, _)| *known == note) {
                Some((_, metrics)) => metrics.push(&ranking.metric),
                None => notes.push((note, vec![&ranking.metric])),
            }
        }
    }
    let shown = |(note, metrics): (String, Vec<&str>)| match metrics.len() {
        all if all == rankings.len() => note,
        _ => format!("{note} ({})", metrics.join(", ")),
    };
    notes.into_iter().map(shown).collect()
}

fn of_curves(curves: &CurveComparison) -> String {
    let CurveComparison { metric, a, b, from_per_s, to_per_s, .. } = curves;
    let rate = |rate: f64| quantity::in_unit(rate, "1/s");
    let what = match &curves.outcome {
        CurveOutcome::NotComparable => {
            return format!("{metric} by rate: {a} and {b} share no range of rates");
        }
        CurveOutcome::Alike => format!("{a} and {b} within 5 % of each other"),
        CurveOutcome::Throughout { lower } => {
            format!("{lower} lower than {}", if lower == a { b } else { a })
        }
        CurveOutcome::Crosses { crossings } => {
            let first = crossings.iter().take(1).map(|crossing| format!("{} lower", crossing.lower_below));
            let then = crossings
                .iter()
                .map(|crossing| format!("{} above {}", crossing.lower_above, rate(crossing.rate_per_s)));
            first.chain(then).collect::<Vec<_>>().join(", ")
        }
    };
    format!("{metric} by rate, {} to {}: {what}", rate(*from_per_s), rate(*to_per_s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Better, Crossing, NotRanked};

    fn place(protocol: &str, place: usize, value: f64, ratio: Option<(f64, f64, f64)>, tied: bool) -> Place {
        Place {
            place,
            protocol: format!("{protocol} [channel, memory]"),
            value,
            lower: None,
            upper: None,
            ratio_to_best: ratio.map(|(value, lower, upper)| Ratio {
                value,
                lower: Some(lower),
                upper: Some(upper).filter(|upper| upper.is_finite()),
                p: None,
            }),
            tied_with_previous: tied,
        }
    }

    fn ranking(metric: &str, unit: &str, basis: Basis, places: Vec<Place>) -> Ranking {
        Ranking {
            scenario: "high_load".into(),
            network: "channel".into(),
            storage: "memory".into(),
            metric: metric.into(),
            unit: unit.into(),
            better: Better::Lower,
            basis,
            promise: String::new(),
            places,
            not_ranked: Vec::new(),
            note: None,
        }
    }

    fn curves(metric: &str, outcome: CurveOutcome) -> CurveComparison {
        CurveComparison {
            scenario: "high_load".into(),
            network: "channel".into(),
            storage: "memory".into(),
            promise: String::new(),
            metric: metric.into(),
            a: "raft-rs [channel, memory]".into(),
            b: "openraft [channel, memory]".into(),
            from_per_s: 1_000.0,
            to_per_s: 80_000.0,
            outcome,
        }
    }

    fn sample() -> Analysis {
        let mut latency = ranking(
            "response_ns_p50",
            "ns",
            Basis::Paired,
            vec![
                place("raft-rs", 1, 41_215.0, None, false),
                place("sketch", 1, 41_300.0, Some((1.0021, 0.9987, 1.006)), true),
                place("openraft", 3, 82_430.0, Some((1.994, 1.81, 2.214)), true),
            ],
        );
        latency.note = Some("disturbed: sketch [channel, memory]".into());
        let mut peak = ranking(
            "replicas_3_peak_per_s",
            "1/s",
            Basis::Intervals,
            vec![
                place("raft-rs", 1, 240_000.0, None, false),
                place("openraft", 2, 120_000.0, Some((0.5, 0.45, f64::INFINITY)), false),
            ],
        );
        peak.not_ranked =
            vec![NotRanked { protocol: "sketch [channel, memory]".into(), reason: "not measured".into() }];
        let mut success =
            ranking("success_ratio", "1", Basis::Values, vec![place("raft-rs", 1, 1.0, None, false)]);
        let mut durable = success.clone();
        success.places.push(place("openraft", 2, 0.0, None, false));
        durable.storage = "wal".into();
        let crossings = vec![Crossing {
            rate_per_s: 41_250.0,
            lower_below: "raft-rs [channel, memory]".into(),
            lower_above: "openraft [channel, memory]".into(),
        }];
        let lower = "raft-rs [channel, memory]".to_string();
        Analysis {
            rankings: vec![latency, peak, success, durable],
            costs: Vec::new(),
            crossings: vec![
                curves("response_ns_p50", CurveOutcome::Crosses { crossings }),
                curves("response_ns_p99", CurveOutcome::Throughout { lower }),
            ],
        }
    }

    #[test]
    fn every_metric_has_its_order_with_ties_and_what_stands_against_it() {
        let shown = ranking_table(&sample());
        assert!(shown.lines().all(|line| line.chars().count() <= 120), "{shown}");
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn many_protocols_take_two_lines_each() {
        let mut places = vec![place("raft-rs", 1, 9_120.0, None, false)];
        for (index, name) in ["openraft", "omnipaxos", "sketch", "gossip"].iter().enumerate() {
            let factor = 1.5 + index as f64;
            places.push(place(name, index + 2, 1.0, Some((factor, factor - 0.25, factor + 0.25)), false));
        }
        let analysis = Analysis {
            rankings: vec![ranking("cpu_ns_per_commit", "ns", Basis::Paired, places)],
            ..Analysis::default()
        };
        let shown = ranking_table(&analysis);
        assert!(shown.lines().all(|line| line.chars().count() <= 120), "{shown}");
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn a_factor_has_as_many_digits_as_it_takes_to_show_a_difference() {
        for (value, expected) in [
            (1.0, "1.00"),
            (0.999_99, "1.00"),
            (1.0012, "1.0012"),
            (0.9987, "0.9987"),
            (1.34, "1.34"),
            (12.0, "12.0"),
        ] {
            assert_eq!(factor(value), expected);
        }
    }

    #[test]
    fn curves_alone_are_shown_too_and_nothing_is_shown_of_nothing() {
        assert_eq!(ranking_table(&Analysis::default()), "");
        let crossings = vec![
            curves("response_ns_p50", CurveOutcome::Alike),
            curves("response_ns_p99", CurveOutcome::NotComparable),
        ];
        insta::assert_snapshot!(ranking_table(&Analysis { crossings, ..Analysis::default() }));
    }
}
