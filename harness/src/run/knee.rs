//! The highest rate that holds a target, by bisection over the offered rate.

use crate::results::KneeLimit;
use crate::scenario::KneeSearch;

/// Confirming probes that may fail before the search gives up.
const MOST_CONFIRMATIONS: usize = 12;

/// What a probe of one rate showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The target held.
    Held,
    /// It did not.
    Broke,
    /// The generator could not send at this rate, so it says nothing about the system.
    NotSent,
}

/// A bracket around the knee.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bracket {
    /// The highest rate that held and was confirmed.
    pub(super) held: Option<f64>,
    /// The lowest rate above it that broke.
    pub(super) broke: Option<f64>,
    /// What ended the search.
    pub(super) limit: KneeLimit,
}

/// Searches: doubles from the start until a rate breaks (or halves until one holds), bisects the
/// bracket in ratios, then confirms its lower end by longer probes, going down while they fail.
/// `probe` is given a rate and whether it is to confirm; it answers none to stop the search.
pub(super) fn find(search: &KneeSearch, mut probe: impl FnMut(f64, bool) -> Option<Verdict>) -> Bracket {
    let mut state = State { held: None, broke: None, not_sent: None };
    let mut rate = search.start_per_s;
    while let Some(verdict) = probe(rate, false) {
        state.note(rate, verdict);
        match (state.held, state.ceiling()) {
            (None, Some(_)) if rate <= 1.0 => break,
            (None, Some(_)) => rate = (rate / 2.0).max(1.0),
            (Some(held), None) if held >= search.highest_per_s => break,
            (Some(held), None) => rate = (held * 2.0).min(search.highest_per_s),
            (Some(held), Some(ceiling)) if ceiling / held <= 1.0 + search.precision => break,
            (Some(held), Some(ceiling)) => rate = (held * ceiling).sqrt(),
            (None, None) => break,
        }
    }
    state.confirm(search, &mut probe)
}

struct State {
    held: Option<f64>,
    broke: Option<f64>,
    not_sent: Option<f64>,
}

impl State {
    fn note(&mut self, rate: f64, verdict: Verdict) {
        let place = match verdict {
            Verdict::Held => &mut self.held,
            Verdict::Broke => &mut self.broke,
            Verdict::NotSent => &mut self.not_sent,
        };
        *place = Some(rate);
    }

    /// The lowest rate known to be too much, for the system or for the generator.
    fn ceiling(&self) -> Option<f64> {
        let both = self.broke.into_iter().chain(self.not_sent);
        both.min_by(f64::total_cmp)
    }

    fn confirm(
        mut self,
        search: &KneeSearch,
        probe: &mut impl FnMut(f64, bool) -> Option<Verdict>,
    ) -> Bracket {
        for _ in 0..MOST_CONFIRMATIONS {
            let Some(held) = self.held else { break };
            match probe(held, true) {
                Some(Verdict::Held) => return self.bracket(search),
                Some(verdict) => self.note(held, verdict),
                None => break,
            }
            let lower = held / (1.0 + search.precision);
            self.held = (lower >= 1.0).then_some(lower);
        }
        self.held = None;
        self.bracket(search)
    }

    fn bracket(self, search: &KneeSearch) -> Bracket {
        // Below the generator's limit nothing may have broken, and then the knee lies above both.
        let generator_first = self.not_sent.is_some_and(|limit| self.broke.is_none_or(|broke| limit < broke));
        let limit = match self.held {
            Some(held) if held >= search.highest_per_s => KneeLimit::HighestRate,
            _ if generator_first => KneeLimit::Generator,
            _ => KneeLimit::Target,
        };
        let broke = if limit == KneeLimit::Target { self.broke } else { None };
        Bracket { held: self.held, broke, limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEARCH: KneeSearch = KneeSearch {
        start_per_s: 1_000.0,
        highest_per_s: 1_000_000.0,
        probe_s: 1.0,
        confirm_s: 1.0,
        precision: 0.05,
    };

    /// Searches a system that holds up to `knee` in short probes and up to `confirmed` in long ones,
    /// with a generator that sends up to `limit`. Also gives the number of probes.
    fn search(knee: f64, confirmed: f64, limit: f64) -> (Bracket, usize) {
        let mut probes = 0;
        let bracket = find(&SEARCH, |rate, confirming| {
            probes += 1;
            Some(match () {
                () if rate > limit => Verdict::NotSent,
                () if rate > if confirming { confirmed } else { knee } => Verdict::Broke,
                () => Verdict::Held,
            })
        });
        (bracket, probes)
    }

    proptest::proptest! {
        #[test]
        fn the_bracket_holds_the_knee_and_is_narrow(knee in 2.0f64..900_000.0) {
            let (bracket, probes) = search(knee, knee, f64::INFINITY);
            let (held, broke) = (bracket.held.unwrap(), bracket.broke.unwrap());
            proptest::prop_assert!(held <= knee && knee < broke);
            proptest::prop_assert!(broke / held <= 1.05 + 1e-9);
            proptest::prop_assert!(probes < 30, "{} probes", probes);
            proptest::prop_assert_eq!(bracket.limit, KneeLimit::Target);
        }
    }

    #[test]
    fn a_rate_that_held_only_briefly_is_not_sustained() {
        let (bracket, _) = search(100_000.0, 80_000.0, f64::INFINITY);
        let (held, broke) = (bracket.held.unwrap(), bracket.broke.unwrap());
        assert!(held <= 80_000.0 && 80_000.0 < broke && broke / held < 1.11, "{bracket:?}");
    }

    #[test]
    fn the_generators_limit_is_not_taken_for_the_systems() {
        let (bracket, _) = search(500_000.0, 500_000.0, 90_000.0);
        let held = bracket.held.unwrap();
        assert!((85_000.0..=90_000.0).contains(&held), "{bracket:?}");
        assert_eq!((bracket.broke, bracket.limit), (None, KneeLimit::Generator));
    }

    #[test]
    fn a_system_that_holds_everything_or_nothing_ends_the_search() {
        let (bracket, probes) = search(f64::INFINITY, f64::INFINITY, f64::INFINITY);
        assert_eq!((bracket.held, bracket.limit), (Some(1_000_000.0), KneeLimit::HighestRate));
        assert!(probes < 15);
        let (bracket, probes) = search(0.5, 0.5, f64::INFINITY);
        assert_eq!((bracket.held, bracket.broke, bracket.limit), (None, Some(1.0), KneeLimit::Target));
        assert!(probes < 15);
        let (bracket, _) = search(1_000.0, 0.0, f64::INFINITY);
        assert_eq!(bracket.held, None);
    }

    #[test]
    fn a_stopped_search_claims_nothing() {
        let mut left = 3;
        let bracket = find(&SEARCH, |_, _| {
            left -= 1;
            (left > 0).then_some(Verdict::Held)
        });
        assert_eq!((bracket.held, bracket.broke), (None, None));
    }
}
