//! Replicas that lie: a wrapper around an honest state machine that twists what it says.
//!
//! A liar has the keys of its own replica and no other's, so what a wrapper makes of its messages is all
//! that a replica could do alone. Liars do not conspire, except by lying in the same way at once.

use std::collections::VecDeque;
use std::time::Duration;

use crate::replica::{Effects, Input, Replica, ReplicaId, Slot, Time, TimerId};

/// How a replica breaks its protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behaviour {
    /// It does not.
    #[default]
    Honest,
    /// It says nothing, to replicas or clients.
    Silent,
    /// It says everything late, by most of what others wait before they suspect it.
    Slow,
    /// It tells one half of the replicas something else than the other, and clients something wrong.
    Equivocate,
    /// Its signatures and authentication codes don't hold.
    CorruptSignatures,
    /// It hides or invents what happened before, when views change.
    LyingViewChange,
    /// It repeats what it said long ago.
    Replay,
    /// It talks to some replicas only, just enough for itself to follow.
    SelectiveSending,
}

impl Behaviour {
    /// All that are not honest.
    pub const LIES: [Behaviour; 7] = [
        Behaviour::Silent,
        Behaviour::Slow,
        Behaviour::Equivocate,
        Behaviour::CorruptSignatures,
        Behaviour::LyingViewChange,
        Behaviour::Replay,
        Behaviour::SelectiveSending,
    ];

    /// The name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Behaviour::Honest => "honest",
            Behaviour::Silent => "silent",
            Behaviour::Slow => "slow",
            Behaviour::Equivocate => "equivocate",
            Behaviour::CorruptSignatures => "corrupt_signatures",
            Behaviour::LyingViewChange => "lying_view_change",
            Behaviour::Replay => "replay",
            Behaviour::SelectiveSending => "selective_sending",
        }
    }
}

/// A state machine whose messages can be twisted by its own replica.
pub trait Corruptible: Replica {
    /// A message of the same kind that contradicts this one, with proofs as good as this replica can
    /// make; none when there is nothing to contradict.
    fn contradict(&self, message: &Self::Message) -> Option<Self::Message>;

    /// The message with proofs that don't hold; none when it carries none.
    fn spoil(&self, message: &Self::Message) -> Option<Self::Message>;

    /// A message about earlier views that hides or invents what happened there, with proofs as good as
    /// this replica can make; none when the message is not about that.
    fn rewrite_history(&self, message: &Self::Message) -> Option<Self::Message>;
}

/// Messages that a liar remembers to repeat.
const REMEMBERED: usize = 64;
const RELEASE: TimerId = TimerId(u32::MAX);
/// No slot of any run: what a liar tells clients.
const WRONG_SLOT: Slot = Slot(u64::MAX);

/// A replica that is honest until [`Input::Corrupt`] says otherwise. It costs an honest one a comparison
/// per input. The core below must not use the timer [`TimerId`]`(u32::MAX)`.
pub struct Byzantine<R: Corruptible> {
    core: R,
    me: ReplicaId,
    replicas: usize,
    behaviour: Behaviour,
    slow_by: Duration,
    late: VecDeque<(Time, ReplicaId, R::Message)>,
    old: VecDeque<R::Message>,
}

impl<R: Corruptible> Byzantine<R> {
    /// Wraps replica `me` of so many. `slow_by` is the delay of [`Behaviour::Slow`]: just under what
    /// others wait before they suspect a replica.
    pub fn new(core: R, me: ReplicaId, replicas: usize, slow_by: Duration) -> Self {
        Byzantine {
            core,
            me,
            replicas,
            behaviour: Behaviour::Honest,
            slow_by,
            late: VecDeque::new(),
            old: VecDeque::new(),
        }
    }

    /// Twists everything that the core wants to say. A liar does not wait for its disk.
    fn twist(&mut self, now: Time, effects: &mut Effects<Self>) {
        let held = effects.held.drain(..).map(|(_, to, message)| (to, message));
        let said: Vec<_> = effects.sends.drain(..).chain(held).collect();
        for (to, message) in said {
            self.say(now, to, message, effects);
        }
        self.mislead_clients(effects);
    }

    fn say(&mut self, now: Time, to: ReplicaId, message: R::Message, effects: &mut Effects<Self>) {
        match self.behaviour {
            Behaviour::Honest => effects.send(to, message),
            Behaviour::Silent => {}
            Behaviour::Slow => self.late.push_back((now + self.slow_by, to, message)),
            Behaviour::Equivocate => {
                let other = if to.0.is_multiple_of(2) { None } else { self.core.contradict(&message) };
                effects.send(to, other.unwrap_or(message));
            }
            Behaviour::CorruptSignatures => {
                effects.send(to, self.core.spoil(&message).unwrap_or(message));
            }
            Behaviour::LyingViewChange => {
                effects.send(to, self.core.rewrite_history(&message).unwrap_or(message));
            }
            Behaviour::Replay => self.say_and_repeat(to, message, effects),
            Behaviour::SelectiveSending => {
                // The next ones in a ring, fewer than half of all: no quorum hears of it.
                let distance = (to.index() + self.replicas - self.me.index()) % self.replicas;
                if distance <= (self.replicas - 1) / 2 {
                    effects.send(to, message);
                }
            }
        }
    }

    /// One old message with each new one, the oldest first, round and round.
    fn say_and_repeat(&mut self, to: ReplicaId, message: R::Message, effects: &mut Effects<Self>) {
        let repeated = self.old.pop_front();
        if let Some(old) = &repeated {
            effects.send(to, old.clone());
        }
        self.old.extend(repeated);
        if self.old.len() < REMEMBERED {
            self.old.push_back(message.clone());
        }
        effects.send(to, message);
    }

    fn mislead_clients(&self, effects: &mut Effects<Self>) {
        if self.behaviour == Behaviour::Equivocate {
            let delivered = effects.deliveries.iter().filter_map(|delivery| delivery.command());
            effects.replies.extend(delivered.map(|command| (command.id(), WRONG_SLOT, 0)));
            effects.replies.iter_mut().for_each(|reply| reply.1 = WRONG_SLOT);
        }
    }

    /// Says what is due, and has itself woken for the rest.
    fn release(&mut self, now: Time, effects: &mut Effects<Self>) {
        while self.late.front().is_some_and(|late| late.0 <= now) {
            if let Some((_, to, message)) = self.late.pop_front() {
                effects.send(to, message);
            }
        }
        if let Some((due, ..)) = self.late.front() {
            effects.set_timer(RELEASE, Duration::from_nanos(due.0.saturating_sub(now.0)));
        }
    }
}

impl<R: Corruptible> Replica for Byzantine<R> {
    type Message = R::Message;
    type Record = R::Record;

    const FIFO: bool = R::FIFO;

    fn step(&mut self, now: Time, input: Input<R::Message>, effects: &mut Effects<Self>) {
        match input {
            Input::Corrupt(behaviour) => self.behaviour = behaviour,
            // What is due goes out with the flush of this round.
            Input::Timer(RELEASE) => {}
            input => self.core.step(now, input, effects),
        }
    }

    fn flush(&mut self, now: Time, effects: &mut Effects<Self>) {
        self.core.flush(now, effects);
        effects.mute = self.behaviour == Behaviour::Silent;
        if self.behaviour != Behaviour::Honest {
            self.twist(now, effects);
        }
        if !self.late.is_empty() {
            self.release(now, effects);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::command::{Command, CommandId};
    use crate::wire::{Message, Wire, WireError};

    #[derive(Clone, Debug, PartialEq)]
    struct Word(&'static str, u64);

    impl Wire for Word {
        fn encode(&self, _: &mut Vec<u8>) {}
        fn decode(_: Bytes) -> Result<Self, WireError> {
            Ok(Word("", 0))
        }
        fn encoded_len(&self) -> usize {
            0
        }
    }

    impl Message for Word {}

    /// Numbers its words, says each to all others, and delivers a command with it.
    struct Speaker(u64);

    impl Replica for Speaker {
        type Message = Word;
        type Record = Word;

        fn step(&mut self, _: Time, input: Input<Word>, effects: &mut Effects<Self>) {
            if let Input::Timer(TimerId(0)) = input {
                self.0 += 1;
                effects.broadcast(ReplicaId(0), 4, &Word("true", self.0));
                effects.deliver(Slot(self.0), Command::new(CommandId(self.0), b""));
            }
        }
    }

    impl Corruptible for Speaker {
        fn contradict(&self, message: &Word) -> Option<Word> {
            Some(Word("other", message.1))
        }
        fn spoil(&self, message: &Word) -> Option<Word> {
            Some(Word("spoilt", message.1))
        }
        fn rewrite_history(&self, message: &Word) -> Option<Word> {
            Some(Word("history", message.1))
        }
    }

    const LATE: Duration = Duration::from_nanos(100);

    /// What replica 0 of 4 says when it speaks once more at a time.
    fn speak(liar: &mut Byzantine<Speaker>, at: u64, input: Input<Word>) -> Effects<Speaker> {
        let mut effects = Effects::<Speaker>::default();
        liar.step(Time(at), input, &mut effects);
        liar.flush(Time(at), &mut effects);
        effects
    }

    fn liar(behaviour: Behaviour) -> Byzantine<Speaker> {
        let mut liar = Byzantine::new(Speaker(0), ReplicaId(0), 4, LATE);
        speak(&mut liar, 0, Input::Corrupt(behaviour));
        liar
    }

    fn words(effects: &Effects<Speaker>) -> Vec<(u32, &'static str, u64)> {
        effects.sends.iter().map(|(to, word)| (to.0, word.0, word.1)).collect()
    }

    #[test]
    fn each_behaviour_twists_what_is_said_in_its_own_way() {
        let to_all = |word| vec![(1, word, 1), (2, word, 1), (3, word, 1)];
        for (behaviour, expected) in [
            (Behaviour::Honest, to_all("true")),
            (Behaviour::Silent, vec![]),
            (Behaviour::Slow, vec![]),
            (Behaviour::Equivocate, vec![(1, "other", 1), (2, "true", 1), (3, "other", 1)]),
            (Behaviour::CorruptSignatures, to_all("spoilt")),
            (Behaviour::LyingViewChange, to_all("history")),
            (Behaviour::SelectiveSending, vec![(1, "true", 1)]),
        ] {
            let said = speak(&mut liar(behaviour), 1, Input::Timer(TimerId(0)));
            assert_eq!(words(&said), expected, "{behaviour:?}");
            assert_eq!(said.mute, behaviour == Behaviour::Silent);
            assert_eq!(!said.replies.is_empty(), behaviour == Behaviour::Equivocate);
        }
    }

    #[test]
    fn a_slow_replica_says_everything_in_the_end() {
        let mut liar = liar(Behaviour::Slow);
        assert!(words(&speak(&mut liar, 1, Input::Timer(TimerId(0)))).is_empty());
        assert!(words(&speak(&mut liar, 100, Input::Timer(RELEASE))).is_empty());
        assert_eq!(words(&speak(&mut liar, 101, Input::Timer(RELEASE))).len(), 3);
        speak(&mut liar, 102, Input::Timer(TimerId(0)));
        let honest = speak(&mut liar, 103, Input::Corrupt(Behaviour::Honest));
        assert!(words(&honest).is_empty(), "what was held back stays late");
        assert_eq!(words(&speak(&mut liar, 202, Input::Timer(RELEASE))).len(), 3);
    }

    #[test]
    fn replays_are_old_words_beside_new_ones() {
        let mut liar = liar(Behaviour::Replay);
        let first = speak(&mut liar, 1, Input::Timer(TimerId(0)));
        let second = speak(&mut liar, 2, Input::Timer(TimerId(0)));
        let count =
            |said: &Effects<Speaker>, number| words(said).iter().filter(|word| word.2 == number).count();
        assert!(count(&first, 1) > 3, "its own first words count as old");
        assert_eq!(count(&second, 2), 3);
        assert_eq!(count(&second, 1), 3);
    }
}
