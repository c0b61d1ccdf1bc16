//! Consent: what reaches outside the Agentfile's folder does not happen without it, and it holds for exactly what was shown.

use std::fs;

use agentrc_test_support::{Lab, Outcome, as_each};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

fn agentfile(lab: &Lab, more: &str) -> String {
    lab.script(lab.project("go.sh"), "cat /out/secret; exit 0\n");
    format!("AGENT asks\nBIND {} /out ro\n{more}CMD /bin/sh ./go.sh\n", lab.outside("").display())
}

fn agentrc(lab: &Lab, words: &[&str]) -> Outcome {
    lab.finish_command(lab.agentrc(words))
}

fn path(lab: &Lab) -> String {
    lab.project("Agentfile").display().to_string()
}

#[test]
fn what_is_outside_the_folder_is_refused_without_consent() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.path("home/notes/secret"), &lab.secret);
        lab.file(lab.path("shared/secret"), &lab.secret);
        for source in
            [lab.outside("").display().to_string(), "~/notes".into(), "../shared".into(), "/etc".into()]
        {
            lab.script(lab.project("go.sh"), "cat /out/*; exit 0\n");
            for mode in ["ro", "rw", "copy"] {
                let outcome =
                    lab.run(&format!("AGENT asks\nBIND {source} /out {mode}\nCMD /bin/sh ./go.sh\n"));
                outcome.expect_refusal(&["Agentfile:2:", "agentrc allow"]);
                assert!(!lab.leaked(&outcome), "as {}: {source}", lab.who.name);
            }
        }
    });
}

#[test]
fn what_is_inside_the_folder_needs_none() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("data/sub/x"), "inside\n");
        lab.script(lab.project("go.sh"), "cat /d/x\n");
        let outcome = lab.run("AGENT asks\nBIND ./data/sub /d ro\nCMD /bin/sh ./go.sh\n");
        let result = (outcome.code(), outcome.out());
        assert_eq!(result, (0, "inside\n".to_owned()), "as {}: {}", lab.who.name, outcome.stderr);
    });
}

#[test]
fn consent_for_once_holds_for_one_run() {
    as_each(AGENTRC, |lab| {
        lab.agentfile(&agentfile(lab, ""));
        let once = agentrc(lab, &["run", "--grant", &path(lab)]);
        once.expect_code(0);
        assert!(once.out().contains(&lab.secret), "positive control");
        agentrc(lab, &["run", &path(lab)]).expect_refusal(&["Agentfile:2:"]);
    });
}

#[test]
fn consent_is_for_exactly_this_plan_in_exactly_this_folder() {
    as_each(AGENTRC, |lab| {
        let text = agentfile(lab, "");
        lab.agentfile(&text);
        let allowed = agentrc(lab, &["allow", "--yes", &path(lab)]);
        allowed.expect_code(0);
        assert!(
            (allowed.out() + &allowed.stderr)
                .contains(&lab.outside("").display().to_string().trim_end_matches('/').to_owned()),
            "as {}: it shows what is asked",
            lab.who.name
        );
        agentrc(lab, &["run", &path(lab)]).expect_code(0);
        assert!(agentrc(lab, &["grants"]).out().contains("project"), "it is listed");
        // A comment changes nothing that is enforced.
        lab.agentfile(&text.replace("AGENT", "# a comment\nAGENT"));
        let commented = agentrc(lab, &["run", &path(lab)]);
        assert!([0, 125].contains(&commented.code()));
        // A change of the plan ends it: a wider mode, another path, one more bind.
        for changed in [
            text.replace(" ro\n", " rw\n"),
            text.replace("/out ro", "/other ro"),
            text.replace("CMD", "MOUNT /m rw\nCMD"),
            text.replace("CMD", "BIND /etc /e ro\nCMD"),
        ] {
            lab.agentfile(&changed);
            let outcome = agentrc(lab, &["run", &path(lab)]);
            outcome.expect_refusal(&["agentrc allow"]);
            assert!(!lab.leaked(&outcome), "as {}", lab.who.name);
        }
        // The same text in another folder.
        lab.file(lab.path("elsewhere/Agentfile"), &text);
        lab.script(lab.path("elsewhere/go.sh"), "cat /out/secret; exit 0\n");
        agentrc(lab, &["run", lab.path("elsewhere/Agentfile").to_str().expect("text")])
            .expect_refusal(&["agentrc allow"]);
        // And back, and withdrawn.
        lab.agentfile(&text);
        agentrc(lab, &["run", &path(lab)]).expect_code(0);
        agentrc(lab, &["grants", "--revoke", &path(lab)]).expect_code(0);
        agentrc(lab, &["run", &path(lab)]).expect_refusal(&["agentrc allow"]);
    });
}

#[test]
fn a_consent_that_was_tampered_with_is_none() {
    as_each(AGENTRC, |lab| {
        let text = agentfile(lab, "");
        lab.agentfile(&text);
        agentrc(lab, &["allow", "--yes", &path(lab)]).expect_code(0);
        let mut files = Vec::new();
        let mut folders = vec![lab.path("state"), lab.path("home/.config")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
                if entry.path().is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
            }
        }
        let grants: Vec<_> = files
            .into_iter()
            .filter(|file| fs::read_to_string(file).is_ok_and(|text| text.contains("project")))
            .collect();
        assert!(!grants.is_empty(), "a file keeps the consent");
        // Half of it, nothing of it, nonsense: none of them is a consent, and none is a crash.
        for broken in ["", "{", "null", "[]", "\u{0}\u{0}", "yes\n"] {
            for file in &grants {
                fs::write(file, broken).expect("write");
            }
            agentrc(lab, &["run", &path(lab)]).expect_code(125);
        }
    });
}

#[test]
fn a_folder_swapped_under_a_consent_is_not_what_was_consented_to() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.path("home/notes/x"), "notes\n");
        lab.script(lab.project("go.sh"), "cat /out/*; exit 0\n");
        lab.agentfile("AGENT asks\nBIND ~/notes /out ro\nCMD /bin/sh ./go.sh\n");
        agentrc(lab, &["allow", "--yes", &path(lab)]).expect_code(0);
        assert_eq!(agentrc(lab, &["run", &path(lab)]).out(), "notes\n", "positive control");
        fs::rename(lab.path("home/notes"), lab.path("home/old")).expect("rename");
        lab.symlink(lab.outside(""), lab.path("home/notes"));
        let outcome = agentrc(lab, &["run", &path(lab)]);
        assert!(!lab.leaked(&outcome), "as {}: the link was followed", lab.who.name);
        outcome.expect_code(125);
    });
}
