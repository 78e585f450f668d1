//! Numbers as people read them: three significant digits, a unit that fits, and the interval in
//! per cent of the value.

/// Factors of a time in nanoseconds, smallest first.
const TIMES: [(f64, &str); 4] = [(1.0, " ns"), (1e3, " µs"), (1e6, " ms"), (1e9, " s")];

/// Factors of a count, smallest first.
const COUNTS: [(f64, &str); 4] = [(1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G")];

/// Metrics that are parts of a whole.
const SHARES: [&str; 4] = ["success_ratio", "completeness_ratio", "achieved_over_offered", "run_delay_ratio"];

/// What a cell shows where there is no number.
pub const NOTHING: &str = "-";

/// A number with three significant digits: `1.23k`.
pub fn count(value: f64) -> String {
    scaled(value, &COUNTS)
}

/// A number in the unit of its metric, whatever fits: `12.3 µs`, `24.0k/s`, `390 B`.
pub fn in_unit(value: f64, unit: &str) -> String {
    match unit {
        "ns" => scaled(value, &TIMES),
        "1/s" => format!("{}/s", count(value)),
        "bytes" => format!("{} B", count(value)),
        "bytes/s" => format!("{} B/s", count(value)),
        // Ratios and counts per commit need no unit: their names say what they are.
        "" | "1" => count(value),
        other => format!("{} {other}", count(value)),
    }
}

/// A metric's value as people read it: shares in per cent, everything else in its unit.
pub fn of_metric(name: &str, value: f64, unit: &str) -> String {
    // Metrics of a combination have it in front of their name.
    let is_share = SHARES.iter().any(|share| name.ends_with(share)) || name.ends_with("_share");
    if is_share { share(value) } else { in_unit(value, unit) }
}

/// A share as `99.99 %`. It is cut and not rounded: 100 % means that nothing failed.
pub fn share(value: f64) -> String {
    // The little more keeps 0.57, which has no exact binary form, from becoming 56.99 %.
    let cut = (value * 1e4 + 1e-6).floor();
    let hundredths = if value < 1.0 { cut.min(9_999.0) } else { cut };
    if value > 0.0 && hundredths < 1.0 {
        "<0.01 %".into()
    } else if hundredths % 100.0 == 0.0 {
        format!("{:.0} %", hundredths / 100.0)
    } else {
        format!("{:.2} %", hundredths / 100.0)
    }
}

/// An interval in per cent of its value: `±4.0 %`, or `-8 +41 %` when one side is more than twice
/// the other; ± gives the wider side. None when the value is no measure for it.
pub fn spread(value: f64, lower: f64, upper: f64) -> Option<String> {
    let (below, above) = ((value - lower) / value, (upper - value) / value);
    // Written so that what is not a number is none either.
    let is_measure = value > 0.0 && upper >= lower && (upper - lower).is_finite();
    if !is_measure {
        return None;
    }
    let (narrow, wide) = (below.min(above), below.max(above));
    Some(if narrow >= 0.0 && narrow * 2.0 >= wide {
        format!("±{} %", percent(wide))
    } else {
        // With their signs: the bootstrap may leave the estimate outside.
        format!("{:+.0} {:+.0} %", -below * 100.0, above * 100.0)
    })
}

/// A relative change with its sign: `+1.6 %`.
pub fn change(value: f64) -> String {
    let sign = if value < 0.0 { '-' } else { '+' };
    format!("{sign}{} %", percent(value.abs()))
}

/// Per cent without the sign and the word: two digits are all that an interval is good for.
fn percent(value: f64) -> String {
    match value * 100.0 {
        0.0 => "0".into(),
        small if small < 0.05 => "<0.1".into(),
        few if few < 9.95 => format!("{few:.1}"),
        many => format!("{many:.0}"),
    }
}

fn scaled(value: f64, factors: &[(f64, &str)]) -> String {
    let size = value.abs();
    // From 999.5 on three digits round up to a thousand, which the next factor says better.
    let fits = |(factor, _): &&(f64, &str)| size / factor < 999.5;
    let Some((factor, suffix)) = factors.iter().find(fits).or(factors.last()) else {
        return NOTHING.into();
    };
    let number = value / factor;
    let decimals = match number.abs() {
        0.0 => 0,
        small if small < 0.995 => (2 - small.log10().floor() as i32).clamp(2, 9) as usize,
        one if one < 9.995 => 2,
        ten if ten < 99.95 => 1,
        _ => 0,
    };
    format!("{number:.decimals$}{suffix}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn three_digits_and_the_unit_that_fits() {
        for (value, unit, expected) in [
            (0.0, "ns", "0 ns"),
            (12.0, "ns", "12.0 ns"),
            (999.4, "ns", "999 ns"),
            (999.6, "ns", "1.00 µs"),
            (41_215.0, "ns", "41.2 µs"),
            (999_600.0, "ns", "1.00 ms"),
            (1.5e9, "ns", "1.50 s"),
            (7.2e12, "ns", "7200 s"),
            (24_040.0, "1/s", "24.0k/s"),
            (389.6, "bytes", "390 B"),
            (1_250_000.0, "bytes/s", "1.25M B/s"),
            (9.996, "1", "10.0"),
            (99.96, "1", "100"),
            (0.00412, "1", "0.00412"),
            (-3.0, "", "-3.00"),
            (12.0, "rounds", "12.0 rounds"),
        ] {
            assert_eq!(in_unit(value, unit), expected);
        }
    }

    #[test]
    fn a_share_is_only_whole_when_it_is() {
        for (value, expected) in [
            (1.0, "100 %"),
            (0.999_999, "99.99 %"),
            (1.0 - 1e-12, "99.99 %"),
            (0.57, "57 %"),
            (0.0, "0 %"),
            (0.000_01, "<0.01 %"),
        ] {
            assert_eq!(share(value), expected);
        }
    }

    #[test]
    fn a_name_tells_a_share() {
        assert_eq!(of_metric("success_ratio", 0.5, "1"), "50 %");
        assert_eq!(of_metric("lan_replicas_5_clients_1_completeness_ratio", 0.999_99, "1"), "99.99 %");
        assert_eq!(of_metric("io_pressure_share", 0.125, "1"), "12.50 %");
        assert_eq!(of_metric("messages_per_commit", 0.5, "1"), "0.500");
    }

    #[test]
    fn intervals_are_in_per_cent_of_their_value() {
        assert_eq!(spread(100.0, 96.0, 104.0).unwrap(), "±4.0 %");
        assert_eq!(spread(100.0, 97.0, 105.0).unwrap(), "±5.0 %");
        assert_eq!(spread(100.0, 97.0, 140.0).unwrap(), "-3 +40 %");
        assert_eq!(spread(100.0, 100.0, 100.0).unwrap(), "±0 %");
        assert_eq!(spread(100.0, 99.99, 100.01).unwrap(), "±<0.1 %");
        assert_eq!(spread(0.0, 0.0, 0.0), None);
        assert_eq!(spread(1.0, f64::NAN, 1.0), None);
        assert_eq!(spread(100.0, 101.0, 140.0).unwrap(), "+1 +40 %");
        assert_eq!(spread(1.0, 3.0, 2.0), None);
        assert_eq!(
            (change(-0.016), change(0.5), change(0.0)),
            ("-1.6 %".into(), "+50 %".into(), "+0 %".into())
        );
    }

    proptest! {
        #[test]
        fn any_number_can_be_shown(value in any::<f64>(), lower in any::<f64>(), upper in any::<f64>()) {
            for unit in ["ns", "1/s", "bytes", "1"] {
                in_unit(value, unit);
            }
            share(value);
            change(value);
            spread(value, lower, upper);
        }

        #[test]
        fn common_numbers_are_short(value in 1.0f64..1e11) {
            prop_assert!(in_unit(value, "ns").chars().count() <= 7, "{}", in_unit(value, "ns"));
            prop_assert!(count(value).chars().count() <= 5, "{}", count(value));
        }
    }
}
