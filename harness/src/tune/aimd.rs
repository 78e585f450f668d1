//! Additive increase, multiplicative decrease (Chiu and Jain, *Analysis of the Increase and Decrease Algorithms for
//! Congestion Avoidance*, 1989): the rule by which TCP finds a rate that holds, applied to a tunable.

use protocol_core::Tunable;

/// What a value is multiplied by when the target breaks: what CUBIC takes (RFC 9438), which gives less away than a
/// half.
const DECREASE: f64 = 0.7;
/// Steps from the start to the highest value, about.
const STEPS: f64 = 64.0;
/// Values of the last third may differ by a cut and what is added before the next one.
const BAND: f64 = 1.0 / DECREASE * 1.25;

/// The controller of one tunable.
#[derive(Clone, Debug)]
pub struct Aimd {
    value: f64,
    step: f64,
    low: f64,
    high: f64,
}

impl Aimd {
    /// A controller that starts at a value; it stays within the tunable's range, and below `most`.
    pub fn new(tunable: &Tunable, start: f64, most: f64) -> Aimd {
        let (low, high) = (tunable.range.0, tunable.range.1.min(most));
        let step = ((high - start) / STEPS).max(1.0);
        Aimd { value: start.clamp(low, high), step, low, high }
    }

    /// The value now.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The value for the next interval: more while the target holds, less when it broke.
    pub fn next(&mut self, held: bool) -> f64 {
        let next = if held { self.value + self.step } else { self.value * DECREASE };
        self.value = next.clamp(self.low, self.high).round();
        self.value
    }
}

/// Whether values settled: those of the last third lie within a factor that cuts and increases explain.
pub fn settled(values: &[f64]) -> bool {
    let last = &values[values.len() - values.len() / 3..];
    let (low, high) =
        last.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), &value| (low.min(value), high.max(value)));
    !last.is_empty() && high <= low * BAND
}

#[cfg(test)]
mod tests {
    use protocol_core::{Role, Scale};

    use super::*;

    const TUNABLE: Tunable = Tunable {
        name: "window_messages",
        role: Role::Window,
        about: "",
        range: (1.0, 10_000.0),
        scale: Scale::Logarithmic,
        default: 8.0,
        live: true,
        trades: None,
    };

    #[test]
    fn it_settles_about_what_holds_wherever_it_starts() {
        for (holds_up_to, start) in [(300.0, 8.0), (300.0, 640.0), (40.0, 8.0), (620.0, 1.0)] {
            let mut controller = Aimd::new(&TUNABLE, start, 640.0);
            let values: Vec<f64> = (0..120)
                .map(|_| {
                    let value = controller.value();
                    controller.next(value <= holds_up_to);
                    value
                })
                .collect();
            assert!(settled(&values), "{holds_up_to}: {values:?}");
            let last = &values[80..];
            assert!(last.iter().all(|&value| value <= holds_up_to + controller.step), "{last:?}");
            assert!(last.iter().any(|&value| value >= 0.7 * holds_up_to), "{last:?}");
        }
    }

    #[test]
    fn it_keeps_to_the_range_and_to_the_most() {
        let mut controller = Aimd::new(&TUNABLE, 20_000.0, 64.0);
        assert_eq!((controller.value(), controller.next(true)), (64.0, 64.0));
        assert_eq!((0..60).map(|_| controller.next(false)).last(), Some(1.0));
    }

    #[test]
    fn what_still_climbs_or_jumps_about_has_not_settled() {
        assert!(!settled(&[]) && !settled(&[5.0]));
        assert!(settled(&[1.0, 90.0, 4.0, 40.0, 42.0, 38.0]));
        let climbing: Vec<f64> = (1..=30).map(|step| f64::from(step * step)).collect();
        assert!(!settled(&climbing));
        assert!(!settled(&[50.0, 50.0, 50.0, 50.0, 10.0, 50.0]));
    }
}
