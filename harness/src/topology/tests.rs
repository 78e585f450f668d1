use proptest::prelude::*;

use super::*;

/// Two regions, with different delays there and back, and what else a line each adds.
fn two_regions(more: &str) -> Result<Topology, TopologyError> {
    let required = "name = \"two\"\nregions = [\"a\", \"b\"]\none_way_ms = [[0.5, 10], [20, 1.5]]\n";
    parse("two.toml", &format!("{required}{more}"))
}

fn ms(value: f64) -> Duration {
    Duration::from_secs_f64(value / 1e3)
}

fn delays_ms(links: &[Vec<LinkSpec>]) -> Vec<Vec<f64>> {
    links.iter().map(|row| row.iter().map(|link| link.delay.as_secs_f64() * 1e3).collect()).collect()
}

#[test]
fn every_built_in_topology_is_sourced_and_symmetric_as_its_source_says() {
    for name in names() {
        let topology = built_in(name).unwrap();
        assert_eq!(topology.name, name);
        assert!(!topology.about.is_empty() && !topology.source.is_empty(), "{name}");
        let matrix = &topology.one_way_ms;
        for from in 0..matrix.len() {
            assert_eq!(matrix[from][from], 0.25, "{name}: within a region as in `lan`");
            for to in 0..matrix.len() {
                assert_eq!(matrix[from][to], matrix[to][from], "{name}: {from} and {to}");
                assert!(from == to || matrix[from][to] > matrix[from][from], "{name}: {from} and {to}");
            }
        }
        assert!(
            topology
                .links(topology.regions.len())
                .unwrap()
                .iter()
                .flatten()
                .all(|link| link.fifo || link.is_perfect())
        );
    }
    assert_eq!(names(), ["lan", "metro", "wan3", "wan5", "planet13"]);
}

#[test]
fn the_smaller_wide_areas_are_the_corner_of_the_planet() {
    let planet = built_in("planet13").unwrap();
    assert_eq!(planet.regions.len(), 13);
    for (name, size) in [("wan3", 3), ("wan5", 5)] {
        let wan = built_in(name).unwrap();
        assert_eq!(wan.regions, planet.regions[..size]);
        let corner: Vec<_> = planet.one_way_ms[..size].iter().map(|row| &row[..size]).collect();
        assert_eq!(wan.one_way_ms, corner);
        assert_eq!(wan.source, planet.source);
    }
}

/// Averages of both directions as the source has them: 141.142 and 141.152, 338.122 and 338.124,
/// 412.886 and 412.888, 15.116 and 15.118 ms.
#[test]
fn wide_area_delays_are_half_of_the_published_round_trips() {
    let planet = built_in("planet13").unwrap();
    let between = |from: &str, to: &str| planet.one_way_ms[planet.index_of(from)][planet.index_of(to)];
    let pairs = [
        ("eu-west-1", "us-west-1", 141.147),
        ("ap-southeast-1", "sa-east-1", 338.123),
        ("af-south-1", "ap-southeast-2", 412.887),
        ("ca-central-1", "us-east-1", 15.117),
    ];
    for (from, to, round_trip) in pairs {
        assert!((between(from, to) - round_trip / 2.0).abs() <= 0.0005 + 1e-9, "{from} to {to}");
    }
    assert_eq!(planet.largest_one_way(13), ms(206.444));
}

#[test]
fn replicas_go_round_the_regions_and_rows_send_to_columns() {
    let topology = two_regions("").unwrap();
    assert_eq!(["a", "b", "a"], [0, 1, 2].map(|replica| topology.region_of(replica)));
    let links = topology.links(3).unwrap();
    assert_eq!(delays_ms(&links), [[0.0, 10.0, 0.5], [20.0, 0.0, 20.0], [0.5, 10.0, 0.0]]);
    assert!((0..3).all(|replica| links[replica][replica].is_perfect()));
    assert_eq!(topology.client_delays(3), [0.5, 10.0, 0.5].map(ms));
    assert_eq!(topology.largest_one_way(3), ms(20.0));
    assert_eq!(topology.largest_one_way(1), Duration::ZERO);
    assert_eq!(topology.links(0).unwrap(), Vec::<Vec<LinkSpec>>::new());
    assert_eq!(topology.client_delays(0), []);
}

#[test]
fn placement_and_client_choose_regions() {
    let topology = two_regions("placement = [\"b\", \"b\", \"a\"]").unwrap();
    assert_eq!(["b", "b", "a"], [0, 1, 2].map(|replica| topology.region_of(replica)));
    let delays = delays_ms(&topology.links(3).unwrap());
    assert_eq!(delays, [[0.0, 1.5, 20.0], [1.5, 0.0, 20.0], [10.0, 10.0, 0.0]]);
    assert_eq!(delays_ms(&topology.links(2).unwrap()), [[0.0, 1.5], [1.5, 0.0]]);
    assert_eq!(topology.largest_one_way(2), ms(1.5));
    assert_eq!(topology.client_delays(3), [1.5, 1.5, 20.0].map(ms));

    let topology = two_regions("client = \"b\"").unwrap();
    assert_eq!(topology.client_delays(3), [20.0, 1.5, 20.0].map(ms));
}

#[test]
fn every_property_reaches_its_link() {
    let more = "jitter_ms = [[1, 2], [3, 4]]\nloss = 0.25\nduplication = [[0, 0.5], [1, 0]]\n\
                bandwidth_bytes_per_s = 1e9\nreorder = true";
    let topology = two_regions(more).unwrap();
    let links = topology.links(2).unwrap();
    let there = LinkSpec {
        delay: ms(10.0),
        jitter: ms(2.0),
        loss: 0.25,
        duplication: 0.5,
        bandwidth: Some(1e9),
        ..LinkSpec::default()
    };
    let back = LinkSpec { delay: ms(20.0), jitter: ms(3.0), duplication: 1.0, ..there };
    assert_eq!(links, [[LinkSpec::default(), there], [back, LinkSpec::default()]]);
    assert_eq!(topology.largest_one_way(2), ms(23.0));
    assert!(two_regions("").unwrap().links(2).unwrap()[0][1].fifo);
    assert_eq!(two_regions("").unwrap().links(2).unwrap()[0][1].bandwidth, None);
}

#[test]
fn a_topology_survives_being_written() {
    let more = "jitter_ms = [[1, 2], [3, 4]]\nbandwidth_bytes_per_s = 1e9\nclient = \"b\"";
    for topology in [two_regions(more).unwrap(), built_in("planet13").unwrap()] {
        let text = toml::to_string(&topology).unwrap();
        assert_eq!(parse("again", &text).unwrap(), topology);
        let json = serde_json::to_value(&topology).unwrap();
        let schema = serde_json::to_value(schemars::schema_for!(Topology)).unwrap();
        assert!(jsonschema::is_valid(&schema, &json), "{json}");
        assert_eq!(serde_json::from_value::<Topology>(json).unwrap(), topology);
    }
}

#[test]
fn values_out_of_range_are_named_with_their_key() {
    let cases = [
        ("jitter_ms = -1", "jitter_ms = -1.0 is outside 0 to 60000"),
        ("jitter_ms = [[0, 0], [1e300, 0]]", "jitter_ms from `b` to `a` = 1e300 is outside 0 to 60000"),
        ("loss = 1.5", "loss = 1.5 is outside 0 to 1"),
        ("loss = nan", "loss = NaN is outside 0 to 1"),
        ("duplication = -0.1", "duplication = -0.1 is outside 0 to 1"),
        ("bandwidth_bytes_per_s = 0", "bandwidth_bytes_per_s = 0.0 is outside 1 to 1e15"),
        ("bandwidth_bytes_per_s = inf", "bandwidth_bytes_per_s = inf is outside 1 to 1e15"),
        ("placement = []", "placement = [] is outside one region for each replica, or none of this key"),
        ("placement = [\"a\", \"c\"]", "placement[1] = `c` is not in `regions`; there are: a, b"),
        ("client = \"A\"", "client = `A` is not in `regions`; there are: a, b"),
        ("client = \"x\\ny\"", "client = `x\\ny` is not in `regions`; there are: a, b"),
        ("loss = [[0, 0]]", "loss has 1 rows; give 2, one for each of `regions`"),
        ("loss = [[0, 0], [0]]", "loss from `b` has 1 values; give 2, one for each of `regions`"),
    ];
    for (more, error) in cases {
        assert_eq!(two_regions(more).unwrap_err().to_string(), format!("two.toml: {error}"));
    }
}

#[test]
fn regions_and_their_matrix_have_to_fit() {
    let names = "letters, digits, `_` and `-`";
    let cases = [
        ("[]", "[]", "regions = [] is outside at least one region".to_string()),
        ("['a', 'a']", "[]", "regions names `a` twice; give every region a name of its own".into()),
        ("['a', 'b c']", "[]", format!("regions[1] = b c is outside {names}")),
        ("['']", "[[1]]", format!("regions[0] =  is outside {names}")),
        ("['a', 'b']", "[[1, 2]]", "one_way_ms has 1 rows; give 2, one for each of `regions`".into()),
        ("['a']", "[[1, 2]]", "one_way_ms from `a` has 2 values; give 1, one for each of `regions`".into()),
        ("['a']", "[[-0.5]]", "one_way_ms from `a` to `a` = -0.5 is outside 0 to 60000".into()),
        ("['a']", "[[nan]]", "one_way_ms from `a` to `a` = NaN is outside 0 to 60000".into()),
        ("['a']", "[[60001]]", "one_way_ms from `a` to `a` = 60001.0 is outside 0 to 60000".into()),
    ];
    for (regions, matrix, error) in cases {
        let text = format!("name = 'x'\nregions = {regions}\none_way_ms = {matrix}");
        assert_eq!(parse("x.toml", &text).unwrap_err().to_string(), format!("x.toml: {error}"));
    }
    let unsafe_name = parse("x.toml", "name = '../x'\nregions = ['a']\none_way_ms = [[1]]").unwrap_err();
    assert_eq!(unsafe_name.to_string(), format!("x.toml: name = ../x is outside {names}"));
}

#[test]
fn syntax_errors_say_line_and_key() {
    let unknown = two_regions("delay = 3").unwrap_err().to_string();
    assert!(
        unknown.starts_with("two.toml: line 4 (`delay = 3`): unknown field `delay`, expected"),
        "{unknown}"
    );
    let number = two_regions("loss = \"much\"").unwrap_err().to_string();
    let expected = "two.toml: line 4 (`loss = \"much\"`): expected a number for all links, or a matrix with \
                    a row for each region";
    assert_eq!(number, expected);
    let missing = parse("x.toml", "name = 'x'\nregions = ['a']").unwrap_err().to_string();
    assert!(missing.starts_with("x.toml: ") && missing.contains("missing field `one_way_ms`"), "{missing}");
    let long = parse("x.toml", &format!("one_way_ms = [[{}", "0.25, ".repeat(50))).unwrap_err().to_string();
    assert!(long.starts_with("x.toml: line 1 (`one_way_ms = [[0.25") && long.contains("…`): "), "{long}");
    let broken = parse("x.toml", "\n\"a\\nb\" = 1").unwrap_err().to_string();
    assert!(broken.starts_with("x.toml: line 2 (") && !broken.contains('\n'), "{broken}");
}

#[test]
fn a_placement_has_to_cover_the_cluster() {
    let topology = two_regions("placement = [\"b\", \"a\"]").unwrap();
    assert!(topology.links(2).is_ok());
    let expected = "topology `two`: placement has 2 regions for 3 replicas; name one for each replica, or \
                    leave it out to place them round-robin";
    assert_eq!(topology.links(3).unwrap_err().to_string(), expected);
    assert_eq!(topology.region_of(2), "b");
}

#[test]
fn a_reference_is_a_name_or_else_a_path() {
    assert_eq!(resolve("wan5").unwrap(), built_in("wan5").unwrap());
    let known = "lan, metro, wan3, wan5, planet13";
    let error = format!("no topology `wan4`; there are: {known}; or give the path of a topology file");
    assert_eq!(resolve("wan4").unwrap_err().to_string(), error);
    assert_eq!(built_in("wan4").unwrap_err().to_string(), error);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let missing = resolve(path.to_str().unwrap()).unwrap_err().to_string();
    assert!(missing.starts_with(path.to_str().unwrap()), "{missing}");
    assert!(missing.ends_with(&format!("; give a topology file, or one of: {known}")), "{missing}");
    std::fs::write(&path, toml::to_string(&two_regions("").unwrap()).unwrap()).unwrap();
    assert_eq!(resolve(path.to_str().unwrap()).unwrap(), two_regions("").unwrap());
}

/// Texts near the grammar: they get further than arbitrary ones.
fn topology_text() -> impl Strategy<Value = String> {
    let number = || {
        prop_oneof![
            any::<f64>().prop_map(|value| format!("{value:?}").to_lowercase()),
            (0u32..70_000).prop_map(|value| value.to_string()),
        ]
    };
    let matrix = move || {
        let rows = prop::collection::vec(prop::collection::vec(number(), 0..4), 0..4);
        rows.prop_map(|rows| {
            let rows: Vec<_> = rows.iter().map(|row| format!("[{}]", row.join(", "))).collect();
            format!("[{}]", rows.join(", "))
        })
    };
    let list = || prop::collection::vec("[abc]", 0..4).prop_map(|names| format!("{names:?}"));
    let value = move || prop_oneof![number(), matrix(), list(), "\"\\PC{0,8}\"", Just("true".to_string())];
    let key = prop::sample::select(vec![
        "jitter_ms",
        "loss",
        "duplication",
        "bandwidth_bytes_per_s",
        "reorder",
        "placement",
        "client",
        "\"\\n\"",
    ]);
    let more = prop::collection::vec((key, value()), 0..3);
    (list(), matrix(), more).prop_map(|(regions, delays, more)| {
        let more: String = more.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        format!("name = \"x\"\nregions = {regions}\none_way_ms = {delays}\n{more}")
    })
}

/// Parses, and asks what was accepted for everything.
fn parses_or_says_why(text: &str) -> Result<(), TestCaseError> {
    match parse("x.toml", text) {
        Ok(topology) => {
            let places = topology.placement.as_ref().map_or(5, Vec::len);
            let links = topology.links(places).unwrap();
            let delays = links.iter().flatten().map(|link| link.delay + link.jitter);
            prop_assert_eq!(topology.largest_one_way(places), delays.max().unwrap_or_default());
            prop_assert_eq!(topology.client_delays(places).len(), places);
            prop_assert!(topology.regions.iter().any(|region| region == topology.region_of(places + 1)));
        }
        Err(error) => {
            let error = error.to_string();
            prop_assert!(error.starts_with("x.toml: "), "{}", error);
            prop_assert!(!error.chars().any(char::is_control), "{:?}", error);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_text_panics_the_parser(text in "(?s).{0,200}") {
        parses_or_says_why(&text)?;
    }

    #[test]
    fn no_text_near_a_topology_panics_the_parser(text in topology_text()) {
        parses_or_says_why(&text)?;
    }

    #[test]
    fn no_damage_to_a_topology_panics_the_parser(
        at in 0usize..1_100,
        with in "\\PC{0,3}",
        cut in 0usize..20,
    ) {
        let text = include_str!("../../topologies/wan5.toml");
        let start: String = text.chars().take(at).collect();
        let end: String = text.chars().skip(at + cut).collect();
        parses_or_says_why(&format!("{start}{with}{end}"))?;
    }
}

proptest! {
    /// One region, so that the shapes are right and values, names and numbers decide.
    #[test]
    fn accepted_links_are_within_their_ranges(
        delay in -1e5..1e5f64,
        jitter in -1e5..1e5f64,
        loss in -0.5..1.5f64,
        replicas in 0usize..8,
    ) {
        let numbers = format!("one_way_ms=[[{delay:?}]]\njitter_ms={jitter:?}\nloss={loss:?}");
        let text = format!("name='x'\nregions=['a']\n{numbers}");
        let times = [delay, jitter].iter().all(|ms| (0.0..=6e4).contains(ms));
        let within = times && (0.0..=1.0).contains(&loss);
        let parsed = parse("x.toml", &text);
        prop_assert_eq!(parsed.is_ok(), within);
        if let Ok(topology) = parsed {
            let expected = if replicas < 2 { Duration::ZERO } else { ms(delay) + ms(jitter) };
            prop_assert_eq!(topology.largest_one_way(replicas), expected);
        }
    }
}
