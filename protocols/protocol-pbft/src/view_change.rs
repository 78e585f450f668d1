//! View changes (OSDI '99 §4.4, with the decision of TOCS 2002; see [`decision`](crate::decision)).

use std::sync::Arc;

use protocol_core::{ReplicaId, View};

use crate::authenticator::Signature;
use crate::batch::Batch;
use crate::certificates::{NewView, Seen, ViewChange};
use crate::decision::{Decision, decide};
use crate::messages::{Body, Vote, primary_of};
use crate::quorums::Flaw;
use crate::records::Record;
use crate::replica::{Out, PbftReplica, SUSPICION};

impl PbftReplica {
    /// Something took too long: the primary is to go. A replica that is proved to be behind has itself
    /// to blame, and catches up first.
    ///
    /// A timer belongs to the view in which it was set: a replica that asks for view v + 1 gives it the time
    /// T, counted from the 2f + 1st VIEW-CHANGE on (OSDI '99 §4.5.2). The last view's timer may still run out
    /// in the round in which this replica followed others out of that view, and is void then. Otherwise the
    /// replica would at once leave the view that it has just followed them into; where all timers run out
    /// together that happens in every view, and with f replicas away none has a quorum.
    pub(crate) fn on_suspicion(&mut self, out: &mut Out) {
        if self.suspicion.take().is_some() && (!self.active || self.checkpoints.ahead.is_none()) {
            self.leave_view(self.view + 1, out);
        }
    }

    /// The view changed: what the timer was set for is over, whatever is waited for next.
    fn stop_suspecting(&mut self, out: &mut Out) {
        self.suspicion = None;
        out.cancel_timer(SUSPICION);
    }

    /// Leaves the view for a later one, and says what it brings along: VIEW-CHANGE.
    fn leave_view(&mut self, view: u64, out: &mut Out) {
        self.view = view;
        self.active = false;
        self.failures += 1;
        self.stop_suspecting(out);
        self.pool.clear_queue();
        self.log.iter_mut().for_each(|(_, slot)| slot.leave_view());
        let change = Arc::new(self.describe().signed(&self.keys));
        out.signed(1);
        self.persist(out, || Record::ViewChange(change.clone()));
        self.changes[self.id.index()] = Some(change.clone());
        self.broadcast(Body::ViewChange(change), out);
        out.new_view(View(view), None);
        self.begin_view(out);
    }

    /// The sets C, P and Q.
    fn describe(&self) -> ViewChange {
        let (mut prepared, mut preprepared) = (Vec::new(), Vec::new());
        for (seq, slot) in self.log.iter() {
            let seen = |view, digest| Seen { seq, view, digest };
            let forgets = self.quorums.flaw == Some(Flaw::ForgottenPrepared);
            prepared.extend(slot.prepared.filter(|_| !forgets).map(|(view, digest)| seen(view, digest)));
            preprepared.extend(slot.preprepared.iter().map(|&(digest, view)| seen(view, digest)));
        }
        ViewChange {
            view: self.view,
            stable: self.checkpoints.stable.as_ref().map(|(certificate, _)| certificate.clone()),
            prepared,
            preprepared,
            replica: self.id,
            signature: Signature::from_bytes(&[0; 64]),
        }
    }

    /// VIEW-CHANGE of a peer.
    pub(crate) fn on_view_change(&mut self, from: ReplicaId, change: Arc<ViewChange>, out: &mut Out) {
        let known = self.changes[from.index()].as_ref().map_or(0, |known| known.view);
        if change.view <= known || change.view < self.view || (change.view == self.view && self.active) {
            return;
        }
        if change.replica != from || !self.believes_change(&change, out) {
            return self.accuse(from, "sent a VIEW-CHANGE that is false or not its own", out);
        }
        self.changes[from.index()] = Some(change);
        self.follow(out);
        self.begin_view(out);
    }

    fn believes_change(&self, change: &ViewChange, out: &mut Out) -> bool {
        if self.quorums.believes_everything() {
            return true;
        }
        out.verified(1 + change.stable.as_ref().map_or(0, |stable| stable.votes.len() as u64));
        change.is_signed(&self.keys)
            && change.is_well_formed(self.options.log_window, &self.quorums, &self.keys)
    }

    /// Joins a view change that f + 1 others want, one of them honest: without waiting for the own timer, and
    /// in the earliest of their views (§4.5.2).
    fn follow(&mut self, out: &mut Out) {
        let later = self.changes.iter().flatten().map(|change| change.view).filter(|&view| view > self.view);
        let later: Vec<u64> = later.collect();
        if later.len() >= self.quorums.honest()
            && let Some(&view) = later.iter().min()
        {
            self.leave_view(view, out);
        }
    }

    /// As primary of the view that is asked for, begins it as soon as a quorum's view changes allow a
    /// decision: NEW-VIEW.
    fn begin_view(&mut self, out: &mut Out) {
        if self.active || self.primary() != self.id {
            return;
        }
        let wanted = self.changes.iter().flatten().filter(|change| change.view == self.view);
        let changes: Vec<Arc<ViewChange>> = wanted.cloned().collect();
        let Some(decision) = decide(&changes, &self.quorums) else { return };
        let new_view = NewView {
            view: self.view,
            changes,
            chosen: decision.chosen.clone(),
            signature: Signature::from_bytes(&[0; 64]),
        };
        let new_view = Arc::new(new_view.signed(&self.keys));
        out.signed(1);
        self.persist(out, || Record::NewView(new_view.clone()));
        self.broadcast(Body::NewView(new_view.clone()), out);
        self.enter(new_view, decision, out);
    }

    /// NEW-VIEW of a primary, passed on by anyone: taken when what it begins with follows from the view
    /// changes that it shows.
    pub(crate) fn on_new_view(&mut self, new_view: Arc<NewView>, out: &mut Out) {
        if new_view.view < self.view || (new_view.view == self.view && self.active) {
            return;
        }
        let primary = primary_of(new_view.view, self.replicas);
        out.verified(1);
        if !new_view.is_signed(primary, &self.keys) {
            return;
        }
        let Some(decision) = self.check_new_view(&new_view, out) else {
            return self.accuse(primary, "sent a NEW-VIEW that does not follow from its view changes", out);
        };
        self.persist(out, || Record::NewView(new_view.clone()));
        self.enter(new_view, decision, out);
    }

    fn check_new_view(&self, new_view: &NewView, out: &mut Out) -> Option<Decision> {
        let ascending = new_view.changes.windows(2).all(|pair| pair[0].replica < pair[1].replica);
        let believed = new_view.changes.iter().all(|change| {
            let known = self.changes.get(change.replica.index()).and_then(Option::as_ref);
            change.view == new_view.view && (known == Some(change) || self.believes_change(change, out))
        });
        let decision = decide(&new_view.changes, &self.quorums)?;
        (ascending && believed && decision.chosen == new_view.chosen).then_some(decision)
    }

    fn enter(&mut self, new_view: Arc<NewView>, decision: Decision, out: &mut Out) {
        self.view = new_view.view;
        self.active = true;
        self.stop_suspecting(out);
        self.log.iter_mut().for_each(|(_, slot)| slot.leave_view());
        self.settled = new_view.settled();
        self.new_view = Some(new_view);
        self.next = self.settled.max(self.executed) + 1;
        out.new_view(View(self.view), Some(self.primary()));
        if let Some(stable) = decision.stable.filter(|stable| stable.seq > self.log.low()) {
            self.on_proof(stable, out);
        }
        self.adopt_chosen(out);
        if self.leads() {
            self.requeue();
        }
        self.take_early(out);
    }

    /// As primary, proposes again what waits and was not chosen.
    pub(crate) fn requeue(&mut self) {
        let open = self.log.iter().filter_map(|(_, slot)| slot.content(&slot.wanted()?));
        let under_way: protocol_core::IdSet =
            open.flat_map(|content| content.batch.entries()).map(|entry| entry.id).collect();
        self.pool.requeue(|id| under_way.contains(id));
    }

    /// Takes what the view began with for PRE-PREPAREs of its primary.
    pub(crate) fn adopt_chosen(&mut self, out: &mut Out) {
        let Some(new_view) = self.new_view.clone().filter(|_| self.active) else { return };
        let (view, leads, null) = (self.view, self.leads(), Batch::null());
        for &(seq, digest) in &new_view.chosen {
            let Some(slot) = self.log.entry(seq).filter(|slot| slot.proposal.is_none()) else { continue };
            (slot.proposal, slot.chosen) = (Some(digest), true);
            if leads {
                // The NEW-VIEW is the primary's word, whether or not it has the batch yet.
                slot.sent_prepare = true;
                slot.preprepare(view, digest);
                self.persist(out, || Record::PrePrepared(Vote { view, seq, digest }));
            }
            if digest == null.digest() {
                self.offer(seq, null.clone());
            }
            self.complete(seq, out);
        }
    }

    /// PRE-PREPAREs that came before the view began.
    fn take_early(&mut self, out: &mut Out) {
        let (view, primary) = (self.view, self.primary());
        let mut early = Vec::new();
        for (seq, slot) in self.log.iter_mut() {
            if let Some((_, batch)) = slot.early.take_if(|(of, _)| *of <= view).filter(|(of, _)| *of == view)
            {
                early.push((seq, batch));
            }
        }
        for (seq, batch) in early {
            self.on_pre_prepare(primary, view, seq, batch, out);
        }
    }
}
