//! Posynomials: sums of terms with positive weights, and how sharply one term gives way to the next.

use serde::{Deserialize, Serialize};

use super::lawson_hanson::non_negative_least_squares;

/// y = (Σ wⱼ tⱼ^m)^(1/m), with every weight at least 0.
///
/// With sharpness m = 1 the terms add up, as times do that are spent one after the other. As m grows the
/// largest term alone decides, as of times that are spent side by side: y → max wⱼ^(1/m) tⱼ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Posynomial {
    /// m, at least 1.
    pub sharpness: f64,
    /// wⱼ, one per term.
    pub weights: Vec<f64>,
}

impl Posynomial {
    /// Fits the weights to values at rows of terms, by least squares of the relative deviations of y^m. None
    /// when there is nothing to fit, or a value that is not positive.
    pub fn fit(rows: &[Vec<f64>], values: &[f64], sharpness: f64) -> Option<Posynomial> {
        // Values of about one, so that powers of them stay within what floating point can hold.
        let size = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let raised: Vec<f64> = values.iter().map(|value| (value / size).powf(sharpness)).collect();
        let rows: Vec<Vec<f64>> =
            rows.iter().map(|row| row.iter().map(|term| term.powf(sharpness)).collect()).collect();
        let weights = non_negative_least_squares(&rows, &raised)?;
        let scale = size.powf(sharpness);
        let weights: Vec<f64> = weights.into_iter().map(|weight| weight * scale).collect();
        weights.iter().all(|weight| weight.is_finite()).then_some(Posynomial { sharpness, weights })
    }

    /// Its value at a row of terms, as many as weights.
    pub fn at(&self, row: &[f64]) -> f64 {
        let sum: f64 =
            row.iter().zip(&self.weights).map(|(term, weight)| weight * term.powf(self.sharpness)).sum();
        sum.powf(self.sharpness.recip())
    }

    /// Whether weights and sharpness are such as a posynomial has.
    pub fn is_valid(&self) -> bool {
        self.sharpness >= 1.0
            && self.sharpness.is_finite()
            && self.weights.iter().all(|weight| *weight >= 0.0 && weight.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(loads: &[f64]) -> Vec<Vec<f64>> {
        loads.iter().map(|load| vec![1.0, *load, load * load]).collect()
    }

    #[test]
    fn the_scalability_law_is_one_of_sharpness_one() {
        // c/X of λ = 1000, σ = 0.05, κ = 0.001 is (1 − σ)/λ + (σ − κ)/λ c + κ/λ c².
        let loads = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
        let law = |c: f64| 1_000.0 * c / (1.0 + 0.05 * (c - 1.0) + 0.001 * c * (c - 1.0));
        let cycles: Vec<f64> = loads.iter().map(|&c| c / law(c)).collect();
        let found = Posynomial::fit(&rows(&loads), &cycles, 1.0).unwrap();
        for (weight, truth) in found.weights.iter().zip([0.95e-3, 0.049e-3, 0.001e-3]) {
            assert!((weight / truth - 1.0).abs() < 1e-4, "{found:?}");
        }
        assert!((found.at(&[1.0, 128.0, 128.0 * 128.0]) - 128.0 / law(128.0)).abs() < 1e-6);
    }

    #[test]
    fn a_sharp_one_is_the_larger_of_its_terms() {
        let loads: Vec<f64> = (0..12).map(|power| 2f64.powi(power)).collect();
        let values: Vec<f64> = loads.iter().map(|&c| 5e5_f64.max(2e3 * c)).collect();
        let rows: Vec<Vec<f64>> = loads.iter().map(|load| vec![1.0, *load]).collect();
        let sharp = Posynomial::fit(&rows, &values, 16.0).unwrap();
        for (row, value) in rows.iter().zip(&values) {
            assert!((sharp.at(row) / value - 1.0).abs() < 0.05, "{sharp:?} {row:?} {value}");
        }
        assert!((sharp.at(&[1.0, 1e6]) / 2e9 - 1.0).abs() < 0.02);
    }

    proptest! {
        #[test]
        fn known_weights_come_back(
            sharpness in prop_oneof![Just(1.0), Just(2.0), Just(4.0)],
            fixed in 1e3f64..1e7, each in 1.0f64..1e4,
        ) {
            let truth = Posynomial { sharpness, weights: vec![fixed.powf(sharpness), each.powf(sharpness)] };
            let rows: Vec<Vec<f64>> = (0..14).map(|power| vec![1.0, 2f64.powi(power)]).collect();
            let values: Vec<f64> = rows.iter().map(|row| truth.at(row)).collect();
            let found = Posynomial::fit(&rows, &values, sharpness).unwrap();
            prop_assert!(found.is_valid());
            for (row, value) in rows.iter().zip(&values) {
                prop_assert!((found.at(row) / value - 1.0).abs() < 1e-4);
            }
        }
    }
}
