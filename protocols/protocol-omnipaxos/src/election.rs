//! What elections need beyond what the library does: promises that are kept while others are gathered,
//! and a leader that stands again for those who can't follow it.

use std::collections::BTreeSet;

use omnipaxos::ballot_leader_election::Ballot;
use omnipaxos::messages::Message;
use omnipaxos::messages::ballot_leader_election::HeartbeatReply;
use omnipaxos::messages::sequence_paxos::{PaxosMessage, PaxosMsg};
use omnipaxos::util::NodeId;

use crate::messages::Proposal;

/// Rounds of heartbeats in a row that a replica is stranded before its leader stands again. One may pass
/// while a new leader makes itself known.
const PATIENCE_ROUNDS: u32 = 2;

/// The promises made to a replica in the ballot it last stood in.
///
/// The library keeps the longest log that came with any promise, but takes as decided what those say that
/// promise now. A promise may be taken back in between, by a follower that lost its connection or promised
/// more to another, or made again by one that restarted and knows less to be decided. The leader then holds
/// a snapshot of more than it takes to be decided, and has followers give up entries for nothing
/// (`LeaderState::reset_promise` and `handle_majority_promises` in 0.2.4). But a promise is durable and
/// holds, whatever its maker says next. So while they are gathered, the first of each counts.
#[derive(Debug, Default)]
pub struct Promises {
    ballot: Ballot,
    from: BTreeSet<NodeId>,
}

/// What becomes of a message while promises are gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The library handles it.
    Pass,
    /// It would take back or replace a promise that is made. Its sender says it again where it matters.
    Keep,
    /// So would this one, but its sender waits to be asked for its promise.
    AskAgain(NodeId),
}

impl Promises {
    /// Takes note of a message that leaves.
    pub fn sent(&mut self, message: &Message<Proposal>) {
        let Message::SequencePaxos(PaxosMessage { msg: PaxosMsg::Prepare(prepare), .. }) = message else {
            return;
        };
        if prepare.n != self.ballot {
            *self = Promises { ballot: prepare.n, from: BTreeSet::new() };
        }
    }

    /// Judges a message that arrives while promises are gathered in a ballot.
    pub fn judge(&mut self, ballot: Ballot, message: &Message<Proposal>) -> Verdict {
        let Message::SequencePaxos(PaxosMessage { from, msg, .. }) = message else { return Verdict::Pass };
        if ballot != self.ballot {
            return Verdict::Pass;
        }
        match msg {
            PaxosMsg::Promise(promise) if promise.n == ballot && !self.from.insert(*from) => Verdict::Keep,
            PaxosMsg::PrepareReq(request) if request.n <= ballot && self.from.contains(from) => {
                Verdict::AskAgain(*from)
            }
            PaxosMsg::NotAccepted(_) if self.from.contains(from) => Verdict::Keep,
            _ => Verdict::Pass,
        }
    }
}

/// Replicas that can't follow their leader.
///
/// One that promised a higher ballot, in which no one leads, takes nothing from a leader in a lower one.
/// That leader isn't told: its `Prepare` goes without an answer, and requests for one from a higher ballot
/// are ignored (`handle_prepare` and `handle_preparereq` in 0.2.4). Nor does the stranded replica stand
/// itself, since its neighbours are content. Heartbeats show it, and a leader that stands again, higher,
/// has it back.
#[derive(Debug, Default)]
pub struct Stranded {
    rounds: u32,
}

impl Stranded {
    /// Takes note of a round's heartbeats at a leader in `mine`; returns the ballot it has to exceed once
    /// a replica has been stranded for long enough.
    pub fn after_round(
        &mut self,
        mine: Ballot,
        write_quorum: usize,
        heartbeats: &[HeartbeatReply],
    ) -> Option<Ballot> {
        let promised = promised_above(mine, write_quorum, heartbeats);
        self.rounds = if promised.is_some() { self.rounds + 1 } else { 0 };
        if self.rounds < PATIENCE_ROUNDS {
            return None;
        }
        self.rounds = 0;
        promised
    }

    /// There was no round at a leader.
    pub fn clear(&mut self) {
        self.rounds = 0;
    }
}

/// The highest ballot that a replica without a leader has promised above that of a leader which can commit.
fn promised_above(mine: Ballot, write_quorum: usize, heartbeats: &[HeartbeatReply]) -> Option<Ballot> {
    // One that stands in a higher ballot leads soon, and too few followers are the library's to miss.
    let rival = heartbeats.iter().any(|reply| reply.ballot > mine);
    let followers = heartbeats.iter().filter(|reply| reply.leader <= mine).count();
    if rival || 1 + followers < write_quorum {
        return None;
    }
    heartbeats.iter().filter(|reply| !reply.happy && reply.leader > mine).map(|reply| reply.leader).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use omnipaxos::messages::sequence_paxos::{NotAccepted, Prepare, PrepareReq, Promise};

    fn ballot(n: u32, pid: NodeId) -> Ballot {
        Ballot::with(1, n, 0, pid)
    }

    fn message(from: NodeId, msg: PaxosMsg<Proposal>) -> Message<Proposal> {
        Message::SequencePaxos(PaxosMessage { from, to: 3, msg })
    }

    fn promise(from: NodeId, n: Ballot) -> Message<Proposal> {
        let n_accepted = Ballot::default();
        let promise = Promise { n, n_accepted, decided_idx: 0, accepted_idx: 0, log_sync: None };
        message(from, PaxosMsg::Promise(promise))
    }

    fn request(from: NodeId, n: Ballot) -> Message<Proposal> {
        message(from, PaxosMsg::PrepareReq(PrepareReq { n }))
    }

    fn refusal(from: NodeId, n: Ballot) -> Message<Proposal> {
        message(from, PaxosMsg::NotAccepted(NotAccepted { n }))
    }

    fn prepare(n: Ballot) -> Message<Proposal> {
        let prepare = Prepare { n, decided_idx: 0, n_accepted: Ballot::default(), accepted_idx: 0 };
        message(3, PaxosMsg::Prepare(prepare))
    }

    #[test]
    fn the_first_promise_of_each_counts_until_the_next_ballot() {
        let (mine, next) = (ballot(2, 3), ballot(3, 3));
        let mut promises = Promises::default();
        assert_eq!(
            promises.judge(mine, &promise(1, mine)),
            Verdict::Pass,
            "it does not stand in this ballot"
        );
        promises.sent(&prepare(mine));
        assert_eq!(promises.judge(mine, &request(1, ballot(1, 3))), Verdict::Pass);
        assert_eq!(promises.judge(mine, &promise(1, ballot(1, 3))), Verdict::Pass, "of another ballot");
        assert_eq!(promises.judge(mine, &promise(1, mine)), Verdict::Pass);
        assert_eq!(promises.judge(mine, &promise(1, mine)), Verdict::Keep);
        assert_eq!(promises.judge(mine, &request(1, mine)), Verdict::AskAgain(1));
        assert_eq!(promises.judge(mine, &refusal(1, next)), Verdict::Keep);
        assert_eq!(promises.judge(mine, &request(1, next)), Verdict::Pass, "the library ignores it");
        assert_eq!(promises.judge(mine, &refusal(2, next)), Verdict::Pass);
        promises.sent(&prepare(mine));
        assert_eq!(promises.judge(mine, &promise(1, mine)), Verdict::Keep, "asked again, not anew");
        promises.sent(&prepare(next));
        assert_eq!(promises.judge(next, &promise(1, next)), Verdict::Pass);
    }

    fn reply(ballot: Ballot, leader: Ballot, happy: bool) -> HeartbeatReply {
        HeartbeatReply { round: 1, ballot, leader, happy }
    }

    #[test]
    fn a_leader_stands_again_above_a_replica_that_is_stranded_for_two_rounds() {
        let (mine, higher) = (ballot(2, 1), ballot(2, 3));
        let content = reply(ballot(0, 2), mine, true);
        let lost = reply(ballot(0, 3), higher, false);
        let after = |rounds: &[&[HeartbeatReply]]| {
            let mut stranded = Stranded::default();
            rounds.iter().map(|round| stranded.after_round(mine, 2, round)).last().flatten()
        };
        let stuck = [content.clone(), lost.clone()];
        assert_eq!(after(&[&stuck]), None);
        assert_eq!(after(&[&stuck, &stuck]), Some(higher));
        assert_eq!(after(&[&stuck, &[], &stuck]), None, "not in a row");
        assert_eq!(after(&[&stuck, &stuck, &stuck]), None, "it has just stood again");
        let led = [content.clone(), reply(ballot(0, 3), higher, true)];
        assert_eq!(after(&[&led, &led]), None, "the higher ballot has a leader");
        let rival = [content, reply(higher, higher, false)];
        assert_eq!(after(&[&rival, &rival]), None, "the higher ballot is stood in");
        let alone = [lost];
        assert_eq!(after(&[&alone, &alone]), None, "the leader can't commit");
    }
}
