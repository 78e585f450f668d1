//! Makes a failing schedule smaller: delta debugging (Zeller and Hildebrandt, 2002) over its faults,
//! then over its commands, then over its conditions.

use super::schedule::Schedule;

/// A smaller schedule that still fails.
#[derive(Clone, Debug, PartialEq)]
pub struct Shrunk {
    /// The smallest that was found.
    pub schedule: Schedule,
    /// Runs that it took.
    pub runs: usize,
}

/// Removes what is not needed for `fails` to hold, in `budget` runs at most.
pub fn shrink(schedule: &Schedule, budget: usize, fails: impl FnMut(&Schedule) -> bool) -> Shrunk {
    let mut search = Search { best: schedule.clone(), runs: 0, budget, fails };
    loop {
        let size = search.best.size();
        search.thin_out(|schedule| &mut schedule.steps);
        search.thin_out(|schedule| &mut schedule.commands_us);
        // With fewer commands some faults may have become needless.
        if search.best.size() == size || search.runs >= budget {
            break;
        }
    }
    search.calm_down();
    Shrunk { schedule: search.best, runs: search.runs }
}

struct Search<F> {
    best: Schedule,
    runs: usize,
    budget: usize,
    fails: F,
}

impl<F: FnMut(&Schedule) -> bool> Search<F> {
    /// Takes the candidate if it fails too.
    fn attempt(&mut self, candidate: Schedule) -> bool {
        if self.runs >= self.budget || candidate == self.best {
            return false;
        }
        self.runs += 1;
        let taken = (self.fails)(&candidate);
        if taken {
            self.best = candidate;
        }
        taken
    }

    /// Removes halves of a list, then quarters, down to single items. From the end, because what comes
    /// after a failure is never needed.
    fn thin_out<T>(&mut self, list: impl Fn(&mut Schedule) -> &mut Vec<T>) {
        let mut chunk = list(&mut self.best).len().div_ceil(2);
        while chunk > 0 {
            let mut end = list(&mut self.best).len();
            while end > 0 {
                let start = end.saturating_sub(chunk);
                let mut candidate = self.best.clone();
                list(&mut candidate).drain(start..end);
                self.attempt(candidate);
                end = start;
            }
            chunk /= 2;
        }
    }

    /// Perfect links and true clocks, one after the other.
    fn calm_down(&mut self) {
        let calmer: [fn(&mut Schedule); 5] = [
            |schedule| schedule.conditions.loss = 0.0,
            |schedule| schedule.conditions.duplication = 0.0,
            |schedule| schedule.conditions.jitter_us = 0,
            |schedule| schedule.conditions.fifo = true,
            |schedule| schedule.clock_skew_ppm.fill(0),
        ];
        for change in calmer {
            let mut candidate = self.best.clone();
            change(&mut candidate);
            self.attempt(candidate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::{Action, Plan};

    fn crashes(schedule: &Schedule) -> usize {
        schedule.steps.iter().filter(|step| matches!(step.action, Action::Crash { .. })).count()
    }

    fn busy() -> Schedule {
        (0..)
            .map(|seed| Schedule::draw(&Plan { seed, ..Plan::default() }))
            .find(|it| crashes(it) > 5)
            .unwrap()
    }

    #[test]
    fn what_is_left_is_what_is_needed() {
        let shrunk = shrink(&busy(), 10_000, |it| crashes(it) >= 2 && it.commands_us.len() >= 3);
        let left = &shrunk.schedule;
        assert_eq!((left.steps.len(), crashes(left), left.commands_us.len()), (2, 2, 3));
        assert_eq!((left.conditions.loss, left.conditions.fifo), (0.0, true));
    }

    #[test]
    fn the_budget_is_kept_and_what_can_not_shrink_stays() {
        let mut runs = 0;
        let shrunk = shrink(&busy(), 17, |_| {
            runs += 1;
            false
        });
        assert_eq!((shrunk.runs, runs), (17, 17));
        assert_eq!(shrunk.schedule, busy());
    }
}
