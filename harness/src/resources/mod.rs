//! What a run takes from its machine: cores, memory, network and storage, sampled while it runs.

mod allocator;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(test, not(target_os = "linux")))]
mod portable;
mod reading;
mod sampler;
mod summary;

pub use allocator::{CountingAllocator, HeapCounts, HeapSpent, ThreadHeapCounts};
pub use sampler::Sampler;
pub use summary::{MemoryGrowth, memory_growth, resource_metrics, within};

/// Name of the thread that a cluster lives on.
pub const CLUSTER_THREAD: &str = "cluster";
/// Name of the thread that generates load.
pub const GENERATOR_THREAD: &str = "load";
/// Name of the thread that samples.
pub const SAMPLER_THREAD: &str = "sampler";
