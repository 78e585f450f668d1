//! `consensus-bench gate` and `consensus-bench pair`: the verdict on a change, and its exit code.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use thiserror::Error;

use super::step_line;
use crate::exit::{EXIT_TOOL, EXIT_USAGE};
use crate::gate::output::{OutputError, OutputFormat, render, write};
use crate::gate::policy::{Policy, PolicyError};
use crate::gate::report::{GateReport, Tier};
use crate::gate::{GateError, GateOptions, Programs, run_gate, run_pair};
use crate::interrupt;
use crate::machine;
use crate::output::say;
use crate::store::Store;
use crate::suite::{Suite, SuiteError};

/// Where a workspace keeps a policy of its own.
const POLICY_PATH: &str = "ci/policy.toml";

#[derive(Args)]
pub(super) struct Gate {
    /// Tiers to run; all that the policy has when none is given
    #[arg(long, value_enum, value_delimiter = ',')]
    tier: Vec<Tier>,
    /// The commit to compare with, as git names it; without one, the committed baselines stand for it
    #[arg(long, value_name = "COMMIT")]
    base: Option<String>,
    /// Count on the base commit too, and not rely on what is committed
    #[arg(long, requires = "base")]
    counts_of_base: bool,
    #[command(flatten)]
    judging: Judging,
}

#[derive(Args)]
pub(super) struct PairPrograms {
    /// The program to compare with: a build of this suite's `consensus-bench`
    base: PathBuf,
    /// The program that was changed
    head: PathBuf,
    #[command(flatten)]
    judging: Judging,
}

/// What both commands take.
#[derive(Args)]
struct Judging {
    /// Protocols to judge; all when none is given
    #[arg(long, value_delimiter = ',')]
    protocol: Vec<String>,
    /// What may block; `ci/policy.toml` of the workspace, or else the one that ships, when it is not given
    #[arg(long, value_name = "TOML")]
    policy: Option<PathBuf>,
    /// What can't be told fails too, with exit code 4
    #[arg(long)]
    strict: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    format: OutputFormat,
    /// Files to write beside that, as FORMAT=PATH; may be repeated
    #[arg(long, value_name = "FORMAT=PATH")]
    write: Vec<Output>,
}

/// A file to write.
#[derive(Clone)]
struct Output {
    format: OutputFormat,
    path: PathBuf,
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (format, path) = text.split_once('=').ok_or("give it as FORMAT=PATH: markdown=comment.md")?;
        let format = <OutputFormat as clap::ValueEnum>::from_str(format, false)?;
        Ok(Output { format, path: path.into() })
    }
}

/// Why there is no verdict.
#[derive(Debug, Error)]
pub(super) enum GateCommandError {
    #[error(transparent)]
    Suite(#[from] SuiteError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Gate(#[from] GateError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error("--write: {}: {source}", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
}

impl GateCommandError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            GateCommandError::Suite(_) | GateCommandError::Policy(_) | GateCommandError::Folder { .. } => {
                EXIT_USAGE
            }
            GateCommandError::Gate(error) => error.exit_code(),
            GateCommandError::Output(_) => EXIT_TOOL,
        }
    }
}

impl Gate {
    pub(super) fn run(&self, suite: &Suite) -> Result<u8, GateCommandError> {
        let store = Store::from_environment(&machine::describe().fingerprint);
        let (policy, policy_path) = workspace_policy(&store, self.judging.policy.as_deref())?;
        let tiers = if self.tier.is_empty() { Tier::ALL.to_vec() } else { self.tier.clone() };
        let options = GateOptions {
            tiers,
            tiers_named: !self.tier.is_empty(),
            protocols: self.judging.protocol.clone(),
            base: self.base.clone(),
            counts_of_base: self.counts_of_base,
            policy,
            policy_path,
            reproduce: command(),
        };
        self.judging.report(|progress| run_gate(suite, &store, &options, progress))
    }
}

impl PairPrograms {
    pub(super) fn run(&self, suite: &Suite) -> Result<u8, GateCommandError> {
        let suite = suite.select(&self.judging.protocol)?;
        let store = Store::from_environment(&machine::describe().fingerprint);
        let (policy, policy_path) = workspace_policy(&store, self.judging.policy.as_deref())?;
        let options = GateOptions {
            tiers: vec![Tier::Paired],
            tiers_named: true,
            protocols: self.judging.protocol.clone(),
            base: None,
            counts_of_base: false,
            policy,
            policy_path,
            reproduce: command(),
        };
        let programs = Programs { base: self.base.clone(), head: self.head.clone() };
        self.judging.report(|progress| run_pair(&suite, &store, &options, &programs, progress))
    }
}

impl Judging {
    fn report(
        &self,
        judge: impl FnOnce(&(dyn Fn(&str) + Sync)) -> Result<GateReport, GateError>,
    ) -> Result<u8, GateCommandError> {
        // Minutes of judging must not end in a report that has nowhere to go.
        for folder in self.write.iter().filter_map(|output| output.path.parent()) {
            std::fs::create_dir_all(folder)
                .map_err(|source| GateCommandError::Folder { path: folder.into(), source })?;
        }
        if let Err(error) = interrupt::listen() {
            eprintln!("Ctrl-C will leave worktrees behind: {error}");
        }
        let line = step_line();
        let report = judge(&|what| line.set_message(what.to_string()));
        line.finish_and_clear();
        let report = report?;
        for output in &self.write {
            write(&report, output.format, &output.path)?;
        }
        say!("{}", render(&report, self.format)?.trim_end());
        Ok(report.verdict.exit_code(self.strict))
    }
}

/// The policy that is given, that of the workspace, or the one that ships; and how to call it in an error.
pub(super) fn workspace_policy(
    store: &Store,
    given: Option<&Path>,
) -> Result<(Policy, PathBuf), PolicyError> {
    let workspace = store.committed.as_deref().and_then(Path::parent);
    let own = workspace.map(|root| root.join(POLICY_PATH)).filter(|path| path.is_file());
    match given.map(Path::to_path_buf).or(own) {
        Some(path) => Ok((Policy::read(&path)?, path)),
        None => Ok((Policy::shipped()?, "policy.toml".into())),
    }
}

/// The command as someone else would type it.
fn command() -> String {
    let arguments = std::env::args().skip(1).map(|argument| {
        let plain = argument.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=,:~^@".contains(c));
        if plain { argument } else { format!("'{}'", argument.replace('\'', "'\\''")) }
    });
    let arguments: Vec<String> = arguments.collect();
    format!("cargo consensus-bench {}", arguments.join(" "))
}
