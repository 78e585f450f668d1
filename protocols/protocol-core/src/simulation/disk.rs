//! A replica's log in virtual time: what is written is lost in a crash until a flush that began after
//! it is over.

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::SimulationSpec;
use crate::replica::SyncToken;
use crate::wire::{Wire, WireError};

/// Of all links together there are fewer than this, each with a random stream of its own.
const STREAM: u64 = u64::MAX;

/// How long flushes take.
#[derive(Debug)]
pub struct Flushes {
    always: u64,
    times: Vec<u64>,
    random: ChaCha8Rng,
}

impl Flushes {
    /// As the spec says: always the same time, or one of those seen.
    pub fn new(spec: &SimulationSpec) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(spec.seed);
        random.set_stream(STREAM);
        Flushes { always: spec.costs.fsync_ns as u64, times: spec.flushes_ns.clone(), random }
    }

    /// How long the next one takes, in nanoseconds.
    pub fn next_ns(&mut self) -> u64 {
        if self.times.is_empty() {
            return self.always;
        }
        self.times[self.random.random_range(0..self.times.len())]
    }
}

#[derive(Debug)]
enum Write<Record> {
    Append(Record),
    Replace(Vec<Record>),
}

/// One replica's log. Flushes are grouped: one at a time, and what comes meanwhile shares the next.
#[derive(Debug)]
pub struct Disk<Record> {
    durable: Vec<Record>,
    written: Vec<Write<Record>>,
    /// Syncs that wait for a flush, each with the writes before it.
    waiting: Vec<(SyncToken, usize)>,
    /// The last token and the number of writes of the flush that runs.
    flushing: Option<(SyncToken, usize)>,
    /// Whether every sync has a flush of its own.
    apart: bool,
}

impl<Record> Default for Disk<Record> {
    fn default() -> Self {
        Disk { durable: Vec::new(), written: Vec::new(), waiting: Vec::new(), flushing: None, apart: false }
    }
}

impl<Record: Wire> Disk<Record> {
    /// A log that holds nothing.
    pub fn new() -> Self {
        Disk::default()
    }

    /// A log that holds nothing; syncs that wait for a flush share the next one if they are grouped.
    pub fn grouped(group: bool) -> Self {
        Disk { apart: !group, ..Disk::default() }
    }

    /// Appends a record, and returns the bytes it takes.
    pub fn append(&mut self, record: Record) -> usize {
        let bytes = record.encoded_len();
        self.written.push(Write::Append(record));
        bytes
    }

    /// Replaces the whole log, and returns the bytes it takes then.
    pub fn replace(&mut self, records: Vec<Record>) -> usize {
        let bytes = records.iter().map(Wire::encoded_len).sum();
        self.written.push(Write::Replace(records));
        bytes
    }

    /// Asks that everything written so far become durable. True when a flush begins with it, and false
    /// when one runs already.
    pub fn sync(&mut self, token: SyncToken) -> bool {
        self.waiting.push((token, self.written.len()));
        self.begin()
    }

    /// The flush is over: its last token, and whether another begins.
    pub fn flushed(&mut self) -> Option<(SyncToken, bool)> {
        let (token, writes) = self.flushing.take()?;
        for write in self.written.drain(..writes) {
            match write {
                Write::Append(record) => self.durable.push(record),
                Write::Replace(records) => self.durable = records,
            }
        }
        self.waiting.iter_mut().for_each(|(_, before)| *before -= writes);
        Some((token, self.begin()))
    }

    fn begin(&mut self) -> bool {
        if self.flushing.is_some() {
            return false;
        }
        if self.apart && !self.waiting.is_empty() {
            self.flushing = Some(self.waiting.remove(0));
        } else {
            self.flushing = self.waiting.pop();
            self.waiting.clear();
        }
        self.flushing.is_some()
    }

    /// The power fails: what no flush made durable is gone.
    pub fn crash(&mut self) {
        self.written.clear();
        self.waiting.clear();
        self.flushing = None;
    }

    /// What a restart finds. Records are copied by way of their encoding, as a real log would have it.
    pub fn recover(&self) -> Result<Vec<Record>, WireError> {
        let copy = |record: &Record| {
            let mut bytes = Vec::with_capacity(record.encoded_len());
            record.encode(&mut bytes);
            Record::decode(Bytes::from(bytes))
        };
        self.durable.iter().map(copy).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, CommandId};

    fn command(id: u64) -> Command {
        Command::new(CommandId(id), b"x")
    }

    fn ids(disk: &Disk<Command>) -> Vec<u64> {
        disk.recover().unwrap().iter().map(|command| command.id().0).collect()
    }

    #[test]
    fn flushes_are_drawn_from_all_times_and_again_the_same_by_the_same_seed() {
        let mut spec = SimulationSpec::uniform(3, std::time::Duration::ZERO, 7);
        spec.costs.fsync_ns = 9.0;
        assert_eq!(Flushes::new(&spec).next_ns(), 9);
        spec.flushes_ns = vec![1, 2, 3];
        let draw = || {
            let mut flushes = Flushes::new(&spec);
            (0..100).map(|_| flushes.next_ns()).collect::<Vec<_>>()
        };
        let drawn = draw();
        assert_eq!(drawn, draw());
        assert!([1, 2, 3].iter().all(|time| drawn.contains(time)) && drawn.iter().all(|&time| time <= 3));
    }

    #[test]
    fn only_what_a_flush_began_with_survives() {
        let mut disk = Disk::new();
        disk.append(command(0));
        assert!(disk.sync(SyncToken(1)));
        disk.append(command(1));
        assert!(!disk.sync(SyncToken(2)), "one flush at a time");
        disk.append(command(2));
        assert!(!disk.sync(SyncToken(3)));
        assert_eq!(ids(&disk), []);
        assert_eq!(disk.flushed(), Some((SyncToken(1), true)));
        assert_eq!(ids(&disk), [0]);
        disk.append(command(3));
        assert_eq!(disk.flushed(), Some((SyncToken(3), false)), "one flush for both that waited");
        assert_eq!(ids(&disk), [0, 1, 2]);
        disk.crash();
        assert_eq!((ids(&disk), disk.flushed()), (vec![0, 1, 2], None));
    }

    #[test]
    fn without_groups_every_sync_has_a_flush_of_its_own() {
        let mut disk = Disk::grouped(false);
        for id in 0..3 {
            disk.append(command(id));
            assert_eq!(disk.sync(SyncToken(id)), id == 0);
        }
        assert_eq!(disk.flushed(), Some((SyncToken(0), true)));
        assert_eq!(ids(&disk), [0]);
        assert_eq!(disk.flushed(), Some((SyncToken(1), true)));
        disk.crash();
        assert_eq!((ids(&disk), disk.flushed()), (vec![0, 1], None));
    }

    #[test]
    fn a_replaced_log_is_the_old_one_until_it_is_flushed() {
        let mut disk = Disk::new();
        disk.append(command(0));
        disk.sync(SyncToken(1));
        disk.flushed();
        disk.replace(vec![command(7)]);
        disk.append(command(8));
        disk.sync(SyncToken(2));
        assert_eq!(ids(&disk), [0]);
        disk.flushed();
        assert_eq!(ids(&disk), [7, 8]);
    }
}
