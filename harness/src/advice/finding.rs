//! What a rule found.

use std::collections::BTreeMap;

use super::facts::Facts;
use crate::results::{Bottleneck, Cell, Change, Confidence, Effect, Evidence, Resource, Severity};

/// What a rule found in one set of facts.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The rule, which has a page of explanation.
    pub rule: &'static str,
    /// The combination that it was found in; see [`Facts::cell`].
    pub cell: Option<Cell>,
    /// Of what there was not enough.
    pub resource: Resource,
    /// How much it matters.
    pub severity: Severity,
    /// Which share of the throughput, the response or the cost that it is about it takes, 0 to 1: what mending it
    /// could bring at most.
    pub impact: f64,
    /// How sure the rule is of the cause.
    pub confidence: Confidence,
    /// What was seen and what it means, in a sentence.
    pub reason: String,
    /// Numbers that the reason rests on, the one that was held against a threshold first.
    pub evidence: Vec<Evidence>,
    /// What to do; none for a symptom, whose cause another rule has to find.
    pub change: Option<Change>,
    /// Other settings that have to change with it.
    pub with: BTreeMap<String, f64>,
    /// What it should bring, where simple arithmetic says so.
    pub expected: Option<Effect>,
}

impl Finding {
    /// A symptom: more is added by the rules that know more.
    pub fn new(rule: &'static str, resource: Resource, severity: Severity, reason: String) -> Self {
        Finding {
            rule,
            cell: None,
            resource,
            severity,
            impact: 0.0,
            confidence: Confidence::Medium,
            reason,
            evidence: Vec::new(),
            change: None,
            with: BTreeMap::new(),
            expected: None,
        }
    }

    /// With what it takes, as a share.
    pub fn impact(self, share: f64) -> Self {
        Finding { impact: if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }, ..self }
    }

    /// With how sure the rule is.
    pub fn confidence(self, confidence: Confidence) -> Self {
        Finding { confidence, ..self }
    }

    /// With what to do.
    pub fn change(self, change: Change) -> Self {
        Finding { change: Some(change), ..self }
    }

    /// With what it should bring.
    pub fn expected(self, expected: Option<Effect>) -> Self {
        Finding { expected, ..self }
    }

    /// With a number from these facts; `threshold` is what it was held against.
    pub fn seen(mut self, facts: &Facts, what: &str, value: f64, threshold: Option<f64>, unit: &str) -> Self {
        let source = facts.source.clone();
        self.evidence.push(Evidence { what: what.into(), value, threshold, unit: unit.into(), source });
        self
    }

    /// With functions of a profile as evidence.
    pub fn functions(mut self, functions: &[Evidence]) -> Self {
        self.evidence.extend_from_slice(functions);
        self
    }

    /// With a setting as evidence.
    pub fn set(mut self, name: &str, value: f64) -> Self {
        let (unit, source) = (name.rsplit('_').next().unwrap_or_default().into(), "settings".into());
        self.evidence.push(Evidence { what: name.into(), value, threshold: None, unit, source });
        self
    }

    /// As results keep it.
    pub fn bottleneck(&self) -> Bottleneck {
        let first = self.evidence.first();
        Bottleneck {
            resource: self.resource,
            severity: self.severity,
            value: first.map_or(f64::NAN, |seen| seen.value),
            threshold: first.and_then(|seen| seen.threshold).unwrap_or_default(),
            unit: first.map_or_else(String::new, |seen| seen.unit.clone()),
            evidence: self.reason.clone(),
            rule: self.rule.into(),
            impact: Some(self.impact),
        }
    }
}

/// An effect by arithmetic on what was measured.
pub fn by_arithmetic(metric: &str, (lower, upper): (f64, f64), basis: &str) -> Option<Effect> {
    let (lower, upper) = (lower.min(upper), lower.max(upper));
    // The middle of a ratio is that of its logarithm.
    let ratio = (lower * upper).sqrt();
    let is_one = [lower, upper, ratio].iter().all(|number| number.is_finite() && *number > 0.0);
    is_one.then(|| Effect { metric: metric.into(), ratio, lower, upper, basis: basis.into() })
}

/// A time as people read it.
pub fn time(ns: f64) -> String {
    match ns {
        ns if ns >= 1e9 => format!("{:.2} s", ns / 1e9),
        ns if ns >= 1e6 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.1} µs", ns / 1e3),
    }
}
