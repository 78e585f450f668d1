//! Commands that wait to be decided, and the places of those that were.

use std::collections::BTreeMap;

use protocol_core::{Command, CommandId, Slot};

/// Commands that a replica holds for its clients, at most. Those beyond are refused and come again.
const MOST_PENDING: usize = 100_000;
/// Places that are remembered. Late copies of older commands get no answer here; their client has enough
/// others.
const REMEMBERED: u64 = 1 << 14;

/// Commands whose seal was checked, oldest id first.
#[derive(Default)]
pub(crate) struct Mempool {
    pending: BTreeMap<CommandId, Command>,
}

impl Mempool {
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.pending.len() >= MOST_PENDING
    }

    /// Whether this very command, seal included, waits here.
    pub(crate) fn holds(&self, command: &Command) -> bool {
        self.pending.get(&command.id()).is_some_and(|pending| pending == command)
    }

    /// Adds a command unless one of that id waits already.
    pub(crate) fn add(&mut self, command: Command) {
        self.pending.entry(command.id()).or_insert(command);
    }

    /// The oldest commands, which stay until they are decided.
    pub(crate) fn oldest(&self, most: usize) -> Vec<Command> {
        self.pending.values().take(most).cloned().collect()
    }

    pub(crate) fn remove(&mut self, id: CommandId) {
        self.pending.remove(&id);
    }

    /// Keeps what is not yet decided.
    pub(crate) fn retain(&mut self, undecided: impl Fn(CommandId) -> bool) {
        self.pending.retain(|&id, _| undecided(id));
    }
}

/// Slots of the latest commands: ids are dense, so a ring by id.
#[derive(Default)]
pub(crate) struct Places {
    ring: Vec<Option<(CommandId, Slot)>>,
}

impl Places {
    pub(crate) fn remember(&mut self, id: CommandId, slot: Slot) {
        let index = (id.0 % REMEMBERED) as usize;
        if index >= self.ring.len() {
            self.ring.resize(index + 1, None);
        }
        self.ring[index] = Some((id, slot));
    }

    pub(crate) fn of(&self, id: CommandId) -> Option<Slot> {
        let place = self.ring.get((id.0 % REMEMBERED) as usize)?.as_ref();
        place.filter(|(known, _)| *known == id).map(|&(_, slot)| slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_come_first_and_stay_until_they_are_removed() {
        let mut mempool = Mempool::default();
        for id in [3, 1, 2] {
            mempool.add(Command::new(CommandId(id), b"first"));
            mempool.add(Command::new(CommandId(id), b"second"));
        }
        let ids = |commands: Vec<Command>| commands.iter().map(|command| command.id().0).collect::<Vec<_>>();
        assert_eq!(ids(mempool.oldest(2)), [1, 2]);
        assert!(mempool.holds(&Command::new(CommandId(2), b"first")));
        assert!(!mempool.holds(&Command::new(CommandId(2), b"second")));
        mempool.remove(CommandId(1));
        mempool.retain(|id| id != CommandId(2));
        assert_eq!(ids(mempool.oldest(9)), [3]);
    }

    #[test]
    fn a_place_is_known_until_a_much_later_command_takes_its_room() {
        let mut places = Places::default();
        places.remember(CommandId(5), Slot(9));
        assert_eq!((places.of(CommandId(5)), places.of(CommandId(6))), (Some(Slot(9)), None));
        places.remember(CommandId(5 + REMEMBERED), Slot(10));
        assert_eq!(places.of(CommandId(5)), None);
        assert_eq!(places.of(CommandId(5 + REMEMBERED)), Some(Slot(10)));
    }
}
