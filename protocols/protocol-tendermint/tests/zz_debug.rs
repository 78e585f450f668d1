use std::time::Duration;
use protocol_core::*;
use protocol_tendermint::Tendermint;
const SECOND: u64 = 1_000_000_000;
#[test] fn dbg() {
    let seed = 2u64;
    let mut spec = SimulationSpec::uniform(4, Duration::from_millis(2), seed);
    for link in spec.links.iter_mut().flatten() { (link.jitter, link.loss, link.fifo) = (Duration::from_millis(2), 0.01, false); }
    let mut s = Tendermint::CODES.simulate(&spec).unwrap();
    s.inject(Fault::Corrupt(ReplicaId((seed % 4) as u32), Behaviour::Equivocate)).unwrap();
    for id in 0..8 { s.submit(Time(id * SECOND / 20), Command::new(CommandId(id), &seed.to_le_bytes()), Time(u64::MAX)); }
    for t in 1..40 { s.run_until(Time(t * SECOND / 10)); let o = s.observe();
      eprintln!("{t}: {:?} view {:?} leader {:?} ans {:?}", o.replicas.iter().map(|r| (r.delivered, r.counters.of(MessageKind::Protocol).messages)).collect::<Vec<_>>(), o.view, o.leader, s.take_answers().iter().map(|a| (a.id.0, a.answered.0/1_000_000, a.outcome)).collect::<Vec<_>>()); }
}
