//! Looks at the stack of whichever thread runs, so many times per second of CPU time, from start to stop.
//!
//! A timer that runs with the CPU time of the process interrupts one of its threads (pprof). The kernel looks
//! at this timer only at its own clock tick, often 250 times a second, whatever is asked for; so the samples
//! that came are held against the CPU time that the kernel counted, and each stands for its part of that.

use std::time::Instant;

use pprof::protos::Message;
use pprof::{Frames, ProfilerGuard, ProfilerGuardBuilder, Report, Symbol};
use thiserror::Error;

use super::{Frame, Origin, Stack};
use crate::machine::{CpuTimes, run_delay_ns};
use crate::measure::RUN_DELAY_AT_MOST;

/// Samples per CPU second that are asked for. Prime, so that nothing periodic is seen at its own pace.
const ASKED_PER_S: i32 = 997;
/// A stack inside of the unwinder can't be unwound: it may hold the lock that the unwinder waits for.
const NOT_LOOKED_AT: [&str; 1] = ["libgcc"];

/// Crates that the signal's handler is made of.
const PROFILER: [&str; 2] = ["backtrace", "pprof"];

/// Why there are no samples.
#[derive(Debug, Error)]
pub enum SamplingError {
    /// The profiler did not start or stop.
    #[error("no profile: {0}")]
    Profiler(#[from] pprof::Error),
}

/// Sampling that goes on until it is stopped or dropped. There is one at a time in a process.
pub struct Sampling {
    guard: ProfilerGuard<'static>,
    started: Instant,
    cpu: Option<CpuTimes>,
    run_delay_ns: Option<u64>,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// The stacks, each once per thread.
    pub stacks: Vec<Stack>,
    /// Samples per CPU second that were asked for.
    pub asked_per_s: f64,
    /// CPU time of the process meanwhile, in seconds; none where the system does not tell.
    pub cpu_s: Option<f64>,
    /// Time that passed, in seconds.
    pub wall_s: f64,
    /// Why the profile is not to be trusted; empty when nothing disturbed it.
    pub disturbed: Vec<String>,
    /// The same in pprof's own encoding, with addresses of lines.
    pub encoded: Vec<u8>,
}

impl Sampling {
    /// Starts.
    pub fn start() -> Result<Sampling, SamplingError> {
        let guard =
            ProfilerGuardBuilder::default().frequency(ASKED_PER_S).blocklist(&NOT_LOOKED_AT).build()?;
        Ok(Sampling { guard, started: Instant::now(), cpu: CpuTimes::now(), run_delay_ns: run_delay_ns() })
    }

    /// Stops, and finds names for what was seen.
    pub fn stop(self) -> Result<Samples, SamplingError> {
        let cpu = CpuTimes::now().zip(self.cpu).map(|(now, before)| now - before);
        let wall_s = self.started.elapsed().as_secs_f64();
        let waited =
            run_delay_ns().zip(self.run_delay_ns).map(|(after, before)| after.saturating_sub(before));
        let report = self.guard.report().frames_post_processor(leave_out_the_profiler).build()?;
        Ok(Samples {
            stacks: stacks(&report),
            asked_per_s: f64::from(ASKED_PER_S),
            cpu_s: cpu.map(|cpu| cpu.process_ns as f64 / 1e9),
            wall_s,
            disturbed: waited
                .and_then(|waited| disturbance(waited as f64 / 1e9 / wall_s))
                .into_iter()
                .collect(),
            encoded: report.pprof()?.encode_to_vec(),
        })
    }
}

/// A process that has to wait for cores shares their caches too, and so its costs are not its own.
fn disturbance(run_delay: f64) -> Option<String> {
    (run_delay > RUN_DELAY_AT_MOST).then(|| {
        format!("threads waited for a core during {:.1} % of the time (limit 2 %)", run_delay * 100.0)
    })
}

/// The stacks in an order of their own: pprof keeps them in a hash map.
fn stacks(report: &Report) -> Vec<Stack> {
    let stack = |(frames, samples): (&Frames, &isize)| Stack {
        thread: frames.thread_name_or_id(),
        frames: frames.frames.iter().flatten().map(frame).collect(),
        samples: u64::try_from(*samples).unwrap_or(0),
    };
    let mut stacks: Vec<Stack> = report.data.iter().map(stack).collect();
    stacks.sort();
    stacks
}

/// Each stack begins inside of the profiler, which was called in the middle of what it looks at. Some of that
/// is gone already; what is left depends on what the compiler inlined.
fn leave_out_the_profiler(seen: &mut Frames) {
    let frames = |symbols: &Vec<Symbol>| symbols.iter().map(frame).collect::<Vec<_>>();
    let is_profiler = |frame: &Frame| PROFILER.contains(&Origin::of(frame).krate);
    let serves_all = |frame: &Frame| Origin::of(frame).is_standard() || Origin::of(frame).krate.is_empty();
    let inner = seen.frames.iter().map(frames);
    let inner: Vec<_> = inner
        .take_while(|frames| frames.iter().all(|frame| is_profiler(frame) || serves_all(frame)))
        .collect();
    if let Some(last) = inner.iter().rposition(|frames| frames.iter().any(is_profiler)) {
        seen.frames.drain(..=last);
    }
}

fn frame(symbol: &Symbol) -> Frame {
    let file = symbol.filename.as_ref().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    let function = if symbol.name.is_some() { symbol.name() } else { String::new() };
    Frame { function, file }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::hint::black_box;
    use std::process::Command;

    use super::*;

    /// What the profiler has to find. It uses so much CPU time, however long that takes.
    #[inline(never)]
    fn spin_for_the_profiler(cpu_ns: u64) -> u64 {
        let mut sum = 0_u64;
        while CpuTimes::now().is_some_and(|times| times.thread_ns < cpu_ns) {
            sum = (0..1_000_u64).fold(sum, |sum, step| black_box(sum.wrapping_mul(31) ^ step));
        }
        sum
    }

    fn is_profilers(frame: &Frame) -> bool {
        PROFILER.contains(&Origin::of(frame).krate)
    }

    /// The system tells some thread of the process of each tick, so the test starts itself again, without others.
    #[test]
    fn a_busy_function_is_found_with_its_file_its_thread_and_its_cpu_time() {
        const ALONE: &str = "CONSENSUS_BENCH_TEST_ALONE";
        const NAME: &str =
            "profile::sampling::tests::a_busy_function_is_found_with_its_file_its_thread_and_its_cpu_time";
        if std::env::var_os(ALONE).is_none() {
            let mut alone = Command::new(std::env::current_exe().unwrap());
            let output = alone.args(["--exact", NAME]).env(ALONE, "1").output().unwrap();
            let told = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && told.contains("1 passed"), "{told}");
            return;
        }
        let sampling = Sampling::start().unwrap();
        assert!(Sampling::start().is_err(), "two samplings at once");
        let busy = std::thread::Builder::new().name("busy".into());
        let busy = busy.spawn(|| spin_for_the_profiler(400_000_000)).unwrap();
        black_box(busy.join().unwrap());
        let samples = sampling.stop().unwrap();

        let of_busy: Vec<&Stack> = samples.stacks.iter().filter(|stack| stack.thread == "busy").collect();
        let all: u64 = of_busy.iter().map(|stack| stack.samples).sum();
        let is_it = |frame: &Frame| {
            frame.function.ends_with("spin_for_the_profiler")
                && frame.file.ends_with("src/profile/sampling.rs")
        };
        let found: u64 =
            of_busy.iter().filter(|stack| stack.frames.iter().any(is_it)).map(|stack| stack.samples).sum();
        let begins_there = |stack: &&&Stack| stack.frames.first().is_some_and(|inner| !is_profilers(inner));
        assert_eq!(of_busy.iter().filter(begins_there).count(), of_busy.len(), "{of_busy:?}");
        // At least a tick of 100 Hz, of which the thread's own start is next to nothing.
        assert!(all >= 20 && found * 10 >= all * 9, "{found} of {all}: {of_busy:?}");
        assert!(samples.cpu_s.unwrap() >= 0.4 && samples.wall_s > 0.0);
        let decoded = pprof::protos::Profile::decode(&samples.encoded[..]).unwrap();
        assert_eq!(decoded.sample.len(), samples.stacks.len());
        // A later one starts afresh.
        let none = Sampling::start().unwrap().stop().unwrap();
        assert!(none.stacks.iter().all(|stack| stack.thread != "busy"));
    }
}
