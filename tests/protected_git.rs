//! What is planted in a repository or a copy does not run on the host: the verdict is git's own, outside, afterwards.
//! (`shared/attacks.md`, "planting what the host runs later".)

use std::fs;
use std::path::Path;

use agentrc_test_support::attempt::in_session;
use agentrc_test_support::leftovers::snapshot;
use agentrc_test_support::repository::{git, held, names, repository};
use agentrc_test_support::{Attempt, Control, Lab, Sign, as_each};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// Ways to make git run a command when the host next uses the repository. Run in its folder; `$CANARY` is a file.
const PLANTS: &[(&str, &str)] = &[
    (
        "a hook",
        "mkdir -p .git/hooks; printf '#!/bin/sh\\ntouch %s\\n' $CANARY > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit",
    ),
    (
        "another hook",
        "mkdir -p .git/hooks; printf '#!/bin/sh\\ntouch %s\\n' $CANARY > .git/hooks/post-index-change; chmod +x .git/hooks/post-index-change",
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

/// What a person does with a repository after an agent was in it. Something of the person's own is in it, so that git has
/// an index to write: with nothing to add it writes one only when the files are of the index's own second.
const AFTERWARDS: &str = "echo mine > mine; git status; git add -A; git -c user.name=t -c user.email=t@example.com commit -qm after; git diff HEAD~; git log -1";

fn runs_nothing(lab: &Lab, name: &str, plant: &str, full: bool) {
    let repo = repository(lab, full);
    let canary = lab.outside("ran");
    let shell = |text: &str| {
        let mut command = lab.command("/bin/sh");
        command.args(["-c", text]).current_dir(&repo).env("CANARY", &canary);
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        lab.finish_command(command)
    };
    // Positive control: without a sandbox the host runs it.
    shell(&format!("{plant}\n{AFTERWARDS}"));
    assert!(canary.exists(), "control: `{name}` does nothing on this host");
    fs::remove_file(&canary).and_then(|()| fs::remove_dir_all(&repo)).unwrap_or_default();

    repository(lab, full);
    lab.script(lab.project("plant.sh"), &format!("cd /work\nCANARY={}\n{plant}\nexit 0\n", canary.display()));
    let outcome = lab.run("AGENT planter\nBIND ./repo /work rw\nCMD /bin/sh ./plant.sh\n");
    outcome.expect_code(0);
    assert!(!canary.exists(), "`{name}` reached the host during the run");
    let after = shell(AFTERWARDS);
    assert!(
        !canary.exists(),
        "as {}: `{name}` (full: {full}) ran on the host\n{}\n{}",
        lab.who.name,
        outcome.stderr,
        after.stderr
    );
    fs::remove_dir_all(&repo).unwrap_or_default();
}

#[test]
fn git_on_the_host_runs_nothing_that_the_agent_planted() {
    as_each(AGENTRC, |lab| {
        for full in [true, false] {
            for (name, plant) in PLANTS {
                runs_nothing(lab, name, plant, full);
            }
        }
    });
}

#[test]
fn another_common_folder_of_the_repository_is_not_believed() {
    let plant = "cp -r .git r; printf '[core]\\n\\tfsmonitor = \"touch %s; false\"\\n' $CANARY >> r/config; echo ../r > .git/commondir";
    as_each(AGENTRC, |lab| runs_nothing(lab, "commondir", plant, true));
}

/// A known limit, kept true in both directions: when this no longer runs, docs/security-model.md has to say so.
#[test]
fn a_repository_deeper_down_that_the_index_names_is_run_as_the_security_model_says() {
    let documented = fs::read_to_string("../../docs/security-model.md").expect("the security model");
    assert!(documented.contains("**Repositories deeper in a `rw` bind.**"));
    // A submodule without `.gitmodules`: `git status` of the outer repository asks the inner one, with its settings.
    let plant = "git init -q sub; cd sub; git -c user.name=x -c user.email=x@example.com commit -q --allow-empty -m x; \
                 git config core.fsmonitor \"touch $CANARY; false\"; cd ..; git add sub 2>/dev/null";
    as_each(AGENTRC, |lab| {
        let repo = repository(lab, true);
        let canary = lab.outside("ran");
        lab.script(
            lab.project("plant.sh"),
            &format!("cd /work\nCANARY={}\n{plant}\nexit 0\n", canary.display()),
        );
        lab.run("AGENT planter\nBIND ./repo /work rw\nCMD /bin/sh ./plant.sh\n").expect_code(0);
        assert!(!canary.exists(), "nothing ran during the run");
        let mut command = lab.command("/bin/sh");
        command.args(["-c", "git status"]).current_dir(&repo);
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        lab.finish_command(command);
        assert!(canary.exists(), "as {}: the limit is gone; say so in docs/security-model.md", lab.who.name);
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
        let applied = lab.finish_command(lab.agentrc(["apply", &lab.last_run()]));
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
        let applied = lab.finish_command(lab.agentrc(["apply", &lab.last_run()]));
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
