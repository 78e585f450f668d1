//! The task that drives one replica in real time.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedMutexGuard, mpsc};
use tokio::time::Sleep;

use super::linger::Linger;
use super::waiting::Waiting;
use super::{Event, Node};
use crate::applied::Application;
use crate::client::SharedClient;
use crate::cluster::{Committed, Request, SubmitError};
use crate::command::{Command, CommandId};
use crate::network::Network;
use crate::replica::{
    Delivery, Effects, Input, Replica, ReplicaId, Slot, SyncToken, Time, TimerChange, TimerId,
};
use crate::storage::Wal;

/// Events handed over at one wake-up, at most.
const WAKE_UP_EVENTS: usize = 1024;
/// How often waiting requests are searched for passed deadlines.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(50);

/// Everything one replica's task owns. Dropping it is the crash: what waits here goes back to the
/// client, and the log finishes the writes it was given.
pub(super) struct Driver<R: Replica> {
    pub(super) id: ReplicaId,
    pub(super) replica: R,
    pub(super) effects: Effects<R>,
    pub(super) epoch: Instant,
    pub(super) application: Application,
    pub(super) network: Network<R::Message>,
    pub(super) node: Arc<Node<R>>,
    pub(super) client: Arc<SharedClient>,
    pub(super) wal: Option<Wal>,
    /// Which start of this replica it is.
    pub(super) life: u64,
    pub(super) timers: Vec<(Time, TimerId)>,
    pub(super) waiting: Waiting,
    /// Commands applied in this round that someone may wait for; kept for its memory.
    pub(super) delivered: Vec<(Slot, CommandId)>,
    pub(super) held: VecDeque<(SyncToken, ReplicaId, R::Message)>,
    pub(super) led_by_another: bool,
    /// Clients' requests that the replica has yet to be given.
    pub(super) requests: Vec<Request>,
    pub(super) linger: Arc<Linger>,
    /// When those requests have waited long enough for others.
    pub(super) lingers_until: Option<Time>,
    pub(super) largest_proposal: usize,
}

impl<R: Replica> Driver<R> {
    /// Runs until its task is aborted or the log fails.
    pub(super) async fn run(mut self, mut inbox: OwnedMutexGuard<mpsc::UnboundedReceiver<Event<R>>>) {
        self.replica.step(self.now(), Input::Start, &mut self.effects);
        let mut failure = self.finish_round().err();
        let mut events = Vec::with_capacity(WAKE_UP_EVENTS);
        let mut sleep = Box::pin(tokio::time::sleep(Duration::ZERO));
        let mut expire_at = self.epoch.elapsed() + EXPIRY_INTERVAL;
        while failure.is_none() {
            self.aim(&mut sleep);
            tokio::select! {
                biased;
                _ = inbox.recv_many(&mut events, WAKE_UP_EVENTS) => {}
                () = &mut sleep => {}
            }
            if self.node.pace.is_paused() {
                self.node.pace.stand().await;
            }
            failure = self.round(&mut events).err();
            if self.epoch.elapsed() > expire_at {
                expire_at = self.epoch.elapsed() + EXPIRY_INTERVAL;
                self.expire();
            }
        }
        if let Some(failure) = failure {
            self.node.fail(failure);
            refuse_all(self.id, &mut inbox, &self.client);
        }
    }

    /// Hands over all inputs at hand, and carries out what the replica wants done.
    fn round(&mut self, events: &mut Vec<Event<R>>) -> Result<(), String> {
        let now = self.now();
        let mut messages = 0;
        for event in events.drain(..) {
            match event {
                Event::Message(sent) => {
                    let (from, message) = *sent;
                    messages += 1;
                    self.replica.step(now, Input::Message { from, message }, &mut self.effects);
                }
                Event::Request(request) if request.watches => self.watch(request),
                Event::Request(request) => self.requests.push(request),
                // An earlier life's log may still have had something to say.
                Event::Synced(life, ..) if life != self.life => {}
                Event::Synced(_, token, Ok(at)) => {
                    self.waiting.batches.flushed(token, at);
                    self.synced(now, token);
                }
                Event::Synced(_, _, Err(error)) => return Err(error),
                Event::Link(peer, up) => {
                    self.replica.step(now, Input::Link { peer, up }, &mut self.effects);
                }
                Event::Corrupt(behaviour) => {
                    self.replica.step(now, Input::Corrupt(behaviour), &mut self.effects);
                }
                Event::Wake => {}
            }
        }
        self.node.counters.woke(messages);
        self.fire_timers(now);
        if !self.lingers(now) {
            self.propose(now);
        }
        self.finish_round()
    }

    fn finish_round(&mut self) -> Result<(), String> {
        loop {
            self.replica.flush(self.now(), &mut self.effects);
            match self.carry_out()? {
                // Memory is durable at once, so the replica goes on within the same round.
                Some(token) => self.synced(self.now(), token),
                None => return Ok(()),
            }
        }
    }

    /// Whether requests wait for others, at the replica that orders them: until the first has waited long
    /// enough, or there are as many as go together.
    fn lingers(&mut self, now: Time) -> bool {
        let linger = self.linger.time();
        if linger.is_zero() || self.requests.is_empty() {
            return false;
        }
        let orders = !self.led_by_another || self.client.asks_by_turns();
        let full = self.requests.len() >= self.largest_proposal;
        let waited = self.lingers_until.is_some_and(|until| until <= now);
        if full || waited || !orders {
            self.lingers_until = None;
            return false;
        }
        if self.lingers_until.is_none() {
            self.lingers_until = Some(now + linger);
            self.linger.wake(self.id, now + linger);
        }
        true
    }

    /// Passes waiting clients' commands on as one batch, or several when it is too large.
    fn propose(&mut self, now: Time) {
        while !self.requests.is_empty() {
            self.waiting.batches.begin(self.now());
            let batch = self.requests.len().min(self.largest_proposal);
            let mut commands: Vec<Command> = Vec::with_capacity(batch);
            for request in self.requests.drain(..batch) {
                commands.push(request.command.clone());
                if let Some(twice) = self.waiting.insert(request) {
                    twice.reply.answer(Err(SubmitError::Unavailable));
                }
            }
            let before = self.effects.proposals;
            self.replica.step(now, Input::Requests(commands), &mut self.effects);
            let refused = self.effects.rejections.len();
            let made = self.effects.proposals - before;
            self.node.counters.proposed(made, if made > 0 { (batch - refused.min(batch)) as u64 } else { 0 });
            self.pass_on_rejections();
        }
    }

    /// Has a request wait for a command that another replica was given.
    fn watch(&mut self, request: Request) {
        self.waiting.batches.begin(self.now());
        if let Some(twice) = self.waiting.insert(request) {
            twice.reply.answer(Err(SubmitError::Unavailable));
        }
    }

    fn carry_out(&mut self) -> Result<Option<SyncToken>, String> {
        for (to, message) in self.effects.sends.drain(..) {
            self.network.send(self.id, to, message);
        }
        self.write_records();
        if self.waiting.batches.any_unsent() {
            let flushing = self.effects.sync.filter(|_| self.wal.is_some());
            self.waiting.batches.sent(self.now(), flushing);
        }
        self.held.extend(self.effects.held.drain(..));
        self.change_timers();
        if let Some((view, leader)) = self.effects.view.take() {
            self.enter_view(view.0, leader);
        }
        self.pass_on_rejections();
        self.effects.proposals = 0;
        if self.effects.batches != [0; 2] {
            let [proposals, commands] = std::mem::take(&mut self.effects.batches);
            self.node.counters.proposed(proposals, commands);
        }
        if self.effects.cryptography != [0; 3] {
            self.node.counters.computed(std::mem::take(&mut self.effects.cryptography));
        }
        if !self.effects.misbehaviour.is_empty() {
            self.node.accuse(&mut self.effects.misbehaviour);
        }
        if !self.effects.suspicions.is_empty() {
            self.node.suspect(&mut self.effects.suspicions);
        }
        self.reply();
        self.deliver()?;
        let Some(token) = self.effects.sync.take() else { return Ok(None) };
        self.node.counters.synced();
        let Some(wal) = &self.wal else { return Ok(Some(token)) };
        let (inbox, life, epoch) = (self.node.inbox.clone(), self.life, self.epoch);
        wal.sync(move |result| {
            let at = Time(nanos(epoch.elapsed()));
            let result = result.map(|()| at).map_err(|error| error.to_string());
            inbox.send(Event::Synced(life, token, result)).ok();
        });
        Ok(None)
    }

    /// Writes what is to survive a crash; without a log nothing is, and nothing is counted.
    fn write_records(&mut self) {
        let (checkpoint, records) = (self.effects.checkpoint.take(), &mut self.effects.records);
        if let Some(wal) = &self.wal {
            if let Some(checkpoint) = checkpoint {
                self.node.counters.logged(wal.replace(&checkpoint));
            }
            if !records.is_empty() {
                self.node.counters.logged(wal.append(records));
            }
        }
        records.clear();
    }

    /// Sends what was held for the sync, and tells the replica.
    fn synced(&mut self, now: Time, token: SyncToken) {
        while self.held.front().is_some_and(|held| held.0 <= token) {
            if let Some((_, to, message)) = self.held.pop_front() {
                self.network.send(self.id, to, message);
            }
        }
        self.replica.step(now, Input::Synced(token), &mut self.effects);
    }

    fn deliver(&mut self) -> Result<(), String> {
        if self.effects.deliveries.is_empty() {
            return Ok(());
        }
        let committed = self.now();
        let anyone_waits = !self.waiting.is_empty();
        let mut log = self.application.log();
        for delivery in self.effects.deliveries.drain(..) {
            match delivery {
                Delivery::Command(slot, command) => {
                    log.apply(slot, &command);
                    if anyone_waits {
                        self.delivered.push((slot, command.id()));
                    }
                }
                Delivery::Snapshot(bytes) => {
                    drop(log);
                    self.application.restore(bytes).map_err(|error| error.to_string())?;
                    log = self.application.log();
                }
            }
        }
        drop(log);
        let applied = self.now();
        let mut delivered = std::mem::take(&mut self.delivered);
        for (slot, id) in delivered.drain(..) {
            self.answer(id, slot, 0, committed, applied);
        }
        self.delivered = delivered;
        Ok(())
    }

    /// Gives the answers that need no delivery.
    fn reply(&mut self) {
        if self.effects.replies.is_empty() {
            return;
        }
        let now = self.now();
        let mut replies = std::mem::take(&mut self.effects.replies);
        for (id, slot, output) in replies.drain(..) {
            self.answer(id, slot, output, now, now);
        }
        self.effects.replies = replies;
    }

    fn answer(&mut self, id: CommandId, slot: Slot, output: u64, committed: Time, applied: Time) {
        if let Some((request, stamps)) = self.waiting.take(id).filter(|_| !self.effects.mute) {
            let sent = Time(nanos(request.sent.saturating_duration_since(self.epoch)));
            let phases = stamps.milestones(sent, committed, applied).phases();
            request.reply.answer(Ok(Committed { slot, output, phases }));
        }
    }

    fn enter_view(&mut self, view: u64, leader: Option<ReplicaId>) {
        self.node.set_view(view, leader);
        let led_by_another = leader != Some(self.id);
        if led_by_another && !self.led_by_another && self.client.follows_leader() {
            // This replica may never learn the fate of what it proposed; the next leader decides it.
            for request in self.waiting.take_all() {
                self.client.refused(self.id, request, leader);
            }
        }
        if !led_by_another {
            self.client.leader_is(self.id);
        }
        self.led_by_another = led_by_another;
    }

    fn pass_on_rejections(&mut self) {
        for rejection in self.effects.rejections.drain(..) {
            if let Some((request, _)) = self.waiting.take(rejection.command) {
                self.client.refused(self.id, request, rejection.leader);
            }
        }
    }

    fn change_timers(&mut self) {
        if self.effects.timers.is_empty() {
            return;
        }
        let now = self.now();
        for change in self.effects.timers.drain(..) {
            let (TimerChange::Set(timer, _) | TimerChange::Cancel(timer)) = change;
            self.timers.retain(|&(_, set)| set != timer);
            if let TimerChange::Set(timer, after) = change {
                self.timers.push((now + after, timer));
            }
        }
    }

    fn fire_timers(&mut self, now: Time) {
        while let Some(index) = self.timers.iter().position(|&(due, _)| due <= now) {
            let (_, timer) = self.timers.swap_remove(index);
            self.replica.step(now, Input::Timer(timer), &mut self.effects);
        }
    }

    fn expire(&mut self) {
        for request in self.waiting.take_expired(Instant::now()) {
            request.reply.answer(Err(SubmitError::TimedOut));
        }
    }

    /// Points the sleep at the next timer, touching tokio's timer wheel only when that changed.
    fn aim(&self, sleep: &mut Pin<Box<Sleep>>) {
        let next = self.timers.iter().map(|&(due, _)| due).min();
        let next = next
            .map_or(self.epoch + Duration::from_secs(3600), |due| self.epoch + Duration::from_nanos(due.0));
        if sleep.deadline() != next.into() {
            sleep.as_mut().reset(next.into());
        }
    }

    fn now(&self) -> Time {
        Time(nanos(self.epoch.elapsed()))
    }
}

impl<R: Replica> Drop for Driver<R> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.node.fail("the replica panicked; its message is on standard error".into());
        }
        for request in self.waiting.take_all() {
            self.client.lost(self.id, request);
        }
        for request in self.requests.drain(..) {
            self.client.refused(self.id, request, None);
        }
        self.node.pace.end();
    }
}

/// Gives clients' requests back that reached an inbox which no one reads.
pub(super) fn refuse_all<R: Replica>(
    by: ReplicaId,
    inbox: &mut mpsc::UnboundedReceiver<Event<R>>,
    client: &SharedClient,
) {
    while let Ok(event) = inbox.try_recv() {
        if let Event::Request(request) = event {
            client.refused(by, request, None);
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
