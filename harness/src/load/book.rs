//! The clients' book: every request that was sent, until it was answered or given up, and what was
//! recorded about it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use protocol_core::{Answers, CommandId, Committed, IdSet, Phases, SubmitError};

use super::PartTimes;

/// Significant decimal digits of every histogram.
const PRECISION: u8 = 3;

/// What happened to requests in one window of time.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// From intended to answered. A request that failed counts with the time until that was known,
    /// so that failing can't make a percentile look better.
    pub response: Histogram<u64>,
    /// From sent to answered, of those that succeeded.
    pub service: Histogram<u64>,
    /// Sum of those, exact.
    pub service_total_ns: u64,
    /// From intended to sent.
    pub queue_delay: Histogram<u64>,
    /// Where the service time went.
    pub parts: PartTimes,
    /// Requests sent.
    pub sent: u64,
    /// Requests acknowledged.
    pub succeeded: u64,
    /// Requests refused or lost.
    pub refused: u64,
    /// Requests that got no answer in time.
    pub timed_out: u64,
    /// Requests not sent because too many were in flight.
    pub shed: u64,
    /// Answers to requests already given up.
    pub late: u64,
}

impl Recorder {
    /// An empty recorder for times up to twice `timeout`; longer ones count as that.
    pub fn new(timeout: Duration) -> Self {
        let highest = (timeout.as_nanos() as u64).saturating_mul(2).max(1_000_000);
        let histogram = || match Histogram::new_with_bounds(1, highest, PRECISION) {
            Ok(histogram) => histogram,
            Err(error) => unreachable!("bounds 1 to {highest} are valid: {error}"),
        };
        Recorder {
            response: histogram(),
            service: histogram(),
            service_total_ns: 0,
            queue_delay: histogram(),
            parts: PartTimes::new(highest),
            sent: 0,
            succeeded: 0,
            refused: 0,
            timed_out: 0,
            shed: 0,
            late: 0,
        }
    }

    /// Records a request that was acknowledged; nanoseconds on one clock.
    pub fn succeed(&mut self, intended: u64, sent: u64, now: u64, phases: &Phases) {
        self.succeeded += 1;
        let service = now.saturating_sub(sent);
        self.response.saturating_record(now.saturating_sub(intended));
        self.service.saturating_record(service);
        self.service_total_ns += service;
        self.parts.record(phases, service);
    }

    /// Requests that ended without success.
    pub fn failed(&self) -> u64 {
        self.refused + self.timed_out + self.shed
    }
}

/// Times of the requests in flight, by dense id.
#[derive(Debug, Default)]
pub struct Window {
    first: u64,
    /// Intended and sent, in nanoseconds; none once it ended.
    slots: VecDeque<Option<(u64, u64)>>,
    open: usize,
}

impl Window {
    fn push(&mut self, intended: u64, sent: u64) -> CommandId {
        self.slots.push_back(Some((intended, sent)));
        self.open += 1;
        CommandId(self.first + self.slots.len() as u64 - 1)
    }

    fn take(&mut self, id: CommandId) -> Option<(u64, u64)> {
        let index = id.0.checked_sub(self.first)?;
        let times = self.slots.get_mut(usize::try_from(index).ok()?)?.take()?;
        self.open -= 1;
        self.drop_ended();
        Some(times)
    }

    /// Takes the oldest request if it was sent before `limit`.
    fn take_sent_before(&mut self, limit: u64) -> Option<(u64, u64)> {
        let &(intended, sent) = self.slots.front()?.as_ref()?;
        if sent >= limit {
            return None;
        }
        self.slots.pop_front();
        self.first += 1;
        self.open -= 1;
        self.drop_ended();
        Some((intended, sent))
    }

    fn drop_ended(&mut self) {
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.first += 1;
        }
    }
}

/// The end of one request, in nanoseconds since the book's epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When it was due.
    pub intended_ns: u64,
    /// When it was answered or given up.
    pub ended_ns: u64,
    /// Whether it was acknowledged.
    pub acknowledged: bool,
}

struct Pages {
    window: Window,
    recorder: Recorder,
    acknowledged: IdSet,
    trace: Option<Vec<Ended>>,
}

impl Pages {
    fn trace(&mut self, intended_ns: u64, ended_ns: u64, acknowledged: bool) {
        if let Some(trace) = &mut self.trace {
            trace.push(Ended { intended_ns, ended_ns, acknowledged });
        }
    }
}

/// The book of one run. Shared by the thread that sends and those that answer.
pub struct Book {
    epoch: Instant,
    timeout: Duration,
    max_in_flight: usize,
    pages: Mutex<Pages>,
    submitted: AtomicU64,
}

impl Book {
    /// An empty book; times count from `epoch`.
    pub fn new(epoch: Instant, timeout: Duration, max_in_flight: usize) -> Self {
        let pages = Pages {
            window: Window::default(),
            recorder: Recorder::new(timeout),
            acknowledged: IdSet::default(),
            trace: None,
        };
        Book { epoch, timeout, max_in_flight, pages: Mutex::new(pages), submitted: AtomicU64::new(0) }
    }

    /// Also keeps the end of every single request, for [`take_trace`](Book::take_trace).
    pub fn traced(self) -> Self {
        self.pages().trace = Some(Vec::new());
        self
    }

    /// The ends of requests so far, in the order in which they came; none when they are not kept.
    pub fn take_trace(&self) -> Vec<Ended> {
        self.pages().trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Enters a request that is sent now; none when too many are in flight, and then it counts as
    /// failed. Times in nanoseconds since the epoch.
    pub fn send(&self, intended: u64, now: u64) -> Option<CommandId> {
        let mut pages = self.pages();
        let late = now.saturating_sub(intended);
        pages.recorder.queue_delay.saturating_record(late);
        if pages.window.open >= self.max_in_flight {
            pages.recorder.shed += 1;
            let given_up = late + self.timeout.as_nanos() as u64;
            pages.recorder.response.saturating_record(given_up);
            pages.trace(intended, now, false);
            return None;
        }
        pages.recorder.sent += 1;
        let id = pages.window.push(intended, now);
        self.submitted.store(id.0 + 1, Relaxed);
        Some(id)
    }

    /// Gives up requests that were sent longer ago than the time-out.
    pub fn give_up_overdue(&self) {
        let now = self.now_ns();
        let Some(limit) = now.checked_sub(self.timeout.as_nanos() as u64) else { return };
        let mut pages = self.pages();
        while let Some((intended, _)) = pages.window.take_sent_before(limit) {
            pages.recorder.timed_out += 1;
            pages.recorder.response.saturating_record(now - intended);
            pages.trace(intended, now, false);
        }
    }

    /// Starts a new recorder and returns the one until now.
    pub fn turn(&self, fresh: Recorder) -> Recorder {
        std::mem::replace(&mut self.pages().recorder, fresh)
    }

    /// Counts of the current recorder: sent, succeeded, failed.
    pub fn counts(&self) -> (u64, u64, u64) {
        let pages = self.pages();
        (pages.recorder.sent, pages.recorder.succeeded, pages.recorder.failed())
    }

    /// Requests in flight.
    pub fn open(&self) -> usize {
        self.pages().window.open
    }

    /// Ids handed out so far; they are 0 to this.
    pub fn submitted(&self) -> u64 {
        self.submitted.load(Relaxed)
    }

    /// The commands that were acknowledged.
    pub fn acknowledged(&self) -> IdSet {
        self.pages().acknowledged.clone()
    }

    fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers for Book {
    fn answer(&self, id: CommandId, outcome: Result<Committed, SubmitError>) {
        let now = self.now_ns();
        let mut pages = self.pages();
        if outcome.is_ok() {
            pages.acknowledged.insert(id);
        }
        let Some((intended, sent)) = pages.window.take(id) else {
            pages.recorder.late += 1;
            return;
        };
        pages.trace(intended, now, outcome.is_ok());
        match outcome {
            Ok(committed) => pages.recorder.succeed(intended, sent, now, &committed.phases),
            Err(error) => {
                match error {
                    SubmitError::TimedOut => pages.recorder.timed_out += 1,
                    _ => pages.recorder.refused += 1,
                }
                pages.recorder.response.saturating_record(now.saturating_sub(intended));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol_core::{Phases, Slot};

    const COMMITTED: Result<Committed, SubmitError> = Ok(Committed {
        slot: Slot(1),
        output: 0,
        phases: Phases {
            submission_ns: 0,
            replication_ns: 0,
            quorum_wait_ns: 0,
            application_ns: 0,
            fsync_ns: 0,
        },
    });

    #[test]
    fn latency_counts_from_the_intended_time_and_failures_count_too() {
        let book = Book::new(Instant::now() - Duration::from_secs(1), Duration::from_secs(10), 2);
        let now = book.now_ns();
        let (first, second) = (book.send(now - 5_000_000, now), book.send(now, now));
        assert_eq!(book.send(now, now), None, "only two may be in flight");
        book.answer(first.unwrap(), COMMITTED);
        book.answer(second.unwrap(), Err(SubmitError::Unavailable));
        book.answer(second.unwrap(), COMMITTED);
        let recorder = book.turn(Recorder::new(Duration::from_secs(10)));
        assert!(recorder.response.min() < recorder.response.max());
        assert!(recorder.service.max() < recorder.response.max());
        assert_eq!((recorder.sent, recorder.succeeded, recorder.refused, recorder.shed), (2, 1, 1, 1));
        assert_eq!((recorder.response.len(), recorder.late), (3, 1));
        assert_eq!(book.acknowledged().len(), 2, "an answer that comes late is still a promise");
        assert_eq!((book.open(), book.submitted()), (0, 2));
    }

    #[test]
    fn requests_without_an_answer_time_out_once() {
        let book = Book::new(Instant::now() - Duration::from_secs(5), Duration::from_secs(1), 10);
        let now = book.now_ns();
        let old = book.send(now - 4_000_000_000, now - 4_000_000_000).unwrap();
        book.send(now, now);
        book.give_up_overdue();
        book.give_up_overdue();
        book.answer(old, COMMITTED);
        let recorder = book.turn(Recorder::new(Duration::from_secs(1)));
        assert_eq!((recorder.timed_out, recorder.late, book.open()), (1, 1, 1));
    }
}
