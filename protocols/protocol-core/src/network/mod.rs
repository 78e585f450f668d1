//! The links between replicas: ours, the same for every protocol.
//!
//! A network moves messages between the inboxes of n replicas, either as they are (*channel*) or
//! encoded over sockets (*tcp*). It owns delay, jitter, loss, duplication, bandwidth and cuts, and
//! it counts what is sent. Adapters never write fault code.

mod delay_line;
mod link;
mod links;
mod tcp;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

pub(crate) use delay_line::DelayLine;
pub use link::{Degradation, Fate, LinkSpec, LinkState};

use crate::counters::CounterCell;
use crate::protocol::LaunchError;
use crate::replica::ReplicaId;
use crate::wire::Message;
use links::Links;
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
    connection: u32,
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
    epoch: Instant,
    links: Arc<Links>,
    counters: Vec<Arc<CounterCell>>,
    carrier: Arc<Carrier<M>>,
    /// Started when the first link needs it.
    line: OnceLock<DelayLine<Hop<M>>>,
    /// Held while the line is started.
    starting: Mutex<()>,
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
        let network = Network {
            shared: Arc::new(Shared {
                epoch: Instant::now(),
                links: Arc::new(Links::new(replicas, spec.link, seed)),
                counters,
                carrier: Arc::new(carrier),
                line: OnceLock::new(),
                starting: Mutex::default(),
            }),
        };
        if !spec.link.is_perfect() {
            network
                .start_line()
                .map_err(|source| LaunchError::Network { address: "delay line".into(), source })?;
        }
        Ok(network)
    }

    fn start_line(&self) -> io::Result<()> {
        let shared = &*self.shared;
        let _starting = shared.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.line.get().is_none() {
            let (carrier, links) = (shared.carrier.clone(), shared.links.clone());
            let line = DelayLine::start(shared.epoch, move |hop: Hop<M>| {
                if links.link(hop.from, hop.to).connection == hop.connection {
                    carrier.carry(hop.from, hop.to, hop.message);
                }
                links.released(hop.from, hop.to);
            })?;
            shared.line.set(line).ok();
        }
        Ok(())
    }

    /// Sends one message. It is counted even when a cut or a loss swallows it: the sender spent it.
    pub fn send(&self, from: ReplicaId, to: ReplicaId, message: M) {
        let shared = &*self.shared;
        let bytes = FRAME_HEADER_BYTES + message.encoded_len();
        shared.counters[from.index()].sent(message.kind(), bytes);
        if shared.links.all_perfect() {
            return shared.carrier.carry(from, to, message);
        }
        if shared.links.is_cut(from, to) {
            return;
        }
        let mut link = shared.links.link(from, to);
        let line = match shared.line.get() {
            Some(line) if !link.passes_at_once() => line,
            _ => {
                drop(link);
                return shared.carrier.carry(from, to, message);
            }
        };
        let fate = link.pass(shared.epoch.elapsed().as_nanos() as u64, bytes);
        let connection = link.connection;
        if let Some(due) = fate.again {
            line.hold(due, Hop { from, to, message: message.clone(), connection });
        }
        if let Some(due) = fate.arrival {
            line.hold(due, Hop { from, to, message, connection });
        }
    }

    /// Loses all messages from one replica to another until [`heal`](Network::heal).
    pub fn cut(&self, from: ReplicaId, to: ReplicaId) {
        self.shared.links.cut(from, to);
    }

    /// Begins another connection between two replicas, as when one of them starts again. What the last one
    /// still holds is lost.
    pub fn reconnect(&self, one: ReplicaId, other: ReplicaId) {
        self.shared.links.reconnect(one, other);
    }

    /// Delays and loses messages from one replica to another, in place of an earlier degradation of
    /// this link, until [`heal`](Network::heal). Fails when the thread that holds delayed messages
    /// can't be started.
    pub fn degrade(&self, from: ReplicaId, to: ReplicaId, by: Degradation) -> io::Result<()> {
        self.start_line()?;
        self.shared.links.degrade(from, to, by);
        Ok(())
    }

    /// Ends all cuts and degradations, and returns the links that carried nothing: those that were cut, and
    /// reliable ones that lost everything. What a degraded link held
    /// still arrives when it is due; a link that keeps order lets nothing overtake it.
    pub fn heal(&self) -> Vec<(ReplicaId, ReplicaId)> {
        self.shared.links.heal()
    }

    /// Whether messages from one replica to another are lost by a cut.
    pub fn is_cut(&self, from: ReplicaId, to: ReplicaId) -> bool {
        self.shared.links.is_cut(from, to)
    }

    /// Ends the network's tasks and frees its ports.
    pub fn close(&self) {
        if let Carrier::Tcp(links) = &*self.shared.carrier {
            links.close();
        }
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
    async fn what_a_connection_holds_is_lost_when_another_begins() {
        let mut spec = NetworkSpec::channel();
        (spec.link.fifo, spec.link.delay) = (true, Duration::from_millis(20));
        let (network, _, mut arrivals) = open(spec).await;
        network.send(ReplicaId(0), ReplicaId(1), Command::new(CommandId(0), b"lost"));
        network.reconnect(ReplicaId(1), ReplicaId(0));
        network.send(ReplicaId(0), ReplicaId(1), Command::new(CommandId(1), b"passes"));
        assert_eq!(arrivals.recv().await.unwrap().1.id(), CommandId(1));
    }

    #[tokio::test]
    async fn nothing_overtakes_on_a_fifo_link_that_degrades_and_heals() {
        for mut spec in [NetworkSpec::channel(), NetworkSpec::tcp()] {
            spec.link.fifo = true;
            let (network, _, mut arrivals) = open(spec).await;
            let send = |ids: std::ops::Range<u64>| {
                ids.for_each(|id| network.send(ReplicaId(0), ReplicaId(1), Command::new(CommandId(id), b"")));
            };
            // Several times, so that some sends fall into the moment when the last held message leaves.
            for round in 0..20 {
                let first = round * 400;
                let extra_delay = Duration::from_micros(100 * round);
                send(first..first + 100);
                let by = Degradation { extra_delay, loss: 0.0 };
                network.degrade(ReplicaId(0), ReplicaId(1), by).unwrap();
                send(first + 100..first + 200);
                assert!(network.heal().is_empty());
                send(first + 200..first + 300);
                for id in first..first + 200 {
                    assert_eq!(arrivals.recv().await.unwrap().1.id(), CommandId(id));
                }
                send(first + 300..first + 400);
                for id in first + 200..first + 400 {
                    assert_eq!(arrivals.recv().await.unwrap().1.id(), CommandId(id));
                }
            }
        }
    }

    #[tokio::test]
    async fn a_degraded_link_delays_and_loses_by_its_seed_until_it_heals() {
        let mut survivors = Vec::new();
        for _ in 0..2 {
            let (network, _, mut arrivals) = open(NetworkSpec::channel()).await;
            let by = Degradation { extra_delay: Duration::from_millis(5), loss: 0.5 };
            network.degrade(ReplicaId(0), ReplicaId(1), by).unwrap();
            let sent = Instant::now();
            for id in 0..100 {
                network.send(ReplicaId(0), ReplicaId(1), Command::new(CommandId(id), b""));
            }
            network.send(ReplicaId(1), ReplicaId(0), Command::new(CommandId(100), b""));
            assert_eq!(arrivals.recv().await.unwrap().1.id(), CommandId(100), "only one way is slow");
            network.heal();
            let mut arrived = vec![arrivals.recv().await.unwrap().1.id()];
            assert!(sent.elapsed() >= by.extra_delay);
            // Sent later and held as long, it comes last.
            network.degrade(ReplicaId(0), ReplicaId(1), Degradation { loss: 0.0, ..by }).unwrap();
            network.send(ReplicaId(0), ReplicaId(1), Command::new(CommandId(101), b""));
            loop {
                match arrivals.recv().await.unwrap().1.id() {
                    CommandId(101) => break,
                    id => arrived.push(id),
                }
            }
            assert!((20..80).contains(&arrived.len()), "{} of 100 arrived", arrived.len());
            survivors.push(arrived);
        }
        assert_eq!(survivors[0], survivors[1], "the same seed loses the same messages");
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
