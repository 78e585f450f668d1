//! Counts what the program takes from the heap, cheaply enough to stay on while latency is measured.
//!
//! A count that all threads share would move one cache line back and forth between the generator and
//! the cluster with every request. So each thread counts in a lane of its own, and a look adds the
//! lanes up.

// Who is asked for memory: the system, or dhat, which asks the system and notes who did.
#[cfg(not(feature = "dhat"))]
use std::alloc::System as Inner;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ops::{AddAssign, Sub};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

#[cfg(feature = "dhat")]
use dhat::Alloc as Inner;

/// Lanes that have one owner each. Lanes of threads that ended are not given out again, because a
/// thread-local with a destructor would itself allocate.
const OWN_LANES: usize = 2048;
/// Lanes that all later threads share.
const SHARED_LANES: usize = 64;
/// A thread that did not count yet.
const NO_LANE: usize = usize::MAX;

static LANES: [Lane; OWN_LANES + SHARED_LANES] = [const { Lane::new() }; OWN_LANES + SHARED_LANES];
/// Threads that ever counted.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static MINE: Mine =
        const { Mine { lane: Cell::new(NO_LANE), allocations: Cell::new(0), bytes: Cell::new(0) } };
}

/// What one thread took and gave back; two cache lines, because processors fetch them in pairs.
#[repr(align(128))]
struct Lane {
    allocations: AtomicU64,
    allocated_bytes: AtomicU64,
    freed_bytes: AtomicU64,
}

impl Lane {
    const fn new() -> Self {
        Lane {
            allocations: AtomicU64::new(0),
            allocated_bytes: AtomicU64::new(0),
            freed_bytes: AtomicU64::new(0),
        }
    }
}

/// This thread's lane, and its own counts, which stay exact when the lane is shared.
struct Mine {
    lane: Cell<usize>,
    allocations: Cell<u64>,
    bytes: Cell<u64>,
}

impl Mine {
    fn lane(&self) -> (&'static Lane, bool) {
        let mut index = self.lane.get();
        if index == NO_LANE {
            index = lane_of(THREADS.fetch_add(1, Relaxed));
            self.lane.set(index);
        }
        (&LANES[index], index < OWN_LANES)
    }
}

/// The lane of the thread that was the `nth` to count.
fn lane_of(nth: usize) -> usize {
    if nth < OWN_LANES { nth } else { OWN_LANES + (nth - OWN_LANES) % SHARED_LANES }
}

/// Adds to a count. A lane with one owner needs no locked instruction, which would cost more than
/// everything else here.
fn add(count: &AtomicU64, amount: u64, is_own: bool) {
    if is_own {
        count.store(count.load(Relaxed).wrapping_add(amount), Relaxed);
    } else {
        count.fetch_add(amount, Relaxed);
    }
}

fn took(bytes: usize) {
    let bytes = bytes as u64;
    MINE.with(|mine| {
        let (lane, is_own) = mine.lane();
        add(&lane.allocations, 1, is_own);
        add(&lane.allocated_bytes, bytes, is_own);
        mine.allocations.set(mine.allocations.get().wrapping_add(1));
        mine.bytes.set(mine.bytes.get().wrapping_add(bytes));
    });
}

fn gave_back(bytes: usize) {
    MINE.with(|mine| {
        let (lane, is_own) = mine.lane();
        add(&lane.freed_bytes, bytes as u64, is_own);
    });
}

/// The system's allocator, counted. A binary that wants its heap counted declares it:
///
/// ```
/// use consensus_bench::resources::{CountingAllocator, HeapCounts};
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator = CountingAllocator;
///
/// let before = HeapCounts::now().unwrap();
/// let kept = vec![0_u8; 1000];
/// let spent = HeapCounts::now().unwrap() - before;
/// assert_eq!((spent.thread_allocations, spent.thread_allocated_bytes), (1, 1000));
/// drop(kept);
/// ```
///
/// A reallocation counts as an allocation of the new size, as dhat counts it; bytes are those asked
/// for, without what the allocator adds.
#[derive(Debug)]
pub struct CountingAllocator;

#[expect(unsafe_code, reason = "the trait is unsafe; every call goes to the system's allocator as it came")]
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of this function, which is the same.
        let block = unsafe { Inner.alloc(layout) };
        if !block.is_null() {
            took(layout.size());
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let block = unsafe { Inner.alloc_zeroed(layout) };
        if !block.is_null() {
            took(layout.size());
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        gave_back(layout.size());
        // SAFETY: as above; `block` came from the system's allocator.
        unsafe { Inner.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as above; `block` came from the system's allocator.
        let moved = unsafe { Inner.realloc(block, layout, new_size) };
        if !moved.is_null() {
            gave_back(layout.size());
            took(new_size);
        }
        moved
    }
}

/// What was taken from the heap since the program started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapCounts {
    /// Allocations of all threads.
    pub allocations: u64,
    /// Bytes of those.
    pub allocated_bytes: u64,
    /// Bytes that are allocated now, but for what threads take and give back during the look.
    pub live_bytes: u64,
    /// Allocations of the calling thread.
    pub thread_allocations: u64,
    /// Bytes of those.
    pub thread_allocated_bytes: u64,
}

impl HeapCounts {
    /// Reads all counts, in nanoseconds for each thread that ever ran; none where no
    /// [`CountingAllocator`] is installed.
    pub fn now() -> Option<Self> {
        let lanes = match THREADS.load(Relaxed) {
            0 => return None,
            threads => &LANES[..threads.min(LANES.len())],
        };
        let sum = |count: fn(&Lane) -> &AtomicU64| {
            lanes.iter().fold(0_u64, |sum, lane| sum.wrapping_add(count(lane).load(Relaxed)))
        };
        // In this order, so that a block is hardly ever seen freed and not allocated.
        let freed_bytes = sum(|lane| &lane.freed_bytes);
        let allocated_bytes = sum(|lane| &lane.allocated_bytes);
        let (thread_allocations, thread_allocated_bytes) =
            MINE.with(|mine| (mine.allocations.get(), mine.bytes.get()));
        Some(HeapCounts {
            allocations: sum(|lane| &lane.allocations),
            allocated_bytes,
            live_bytes: allocated_bytes.saturating_sub(freed_bytes),
            thread_allocations,
            thread_allocated_bytes,
        })
    }
}

/// What one thread took from the heap since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadHeapCounts {
    /// Allocations.
    pub allocations: u64,
    /// Bytes of those.
    pub allocated_bytes: u64,
}

impl ThreadHeapCounts {
    /// Reads the calling thread's counts and nobody else's: of a program on one thread they are the same in
    /// every run. None where no [`CountingAllocator`] is installed.
    pub fn now() -> Option<Self> {
        (THREADS.load(Relaxed) > 0).then(|| {
            MINE.with(|mine| ThreadHeapCounts {
                allocations: mine.allocations.get(),
                allocated_bytes: mine.bytes.get(),
            })
        })
    }
}

impl Sub for ThreadHeapCounts {
    type Output = ThreadHeapCounts;

    fn sub(self, earlier: ThreadHeapCounts) -> ThreadHeapCounts {
        ThreadHeapCounts {
            allocations: self.allocations.saturating_sub(earlier.allocations),
            allocated_bytes: self.allocated_bytes.saturating_sub(earlier.allocated_bytes),
        }
    }
}

impl AddAssign for ThreadHeapCounts {
    fn add_assign(&mut self, more: ThreadHeapCounts) {
        self.allocations += more.allocations;
        self.allocated_bytes += more.allocated_bytes;
    }
}

impl Sub for HeapCounts {
    type Output = HeapSpent;

    /// What was taken between two looks of one thread.
    fn sub(self, earlier: HeapCounts) -> HeapSpent {
        HeapSpent {
            allocations: self.allocations.saturating_sub(earlier.allocations),
            allocated_bytes: self.allocated_bytes.saturating_sub(earlier.allocated_bytes),
            live_growth_bytes: self.live_bytes.wrapping_sub(earlier.live_bytes) as i64,
            thread_allocations: self.thread_allocations.saturating_sub(earlier.thread_allocations),
            thread_allocated_bytes: self
                .thread_allocated_bytes
                .saturating_sub(earlier.thread_allocated_bytes),
        }
    }
}

/// What was taken from the heap between two looks of one thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapSpent {
    /// Allocations of all threads.
    pub allocations: u64,
    /// Bytes of those.
    pub allocated_bytes: u64,
    /// Bytes that are live at the end and were not at the start; negative when more was given back
    /// than taken.
    pub live_growth_bytes: i64,
    /// Allocations of the thread that looked.
    pub thread_allocations: u64,
    /// Bytes of those.
    pub thread_allocated_bytes: u64,
}

impl HeapSpent {
    /// Allocations of all threads but the one that looked: without the load generator's own when it
    /// was the generator.
    pub fn allocations_of_others(&self) -> u64 {
        self.allocations.saturating_sub(self.thread_allocations)
    }

    /// Bytes of [`allocations_of_others`](HeapSpent::allocations_of_others).
    pub fn allocated_bytes_of_others(&self) -> u64 {
        self.allocated_bytes.saturating_sub(self.thread_allocated_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_where_no_allocator_counts() {
        drop(vec![1_u8; 100]);
        assert_eq!((HeapCounts::now(), ThreadHeapCounts::now()), (None, None));
    }

    #[test]
    fn threads_share_lanes_only_once_all_others_are_taken() {
        assert_eq!((lane_of(0), lane_of(OWN_LANES - 1)), (0, OWN_LANES - 1));
        let late: Vec<usize> = (OWN_LANES..OWN_LANES + 3 * SHARED_LANES).map(lane_of).collect();
        assert!(late.iter().all(|&lane| (OWN_LANES..LANES.len()).contains(&lane)));
        assert_eq!(late[0], late[SHARED_LANES]);
    }

    #[test]
    fn a_difference_keeps_the_sign_of_the_level_and_can_leave_out_the_one_who_looked() {
        let before = HeapCounts {
            allocations: 10,
            allocated_bytes: 1_000,
            live_bytes: 600,
            thread_allocations: 2,
            thread_allocated_bytes: 50,
        };
        let after = HeapCounts {
            allocations: 17,
            allocated_bytes: 1_900,
            live_bytes: 200,
            thread_allocations: 5,
            thread_allocated_bytes: 350,
        };
        let spent = after - before;
        assert_eq!(spent.live_growth_bytes, -400);
        assert_eq!((spent.allocations_of_others(), spent.allocated_bytes_of_others()), (4, 600));
    }
}
