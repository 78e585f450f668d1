//! The machine: what it is, and what the kernel says about this process.

#[cfg(target_os = "linux")]
pub(crate) mod proc_file;
mod threads;

use std::fs::OpenOptions;
use std::io::Write;
use std::ops::Sub;
use std::path::Path;
use std::time::Instant;

use hdrhistogram::Histogram;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

pub use threads::{ThreadTimes, Threads};

use crate::results::{FsyncCalibration, Machine};

/// Flushes of one calibration.
const CALIBRATION_FLUSHES: u64 = 40;
/// A flush that takes longer counts as this.
const LONGEST_FLUSH_NS: u64 = 60_000_000_000;

/// CPU time spent, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTimes {
    /// By all threads of this process.
    pub process_ns: u64,
    /// By the calling thread.
    pub thread_ns: u64,
}

impl CpuTimes {
    /// Reads both clocks; none where the system does not tell.
    #[cfg(target_os = "linux")]
    pub fn now() -> Option<Self> {
        use rustix::time::{ClockId, clock_gettime};
        let nanos = |clock| {
            let time = clock_gettime(clock);
            time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
        };
        Some(CpuTimes {
            process_ns: nanos(ClockId::ProcessCPUTime),
            thread_ns: nanos(ClockId::ThreadCPUTime),
        })
    }

    /// Reads both clocks; none where the system does not tell.
    #[cfg(not(target_os = "linux"))]
    pub fn now() -> Option<Self> {
        None
    }
}

impl CpuTimes {
    /// By all threads but the calling one. The two clocks are read one after the other, so what others spent
    /// may come out a little too small, and never below nothing.
    pub fn others_ns(self) -> u64 {
        self.process_ns.saturating_sub(self.thread_ns)
    }
}

impl Sub for CpuTimes {
    type Output = CpuTimes;

    fn sub(self, earlier: CpuTimes) -> CpuTimes {
        CpuTimes {
            process_ns: self.process_ns.saturating_sub(earlier.process_ns),
            thread_ns: self.thread_ns.saturating_sub(earlier.thread_ns),
        }
    }
}

/// Nanoseconds that this process's threads were ready to run and had no core; none where the system
/// does not tell. The best sign of a disturbed run.
pub fn run_delay_ns() -> Option<u64> {
    let mut threads = Threads::default();
    let times = threads.read(None);
    (!times.is_empty()).then(|| times.iter().map(|times| times.run_delay_ns).sum())
}

/// Whose thread a thread is, where there are cores enough to keep the two apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The load generator, alone on the last core.
    Generator,
    /// The system under test, on all other cores; threads it starts stay there too.
    Cluster,
}

/// Keeps the calling thread to its side's cores. Without it the kernel likes to wake the cluster on
/// the core of the generator that woke it, where it waits until the generator sleeps. Does nothing
/// with a single core, or where the system has no such call.
pub fn keep_to_cores_of(side: Side) {
    #[cfg(target_os = "linux")]
    {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
        let Ok(mut allowed) = sched_getaffinity(None) else { return };
        let Some(last) = (0..CpuSet::MAX_CPU).rev().find(|&core| allowed.is_set(core)) else { return };
        if allowed.count() < 2 {
            return;
        }
        match side {
            Side::Cluster => allowed.unset(last),
            Side::Generator => {
                allowed.clear();
                allowed.set(last);
            }
        }
        // Refused only by seccomp; then the run is as it was, and its run delay tells.
        sched_setaffinity(None, &allowed).ok();
    }
    #[cfg(not(target_os = "linux"))]
    let _ = side;
}

/// Describes this machine.
pub fn describe() -> Machine {
    let parts = RefreshKind::nothing()
        .with_cpu(CpuRefreshKind::nothing())
        .with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(parts);
    let unknown = || "unknown".to_string();
    let mut machine = Machine {
        fingerprint: String::new(),
        cpu_model: system.cpus().first().map_or_else(unknown, |cpu| cpu.brand().trim().to_string()),
        cores: system.cpus().len(),
        memory_bytes: system.total_memory(),
        os: System::long_os_version().unwrap_or_else(unknown),
        kernel: System::kernel_version().unwrap_or_else(unknown),
        rustc: env!("CONSENSUS_BENCH_RUSTC").to_string(),
    };
    machine.fingerprint = fingerprint(&machine);
    machine
}

/// FNV-1a over what decides wall-clock numbers, as twelve hex digits.
fn fingerprint(machine: &Machine) -> String {
    short_digest(&format!("{}|{}|{}|{}", machine.cpu_model, machine.cores, machine.kernel, machine.rustc))
}

/// Twelve digits that tell texts apart (FNV-1a, its upper bits).
pub(crate) fn short_digest(identity: &str) -> String {
    let digest = identity.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{:012x}", digest >> 16)
}

/// Times small appends with `fdatasync` in a folder, in a file that is removed again.
pub fn calibrate_fsync(folder: &Path) -> std::io::Result<FsyncCalibration> {
    let path = folder.join("fsync-calibration");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let mut times =
        Histogram::<u64>::new_with_bounds(1, LONGEST_FLUSH_NS, 3).map_err(std::io::Error::other)?;
    for _ in 0..CALIBRATION_FLUSHES {
        let started = Instant::now();
        file.write_all(&[0; 256])?;
        file.sync_data()?;
        times.saturating_record(started.elapsed().as_nanos() as u64);
    }
    drop(file);
    std::fs::remove_file(path)?;
    Ok(FsyncCalibration {
        p50_ns: times.value_at_quantile(0.5),
        p99_ns: times.value_at_quantile(0.99),
        n: CALIBRATION_FLUSHES,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_the_same_each_time_and_knows_its_cores() {
        let machine = describe();
        assert_eq!(machine, describe());
        assert!(machine.cores > 0 && machine.fingerprint.len() == 12);
    }

    #[test]
    fn a_flush_takes_longer_than_a_clock_can_tell_apart() {
        let folder = tempfile::tempdir().unwrap();
        let fsync = calibrate_fsync(folder.path()).unwrap();
        // A system call alone takes longer than this.
        assert!(fsync.p50_ns > 50 && fsync.p99_ns >= fsync.p50_ns && fsync.n == CALIBRATION_FLUSHES);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn cpu_time_grows_with_work() {
        let before = CpuTimes::now().unwrap();
        let mut sum = 0u64;
        while (CpuTimes::now().unwrap() - before).thread_ns < 1_000_000 {
            sum = std::hint::black_box(sum + 1);
        }
        assert!((CpuTimes::now().unwrap() - before).process_ns >= 1_000_000);
        assert!(run_delay_ns().is_some());
    }
}
