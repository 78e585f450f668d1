//! Carries the library's calls over our network, which loses messages without a word.
//!
//! The library calls (request and answer), the network sends (one way). An [`Endpoint`] is one life
//! of one replica on the network: it numbers calls, matches answers, gives up on answers that do not
//! come, and serves the calls of others. A replica that crashes takes its endpoint with it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::alias::{SnapshotOf, VoteOf};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, VoteRequest,
    VoteResponse,
};
use openraft::{AsyncRuntime, OptionalSend, RPCTypes};
use protocol_core::ReplicaId;
use tokio::sync::{mpsc, oneshot};

use crate::append_stream::{Incoming, Outgoing, Reply};
use crate::environment::{Carrier, Environment, RealTime, Tasks};
use crate::marks::Marks;
use crate::types::{Answer, Question, Raft, Rpc, Snapshot, TypeConfig};

pub(crate) type CallError<E> = RPCError<TypeConfig<E>>;

/// How the library's calls are carried; the same for all replicas.
#[derive(Clone, Debug)]
pub(crate) struct Carriage {
    /// The library is told that a replication stream failed when an answer takes longer than this.
    pub(crate) patience: Duration,
    /// The library waits so long before it tries an unreachable replica again.
    pub(crate) pause: Duration,
    /// Requests of a replication stream that may wait for their answers.
    pub(crate) window: u64,
    /// Bytes per second of the slowest link, if it has a limit: to tell how long a snapshot takes.
    pub(crate) bandwidth: Option<f64>,
    /// Numbers calls and streams, across all lives of all replicas, so that a late answer never
    /// matches the call of a later life.
    pub(crate) numbers: Arc<AtomicU64>,
}

/// One life of one replica on the network.
pub(crate) struct Endpoint<E: Environment> {
    pub(crate) id: ReplicaId,
    network: E::Network,
    pub(crate) carriage: Carriage,
    pub(crate) tasks: E::Tasks,
    /// Whether messages wait, because the replica stands still or has yet to handle those before.
    waits: AtomicBool,
    backlog: Mutex<VecDeque<(ReplicaId, Rpc<E>)>>,
    raft: OnceLock<Raft<E>>,
    /// Entries that were sent to a first peer.
    pub(crate) sent: Arc<Marks>,
    open: AtomicBool,
    asked: Mutex<BTreeMap<u64, oneshot::Sender<Answer<E>>>>,
    outgoing: Mutex<BTreeMap<u64, mpsc::UnboundedSender<Reply<E>>>>,
    incoming: Mutex<BTreeMap<ReplicaId, Incoming<E>>>,
}

impl<E: Environment> Endpoint<E> {
    /// An endpoint for a replica that has yet to be built on it.
    pub(crate) fn new(id: ReplicaId, network: E::Network, tasks: E::Tasks, carriage: Carriage) -> Self {
        Endpoint {
            id,
            network,
            carriage,
            tasks,
            waits: AtomicBool::new(false),
            backlog: Mutex::default(),
            raft: OnceLock::new(),
            sent: Arc::default(),
            open: AtomicBool::new(true),
            asked: Mutex::default(),
            outgoing: Mutex::default(),
            incoming: Mutex::default(),
        }
    }

    /// Serves calls by this replica from now on.
    pub(crate) fn serve_with(&self, raft: Raft<E>) {
        self.raft.set(raft).ok();
    }

    /// Sends and takes nothing any more.
    pub(crate) fn close(&self) {
        self.open.store(false, Relaxed);
        held(&self.asked).clear();
        held(&self.outgoing).clear();
        held(&self.incoming).clear();
        held(&self.backlog).clear();
    }

    /// Runs a task of this replica.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    pub(crate) fn send(&self, to: ReplicaId, message: Rpc<E>) {
        if self.open.load(Relaxed) {
            self.network.send(self.id, to, message);
        }
    }

    /// To be called before a request to append is sent, so that no answer to it is earlier.
    pub(crate) fn note_sent(&self, request: &AppendEntriesRequest<TypeConfig<E>>) {
        if let (true, Some(last)) = (E::NOTES_PHASES, request.entries.last()) {
            self.sent.passed(last.log_id);
        }
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.carriage.numbers.fetch_add(1, Relaxed)
    }

    /// Takes a message. Called on the network's tasks and threads.
    pub(crate) fn receive(self: &Arc<Self>, from: ReplicaId, message: Rpc<E>) {
        if self.waits.load(Relaxed) {
            let mut backlog = held(&self.backlog);
            if self.waits.load(Relaxed) {
                backlog.push_back((from, message));
                return;
            }
        }
        self.handle(from, message);
    }

    fn handle(self: &Arc<Self>, from: ReplicaId, message: Rpc<E>) {
        // Locks are released before anything is sent: on the channel network that runs the
        // receiver's `receive` within ours.
        match message {
            Rpc::Append { stream, sequence, request } => {
                self.take_append(from, stream, sequence, request);
            }
            Rpc::Appended { stream, sequence, result } => {
                self.pass_to_stream(stream, Reply::Result(sequence, result));
            }
            Rpc::Broken { stream } => self.pass_to_stream(stream, Reply::Broken),
            Rpc::Ask { number, question } => {
                let endpoint = self.clone();
                self.spawn(async move {
                    // A replica that stopped does not answer, as if it were gone already.
                    if let Some(answer) = endpoint.answer(question).await {
                        endpoint.send(from, Rpc::Answer { number, answer });
                    }
                });
            }
            Rpc::Answer { number, answer } => {
                let asker = held(&self.asked).remove(&number);
                if let Some(asker) = asker {
                    asker.send(answer).ok();
                }
            }
        }
    }

    fn take_append(
        self: &Arc<Self>,
        from: ReplicaId,
        stream: u64,
        sequence: u64,
        request: AppendEntriesRequest<TypeConfig<E>>,
    ) {
        let Some(raft) = self.raft.get() else { return };
        let unbroken = {
            let mut incoming = held(&self.incoming);
            if incoming.get(&from).is_none_or(|current| current.stream < stream) {
                incoming.insert(from, Incoming::start(self, from, stream, raft));
            }
            match incoming.get_mut(&from) {
                Some(current) if current.stream == stream => current.take(sequence, request),
                // A late message of a stream that was given up.
                _ => true,
            }
        };
        if !unbroken {
            self.send(from, Rpc::Broken { stream });
        }
    }

    fn pass_to_stream(&self, stream: u64, reply: Reply<E>) {
        if let Some(waiting) = held(&self.outgoing).get(&stream) {
            waiting.send(reply).ok();
        }
    }

    async fn answer(&self, question: Question<E>) -> Option<Answer<E>> {
        let raft = self.raft.get()?;
        Some(match question {
            Question::Heartbeat(request) => Answer::Heartbeat(raft.append_entries(request).await.ok()?),
            Question::Append(request) => Answer::Append(raft.append_entries(request).await.ok()?),
            Question::Vote(request) => Answer::Vote(raft.vote(request).await.ok()?),
            Question::PreVote(request) => Answer::Vote(raft.pre_vote(request).await.ok()?),
            Question::Snapshot { vote, meta, state } => {
                let snapshot = Snapshot { meta, snapshot: state };
                Answer::Snapshot(raft.install_full_snapshot(vote, snapshot).await.ok()?)
            }
        })
    }

    /// Registers a replication stream; its replies come through the channel.
    pub(crate) fn open_stream(&self) -> (u64, mpsc::UnboundedReceiver<Reply<E>>) {
        let (sender, replies) = mpsc::unbounded_channel();
        let stream = self.next_number();
        if self.open.load(Relaxed) {
            held(&self.outgoing).insert(stream, sender);
        }
        (stream, replies)
    }

    pub(crate) fn close_stream(&self, stream: u64) {
        held(&self.outgoing).remove(&stream);
    }
}

impl Endpoint<RealTime> {
    /// The replica stands still; false when it does already.
    pub(crate) fn pause(&self) -> bool {
        let pauses = !self.tasks.gate.is_closed();
        self.waits.store(true, Relaxed);
        self.tasks.gate.close();
        pauses
    }

    /// The replica goes on, with the messages that came meanwhile; false when it does not stand still.
    pub(crate) fn resume(self: &Arc<Self>) -> bool {
        if !self.tasks.gate.is_closed() {
            return false;
        }
        self.tasks.gate.open();
        loop {
            let waited = {
                let mut backlog = held(&self.backlog);
                if backlog.is_empty() {
                    self.waits.store(false, Relaxed);
                    return true;
                }
                std::mem::take(&mut *backlog)
            };
            for (from, message) in waited {
                self.handle(from, message);
            }
        }
    }
}

pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the links of one replica to its peers.
#[derive(Clone)]
pub(crate) struct Links<E: Environment>(pub(crate) Arc<Endpoint<E>>);

impl<E: Environment> RaftNetworkFactory<TypeConfig<E>> for Links<E> {
    type Network = Link<E>;

    async fn new_client(&mut self, target: u64, _: &()) -> Link<E> {
        Link { endpoint: self.0.clone(), to: ReplicaId(target as u32) }
    }
}

/// The way from one replica to another.
pub(crate) struct Link<E: Environment> {
    endpoint: Arc<Endpoint<E>>,
    to: ReplicaId,
}

impl<E: Environment> Link<E> {
    /// Asks and waits for the answer, at most `patience`.
    async fn ask<T>(
        &self,
        question: Question<E>,
        action: RPCTypes,
        patience: Duration,
        expected: impl FnOnce(Answer<E>) -> Option<T>,
    ) -> Result<T, CallError<E>> {
        let endpoint = &self.endpoint;
        let number = endpoint.next_number();
        let (asker, answer) = oneshot::channel();
        held(&endpoint.asked).insert(number, asker);
        // The library drops calls that it lost interest in.
        let _forget = Forget { endpoint, number };
        endpoint.send(self.to, Rpc::Ask { number, question });
        match E::Runtime::timeout(patience, answer).await {
            Ok(Ok(answer)) => expected(answer)
                .ok_or_else(|| NetworkError::from_string("an answer to another question").into()),
            Ok(Err(_)) => Err(NetworkError::from_string("the replica crashed").into()),
            Err(_) => Err(timed_out(endpoint.id, self.to, action, patience).into()),
        }
    }

    async fn heartbeat(
        &self,
        request: AppendEntriesRequest<TypeConfig<E>>,
        patience: Duration,
    ) -> Result<StreamAppendResult<TypeConfig<E>>, CallError<E>> {
        let known = request.prev_log_id;
        let expected = |answer| match answer {
            Answer::Heartbeat(response) => Some(response.into_stream_result(known, known)),
            _ => None,
        };
        self.ask(Question::Heartbeat(request), RPCTypes::AppendEntries, patience, expected).await
    }
}

pub(crate) fn timed_out<E: Environment>(
    from: ReplicaId,
    to: ReplicaId,
    action: RPCTypes,
    timeout: Duration,
) -> Timeout<TypeConfig<E>> {
    Timeout { action, id: u64::from(from.0), target: u64::from(to.0), timeout }
}

struct Forget<'a, E: Environment> {
    endpoint: &'a Endpoint<E>,
    number: u64,
}

impl<E: Environment> Drop for Forget<'_, E> {
    fn drop(&mut self) {
        held(&self.endpoint.asked).remove(&self.number);
    }
}

impl<E: Environment> RaftNetworkV2<TypeConfig<E>> for Link<E> {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig<E>>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig<E>>, CallError<E>> {
        let expected = |answer| match answer {
            Answer::Append(response) => Some(response),
            _ => None,
        };
        self.endpoint.note_sent(&request);
        self.ask(Question::Append(request), RPCTypes::AppendEntries, option.soft_ttl(), expected).await
    }

    /// Without this the library sends one request at a time, and a commit takes two round trips.
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig<E>>, CallError<E>>>, CallError<E>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig<E>>> + OptionalSend + Unpin + 'static,
    {
        let link: &'s Link<E> = self;
        // The library's heartbeats are streams that say they hold one request; its replication
        // streams can't know how many they will hold.
        let results: BoxStream<'s, _> = if input.size_hint() == (1, Some(1)) {
            // Its own limit is the whole interval, which is short enough.
            Box::pin(input.then(move |request| link.heartbeat(request, option.hard_ttl())))
        } else {
            Outgoing::start(link.endpoint.clone(), link.to, input)
        };
        Box::pin(async move { Ok(results) })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig<E>>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig<E>>, CallError<E>> {
        self.ask(Question::Vote(request), RPCTypes::Vote, option.soft_ttl(), vote_in).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig<E>>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig<E>>, CallError<E>> {
        self.ask(Question::PreVote(request), RPCTypes::Vote, option.soft_ttl(), vote_in).await
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<TypeConfig<E>>,
        snapshot: SnapshotOf<TypeConfig<E>, Bytes>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig<E>>, StreamingError<TypeConfig<E>>> {
        let Snapshot { meta, snapshot: state } = snapshot;
        // Twice, because replication uses the same link.
        let transfer = match self.endpoint.carriage.bandwidth {
            Some(rate) => Duration::from_secs_f64(2.0 * state.len() as f64 / rate),
            None => Duration::ZERO,
        };
        let expected = |answer| match answer {
            Answer::Snapshot(response) => Some(response),
            _ => None,
        };
        let question = Question::Snapshot { vote, meta, state };
        let patience = option.soft_ttl() + transfer;
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            answer = self.ask(question, RPCTypes::InstallSnapshot, patience, expected) => Ok(answer?),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(self.endpoint.carriage.pause)))
    }
}

fn vote_in<E: Environment>(answer: Answer<E>) -> Option<VoteResponse<TypeConfig<E>>> {
    match answer {
        Answer::Vote(response) => Some(response),
        _ => None,
    }
}
