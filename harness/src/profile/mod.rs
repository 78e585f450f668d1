//! Profiles: where the CPU time of a commit goes, and where a request waits.
//!
//! [`Sampling`] looks at the stacks of the process while something runs, [`attribute`] says of each stack
//! whose it is and what kind of work it did, by one table of rules, and [`ProfileFiles`] keeps all of it in a
//! folder: `profile.pb`, `stacks.folded`, `flamegraph.svg` and `profile.json`. The only module that sees
//! pprof, inferno and dhat.

mod allocations;
mod attribution;
mod difference;
mod files;
mod flame_graph;
mod load;
mod of_run;
mod origin;
mod rules;
mod sampling;
mod stacks;
mod text;
mod waits;

pub use allocations::{AllocationSite, AllocationSites, HeapProfile, HeapProfileError, SeenHeap};
pub use attribution::{
    Attribution, Bounded, FEWEST_SAMPLES, PROFILE_SCHEMA_VERSION, Profiled, ProfiledLoad, SamplingFacts,
    Share, attribute,
};
pub use difference::{Change, Difference, Measured, difference};
pub use files::{PROFILE_FOLDER, ProfileError, ProfileFiles};
pub use flame_graph::FlameGraphError;
pub use load::{LoadRecord, run_load};
pub use of_run::{FoundAllocations, FoundProfile, allocations_of, profiles_of};
pub use origin::Origin;
pub use rules::Kind;
pub use sampling::{Samples, Sampling, SamplingError};
pub use stacks::{Folded, FoldedError, Frame, Stack};
pub use text::{allocations_text, attribution_text, difference_text};
pub use waits::{PhaseWait, RuntimeUse, Waits};
