//! Least squares with coefficients that can't be negative, by the active-set method: for laws that are
//! fitted again and again, with one point or one round left out.

use nalgebra::{DMatrix, DVector};

/// Added to the diagonal of the normal equations, whose columns have length 1: what can't be told apart
/// shares its part in place of growing without end.
const RIDGE: f64 = 1e-9;

/// A column that would lower the sum of squares by less than this slope stays out.
const SLOPE_TOLERANCE: f64 = 1e-8;

/// Coefficients ≥ 0 that minimise the sum of (fitted ÷ measured − 1)² over all rows; one per column.
///
/// Lawson and Hanson, *Solving Least Squares Problems* (1974), chapter 23, on normal equations of scaled
/// columns. [`fit_non_negative`](super::fit_non_negative) tries every subset of columns and so shares evenly
/// what can't be told apart; this one takes about as many steps as there are columns.
///
/// None without rows, with rows of different lengths, or when a total is not positive or any number not finite.
pub(super) fn non_negative_least_squares(rows: &[Vec<f64>], measured: &[f64]) -> Option<Vec<f64>> {
    let columns = rows.first()?.len();
    let usable = rows.len() == measured.len()
        && rows.iter().all(|row| row.len() == columns && row.iter().all(|value| value.is_finite()))
        && measured.iter().all(|&total| total > 0.0 && total.is_finite());
    if !usable || columns == 0 {
        return None;
    }
    let (normal, target, scales) = normal_equations(rows, measured);
    let mut solution = vec![0.0; columns];
    let mut active = vec![false; columns];
    // Each round takes in a column; the method ends long before, and this bounds what rounding could do.
    for _ in 0..3 * columns {
        let Some(best) = steepest(&normal, &target, &solution, &active) else { break };
        active[best] = true;
        settle(&normal, &target, &mut solution, &mut active)?;
    }
    let unscaled = solution.iter().zip(&scales);
    Some(unscaled.map(|(value, scale)| if *scale > 0.0 { value / scale } else { 0.0 }).collect())
}

/// AᵀA and Aᵀ1 for columns of length 1, and the lengths that they had.
fn normal_equations(rows: &[Vec<f64>], measured: &[f64]) -> (DMatrix<f64>, DVector<f64>, Vec<f64>) {
    let columns = rows[0].len();
    let mut normal = DMatrix::zeros(columns, columns);
    let mut target = DVector::zeros(columns);
    for (row, total) in rows.iter().zip(measured) {
        for first in 0..columns {
            let share = row[first] / total;
            target[first] += share;
            for second in 0..=first {
                normal[(first, second)] += share * row[second] / total;
            }
        }
    }
    let scales: Vec<f64> = (0..columns).map(|column| f64::sqrt(normal[(column, column)])).collect();
    for first in 0..columns {
        target[first] = if scales[first] > 0.0 { target[first] / scales[first] } else { 0.0 };
        for second in 0..=first {
            let scale = scales[first] * scales[second];
            let value = if scale > 0.0 { normal[(first, second)] / scale } else { 0.0 };
            (normal[(first, second)], normal[(second, first)]) = (value, value);
        }
        normal[(first, first)] += RIDGE;
    }
    (normal, target, scales)
}

/// The column outside that would lower the sum of squares most; none when none would.
fn steepest(
    normal: &DMatrix<f64>,
    target: &DVector<f64>,
    solution: &[f64],
    active: &[bool],
) -> Option<usize> {
    let slope = |column: usize| {
        target[column]
            - solution.iter().enumerate().map(|(j, value)| normal[(column, j)] * value).sum::<f64>()
    };
    let outside = (0..solution.len()).filter(|&column| !active[column]).map(|column| (column, slope(column)));
    let best = outside.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    (best.1 > SLOPE_TOLERANCE).then_some(best.0)
}

/// Solves for the active columns, and takes out those that would become negative on the way there.
fn settle(
    normal: &DMatrix<f64>,
    target: &DVector<f64>,
    solution: &mut [f64],
    active: &mut [bool],
) -> Option<()> {
    loop {
        let chosen: Vec<usize> = (0..solution.len()).filter(|&column| active[column]).collect();
        if chosen.is_empty() {
            return Some(());
        }
        let part = DMatrix::from_fn(chosen.len(), chosen.len(), |i, j| normal[(chosen[i], chosen[j])]);
        let wanted = DVector::from_fn(chosen.len(), |i, _| target[chosen[i]]);
        let free = part.cholesky()?.solve(&wanted);
        // How far the way goes until the first column would leave the allowed side.
        let mut step = 1.0;
        for (index, &column) in chosen.iter().enumerate() {
            if free[index] <= 0.0 {
                step = f64::min(step, solution[column] / (solution[column] - free[index]));
            }
        }
        for (index, &column) in chosen.iter().enumerate() {
            solution[column] += step * (free[index] - solution[column]);
            if free[index] <= 0.0 && solution[column] <= SLOPE_TOLERANCE {
                (solution[column], active[column]) = (0.0, false);
            }
        }
        if step >= 1.0 {
            return Some(());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fit_non_negative;
    use super::*;

    #[test]
    fn a_cost_that_would_be_negative_is_none() {
        // y = 2 a − b exactly; without b the relative least squares give Σ(a/y) / Σ(a/y)².
        let rows: Vec<Vec<f64>> = [[1.0, 1.0], [2.0, 1.0], [3.0, 4.0]].map(|row| row.to_vec()).into();
        let shares: [f64; 3] = [1.0, 2.0 / 3.0, 1.5];
        let alone = shares.iter().sum::<f64>() / shares.iter().map(|share| share * share).sum::<f64>();
        let found = non_negative_least_squares(&rows, &[1.0, 3.0, 2.0]).unwrap();
        assert!((found[0] / alone - 1.0).abs() < 1e-6 && found[1] == 0.0, "{found:?}");
    }

    #[test]
    fn what_can_not_be_fitted_is_refused() {
        assert_eq!(non_negative_least_squares(&[], &[]), None);
        assert_eq!(non_negative_least_squares(&[vec![1.0]], &[0.0]), None);
        assert_eq!(non_negative_least_squares(&[vec![f64::NAN]], &[1.0]), None);
        assert_eq!(non_negative_least_squares(&[vec![1.0], vec![1.0, 2.0]], &[1.0, 1.0]), None);
    }

    proptest! {
        #[test]
        fn it_is_as_good_as_the_best_of_all_subsets(
            rows in proptest::collection::vec(proptest::collection::vec(0.01f64..100.0, 4), 5..14),
            totals in proptest::collection::vec(1.0f64..1_000.0, 14),
        ) {
            let totals = &totals[..rows.len()];
            let squares = |coefficients: &[f64]| -> f64 {
                let fitted = |row: &Vec<f64>| row.iter().zip(coefficients).map(|(a, b)| a * b).sum::<f64>();
                rows.iter().zip(totals).map(|(row, total)| (fitted(row) / total - 1.0).powi(2)).sum()
            };
            let found = non_negative_least_squares(&rows, totals).unwrap();
            let best = fit_non_negative(&rows, totals).unwrap();
            prop_assert!(found.iter().all(|&value| value >= 0.0));
            prop_assert!(squares(&found) <= squares(&best.coefficients) + 1e-6);
        }
    }
}
