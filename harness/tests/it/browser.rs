//! The page in a real browser: it opens from disk without a fault, its marks are where they belong, its
//! filter and its links work, and it holds axe-core's rules of accessibility.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use consensus_bench::compare::compare;
use consensus_bench::files::read_results;
use consensus_bench::profile::{Frame, PROFILE_FOLDER, ProfileFiles, Profiled, Samples, Stack, attribute};
use consensus_bench::report::material::Material;
use consensus_bench::report::page::{compare_page, page};
use consensus_bench::store::{Recorded, Store};

/// Names that Chromium has, by system.
const CHROMIUM: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// What the check needs and this machine may not have: a browser, Node, and the packages of `ci/browser`.
fn needed() -> Result<(PathBuf, PathBuf), String> {
    let is_there =
        |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|ran| ran.status.success());
    let chromium = CHROMIUM.iter().find(|name| is_there(name)).ok_or("no Chromium is installed")?;
    if !is_there(&"node") {
        return Err("no Node is installed".into());
    }
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ci/browser");
    if !check.join("node_modules/puppeteer-core").is_dir() || !check.join("node_modules/axe-core").is_dir() {
        return Err("`npm ci` was not run in ci/browser".into());
    }
    // The check wants a path, and the shell knows where a name is.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(chromium)).find(|path| path.is_file());
    Ok((found.ok_or("Chromium is not in PATH")?, check))
}

fn check(page: &str, [chromium, check]: [&Path; 2]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    std::fs::write(&path, page).unwrap();
    Command::new("node").arg(check.join("check.mjs")).arg(chromium).arg(&path).output().unwrap()
}

/// The stored run with a profile of raft-rs, of which so many samples saw hashing.
fn profiled_run(home: &Path, hashing: u64) -> Material {
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/report-run");
    let stack = |function: &str, samples| Stack {
        thread: "cluster".into(),
        frames: vec![Frame { function: function.into(), file: String::new() }],
        samples,
    };
    let stacks = vec![stack("raft::raft::step", 400), stack("blake3::hash", hashing)];
    let samples = Samples { stacks, cpu_s: Some(1.0), wall_s: 1.0, ..Samples::default() };
    let profiled = Profiled { scenario: "stress".into(), protocol: "raft-rs".into(), ..Profiled::default() };
    let folder = home.join("20261121T120000.000Z-profile").join(PROFILE_FOLDER);
    ProfileFiles::write(&folder, &samples, &attribute(&samples, profiled, None)).unwrap();
    let store = Store { home: home.into(), committed: None, fingerprint: String::new() };
    Material::of_run(&store, read_results(&run.join("results.json")).unwrap(), &run)
}

#[test]
fn the_page_works_in_a_browser_and_a_spoiled_one_is_found_out() {
    let (chromium, folder) = match needed() {
        Ok(found) => found,
        Err(why) => {
            // Not through `eprintln`, which the test runner keeps to itself when a test passes.
            writeln!(std::io::stderr(), "the page was not opened in a browser: {why}").ok();
            return;
        }
    };
    let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (a, b) = (profiled_run(home.path(), 100), profiled_run(other.path(), 300));
    let recorded = |side: &Material| Recorded { name: side.name.clone(), runs: side.runs.clone() };
    let good = page(&a);
    let compared = compare_page(&a, &b, &compare(&recorded(&a), &recorded(&b)));
    let check = |page: &str| check(page, [&chromium, &folder]);

    for page in [&good, &compared] {
        assert!(page.contains("<iframe"), "a flame graph is looked at too");
        let ran = check(page);
        assert!(
            ran.status.success(),
            "{}{}",
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr)
        );
    }

    let muted = good.replace("--muted: #565d66", "--muted: #cccccc");
    let beyond = muted.replacen("class=\"m\" href=\"#m0\" x=\"", "class=\"m\" href=\"#m0\" x=\"9", 40);
    let spoiled = beyond.replacen("\"use strict\";", "\"use strict\"; console.error(\"planted\");", 1);
    let told = String::from_utf8_lossy(&check(&spoiled).stdout).into_owned();
    for fault in ["color-contrast", "beyond the axes", "planted"] {
        assert!(told.contains(fault), "{fault} was not found: {told}");
    }
}
