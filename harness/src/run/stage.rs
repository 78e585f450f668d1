//! A cluster on stage: launched for a scenario, with its logs in a folder that goes when it goes.
//! Whatever is asked of the cluster has a limit, so that an adapter that hangs or panics ends one
//! measurement and not the run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use protocol_core::{Cluster, Fault, FaultError, Observation};
use tempfile::TempDir;
use tokio::runtime::Handle;

use super::{Limits, Pair, RunError};
use crate::host::{Host, HostError};
use crate::machine::calibrate_fsync;
use crate::results::{FsyncCalibration, Safety};
use crate::safety::{Claims, settle_and_check, stopped};
use crate::scenario::{Scenario, StorageConfig};

/// A launched cluster. Dropping it stops the cluster and removes its logs.
pub struct Stage {
    // Before the logs: fields are dropped in this order.
    host: Host,
    limits: Limits,
    fsync: Option<FsyncCalibration>,
    _logs: TempDir,
}

impl Stage {
    /// Launches the pair's protocol for a scenario, which may differ from the pair's own in size.
    /// Logs are kept in a new folder below `folder`.
    pub fn launch(pair: &Pair, scenario: &Scenario, folder: &Path) -> Result<Stage, RunError> {
        let logs = tempfile::Builder::new()
            .prefix("logs-")
            .tempdir_in(folder)
            .map_err(io("folder for logs in", folder))?;
        let fsync = match scenario.storage {
            StorageConfig::Memory => None,
            StorageConfig::Wal => Some(calibrate_fsync(logs.path()).map_err(io("fsync in", logs.path()))?),
        };
        let spec = pair.launch_spec(scenario, logs.path())?;
        let host = Host::launch(pair.protocol.clone(), spec, pair.limits.start)?;
        Ok(Stage { host, limits: pair.limits, fsync, _logs: logs })
    }

    /// The cluster, for what returns at once.
    pub fn cluster(&self) -> &Arc<dyn Cluster> {
        self.host.cluster()
    }

    /// The runtime that the cluster lives on.
    pub fn runtime(&self) -> &Handle {
        self.host.runtime()
    }

    /// What one flush costs where the logs are; none without logs.
    pub fn fsync(&self) -> Option<FsyncCalibration> {
        self.fsync
    }

    /// A look at the cluster.
    pub fn observe(&self) -> Result<Observation, RunError> {
        let cluster = self.cluster().clone();
        Ok(self.host.call("observe", self.limits.grace, async move { cluster.observe() })?)
    }

    /// Gives a fault.
    pub fn inject(&self, fault: Fault) -> Result<Result<(), FaultError>, RunError> {
        let cluster = self.cluster().clone();
        Ok(self.host.call("inject", self.limits.grace, async move { cluster.inject(fault).await })?)
    }

    /// Waits until live replicas stand at the same point, and checks what they applied.
    pub fn check(&self, claims: Claims) -> Result<Safety, RunError> {
        let check = settle_and_check(self.cluster().clone(), claims, self.limits.settle);
        Ok(self.host.call("safety check", self.limits.settle + self.limits.grace, check)?)
    }

    /// Runs a future on the cluster's runtime, within `limit`.
    pub fn call<T: Send + 'static>(
        &self,
        what: &'static str,
        limit: Duration,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, RunError> {
        Ok(self.host.call(what, limit, future)?)
    }

    /// Starts the load on a thread of its own; [`wait`](Load::wait) gives what it recorded.
    pub fn start_load<T: Send + 'static>(
        &self,
        load: impl FnOnce(&Arc<dyn Cluster>) -> Result<T, RunError> + Send + 'static,
    ) -> Result<Load<T>, RunError> {
        let (sender, receiver) = sync_channel(1);
        let cluster = self.cluster().clone();
        std::thread::Builder::new()
            .name("load".into())
            .spawn(move || sender.send(load(&cluster)).ok())
            .map_err(HostError::Thread)?;
        Ok(Load { receiver })
    }

    /// The error to report when the load ended with one: a replica that gave up is the cause,
    /// whatever the load noticed of it.
    pub fn cause_of(&self, error: RunError) -> RunError {
        self.replica_stopped().unwrap_or(error)
    }

    /// Whether a replica gave up, and why.
    pub fn replica_stopped(&self) -> Option<RunError> {
        stopped(&self.observe().ok()?).map(RunError::ReplicaStopped)
    }
}

/// A load that runs.
pub struct Load<T> {
    receiver: std::sync::mpsc::Receiver<Result<T, RunError>>,
}

impl<T> Load<T> {
    /// Waits for the load's end, no longer than `limit`.
    pub fn wait(self, limit: Duration) -> Result<T, RunError> {
        match self.receiver.recv_timeout(limit) {
            Ok(record) => record,
            Err(RecvTimeoutError::Timeout) => Err(RunError::LoadHung(limit)),
            Err(RecvTimeoutError::Disconnected) => Err(HostError::Panicked { what: "load" }.into()),
        }
    }
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> RunError {
    let path: PathBuf = path.into();
    move |source| RunError::Io { what, path, source }
}
