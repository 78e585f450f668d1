//! The tiers, one after the other, from commits to a report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use thiserror::Error;

use super::exact::{Counted, count, judge_counts, scenarios_of};
use super::instructions::{self, InstructionsError};
use super::paired::{Contest, judge_contest};
use super::policy::{Policy, PolicyError};
use super::report::{
    Effect, Finding, FindingVerdict, GATE_SCHEMA_VERSION, GateReport, GateVerdict, Side, Tier, TierReport,
    TierStatus,
};
use super::safety::judge_safety;
use super::source::{Repository, SourceError, Worktree};
use super::targets::judge_targets;
use super::values::Reference;
use crate::compare::ExactValues;
use crate::exit::{EXIT_BASELINE, EXIT_TOOL, EXIT_USAGE, exit_code_of, exit_code_of_file};
use crate::explore::ExploreError;
use crate::files::{self, FileError};
use crate::machine;
use crate::pair::{NOISE_FILE, Noise, NoiseError, PairError};
use crate::progress::Progress;
use crate::results::ScenarioResult;
use crate::run::Limits;
use crate::scenario::{self, Scenario, ScenarioError, USUAL_SEED};
use crate::store::{Store, StoreError};
use crate::suite::{Suite, SuiteError};

/// Where the committed counts are, within a repository.
const EXACT_PATH: &str = "baselines/exact.json";
/// Its folder, within the harness's own.
const FOLDER: &str = "gate";

/// What a gate is asked.
#[derive(Clone, Debug)]
pub struct GateOptions {
    /// Tiers to run, in order.
    pub tiers: Vec<Tier>,
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
    /// The base can't count.
    #[error("the base's binary can't count: {0}")]
    BaseCounts(String),
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
            GateError::Store(error) => exit_code_of(error),
            GateError::File(error) | GateError::Noise(NoiseError::File(error)) => exit_code_of_file(error),
            GateError::Noise(NoiseError::OtherMachine { .. }) | GateError::BaseCounts(_) => EXIT_BASELINE,
            GateError::Pair(PairError::NoBlock { arm, .. }) if arm != HEAD => EXIT_BASELINE,
            _ => EXIT_TOOL,
        }
    }
}

const BASE: &str = "base";
const HEAD: &str = "head";

/// Where the head is built. It stays, so that the next build is short.
pub fn head_target(store: &Store) -> PathBuf {
    store.home.join(FOLDER).join(format!("{HEAD}-target"))
}

/// Runs the tiers on a suite's protocols, or on those that were asked for, and says what follows. `progress` hears
/// what runs.
pub fn run_gate(
    suite: &Suite,
    store: &Store,
    options: &GateOptions,
    progress: impl Fn(&str) + Sync,
) -> Result<GateReport, GateError> {
    // Before hours of other tiers, and before protocols that were not asked for are left out.
    if options.tiers.contains(&Tier::Targets) && options.policy.runs(Tier::Targets) {
        suite
            .select(&options.policy.targets.protocols)
            .map_err(|source| GateError::PolicyProtocol { path: options.policy_path.clone(), source })?;
    }
    let suite = &suite.select(&options.protocols)?;
    let mut gate = Gate { suite, store, options, base: None, trees: None, built: None, notes: Vec::new() };
    if let Some(name) = &options.base {
        let repository = Repository::here()?;
        let commit = repository.commit(name)?;
        let of_commits = [Tier::Instructions, Tier::Paired];
        if options.tiers.iter().any(|tier| of_commits.contains(tier) && options.policy.runs(*tier)) {
            repository.check_clean()?;
        }
        let head = repository.commit("HEAD")?;
        gate.base = Some(Base { repository, name: name.clone(), commit, head });
    }
    let mut tiers = Vec::new();
    for &tier in options.tiers.iter().filter(|&&tier| options.policy.runs(tier)) {
        progress(tier.name());
        let started = Instant::now();
        let report = gate.tier(tier, &progress)?;
        tiers.push(TierReport { seconds: started.elapsed().as_secs_f64(), ..report });
    }
    let side = |base: &Base| Side { name: base.name.clone(), commit: Some(base.commit.clone()) };
    Ok(GateReport {
        schema_version: GATE_SCHEMA_VERSION,
        verdict: GateVerdict::of(&tiers),
        base: gate.base.as_ref().map(side),
        head: Side { name: HEAD.into(), commit: crate::session::git_commit() },
        machine: machine::describe(),
        tiers,
        notes: gate.notes,
        reproduce: options.reproduce.clone(),
    })
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
    let gate = Gate { suite, store, options, base: None, trees: None, built: Some(built), notes: Vec::new() };
    let started = Instant::now();
    let paired = gate.contest(&progress)?;
    let tiers = vec![TierReport { seconds: started.elapsed().as_secs_f64(), ..paired }];
    Ok(GateReport {
        schema_version: GATE_SCHEMA_VERSION,
        verdict: GateVerdict::of(&tiers),
        base: Some(side(&programs.base)),
        head: side(&programs.head),
        machine: machine::describe(),
        tiers,
        notes: gate.notes,
        reproduce: options.reproduce.clone(),
    })
}

/// What the head is compared with.
struct Base {
    repository: Repository,
    name: String,
    commit: String,
    head: String,
}

/// Programs of both commits.
struct Built {
    base: PathBuf,
    copy: PathBuf,
    head: PathBuf,
}

struct Gate<'a> {
    suite: &'a Suite,
    store: &'a Store,
    options: &'a GateOptions,
    base: Option<Base>,
    /// The sources of base and head, which go with this.
    trees: Option<[Worktree; 2]>,
    built: Option<Built>,
    notes: Vec<String>,
}

impl Gate<'_> {
    fn tier(&mut self, tier: Tier, progress: &(impl Fn(&str) + Sync)) -> Result<TierReport, GateError> {
        match tier {
            Tier::Safety => self.safety(progress),
            Tier::Exact => self.exact(progress),
            Tier::Instructions => self.instructions(progress),
            Tier::Paired => self.paired(progress),
            Tier::Targets => self.targets(progress),
        }
    }

    fn safety(&self, progress: &impl Fn(&str)) -> Result<TierReport, GateError> {
        let (judged, findings, notes) = judge_safety(self.suite, &self.options.policy.safety, progress)?;
        Ok(TierReport { judged, findings, notes, ..ran(Tier::Safety) })
    }

    fn exact(&mut self, progress: &(impl Fn(&str) + Sync)) -> Result<TierReport, GateError> {
        let policy = &self.options.policy;
        let scenarios = scenarios_of(&policy.exact)?;
        let counted = count(self.suite, &scenarios, progress)?;
        let (reference, committed, base_committed) = if self.options.counts_of_base {
            (self.counts_of_base(&scenarios, progress)?, false, None)
        } else {
            let committed = self.store.exact_baseline()?;
            (self.of_this_suite(committed), true, self.base_committed()?)
        };
        policy.check_names(&self.options.policy_path, Tier::Exact, reference.metrics())?;
        let base_committed = base_committed.map(|values| self.of_this_suite(values));
        let (judged, findings) =
            judge_counts(&counted, &reference, committed, base_committed.as_ref(), policy);
        Ok(TierReport { judged, findings, notes: counted.not_simulated(), ..ran(Tier::Exact) })
    }

    /// Whether a protocol is to be judged; one that is gone is not in the suite any more.
    fn asks_for(&self, protocol: &str) -> bool {
        let asked = &self.options.protocols;
        asked.is_empty() || asked.iter().any(|name| name == protocol)
    }

    /// Without the rows of protocols that were not asked for.
    fn of_this_suite(&self, values: ExactValues) -> ExactValues {
        let protocol = |row: &str| row.split('/').nth(1).map(str::to_string);
        values.only(|row| protocol(row).is_none_or(|name| self.asks_for(&name)))
    }

    /// The counts that the base has committed; none without a base, or when it has none.
    fn base_committed(&self) -> Result<Option<ExactValues>, GateError> {
        let Some(base) = &self.base else { return Ok(None) };
        let Some(text) = base.repository.file_at(&base.commit, EXACT_PATH) else { return Ok(None) };
        let path = PathBuf::from(format!("{}:{EXACT_PATH}", base.name));
        // An older base had another shape of the file; then nothing can have been declared beside it.
        Ok(ExactValues::parse(&path, &text).ok())
    }

    fn counts_of_base(
        &mut self,
        scenarios: &[Scenario],
        progress: &impl Fn(&str),
    ) -> Result<ExactValues, GateError> {
        self.build(progress)?;
        let Some(built) = &self.built else {
            return Err(GateError::BaseCounts("there is no base: give one with `--base`".into()));
        };
        let mut names: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
        for scenario in scenarios {
            names.entry(scenario.seed).or_default().push(&scenario.name);
        }
        let mut results: Vec<ScenarioResult> = Vec::new();
        for (seed, names) in names {
            progress(&format!("counts of the base, seed {seed}"));
            results.extend(run_of(&built.base, &names, seed)?);
        }
        Ok(self.of_this_suite(ExactValues::of(&results)))
    }

    fn instructions(&mut self, progress: &impl Fn(&str)) -> Result<TierReport, GateError> {
        let policy = &self.options.policy;
        if !instructions::has_valgrind() {
            return Ok(TierReport { status: instructions::not_run(policy), ..ran(Tier::Instructions) });
        }
        let Ok(repository) = Repository::here() else {
            let reason = "the sources are not here: it counts what is built from a repository of git".into();
            return Ok(not_run(Tier::Instructions, reason, policy.instructions.required));
        };
        let folder = self.folder();
        let target = |side: &str| folder.join(format!("{side}-target"));
        let (old, reference) = if self.base.is_some() {
            self.check_out()?;
            let Some([base, _]) = &self.trees else { return Ok(ran(Tier::Instructions)) };
            progress("instructions of the base");
            match instructions::measure(&base.folder, &target(BASE)) {
                Err(error @ InstructionsError::NoBenches { .. }) => {
                    return Ok(not_run(Tier::Instructions, error.to_string(), policy.instructions.required));
                }
                counted => (counted?, Reference::Base),
            }
        } else {
            let command = "cargo consensus-bench baseline instructions";
            let Some(committed) = self.store.instructions_baseline()? else {
                let reason =
                    format!("no counts of this machine are committed: give a `--base`, or `{command}`");
                return Ok(not_run(Tier::Instructions, reason, policy.instructions.required));
            };
            (committed, Reference::Committed(command))
        };
        progress("instructions");
        let new = match &self.trees {
            Some([_, head]) => instructions::measure(&head.folder, &target(HEAD))?,
            None => instructions::measure(&repository.root, &target(HEAD))?,
        };
        let (old, new) = (self.of_this_suite(old), self.of_this_suite(new));
        policy.check_names(&self.options.policy_path, Tier::Instructions, old.metrics())?;
        let (judged, findings) = instructions::judge(&old, &new, reference, policy);
        Ok(TierReport { judged, findings, ..ran(Tier::Instructions) })
    }

    fn paired(&mut self, progress: &impl Fn(&str)) -> Result<TierReport, GateError> {
        if self.base.is_none() {
            return Ok(not_run(Tier::Paired, "there is no base: give one with `--base`".into(), false));
        }
        self.build(progress)?;
        self.contest(progress)
    }

    fn contest(&self, progress: &impl Fn(&str)) -> Result<TierReport, GateError> {
        let Some(built) = &self.built else { return Ok(ran(Tier::Paired)) };
        let policy = &self.options.policy;
        let noise = Noise::read(&self.store.machine_file(NOISE_FILE), &self.store.fingerprint)?;
        let (of_base, of_head) = (protocols_of(&built.base, BASE)?, protocols_of(&built.head, HEAD)?);
        let measured = |name: &&String| self.asks_for(name);
        let both: Vec<String> =
            of_head.iter().filter(|name| of_base.contains(name)).filter(measured).cloned().collect();
        let known = both.iter().flat_map(|name| {
            super::paired::PAIRED_METRICS.iter().map(move |(metric, ..)| (super::paired::row(name), *metric))
        });
        let known: Vec<(String, &str)> = known.collect();
        let known_names = known.iter().map(|(row, metric)| (row.as_str(), *metric));
        policy.check_names(&self.options.policy_path, Tier::Paired, known_names)?;
        let contest = Contest {
            base: &built.base,
            copy: &built.copy,
            head: &built.head,
            protocols: &both,
            noise: noise.as_ref(),
            policy,
            seed: USUAL_SEED,
        };
        let found = judge_contest(&contest, progress)?;
        let mut findings = found.findings;
        let only = |these: &[String], others: &[String], verdict, reason: &str| -> Vec<Finding> {
            let missing = these.iter().filter(|name| !others.contains(name)).filter(measured);
            let finding = |name: &String| {
                let effect = policy.ruling(Tier::Paired, &super::paired::row(name), "").effect;
                let row = Finding::about(&super::paired::row(name), effect);
                Finding { verdict, reason: Some(reason.to_string()), ..row }
            };
            missing.map(finding).collect()
        };
        findings.extend(only(&of_base, &of_head, FindingVerdict::Missing, "this benchmark is gone"));
        findings.extend(only(&of_head, &of_base, FindingVerdict::New, "the base has no such protocol"));
        findings.retain(|finding| finding.effect != Effect::Ignore);
        let judged = findings.len();
        let (control, notes) = (Some(found.control), found.notes);
        Ok(TierReport { judged, findings, control, notes, ..ran(Tier::Paired) })
    }

    fn targets(&self, progress: &impl Fn(&str)) -> Result<TierReport, GateError> {
        let policy = &self.options.policy;
        let all = scenario::profile("quick")?;
        let named = |name: &String| scenario::find(&all, name).cloned();
        let scenarios = policy.targets.scenarios.iter().map(named).collect::<Result<Vec<_>, _>>()?;
        let named = &policy.targets.protocols;
        let protocols: Vec<String> = named.iter().filter(|name| self.asks_for(name)).cloned().collect();
        if protocols.is_empty() && !named.is_empty() {
            let reason = format!("none of {} was asked for", named.join(", "));
            return Ok(not_run(Tier::Targets, reason, false));
        }
        let suite = self.suite.select(&protocols)?;
        let folder = tempfile::tempdir().map_err(|source| io("folder for logs", source))?;
        let mut results = Vec::new();
        for pair in suite.pairs(&scenarios, Limits::default())? {
            progress(&format!("targets/{}", pair.id()));
            results.push(pair.run(folder.path(), &Progress::default()));
        }
        let (judged, findings) = judge_targets(&results, &self.options.policy_path, policy)?;
        Ok(TierReport { judged, findings, ..ran(Tier::Targets) })
    }

    fn folder(&self) -> PathBuf {
        self.store.home.join(FOLDER)
    }

    /// Puts both commits into worktrees, whose names are equally long: even the length of a path can move code.
    fn check_out(&mut self) -> Result<(), GateError> {
        let Some(base) = &self.base else { return Ok(()) };
        if self.trees.is_some() {
            return Ok(());
        }
        let folder = self.folder();
        std::fs::create_dir_all(&folder).map_err(|source| io(&folder, source))?;
        let tree = |side: &str, commit: &str| base.repository.worktree(commit, &folder.join(side));
        let trees = [tree(BASE, &base.commit)?, tree(HEAD, &base.head)?];
        trees[0].lend_lock_file(&trees[1])?;
        if !trees[0].has_lock_file_of(&trees[1]) {
            self.notes.push(
                "Cargo.lock differs: what changed may have changed in a dependency and not in this code"
                    .into(),
            );
        }
        self.trees = Some(trees);
        Ok(())
    }

    /// Builds the program of both commits, each in a target folder of its own, which stays for the next time.
    fn build(&mut self, progress: &impl Fn(&str)) -> Result<(), GateError> {
        let Some(base) = &self.base else { return Ok(()) };
        if self.built.is_some() {
            return Ok(());
        }
        let folder = self.folder();
        let programs = folder.join("programs");
        std::fs::create_dir_all(&programs).map_err(|source| io(&programs, source))?;
        let names = [format!("{BASE} {}", base.name), HEAD.to_string()];
        self.check_out()?;
        let Some(trees) = &self.trees else { return Ok(()) };
        let build = &self.options.policy.build;
        let mut built = Vec::new();
        for ((tree, name), side) in trees.iter().zip(&names).zip([BASE, HEAD]) {
            progress(&format!("building {name}"));
            let target = folder.join(format!("{side}-target"));
            let program = tree.build(name, &build.arguments, &build.program, &target)?;
            let copy = programs.join(side);
            std::fs::copy(&program, &copy).map_err(|source| io(&copy, source))?;
            built.push(copy);
        }
        let copy = programs.join("copy");
        std::fs::copy(&built[0], &copy).map_err(|source| io(&copy, source))?;
        let [base, head] = [built[0].clone(), built[1].clone()];
        self.built = Some(Built { base, copy, head });
        Ok(())
    }
}

fn io(path: impl AsRef<Path>, source: std::io::Error) -> GateError {
    GateError::Io { path: path.as_ref().into(), source }
}

fn ran(tier: Tier) -> TierReport {
    TierReport {
        tier,
        status: TierStatus::Ran,
        seconds: 0.0,
        judged: 0,
        findings: Vec::new(),
        control: None,
        notes: Vec::new(),
    }
}

fn not_run(tier: Tier, reason: String, forbidden: bool) -> TierReport {
    TierReport { status: TierStatus::NotRun { reason, forbidden }, ..ran(tier) }
}

/// Virtual scenarios, by the program of another commit.
fn run_of(program: &Path, names: &[&str], seed: u64) -> Result<Vec<ScenarioResult>, GateError> {
    let home = tempfile::tempdir().map_err(|source| io("folder for runs", source))?;
    let output = Command::new(program)
        .args(["run", "--quiet", "--no-history", "--format", "json"])
        .args(["--scenario", &names.join(","), "--seed", &seed.to_string()])
        .env("CONSENSUS_BENCH_HOME", home.path())
        .output()
        .map_err(|source| io(program, source))?;
    if !output.status.success() {
        let printed = String::from_utf8_lossy(&output.stderr);
        let line = printed.lines().last().unwrap_or("it printed nothing");
        return Err(GateError::BaseCounts(line.into()));
    }
    Ok(files::parse_results(Path::new("the base's counts"), &output.stdout)?.results)
}

/// The protocols that a program knows and that can be measured in a closed loop.
fn protocols_of(program: &Path, side: &str) -> Result<Vec<String>, GateError> {
    let no_list = |reason: String| PairError::NoBlock { arm: side.into(), reason };
    let output = Command::new(program)
        .args(["list", "--format", "json"])
        .output()
        .map_err(|source| PairError::NotStarted { program: program.into(), source })?;
    let listed: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|error| no_list(error.to_string()))?;
    let protocols = listed["protocols"].as_array().ok_or_else(|| no_list("it lists no protocols".into()))?;
    let closed = protocols.iter().filter(|protocol| protocol["closed_loop"] != false);
    Ok(closed.filter_map(|protocol| Some(protocol["name"].as_str()?.to_string())).collect())
}

impl Counted {
    /// What is counted under a policy, with every row of the suite: what `baselines/exact.json` is made of.
    pub fn all(suite: &Suite, policy: &Policy, progress: impl Fn(&str) + Sync) -> Result<Counted, GateError> {
        Ok(count(suite, &scenarios_of(&policy.exact)?, progress)?)
    }
}
