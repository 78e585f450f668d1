//! A pair of quorums in the simulator: what its reads and writes take there.

use protocol_core::{Command, CommandId, IdSet, Operation, Protocol, Settings, SimulationSpec, Time};
use serde::Serialize;

use super::{Choice, Latency, QuorumError};
use crate::run::RunError;
use crate::safety::{Claims, check};

/// Commands that are counted, one after the other.
const COMMANDS: u64 = 2_000;
/// Commands before, after which every register was written.
const WARM_UP: u64 = 400;
/// Registers: few, so that reads find something.
const KEYS: f64 = 16.0;
/// The largest share of reads that protocols take, in per cent.
const MOST_READS: f64 = 99.0;
/// A command that takes longer in virtual time is not waited for.
const STALLED_AFTER_S: u64 = 600;
const SECOND_NS: u64 = 1_000_000_000;
const PAYLOAD: [u8; 128] = [0x5A; 128];

/// What the simulator showed. Work costs nothing there, so all time is that of the links.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MeasuredLatency {
    /// Reads; none of a log.
    pub reads: Option<Latency>,
    /// Writes, or commands of a log.
    pub writes: Latency,
    /// The replica that led at the end; none without one.
    pub leader: Option<usize>,
}

/// Runs one client over the links of `spec` with the quorums of `choice`.
pub fn verify(
    protocol: &dyn Protocol,
    base: &Settings,
    choice: &Choice,
    spec: &SimulationSpec,
    read_share: f64,
) -> Result<MeasuredLatency, QuorumError> {
    let descriptor = protocol.descriptor();
    let mut values = base.values().clone();
    values.extend(choice.settings.clone());
    if descriptor.tunables.iter().any(|tunable| tunable.name == Operation::READ_PERCENT.name) {
        values.insert(Operation::READ_PERCENT.name.into(), (read_share * 100.0).min(MOST_READS));
        values.insert(Operation::KEYS.name.into(), KEYS);
    }
    let settings = Settings::checked(values, &descriptor)?;
    let mut simulation = protocol.simulate(&SimulationSpec { settings: settings.clone(), ..spec.clone() })?;
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    let mut claims = Claims { submitted: 0, acknowledged: IdSet::default() };
    for id in (0..WARM_UP + COMMANDS).map(CommandId) {
        let now = simulation.now();
        simulation.submit(now, Command::new(id, &PAYLOAD), Time(u64::MAX));
        claims.submitted += 1;
        if !simulation.run_until_answer(Time(now.0 + STALLED_AFTER_S * SECOND_NS)) {
            return Err(RunError::Stalled(STALLED_AFTER_S).into());
        }
        for answered in simulation.take_answers().into_iter().filter(|answered| answered.outcome.is_ok()) {
            claims.acknowledged.insert(answered.id);
            if id.0 >= WARM_UP {
                let took = (answered.answered.0 - answered.submitted.0) as f64;
                match (descriptor.operation)(answered.id, &settings) {
                    Operation::Read { .. } => reads.push(took),
                    Operation::Write { .. } | Operation::Append => writes.push(took),
                }
            }
        }
    }
    let leader = simulation.observe().leader.map(|leader| leader.index());
    simulation.run_until(Time(simulation.now().0 + 10 * SECOND_NS));
    let safety = check(&simulation.audit(), &simulation.observe(), &claims);
    if !safety.violations.is_empty() {
        return Err(RunError::Unsafe(safety.violations.join("; ")).into());
    }
    let reads = (!reads.is_empty()).then(|| Latency::of(&reads));
    Ok(MeasuredLatency { reads, writes: Latency::of(&writes), leader })
}
