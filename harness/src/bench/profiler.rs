//! `--profile-time` for Criterion, by pprof: a flame graph and a protobuf profile per benchmark.

use std::fs::File;
use std::path::Path;

use criterion::profiler::Profiler;
use pprof::protos::Message;
use pprof::{ProfilerGuard, ProfilerGuardBuilder};

/// Samples per second asked for; the kernel's clock tick caps what it gives, often near 250.
const HERTZ: i32 = 997;

/// Samples the whole process by CPU time. Waits are not seen.
#[derive(Default)]
pub struct PprofProfiler {
    running: Option<ProfilerGuard<'static>>,
}

impl Profiler for PprofProfiler {
    fn start_profiling(&mut self, id: &str, _folder: &Path) {
        match ProfilerGuardBuilder::default().frequency(HERTZ).build() {
            Ok(guard) => self.running = Some(guard),
            Err(error) => eprintln!("{id}: no profile: {error}"),
        }
    }

    fn stop_profiling(&mut self, id: &str, folder: &Path) {
        let Some(guard) = self.running.take() else { return };
        match write(&guard, folder) {
            Ok(()) => println!("{id}: profile in {}", folder.display()),
            Err(error) => eprintln!("{id}: profile in {}: {error}", folder.display()),
        }
    }
}

fn write(guard: &ProfilerGuard<'_>, folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(folder)?;
    let report = guard.report().build()?;
    report.flamegraph(File::create(folder.join("flamegraph.svg"))?)?;
    std::fs::write(folder.join("profile.pb"), report.pprof()?.encode_to_vec())?;
    Ok(())
}
