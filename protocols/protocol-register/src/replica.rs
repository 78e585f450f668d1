//! One replica: it keeps registers for others, and coordinates the commands that clients give it.
//!
//! References: "ABD" is H. Attiya, A. Bar-Noy, D. Dolev, *Sharing Memory Robustly in Message-Passing
//! Systems*, 1995; "LS" is N. Lynch, A. Shvartsman, *Robust Emulation of Shared Memory Using Dynamic
//! Quorum-Acknowledged Broadcasts*, 1997; "Dynamo" is G. DeCandia et al., *Dynamo: Amazon's Highly
//! Available Key-value Store*, 2007.

use std::collections::{BTreeMap, VecDeque};

use protocol_core::{
    Boot, Command, CommandId, Effects, Input, Operation, Rejection, Replica, ReplicaId, Slot, SyncToken,
    Time, TimerId, Timing, Wire,
};

use crate::messages::{Found, Query, Record, RegisterMessage, Stored};
use crate::setup::RegisterSetup;
use crate::store::Store;
use crate::tag::Tag;
use crate::trip::{Finishing, Trip};

const RETRY: TimerId = TimerId(0);
/// A question is asked again after a heartbeat, then after twice as long, up to so many heartbeats.
const LONGEST_RETRY_HEARTBEATS: u32 = 8;
/// Bytes appended to the log before it is rewritten as the registers alone.
const CHECKPOINT_BYTES: usize = 64 << 20;

/// What is known of another replica as one that answers.
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    /// When it answered last.
    at: Time,
    /// The latest trip that it answered.
    trip: u64,
}

/// One replica.
#[derive(Debug)]
pub struct RegisterReplica {
    me: ReplicaId,
    replicas: usize,
    setup: RegisterSetup,
    incarnation: u32,
    store: Store,
    /// Commands that came before the incarnation was durable, until it is.
    early: Option<Vec<Command>>,
    trips: BTreeMap<u64, Trip>,
    peers: Vec<Peer>,
    last_trip: u32,
    retry_is_set: bool,
    /// Whether this round changed what must survive a crash.
    dirty: bool,
    asked: SyncToken,
    durable: SyncToken,
    /// The replica's answers to itself that wait for a sync.
    own: VecDeque<(SyncToken, u64, Vec<Found>)>,
    log_bytes: usize,
}

impl RegisterReplica {
    /// A replica that goes on where its records end.
    pub fn new(boot: Boot<Record>, setup: RegisterSetup) -> Self {
        let (mut store, mut incarnation) = (Store::default(), 0);
        for record in boot.records {
            match record {
                Record::Incarnation(number) => incarnation = number,
                Record::Stored(stored) => drop(store.put(stored, SyncToken(0))),
            }
        }
        RegisterReplica {
            me: boot.id,
            replicas: boot.replicas,
            setup,
            incarnation: incarnation + 1,
            store,
            early: None,
            trips: BTreeMap::new(),
            peers: vec![Peer::default(); boot.replicas],
            last_trip: 0,
            retry_is_set: false,
            dirty: false,
            asked: SyncToken(0),
            durable: SyncToken(0),
            own: VecDeque::new(),
            log_bytes: 0,
        }
    }

    /// A new life: its number must be durable before anyone hears of it, in a tag or in the name of a trip.
    fn start(&mut self, effects: &mut Effects<Self>) {
        for (tag, value) in self.store.values() {
            effects.deliver(Slot(tag.counter), value.clone());
        }
        if self.setup.durable {
            self.persist(Record::Incarnation(self.incarnation), effects);
            self.early = Some(Vec::new());
        }
    }

    /// Groups a batch: one question to each replica for all of its commands.
    fn begin(&mut self, now: Time, commands: Vec<Command>, effects: &mut Effects<Self>) {
        if let Some(early) = &mut self.early {
            return early.extend(commands);
        }
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        let mut wanted: BTreeMap<u64, bool> = BTreeMap::new();
        for command in commands {
            match Operation::on_register(command.id(), &self.setup.settings) {
                Operation::Read { key } => {
                    wanted.insert(key, true);
                    reads.push((command.id(), key));
                }
                Operation::Write { key } => {
                    if self.setup.rules.writes_query {
                        wanted.entry(key).or_insert(false);
                    }
                    writes.push((command, key));
                }
                Operation::Append => effects.reject(Rejection { command: command.id(), leader: None }),
            }
        }
        if reads.is_empty() && writes.is_empty() {
            return;
        }
        effects.proposed();
        let places: BTreeMap<u64, usize> = wanted.keys().copied().zip(0..).collect();
        let place = |key: u64| places.get(&key).copied().unwrap_or(0);
        let queries = wanted.into_iter().map(|(key, value)| Query { key, value }).collect();
        let (mut stores, mut finishing) = (Vec::new(), Vec::new());
        if !self.setup.rules.writes_query {
            // Dynamo 6, reconciliation by timestamps: the last writer wins. They are those of Lamport 1978.
            for (command, key) in writes.drain(..) {
                let counter = self.store.highest_counter() + 1;
                self.write(key, counter, command, &mut stores, &mut finishing, effects);
            }
        }
        let mut trip = self.trip(now, queries, stores);
        trip.reads = reads.into_iter().map(|(id, key)| (id, place(key))).collect();
        trip.writes = writes.into_iter().map(|(command, key)| (command, place(key))).collect();
        trip.finishing = finishing;
        self.ask(now, trip, effects);
    }

    /// Gives a write its tag. It is stored here at once, so that the next tag of this register is higher.
    fn write(
        &mut self,
        key: u64,
        counter: u64,
        command: Command,
        stores: &mut Vec<Stored>,
        finishing: &mut Vec<Finishing>,
        effects: &mut Effects<Self>,
    ) {
        let tag = Tag { counter, writer: self.me.0, incarnation: self.incarnation };
        let stored = Stored { key, tag, value: command.clone() };
        self.put(stored.clone(), effects);
        stores.push(stored);
        // Delivered here with its answer: a delivery would answer the client.
        finishing.push(Finishing::Write { slot: Slot(counter), command });
    }

    /// A trip of its own name. Lives are part of the name: what was asked before a crash may be answered
    /// after it.
    fn trip(&mut self, now: Time, queries: Vec<Query>, stores: Vec<Stored>) -> Trip {
        self.last_trip += 1;
        let trip = u64::from(self.incarnation) << 32 | u64::from(self.last_trip);
        let ask = RegisterMessage::Ask { trip, queries, stores };
        Trip::new(ask, self.replicas, now, self.setup.timing.heartbeat)
    }

    fn ask(&mut self, now: Time, trip: Trip, effects: &mut Effects<Self>) {
        let RegisterMessage::Ask { trip: name, queries, stores } = trip.ask.clone() else { return };
        effects.broadcast(self.me, self.replicas, &trip.ask);
        self.trips.insert(name, trip);
        if !self.retry_is_set {
            self.retry_is_set = true;
            effects.set_timer(RETRY, self.setup.timing.heartbeat);
        }
        let (found, token) = self.serve(&queries, stores, effects);
        if token > self.durable {
            self.own.push_back((token, name, found));
        } else {
            self.answered(now, self.me, name, found, effects);
        }
    }

    /// A replica's part in either phase (ABD, LS): stores what is newer, and tells what it has. The
    /// answer promises that all of it is durable, what others stored included: a read takes equal answers
    /// for a quorum.
    fn serve(
        &mut self,
        queries: &[Query],
        stores: Vec<Stored>,
        effects: &mut Effects<Self>,
    ) -> (Vec<Found>, SyncToken) {
        let asked_for = queries.iter().map(|query| query.key);
        let keys: Vec<u64> = asked_for.chain(stores.iter().map(|stored| stored.key)).collect();
        self.take(stores, effects);
        let found = queries.iter().map(|query| self.store.find(query)).collect();
        let token = keys.into_iter().map(|key| self.store.durable_with(key)).max();
        (found, token.unwrap_or(SyncToken(0)))
    }

    /// Stores and applies what is newer.
    fn take(&mut self, stores: Vec<Stored>, effects: &mut Effects<Self>) {
        for stored in stores {
            if self.put(stored.clone(), effects) {
                effects.deliver(Slot(stored.tag.counter), stored.value);
            }
        }
    }

    fn put(&mut self, stored: Stored, effects: &mut Effects<Self>) -> bool {
        // Of the sync that this round will ask for.
        let token = if self.setup.durable { SyncToken(self.asked.0 + 1) } else { SyncToken(0) };
        let is_newer = self.store.put(stored.clone(), token);
        if is_newer && self.setup.durable {
            self.persist(Record::Stored(stored), effects);
        }
        is_newer
    }

    fn persist(&mut self, record: Record, effects: &mut Effects<Self>) {
        self.log_bytes += record.encoded_len();
        self.dirty = true;
        effects.persist(record);
    }

    fn receive(&mut self, now: Time, from: ReplicaId, message: RegisterMessage, effects: &mut Effects<Self>) {
        match message {
            RegisterMessage::Ask { trip, queries, stores } => {
                let (found, token) = self.serve(&queries, stores, effects);
                let answer = RegisterMessage::Answer { trip, found };
                if token > self.durable {
                    effects.send_after_sync(token, from, answer);
                } else {
                    effects.send(from, answer);
                }
            }
            RegisterMessage::Answer { trip, found } => self.answered(now, from, trip, found, effects),
            RegisterMessage::Repair { stores } => self.take(stores, effects),
        }
    }

    fn answered(
        &mut self,
        now: Time,
        from: ReplicaId,
        name: u64,
        found: Vec<Found>,
        effects: &mut Effects<Self>,
    ) {
        let rules = self.setup.rules;
        let peer = &mut self.peers[from.index()];
        *peer = Peer { at: now, trip: peer.trip.max(name) };
        let Some(mut trip) = self.trips.remove(&name) else { return };
        if trip.answer(from, found, rules.read_repair) {
            if !trip.queried && trip.answers >= rules.read_quorum {
                trip.queried = true;
                self.decide(now, &mut trip, effects);
            }
            if !trip.stored && trip.answers >= rules.write_quorum {
                trip.stored = true;
                trip.finishing.drain(..).for_each(|finishing| finish(finishing, effects));
            }
            if trip.queried {
                self.repair(&mut trip, effects);
            }
        }
        // Later answers may show who is to be repaired.
        let all_repaired = !rules.read_repair || trip.newest.is_empty() || trip.answers == self.replicas;
        if !(trip.queried && trip.stored && all_repaired) {
            self.trips.insert(name, trip);
        }
    }

    /// A read quorum has answered.
    fn decide(&mut self, now: Time, trip: &mut Trip, effects: &mut Effects<Self>) {
        let rules = self.setup.rules;
        let RegisterMessage::Ask { queries, .. } = &trip.ask else { return };
        let mut back: BTreeMap<usize, Stored> = BTreeMap::new();
        let mut finishing = Vec::new();
        for (command, place) in trip.reads.drain(..) {
            let newest = &trip.newest[place];
            let slot = Slot(newest.tag().counter);
            let value = newest.found.as_ref().and_then(|found| found.value.as_ref());
            let output = value.map_or(0, |value| value.id().0 + 1);
            let read = Finishing::Read { command, slot, output };
            match value {
                // ABD, the reader's write-back, LS, the propagation phase of a read: after it none sees an
                // older value. It is left out when a write quorum has this one already; what no one
                // wrote is everywhere.
                Some(value)
                    if rules.writes_back
                        && !(rules.one_round_reads && newest.holders >= rules.write_quorum) =>
                {
                    let key = queries[place].key;
                    back.insert(place, Stored { key, tag: newest.tag(), value: value.clone() });
                    finishing.push(read);
                }
                _ => finish(read, effects),
            }
        }
        let mut stores: Vec<Stored> = back.into_values().collect();
        // LS, from the query to the propagation phase of a write: its tag is higher than all that a quorum
        // knows.
        let writes: Vec<(Command, u64, u64)> = trip
            .writes
            .drain(..)
            .map(|(command, place)| (command, queries[place].key, trip.newest[place].tag().counter))
            .collect();
        for (command, key, newest) in writes {
            let counter = newest.max(self.store.tag(key).counter) + 1;
            self.write(key, counter, command, &mut stores, &mut finishing, effects);
        }
        if !stores.is_empty() {
            let mut second = self.trip(now, Vec::new(), stores);
            second.finishing = finishing;
            self.ask(now, second, effects);
        }
    }

    /// Dynamo 5, read repair: whoever answered with an old value is sent the new one.
    fn repair(&mut self, trip: &mut Trip, effects: &mut Effects<Self>) {
        let RegisterMessage::Ask { queries, .. } = &trip.ask else { return };
        for (replica, tags) in trip.tags.drain(..) {
            let mut stores = Vec::new();
            for ((query, newest), tag) in queries.iter().zip(&trip.newest).zip(tags) {
                let value = newest.found.as_ref().and_then(|found| found.value.clone());
                if let (Some(value), true) = (value, tag < newest.tag()) {
                    stores.push(Stored { key: query.key, tag: newest.tag(), value });
                }
            }
            match stores.is_empty() {
                true => {}
                false if replica == self.me => self.take(stores, effects),
                false => effects.send(replica, RegisterMessage::Repair { stores }),
            }
        }
    }

    /// Asks again those whose answer seems lost: they have answered a later question, or nothing for a
    /// while. One that is merely slow answers earlier questions, and must not get more of them. When no
    /// quorum answers anything any more, this replica may be cut off: commands go back to the client
    /// where that is harmless.
    fn retry(&mut self, now: Time, effects: &mut Effects<Self>) {
        let Timing { heartbeat, election_min, .. } = self.setup.timing;
        let (me, peers) = (self.me, &self.peers);
        let others = || ReplicaId::all(self.replicas).filter(|&peer| peer != me);
        let answering = others().filter(|peer| now < peers[peer.index()].at + election_min).count();
        let is_cut_off = 1 + answering < self.setup.rules.read_quorum;
        self.trips.retain(|&name, trip| {
            if is_cut_off && now >= trip.begun + election_min {
                let reject = |command: CommandId| effects.reject(Rejection { command, leader: None });
                trip.give_back().into_iter().for_each(reject);
            }
            if trip.is_over() {
                return false;
            }
            if now >= trip.again_at {
                trip.again_after = (trip.again_after * 2).min(heartbeat * LONGEST_RETRY_HEARTBEATS);
                trip.again_at = now + trip.again_after;
                let seems_lost = |&peer: &ReplicaId| {
                    let Peer { at, trip: latest } = peers[peer.index()];
                    !trip.has_answered(peer) && (latest > name || now >= at + heartbeat)
                };
                others().filter(seems_lost).for_each(|peer| effects.send(peer, trip.ask.clone()));
            }
            true
        });
        self.retry_is_set = !self.trips.is_empty();
        if self.retry_is_set {
            effects.set_timer(RETRY, heartbeat);
        }
    }

    /// A link is back: what was lost on it need not wait for the timer.
    fn ask_again(&mut self, peer: ReplicaId, effects: &mut Effects<Self>) {
        for trip in self.trips.values().filter(|trip| !trip.has_answered(peer)) {
            effects.send(peer, trip.ask.clone());
        }
    }

    fn synced(&mut self, now: Time, token: SyncToken, effects: &mut Effects<Self>) {
        self.durable = self.durable.max(token);
        while self.own.front().is_some_and(|&(waits_for, ..)| waits_for <= token) {
            if let Some((_, name, found)) = self.own.pop_front() {
                self.answered(now, self.me, name, found, effects);
            }
        }
        // The first sync was that of the incarnation.
        if let Some(early) = self.early.take().filter(|early| !early.is_empty()) {
            self.begin(now, early, effects);
        }
    }
}

fn finish(finishing: Finishing, effects: &mut Effects<RegisterReplica>) {
    match finishing {
        Finishing::Read { command, slot, output } => effects.reply(command, slot, output),
        Finishing::Write { slot, command } => effects.deliver(slot, command),
    }
}

impl Replica for RegisterReplica {
    type Message = RegisterMessage;
    type Record = Record;

    fn step(&mut self, now: Time, input: Input<RegisterMessage>, effects: &mut Effects<Self>) {
        match input {
            Input::Start => self.start(effects),
            Input::Requests(commands) => self.begin(now, commands, effects),
            Input::Message { from, message } => self.receive(now, from, message, effects),
            Input::Timer(_) => self.retry(now, effects),
            Input::Link { peer, up: true } => self.ask_again(peer, effects),
            // All that changes live is the driver's.
            Input::Tune { .. } | Input::Link { up: false, .. } | Input::Corrupt(_) => {}
            Input::Synced(token) => self.synced(now, token, effects),
        }
    }

    fn flush(&mut self, _now: Time, effects: &mut Effects<Self>) {
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        if self.log_bytes >= CHECKPOINT_BYTES {
            let mut records = vec![Record::Incarnation(self.incarnation)];
            records.extend(self.store.records());
            self.log_bytes = records.iter().map(Wire::encoded_len).sum();
            effects.checkpoint(records);
        }
        self.asked = SyncToken(self.asked.0 + 1);
        effects.sync(self.asked);
    }
}
