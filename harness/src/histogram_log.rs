//! Histograms as an HdrHistogram interval log, the format that HdrHistogram's own tools read: one
//! line per interval and histogram, told apart by tags.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

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
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

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
        let content = std::fs::read(path).unwrap();
        let mut read: Vec<(String, Histogram<u64>)> = Vec::new();
        for entry in IntervalLogIterator::new(&content) {
            if let Ok(LogEntry::Interval(interval)) = entry {
                let bytes = STANDARD.decode(interval.encoded_histogram()).unwrap();
                let histogram = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
                read.push((interval.tag().unwrap().as_str().to_string(), histogram));
            }
        }
        assert_eq!(read.iter().map(|(tag, _)| tag.as_str()).collect::<Vec<_>>(), TAGS);
        assert_eq!(read[0].1, tail.response);
        assert_eq!(read[1].1, tail.service);
    }
}
