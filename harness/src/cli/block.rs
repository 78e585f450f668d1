//! `consensus-bench block`: one block of a paired run, as a line of JSON. Another process of the same harness
//! calls it; it is no part of the command line that people use.

use clap::Args;

use super::CliError;
use crate::exit::EXIT_OK;
use crate::output::say;
use crate::pair::{BlockSpec, measure_block};
use crate::run::RunError;
use crate::suite::Suite;

#[derive(Args)]
pub(super) struct MeasureBlock {
    /// The protocol
    #[arg(long)]
    protocol: String,
    /// Clients of the closed loop
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    clients: u64,
    /// Commits to measure
    #[arg(long)]
    commits: u64,
    /// Iterations of an empty loop that every commit costs more
    #[arg(long, default_value_t = 0)]
    burn: u64,
}

impl MeasureBlock {
    pub(super) fn run(&self, suite: &Suite) -> Result<u8, CliError> {
        let registration = suite.get(&self.protocol)?;
        let spec = BlockSpec {
            protocol: self.protocol.clone(),
            clients: self.clients as usize,
            commits: self.commits,
            burn: self.burn,
        };
        let folder = tempfile::tempdir().map_err(|source| RunError::Io {
            what: "folder for logs in",
            path: std::env::temp_dir(),
            source,
        })?;
        let block = measure_block(registration, &spec, folder.path())?;
        say!("{}", serde_json::to_string(&block)?);
        Ok(EXIT_OK)
    }
}
