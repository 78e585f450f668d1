//! How wrong virtual time is: the same loads in real time and in virtual time with the costs that were
//! measured on this machine, side by side.

mod loads;
mod real;
mod simulated;
mod text;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use loads::{Load, LoadKind, loads};
pub use text::{markdown, text};

use crate::calibration::{Calibration, is_not_simulated};
use crate::interrupt;
use crate::run::RunError;
use crate::stats::Spread;
use crate::suite::Registration;

/// How thoroughly to validate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effort {
    /// Real runs of each load.
    pub blocks: usize,
    /// Length of each, in seconds.
    pub block_s: f64,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Commits per second.
    Throughput,
    /// Commits per second of CPU time: of a cluster that always has work, what the throughput would be
    /// if no other program ran.
    PerCpuSecond,
    /// Median response time.
    P50,
    /// 99th percentile of the response time.
    P99,
    /// From the leader's crash until a command sent after it is acknowledged.
    Recovery,
}

impl Quantity {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Quantity::Throughput => "throughput",
            Quantity::PerCpuSecond => "commits/CPU second",
            Quantity::P50 => "p50",
            Quantity::P99 => "p99",
            Quantity::Recovery => "recovery",
        }
    }

    /// The unit of its values.
    pub fn unit(self) -> &'static str {
        match self {
            Quantity::Throughput | Quantity::PerCpuSecond => "1/s",
            Quantity::P50 | Quantity::P99 | Quantity::Recovery => "ns",
        }
    }
}

/// One quantity of one load: real, virtual, and how far the second is from the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Protocol.
    pub protocol: String,
    /// The load's name.
    pub load: String,
    /// What is compared.
    pub quantity: Quantity,
    /// Median of the real blocks, in [`Quantity::unit`].
    pub real: f64,
    /// The lowest and the highest of the blocks: of so few no narrower interval can be had.
    pub real_range: (f64, f64),
    /// What virtual time says.
    pub simulated: f64,
    /// simulated ÷ real − 1.
    pub error: f64,
    /// How large the error may be; none where nothing is promised.
    pub aim: Option<f64>,
    /// Real blocks behind it.
    pub blocks: usize,
    /// Those of them that the machine disturbed.
    pub disturbed_blocks: usize,
}

impl Comparison {
    /// Whether the error is within the aim; none without an aim.
    pub fn is_met(&self) -> Option<bool> {
        self.aim.map(|aim| self.error.abs() <= aim)
    }

    /// How far the real blocks are from their median, as a share of it: the larger side.
    pub fn real_spread(&self) -> f64 {
        (self.real - self.real_range.0).max(self.real_range.1 - self.real) / self.real
    }

    /// Whether real time itself varies by more than the aim, and so can't tell whether it is met.
    pub fn is_blurred(&self) -> bool {
        self.aim.is_some_and(|aim| self.real_spread() > aim)
    }
}

/// A whole validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// When the costs were measured, in seconds since 1970.
    pub calibrated_unix_s: u64,
    /// Why the costs are not to be trusted; empty when nothing disturbed their measurement.
    pub calibration_disturbed: Vec<String>,
    /// Real runs of each load, and their length.
    pub effort: Effort,
    /// The loads, with what they are.
    pub loads: Vec<(String, String)>,
    /// All comparisons, protocol by protocol, load by load.
    pub comparisons: Vec<Comparison>,
    /// Protocols, or loads of one, that were not compared, and why.
    pub not_compared: Vec<(String, String)>,
}

impl Validation {
    /// Comparisons whose error is within their aim, of how many that have one; and the same of those whose
    /// real blocks vary by less than it.
    pub fn met(&self) -> ((usize, usize), (usize, usize)) {
        let count =
            |rows: &[&Comparison]| (rows.iter().filter(|row| row.is_met() == Some(true)).count(), rows.len());
        let aimed: Vec<&Comparison> = self.comparisons.iter().filter(|row| row.aim.is_some()).collect();
        let sharp: Vec<&Comparison> = aimed.iter().copied().filter(|row| !row.is_blurred()).collect();
        (count(&aimed), count(&sharp))
    }
}

/// Compares protocols under loads. `folder` is for logs; `step` is told what runs now.
///
/// Real blocks go round by round over all loads, so that what the machine does for a minute is in one
/// block of each and not in all of one.
pub fn validate(
    protocols: &[Registration],
    loads: &[Load],
    calibration: &Calibration,
    effort: Effort,
    folder: &Path,
    step: impl Fn(&str),
) -> Result<Validation, RunError> {
    let mut validation = Validation {
        calibrated_unix_s: calibration.calibrated_unix_s,
        calibration_disturbed: calibration.disturbances(),
        effort,
        loads: loads.iter().map(|load| (load.name.into(), load.about.into())).collect(),
        comparisons: Vec::new(),
        not_compared: Vec::new(),
    };
    for registration in protocols {
        let name = &registration.name;
        if let Err(error) = simulated::check(registration, calibration) {
            if !is_not_simulated(&error) {
                return Err(error);
            }
            validation.not_compared.push((name.clone(), error.to_string()));
            continue;
        }
        let mut blocks: Vec<Vec<real::Block>> = vec![Vec::new(); loads.len()];
        for round in 0..effort.blocks {
            for (load, blocks) in loads.iter().zip(&mut blocks) {
                if interrupt::requested() {
                    break;
                }
                step(&format!("{name}, real, block {} of {}: {}", round + 1, effort.blocks, load.name));
                let resume_ns = calibration.machine_times.resume.median();
                blocks.push(real::run(registration, load, effort, (round, resume_ns), folder)?);
            }
        }
        for (load, blocks) in loads.iter().zip(&blocks) {
            step(&format!("{name}, virtual: {}", load.name));
            let flushes: Vec<&Spread> = blocks.iter().filter_map(|block| block.flush.as_ref()).collect();
            for (quantity, value) in simulated::run(registration, load, calibration, &flushes)? {
                match compare(name, load, quantity, value, blocks) {
                    Some(row) => validation.comparisons.push(row),
                    None => validation.not_compared.push((
                        format!("{name}, {}, {}", load.name, quantity.name()),
                        "real time gave no number".into(),
                    )),
                }
            }
        }
    }
    Ok(validation)
}

fn compare(
    protocol: &str,
    load: &Load,
    quantity: Quantity,
    simulated: f64,
    blocks: &[real::Block],
) -> Option<Comparison> {
    let of_block = |block: &real::Block| {
        block.values.iter().find(|(known, _)| *known == quantity).map(|&(_, value)| (value, block.disturbed))
    };
    let found: Vec<(f64, bool)> = blocks.iter().filter_map(of_block).collect();
    let mut values: Vec<f64> = found.iter().map(|&(value, _)| value).collect();
    values.sort_by(f64::total_cmp);
    let (first, last) = (*values.first()?, *values.last()?);
    let middle = values.len() / 2;
    let real =
        if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
    Some(Comparison {
        protocol: protocol.into(),
        load: load.name.into(),
        quantity,
        real,
        real_range: (first, last),
        simulated,
        error: simulated / real - 1.0,
        aim: load.aim(quantity),
        blocks: values.len(),
        disturbed_blocks: found.iter().filter(|(_, disturbed)| *disturbed).count(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(real: f64, range: (f64, f64), simulated: f64, aim: Option<f64>) -> Comparison {
        Comparison {
            protocol: "p".into(),
            load: "l".into(),
            quantity: Quantity::P50,
            real,
            real_range: range,
            simulated,
            error: simulated / real - 1.0,
            aim,
            blocks: 3,
            disturbed_blocks: 0,
        }
    }

    #[test]
    fn an_aim_is_met_by_the_error_and_blurred_by_the_blocks() {
        let met = row(100.0, (98.0, 103.0), 109.0, Some(0.1));
        assert_eq!((met.is_met(), met.is_blurred()), (Some(true), false));
        let missed = row(100.0, (80.0, 103.0), 80.0, Some(0.1));
        assert_eq!((missed.is_met(), missed.is_blurred()), (Some(false), true));
        assert_eq!(row(1.0, (0.0, 9.0), 5.0, None).is_met(), None);
        let validation = Validation {
            calibrated_unix_s: 0,
            calibration_disturbed: Vec::new(),
            effort: Effort { blocks: 3, block_s: 1.0 },
            loads: Vec::new(),
            comparisons: vec![met, missed, row(1.0, (1.0, 1.0), 5.0, None)],
            not_compared: Vec::new(),
        };
        assert_eq!(validation.met(), ((1, 2), (1, 1)));
    }

    #[test]
    fn the_real_number_is_the_median_of_the_blocks_that_have_one() {
        let block = |value: Option<f64>, disturbed| real::Block {
            values: value.map(|value| (Quantity::Throughput, value)).into_iter().collect(),
            disturbed,
            flush: None,
        };
        let blocks = [block(Some(90.0), true), block(None, true), block(Some(110.0), false)];
        let load = &loads()[0];
        let row = compare("p", load, Quantity::Throughput, 120.0, &blocks).unwrap();
        assert_eq!(
            (row.real, row.real_range, row.blocks, row.disturbed_blocks),
            (100.0, (90.0, 110.0), 2, 1)
        );
        assert!((row.error - 0.2).abs() < 1e-12);
        assert!(compare("p", load, Quantity::Recovery, 1.0, &blocks).is_none());
    }
}
