//! How long requests wait for others, and the thread that ends the wait: tokio's timers are a millisecond
//! coarse, and a linger is often a tenth of that.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::network::DelayLine;
use crate::replica::{ReplicaId, Time};

type Wake = dyn Fn(ReplicaId) + Send + Sync;

/// The linger of all replicas of a cluster.
pub(super) struct Linger {
    ns: AtomicU64,
    epoch: Instant,
    line: OnceLock<DelayLine<ReplicaId>>,
    wake: Arc<Wake>,
}

impl Linger {
    /// A linger of so many microseconds; `wake` has a replica look at its requests again. There is no thread
    /// as long as nothing lingers.
    pub(super) fn start(
        us: f64,
        epoch: Instant,
        wake: impl Fn(ReplicaId) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let wake: Arc<Wake> = Arc::new(wake);
        let linger = Linger { ns: AtomicU64::new(0), epoch, line: OnceLock::new(), wake };
        linger.set(us)?;
        Ok(linger)
    }

    /// Changes it. Requests that wait already keep to the time before.
    pub(super) fn set(&self, us: f64) -> std::io::Result<()> {
        let ns = (us * 1e3) as u64;
        if ns > 0 && self.line.get().is_none() {
            let wake = self.wake.clone();
            // Whoever loses a race for the place drops a thread that has nothing to do.
            self.line.set(DelayLine::start(self.epoch, move |id| wake(id))?).ok();
        }
        self.ns.store(ns, Relaxed);
        Ok(())
    }

    /// How long requests wait.
    pub(super) fn time(&self) -> Duration {
        Duration::from_nanos(self.ns.load(Relaxed))
    }

    /// Wakes a replica then.
    pub(super) fn wake(&self, id: ReplicaId, at: Time) {
        if let Some(line) = self.line.get() {
            line.hold(at.0, id);
        }
    }
}
