use super::*;

/// Throughput in proportion to the load.
#[derive(Clone, Debug, PartialEq)]
struct Line(f64);

impl Predicts for Line {
    fn measured(cell: &Cell) -> Vec<(Quantity, f64)> {
        vec![(Quantity::Throughput, cell.throughput_per_s)]
    }

    fn predict(&self, _: usize, load: Load, quantity: Quantity) -> Option<f64> {
        (quantity == Quantity::Throughput).then_some(self.0 * load.size())
    }

    fn moved(&self, _: Move, _: usize) -> Self {
        self.clone()
    }
}

fn line(cells: &[Cell]) -> Option<Line> {
    let ratios = cells.iter().map(|cell| cell.throughput_per_s / cell.load.size());
    (!cells.is_empty()).then(|| Line(ratios.sum::<f64>() / cells.len() as f64))
}

fn candidates() -> Vec<Candidate<Line>> {
    let wrong = Candidate { name: "wrong".into(), fit: Box::new(|_: &[Cell]| Some(Line(1.0))) };
    vec![wrong, Candidate { name: "line".into(), fit: Box::new(line) }]
}

fn cells(sizes: &[usize]) -> Vec<Cell> {
    let cell = |&replicas: &usize| {
        [1usize, 2, 4, 8].map(|clients| Cell {
            replicas,
            load: Load::Clients(clients),
            throughput_per_s: 10.0 * clients as f64 * if clients == 2 { 1.1 } else { 1.0 },
            noise: None,
            p50_ns: None,
            p99_ns: None,
            saturated: false,
            scenario: "s".into(),
        })
    };
    sizes.iter().flat_map(cell).collect()
}

#[test]
fn the_family_that_predicts_better_is_kept_and_said() {
    let chosen = choose(&cells(&[3]), &candidates()).unwrap();
    assert_eq!(chosen.candidate, "line");
    assert_eq!(chosen.compared[1].candidate, "wrong");
    assert!(chosen.compared[0].mean_log_error < 0.1 && chosen.compared[1].mean_log_error > 2.0);
    let standings: Vec<Standing> = chosen.held_out().map(|held| held.standing).collect();
    assert_eq!(standings, [Standing::Edge, Standing::Inside, Standing::Inside, Standing::Edge]);
    // Without its cell the line is 10, and 11 was measured per client.
    let held = chosen.held_out().nth(1).unwrap();
    assert!((held.error() - (10.0 / 11.0 - 1.0)).abs() < 1e-12);
}

#[test]
fn whole_sizes_are_held_out_where_there_are_three() {
    let chosen = choose(&cells(&[3, 5, 7]), &candidates()).unwrap();
    let standing =
        |size| chosen.by_size.iter().flat_map(|fold| &fold.held_out).find(|held| held.replicas == size);
    assert_eq!(standing(5).unwrap().standing, Standing::NewSize);
    assert_eq!(standing(7).unwrap().standing, Standing::SizeBeyond);
    assert!(choose(&cells(&[3, 5]), &candidates()).unwrap().by_size.is_empty());
    let found = summaries(chosen.held_out().collect::<Vec<_>>().into_iter());
    let inside = found.iter().find(|summary| summary.standing == Standing::Inside).unwrap();
    assert_eq!((inside.cells, inside.quantity), (6, Quantity::Throughput));
    assert!(inside.median < inside.worst && inside.worst < 0.1, "{inside:?}");
}

#[test]
fn a_prediction_is_within_an_interval_that_holds_what_was_missed() {
    let chosen = choose(&cells(&[3]), &candidates()).unwrap();
    let load = Load::Clients(3);
    let found = chosen.predict((3, load), Quantity::Throughput, false, false).unwrap();
    let (lower, upper) = (found.lower.unwrap(), found.upper.unwrap());
    assert!(lower < 30.0 && 33.0 <= upper * 1.001 && lower < found.value && found.value < upper, "{found:?}");
    assert_eq!(chosen.predict((3, load), Quantity::P99, false, false), None);
}
