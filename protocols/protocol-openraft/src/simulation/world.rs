//! What the parts of a simulated cluster share: the queue of events, the links, the clients, and each
//! replica's body. Tasks of replicas reach it through a [`Here`].

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

use openraft::AsyncRuntime;
use openraft_rt_sim::SimRuntime;
use protocol_core::simulation::{Clients, Disk, Events, Flushes, Links, Pending};
use protocol_core::{
    Answered, ClientRule, Costs, FRAME_HEADER_BYTES, Message, ReplicaId, SharedCores, SimulationSpec, Slot,
    StorageSpec, SubmitError, SyncToken, Time, Wire,
};

use super::body::{Body, Done, Item};
use super::environment::{VirtualTicket, VirtualTime};
use crate::log_store::Record;
use crate::network::held;
use crate::types::Rpc;

/// Items handed over at one wake-up, at most.
const WAKE_UP_ITEMS: usize = 1024;

tokio::task_local! {
    static HERE: Here;
}

pub(super) enum Event {
    /// A client sends a command for the first time.
    Submit(Pending),
    /// A client's command reaches a replica.
    Request(ReplicaId, Pending),
    /// A refusal is back at the client.
    Refused(ReplicaId, Pending, Option<ReplicaId>),
    /// A message arrives, with its bytes on the wire.
    Message { from: ReplicaId, to: ReplicaId, message: Rpc<VirtualTime>, bytes: u32 },
    /// A replica looks into its inbox.
    Wake(ReplicaId, u32),
    /// A timer runs out, if a task still waits for it.
    Timer(ReplicaId, u32, u64),
    /// A flush is over.
    Flushed(ReplicaId, u32),
    /// A leader is asked for its quorum.
    LookAfter(ReplicaId, u32),
    /// An answer is back at the client.
    Answered(Answered),
}

/// Everything but the library.
pub struct World {
    /// Counts what the executor does, to tell when it has nothing to do.
    polls: AtomicU64,
    state: Mutex<State>,
}

impl World {
    pub(super) fn new(spec: &SimulationSpec) -> Arc<Self> {
        let group = spec.settings.get(&StorageSpec::GROUP_COMMIT) != 0.0;
        let disk = || spec.durable.then(|| Disk::grouped(group));
        let body = |index| Body::new(disk(), spec.skew_ppm(index));
        let state = State {
            now: 0,
            next_number: 0,
            events: Events::default(),
            bodies: (0..spec.replicas).map(body).collect(),
            links: Links::new(&spec.links, spec.seed),
            clients: Clients::new(&spec.client_delays, ClientRule::Leader),
            answers: VecDeque::new(),
            costs: spec.costs,
            cores: spec.cores.map(Cores::new),
            flush_times: Flushes::new(spec),
        };
        Arc::new(World { polls: AtomicU64::new(0), state: Mutex::new(state) })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        held(&self.state)
    }

    /// Polls of replicas' tasks so far.
    pub(super) fn polls(&self) -> u64 {
        self.polls.load(Relaxed)
    }
}

pub(super) struct State {
    pub(super) now: u64,
    /// Numbers timers, tickets and flushes.
    next_number: u64,
    pub(super) events: Events<Event>,
    pub(super) bodies: Vec<Body>,
    pub(super) links: Links,
    pub(super) clients: Clients,
    pub(super) answers: VecDeque<Answered>,
    costs: Costs,
    /// None when each replica has a core of its own.
    cores: Option<Cores>,
    flush_times: Flushes,
}

/// Cores that replicas share, first come, first served.
struct Cores {
    /// When each has done what it was given.
    free_at: Vec<u64>,
    resume_ns: u64,
}

impl Cores {
    fn new(shared: SharedCores) -> Self {
        Cores { free_at: vec![0; shared.count.max(1)], resume_ns: shared.resume_ns }
    }

    fn first_free_at(&self) -> u64 {
        self.free_at.iter().copied().min().unwrap_or(0)
    }

    /// Gives the first core that is free some work that can begin at `ready`; when it is done.
    fn work(&mut self, ready: u64, ns: u64) -> u64 {
        let Some(core) = self.free_at.iter_mut().min() else { return ready + ns };
        *core = ready.max(*core) + ns;
        *core
    }
}

impl State {
    pub(super) fn body(&mut self, id: ReplicaId) -> &mut Body {
        &mut self.bodies[id.index()]
    }

    fn next_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Has a replica do some work after what it has to do already, and returns when that is done.
    fn work(&mut self, id: ReplicaId, ns: f64) -> u64 {
        let now = self.now;
        let body = &mut self.bodies[id.index()];
        let (ready, ns) = (body.busy_until.max(now), ns as u64);
        body.busy_until = self.cores.as_mut().map_or(ready + ns, |cores| cores.work(ready, ns));
        body.busy_until
    }

    /// When a core can be had, and what it costs then to wake it: nothing but for one that sleeps.
    fn core_from(&self) -> (u64, u64) {
        let Some(cores) = &self.cores else { return (0, 0) };
        let free_at = cores.first_free_at();
        (free_at, if free_at < self.now { cores.resume_ns } else { 0 })
    }

    pub(super) fn send(&mut self, from: ReplicaId, to: ReplicaId, message: Rpc<VirtualTime>) {
        let bytes = FRAME_HEADER_BYTES + message.encoded_len();
        self.body(from).counters.sent(message.kind(), bytes);
        let at = self.work(from, self.costs.message_ns + self.costs.byte_ns * bytes as f64);
        let fate = self.links.pass(from, to, at, bytes);
        let bytes = bytes as u32;
        if let Some(due) = fate.again {
            self.events.push(due, Event::Message { from, to, message: message.clone(), bytes });
        }
        if let Some(due) = fate.arrival {
            self.events.push(due, Event::Message { from, to, message, bytes });
        }
    }

    /// Something reaches a replica's inbox. What reaches one that is down is lost, but clients are
    /// told.
    pub(super) fn arrive(&mut self, id: ReplicaId, item: Item) {
        let body = self.body(id);
        if body.live {
            body.inbox.push_back(item);
            self.wake_up(id);
        } else if let Item::Request(pending) = item {
            self.send_back(id, pending, None);
        }
    }

    pub(super) fn wake_up(&mut self, id: ReplicaId) {
        let (now, (core_from, _)) = (self.now, self.core_from());
        let body = self.body(id);
        if !body.woken && !body.paused && !body.inbox.is_empty() {
            body.woken = true;
            let (at, life) = (body.busy_until.max(now).max(core_from), body.life);
            self.events.push(at, Event::Wake(id, life));
        }
    }

    /// What a replica that was woken has to handle, with the work that it makes charged.
    pub(super) fn take_round(&mut self, id: ReplicaId) -> Vec<Item> {
        let (now, costs, (core_from, resume_ns)) = (self.now, self.costs, self.core_from());
        let body = self.body(id);
        body.woken = false;
        // What it did on its own account since may take longer.
        if body.paused || body.busy_until.max(core_from) > now {
            self.wake_up(id);
            return Vec::new();
        }
        let count = body.inbox.len().min(WAKE_UP_ITEMS);
        let round: Vec<Item> = body.inbox.drain(..count).collect();
        let work = |item: &Item| match item {
            Item::Message(_, _, bytes) => costs.message_ns + costs.byte_ns * f64::from(*bytes),
            Item::Request(_) => costs.request_ns,
            Item::Timer(_) | Item::Synced(_) => 0.0,
        };
        let work = resume_ns as f64 + costs.wake_up_ns + round.iter().map(work).sum::<f64>();
        self.work(id, work);
        self.wake_up(id);
        round
    }

    /// A timer ran out. Returns the task that waits for it when its life is over: that one is woken at once.
    pub(super) fn ring(&mut self, id: ReplicaId, life: u32, timer: u64) -> Option<Waker> {
        let body = self.body(id);
        if body.live && body.life == life {
            if body.timers.contains_key(&timer) {
                self.arrive(id, Item::Timer(timer));
            }
            return None;
        }
        body.timers.remove(&timer)
    }

    pub(super) fn flushed(&mut self, id: ReplicaId) {
        let now = self.now;
        let body = self.body(id);
        let Some((token, another)) = body.disk.as_mut().and_then(Disk::flushed) else { return };
        if another {
            let life = body.life;
            let over = now + self.flush_times.next_ns();
            self.events.push(over, Event::Flushed(id, life));
        }
        self.arrive(id, Item::Synced(token));
    }

    /// Who waits for a flush that is over.
    pub(super) fn take_flushed(&mut self, id: ReplicaId, token: SyncToken) -> Vec<Done> {
        let flushes = &mut self.body(id).flushes;
        let over = flushes.partition_point(|&(waiting, _)| waiting <= token);
        flushes.drain(..over).map(|(_, done)| done).collect()
    }

    /// Sends a client's command to the replica that clients believe in.
    pub(super) fn send_request(&mut self, pending: Pending) {
        let to = self.clients.believed(pending.command.id());
        match self.clients.delay_to(to) {
            0 => self.arrive(to, Item::Request(pending)),
            delay => self.events.push(self.now.saturating_add(delay), Event::Request(to, pending)),
        }
    }

    pub(super) fn send_back(&mut self, by: ReplicaId, pending: Pending, hint: Option<ReplicaId>) {
        let from = self.now.max(self.bodies[by.index()].busy_until);
        let back = from.saturating_add(self.clients.delay_to(by));
        self.events.push(back, Event::Refused(by, pending, hint));
    }

    pub(super) fn refused(&mut self, by: ReplicaId, mut pending: Pending, hint: Option<ReplicaId>) {
        if self.now >= pending.deadline {
            let outcome = Err(SubmitError::Redirected { leader: hint });
            return self.answers.push_back(pending.answer(self.now, self.now, outcome));
        }
        let (to, pause) = self.clients.refused(by, &mut pending, hint);
        let arrives = self.now.saturating_add(pause).saturating_add(self.clients.delay_to(to));
        self.events.push(arrives, Event::Request(to, pending));
    }

    /// Gives all commands inside the library back to the clients, which try elsewhere.
    pub(super) fn hand_back_all(&mut self, id: ReplicaId, leader: Option<ReplicaId>) {
        for pending in std::mem::take(&mut self.body(id).waiting).into_values() {
            self.send_back(id, pending, leader);
        }
    }

    /// Ends a replica's life, and wakes the tasks whose timers had run out.
    pub(super) fn end(&mut self, id: ReplicaId) {
        let (lost, wakers) = self.body(id).end();
        wakers.into_iter().for_each(Waker::wake);
        for pending in lost {
            self.send_back(id, pending, None);
        }
    }
}

/// One life of one replica in the world; what its tasks run with.
#[derive(Clone)]
pub struct Here {
    world: Arc<World>,
    pub(super) id: ReplicaId,
    pub(super) life: u32,
}

impl Here {
    /// The latest life of a replica.
    pub(super) fn of(world: &Arc<World>, id: ReplicaId) -> Self {
        let life = world.state().body(id).life;
        Here { world: world.clone(), id, life }
    }

    /// Of the task that runs.
    ///
    /// # Panics
    ///
    /// Outside of a replica's tasks, where nothing of the library runs.
    pub(super) fn current() -> Self {
        HERE.with(Here::clone)
    }

    /// Runs what is no task as if a task of this life did.
    pub(super) fn enter<T>(&self, act: impl FnOnce() -> T) -> T {
        HERE.sync_scope(self.clone(), act)
    }

    /// Makes a future one of this life, with all that it spawns.
    pub(super) fn guard<T: Future>(self, future: T) -> impl Future<Output = T::Output> + use<T> {
        let world = self.world.clone();
        HERE.scope(self, async move {
            let mut future = std::pin::pin!(future);
            std::future::poll_fn(move |context| {
                world.polls.fetch_add(1, Relaxed);
                future.as_mut().poll(context)
            })
            .await
        })
    }

    pub(super) fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        SimRuntime::spawn(self.clone().guard(task));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.world.state()
    }

    pub(super) fn now(&self) -> Time {
        Time(self.state().now)
    }

    /// Nanoseconds by the replica's own clock.
    pub(super) fn clock_ns(&self) -> u64 {
        let state = self.state();
        state.bodies[self.id.index()].clock(state.now)
    }

    /// Sets a timer for a time by the replica's own clock, or renews one that is set. None when that
    /// time has come.
    pub(super) fn set_timer(&self, timer: Option<u64>, deadline: u64, waker: &Waker) -> Option<u64> {
        let mut state = self.state();
        let now = state.now;
        let body = state.body(self.id);
        let clock = body.clock(now);
        if clock >= deadline {
            timer.map(|timer| body.timers.remove(&timer));
            return None;
        }
        if let Some(timer) = timer
            && let Some(waiting) = body.timers.get_mut(&timer)
        {
            waiting.clone_from(waker);
            return Some(timer);
        }
        let at = now.saturating_add(body.true_duration(deadline - clock));
        let timer = state.next_number();
        state.body(self.id).timers.insert(timer, waker.clone());
        state.events.push(at, Event::Timer(self.id, self.life, timer));
        Some(timer)
    }

    pub(super) fn forget_timer(&self, timer: u64) {
        // Dropped without the lock.
        let _waker = self.state().body(self.id).timers.remove(&timer);
    }

    /// Charges a command's delivery, and returns when that is done.
    pub(super) fn apply_one(&self) -> Time {
        let mut state = self.state();
        if state.body(self.id).life != self.life {
            return Time(state.now);
        }
        let delivery_ns = state.costs.delivery_ns;
        Time(state.work(self.id, delivery_ns))
    }

    /// Writes to the disk, and returns the bytes written. A life that is over writes nothing.
    pub(super) fn with_disk(&self, write: impl FnOnce(&mut Disk<Record>) -> usize) -> usize {
        let mut state = self.state();
        let body = state.body(self.id);
        match &mut body.disk {
            Some(disk) if body.life == self.life => write(disk),
            _ => 0,
        }
    }

    /// Calls `done` once all that was written is durable, and never when the life is over before.
    pub(super) fn sync(&self, done: Done) {
        let mut state = self.state();
        let token = SyncToken(state.next_number());
        let now = state.now;
        let body = state.body(self.id);
        let begins = match &mut body.disk {
            Some(disk) if body.life == self.life => disk.sync(token),
            _ => return,
        };
        body.flushes.push_back((token, done));
        if begins {
            let at = body.busy_until.max(now) + state.flush_times.next_ns();
            state.events.push(at, Event::Flushed(self.id, self.life));
        }
    }

    /// Takes a client's command up. One that a life that is over would take up goes back to the client.
    pub(super) fn take_up(&self, mut pending: Pending) -> Option<VirtualTicket> {
        let mut state = self.state();
        if state.body(self.id).life != self.life {
            state.send_back(self.id, pending, None);
            return None;
        }
        let number = state.next_number();
        pending.taken_up = state.now;
        state.body(self.id).waiting.insert(number, pending);
        Some(VirtualTicket::new(self.clone(), number))
    }

    /// Answers a command that was applied at `applied`.
    pub(super) fn answer(&self, ticket: u64, applied: Time, slot: Slot) {
        let mut state = self.state();
        let Some(pending) = state.body(self.id).waiting.remove(&ticket) else { return };
        let answered = applied.0.saturating_add(state.clients.delay_to(self.id));
        let answer = pending.answer(applied.0, answered, Ok(slot));
        state.events.push(answered, Event::Answered(answer));
    }

    /// Gives a command back to the client.
    pub(super) fn refuse(&self, ticket: u64, leader: Option<ReplicaId>) {
        let mut state = self.state();
        if let Some(pending) = state.body(self.id).waiting.remove(&ticket) {
            state.send_back(self.id, pending, leader);
        }
    }
}
