//! The cost model, measured: what work costs each protocol on this machine, and what its threads, links
//! and disk add. Virtual time takes it from `baselines/<machine>/costs.json`.

mod file;
mod fit;
mod machine_times;
mod protocol_costs;

use std::time::Duration;

use protocol_core::{Costs, LaunchError, SharedCores, SimulationSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use file::{COSTS_FILE, CalibrationError, costs_path, parse, read, read_for, write};
pub use fit::{FittedCell, fit};
pub use machine_times::{MachineTimes, measure_flushes, measure_machine};
pub(crate) use protocol_costs::is_not_simulated;
pub use protocol_costs::{Design, measure_primitive, measure_protocol};

use crate::machine;
use crate::results::Machine;
use crate::run::Pair;
use crate::scenario::{CostsConfig, ExactPlan, Measure, NamedCosts};
use crate::store::Store;

/// Version of the shape of [`Calibration`]. Files of a later version are refused; in those of version 1 what
/// disturbed stood for the machine and all its protocols alike.
pub const SCHEMA_VERSION: u32 = 2;

/// Everything that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// When it was measured, in seconds since 1970.
    pub calibrated_unix_s: u64,
    /// Version of consensus-bench.
    pub harness_version: String,
    /// Where it was measured.
    pub machine: Machine,
    /// Why the machine's times are not to be trusted; empty when nothing disturbed them.
    pub disturbed: Vec<String>,
    /// What threads, links and the disk add, whatever the protocol.
    pub machine_times: MachineTimes,
    /// What work costs, by protocol.
    pub protocols: Vec<ProtocolCosts>,
}

/// What work costs one protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProtocolCosts {
    /// The name under which it runs.
    pub protocol: String,
    /// The library behind it, with its version.
    pub implementation: String,
    /// When it was measured, in seconds since 1970.
    pub calibrated_unix_s: u64,
    /// Why the costs are not to be trusted; empty when nothing disturbed them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disturbed: Vec<String>,
    /// The costs.
    pub costs: WorkCosts,
    /// How long the cluster's thread takes, in nanoseconds, from being handed a request in its sleep until
    /// it is at work with warm caches.
    pub resume_ns: f64,
    /// The closed loops that they were fitted to.
    pub cells: Vec<FittedCell>,
    /// Median size of fitted ÷ measured − 1 over the cells.
    pub fit_error_median: f64,
    /// The largest size of it.
    pub fit_error_max: f64,
}

/// What work costs a replica, in nanoseconds: [`Costs`] as they are written to files. What is left out
/// costs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorkCosts {
    /// Each time that it is woken.
    pub wake_up_ns: f64,
    /// Each message sent or received.
    pub message_ns: f64,
    /// Each byte of those.
    pub byte_ns: f64,
    /// Each client's command taken up.
    pub request_ns: f64,
    /// Each command applied.
    pub delivery_ns: f64,
    /// Each signature made.
    pub sign_ns: f64,
    /// Each signature checked.
    pub verify_ns: f64,
    /// Each message authentication code made or checked.
    pub mac_ns: f64,
    /// Each flush of the log. In a calibration it is the machine's, and left out here.
    #[serde(skip_serializing_if = "is_nothing")]
    pub fsync_ns: f64,
}

fn is_nothing(cost: &f64) -> bool {
    *cost == 0.0
}

impl WorkCosts {
    /// The costs by name.
    pub fn named(&self) -> [(&'static str, f64); 9] {
        [
            ("wake_up_ns", self.wake_up_ns),
            ("message_ns", self.message_ns),
            ("byte_ns", self.byte_ns),
            ("request_ns", self.request_ns),
            ("delivery_ns", self.delivery_ns),
            ("sign_ns", self.sign_ns),
            ("verify_ns", self.verify_ns),
            ("mac_ns", self.mac_ns),
            ("fsync_ns", self.fsync_ns),
        ]
    }
}

impl From<WorkCosts> for Costs {
    fn from(work: WorkCosts) -> Costs {
        let WorkCosts {
            wake_up_ns,
            message_ns,
            byte_ns,
            request_ns,
            delivery_ns,
            sign_ns,
            verify_ns,
            mac_ns,
            fsync_ns,
        } = work;
        Costs {
            wake_up_ns,
            message_ns,
            byte_ns,
            request_ns,
            delivery_ns,
            sign_ns,
            verify_ns,
            mac_ns,
            fsync_ns,
        }
    }
}

impl From<Costs> for WorkCosts {
    fn from(costs: Costs) -> WorkCosts {
        let Costs {
            wake_up_ns,
            message_ns,
            byte_ns,
            request_ns,
            delivery_ns,
            sign_ns,
            verify_ns,
            mac_ns,
            fsync_ns,
        } = costs;
        WorkCosts {
            wake_up_ns,
            message_ns,
            byte_ns,
            request_ns,
            delivery_ns,
            sign_ns,
            verify_ns,
            mac_ns,
            fsync_ns,
        }
    }
}

impl Calibration {
    /// The costs of one protocol; an error names the command that measures them.
    pub fn of(&self, protocol: &str) -> Result<&ProtocolCosts, CalibrationError> {
        let found = self.protocols.iter().find(|costs| costs.protocol == protocol);
        found.ok_or_else(|| CalibrationError::NotCalibrated { protocol: protocol.into() })
    }

    /// Why anything in it is not to be trusted, with the protocol that it is about.
    pub fn disturbances(&self) -> Vec<String> {
        let of_protocols = self.protocols.iter().flat_map(|costs| {
            costs.disturbed.iter().map(move |reason| format!("{}: {reason}", costs.protocol))
        });
        self.disturbed.iter().map(|reason| format!("this machine: {reason}")).chain(of_protocols).collect()
    }

    /// What virtual time needs to stand for a cluster of this protocol on this machine.
    pub fn model(&self, protocol: &str) -> Result<CostModel, CalibrationError> {
        let measured = self.of(protocol)?;
        let work = WorkCosts { fsync_ns: self.machine_times.flush.median(), ..measured.costs };
        // One core, because a host's runtime has one thread.
        let cores = SharedCores { count: 1, resume_ns: measured.resume_ns as u64 };
        Ok(CostModel { costs: work.into(), cores: Some(cores) })
    }
}

/// What work costs in virtual time, and on how many cores it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CostModel {
    /// The costs.
    pub costs: Costs,
    /// The cores that replicas share; none gives each one of its own.
    pub cores: Option<SharedCores>,
}

impl CostModel {
    /// The model that a plan asks for, for a pair's protocol; an error when that was not measured. One
    /// without virtual time has no costs, and its run says why.
    pub fn of_pair(pair: &Pair, plan: &ExactPlan) -> Result<CostModel, CalibrationError> {
        if plan.costs.is_calibrated() {
            let smallest = plan.replicas.first().copied().unwrap_or(1);
            let tried = pair.protocol.simulate(&SimulationSpec::uniform(smallest, Duration::ZERO, 1));
            if let Err(LaunchError::NotSimulated { .. }) = tried {
                return Ok(CostModel::default());
            }
        }
        CostModel::of(plan, &pair.name)
    }

    /// The model that a plan asks for, for the protocol of this name.
    pub fn of(plan: &ExactPlan, protocol: &str) -> Result<CostModel, CalibrationError> {
        let shared = |resume_ns| (plan.cores > 0).then_some(SharedCores { count: plan.cores, resume_ns });
        match plan.costs {
            CostsConfig::Named(NamedCosts::None) => {
                Ok(CostModel { costs: Costs::default(), cores: shared(0) })
            }
            CostsConfig::Table(work) => Ok(CostModel { costs: work.into(), cores: shared(0) }),
            CostsConfig::Named(NamedCosts::Calibrated) => {
                let CostModel { costs, cores } = of_this_machine()?.model(protocol)?;
                Ok(CostModel { costs, cores: cores.and_then(|cores| shared(cores.resume_ns)) })
            }
        }
    }
}

/// Refuses pairs whose costs were to be measured and were not, before anything runs.
pub fn check_costs(pairs: &[Pair]) -> Result<(), CalibrationError> {
    for pair in pairs {
        if let Measure::Exact(plan) = &pair.scenario.measure {
            CostModel::of_pair(pair, plan)?;
        }
    }
    Ok(())
}

/// The costs that were measured on this machine.
pub fn of_this_machine() -> Result<Calibration, CalibrationError> {
    let here = machine::describe().fingerprint;
    let path = costs_path(&Store::from_environment(&here));
    read_for(&path, &here)
}
