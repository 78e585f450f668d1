//! The contract between consensus protocols and consensus-bench: everything an adapter author
//! reads, and nothing else.
//!
//! # Two ways in
//!
//! - A library that is a pure state machine becomes a [`Replica`]: time, messages and commands go
//!   in, [`Effects`] come out. [`ReplicaCluster`] then drives it, and owns sockets, logs, clients
//!   and faults.
//! - A library that owns its runtime, or a live server, implements [`Cluster`] itself, with the
//!   pieces that [`ReplicaCluster`] is made of: [`Network`], [`Wal`], [`SharedClient`],
//!   [`Application`]. In virtual time it implements [`Simulation`], with the pieces of
//!   [`simulation`].
//!
//! Either way a [`Protocol`] describes and launches it.
//!
//! # What an adapter promises
//!
//! - A command is answered `Ok` only once the protocol calls it committed, and the replica that
//!   answers has applied it.
//! - Every replica [applies](AppliedLog::apply) the same commands in the same [`Slot`]s. Commands
//!   are found again by their [`CommandId`], not by their place in a log: ids survive a change of
//!   leader.
//! - What must survive a crash is a [`Replica::Record`], and messages that promise it go out by
//!   [`Effects::send_after_sync`].
//! - A fault that can't be given is answered *unsupported*.
//!
//! # A complete protocol
//!
//! A primary numbers commands, sends them to its backups, and delivers once all have them. It
//! tolerates no fault, and is all the shorter for it.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use protocol_core::*;
//!
//! #[derive(Clone)]
//! enum Wire1 { Accept(u64, Command), Accepted(u64) }
//!
//! impl Wire for Wire1 {
//!     fn encode(&self, buffer: &mut Vec<u8>) {
//!         let (Wire1::Accept(slot, _) | Wire1::Accepted(slot)) = self;
//!         buffer.extend_from_slice(&slot.to_le_bytes());
//!         if let Wire1::Accept(_, command) = self { command.encode(buffer) }
//!     }
//!     fn decode(mut bytes: bytes::Bytes) -> Result<Self, WireError> {
//!         use bytes::Buf;
//!         let short = WireError::Truncated { what: "slot", need: 8, have: bytes.len() };
//!         let slot = bytes.try_get_u64_le().map_err(|_| short)?;
//!         if bytes.is_empty() { return Ok(Wire1::Accepted(slot)) }
//!         Ok(Wire1::Accept(slot, Command::from_encoded(bytes)?))
//!     }
//!     fn encoded_len(&self) -> usize {
//!         match self { Wire1::Accept(_, command) => 8 + command.encoded_len(), Wire1::Accepted(_) => 8 }
//!     }
//! }
//! impl Message for Wire1 {}
//!
//! const PRIMARY: ReplicaId = ReplicaId(0);
//!
//! struct Backup { id: ReplicaId, replicas: usize, open: Vec<(Command, usize)>, delivered: usize }
//!
//! impl Replica for Backup {
//!     type Message = Wire1;
//!     type Record = Command; // never persisted: this toy forgets everything in a crash
//!     const FIFO: bool = true; // nor is it made for messages that overtake each other, come twice or get lost
//!
//!     fn step(&mut self, _now: Time, input: Input<Wire1>, effects: &mut Effects<Self>) {
//!         match input {
//!             Input::Start => effects.new_view(View(0), Some(PRIMARY)),
//!             Input::Requests(commands) if self.id == PRIMARY => for command in commands {
//!                 let slot = self.open.len() as u64;
//!                 effects.proposed();
//!                 effects.broadcast(self.id, self.replicas, &Wire1::Accept(slot, command.clone()));
//!                 self.open.push((command, 1));
//!             },
//!             Input::Requests(commands) => for command in commands {
//!                 effects.reject(Rejection { command: command.id(), leader: Some(PRIMARY) });
//!             },
//!             Input::Message { message: Wire1::Accept(slot, command), .. } => {
//!                 effects.deliver(Slot(slot), command);
//!                 effects.send(PRIMARY, Wire1::Accepted(slot));
//!             }
//!             Input::Message { message: Wire1::Accepted(slot), .. } => {
//!                 self.open[slot as usize].1 += 1;
//!                 while self.open.get(self.delivered).is_some_and(|open| open.1 == self.replicas) {
//!                     effects.deliver(Slot(self.delivered as u64), self.open[self.delivered].0.clone());
//!                     self.delivered += 1;
//!                 }
//!             }
//!             Input::Timer(_) | Input::Link { .. } | Input::Synced(_) => {}
//!             Input::Tune { .. } | Input::Corrupt(_) => {}
//!         }
//!     }
//! }
//!
//! struct PrimaryBackup;
//!
//! /// The same replicas for both clocks.
//! fn make(boot: Boot<Command>) -> Result<Backup, LaunchError> {
//!     Ok(Backup { id: boot.id, replicas: boot.replicas, open: Vec::new(), delivered: 0 })
//! }
//!
//! #[async_trait::async_trait]
//! impl Protocol for PrimaryBackup {
//!     fn descriptor(&self) -> Descriptor {
//!         Descriptor {
//!             name: "primary-backup",
//!             family: Family::Paxos,
//!             implementation: "the example of protocol-core",
//!             fault_model: FaultModel::Crash,
//!             tolerates: |_, _| 0,
//!             cluster_sizes: (2, 101),
//!             order: Order::Total,
//!             operation: Operation::append,
//!             commit_means: "on all replicas",
//!             quorums: |replicas, _| Ok(Quorums::from([("commit", replicas)])),
//!             floors: |replicas| Floors::without_cryptography(2.0 * (replicas - 1) as f64, 2.0),
//!             tunables: &[],
//!             constraints: &[],
//!             particulars: Particulars::default(),
//!         }
//!     }
//!     async fn launch(&self, spec: LaunchSpec) -> Result<Arc<dyn Cluster>, LaunchError> {
//!         check_size(&self.descriptor(), spec.replicas)?;
//!         ReplicaCluster::launch(&spec, DriverOptions::of(&self.descriptor()), make).await
//!     }
//!     // Without this there is no virtual time: no exact counts, no `explore`, no judgement of safety in the gate.
//!     fn simulate(&self, spec: &SimulationSpec) -> Result<Box<dyn Simulation>, LaunchError> {
//!         check_size(&self.descriptor(), spec.replicas)?;
//!         SimulatedCluster::launch(spec, DriverOptions::of(&self.descriptor()), make)
//!     }
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # runtime.block_on(async {
//! // In real time.
//! let cluster = PrimaryBackup.launch(LaunchSpec::in_memory(3)).await?;
//! for id in 0..100 {
//!     submit_and_wait(&*cluster, Command::new(CommandId(id), b"hello")).await.expect("committed");
//! }
//! let log = &cluster.audit()[0].1;
//! assert_eq!((log.delivered(), log.duplicates()), (100, 0));
//! // One Accept and one Accepted per backup and command: 2 (n - 1) messages.
//! assert_eq!(cluster.observe().total().of(MessageKind::Protocol).messages, 400);
//! cluster.stop().await;
//!
//! // In virtual time: a commit takes two delays of 10 ms.
//! let mut simulation = PrimaryBackup.simulate(&SimulationSpec::uniform(3, Duration::from_millis(10), 1))?;
//! simulation.submit(Time(0), Command::new(CommandId(0), b"hello"), Time(1_000_000_000));
//! assert!(simulation.run_until_answer(Time(1_000_000_000)));
//! let answered = simulation.take_answers()[0];
//! assert_eq!((answered.outcome, answered.answered), (Ok(Slot(0)), Time(20_000_000)));
//! # Ok::<(), LaunchError>(()) }).unwrap();
//! ```

mod applied;
mod byzantine;
mod client;
mod cluster;
mod command;
mod counters;
mod id_set;
mod ideal;
mod network;
mod operation;
mod phases;
mod protocol;
mod quorums;
mod replica;
mod replica_cluster;
mod role;
mod settings;
pub mod simulation;
mod storage;
mod submit;
mod timers;
mod timing;
mod wire;

pub use applied::{Application, Applied, AppliedLog, Order};
pub use byzantine::{Behaviour, Byzantine, Corruptible};
pub use client::{ClientRule, Offer, Seal, SharedClient};
pub use cluster::{
    Answers, Cluster, Committed, Fault, FaultError, Observation, ReplicaStatus, Reply, Request, SubmitError,
};
pub use command::{Command, CommandId, CommandSource};
pub use counters::{CounterCell, Counters, Traffic};
pub use id_set::IdSet;
pub use ideal::IdealKey;
pub use network::{
    Degradation, FRAME_HEADER_BYTES, Fate, Inbox, LinkSpec, LinkState, Network, NetworkKind, NetworkSpec,
};
pub use operation::Operation;
pub use phases::{Flush, Milestones, Phases};
pub use protocol::{
    Descriptor, Family, FaultModel, Floors, LaunchError, LaunchSpec, Particulars, Protocol, SizeRule,
    check_payload, check_size,
};
pub use quorums::{Quorums, no_quorums};
pub use replica::{
    Delivery, EffectQueues, Effects, Input, Misbehaviour, Rejection, Replica, ReplicaId, Slot, SyncToken,
    Time, TimerChange, TimerId, View,
};
pub use replica_cluster::{Boot, DriverOptions, ReplicaCluster};
pub use role::Role;
pub use settings::{Constraint, LiveError, Scale, Settings, Situation, Tunable};
pub use simulation::{Answered, Costs, SharedCores, SimulatedCluster, Simulation, SimulationSpec, Spread};
pub use storage::{Recovered, StorageSpec, Wal};
pub use submit::{SUBMIT_DEADLINE, submit_and_wait};
pub use timers::Timers;
pub use timing::Timing;
pub use wire::{Message, MessageKind, Wire, WireError};
