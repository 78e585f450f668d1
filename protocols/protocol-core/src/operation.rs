//! What a command does, for protocols whose commands are more than entries of a log.
//!
//! A command is opaque, and its id decides: kind and key are a hash of it. So the load, the replicas and
//! the check of a run agree on what a command does without a word, and the same ids are the same
//! operations in every run.

use crate::command::CommandId;
use crate::role::Role;
use crate::settings::{Scale, Settings, Tunable};

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Takes its place in the agreed order, and gives nothing back.
    Append,
    /// Reads a register. Its [output](crate::Committed::output) is 0 when nothing was written there, and
    /// else one more than the id of the write that it saw.
    Read {
        /// The register.
        key: u64,
    },
    /// Writes the command itself to a register, so that no two writes have the same value.
    Write {
        /// The register.
        key: u64,
    },
}

impl Operation {
    /// Registers that commands are spread over; 1,000 are the records of a YCSB table by default (Cooper
    /// et al., 2010).
    pub const KEYS: Tunable = Tunable {
        name: "keys",
        role: Role::Other,
        about: "registers that reads and writes are spread over, evenly",
        range: (1.0, 1e6),
        scale: Scale::Logarithmic,
        default: 1_000.0,
        live: false,
        trades: Some("the load itself"),
    };
    /// Share of reads; half is YCSB's workload A. Without any write there would be nothing to read.
    pub const READ_PERCENT: Tunable = Tunable {
        name: "read_percent",
        role: Role::Other,
        about: "share of the commands that read; the others write",
        range: (0.0, 99.0),
        scale: Scale::Linear,
        default: 50.0,
        live: false,
        trades: Some("the load itself"),
    };

    /// What every command of an ordered log does.
    pub fn append(_: CommandId, _: &Settings) -> Operation {
        Operation::Append
    }

    /// What a command of a register protocol does, with [`KEYS`](Operation::KEYS) and
    /// [`READ_PERCENT`](Operation::READ_PERCENT) among its tunables.
    pub fn on_register(id: CommandId, settings: &Settings) -> Operation {
        let hash = mixed(id.0);
        let key = mixed(hash) % settings.get(&Operation::KEYS) as u64;
        let percent = (hash % 10_000) as f64 / 100.0;
        if percent < settings.get(&Operation::READ_PERCENT) {
            Operation::Read { key }
        } else {
            Operation::Write { key }
        }
    }
}

/// The output function of SplitMix64 (Steele et al., 2014): neighbouring ids have nothing in common.
fn mixed(id: u64) -> u64 {
    let mut z = id.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_of_all_keys_come_in_the_share_that_is_set() {
        let settings = |keys: f64, percent: f64| {
            let none = Settings::default();
            none.or(&Operation::KEYS, keys).or(&Operation::READ_PERCENT, percent)
        };
        for (keys, percent) in [(1.0, 50.0), (10.0, 95.0), (100.0, 0.0)] {
            let settings = settings(keys, percent);
            let (mut reads, mut hits) = (0, vec![0u64; keys as usize]);
            for id in 0..100_000 {
                match Operation::on_register(CommandId(id), &settings) {
                    Operation::Read { key } => {
                        reads += 1;
                        hits[key as usize] += 1;
                    }
                    Operation::Write { key } => hits[key as usize] += 1,
                    Operation::Append => panic!("no register is appended to"),
                }
            }
            assert!((reads as f64 / 1_000.0 - percent).abs() < 1.0, "{reads} of 100,000 for {percent} %");
            let even = 100_000.0 / keys;
            // Ten standard deviations of a fair die.
            let off = 10.0 * even.sqrt();
            assert!(hits.iter().all(|&hit| (hit as f64 - even).abs() < off), "{hits:?}");
        }
    }
}
