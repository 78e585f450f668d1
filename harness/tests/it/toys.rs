//! Clusters that behave well or badly on purpose, for the tests of the harness.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use protocol_core::{
    AppliedLog, Cluster, Committed, Descriptor, Family, Fault, FaultError, FaultModel, Floors, LaunchError,
    LaunchSpec, Observation, Phases, Protocol, ReplicaId, ReplicaStatus, Request, Slot,
};

/// How a toy behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// Applies every command on every replica, then answers.
    Good,
    /// Takes commands and never answers.
    Silent,
    /// Blocks whoever submits after the first hundred commands, for good.
    Blocking,
    /// Never finishes launching.
    NeverLaunches,
    /// Panics at the launch.
    Panics,
    /// Acknowledges every tenth command without applying it on replica 2.
    Forgets,
    /// Applies every tenth command twice on replica 1.
    AppliesTwice,
    /// Swaps neighbouring commands on replica 2, every tenth time.
    Reorders,
    /// Applies what no client sent.
    Invents,
    /// Panics when it is looked at from the hundredth command on.
    PanicsWhenObserved,
}

/// A toy protocol of three replicas.
pub struct Toy {
    conduct: Conduct,
    /// Clusters that were stopped.
    pub stopped: Arc<AtomicU64>,
}

impl Toy {
    pub fn new(conduct: Conduct) -> Self {
        Toy { conduct, stopped: Arc::default() }
    }
}

struct ToyCluster {
    stopped: Arc<AtomicU64>,
    conduct: Conduct,
    slots: AtomicU64,
    logs: Vec<Mutex<AppliedLog>>,
    held_back: Mutex<Option<protocol_core::Command>>,
}

#[async_trait]
impl Protocol for Toy {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "toy",
            family: Family::Raft,
            implementation: "tests",
            fault_model: FaultModel::Crash,
            tolerates: |_, _| 0,
            cluster_sizes: (3, 3),
            order: protocol_core::Order::Total,
            operation: protocol_core::Operation::append,
            commit_means: "applied everywhere",
            quorums: protocol_core::no_quorums,
            floors: |_| Floors::without_cryptography(4.0, 2.0),
            tunables: &[],
            constraints: &[],
            particulars: Default::default(),
        }
    }

    async fn launch(&self, spec: LaunchSpec) -> Result<Arc<dyn Cluster>, LaunchError> {
        match self.conduct {
            Conduct::NeverLaunches => std::future::pending().await,
            Conduct::Panics => panic!("this toy panics on purpose"),
            conduct => Ok(Arc::new(ToyCluster {
                conduct,
                stopped: self.stopped.clone(),
                slots: AtomicU64::new(0),
                logs: (0..spec.replicas).map(|_| Mutex::default()).collect(),
                held_back: Mutex::new(None),
            })),
        }
    }
}

impl ToyCluster {
    fn apply(&self, replica: usize, slot: Slot, command: &protocol_core::Command) {
        self.logs[replica].lock().unwrap().apply(slot, command);
    }

    fn apply_on(&self, replica: usize, slot: Slot, request: &Request) {
        let tenth = slot.0 % 10 == 9;
        match (self.conduct, replica) {
            (Conduct::Forgets, 2) if tenth => {}
            (Conduct::AppliesTwice, 1) if tenth => {
                self.apply(replica, slot, &request.command);
                self.apply(replica, slot, &request.command);
            }
            (Conduct::Reorders, 2) if tenth => {
                *self.held_back.lock().unwrap() = Some(request.command.clone());
            }
            (Conduct::Reorders, 2) => {
                let held_back = self.held_back.lock().unwrap().take();
                match held_back {
                    Some(earlier) => {
                        self.apply(replica, Slot(slot.0 - 1), &request.command);
                        self.apply(replica, slot, &earlier);
                    }
                    None => self.apply(replica, slot, &request.command),
                }
            }
            (Conduct::Invents, _) if slot.0 == 5 => {
                let never_sent = protocol_core::CommandId(1 << 20);
                self.apply(replica, slot, &protocol_core::Command::new(never_sent, b""));
            }
            _ => self.apply(replica, slot, &request.command),
        }
    }
}

#[async_trait]
impl Cluster for ToyCluster {
    fn submit(&self, request: Request) {
        let slot = Slot(self.slots.fetch_add(1, SeqCst));
        match self.conduct {
            // Kept, not dropped: a dropped reply would answer.
            Conduct::Silent => return std::mem::forget(request),
            Conduct::Blocking if slot.0 >= 100 => loop {
                std::thread::park();
            },
            _ => {}
        }
        for replica in 0..self.logs.len() {
            self.apply_on(replica, slot, &request);
        }
        request.reply.answer(Ok(Committed { slot, output: 0, phases: Phases::default() }));
    }

    async fn inject(&self, fault: Fault) -> Result<(), FaultError> {
        Err(FaultError::Unsupported { fault, why: "a toy".into() })
    }

    fn observe(&self) -> Observation {
        if self.conduct == Conduct::PanicsWhenObserved && self.slots.load(SeqCst) >= 100 {
            panic!("this toy panics when it is observed, on purpose");
        }
        let status = |log: &Mutex<AppliedLog>| {
            let log = log.lock().unwrap();
            ReplicaStatus {
                live: true,
                delivered: log.delivered(),
                digest: log.digest(),
                ..ReplicaStatus::default()
            }
        };
        Observation { replicas: self.logs.iter().map(status).collect(), ..Observation::default() }
    }

    fn audit(&self) -> Vec<(ReplicaId, AppliedLog)> {
        ReplicaId::all(self.logs.len())
            .zip(&self.logs)
            .map(|(id, log)| (id, log.lock().unwrap().clone()))
            .collect()
    }

    async fn stop(&self) {
        self.stopped.fetch_add(1, SeqCst);
    }
}
