//! Golden pictures of the stored run, and what must hold for any data.

use maud::Render;
use proptest::prelude::*;

use super::chart::{Axis, Band, Form, Point, Reference, Scale, Series, Style};
use super::*;
use crate::history::{History, Retention};
use crate::report::identity::Looks;
use crate::report::samples;
use crate::results::RunResults;
use crate::store::Store;

/// One element on a line, so that a change of a picture can be read.
fn pretty(chart: &ChartData, looks: &Looks) -> String {
    draw(chart, looks).render().into_string().replace("><", ">\n<")
}

#[test]
fn every_card_of_the_stored_run_is_drawn_as_before() {
    let material = samples::material();
    let looks = Looks::of(material.protocols());
    let cards = cards(&material, 24);
    let names: Vec<&str> = cards.iter().map(|card| card.id.as_str()).collect();
    let expected = [
        ids::LOAD,
        ids::OUTAGE,
        ids::RECOVERY,
        ids::PERCENTILES,
        ids::OVER_TIME,
        ids::PARTS,
        ids::COST,
        ids::SCALABILITY,
        ids::RESOURCES,
        ids::TOPOLOGY,
    ];
    assert_eq!(names, expected, "the trend needs a history");
    for card in &cards {
        insta::assert_snapshot!(card.id.replace('-', "_"), pretty(&card.views[0].chart, &looks));
    }
}

#[test]
fn an_outage_is_a_line_on_the_ground_within_the_hatched_stretch() {
    let material = samples::material();
    let card = faults::outage_card(&material).unwrap();
    let chart = &card.views[0].chart;
    assert_eq!(card.views[0].metric, "crash leader");
    assert!(chart.bands.len() == 1 && chart.bands[0].is_fault && chart.bands[0].from == 0.0);
    for series in &chart.series {
        let grounded = series.points.iter().filter(|point| point.y == 0.0 && point.x > 0.0).count();
        assert!(grounded > 5, "{} has no outage after its leader's crash", series.name);
    }
}

#[test]
fn a_load_that_each_was_offered_otherwise_is_a_line_for_each() {
    let mut run = samples::run();
    run.results.retain(|result| result.scenario.name == "stress");
    for result in &mut run.results {
        let intervals = result.phases.iter_mut().flat_map(|phase| &mut phase.intervals);
        intervals.enumerate().for_each(|(index, one)| one.offered_per_s = index as f64);
    }
    let longest = run.results.iter().map(|one| one.phases[0].intervals.len()).min().unwrap();
    for result in &mut run.results {
        result.phases.truncate(1);
        result.phases[0].intervals.truncate(longest);
    }
    let offered = |run: &RunResults| -> Vec<(String, Option<String>)> {
        let card = over_time::load_card(&Material::of_runs("a", vec![run.clone()])).unwrap();
        let models = card.views[0].chart.series.iter().filter(|series| series.style == Style::Model);
        models.map(|series| (series.name.clone(), series.protocol.clone())).collect()
    };
    assert_eq!(offered(&run), [("offered".to_string(), None)]);
    run.results[1].phases[0].intervals[0].offered_per_s += 1.0;
    let names: Vec<String> = offered(&run).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["offered to raft-rs", "offered to openraft", "offered to pbft"]);
    assert!(offered(&run).iter().all(|(_, protocol)| protocol.is_some()));
}

#[test]
fn a_new_level_is_marked_in_the_trend() {
    let home = tempfile::tempdir().unwrap();
    let store = Store { home: home.path().into(), committed: None, fingerprint: String::new() };
    let mut history = History::open(&store.history_path()).unwrap();
    let run = samples::run();
    let mut result =
        run.results.iter().find(|result| result.metric("throughput_per_s").is_some()).unwrap().clone();
    result.disturbed.clear();
    for recorded in 0..40 {
        let value = if recorded < 20 { 1_000.0 } else { 2_000.0 } + f64::from(recorded % 3);
        let metric = result.metrics.iter_mut().find(|metric| metric.name == "throughput_per_s").unwrap();
        metric.value = value;
        history.record(&run, &result, &Retention::default()).unwrap();
    }
    let material = Material::of_run(&store, run, &samples::folder());
    assert_eq!(material.not_read, Vec::<String>::new());
    let card = trend::card(&material).unwrap();
    let view = card.views.iter().find(|view| view.metric == "throughput_per_s").unwrap();
    let points = &view.chart.series[0].points;
    assert_eq!((points.len(), points[20].hollow), (40, true));
    assert!(points[20].note.contains(": better by +100 % from here on"), "{}", points[20].note);
    assert_eq!(points.iter().filter(|point| point.hollow).count(), 1);
}

/// Places in a picture: x and y of marks, and of the points of lines.
fn places(svg: &str) -> Vec<(f64, f64)> {
    let number = |text: &str| text.parse::<f64>().unwrap();
    let uses = regex::Regex::new(r#"<use[^>]* x="([^"]+)" y="([^"]+)""#).unwrap();
    let lines = regex::Regex::new(r#"class="ln" d="M([^"]+)""#).unwrap();
    let marks = uses.captures_iter(svg).map(|found| (number(&found[1]), number(&found[2])));
    let points = lines.captures_iter(svg).flat_map(|found| {
        let points: Vec<String> = found[1].split('L').map(str::to_string).collect();
        points.into_iter().map(|point| {
            let (x, y) = point.split_once(' ').unwrap();
            (number(x), number(y))
        })
    });
    marks.chain(points).collect()
}

fn any_series() -> impl Strategy<Value = Series> {
    let value = prop_oneof![any::<f64>(), -1e6..1e6, Just(0.0)];
    let point = (value.clone(), value.clone(), proptest::option::of((value.clone(), value)), any::<bool>());
    let points = proptest::collection::vec(point, 0..60);
    (any::<String>(), any::<bool>(), points).prop_map(|(name, has_protocol, points)| Series {
        protocol: has_protocol.then(|| name.clone()),
        name,
        style: Style::Line,
        points: points
            .into_iter()
            .map(|(x, y, interval, hollow)| {
                let (lower, upper) = interval.unzip();
                Point { lower, upper, hollow, ..Point::at(x, y) }
            })
            .collect(),
    })
}

proptest! {
    #[test]
    fn whatever_the_data_marks_are_within_the_axes_and_names_are_escaped(
        series in proptest::collection::vec(any_series(), 0..5),
        label in any::<String>(),
        scale in prop::sample::select(vec![Scale::Linear, Scale::Log, Scale::Tail]),
        form in prop::sample::select(vec![Form::Lines, Form::Dots]),
        at in any::<f64>(),
    ) {
        let y = match form {
            Form::Dots => Axis::named("row", vec![label.clone(), "b".into()]),
            _ => Axis::of(&label, "ns", scale),
        };
        let mut chart = ChartData::new(label.clone(), form, Axis::of(&label, "1/s", scale), y, series);
        chart.bands.push(Band { from: 0.0, to: at, label: label.clone(), is_fault: true });
        chart.references.push(Reference { of_x: at > 0.0, at, label: label.clone() });
        let svg = draw(&chart, &Looks::of([label.as_str()])).render().into_string();
        if form == Form::Lines {
            for (x, y) in places(&svg) {
                prop_assert!((66.0..=506.0).contains(&x) && (22.0..=274.0).contains(&y), "{x} {y}");
            }
        }
        let tags = regex::Regex::new("<(/?[a-z]+)").unwrap();
        let known = ["svg", "rect", "title", "text", "path", "g", "use"];
        for tag in tags.captures_iter(&svg) {
            prop_assert!(known.contains(&tag[1].trim_start_matches('/')), "{svg}");
        }
    }
}

#[test]
fn charts_that_stand_beside_each_other_have_the_same_axes() {
    let point = |x: f64, y: f64| Point { lower: Some(y / 2.0), upper: Some(y * 2.0), ..Point::at(x, y) };
    let chart = |form: Form, most: f64| {
        let axis = |label: &str| Axis::of(label, "ns", Scale::Log);
        let y = if form == Form::Lines { axis("y") } else { Axis::named("y", vec!["one".into()]) };
        let points = match form {
            Form::Lines => vec![point(1.0, 10.0), point(most, most)],
            _ => vec![Point::at(most, 0.0)],
        };
        let series = Series { name: "a".into(), protocol: None, style: Style::Marks, points };
        ChartData::new("t".into(), form, axis("x"), y, vec![series])
    };
    let looks = Looks::of(["a"]);
    let tick = regex::Regex::new("<text class=\"tick\"[^>]*>[^<]*").unwrap();
    for form in [Form::Lines, Form::Dots, Form::Stacks] {
        let (small, large) = (chart(form, 100.0), chart(form, 9e6));
        let ticks = |chart: &ChartData| -> Vec<String> {
            let picture = draw(chart, &looks).into_string();
            tick.find_iter(&picture).map(|found| found.as_str().to_string()).collect()
        };
        assert_ne!(ticks(&small), ticks(&large), "{form:?}");
        assert_eq!(ticks(&small.beside(&large)), ticks(&large.beside(&small)), "{form:?}");
    }
}
