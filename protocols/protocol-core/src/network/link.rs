//! What a link does to a message: pure rules, the same in real and in virtual time.

use std::time::Duration;

use rand::Rng;

/// The condition of every link of a network. The default is a perfect link.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinkSpec {
    /// One-way delay.
    pub delay: Duration,
    /// Added to the delay, uniform from zero to this. Messages may overtake each other unless
    /// `fifo` is set.
    pub jitter: Duration,
    /// Share of messages lost, 0 to 1.
    pub loss: f64,
    /// Share of messages that arrive twice, 0 to 1.
    pub duplication: f64,
    /// Bytes per second of one link; none is unlimited.
    pub bandwidth: Option<f64>,
    /// Messages arrive in the order they were sent, as over one TCP connection.
    pub fifo: bool,
    /// A lost message is sent again until it arrives, up to ten times, each after a retransmission
    /// time-out; the last time it arrives. Only a link that loses everything carries nothing. Until the
    /// [heal](crate::Fault::Heal) such a link is as good as cut.
    pub reliable: bool,
}

/// Linux sends again when an answer is late by this, or by more where round trips vary (`TCP_RTO_MIN`).
const LATE: Duration = Duration::from_millis(200);
/// Times that a reliable link sends a message again. Each waits as long as the first, and the last one
/// arrives, so that what a bad link did is over soon after it is healed.
const RETRANSMISSIONS: u32 = 10;

impl LinkSpec {
    /// The link as a TCP connection over it: messages keep their order, none arrives twice, and a loss
    /// costs a retransmission, which holds up what was sent after.
    pub fn connection(&self) -> LinkSpec {
        LinkSpec { fifo: true, reliable: true, duplication: 0.0, ..*self }
    }

    /// Whether messages pass at once and untouched.
    pub fn is_perfect(&self) -> bool {
        *self == LinkSpec { fifo: self.fifo, reliable: self.reliable, ..LinkSpec::default() }
    }

    /// Whether a reliable link carries nothing, however often it tries.
    pub(crate) fn is_dead(&self) -> bool {
        self.reliable && self.loss >= 1.0
    }

    /// The round trip and what is allowed for its variation (RFC 6298, section 2.3), with Linux's floor.
    fn retransmission_time_out(&self) -> Duration {
        self.delay.saturating_add(self.jitter).saturating_mul(2).saturating_add(LATE)
    }

    /// The link while it is degraded.
    pub fn degraded(&self, by: Degradation) -> LinkSpec {
        LinkSpec {
            delay: self.delay.saturating_add(by.extra_delay),
            loss: 1.0 - (1.0 - self.loss) * (1.0 - by.loss),
            ..*self
        }
    }

    /// Whether a message may pass at once and untouched while so many earlier ones are still held.
    pub fn passes_at_once(&self, held: usize) -> bool {
        self.is_perfect() && (held == 0 || !self.fifo)
    }
}

/// What a fault adds to the condition of one link. The default adds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Degradation {
    /// Added to the one-way delay.
    pub extra_delay: Duration,
    /// Share of messages lost, 0 to 1, of those that the link itself would not lose.
    pub loss: f64,
}

/// When a message arrives, in nanoseconds of the network's clock: not at all, once or twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// First arrival; none is a loss.
    pub arrival: Option<u64>,
    /// Second arrival of a duplicated message.
    pub again: Option<u64>,
}

/// The memory of one directed link.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkState {
    busy_until: u64,
    latest_arrival: u64,
}

impl LinkState {
    /// Forgets what is under way: what is sent from now on waits for none of it.
    pub fn reconnect(&mut self) {
        self.latest_arrival = 0;
    }

    /// Sends `bytes` at `now` (nanoseconds) and says when they arrive.
    pub fn pass(&mut self, spec: &LinkSpec, now: u64, bytes: usize, random: &mut impl Rng) -> Fate {
        let sent = match spec.bandwidth {
            Some(rate) => {
                let transmission = (bytes as f64 * 1e9 / rate) as u64;
                self.busy_until = self.busy_until.max(now).saturating_add(transmission);
                self.busy_until
            }
            None => now,
        };
        let Some(losses) = losses(spec, random) else {
            return Fate { arrival: None, again: None };
        };
        let waited = spec.retransmission_time_out().saturating_mul(losses).as_nanos();
        let sent = sent.saturating_add(u64::try_from(waited).unwrap_or(u64::MAX));
        let arrival = Some(self.arrival(spec, sent, random));
        let again = chance(spec.duplication, random).then(|| self.arrival(spec, sent, random));
        Fate { arrival, again }
    }

    fn arrival(&mut self, spec: &LinkSpec, sent: u64, random: &mut impl Rng) -> u64 {
        let jitter = match spec.jitter.as_nanos() as u64 {
            0 => 0,
            most => random.random_range(0..=most),
        };
        let arrival = sent.saturating_add(spec.delay.as_nanos() as u64).saturating_add(jitter);
        if !spec.fifo {
            return arrival;
        }
        self.latest_arrival = self.latest_arrival.max(arrival);
        self.latest_arrival
    }
}

/// How often a message is lost before it arrives; none when it never does.
fn losses(spec: &LinkSpec, random: &mut impl Rng) -> Option<u32> {
    if !chance(spec.loss, random) {
        return Some(0);
    }
    if !spec.reliable || spec.is_dead() {
        return None;
    }
    let again = (1..RETRANSMISSIONS).take_while(|_| chance(spec.loss, random)).count();
    Some(1 + again as u32)
}

fn chance(share: f64, random: &mut impl Rng) -> bool {
    share > 0.0 && random.random_bool(share.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn arrivals(spec: LinkSpec, count: u64) -> Vec<Fate> {
        let (mut link, mut random) = (LinkState::default(), ChaCha8Rng::seed_from_u64(7));
        (0..count).map(|at| link.pass(&spec, at * 1000, 100, &mut random)).collect()
    }

    proptest! {
        #[test]
        fn arrivals_keep_to_the_delay_and_fifo_links_keep_order(delay in 0u64..10_000, jitter in 0u64..50_000) {
            let spec = LinkSpec {
                delay: Duration::from_nanos(delay),
                jitter: Duration::from_nanos(jitter),
                fifo: true,
                ..LinkSpec::default()
            };
            let mut last = 0;
            for (at, fate) in arrivals(spec, 200).into_iter().enumerate() {
                let arrival = fate.arrival.unwrap();
                prop_assert!(arrival >= at as u64 * 1000 + delay);
                prop_assert!(arrival >= last);
                last = arrival;
            }
        }
    }

    proptest! {
        #[test]
        fn a_fifo_link_keeps_order_when_a_degradation_begins_and_ends(
            base in 0u64..10_000,
            extra in 0u64..500_000,
            (begin, end) in (0u64..100, 100u64..200),
        ) {
            let delay = Duration::from_nanos(base);
            let spec = LinkSpec { delay, fifo: true, ..LinkSpec::default() };
            let by = Degradation { extra_delay: Duration::from_nanos(extra), loss: 0.1 };
            let (mut link, mut random) = (LinkState::default(), ChaCha8Rng::seed_from_u64(7));
            let mut last = 0;
            for at in 0..300 {
                let degraded = (begin..end).contains(&at);
                let now = if degraded { spec.degraded(by) } else { spec };
                let Some(arrival) = link.pass(&now, at * 1000, 100, &mut random).arrival else { continue };
                let least = base + if degraded { extra } else { 0 };
                prop_assert!(arrival >= at * 1000 + least);
                prop_assert!(arrival >= last);
                last = arrival;
            }
        }
    }

    #[test]
    fn a_degradation_adds_to_what_the_link_does_anyway() {
        let delay = Duration::from_millis(3);
        let spec = LinkSpec { delay, loss: 0.5, fifo: true, ..LinkSpec::default() };
        let degraded = spec.degraded(Degradation { extra_delay: delay, loss: 0.2 });
        assert_eq!(degraded, LinkSpec { delay: 2 * delay, loss: 0.6, ..spec });
        assert_eq!(spec.degraded(Degradation::default()), spec);
        assert!(LinkSpec::default().degraded(Degradation::default()).is_perfect());
        let lossy = Degradation { extra_delay: Duration::ZERO, loss: 1.0 };
        let fates = arrivals(LinkSpec::default().degraded(lossy), 100);
        assert!(fates.iter().all(|fate| fate.arrival.is_none()));
    }

    #[test]
    fn nothing_overtakes_what_a_fifo_link_still_holds() {
        let fifo = LinkSpec { fifo: true, ..LinkSpec::default() };
        assert!(fifo.passes_at_once(0) && !fifo.passes_at_once(1));
        assert!(LinkSpec::default().passes_at_once(1));
        assert!(!LinkSpec { loss: 0.1, ..fifo }.passes_at_once(0));
    }

    #[test]
    fn jitter_reorders_unless_the_link_is_fifo() {
        let spec = LinkSpec { jitter: Duration::from_micros(50), ..LinkSpec::default() };
        let times: Vec<u64> = arrivals(spec, 200).iter().filter_map(|fate| fate.arrival).collect();
        assert!(times.windows(2).any(|pair| pair[1] < pair[0]));
    }

    #[test]
    fn loss_and_duplication_hit_their_share() {
        let spec = LinkSpec { loss: 0.25, duplication: 0.5, ..LinkSpec::default() };
        let fates = arrivals(spec, 10_000);
        let lost = fates.iter().filter(|fate| fate.arrival.is_none()).count();
        let twice = fates.iter().filter(|fate| fate.again.is_some()).count();
        assert!((2_300..2_700).contains(&lost), "{lost} of 10000 lost");
        assert!((3_500..4_000).contains(&twice), "{twice} of 10000 twice");
    }

    #[test]
    fn a_connection_neither_loses_nor_repeats_nor_reorders_but_waits() {
        let (delay, jitter) = (Duration::from_millis(1), Duration::from_millis(4));
        let bad = LinkSpec { delay, jitter, loss: 0.25, duplication: 0.5, ..LinkSpec::default() };
        let spec = bad.connection();
        let fates = arrivals(spec, 10_000);
        assert!(fates.iter().all(|fate| fate.again.is_none()));
        let times: Vec<u64> = fates.iter().map(|fate| fate.arrival.unwrap()).collect();
        assert!(times.is_sorted());
        // A message that was lost holds up those behind it.
        let waits = (0..).zip(&times).map(|(at, &time)| time - at * 1000);
        let longest = waits.max().unwrap();
        let time_out = spec.retransmission_time_out().as_nanos() as u64;
        assert!((time_out..=11 * time_out).contains(&longest), "{longest} ns");
        let far = LinkSpec { delay: Duration::from_millis(100), ..LinkSpec::default() };
        assert_eq!(far.retransmission_time_out(), Duration::from_millis(400));
    }

    #[test]
    fn a_connection_that_loses_everything_carries_nothing() {
        let spec = LinkSpec { loss: 1.0, ..LinkSpec::default() }.connection();
        assert!(spec.is_dead() && arrivals(spec, 100).iter().all(|fate| fate.arrival.is_none()));
        let nearly = LinkSpec { loss: 0.999, ..spec };
        assert!(arrivals(nearly, 1000).iter().all(|fate| fate.arrival.is_some()));
        assert!(LinkSpec::default().connection().is_perfect());
    }

    #[test]
    fn bandwidth_queues_messages_behind_each_other() {
        let spec = LinkSpec { bandwidth: Some(1e8), ..LinkSpec::default() };
        let (mut link, mut random) = (LinkState::default(), ChaCha8Rng::seed_from_u64(7));
        let times: Vec<_> = (0..3).filter_map(|_| link.pass(&spec, 0, 1000, &mut random).arrival).collect();
        assert_eq!(times, [10_000, 20_000, 30_000]);
    }
}
