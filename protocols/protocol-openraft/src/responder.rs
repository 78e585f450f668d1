//! Requests that wait inside the library, and the way their results come back.
//!
//! The library keeps one responder per entry of a leader and calls it when the entry is committed
//! and when it is applied. Ours is a key into a table of the replica, so neither a task nor a
//! channel is needed per request, and requests can be taken back: when their deadline passes, when
//! the replica crashes, or when it can no longer commit.
#![expect(clippy::disallowed_methods, reason = "the adapter measures real time")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use openraft::OptionalSend;
use openraft::errors::ClientWriteError;
use openraft::raft::ClientWriteResult;
use protocol_core::{Committed, Flush, Milestones, ReplicaId, Request, SharedClient, Slot, SubmitError};

use crate::environment::{Environment, RealTime, Ticket};
use crate::marks::Marks;
use crate::types::{LogId, Proposal, TypeConfig};

/// The requests that one life of a replica has taken up.
pub(crate) struct Waiting {
    id: ReplicaId,
    client: Arc<SharedClient>,
    /// Entries that were sent to a first peer.
    sent: Arc<Marks>,
    /// Entries that are durable in the replica's own log, when that is on disk.
    flushed: Option<Arc<Marks>>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    places: Vec<Place>,
    vacant: Vec<u32>,
}

#[derive(Default)]
struct Place {
    /// Counts the requests that were here, so that a late result finds out it is late.
    generation: u32,
    waiter: Option<Waiter>,
}

struct Waiter {
    request: Request,
    taken_up: Instant,
}

#[derive(Clone, Copy)]
struct Key {
    place: u32,
    generation: u32,
}

impl Waiting {
    pub(crate) fn new(
        id: ReplicaId,
        client: Arc<SharedClient>,
        sent: Arc<Marks>,
        flushed: Option<Arc<Marks>>,
    ) -> Self {
        Waiting { id, client, sent, flushed, table: Mutex::default() }
    }

    /// Takes up requests, and gives what the library is asked to write for each.
    pub(crate) fn take_up<'a>(
        self: &'a Arc<Self>,
        requests: &'a mut Vec<Request>,
        proposals: &mut Vec<(Proposal, WriteResponder)>,
    ) {
        let taken_up = Instant::now();
        let mut table = self.table();
        for request in requests.drain(..) {
            let proposal = Proposal(request.command.clone());
            let key = table.insert(Waiter { request, taken_up });
            let ticket = RequestTicket { waiting: self.clone(), key: Some(key), committed: None };
            proposals.push((proposal, Responder::of(ticket)));
        }
    }

    /// Gives all requests back to the client, which tries elsewhere.
    pub(crate) fn hand_back_all(&self, leader: Option<ReplicaId>) {
        for waiter in self.remove_where(|_| true) {
            self.client.refused(self.id, waiter.request, leader);
        }
    }

    /// Answers requests whose deadline passed.
    pub(crate) fn expire(&self) {
        let now = Instant::now();
        for waiter in self.remove_where(|waiter| waiter.request.deadline <= now) {
            waiter.request.reply.answer(Err(SubmitError::TimedOut));
        }
    }

    fn milestones(&self, waiter: &Waiter, entry: LogId, committed: Instant, applied: Instant) -> Milestones {
        let since_sent = |at: Instant| nanos(at.saturating_duration_since(waiter.request.sent));
        let flush = self.flushed.as_ref().map_or(Flush::None, |flushed| {
            flushed.time_of(entry).map_or(Flush::Pending, |at| Flush::Done(since_sent(at)))
        });
        Milestones {
            sent: 0,
            taken_up: since_sent(waiter.taken_up),
            replicated: self.sent.time_of(entry).map(since_sent),
            flush,
            committed: since_sent(committed),
            applied: since_sent(applied),
        }
    }

    fn remove_where(&self, wanted: impl Fn(&Waiter) -> bool) -> Vec<Waiter> {
        let mut table = self.table();
        let keys: Vec<Key> = (0..)
            .zip(&table.places)
            .filter(|(_, place)| place.waiter.as_ref().is_some_and(&wanted))
            .map(|(index, place)| Key { place: index, generation: place.generation })
            .collect();
        keys.into_iter().filter_map(|key| table.remove(key)).collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn insert(&mut self, waiter: Waiter) -> Key {
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            self.places.len() as u32 - 1
        });
        let place = &mut self.places[index as usize];
        place.waiter = Some(waiter);
        Key { place: index, generation: place.generation }
    }

    fn remove(&mut self, key: Key) -> Option<Waiter> {
        let place = &mut self.places[key.place as usize];
        if place.generation != key.generation {
            return None;
        }
        let waiter = place.waiter.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.vacant.push(key.place);
        Some(waiter)
    }
}

/// The responder of a client's write.
pub(crate) type WriteResponder<E = RealTime> = Responder<ClientWriteResult<TypeConfig<E>>, E>;

/// Takes a result of the library. The function makes one type serve all kinds of results, as the
/// library demands.
pub struct Responder<T, E: Environment = RealTime> {
    ticket: E::Ticket,
    complete: fn(E::Ticket, T),
}

impl<E: Environment> WriteResponder<E> {
    pub(crate) fn of(ticket: E::Ticket) -> Self {
        Responder { ticket, complete: Ticket::complete }
    }
}

impl<T, E> openraft::raft::responder::Responder<TypeConfig<E>, T> for Responder<T, E>
where
    T: OptionalSend + 'static,
    E: Environment,
{
    fn on_commit(&mut self, _: LogId) {
        self.ticket.committed();
    }

    fn on_complete(self, result: T) {
        (self.complete)(self.ticket, result);
    }
}

impl<T, E: Environment> std::fmt::Debug for Responder<T, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Responder").finish_non_exhaustive()
    }
}

/// The right to answer one request. Dropped unused (the library stopped), it hands the request back.
pub struct RequestTicket {
    waiting: Arc<Waiting>,
    key: Option<Key>,
    committed: Option<Instant>,
}

impl Ticket<RealTime> for RequestTicket {
    fn committed(&mut self) {
        self.committed = Some(Instant::now());
    }

    fn complete(mut self, result: ClientWriteResult<TypeConfig>) {
        let committed = self.committed;
        let Some(waiter) = self.claim() else { return };
        match result {
            Ok(written) => {
                let applied = written.data.time.unwrap_or_else(Instant::now);
                let committed = committed.unwrap_or(applied);
                let milestones = self.waiting.milestones(&waiter, written.log_id, committed, applied);
                let (slot, phases) = (Slot(written.log_id.index), milestones.phases());
                waiter.request.reply.answer(Ok(Committed { slot, output: 0, phases }));
            }
            Err(error) => {
                let leader = match error {
                    ClientWriteError::ForwardToLeader(forward)
                    | ClientWriteError::LogEntryDiscarded(forward) => forward.leader_id,
                    _ => None,
                };
                let leader = leader.map(|leader| ReplicaId(leader as u32));
                self.waiting.client.refused(self.waiting.id, waiter.request, leader);
            }
        }
    }
}

impl RequestTicket {
    fn claim(&mut self) -> Option<Waiter> {
        self.waiting.table().remove(self.key.take()?)
    }
}

impl Drop for RequestTicket {
    fn drop(&mut self) {
        if let Some(waiter) = self.claim() {
            self.waiting.client.refused(self.waiting.id, waiter.request, None);
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use openraft::raft::ClientWriteResponse;
    use openraft::raft::responder::Responder as _;
    use protocol_core::{Answers, ClientRule, Command, CommandId, Reply};
    use tokio::sync::mpsc;

    use super::*;
    use crate::types::AppliedAt;

    type Outcome = (CommandId, Result<Committed, SubmitError>);

    struct Record(mpsc::UnboundedSender<Outcome>);

    impl Answers for Record {
        fn answer(&self, id: CommandId, outcome: Result<Committed, SubmitError>) {
            self.0.send((id, outcome)).unwrap();
        }
    }

    struct Bench {
        waiting: Arc<Waiting>,
        answers: Arc<Record>,
        outcomes: mpsc::UnboundedReceiver<Outcome>,
        offers: mpsc::UnboundedReceiver<(ReplicaId, Request)>,
    }

    impl Bench {
        fn new() -> Self {
            let (offered, offers) = mpsc::unbounded_channel();
            let offer = move |to, request| offered.send((to, request)).map_err(|error| error.0.1);
            let (client, _) = SharedClient::start(3, ClientRule::Leader, None, Box::new(offer));
            let (sender, outcomes) = mpsc::unbounded_channel();
            let waiting = Arc::new(Waiting::new(ReplicaId(0), client, Arc::default(), None));
            Bench { waiting, answers: Arc::new(Record(sender)), outcomes, offers }
        }

        fn take_up(&self, id: u64, patience: Duration) -> WriteResponder {
            let (id, sent) = (CommandId(id), Instant::now());
            let reply = Reply::new(id, self.answers.clone());
            let request = Request::new(Command::new(id, b""), sent, sent + patience, reply);
            let mut proposals = Vec::new();
            self.waiting.take_up(&mut vec![request], &mut proposals);
            proposals.remove(0).1
        }
    }

    fn log_id(index: u64) -> LogId {
        LogId { leader_id: openraft::vote::leader_id_std::CommittedLeaderId::new(1), index }
    }

    fn written(index: u64) -> ClientWriteResult<TypeConfig> {
        let data = AppliedAt { time: Some(Instant::now()) };
        Ok(ClientWriteResponse { log_id: log_id(index), data, membership: None })
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_result_reaches_its_request_and_a_late_one_reaches_nobody() {
        let mut bench = Bench::new();
        let late = bench.take_up(7, Duration::ZERO);
        bench.waiting.expire();
        assert_eq!(bench.outcomes.recv().await, Some((CommandId(7), Err(SubmitError::TimedOut))));
        // Takes the place that 7 had.
        let mut current = bench.take_up(8, LONG);
        late.on_complete(written(1));
        assert!(bench.outcomes.try_recv().is_err());
        current.on_commit(log_id(2));
        current.on_complete(written(2));
        let (id, outcome) = bench.outcomes.recv().await.unwrap();
        assert_eq!((id, outcome.unwrap().slot), (CommandId(8), Slot(2)));
    }

    #[tokio::test]
    async fn a_request_without_a_result_goes_back_to_the_client() {
        let mut bench = Bench::new();
        drop(bench.take_up(1, LONG));
        assert_eq!(bench.offers.recv().await.unwrap().1.command.id(), CommandId(1));
        let handed_back = bench.take_up(2, LONG);
        bench.waiting.hand_back_all(Some(ReplicaId(2)));
        let (to, request) = bench.offers.recv().await.unwrap();
        assert_eq!((to, request.command.id()), (ReplicaId(2), CommandId(2)));
        drop(handed_back);
        assert!(bench.offers.try_recv().is_err(), "it went back once");
    }
}
