//! A cluster on a thread and a runtime of its own, so that one that hangs can be left behind.

use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use protocol_core::{Cluster, LaunchError, LaunchSpec, Protocol};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::machine::{Side, keep_to_cores_of};
use crate::resources::CLUSTER_THREAD;

/// How long a cluster may take to stop before it is left behind.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Why a cluster did not do what it was asked.
#[derive(Debug, Error)]
pub enum HostError {
    /// It did not start.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// It gave no sign of life.
    #[error("{what} did not end within {limit:?}")]
    Hung {
        /// What was asked.
        what: &'static str,
        /// How long it was waited for.
        limit: Duration,
    },
    /// It panicked; the message is on standard error.
    #[error("{what} panicked")]
    Panicked {
        /// What was asked.
        what: &'static str,
    },
    /// The system gave no thread or runtime.
    #[error("no thread for the cluster: {0}")]
    Thread(#[from] std::io::Error),
}

/// A running cluster with its thread. One current-thread runtime: for state machines in memory that
/// is faster than several workers, which wake each other for tiny batches.
pub struct Host {
    cluster: Arc<dyn Cluster>,
    runtime: Handle,
    quit: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    /// Launches a protocol's cluster, within `limit`.
    pub fn launch(protocol: Arc<dyn Protocol>, spec: LaunchSpec, limit: Duration) -> Result<Host, HostError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (quit, quitting) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name(CLUSTER_THREAD.into()).spawn(move || {
            keep_to_cores_of(Side::Cluster);
            runtime.block_on(async { quitting.await.ok() });
            // Tasks that block must not block the end.
            runtime.shutdown_background();
        })?;
        let launched = wait_for(&handle, "launch", limit, async move { protocol.launch(spec).await });
        match launched {
            Ok(Ok(cluster)) => Ok(Host { cluster, runtime: handle, quit: Some(quit), thread: Some(thread) }),
            Ok(Err(error)) => Err(error.into()),
            Err(error) => Err(error),
        }
    }

    /// The cluster.
    pub fn cluster(&self) -> &Arc<dyn Cluster> {
        &self.cluster
    }

    /// The runtime that the cluster lives on.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Runs a future on the cluster's runtime, within `limit`.
    pub fn call<T: Send + 'static>(
        &self,
        what: &'static str,
        limit: Duration,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, HostError> {
        wait_for(&self.runtime, what, limit, future)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let cluster = self.cluster.clone();
        let stopped = self.call("stop", STOP_LIMIT, async move { cluster.stop().await });
        if let Some(quit) = self.quit.take() {
            quit.send(()).ok();
        }
        // A thread that hangs can't be joined; it is left behind, and the process goes on.
        if let (Ok(()), Some(thread)) = (stopped, self.thread.take()) {
            thread.join().ok();
        }
    }
}

fn wait_for<T: Send + 'static>(
    runtime: &Handle,
    what: &'static str,
    limit: Duration,
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T, HostError> {
    let (sender, receiver) = sync_channel(1);
    runtime.spawn(async move { sender.send(future.await).ok() });
    receiver.recv_timeout(limit).map_err(|error| match error {
        RecvTimeoutError::Timeout => HostError::Hung { what, limit },
        RecvTimeoutError::Disconnected => HostError::Panicked { what },
    })
}
