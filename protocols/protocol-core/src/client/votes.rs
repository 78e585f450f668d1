//! The answers of several replicas to one command, counted until they settle it.

use super::ClientRule;
use crate::replica::Slot;

/// What an answer, or its loss, means for the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// More answers are needed, and can come.
    Open,
    /// Enough replicas answered; this one was the last that it took.
    Settled,
    /// There will never be enough.
    Failed,
}

/// The answers so far.
#[derive(Clone, Debug)]
pub(crate) struct Votes {
    /// Equal answers that settle the command; none when it takes all that can come, equal or not.
    matching: Option<usize>,
    /// Replicas that may still answer.
    outstanding: usize,
    /// Answers that differ, each with how many gave it.
    answers: Vec<(Slot, u64, usize)>,
    settled: bool,
}

impl Votes {
    /// No answers yet of `replicas`.
    pub(crate) fn new(rule: ClientRule, replicas: usize) -> Self {
        let matching = match rule {
            ClientRule::Everyone { matching } => Some(matching),
            ClientRule::Broadcast => None,
            ClientRule::Leader | ClientRule::Coordinator => Some(1),
        };
        Votes { matching, outstanding: replicas, answers: Vec::new(), settled: false }
    }

    /// A replica answered.
    pub(crate) fn accept(&mut self, slot: Slot, output: u64) -> Verdict {
        self.outstanding = self.outstanding.saturating_sub(1);
        let same = self
            .answers
            .iter()
            .position(|&(at, out, _)| self.matching.is_none() || (at, out) == (slot, output));
        match same {
            Some(index) => self.answers[index].2 += 1,
            None => self.answers.push((slot, output, 1)),
        }
        self.verdict()
    }

    /// A replica will not answer.
    pub(crate) fn lose(&mut self) -> Verdict {
        self.outstanding = self.outstanding.saturating_sub(1);
        self.verdict()
    }

    /// Answers given, equal or not.
    pub(crate) fn given(&self) -> usize {
        self.answers.iter().map(|answer| answer.2).sum()
    }

    fn verdict(&mut self) -> Verdict {
        if self.settled {
            return Verdict::Open;
        }
        let most = self.answers.iter().map(|answer| answer.2).max().unwrap_or(0);
        let (enough, possible) = match self.matching {
            Some(matching) => (most >= matching, most + self.outstanding >= matching),
            None => (self.outstanding == 0 && most > 0, most + self.outstanding > 0),
        };
        match (enough, possible) {
            (true, _) => {
                self.settled = true;
                Verdict::Settled
            }
            (false, true) => Verdict::Open,
            (false, false) => Verdict::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Slot = Slot(7);
    const B: Slot = Slot(8);

    #[test]
    fn equal_answers_settle_and_lies_do_not_count_together() {
        let mut votes = Votes::new(ClientRule::Everyone { matching: 2 }, 4);
        assert_eq!(votes.accept(A, 0), Verdict::Open);
        assert_eq!(votes.accept(B, 0), Verdict::Open);
        assert_eq!(votes.accept(A, 1), Verdict::Open);
        assert_eq!(votes.accept(A, 0), Verdict::Settled);
        assert_eq!(votes.given(), 4);
        assert_eq!(votes.lose(), Verdict::Open, "settled once");
    }

    #[test]
    fn a_command_fails_once_no_answers_to_come_can_settle_it() {
        let mut votes = Votes::new(ClientRule::Everyone { matching: 2 }, 4);
        assert_eq!(votes.lose(), Verdict::Open);
        assert_eq!(votes.accept(A, 0), Verdict::Open);
        assert_eq!(votes.accept(B, 0), Verdict::Open);
        assert_eq!(votes.lose(), Verdict::Failed);
    }

    #[test]
    fn a_broadcast_takes_every_replica_that_lives() {
        let mut votes = Votes::new(ClientRule::Broadcast, 3);
        assert_eq!(votes.accept(A, 0), Verdict::Open);
        assert_eq!(votes.lose(), Verdict::Open);
        assert_eq!(votes.accept(B, 0), Verdict::Settled);
        let mut none = Votes::new(ClientRule::Broadcast, 2);
        assert_eq!((none.lose(), none.lose()), (Verdict::Open, Verdict::Failed));
        let mut last_one_dies = Votes::new(ClientRule::Broadcast, 2);
        assert_eq!((last_one_dies.accept(A, 0), last_one_dies.lose()), (Verdict::Open, Verdict::Settled));
    }
}
