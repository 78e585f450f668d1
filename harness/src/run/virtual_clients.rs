//! The clients' side of a cluster in virtual time: requests go in, their ends come out, and what clients were
//! promised is kept for the safety check. When to send what is up to the loads that are built on it.

use protocol_core::{
    Answered, CommandId, CommandSource, IdSet, LaunchError, Protocol, Simulation, SimulationSpec, Time,
};

use super::RunError;
use super::simulated::SECOND_NS;
use crate::resources::ThreadHeapCounts;
use crate::results::Safety;
use crate::safety::{Claims, Registers, check};

/// A command that takes longer than this in virtual time is not waited for.
const STALLED_AFTER_S: u64 = 600;

/// All clients of one simulation.
pub(super) struct VirtualClients {
    pub(super) simulation: Box<dyn Simulation>,
    payload: Vec<u8>,
    commands: CommandSource,
    submitted: u64,
    open: usize,
    acknowledged: IdSet,
    registers: Option<Registers>,
    /// What the simulation took from the heap so far; none where that is no exact count.
    heap: Option<ThreadHeapCounts>,
}

impl VirtualClients {
    /// A cluster that nothing was sent to yet.
    pub(super) fn of(
        protocol: &dyn Protocol,
        spec: &SimulationSpec,
        payload_bytes: usize,
    ) -> Result<Self, LaunchError> {
        let descriptor = protocol.descriptor();
        Ok(VirtualClients {
            simulation: protocol.simulate(spec)?,
            payload: vec![0x5A; payload_bytes],
            commands: CommandSource::default(),
            submitted: 0,
            open: 0,
            acknowledged: IdSet::default(),
            registers: Registers::of(&descriptor, &spec.settings),
            heap: ThreadHeapCounts::now()
                .filter(|_| !descriptor.particulars.heap_varies)
                .map(|_| ThreadHeapCounts::default()),
        })
    }

    pub(super) fn now(&self) -> Time {
        self.simulation.now()
    }

    pub(super) fn heap(&self) -> Option<ThreadHeapCounts> {
        self.heap
    }

    /// Requests sent so far, and so the id of the next one.
    pub(super) fn submitted(&self) -> u64 {
        self.submitted
    }

    /// Requests without an answer.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    pub(super) fn has_registers(&self) -> bool {
        self.registers.is_some()
    }

    /// Sends a request at `at`, which may lie ahead.
    pub(super) fn send(&mut self, at: Time, deadline: Time) {
        let command = self.commands.command(CommandId(self.submitted), &self.payload);
        if let Some(registers) = &mut self.registers {
            registers.invoke(command.id(), at.0);
        }
        self.submitted += 1;
        self.open += 1;
        self.inside(|simulation| simulation.submit(at, command, deadline));
    }

    /// Goes on until something is answered, but not beyond `limit`; whether something was.
    pub(super) fn run_until_answer(&mut self, limit: Time) -> bool {
        self.inside(|simulation| simulation.run_until_answer(limit))
    }

    /// The next answers, however long they take within reason.
    pub(super) fn wait(&mut self) -> Result<Vec<Answered>, RunError> {
        let limit = Time(self.now().0 + STALLED_AFTER_S * SECOND_NS);
        if !self.run_until_answer(limit) {
            return Err(RunError::Stalled(STALLED_AFTER_S));
        }
        Ok(self.take_answers())
    }

    /// Waits until nothing is open.
    pub(super) fn drain(&mut self) -> Result<(), RunError> {
        while self.open > 0 {
            self.wait()?;
        }
        Ok(())
    }

    /// What was answered since the last call.
    pub(super) fn take_answers(&mut self) -> Vec<Answered> {
        let answers = self.simulation.take_answers();
        for answered in &answers {
            // Those that were given up may still come.
            self.open = self.open.saturating_sub(1);
            if let Some(registers) = &mut self.registers {
                let output = answered.outcome.is_ok().then_some(answered.output);
                registers.answer(answered.id, answered.answered.0, output);
            }
            // After the time-out too: it is a promise.
            if answered.outcome.is_ok() {
                self.acknowledged.insert(answered.id);
            }
        }
        answers
    }

    /// Waits no longer for what is open.
    pub(super) fn give_up(&mut self) {
        self.open = 0;
    }

    /// Lets replicas settle for so long, and checks what they applied and what clients read. The last call.
    pub(super) fn check(&mut self, settling_ns: u64) -> Safety {
        self.simulation.run_until(Time(self.now().0 + settling_ns));
        self.take_answers();
        let claims = Claims { submitted: self.submitted, acknowledged: self.acknowledged.clone() };
        let mut safety = check(&self.simulation.audit(), &self.simulation.observe(), &claims);
        if let Some(registers) = self.registers.take() {
            registers.judge(&mut safety);
        }
        safety
    }

    /// Calls the simulation, and counts what it takes from the heap: the loop around it takes from there
    /// too, and is no part of what a commit costs.
    fn inside<T>(&mut self, call: impl FnOnce(&mut dyn Simulation) -> T) -> T {
        let before = ThreadHeapCounts::now();
        let returned = call(&mut *self.simulation);
        if let (Some(spent), Some(before), Some(after)) = (&mut self.heap, before, ThreadHeapCounts::now()) {
            *spent += after - before;
        }
        returned
    }
}
