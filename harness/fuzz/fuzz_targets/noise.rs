//! The noise of a machine, which says what may block.
#![no_main]

use consensus_bench_fuzz::promise;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    promise::noise(bytes);
});
