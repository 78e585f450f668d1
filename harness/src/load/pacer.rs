//! Sleeps until exact instants. On Linux by an absolute `clock_nanosleep` with a timer slack of
//! 1 ns, elsewhere by the standard library's sleep, which is coarser.
//!
//! A pacer never spins: on two cores a spinning generator takes from the system it measures.

use std::time::{Duration, Instant};

/// The sleeping side of a load generator; belongs to the thread that made it.
#[derive(Debug)]
pub struct Pacer {
    epoch: Instant,
    #[cfg(target_os = "linux")]
    epoch_on_monotonic: Duration,
}

impl Pacer {
    /// A pacer whose offsets count from now. Makes this thread's timers fine.
    pub fn start() -> Self {
        #[cfg(target_os = "linux")]
        {
            // Refused only by seccomp; then sleeps are 50 µs coarser and lateness shows it.
            rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)).ok();
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
            Pacer {
                epoch: Instant::now(),
                epoch_on_monotonic: Duration::new(now.tv_sec as u64, now.tv_nsec as u32),
            }
        }
        #[cfg(not(target_os = "linux"))]
        Pacer { epoch: Instant::now() }
    }

    /// The instant that offsets count from.
    pub fn epoch(&self) -> Instant {
        self.epoch
    }

    /// Nanoseconds since the epoch.
    pub fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// Returns at `offset_ns` after the epoch, or at once when that is past.
    pub fn sleep_until(&self, offset_ns: u64) {
        if offset_ns <= self.now_ns() {
            return;
        }
        self.sleep(offset_ns);
    }

    #[cfg(target_os = "linux")]
    fn sleep(&self, offset_ns: u64) {
        let due = self.epoch_on_monotonic + Duration::from_nanos(offset_ns);
        let due =
            rustix::time::Timespec { tv_sec: due.as_secs() as i64, tv_nsec: i64::from(due.subsec_nanos()) };
        // A signal ends the sleep early; sleeping on to the same instant costs nothing.
        while rustix::thread::clock_nanosleep_absolute(rustix::thread::ClockId::Monotonic, &due)
            == Err(rustix::io::Errno::INTR)
        {}
    }

    #[cfg(not(target_os = "linux"))]
    fn sleep(&self, offset_ns: u64) {
        let due = self.epoch + Duration::from_nanos(offset_ns);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}
