//! A skill in a lab, and its reports as others read them.

use std::fs;

use agentrc_test_support::{Lab, Outcome};
use serde_json::Value;

/// A SKILL.md that is one.
pub(crate) const FRONT: &str = "---\nname: probe\ndescription: probes\n---\n# Probe\n";

/// Makes the skill `probe`, whose script is `script`.
pub(crate) fn skill(lab: &Lab, script: &str) {
    lab.file(lab.project("probe/SKILL.md"), FRONT);
    lab.script(lab.project("probe/scripts/run.sh"), &format!("#!/bin/sh\n{script}\n"));
}

pub(crate) fn command(lab: &Lab, words: &[&str]) -> std::process::Command {
    lab.directory(lab.path("tmp"));
    let mut command = lab.agentrc(["skill", "run"].iter().chain(words));
    command.env("TMPDIR", lab.path("tmp"));
    command
}

/// Runs it, and says that nothing is left: no state, and nothing in the temporary folder.
#[track_caller]
pub(crate) fn run(lab: &Lab, words: &[&str]) -> Outcome {
    let outcome = lab.finish_command(command(lab, words));
    nothing_is_left(lab);
    outcome
}

#[track_caller]
pub(crate) fn nothing_is_left(lab: &Lab) {
    let names = |path: std::path::PathBuf| {
        fs::read_dir(path)
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(lab.path("tmp")), Vec::<std::ffi::OsString>::new(), "as {}", lab.who.name);
    assert_eq!(names(lab.path("state")), Vec::<std::ffi::OsString>::new(), "as {}", lab.who.name);
}

/// Runs it with both reports: what came of it, the JSON report (valid), and the JUnit report as Python reads it.
#[track_caller]
pub(crate) fn reported(lab: &Lab, words: &[&str]) -> (Outcome, Value, Value) {
    let mut all = vec!["--json", "report.json", "--junit", "report.xml"];
    all.extend(words);
    let outcome = run(lab, &all);
    let report = json(&fs::read(lab.project("report.json")).expect("report.json"));
    (outcome, report, junit(lab))
}

/// A report, which the published schema must take.
#[track_caller]
pub(crate) fn json(bytes: &[u8]) -> Value {
    let report: Value = serde_json::from_slice(bytes).expect("JSON");
    let schema = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema/skill-report.schema.json"));
    let schema: Value = serde_json::from_slice(&schema.expect("the schema")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<_> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{report:#}");
    report
}

/// `report.xml` by another's parser.
#[track_caller]
pub(crate) fn junit(lab: &Lab) -> Value {
    let script = "import json, sys, xml.etree.ElementTree as t\n\
                  s = t.parse(sys.argv[1]).getroot()[0]\n\
                  c = s.find('testcase')\n\
                  print(json.dumps({'suite': s.attrib, 'case': c.attrib, \
                  'parts': {e.tag: [e.attrib, e.text] for e in c}}))\n";
    let mut python = lab.command("python3");
    python.args(["-c", script]).arg(lab.project("report.xml"));
    let read = lab.finish_command(python);
    read.expect_code(0);
    serde_json::from_str(&read.out()).expect("JSON")
}

/// Says that it is refused, with these words, in the report as well.
#[track_caller]
pub(crate) fn refused(lab: &Lab, words: &[&str], expected: &[&str]) {
    let (outcome, report, junit) = reported(lab, words);
    outcome.expect_refusal(expected);
    assert_eq!(outcome.out(), "", "as {}", lab.who.name);
    assert_eq!(report.pointer("/verdict"), Some(&"refused".into()));
    assert_eq!(report.pointer("/exit_code"), Some(&125.into()));
    let text = report.pointer("/reasons").expect("reasons").to_string();
    for word in expected {
        assert!(text.contains(word), "`{word}` is not in {text}");
    }
    assert_eq!(junit.pointer("/parts/error/0/type"), Some(&"refused".into()));
}
