//! The gate: whether a change may get in. Every metric is judged by the test that its class allows, in
//! tiers from what must never happen to what is only noted; [`policy`] says which of it blocks,
//! and [`report`] is what was found, as plain data.
//!
//! | tier | module | judges |
//! |---|---|---|
//! | 0 safety | `safety` | seeded schedules of faults |
//! | 1 exact | `exact` | counts of virtual time against the committed ones |
//! | 1 instructions | `instructions` | instructions and allocations under callgrind |
//! | 2 paired | `paired` | CPU and wall-clock time of base and head, interleaved |
//! | 3 targets | `targets` | thresholds of real runs |

pub mod instructions;
pub mod policy;
pub mod report;
