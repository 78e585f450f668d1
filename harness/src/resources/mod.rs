//! What a run takes from its machine, and what it takes from the heap.

mod allocator;

pub use allocator::{CountingAllocator, HeapCounts, HeapSpent};
