//! A replica's log in virtual time: what is written is lost in a crash until a flush that began after
//! it is over.

use bytes::Bytes;

use crate::replica::SyncToken;
use crate::wire::{Wire, WireError};

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
}

impl<Record> Default for Disk<Record> {
    fn default() -> Self {
        Disk { durable: Vec::new(), written: Vec::new(), waiting: Vec::new(), flushing: None }
    }
}

impl<Record: Wire> Disk<Record> {
    /// A log that holds nothing.
    pub fn new() -> Self {
        Disk::default()
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
        self.flushing = self.waiting.pop();
        self.waiting.clear();
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
