//! The least of all protocols: a primary numbers commands and passes them on. What it costs in virtual time is
//! the simulator's own loop.

use bytes::{Buf, Bytes};
use protocol_core::{
    Command, DriverOptions, Effects, Input, LaunchError, Message, Rejection, Replica, ReplicaId,
    SimulatedCluster, Simulation, SimulationSpec, Slot, Time, View, Wire, WireError,
};

const PRIMARY: ReplicaId = ReplicaId(0);
const SLOT_BYTES: usize = 8;

/// A command with its number.
#[derive(Clone, Debug)]
pub struct RelayMessage(u64, Command);

impl Wire for RelayMessage {
    fn encode(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(&self.0.to_le_bytes());
        self.1.encode(buffer);
    }

    fn decode(mut bytes: Bytes) -> Result<Self, WireError> {
        let short = WireError::Truncated { what: "slot", need: SLOT_BYTES, have: bytes.len() };
        let slot = bytes.try_get_u64_le().map_err(|_| short)?;
        Ok(RelayMessage(slot, Command::from_encoded(bytes)?))
    }

    fn encoded_len(&self) -> usize {
        SLOT_BYTES + self.1.encoded_len()
    }
}

impl Message for RelayMessage {}

/// A replica that delivers what the primary numbered. It bears no fault.
#[derive(Debug)]
pub struct Relay {
    id: ReplicaId,
    replicas: usize,
    next_slot: u64,
}

impl Relay {
    /// A cluster of them.
    pub fn simulate(spec: &SimulationSpec) -> Result<Box<dyn Simulation>, LaunchError> {
        SimulatedCluster::launch(spec, DriverOptions::default(), |boot| {
            Ok(Relay { id: boot.id, replicas: boot.replicas, next_slot: 0 })
        })
    }
}

impl Replica for Relay {
    type Message = RelayMessage;
    // Never written: it forgets everything in a crash.
    type Record = Command;

    fn step(&mut self, _now: Time, input: Input<RelayMessage>, effects: &mut Effects<Self>) {
        match input {
            Input::Start => effects.new_view(View(0), Some(PRIMARY)),
            Input::Requests(commands) if self.id == PRIMARY => {
                for command in commands {
                    let slot = self.next_slot;
                    self.next_slot += 1;
                    effects.broadcast(self.id, self.replicas, &RelayMessage(slot, command.clone()));
                    effects.deliver(Slot(slot), command);
                }
            }
            Input::Requests(commands) => {
                for command in commands {
                    effects.reject(Rejection { command: command.id(), leader: Some(PRIMARY) });
                }
            }
            Input::Message { message: RelayMessage(slot, command), .. } => {
                effects.deliver(Slot(slot), command);
            }
            Input::Timer(_) | Input::Link { .. } | Input::Synced(_) | Input::Corrupt(_) => {}
            Input::Tune { .. } => {}
        }
    }
}
