//! From values to places: scales, their ends, and ticks that people would choose.

use super::chart::{Axis, Scale};
use crate::table::quantity;

/// Ticks on an axis, about.
const TICKS: f64 = 5.0;

/// An axis with its ends, laid along a stretch of the picture.
#[derive(Clone, Debug)]
pub struct Ruler {
    scale: Scale,
    unit: String,
    categories: Vec<String>,
    /// Ends in values as they are laid out: logarithms where the scale is one.
    low: f64,
    high: f64,
    /// Ends in the picture.
    from: f64,
    to: f64,
}

/// A place on an axis that has a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// Where in the picture.
    pub at: f64,
    /// Its name.
    pub label: String,
}

impl Ruler {
    /// Lays an axis that holds all values from `from` to `to`. Without values it goes from 0 to 1.
    pub fn lay(axis: &Axis, values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Ruler {
        let of = |value: f64| position(axis.scale, value);
        let finite = values.into_iter().map(of).filter(|value| value.is_finite());
        let (mut low, mut high) = finite
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        match axis.scale {
            Scale::Linear => {
                low = low.min(0.0);
                // A little room above the highest mark.
                high += (high - low) * 0.06;
            }
            Scale::Log => (low, high) = (low - 0.08, high + 0.08),
            Scale::Tail => low = 0.0,
            Scale::Categories => {
                (low, high) = (-0.5, axis.categories.len().max(1) as f64 - 0.5);
            }
        }
        if high - low < 1e-9 {
            high = low + 1.0;
        }
        Ruler {
            scale: axis.scale,
            unit: axis.unit.clone(),
            categories: axis.categories.clone(),
            low,
            high,
            from,
            to,
        }
    }

    /// Where a value is in the picture; what lies beyond an end is at it.
    pub fn at(&self, value: f64) -> f64 {
        let share = (position(self.scale, value) - self.low) / (self.high - self.low);
        // A logarithm of 0 lies beyond the lower end.
        let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        self.from + share * (self.to - self.from)
    }

    /// Names along the axis.
    pub fn ticks(&self) -> Vec<Tick> {
        let values = match self.scale {
            Scale::Linear => linear_ticks(self.low, self.high),
            Scale::Log => log_ticks(self.low, self.high),
            Scale::Tail => (0..=self.high.floor() as i32).map(|nines| 10f64.powi(nines)).collect(),
            Scale::Categories => (0..self.categories.len()).map(|index| index as f64).collect(),
        };
        values.into_iter().map(|value| Tick { at: self.at(value), label: self.label(value) }).collect()
    }

    fn label(&self, value: f64) -> String {
        match self.scale {
            Scale::Tail => percentile(value),
            Scale::Categories => self.categories.get(value as usize).cloned().unwrap_or_default(),
            Scale::Linear | Scale::Log => tick_label(value, &self.unit),
        }
    }
}

/// A value as it is laid out.
fn position(scale: Scale, value: f64) -> f64 {
    match scale {
        Scale::Linear | Scale::Categories => value,
        Scale::Log | Scale::Tail => value.log10(),
    }
}

/// Multiples of 1, 2 or 5 times a power of ten.
fn linear_ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / TICKS;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(power * 10.0);
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    (first..=last).map(|index| index as f64 * step).collect()
}

/// Powers of ten; between few of them also twice and five times each. Ends are logarithms.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let decades = high - low;
    let factors: &[f64] = match decades {
        few if few < 1.2 => &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
        some if some < 2.6 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    // Ten names are too many along one axis.
    let step = (decades / 7.0).ceil().max(1.0) as usize;
    let powers = (low.floor() as i32..=high.ceil() as i32).step_by(step);
    powers
        .flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)))
        .filter(|value| (low..=high).contains(&value.log10()))
        .collect()
}

/// A quantile from its place on the tail axis: `99.9 %`.
pub fn percentile(tail: f64) -> String {
    let below = 100.0 - 100.0 / tail;
    let nines = tail.log10().round() as usize;
    let decimals = nines.saturating_sub(2);
    if tail <= 1.0 { "0 %".into() } else { format!("{below:.decimals$} %") }
}

/// A round value with its unit, without zeros that say nothing: `10 µs`, `2.5k/s`.
pub fn tick_label(value: f64, unit: &str) -> String {
    let label = match unit {
        "s" => format!("{value:.3} s"),
        "share" => format!("{:.1} %", value * 100.0),
        "" | "1" if value.abs() < 0.995 => format!("{value:.4}"),
        _ => quantity::in_unit(value, unit),
    };
    without_zeros(&label)
}

/// A number without the zeros behind its point.
fn without_zeros(text: &str) -> String {
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-')).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    if !number.contains('.') {
        return text.into();
    }
    format!("{}{rest}", number.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(axis: &Axis, values: &[f64]) -> Vec<String> {
        Ruler::lay(axis, values.iter().copied(), 0.0, 100.0)
            .ticks()
            .into_iter()
            .map(|tick| tick.label)
            .collect()
    }

    #[test]
    fn ticks_are_round_and_short() {
        let linear = |unit: &str| Axis::of("", unit, Scale::Linear);
        let log = |unit: &str| Axis::of("", unit, Scale::Log);
        assert_eq!(labels(&linear("1/s"), &[0.0, 11_000.0]), ["0/s", "5k/s", "10k/s"]);
        assert_eq!(labels(&linear("s"), &[-0.3, 1.3]), ["0 s", "0.5 s", "1 s"]);
        assert_eq!(labels(&linear("share"), &[0.8]), ["0 %", "20 %", "40 %", "60 %", "80 %"]);
        assert_eq!(labels(&log("ns"), &[2e4, 3e8]), ["100 µs", "1 ms", "10 ms", "100 ms"]);
        assert_eq!(labels(&log("ns"), &[2.1e4, 9e4]), ["20 µs", "30 µs", "50 µs", "70 µs", "100 µs"]);
        let tail = Axis::of("", "", Scale::Tail);
        assert_eq!(labels(&tail, &[1.0, 20_000.0]), ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
        let names = Axis::named("", vec!["a".into(), "b".into()]);
        assert_eq!(labels(&names, &[]), ["a", "b"]);
    }

    proptest! {
        #[test]
        fn whatever_the_values_marks_and_ticks_are_within_the_axis(
            values in proptest::collection::vec(any::<f64>(), 0..9),
            scale in prop::sample::select(vec![Scale::Linear, Scale::Log, Scale::Tail, Scale::Categories]),
        ) {
            let axis = Axis { categories: vec!["one".into()], ..Axis::of("", "ns", scale) };
            let held = values.iter().copied().filter(|value| value.abs() < 1e300);
            let ruler = Ruler::lay(&axis, held, 10.0, 90.0);
            for value in values {
                prop_assert!((10.0..=90.0).contains(&ruler.at(value)));
            }
            let ticks = ruler.ticks();
            prop_assert!(ticks.len() <= 330 && ticks.iter().all(|tick| (10.0..=90.0).contains(&tick.at)));
        }
    }
}
