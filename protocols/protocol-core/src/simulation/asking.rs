//! What clients do with their commands: whom they ask, and what they make of refusals.

use super::client::Pending;
use super::cluster::{Event, SimulatedCluster};
use super::node::Item;
use crate::client::ClientRule;
use crate::cluster::SubmitError;
use crate::command::CommandId;
use crate::replica::{Replica, ReplicaId, Time};

impl<R: Replica> SimulatedCluster<R> {
    /// A client turns to whom its rule says.
    pub(super) fn ask(&mut self, pending: Pending) {
        let id = pending.command.id();
        match self.clients.rule {
            ClientRule::Leader | ClientRule::Coordinator => self.send(self.clients.believed(id), pending),
            ClientRule::Everyone { .. } => {
                self.clients.gather(id, pending.submitted);
                ReplicaId::all(self.nodes.len()).for_each(|to| self.send(to, pending.clone()));
            }
            ClientRule::Broadcast => {
                self.clients.gather(id, pending.submitted);
                if pending.deadline != u64::MAX {
                    self.events.push(pending.deadline.max(self.now), Event::GivenUp(id));
                }
                let home = self.clients.believed(id);
                ReplicaId::all(self.nodes.len())
                    .filter(|&to| to != home)
                    .for_each(|to| self.watch(to, &pending));
                self.send(home, pending);
            }
        }
    }

    /// Ends a command that did not reach every replica in time.
    pub(super) fn give_up(&mut self, id: CommandId) {
        if let Some(answered) = self.clients.give_up(id, Time(self.now)) {
            self.nodes.iter_mut().for_each(|node| drop(node.waiting.remove(&id)));
            self.answers.push_back(answered);
        }
    }

    /// Has a replica say when it has delivered a command.
    pub(super) fn watch(&mut self, id: ReplicaId, pending: &Pending) {
        let watch = Pending { watches: true, taken_up: u64::MAX, ..pending.clone() };
        let node = &mut self.nodes[id.index()];
        if node.replica.is_some() {
            node.waiting.insert(watch.command.id(), watch);
        } else {
            self.answers.extend(self.clients.heard(watch.lost(self.now)));
        }
    }

    pub(super) fn send(&mut self, to: ReplicaId, pending: Pending) {
        match self.clients.delay_to(to) {
            0 => self.arrive(to, Item::Request(pending)),
            delay => self.events.push(self.now.saturating_add(delay), Event::Request(to, pending)),
        }
    }

    pub(super) fn send_back(&mut self, by: ReplicaId, at: u64, pending: Pending, hint: Option<ReplicaId>) {
        let back = at.saturating_add(self.clients.delay_to(by));
        self.events.push(back, Event::Refused(by, pending, hint));
    }

    pub(super) fn refused(&mut self, by: ReplicaId, mut pending: Pending, hint: Option<ReplicaId>) {
        if !self.clients.awaits(pending.command.id()) {
            return;
        }
        if self.now >= pending.deadline || pending.watches {
            let outcome = Err(SubmitError::Redirected { leader: hint });
            let answered = pending.answer(self.now, self.now, outcome);
            return self.answers.extend(self.clients.heard(answered));
        }
        let (to, pause) = self.clients.refused(by, &mut pending, hint);
        let arrives = self.now.saturating_add(pause).saturating_add(self.clients.delay_to(to));
        self.events.push(arrives, Event::Request(to, pending));
    }
}
