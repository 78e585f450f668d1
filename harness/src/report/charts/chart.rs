//! A chart as plain data: what is drawn, what is exported, and what golden tests hold.

use serde::Serialize;

/// Charts of one question, of which a reader looks at one at a time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Card {
    /// Names it in links: `latency-throughput`.
    pub id: String,
    /// The question.
    pub title: String,
    /// How to read it, in a sentence or two.
    pub about: String,
    /// The charts, the one that answers first.
    pub views: Vec<View>,
}

/// One chart of a card.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    /// Of what: a scenario, a place.
    pub subject: String,
    /// What is shown: a metric, a fault.
    pub metric: String,
    /// On which scale; empty when there is but one.
    pub scale: String,
    /// The chart.
    pub chart: ChartData,
}

/// One chart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChartData {
    /// What it shows, for those who don't see it and for files.
    pub title: String,
    /// How points become marks.
    pub form: Form,
    /// To the right.
    pub x: Axis,
    /// Upwards; of rows, downwards.
    pub y: Axis,
    /// What is compared.
    pub series: Vec<Series>,
    /// Stretches of x that mean something.
    pub bands: Vec<Band>,
    /// Values that mean something.
    pub references: Vec<Reference>,
    /// Where the axis of y ends although there are values beyond, which are drawn at its end; none where it holds
    /// all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y_at_most: Option<f64>,
    /// Values that its axes hold besides, because it stands beside a chart that has them.
    #[serde(skip)]
    pub beside: Held,
    /// Points that are not drawn because neighbours stand for them.
    #[serde(skip)]
    pub thinned_away: usize,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// Values that the axes of a chart hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Held {
    /// To the right.
    pub x: Vec<f64>,
    /// Upwards.
    pub y: Vec<f64>,
}

/// How points become marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// y against x, points joined in their order.
    Lines,
    /// A row for each category of y, and in it a mark at x for each series.
    Dots,
    /// A row for each category of y, and in it the series one after the other.
    Stacks,
    /// Categories of x as places, y as the distance from the series' place to each of them.
    Map,
}

/// One direction of a chart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Axis {
    /// What it measures.
    pub label: String,
    /// Unit of its values, as metrics name it: `ns`, `1/s`, `s`.
    pub unit: String,
    /// How values become distances.
    pub scale: Scale,
    /// Names of the values 0, 1, 2 …; empty unless they have names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
}

/// How values become distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Equal differences are equal distances; zero is on the axis.
    Linear,
    /// Equal ratios are equal distances.
    Log,
    /// As [`Scale::Log`], of 1/(1−q), where q is a quantile: each nine is as far from the next.
    Tail,
    /// Numbered names.
    Categories,
}

/// Points that belong together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// What the legend says.
    pub name: String,
    /// The protocol that it is of; none for what belongs to all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// How it is drawn.
    pub style: Style,
    /// Its points, in the order in which they are joined.
    pub points: Vec<Point>,
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// Measured: a line with marks.
    Line,
    /// Measured, and not joined.
    Marks,
    /// Computed: a fit, a floor. A line without marks.
    Model,
}

/// A value, in units of its axes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Point {
    /// To the right.
    pub x: f64,
    /// Upwards, or the number of a category.
    pub y: f64,
    /// Lower end of the 95 % interval of the measured value: y, or x of rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower: Option<f64>,
    /// Upper end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upper: Option<f64>,
    /// Something is the matter with it, which `note` says; its mark is hollow.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hollow: bool,
    /// What is to be said of it beside its values.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A stretch of x.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Band {
    /// Its beginning.
    pub from: f64,
    /// Its end.
    pub to: f64,
    /// What it is.
    pub label: String,
    /// Whether it is a fault, or merely a phase.
    pub is_fault: bool,
}

/// A value that means something.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reference {
    /// Whether it is a value of x; otherwise of y.
    pub of_x: bool,
    /// The value.
    pub at: f64,
    /// What it is.
    pub label: String,
}

impl Axis {
    /// An axis of values.
    pub fn of(label: &str, unit: &str, scale: Scale) -> Axis {
        Axis { label: label.into(), unit: unit.into(), scale, categories: Vec::new() }
    }

    /// An axis of names.
    pub fn named(label: &str, categories: Vec<String>) -> Axis {
        Axis { label: label.into(), unit: String::new(), scale: Scale::Categories, categories }
    }
}

impl Point {
    /// A value without an interval.
    pub fn at(x: f64, y: f64) -> Point {
        Point { x, y, ..Point::default() }
    }

    /// Whether it can be drawn on these axes: a logarithm has no zero.
    fn fits(&self, x: &Axis, y: &Axis) -> bool {
        let fits = |value: f64, axis: &Axis| {
            value.is_finite() && (value > 0.0 || !matches!(axis.scale, Scale::Log | Scale::Tail))
        };
        fits(self.x, x) && fits(self.y, y)
    }
}

impl ChartData {
    /// A chart of lines without bands, references and notes.
    pub fn lines(title: String, x: Axis, y: Axis, series: Vec<Series>) -> ChartData {
        ChartData::new(title, Form::Lines, x, y, series)
    }

    /// A chart without bands, references and notes. Points that have no place on its axes are left out, which
    /// a note says, and so are series without points.
    pub fn new(title: String, form: Form, x: Axis, y: Axis, mut series: Vec<Series>) -> ChartData {
        let mut left_out = 0;
        for one in &mut series {
            let before = one.points.len();
            one.points.retain(|point| point.fits(&x, &y));
            left_out += before - one.points.len();
        }
        series.retain(|one| !one.points.is_empty());
        let notes = match left_out {
            0 => Vec::new(),
            1 => vec!["One value of 0 has no place on the logarithmic scale.".into()],
            many => vec![format!("{many} values of 0 have no place on the logarithmic scale.")],
        };
        ChartData {
            title,
            form,
            x,
            y,
            series,
            bands: Vec::new(),
            references: Vec::new(),
            y_at_most: None,
            beside: Held::default(),
            thinned_away: 0,
            notes,
        }
    }

    /// The values that its axes have to hold.
    pub fn held(&self) -> Held {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let of = |of_x: bool| self.references.iter().filter(move |one| one.of_x == of_x).map(|one| one.at);
        let mut held = self.beside.clone();
        held.x.extend(of(true).chain(self.bands.iter().flat_map(|band| [band.from, band.to])));
        held.y.extend(of(false));
        match self.form {
            Form::Lines => {
                held.x.extend(points().map(|point| point.x));
                held.y.extend(points().flat_map(|point| [Some(point.y), point.lower, point.upper]).flatten());
            }
            Form::Dots => {
                held.x.extend(points().flat_map(|point| [Some(point.x), point.lower, point.upper]).flatten());
            }
            Form::Stacks => {
                let mut sums = vec![0.0; self.y.categories.len()];
                for point in points() {
                    if let Some(sum) = sums.get_mut(point.y as usize) {
                        *sum += point.x;
                    }
                }
                held.x.extend(sums);
            }
            Form::Map => {}
        }
        let most = self.y_at_most.unwrap_or(f64::INFINITY);
        held.y.iter_mut().for_each(|value| *value = value.min(most));
        held
    }

    /// The same chart with axes that hold another one's values too, so that both can be compared by eye.
    pub fn beside(&self, other: &ChartData) -> ChartData {
        let y_at_most = self.y_at_most.zip(other.y_at_most).map(|(own, others)| own.max(others));
        ChartData { beside: other.held(), y_at_most: y_at_most.or(self.y_at_most), ..self.clone() }
    }

    /// Leaves at most so many points in each series, and says so.
    ///
    /// Of each stretch the lowest and the highest value stay, so that neither a gap nor a peak is lost. Points with
    /// which something is the matter stay whatever their number is.
    pub fn thin(&mut self, most: usize) {
        let mut longest = 0;
        for series in &mut self.series {
            if series.points.len() > most {
                let before = series.points.len();
                longest = longest.max(before);
                series.points = thinned(&series.points, most);
                self.thinned_away += before - series.points.len();
            }
        }
        if longest > 0 {
            self.notes.push(format!(
                "Drawn from the lowest and the highest value of each stretch: {most} of up to {longest} values."
            ));
        }
    }

    /// The same chart on another scale of y.
    pub fn on(&self, scale: Scale) -> ChartData {
        let y = Axis { scale, ..self.y.clone() };
        let again = ChartData::new(self.title.clone(), self.form, self.x.clone(), y, self.series.clone());
        ChartData {
            bands: self.bands.clone(),
            references: self.references.clone(),
            y_at_most: self.y_at_most,
            beside: self.beside.clone(),
            thinned_away: self.thinned_away,
            notes: [again.notes, self.notes.clone()].concat(),
            ..again
        }
    }

    /// Whether there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}

fn thinned(points: &[Point], most: usize) -> Vec<Point> {
    let stretches = (most / 2).max(1);
    let length = points.len().div_ceil(stretches);
    let mut kept = Vec::with_capacity(most);
    for stretch in points.chunks(length) {
        let by_y = |a: &&(usize, &Point), b: &&(usize, &Point)| a.1.y.total_cmp(&b.1.y);
        let numbered: Vec<(usize, &Point)> = stretch.iter().enumerate().collect();
        let ends = [numbered.iter().min_by(by_y), numbered.iter().max_by(by_y)];
        let stays = |(index, point): &&(usize, &Point)| {
            point.hollow || ends.iter().flatten().any(|(end, _)| end == index)
        };
        kept.extend(numbered.iter().filter(stays).map(|(_, point)| (*point).clone()));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Series {
        Series {
            name: "a".into(),
            protocol: None,
            style: Style::Line,
            points: values.iter().enumerate().map(|(x, &y)| Point::at(x as f64, y)).collect(),
        }
    }

    #[test]
    fn thinning_keeps_a_gap_and_a_peak_and_says_so() {
        let mut values = vec![100.0; 1_000];
        values[357] = 0.0;
        values[811] = 900.0;
        let axis = || Axis::of("", "s", Scale::Linear);
        let mut chart = ChartData::lines("t".into(), axis(), axis(), vec![series(&values)]);
        chart.thin(50);
        let kept = &chart.series[0].points;
        assert!(kept.len() <= 50, "{}", kept.len());
        assert!(kept.iter().any(|point| point.y == 0.0) && kept.iter().any(|point| point.y == 900.0));
        assert!(kept.windows(2).all(|pair| pair[0].x < pair[1].x), "their order stays");
        assert_eq!(chart.notes.len(), 1);
        assert_eq!(chart.thinned_away + kept.len(), 1_000);
        chart.thin(50);
        assert_eq!(chart.notes.len(), 1, "what is thin enough is left alone");
    }

    #[test]
    fn thinning_keeps_what_is_marked() {
        let mut marked = series(&[1.0, 5.0, 3.0, 9.0, 4.0, 1.0]);
        marked.points[2].hollow = true;
        let axis = || Axis::of("", "s", Scale::Linear);
        let mut chart = ChartData::lines("t".into(), axis(), axis(), vec![marked]);
        chart.thin(2);
        let kept: Vec<f64> = chart.series[0].points.iter().map(|point| point.y).collect();
        assert_eq!(kept, [1.0, 3.0, 9.0]);
    }

    #[test]
    fn a_zero_is_not_drawn_on_a_logarithmic_scale_and_that_is_said() {
        let axis = |scale| Axis::of("", "s", scale);
        let of = |values: &[f64]| {
            ChartData::lines("t".into(), axis(Scale::Linear), axis(Scale::Log), vec![series(values)])
        };
        assert_eq!(of(&[0.0, 1.0, f64::NAN]).series[0].points.len(), 1);
        assert_eq!(of(&[0.0, 1.0]).notes.len(), 1);
        assert!(of(&[0.0]).is_empty());
    }
}
