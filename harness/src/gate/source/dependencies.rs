//! What one side's build made of the dependencies, for the other side: with the same flags they are the same, and
//! most of what a first build takes.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// What cargo made, and what it knows of it, within a target folder.
const PARTS: [&str; 3] = ["release/deps", "release/build", "release/.fingerprint"];

/// Begins a target folder that is not there yet with all that is in the other one. Cargo makes anew whatever belongs
/// to a folder's own sources, as their paths differ. Without it, or when it fails, everything is built: that takes
/// longer, and nothing else is wrong.
pub(in crate::gate) fn lend(other: &Path, target: &Path) {
    if target.exists() || !other.exists() {
        return;
    }
    // A target folder that is cut in half would look like one that someone damaged.
    let begun = target.with_extension("begun");
    fs::remove_dir_all(&begun).ok();
    let copied = PARTS.iter().try_for_each(|part| copy(&other.join(part), &begun.join(part)));
    if copied.and_then(|()| fs::rename(&begun, target)).is_err() {
        fs::remove_dir_all(&begun).ok();
    }
}

/// A folder's files with their times, by which cargo tells what is out of date.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, copied) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&path, &copied)?;
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

    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_new_target_folder_begins_with_what_the_other_one_has_and_an_old_one_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (other, target) = (folder.path().join("base-target"), folder.path().join("head-target"));
        lend(&other, &target);
        assert!(!target.exists(), "there is nothing to lend");

        let made = other.join("release/build/x/out/made");
        write(&made, "made");
        write(&other.join("release/deps/libx.rlib"), "x");
        write(&other.join("release/.fingerprint/x/lib"), "1");
        write(&other.join("gungraun/old"), "counts");
        let past = SystemTime::now() - Duration::from_secs(3_600);
        File::open(&made).unwrap().set_modified(past).unwrap();
        lend(&other, &target);
        let copied = target.join("release/build/x/out/made");
        assert_eq!(fs::read_to_string(&copied).unwrap(), "made");
        assert_eq!(copied.metadata().unwrap().modified().unwrap(), past);
        assert!(target.join("release/.fingerprint/x/lib").exists() && !target.join("gungraun").exists());

        write(&other.join("release/deps/liby.rlib"), "y");
        lend(&other, &target);
        assert!(!target.join("release/deps/liby.rlib").exists());
    }

    #[test]
    fn half_of_one_is_not_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (other, target) = (folder.path().join("base-target"), folder.path().join("head-target"));
        write(&other.join("release/deps/libx.rlib"), "x");
        lend(&other, &target);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
