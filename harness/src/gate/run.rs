//! The tiers, one after the other, from commits to a report.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::error::GateError;
use super::exact::scenarios_of;
use super::paired::{PAIRED_METRICS, row};
use super::policy::Policy;
use super::report::{GATE_SCHEMA_VERSION, GateReport, GateVerdict, Side, Tier, TierReport, TierStatus};
use super::tiers::{Built, Gate, io, ran, targets_of};
use crate::exit::EXIT_BASELINE;
use crate::interrupt;
use crate::machine;
use crate::store::Store;
use crate::suite::Suite;

/// Its folder, within the harness's own.
pub(super) const FOLDER: &str = "gate";
pub(super) const BASE: &str = "base";
pub(super) const HEAD: &str = "head";

/// What a gate is asked.
#[derive(Clone, Debug)]
pub struct GateOptions {
    /// Tiers to run, in order.
    pub tiers: Vec<Tier>,
    /// Whether someone named them: then one without anything to compare with is no pass.
    pub tiers_named: bool,
    /// Protocols to judge; none given means all, those that are gone included.
    pub protocols: Vec<String>,
    /// The commit to compare with; none leaves the committed baselines.
    pub base: Option<String>,
    /// Hold counts against those of the base, measured on the spot, and not against the committed ones.
    pub counts_of_base: bool,
    /// The policy.
    pub policy: Policy,
    /// Where it is from.
    pub policy_path: PathBuf,
    /// The command, so that others can run it too.
    pub reproduce: String,
}

/// Where the head is built. It stays, so that the next build is short.
pub fn head_target(store: &Store) -> PathBuf {
    target_of(store, HEAD)
}

/// Where a side is built.
pub(super) fn target_of(store: &Store, side: &str) -> PathBuf {
    store.home.join(FOLDER).join(format!("{side}-target"))
}

/// Runs the tiers on a suite's protocols, or on those that were asked for, and says what follows. A tier that fails
/// beside others takes nothing from what these found. `progress` hears what runs.
pub fn run_gate(
    suite: &Suite,
    store: &Store,
    options: &GateOptions,
    progress: impl Fn(&str) + Sync,
) -> Result<GateReport, GateError> {
    check_policy(suite, store, options)?;
    let suite = &suite.select(&options.protocols)?;
    let mut gate = Gate::new(suite, store, options)?;
    let mut tiers = Vec::new();
    for &tier in &options.tiers {
        progress(tier.name());
        let started = Instant::now();
        let ended = gate.tier(tier, &progress);
        // What Ctrl-C cut off must not be taken for what is gone or does not build.
        if interrupt::requested() {
            return Err(GateError::Interrupted);
        }
        let report = match ended {
            Err(error) if options.tiers.len() > 1 => failed(tier, &error),
            ended => ended?,
        };
        tiers.push(TierReport { seconds: started.elapsed().as_secs_f64(), ..report });
    }
    gate.note_rules_without_effect(&tiers);
    let base = gate.base_side();
    Ok(report_of(
        options,
        tiers,
        base,
        Side { name: HEAD.into(), commit: crate::session::git_commit() },
        gate.notes,
    ))
}

/// Two builds that are there already.
#[derive(Clone, Debug)]
pub struct Programs {
    /// To compare with.
    pub base: PathBuf,
    /// Changed.
    pub head: PathBuf,
}

/// Runs the paired tier alone, on programs that someone else built.
pub fn run_pair(
    suite: &Suite,
    store: &Store,
    options: &GateOptions,
    programs: &Programs,
    progress: impl Fn(&str),
) -> Result<GateReport, GateError> {
    let folder = tempfile::tempdir().map_err(|source| io("folder for programs", source))?;
    let copy = |from: &Path, name: &str| {
        let to = folder.path().join(name);
        std::fs::copy(from, &to).map(|_| to).map_err(|source| io(from, source))
    };
    let built = Built {
        base: copy(&programs.base, BASE)?,
        copy: copy(&programs.base, "copy")?,
        head: copy(&programs.head, HEAD)?,
    };
    let side = |path: &Path| Side { name: path.display().to_string(), commit: None };
    let mut gate = Gate::of_programs(suite, store, options, built);
    let started = Instant::now();
    let paired = gate.contest(&progress)?;
    let tiers = vec![TierReport { seconds: started.elapsed().as_secs_f64(), ..paired }];
    Ok(report_of(options, tiers, Some(side(&programs.base)), side(&programs.head), gate.notes))
}

fn report_of(
    options: &GateOptions,
    tiers: Vec<TierReport>,
    base: Option<Side>,
    head: Side,
    notes: Vec<String>,
) -> GateReport {
    GateReport {
        schema_version: GATE_SCHEMA_VERSION,
        verdict: GateVerdict::of(&tiers),
        base,
        head,
        machine: machine::describe(),
        tiers,
        notes,
        reproduce: options.reproduce.clone(),
    }
}

/// Refuses what the policy names and there is not, before minutes of judging, and before protocols that were not
/// asked for are left out.
fn check_policy(suite: &Suite, store: &Store, options: &GateOptions) -> Result<(), GateError> {
    let (policy, path) = (&options.policy, &options.policy_path);
    let names: Vec<&str> = suite.all().iter().map(|registration| registration.name.as_str()).collect();
    policy.check_protocols(path, &names)?;
    let runs = |tier: Tier| options.tiers.contains(&tier) && policy.runs(tier);
    if runs(Tier::Targets) {
        targets_of(policy)?;
        suite
            .select(&policy.targets.protocols)
            .map_err(|source| GateError::PolicyProtocol { path: path.clone(), source })?;
    }
    if runs(Tier::Exact) {
        scenarios_of(&policy.exact)?;
        // One that can't be read is the tier's to tell of.
        if let (false, Ok(committed)) = (options.counts_of_base, store.exact_baseline()) {
            policy.check_names(path, Tier::Exact, committed.metrics())?;
        }
    }
    if runs(Tier::Paired) {
        let rows: Vec<String> = names.iter().map(|name| row(name)).collect();
        let known = rows.iter().flat_map(|row| PAIRED_METRICS.map(|(metric, ..)| (row.as_str(), metric)));
        policy.check_names(path, Tier::Paired, known)?;
    }
    Ok(())
}

fn failed(tier: Tier, error: &GateError) -> TierReport {
    let of_baseline = error.exit_code() == EXIT_BASELINE;
    TierReport { status: TierStatus::Failed { reason: error.to_string(), of_baseline }, ..ran(tier) }
}
