//! A target that settings have to hold besides their goal: `p99<100ms`.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

use thiserror::Error;

use super::Sample;

/// The 99th percentile of the response time, below so many nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct P99Target {
    /// The limit, excluded.
    pub below_ns: f64,
}

/// What is no target.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is no target: write p99<TIME with a time such as 500us, 100ms or 2s")]
pub struct TargetError {
    text: String,
}

impl P99Target {
    /// Whether a block holds it.
    pub fn holds(&self, sample: &Sample) -> bool {
        sample.response_ns_p99 < self.below_ns
    }
}

impl FromStr for P99Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || TargetError { text: text.into() };
        let (metric, time) = text.split_once('<').ok_or_else(refused)?;
        let time = time.trim();
        let digits = time.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(refused)?;
        let (number, unit) = time.split_at(digits);
        let ns = match unit.trim() {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            _ => return Err(refused()),
        };
        let below_ns = number.parse::<f64>().map_err(|_| refused())? * ns;
        if metric.trim() == "p99" && below_ns > 0.0 && below_ns.is_finite() {
            Ok(P99Target { below_ns })
        } else {
            Err(refused())
        }
    }
}

impl Display for P99Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "p99<{}ms", self.below_ns / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_percentile_and_a_time() {
        for (text, ns) in [("p99<100ms", 1e8), (" p99 < 1.5 s ", 1.5e9), ("p99<500us", 5e5), ("p99<9ns", 9.0)]
        {
            assert_eq!(text.parse(), Ok(P99Target { below_ns: ns }), "{text}");
        }
        for text in [
            "",
            "p99",
            "p99<",
            "p99<ms",
            "p99<100",
            "p50<1ms",
            "p99<0ms",
            "p99<-1ms",
            "p99<1.2.3ms",
            "p99<1h",
        ] {
            let error = text.parse::<P99Target>().unwrap_err().to_string();
            assert!(error.contains("is no target: write p99<TIME"), "{text}: {error}");
        }
        assert_eq!("p99<0.1s".parse::<P99Target>().unwrap().to_string(), "p99<100ms");
    }
}
