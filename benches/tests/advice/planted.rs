//! Protocols with a fault of their own, which no setting shows: the study plants these in wrappers, so that nothing of
//! it is in the protocols.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use protocol_core::{
    Answered, AppliedLog, Cluster, Command, Descriptor, Fault, FaultError, LaunchError, LaunchSpec,
    Observation, Protocol, ReplicaId, Simulation, SimulationSpec, Time,
};

/// What is wrong.
#[derive(Clone, Copy, Debug)]
pub enum Plant {
    /// Every command takes so many allocations more.
    Allocations(usize),
    /// The last replica's links are slower by this, both ways, and the links' settings don't say so.
    SlowFollower(Duration),
}

/// A protocol with something planted.
pub struct Planted {
    pub protocol: Arc<dyn Protocol>,
    pub plant: Plant,
}

#[async_trait]
impl Protocol for Planted {
    fn descriptor(&self) -> Descriptor {
        self.protocol.descriptor()
    }

    async fn launch(&self, _: LaunchSpec) -> Result<Arc<dyn Cluster>, LaunchError> {
        Err(LaunchError::Library("what is planted is planted in virtual time only".into()))
    }

    fn simulate(&self, spec: &SimulationSpec) -> Result<Box<dyn Simulation>, LaunchError> {
        let mut inner = self.protocol.simulate(spec)?;
        match self.plant {
            Plant::Allocations(per_command) => Ok(Box::new(Allocating { inner, per_command })),
            Plant::SlowFollower(extra_delay) => {
                let slow = ReplicaId(spec.replicas as u32 - 1);
                for other in ReplicaId::all(spec.replicas).filter(|&other| other != slow) {
                    for (from, to) in [(slow, other), (other, slow)] {
                        inner
                            .inject(Fault::Degrade { from, to, extra_delay, loss: 0.0 })
                            .map_err(|error| LaunchError::Library(error.to_string()))?;
                    }
                }
                Ok(inner)
            }
        }
    }
}

/// Takes from the heap what no one needs.
struct Allocating {
    inner: Box<dyn Simulation>,
    per_command: usize,
}

impl Simulation for Allocating {
    fn now(&self) -> Time {
        self.inner.now()
    }

    fn submit(&mut self, at: Time, command: Command, deadline: Time) {
        (0..self.per_command).for_each(|_| drop(black_box(Box::new(0_u64))));
        self.inner.submit(at, command, deadline);
    }

    fn inject(&mut self, fault: Fault) -> Result<(), FaultError> {
        self.inner.inject(fault)
    }

    fn run_until(&mut self, until: Time) {
        self.inner.run_until(until);
    }

    fn run_until_answer(&mut self, until: Time) -> bool {
        self.inner.run_until_answer(until)
    }

    fn limit_events(&mut self, most: u64) {
        self.inner.limit_events(most);
    }

    fn take_answers(&mut self) -> Vec<Answered> {
        self.inner.take_answers()
    }

    fn events(&self) -> u64 {
        self.inner.events()
    }

    fn observe(&self) -> Observation {
        self.inner.observe()
    }

    fn audit(&self) -> Vec<(ReplicaId, AppliedLog)> {
        self.inner.audit()
    }
}
