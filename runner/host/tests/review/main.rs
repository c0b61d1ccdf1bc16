//! The review of copies, on real overlays: as root and as an ordinary user. A machine on which neither can mount one fails
//! these tests.
#![cfg(test)]

mod fixture;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::Path;

use agentrc_host::Error;
use agentrc_host::review::ChangeKind::{Added, Mode, Modified, Removed, Retyped};
use agentrc_host::review::{Applied, Choice, Conflict, Difference, Refusal, Review, What, discard};
use fixture::{Project, as_root_and_as_user};
use proptest::prelude::*;

/// A test that runs as root and as an ordinary user.
macro_rules! both {
    ($(#[$attribute:meta])* fn $name:ident() $body:block) => {
        #[test]
        fn $name() {
            fn body() $body
            as_root_and_as_user(stringify!($name), body);
        }
    };
}

const FILL: &str = "mkdir -p d/e keep; echo one > a; echo two > d/b; echo three > d/e/c; echo four > keep/x; \
                    ln -s a link; printf 'x\\0y' > bin; chmod 755 d/b";

fn all() -> Choice {
    Choice::default()
}

fn refused(project: &Project, choice: &Choice) -> Vec<agentrc_host::review::Change> {
    let before = project.tree();
    let Err(Error::Refused(changes)) = project.review().apply(choice) else { panic!() };
    assert_eq!(project.tree(), before, "something was written");
    changes
}

both! {
    fn an_agent_that_only_reads_changes_nothing() {
        let mut project = Project::new(FILL);
        project.agent("cat a d/b > /dev/null; ls -R > /dev/null");
        assert_eq!(project.listed(), []);
    }
}

both! {
    fn every_kind_of_change_is_listed_once() {
        let mut project = Project::new(FILL);
        project.agent(
            "echo new > n; mkdir nd; echo x > nd/f; echo more >> a; chmod 700 d/b; rm -r d/e; \
             rm link; ln -s /etc/passwd link; rm -r keep; echo file > keep; chmod 711 d",
        );
        assert_eq!(
            project.listed(),
            [
                (Modified, "a".into()),
                (Mode, "d".into()),
                (Mode, "d/b".into()),
                (Removed, "d/e".into()),
                (Removed, "d/e/c".into()),
                (Retyped, "keep".into()),
                (Removed, "keep/x".into()),
                (Modified, "link".into()),
                (Added, "n".into()),
                (Added, "nd".into()),
                (Added, "nd/f".into()),
            ]
        );
        let change = project.change("a");
        assert_eq!((change.before.unwrap().size, change.after.unwrap().size), (4, 9));
        assert_eq!(project.change("link").after.unwrap().what, What::Symlink("/etc/passwd".into()));
        assert_eq!(project.change("d/b").after.unwrap().mode, 0o700);
        assert_eq!(project.change("n").shown_path(), "/w/n");
    }
}

both! {
    fn what_was_touched_or_written_again_the_same_is_no_change() {
        let mut project = Project::new(FILL);
        project.agent("touch a d; cat d/b > /tmp/$$; cat /tmp/$$ > d/b; rm /tmp/$$; rm bin; printf 'x\\0y' > bin; echo x > t; rm t");
        assert_eq!(project.listed(), []);
    }
}

both! {
    fn a_folder_that_was_made_anew_hides_what_was_in_it() {
        let mut project = Project::new(FILL);
        project.agent("rm -r d; mkdir d; echo two > d/b; chmod 755 d/b; mkdir d/e; echo z > d/e/z");
        assert_eq!(project.listed(), [(Removed, "d/e/c".into()), (Added, "d/e/z".into())]);
    }
}

both! {
    fn the_source_becomes_what_the_agent_saw() {
        for script in [
            "echo new > n; mkdir -p nd/x/y; echo x > nd/x/y/f; chmod 500 nd/x; echo more >> a; chmod 700 d/b; rm -r d/e",
            "rm -r d; echo file > d; rm a; mkdir a; echo in > a/in; rm link; mkdir link; ln -s ../outside keep/l",
            "rm -rf ./* ; echo only > one",
            "mv a z; mv link ylink; rm bin; ln -s d bin; chmod 600 z; chmod 755 .; chmod 555 keep",
            "rm -r d; mkdir d; mkdir d/b; echo q > d/b/q; rm -r keep; ln -s d keep",
            "mkdir -m 1777 t; mkdir -m 000 shut; echo > -n; echo > '- -'; echo > 'a b'; rm link; echo x > link",
            "ln a hard; echo x >> hard; : > empty; truncate -s 3M sparse; rm -r keep/x",
        ] {
            let mut project = Project::new(FILL);
            let seen = project.agent(script);
            let choice = if project.changes().iter().any(|change| change.refusal.is_some()) {
                // Only a folder with mode 000, which an ordinary user cannot look into.
                assert!(!rustix::process::geteuid().is_root());
                Choice { skip: true, ..all() }
            } else {
                all()
            };
            project.review().apply(&choice).unwrap();
            let seen: String = seen.split_inclusive('\n').filter(|line| !(choice.skip && line.contains("shut"))).collect();
            assert_eq!(project.tree(), seen, "{script}");
            let left = project.changes();
            assert!(left.iter().all(|change| change.refusal.is_some()), "{script}: {left:?}");
            project.assert_outside_is_untouched();
        }
    }
}

both! {
    fn applied_and_removed_paths_are_counted() {
        let mut project = Project::new(FILL);
        project.agent("echo 1 >> a; rm -r d; mkdir n");
        let applied = project.review().apply(&all()).unwrap();
        assert_eq!(applied, Applied { written: 2, removed: 4 });
        let again = project.review().apply(&all()).unwrap();
        assert_eq!(again, Applied::default());
        let ledger = std::fs::read_to_string(project.dir.path().join("state/ledger.jsonl")).unwrap();
        assert_eq!(ledger.matches("\"action\":\"applied\",\"changes\":6").count(), 1, "{ledger}");
    }
}

both! {
    fn what_changed_in_the_source_meanwhile_is_not_overwritten_without_force() {
        for (agent, host, path) in [
            ("echo agent >> a", "echo user >> a", "a"),
            ("echo agent >> a", "touch a", "a"),
            ("echo agent >> a", "chmod 600 a", "a"),
            ("rm a", "echo user >> a", "a"),
            ("rm -r d", "echo user > d/e/new", "d/e/new"),
            ("rm -r d; echo x > d", "echo user > d/e/c", "d/e/c"),
            ("echo agent > n", "echo user > n", "n"),
            ("rm link; ln -s b link", "rm link; ln -s c link", "link"),
            ("mkdir n; echo agent > n/x", "echo user > n", "n"),
        ] {
            let mut project = Project::new(FILL);
            let seen = project.agent(agent);
            std::thread::sleep(std::time::Duration::from_millis(20));
            project.host(host);
            let changes = refused(&project, &all());
            assert_eq!(changes.len(), 1, "{agent} / {host}: {changes:?}");
            assert_eq!((changes[0].path.as_path(), changes[0].conflict), (Path::new(path), Some(Conflict::Changed)));
            project.review().apply(&Choice { force: true, ..all() }).unwrap();
            assert_eq!(project.tree(), seen, "{agent} / {host}");
        }
    }
}

both! {
    fn what_the_user_made_or_changed_elsewhere_stays() {
        let mut project = Project::new(FILL);
        project.agent("echo agent >> a; echo new > d/new");
        std::thread::sleep(std::time::Duration::from_millis(20));
        project.host("echo user > d/user; echo user >> d/b; rm -r keep");
        project.review().apply(&all()).unwrap();
        assert_eq!(std::fs::read_to_string(project.source().join("d/user")).unwrap(), "user\n");
        assert_eq!(std::fs::read_to_string(project.source().join("d/new")).unwrap(), "new\n");
        assert!(!project.source().join("keep").exists());
    }
}

both! {
    fn protected_paths_are_never_written_not_even_with_force() {
        let mut project = Project::new("mkdir -p .git/hooks; echo x > .git/HEAD; echo x > Agentfile");
        project.protected = [".git/hooks", ".git/config", "Agentfile", ".envrc"].map(str::to_owned).into();
        project.agent(
            "echo evil > .git/hooks/pre-commit; echo evil > .git/config; echo evil >> Agentfile; ln -s /x .envrc; echo y > .git/HEAD",
        );
        let choice = Choice { force: true, ..all() };
        let changes = refused(&project, &choice);
        assert!(changes.iter().all(|change| matches!(change.refusal, Some(Refusal::Protected(_)))));
        assert_eq!(changes.len(), 4);
        let applied = project.review().apply(&Choice { skip: true, ..choice.clone() }).unwrap();
        assert_eq!(applied, Applied { written: 1, removed: 0 });
        assert_eq!(project.listed().len(), 4);
        for script in ["rm -r .git", "rm -r .git; ln -s /x .git", "rm Agentfile", "mv .git x", "chmod 600 Agentfile"] {
            let mut project = Project::new("mkdir -p .git/hooks; echo x > .git/HEAD; echo x > Agentfile");
            project.protected = [".git/hooks", "Agentfile"].map(str::to_owned).into();
            project.agent(script);
            let changes = refused(&project, &choice);
            assert!(changes.iter().any(|change| matches!(change.refusal, Some(Refusal::Protected(_)))), "{script}");
            project.review().apply(&Choice { skip: true, ..choice.clone() }).unwrap();
            assert!(project.source().join(".git/hooks").is_dir() && project.source().join("Agentfile").exists(), "{script}");
        }
    }
}

both! {
    fn devices_pipes_sockets_and_set_id_bits_are_refused_in_words() {
        let mut project = Project::new(FILL);
        project.agent(
            "mkfifo pipe; echo x > suid; chmod 4755 suid; chmod 2755 a; mkdir sdir; chmod 4755 sdir; echo x > sdir/f; \
             python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")'",
        );
        let changes = refused(&project, &Choice { force: true, ..all() });
        let words: Vec<_> = changes.iter().map(|change| (change.shown_path(), change.obstacles().concat())).collect();
        for (path, word) in [
            ("/w/a", "mode 2755"),
            ("/w/pipe", "FIFO"),
            ("/w/sdir", "mode 4755"),
            ("/w/sdir/f", "folder"),
            ("/w/sock", "socket"),
            ("/w/suid", "mode 4755"),
        ] {
            assert!(words.iter().any(|(at, why)| at == path && why.contains(word)), "{path}: {words:?}");
        }
        assert_eq!(words.len(), 6);
        project.review().apply(&Choice { skip: true, ..all() }).unwrap();
        assert!(!project.source().join("sdir").exists());
        assert!(project.review().apply(&all()).unwrap_err().to_string().contains("/w/suid: it has the mode 4755"));
    }
}

both! {
    fn links_are_made_as_links_and_never_followed() {
        let mut project = Project::new("mkdir d; echo x > d/x; ln -s ../outside out; echo x > f");
        project.agent(
            "rm -r d; ln -s ../outside d; ln -s /etc/passwd new; rm f; ln -s ../outside/canary f; echo x > /dev/null",
        );
        project.review().apply(&all()).unwrap();
        assert_eq!(std::fs::read_link(project.source().join("d")).unwrap(), Path::new("../outside"));
        assert_eq!(std::fs::read_link(project.source().join("new")).unwrap(), Path::new("/etc/passwd"));
        project.assert_outside_is_untouched();
    }
}

both! {
    fn a_folder_of_the_source_that_became_a_link_is_not_written_through() {
        let mut project = Project::new(FILL);
        project.agent("echo evil > d/canary; echo evil > d/e/new; rm d/b");
        project.host("mv d moved; ln -s ../outside d");
        let before = project.tree();
        assert_eq!(refused(&project, &all())[0].conflict, Some(Conflict::Changed));
        project.review().apply(&Choice { skip: true, ..all() }).unwrap();
        assert_eq!(project.tree(), before);
        project.review().apply(&Choice { force: true, ..all() }).unwrap();
        assert!(std::fs::symlink_metadata(project.source().join("d")).unwrap().is_dir());
        project.assert_outside_is_untouched();
    }
}

both! {
    fn a_source_that_was_replaced_or_is_gone_is_refused() {
        let mut project = Project::new(FILL);
        project.agent("echo x > n");
        let moved = project.dir.path().join("moved");
        std::fs::rename(project.source(), &moved).unwrap();
        assert!(matches!(Review::open(&project.state, &project.run), Err(Error::Io { step: "open", .. })));
        std::fs::create_dir(project.source()).unwrap();
        assert!(matches!(Review::open(&project.state, &project.run), Err(Error::SourceReplaced(_))));
        std::fs::remove_dir(project.source()).unwrap();
        std::os::unix::fs::symlink("moved", project.source()).unwrap();
        assert!(matches!(Review::open(&project.state, &project.run), Err(Error::Io { step: "open", .. })));
        assert_eq!(discard(&project.state, &project.run).unwrap(), ["copy-0"]);
        assert!(!moved.join("n").exists());
    }
}

both! {
    fn names_of_any_bytes_are_listed_shown_and_applied() {
        let mut project = Project::new("");
        project.agent("n=$(printf 'a\\377\\033[2J\\nb'); echo x > \"$n\"; mkdir \"d$n\"; echo y > \"d$n/$n\"");
        let changes = project.changes();
        assert_eq!(changes.len(), 3);
        assert_eq!(changes[0].path.as_os_str().as_bytes(), b"a\xff\x1b[2J\nb");
        assert_eq!(changes[0].shown_path(), "/w/a\\xff\\x1b[2J\\nb");
        let Difference::Text(text) = project.review().difference(&changes[0]).unwrap() else { panic!() };
        assert_eq!(text, "--- /dev/null\n+++ b/a\\xff\\x1b[2J\\nb\n@@ -0,0 +1 @@\n+x\n");
        project.review().apply(&all()).unwrap();
        let written = project.source().join(OsStr::from_bytes(b"a\xff\x1b[2J\nb"));
        assert_eq!(std::fs::read_to_string(written).unwrap(), "x\n");
    }
}

both! {
    fn a_difference_is_text_only_where_both_sides_are() {
        let mut project = Project::new("printf '1\\n2\\n3\\n' > t; printf 'x\\0y' > bin; echo x > m; echo gone > g; echo f > f");
        project.agent(
            "printf '1\\ntwo\\n3' > t; printf 'x\\0z' > bin; chmod 600 m; rm g; rm f; ln -s x f; mkdir d; head -c 3000000 /dev/zero > big; \
             mkfifo p; printf '\\377' > latin",
        );
        let of = |path: &str| project.review().difference(&project.change(path)).unwrap();
        let text = "--- a/t\n+++ b/t\n@@ -1,3 +1,3 @@\n 1\n-2\n-3\n+two\n+3\n\\ No newline at end of file\n";
        assert_eq!(of("t"), Difference::Text(text.into()));
        assert_eq!(of("g"), Difference::Text("--- a/g\n+++ /dev/null\n@@ -1 +0,0 @@\n-gone\n".into()));
        assert_eq!(of("bin"), Difference::Binary);
        assert_eq!(of("latin"), Difference::Binary);
        assert_eq!(of("big"), Difference::TooLong);
        for path in ["m", "f", "d", "p"] {
            assert_eq!(of(path), Difference::None, "{path}");
        }
    }
}

both! {
    fn a_difference_that_is_made_to_be_slow_is_still_shown_in_time() {
        let mut project = Project::new("seq 1 100000 | awk '{print $1 * 7919 % 100003}' > t");
        project.agent("seq 1 100000 | awk '{print $1 * 104729 % 100003}' > t");
        let began = std::time::Instant::now();
        assert!(matches!(project.review().difference(&project.change("t")).unwrap(), Difference::Text(_)));
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    }
}

both! {
    fn chosen_paths_are_applied_with_the_folders_they_need() {
        let mut project = Project::new(FILL);
        project.agent("mkdir -p n/m; echo 1 > n/m/one; echo 2 > n/two; rm -r d; echo x >> a");
        let only = |path: &str| Choice { paths: vec![path.into()], ..all() };
        assert_eq!(project.review().apply(&only("/w/n/m/one")).unwrap(), Applied { written: 3, removed: 0 });
        assert!(project.source().join("n/m/one").exists() && !project.source().join("n/two").exists());
        assert_eq!(project.review().apply(&only("/w/d/e")).unwrap(), Applied { written: 0, removed: 2 });
        assert!(project.source().join("d/b").exists());
        assert_eq!(project.review().apply(&only("/elsewhere")).unwrap(), Applied::default());
        assert_eq!(project.listed().len(), 4);
    }
}

both! {
    fn a_source_of_any_mode_is_no_change_and_a_mode_that_the_agent_set_is_one() {
        for mode in ["700", "755", "1777", "2775", "500"] {
            let mut project = Project::new(&format!("chmod {mode} ."));
            project.agent("true");
            assert_eq!(project.listed(), [], "{mode}");
            project.agent("chmod 711 .");
            assert_eq!(project.listed(), [(Mode, String::new())], "{mode}");
            assert_eq!(project.change("").shown_path(), "/w");
            project.review().apply(&all()).unwrap();
            let now = std::fs::metadata(project.source()).unwrap().permissions().mode() & 0o777;
            assert_eq!(now, 0o711, "{mode}");
        }
    }
}

both! {
    fn a_run_that_goes_on_can_be_looked_at_but_not_applied_or_discarded() {
        let mut project = Project::new(FILL);
        project.agent("echo x > n");
        let run = project.state.open_run(&project.run).unwrap();
        run.lock().unwrap();
        assert_eq!(project.listed(), [(Added, "n".into())]);
        assert!(matches!(project.review().apply(&all()), Err(Error::Busy(_))));
        assert!(matches!(discard(&project.state, &project.run), Err(Error::Busy(_))));
        assert!(!project.source().join("n").exists());
        drop(run);
        project.review().apply(&all()).unwrap();
    }
}

both! {
    fn a_discarded_copy_is_gone_and_the_source_as_it_was() {
        let mut project = Project::new(FILL);
        let before = project.tree();
        project.agent("rm -rf d; echo x > n; mkdir -m 000 shut; mkdir -p x/y; chmod 000 x");
        let work = project.upper().with_file_name("work/work");
        assert_eq!(std::fs::metadata(&work).unwrap().permissions().mode() & 0o777, 0, "overlayfs leaves mode 000");
        assert_eq!(discard(&project.state, &project.run).unwrap(), ["copy-0"]);
        assert!(!project.upper().exists());
        assert_eq!(project.tree(), before);
        assert_eq!(project.listed(), []);
        assert!(discard(&project.state, &project.run).unwrap().is_empty());
    }
}

both! {
    fn a_tree_deeper_than_any_path_is_an_error_to_review_and_no_obstacle_to_discard() {
        let mut project = Project::new(FILL);
        project.agent("python3 -c '\nimport os\nfor _ in range(2000):\n os.mkdir(\"deep\"); os.chdir(\"deep\")'; cd /; true");
        assert!(matches!(project.review().changes(), Err(Error::Io { step: "open", .. })));
        assert!(project.review().apply(&all()).is_err());
        assert_eq!(discard(&project.state, &project.run).unwrap(), ["copy-0"]);
        assert!(!project.upper().exists());
    }
}

both! {
    fn thousands_of_files_are_reviewed_and_applied() {
        let mut project = Project::new("mkdir d");
        let seen = project.agent("cd d; mkdir $(seq 1 30); for i in $(seq 1 30); do (cd $i; touch $(seq 1 100)); done");
        assert_eq!(project.changes().len(), 3030);
        let began = std::time::Instant::now();
        project.review().apply(&Choice { skip: true, paths: vec!["/w/d".into()], ..all() }).unwrap();
        assert!(began.elapsed() < std::time::Duration::from_secs(30), "{:?}", began.elapsed());
        assert_eq!(project.tree(), seen);
    }
}

both! {
    fn marks_that_agentrc_never_asks_overlayfs_for_are_an_error() {
        for mark in ["user.overlay.redirect", "user.overlay.metacopy", "user.overlay.whiteout"] {
            let mut project = Project::new(FILL);
            project.agent("echo x > n; mkdir m");
            for name in ["n", "m"] {
                let file = std::fs::File::open(project.upper().join(name)).unwrap();
                rustix::fs::fsetxattr(&file, mark, b"/etc", rustix::fs::XattrFlags::empty()).unwrap();
                let Err(Error::Mark { mark: found, .. }) = project.review().changes() else { panic!() };
                assert_eq!(found, mark);
                rustix::fs::fremovexattr(&file, mark).unwrap();
            }
        }
    }
}

both! {
    fn an_agent_cannot_make_the_marks_of_overlayfs() {
        let mut project = Project::new(FILL);
        project.agent(
            "python3 -c '\nimport os\nos.mkdir(\"m\")\nos.setxattr(\"m\", \"user.overlay.opaque\", b\"y\")\nos.setxattr(\"a\", \
             \"user.overlay.redirect\", b\"/d\")\nos.setxattr(\"d\", \"user.overlay.opaque\", b\"y\")\ntry: os.mknod(\"w\", 0o20000, 0)\n\
             except PermissionError: pass\nelse: raise SystemExit(1)'",
        );
        assert_eq!(project.listed(), [(Added, "m".into())]);
    }
}

both! {
    fn a_folder_of_the_source_that_cannot_be_written_stops_everything_before_the_first_write() {
        let mut project = Project::new(FILL);
        project.agent("echo x > 0; echo x > keep/new");
        project.host("chmod 555 keep");
        let before = project.tree();
        let applied = project.review().apply(&all());
        if rustix::process::geteuid().is_root() {
            applied.unwrap();
        } else {
            assert!(matches!(applied, Err(Error::Io { step: "write in", .. })));
            assert_eq!(project.tree(), before);
        }
    }
}

both! {
    fn no_draft_is_left_in_the_source() {
        let mut project = Project::new(FILL);
        project.agent("echo x > n; rm link; ln -s z link; echo x >> a");
        project.review().apply(&all()).unwrap();
        assert!(!project.tree().contains(".agentrc-"), "{}", project.tree());
    }
}

/// Small scripts over a few names, so that they collide.
fn any_script() -> impl Strategy<Value = String> {
    let path =
        || prop::sample::select(vec!["a", "d", "d/b", "d/e", "d/e/c", "keep", "keep/x", "link", "n", "n/m"]);
    let one = (path(), path(), 0u8..9).prop_map(|(a, b, what)| match what {
        0 => format!("echo {b} > {a}"),
        1 => format!("rm -rf {a}"),
        2 => format!("rm -rf {a}; mkdir -p {a}"),
        3 => format!("mkdir -p {a}"),
        4 => format!("mv {a} {b}"),
        5 => format!("rm -rf {a}; ln -s {b} {a}"),
        6 => format!("chmod 7{}5 {a}", b.len() % 8),
        7 => format!("cp -r {a} {b}"),
        _ => format!("echo more >> {a}"),
    });
    prop::collection::vec(one, 1..12)
        .prop_map(|all| all.iter().map(|one| format!("({one}) 2>/dev/null || :\n")).collect())
}

fn any_sequence() {
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let script = any_script();
    let outcome = runner.run(&script, |script| {
        let mut project = Project::new(FILL);
        let seen = project.agent(&script);
        project.review().apply(&all()).unwrap();
        prop_assert_eq!(project.tree(), seen);
        prop_assert_eq!(project.changes(), vec![]);
        project.assert_outside_is_untouched();
        Ok(())
    });
    outcome.unwrap();
}

both! {
    fn the_source_becomes_what_the_agent_saw_after_any_sequence_of_acts() {
        any_sequence();
    }
}

#[test]
fn what_is_applied_belongs_to_whom_it_belonged_to() {
    // Only root can give files away; what an ordinary user applies is that user's.
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    let (give, theirs, own) = if user.is_root() {
        ("chown -h -R 65534:65533 d", (65534, 65533), (0, 0))
    } else {
        let own = (user.as_raw(), group.as_raw());
        ("true", own, own)
    };
    let mut project = Project::new(&format!("mkdir d; echo x > d/f; ln -s x d/l; {give}"));
    if user.is_root() {
        project.namespaces = &["--mount"];
    }
    project.agent("echo y >> d/f; echo n > d/new; mkdir d/nd; rm d/l; ln -s y d/l; echo r > rootfile");
    project.review().apply(&all()).unwrap();
    for (path, owner) in
        [("d/f", theirs), ("d/new", theirs), ("d/nd", theirs), ("d/l", theirs), ("rootfile", own)]
    {
        let stat = std::fs::symlink_metadata(project.source().join(path)).unwrap();
        assert_eq!((stat.uid(), stat.gid()), owner, "{path}");
    }
}
