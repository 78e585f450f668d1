//! One round of a replica: what it is handed, what it wants done, and what that costs.

use std::collections::VecDeque;

use super::cluster::{Event, SimulatedCluster};
use super::node::{Item, Node};
use super::{Answered, Costs};
use crate::client::ClientRule;
use crate::network::FRAME_HEADER_BYTES;
use crate::replica::{
    Delivery, EffectQueues, Input, Rejection, Replica, ReplicaId, SyncToken, Time, TimerChange,
};
use crate::wire::{Message, Wire};

/// Items handed over at one wake-up, at most.
const WAKE_UP_ITEMS: usize = 1024;

impl<R: Replica> SimulatedCluster<R> {
    /// One round: everything in the inbox, then clients' commands, then the effects. False when the
    /// replica stands still.
    pub(super) fn wake(&mut self, id: ReplicaId) -> bool {
        let node = &mut self.nodes[id.index()];
        node.woken = false;
        let now = Time(node.clock(self.now));
        let paused = node.paused;
        let Node { replica: Some(replica), inbox, effects, held, counters, .. } = node else { return false };
        if paused {
            return false;
        }
        let mut work = self.costs.wake_up_ns;
        counters.wake_ups += 1;
        for item in inbox.drain(..inbox.len().min(WAKE_UP_ITEMS)) {
            let input = match item {
                Item::Request(pending) => {
                    self.requests.push(pending);
                    continue;
                }
                Item::Message(from, message, bytes) => {
                    counters.drained_messages += 1;
                    work += self.costs.message_ns + self.costs.byte_ns * f64::from(bytes);
                    Input::Message { from, message }
                }
                Item::Timer(timer) => Input::Timer(timer),
                Item::Link(peer, up) => Input::Link { peer, up },
                Item::Corrupt(behaviour) => Input::Corrupt(behaviour),
                Item::LingerOver => continue,
                Item::Synced(token) => {
                    release(held, effects, token);
                    Input::Synced(token)
                }
            };
            replica.step(now, input, effects);
        }
        if self.linger_ns > 0 {
            self.linger(id);
        }
        work += self.costs.request_ns * self.requests.len() as f64;
        let at = self.now + work as u64;
        self.propose(id, at);
        self.finish_round(id, at);
        true
    }

    /// Keeps the commands of this round until others came, unless they have waited long enough, are as many as
    /// go together, or are not this replica's to order.
    fn linger(&mut self, id: ReplicaId) {
        let orders = match self.clients.rule {
            ClientRule::Leader | ClientRule::Everyone { .. } => self.nodes[id.index()].leads,
            ClientRule::Coordinator | ClientRule::Broadcast => true,
        };
        let node = &mut self.nodes[id.index()];
        node.lingering.append(&mut self.requests);
        let full = node.lingering.len() >= self.largest_proposal;
        let waited = node.lingers.is_some_and(|(until, _)| until <= self.now);
        if full || waited || !orders || node.lingering.is_empty() {
            node.lingers = None;
            std::mem::swap(&mut node.lingering, &mut self.requests);
        } else if node.lingers.is_none() {
            node.waits = node.waits.wrapping_add(1);
            let until = self.now.saturating_add(self.linger_ns);
            node.lingers = Some((until, node.waits));
            self.events.push(until, Event::LingerOver(id, node.waits));
        }
    }

    /// Passes waiting clients' commands on as one batch, or several when it is too large.
    pub(super) fn propose(&mut self, id: ReplicaId, at: u64) {
        while !self.requests.is_empty() {
            let node = &mut self.nodes[id.index()];
            let batch = self.requests.len().min(self.largest_proposal);
            let mut commands = Vec::with_capacity(batch);
            for mut pending in self.requests.drain(..batch) {
                commands.push(pending.command.clone());
                // A client that asks again waits in place of itself, or of its watch.
                (pending.taken_up, pending.watches) = (self.now, false);
                let before = node.waiting.insert(pending.command.id(), pending);
                if let Some(watch) = before.filter(|before| before.watches) {
                    self.answers.extend(self.clients.heard(watch.lost(self.now)));
                }
            }
            let before = node.effects.proposals;
            let now = Time(node.clock(self.now));
            if let Some(replica) = &mut node.replica {
                replica.step(now, Input::Requests(commands), &mut node.effects);
            }
            let made = node.effects.proposals - before;
            let refused = node.effects.rejections.len().min(batch);
            node.counters.proposals += made;
            node.counters.proposed_commands += if made > 0 { (batch - refused) as u64 } else { 0 };
            self.pass_on_rejections(id, at);
        }
    }

    /// Flushes the replica until it wants nothing more, and has it busy until then.
    pub(super) fn finish_round(&mut self, id: ReplicaId, mut at: u64) {
        loop {
            let node = &mut self.nodes[id.index()];
            let now = Time(node.clock(self.now));
            let Some(replica) = &mut node.replica else { return };
            replica.flush(now, &mut node.effects);
            let synced;
            (at, synced) = self.carry_out(id, at);
            // Memory is durable at once, so the replica goes on within the same round.
            let Some(token) = synced else { break };
            let Node { replica: Some(replica), effects, held, .. } = &mut self.nodes[id.index()] else {
                return;
            };
            release(held, effects, token);
            replica.step(now, Input::Synced(token), effects);
        }
        self.nodes[id.index()].busy_until = at;
        self.wake_up(id);
    }

    /// Carries out effects from `at` on, and returns when that is done, with a sync that took no time.
    pub(super) fn carry_out(&mut self, id: ReplicaId, at: u64) -> (u64, Option<SyncToken>) {
        let at = at + self.charge_cryptography(id);
        let at = self.send_messages(id, at);
        let node = &mut self.nodes[id.index()];
        let (checkpoint, records) = (node.effects.checkpoint.take(), node.effects.records.drain(..));
        match &mut node.disk {
            None => drop(records),
            Some(disk) => {
                node.counters.log_bytes += checkpoint.map_or(0, |records| disk.replace(records)) as u64;
                node.counters.log_bytes += records.map(|record| disk.append(record)).sum::<usize>() as u64;
            }
        }
        node.held.extend(node.effects.held.drain(..));
        node.effects.proposals = 0;
        let [proposals, commands] = std::mem::take(&mut node.effects.batches);
        node.counters.proposals += proposals;
        node.counters.proposed_commands += commands;
        node.accuse();
        node.suspect();
        self.change_timers(id, at);
        if let Some((view, leader)) = self.nodes[id.index()].effects.view.take() {
            self.enter_view(id, at, view.0, leader);
        }
        self.pass_on_rejections(id, at);
        self.reply(id, at);
        let at = self.deliver(id, at);
        let node = &mut self.nodes[id.index()];
        let Some(token) = node.effects.sync.take() else { return (at, None) };
        node.counters.syncs += 1;
        let Some(disk) = &mut node.disk else { return (at, Some(token)) };
        if disk.sync(token) {
            self.events.push(at + self.flushes.next_ns(), Event::Flushed(id, node.life));
        }
        (at, None)
    }

    pub(super) fn charge_cryptography(&mut self, id: ReplicaId) -> u64 {
        let Node { effects, counters, .. } = &mut self.nodes[id.index()];
        let [signed, verified, maced] = std::mem::take(&mut effects.cryptography);
        counters.signatures += signed;
        counters.verifications += verified;
        counters.macs += maced;
        let Costs { sign_ns, verify_ns, mac_ns, .. } = self.costs;
        (sign_ns * signed as f64 + verify_ns * verified as f64 + mac_ns * maced as f64) as u64
    }

    /// Sends one after the other; returns when the last one left.
    pub(super) fn send_messages(&mut self, from: ReplicaId, start: u64) -> u64 {
        let Node { effects, counters, .. } = &mut self.nodes[from.index()];
        let (mut work, mut at) = (0.0, start);
        for (to, message) in effects.sends.drain(..) {
            let bytes = FRAME_HEADER_BYTES + message.encoded_len();
            let traffic = &mut counters.traffic[message.kind().index()];
            traffic.messages += 1;
            traffic.bytes += bytes as u64;
            work += self.costs.message_ns + self.costs.byte_ns * bytes as f64;
            at = start + work as u64;
            let fate = self.links.pass(from, to, at, bytes);
            let connection = self.links.connection(from, to);
            let bytes = bytes as u32;
            if let Some(due) = fate.again {
                let message = message.clone();
                self.events.push(due, Event::Message { from, to, message, bytes, connection });
            }
            if let Some(due) = fate.arrival {
                self.events.push(due, Event::Message { from, to, message, bytes, connection });
            }
        }
        at
    }

    pub(super) fn change_timers(&mut self, id: ReplicaId, at: u64) {
        let node = &mut self.nodes[id.index()];
        for index in 0..node.effects.timers.len() {
            let change = node.effects.timers[index];
            let (TimerChange::Set(timer, _) | TimerChange::Cancel(timer)) = change;
            node.timers.retain(|&(set, _)| set != timer);
            if let TimerChange::Set(timer, after) = change {
                node.settings += 1;
                node.timers.push((timer, node.settings));
                let after = node.true_duration(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX));
                self.events.push(at.saturating_add(after), Event::Timer(id, node.life, timer, node.settings));
            }
        }
        node.effects.timers.clear();
    }

    pub(super) fn enter_view(&mut self, id: ReplicaId, at: u64, view: u64, leader: Option<ReplicaId>) {
        let node = &mut self.nodes[id.index()];
        (node.view, node.leader) = (view, leader);
        let led = std::mem::replace(&mut node.leads, leader == Some(id));
        if node.leads {
            self.clients.leader_is(id);
        } else if led && self.clients.rule == ClientRule::Leader {
            // This replica may never learn the fate of what it proposed; the next leader decides it.
            for pending in std::mem::take(&mut node.waiting).into_values() {
                self.send_back(id, at, pending, leader);
            }
        }
    }

    pub(super) fn pass_on_rejections(&mut self, id: ReplicaId, at: u64) {
        for Rejection { command, leader } in std::mem::take(&mut self.nodes[id.index()].effects.rejections) {
            if let Some(pending) = self.nodes[id.index()].waiting.remove(&command) {
                self.send_back(id, at, pending, leader);
            }
        }
    }

    /// Applies what is committed, and answers the clients that wait for it here.
    pub(super) fn deliver(&mut self, id: ReplicaId, start: u64) -> u64 {
        let Node { effects, application, waiting, failure, .. } = &mut self.nodes[id.index()];
        let mute = effects.mute;
        let (mut work, mut at) = (0.0, start);
        for delivery in effects.deliveries.drain(..) {
            match delivery {
                Delivery::Command(slot, command) => {
                    work += self.costs.delivery_ns;
                    at = start + work as u64;
                    application.log().apply(slot, &command);
                    if let Some(pending) = waiting.remove(&command.id()).filter(|_| !mute) {
                        let answered = self.clients.hears(id, at);
                        let answer = pending.answer(at, answered, Ok(slot));
                        self.events.push(answered, Event::Answered(answer));
                    }
                }
                Delivery::Snapshot(bytes) => {
                    if let Err(error) = application.restore(bytes) {
                        *failure = Some(error.to_string());
                    }
                }
            }
        }
        at
    }

    /// Gives the answers that need no delivery.
    pub(super) fn reply(&mut self, id: ReplicaId, at: u64) {
        let Node { effects, waiting, .. } = &mut self.nodes[id.index()];
        let mute = effects.mute;
        for (command, slot, output) in effects.replies.drain(..) {
            if let Some(pending) = waiting.remove(&command).filter(|_| !mute) {
                let answered = self.clients.hears(id, at);
                let answer = Answered { output, ..pending.answer(at, answered, Ok(slot)) };
                self.events.push(answered, Event::Answered(answer));
            }
        }
    }

    pub(super) fn flushed(&mut self, id: ReplicaId) {
        let node = &mut self.nodes[id.index()];
        let Some((token, another)) = node.disk.as_mut().and_then(|disk| disk.flushed()) else { return };
        if another {
            self.events.push(self.now + self.flushes.next_ns(), Event::Flushed(id, node.life));
        }
        self.arrive(id, Item::Synced(token));
    }
}

/// Sends what waited for a flush.
fn release<M: Clone, Record>(
    held: &mut VecDeque<(SyncToken, ReplicaId, M)>,
    effects: &mut EffectQueues<M, Record>,
    token: SyncToken,
) {
    while held.front().is_some_and(|held| held.0 <= token) {
        if let Some((_, to, message)) = held.pop_front() {
            effects.send(to, message);
        }
    }
}
