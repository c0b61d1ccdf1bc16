//! Races during setup: what is bound is swapped for a symbolic link to the outside, again and again, while runs start.
//! Whether a run starts or is refused does not matter; that none reads or writes outside does.

use std::fs;
use std::path::Path;

use agentrc_test_support::as_each;
use agentrc_test_support::race::race;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
#[test]
fn a_symlink_swapped_during_setup_is_refused() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("data"));
        lab.symlink(lab.outside(""), lab.project("data.link"));
        lab.script(lab.project("go.sh"), "cat /work/secret; echo hit > /work/hit; exit 0\n");
        let hit = lab.outside("hit");
        race(
            lab,
            "AGENT race\nBIND ./data /work rw\nCMD /bin/sh ./go.sh\n",
            &lab.project("data"),
            "secret",
            || hit.exists().then(|| "a file was written outside".to_owned()),
        );
    });
}

#[test]
fn a_folder_above_a_source_swapped_during_setup_is_refused() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("above/data"));
        lab.file(lab.outside("data/secret"), &lab.secret);
        lab.symlink(lab.outside(""), lab.project("above.link"));
        lab.script(lab.project("go.sh"), "cat /work/secret; echo hit > /work/hit; exit 0\n");
        let hit = lab.outside("data/hit");
        race(
            lab,
            "AGENT race\nBIND ./above/data /work rw\nCMD /bin/sh ./go.sh\n",
            &lab.project("above"),
            "data/secret",
            || hit.exists().then(|| "a file was written outside".to_owned()),
        );
    });
}

#[test]
fn a_copied_folder_swapped_during_setup_is_refused() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("data"));
        lab.symlink(lab.outside(""), lab.project("data.link"));
        lab.script(lab.project("go.sh"), "cat /work/secret; exit 0\n");
        race(
            lab,
            "AGENT race\nBIND ./data /work copy\nCMD /bin/sh ./go.sh\n",
            &lab.project("data"),
            "secret",
            || None,
        );
    });
}

#[test]
fn a_named_file_swapped_during_setup_shows_nothing_from_outside() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("shown/text"), "harmless\n");
        lab.file(lab.outside("text"), &lab.secret);
        lab.symlink(lab.outside(""), lab.project("shown.link"));
        race(lab, "AGENT race\nCMD /bin/cat ./shown/text\n", &lab.project("shown"), "text", || None);
    });
}

#[test]
fn a_repository_swapped_during_setup_gets_no_placeholder_outside() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("data/.git"));
        lab.file(lab.outside("git/secret"), &lab.secret);
        lab.symlink(lab.outside("git"), lab.project("data/.link"));
        fs::rename(lab.project("data/.link"), lab.project("data/.git.link")).expect("rename");
        lab.script(lab.project("go.sh"), "cat /work/.git/secret; exit 0\n");
        let names = |folder: &Path| {
            fs::read_dir(folder)
                .expect("folder")
                .filter_map(Result::ok)
                .map(|e| e.file_name())
                .collect::<Vec<_>>()
        };
        let before = names(&lab.outside("git"));
        race(
            lab,
            "AGENT race\nBIND ./data /work rw\nCMD /bin/sh ./go.sh\n",
            &lab.project("data/.git"),
            "secret",
            || {
                let now = names(&lab.outside("git"));
                (now != before).then(|| format!("placeholders were made outside: {now:?}"))
            },
        );
    });
}

#[test]
fn a_source_that_is_a_symlink_to_the_outside_is_refused() {
    as_each(AGENTRC, |lab| {
        lab.symlink(lab.outside(""), lab.project("data"));
        lab.symlink(lab.outside("secret"), lab.project("file"));
        lab.script(lab.project("go.sh"), "cat /work/secret /file; exit 0\n");
        for lines in
            ["BIND ./data /work rw", "BIND ./data /work ro", "BIND ./data /work copy", "BIND ./file /file ro"]
        {
            let outcome = lab.run(&format!("AGENT link\n{lines}\nCMD /bin/sh ./go.sh\n"));
            assert!(!lab.leaked(&outcome), "as {}: `{lines}` followed the link", lab.who.name);
            outcome.expect_refusal(&["Agentfile:2:"]);
        }
        let outcome = lab.run("AGENT link\nCMD /bin/cat ./file\n");
        assert!(!lab.leaked(&outcome), "as {}: CMD followed the link", lab.who.name);
    });
}
