//! Draws schedules from seeds.

use std::array;

use protocol_core::Behaviour;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::schedule::{Action, Conditions, Plan, Schedule, Step};

/// Clocks of real machines are off by some 100 ppm; a bad one is found sooner.
const MAX_SKEW_PPM: i64 = 50_000;
/// Chance that a crash may go beyond a minority, and how long those replicas are away at most.
const MAJORITY_CRASH: f64 = 0.15;
const MAJORITY_AWAY_US: f64 = 200_000.0;

impl Schedule {
    /// Draws a schedule. Each kind of fault is missing in one seed of four, and how often the others
    /// come differs by two orders of magnitude (swarm testing, Groce et al., 2012): some faults show
    /// only when others keep quiet.
    pub fn draw(plan: &Plan) -> Schedule {
        let mut draw = Draw {
            random: ChaCha8Rng::seed_from_u64(plan.seed),
            replicas: plan.replicas as u32,
            horizon_us: plan.horizon_ms * 1_000,
            steps: Vec::new(),
            back_at_us: vec![0; plan.replicas],
        };
        let conditions = draw.conditions(plan.fifo);
        let fsync_us = draw.log_uniform(50.0, 15_000.0) as u64;
        let skewed = draw.random.random_bool(0.5);
        let skew = |random: &mut ChaCha8Rng| random.random_range(-MAX_SKEW_PPM..=MAX_SKEW_PPM);
        let clock_skew_ppm = (0..plan.replicas).map(|_| if skewed { skew(&mut draw.random) } else { 0 });
        let clock_skew_ppm = clock_skew_ppm.collect();
        let mut commands_us: Vec<u64> =
            (0..plan.commands).map(|_| draw.random.random_range(0..=draw.horizon_us)).collect();
        commands_us.sort_unstable();
        draw.faults();
        let Draw { mut steps, horizon_us, .. } = draw;
        steps.extend(lies(plan));
        steps.retain(|step| step.at_us < horizon_us);
        steps.sort_by_key(|step| step.at_us);
        let (seed, replicas) = (plan.seed, plan.replicas);
        Schedule { seed, replicas, conditions, fsync_us, clock_skew_ppm, commands_us, steps, horizon_us }
    }
}

/// Each liar starts with one behaviour and may turn to others. Drawn from a stream of its own, so that the
/// rest of a schedule is the same with liars and without.
fn lies(plan: &Plan) -> Vec<Step> {
    const LIES: u64 = 1;
    let mut random = ChaCha8Rng::seed_from_u64(plan.seed);
    random.set_stream(LIES);
    let mut replicas: Vec<u32> = (0..plan.replicas as u32).collect();
    replicas.shuffle(&mut random);
    let mut steps = Vec::new();
    for &replica in replicas.iter().take(plan.liars) {
        let turns = random.random_range(1..=4u64);
        for turn in 0..turns {
            let Some(&behaviour) = pick(plan.behaviours, &mut random) else { continue };
            // The first one early, so that most of the run has a liar.
            let latest = if turn == 0 { plan.horizon_ms * 100 } else { plan.horizon_ms * 1_000 };
            let at_us = random.random_range(0..latest.max(1));
            steps.push(Step { at_us, action: Action::Corrupt { replica, behaviour } });
        }
    }
    steps
}

fn pick<'a>(behaviours: &'a [Behaviour], random: &mut ChaCha8Rng) -> Option<&'a Behaviour> {
    let most = behaviours.len().checked_sub(1)?;
    behaviours.get(random.random_range(0..=most))
}

/// A schedule in the making.
struct Draw {
    random: ChaCha8Rng,
    replicas: u32,
    horizon_us: u64,
    steps: Vec<Step>,
    /// When each replica is back from its latest crash.
    back_at_us: Vec<u64>,
}

impl Draw {
    /// As likely to lie between 1 and 10 as between 10 and 100.
    fn log_uniform(&mut self, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.random.random_range(0.0..1.0))
    }

    /// A share up to `most`: none for one seed in four.
    fn share(&mut self, most: f64) -> f64 {
        if self.random.random_bool(0.25) { 0.0 } else { self.log_uniform(most / 100.0, most) }
    }

    fn conditions(&mut self, fifo: bool) -> Conditions {
        Conditions {
            delay_us: self.log_uniform(100.0, 5_000.0) as u64,
            jitter_us: self.share(20_000.0) as u64,
            loss: self.share(0.1),
            duplication: self.share(0.2),
            fifo: self.random.random_bool(0.25) || fifo,
        }
    }

    fn faults(&mut self) {
        let every_us = self.log_uniform(10_000.0, 1_000_000.0);
        let weights: [f64; 4] = array::from_fn(|_| self.share(1.0));
        let away_us = self.log_uniform(5_000.0, 1_000_000.0);
        let total: f64 = weights.iter().sum();
        if total == 0.0 {
            return;
        }
        let mut at = 0.0;
        loop {
            // Exponential pauses: faults come together now and then.
            at -= every_us * (1.0 - self.random.random_range(0.0..1.0f64)).ln();
            let at_us = at as u64;
            if at_us >= self.horizon_us {
                return;
            }
            let mut pick = self.random.random_range(0.0..total);
            let kind = weights.iter().position(|weight| {
                pick -= weight;
                pick < 0.0
            });
            match kind.unwrap_or(0) {
                0 => self.crash(at_us, away_us),
                1 => self.pause(at_us, away_us),
                2 => self.split(at_us, away_us),
                _ => self.slow_down(at_us, away_us),
            }
        }
    }

    fn push(&mut self, at_us: u64, action: Action) {
        self.steps.push(Step { at_us, action });
    }

    fn replica(&mut self) -> u32 {
        self.random.random_range(0..self.replicas)
    }

    fn until(&mut self, at_us: u64, most_us: f64) -> u64 {
        at_us + self.random.random_range(0.0..=most_us) as u64
    }

    /// One replica, or, as when the power fails, several at once. Beyond a minority they are soon back.
    fn crash(&mut self, at_us: u64, away_us: f64) {
        let minority = (self.replicas as usize - 1) / 2;
        let several = self.random.random_bool(0.25);
        let first = self.replica();
        for replica in 0..self.replicas {
            let chosen = replica == first || (several && self.random.random_bool(0.7));
            let is_down = |back_at_us: &&u64| **back_at_us >= at_us;
            let down = self.back_at_us.iter().filter(is_down).count();
            if !chosen || self.back_at_us[replica as usize] >= at_us {
                continue;
            }
            let beyond = down >= minority;
            if beyond && !several && !self.random.random_bool(MAJORITY_CRASH) {
                continue;
            }
            let most_us = if beyond { away_us.min(MAJORITY_AWAY_US) } else { away_us };
            let back_at_us = self.until(at_us, most_us) + 1;
            self.back_at_us[replica as usize] = back_at_us;
            self.push(at_us, Action::Crash { replica });
            self.push(back_at_us, Action::Restart { replica });
        }
    }

    fn pause(&mut self, at_us: u64, away_us: f64) {
        let (replica, until_us) = (self.replica(), self.until(at_us, away_us));
        self.push(at_us, Action::Pause { replica });
        self.push(until_us, Action::Resume { replica });
    }

    /// Links one way, both ways, all of one replica, or all between two halves.
    fn split(&mut self, at_us: u64, away_us: f64) {
        let (from, to) = (self.replica(), self.replica());
        let halves = self.random.random_range(0..1u64 << self.replicas.min(63));
        let shape = self.random.random_range(0..4);
        for a in 0..self.replicas {
            for b in (0..self.replicas).filter(|&b| b != a) {
                let side = |replica: u32| halves >> replica.min(63) & 1;
                let cut = match shape {
                    0 => (a, b) == (from, to),
                    1 => (a, b) == (from, to) || (b, a) == (from, to),
                    2 => a == from || b == from,
                    _ => side(a) != side(b),
                };
                if cut {
                    self.push(at_us, Action::Cut { from: a, to: b });
                }
            }
        }
        let until_us = self.until(at_us, away_us);
        self.push(until_us, Action::Heal);
    }

    /// One link, or all that leave a replica. What is on its way when this ends is overtaken, and may
    /// arrive terms later.
    fn slow_down(&mut self, at_us: u64, away_us: f64) {
        let (from, only) = (self.replica(), self.replica());
        let extra_delay_us = self.log_uniform(1_000.0, 2_000_000.0) as u64;
        let loss = self.share(0.9);
        let all = self.random.random_bool(0.5);
        for to in (0..self.replicas).filter(|&to| to != from && (all || to == only)) {
            self.push(at_us, Action::Degrade { from, to, extra_delay_us, loss });
        }
        let until_us = self.until(at_us, away_us);
        self.push(until_us, Action::Heal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64) -> Plan {
        Plan { seed, replicas: 5, ..Plan::default() }
    }

    #[test]
    fn the_same_seed_draws_the_same_schedule_and_another_seed_another() {
        assert_eq!(Schedule::draw(&plan(3)), Schedule::draw(&plan(3)));
        assert_ne!(Schedule::draw(&plan(3)), Schedule::draw(&plan(4)));
    }

    #[test]
    fn a_schedule_is_in_order_and_within_its_bounds() {
        for seed in 0..300 {
            let schedule = Schedule::draw(&plan(seed));
            assert!(schedule.steps.is_sorted_by_key(|step| step.at_us), "seed {seed}");
            assert!(schedule.commands_us.is_sorted(), "seed {seed}");
            for step in &schedule.steps {
                assert_eq!(step.action.fault().check(5), Ok(()), "seed {seed}: {step}");
                assert!(step.at_us < schedule.horizon_us, "seed {seed}: {step}");
            }
            assert!(schedule.clock_skew_ppm.iter().all(|skew| skew.abs() <= MAX_SKEW_PPM), "seed {seed}");
        }
        let fifo = |seed| Schedule::draw(&Plan { fifo: true, ..plan(seed) }).conditions.fifo;
        assert!((0..100).all(fifo));
    }

    #[test]
    fn every_kind_of_fault_is_drawn() {
        let text: String = (0..50).map(|seed| Schedule::draw(&plan(seed)).to_string()).collect();
        for kind in
            ["crash", "restart", "pause", "resume", "cut", "degrade", "heal", "in any order", "in order"]
        {
            assert!(text.contains(kind), "{kind}");
        }
    }

    #[test]
    fn liars_lie_in_ways_that_are_known_and_change_nothing_else() {
        let honest = Schedule::draw(&plan(5));
        let lying = Plan { liars: 2, behaviours: &[Behaviour::Silent, Behaviour::Replay], ..plan(5) };
        let mut schedule = Schedule::draw(&lying);
        let liars: Vec<(u32, Behaviour)> = schedule
            .steps
            .iter()
            .filter_map(|step| match step.action {
                Action::Corrupt { replica, behaviour } => Some((replica, behaviour)),
                _ => None,
            })
            .collect();
        let mut replicas: Vec<u32> = liars.iter().map(|liar| liar.0).collect();
        replicas.sort_unstable();
        replicas.dedup();
        assert_eq!(replicas.len(), 2);
        assert!(liars.iter().all(|liar| lying.behaviours.contains(&liar.1)));
        schedule.steps.retain(|step| !matches!(step.action, Action::Corrupt { .. }));
        assert_eq!(schedule, honest);
    }

    #[test]
    fn a_schedule_survives_json() {
        let schedule = Schedule::draw(&Plan { liars: 2, behaviours: &Behaviour::LIES, ..plan(9) });
        let json = serde_json::to_string(&schedule).unwrap();
        assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), schedule);
    }
}
