//! The cases that the specification names, as far as they are about the text alone.

use agentfile::parse::parse;
use agentfile::syntax::Body;

/// core-parse-minimal: the smallest useful file.
#[test]
fn core_parse_minimal() {
    let (file, findings) =
        parse(b"# syntax=agentrc.agentfile/v0.1\nAGENT hello\nFROM scratch\nCMD ./hello world\n");
    assert_eq!(findings, []);
    assert_eq!(file.syntax.unwrap().text, "agentrc.agentfile/v0.1");
    let [agent, from, cmd] = file.statements.as_slice() else { panic!("{:?}", file.statements) };
    assert!(matches!(&agent.body, Body::Agent(name) if name.text == "hello"));
    assert!(matches!(&from.body, Body::From(from) if from.text == "scratch"));
    let Body::Cmd(argv) = &cmd.body else { panic!("{cmd:?}") };
    assert_eq!(argv.iter().map(|word| word.text.as_str()).collect::<Vec<_>>(), ["./hello", "world"]);
}

/// core-policy-block: verbatim until a line that is only `END`.
#[test]
fn core_policy_block() {
    let inside = "  permit (principal, action, resource)\r\n\twhen { context.note == \"END\" };\n# AGENT x\n ENDED\n\n";
    let source = format!("POLICY\n{inside}  END\t\nAGENT after\n");
    let (file, findings) = parse(source.as_bytes());
    assert_eq!(findings, []);
    let [policy, after] = file.statements.as_slice() else { panic!("{:?}", file.statements) };
    let Body::Policy(block) = &policy.body else { panic!("{policy:?}") };
    assert_eq!(block.text, inside);
    assert_eq!(&source[block.span.start..block.span.end], inside);
    assert!(matches!(&after.body, Body::Agent(name) if name.text == "after"));
}

/// A block that is not closed is no block: nothing of it may count.
#[test]
fn core_policy_block_without_end_is_refused() {
    for source in
        ["POLICY\nforbid (principal, action, resource);\n", "POLICY\n\u{a0}END\n", "POLICY\nEND.\n", "POLICY"]
    {
        let (file, findings) = parse(source.as_bytes());
        assert!(findings.iter().any(|finding| finding.code == "E008"), "{source:?}");
        assert!(findings.iter().all(|finding| matches!(finding.code, "E004" | "E008")), "{source:?}");
        assert!(file.statements.is_empty());
    }
}

/// unknown-required-directive: never skipped, whatever its case or its likeness to a known one.
#[test]
fn unknown_required_directive() {
    for line in [
        "SANDBOX strict",
        "agent x",
        "Deny read /x",
        "DENNY read /x",
        "\u{a0}DENY read /x",
        "DENY\u{a0}read /x",
    ] {
        let (file, findings) = parse(format!("AGENT a\n{line}\n").as_bytes());
        let code = if line.is_ascii() { "E005" } else { "E004" };
        assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), [code], "{line:?}");
        assert!(findings.iter().all(|finding| finding.help.is_some()));
        assert_eq!(file.statements.len(), 1);
    }
}

/// cred-plaintext-rejected: a value instead of a source, in each form of the directive; and it is not repeated in the
/// finding, which ends in logs.
#[test]
fn cred_plaintext_rejected() {
    let secret = "sk-live-0123456789";
    for line in [
        format!("CRED openai {secret}"),
        format!("CRED openai {secret} host:api.openai.com inject:header"),
        format!("CRED openai value:{secret}"),
        format!("CRED openai literal:{secret} host:api.openai.com"),
        format!("CRED https://api.openai.com bearer {secret}"),
        format!("CRED openai https://api.openai.com bearer {secret}"),
    ] {
        let (file, findings) = parse(format!("{line}\n").as_bytes());
        assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["E019"], "{line}");
        assert!(file.statements.is_empty());
        for finding in findings {
            assert!(!format!("{} {:?}", finding.message, finding.help).contains(secret));
            assert!(line.get(finding.span.start..finding.span.end).unwrap().contains(secret), "{finding:?}");
            let shown = [
                agentfile::render::text("Agentfile", line.as_bytes(), std::slice::from_ref(&finding), true),
                agentfile::render::json("Agentfile", line.as_bytes(), &[finding]),
            ];
            assert!(
                shown.iter().all(|shown| shown.contains("Agentfile") && !shown.contains(secret)),
                "{shown:?}"
            );
        }
    }
}
