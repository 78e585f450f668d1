//! Runs every workload once without valgrind, checks it, and prints as JSON how many operations it has and what
//! they take from the heap. Instruction counts are of the whole run: here is what to divide them by.

use std::collections::BTreeMap;
use std::process::ExitCode;

use consensus_bench::exit::{EXIT_TOOL, EXIT_UNSAFE};
use consensus_bench::gate::instructions::{Counted, Per};
use consensus_bench::resources::{CountingAllocator, ThreadHeapCounts};
use consensus_bench_instructions::{names, prepare};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    let mut rows = BTreeMap::new();
    for (name, per) in names() {
        match run(name, per) {
            Ok(row) => rows.insert(name, row),
            Err(what) => {
                eprintln!("{name}: {what}: its counts are withheld");
                return EXIT_UNSAFE.into();
            }
        };
    }
    match serde_json::to_string_pretty(&rows) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("the counts can't be written: {error}");
            EXIT_TOOL.into()
        }
    }
}

fn run(name: &'static str, per: Per) -> Result<Counted, String> {
    let mut workload = prepare(name)?;
    let before = ThreadHeapCounts::now().ok_or("the heap is not counted")?;
    let operations = workload.run();
    let after = ThreadHeapCounts::now().ok_or("the heap is not counted")?;
    workload.check()?;
    let ThreadHeapCounts { allocations, allocated_bytes } = after - before;
    Ok(Counted { per, operations, allocations, allocated_bytes })
}
