//! Why the gate comes to no verdict, and the exit code that says so.

use std::path::PathBuf;

use thiserror::Error;

use super::instructions::InstructionsError;
use super::policy::PolicyError;
use super::run::{BASE, HEAD};
use super::source::SourceError;
use crate::exit::{EXIT_BASELINE, EXIT_TOOL, EXIT_USAGE, exit_code_of, exit_code_of_file};
use crate::explore::ExploreError;
use crate::files::FileError;
use crate::interrupt::EXIT_INTERRUPTED;
use crate::pair::{NoiseError, PairError};
use crate::scenario::ScenarioError;
use crate::store::StoreError;
use crate::suite::SuiteError;

/// Why there is no report.
#[derive(Debug, Error)]
pub enum GateError {
    /// The policy is not usable.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A commit can't be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A protocol or scenario can't be had.
    #[error(transparent)]
    Suite(#[from] SuiteError),
    /// The policy names a protocol that is not there.
    #[error("{}: [targets]: {source}", path.display())]
    PolicyProtocol {
        /// The policy.
        path: PathBuf,
        /// Which protocol.
        source: SuiteError,
    },
    /// A scenario of the policy can't be had.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A baseline is missing or unusable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A baseline file is missing or unusable.
    #[error(transparent)]
    File(#[from] FileError),
    /// The noise of another machine.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// Schedules could not be run.
    #[error(transparent)]
    Explore(#[from] ExploreError),
    /// There are no blocks.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// Instructions can't be counted.
    #[error(transparent)]
    Instructions(#[from] InstructionsError),
    /// Instructions of the base can't be counted.
    #[error("{BASE}: {0}")]
    InstructionsOfBase(InstructionsError),
    /// The base can't count.
    #[error("the base's binary can't count: {0}")]
    BaseCounts(String),
    /// There is nothing to compare with.
    #[error("{0}")]
    NothingToCompare(String),
    /// Someone stopped it: what was not judged is no verdict.
    #[error("interrupted: there is no verdict")]
    Interrupted,
    /// A folder can't be made.
    #[error("{}: {source}", path.display())]
    Io {
        /// Folder.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

impl GateError {
    /// The exit code: what was asked wrongly, what there is nothing to compare with, or what failed.
    pub fn exit_code(&self) -> u8 {
        match self {
            GateError::Policy(_)
            | GateError::Suite(_)
            | GateError::PolicyProtocol { .. }
            | GateError::Scenario(_) => EXIT_USAGE,
            GateError::Source(SourceError::NoCommit { .. } | SourceError::Dirty { .. }) => EXIT_USAGE,
            GateError::Source(SourceError::Build { name, .. }) if name.starts_with(BASE) => EXIT_BASELINE,
            GateError::NothingToCompare(_) | GateError::InstructionsOfBase(_) => EXIT_BASELINE,
            GateError::Interrupted => EXIT_INTERRUPTED,
            GateError::Store(error) => exit_code_of(error),
            GateError::File(error) | GateError::Noise(NoiseError::File(error)) => exit_code_of_file(error),
            GateError::Noise(NoiseError::OtherMachine { .. }) | GateError::BaseCounts(_) => EXIT_BASELINE,
            GateError::Pair(PairError::NoBlock { arm, .. } | PairError::Unsafe { arm, .. })
                if arm != HEAD =>
            {
                EXIT_BASELINE
            }
            GateError::Pair(PairError::Interrupted) => EXIT_INTERRUPTED,
            _ => EXIT_TOOL,
        }
    }
}
