//! A git repository in a lab, and what of it must be held (`policies/protected.toml`).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::lab::Lab;
use crate::leftovers::snapshot;
use crate::outcome::Outcome;

/// Files and folders (with a trailing slash) that must be held.
pub const HELD: &[&str] = &[
    ".git/hooks/",
    ".git/config",
    ".envrc",
    ".vscode/",
    ".idea/",
    ".mcp.json",
    ".claude/",
    ".cursor/",
    "Agentfile",
    "agentrc.lock",
];

/// A repository in `project/repo`, with everything in [`HELD`] in place or with nothing of it.
pub fn repository(lab: &Lab, full: bool) -> PathBuf {
    let repo = lab.project("repo");
    lab.directory(&repo);
    git(lab, &repo, &["init", "-q"]).expect_code(0);
    lab.file(repo.join("src/main.c"), "int main(void) { return 0; }\n");
    git(lab, &repo, &["add", "-A"]).expect_code(0);
    git(lab, &repo, &["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "first"])
        .expect_code(0);
    for held in HELD {
        match (full, held.strip_suffix('/')) {
            (true, Some(folder)) => lab.file(repo.join(folder).join("there"), "as it was\n"),
            (true, None) => lab
                .file(repo.join(held), fs::read(repo.join(held)).unwrap_or_else(|_| b"as it was\n".to_vec())),
            (false, Some(folder)) => drop(fs::remove_dir_all(repo.join(folder))),
            (false, None) if *held != ".git/config" => drop(fs::remove_file(repo.join(held))),
            (false, None) => {}
        }
    }
    repo
}

/// Runs git in a folder, with no configuration but the repository's own.
pub fn git(lab: &Lab, folder: &Path, words: &[&str]) -> Outcome {
    let mut command = lab.command("git");
    command.current_dir(folder).args(["-c", "init.defaultBranch=main"]).args(words);
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    lab.finish_command(command)
}

/// What the held paths look like from the host.
pub fn held(repo: &Path) -> BTreeMap<PathBuf, String> {
    let below = |path: &Path| HELD.iter().any(|held| path.starts_with(held.trim_end_matches('/')));
    snapshot(repo)
        .into_iter()
        .filter(|(path, _)| below(path) || path == Path::new(".git"))
        .map(|(path, line)| {
            // `.git` itself is written to all the time (index, refs): only that it is the same folder counts.
            let line = if path == Path::new(".git") {
                format!("inode {:?}", inode(&repo.join(".git")))
            } else {
                line
            };
            (path, line)
        })
        .collect()
}

fn inode(path: &Path) -> Option<u64> {
    Some(path.symlink_metadata().ok()?.ino())
}

/// Their names.
pub fn names(held: &BTreeMap<PathBuf, String>) -> Vec<PathBuf> {
    held.keys().cloned().collect()
}
