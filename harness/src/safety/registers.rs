//! The operations of a run on registers, and what they say of its protocol.
//!
//! Clients are asked and not replicas: a register promises nothing about what replicas hold. Every
//! operation on every key is checked, from the first to the last.

use std::collections::BTreeMap;

use protocol_core::{CommandId, Descriptor, Operation, Order, Settings};

use super::linearizable::{Broken, Register, Value};
use crate::results::{RegisterCheck, Safety};

/// Keys that are named when many are broken.
const NAMED_KEYS: usize = 5;

/// All registers of a run.
#[derive(Clone, Debug)]
pub struct Registers {
    operation: fn(CommandId, &Settings) -> Operation,
    settings: Settings,
    /// Whether reads must not be stale.
    linearizable: bool,
    /// Operations under way, and when they began.
    open: BTreeMap<CommandId, u64>,
    registers: BTreeMap<u64, Register>,
    operations: u64,
}

impl Registers {
    /// The registers of a protocol; none when its commands are not reads and writes.
    pub fn of(protocol: &Descriptor, settings: &Settings) -> Option<Registers> {
        let by_reads = !protocol.order.shows_in_logs();
        by_reads.then(|| Registers {
            operation: protocol.operation,
            settings: settings.clone(),
            linearizable: protocol.order == Order::Reads,
            open: BTreeMap::new(),
            registers: BTreeMap::new(),
            operations: 0,
        })
    }

    /// A client sends a command. Times are nanoseconds on one clock.
    pub fn invoke(&mut self, id: CommandId, at_ns: u64) {
        self.open.insert(id, at_ns);
        if let Operation::Write { key } = (self.operation)(id, &self.settings) {
            self.registers.entry(key).or_default().write_invoked(value_of(id), at_ns);
        }
    }

    /// A client has an answer, with what was read, or none to hope for. A write without an answer may
    /// still take effect; an answer after that is ignored.
    pub fn answer(&mut self, id: CommandId, at_ns: u64, output: Option<Value>) {
        let Some(invoked_ns) = self.open.remove(&id) else { return };
        let Some(output) = output else { return };
        self.operations += 1;
        let key = match (self.operation)(id, &self.settings) {
            Operation::Append => return,
            Operation::Read { key } => {
                self.registers.entry(key).or_default().read_answered(output, invoked_ns, at_ns);
                key
            }
            Operation::Write { key } => {
                self.registers.entry(key).or_default().write_answered(value_of(id), invoked_ns, at_ns);
                key
            }
        };
        if let Some(register) = self.registers.get_mut(&key).filter(|register| register.is_large()) {
            // Ids ascend with time, so that the first one open is the oldest.
            register.look(self.open.values().next().copied().unwrap_or(at_ns));
        }
    }

    /// How each broken register is broken.
    pub fn broken(&mut self) -> Vec<String> {
        let broken = self.registers.iter_mut().filter_map(|(key, register)| {
            let why = match register.check()? {
                Broken::NoSuchValue { value } => format!(
                    "a read returned {}, which was replaced before it began or not yet written",
                    name(value)
                ),
                Broken::BothBeforeEachOther { values: [one, other] } => {
                    format!("{} and {} were each there after the other", name(one), name(other))
                }
            };
            Some(format!("key {key} is not linearizable: {why}"))
        });
        broken.collect()
    }

    /// Enters the verdict into a safety check. What is broken is a violation where the protocol promises
    /// that it can't be.
    pub fn judge(mut self, safety: &mut Safety) {
        let broken = self.broken();
        safety.registers = Some(RegisterCheck {
            linearizable: self.linearizable,
            operations: self.operations,
            keys: self.registers.len() as u64,
            violated_keys: broken.len() as u64,
            stale_reads: self.registers.values().map(Register::stale_reads).sum(),
        });
        if self.linearizable {
            let more = broken.len().saturating_sub(NAMED_KEYS);
            safety.violations.extend(broken.into_iter().take(NAMED_KEYS));
            if more > 0 {
                safety.violations.push(format!("{more} more keys are not linearizable"));
            }
        }
    }
}

/// A write writes its own id; 0 is for nothing.
fn value_of(id: CommandId) -> Value {
    id.0 + 1
}

fn name(value: Value) -> String {
    match value.checked_sub(1) {
        None => "nothing written".into(),
        Some(id) => format!("the value of command {id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol_core::{Family, FaultModel, Floors};

    /// Even commands write the only key, odd ones read it.
    fn registers(order: Order) -> Option<Registers> {
        let protocol = Descriptor {
            name: "toy",
            family: Family::Quorum,
            implementation: "tests",
            fault_model: FaultModel::Crash,
            tolerates: |_, _| 0,
            cluster_sizes: (1, 1),
            order,
            operation: |id, _| match id.0 % 2 {
                0 => Operation::Write { key: 7 },
                _ => Operation::Read { key: 7 },
            },
            commit_means: "nothing",
            quorums: protocol_core::no_quorums,
            floors: |_| Floors::without_cryptography(0.0, 0.0),
            tunables: &[],
            constraints: &[],
            particulars: Default::default(),
        };
        Registers::of(&protocol, &Settings::default())
    }

    /// Three operations one after the other, each with its output, and a read of what the first one wrote;
    /// what a check then says.
    fn verdict(order: Order, outputs: [Option<Value>; 3]) -> Safety {
        let mut registers = registers(order).unwrap();
        for (id, output) in (0..).zip(outputs) {
            registers.invoke(CommandId(id), id * 10);
            registers.answer(CommandId(id), id * 10 + 5, output);
        }
        registers.invoke(CommandId(3), 100);
        registers.answer(CommandId(3), 110, Some(1));
        let mut safety = Safety::default();
        registers.judge(&mut safety);
        safety
    }

    #[test]
    fn a_stale_read_is_a_violation_only_where_it_is_promised_that_there_is_none() {
        let stale = [Some(0), Some(1), Some(0)];
        let safety = verdict(Order::Reads, stale);
        assert_eq!(safety.violations.len(), 1);
        assert!(safety.violations[0].contains("key 7 is not linearizable: the value of command 0 and"));
        let safety = verdict(Order::Eventual, stale);
        assert_eq!(safety.violations, [""; 0]);
        let expected =
            RegisterCheck { linearizable: false, operations: 4, keys: 1, violated_keys: 1, stale_reads: 1 };
        assert_eq!(safety.registers, Some(expected));
        assert!(registers(Order::Total).is_none());
    }

    #[test]
    fn a_write_without_an_answer_may_have_been_or_not() {
        assert_eq!(verdict(Order::Reads, [Some(0), Some(1), None]).violations, [""; 0]);
        assert_eq!(verdict(Order::Reads, [None, Some(0), None]).violations, [""; 0]);
        assert_eq!(verdict(Order::Reads, [None, Some(5), None]).violations.len(), 1, "no one wrote that");
    }
}
