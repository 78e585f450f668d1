//! What a run is doing right now: one live line on a terminal, one plain line elsewhere.
//!
//! The load's thread only leaves its numbers here; a thread of the line draws them, so that a slow
//! terminal delays no request.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::load::Recorder;
use crate::table::quantity;

/// How often the line is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// Where a measurement leaves word of how it goes. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Debug, Default)]
struct State {
    phase: String,
    ends: Option<Instant>,
    last: Option<LastInterval>,
}

#[derive(Clone, Copy, Debug)]
struct LastInterval {
    offered_per_s: f64,
    achieved_per_s: f64,
    p99_ns: u64,
}

impl Progress {
    /// A phase begins that is to last so long.
    pub fn phase(&self, name: &str, lasts: Duration) {
        *self.state() = State { phase: name.into(), ends: Some(Instant::now() + lasts), last: None };
    }

    /// Something begins whose end is not known.
    pub fn step(&self, name: &str) {
        *self.state() = State { phase: name.into(), ends: None, last: None };
    }

    /// What the last interval came to.
    pub fn interval(&self, offered_per_s: f64, recorder: &Recorder, duration_ns: u64) {
        let achieved_per_s = recorder.succeeded as f64 * 1e9 / duration_ns.max(1) as f64;
        let p99_ns = recorder.response.value_at_quantile(0.99);
        self.state().last = Some(LastInterval { offered_per_s, achieved_per_s, p99_ns });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self) -> String {
        let State { phase, ends, last } = self.state().clone();
        let left = ends.map(|ends| ends.saturating_duration_since(Instant::now()).as_secs_f64());
        let left = left.map_or_else(String::new, |left| format!(", {left:.0} s left"));
        let rates = last.map_or_else(String::new, |last| {
            format!(
                ": {}/s offered, {}/s achieved, p99 {}",
                quantity::count(last.offered_per_s),
                quantity::count(last.achieved_per_s),
                quantity::in_unit(last.p99_ns as f64, "ns")
            )
        });
        format!("{phase}{left}{rates}")
    }
}

/// How much a run says while it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// A live line on a terminal, otherwise a line at each start.
    #[default]
    Normal,
    /// Nothing but failures.
    Quiet,
}

/// The line of one measurement; it goes when it is dropped.
#[derive(Debug)]
pub struct Line {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    /// Shows the progress of `id` on standard error.
    pub fn show(id: &str, progress: &Progress, verbosity: Verbosity) -> Line {
        let done = Arc::new(AtomicBool::new(false));
        let live = std::io::stderr().is_terminal();
        let thread = match verbosity {
            Verbosity::Quiet => None,
            Verbosity::Normal if !live => {
                eprintln!("{id}: running");
                None
            }
            Verbosity::Normal => {
                let (id, progress, done) = (id.to_string(), progress.clone(), done.clone());
                // Without a thread there is no line, and the run is as good.
                std::thread::Builder::new()
                    .name("progress".into())
                    .spawn(move || draw(id, &progress, &done))
                    .ok()
            }
        };
        Line { done, thread }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.done.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            thread.join().ok();
        }
    }
}

fn draw(id: String, progress: &Progress, done: &AtomicBool) {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(id);
    while !done.load(Relaxed) {
        bar.set_message(progress.text());
        bar.tick();
        std::thread::park_timeout(DRAW_EVERY);
    }
    bar.finish_and_clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_tells_phase_time_left_rates_and_p99() {
        let progress = Progress::default();
        progress.phase("steady", Duration::from_secs(3_600));
        assert!(
            progress.text().starts_with("steady, 3600 s left") || progress.text().starts_with("steady, 3599")
        );
        let mut recorder = Recorder::new(Duration::from_secs(1));
        for _ in 0..50 {
            recorder.succeed(0, 0, 1_000_000, &protocol_core::Phases::default());
        }
        progress.interval(1_000.0, &recorder, 100_000_000);
        let text = progress.text();
        assert!(text.contains("1.00k/s offered, 500/s achieved, p99 1.00 ms"), "{text}");
        progress.step("safety check");
        assert_eq!(progress.text(), "safety check");
    }
}
