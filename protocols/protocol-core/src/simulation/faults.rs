//! Faults of replicas: they crash and come back, stand still and go on, lie and stop lying.

use super::cluster::{Event, SimulatedCluster};
use super::node::Item;
use crate::byzantine::Behaviour;
use crate::client::ClientRule;
use crate::cluster::{Fault, FaultError, SubmitError};
use crate::replica::{Replica, ReplicaId};

impl<R: Replica> SimulatedCluster<R> {
    pub(super) fn crash(&mut self, fault: Fault, id: ReplicaId) -> Result<(), FaultError> {
        if self.nodes[id.index()].replica.is_none() {
            return Err(FaultError::is_down(fault, id));
        }
        let (queued, taken_up) = self.nodes[id.index()].end();
        queued.into_iter().for_each(|pending| self.send_back(id, self.now, pending, None));
        for pending in taken_up {
            if self.clients.rule == ClientRule::Coordinator {
                let answered = self.clients.hears(id, self.now);
                let answer = pending.answer(self.now, answered, Err(SubmitError::Lost));
                self.events.push(answered, Event::Answered(answer));
            } else {
                self.send_back(id, self.now, pending, None);
            }
        }
        self.tell_peers(id, false);
        Ok(())
    }

    pub(super) fn restart(&mut self, fault: Fault, id: ReplicaId) -> Result<(), FaultError> {
        if !self.durable && !self.forgets_safely {
            return Err(FaultError::forgotten(fault));
        }
        if self.nodes[id.index()].replica.is_some() {
            return Err(FaultError::is_running(fault, id));
        }
        if R::FIFO {
            // A connection ends with either end. What the last life sent arrived up to now, what it was sent
            // no longer does.
            ReplicaId::all(self.nodes.len()).for_each(|peer| self.links.reconnect(id, peer));
        }
        self.boot(id).map_err(|error| FaultError::NotApplicable { fault, why: error.to_string() })?;
        self.tell_peers(id, true);
        Ok(())
    }

    pub(super) fn pause(&mut self, fault: Fault, id: ReplicaId, paused: bool) -> Result<(), FaultError> {
        let node = &mut self.nodes[id.index()];
        if node.replica.is_none() {
            return Err(FaultError::is_down(fault, id));
        }
        match (node.paused, paused) {
            (true, true) => return Err(FaultError::is_paused(fault, id)),
            (false, false) => return Err(FaultError::is_running(fault, id)),
            _ => node.paused = paused,
        }
        // One that was woken and then paused sleeps on; there is nothing to undo.
        self.wake_up(id);
        Ok(())
    }

    pub(super) fn corrupt(
        &mut self,
        fault: Fault,
        id: ReplicaId,
        behaviour: Behaviour,
    ) -> Result<(), FaultError> {
        FaultError::check_behaviour(fault, behaviour, self.behaviours)?;
        let node = &mut self.nodes[id.index()];
        if node.replica.is_none() {
            return Err(FaultError::is_down(fault, id));
        }
        node.corrupted = behaviour != Behaviour::Honest;
        self.arrive(id, Item::Corrupt(behaviour));
        Ok(())
    }

    pub(super) fn tell_peers(&mut self, id: ReplicaId, up: bool) {
        for peer in ReplicaId::all(self.nodes.len()).filter(|&peer| peer != id) {
            if !self.links.is_cut(id, peer) {
                self.arrive(peer, Item::Link(id, up));
            }
        }
    }
}
