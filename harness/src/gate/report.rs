//! What a gate found, as plain data: the terminal, files for other tools and comments on pull requests are all
//! made of it.

use std::fmt;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::exit::{EXIT_BASELINE, EXIT_INCONCLUSIVE, EXIT_OK, EXIT_REGRESSION, EXIT_TOOL, EXIT_UNSAFE};
use crate::results::{Better, Machine};

/// Version of the schema of [`GateReport`].
pub const GATE_SCHEMA_VERSION: u32 = 1;

/// A judged change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateReport {
    /// [`GATE_SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// What follows from all tiers.
    pub verdict: GateVerdict,
    /// What the change is compared with; none when that is the committed baselines alone.
    pub base: Option<Side>,
    /// The change.
    pub head: Side,
    /// Where it was judged.
    pub machine: Machine,
    /// The tiers that were asked for, in their order.
    pub tiers: Vec<TierReport>,
    /// What else a reader should know, a sentence each.
    pub notes: Vec<String>,
    /// The command that judges the same again.
    pub reproduce: String,
}

/// One of the two things that are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// As it was asked for: `origin/main`, a path.
    pub name: String,
    /// Its commit, with `+` when the tree was changed; none outside git.
    pub commit: Option<String>,
}

/// A stage of the gate.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Tier 0: no promise is broken.
    Safety,
    /// Tier 1: counts of virtual time.
    Exact,
    /// Tier 1: instructions and allocations.
    Instructions,
    /// Tier 2: CPU and wall-clock time.
    Paired,
    /// Tier 3: thresholds.
    Targets,
}

impl Tier {
    /// All, in order.
    pub const ALL: [Tier; 5] = [Tier::Safety, Tier::Exact, Tier::Instructions, Tier::Paired, Tier::Targets];

    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Safety => "safety",
            Tier::Exact => "exact",
            Tier::Instructions => "instructions",
            Tier::Paired => "paired",
            Tier::Targets => "targets",
        }
    }

    /// 0 to 3: the lower, the less room for doubt.
    pub fn number(self) -> u8 {
        match self {
            Tier::Safety => 0,
            Tier::Exact | Tier::Instructions => 1,
            Tier::Paired => 2,
            Tier::Targets => 3,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What one tier found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TierReport {
    /// Which.
    pub tier: Tier,
    /// Whether it ran.
    pub status: TierStatus,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Metrics that were judged, those that are not told one by one included.
    pub judged: usize,
    /// What is worth telling: exact metrics that are the same are not.
    pub findings: Vec<Finding>,
    /// The base against a copy of itself; paired tier only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Control>,
    /// What else a reader should know, a sentence each.
    pub notes: Vec<String>,
}

/// Whether a tier ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum TierStatus {
    /// To its end.
    Ran,
    /// Something that it needs is not on this machine.
    NotRun {
        /// What is missing, and how to get it.
        reason: String,
        /// Whether the policy forbids that.
        forbidden: bool,
    },
    /// It did not come to its end.
    Failed {
        /// Why.
        reason: String,
        /// Whether what is to be compared with is missing or unusable.
        of_baseline: bool,
    },
}

/// What was found about one metric of one row, or about a row as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Scenario and protocol, as `scenario/protocol`.
    pub row: String,
    /// Name, ending in its unit; empty when it is about the row as a whole.
    pub metric: String,
    /// Unit; empty when it has none.
    pub unit: String,
    /// Which way the metric is better.
    pub better: Better,
    /// What follows from it.
    pub verdict: FindingVerdict,
    /// Whether it may block.
    pub effect: Effect,
    /// Value before.
    pub base: Option<f64>,
    /// Value now.
    pub head: Option<f64>,
    /// The change with its interval, where there is one.
    pub shift: Option<Shift>,
    /// Relative change that is put up with.
    pub tolerance: f64,
    /// Who answers for the metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What else is to be said about it, on one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Finding {
    /// About a row as a whole; passed until something else is said.
    pub fn about(row: &str, effect: Effect) -> Finding {
        Finding {
            row: row.into(),
            metric: String::new(),
            unit: String::new(),
            better: Better::Neither,
            verdict: FindingVerdict::Passed,
            effect,
            base: None,
            head: None,
            shift: None,
            tolerance: 0.0,
            owner: None,
            reason: None,
        }
    }
}

/// What follows from a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingVerdict {
    /// A promise is broken.
    Unsafe,
    /// Worse than is put up with.
    Regressed,
    /// Better than before by more than the tolerance.
    Improved,
    /// Other than what is committed, and not worse: the committed value is out of date.
    Changed,
    /// The committed counts say so already: whoever reviews them decides.
    Declared,
    /// Not worse.
    Passed,
    /// Can't be told.
    Inconclusive,
    /// There is nothing to compare with, or it is gone.
    Missing,
    /// The head has it and the base does not.
    New,
}

impl FindingVerdict {
    /// The name in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            FindingVerdict::Unsafe => "unsafe",
            FindingVerdict::Regressed => "regressed",
            FindingVerdict::Improved => "improved",
            FindingVerdict::Changed => "changed",
            FindingVerdict::Declared => "declared",
            FindingVerdict::Passed => "passed",
            FindingVerdict::Inconclusive => "inconclusive",
            FindingVerdict::Missing => "missing",
            FindingVerdict::New => "new",
        }
    }
}

/// What a finding may do to the verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It keeps the change out.
    #[default]
    Block,
    /// It is told.
    Warn,
    /// It is not even looked at.
    Ignore,
}

/// A relative change, measured block by block.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Shift {
    /// Head over base, less 1: the Hodges-Lehmann estimate over the pairs' logarithms.
    pub relative: f64,
    /// Lower end of its 95 % interval.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// Two-sided p of the signed-rank test, adjusted for all suspects.
    pub p: f64,
    /// Pairs of blocks.
    pub pairs: usize,
    /// Relative change that this many pairs of this spread show in 80 of 100 cases.
    pub detectable: f64,
}

/// The base against a byte copy of itself, in the same run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Control {
    /// Metrics that were looked at.
    pub judged: usize,
    /// Those that came out different, though nothing differs: then no paired verdict holds.
    pub alarms: Vec<Finding>,
    /// The largest shift among them all, as a share.
    pub largest_shift: f64,
}

/// What follows from a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateVerdict {
    /// Nothing speaks against the change.
    Pass,
    /// Something can't be told.
    Inconclusive,
    /// A tier could not run or did not come to its end.
    ToolFailure,
    /// Something to compare with is missing, out of date or unusable.
    BaselineMissing,
    /// Something is worse.
    Regression,
    /// A promise is broken.
    Unsafe,
}

impl GateVerdict {
    /// The worst of what tiers found. A broken promise comes before a regression, and that before what is
    /// merely missing, because it is the more certain news.
    pub fn of(tiers: &[TierReport]) -> GateVerdict {
        let of_tiers = tiers.iter().map(|tier| match &tier.status {
            TierStatus::Ran | TierStatus::NotRun { forbidden: false, .. } => GateVerdict::Pass,
            TierStatus::Failed { of_baseline: true, .. } => GateVerdict::BaselineMissing,
            TierStatus::NotRun { .. } | TierStatus::Failed { .. } => GateVerdict::ToolFailure,
        });
        let findings = tiers.iter().flat_map(|tier| &tier.findings);
        let of_findings = findings.filter(|finding| finding.effect == Effect::Block).map(GateVerdict::from);
        of_tiers.chain(of_findings).max_by_key(|verdict| verdict.rank()).unwrap_or(GateVerdict::Pass)
    }

    fn rank(self) -> u8 {
        match self {
            GateVerdict::Pass => 0,
            GateVerdict::Inconclusive => 1,
            GateVerdict::ToolFailure => 2,
            GateVerdict::BaselineMissing => 3,
            GateVerdict::Regression => 4,
            GateVerdict::Unsafe => 5,
        }
    }

    /// The exit code; what is inconclusive fails only with `strict`.
    pub fn exit_code(self, strict: bool) -> u8 {
        match self {
            GateVerdict::Pass => EXIT_OK,
            GateVerdict::Inconclusive if !strict => EXIT_OK,
            GateVerdict::Inconclusive => EXIT_INCONCLUSIVE,
            GateVerdict::ToolFailure => EXIT_TOOL,
            GateVerdict::BaselineMissing => EXIT_BASELINE,
            GateVerdict::Regression => EXIT_REGRESSION,
            GateVerdict::Unsafe => EXIT_UNSAFE,
        }
    }

    /// The verdict as a headline.
    pub fn headline(self) -> &'static str {
        match self {
            GateVerdict::Pass => "pass",
            GateVerdict::Inconclusive => "inconclusive",
            GateVerdict::ToolFailure => "the gate did not run to its end",
            GateVerdict::BaselineMissing => "a baseline is missing or out of date",
            GateVerdict::Regression => "regression",
            GateVerdict::Unsafe => "safety violation",
        }
    }
}

impl From<&Finding> for GateVerdict {
    fn from(finding: &Finding) -> Self {
        match finding.verdict {
            FindingVerdict::Unsafe => GateVerdict::Unsafe,
            FindingVerdict::Regressed => GateVerdict::Regression,
            // A count that is other than the committed one, even a better one, would hide the next change.
            FindingVerdict::Missing | FindingVerdict::Changed => GateVerdict::BaselineMissing,
            FindingVerdict::Inconclusive => GateVerdict::Inconclusive,
            FindingVerdict::Improved
            | FindingVerdict::Declared
            | FindingVerdict::Passed
            | FindingVerdict::New => GateVerdict::Pass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(verdict: FindingVerdict, effect: Effect) -> Finding {
        Finding { metric: "messages_per_commit".into(), verdict, ..Finding::about("cost/a", effect) }
    }

    fn tier(status: TierStatus, findings: Vec<Finding>) -> TierReport {
        let notes = Vec::new();
        TierReport { tier: Tier::Exact, status, seconds: 0.0, judged: 1, findings, control: None, notes }
    }

    #[test]
    fn the_worst_finding_that_may_block_decides() {
        use FindingVerdict as Found;
        let verdict = |found: &[(Found, Effect)]| {
            let findings = found.iter().map(|&(verdict, effect)| finding(verdict, effect)).collect();
            GateVerdict::of(&[tier(TierStatus::Ran, findings)])
        };
        assert_eq!(verdict(&[]), GateVerdict::Pass);
        assert_eq!(verdict(&[(Found::Regressed, Effect::Warn)]), GateVerdict::Pass);
        assert_eq!(verdict(&[(Found::Improved, Effect::Block)]), GateVerdict::Pass);
        assert_eq!(verdict(&[(Found::Changed, Effect::Block)]), GateVerdict::BaselineMissing);
        let both = [(Found::Missing, Effect::Block), (Found::Regressed, Effect::Block)];
        assert_eq!(verdict(&both), GateVerdict::Regression);
        assert_eq!(verdict(&both[..1]), GateVerdict::BaselineMissing);
        let worst = [(Found::Regressed, Effect::Block), (Found::Unsafe, Effect::Block)];
        assert_eq!(verdict(&worst), GateVerdict::Unsafe);
        assert_eq!(verdict(&[(Found::Inconclusive, Effect::Block)]), GateVerdict::Inconclusive);
    }

    #[test]
    fn what_did_not_run_passes_only_where_the_policy_lets_it() {
        let not_run =
            |forbidden| tier(TierStatus::NotRun { reason: "no valgrind".into(), forbidden }, vec![]);
        assert_eq!(GateVerdict::of(&[not_run(false)]), GateVerdict::Pass);
        assert_eq!(GateVerdict::of(&[not_run(true)]), GateVerdict::ToolFailure);
        let failed = |of_baseline, findings| {
            tier(TierStatus::Failed { reason: "it broke".into(), of_baseline }, findings)
        };
        assert_eq!(GateVerdict::of(&[failed(false, vec![])]), GateVerdict::ToolFailure);
        assert_eq!(GateVerdict::of(&[failed(true, vec![])]), GateVerdict::BaselineMissing);
        // What another tier found is the more certain news.
        let unsafe_tier = tier(TierStatus::Ran, vec![finding(FindingVerdict::Unsafe, Effect::Block)]);
        assert_eq!(GateVerdict::of(&[unsafe_tier, failed(true, vec![])]), GateVerdict::Unsafe);
    }

    #[test]
    fn exit_codes_are_those_that_are_documented() {
        let codes = [
            (GateVerdict::Pass, 0),
            (GateVerdict::ToolFailure, 1),
            (GateVerdict::Regression, 3),
            (GateVerdict::Inconclusive, 0),
            (GateVerdict::BaselineMissing, 5),
            (GateVerdict::Unsafe, 6),
        ];
        for (verdict, code) in codes {
            assert_eq!(verdict.exit_code(false), code, "{verdict:?}");
        }
        assert_eq!(GateVerdict::Inconclusive.exit_code(true), 4);
    }
}
