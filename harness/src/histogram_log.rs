//! Histograms as an HdrHistogram interval log, the format that HdrHistogram's own tools read: one
//! line per interval and histogram, told apart by tags.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{
    IntervalLogIterator, IntervalLogWriterBuilder, LogEntry, Tag,
};
use hdrhistogram::serialization::{Deserializer, V2DeflateSerializer};

use thiserror::Error;

use crate::files::{FileError, write_atomically};
use crate::load::{PhaseRecord, Recorder};

/// Tags of the lines: what each histogram holds, in nanoseconds.
pub const TAGS: [&str; 3] = ["response", "service", "queue_delay"];

/// Why a log was not written.
#[derive(Debug, Error)]
pub enum LogError {
    /// The system refused the file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The histograms have no encoding.
    #[error("{}: {reason}", path.display())]
    Encoding {
        /// File.
        path: PathBuf,
        /// The library's word.
        reason: String,
    },
    /// The file can't be read.
    #[error("{}: can't be read: {source}", path.display())]
    Unreadable {
        /// File.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The file is no log of histograms.
    #[error("{}: no histogram log: {reason}", path.display())]
    Malformed {
        /// File.
        path: PathBuf,
        /// What is the matter, on one line.
        reason: String,
    },
}

/// All histograms of a log that hold the same, as one; none when the log has none of this tag.
pub fn read(path: &Path, tag: &str) -> Result<Option<Histogram<u64>>, LogError> {
    let text = std::fs::read(path).map_err(|source| LogError::Unreadable { path: path.into(), source })?;
    let malformed = |reason: String| LogError::Malformed { path: path.into(), reason };
    let mut all: Option<Histogram<u64>> = None;
    for entry in IntervalLogIterator::new(&text) {
        let LogEntry::Interval(interval) = entry.map_err(|error| malformed(format!("{error:?}")))? else {
            continue;
        };
        if interval.tag().is_none_or(|known| known.as_str() != tag) {
            continue;
        }
        let encoded =
            STANDARD.decode(interval.encoded_histogram()).map_err(|error| malformed(error.to_string()))?;
        let histogram: Histogram<u64> = Deserializer::new()
            .deserialize(&mut encoded.as_slice())
            .map_err(|error| malformed(error.to_string()))?;
        match &mut all {
            Some(all) => all.add(&histogram).map_err(|error| malformed(error.to_string()))?,
            None => all = Some(histogram),
        }
    }
    Ok(all)
}

/// Writes one phase, whole or not at all. Times in the log are seconds since the run's start.
pub fn write(path: &Path, record: &PhaseRecord) -> Result<(), LogError> {
    let mut log = Vec::new();
    write_to(&mut log, record).map_err(|reason| LogError::Encoding { path: path.into(), reason })?;
    Ok(write_atomically(path, &log)?)
}

fn write_to(file: &mut Vec<u8>, record: &PhaseRecord) -> Result<(), String> {
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("nanoseconds; tags: response, service, queue_delay")
        .with_start_time(UNIX_EPOCH)
        .with_base_time(UNIX_EPOCH)
        .begin_log_with(file, &mut serializer)
        .map_err(|error| error.to_string())?;
    let mut end = Duration::ZERO;
    let blocks = record.intervals.iter().map(|block| {
        (Duration::from_nanos(block.start_ns), Duration::from_nanos(block.duration_ns), &block.recorder)
    });
    let mut all: Vec<(Duration, Duration, &Recorder)> = blocks.collect();
    if let Some((start, duration, _)) = all.last() {
        end = *start + *duration;
    }
    all.extend(record.tail.iter().map(|tail| (end, Duration::ZERO, tail)));
    for (start, duration, recorder) in all {
        for (tag, histogram) in
            TAGS.into_iter().zip([&recorder.response, &recorder.service, &recorder.queue_delay])
        {
            log.write_histogram(histogram, start, duration, Tag::new(tag))
                .map_err(|error| format!("{error:?}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let timeout = Duration::from_secs(1);
        let mut tail = Recorder::new(timeout);
        tail.succeed(0, 1_000, 5_000_000, &protocol_core::Phases::default());
        let record = PhaseRecord {
            intervals: Vec::new(),
            tail: Some(tail.clone()),
            lateness: Recorder::new(timeout).queue_delay,
            run_delay_ratio: None,
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("phase.hlog");
        write(&path, &record).unwrap();
        let of = |tag| read(&path, tag).unwrap();
        assert_eq!(of("response").unwrap(), tail.response);
        assert_eq!(of("service").unwrap(), tail.service);
        assert_eq!(of("nothing"), None);
    }

    #[test]
    fn what_is_no_log_is_an_error_of_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("phase.hlog");
        assert!(read(&path, "response").unwrap_err().to_string().contains("can't be read"));
        for text in ["nonsense", "Tag=response,0.1,0.2,0.3,@@@", "Tag=response,0.1,0.2,0.3,aGFsbG8="] {
            std::fs::write(&path, text).unwrap();
            let error = read(&path, "response").unwrap_err().to_string();
            assert!(error.contains("no histogram log") && error.lines().count() == 1, "{error}");
        }
    }
}
