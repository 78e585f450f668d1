//! What must hold for the page as a whole: nothing from elsewhere, nothing unescaped, not too large, readable
//! in either theme.

use std::collections::BTreeMap;

use super::identity::COLOURS;
use super::material::{Material, RunProfile};
use super::page::{MOST_BYTES, compare_page, page};
use super::samples;
use crate::compare::compare;
use crate::results::{
    Advice, Analysis, Change, Confidence, Effect, Evidence, Outcome, Recommendation, RunResults, Severity,
    Status,
};
use crate::store::{Recorded, Store};

const STYLE: &str = include_str!("report.css");

/// Tags and attributes that would ask the network for something; namespaces of embedded pictures don't.
fn asks_for(page: &str) -> Vec<String> {
    let wanted =
        regex::Regex::new(r#"(?:src|href|action|data|poster)="([^"]*)"|url\(([^)]*)\)|@import[^;]*"#)
            .unwrap();
    wanted
        .captures_iter(page)
        .map(|found| found.iter().skip(1).flatten().next().map_or("@import", |one| one.as_str()).to_string())
        .filter(|address| !address.starts_with('#') && !address.starts_with("data:"))
        .collect()
}

fn advice() -> Advice {
    let effect = Effect {
        metric: "throughput_per_s".into(),
        ratio: 1.2,
        lower: 1.1,
        upper: 1.3,
        basis: "8 pairs of runs".into(),
    };
    Advice {
        recommendations: vec![Recommendation {
            rule: "batch-too-small".into(),
            protocol: "raft-rs".into(),
            scenario: "stress".into(),
            cell: None,
            severity: Severity::High,
            impact: 0.5,
            with: BTreeMap::new(),
            change: Change::Setting { name: "batch_commands".into(), from: 1.0, to: 64.0 },
            reason: "each proposal holds one command".into(),
            evidence: vec![Evidence {
                what: "commands_per_proposal".into(),
                value: 1.02,
                threshold: Some(4.0),
                unit: "1".into(),
                source: "measured phase".into(),
            }],
            expected: Some(effect.clone()),
            confidence: Confidence::Medium,
            status: Status::Verified { effect, disturbed: BTreeMap::new() },
        }],
        symptoms: Vec::new(),
        withheld: Vec::new(),
    }
}

#[test]
fn the_page_holds_everything_and_asks_for_nothing() {
    let mut material = samples::material();
    material.runs[0].results.iter_mut().for_each(|result| result.disturbed.clear());
    material.advice = Some(advice());
    material.advice.as_mut().unwrap().recommendations[0].evidence.push(Evidence {
        what: "allocation_share".into(),
        value: 0.3,
        threshold: None,
        unit: "1".into(),
        source: "measured phase".into(),
    });
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>1</script></svg>".to_string();
    let home = tempfile::tempdir().unwrap();
    material.profiles = vec![RunProfile { svg, ..samples::profile(home.path(), 30) }];
    let page = page(&material);
    assert_eq!(asks_for(&page), Vec::<String>::new());
    assert_eq!(
        asks_for("<img src=\"https://a\"><style>@import 'b'; c{d:url(//e)}"),
        ["https://a", "@import", "//e"]
    );
    for expected in [
        "Who holds the most load?",
        "set batch_commands from 1 to 64",
        "href=\"#cost\"",
        "<a href=\"#profile\">Where the CPU time goes</a></li>",
        "Flame graph of stress/raft-rs".to_lowercase().as_str(),
        "✓ pass",
        "aria-label=\"fault_tolerance: commits per second around crash leader\"",
    ] {
        assert!(page.contains(expected), "{expected} is not in the page");
    }
    assert!(!page.contains("<script>1"), "a picture's script would run in the page");
    assert!(page.len() < MOST_BYTES);
}

const HOSTILE: &str = "a\"><script>alert('1')</script>&<b>\u{202e}";

fn spoiled() -> RunResults {
    let mut run = samples::run();
    run.run_id = HOSTILE.into();
    run.manifest.command = vec![HOSTILE.into()];
    for result in &mut run.results {
        result.scenario.name = HOSTILE.into();
        result.scenario.about = HOSTILE.into();
        result.implementation = HOSTILE.into();
        result.promise = HOSTILE.into();
        result.disturbed = vec![HOSTILE.into()];
        result.settings.insert(HOSTILE.into(), 1.0);
        if result.protocol == "raft-rs" {
            result.protocol = HOSTILE.into();
        }
        for fault in &mut result.faults {
            fault.fault = HOSTILE.into();
        }
    }
    run.results[0].outcome = Outcome::Failed { reason: HOSTILE.into() };
    run.results[1].safety.violations.push(HOSTILE.into());
    run
}

#[test]
fn no_name_becomes_a_part_of_the_page() {
    let material = Material::of_runs(HOSTILE, vec![spoiled()]);
    let recorded = |runs| Recorded { name: HOSTILE.into(), runs };
    let other = Material::of_runs("b", vec![samples::run()]);
    let comparison = compare(&recorded(material.runs.clone()), &recorded(other.runs.clone()));
    let alone = page(&material);
    assert!(alone.contains("✗ unsafe"), "what is unsafe is marked");
    for page in [alone, compare_page(&material, &other, &comparison)] {
        assert!(page.contains("&lt;script&gt;"));
        assert_eq!(page.matches("<script>").count(), 1, "the page's own");
        assert!(!page.contains("<b>"));
    }
}

#[test]
fn many_protocols_with_long_runs_still_fit() {
    let mut run = samples::run();
    let first: Vec<_> = run.results.iter().filter(|result| result.protocol == "raft-rs").cloned().collect();
    for copy in 0..40 {
        for result in &first {
            let mut result = result.clone();
            result.protocol = format!("protocol-{copy}");
            for phase in &mut result.phases {
                phase.intervals = phase.intervals.iter().cycle().take(500).cloned().collect();
            }
            run.results.push(result);
        }
    }
    let mut material = Material::of_runs("many", vec![run]);
    let svg = "x".repeat(MOST_BYTES);
    let home = tempfile::tempdir().unwrap();
    material.profiles = vec![RunProfile { svg, ..samples::profile(home.path(), 30) }];
    let page = page(&material);
    assert!(page.len() <= MOST_BYTES, "{}", page.len());
    let place = home.path().join("flamegraph.svg").display().to_string();
    assert!(page.contains("It would make this page too large") && page.contains(&place));
}

/// As many protocols, scenarios, faults and counted sizes as a whole `cargo bench` has.
fn whole_bench() -> Material {
    let mut run = samples::run();
    let first: Vec<_> = run.results.iter().filter(|result| result.protocol == "raft-rs").cloned().collect();
    run.results.clear();
    for result in &first {
        for copy in 0..4 {
            for protocol in 0..11 {
                let mut result = result.clone();
                result.scenario.name += &format!("_{copy}");
                result.protocol = format!("protocol-{protocol}");
                let faults = result.faults.iter().cycle().take(if result.faults.is_empty() { 0 } else { 12 });
                result.faults = faults.cloned().collect();
                for (number, fault) in result.faults.iter_mut().enumerate().skip(1) {
                    fault.fault = format!("fault_{number}");
                }
                run.results.push(result);
            }
        }
    }
    // Who is ahead of whom is not what this is about, and takes a minute to find out.
    run.analysis = Some(Analysis::default());
    Material::of_runs("all", vec![run])
}

#[test]
fn a_whole_bench_fits_and_its_charts_keep_their_points() {
    let page = page(&whole_bench());
    assert!(page.len() <= MOST_BYTES, "{}", page.len());
    let points = regex::Regex::new(r"value of each stretch: ([0-9]+) of").unwrap();
    let drawn: Vec<usize> = points.captures_iter(&page).map(|found| found[1].parse().unwrap()).collect();
    assert!(drawn.iter().all(|&points| points == super::charts::MOST_POINTS), "{drawn:?}");
    assert!(page.contains("<summary>Values</summary>"), "the first chart of a card has its values");
    assert!(page.contains("more would make this page too large"), "what is not there is told");
}

#[test]
fn two_sides_show_what_their_profiles_differ_in() {
    let (home_a, home_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let side = |name: &str, home: &std::path::Path, hashing: u64| {
        let mut material = Material::of_runs(name, vec![samples::run()]);
        material.profiles = vec![samples::profile(home, hashing)];
        material
    };
    let recorded = |name: &str| Recorded { name: name.into(), runs: vec![samples::run()] };
    let comparison = compare(&recorded("a"), &recorded("b"));
    let text = |page: &str| -> String {
        let tag = regex::Regex::new("<[^>]*>").unwrap();
        tag.replace_all(page, " ").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let (a, b) = (side("a", home_a.path(), 100), side("b", home_b.path(), 300));
    let page = compare_page(&a, &b, &comparison);
    assert!(text(&page).contains("stress/raft-rs: from A to B"), "{}", text(&page));
    // 100 of 500 samples of hashing became 300 of 700.
    assert!(text(&page).contains("hashing and crypto 20.0 % 42.9 % +22.9 % ["), "{}", text(&page));
    assert!(text(&page).contains("crate blake3 20.0 % 42.9 % +22.9 % ["));
    assert_eq!(page.matches("<iframe").count(), 3, "the difference and both sides");
    // What else differs is told of all runs of a side, and not of its last.
    assert!(text(&page).contains("Nothing: same commit, machine and command."));
    let mut mixed = b.clone();
    mixed.runs.insert(0, samples::run());
    mixed.runs[0].manifest.commit = Some("another".into());
    assert!(text(&compare_page(&a, &mixed, &comparison)).contains("another"));
    // One profile on both sides is no difference.
    let alone = compare_page(&a, &a, &comparison);
    assert!(text(&alone).contains("so there is no difference to show"));
}

#[test]
fn what_lies_beside_a_run_is_read_from_where_the_run_was_read() {
    let home = tempfile::tempdir().unwrap();
    let store = Store { home: home.path().into(), committed: None, fingerprint: String::new() };
    let id = "20261121T120000.000Z-latency";
    let folder = home.path().join(id);
    std::fs::create_dir(&folder).unwrap();
    let mut run = samples::run();
    run.run_id = id.into();
    std::fs::write(folder.join("results.json"), serde_json::to_vec(&run).unwrap()).unwrap();
    for reference in [id, "latest", folder.to_str().unwrap(), folder.join("results.json").to_str().unwrap()] {
        assert_eq!(Material::load(&store, reference).unwrap().folder.as_ref(), Some(&folder), "{reference}");
    }
    let bare = home.path().join("bare.json");
    std::fs::copy(folder.join("results.json"), &bare).unwrap();
    assert_eq!(Material::load(&store, bare.to_str().unwrap()).unwrap().folder, None);
    assert_eq!(store.folder_of(&run), Some(folder.clone()));
    run.run_id = folder.display().to_string();
    assert_eq!(store.folder_of(&run), None, "an id is no path");
}

#[test]
fn a_time_that_no_clock_has_is_no_end() {
    let mut run = samples::run();
    run.started_unix_s = 1 << 63;
    let store = Store { home: samples::folder(), committed: None, fingerprint: String::new() };
    // A folder with a time in its name is a candidate for its profile.
    let page = page(&Material::of_run(&store, run, &samples::folder()));
    assert!(page.contains("never"));
}

#[test]
fn a_run_of_nothing_has_a_page_too() {
    let mut run = samples::run();
    run.results.clear();
    run.analysis = None;
    let page = page(&Material::of_runs("nothing", vec![run]));
    assert!(
        page.contains("0 protocols, 0 scenarios")
            && page.contains("Not measured in this run. The scenario <code>throughput</code>")
    );
}

/// Colours of one theme by name.
fn theme(text: &str) -> BTreeMap<String, [f64; 3]> {
    let colour = regex::Regex::new(r"--([a-z]+[0-9]?): #([0-9a-f]{3,6})\b").unwrap();
    let channel = |text: &str| f64::from(u8::from_str_radix(text, 16).unwrap()) / 255.0;
    colour
        .captures_iter(text)
        .map(|found| {
            let digits = &found[2];
            let rgb = match digits.len() {
                3 => [0, 1, 2].map(|at| channel(&digits[at..at + 1].repeat(2))),
                _ => [0, 2, 4].map(|at| channel(&digits[at..at + 2])),
            };
            (found[1].to_string(), rgb)
        })
        .collect()
}

/// Contrast of two colours, as WCAG 2.2 defines it.
fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let linear = |c: f64| if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
    let luminance = |[r, g, b]: [f64; 3]| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn every_theme_can_be_read() {
    assert!((contrast([0.0; 3], [1.0; 3]) - 21.0).abs() < 1e-9);
    let roots: Vec<&str> =
        STYLE.split(":root {").skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
    assert_eq!(roots.len(), 3, "light, dark, paper");
    for root in roots {
        let theme = theme(root);
        for ground in ["card", "page"] {
            for text in ["text", "muted", "link", "good", "bad", "warn"] {
                let contrast = contrast(theme[text], theme[ground]);
                assert!(contrast >= 4.5, "{text} on {ground}: {contrast:.2} in {root}");
            }
            for index in 0..COLOURS {
                let contrast = contrast(theme[&format!("c{index}")], theme[ground]);
                assert!(contrast >= 3.0, "colour {index} on {ground}: {contrast:.2} in {root}");
            }
        }
    }
}
