//! What the host would later run or trust stays as it is in a writable bind: hooks, settings, the Agentfile, also before they
//! exist, and however the agent goes about it. (`policies/protected.toml`; `shared/attacks.md`, "planting what the host runs
//! later".)

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use agentrc_test_support::attempt::in_session;
use agentrc_test_support::outcome::{prompt, within};
use agentrc_test_support::repository::{HELD, held, names, repository};
use agentrc_test_support::{Attempt, Control, Lab, Sign, as_each};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

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

#[test]
fn what_is_there_already_cannot_be_changed_removed_or_replaced() {
    as_each(AGENTRC, |lab| cannot_be_planted(lab, true));
}

#[test]
fn what_does_not_exist_yet_cannot_be_made_and_nothing_is_left_of_the_protection() {
    as_each(AGENTRC, |lab| cannot_be_planted(lab, false));
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
fn what_the_host_writes_into_a_placeholder_meanwhile_stays() {
    as_each(AGENTRC, |lab| {
        let repo = repository(lab, false);
        let mut session = lab.attack("AGENT meanwhile\nBIND ./repo /work rw");
        session.act("write /work/.envrc planted");
        let (envrc, exrc) = (repo.join(".envrc"), repo.join(".exrc"));
        // With an editor that writes in place, and by making it somebody's own.
        fs::set_permissions(&envrc, fs::Permissions::from_mode(0o644)).expect("chmod");
        fs::write(&envrc, "the user's\n").expect("write");
        fs::set_permissions(&exrc, fs::Permissions::from_mode(0o600)).expect("chmod");
        session.end().expect_code(0);
        assert_eq!(fs::read_to_string(&envrc).expect("envrc"), "the user's\n", "as {}", lab.who.name);
        assert!(exrc.exists(), "as {}", lab.who.name);
        fs::remove_file(&envrc).expect("remove");
        fs::remove_file(&exrc).expect("remove");
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

#[test]
fn a_held_file_that_the_host_replaces_ends_the_run_at_once() {
    as_each(AGENTRC, |lab| {
        // git, editors and people replace a file by renaming a new one over it, or remove and make it again. The kernel
        // then takes away what was mounted on the old one, in every namespace: nothing holds the new one any more.
        type Replace = fn(&Lab, &std::path::Path);
        let replaces: [(&str, Replace); 3] = [
            ("renamed over", |lab, path| {
                lab.file(path.with_extension("lock"), "by the host\n");
                fs::rename(path.with_extension("lock"), path).expect("rename");
            }),
            ("removed and made again", |lab, path| {
                fs::remove_file(path).expect("remove");
                lab.file(path, "by the host\n");
            }),
            ("moved away with its folder", |lab, path| {
                let folder = path.parent().expect("a folder");
                fs::rename(folder, folder.with_extension("away")).expect("rename");
                lab.file(path, "by the host\n");
            }),
        ];
        let replaced = |how: &str, replace: Replace| {
            let repo = repository(lab, true);
            let mut sandbox = lab.attack("AGENT watcher\nBIND ./repo /work rw");
            let config = repo.join(".git/config");
            let before = fs::read(&config).expect("config");
            sandbox.act("append /work/.git/config [planted]");
            assert_eq!(before, fs::read(&config).expect("config"), "as {}: it was held", lab.who.name);
            replace(lab, &config);
            let replaced = Instant::now();
            let mut child = sandbox.into_child();
            let ended = within(Duration::from_secs(20), || child.has_ended());
            let took = replaced.elapsed();
            child.close_input();
            let outcome = child.finish();
            assert!(ended, "as {}: {how}: the run goes on", lab.who.name);
            outcome.expect_code(137);
            assert!(outcome.stderr.contains(".git"), "as {}: {how}: {}", lab.who.name, outcome.stderr);
            assert_eq!(outcome.events_named("run.killed").len(), 1, "as {}: {how}", lab.who.name);
            fs::remove_dir_all(&repo).expect("the repository");
            took
        };
        for (how, replace) in replaces {
            prompt(Duration::from_secs(1), || replaced(how, replace));
        }
    });
}
