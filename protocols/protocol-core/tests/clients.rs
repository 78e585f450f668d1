//! Every rule of clients, in both clocks, on toys that keep to it and toys that don't.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use protocol_core::{
    Answered, Boot, ClientRule, Cluster, Command, CommandId, DriverOptions, Effects, Fault, Input,
    LaunchError, LaunchSpec, Message, Order, Rejection, Replica, ReplicaCluster, ReplicaId, Seal,
    SimulatedCluster, SimulationSpec, Slot, SubmitError, Time, Wire, WireError, submit_and_wait,
};

const SEAL: &[u8] = b"sealed";
const MILLISECOND: Duration = Duration::from_millis(1);

#[derive(Clone, Debug)]
struct Update(Command);

impl Wire for Update {
    fn encode(&self, buffer: &mut Vec<u8>) {
        self.0.encode(buffer);
    }
    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        Command::decode(bytes).map(Update)
    }
    fn encoded_len(&self) -> usize {
        self.0.encoded_len()
    }
}

impl Message for Update {}

/// What a toy does with a command.
#[derive(Clone, Copy)]
enum Manner {
    /// Delivers it; the replicas listed lie about the slot in a reply of their own.
    Answer { liars: u32 },
    /// Delivers it, and tells all others to.
    Spread,
}

struct Toy {
    me: ReplicaId,
    replicas: usize,
    manner: Manner,
}

impl Replica for Toy {
    type Message = Update;
    type Record = Command;

    fn step(&mut self, _: Time, input: Input<Update>, effects: &mut Effects<Self>) {
        match input {
            Input::Requests(commands) => commands.into_iter().for_each(|command| self.take(command, effects)),
            Input::Message { message: Update(command), .. } => effects.deliver(Slot(0), command),
            _ => {}
        }
    }
}

impl Toy {
    fn take(&self, command: Command, effects: &mut Effects<Self>) {
        let Ok((command, seal)) = command.unsealed(SEAL.len()) else {
            return effects.reject(Rejection { command: command.id(), leader: None });
        };
        assert_eq!(seal, SEAL);
        match self.manner {
            Manner::Answer { liars } if self.me.0 < liars => {
                effects.reply(command.id(), Slot(1_000 + u64::from(self.me.0)), 0);
            }
            Manner::Answer { .. } => {
                let output = command.payload().get_u8().into();
                effects.reply(command.id(), Slot(command.id().0), output);
                effects.deliver(Slot(0), command);
            }
            Manner::Spread => {
                effects.broadcast(self.me, self.replicas, &Update(command.clone()));
                effects.deliver(Slot(0), command);
            }
        }
    }
}

fn options(clients: ClientRule) -> DriverOptions {
    let seal = Some(Seal::new(|_| Bytes::from_static(SEAL)));
    DriverOptions { clients, seal, order: Order::Set, ..DriverOptions::default() }
}

fn toys(manner: Manner) -> impl Fn(Boot<Command>) -> Result<Toy, LaunchError> + Send + Sync {
    move |boot| Ok(Toy { me: boot.id, replicas: boot.replicas, manner })
}

fn command(id: u64) -> Command {
    Command::new(CommandId(id), &[42])
}

/// Has four replicas, those listed down, answer one command; they are 1 ms apart from each other, and the
/// client from each as many milliseconds as its number plus one.
fn simulated(rule: ClientRule, manner: Manner, down: &[u32]) -> Option<Answered> {
    let client_delays = (1..=4).map(|number| MILLISECOND * number).collect();
    let spec = SimulationSpec { client_delays, ..SimulationSpec::uniform(4, MILLISECOND, 1) };
    let mut simulation = SimulatedCluster::launch(&spec, options(rule), toys(manner)).unwrap();
    for &id in down {
        simulation.inject(Fault::Crash(ReplicaId(id))).unwrap();
    }
    simulation.submit(Time(0), command(2), Time(1_000_000_000));
    simulation.run_until(Time(2_000_000_000));
    let mut answers = simulation.take_answers();
    assert!(answers.len() <= 1, "{answers:?}");
    answers.pop()
}

async fn real(rule: ClientRule, manner: Manner, down: &[u32]) -> Result<(Slot, u64), SubmitError> {
    let cluster: Arc<dyn Cluster> =
        ReplicaCluster::launch(&LaunchSpec::in_memory(4), options(rule), toys(manner)).await.unwrap();
    for &id in down {
        cluster.inject(Fault::Crash(ReplicaId(id))).await.unwrap();
    }
    let committed = submit_and_wait(&*cluster, command(2)).await;
    cluster.stop().await;
    committed.map(|committed| (committed.slot, committed.output))
}

#[tokio::test]
async fn equal_answers_of_enough_replicas_are_the_answer() {
    let (rule, manner) = (ClientRule::Everyone { matching: 2 }, Manner::Answer { liars: 1 });
    let answered = simulated(rule, manner, &[]).unwrap();
    assert_eq!((answered.outcome, answered.output), (Ok(Slot(2)), 42));
    // The liar's is the first answer; those of the second and the third replica agree.
    assert_eq!(answered.answered, Time(6_000_000));
    assert_eq!(real(rule, manner, &[]).await, Ok((Slot(2), 42)));
}

#[tokio::test]
async fn answers_that_can_never_agree_are_a_failure() {
    let (rule, manner) = (ClientRule::Everyone { matching: 2 }, Manner::Answer { liars: 3 });
    assert_eq!(simulated(rule, manner, &[]).unwrap().outcome, Err(SubmitError::Unavailable));
    assert_eq!(real(rule, manner, &[]).await, Err(SubmitError::Unavailable));
}

#[tokio::test]
async fn a_coordinator_that_is_down_is_passed_over() {
    let (rule, manner) = (ClientRule::Coordinator, Manner::Answer { liars: 0 });
    let answered = simulated(rule, manner, &[2]).unwrap();
    // There and back to the second, a pause, and there and back to the third.
    assert_eq!((answered.outcome, answered.answered), (Ok(Slot(2)), Time((3 + 3 + 5 + 4 + 4) * 1_000_000)));
    assert_eq!(real(rule, manner, &[2]).await, Ok((Slot(2), 42)));
}

#[tokio::test]
async fn a_broadcast_is_over_once_every_live_replica_has_it() {
    let answered = simulated(ClientRule::Broadcast, Manner::Spread, &[0]).unwrap();
    assert_eq!(answered.outcome, Ok(Slot(0)));
    assert_eq!((answered.taken_up, answered.answered), (Time(3_000_000), Time(4_000_000)));
    let spread = answered.spread.unwrap();
    assert_eq!((spread.half, spread.most), (Time(4_000_000), Time(0)), "one of four is down");
    assert_eq!(real(ClientRule::Broadcast, Manner::Spread, &[0]).await, Ok((Slot(0), 0)));
}

#[tokio::test]
async fn an_origin_that_is_down_has_a_deputy() {
    let answered = simulated(ClientRule::Broadcast, Manner::Spread, &[2]).unwrap();
    assert_eq!(answered.outcome, Ok(Slot(0)));
    assert_eq!(real(ClientRule::Broadcast, Manner::Spread, &[2]).await, Ok((Slot(0), 0)));
}
