//! What the host would later run or trust stays as it is in a writable bind: hooks, settings, the Agentfile, also before they
//! exist, and however the agent goes about it. (`policies/protected.toml`; `shared/attacks.md`, "planting what the host runs
//! later".)

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use agentrc_test_support::attempt::in_session;
use agentrc_test_support::leftovers::snapshot;
use agentrc_test_support::{Attempt, Control, Lab, Outcome, Sign, as_each};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// Files and folders (with a trailing slash) that must be held.
const HELD: &[&str] = &[
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
fn repository(lab: &Lab, full: bool) -> PathBuf {
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

fn git(lab: &Lab, folder: &Path, words: &[&str]) -> Outcome {
    let mut command = lab.command("git");
    command.current_dir(folder).args(["-c", "init.defaultBranch=main"]).args(words);
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    lab.finish_command(command)
}

/// What the held paths look like from the host.
fn held(repo: &Path) -> BTreeMap<PathBuf, String> {
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
    use std::os::unix::fs::MetadataExt;
    Some(path.symlink_metadata().ok()?.ino())
}

/// Every way of changing one path, by the name that is put for `{}`.
fn ways(path: &str) -> Vec<(String, String)> {
    let folder = path.ends_with('/');
    let path = path.trim_end_matches('/');
    let mut ways = vec![
        "write {} planted",
        "append {} planted",
        "mkdir {}",
        "symlink decoy {}",
        "rename decoy {}",
        "rename decoys {}",
        "exchange decoy {}",
        "exchange decoys {}",
        "link decoy {}",
        "unlink {}",
        "rmdir {}",
        "rename {} away",
        "chmod {} 0777",
        "truncate {}",
        "whiteout {} away",
        "mknod {} p 0 0",
    ];
    if folder {
        ways.extend([
            "write {}/planted x",
            "write {}/there x",
            "unlink {}/there",
            "rename {}/there {}/other",
            "mkdir {}/made",
            "link decoy {}/link",
        ]);
    }
    ways.into_iter().map(|way| (way.replace("{}", path), path.to_owned())).collect()
}

fn cannot_be_planted(lab: &Lab, full: bool) {
    let repo = repository(lab, full);
    let look = || format!("{:?}", held(&repo));
    // The control: the same ways work on a path that nobody protects.
    let plain = repo.join("plain");
    let control = || {
        for name in ["plain", "decoy", "decoys", "away"] {
            // Whatever the attempt before made of them.
            let _ = fs::remove_file(repo.join(name)).or_else(|_| fs::remove_dir_all(repo.join(name)));
        }
        lab.directory(&plain);
        lab.directory(repo.join("decoys"));
        lab.file(repo.join("decoy"), "#!/bin/sh\ntouch planted\n");
    };
    control();
    let before = held(&repo);
    let mut sandbox = lab.attack("AGENT planter\nBIND ./repo /work rw");
    let mut attempts = Vec::new();
    for path in HELD {
        for (line, _) in ways(path) {
            let line = line.split(' ').map(|word| inside(word, path)).collect::<Vec<_>>().join(" ");
            attempts.push(
                Attempt::new(line.clone(), line, Sign::Host(Box::new(look)), Control::Elsewhere)
                    .after(control),
            );
        }
    }
    // The folders above: renamed away, a copy could be put in their place.
    for line in [
        "rename /work/.git /work/moved",
        "exchange /work/.git /work/decoys",
        "rename /work/decoys /work/.git",
        "rmdir /work/.git",
        "umount /work/.git/hooks",
    ] {
        attempts
            .push(Attempt::new(line, line, Sign::Host(Box::new(look)), Control::Elsewhere).after(control));
    }
    let failures = in_session(lab, &mut sandbox, &attempts);
    // Positive control, as a group: on a plain file, in the same sandbox, the ways do what they say.
    let seen = |look: &dyn Fn() -> bool, sandbox: &mut agentrc_test_support::Session, line: &str| {
        control();
        sandbox.act(line);
        look()
    };
    assert!(
        seen(&|| plain.join("x").exists(), &mut sandbox, "write /work/plain/x planted"),
        "control: write"
    );
    assert!(
        seen(&|| plain.join("x").exists(), &mut sandbox, "rename /work/decoy /work/plain/x"),
        "control: rename"
    );
    assert!(
        seen(&|| plain.join("x").symlink_metadata().is_ok(), &mut sandbox, "symlink decoy /work/plain/x"),
        "control: symlink"
    );
    assert!(
        seen(&|| plain.join("x").exists(), &mut sandbox, "link /work/decoy /work/plain/x"),
        "control: link"
    );
    assert!(seen(&|| plain.is_file(), &mut sandbox, "exchange /work/decoy /work/plain"), "control: exchange");
    assert!(seen(&|| !plain.exists(), &mut sandbox, "rmdir /work/plain"), "control: rmdir");
    assert!(seen(&|| !plain.exists(), &mut sandbox, "rename /work/plain /work/away"), "control: rename away");
    let _ = fs::remove_dir_all(repo.join("away"));
    sandbox.end().expect_code(0);
    assert!(failures.is_empty(), "as {}:\n  {}", lab.who.name, failures.join("\n  "));
    // And when the run is over nothing is there that was not, and nothing is another.
    assert_eq!(names(&before), names(&held(&repo)), "as {}: placeholders are left behind", lab.who.name);
}

/// A word of an attacker's line as a path inside.
fn inside(word: &str, path: &str) -> String {
    let path = path.trim_end_matches('/');
    if word == "decoy" || word == "decoys" || word == "away" || word.starts_with(path) {
        format!("/work/{word}")
    } else {
        word.to_owned()
    }
}

fn names(held: &BTreeMap<PathBuf, String>) -> Vec<PathBuf> {
    held.keys().cloned().collect()
}

#[test]
fn what_is_there_already_cannot_be_changed_removed_or_replaced() {
    as_each(AGENTRC, |lab| cannot_be_planted(lab, true));
}

#[test]
fn what_does_not_exist_yet_cannot_be_made_and_nothing_is_left_of_the_protection() {
    as_each(AGENTRC, |lab| cannot_be_planted(lab, false));
}

/// Ways to make git run a command when the host next uses the repository. Run in its folder; `$CANARY` is a file.
const PLANTS: &[(&str, &str)] = &[
    (
        "a hook",
        "printf '#!/bin/sh\\ntouch %s\\n' $CANARY > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit",
    ),
    (
        "another hook",
        "printf '#!/bin/sh\\ntouch %s\\n' $CANARY > .git/hooks/post-index-change; chmod +x .git/hooks/post-index-change",
    ),
    ("fsmonitor", "git config core.fsmonitor \"touch $CANARY; false\""),
    ("fsmonitor, by hand", "printf '[core]\\n\\tfsmonitor = \"touch %s; false\"\\n' $CANARY >> .git/config"),
    (
        "fsmonitor, by a renamed file",
        "cp .git/config c; printf '[core]\\n\\tfsmonitor = \"touch %s; false\"\\n' $CANARY >> c; mv -f c .git/config",
    ),
    (
        "hooksPath",
        "mkdir h; printf '#!/bin/sh\\ntouch %s\\n' $CANARY > h/pre-commit; chmod +x h/pre-commit; git config core.hooksPath h",
    ),
    (
        "a filter",
        "git config filter.x.clean \"touch $CANARY; cat\"; echo '* filter=x' > .gitattributes; echo >> src/main.c",
    ),
    (
        "a repository in its place",
        "cp -r .git r; printf '[core]\\n\\tfsmonitor = \"touch %s; false\"\\n' $CANARY >> r/config; mv .git old && mv r .git",
    ),
    (
        "a repository beside it, by a `.git` file",
        "cp -r .git r; printf '[core]\\n\\tfsmonitor = \"touch %s; false\"\\n' $CANARY >> r/config; mv .git old; echo 'gitdir: r' > .git",
    ),
    (
        "commondir",
        "cp -r .git r; printf '[core]\\n\\tfsmonitor = \"touch %s; false\"\\n' $CANARY >> r/config; echo ../r > .git/commondir",
    ),
    (
        "the settings of a worktree",
        "git config extensions.worktreeConfig true; git config --worktree core.fsmonitor \"touch $CANARY; false\"",
    ),
    (
        "hooks exchanged for a folder",
        "mkdir h; printf '#!/bin/sh\\ntouch %s\\n' $CANARY > h/pre-commit; chmod +x h/pre-commit; rm -rf .git/hooks; mv h .git/hooks",
    ),
    (
        "hooks by a symlink",
        "mkdir h; printf '#!/bin/sh\\ntouch %s\\n' $CANARY > h/pre-commit; chmod +x h/pre-commit; rm -rf .git/hooks; ln -s ../h .git/hooks",
    ),
    (
        "an include that is there",
        "git config include.path ../inc; printf '[core]\\n\\tfsmonitor = \"touch %s; false\"\\n' $CANARY > inc",
    ),
];

/// What a person does with a repository after an agent was in it.
const AFTERWARDS: &str = "git status; git add -A; git -c user.name=t -c user.email=t@example.com commit -qm after; git diff HEAD~; git log -1";

#[test]
fn git_on_the_host_runs_nothing_that_the_agent_planted() {
    as_each(AGENTRC, |lab| {
        for full in [true, false] {
            for (name, plant) in PLANTS {
                let repo = repository(lab, full);
                let canary = lab.outside("ran");
                let _ = fs::remove_file(&canary);
                let shell = |text: &str| {
                    let mut command = lab.command("/bin/sh");
                    command.args(["-c", text]).current_dir(&repo).env("CANARY", &canary);
                    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
                    lab.finish_command(command)
                };
                // Positive control: without a sandbox the host runs it.
                shell(&format!("{plant}\n{AFTERWARDS}"));
                let ran = canary.exists();
                let _ = fs::remove_file(&canary);
                fs::remove_dir_all(&repo).expect("the repository");
                assert!(ran, "control: `{name}` does nothing on this host");

                let repo = repository(lab, full);
                lab.script(
                    lab.project("plant.sh"),
                    &format!("cd /work\nCANARY={}\n{plant}\nexit 0\n", canary.display()),
                );
                let outcome = lab.run("AGENT planter\nBIND ./repo /work rw\nCMD /bin/sh ./plant.sh\n");
                outcome.expect_code(0);
                assert!(!canary.exists(), "`{name}` reached the host during the run");
                let after = lab.finish_command({
                    let mut command = lab.command("/bin/sh");
                    command.args(["-c", AFTERWARDS]).current_dir(&repo);
                    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
                    command
                });
                assert!(
                    !canary.exists(),
                    "as {}: `{name}` (full: {full}) ran on the host\n{}\n{}",
                    lab.who.name,
                    outcome.stderr,
                    after.stderr
                );
                fs::remove_dir_all(&repo).expect("the repository");
            }
        }
    });
}

#[test]
fn the_git_file_of_a_worktree_is_held() {
    as_each(AGENTRC, |lab| {
        let main = repository(lab, true);
        git(lab, &main, &["worktree", "add", "-q", "../tree"]).expect_code(0);
        let tree = lab.project("tree");
        assert!(tree.join(".git").is_file(), "control: a worktree's `.git` is a file");
        let look = || format!("{:?}", snapshot(&tree).get(Path::new(".git")));
        let mut sandbox = lab.attack("AGENT worktree\nBIND ./tree /work rw");
        lab.file(tree.join("decoy"), "gitdir: /work/evil\n");
        let attempt = |line: &str| {
            Attempt::new(line, line, Sign::Host(Box::new(look)), Control::Elsewhere)
                .after(|| lab.file(tree.join("decoy"), "gitdir: evil\n"))
        };
        let lines = [
            "write /work/.git gitdir:evil",
            "append /work/.git x",
            "unlink /work/.git",
            "rename /work/decoy /work/.git",
            "rename /work/.git /work/old",
            "exchange /work/.git /work/decoy",
            "link /work/decoy /work/.git",
            "mkdir /work/.git",
            "chmod /work/.git 0777",
            "truncate /work/.git",
        ];
        let attempts: Vec<_> = lines.iter().map(|line| attempt(line)).collect();
        let failures = in_session(lab, &mut sandbox, &attempts);
        sandbox.act("write /work/plain gitdir:evil");
        assert!(tree.join("plain").exists(), "control: an ordinary file of the worktree can be made");
        sandbox.end().expect_code(0);
        assert!(failures.is_empty(), "as {}:\n  {}", lab.who.name, failures.join("\n  "));
    });
}

#[test]
fn a_protected_path_that_is_a_symlink_is_refused_or_held() {
    as_each(AGENTRC, |lab| {
        // (what is a link, to what, what the agent would write)
        for (link, to, write) in [
            (".git/hooks", "../own-hooks", "own-hooks/pre-commit"),
            (".git/config", "../own-config", "own-config"),
            (".envrc", "own-envrc", "own-envrc"),
            (".git", "own-git", "own-git/hooks/pre-commit"),
        ] {
            let repo = repository(lab, true);
            let target = repo.join(Path::new(link).parent().unwrap_or(Path::new(""))).join(to);
            fs::rename(repo.join(link), &target).expect("rename");
            lab.symlink(to, repo.join(link));
            let before = fs::read(repo.join(write)).ok();
            lab.attacker(lab.project("attack"));
            let outcome = lab.run(&format!(
                "AGENT linked\nBIND ./repo /work rw\nCMD ./attack write /work/{write} planted\n"
            ));
            let refused =
                outcome.code() == 125 && outcome.stderr.contains(Path::new(link).to_str().expect("text"));
            let untouched = before == fs::read(repo.join(write)).ok();
            assert!(
                refused || untouched,
                "as {}: `{link}` is a link to `{to}`, and `{write}` was written\n{}",
                lab.who.name,
                outcome.stderr
            );
            fs::remove_dir_all(&repo).expect("the repository");
        }
    });
}

#[test]
fn the_agentfile_in_its_own_writable_folder_is_held() {
    as_each(AGENTRC, |lab| {
        let mut sandbox = lab.attack("AGENT own\nBIND . /work rw");
        let before = fs::read(lab.project("Agentfile")).expect("Agentfile");
        for line in [
            "append /work/Agentfile x",
            "unlink /work/Agentfile",
            "rename /work/Agentfile /work/old",
            "rename /work/plain /work/Agentfile",
            "write /work/agentrc.lock {}",
            "append /agentrc/src/attack x",
            "exchange /work/plain /work/Agentfile",
        ] {
            sandbox.act("write /work/plain BIND");
            assert!(lab.project("plain").exists(), "control: an ordinary file can be made");
            sandbox.act(line);
            assert_eq!(
                fs::read(lab.project("Agentfile")).ok().as_ref(),
                Some(&before),
                "as {}: {line}",
                lab.who.name
            );
        }
        sandbox.end().expect_code(0);
        assert!(!lab.project("agentrc.lock").exists(), "as {}: the lock file was made", lab.who.name);
    });
}

#[test]
fn a_private_copy_may_be_changed_but_protected_paths_never_reach_the_host() {
    as_each(AGENTRC, |lab| {
        let repo = repository(lab, true);
        let before = held(&repo);
        lab.script(
            lab.project("plant.sh"),
            "cd /work\necho changed > src/main.c\necho new > new\nfor f in .git/config .envrc .mcp.json Agentfile; do echo planted >> $f; done\n\
             echo planted > .git/hooks/pre-commit\nmv .git old && mkdir -p .git/hooks && echo planted > .git/hooks/pre-commit\nexit 0\n",
        );
        lab.run("AGENT copier\nBIND ./repo /work copy\nCMD /bin/sh ./plant.sh\n").expect_code(0);
        assert_eq!(
            fs::read_to_string(repo.join("src/main.c")).expect("main.c"),
            "int main(void) { return 0; }\n",
            "the copy reached the host before `apply`"
        );
        assert_eq!(before, held(&repo), "during the run");
        let applied = lab.finish_command(lab.agentrc(["apply", "last", "--yes"]));
        assert_eq!(
            names(&before),
            names(&held(&repo)),
            "as {}: apply made a protected path\n{}",
            lab.who.name,
            applied.stderr
        );
        for path in [".git/config", ".envrc", ".mcp.json", "Agentfile"] {
            let text = fs::read_to_string(repo.join(path)).expect(path);
            assert!(!text.contains("planted"), "as {}: apply wrote `{path}`", lab.who.name);
        }
        assert!(!repo.join(".git/hooks/pre-commit").exists(), "as {}: apply planted a hook", lab.who.name);
    });
}

#[test]
fn apply_follows_no_symlink_that_the_agent_planted() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("data/inner/file"), "as it was\n");
        lab.script(
            lab.project("plant.sh"),
            &format!(
                "cd /work\nrm -rf inner && ln -s {outside} inner\nln -s {outside}/canary direct\nln -s ../../outside relative\n\
                 mkdir other && echo overwritten > other/canary\nexit 0\n",
                outside = lab.outside("").display()
            ),
        );
        lab.run("AGENT copier\nBIND ./data /work copy\nCMD /bin/sh ./plant.sh\n").expect_code(0);
        // The host's side changes meanwhile, too: a folder that the agent added a file to is a link by now.
        lab.symlink(lab.outside(""), lab.project("data/other"));
        let applied = lab.finish_command(lab.agentrc(["apply", "last", "--yes"]));
        assert_eq!(
            fs::read_to_string(lab.outside("canary")).expect("canary"),
            "untouched\n",
            "as {}\n{}",
            lab.who.name,
            applied.stderr
        );
        assert!(!lab.outside("file").exists(), "as {}: apply wrote through a link", lab.who.name);
    });
}

#[test]
fn a_killed_supervisor_leaves_placeholders_that_are_harmless_and_that_the_next_run_removes() {
    as_each(AGENTRC, |lab| {
        let repo = repository(lab, false);
        let before = held(&repo);
        let sandbox = lab.attack("AGENT killed\nBIND ./repo /work rw");
        let child = sandbox.into_child();
        child.signal(rustix::process::Signal::KILL);
        child.finish();
        let left: Vec<_> = held(&repo).into_iter().filter(|(path, _)| !before.contains_key(path)).collect();
        for (path, line) in &left {
            let empty = fs::read(repo.join(path)).map_or(true, |text| text.is_empty());
            assert!(empty, "as {}: {} is left with text: {line}", lab.who.name, path.display());
        }
        lab.attack("AGENT next\nBIND ./repo /work rw").end().expect_code(0);
        assert_eq!(names(&before), names(&held(&repo)), "as {}: the next run did not clean up", lab.who.name);
    });
}

#[test]
fn two_runs_at_once_share_the_protection_and_the_last_one_removes_it() {
    as_each(AGENTRC, |lab| {
        let repo = repository(lab, false);
        let before = held(&repo);
        let mut first = lab.attack("AGENT first\nBIND ./repo /work rw");
        let mut second = lab.attack("AGENT second\nBIND ./repo /work rw");
        for (session, other) in [(&mut first, "first"), (&mut second, "second")] {
            session.act("write /work/.envrc planted");
            assert_ne!(
                fs::read_to_string(repo.join(".envrc")).unwrap_or_default(),
                "planted",
                "by the {other}"
            );
        }
        first.end().expect_code(0);
        second.act("write /work/.envrc planted");
        second.act("write /work/.git/hooks/pre-commit planted");
        second.act("mkdir /work/.vscode");
        second.end().expect_code(0);
        assert_eq!(names(&before), names(&held(&repo)), "as {}", lab.who.name);
    });
}
