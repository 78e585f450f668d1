//! Latency against offered rate: which of two protocols is lower, and where that changes.

use super::Group;
use crate::results::{Crossing, CurveComparison, CurveOutcome, CurvePoint, ScenarioResult};

/// Curves closer than this share count as equal. A single probe's percentile is hardly more exact,
/// and curves that run side by side would cross at every one.
const ALIKE_WITHIN: f64 = 0.05;

/// Where a probe has a latency, in nanoseconds.
type Latency = fn(&CurvePoint) -> u64;

/// The latencies that are compared.
const LATENCIES: [(&str, Latency); 2] =
    [("response_ns_p50", |point| point.p50_ns), ("response_ns_p99", |point| point.p99_ns)];

/// Every pair of the group's rows that have curves, in every latency.
pub(super) fn comparisons(group: &Group) -> Vec<CurveComparison> {
    let rows: Vec<(&ScenarioResult, &[CurvePoint])> = group
        .rows
        .iter()
        .filter_map(|row| Some((*row, row.throughput.as_ref()?.curve.as_slice())))
        .filter(|(_, curve)| !curve.is_empty())
        .collect();
    let mut comparisons = Vec::new();
    for (index, (a, curve_a)) in rows.iter().enumerate() {
        for (b, curve_b) in &rows[index + 1..] {
            for (metric, latency) in LATENCIES {
                let (name_a, name_b) = (a.row_name(), b.row_name());
                let (curve_a, curve_b) = (Curve::of(curve_a, latency), Curve::of(curve_b, latency));
                let (from_per_s, to_per_s, outcome) = compare(&curve_a, &curve_b, [&name_a, &name_b]);
                comparisons.push(CurveComparison {
                    scenario: group.scenario().name.clone(),
                    network: group.network(),
                    storage: group.storage(),
                    promise: group.first.promise.clone(),
                    metric: metric.into(),
                    a: name_a,
                    b: name_b,
                    from_per_s,
                    to_per_s,
                    outcome,
                });
            }
        }
    }
    comparisons
}

/// The logarithm of a latency by rate, with straight lines between the probes: latency spans orders
/// of magnitude from idle to saturated, and grows by factors.
struct Curve {
    /// Rate and ln latency, rates ascending, each once.
    points: Vec<(f64, f64)>,
}

impl Curve {
    /// Probes where the generator did not keep up show the generator. Probes of one rate count
    /// together, by the mean of their logarithms.
    fn of(probes: &[CurvePoint], latency: Latency) -> Self {
        let mut points: Vec<(f64, f64)> = probes
            .iter()
            .filter(|probe| probe.generator_kept_up && latency(probe) > 0 && probe.offered_per_s.is_finite())
            .map(|probe| (probe.offered_per_s, (latency(probe) as f64).ln()))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let of_one_rate = |probes: &[(f64, f64)]| {
            (probes[0].0, probes.iter().map(|probe| probe.1).sum::<f64>() / probes.len() as f64)
        };
        Curve { points: points.chunk_by(|a, b| a.0 == b.0).map(of_one_rate).collect() }
    }

    /// Ends of the rates, when there are two.
    fn range(&self) -> Option<(f64, f64)> {
        let (first, last) = (self.points.first()?.0, self.points.last()?.0);
        (first < last).then_some((first, last))
    }

    /// ln latency at a rate within the range.
    fn at(&self, rate: f64) -> f64 {
        let after = self.points.partition_point(|point| point.0 < rate).clamp(1, self.points.len() - 1);
        let ((low, below), (high, above)) = (self.points[after - 1], self.points[after]);
        below + (above - below) * (rate - low) / (high - low)
    }
}

/// The common range and what is seen in it; names are those of `a` and `b`.
fn compare(a: &Curve, b: &Curve, names: [&str; 2]) -> (f64, f64, CurveOutcome) {
    let (Some(range_a), Some(range_b)) = (a.range(), b.range()) else {
        return (0.0, 0.0, CurveOutcome::NotComparable);
    };
    let (from, to) = (range_a.0.max(range_b.0), range_a.1.min(range_b.1));
    if from >= to {
        return (0.0, 0.0, CurveOutcome::NotComparable);
    }
    // Between the probes of either curve the difference is a straight line, so these rates show all.
    let within = |point: &(f64, f64)| Some(point.0).filter(|rate| (from..=to).contains(rate));
    let mut rates: Vec<f64> = a.points.iter().chain(&b.points).filter_map(within).chain([from, to]).collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    let difference: Vec<(f64, f64)> = rates.iter().map(|&rate| (rate, a.at(rate) - b.at(rate))).collect();
    (from, to, outcome(&difference, names))
}

/// Reads the outcome off ln(a / b) by rate.
fn outcome(difference: &[(f64, f64)], names: [&str; 2]) -> CurveOutcome {
    let clear = ALIKE_WITHIN.ln_1p();
    // Above zero a's latency is higher, so b is the lower one.
    let lower = |difference: f64| names[usize::from(difference > 0.0)].to_string();
    let mut crossings = Vec::new();
    let mut last_clear: Option<usize> = None;
    for (index, (_, value)) in difference.iter().enumerate().filter(|(_, (_, value))| value.abs() > clear) {
        if let Some(last) = last_clear.filter(|last| difference[*last].1 * value < 0.0) {
            let rate_per_s = first_zero(&difference[last..=index]);
            let lower_below = lower(difference[last].1);
            crossings.push(Crossing { rate_per_s, lower_below, lower_above: lower(*value) });
        }
        last_clear = Some(index);
    }
    match last_clear {
        None => CurveOutcome::Alike,
        Some(_) if !crossings.is_empty() => CurveOutcome::Crosses { crossings },
        Some(index) => CurveOutcome::Throughout { lower: lower(difference[index].1) },
    }
}

/// Where a broken line whose ends have opposite signs first reaches zero.
fn first_zero(line: &[(f64, f64)]) -> f64 {
    let reaches = |pair: &&[(f64, f64)]| pair[0].1 * pair[1].1 <= 0.0;
    let crossing = line.windows(2).find(reaches).map(|pair| {
        let ((low, below), (high, above)) = (pair[0], pair[1]);
        low + (high - low) * below / (below - above)
    });
    // The ends have opposite signs, so some piece reaches zero.
    crossing.unwrap_or(line[0].0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(offered_per_s: f64, p50_ns: u64) -> CurvePoint {
        CurvePoint {
            offered_per_s,
            achieved_per_s: offered_per_s,
            success: 1.0,
            p50_ns,
            p99_ns: 3 * p50_ns,
            held: true,
            generator_kept_up: true,
            confirming: false,
        }
    }

    fn curve(points: &[(f64, u64)]) -> Curve {
        let probes: Vec<CurvePoint> = points.iter().map(|(rate, latency)| probe(*rate, *latency)).collect();
        Curve::of(&probes, |point| point.p50_ns)
    }

    fn compared(a: &[(f64, u64)], b: &[(f64, u64)]) -> (f64, f64, CurveOutcome) {
        compare(&curve(a), &curve(b), ["a", "b"])
    }

    #[test]
    fn curves_that_cross_say_where_and_who_is_lower_on_either_side() {
        // ln a rises from 0 by ln 100 over 1,000/s; ln b stays at ln 10: they meet half way.
        let (from, to, outcome) =
            compared(&[(1_000.0, 1_000), (2_000.0, 100_000)], &[(500.0, 10_000), (4_000.0, 10_000)]);
        assert_eq!((from, to), (1_000.0, 2_000.0));
        let CurveOutcome::Crosses { crossings } = outcome else { panic!("{outcome:?}") };
        assert_eq!(crossings.len(), 1);
        assert!((crossings[0].rate_per_s - 1_500.0).abs() < 1e-9, "{crossings:?}");
        assert_eq!((crossings[0].lower_below.as_str(), crossings[0].lower_above.as_str()), ("a", "b"));
    }

    #[test]
    fn every_crossing_counts_also_one_at_a_probe() {
        let a = [(1.0, 100), (2.0, 200), (3.0, 400), (4.0, 200), (5.0, 100)];
        let b = [(1.0, 200), (5.0, 200)];
        let (_, _, outcome) = compared(&a, &b);
        let CurveOutcome::Crosses { crossings } = outcome else { panic!("{outcome:?}") };
        let rates: Vec<f64> = crossings.iter().map(|crossing| crossing.rate_per_s).collect();
        assert_eq!(rates, [2.0, 4.0]);
        assert_eq!(crossings[1].lower_above, "a");
    }

    #[test]
    fn without_a_crossing_one_is_lower_or_neither() {
        let flat = [(1.0, 10_000), (9.0, 10_000)];
        assert_eq!(
            compared(&flat, &[(1.0, 10_000), (5.0, 9_800), (9.0, 30_000)]).2,
            CurveOutcome::Throughout { lower: "a".into() }
        );
        // Within 5 %, on either side.
        assert_eq!(compared(&flat, &[(1.0, 10_400), (5.0, 9_600), (9.0, 10_300)]).2, CurveOutcome::Alike);
    }

    #[test]
    fn what_has_no_common_range_or_shows_the_generator_is_not_compared() {
        let flat = [(1.0, 10_000), (9.0, 10_000)];
        for other in [&[][..], &[(5.0, 1)], &[(9.0, 1), (20.0, 1)], &[(1.0, 0), (9.0, 0)]] {
            assert_eq!(compared(&flat, other).2, CurveOutcome::NotComparable, "{other:?}");
        }
        let behind = [probe(1.0, 1), CurvePoint { generator_kept_up: false, ..probe(9.0, 1) }];
        assert_eq!(Curve::of(&behind, |point| point.p50_ns).range(), None);
    }

    #[test]
    fn probes_of_one_rate_count_together() {
        let twice = curve(&[(1.0, 100), (1.0, 400), (2.0, 100)]);
        assert_eq!(twice.points.len(), 2);
        assert!((twice.at(1.0).exp() - 200.0).abs() < 1e-9);
        assert!((twice.at(2.0).exp() - 100.0).abs() < 1e-9);
    }

    proptest::proptest! {
        #[test]
        fn crossings_lie_in_the_common_range_and_take_turns(
            a in proptest::collection::vec((1u32..100, 1u64..1_000_000), 0..12),
            b in proptest::collection::vec((1u32..100, 1u64..1_000_000), 0..12),
        ) {
            let as_points = |points: Vec<(u32, u64)>| -> Vec<(f64, u64)> {
                points.into_iter().map(|(rate, latency)| (f64::from(rate), latency)).collect()
            };
            let (a, b) = (as_points(a), as_points(b));
            let (from, to, outcome) = compared(&a, &b);
            if let CurveOutcome::Crosses { crossings } = outcome {
                let mut last = from;
                let mut lower = crossings[0].lower_below.clone();
                for crossing in crossings {
                    proptest::prop_assert!(crossing.rate_per_s >= last && crossing.rate_per_s <= to);
                    proptest::prop_assert!(crossing.lower_below == lower && crossing.lower_above != lower);
                    (last, lower) = (crossing.rate_per_s, crossing.lower_above);
                }
            }
        }
    }
}
