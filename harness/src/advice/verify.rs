//! Trying a recommendation: what is set now and what is recommended, side by side.

use crate::results::{Change, Recommendation, ScenarioResult, Status};
use crate::run::{Limits, Pair};
use crate::suite::Suite;
use crate::trial::{Goal, Plan, SettingValues, SideBySide, Trial, TrialError, Verdict, side_by_side};

/// The goal by which a rule's change shows; none for a change that no trial of a load can show, as one of what
/// happens after a crash.
pub fn goal_of(rule: &str) -> Option<Goal> {
    match rule {
        "batch-too-small" | "group-commit-off" | "election-too-twitchy" => Some(Goal::MaxThroughput),
        "linger-too-long" | "window-too-small" => Some(Goal::MinP99),
        "heartbeat-storm" | "message-amplification" => Some(Goal::MinCost),
        _ => None,
    }
}

/// Tries a recommendation on a pair as it was measured, and says what came of it; none where it can't be tried: it
/// is not a setting, or nothing that a trial measures would show it.
pub fn verify(
    recommendation: &Recommendation,
    pair: Pair,
    plan: &Plan,
) -> Result<Option<Status>, TrialError> {
    let (Change::Setting { name, to, .. }, Some(goal)) =
        (&recommendation.change, goal_of(&recommendation.rule))
    else {
        return Ok(None);
    };
    let mut changed: SettingValues = recommendation.with.clone();
    changed.insert(name.clone(), *to);
    let found = side_by_side(&Trial::of(pair, goal), &SettingValues::new(), &changed, plan)?;
    Ok(Some(status_of(found)))
}

fn status_of(found: SideBySide) -> Status {
    match (found.verdict, found.effect) {
        (Verdict::Refused { reason }, _) => Status::Refused { reason },
        (Verdict::Better, Some(effect)) => Status::Verified { effect },
        (Verdict::Better, None) => Status::Rescued { rounds: found.rounds },
        (Verdict::Worse, Some(effect)) => Status::Refuted { effect },
        (Verdict::Undecided, Some(effect)) => Status::Inconclusive { effect },
        (_, None) => {
            let reason = format!("{} rounds are too few for an interval", found.rounds);
            Status::Refused { reason }
        }
    }
}

/// The pair that a result was measured with; none when the suite has no such protocol.
pub fn pair_of(result: &ScenarioResult, suite: &Suite, limits: Limits) -> Option<Pair> {
    let registration = suite.get(&result.protocol).ok()?;
    let settings = result.settings.clone();
    Some(Pair { settings, ..registration.pair(&result.scenario, limits) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Effect;

    fn found(verdict: Verdict, effect: Option<Effect>) -> SideBySide {
        SideBySide {
            verdict,
            effect,
            effects: Vec::new(),
            p: 0.03,
            rounds: 6,
            failed: [0, 0],
            disturbed: Default::default(),
            base: Vec::new(),
            changed: Vec::new(),
        }
    }

    #[test]
    fn what_came_of_a_trial_is_the_status() {
        let effect = Effect {
            metric: "throughput_per_s".into(),
            ratio: 2.0,
            lower: 1.9,
            upper: 2.1,
            basis: "6 pairs".into(),
        };
        let some = || Some(effect.clone());
        let of = |verdict, effect| status_of(found(verdict, effect));
        assert_eq!(of(Verdict::Better, some()), Status::Verified { effect: effect.clone() });
        assert_eq!(of(Verdict::Worse, some()), Status::Refuted { effect: effect.clone() });
        assert_eq!(of(Verdict::Undecided, some()), Status::Inconclusive { effect: effect.clone() });
        assert_eq!(of(Verdict::Better, None), Status::Rescued { rounds: 6 });
        assert!(matches!(of(Verdict::Undecided, None), Status::Refused { .. }));
        let reason = "it does not run".to_string();
        assert_eq!(of(Verdict::Refused { reason: reason.clone() }, some()), Status::Refused { reason });
    }
}
