//! The harness's own hot paths: what stands between a protocol and its numbers.

use std::time::{Duration, Instant};

use consensus_bench::load::{Book, Recorder, Schedule};
use consensus_bench::scenario::Arrivals;
use protocol_core::{
    Answers, Command, CommandId, Committed, LaunchError, Phases, Simulation, SimulationSpec, Slot, Time, Wire,
};
use protocol_raft_rs::RaftMessage;
use raft::eraftpb::{Entry, Message, MessageType};

use crate::{Relay, Workload};

const CALLS: u64 = 10_000;
const CLIENTS: usize = 64;
const TIMEOUT: Duration = Duration::from_secs(1);
/// Where the time of the samples went.
const PHASES: Phases =
    Phases { submission_ns: 20, replication_ns: 40, quorum_wait_ns: 80, application_ns: 10, fsync_ns: 0 };
const NEVER: Time = Time(u64::MAX);

/// How one is made ready.
type Make = fn() -> Result<Box<dyn Workload>, LaunchError>;

/// All, in the order of tables.
pub const ALL: [(&str, Make); 6] = [
    ("record", || Ok(Box::new(Record { recorder: Recorder::new(TIMEOUT) }))),
    ("answer", || Ok(Box::new(Answer { book: Book::new(Instant::now(), TIMEOUT, CLIENTS) }))),
    ("schedule", || Ok(Box::new(Arrive { due: poisson(), last: 0 }))),
    ("encode", || Ok(Box::new(Encode { message: append(), buffer: Vec::with_capacity(64 << 10) }))),
    ("decode", || Ok(Box::new(Decode { encoded: encoded(&append()), same: true }))),
    ("simulator", || Ok(Box::new(Events::start()?))),
];

/// Samples into the histograms of a recorder.
struct Record {
    recorder: Recorder,
}

impl Workload for Record {
    fn run(&mut self) -> u64 {
        let mut latency = 1u64;
        for _ in 0..CALLS {
            // A walk over all magnitudes, as in the bench target `generator`.
            latency = latency.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            self.recorder.succeed(0, latency & 0xFF, (latency >> 44) + 256, &PHASES);
        }
        CALLS
    }

    fn check(&mut self) -> Result<(), String> {
        expect(self.recorder.response.len(), CALLS, "samples")
    }
}

/// Requests entered into the book and answered at once. The book asks the real clock.
struct Answer {
    book: Book,
}

impl Workload for Answer {
    fn run(&mut self) -> u64 {
        let committed = Committed { slot: Slot(1), output: 0, phases: Phases::default() };
        for _ in 0..CALLS {
            if let Some(id) = self.book.send(0, 0) {
                self.book.answer(id, Ok(committed));
            }
        }
        CALLS
    }

    fn check(&mut self) -> Result<(), String> {
        expect(self.book.acknowledged().len(), CALLS, "answers")
    }
}

/// About [`CALLS`] requests, within one second.
fn poisson() -> Schedule {
    Schedule::new(Arrivals::Poisson, CALLS as f64, 1.0, 1)
}

/// When requests of a Poisson process are due.
struct Arrive {
    due: Schedule,
    last: u64,
}

impl Workload for Arrive {
    fn run(&mut self) -> u64 {
        let mut count = 0;
        for due in &mut self.due {
            self.last = due;
            count += 1;
        }
        count
    }

    fn check(&mut self) -> Result<(), String> {
        let end_ns = 1_000_000_000;
        if (1..end_ns).contains(&self.last) {
            return Ok(());
        }
        Err(format!("the last request is due at {} ns, not within {end_ns} ns", self.last))
    }
}

/// A leader's message with entries, onto the wire.
struct Encode {
    message: RaftMessage,
    buffer: Vec<u8>,
}

impl Workload for Encode {
    fn run(&mut self) -> u64 {
        for _ in 0..CALLS {
            self.buffer.clear();
            self.message.encode(&mut self.buffer);
        }
        CALLS
    }

    fn check(&mut self) -> Result<(), String> {
        expect(self.buffer.len() as u64, self.message.encoded_len() as u64, "bytes")
    }
}

/// The same from the wire.
struct Decode {
    encoded: bytes::Bytes,
    same: bool,
}

impl Workload for Decode {
    fn run(&mut self) -> u64 {
        for _ in 0..CALLS {
            let decoded = RaftMessage::decode(self.encoded.clone());
            self.same &= decoded.is_ok_and(|message| message.0.entries.len() == ENTRIES);
        }
        CALLS
    }

    fn check(&mut self) -> Result<(), String> {
        if self.same { Ok(()) } else { Err("a message was not read back as it was written".into()) }
    }
}

const ENTRIES: usize = 16;

/// A leader's message with [`ENTRIES`] commands of 128 bytes.
fn append() -> RaftMessage {
    let mut message = Message::default();
    message.set_msg_type(MessageType::MsgAppend);
    (message.to, message.from, message.term, message.index) = (2, 1, 3, 1_000);
    for index in 0..ENTRIES as u64 {
        let mut entry = Entry { term: 3, index: 1_001 + index, ..Entry::default() };
        entry.data = Command::new(CommandId(index), &[0x5A; 128]).into_encoded();
        message.entries.push(entry);
    }
    RaftMessage(message)
}

fn encoded(message: &RaftMessage) -> bytes::Bytes {
    let mut buffer = Vec::new();
    message.encode(&mut buffer);
    buffer.into()
}

/// Events of the simulator around a protocol that does next to nothing.
struct Events {
    simulation: Box<dyn Simulation>,
    next_id: u64,
}

impl Events {
    fn start() -> Result<Events, LaunchError> {
        let spec = SimulationSpec::uniform(3, Duration::from_micros(250), 1);
        let mut events = Events { simulation: Relay::simulate(&spec)?, next_id: 0 };
        (0..CLIENTS).for_each(|_| events.send(Time(0)));
        events.pass(CALLS);
        Ok(events)
    }

    fn send(&mut self, at: Time) {
        self.simulation.submit(at, Command::new(CommandId(self.next_id), &[0x5A; 128]), NEVER);
        self.next_id += 1;
    }

    fn pass(&mut self, count: u64) -> u64 {
        let before = self.simulation.events();
        while self.simulation.events() - before < count && self.simulation.run_until_answer(NEVER) {
            for answered in self.simulation.take_answers() {
                self.send(answered.answered);
            }
        }
        self.simulation.events() - before
    }
}

impl Workload for Events {
    fn run(&mut self) -> u64 {
        self.pass(CALLS)
    }

    fn check(&mut self) -> Result<(), String> {
        self.simulation.run_until(self.simulation.now() + Duration::from_secs(1));
        let observed = self.simulation.observe();
        let delivered = observed.replicas.iter().map(|replica| replica.delivered);
        match delivered.min() {
            Some(least) => expect(least, self.next_id, "commands on the slowest replica"),
            None => Err("there are no replicas".into()),
        }
    }
}

fn expect(found: u64, expected: u64, what: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{found} {what} in place of {expected}")) }
}
