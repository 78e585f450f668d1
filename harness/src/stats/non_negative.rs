//! Least squares with coefficients that can't be negative, by relative deviations: what each of several
//! kinds of work costs, from totals of mixed work.

use nalgebra::{DMatrix, DVector};

/// Columns, at most: every subset of them is tried.
pub const MOST_COLUMNS: usize = 12;

/// Singular values below this share of the largest count as zero.
const RANK_TOLERANCE: f64 = 1e-10;

/// The best fit.
#[derive(Clone, Debug, PartialEq)]
pub struct NonNegativeFit {
    /// One per column, none negative.
    pub coefficients: Vec<f64>,
    /// fitted ÷ measured − 1, one per row.
    pub deviations: Vec<f64>,
}

/// Finds coefficients ≥ 0 that minimise the sum of (fitted ÷ measured − 1)² over all rows.
///
/// Deviations are relative, so that work of half and of double the size weighs the same. At the minimum
/// the positive coefficients are those of ordinary least squares on their columns alone (Karush–Kuhn–
/// Tucker; Lawson and Hanson, *Solving Least Squares Problems*, 1974, chapter 23), so the best of all
/// subsets whose coefficients came out positive is the minimum, found without iterating. Columns that
/// can't be told apart share their cost evenly in proportion to their size.
///
/// None without rows, with rows of different lengths, with more than [`MOST_COLUMNS`] columns, or when
/// a total is not positive or any number not finite.
pub fn fit_non_negative(rows: &[Vec<f64>], measured: &[f64]) -> Option<NonNegativeFit> {
    let columns = rows.first()?.len();
    let usable = columns <= MOST_COLUMNS
        && rows.len() == measured.len()
        && rows.iter().all(|row| row.len() == columns && row.iter().all(|value| value.is_finite()))
        && measured.iter().all(|&total| total > 0.0 && total.is_finite());
    if !usable {
        return None;
    }
    let relative = DMatrix::from_fn(rows.len(), columns, |row, column| rows[row][column] / measured[row]);
    // Columns of one size, so that bytes and messages are on one scale.
    let scales: Vec<f64> = relative.column_iter().map(|column| column.norm()).collect();
    let scaled = DMatrix::from_fn(rows.len(), columns, |row, column| {
        if scales[column] > 0.0 { relative[(row, column)] / scales[column] } else { 0.0 }
    });
    let ones = DVector::from_element(rows.len(), 1.0);
    let mut best = (ones.norm_squared(), vec![0.0; columns]);
    for subset in 1_usize..1 << columns {
        let chosen: Vec<usize> =
            (0..columns).filter(|&column| subset >> column & 1 == 1 && scales[column] > 0.0).collect();
        if chosen.is_empty() {
            continue;
        }
        let part = scaled.select_columns(&chosen);
        let Ok(solution) = part.clone().svd(true, true).solve(&ones, RANK_TOLERANCE) else { continue };
        if solution.iter().any(|&coefficient| coefficient < 0.0) {
            continue;
        }
        let squares = (&part * &solution - &ones).norm_squared();
        if squares < best.0 {
            let mut coefficients = vec![0.0; columns];
            for (&column, &coefficient) in chosen.iter().zip(solution.iter()) {
                coefficients[column] = coefficient / scales[column];
            }
            best = (squares, coefficients);
        }
    }
    let coefficients = best.1;
    let fitted =
        |row: &Vec<f64>| row.iter().zip(&coefficients).map(|(value, cost)| value * cost).sum::<f64>();
    let deviations = rows.iter().zip(measured).map(|(row, total)| fitted(row) / total - 1.0).collect();
    Some(NonNegativeFit { coefficients, deviations })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-6 * b.abs().max(1.0)
    }

    #[test]
    fn known_costs_come_back_from_their_totals() {
        let costs = [800.0, 150.0, 0.25, 400.0];
        let rows: Vec<Vec<f64>> = [
            [3.0, 8.0, 900.0, 3.0],
            [0.5, 2.0, 700.0, 3.0],
            [0.1, 0.3, 600.0, 3.0],
            [5.0, 16.0, 4_000.0, 5.0],
            [0.2, 0.5, 9_000.0, 5.0],
            [1.5, 1.0, 2_000.0, 5.0],
        ]
        .map(|row| row.to_vec())
        .into();
        let totals: Vec<f64> =
            rows.iter().map(|row| row.iter().zip(&costs).map(|(a, b)| a * b).sum()).collect();
        let fit = fit_non_negative(&rows, &totals).unwrap();
        assert!(fit.coefficients.iter().zip(costs).all(|(&found, cost)| near(found, cost)), "{fit:?}");
        assert!(fit.deviations.iter().all(|deviation| deviation.abs() < 1e-9));
    }

    #[test]
    fn a_cost_that_would_be_negative_is_none() {
        // y = 2 a − b exactly; without b the relative least squares give Σ(a/y) / Σ(a/y)².
        let rows: Vec<Vec<f64>> = [[1.0, 1.0], [2.0, 1.0], [3.0, 4.0]].map(|row| row.to_vec()).into();
        let totals = [1.0, 3.0, 2.0];
        let shares: [f64; 3] = [1.0, 2.0 / 3.0, 1.5];
        let alone = shares.iter().sum::<f64>() / shares.iter().map(|share| share * share).sum::<f64>();
        let fit = fit_non_negative(&rows, &totals).unwrap();
        assert!(near(fit.coefficients[0], alone) && fit.coefficients[1] == 0.0, "{fit:?}");
    }

    #[test]
    fn what_can_not_be_fitted_is_refused() {
        let row = [vec![1.0, 2.0]];
        assert_eq!(fit_non_negative(&[], &[]), None);
        assert_eq!(fit_non_negative(&row, &[0.0]), None);
        assert_eq!(fit_non_negative(&row, &[f64::NAN]), None);
        assert_eq!(fit_non_negative(&[vec![1.0, 2.0], vec![1.0]], &[1.0, 1.0]), None);
        assert_eq!(fit_non_negative(&row, &[1.0, 1.0]), None);
        assert_eq!(fit_non_negative(&[vec![1.0; MOST_COLUMNS + 1]], &[1.0]), None);
    }

    proptest! {
        #[test]
        fn the_fit_satisfies_the_conditions_of_a_minimum(
            rows in proptest::collection::vec(proptest::collection::vec(0.0f64..100.0, 4), 4..12),
            totals in proptest::collection::vec(1.0f64..1_000.0, 12),
        ) {
            let totals = &totals[..rows.len()];
            let fit = fit_non_negative(&rows, totals).unwrap();
            for column in 0..4 {
                // The slope of the sum of squares along this coefficient: zero inside, rising at the edge.
                let share = |row: usize| rows[row][column] / totals[row];
                let slope: f64 = (0..rows.len()).map(|row| share(row) * fit.deviations[row]).sum();
                let size: f64 = (0..rows.len()).map(|row| share(row).abs()).sum::<f64>().max(1.0);
                prop_assert!(fit.coefficients[column] >= 0.0);
                prop_assert!(slope >= -1e-6 * size, "column {}: {}", column, slope);
                if fit.coefficients[column] > 0.0 {
                    prop_assert!(slope.abs() <= 1e-6 * size, "column {}: {}", column, slope);
                }
            }
        }
    }
}
