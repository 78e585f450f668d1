//! Safety sweeps: many seeded schedules of faults in virtual time, each followed by a check of what
//! clients were promised. A schedule that breaks a promise is made smaller until a person can read it.

mod draw;
mod panics;
mod run;
mod schedule;
mod shrink;
mod sweep;

pub use run::{ExploreError, Outcome, Promise, Violation, run};
pub use schedule::{Action, Conditions, Plan, Schedule, Step};
pub use shrink::{Shrunk, shrink};
pub use sweep::{Finding, Sweep, SweepReport, sweep};
