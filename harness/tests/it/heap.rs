//! The counting allocator, in a program that has it.

use std::sync::mpsc::{channel, sync_channel};

use consensus_bench::resources::{CountingAllocator, HeapCounts};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn now() -> HeapCounts {
    HeapCounts::now().unwrap()
}

#[test]
fn each_way_to_take_memory_is_counted_once_for_the_thread_that_took_it() {
    let before = now();
    let boxed = Box::new([7_u8; 100]);
    let zeroed = vec![0_u8; 1_000];
    let mut grown: Vec<u8> = Vec::with_capacity(10);
    grown.reserve_exact(500);
    let spent = now() - before;
    assert_eq!(spent.thread_allocations, 4, "growing is an allocation of the new size");
    assert_eq!(spent.thread_allocated_bytes, 100 + 1_000 + 10 + 500);
    assert!(spent.allocations >= 4 && spent.allocated_bytes >= 1_610);
    drop((boxed, zeroed, grown));
    assert_eq!((now() - before).thread_allocations, 4, "giving back is no allocation");
}

#[test]
fn other_threads_count_for_the_process_and_not_for_this_one() {
    const BLOCKS: u64 = 1_000;
    let before = now();
    let (ask, asked) = sync_channel::<()>(0);
    let (answer, answered) = channel();
    let other = std::thread::spawn(move || {
        asked.recv().unwrap();
        let blocks: Vec<Vec<u8>> = (0..BLOCKS).map(|_| vec![0; 4_096]).collect();
        answer.send(blocks).unwrap();
    });
    let waiting = now();
    ask.send(()).unwrap();
    let blocks = answered.recv().unwrap();
    other.join().unwrap();
    let spent = now() - waiting;
    assert!(spent.allocations_of_others() >= BLOCKS);
    assert!(spent.allocated_bytes_of_others() >= BLOCKS * 4_096);
    assert!(spent.thread_allocations < BLOCKS);

    // Of these blocks this thread takes none and gives back all: the level falls all the same. Other
    // tests take and give back at the same time, but far less than this, which nobody touches.
    let big: Vec<u8> = std::thread::spawn(|| vec![0; 1 << 30]).join().unwrap();
    let full = now();
    drop(big);
    let freed = now() - full;
    assert!(freed.live_growth_bytes < -(1 << 29), "{freed:?}");
    drop(blocks);
    assert!(now().live_bytes < now().allocated_bytes && before.live_bytes > 0);
}
