//! What may keep a change out: a file of TOML, committed beside the gate, read as plain data and checked before
//! anything runs.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use toml::{Table, Value};

use super::report::{Effect, Tier};
use crate::output::printable;
use crate::scenario::one_line;

/// The policy that ships with the harness, for workspaces without one of their own.
const SHIPPED: &str = include_str!("../../policy.toml");

/// A policy. Keys that are left out have the values of the file that ships with the harness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What is built of a commit.
    pub build: BuildPolicy,
    /// Tier 0.
    pub safety: SafetyPolicy,
    /// Tier 1, counts.
    pub exact: ExactPolicy,
    /// Tier 1, instructions.
    pub instructions: InstructionsPolicy,
    /// Tier 2.
    pub paired: PairedPolicy,
    /// Tier 3.
    pub targets: TargetsPolicy,
    /// For single metrics; of several that fit, the last one says what it says.
    #[serde(rename = "rule")]
    pub rules: Vec<Rule>,
    /// Whether the rules are the file's own: those that ship may name what another workspace does not run.
    #[serde(skip)]
    own_rules: bool,
}

/// What is built of a commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildPolicy {
    /// What `cargo build --release --locked` is told, beside that.
    pub arguments: Vec<String>,
    /// The program that it makes, with the command line of this harness.
    pub program: String,
}

/// Tier 0: safety.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SafetyPolicy {
    /// What a broken promise does.
    pub effect: Effect,
    /// Schedules of faults per protocol, and as many with a liar.
    pub schedules: u64,
}

/// Tier 1: counts of virtual time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExactPolicy {
    /// What a change does.
    pub effect: Effect,
    /// What is counted.
    pub scenarios: Vec<String>,
    /// Seeds beside the scenarios' own.
    pub seeds: Vec<u64>,
    /// What is counted under them too.
    pub seeded_scenarios: Vec<String>,
    /// Relative change that is put up with.
    pub tolerance: f64,
}

/// Tier 1: instructions and allocations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstructionsPolicy {
    /// What a change does.
    pub effect: Effect,
    /// Relative change that is put up with.
    pub tolerance: f64,
    /// Whether a machine without valgrind fails the gate.
    pub required: bool,
}

/// Tier 2: base and head, interleaved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PairedPolicy {
    /// What a regression does.
    pub effect: Effect,
    /// Relative change that is put up with.
    pub tolerance: f64,
    /// The chance that even one confirmed suspect is none.
    pub significance: f64,
    /// Pairs of processes for every benchmark.
    pub screen_pairs: usize,
    /// Fresh pairs for every suspect.
    pub confirm_pairs: usize,
    /// CPU time that a process measures, in milliseconds.
    pub block_ms: f64,
    /// Share of the time that threads may have waited for a core where wall-clock metrics are judged.
    pub run_delay: f64,
}

/// Tier 3: thresholds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetsPolicy {
    /// What a missed target does.
    pub effect: Effect,
    /// What runs.
    pub scenarios: Vec<String>,
    /// Which protocols.
    pub protocols: Vec<String>,
}

/// What holds for some metrics. Names may hold `*` for anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// In which tier; all when it is left out.
    #[serde(default)]
    pub tier: Option<Tier>,
    /// Of which scenario.
    #[serde(default = "anything")]
    pub scenario: String,
    /// Of which protocol.
    #[serde(default = "anything")]
    pub protocol: String,
    /// Which metric.
    #[serde(default = "anything")]
    pub metric: String,
    /// What a change does.
    #[serde(default)]
    pub effect: Option<Effect>,
    /// Relative change that is put up with.
    #[serde(default)]
    pub tolerance: Option<f64>,
    /// Who answers for it.
    #[serde(default)]
    pub owner: Option<String>,
    /// The target: not above this. Tier `targets` only.
    #[serde(default)]
    pub at_most: Option<f64>,
    /// The target: not below this. Tier `targets` only.
    #[serde(default)]
    pub at_least: Option<f64>,
}

/// What a policy says about one metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ruling {
    /// What a change does.
    pub effect: Effect,
    /// Relative change that is put up with.
    pub tolerance: f64,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Not above this.
    pub at_most: Option<f64>,
    /// Not below this.
    pub at_least: Option<f64>,
}

/// Why a policy is not usable. One line that names the file, the key and the mend.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// There is no such file, or it can't be read.
    #[error("policy {}: {source}", path.display())]
    Unreadable {
        /// File.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The text is no policy.
    #[error("policy {}: {reason}", path.display())]
    NotUnderstood {
        /// File.
        path: PathBuf,
        /// What and where, on one line.
        reason: String,
    },
    /// A value is outside its range.
    #[error("policy {}: {key} = {value} is outside {allowed}", path.display())]
    OutOfRange {
        /// File.
        path: PathBuf,
        /// Key.
        key: String,
        /// Its value.
        value: f64,
        /// What it may be.
        allowed: &'static str,
    },
    /// A rule says nothing, or what its tier can't do.
    #[error("policy {}: rule {number}: {reason}", path.display())]
    Rule {
        /// File.
        path: PathBuf,
        /// Which, from 1.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
}

fn anything() -> String {
    "*".into()
}

impl Policy {
    /// The policy that ships with the harness.
    pub fn shipped() -> Result<Policy, PolicyError> {
        Policy::parse(Path::new("policy.toml"), "")
    }

    /// Reads a policy from a file.
    pub fn read(path: &Path) -> Result<Policy, PolicyError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| PolicyError::Unreadable { path: path.into(), source })?;
        Policy::parse(path, &text)
    }

    /// Understands the text of a policy, over the shipped one.
    pub fn parse(path: &Path, text: &str) -> Result<Policy, PolicyError> {
        let not_understood = |reason| PolicyError::NotUnderstood { path: path.into(), reason };
        let table = |text: &str| text.parse().map_err(|error| not_understood(one_line(&error, text)));
        let own: Table = table(text)?;
        let mut whole: Table = table(SHIPPED)?;
        let shipped = whole.clone();
        for (key, value) in own {
            match (whole.get_mut(&key), value) {
                (Some(Value::Table(section)), Value::Table(changed)) => section.extend(changed),
                (_, value) => {
                    whole.insert(key, value);
                }
            }
        }
        let read = |table: Table| -> Result<Policy, PolicyError> {
            table.try_into().map_err(|error: toml::de::Error| {
                // Without a place in the text, which is not whole; it names the key instead.
                not_understood(printable(&error.to_string()).split_whitespace().collect::<Vec<_>>().join(" "))
            })
        };
        let policy = read(whole)?;
        let policy = Policy { own_rules: policy.rules != read(shipped)?.rules, ..policy };
        policy.check(path)?;
        Ok(policy)
    }

    fn check(&self, path: &Path) -> Result<(), PolicyError> {
        let within = |key: &str, value: f64, allowed: RangeInclusive<f64>, text: &'static str| {
            if allowed.contains(&value) {
                return Ok(());
            }
            Err(PolicyError::OutOfRange { path: path.into(), key: key.into(), value, allowed: text })
        };
        let Policy { exact, instructions, paired, .. } = self;
        within("exact.tolerance", exact.tolerance, 0.0..=1.0, "0 to 1")?;
        within("instructions.tolerance", instructions.tolerance, 0.0..=1.0, "0 to 1")?;
        within("paired.tolerance", paired.tolerance, 0.001..=1.0, "0.001 to 1")?;
        within("paired.significance", paired.significance, 1e-6..=0.1, "0.000001 to 0.1")?;
        within("paired.screen_pairs", paired.screen_pairs as f64, 5.0..=1_000.0, "5 to 1000")?;
        within("paired.confirm_pairs", paired.confirm_pairs as f64, 10.0..=1_000.0, "10 to 1000")?;
        within("paired.block_ms", paired.block_ms, 1.0..=60_000.0, "1 to 60000")?;
        within("paired.run_delay", paired.run_delay, 0.0..=1.0, "0 to 1")?;
        for (index, rule) in self.rules.iter().enumerate() {
            rule.check().map_err(|reason| PolicyError::Rule {
                path: path.into(),
                number: index + 1,
                reason,
            })?;
        }
        Ok(())
    }

    /// What the policy says about a metric of a row in a tier.
    pub fn ruling(&self, tier: Tier, row: &str, metric: &str) -> Ruling {
        let tolerance = match tier {
            Tier::Safety | Tier::Targets => 0.0,
            Tier::Exact => self.exact.tolerance,
            Tier::Instructions => self.instructions.tolerance,
            Tier::Paired => self.paired.tolerance,
        };
        let mut ruling = Ruling { effect: self.section_effect(tier), tolerance, ..Ruling::default() };
        for rule in self.rules.iter().filter(|rule| rule.fits(tier, row, metric)) {
            ruling.effect = rule.effect.unwrap_or(ruling.effect);
            ruling.tolerance = rule.tolerance.unwrap_or(ruling.tolerance);
            ruling.at_most = rule.at_most.or(ruling.at_most);
            ruling.at_least = rule.at_least.or(ruling.at_least);
            ruling.owner = rule.owner.clone().or(ruling.owner);
        }
        ruling
    }

    /// Refuses rules for metrics that there are not: a rule with a slip in its name would never say anything.
    /// `known` are the rows and metrics of a tier.
    pub fn check_names<'a>(
        &self,
        path: &Path,
        tier: Tier,
        known: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Result<(), PolicyError> {
        for (number, rule) in self.numbered().filter(|(_, rule)| rule.tier == Some(tier)) {
            if known.clone().any(|(row, metric)| rule.fits(tier, row, metric)) {
                continue;
            }
            let Rule { scenario, protocol, metric, .. } = rule;
            let reason = format!("nothing in tier {tier} is called `{metric}` of {scenario}/{protocol}");
            return Err(PolicyError::Rule { path: path.into(), number, reason });
        }
        Ok(())
    }

    /// Refuses rules for protocols that there are not.
    pub fn check_protocols(&self, path: &Path, names: &[&str]) -> Result<(), PolicyError> {
        for (number, rule) in self.numbered() {
            if !names.iter().any(|name| is_like(&rule.protocol, name)) {
                let reason =
                    format!("no protocol is called `{}`; there are: {}", rule.protocol, names.join(", "));
                return Err(PolicyError::Rule { path: path.into(), number, reason });
            }
        }
        Ok(())
    }

    /// The numbers of those rules for all tiers that fit nothing of what is known.
    pub fn rules_without_effect(&self, known: &[(Tier, &str, &str)]) -> Vec<usize> {
        let fits = |rule: &Rule| known.iter().any(|(tier, row, metric)| rule.fits(*tier, row, metric));
        let without = self.numbered().filter(|(_, rule)| rule.tier.is_none() && !fits(rule));
        without.map(|(number, _)| number).collect()
    }

    /// The file's own rules, counted from 1.
    fn numbered(&self) -> impl Iterator<Item = (usize, &Rule)> {
        self.rules.iter().enumerate().filter(|_| self.own_rules).map(|(index, rule)| (index + 1, rule))
    }

    /// Whether a tier is to run at all: its section says so, or a rule for some of it.
    pub fn runs(&self, tier: Tier) -> bool {
        let for_tier = |rule: &&Rule| rule.tier.is_none_or(|own| own == tier);
        let of_rules = self.rules.iter().filter(for_tier).filter_map(|rule| rule.effect);
        self.section_effect(tier) != Effect::Ignore
            || of_rules.into_iter().any(|effect| effect != Effect::Ignore)
    }

    fn section_effect(&self, tier: Tier) -> Effect {
        match tier {
            Tier::Safety => self.safety.effect,
            Tier::Exact => self.exact.effect,
            Tier::Instructions => self.instructions.effect,
            Tier::Paired => self.paired.effect,
            Tier::Targets => self.targets.effect,
        }
    }
}

impl Ruling {
    /// Whether there is a threshold.
    pub fn is_target(&self) -> bool {
        self.at_most.is_some() || self.at_least.is_some()
    }
}

impl Rule {
    fn check(&self) -> Result<(), String> {
        let is_target = self.at_most.is_some() || self.at_least.is_some();
        if is_target && self.tier != Some(Tier::Targets) {
            return Err("`at_most` and `at_least` go with tier = \"targets\"".into());
        }
        if [self.at_most, self.at_least].into_iter().flatten().any(|target| !target.is_finite()) {
            return Err("`at_most` and `at_least` are finite numbers".into());
        }
        if !is_target && self.effect.is_none() && self.tolerance.is_none() && self.owner.is_none() {
            return Err("it says nothing: give it an effect, a tolerance, an owner or a target".into());
        }
        if self.tolerance.is_some_and(|tolerance| !(0.0..=10.0).contains(&tolerance)) {
            return Err("`tolerance` is a share of the value, from 0 to 10".into());
        }
        if self.tier.is_none() && self.metric == "*" && self.scenario == "*" && self.protocol == "*" {
            return Err("it would hold for everything: name a tier, scenario, protocol or metric".into());
        }
        Ok(())
    }

    /// Rows are `scenario/protocol`, with more after another slash where seeds are told apart.
    fn fits(&self, tier: Tier, row: &str, metric: &str) -> bool {
        let mut parts = row.split('/');
        let (scenario, protocol) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        self.tier.is_none_or(|own| own == tier)
            && is_like(&self.scenario, scenario)
            && is_like(&self.protocol, protocol)
            && is_like(&self.metric, metric)
    }
}

/// Whether a name is like a pattern, in which `*` stands for anything.
fn is_like(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let Some((between, last)) = rest.rsplit_once('*') else { return left.ends_with(rest) };
    for part in between.split('*') {
        let Some(found) = left.find(part) else { return false };
        left = &left[found + part.len()..];
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Policy, String> {
        Policy::parse(Path::new("ci/policy.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_left_out_is_as_shipped() {
        let shipped = Policy::shipped().unwrap();
        let own = parse("[paired]\ntolerance = 0.1\n").unwrap();
        assert_eq!(own.paired.tolerance, 0.1);
        assert_eq!(own.paired.confirm_pairs, shipped.paired.confirm_pairs);
        assert_eq!((own.exact, own.rules), (shipped.exact, shipped.rules));
    }

    #[test]
    fn the_last_rule_that_fits_and_says_something_decides() {
        let policy = parse(
            r#"
            [[rule]]
            metric = "*_latency_*"
            owner = "net"
            tolerance = 0.5
            [[rule]]
            tier = "exact"
            protocol = "pbft*"
            metric = "*_latency_ns_p99"
            effect = "warn"
            tolerance = 0.1
            "#,
        )
        .unwrap();
        let of = |tier, row| policy.ruling(tier, row, "lan_client_latency_ns_p99");
        let both = of(Tier::Exact, "wan/pbft-signed/seed=2");
        assert_eq!((both.effect, both.tolerance, both.owner.as_deref()), (Effect::Warn, 0.1, Some("net")));
        let first = of(Tier::Exact, "wan/raft-rs");
        assert_eq!((first.effect, first.tolerance), (Effect::Block, 0.5));
        assert_eq!(of(Tier::Paired, "wan/pbft").tolerance, 0.5);
    }

    #[test]
    fn a_mistake_is_told_on_one_line_with_its_place() {
        insta::assert_snapshot!(
            [
                "[paired]\ntolerance = -1",
                "[paired]\ntolerence = 0.1",
                "[exact]\neffect = \"blok\"",
                "[paired\n",
                "[[rule]]\nmetric = \"x\"",
                "[[rule]]\nmetric = \"x\"\nat_most = 3",
                "[[rule]]\ntier = \"targets\"\nat_most = nan",
                "[[rule]]\neffect = \"warn\"",
                "[[rule]]\nmetrik = \"x\"",
                "rule = 3",
                "safety = 3",
            ]
            .map(|text| parse(text).unwrap_err())
            .join("\n")
        );
    }

    #[test]
    fn a_rule_for_a_metric_that_there_is_not_is_refused() {
        let policy = parse("[[rule]]\ntier = \"exact\"\nmetric = \"mesages*\"\neffect = \"warn\"").unwrap();
        let known = [("cost/raft-rs", "messages_per_commit"), ("cost/raft-rs", "bytes_per_commit")];
        let path = Path::new("ci/policy.toml");
        let error = policy.check_names(path, Tier::Exact, known.iter().copied()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "policy ci/policy.toml: rule 1: nothing in tier exact is called `mesages*` of */*"
        );
        policy.check_names(path, Tier::Paired, known.iter().copied()).unwrap();
    }

    #[test]
    fn a_rule_for_a_protocol_that_there_is_not_is_refused_in_every_tier() {
        let policy = parse("[[rule]]\nmetric = \"*\"\nprotocol = \"pbftt*\"\neffect = \"warn\"").unwrap();
        let error = policy.check_protocols(Path::new("ci/policy.toml"), &["pbft", "raft-rs"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "policy ci/policy.toml: rule 1: no protocol is called `pbftt*`; there are: pbft, raft-rs"
        );
        policy.check_protocols(Path::new("ci/policy.toml"), &["pbftt-signed"]).unwrap();
    }

    #[test]
    fn rules_that_ship_may_name_what_another_workspace_does_not_run() {
        let inherited = parse("[targets]\nscenarios = [\"high_load\"]").unwrap();
        assert!(inherited.rules.iter().any(|rule| rule.scenario == "resources"));
        let known = [("high_load/mine", "response_ns_p99")];
        inherited.check_names(Path::new("p"), Tier::Targets, known.into_iter()).unwrap();
        inherited.check_protocols(Path::new("p"), &["mine"]).unwrap();
    }

    #[test]
    fn a_slip_in_a_rule_for_all_tiers_fits_nothing() {
        let policy = parse(
            "[[rule]]\nmetric = \"mesages*\"\neffect = \"warn\"\n[[rule]]\nmetric = \"messages*\"\neffect = \"warn\"",
        )
        .unwrap();
        assert_eq!(policy.rules_without_effect(&[(Tier::Exact, "cost/a", "messages_per_commit")]), [1]);
    }

    #[test]
    fn a_tier_that_is_ignored_but_for_some_of_it_runs() {
        let ignored = "[exact]\neffect = \"ignore\"\n";
        assert!(!parse(ignored).unwrap().runs(Tier::Exact));
        let some = "[[rule]]\ntier = \"exact\"\nmetric = \"*_messages_per_commit\"\neffect = \"block\"";
        let policy = parse(&format!("{ignored}{some}")).unwrap();
        assert!(policy.runs(Tier::Exact));
        assert_eq!(policy.ruling(Tier::Exact, "cost/a", "lan_bytes_per_commit").effect, Effect::Ignore);
        assert_eq!(policy.ruling(Tier::Exact, "cost/a", "lan_messages_per_commit").effect, Effect::Block);
    }

    proptest! {
        #[test]
        fn patterns_are_those_of_a_regular_expression(pattern in "[ab*]{0,6}", name in "[ab]{0,8}") {
            let text = format!("^{}$", pattern.replace('*', ".*"));
            prop_assert_eq!(is_like(&pattern, &name), regex::Regex::new(&text).unwrap().is_match(&name));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            let _ = parse(&text);
        }
    }
}
