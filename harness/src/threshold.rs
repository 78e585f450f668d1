//! Whether a measured value keeps a threshold, as far as its interval tells.

use crate::results::{Metric, ScenarioResult};

/// What became of a threshold, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// The whole interval keeps it.
    Yes,
    /// The interval has the threshold in it, or something disturbed the measurement.
    Unknown,
    /// The whole interval breaks it.
    No,
}

/// Whether a result's metric is within `[least, most]`, in the metric's unit. A value without an interval stands for
/// itself.
pub fn kept(result: &ScenarioResult, metric: &Metric, least: f64, most: f64) -> Kept {
    let (lower, upper) = (metric.lower.unwrap_or(metric.value), metric.upper.unwrap_or(metric.value));
    if !result.disturbed.is_empty() {
        Kept::Unknown
    } else if upper <= most && lower >= least {
        Kept::Yes
    } else if lower > most || upper < least {
        Kept::No
    } else {
        Kept::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn an_interval_with_the_threshold_in_it_tells_nothing_and_neither_does_what_was_disturbed() {
        let mut result = samples::run().results.remove(0);
        result.disturbed.clear();
        let metric = |lower, value, upper| Metric { lower, value, upper, ..result.metrics[0].clone() };
        let whole = metric(Some(9.0), 10.0, Some(11.0));
        let of = |least, most| kept(&result, &whole, least, most);
        assert_eq!([of(0.0, 11.0), of(0.0, 10.5), of(0.0, 8.9)], [Kept::Yes, Kept::Unknown, Kept::No]);
        assert_eq!([of(9.0, 20.0), of(9.5, 20.0), of(12.0, 20.0)], [Kept::Yes, Kept::Unknown, Kept::No]);
        assert_eq!(kept(&result, &metric(None, 10.0, None), 0.0, 9.9), Kept::No);
        let disturbed = ScenarioResult { disturbed: vec!["noise".into()], ..result.clone() };
        assert_eq!(kept(&disturbed, &whole, 0.0, 8.9), Kept::Unknown);
    }
}
