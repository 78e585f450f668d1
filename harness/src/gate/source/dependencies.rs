//! What one side's build made of the dependencies, for the other side: with the same flags they are the same, and
//! most of what a first build takes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

/// What cargo knows of all that it made, by package, within a target folder.
const KNOWN: &str = "release/.fingerprint";
/// What it made.
const MADE: [&str; 2] = ["release/deps", "release/build"];

/// Begins a target folder that is not there yet with what the other one has of dependencies. `tree` is what is to be
/// built there: its own packages are left out, as cargo would tell by the times of their files alone whether what was
/// made of the other side's is up to date. Without it, or when it fails, everything is built: that takes longer, and
/// nothing else is wrong.
pub(in crate::gate) fn lend(other: &Path, target: &Path, tree: &Path) {
    if target.exists() || !other.exists() {
        return;
    }
    let Some(own) = own_packages(tree) else { return };
    // A target folder that is cut in half would look like one that someone damaged.
    let begun = target.with_extension("begun");
    fs::remove_dir_all(&begun).ok();
    let is_lent = |entry: &str| entry.rsplit_once('-').is_none_or(|(package, _)| !own.contains(package));
    let copied = copy(&other.join(KNOWN), &begun.join(KNOWN), &is_lent)
        .and_then(|()| MADE.iter().try_for_each(|part| copy(&other.join(part), &begun.join(part), &|_| true)))
        .and_then(|()| fs::rename(&begun, target));
    if copied.is_err() {
        fs::remove_dir_all(&begun).ok();
    }
}

/// Names of the packages whose sources are in folders and may change; none when cargo can't tell.
fn own_packages(tree: &Path) -> Option<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Package {
        name: String,
        source: Option<String>,
    }
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    let mut command = Command::new("cargo");
    command.current_dir(tree).args(["metadata", "--format-version", "1", "--locked", "--quiet"]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout).ok()?;
    let own = metadata.packages.into_iter().filter(|package| package.source.is_none());
    Some(own.map(|package| package.name).collect())
}

/// What is wanted of a folder, with its times, by which cargo tells what is out of date.
fn copy(from: &Path, to: &Path, is_wanted: &dyn Fn(&str) -> bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, copied) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if !is_wanted(&entry.file_name().to_string_lossy()) {
            continue;
        }
        if kind.is_dir() {
            copy(&path, &copied, &|_| true)?;
        } else if kind.is_file() {
            fs::copy(&path, &copied)?;
            File::open(&copied)?.set_modified(entry.metadata()?.modified()?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::super::Worktree;
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A package called `own` that prints a word.
    fn package(tree: &Path, word: &str) {
        write(&tree.join("Cargo.toml"), "[package]\nname = \"own\"\nedition = \"2024\"\n[workspace]\n");
        write(&tree.join("Cargo.lock"), "version = 4\n[[package]]\nname = \"own\"\nversion = \"0.0.0\"\n");
        write(&tree.join("src/main.rs"), &format!("fn main() {{ print!(\"{word}\") }}"));
    }

    #[test]
    fn a_new_target_folder_begins_with_what_the_other_one_has_and_an_old_one_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let [other, target, tree] =
            ["base-target", "head-target", "head"].map(|name| folder.path().join(name));
        package(&tree, "1");
        lend(&other, &target, &tree);
        assert!(!target.exists(), "there is nothing to lend");
        write(&other.join("release/deps/libx.rlib"), "x");
        lend(&other, &target, &tree);
        assert!(!target.exists() && fs::read_dir(folder.path()).unwrap().count() == 2, "half of one is none");

        let made = other.join("release/build/x-1/out/made");
        write(&made, "made");
        write(&other.join("release/.fingerprint/x-1/lib"), "1");
        write(&other.join("release/.fingerprint/own-1/lib"), "1");
        write(&other.join("gungraun/old"), "counts");
        let past = SystemTime::now() - Duration::from_secs(3_600);
        File::open(&made).unwrap().set_modified(past).unwrap();
        lend(&other, &target, &tree);
        let copied = target.join("release/build/x-1/out/made");
        assert_eq!(fs::read_to_string(&copied).unwrap(), "made");
        assert_eq!(copied.metadata().unwrap().modified().unwrap(), past);
        assert!(target.join("release/.fingerprint/x-1/lib").exists() && !target.join("gungraun").exists());
        assert!(
            !target.join("release/.fingerprint/own-1").exists(),
            "its own package is built from its sources"
        );

        write(&other.join("release/deps/liby.rlib"), "y");
        lend(&other, &target, &tree);
        assert!(!target.join("release/deps/liby.rlib").exists());
    }

    #[test]
    fn each_side_is_built_from_its_own_sources() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        // Both are there before either is built, so that no time tells them apart.
        package(&path("base"), "base");
        package(&path("head"), "head");
        let printed = |side: &str, other: &str| {
            let (tree, target) = (path(side), path(&format!("{side}-target")));
            lend(&path(&format!("{other}-target")), &target, &tree);
            let worktree = Worktree { root: folder.path().into(), folder: tree };
            let program = worktree.build(side, &[], "own", &target).unwrap();
            String::from_utf8(Command::new(program).output().unwrap().stdout).unwrap()
        };
        assert_eq!([printed("base", "head"), printed("head", "base")], ["base", "head"]);
    }
}
