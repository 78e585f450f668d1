//! Times of files over worktrees: cargo builds again whatever is newer than its last build, and git gives every file
//! of a new worktree the time of its making.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::files::write_atomically;

/// A file as git knows it, and its time.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    blob: String,
    modified: SystemTime,
}

/// Gives files of a new worktree the times they had in the last one of the same folder, where they hold the same;
/// `listed` is what `git ls-tree -r -z` says of it. Any other file keeps its own time, which is newer than all that
/// was built. Where times can't be kept more is built than has to be, and nothing else is wrong.
pub(super) fn keep(tree: &Path, listed: &str) {
    let path = record_of(tree);
    let before = std::fs::read(&path).ok();
    let before: BTreeMap<String, Known> =
        before.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let mut now = BTreeMap::new();
    for (name, blob) in listed.split('\0').filter_map(entry) {
        let file = tree.join(name);
        // A link has no time of its own that a build looks at.
        if !file.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
            continue;
        }
        if let Some(known) = before.get(name).filter(|known| known.blob == blob) {
            let opened = File::options().write(true).open(&file);
            opened.and_then(|opened| opened.set_modified(known.modified)).ok();
        }
        if let Ok(modified) = file.metadata().and_then(|metadata| metadata.modified()) {
            now.insert(name, Known { blob: blob.into(), modified });
        }
    }
    if let Ok(bytes) = serde_json::to_vec(&now) {
        write_atomically(&path, &bytes).ok();
    }
}

/// Beside the worktree, as its target folder is: both go together when someone cleans up.
fn record_of(tree: &Path) -> PathBuf {
    let mut name = tree.file_name().unwrap_or_default().to_os_string();
    name.push("-files.json");
    tree.with_file_name(name)
}

/// `<mode> blob <hash>\t<path>` as path and hash.
fn entry(line: &str) -> Option<(&str, &str)> {
    let (about, name) = line.split_once('\t')?;
    Some((name, about.split(' ').nth(2)?))
}
