//! The page in a real browser: it opens from disk without a fault, its marks are where they belong, its
//! filter and its links work, and it holds axe-core's rules of accessibility.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use consensus_bench::files::read_results;
use consensus_bench::report::material::Material;
use consensus_bench::report::page::page;
use consensus_bench::store::Store;

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

#[test]
fn the_page_works_in_a_browser_and_a_spoiled_one_is_found_out() {
    let (chromium, folder) = match needed() {
        Ok(found) => found,
        Err(why) => return println!("the page was not opened in a browser: {why}"),
    };
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/report-run");
    let store = Store { home: run.join("nowhere"), committed: None, fingerprint: String::new() };
    let results = read_results(&run.join("results.json")).unwrap();
    let good = page(&Material::of_run(&store, results, &run));
    let check = |page: &str| check(page, [&chromium, &folder]);

    let ran = check(&good);
    assert!(
        ran.status.success(),
        "{}{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );

    let muted = good.replace("--muted: #565d66", "--muted: #cccccc");
    let beyond = muted.replacen("class=\"m\" href=\"#m0\" x=\"", "class=\"m\" href=\"#m0\" x=\"9", 40);
    let spoiled = beyond.replacen("\"use strict\";", "\"use strict\"; console.error(\"planted\");", 1);
    let told = String::from_utf8_lossy(&check(&spoiled).stdout).into_owned();
    for fault in ["color-contrast", "beyond the axes", "planted"] {
        assert!(told.contains(fault), "{fault} was not found: {told}");
    }
}
