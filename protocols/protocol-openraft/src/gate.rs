//! Lets one replica stand still while the others on the same runtime go on.
//!
//! The library spawns tasks of its own, and those spawn more. Whatever is spawned through its runtime
//! stands behind the gate of the task that spawned it, so that all tasks of a replica stand behind one
//! gate. A closed gate does not poll them: they handle nothing and their timers, though they run out,
//! wake no one.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use openraft::OptionalSend;
use openraft::async_runtime::AsyncRuntime;
use openraft::impls::TokioRuntime;
use tokio::runtime::Handle;

use crate::environment::Tasks;
use crate::network::held;

tokio::task_local! {
    static GATE: Arc<Gate>;
}

/// The gate of one life of one replica.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    closed: AtomicBool,
    /// Tasks that wanted to go on meanwhile.
    waiting: Mutex<Vec<Waker>>,
}

impl Gate {
    /// From now on no task behind the gate is polled; a poll that is under way on another thread ends.
    pub(crate) fn close(&self) {
        self.closed.store(true, Relaxed);
    }

    /// Lets all tasks go on.
    pub(crate) fn open(&self) {
        let waiting = {
            let mut waiting = held(&self.waiting);
            self.closed.store(false, Relaxed);
            std::mem::take(&mut *waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    /// Puts a future behind this gate, with all that it spawns through the library's runtime.
    pub(crate) fn guard<T: Future>(self: &Arc<Self>, future: T) -> impl Future<Output = T::Output> + use<T> {
        let gate = self.clone();
        GATE.scope(self.clone(), async move {
            let mut future = pin!(future);
            std::future::poll_fn(move |context| match gate.pass(context) {
                Poll::Ready(()) => future.as_mut().poll(context),
                Poll::Pending => Poll::Pending,
            })
            .await
        })
    }

    fn pass(&self, context: &Context<'_>) -> Poll<()> {
        if !self.is_closed() {
            return Poll::Ready(());
        }
        let mut waiting = held(&self.waiting);
        // It may have been opened in between, and no one would wake this task.
        if !self.is_closed() {
            return Poll::Ready(());
        }
        if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            waiting.push(context.waker().clone());
        }
        Poll::Pending
    }
}

/// Where the tasks of one life of a replica run.
#[derive(Debug)]
pub struct GatedTasks {
    runtime: Handle,
    /// They stand behind it.
    pub(crate) gate: Arc<Gate>,
}

impl GatedTasks {
    /// Tasks on the current runtime, behind a gate that is open.
    pub(crate) fn on_current_runtime() -> Self {
        GatedTasks { runtime: Handle::current(), gate: Arc::default() }
    }
}

impl Tasks for GatedTasks {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(self.gate.guard(task));
    }
}

/// The library's runtime: tokio's, with tasks behind the gate of whoever spawns them.
#[derive(Debug)]
pub struct GatedRuntime(TokioRuntime);

impl AsyncRuntime for GatedRuntime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = <TokioRuntime as AsyncRuntime>::Instant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = <TokioRuntime as AsyncRuntime>::ThreadLocalRng;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = <TokioRuntime as AsyncRuntime>::Watch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        match GATE.try_with(Arc::clone) {
            Ok(gate) => TokioRuntime::spawn(gate.guard(future)),
            // The bare library is not paused.
            Err(_) => TokioRuntime::spawn(future),
        }
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(join_error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        TokioRuntime::thread_rng()
    }

    fn new(threads: usize) -> Self {
        GatedRuntime(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    /// Counts what a task, and one that it spawned, handle.
    #[tokio::test]
    async fn a_closed_gate_stops_a_task_and_what_it_spawned_and_no_one_else() {
        let gate = Arc::new(Gate::default());
        let (post, mut inbox) = mpsc::unbounded_channel::<u32>();
        let (pass_on, mut passed_on) = mpsc::unbounded_channel();
        let (report, mut reports) = mpsc::unbounded_channel();
        let parent = tokio::spawn(gate.guard(async move {
            let child = GatedRuntime::spawn(async move {
                while let Some(number) = passed_on.recv().await {
                    report.send(number).unwrap();
                }
            });
            while let Some(number) = inbox.recv().await {
                pass_on.send(number).unwrap();
            }
            drop(pass_on);
            child.await.unwrap();
        }));
        let free = GatedRuntime::spawn(async { 7 });
        post.send(1).unwrap();
        assert_eq!(reports.recv().await, Some(1));

        gate.close();
        post.send(2).unwrap();
        assert_eq!(free.await.unwrap(), 7, "other tasks go on");
        // Each yield lets every task that is ready run once.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(reports.try_recv().is_err());
        assert_eq!(held(&gate.waiting).len(), 1, "the task was woken, and once is enough");

        gate.open();
        assert_eq!(reports.recv().await, Some(2));
        drop(post);
        parent.await.unwrap();
    }

    #[tokio::test]
    async fn a_child_woken_behind_a_closed_gate_waits_too() {
        let gate = Arc::new(Gate::default());
        let (post, mut inbox) = mpsc::unbounded_channel::<u32>();
        let (report, mut reports) = mpsc::unbounded_channel();
        let parent = tokio::spawn(gate.guard(async move {
            GatedRuntime::spawn(async move {
                while let Some(number) = inbox.recv().await {
                    report.send(number).unwrap();
                }
            });
        }));
        parent.await.unwrap();
        gate.close();
        post.send(1).unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(reports.try_recv().is_err());
        gate.open();
        assert_eq!(reports.recv().await, Some(1));
    }
}
