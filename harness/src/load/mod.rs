//! The load: when requests are due, the thread that sends them on time, and the book in which every
//! one of them ends.
//!
//! Open loop first: arrivals are scheduled ahead, each request is stamped with its *intended* time
//! and its latency counts from there, so a system that stalls can't hide the requests it kept
//! waiting (coordinated omission). The closed loop, where a client sends its next request when the
//! last was answered, is for saturation and for Criterion.

mod arrivals;
mod book;
mod closed_loop;
mod open_loop;
mod pacer;
mod parts;

pub use arrivals::Schedule;
pub use book::{Book, Ended, Recorder, Window};
pub use closed_loop::{ClosedLoop, ClosedLoopError, burn};
pub use open_loop::{IntervalRecord, OpenLoop, PhaseRecord, run_phase};
pub use pacer::Pacer;
pub use parts::{Part, PartTimes, SpanTotals};
