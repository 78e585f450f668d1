//! The links between replicas: ours, the same for every protocol.
//!
//! A network moves messages between the inboxes of n replicas, either as they are (*channel*) or
//! encoded over sockets (*tcp*). It owns delay, jitter, loss, duplication, bandwidth and cuts, and
//! it counts what is sent. Adapters never write fault code.

mod delay_line;
mod link;
mod tcp;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

pub use link::{Fate, LinkSpec, LinkState};

use crate::counters::CounterCell;
use crate::protocol::LaunchError;
use crate::replica::ReplicaId;
use crate::wire::Message;
use delay_line::DelayLine;
use tcp::TcpLinks;

/// Bytes of the length in front of every message, counted on every kind of network.
pub const FRAME_HEADER_BYTES: usize = 4;

/// How messages move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkKind {
    /// Within one process, typed and not encoded; sizes are computed.
    Channel,
    /// Over sockets, encoded and length-prefixed.
    Tcp {
        /// Where replicas listen.
        address: IpAddr,
        /// Replica i listens on this plus i; none lets the system choose.
        base_port: Option<u16>,
    },
}

impl NetworkKind {
    /// The name in lists and results.
    pub fn name(self) -> &'static str {
        match self {
            NetworkKind::Channel => "channel",
            NetworkKind::Tcp { .. } => "tcp",
        }
    }
}

/// A network to open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkSpec {
    /// How messages move.
    pub kind: NetworkKind,
    /// What every link does to them on the way.
    pub link: LinkSpec,
}

impl NetworkSpec {
    /// Perfect links within one process.
    pub fn channel() -> Self {
        NetworkSpec { kind: NetworkKind::Channel, link: LinkSpec::default() }
    }

    /// Perfect links over loopback sockets, on ports that the system chooses.
    pub fn tcp() -> Self {
        let kind = NetworkKind::Tcp { address: IpAddr::V4(Ipv4Addr::LOCALHOST), base_port: None };
        NetworkSpec { kind, link: LinkSpec::default() }
    }
}

/// Takes the messages that arrive at one replica. Called on the network's tasks and threads, so it
/// must not block.
pub type Inbox<M> = Box<dyn Fn(ReplicaId, M) + Send + Sync>;

enum Carrier<M> {
    Channel(Vec<Inbox<M>>),
    Tcp(TcpLinks<M>),
}

impl<M: Message> Carrier<M> {
    fn carry(&self, from: ReplicaId, to: ReplicaId, message: M) {
        match self {
            Carrier::Channel(inboxes) => inboxes[to.index()](from, message),
            Carrier::Tcp(links) => links.carry(from, to, message),
        }
    }
}

struct Hop<M> {
    from: ReplicaId,
    to: ReplicaId,
    message: M,
}

/// An open network. Clones share it; it closes when the last one is dropped.
pub struct Network<M> {
    shared: Arc<Shared<M>>,
}

impl<M> Clone for Network<M> {
    fn clone(&self) -> Self {
        Network { shared: self.shared.clone() }
    }
}

struct Shared<M> {
    replicas: usize,
    epoch: Instant,
    link: LinkSpec,
    states: Vec<Mutex<(LinkState, ChaCha8Rng)>>,
    cuts: Vec<AtomicBool>,
    any_cut: AtomicBool,
    counters: Vec<Arc<CounterCell>>,
    carrier: Arc<Carrier<M>>,
    line: OnceLock<DelayLine<Hop<M>>>,
}

impl<M: Message> Network<M> {
    /// Opens links between all replicas, one inbox and one counter cell each. `seed` decides
    /// jitter, losses and duplicates.
    #[allow(clippy::disallowed_methods, reason = "the epoch of the real-time network")]
    pub async fn open(
        spec: &NetworkSpec,
        inboxes: Vec<Inbox<M>>,
        counters: Vec<Arc<CounterCell>>,
        seed: u64,
    ) -> Result<Self, LaunchError> {
        let replicas = inboxes.len();
        assert_eq!(replicas, counters.len(), "one counter cell per inbox");
        let carrier = match spec.kind {
            NetworkKind::Channel => Carrier::Channel(inboxes),
            NetworkKind::Tcp { address, base_port } => {
                Carrier::Tcp(TcpLinks::open(address, base_port, inboxes).await?)
            }
        };
        let links = replicas * replicas;
        let network = Network {
            shared: Arc::new(Shared {
                replicas,
                epoch: Instant::now(),
                link: spec.link,
                states: (0..links as u64)
                    .map(|index| {
                        let mut random = ChaCha8Rng::seed_from_u64(seed);
                        random.set_stream(index);
                        Mutex::new((LinkState::default(), random))
                    })
                    .collect(),
                cuts: (0..links).map(|_| AtomicBool::new(false)).collect(),
                any_cut: AtomicBool::new(false),
                counters,
                carrier: Arc::new(carrier),
                line: OnceLock::new(),
            }),
        };
        if !spec.link.is_perfect() {
            let carrier = network.shared.carrier.clone();
            let line = DelayLine::start(network.shared.epoch, move |hop: Hop<M>| {
                carrier.carry(hop.from, hop.to, hop.message);
            })
            .map_err(|source| LaunchError::Network { address: "delay line".into(), source })?;
            network.shared.line.set(line).ok();
        }
        Ok(network)
    }

    /// Sends one message. It is counted even when a cut or a loss swallows it: the sender spent it.
    pub fn send(&self, from: ReplicaId, to: ReplicaId, message: M) {
        let shared = &*self.shared;
        let bytes = FRAME_HEADER_BYTES + message.encoded_len();
        shared.counters[from.index()].sent(message.kind(), bytes);
        if shared.any_cut.load(Relaxed) && self.is_cut(from, to) {
            return;
        }
        let Some(line) = shared.line.get() else {
            return shared.carrier.carry(from, to, message);
        };
        let now = shared.epoch.elapsed().as_nanos() as u64;
        let mut state = shared.states[self.link(from, to)].lock().unwrap_or_else(PoisonError::into_inner);
        let (link, random) = &mut *state;
        let fate = link.pass(&shared.link, now, bytes, random);
        if let Some(due) = fate.again {
            line.hold(due, Hop { from, to, message: message.clone() });
        }
        if let Some(due) = fate.arrival {
            line.hold(due, Hop { from, to, message });
        }
    }

    /// Loses all messages from one replica to another until [`heal`](Network::heal).
    pub fn cut(&self, from: ReplicaId, to: ReplicaId) {
        self.shared.cuts[self.link(from, to)].store(true, Relaxed);
        self.shared.any_cut.store(true, Relaxed);
    }

    /// Ends all cuts, and returns the links that were cut.
    pub fn heal(&self) -> Vec<(ReplicaId, ReplicaId)> {
        self.shared.any_cut.store(false, Relaxed);
        let pairs = ReplicaId::all(self.shared.replicas)
            .flat_map(|from| ReplicaId::all(self.shared.replicas).map(move |to| (from, to)));
        pairs.filter(|&(from, to)| self.shared.cuts[self.link(from, to)].swap(false, Relaxed)).collect()
    }

    /// Whether messages from one replica to another are lost.
    pub fn is_cut(&self, from: ReplicaId, to: ReplicaId) -> bool {
        self.shared.cuts[self.link(from, to)].load(Relaxed)
    }

    /// Ends the network's tasks and frees its ports.
    pub fn close(&self) {
        if let Carrier::Tcp(links) = &*self.shared.carrier {
            links.close();
        }
    }

    fn link(&self, from: ReplicaId, to: ReplicaId) -> usize {
        from.index() * self.shared.replicas + to.index()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests of the real-time side")]
mod tests {
    use super::*;
    use crate::command::{Command, CommandId};
    use crate::wire::MessageKind;
    use std::time::Duration;
    use tokio::sync::mpsc;

    impl Message for Command {}

    type Arrivals = mpsc::UnboundedReceiver<(ReplicaId, Command)>;

    async fn open(spec: NetworkSpec) -> (Network<Command>, Arc<CounterCell>, Arrivals) {
        let (sender, arrivals) = mpsc::unbounded_channel();
        let counters: Vec<_> = (0..2).map(|_| Arc::new(CounterCell::default())).collect();
        let inboxes = (0..2)
            .map(|_| {
                let sender = sender.clone();
                Box::new(move |from, message| drop(sender.send((from, message)))) as Inbox<Command>
            })
            .collect();
        let network = Network::open(&spec, inboxes, counters.clone(), 1).await.unwrap();
        (network, counters[0].clone(), arrivals)
    }

    async fn hundred_arrive_in_order(spec: NetworkSpec) {
        let (network, counters, mut arrivals) = open(spec).await;
        for id in 0..100 {
            network.send(ReplicaId(0), ReplicaId(1), Command::new(CommandId(id), &[7; 100]));
        }
        for id in 0..100 {
            let (from, message) = arrivals.recv().await.unwrap();
            assert_eq!((from, message), (ReplicaId(0), Command::new(CommandId(id), &[7; 100])));
        }
        let traffic = counters.read().of(MessageKind::Protocol);
        assert_eq!((traffic.messages, traffic.bytes), (100, 100 * (4 + 8 + 100)));
    }

    #[tokio::test]
    async fn messages_arrive_as_they_were_sent_on_both_kinds() {
        hundred_arrive_in_order(NetworkSpec::channel()).await;
        hundred_arrive_in_order(NetworkSpec::tcp()).await;
    }

    #[tokio::test]
    async fn a_delayed_message_arrives_after_its_delay() {
        let mut spec = NetworkSpec::channel();
        spec.link.delay = Duration::from_millis(20);
        let (network, _, mut arrivals) = open(spec).await;
        let sent = Instant::now();
        network.send(ReplicaId(0), ReplicaId(1), Command::new(CommandId(0), b""));
        arrivals.recv().await.unwrap();
        assert!(sent.elapsed() >= spec.link.delay);
    }

    #[tokio::test]
    async fn a_cut_loses_one_direction_until_it_heals() {
        let (network, counters, mut arrivals) = open(NetworkSpec::channel()).await;
        network.cut(ReplicaId(0), ReplicaId(1));
        network.send(ReplicaId(0), ReplicaId(1), Command::new(CommandId(0), b"lost"));
        network.send(ReplicaId(1), ReplicaId(0), Command::new(CommandId(1), b"passes"));
        assert_eq!(arrivals.recv().await.unwrap().1.id(), CommandId(1));
        assert_eq!(network.heal(), [(ReplicaId(0), ReplicaId(1))]);
        network.send(ReplicaId(0), ReplicaId(1), Command::new(CommandId(2), b"passes"));
        assert_eq!(arrivals.recv().await.unwrap().1.id(), CommandId(2));
        assert_eq!(counters.read().of(MessageKind::Protocol).messages, 2);
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let kind = NetworkKind::Tcp { address: Ipv4Addr::LOCALHOST.into(), base_port: Some(port) };
        let spec = NetworkSpec { kind, link: LinkSpec::default() };
        let inboxes: Vec<Inbox<Command>> = vec![Box::new(|_, _| {})];
        let error =
            Network::open(&spec, inboxes, vec![Arc::new(CounterCell::default())], 1).await.err().unwrap();
        assert!(error.to_string().contains(&port.to_string()), "{error}");
    }
}
