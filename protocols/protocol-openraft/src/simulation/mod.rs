//! The library in virtual time: a seeded executor runs its tasks, and one loop of events in integer
//! nanoseconds moves everything else, so that the same seed gives the same bytes on any machine.
//!
//! The loop is that of the shared simulator of pure state machines
//! ([`SimulatedCluster`](protocol_core::SimulatedCluster)), with its links, clients and disks: a replica
//! is a server with a queue; messages, requests, timers and ends of flushes wait in its inbox while it is
//! busy or stands still, and are handled all at once when it is woken. Then its tasks run, in no time,
//! until none can go on. What they send, apply and write is work that the replica is busy with
//! afterwards.

mod body;
mod environment;
mod instant;
mod life;
mod runtime;
mod world;

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use openraft::{AsyncRuntime, Config};
use openraft_rt_sim::{SimInstant, SimRuntime};
use protocol_core::simulation::Pending;
use protocol_core::{
    Answered, AppliedLog, Command, Degradation, Fault, FaultError, LaunchError, Observation, ReplicaId,
    Simulation, SimulationSpec, Time, View,
};

use crate::network::Carriage;
use body::Item;
use life::{Life, Origin};
use world::{Event, World};

/// A cluster of the library's replicas in virtual time.
pub(crate) struct OpenraftSimulation {
    cluster: SimulatedReplicas,
    /// Dropped last, because tasks that are dropped with it reach for the world.
    runtime: SimRuntime,
}

impl OpenraftSimulation {
    pub(crate) fn launch(
        spec: &SimulationSpec,
        config: Config,
        carriage: Carriage,
    ) -> Result<Self, LaunchError> {
        spec.assert_tables();
        let origin = Origin { world: World::new(spec), config: Arc::new(config), carriage };
        let cluster = SimulatedReplicas {
            lives: (0..spec.replicas).map(|_| None).collect(),
            origin,
            durable: spec.durable,
            handled: 0,
            most_events: u64::MAX,
        };
        let mut simulation = OpenraftSimulation { cluster, runtime: SimRuntime::with_seed(spec.seed) };
        let OpenraftSimulation { cluster, runtime } = &mut simulation;
        runtime.block_on(async {
            for id in ReplicaId::all(spec.replicas) {
                cluster.start(id).await?;
            }
            Ok::<_, LaunchError>(())
        })?;
        Ok(simulation)
    }
}

/// Everything but the executor.
struct SimulatedReplicas {
    origin: Origin,
    lives: Vec<Option<Life>>,
    durable: bool,
    handled: u64,
    /// Nothing more happens after so many events.
    most_events: u64,
}

impl SimulatedReplicas {
    fn world(&self) -> &World {
        &self.origin.world
    }

    async fn start(&mut self, id: ReplicaId) -> Result<(), LaunchError> {
        self.lives[id.index()] = Some(Life::start(id, &self.origin).await?);
        self.settle(id).await;
        Ok(())
    }

    /// Handles events until the time comes, or until there is an answer if one is waited for. True when
    /// there is one.
    async fn run(&mut self, until: u64, for_answer: bool) -> bool {
        loop {
            let event = {
                let mut state = self.origin.world.state();
                if for_answer && !state.answers.is_empty() {
                    return true;
                }
                if self.handled >= self.most_events {
                    return false;
                }
                match state.events.next_at() {
                    Some(at) if at <= until => state.events.pop(),
                    _ => {
                        state.now = state.now.max(until);
                        return false;
                    }
                }
            };
            let Some((at, event)) = event else { return false };
            if at > self.world().state().now {
                // Nothing can go on before: the executor's clock jumps.
                let epoch = SimInstant::try_now().map_or(Duration::ZERO, SimInstant::elapsed_since_start);
                SimRuntime::sleep(Duration::from_nanos(at).saturating_sub(epoch)).await;
                self.world().state().now = at;
            }
            self.handled += 1;
            if let Some(id) = self.handle(event) {
                self.settle(id).await;
            }
        }
    }

    /// Handles an event, and returns the replica whose tasks can go on by it.
    fn handle(&mut self, event: Event) -> Option<ReplicaId> {
        let mut state = self.origin.world.state();
        match event {
            Event::Submit(pending) => state.send_request(pending),
            Event::Request(to, pending) => state.arrive(to, Item::Request(pending)),
            Event::Refused(by, pending, hint) => state.refused(by, pending, hint),
            Event::Message { from, to, message, bytes } => {
                state.arrive(to, Item::Message(from, message, bytes));
            }
            Event::Timer(id, life, timer) => {
                let waker = state.ring(id, life, timer)?;
                drop(state);
                waker.wake();
                return Some(id);
            }
            Event::Answered(answered) => state.answers.push_back(answered),
            Event::Wake(id, life) if state.body(id).life == life => {
                let round = state.take_round(id);
                drop(state);
                if round.is_empty() {
                    return None;
                }
                self.lives[id.index()].as_ref()?.hand_over(self.world(), round);
                return Some(id);
            }
            Event::Flushed(id, life) if state.body(id).life == life => state.flushed(id),
            Event::LookAfter(id, life) if state.body(id).life == life => {
                drop(state);
                let lease = Duration::from_millis(self.origin.config.election_timeout_max);
                self.lives[id.index()].as_ref()?.ask_for_quorum(self.world(), lease);
            }
            Event::Wake(..) | Event::Flushed(..) | Event::LookAfter(..) => {}
        }
        None
    }

    /// Lets tasks run until none can go on.
    async fn run_tasks(&self) {
        loop {
            let before = self.world().polls();
            yield_now().await;
            if self.world().polls() == before {
                break;
            }
        }
    }

    /// Lets tasks run, and looks at what became of the replica whose tasks did.
    async fn settle(&mut self, id: ReplicaId) {
        self.run_tasks().await;
        let Some(life) = &mut self.lives[id.index()] else { return };
        if !life.look_after(&self.origin.world) {
            let failure = life.failure();
            if let Some(life) = self.lives[id.index()].take() {
                life.crash(&self.origin.world);
            }
            self.run_tasks().await;
            self.world().state().body(id).failure = Some(failure);
        }
    }

    async fn crash(&mut self, fault: Fault, id: ReplicaId) -> Result<(), FaultError> {
        let life = self.lives[id.index()].take().ok_or_else(|| FaultError::is_down(fault, id))?;
        life.crash(self.world());
        self.settle(id).await;
        Ok(())
    }

    async fn restart(&mut self, fault: Fault, id: ReplicaId) -> Result<(), FaultError> {
        if !self.durable {
            return Err(FaultError::forgotten(fault));
        }
        if self.lives[id.index()].is_some() {
            return Err(FaultError::is_running(fault, id));
        }
        let started = self.start(id).await;
        started.map_err(|error| FaultError::NotApplicable { fault, why: error.to_string() })
    }

    fn pause(&self, fault: Fault, id: ReplicaId, paused: bool) -> Result<(), FaultError> {
        let mut state = self.world().state();
        let body = state.body(id);
        if !body.live {
            return Err(FaultError::is_down(fault, id));
        }
        match (body.paused, paused) {
            (true, true) => return Err(FaultError::is_paused(fault, id)),
            (false, false) => return Err(FaultError::is_running(fault, id)),
            _ => body.paused = paused,
        }
        // One that was woken and then paused sleeps on; there is nothing to undo.
        state.wake_up(id);
        Ok(())
    }
}

/// Lets every task that can go on do so once.
async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Simulation for OpenraftSimulation {
    fn now(&self) -> Time {
        Time(self.cluster.world().state().now)
    }

    fn submit(&mut self, at: Time, command: Command, deadline: Time) {
        let mut state = self.cluster.world().state();
        let at = at.0.max(state.now);
        state.events.push(at, Event::Submit(Pending::new(command, at, deadline.0)));
    }

    fn inject(&mut self, fault: Fault) -> Result<(), FaultError> {
        let OpenraftSimulation { cluster, runtime } = self;
        fault.check(cluster.lives.len())?;
        match fault {
            Fault::Crash(id) => runtime.block_on(cluster.crash(fault, id)),
            Fault::Restart(id) => runtime.block_on(cluster.restart(fault, id)),
            Fault::Pause(id) => cluster.pause(fault, id, true),
            Fault::Resume(id) => cluster.pause(fault, id, false),
            Fault::Corrupt(_, behaviour) => FaultError::check_behaviour(fault, behaviour, &[]),
            Fault::Degrade { from, to, extra_delay, loss } => {
                let by = Degradation { extra_delay, loss };
                cluster.world().state().links.degrade(from, to, by);
                Ok(())
            }
            Fault::Cut { from, to } => {
                cluster.world().state().links.cut(from, to);
                Ok(())
            }
            Fault::Heal => {
                cluster.world().state().links.heal();
                Ok(())
            }
        }
    }

    fn run_until(&mut self, until: Time) {
        self.runtime.block_on(self.cluster.run(until.0, false));
    }

    fn run_until_answer(&mut self, until: Time) -> bool {
        self.runtime.block_on(self.cluster.run(until.0, true))
    }

    fn limit_events(&mut self, most: u64) {
        self.cluster.most_events = most;
    }

    fn take_answers(&mut self) -> Vec<Answered> {
        self.cluster.world().state().answers.drain(..).collect()
    }

    fn events(&self) -> u64 {
        self.cluster.handled
    }

    fn observe(&self) -> Observation {
        let lives = self.cluster.lives.iter().flatten();
        let newest = lives.filter_map(Life::leader).max_by_key(|&(term, _)| term);
        let state = self.cluster.world().state();
        Observation {
            leader: newest.map(|(_, leader)| leader),
            view: newest.map(|(term, _)| View(term)),
            replicas: state.bodies.iter().map(body::Body::status).collect(),
            resubmissions: state.clients.resubmissions,
        }
    }

    fn audit(&self) -> Vec<(ReplicaId, AppliedLog)> {
        let state = self.cluster.world().state();
        let bodies = ReplicaId::all(state.bodies.len()).zip(&state.bodies);
        let live = bodies.filter(|(_, body)| body.live);
        live.map(|(id, body)| (id, body.application.log().clone())).collect()
    }
}
