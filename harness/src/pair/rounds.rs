//! Rounds of processes: every arm once, in an order that is drawn and then turned round, so that whatever
//! drifts meets all arms alike.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use super::block::{BLOCK_VERSION, Block, BlockSpec};
use crate::exit::{EXIT_UNSAFE, EXIT_USAGE};

/// Commits of the block that shows what one costs.
const PILOT_COMMITS: u64 = 3_000;
/// Fewer would be launch and warm-up only.
const FEWEST_COMMITS: u64 = 200;

/// Something that is measured in every round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arm {
    /// Name: `base`, `head`, `copy`.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Iterations that every commit costs more.
    pub burn: u64,
}

/// The arms, and the seed of their order.
#[derive(Clone, Debug)]
pub struct Arms {
    /// All of them.
    pub arms: Vec<Arm>,
    /// Seed of the order.
    pub seed: u64,
}

/// The blocks of one round, by arm.
pub type Round = BTreeMap<String, Block>;

/// Why there is no block.
#[derive(Debug, Error)]
pub enum PairError {
    /// The program can't be started.
    #[error("{}: can't be started: {source}", program.display())]
    NotStarted {
        /// Program.
        program: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The program failed.
    #[error("{arm}: {protocol}: {reason}")]
    Failed {
        /// Which arm.
        arm: String,
        /// Of which protocol.
        protocol: String,
        /// What it printed last.
        reason: String,
    },
    /// The run broke a promise, so it has no numbers.
    #[error("{arm}: {protocol}: a broken promise: {reason}")]
    Unsafe {
        /// Which arm.
        arm: String,
        /// Of which protocol.
        protocol: String,
        /// What it printed last.
        reason: String,
    },
    /// The program is of a commit that measures no blocks, or other ones.
    #[error("{arm}: its binary measures no such block ({reason}): compare with a later commit")]
    NoBlock {
        /// Which arm.
        arm: String,
        /// What was wrong.
        reason: String,
    },
    /// Someone stopped it.
    #[error("interrupted")]
    Interrupted,
}

impl Arms {
    /// In which order the arms of a round run. Rounds come in twos: the second runs the other way round.
    fn order(&self, round: u64) -> Vec<&Arm> {
        order(self.arms.len(), round, self.seed).into_iter().map(|index| &self.arms[index]).collect()
    }
}

/// In which order so many arms run in a round, by a seed. Rounds come in twos: the second runs the other way
/// round, so that with two arms it is ABBA or BAAB.
pub fn order(arms: usize, round: u64, seed: u64) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_add(round / 2));
    let mut order: Vec<usize> = (0..arms).collect();
    // The seeds of neighbours are close, their first numbers are not.
    let _: u64 = random.random();
    order.shuffle(&mut random);
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// Runs every arm once.
pub fn run_round(arms: &Arms, round: u64, spec: &BlockSpec) -> Result<Round, PairError> {
    let run = |arm: &Arm| Ok((arm.name.clone(), run_block(arm, spec)?));
    arms.order(round).into_iter().map(run).collect()
}

/// What a commit of a protocol costs an arm, in nanoseconds. By the wall clock, because a pilot is shorter than a
/// few ticks of the kernel, which counts the CPU time of other threads by them: it may come out as nothing. In a
/// closed loop in memory the cluster's thread never sleeps, so both are about the same.
pub fn cost_of(arm: &Arm, protocol: &str, clients: usize) -> Result<f64, PairError> {
    let pilot = BlockSpec { protocol: protocol.into(), clients, commits: PILOT_COMMITS, burn: arm.burn };
    Ok(1e9 / run_block(arm, &pilot)?.throughput_per_s.max(f64::MIN_POSITIVE))
}

/// How many commits take so much time, measured with an arm; as many for every arm, so that all do the
/// same work.
pub fn calibrate_commits(arm: &Arm, protocol: &str, clients: usize, block_ms: f64) -> Result<u64, PairError> {
    let commits = block_ms * 1e6 / cost_of(arm, protocol, clients)?;
    Ok((commits as u64).max(FEWEST_COMMITS))
}

fn run_block(arm: &Arm, spec: &BlockSpec) -> Result<Block, PairError> {
    if crate::interrupt::requested() {
        return Err(PairError::Interrupted);
    }
    let output = command(&arm.program, &BlockSpec { burn: arm.burn, ..spec.clone() })
        .output()
        .map_err(|source| PairError::NotStarted { program: arm.program.clone(), source })?;
    let last_line = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        // What a panic ends in says nothing about it.
        let told = |line: &&str| !line.trim().is_empty() && !line.starts_with("note: ");
        text.lines().rev().find(told).unwrap_or("it printed nothing").to_string()
    };
    if crate::interrupt::requested() {
        return Err(PairError::Interrupted);
    }
    if !output.status.success() {
        let reason = last_line(&output.stderr);
        let (arm, protocol) = (arm.name.clone(), spec.protocol.clone());
        // What clap exits with when it does not know a subcommand.
        return Err(match output.status.code() {
            Some(code) if code == i32::from(EXIT_USAGE) => PairError::NoBlock { arm, reason },
            Some(code) if code == i32::from(EXIT_UNSAFE) => PairError::Unsafe { arm, protocol, reason },
            _ => PairError::Failed { arm, protocol, reason },
        });
    }
    let no_block = |reason: String| PairError::NoBlock { arm: arm.name.clone(), reason };
    let block: Block =
        serde_json::from_str(&last_line(&output.stdout)).map_err(|error| no_block(error.to_string()))?;
    if block.version != BLOCK_VERSION {
        return Err(no_block(format!("version {}, not {BLOCK_VERSION}", block.version)));
    }
    Ok(block)
}

/// The environment is emptied but for what programs need to start: its size moves the stack, and with it the
/// speed of code that has nothing to do with it.
fn command(program: &Path, spec: &BlockSpec) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .stdin(Stdio::null())
        .arg("block")
        .args(["--protocol", &spec.protocol])
        .args(["--clients", &spec.clients.to_string()])
        .args(["--commits", &spec.commits.to_string()])
        .args(["--burn", &spec.burn.to_string()]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arms() -> Arms {
        let arm = |name: &str| Arm { name: name.into(), program: name.into(), burn: 0 };
        Arms { arms: ["base", "head", "copy"].map(arm).to_vec(), seed: 7 }
    }

    #[test]
    fn every_arm_runs_once_per_round_and_every_other_round_runs_backwards() {
        let arms = arms();
        let names = |round| arms.order(round).iter().map(|arm| arm.name.clone()).collect::<Vec<_>>();
        let mut first = BTreeMap::<String, u32>::new();
        for round in 0..120 {
            let mut turned = names(2 * round + 1);
            turned.reverse();
            assert_eq!(names(2 * round), turned);
            let mut sorted = turned.clone();
            sorted.sort();
            assert_eq!(sorted, ["base", "copy", "head"]);
            *first.entry(turned[0].clone()).or_default() += 1;
        }
        assert!(first.values().all(|&count| count > 25), "{first:?}");
        assert_eq!(names(6), names(6));
    }

    #[test]
    fn a_program_that_is_not_there_or_measures_no_blocks_is_told_of() {
        let spec = BlockSpec { protocol: "raft-rs".into(), clients: 1, commits: 1, burn: 0 };
        let error = run_round(&arms(), 0, &spec).unwrap_err();
        assert!(matches!(error, PairError::NotStarted { .. }), "{error}");
        let of = |program: &str| {
            let arm = Arm { name: "base".into(), program: program.into(), burn: 0 };
            run_block(&arm, &spec).unwrap_err().to_string()
        };
        assert!(of("/bin/true").contains("measures no such block"), "{}", of("/bin/true"));
        assert!(of("/bin/false").ends_with("it printed nothing"), "{}", of("/bin/false"));
    }
}
