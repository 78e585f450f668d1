//! The load generator as the limit: then nothing is known of the protocol.

use crate::advice::facts::Facts;
use crate::advice::finding::Finding;
use crate::measure::ACHIEVED_AT_LEAST;
use crate::results::{Change, Confidence, Resource, Severity};

/// Its name, which decides that no other rule is heard.
pub const GENERATOR_LIMITED: &str = "generator-limited";

pub(super) fn generator_limited(facts: &Facts) -> Option<Finding> {
    let achieved = facts.achieved_over_offered.filter(|&achieved| achieved < ACHIEVED_AT_LEAST)?;
    let reason = format!(
        "the generator sent {:.1} % of the offered load: it, not the system, was the limit",
        achieved * 100.0
    );
    let action = "offer less than the generator can send, or give it a core of its own; until then these numbers \
                  say nothing about the protocol";
    Some(
        Finding::new(GENERATOR_LIMITED, Resource::Generator, Severity::High, reason)
            .impact(1.0)
            .confidence(Confidence::High)
            .seen(facts, "achieved_over_offered", achieved, Some(ACHIEVED_AT_LEAST), "1")
            .change(Change::Surroundings { action: action.into() }),
    )
}
