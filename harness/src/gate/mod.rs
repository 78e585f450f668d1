//! The gate: whether a change may get in. Every metric is judged by the test that its class allows, in
//! tiers from what must never happen to what is only noted; [`policy`] says which of it blocks,
//! [`report`] is what was found, as plain data, and [`output`] that for people and for other tools.
//!
//! | tier | module | judges |
//! |---|---|---|
//! | 0 safety | `safety` | seeded schedules of faults |
//! | 1 exact | `exact` | counts of virtual time against the committed ones |
//! | 1 instructions | `instructions` | instructions and allocations under callgrind |
//! | 2 paired | `paired` | CPU and wall-clock time of base and head, interleaved |
//! | 3 targets | `targets` | thresholds of real runs |

mod error;
mod exact;
pub mod instructions;
pub mod output;
mod paired;
pub mod policy;
pub mod report;
mod run;
mod safety;
pub mod source;
mod targets;
mod tiers;
mod values;

pub use error::GateError;
pub use exact::{Counted, count, judge_counts, scenarios_of};
pub use paired::{CLIENTS, Contest, PAIRED_METRICS, judge_contest, row};
pub use run::{GateOptions, Programs, head_target, run_gate, run_pair};
pub use safety::judge_safety;
pub use targets::judge_targets;
pub use values::{Known, Reference, judge_values};
