//! Where a replica's log is: in memory, or in a file that survives a crash.

mod wal;

use std::path::PathBuf;

pub use wal::{Recovered, Wal};

/// Where logs are kept. Durability is part of a result's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageSpec {
    /// Nothing is written and syncs cost nothing; a crashed replica can't restart.
    Memory,
    /// Each replica appends to `replica-<id>.wal` in this folder and flushes with `fdatasync`,
    /// many appends to a flush when they queue up.
    Wal {
        /// The folder; it must exist.
        folder: PathBuf,
    },
}

impl StorageSpec {
    /// The name in lists and results.
    pub fn name(&self) -> &'static str {
        match self {
            StorageSpec::Memory => "memory",
            StorageSpec::Wal { .. } => "wal",
        }
    }
}
