//! Two builds against each other on a machine that is never quiet: processes of both are interleaved, each
//! measures one block, and only what blocks next to each other don't share is looked at.
//!
//! A third arm, a byte copy of the base, is measured with them: what differs there is noise, whatever it
//! looks like.

mod block;
mod judge;
mod noise;
mod rounds;
mod study;

pub use block::{BLOCK_VERSION, Block, BlockSpec, burn_ns, measure_block};
pub use judge::{Judged, Rules, Stage, judge, shift_of, suspicious};
pub use noise::{BenchNoise, DetectedEffect, NOISE_FILE, NOISE_SCHEMA_VERSION, Noise, NoiseError};
pub use rounds::{Arm, Arms, PairError, Round, calibrate_commits, cost_of, order, run_round};
pub use study::{Study, StudyPlan, study_of};
