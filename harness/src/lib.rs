//! Benchmarks for distributed consensus protocols: load, clocks, measurements, statistics,
//! baselines and reports over the contract of [`protocol_core`].
//!
//! A library author implements [`protocol_core::Protocol`], and writes a bench target of one call:
//!
//! ```no_run
//! # fn suite() -> consensus_bench::suite::Suite { Default::default() }
//! fn main() -> std::process::ExitCode {
//!     consensus_bench::bench::scenarios(&["high_load"], &suite())
//! }
//! ```
//!
//! The way of a number: a [`scenario`] says what to do, [`load`] does it to a cluster on its
//! [`host`], [`safety`] checks what came of it, [`measure`] makes [`results`] of what was recorded,
//! a [`session`] keeps them, and [`analysis`] sets them side by side.

pub mod advice;
pub mod analysis;
pub mod behaviour;
pub mod bench;
pub mod calibration;
pub mod cli;
pub mod compare;
pub mod exit;
pub mod explore;
pub mod export;
pub mod files;
pub mod gate;
pub mod histogram_log;
pub mod history;
pub mod hooks;
pub mod host;
pub mod interrupt;
pub mod load;
pub mod machine;
pub mod measure;
pub mod model;
pub mod output;
pub mod pair;
pub mod profile;
pub mod progress;
pub mod quorum_choice;
pub mod report;
pub mod resources;
pub mod results;
pub mod run;
pub mod safety;
pub mod scenario;
pub mod session;
pub mod stats;
pub mod store;
pub mod suite;
pub mod table;
pub mod threshold;
pub mod topology;
pub mod trial;
pub mod tune;
pub mod validate;
