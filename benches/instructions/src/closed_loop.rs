//! Clients with one command in flight each, on a cluster in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use consensus_bench::safety::{Claims, Registers, check};
use protocol_core::{
    Answered, CommandId, CommandSource, IdSet, LaunchError, Protocol, Settings, Simulation, SimulationSpec,
    Time,
};

use crate::Workload;

const REPLICAS: usize = 3;
const CLIENTS: usize = 64;
const PAYLOAD_BYTES: usize = 128;
/// Enough for a leader, full batches and buffers of their lasting size.
const WARM_UP_COMMITS: usize = 512;
const COMMITS: usize = 1024;
const ONE_WAY: Duration = Duration::from_micros(250);
const SEED: u64 = 1;
/// How long clients wait: gossip may leave a replica out, and then no one would ever say so.
const PATIENCE: Duration = Duration::from_secs(10);
/// A command that takes longer than this is not waited for.
const STALLED_AFTER: Duration = Duration::from_secs(600);
/// How long replicas have to catch up before they are compared.
const SETTLING: Duration = Duration::from_secs(10);

/// A closed loop past its warm-up. One operation is one commit.
pub struct ClosedLoop {
    simulation: Box<dyn Simulation>,
    commands: CommandSource,
    next_id: u64,
    /// When each command was sent, by id.
    sent: Vec<Time>,
    /// In the order in which they came.
    answers: Vec<Answered>,
    acknowledged: usize,
    stalled: bool,
    registers: Option<Registers>,
}

impl ClosedLoop {
    /// Starts a cluster of the smallest size from three on that the protocol can have, and warms it up.
    pub fn start(protocol: &dyn Protocol) -> Result<ClosedLoop, LaunchError> {
        let descriptor = protocol.descriptor();
        let spec = SimulationSpec::uniform(descriptor.size_for(REPLICAS), ONE_WAY, SEED);
        let settings = Settings::checked(BTreeMap::new(), &descriptor)?;
        // Room for every answer, and for a last batch that is more than was asked for: growing would be counted.
        let room = 2 * (WARM_UP_COMMITS + COMMITS + CLIENTS);
        let mut clients = ClosedLoop {
            simulation: protocol.simulate(&spec)?,
            commands: CommandSource::default(),
            next_id: 0,
            sent: Vec::with_capacity(room),
            answers: Vec::with_capacity(room),
            acknowledged: 0,
            stalled: false,
            registers: Registers::of(&descriptor, &settings),
        };
        (0..CLIENTS).for_each(|_| clients.send(Time(0)));
        clients.commit(WARM_UP_COMMITS);
        Ok(clients)
    }

    fn send(&mut self, at: Time) {
        let command = self.commands.command(CommandId(self.next_id), &[0x5A; PAYLOAD_BYTES]);
        self.next_id += 1;
        self.sent.push(at);
        self.simulation.submit(at, command, at + PATIENCE);
    }

    /// Commits at least so many commands, and says how many they were; others are in flight at the end.
    fn commit(&mut self, commits: usize) -> usize {
        let before = self.acknowledged;
        while self.acknowledged - before < commits && !self.stalled {
            self.stalled = !self.simulation.run_until_answer(self.simulation.now() + STALLED_AFTER);
            for answered in self.simulation.take_answers() {
                self.answers.push(answered);
                self.acknowledged += usize::from(answered.outcome.is_ok());
                self.send(answered.answered);
            }
        }
        self.acknowledged - before
    }

    /// Tells the registers what was asked and answered, in the order of time.
    fn judge_registers(&self, registers: Registers) -> Vec<String> {
        let mut registers = registers;
        let mut sent = (0..).map(CommandId).zip(&self.sent).peekable();
        for answered in &self.answers {
            while let Some((id, at)) = sent.next_if(|(_, at)| **at < answered.answered) {
                registers.invoke(id, at.0);
            }
            let output = answered.outcome.is_ok().then_some(answered.output);
            registers.answer(answered.id, answered.answered.0, output);
        }
        registers.broken()
    }
}

impl Workload for ClosedLoop {
    fn run(&mut self) -> u64 {
        self.commit(COMMITS) as u64
    }

    fn check(&mut self) -> Result<(), String> {
        if self.stalled {
            return Err(format!("no answer for {STALLED_AFTER:?} of virtual time"));
        }
        self.simulation.run_until(self.simulation.now() + SETTLING);
        self.answers.extend(self.simulation.take_answers());
        let mut acknowledged = IdSet::default();
        let answers = self.answers.iter().filter(|answered| answered.outcome.is_ok());
        answers.for_each(|answered| {
            acknowledged.insert(answered.id);
        });
        let claims = Claims { submitted: self.next_id, acknowledged };
        let mut broken = check(&self.simulation.audit(), &self.simulation.observe(), &claims).violations;
        if let Some(registers) = self.registers.take() {
            broken.extend(self.judge_registers(registers));
        }
        if broken.is_empty() { Ok(()) } else { Err(broken.join("; ")) }
    }
}
