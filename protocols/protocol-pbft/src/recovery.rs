//! A replica's log on disk: what it must not forget, and how it goes on from there.
//!
//! Before a replica sends PRE-PREPARE or PREPARE it has written the batch and that it accepted it; before
//! COMMIT, that it prepared it; before VIEW-CHANGE and NEW-VIEW, those. So it never contradicts what it said
//! in an earlier life. It restarts from its last stable checkpoint, and executes again what the others
//! tell it was committed since.

use protocol_core::LaunchError;

use crate::certificates::NewView;
use crate::log::{Content, Request};
use crate::messages::Vote;
use crate::records::Record;
use crate::replica::{Out, PbftReplica};

impl NewView {
    /// Sequence numbers up to here were decided by it: by the checkpoint it begins at, or one by one.
    pub(crate) fn settled(&self) -> u64 {
        let stable = self.changes.iter().map(|change| change.low()).max().unwrap_or(0);
        self.chosen.last().map_or(stable, |&(seq, _)| seq.max(stable))
    }
}

impl PbftReplica {
    /// Reads the log.
    pub(crate) fn recover(&mut self, records: Vec<Record>) -> Result<(), LaunchError> {
        for record in records {
            match record {
                Record::ViewChange(change) => {
                    (self.view, self.active) = (change.view, false);
                    self.changes[self.id.index()] = Some(change);
                }
                Record::NewView(new_view) => {
                    (self.view, self.active) = (new_view.view, true);
                    self.settled = new_view.settled();
                    self.new_view = Some(new_view);
                }
                Record::PrePrepared(Vote { view, seq, digest }) => {
                    if let Some(slot) = self.log.entry(seq) {
                        slot.preprepare(view, digest);
                    }
                }
                Record::Prepared(Vote { view, seq, digest }) => {
                    if let Some(slot) = self.log.entry(seq) {
                        slot.prepared = Some((view, digest));
                    }
                }
                Record::Content(seq, batch, requests) => {
                    let mut content = Content::new(batch);
                    for (place, command) in requests {
                        let Some(opened) = self.seal.open(&command, &self.keys) else { continue };
                        let request = Request { command, authentic: opened.authentic };
                        if let Some(here) = content.requests.get_mut(place as usize) {
                            *here = Some(request);
                        }
                    }
                    let Content { requests, missing, .. } = &mut content;
                    missing.retain(|&place| requests[place as usize].is_none());
                    if let Some(slot) = self.log.entry(seq)
                        && slot.content(&content.batch.digest()).is_none()
                    {
                        slot.contents.push(content);
                    }
                }
                Record::Stable(certificate, snapshot) => {
                    if !self.load(&snapshot) {
                        let fault = "the log's last stable checkpoint holds no state of the application";
                        return Err(LaunchError::Library(fault.to_string()));
                    }
                    self.executed = certificate.seq;
                    self.log.advance(certificate.seq);
                    self.checkpoints.stable = Some((certificate, snapshot));
                }
            }
        }
        self.resume_view();
        Ok(())
    }

    /// Puts back what this replica has said in the view that it is in.
    fn resume_view(&mut self) {
        let (me, view, primary) = (self.id, self.view, self.primary());
        self.next = self.settled.max(self.executed) + 1;
        if !self.active {
            return;
        }
        for (seq, slot) in self.log.iter_mut() {
            let Some(&(digest, _)) = slot.preprepared.iter().find(|(_, of)| *of == view) else { continue };
            slot.proposal = Some(digest);
            slot.sent_prepare = true;
            self.next = self.next.max(seq + 1);
            if primary != me {
                slot.prepares.cast(view, digest, me);
            }
            if slot.prepared == Some((view, digest)) {
                slot.sent_commit = true;
                slot.commits.cast(view, digest, me);
            }
        }
    }

    /// Gives the application its state back.
    pub(crate) fn restore_application(&mut self, out: &mut Out) {
        if let Some((_, snapshot)) = &self.checkpoints.stable {
            out.restore(snapshot.clone());
        }
        self.adopt_chosen(out);
    }

    /// Replaces the log by what a restart needs.
    pub(crate) fn rewrite_log(&mut self, out: &mut Out) {
        if !self.options.durable {
            return;
        }
        let own_change = self.changes[self.id.index()].clone().filter(|_| !self.active);
        let mut records: Vec<Record> = self.new_view.clone().map(Record::NewView).into_iter().collect();
        records.extend(own_change.map(Record::ViewChange));
        let stable = self.checkpoints.stable.clone();
        records.extend(stable.map(|(certificate, snapshot)| Record::Stable(certificate, snapshot)));
        for (seq, slot) in self.log.iter() {
            records.extend(slot.contents.iter().map(|content| content.record(seq)));
            let vote = |(digest, view)| Vote { view, seq, digest };
            records.extend(slot.preprepared.iter().copied().map(vote).map(Record::PrePrepared));
            let prepared = slot.prepared.map(|(view, digest)| Vote { view, seq, digest });
            records.extend(prepared.map(Record::Prepared));
        }
        self.durability.bytes = 0;
        self.durability.rewritten();
        out.checkpoint(records);
    }
}
