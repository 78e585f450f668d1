//! `consensus-bench baseline`: results kept under a name.

use clap::Subcommand;

use super::gate::workspace_policy;
use super::{CliError, step_line, store};
use crate::compare::{ExactValues, row_of};
use crate::exit::EXIT_OK;
use crate::gate::instructions::measure;
use crate::gate::source::Repository;
use crate::gate::{Counted, GateError, head_target};
use crate::output::say;
use crate::results::Outcome;
use crate::session::print_saved;
use crate::store::Store;
use crate::suite::Suite;
use crate::table::scenario_table;

#[derive(Subcommand)]
pub(super) enum BaselineCommand {
    /// Lists local and committed baselines
    #[command(after_help = "Example: cargo consensus-bench baseline list")]
    List,
    /// Saves a finished run as a baseline
    #[command(after_help = "Example: cargo consensus-bench baseline save before latest")]
    Save {
        /// Name to save under
        name: String,
        /// A run's id, `latest` (the newest run: one target of a `cargo bench`), or a path
        #[arg(default_value = "latest")]
        run: String,
    },
    /// Prints the tables of a baseline
    #[command(after_help = "Example: cargo consensus-bench baseline show before")]
    Show {
        /// Which baseline
        name: String,
    },
    /// Copies a local baseline to the folder `baselines/`, which is committed
    #[command(after_help = "Example: cargo consensus-bench baseline promote before")]
    Promote {
        /// Which baseline
        name: String,
    },
    /// Counts everything in virtual time and writes `baselines/exact.json`, which you then commit: `gate --tier exact`
    /// compares with it
    #[command(after_help = "Example: cargo consensus-bench baseline exact --protocol raft-rs")]
    Exact {
        /// Protocols to count, by name; the rows of others stay. All when none is given, and then rows of what
        /// there is no more go
        #[arg(long, value_delimiter = ',')]
        protocol: Vec<String>,
    },
    /// Counts instructions and allocations of this workspace and writes them to `baselines/` for this machine; you
    /// then commit them
    #[command(after_help = "Example: cargo consensus-bench baseline instructions")]
    Instructions,
    /// Removes a local baseline
    #[command(after_help = "Example: cargo consensus-bench baseline rm before")]
    Rm {
        /// Which baseline
        name: String,
    },
}

pub(super) fn baseline(suite: &Suite, command: BaselineCommand) -> Result<u8, CliError> {
    let store = store();
    match command {
        BaselineCommand::List => {
            let entries = store.list_baselines()?;
            if entries.is_empty() {
                say!("no baselines; `cargo bench -- --save-baseline NAME` makes one");
            }
            for entry in entries {
                say!(
                    "{} ({}, {} rows): {}",
                    entry.name,
                    entry.place.name(),
                    entry.rows,
                    entry.path.display()
                );
            }
        }
        BaselineCommand::Save { name, run } => {
            for results in &store.load(&run)?.runs {
                print_saved(&name, &store.save_baseline(&name, results)?);
            }
        }
        BaselineCommand::Show { name } => {
            let rows: Vec<_> =
                store.load_baseline(&name)?.runs.into_iter().flat_map(|run| run.results).collect();
            say!("{}", scenario_table(&rows));
        }
        BaselineCommand::Promote { name } => {
            store.promote(&name)?.iter().for_each(|path| say!("{}", path.display()));
        }
        BaselineCommand::Exact { protocol } => return commit_counts(suite, &store, &protocol),
        BaselineCommand::Instructions => {
            let line = step_line();
            line.set_message("instructions");
            let root = Repository::here().map_err(GateError::from)?.root;
            let counted = measure(&root, &head_target(&store)).map_err(GateError::from)?;
            line.finish_and_clear();
            say!("{}", store.write_instructions_baseline(&counted)?.display());
        }
        BaselineCommand::Rm { name } => store.remove(&name)?,
    }
    Ok(EXIT_OK)
}

fn commit_counts(suite: &Suite, store: &Store, protocols: &[String]) -> Result<u8, CliError> {
    let line = step_line();
    let progress = |what: &str| line.set_message(what.to_string());
    let (policy, _) = workspace_policy(store, None).map_err(GateError::from)?;
    let counted = Counted::all(&suite.select(protocols)?, &policy, progress)?;
    line.finish_and_clear();
    // Half of the counts would look like the loss of the other half.
    if let Some(broken) = counted.results.iter().find(|result| result.outcome != Outcome::Completed) {
        let reason = format!("{:?}", broken.outcome);
        return Err(CliError::NotToCommit { row: row_of(broken), reason });
    }
    let others = if protocols.is_empty() { ExactValues::default() } else { store.exact_baseline()? };
    let path = store.write_exact_baseline(&others.with(counted.values().without_zeros()))?;
    counted.not_simulated().iter().for_each(|why| say!("not counted: {why}"));
    say!("{}", path.display());
    Ok(EXIT_OK)
}
