//! Load in virtual time on a cluster whose work costs something: closed loops, open loops at offered
//! rates, and a leader's crash under load.

use std::time::Duration;

use protocol_core::{Fault, Observation, Protocol, SimulationSpec, Time};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::RunError;
use super::simulated::{NEVER, SETTLING_NS};
use super::virtual_clients::VirtualClients;
use crate::load::Schedule;
use crate::measure::{Latencies, Looks};
use crate::results::Safety;
use crate::scenario::Arrivals;
use crate::stats::Spread;

/// Looks at the cluster during an open loop.
const LOOKS: u64 = 32;

/// An open loop in virtual time.
#[derive(Clone, Copy, Debug)]
pub struct VirtualOpenLoop<'a> {
    /// Arrival process.
    pub arrivals: Arrivals,
    /// Requests per second.
    pub rate_per_s: f64,
    /// How long requests are sent, in seconds.
    pub duration_s: f64,
    /// How long a request is waited for.
    pub timeout: Duration,
    /// Seed of arrivals and lateness.
    pub seed: u64,
    /// How late a generator that slept sends; none sends on time.
    pub lateness: Option<&'a Spread>,
}

/// What became of a load.
#[derive(Clone, Debug, Default)]
pub struct VirtualRecord {
    /// How long acknowledged commands took, from sent to answered.
    pub latencies: Latencies,
    /// From due to answered, ascending, in nanoseconds; those that failed count with the time-out.
    pub response_ns: Vec<u64>,
    /// Commands acknowledged before the load's end.
    pub in_time: u64,
    /// The load's length in virtual seconds.
    pub seconds: f64,
    /// Looks at the cluster during an open loop.
    pub looks: Looks,
}

impl VirtualRecord {
    /// Commands acknowledged per virtual second of the load.
    pub fn throughput_per_s(&self) -> f64 {
        self.in_time as f64 / self.seconds
    }
}

/// A cluster in virtual time with its clients.
pub struct VirtualCluster {
    clients: VirtualClients,
    /// When each command is due, by id.
    due: Vec<u64>,
}

impl VirtualCluster {
    /// Starts a cluster; the first command is committed when it returns, so that someone leads.
    pub fn start(
        protocol: &dyn Protocol,
        spec: &SimulationSpec,
        payload_bytes: usize,
    ) -> Result<VirtualCluster, RunError> {
        let clients = VirtualClients::of(protocol, spec, payload_bytes)?;
        let mut cluster = VirtualCluster { clients, due: Vec::new() };
        cluster.closed(1, 1)?;
        Ok(cluster)
    }

    /// Changes a tunable now.
    pub fn set_live(&mut self, tunable: &str, value: f64) -> Result<(), RunError> {
        Ok(self.clients.simulation.set_live(tunable, value)?)
    }

    /// The cluster now.
    pub fn observe(&self) -> Observation {
        self.clients.simulation.observe()
    }

    /// Commands sent so far. A closed loop has committed all of its own when it returns.
    pub fn sent(&self) -> u64 {
        self.clients.submitted()
    }

    /// Events handled so far.
    pub fn events(&self) -> u64 {
        self.clients.simulation.events()
    }

    /// Commits so many commands with so many in flight, and waits for those left in flight.
    pub fn closed(&mut self, clients: usize, commits: u64) -> Result<VirtualRecord, RunError> {
        let started = self.clients.now();
        let mut record = VirtualRecord::default();
        while self.clients.open() < clients {
            self.send(started.0, started.0, NEVER);
        }
        while record.in_time < commits {
            for answered in self.clients.wait()? {
                if answered.outcome.is_ok() && record.in_time < commits {
                    record.in_time += 1;
                    record.latencies.record(&answered);
                    record.seconds = (answered.answered.0 - started.0) as f64 / 1e9;
                }
                self.send(answered.answered.0, answered.answered.0, NEVER);
            }
        }
        self.clients.drain()?;
        Ok(record)
    }

    /// Sends at a rate, whatever is answered, and waits until every request ended or timed out.
    pub fn open(&mut self, load: &VirtualOpenLoop) -> VirtualRecord {
        let started = self.clients.now().0;
        let ends = started + (load.duration_s * 1e9) as u64;
        let timeout = load.timeout.as_nanos() as u64;
        let first = self.due.len() as u64;
        self.schedule(load, started);
        let mut record = VirtualRecord { seconds: load.duration_s, ..VirtualRecord::default() };
        let sent = self.due.len() as u64 - first;
        let look_every = (sent / LOOKS).max(1);
        let mut next_look = look_every;
        while self.clients.open() > 0 && self.clients.run_until_answer(Time(ends + timeout)) {
            if record.response_ns.len() as u64 >= next_look {
                next_look += look_every;
                record.looks.take(&self.clients.simulation.observe());
            }
            for answered in self.clients.take_answers() {
                let response = answered.answered.0 - self.due[answered.id.0 as usize];
                if answered.outcome.is_ok() && response <= timeout {
                    record.latencies.record(&answered);
                    record.response_ns.push(response);
                    record.in_time += u64::from(answered.answered.0 <= ends);
                }
            }
        }
        // What has no answer by now gets none that counts.
        self.clients.give_up();
        record.response_ns.resize(sent as usize, timeout);
        record.response_ns.sort_unstable();
        record
    }

    /// Crashes the leader after `before_s` of an open loop; how long it takes, in nanoseconds, until a
    /// command that was due after the crash is acknowledged. None when none is within the load's length.
    pub fn crash_leader(&mut self, load: &VirtualOpenLoop, before_s: f64) -> Result<Option<u64>, RunError> {
        let started = self.clients.now().0;
        self.schedule(load, started);
        let crash_at = started + (before_s * 1e9) as u64;
        self.clients.simulation.run_until(Time(crash_at));
        self.clients.take_answers();
        let leader = self.observe().leader.ok_or(RunError::NoLeader(Duration::ZERO))?;
        self.clients.simulation.inject(Fault::Crash(leader))?;
        let ends = Time(started + (load.duration_s * 1e9) as u64);
        while self.clients.run_until_answer(ends) {
            for answered in self.clients.take_answers() {
                if answered.outcome.is_ok() && self.due[answered.id.0 as usize] >= crash_at {
                    return Ok(Some(answered.answered.0 - crash_at));
                }
            }
        }
        Ok(None)
    }

    /// Checks what replicas applied.
    pub fn check(&mut self) -> Safety {
        self.clients.check(SETTLING_NS)
    }

    /// Hands over all requests of an open loop. A generator that is awake when the next is due sends it
    /// at once; one that slept is late.
    fn schedule(&mut self, load: &VirtualOpenLoop, started: u64) {
        let mut random = ChaCha8Rng::seed_from_u64(load.seed);
        random.set_stream(1);
        let mut awake_at = started;
        for offset in Schedule::new(load.arrivals, load.rate_per_s, load.duration_s, load.seed) {
            let due = started + offset;
            if due > awake_at {
                let late = load.lateness.map_or(0.0, |lateness| lateness.at(random.random::<f64>()));
                awake_at = due + late as u64;
            }
            let deadline = Time(awake_at.saturating_add(load.timeout.as_nanos() as u64));
            self.send(due, awake_at, deadline);
        }
    }

    fn send(&mut self, due: u64, at: u64, deadline: Time) {
        self.due.push(due);
        self.clients.send(Time(at), deadline);
    }
}
