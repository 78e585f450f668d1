//! What a leader knows of one replica's log (figure 2: nextIndex and matchIndex), and how much it may
//! send.

/// One replica's log as its leader sees it.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Entries up to here are known to be on the replica, durably.
    pub matched: u64,
    /// The entry to send next.
    pub next: u64,
    /// The leader's own first entry. Until the replica has it, one append is sent at a time, so that old
    /// entries travel slowly, and a leader may be lost between them and its own: without that, figure 8
    /// hardly ever comes up.
    own: u64,
    /// Whether an append waits for its answer before the next is sent. After a refusal too: an append
    /// lost is refused together with all that follow it, and each refusal would send them all again.
    probing: bool,
    /// A probe is out.
    waiting: bool,
}

impl Progress {
    /// At the start of a term (§5.3), in which the leader's own first entry is `own`.
    pub fn new(own: u64) -> Self {
        Progress { matched: 0, next: own, own, probing: true, waiting: false }
    }

    /// Whether the entry at `next`, if there is one, may be sent now.
    pub fn may_send(&self) -> bool {
        !self.probing || !self.waiting
    }

    /// `count` entries were sent.
    pub fn sent(&mut self, count: usize) {
        if self.probing {
            self.waiting = true;
        } else {
            self.next += count as u64;
        }
    }

    /// The replica has all entries up to `matched`.
    pub fn accepted(&mut self, matched: u64) {
        self.matched = self.matched.max(matched);
        self.next = if self.probing { self.matched + 1 } else { self.next.max(self.matched + 1) };
        (self.probing, self.waiting) = (self.matched < self.own, false);
    }

    /// The replica lacks the entry at `prev_index` and asks for those from `next` on. Refusals that
    /// were overtaken say nothing new.
    pub fn refused(&mut self, prev_index: u64, next: u64) {
        let overtaken = if self.probing { prev_index + 1 != self.next } else { prev_index <= self.matched };
        if !overtaken {
            self.next = next.max(self.matched + 1);
            (self.probing, self.waiting) = (true, false);
        }
    }
}
