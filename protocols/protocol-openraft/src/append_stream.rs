//! Replication streams: many requests under way at once, answered in order.
//!
//! The network may lose, double and reorder messages. Requests are numbered and put back in order
//! before the library sees them; a success holds for all requests before it, so a lost answer is
//! made up for by the next. For a lost request the stream is given up, and the library starts
//! another from what the follower is known to have.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use openraft::alias::{InstantOf, SleepOf};
use openraft::base::BoxStream;
use openraft::errors::NetworkError;
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use openraft::type_config::TypeConfigExt;
use openraft::{Instant, OptionalSend, RPCTypes};
use protocol_core::ReplicaId;
use tokio::sync::mpsc;

use crate::environment::Environment;
use crate::network::{CallError, Endpoint, timed_out};
use crate::types::{Raft, Rpc, TypeConfig};

type Request<E> = AppendEntriesRequest<TypeConfig<E>>;
type AppendResult<E> = StreamAppendResult<TypeConfig<E>>;
type Moment<E> = InstantOf<TypeConfig<E>>;
type Sleep<E> = SleepOf<TypeConfig<E>>;

/// Requests that may overtake a missing one before it counts as lost.
const HELD_BACK: usize = 16;

/// What comes back to the sender of a stream.
pub(crate) enum Reply<E: Environment> {
    /// The result of one request.
    Result(u64, AppendResult<E>),
    /// The receiver misses a request.
    Broken,
}

/// The sender's end.
pub(crate) struct Outgoing<E: Environment, S> {
    endpoint: Arc<Endpoint<E>>,
    to: ReplicaId,
    stream: u64,
    input: S,
    input_ended: bool,
    replies: mpsc::UnboundedReceiver<Reply<E>>,
    /// Requests sent, and how many of them are answered.
    sent: u64,
    answered: u64,
    /// When the oldest unanswered request was sent, or the latest answer came.
    progress: Moment<E>,
    alarm: Pin<Box<Sleep<E>>>,
}

impl<E, S> Outgoing<E, S>
where
    E: Environment,
    S: Stream<Item = Request<E>> + OptionalSend + Unpin + 'static,
{
    /// Sends the requests as they come, and yields their results.
    pub(crate) fn start(
        endpoint: Arc<Endpoint<E>>,
        to: ReplicaId,
        input: S,
    ) -> BoxStream<'static, Result<AppendResult<E>, CallError<E>>> {
        let (stream, replies) = endpoint.open_stream();
        let outgoing = Outgoing {
            endpoint,
            to,
            stream,
            input,
            input_ended: false,
            replies,
            sent: 0,
            answered: 0,
            progress: TypeConfig::<E>::now(),
            alarm: Box::pin(TypeConfig::<E>::sleep(Duration::ZERO)),
        };
        Box::pin(stream::unfold(Some(outgoing), async |outgoing| {
            let mut outgoing = outgoing?;
            let result = outgoing.next_result().await?;
            // The library starts another stream after anything but a success.
            let rest = matches!(result, Ok(Ok(_))).then_some(outgoing);
            Some((result, rest))
        }))
    }

    async fn next_result(&mut self) -> Option<Result<AppendResult<E>, CallError<E>>> {
        loop {
            let waiting = self.sent - self.answered;
            if waiting == 0 && self.input_ended {
                return None;
            }
            // Requests are taken before any error is given: the library waits out its backoff
            // inside `input`, and a stream that failed without taking one would fail again at once.
            tokio::select! {
                biased;
                Some(reply) = self.replies.recv() => match reply {
                    Reply::Result(sequence, _) if sequence < self.answered => {}
                    Reply::Result(sequence, result) => {
                        self.answered = sequence + 1;
                        self.progress = TypeConfig::<E>::now();
                        return Some(Ok(result));
                    }
                    Reply::Broken => {
                        let error = NetworkError::from_string("the follower misses a request");
                        return Some(Err(error.into()));
                    }
                },
                request = self.input.next(), if !self.input_ended && waiting < self.endpoint.carriage.window => {
                    match request {
                        Some(request) => self.send(request),
                        None => self.input_ended = true,
                    }
                }
                () = &mut self.alarm, if waiting > 0 => {
                    let patience = self.endpoint.carriage.patience;
                    if self.progress.elapsed() >= patience {
                        let timeout = timed_out(self.endpoint.id, self.to, RPCTypes::AppendEntries, patience);
                        return Some(Err(timeout.into()));
                    }
                    // Moved only when it rings, because tokio's timers are dear to move.
                    self.alarm.set(TypeConfig::<E>::sleep_until(self.progress + patience));
                }
            }
        }
    }

    fn send(&mut self, request: Request<E>) {
        if self.sent == self.answered {
            self.progress = TypeConfig::<E>::now();
        }
        let sequence = self.sent;
        self.sent += 1;
        self.endpoint.note_sent(&request);
        self.endpoint.send(self.to, Rpc::Append { stream: self.stream, sequence, request });
    }
}

impl<E: Environment, S> Drop for Outgoing<E, S> {
    fn drop(&mut self) {
        self.endpoint.close_stream(self.stream);
    }
}

/// The receiver's end. A later stream of the same sender takes its place.
pub(crate) struct Incoming<E: Environment> {
    pub(crate) stream: u64,
    next: u64,
    ahead: BTreeMap<u64, Request<E>>,
    requests: mpsc::UnboundedSender<Request<E>>,
}

impl<E: Environment> Incoming<E> {
    /// Feeds requests to the library, and sends its results back.
    pub(crate) fn start(endpoint: &Arc<Endpoint<E>>, from: ReplicaId, stream: u64, raft: &Raft<E>) -> Self {
        let (sender, requests) = mpsc::unbounded_channel();
        let requests = stream::unfold(requests, async |mut requests| {
            let request = requests.recv().await?;
            Some((request, requests))
        });
        let (sender_of_results, raft) = (endpoint.clone(), raft.clone());
        endpoint.spawn(async move {
            let mut results = std::pin::pin!(raft.stream_append(requests).enumerate());
            // An error means that the replica stopped, and says nothing any more.
            while let Some((sequence, Ok(result))) = results.next().await {
                sender_of_results.send(from, Rpc::Appended { stream, sequence: sequence as u64, result });
            }
        });
        Incoming { stream, next: 0, ahead: BTreeMap::new(), requests: sender }
    }

    /// Takes a request that arrived; false when one before it must be lost.
    pub(crate) fn take(&mut self, sequence: u64, request: Request<E>) -> bool {
        if sequence != self.next {
            if sequence > self.next {
                self.ahead.insert(sequence, request);
            }
            return self.ahead.len() <= HELD_BACK;
        }
        self.feed(request);
        while let Some(request) = self.ahead.remove(&self.next) {
            self.feed(request);
        }
        true
    }

    fn feed(&mut self, request: Request<E>) {
        self.next += 1;
        // The library gives up a stream after anything but a success, and so will the sender.
        self.requests.send(request).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use openraft::errors::RPCError;
    use protocol_core::{CounterCell, Inbox, Network, NetworkSpec};

    use super::*;
    use crate::environment::RealTime;
    use crate::gate::GatedTasks;
    use crate::network::Carriage;
    use crate::types::{LogId, Vote};

    fn log_id(index: u64) -> LogId {
        LogId { leader_id: openraft::vote::leader_id_std::CommittedLeaderId::new(1), index }
    }

    fn request(index: u64) -> Request<RealTime> {
        let vote = Vote::new_committed(1, 0);
        Request { vote, prev_log_id: Some(log_id(index)), entries: Vec::new(), leader_commit: None }
    }

    fn indices(requests: &mut mpsc::UnboundedReceiver<Request<RealTime>>) -> Vec<u64> {
        std::iter::from_fn(|| requests.try_recv().ok()?.prev_log_id).map(|id| id.index).collect()
    }

    #[test]
    fn requests_are_put_in_order_and_a_gap_is_noticed() {
        let (sender, mut fed) = mpsc::unbounded_channel();
        let mut incoming = Incoming { stream: 1, next: 0, ahead: BTreeMap::new(), requests: sender };
        for sequence in [1, 2, 0, 0, 4, 2, 3] {
            assert!(incoming.take(sequence, request(sequence)));
        }
        assert_eq!(indices(&mut fed), [0, 1, 2, 3, 4]);
        let unbroken: Vec<bool> = (6..30).map(|next| incoming.take(next, request(next))).collect();
        assert_eq!(unbroken.iter().filter(|&&unbroken| unbroken).count(), HELD_BACK);
        assert_eq!(indices(&mut fed), []);
    }

    const PEER: ReplicaId = ReplicaId(1);

    type Sent = mpsc::UnboundedReceiver<Rpc>;

    /// A leader's endpoint, and what it sends to a peer that answers only when the test does.
    async fn endpoint(patience: Duration) -> (Arc<Endpoint<RealTime>>, Sent) {
        let (sender, sent) = mpsc::unbounded_channel();
        let nobody: Inbox<Rpc> = Box::new(|_, _| {});
        let peer: Inbox<Rpc> = Box::new(move |_, message| drop(sender.send(message)));
        let counters = (0..2).map(|_| Arc::new(CounterCell::default())).collect();
        let network = Network::open(&NetworkSpec::channel(), vec![nobody, peer], counters, 1).await.unwrap();
        let carriage = Carriage {
            patience,
            pause: patience,
            window: 4,
            bandwidth: None,
            numbers: Arc::new(AtomicU64::new(1)),
        };
        (Arc::new(Endpoint::new(ReplicaId(0), network, GatedTasks::on_current_runtime(), carriage)), sent)
    }

    async fn next_sent(sent: &mut Sent) -> (u64, u64) {
        match sent.recv().await {
            Some(Rpc::Append { stream, sequence, .. }) => (stream, sequence),
            other => panic!("{other:?} was sent"),
        }
    }

    fn endless() -> impl Stream<Item = Request<RealTime>> + Send + Unpin {
        stream::iter((0..).map(request))
    }

    #[tokio::test]
    async fn a_window_of_requests_goes_out_before_any_answer_and_answers_open_it() {
        let (endpoint, mut sent) = endpoint(Duration::from_secs(60)).await;
        let mut results = Outgoing::start(endpoint.clone(), PEER, endless());
        let answer = |stream, sequence: u64| {
            let result = Ok(Some(log_id(sequence)));
            endpoint.receive(PEER, Rpc::Appended { stream, sequence, result });
        };
        let peer = async {
            for expected in 0..4 {
                assert_eq!(next_sent(&mut sent).await.1, expected);
            }
            assert!(sent.try_recv().is_err(), "the window is full");
            // The answers to 0 and 1 are lost; the one to 2 stands for them, and comes twice.
            let stream = 1;
            answer(stream, 2);
            answer(stream, 2);
            for expected in 4..7 {
                assert_eq!(next_sent(&mut sent).await, (stream, expected));
            }
            answer(stream, 3);
            endpoint.receive(PEER, Rpc::Broken { stream });
        };
        let leader = async {
            assert_eq!(results.next().await, Some(Ok(Ok(Some(log_id(2))))));
            assert_eq!(results.next().await, Some(Ok(Ok(Some(log_id(3))))));
            assert!(matches!(results.next().await, Some(Err(RPCError::Network(_)))));
            assert_eq!(results.next().await, None);
        };
        tokio::join!(leader, peer);
    }

    #[tokio::test]
    async fn a_silent_peer_is_given_up_after_something_was_sent() {
        let (endpoint, mut sent) = endpoint(Duration::from_millis(10)).await;
        let mut results = Outgoing::start(endpoint.clone(), PEER, endless());
        assert!(matches!(results.next().await, Some(Err(RPCError::Timeout(_)))));
        assert_eq!(results.next().await, None);
        assert_eq!(next_sent(&mut sent).await.1, 0);
        // Without requests there is nothing to wait for.
        assert_eq!(Outgoing::start(endpoint, PEER, stream::empty()).next().await, None);
    }
}
