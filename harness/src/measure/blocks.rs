//! Quantiles of resampled blocks of time.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

/// Histograms of all blocks by value, so that the quantile of a resample is a walk over the values
/// that occur and not a sum of whole histograms.
pub(super) struct BlockCounts {
    blocks: usize,
    by_value: BTreeMap<u64, Vec<u64>>,
}

impl BlockCounts {
    pub(super) fn of(blocks: &[&Histogram<u64>]) -> Self {
        let mut by_value: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (index, block) in blocks.iter().enumerate() {
            for step in block.iter_recorded() {
                let counts =
                    by_value.entry(step.value_iterated_to()).or_insert_with(|| vec![0; blocks.len()]);
                counts[index] += step.count_at_value();
            }
        }
        BlockCounts { blocks: blocks.len(), by_value }
    }

    /// The quantile of the drawn blocks together; not a number when they are empty.
    pub(super) fn quantile(&self, quantile: f64, drawn: &[&usize]) -> f64 {
        let mut times = vec![0; self.blocks];
        drawn.iter().for_each(|&&block| times[block] += 1);
        let weigh =
            |counts: &[u64]| counts.iter().zip(&times).map(|(count, times)| count * times).sum::<u64>();
        let total: u64 = self.by_value.values().map(|counts| weigh(counts)).sum();
        let wanted = ((quantile * total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (&value, counts) in &self.by_value {
            seen += weigh(counts);
            if seen >= wanted {
                return value as f64;
            }
        }
        f64::NAN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_blocks_are_those_of_their_sum() {
        let histogram = |values: std::ops::Range<u64>| {
            let mut histogram = Histogram::<u64>::new_with_bounds(1, 1_000_000_000, 3).unwrap();
            values.for_each(|value| histogram.record(value * 997).unwrap());
            histogram
        };
        let (low, high) = (histogram(1..3_000), histogram(2_000..9_000));
        let counts = BlockCounts::of(&[&low, &high]);
        // The high block drawn twice, as a resample may.
        let mut sum = low.clone();
        sum.add(&high).unwrap();
        sum.add(&high).unwrap();
        for quantile in [0.0, 0.25, 0.5, 0.9, 0.999, 1.0] {
            let expected = sum.value_at_quantile(quantile) as f64;
            assert_eq!(counts.quantile(quantile, &[&1, &0, &1]), expected, "{quantile}");
        }
        assert!(BlockCounts::of(&[]).quantile(0.5, &[]).is_nan());
    }
}
