//! The library's runtime in virtual time: the tasks, channels and random numbers of `openraft-rt-sim`,
//! with timers that go through the inbox of the replica that set them.
//!
//! A replica's timers have to wait while it is busy and while it stands still, and run by its own
//! clock, so they are events of the simulation and not of the executor.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use openraft::{AsyncRuntime, OptionalSend};
use openraft_rt_sim::SimRuntime;

use super::instant::VirtualInstant;
use super::world::Here;

/// The library's runtime in virtual time.
#[derive(Debug)]
pub struct VirtualRuntime(SimRuntime);

impl AsyncRuntime for VirtualRuntime {
    type JoinError = <SimRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <SimRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = VirtualSleep;
    type Instant = VirtualInstant;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = VirtualTimeout<T>;
    type ThreadLocalRng = <SimRuntime as AsyncRuntime>::ThreadLocalRng;
    type Mpsc = <SimRuntime as AsyncRuntime>::Mpsc;
    type Watch = <SimRuntime as AsyncRuntime>::Watch;
    type Oneshot = <SimRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <SimRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        SimRuntime::spawn(Here::current().guard(future))
    }

    fn sleep(duration: Duration) -> VirtualSleep {
        Self::sleep_until(<VirtualInstant as openraft::Instant>::now() + duration)
    }

    fn sleep_until(deadline: VirtualInstant) -> VirtualSleep {
        VirtualSleep { here: Here::current(), deadline, timer: None }
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> VirtualTimeout<F> {
        VirtualTimeout { future: Box::pin(future), sleep: Self::sleep(duration) }
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: VirtualInstant,
        future: F,
    ) -> VirtualTimeout<F> {
        VirtualTimeout { future: Box::pin(future), sleep: Self::sleep_until(deadline) }
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        SimRuntime::is_panic(join_error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        SimRuntime::thread_rng()
    }

    fn new(threads: usize) -> Self {
        VirtualRuntime(<SimRuntime as AsyncRuntime>::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }

    fn spawn_blocking<F, T>(f: F) -> impl Future<Output = Result<T, std::io::Error>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        SimRuntime::spawn_blocking(f)
    }
}

/// Waits for a time by the replica's own clock.
pub struct VirtualSleep {
    here: Here,
    deadline: VirtualInstant,
    /// The number of the timer that was set for it.
    timer: Option<u64>,
}

impl Future for VirtualSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let sleep = &mut *self;
        sleep.timer = sleep.here.set_timer(sleep.timer, sleep.deadline.0, context.waker());
        if sleep.timer.is_some() { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for VirtualSleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.here.forget_timer(timer);
        }
    }
}

/// Waits for a future, but not for ever. One that is ready at the deadline is in time.
pub struct VirtualTimeout<F> {
    future: Pin<Box<F>>,
    sleep: VirtualSleep,
}

impl<F: Future> Future for VirtualTimeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(&mut self.sleep).poll(context).map(|()| Err(Elapsed))
    }
}

/// The future was not ready in time.
#[derive(Debug)]
pub struct Elapsed;

impl std::fmt::Display for Elapsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the time is over")
    }
}
