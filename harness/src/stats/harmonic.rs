//! The harmonic mean: the rate over several stretches of equal work.

/// The harmonic mean of rates.
///
/// When each stretch does the same amount of work, the work of all over the time of all is the
/// harmonic mean of their rates; the arithmetic mean would weigh the quick ones too much. A rate of
/// zero is a stretch that never ended, and makes the mean zero. None without rates, or with one that
/// is negative or not a number.
pub fn harmonic_mean(rates: &[f64]) -> Option<f64> {
    if rates.is_empty() || !rates.iter().all(|rate| *rate >= 0.0 && rate.is_finite()) {
        return None;
    }
    let mean_time = rates.iter().map(|rate| rate.recip()).sum::<f64>() / rates.len() as f64;
    Some(mean_time.recip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_all_work_over_all_time() {
        // A hundred kilometres at 30 km/h and a hundred at 60 km/h take five hours.
        assert!((harmonic_mean(&[30.0, 60.0]).unwrap() - 40.0).abs() < 1e-12);
        assert_eq!(harmonic_mean(&[8.0]), Some(8.0));
        assert_eq!(harmonic_mean(&[8.0, 0.0]), Some(0.0));
    }

    #[test]
    fn there_is_none_of_nothing_or_of_what_is_no_rate() {
        for odd in [&[][..], &[1.0, -1.0], &[f64::NAN], &[f64::INFINITY, 1.0]] {
            assert_eq!(harmonic_mean(odd), None, "{odd:?}");
        }
    }
}
