//! A write-ahead log: one append-only file, checksummed records, group commit on a thread of its
//! own, and recovery that drops a torn tail.
//!
//! A record is `u32 length ++ u32 crc32(payload) ++ payload`, little endian. Reading stops at the
//! first record that is cut short or does not match its checksum; the file is truncated there, so
//! that later appends don't hide behind garbage.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use bytes::{Buf, Bytes};

use crate::wire::{Wire, WireError};

const HEADER_BYTES: usize = 8;

/// What a log held when it was opened.
#[derive(Debug)]
pub struct Recovered<R> {
    /// The records, oldest first.
    pub records: Vec<R>,
    /// Bytes of a torn tail that were dropped.
    pub dropped_bytes: u64,
}

type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

enum Job {
    Append(Vec<u8>),
    Replace(Vec<u8>),
    Sync(Done),
    /// Whether syncs that queue up share a flush from now on.
    Group(bool),
}

/// An open write-ahead log. Appends and syncs return at once and are carried out in order by the
/// log's thread; dropping the log lets it finish what was appended, and waits for it.
#[derive(Debug)]
pub struct Wal {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Wal {
    /// Opens or creates the log at `path` and reads what it holds.
    #[allow(clippy::disallowed_methods, reason = "a thread of the real-time driver, not a replica")]
    pub fn open<R: Wire>(path: &Path) -> io::Result<(Wal, Recovered<R>)> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        let total = content.len() as u64;
        let (records, intact) =
            parse(Bytes::from(content)).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if intact < total {
            file.set_len(intact)?;
            file.sync_data()?;
        }
        file.seek(SeekFrom::Start(intact))?;
        let (jobs, queue) = channel();
        let path = path.to_path_buf();
        let thread = std::thread::Builder::new()
            .name("wal".into())
            .spawn(move || Writer { file, path, failed: None, group: true }.run(&queue))?;
        let wal = Wal { jobs: Some(jobs), thread: Some(thread) };
        Ok((wal, Recovered { records, dropped_bytes: total - intact }))
    }

    /// Appends records, and returns the bytes they take.
    pub fn append<R: Wire>(&self, records: &[R]) -> usize {
        let frames = frames(records);
        let bytes = frames.len();
        self.send(Job::Append(frames));
        bytes
    }

    /// Replaces the whole log by these records: written aside, synced and renamed, so that a crash
    /// leaves the old log or the new one. Returns the bytes they take.
    pub fn replace<R: Wire>(&self, records: &[R]) -> usize {
        let frames = frames(records);
        let bytes = frames.len();
        self.send(Job::Replace(frames));
        bytes
    }

    /// Makes everything appended so far durable, then calls `done` on the log's thread. Calls that
    /// queue up behind a flush share the next one; `done` gets the first error that the log met.
    pub fn sync(&self, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        self.send(Job::Sync(Box::new(done)));
    }

    /// Whether syncs that queue up behind a flush share the next one, as they do unless told otherwise, or
    /// each has its own.
    pub fn commit_in_groups(&self, group: bool) {
        self.send(Job::Group(group));
    }

    fn send(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            jobs.send(job).ok();
        }
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

struct Writer {
    file: File,
    path: PathBuf,
    /// Once a write failed nothing after it may be called durable.
    failed: Option<(io::ErrorKind, String)>,
    /// Whether syncs that queue up share a flush.
    group: bool,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Job>) {
        let mut waiting = Vec::new();
        while let Ok(first) = queue.recv() {
            for job in std::iter::once(first).chain(queue.try_iter()) {
                let written = match job {
                    Job::Append(frames) => self.file.write_all(&frames),
                    Job::Replace(frames) => self.replace(&frames),
                    Job::Sync(done) => {
                        waiting.push(done);
                        if !self.group {
                            self.flush(&mut waiting);
                        }
                        Ok(())
                    }
                    Job::Group(group) => {
                        self.group = group;
                        Ok(())
                    }
                };
                self.note(written);
            }
            self.flush(&mut waiting);
        }
    }

    /// One flush for all that wait for one.
    fn flush(&mut self, waiting: &mut Vec<Done>) {
        if waiting.is_empty() {
            return;
        }
        let synced = self.file.sync_data();
        self.note(synced);
        for done in waiting.drain(..) {
            done(match &self.failed {
                None => Ok(()),
                Some((kind, text)) => Err(io::Error::new(*kind, text.clone())),
            });
        }
    }

    fn note(&mut self, result: io::Result<()>) {
        if let (None, Err(error)) = (&self.failed, result) {
            self.failed = Some((error.kind(), format!("{}: {error}", self.path.display())));
        }
    }

    fn replace(&mut self, frames: &[u8]) -> io::Result<()> {
        let aside = self.path.with_extension("wal.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&aside)?;
        file.write_all(frames)?;
        file.sync_data()?;
        std::fs::rename(&aside, &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        self.file = file;
        Ok(())
    }
}

fn frames<R: Wire>(records: &[R]) -> Vec<u8> {
    let payload: usize = records.iter().map(Wire::encoded_len).sum();
    let mut buffer = Vec::with_capacity(payload + HEADER_BYTES * records.len());
    for record in records {
        let start = buffer.len();
        buffer.extend_from_slice(&[0; HEADER_BYTES]);
        record.encode(&mut buffer);
        let payload = &buffer[start + HEADER_BYTES..];
        let (length, checksum) = (payload.len() as u32, crc32fast::hash(payload));
        buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
        buffer[start + 4..start + HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    }
    buffer
}

/// The intact records and the bytes they take. A record whose checksum holds but that does not
/// decode is an error: it was written so, not torn.
fn parse<R: Wire>(mut bytes: Bytes) -> Result<(Vec<R>, u64), WireError> {
    let total = bytes.len();
    let mut records = Vec::new();
    while bytes.len() >= HEADER_BYTES {
        let mut rest = bytes.clone();
        let (length, checksum) = (rest.get_u32_le() as usize, rest.get_u32_le());
        // Zeros are what a crash leaves of space that was never written; no record is empty.
        if length == 0 || length > rest.len() || crc32fast::hash(&rest[..length]) != checksum {
            break;
        }
        records.push(R::decode(rest.split_to(length))?);
        bytes = rest;
    }
    Ok((records, (total - bytes.len()) as u64))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests of the real-time side")]
mod tests {
    use super::*;
    use crate::command::{Command, CommandId};
    use proptest::prelude::*;

    fn commands(ids: std::ops::Range<u64>) -> Vec<Command> {
        ids.map(|id| Command::new(CommandId(id), &[id as u8; 40])).collect()
    }

    fn synced(wal: &Wal) -> io::Result<()> {
        let (sender, receiver) = channel();
        wal.sync(move |result| sender.send(result).unwrap());
        receiver.recv().unwrap()
    }

    #[test]
    fn what_was_synced_is_there_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("replica-0.wal");
        let (wal, recovered) = Wal::open::<Command>(&path).unwrap();
        assert!(recovered.records.is_empty());
        wal.append(&commands(0..10));
        wal.append(&commands(10..20));
        synced(&wal).unwrap();
        drop(wal);
        let (_, recovered) = Wal::open::<Command>(&path).unwrap();
        assert_eq!(recovered.records, commands(0..20));
    }

    #[test]
    fn a_replaced_log_holds_the_new_records_and_what_came_after() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("replica-0.wal");
        let (wal, _) = Wal::open::<Command>(&path).unwrap();
        wal.append(&commands(0..10));
        wal.replace(&commands(8..10));
        wal.append(&commands(10..12));
        synced(&wal).unwrap();
        drop(wal);
        assert_eq!(Wal::open::<Command>(&path).unwrap().1.records, commands(8..12));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_tail_torn_anywhere_loses_only_what_it_tears(cut in 0usize..1_000, garbage in proptest::collection::vec(0x80u8.., 0..20)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("replica-0.wal");
            let whole = frames(&commands(0..10));
            let each = whole.len() / 10;
            let cut = cut.min(whole.len());
            let mut torn = whole[..cut].to_vec();
            torn.extend_from_slice(&garbage);
            std::fs::write(&path, torn).unwrap();
            let (wal, recovered) = Wal::open::<Command>(&path).unwrap();
            prop_assert_eq!(&recovered.records, &commands(0..(cut / each) as u64));
            // Appends after the recovery are found again.
            wal.append(&commands(50..51));
            drop(wal);
            let reopened = Wal::open::<Command>(&path).unwrap().1;
            prop_assert_eq!(reopened.records.len(), cut / each + 1);
            prop_assert_eq!(reopened.dropped_bytes, 0);
        }
    }

    #[test]
    fn without_groups_every_sync_is_answered_before_what_came_after_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("replica-0.wal");
        let file = OpenOptions::new().write(true).create_new(true).open(&path).unwrap();
        let lengths = |group: bool| {
            let (jobs, queue) = channel();
            let (sender, seen) = channel();
            let job = |job| jobs.send(job).unwrap();
            job(Job::Group(group));
            for id in 0..3 {
                job(Job::Append(frames(&commands(id..id + 1))));
                let (sender, path) = (sender.clone(), path.clone());
                job(Job::Sync(Box::new(move |_| sender.send(path.metadata().unwrap().len()).unwrap())));
            }
            drop((jobs, sender));
            file.set_len(0).unwrap();
            let file = OpenOptions::new().append(true).open(&path).unwrap();
            // All jobs are there when it begins, so what shares a flush does not depend on time.
            Writer { file, path: path.clone(), failed: None, group: true }.run(&queue);
            seen.iter().collect::<Vec<u64>>()
        };
        let one = frames(&commands(0..1)).len() as u64;
        assert_eq!(lengths(true), [3 * one; 3]);
        assert_eq!(lengths(false), [one, 2 * one, 3 * one]);
    }

    #[test]
    fn a_sync_after_a_failed_write_reports_it() {
        // Every write to /dev/full fails for want of space.
        let device = Path::new("/dev/full");
        if !device.exists() {
            eprintln!("not run: this system has no /dev/full");
            return;
        }
        let file = OpenOptions::new().write(true).open(device).unwrap();
        let (jobs, queue) = channel();
        let wal = Wal { jobs: Some(jobs), thread: None };
        let writer = Writer { file, path: device.into(), failed: None, group: true };
        let thread = std::thread::spawn(move || writer.run(&queue));
        wal.append(&commands(0..1));
        let error = synced(&wal).unwrap_err();
        assert!(error.to_string().contains("/dev/full"), "{error}");
        drop(wal);
        thread.join().unwrap();
    }
}
