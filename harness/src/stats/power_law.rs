//! A power law through points: how fast a cost grows with the size of a cluster.

/// y = factor · x^exponent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowerLaw {
    /// How fast y grows: 1 is in proportion to x, 2 with its square.
    pub exponent: f64,
    /// y where x is 1.
    pub factor: f64,
    /// Share of the variance of ln y that the law explains; 1 when there is none to explain.
    pub r_squared: f64,
}

/// The law through `points` (x, y) by ordinary least squares on (ln x, ln y), so that deviations are
/// relative: half and double weigh the same.
///
/// None unless all values are positive and finite and two points differ in x.
pub fn power_law(points: &[(f64, f64)]) -> Option<PowerLaw> {
    let usable = |value: f64| value > 0.0 && value.is_finite();
    if !points.iter().all(|&(x, y)| usable(x) && usable(y)) {
        return None;
    }
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|log| log.0), mean(|log| log.1));
    let sum =
        |of: &dyn Fn(f64, f64) -> f64| -> f64 { logs.iter().map(|(x, y)| of(x - mean_x, y - mean_y)).sum() };
    let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
    let exponent = xy / xx;
    // What rounding leaves of equal values is no variance.
    let flat = yy <= count * (f64::EPSILON * mean_y.abs().max(1.0)).powi(2);
    let r_squared = if flat { 1.0 } else { xy * xy / (xx * yy) };
    (xx > 0.0).then(|| PowerLaw { exponent, factor: (mean_y - exponent * mean_x).exp(), r_squared })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Kepler's third law on the planets that he knew (distance in astronomical units, period in years):
    /// the square of the period is the cube of the distance.
    #[test]
    fn finds_keplers_third_law() {
        let planets = [
            (0.387_1, 0.240_8),
            (0.723_3, 0.615_2),
            (1.0, 1.0),
            (1.523_7, 1.880_8),
            (5.202_8, 11.862),
            (9.538_8, 29.457),
        ];
        let law = power_law(&planets).unwrap();
        assert!((law.exponent - 1.5).abs() < 1e-3 && (law.factor - 1.0).abs() < 1e-3, "{law:?}");
        assert!(law.r_squared > 0.999_999);
    }

    /// Expected values are of Python 3's `statistics`: `linear_regression` and the square of
    /// `correlation` of the logarithms.
    #[test]
    fn agrees_with_another_tool() {
        let law = power_law(&[(3.0, 8.0), (5.0, 21.0), (7.0, 40.0), (13.0, 190.0)]).unwrap();
        assert!((law.exponent - 2.15653646696401).abs() < 1e-12, "{law:?}");
        assert!((law.factor - 0.6859204413907867).abs() < 1e-12, "{law:?}");
        assert!((law.r_squared - 0.9932870457368934).abs() < 1e-12, "{law:?}");
    }

    #[test]
    fn what_does_not_grow_has_no_exponent_and_nonsense_has_no_law() {
        let law = power_law(&[(3.0, 7.3), (5.0, 7.3), (9.0, 7.3)]).unwrap();
        assert!(law.exponent.abs() < 1e-12 && law.r_squared == 1.0, "{law:?}");
        for points in [
            &[][..],
            &[(3.0, 1.0)],
            &[(3.0, 1.0), (3.0, 2.0)],
            &[(3.0, 0.0), (5.0, 1.0)],
            &[(-3.0, 1.0), (5.0, 1.0)],
            &[(3.0, f64::NAN), (5.0, 1.0)],
            &[(3.0, f64::INFINITY), (5.0, 1.0)],
        ] {
            assert_eq!(power_law(points), None, "{points:?}");
        }
    }

    proptest! {
        #[test]
        fn points_on_a_law_give_it_back(exponent in -3.0f64..3.0, factor in 0.01f64..100.0) {
            let points = [3.0f64, 5.0, 7.0, 31.0, 101.0].map(|x| (x, factor * x.powf(exponent)));
            let law = power_law(&points).unwrap();
            prop_assert!((law.exponent - exponent).abs() < 1e-9);
            prop_assert!((law.factor / factor - 1.0).abs() < 1e-9);
            prop_assert!(law.r_squared > 1.0 - 1e-9 || exponent.abs() < 1e-6);
        }
    }
}
