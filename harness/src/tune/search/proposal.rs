//! What the search ends with: the best few points, each without the changes that make no difference.

use super::{PENALTY, Search};
use crate::results::Better;
use crate::trial::SettingValues;
use crate::tune::space::Point;
use crate::tune::{Tried, TuneError};

/// A finalist has to promise this much, as a share.
const WORTH_A_PROOF: f64 = 0.01;
const MOST_FINALISTS: usize = 3;

/// Settings that the search proposes.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Changes to what is set now.
    pub settings: SettingValues,
    /// The goal's metric as a multiple of what it is now, by the clock of the search; none when only one of the
    /// two meets the target.
    pub expected: Option<f64>,
}

impl Search<'_> {
    /// The best few that promise something, each without what does not matter.
    pub(super) fn finalists(&mut self, tried: &mut dyn FnMut(&Tried)) -> Result<Vec<Proposal>, TuneError> {
        let base = self.losses[&self.space.base()];
        let mut ranked: Vec<(f64, Point)> =
            self.losses.iter().map(|(point, &loss)| (loss, point.clone())).collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut finalists: Vec<Point> = Vec::new();
        for (loss, point) in ranked {
            if loss > base - WORTH_A_PROOF || finalists.len() == MOST_FINALISTS {
                break;
            }
            let needed = self.needed(point.clone(), loss, tried)?;
            if finalists.is_empty() {
                let differs = |place: &usize| point[*place] != needed[*place];
                let names = self.space.dimensions().iter().map(|one| one.tunable.name.to_string());
                let names: Vec<String> = names.collect();
                self.found.dropped =
                    (0..point.len()).filter(differs).map(|place| names[place].clone()).collect();
            }
            if needed != self.space.base() && !finalists.contains(&needed) {
                finalists.push(needed);
            }
        }
        Ok(finalists.iter().map(|point| self.proposal(point)).collect())
    }

    fn proposal(&self, point: &Point) -> Proposal {
        let (base, loss) = (self.losses[&self.space.base()], self.losses[point]);
        let gain = if self.own.goal.better() == Better::Higher { base - loss } else { loss - base };
        let expected = (gain.abs() < PENALTY / 2.0).then(|| gain.exp());
        Proposal { settings: self.space.settings(point), expected }
    }

    /// The point without the changes that make no difference, the least first.
    fn needed(
        &mut self,
        mut point: Point,
        mut loss: f64,
        tried: &mut dyn FnMut(&Tried),
    ) -> Result<Point, TuneError> {
        let base = self.space.base();
        // Against the best, and not step by step, or a little each time adds up.
        let bound = loss + self.matters();
        loop {
            let mut least: Option<(f64, Point)> = None;
            for place in (0..point.len()).filter(|&place| point[place] != base[place]) {
                let mut without = point.clone();
                without[place] = base[place];
                let known = self.losses.contains_key(&without);
                if !known && !self.has_budget(0) {
                    continue;
                }
                let loss = self.evaluate(&without, tried)?;
                if loss <= bound && least.as_ref().is_none_or(|(best, _)| loss < *best) {
                    least = Some((loss, without));
                }
            }
            match least {
                Some((without_loss, without)) => (loss, point) = (without_loss, without),
                None => break,
            }
        }
        debug_assert!(loss <= bound);
        Ok(point)
    }
}
