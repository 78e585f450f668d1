//! What the load generator costs and how well it keeps time: recording a sample, entering and
//! answering a request, and the pacer's lateness at several rates.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use consensus_bench::bench::{BenchArgs, criterion};
use consensus_bench::load::{Book, Pacer, Recorder, Schedule};
use consensus_bench::scenario::Arrivals;
use criterion::Criterion;
use protocol_core::{Answers, Committed, Phases, Slot};

const TIMEOUT: Duration = Duration::from_secs(1);
const PACED_RATES: [f64; 3] = [1_000.0, 10_000.0, 100_000.0];

fn main() -> ExitCode {
    let mut criterion = criterion();
    let args = BenchArgs::from_env();
    record(&mut criterion);
    answer(&mut criterion);
    criterion.final_summary();
    for rate in PACED_RATES {
        let id = format!("generator/pacer/rate={rate}");
        if args.profile || !args.wants(&id) {
            continue;
        }
        if args.list {
            println!("{id}: benchmark");
        } else {
            pace(&id, rate, if args.test { 0.1 } else { 2.0 });
        }
    }
    ExitCode::SUCCESS
}

/// Where the time of the samples went.
const PHASES: Phases =
    Phases { submission_ns: 20, replication_ns: 40, quorum_wait_ns: 80, application_ns: 10, fsync_ns: 0 };

/// One sample into the histograms of a recorder.
fn record(criterion: &mut Criterion) {
    let mut recorder = Recorder::new(TIMEOUT);
    let mut latency = 1u64;
    criterion.bench_function("generator/record", |bencher| {
        bencher.iter(|| {
            // A walk over all magnitudes, so that no bucket stays in a register.
            latency = latency.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            recorder.succeed(0, latency & 0xFF, (latency >> 44) + 256, &PHASES);
        });
    });
}

/// One request entered into the book and answered, as both happen in a run.
fn answer(criterion: &mut Criterion) {
    let book = Book::new(Instant::now(), TIMEOUT, 1024);
    let committed = Committed { slot: Slot(1), output: 0, phases: Phases::default() };
    criterion.bench_function("generator/send_and_answer", |bencher| {
        bencher.iter(|| {
            if let Some(id) = book.send(0, 0) {
                book.answer(id, Ok(committed));
            }
        });
    });
}

/// Sends to a thread that does nothing, and prints how late.
fn pace(id: &str, rate: f64, seconds: f64) {
    let thread = std::thread::spawn(move || {
        let pacer = Pacer::start();
        let book = Arc::new(Book::new(pacer.epoch(), TIMEOUT, usize::MAX));
        let mut lateness = Recorder::new(TIMEOUT).queue_delay;
        for offset in Schedule::new(Arrivals::Poisson, rate, seconds, 1) {
            pacer.sleep_until(offset);
            let now = pacer.now_ns();
            lateness.saturating_record(now.saturating_sub(offset));
            if let Some(id) = book.send(offset, now) {
                book.answer(id, Ok(Committed { slot: Slot(1), output: 0, phases: Phases::default() }));
            }
        }
        lateness
    });
    let Ok(lateness) = thread.join() else { return eprintln!("{id}: the pacer panicked") };
    let micros = |quantile| lateness.value_at_quantile(quantile) as f64 / 1e3;
    println!(
        "{id}: sent against intended p50 {:.0} µs, p99 {:.0} µs, p99.9 {:.0} µs, worst {:.0} µs",
        micros(0.5),
        micros(0.99),
        micros(0.999),
        micros(1.0)
    );
}
