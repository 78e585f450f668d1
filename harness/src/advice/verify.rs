//! Trying a recommendation: what is set now and what is recommended, side by side.

use crate::results::{Cell, CellLoad, Change, Recommendation, ScenarioResult, Status};
use crate::run::{Limits, Pair};
use crate::scenario::{ExactPlan, Measure};
use crate::suite::Suite;
use crate::trial::{Goal, Plan, SettingValues, SideBySide, Trial, TrialError, Verdict, side_by_side};

/// The goal by which a rule's change shows under the load that it is about; none for a change that no trial of a load
/// can show, as one of what happens after a crash.
pub fn goal_of(rule: &str, cell: Option<&Cell>) -> Option<Goal> {
    match rule {
        // An open loop gets as many commits as it asks for, and gets them sooner.
        "batch-too-small" | "group-commit-off" | "election-too-twitchy"
            if cell.is_some_and(Cell::is_open_loop) =>
        {
            Some(Goal::MinP99)
        }
        "batch-too-small" | "group-commit-off" | "election-too-twitchy" => Some(Goal::MaxThroughput),
        "linger-too-long" | "window-too-small" => Some(Goal::MinP99),
        "heartbeat-storm" | "message-amplification" => Some(Goal::MinCost),
        _ => None,
    }
}

/// Tries a recommendation on a pair as it was measured, and says what came of it; none where it can't be tried: it
/// is not a setting, nothing that a trial measures would show it, or no trial of this scenario can.
pub fn verify(
    recommendation: &Recommendation,
    pair: Pair,
    plan: &Plan,
) -> Result<Option<Status>, TrialError> {
    let (Change::Setting { name, to, .. }, Some(goal)) =
        (&recommendation.change, goal_of(&recommendation.rule, recommendation.cell.as_ref()))
    else {
        return Ok(None);
    };
    let mut changed: SettingValues = recommendation.with.clone();
    changed.insert(name.clone(), *to);
    match side_by_side(&Trial::of(pair, goal), &SettingValues::new(), &changed, plan) {
        Ok(found) => Ok(Some(status_of(found))),
        Err(TrialError::Unsuitable(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn status_of(found: SideBySide) -> Status {
    let disturbed = found.disturbed;
    match (found.verdict, found.effect) {
        (Verdict::Refused { reason }, _) => Status::Refused { reason },
        (Verdict::Better, Some(effect)) => Status::Verified { effect, disturbed },
        (Verdict::Better, None) => Status::Rescued { rounds: found.rounds, disturbed },
        (Verdict::Worse, Some(effect)) => Status::Refuted { effect, disturbed },
        (Verdict::Undecided, Some(effect)) => Status::Inconclusive { effect, disturbed },
        (_, None) => {
            let reason = format!("{} rounds are too few for an interval", found.rounds);
            Status::Refused { reason }
        }
    }
}

/// The pair that a result was measured with, its plan cut down to the combination that advice is about: a trial of
/// another would say nothing of it. None when the suite has no such protocol.
pub fn pair_of(result: &ScenarioResult, cell: Option<&Cell>, suite: &Suite, limits: Limits) -> Option<Pair> {
    let registration = suite.get(&result.protocol).ok()?;
    let settings = result.settings.clone();
    let mut pair = Pair { settings, ..registration.pair(&result.scenario, limits) };
    if let (Measure::Exact(plan), Some(cell)) = (&mut pair.scenario.measure, cell) {
        cut(plan, cell);
    }
    Some(pair)
}

/// Leaves one combination of a plan.
fn cut(plan: &mut ExactPlan, cell: &Cell) {
    plan.topologies = vec![cell.topology.clone()];
    plan.replicas = vec![cell.replicas];
    match cell.load {
        CellLoad::Clients(clients) => (plan.clients, plan.rates_per_s) = (vec![clients], Vec::new()),
        CellLoad::RatePerS(rate) => plan.rates_per_s = vec![rate],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::results::Effect;

    fn disturbed() -> BTreeMap<String, usize> {
        [("threads waited".to_string(), 12)].into()
    }

    fn found(verdict: Verdict, effect: Option<Effect>) -> SideBySide {
        SideBySide {
            verdict,
            effect,
            effects: Vec::new(),
            p: 0.03,
            rounds: 6,
            failed: [0, 0],
            disturbed: disturbed(),
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
        let (effect, disturbed) = (effect.clone(), disturbed());
        assert_eq!(
            [of(Verdict::Better, some()), of(Verdict::Worse, some()), of(Verdict::Undecided, some())],
            [
                Status::Verified { effect: effect.clone(), disturbed: disturbed.clone() },
                Status::Refuted { effect: effect.clone(), disturbed: disturbed.clone() },
                Status::Inconclusive { effect: effect.clone(), disturbed: disturbed.clone() },
            ]
        );
        assert_eq!(of(Verdict::Better, None), Status::Rescued { rounds: 6, disturbed });
        assert!(matches!(of(Verdict::Undecided, None), Status::Refused { .. }));
        let reason = "it does not run".to_string();
        assert_eq!(of(Verdict::Refused { reason: reason.clone() }, some()), Status::Refused { reason });
    }

    #[test]
    fn a_trial_is_of_the_combination_that_the_advice_is_about() {
        let whole = ExactPlan {
            topologies: vec!["lan".into(), "planet13".into()],
            replicas: vec![5, 13],
            clients: vec![1, 64],
            rates_per_s: vec![100.0, 200.0],
            ..ExactPlan::default()
        };
        let one = |load| {
            let cell = Cell { topology: "planet13".into(), replicas: 13, load };
            let mut plan = whole.clone();
            cut(&mut plan, &cell);
            assert_eq!((plan.topologies, plan.replicas), (vec!["planet13".to_string()], vec![13]));
            (plan.clients, plan.rates_per_s, goal_of("group-commit-off", Some(&cell)))
        };
        assert_eq!(one(CellLoad::Clients(1)), (vec![1], vec![], Some(Goal::MaxThroughput)));
        assert_eq!(one(CellLoad::RatePerS(200.0)), (vec![1, 64], vec![200.0], Some(Goal::MinP99)));
        assert_eq!(goal_of("group-commit-off", None), Some(Goal::MaxThroughput));
    }
}
