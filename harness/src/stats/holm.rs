//! Several tests at once: a bound on the chance that even one of them errs.

/// The p values adjusted by Holm's step-down procedure (Holm 1979), in the order given: what is at most α
/// after it may be rejected, and the chance that any of those rejections is wrong is at most α.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut least = 0.0f64;
    for (rank, &index) in order.iter().enumerate() {
        least = least.max((p_values.len() - rank) as f64 * p_values[index]).min(1.0);
        adjusted[index] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_r() {
        // p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm") and p.adjust(c(0.04, 0.001, 0.5), "holm").
        let near = |found: &[f64], wanted: &[f64]| {
            assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        };
        near(&holm(&[0.01, 0.02, 0.03, 0.04, 0.05]), &[0.05, 0.08, 0.09, 0.09, 0.09]);
        near(&holm(&[0.04, 0.001, 0.5]), &[0.08, 0.003, 0.5]);
        near(&holm(&[0.9, 0.8]), &[1.0, 1.0]);
        assert_eq!(holm(&[]), [0.0; 0]);
    }
}
