//! `consensus-bench explore`: seeded schedules of faults in virtual time.

use std::io::IsTerminal;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use protocol_core::{Descriptor, LaunchError, Settings};
use serde::Serialize;
use thiserror::Error;

use super::Format;
use crate::exit::{EXIT_OK, EXIT_TOOL, EXIT_UNSAFE, EXIT_USAGE};
use crate::explore::{ExploreError, Finding, Plan, Sweep, SweepReport, sweep};
use crate::output::say;
use crate::suite::{Registration, Suite, SuiteError};
use crate::table::quantity;

/// Runs that shrinking one schedule may take: seconds.
const SHRINK_BUDGET: usize = 1_500;
/// Failing seeds that are named when they are not shown in full.
const NAMED_SEEDS: usize = 10;

#[derive(Args)]
pub(super) struct Explore {
    /// Protocols to explore, by name; all that can be simulated when none is given
    #[arg(long, value_delimiter = ',')]
    protocol: Vec<String>,
    /// Schedules to run per protocol
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Seed of the first schedule; the others follow
    #[arg(long, default_value_t = 0)]
    first_seed: u64,
    /// Size of the cluster; 3 when it is not given, or the least that the protocol takes
    #[arg(long)]
    replicas: Option<usize>,
    /// Replicas that lie, of protocols that expect it
    #[arg(long, default_value_t = 0)]
    liars: usize,
    /// Commands that clients send per schedule
    #[arg(long, default_value_t = Plan::default().commands)]
    commands: usize,
    /// How long faults go on, in milliseconds of virtual time
    #[arg(long, default_value_t = Plan::default().horizon_ms, value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    horizon_ms: u64,
    /// Links keep order, as TCP does
    #[arg(long)]
    fifo: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Why nothing was explored.
#[derive(Debug, Error)]
pub(super) enum ExploreCommandError {
    #[error(transparent)]
    Suite(#[from] SuiteError),
    #[error("{name}: {error}")]
    Protocol { name: String, error: ExploreError },
    #[error("`--liars {liars}`: {why}")]
    Liars { liars: usize, why: String },
    #[error("none of the protocols can be simulated; `--protocol NAME` tells why one can't")]
    Nothing,
    #[error("findings as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl ExploreCommandError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            ExploreCommandError::Json(_)
            | ExploreCommandError::Protocol { error: ExploreError::Fault(_), .. } => EXIT_TOOL,
            _ => EXIT_USAGE,
        }
    }
}

/// One protocol's part of the report.
#[derive(Serialize)]
struct Explored {
    protocol: String,
    /// Why there is no report.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_simulated: Option<String>,
    #[serde(flatten)]
    report: Option<SweepReport>,
    /// The command that runs each finding again, in their order.
    replay: Vec<String>,
}

impl Explore {
    pub(super) fn run(&self, suite: &Suite) -> Result<u8, ExploreCommandError> {
        let suite = suite.select(&self.protocol)?;
        let mut all = Vec::new();
        for registration in suite.all() {
            let explored = self.explore(registration)?;
            if self.format == Format::Text {
                print(&explored);
            }
            all.push(explored);
        }
        if self.format == Format::Json {
            say!("{}", serde_json::to_string_pretty(&all)?);
        }
        if all.iter().all(|explored| explored.report.is_none()) {
            return Err(ExploreCommandError::Nothing);
        }
        let failed = all.iter().any(|explored| !explored.replay.is_empty());
        Ok(if failed { EXIT_UNSAFE } else { EXIT_OK })
    }

    fn explore(&self, registration: &Registration) -> Result<Explored, ExploreCommandError> {
        let name = registration.name.clone();
        let failed = |error| ExploreCommandError::Protocol { name: name.clone(), error };
        let protocol = &*registration.protocol;
        let settings = Settings::checked(registration.settings.clone(), &protocol.descriptor())
            .map_err(|error| failed(error.into()))?;
        let plan = self.plan(&protocol.descriptor(), &settings)?;
        let bar = progress_bar(&name, self.seeds);
        let sweep_options = Sweep { plan, seeds: self.seeds, shrink_budget: SHRINK_BUDGET };
        let swept = sweep(protocol, &settings, &sweep_options, || bar.inc(1));
        bar.finish_and_clear();
        match swept {
            Ok(report) => {
                let replay =
                    report.findings.iter().map(|finding| self.replay(&name, &plan, finding)).collect();
                Ok(Explored { protocol: name, not_simulated: None, report: Some(report), replay })
            }
            // Who asks for all gets those that there are, and is told of the others.
            Err(ExploreError::Launch(error @ LaunchError::NotSimulated { .. }))
                if self.protocol.is_empty() =>
            {
                let not_simulated = Some(error.to_string());
                Ok(Explored { protocol: name, not_simulated, report: None, replay: Vec::new() })
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn plan(&self, protocol: &Descriptor, settings: &Settings) -> Result<Plan, ExploreCommandError> {
        let replicas = self.replicas.unwrap_or(Plan::default().replicas.max(protocol.cluster_sizes.0));
        let most = match protocol.particulars.behaviours {
            [] => 0,
            _ => (protocol.tolerates)(replicas, settings),
        };
        if self.liars > most {
            let why = format!("{} of {replicas} replicas survives {most} that lie", protocol.name);
            return Err(ExploreCommandError::Liars { liars: self.liars, why });
        }
        Ok(Plan {
            seed: self.first_seed,
            replicas,
            commands: self.commands,
            horizon_ms: self.horizon_ms,
            fifo: self.fifo,
            liars: self.liars,
            behaviours: protocol.particulars.behaviours,
        })
    }

    fn replay(&self, name: &str, plan: &Plan, finding: &Finding) -> String {
        let fifo = if self.fifo { " --fifo" } else { "" };
        let liars = if self.liars > 0 { format!(" --liars {}", self.liars) } else { String::new() };
        format!(
            "cargo consensus-bench explore --protocol {name} --first-seed {} --seeds 1 --replicas {} --commands {} \
             --horizon-ms {}{liars}{fifo}",
            finding.seed, plan.replicas, self.commands, self.horizon_ms
        )
    }
}

fn progress_bar(name: &str, seeds: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} seeds, {eta} left");
    let bar = ProgressBar::new(seeds).with_prefix(name.to_string());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn print(explored: &Explored) {
    let Explored { protocol, not_simulated, report, replay } = explored;
    if let Some(why) = not_simulated {
        return say!("{protocol}: not explored: {why}");
    }
    let Some(report) = report else { return };
    say!(
        "{protocol}: {} seeds from {} in {:.1} s, {} events/s, {} commands acknowledged: {}",
        report.seeds,
        report.plan.seed,
        report.elapsed_s,
        quantity::count(report.events_per_s),
        report.acknowledged,
        match report.findings.len() {
            0 => "all promises kept".to_string(),
            count => format!("{count} BROKE A PROMISE"),
        }
    );
    for (finding, replay) in report.findings.iter().zip(replay) {
        let Some((schedule, violations)) = &finding.shrunk else { continue };
        say!("seed {}", finding.seed);
        finding.violations.iter().for_each(|found| say!("  {}: {}", found.promise.name(), found.what));
        say!("replay: {replay}");
        say!("shrunk to {} faults and {} commands:", schedule.steps.len(), schedule.commands_us.len());
        say!("{schedule}");
        violations.iter().for_each(|found| say!("  {}: {}", found.promise.name(), found.what));
    }
    let others = report.findings.iter().filter(|finding| finding.shrunk.is_none());
    let seeds: Vec<String> = others.map(|finding| finding.seed.to_string()).collect();
    if !seeds.is_empty() {
        let more = if seeds.len() > NAMED_SEEDS { ", …" } else { "" };
        say!("the same promises break with seeds {}{more}", seeds[..seeds.len().min(NAMED_SEEDS)].join(", "));
    }
}
