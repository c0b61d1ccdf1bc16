//! The script's output, and what the reports say of it.

use std::fs;

use agentrc_test_support::as_each;

use crate::AGENTRC;
use crate::support::{json, reported, run, skill};

#[test]
fn a_script_that_ends_well_passes_and_its_output_is_the_callers_and_the_reports() {
    as_each(AGENTRC, |lab| {
        skill(
            lab,
            "echo to out; echo to err >&2; pwd; touch made; cat /agentrc/skills/probe/SKILL.md | tail -1",
        );
        let (outcome, report, junit) = reported(lab, &["./probe"]);
        outcome.expect_code(0);
        assert_eq!(outcome.out(), "to out\n/work\n# Probe\n", "as {}", lab.who.name);
        assert_eq!(outcome.stderr, "to err\n");
        assert_eq!(report["verdict"], "passed");
        assert_eq!(report["skill"], "probe");
        assert_eq!(report["script"], "scripts/run.sh");
        assert_eq!(report["stdout"]["text"], "to out\n/work\n# Probe\n");
        assert_eq!(report["stderr"]["text"], "to err\n");
        assert_eq!(report["audit"]["kept"], false);
        assert!(report["audit"]["events"].as_u64() >= Some(2), "{report:#}");
        assert_eq!(junit["suite"]["failures"], "0");
        assert_eq!(junit["suite"]["errors"], "0");
        assert_eq!(junit["case"]["classname"], "skill.probe");
        assert_eq!(junit["parts"]["system-err"][1], "to err\n");
        assert!(!lab.project("made").exists() && !lab.project("probe/made").exists());
    });
}

#[test]
fn what_is_denied_is_in_both_reports() {
    as_each(AGENTRC, |lab| {
        skill(lab, "python3 -c 'import socket; socket.getaddrinfo(\"other.example\", 443)'; exit 3");
        lab.file(lab.project("ci"), "URL https://declared.example\n");
        let (outcome, report, junit) = reported(lab, &["probe", "--boundaries", "ci"]);
        outcome.expect_code(3);
        let denials = report["denials"].as_array().expect("denials");
        let found = denials.iter().find(|denial| denial["act"] == "resolve other.example");
        assert!(found.is_some_and(|denial| denial["layer"] == "gateway"), "as {}: {report:#}", lab.who.name);
        let words = junit["parts"]["failure"][1].as_str().expect("words");
        assert!(words.contains("denied resolve other.example by python3: NXDOMAIN from gateway"), "{words}");
    });
}

#[test]
fn whatever_a_script_writes_the_reports_are_whole_and_valid() {
    as_each(AGENTRC, |lab| {
        skill(
            lab,
            "printf 'a\\000\\001\\033[2J\\015\\177\\377\\300\\200\\355\\240\\200\\357\\277\\276\\342\\200\\256]]></system-out><x>&amp;&#0;\"\\n'\n\
             i=0; while [ $i -lt 256 ]; do printf \"\\\\$(printf %03o $i)\"; i=$((i + 1)); done >&2\n\
             exit 1",
        );
        let (outcome, report, junit) = reported(lab, &["probe", "--", "\u{1b}]0;x\u{7}<&\">"]);
        outcome.expect_code(1);
        assert!(
            outcome.stdout.starts_with(b"a\0\x01\x1b[2J\r\x7f\xff"),
            "the caller gets the bytes as they are"
        );
        let text = report["stdout"]["text"].as_str().expect("text");
        assert!(
            text.starts_with("a\\u{0}\\u{1}\\u{1b}[2J\\u{d}\\u{7f}\\xff"),
            "as {}: {text:?}",
            lab.who.name
        );
        assert_eq!(junit["parts"]["system-out"][1].as_str(), Some(text), "what JSON and XML say is the same");
        assert_eq!(report["stderr"]["bytes"], 256);
        assert_eq!(report["arguments"][0], "\\u{1b}]0;x\\u{7}<&\">");
        for name in ["report.json", "report.xml"] {
            let bytes = fs::read(lab.project(name)).expect(name);
            assert!(!bytes.iter().any(|byte| byte.is_ascii_control() && !b"\n\t".contains(byte)), "{name}");
        }
    });
}

#[test]
fn much_output_is_passed_on_and_its_beginning_is_reported() {
    as_each(AGENTRC, |lab| {
        skill(lab, "head -c 3000000 /dev/zero | tr '\\0' x; head -c 65536 /dev/zero | tr '\\0' y >&2");
        let (outcome, report, _) = reported(lab, &["probe"]);
        outcome.expect_code(0);
        assert_eq!(outcome.stdout.len(), 3_000_000, "as {}", lab.who.name);
        assert_eq!(
            (&report["stdout"]["bytes"], &report["stdout"]["truncated"]),
            (&3_000_000.into(), &true.into())
        );
        assert_eq!(report["stdout"]["text"].as_str().map(str::len), Some(64 << 10));
        assert_eq!(
            (&report["stderr"]["bytes"], &report["stderr"]["truncated"]),
            (&65536.into(), &false.into())
        );
    });
}

#[test]
fn a_reader_that_leaves_ends_the_script_as_it_does_without_agentrc() {
    as_each(AGENTRC, |lab| {
        skill(lab, "while :; do echo line; done");
        lab.directory(lab.path("tmp"));
        let mut shell = lab.command("sh");
        shell.args(["-c", "\"$0\" skill run --json report.json probe | head -1"]).arg(lab.binary());
        shell.env("TMPDIR", lab.path("tmp"));
        let outcome = lab.finish_command(shell);
        assert_eq!(outcome.out(), "line\n");
        let report = json(&fs::read(lab.project("report.json")).expect("report.json"));
        assert_eq!(report["signal"], 13, "as {}: {report:#}", lab.who.name);
    });
}

#[test]
fn a_report_on_standard_output_is_alone_there() {
    as_each(AGENTRC, |lab| {
        skill(lab, "echo out; echo err >&2");
        let outcome = run(lab, &["probe", "--json", "-"]);
        outcome.expect_code(0);
        assert_eq!(json(&outcome.stdout)["stdout"]["text"], "out\n", "as {}", lab.who.name);
        assert!(outcome.stderr.contains("out\n") && outcome.stderr.contains("err\n"));
        let refused = run(lab, &["nothing", "--json", "-"]);
        refused.expect_code(125);
        assert_eq!(json(&refused.stdout)["verdict"], "refused");
        run(lab, &["probe", "--json", "-", "--junit", "-"]).expect_refusal(&["both reports"]);
        run(lab, &["probe", "--json", "x", "--junit", "x"]).expect_refusal(&["both reports"]);
    });
}

#[test]
fn a_report_that_cannot_be_written_is_a_refusal_before_anything_runs() {
    as_each(AGENTRC, |lab| {
        skill(lab, "echo ran");
        lab.directory(lab.project("folder"));
        lab.symlink("elsewhere", lab.project("link"));
        for path in ["none/report", "folder", "link", "/dev/null", ".."] {
            for option in ["--json", "--junit"] {
                let outcome = run(lab, &["probe", option, path]);
                outcome.expect_refusal(&["no report can be written"]);
                assert_eq!(outcome.out(), "", "as {}: {path}", lab.who.name);
            }
        }
        assert!(!lab.project("elsewhere").exists());
        // One that is there is replaced, also when the script can write to its folder.
        skill(
            lab,
            "ls -A /out | grep report; echo forged > /out/report.json; ln -s /etc/passwd /out/report.xml",
        );
        lab.directory(lab.project("out"));
        lab.file(lab.project("out/report.json"), "old\n");
        lab.file(lab.project("ci"), "BIND ./out /out rw\n");
        let outcome = run(
            lab,
            &["probe", "--boundaries", "ci", "--json", "out/report.json", "--junit", "out/report.xml"],
        );
        outcome.expect_code(0);
        assert_eq!(outcome.out(), "report.json\n", "as {}: no draft while the script runs", lab.who.name);
        assert_eq!(json(&fs::read(lab.project("out/report.json")).expect("the report"))["verdict"], "passed");
        assert!(fs::symlink_metadata(lab.project("out/report.xml")).expect("the report").is_file());
        let left =
            fs::read_dir(lab.project("out")).expect("out").map(|entry| entry.expect("an entry").file_name());
        let mut left: Vec<_> = left.collect();
        left.sort();
        assert_eq!(left, ["report.json", "report.xml"]);
    });
}
