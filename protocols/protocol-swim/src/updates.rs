//! Clients' updates inside the library, as its custom broadcasts.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use foca::{BroadcastHandler, Invalidates};
use protocol_core::{Command, CommandId, IdSet, WireError};

use crate::identity::Member;

/// Knows which updates are new. The library owns its handler and shows it to no one, so what came from
/// peers is handed over in a cell that both hold.
#[derive(Debug, Default)]
pub struct Updates {
    seen: IdSet,
    received: Received,
}

/// Updates that came from peers and were not taken yet.
#[derive(Clone, Debug, Default)]
pub struct Received(Arc<Mutex<Vec<Command>>>);

/// Which update a broadcast is; it replaces none but itself.
#[derive(Clone, Copy, Debug)]
pub struct Key(CommandId);

impl Invalidates for Key {
    fn invalidates(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Updates {
    /// The cell in which new updates are handed over.
    pub fn received(&self) -> Received {
        self.received.clone()
    }
}

impl Received {
    fn push(&self, command: Command) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(command);
    }

    /// Takes them, oldest first.
    pub fn take(&self) -> Vec<Command> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl BroadcastHandler<Member> for Updates {
    type Key = Key;
    type Error = WireError;

    fn receive_item(&mut self, data: &[u8], sender: Option<&Member>) -> Result<Option<Key>, WireError> {
        let command = Command::from_encoded(Bytes::copy_from_slice(data))?;
        let id = command.id();
        if !self.seen.insert(id) {
            return Ok(None);
        }
        if sender.is_some() {
            self.received.push(command);
        }
        Ok(Some(Key(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_new_once_and_handed_over_if_a_peer_sent_it() {
        let (mut updates, peer) = (Updates::default(), Member { replica: 1, life: 0 });
        let received = updates.received();
        let [first, second] = [1, 2].map(|id| Command::new(CommandId(id), b"update"));
        assert!(updates.receive_item(first.encoded(), Some(&peer)).unwrap().is_some());
        assert!(updates.receive_item(first.encoded(), Some(&peer)).unwrap().is_none());
        assert!(updates.receive_item(second.encoded(), None).unwrap().is_some());
        assert_eq!(received.take(), [first]);
        assert_eq!(received.take(), []);
        assert!(updates.receive_item(b"short", Some(&peer)).is_err());
    }
}
