//! What each tier runs, and on what: the suite's own protocols, committed files, or builds of two commits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::GateError;
use super::exact::{Counted, count, judge_counts, scenarios_of};
use super::instructions::{self, InstructionsError};
use super::paired::{Contest, PAIRED_METRICS, judge_contest, row};
use super::policy::Policy;
use super::report::{Effect, Finding, FindingVerdict, Side, Tier, TierReport, TierStatus};
use super::run::{BASE, FOLDER, GateOptions, HEAD, target_of};
use super::safety::judge_safety;
use super::source::{Repository, Worktree, dependencies};
use super::targets::judge_targets;
use super::values::Reference;
use crate::compare::{ExactValues, row_of};
use crate::files;
use crate::pair::{NOISE_FILE, Noise, PairError};
use crate::progress::Progress;
use crate::results::ScenarioResult;
use crate::run::Limits;
use crate::scenario::{self, Scenario, ScenarioError, USUAL_SEED};
use crate::store::{Store, reason_not_to_compare};
use crate::suite::Suite;

/// Where the committed counts are, within a repository.
const EXACT_PATH: &str = "baselines/exact.json";
/// Digits of a commit that people are shown.
const SHORT_COMMIT: usize = 10;

/// What the head is compared with.
struct Base {
    repository: Repository,
    name: String,
    commit: String,
    head: String,
}

/// Programs of both commits.
pub(super) struct Built {
    pub(super) base: PathBuf,
    pub(super) copy: PathBuf,
    pub(super) head: PathBuf,
}

pub(super) struct Gate<'a> {
    suite: &'a Suite,
    store: &'a Store,
    options: &'a GateOptions,
    base: Option<Base>,
    /// The sources of base and head, which go with this.
    trees: Option<[Worktree; 2]>,
    built: Option<Built>,
    /// Rows and metrics that each tier knew.
    known: BTreeMap<Tier, BTreeSet<(String, String)>>,
    pub(super) notes: Vec<String>,
}

impl<'a> Gate<'a> {
    pub(super) fn new(
        suite: &'a Suite,
        store: &'a Store,
        options: &'a GateOptions,
    ) -> Result<Self, GateError> {
        let mut gate = Gate {
            suite,
            store,
            options,
            base: None,
            trees: None,
            built: None,
            known: BTreeMap::new(),
            notes: Vec::new(),
        };
        gate.find_base()?;
        Ok(gate)
    }

    /// For programs that someone else built.
    pub(super) fn of_programs(
        suite: &'a Suite,
        store: &'a Store,
        options: &'a GateOptions,
        built: Built,
    ) -> Self {
        let (known, notes) = (BTreeMap::new(), Vec::new());
        Gate { suite, store, options, base: None, trees: None, built: Some(built), known, notes }
    }

    /// What the base branch gained after the change left it is no doing of the change, so the commit where it left
    /// is what it is held against.
    fn find_base(&mut self) -> Result<(), GateError> {
        let Some(name) = &self.options.base else { return Ok(()) };
        let repository = Repository::here()?;
        let tip = repository.commit(name)?;
        let of_commits = [Tier::Instructions, Tier::Paired];
        let runs = |tier: &Tier| self.options.tiers.contains(tier) && self.options.policy.runs(*tier);
        if of_commits.iter().any(runs) || self.options.counts_of_base {
            repository.check_clean()?;
        }
        let head = repository.commit("HEAD")?;
        let left = repository.left_at(&tip, &head);
        match &left {
            Some(commit) if *commit != tip => {
                let short = &commit[..SHORT_COMMIT.min(commit.len())];
                self.notes.push(format!(
                    "`{name}` has gone on since this change left it: compared with {short}, where it left"
                ));
            }
            Some(_) => {}
            None => self.notes.push(format!(
                "`{name}` has no commit in common with this change here: compared with its latest, which may have \
                 gone on (`git fetch --unshallow` brings the history of a shallow clone)"
            )),
        }
        let commit = left.unwrap_or(tip);
        self.base = Some(Base { repository, name: name.clone(), commit, head });
        Ok(())
    }

    pub(super) fn base_side(&self) -> Option<Side> {
        self.base.as_ref().map(|base| Side { name: base.name.clone(), commit: Some(base.commit.clone()) })
    }

    /// A slip in a rule for all tiers shows only when all have run: then nothing is left that it could mean.
    pub(super) fn note_rules_without_effect(&mut self, tiers: &[TierReport]) {
        let whole =
            |tier: &Tier| tiers.iter().any(|report| report.tier == *tier && report.status == TierStatus::Ran);
        if !self.options.protocols.is_empty() || !Tier::ALL.iter().all(whole) {
            return;
        }
        let known: Vec<(Tier, &str, &str)> = self
            .known
            .iter()
            .flat_map(|(tier, names)| {
                names.iter().map(|(row, metric)| (*tier, row.as_str(), metric.as_str()))
            })
            .collect();
        for number in self.options.policy.rules_without_effect(&known) {
            let path = self.options.policy_path.display();
            self.notes.push(format!("policy {path}: rule {number} fits nothing that was judged"));
        }
    }

    /// Remembers what a tier knows, and refuses rules that name what it does not.
    fn check_names<'n>(
        &mut self,
        tier: Tier,
        known: impl Iterator<Item = (&'n str, &'n str)> + Clone,
    ) -> Result<(), GateError> {
        let names = known.clone().map(|(row, metric)| (row.to_string(), metric.to_string()));
        self.known.entry(tier).or_default().extend(names);
        Ok(self.options.policy.check_names(&self.options.policy_path, tier, known)?)
    }

    pub(super) fn tier(
        &mut self,
        tier: Tier,
        progress: &(impl Fn(&str) + Sync),
    ) -> Result<TierReport, GateError> {
        if !self.options.policy.runs(tier) {
            return Ok(not_run(tier, "the policy ignores all of it".into(), false));
        }
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
        let reference = match self.options.counts_of_base {
            true => self.counts_of_base(&scenarios, progress)?,
            false => self.store.exact_baseline()?,
        };
        self.check_names(Tier::Exact, reference.metrics())?;
        let reference = self.of_this_suite(reference);
        let committed = !self.options.counts_of_base;
        let base_committed = if committed { self.base_committed() } else { None };
        let counted = count(self.suite, &scenarios, progress)?;
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
    fn base_committed(&self) -> Option<ExactValues> {
        let base = self.base.as_ref()?;
        let text = base.repository.file_at(&base.commit, EXACT_PATH)?;
        let path = PathBuf::from(format!("{}:{EXACT_PATH}", base.name));
        // An older base had another shape of the file; then nothing can have been declared beside it.
        ExactValues::parse(&path, &text).ok().map(|values| self.of_this_suite(values))
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
        Ok(ExactValues::with_zeros(&results))
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
        let (old, reference) = if self.base.is_some() {
            self.check_out()?;
            let Some([base, _]) = &self.trees else { return Ok(ran(Tier::Instructions)) };
            progress("instructions of the base");
            match instructions::measure(&base.folder, &self.target(BASE)) {
                Err(error @ InstructionsError::NoBenches { .. }) => {
                    return Ok(not_run(Tier::Instructions, error.to_string(), policy.instructions.required));
                }
                counted => (counted.map_err(GateError::InstructionsOfBase)?, Reference::Base),
            }
        } else {
            let command = "cargo consensus-bench baseline instructions";
            let Some(committed) = self.store.instructions_baseline()? else {
                let reason =
                    format!("no counts of this machine are committed: give a `--base`, or `{command}`");
                return self.nothing_to_compare(Tier::Instructions, reason, policy.instructions.required);
            };
            (committed, Reference::Committed(command))
        };
        progress("instructions");
        let source = self.trees.as_ref().map_or(&repository.root, |[_, head]| &head.folder);
        let new = match instructions::measure(source, &self.target(HEAD)) {
            Err(InstructionsError::Unsafe { reason }) => {
                return Ok(broken_promise(Tier::Instructions, "instructions", reason, policy));
            }
            counted => counted?,
        };
        self.check_names(Tier::Instructions, old.metrics().chain(new.metrics()))?;
        let (old, new) = (self.of_this_suite(old), self.of_this_suite(new));
        let (judged, findings) = instructions::judge(&old, &new, reference, policy);
        Ok(TierReport { judged, findings, ..ran(Tier::Instructions) })
    }

    /// A tier that has nothing to compare with passes only where no one asked for it.
    fn nothing_to_compare(
        &self,
        tier: Tier,
        reason: String,
        forbidden: bool,
    ) -> Result<TierReport, GateError> {
        match self.options.tiers_named {
            true => Err(GateError::NothingToCompare(format!("{tier}: {reason}"))),
            false => Ok(not_run(tier, reason, forbidden)),
        }
    }

    fn paired(&mut self, progress: &impl Fn(&str)) -> Result<TierReport, GateError> {
        if self.base.is_none() {
            return self.nothing_to_compare(
                Tier::Paired,
                "there is no base: give one with `--base`".into(),
                false,
            );
        }
        self.build(progress)?;
        self.contest(progress)
    }

    pub(super) fn contest(&mut self, progress: &impl Fn(&str)) -> Result<TierReport, GateError> {
        let Some(built) = &self.built else { return Ok(ran(Tier::Paired)) };
        let policy = &self.options.policy;
        let noise = Noise::read(&self.store.machine_file(NOISE_FILE), &self.store.fingerprint)?;
        let (of_base, of_head) = (protocols_of(&built.base, BASE)?, protocols_of(&built.head, HEAD)?);
        let rows: Vec<String> = of_base.iter().chain(&of_head).map(|name| row(name)).collect();
        let names = rows.iter().flat_map(|row| PAIRED_METRICS.map(|(metric, ..)| (row.as_str(), metric)));
        let names = names.map(|(row, metric)| (row.to_string(), metric.to_string()));
        self.known.entry(Tier::Paired).or_default().extend(names);
        let measured = |name: &&String| self.asks_for(name);
        let both: Vec<String> =
            of_head.iter().filter(|name| of_base.contains(name)).filter(measured).cloned().collect();
        let contest = Contest {
            base: &built.base,
            copy: &built.copy,
            head: &built.head,
            protocols: &both,
            noise: noise.as_ref(),
            policy,
            seed: USUAL_SEED,
        };
        let found = match judge_contest(&contest, progress) {
            Err(PairError::Unsafe { arm, protocol, reason }) if arm == HEAD => {
                return Ok(broken_promise(Tier::Paired, &row(&protocol), reason, policy));
            }
            found => found?,
        };
        let mut findings = found.findings;
        let only = |these: &[String], others: &[String], verdict, reason: &str| -> Vec<Finding> {
            let missing = these.iter().filter(|name| !others.contains(name)).filter(measured);
            let finding = |name: &String| {
                let effect = policy.ruling(Tier::Paired, &row(name), "").effect;
                let row = Finding::about(&row(name), effect);
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

    fn targets(&mut self, progress: &impl Fn(&str)) -> Result<TierReport, GateError> {
        let policy = &self.options.policy;
        let scenarios = targets_of(policy)?;
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
        let whole = results.iter().all(|result| reason_not_to_compare(result).is_none());
        if whole && self.options.protocols.is_empty() {
            let of_result = |result: &ScenarioResult| {
                let row = row_of(result);
                result.metrics.iter().map(|metric| (row.clone(), metric.name.clone())).collect::<Vec<_>>()
            };
            let names: Vec<(String, String)> = results.iter().flat_map(of_result).collect();
            self.check_names(
                Tier::Targets,
                names.iter().map(|(row, metric)| (row.as_str(), metric.as_str())),
            )?;
        }
        let (judged, findings) = judge_targets(&results, policy);
        Ok(TierReport { judged, findings, ..ran(Tier::Targets) })
    }

    fn folder(&self) -> PathBuf {
        self.store.home.join(FOLDER)
    }

    /// Where a side is built. It stays for the next time, and begins with what the other side made of dependencies.
    fn target(&self, side: &str) -> PathBuf {
        let target = target_of(self.store, side);
        if let Some([base, head]) = &self.trees {
            let (tree, other) = if side == BASE { (base, HEAD) } else { (head, BASE) };
            dependencies::lend(&target_of(self.store, other), &target, &tree.folder);
        }
        target
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

    /// Builds the program of both commits, each in a target folder of its own.
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
            let program = tree.build(name, &build.arguments, &build.program, &self.target(side))?;
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

pub(super) fn io(path: impl AsRef<Path>, source: std::io::Error) -> GateError {
    GateError::Io { path: path.as_ref().into(), source }
}

pub(super) fn ran(tier: Tier) -> TierReport {
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

/// A run that broke a promise has no numbers, and nothing that a policy says of numbers makes it one that may pass.
fn broken_promise(tier: Tier, row: &str, reason: String, policy: &Policy) -> TierReport {
    let finding = Finding {
        verdict: FindingVerdict::Unsafe,
        reason: Some(reason),
        ..Finding::about(row, policy.safety.effect)
    };
    TierReport { judged: 1, findings: vec![finding], ..ran(tier) }
}

/// The real scenarios of the policy's targets.
pub(super) fn targets_of(policy: &Policy) -> Result<Vec<Scenario>, ScenarioError> {
    let all = scenario::profile("quick")?;
    policy.targets.scenarios.iter().map(|name| scenario::find(&all, name).cloned()).collect()
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
