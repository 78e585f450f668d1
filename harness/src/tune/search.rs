//! The search: a base, then each tunable moved by itself, then by turns what the sampler proposes and moves from
//! the best point so far.
//!
//! The sampler is a tree-structured Parzen estimator (Bergstra et al., *Algorithms for Hyper-Parameter
//! Optimization*, 2011); moves that help are repeated, as in pattern search (Hooke and Jeeves, 1961), which finds
//! the last few per cent of a slope that an estimator of densities is blind to.

mod proposal;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

use optimizer::parameter::{IntParam, ParamValue, Parameter};
use optimizer::pruner::MedianPruner;
use optimizer::sampler::TpeSampler;
use optimizer::{Direction, Study};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub use proposal::Proposal;

use super::space::{Point, Space};
use super::{Tried, TuneError, TuneOptions};
use crate::results::Better;
use crate::stats::median;
use crate::trial::{Sample, SettingValues, Trial};

/// What the search may still take up when it ends, for every tunable: blocks that show what does not matter.
const KEPT_PER_DIMENSION: usize = 1;
/// Settings that may matter less than this, as a share, don't: in virtual and in real time.
const NO_MATTER: (f64, f64) = (0.005, 0.03);
/// What missing the target costs, in units of the logarithm of the goal's metric: more than any metric differs.
pub(super) const PENALTY: f64 = 1e3;
/// The sampler's proposals that were tried before, until something else is tried.
const PATIENCE: usize = 12;

/// How much the search may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct SearchBudget {
    pub(super) blocks: usize,
    pub(super) until: Instant,
    /// Blocks of one trial.
    pub(super) per_trial: usize,
}

/// What the search found.
#[derive(Clone, Debug, Default)]
pub struct Searched {
    /// Trials that it knew already.
    pub known: usize,
    /// What was measured with what is set now.
    pub base: Option<Sample>,
    /// Trials that it made.
    pub trials: usize,
    /// Blocks of those.
    pub blocks: usize,
    /// Trials given up early.
    pub pruned: usize,
    /// Trials that did not serve.
    pub failed: usize,
    /// Tunables that the best settings changed without need.
    pub dropped: Vec<String>,
    /// The best few settings that promise something, the best first.
    pub finalists: Vec<Proposal>,
}

pub(super) struct Search<'a> {
    /// Where trials run.
    arena: &'a Trial,
    /// The trial that the search is for, whose constraints hold.
    own: &'a Trial,
    space: &'a Space,
    options: &'a TuneOptions,
    budget: SearchBudget,
    study: Study<f64>,
    parameters: Vec<IntParam>,
    /// Losses of what was tried; infinite where it failed.
    losses: BTreeMap<Point, f64>,
    /// Tunables that made a difference by themselves; all before that is known.
    matters_at: Vec<bool>,
    found: Searched,
    last_failure: Option<String>,
    random: ChaCha8Rng,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        arena: &'a Trial,
        own: &'a Trial,
        space: &'a Space,
        options: &'a TuneOptions,
        budget: SearchBudget,
    ) -> Result<Self, TuneError> {
        let dimensions = space.dimensions();
        // Until each was moved by itself there is nothing to estimate densities from.
        let sampler =
            TpeSampler::builder().seed(options.seed).n_startup_trials(1 + 2 * dimensions.len()).build()?;
        let pruner = MedianPruner::new(Direction::Minimize).n_min_trials(4);
        let study = Study::builder().minimize().sampler(sampler).pruner(pruner).build();
        let parameter = |levels: usize, name: &str| IntParam::new(0, levels as i64 - 1).name(name);
        let parameters = dimensions.iter().map(|one| parameter(one.levels.len(), one.tunable.name)).collect();
        Ok(Search {
            arena,
            own,
            space,
            options,
            budget,
            study,
            parameters,
            losses: BTreeMap::new(),
            matters_at: vec![false; space.dimensions().len()],
            found: Searched::default(),
            last_failure: None,
            random: ChaCha8Rng::seed_from_u64(options.seed),
        })
    }

    pub(super) fn run(
        mut self,
        known: &[(SettingValues, Sample)],
        tried: &mut dyn FnMut(&Tried),
    ) -> Result<Searched, TuneError> {
        self.learn(known)?;
        let base = self.space.base();
        if !self.evaluate(&base, tried)?.is_finite() {
            let why = self.last_failure.unwrap_or_else(|| "the goal's metric is not measured here".into());
            return Err(TuneError::NothingToCompareWith(why));
        }
        let kept = KEPT_PER_DIMENSION * self.space.dimensions().len() * self.budget.per_trial;
        let mut queue = self.screen(kept, tried)?;
        let mut turn = 0;
        while self.has_budget(kept) {
            let (before, from) = (self.best_loss(), self.best());
            turn += 1;
            let proposed = match queue.pop_front() {
                Some(point) => Some(point),
                None if turn % 2 == 0 => self.neighbour().or_else(|| self.anything()),
                None => self.proposed()?.or_else(|| self.neighbour()).or_else(|| self.anything()),
            };
            let Some(point) = proposed else { break };
            if self.losses.contains_key(&point) {
                continue;
            }
            let loss = self.evaluate(&point, tried)?;
            if loss < before - self.matters() {
                // What helped may help again.
                queue.extend(self.further(&from, &point));
            }
        }
        self.found.finalists = self.finalists(tried)?;
        Ok(self.found)
    }

    /// Moves each tunable by itself, and gives what to try next: all moves that helped together, and each of them
    /// again. A tunable whose moves changed nothing is left to the sampler from then on.
    fn screen(&mut self, kept: usize, tried: &mut dyn FnMut(&Tried)) -> Result<VecDeque<Point>, TuneError> {
        let base = self.space.base();
        let (base_loss, matters) = (self.losses[&base], self.matters());
        let (mut together, mut best) = (base.clone(), vec![base_loss - matters; base.len()]);
        let mut further = Vec::new();
        for (place, point) in self.moved_apart() {
            if !self.has_budget(kept) {
                break;
            }
            let loss = self.evaluate(&point, tried)?;
            self.matters_at[place] |= loss.is_finite() && (loss - base_loss).abs() > matters;
            if loss < best[place] {
                (best[place], together[place]) = (loss, point[place]);
                further.extend(self.further(&base, &point));
            }
        }
        if !self.matters_at.contains(&true) {
            self.matters_at.fill(true);
        }
        Ok(std::iter::once(together).chain(further).collect())
    }

    /// Differences of the loss up to this are none.
    fn matters(&self) -> f64 {
        if self.arena.is_virtual() { NO_MATTER.0 } else { NO_MATTER.1 }
    }

    /// Takes over what earlier tunings measured. What says nothing of the goal is tried again.
    fn learn(&mut self, known: &[(SettingValues, Sample)]) -> Result<(), TuneError> {
        for (settings, sample) in known {
            let Some(point) = self.space.point(settings) else { continue };
            let loss = self.loss(sample);
            if self.losses.contains_key(&point) || !loss.is_finite() {
                continue;
            }
            let trial = self.ask(&point)?;
            self.study.complete_trial(trial, loss);
            self.keep(point, loss, Some(sample));
            self.found.known += 1;
        }
        Ok(())
    }

    fn keep(&mut self, point: Point, loss: f64, sample: Option<&Sample>) {
        if point == self.space.base() {
            self.found.base = sample.cloned();
        }
        self.losses.insert(point, loss);
    }

    /// A trial of the study at a point of our own choice.
    fn ask(&self, point: &Point) -> Result<optimizer::Trial, TuneError> {
        let values = self.parameters.iter().zip(point);
        let values: HashMap<_, _> =
            values.map(|(one, &level)| (one.id(), ParamValue::Int(level as i64))).collect();
        self.study.enqueue(values);
        let mut trial = self.study.ask();
        for parameter in &self.parameters {
            parameter.suggest(&mut trial)?;
        }
        Ok(trial)
    }

    /// The loss at a point, tried now unless it was before.
    fn evaluate(&mut self, point: &Point, tried: &mut dyn FnMut(&Tried)) -> Result<f64, TuneError> {
        if let Some(&loss) = self.losses.get(point) {
            return Ok(loss);
        }
        let settings = self.space.settings(point);
        if self.own.check_settings(&settings).is_err() {
            // No run was needed to know.
            self.losses.insert(point.clone(), f64::INFINITY);
            return Ok(f64::INFINITY);
        }
        let mut trial = self.ask(point)?;
        let mut outcome = Tried {
            settings: settings.clone(),
            is_virtual: self.arena.is_virtual(),
            blocks: 0,
            sample: None,
            failure: None,
            pruned: false,
        };
        let mut samples: Vec<Sample> = Vec::new();
        for block in 0..self.budget.per_trial as u64 {
            outcome.blocks += 1;
            match self.arena.block(&settings, self.options.block, self.options.seed.wrapping_add(block)) {
                Ok(sample) => samples.push(sample),
                Err(error) if !error.is_the_settings_doing() => return Err(error.into()),
                Err(error) => {
                    outcome.failure = Some(error.to_string());
                    self.last_failure = outcome.failure.clone();
                    break;
                }
            }
            trial.report(block, self.median_loss(&samples));
            if block + 1 < self.budget.per_trial as u64 && trial.should_prune() {
                outcome.pruned = true;
                break;
            }
        }
        let loss = if outcome.failure.is_some() { f64::INFINITY } else { self.median_loss(&samples) };
        outcome.sample = self.middle(samples).filter(|_| outcome.failure.is_none());
        match (loss.is_finite(), outcome.pruned) {
            (true, true) => self.study.prune_trial(trial),
            (true, false) => self.study.complete_trial(trial, loss),
            (false, _) => self.study.fail_trial(trial, "it did not serve"),
        }
        self.found.trials += 1;
        self.found.blocks += outcome.blocks;
        self.found.pruned += usize::from(outcome.pruned);
        self.found.failed += usize::from(!loss.is_finite());
        tried(&outcome);
        self.keep(point.clone(), loss, outcome.sample.as_ref());
        Ok(loss)
    }

    /// The logarithm of the goal's metric, the better the less; far more when the target is missed.
    fn loss(&self, sample: &Sample) -> f64 {
        let goal = self.own.goal;
        let Some(value) = sample.metric(goal.metric()).filter(|&value| value > 0.0) else {
            return f64::INFINITY;
        };
        let loss = if goal.better() == Better::Higher { -value.ln() } else { value.ln() };
        match self.own.target {
            Some(target) if !target.holds(sample) => {
                loss + PENALTY * (1.0 + (sample.response_ns_p99 / target.below_ns).ln().max(0.0))
            }
            _ => loss,
        }
    }

    fn median_loss(&self, samples: &[Sample]) -> f64 {
        let mut losses: Vec<f64> = samples.iter().map(|sample| self.loss(sample)).collect();
        median(&mut losses).unwrap_or(f64::INFINITY)
    }

    /// The block in the middle.
    fn middle(&self, mut samples: Vec<Sample>) -> Option<Sample> {
        samples.sort_by(|a, b| self.loss(a).total_cmp(&self.loss(b)));
        let middle = samples.len() / 2;
        samples.into_iter().nth(middle)
    }

    fn has_budget(&self, kept: usize) -> bool {
        self.found.blocks + kept + self.budget.per_trial <= self.budget.blocks.max(1)
            && Instant::now() < self.budget.until
    }

    fn best(&self) -> Point {
        let best = self.losses.iter().min_by(|a, b| a.1.total_cmp(b.1));
        best.map_or_else(|| self.space.base(), |(point, _)| point.clone())
    }

    fn best_loss(&self) -> f64 {
        self.losses.values().copied().fold(f64::INFINITY, f64::min)
    }

    /// From the base, each tunable half-way to either end of its levels.
    fn moved_apart(&self) -> Vec<(usize, Point)> {
        let base = self.space.base();
        let mut moved = Vec::new();
        for (place, dimension) in self.space.dimensions().iter().enumerate() {
            let last = dimension.levels.len() - 1;
            for level in [dimension.base / 2, dimension.base + (last - dimension.base).div_ceil(2)] {
                if level != dimension.base {
                    let mut point = base.clone();
                    point[place] = level;
                    moved.push((place, point));
                }
            }
        }
        moved
    }

    /// What the sampler proposes, unless it keeps to what was tried.
    fn proposed(&mut self) -> Result<Option<Point>, TuneError> {
        for _ in 0..PATIENCE {
            let mut trial = self.study.ask();
            let mut point = Point::with_capacity(self.parameters.len());
            for parameter in &self.parameters {
                point.push(parameter.suggest(&mut trial)? as usize);
            }
            match self.losses.get(&point) {
                None => {
                    // It is asked for again at this point, so that there is one trial of it.
                    self.study.fail_trial(trial, "asked again");
                    return Ok(Some(point));
                }
                Some(&loss) if loss.is_finite() => self.study.complete_trial(trial, loss),
                Some(_) => self.study.fail_trial(trial, "it did not serve"),
            }
        }
        Ok(None)
    }

    /// A point next to the best one that was not tried, the nearest first.
    fn neighbour(&mut self) -> Option<Point> {
        let best = self.best();
        for step in [1i64, 2, 4] {
            let mut next = Vec::new();
            let mattering = self.matters_at.clone();
            let dimensions = self.space.dimensions().iter().enumerate();
            for (place, dimension) in dimensions.filter(|(place, _)| mattering[*place]) {
                for by in [-step, step] {
                    let level = best[place] as i64 + by;
                    if (0..dimension.levels.len() as i64).contains(&level) {
                        let mut point = best.clone();
                        point[place] = level as usize;
                        next.push(point);
                    }
                }
            }
            next.retain(|point| !self.losses.contains_key(point));
            next.shuffle(&mut self.random);
            if let Some(point) = next.pop() {
                return Some(point);
            }
        }
        None
    }

    /// Any point that was not tried; none when chance finds none.
    fn anything(&mut self) -> Option<Point> {
        (0..PATIENCE).find_map(|_| {
            let drawn = self.space.dimensions().iter().map(|one| one.levels.len());
            let point: Point = drawn.map(|levels| self.random.random_range(0..levels)).collect();
            (!self.losses.contains_key(&point)).then_some(point)
        })
    }

    /// The same move again, from where it led.
    fn further(&self, from: &Point, to: &Point) -> Option<Point> {
        let moved = from.iter().zip(to).zip(self.space.dimensions());
        let point: Point = moved
            .map(|((&from, &to), dimension)| {
                let again = 2 * to as i64 - from as i64;
                again.clamp(0, dimension.levels.len() as i64 - 1) as usize
            })
            .collect();
        (!self.losses.contains_key(&point)).then_some(point)
    }
}
