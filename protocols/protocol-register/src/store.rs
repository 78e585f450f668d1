//! The registers of one replica.

use std::collections::BTreeMap;

use protocol_core::{Command, SyncToken};

use crate::messages::{Found, Query, Record, Stored};
use crate::tag::Tag;

/// A register that was written.
#[derive(Clone, Debug)]
struct Register {
    tag: Tag,
    value: Command,
    /// Durable once this is.
    token: SyncToken,
}

/// All registers that were written, by key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    registers: BTreeMap<u64, Register>,
    /// The highest counter of any tag here.
    highest: u64,
}

impl Store {
    /// Takes a value unless a newer one, or this one, is there; whether it took it.
    pub(crate) fn put(&mut self, stored: Stored, token: SyncToken) -> bool {
        let Stored { key, tag, value } = stored;
        self.highest = self.highest.max(tag.counter);
        if tag <= self.tag(key) {
            return false;
        }
        self.registers.insert(key, Register { tag, value, token });
        true
    }

    /// The register's tag.
    pub(crate) fn tag(&self, key: u64) -> Tag {
        self.registers.get(&key).map_or(Tag::NONE, |register| register.tag)
    }

    /// The highest counter of any tag that came by.
    pub(crate) fn highest_counter(&self) -> u64 {
        self.highest
    }

    /// What a register holds, as far as it was asked for.
    pub(crate) fn find(&self, query: &Query) -> Found {
        match self.registers.get(&query.key) {
            Some(register) => Found { tag: register.tag, value: query.value.then(|| register.value.clone()) },
            None => Found { tag: Tag::NONE, value: None },
        }
    }

    /// What a register holds is durable once this is.
    pub(crate) fn durable_with(&self, key: u64) -> SyncToken {
        self.registers.get(&key).map_or(SyncToken(0), |register| register.token)
    }

    /// The values, by key.
    pub(crate) fn values(&self) -> impl Iterator<Item = (Tag, &Command)> {
        self.registers.values().map(|register| (register.tag, &register.value))
    }

    /// What a restart needs.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> {
        self.registers.iter().map(|(&key, register)| {
            Record::Stored(Stored { key, tag: register.tag, value: register.value.clone() })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol_core::CommandId;

    #[test]
    fn the_newest_value_stays_whatever_the_order() {
        let tag = |counter, writer| Tag { counter, writer, incarnation: 1 };
        let stored = |tag, id| Stored { key: 7, tag, value: Command::new(CommandId(id), b"") };
        let mut store = Store::default();
        assert_eq!(store.find(&Query { key: 7, value: true }), Found { tag: Tag::NONE, value: None });
        assert!(store.put(stored(tag(1, 2), 10), SyncToken(1)));
        assert!(!store.put(stored(tag(1, 1), 11), SyncToken(2)), "the same counter, a lower writer");
        assert!(!store.put(stored(tag(1, 2), 10), SyncToken(3)), "the same again");
        assert!(store.put(stored(tag(2, 0), 12), SyncToken(4)));
        let found = store.find(&Query { key: 7, value: true });
        assert_eq!((found.tag, found.value.unwrap().id()), (tag(2, 0), CommandId(12)));
        assert_eq!(store.find(&Query { key: 7, value: false }).value, None);
        assert_eq!((store.durable_with(7), store.durable_with(8)), (SyncToken(4), SyncToken(0)));
    }
}
