//! Holds messages back until they are due, to within tens of microseconds.
//!
//! Tokio's timers are a millisecond coarse, which would turn a 0.25 ms link into a 2 ms round trip;
//! so one thread per network waits on a channel with a deadline instead.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// One held item, ordered by when it is due and then by when it came.
struct Held<T> {
    due: u64,
    sequence: u64,
    item: T,
}

impl<T> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.due, self.sequence) == (other.due, other.sequence)
    }
}

impl<T> Eq for Held<T> {}

impl<T> PartialOrd for Held<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Held<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.sequence).cmp(&(other.due, other.sequence))
    }
}

/// A thread that passes items on when they are due. Ends when dropped; what it holds is lost.
pub(crate) struct DelayLine<T> {
    queue: Option<Sender<(u64, T)>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> DelayLine<T> {
    /// `release` gets every item once its due time (nanoseconds since `epoch`) has come.
    #[allow(clippy::disallowed_methods, reason = "a thread of the real-time network, not a replica")]
    pub(crate) fn start(epoch: Instant, release: impl FnMut(T) + Send + 'static) -> std::io::Result<Self> {
        let (queue, incoming) = channel();
        let thread = std::thread::Builder::new()
            .name("delay-line".into())
            .spawn(move || run(epoch, &incoming, release))?;
        Ok(DelayLine { queue: Some(queue), thread: Some(thread) })
    }

    /// Holds `item` until `due`.
    pub(crate) fn hold(&self, due: u64, item: T) {
        if let Some(queue) = &self.queue {
            queue.send((due, item)).ok();
        }
    }
}

impl<T> Drop for DelayLine<T> {
    fn drop(&mut self) {
        self.queue = None;
        // The last handle may be dropped inside `release`, on the line's own thread.
        match self.thread.take() {
            Some(thread) if thread.thread().id() != std::thread::current().id() => {
                thread.join().ok();
            }
            _ => {}
        }
    }
}

fn run<T>(epoch: Instant, incoming: &Receiver<(u64, T)>, mut release: impl FnMut(T)) {
    fine_timers();
    let mut held = BinaryHeap::new();
    let mut sequence = 0;
    loop {
        let now = epoch.elapsed().as_nanos() as u64;
        while held.peek().is_some_and(|Reverse(first): &Reverse<Held<T>>| first.due <= now) {
            if let Some(Reverse(first)) = held.pop() {
                release(first.item);
            }
        }
        let next = match held.peek() {
            Some(Reverse(first)) => {
                let wait = first.due.saturating_sub(epoch.elapsed().as_nanos() as u64);
                match incoming.recv_timeout(Duration::from_nanos(wait)) {
                    Ok(next) => next,
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            None => match incoming.recv() {
                Ok(next) => next,
                Err(_) => return,
            },
        };
        for (due, item) in std::iter::once(next).chain(incoming.try_iter()) {
            sequence += 1;
            held.push(Reverse(Held { due, sequence, item }));
        }
    }
}

/// Asks the kernel not to round this thread's sleeps up by its default 50 µs.
fn fine_timers() {
    #[cfg(target_os = "linux")]
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)).ok();
}
