//! The history as it is on disk: what a killed process leaves behind, and what earlier versions wrote.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use consensus_bench::files;
use consensus_bench::history::{EntryId, Filter, History, Retention};
use consensus_bench::results::{RunResults, ScenarioResult};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rusqlite::Connection;

/// A run of schema version 1.
const STORED_RUN: &[u8] = include_bytes!("results-v1.json");

/// A database of version 1 as SQL. It is not refreshed: later versions must go on reading it.
const STORED_HISTORY: &str = include_str!("history-v1.sql");

/// Tells the writer of the kill test where to write.
const DATABASE: &str = "CONSENSUS_BENCH_KILL_TEST_DATABASE";

/// How often a writer is killed.
const KILLS: u32 = 16;

/// Writers that are killed while they make the database or shortly after.
const EARLY_KILLS: u32 = 6;

fn run() -> RunResults {
    files::parse_results(Path::new("results-v1.json"), STORED_RUN).unwrap()
}

/// A result that is known by its number, in what is in a row of the database and in what is not.
fn numbered(number: u64) -> ScenarioResult {
    let mut result = run().results.remove(0);
    result.safety.submitted = number;
    result.metrics.iter_mut().find(|metric| metric.name == "throughput_per_s").unwrap().value = number as f64;
    result
}

/// The process that is killed. It writes entries that last and entries that the next one drops, and
/// says the id and the number of each that lasts once it is recorded.
#[test]
#[ignore = "started by the kill test, and ends only when it is killed"]
fn writer_of_the_kill_test() {
    let Some(path) = std::env::var_os(DATABASE) else { return };
    let mut history = History::open(Path::new(&path)).unwrap();
    let run = run();
    let lasting = Retention::default();
    let brief = Retention { keep_for: Some(Duration::ZERO), ..Retention::default() };
    for number in (0..).step_by(2) {
        history.record(&run, &numbered(number), &brief).unwrap();
        let id = history.record(&run, &numbered(number + 1), &lasting).unwrap();
        let mut output = std::io::stdout().lock();
        writeln!(output, "recorded {id} {}", number + 1).unwrap();
        output.flush().unwrap();
    }
}

fn start_writer(path: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "history::writer_of_the_kill_test", "--ignored"])
        .env(DATABASE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(writer.stdout.take().unwrap());
    (writer, output)
}

/// The entry that a line of the writer tells of; none for the lines of the test's harness, and for
/// one that the kill cut off.
fn told(line: &str) -> Option<(EntryId, u64)> {
    let (_, told) = line.strip_suffix('\n')?.split_once("recorded ")?;
    let (id, number) = told.split_once(' ')?;
    Some((id.parse().unwrap(), number.parse().unwrap()))
}

/// The next entry that the writer tells of; none when it is dead.
fn next_told(output: &mut BufReader<ChildStdout>) -> Option<(EntryId, u64)> {
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        if let Some(entry) = told(&line) {
            return Some(entry);
        }
    }
}

/// What the library does not look at: whether the file itself is sound.
fn check_integrity(path: &Path) {
    let connection = Connection::open(path).unwrap();
    let text = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0));
    assert_eq!(text("PRAGMA integrity_check").unwrap(), "ok");
    assert_eq!(text("PRAGMA foreign_key_check"), Err(rusqlite::Error::QueryReturnedNoRows));
    let incomplete = "SELECT group_concat(id) FROM entries WHERE \
        (SELECT count(*) FROM metrics WHERE entry = id) != json_array_length(result, '$.metrics')";
    let incomplete: Option<String> = connection.query_row(incomplete, [], |row| row.get(0)).unwrap();
    assert_eq!(incomplete, None);
}

#[test]
fn a_process_killed_at_any_moment_leaves_every_recorded_entry_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("home/history.sqlite");
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    // Shown when the test fails.
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut recorded: Vec<(EntryId, u64)> = Vec::new();
    for kill in 0..KILLS {
        let (mut writer, mut output) = start_writer(&path);
        let (wanted, then) = if kill < EARLY_KILLS {
            (0, random.random_range(0..30_000))
        } else {
            (random.random_range(1..12), random.random_range(0..3_000))
        };
        for _ in 0..wanted {
            recorded.push(next_told(&mut output).expect("the writer ended by itself"));
        }
        // This is the moment, not a wait for something.
        std::thread::sleep(Duration::from_micros(then));
        writer.kill().unwrap();
        writer.wait().unwrap();
        // What it told before it died.
        recorded.extend(std::iter::from_fn(|| next_told(&mut output)));

        let mut history = History::open(&path).unwrap();
        check_integrity(&path);
        for (id, number) in &recorded {
            let entry = history.get(*id).unwrap();
            assert_eq!(entry.result, numbered(*number), "entry {id}");
        }
        // Those that it did not come to tell of are whole too.
        for entry in history.entries(&Filter::default()).unwrap() {
            let number = entry.result.safety.submitted;
            assert_eq!(entry.result, numbered(number), "entry {}", entry.summary.id);
            assert_eq!(entry.summary.throughput_per_s, Some(number as f64));
        }
        let number = u64::from(kill) + 1_000_000;
        let id = history.record(&run(), &numbered(number), &Retention::default()).unwrap();
        assert!(recorded.iter().all(|(known, _)| *known < id), "{id} was given twice");
        recorded.push((id, number));
    }
    assert!(recorded.len() as u32 >= KILLS + (KILLS - EARLY_KILLS), "{recorded:?}");
}

#[test]
fn a_history_of_the_first_version_is_brought_up_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.sqlite");
    Connection::open(&path).unwrap().execute_batch(STORED_HISTORY).unwrap();

    let mut history = History::open(&path).unwrap();
    let entries = history.entries(&Filter::default()).unwrap();
    let results: Vec<ScenarioResult> = entries.iter().map(|entry| entry.result.clone()).collect();
    assert_eq!(results, run().results);
    let kept: Vec<_> =
        entries.iter().map(|entry| (entry.summary.pinned, entry.summary.expires_unix_ms)).collect();
    assert_eq!(kept, [(true, None), (false, None)]);
    assert_eq!(history.query("response_ns_p99", &Filter::default()).unwrap().len(), 2);
    check_integrity(&path);

    let id = history.record(&run(), &numbered(1), &Retention::default()).unwrap();
    assert_eq!(history.get(id).unwrap().result, numbered(1));
    assert_eq!(history.list(&Filter::default()).unwrap().len(), 3);
}
