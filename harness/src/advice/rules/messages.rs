//! More messages than a commit needs.

use protocol_core::{Order, Role};

use crate::advice::facts::Facts;
use crate::advice::finding::{Finding, by_arithmetic};
use crate::results::{Change, Confidence, Resource, Severity};

/// Times the floor. Healthy protocols have 1 to 2: some tell followers of a commit by messages of their own.
const OVER_FLOOR: f64 = 3.0;
/// Submissions sent again, per commit, that explain it.
const RESENT: f64 = 0.05;

pub(super) fn amplification(facts: &Facts) -> Option<Finding> {
    let over = facts.messages_over_floor.filter(|&over| over.is_finite() && over >= OVER_FLOOR)?;
    // A set has no proposals to share, and its repairs are what keeps it whole.
    if facts.order == Some(Order::Set) {
        return None;
    }
    let reason = format!("a commit takes {over:.1} times the messages of the protocol's floor");
    let found = Finding::new("message-amplification", Resource::Network, Severity::Medium, reason)
        .impact(1.0 - 2.0 / over)
        .confidence(Confidence::Low)
        .seen(facts, "messages_per_commit_over_floor", over, Some(OVER_FLOOR), "1");
    let commits = facts.commits_per_s.zip(facts.measured_s).map(|(rate, seconds)| rate * seconds);
    let resent = facts.conduct.as_ref().zip(commits).map(|(conduct, all)| conduct.resubmissions as f64 / all);
    if let Some(resent) = resent.filter(|&resent| resent > RESENT) {
        let action =
            "find out why clients send commands again: a time-out below the response, a leader that changes";
        return Some(
            found
                .seen(facts, "resubmissions_per_commit", resent, Some(RESENT), "1")
                .confidence(Confidence::Medium)
                .change(Change::Surroundings { action: action.into() }),
        );
    }
    let basis = "from the measured count down to one or two floors";
    let expected = by_arithmetic("messages_per_commit", (1.0 / over, 2.0 / over), basis);
    if let Some(knob) = facts.knobs_of(Role::Fanout).find(|knob| knob.value > knob.default) {
        return Some(
            found
                .confidence(Confidence::Medium)
                .set(&knob.name, knob.value)
                .change(knob.change_to(knob.default))
                .expected(expected),
        );
    }
    let action = "send one message to a peer where several follow each other: merge appends, and let news of commits \
                  ride on the next one";
    Some(
        found
            .change(Change::Code { place: facts.implementation.clone(), action: action.into() })
            .expected(expected),
    )
}
