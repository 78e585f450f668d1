//! What `critcmp --export` writes, and so what `critcmp FILE FILE` reads: Criterion's estimates by benchmark.
//!
//! critcmp knows times alone, in nanoseconds, and shows with each a spread. A throughput goes in as the time of
//! one element, of which critcmp makes a throughput again. The spread is the standard error that belongs to our
//! 95 % interval, and not the standard deviation of single observations, which open-loop metrics don't have.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::{ExportError, ExportedFile, Number, Remark};
use crate::results::Class;

/// Half of a 95 % interval, in standard errors of a normal distribution.
const HALF_INTERVAL: f64 = 1.959_963_985;
const NANOS_PER_S: f64 = 1e9;

#[derive(Serialize)]
struct Baseline<'a> {
    name: &'a str,
    benchmarks: BTreeMap<String, Benchmark<'a>>,
}

#[derive(Serialize)]
struct Benchmark<'a> {
    baseline: &'a str,
    fullname: String,
    criterion_benchmark_v1: Info<'a>,
    criterion_estimates_v1: Estimates,
}

#[derive(Serialize)]
struct Info<'a> {
    group_id: &'a str,
    function_id: &'a str,
    value_str: &'a str,
    throughput: Option<Throughput>,
    full_id: String,
    directory_name: String,
}

#[derive(Serialize)]
enum Throughput {
    Elements(u64),
}

#[derive(Serialize)]
struct Estimates {
    mean: Estimate,
    median: Estimate,
    median_abs_dev: Estimate,
    slope: Option<Estimate>,
    std_dev: Estimate,
}

#[derive(Clone, Copy, Serialize)]
struct Estimate {
    confidence_interval: Interval,
    point_estimate: f64,
    standard_error: f64,
}

#[derive(Clone, Copy, Serialize)]
struct Interval {
    confidence_level: f64,
    lower_bound: f64,
    upper_bound: f64,
}

/// A time in nanoseconds with its interval, and whether it is that of one element of a throughput.
struct Time {
    value: f64,
    interval: (f64, f64),
    throughput: Option<Throughput>,
}

pub(super) fn files(
    numbers: &[Number<'_>],
    output: &Path,
) -> Result<(Vec<ExportedFile>, Vec<Remark>), ExportError> {
    // Of files with one name critcmp shows the last alone; those of one folder have different ones.
    let name = &*output.file_stem().unwrap_or_default().to_string_lossy();
    let mut benchmarks = BTreeMap::new();
    let mut left_out = Vec::new();
    for number in numbers {
        match time(number) {
            Ok(time) => {
                benchmarks.insert(number.id(), benchmark(name, number, time));
            }
            Err(reason) => left_out.push(number.without(reason)),
        }
    }
    let count = benchmarks.len();
    let text = serde_json::to_string_pretty(&Baseline { name, benchmarks })? + "\n";
    Ok((vec![ExportedFile { path: output.into(), text, numbers: count }], left_out))
}

fn time(number: &Number<'_>) -> Result<Time, &'static str> {
    let metric = number.metric;
    let (lower, upper) = match (number.interval(), metric.class) {
        (Some(interval), _) => interval,
        // What never varies needs none.
        (None, Class::Exact) => (metric.value, metric.value),
        (None, _) => return Err("it has no interval, and critcmp would show it as certain"),
    };
    let is_measure = metric.value > 0.0 && lower > 0.0;
    match metric.unit.as_str() {
        "ns" | "1/s" if !is_measure => Err("critcmp compares by ratios, which zero has none of"),
        "ns" => Ok(Time { value: metric.value, interval: (lower, upper), throughput: None }),
        "1/s" => Ok(Time {
            value: NANOS_PER_S / metric.value,
            interval: (NANOS_PER_S / upper, NANOS_PER_S / lower),
            throughput: Some(Throughput::Elements(1)),
        }),
        _ => Err("critcmp knows times and throughputs alone"),
    }
}

fn benchmark<'a>(baseline: &'a str, number: &Number<'a>, time: Time) -> Benchmark<'a> {
    let full_id = number.id();
    let (lower, upper) = time.interval;
    let standard_error = (upper - lower) / (2.0 * HALF_INTERVAL);
    let estimate = |point_estimate, lower_bound, upper_bound| Estimate {
        confidence_interval: Interval { confidence_level: 0.95, lower_bound, upper_bound },
        point_estimate,
        standard_error,
    };
    let value = estimate(time.value, lower, upper);
    let spread = estimate(standard_error, standard_error, standard_error);
    Benchmark {
        baseline,
        fullname: format!("{baseline}/{full_id}"),
        criterion_benchmark_v1: Info {
            group_id: &number.result.scenario.name,
            function_id: &number.result.protocol,
            value_str: &number.metric.name,
            throughput: time.throughput,
            directory_name: full_id.clone(),
            full_id,
        },
        criterion_estimates_v1: Estimates {
            mean: value,
            median: value,
            median_abs_dev: spread,
            slope: None,
            std_dev: spread,
        },
    }
}
