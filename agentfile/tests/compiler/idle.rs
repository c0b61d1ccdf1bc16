//! Rules on files that are well-formed and change nothing.

use crate::support::{compiled, errors, findings, forbid, with_policy};

#[test]
fn a_permit_on_files_that_nothing_can_hold_is_told_that_it_has_no_effect() {
    let permit = |action: &str, rest: &str| {
        format!("permit(principal, action == AgentRC::Action::\"{action}\", resource) {rest};")
    };
    for (lines, policy) in [
        ("BIND ./src /w ro", permit("filesystem.read", "when { context.path like \"/w/*.py\" }")),
        ("BIND ./src /w ro", permit("filesystem.write", "unless { context.path like \"/w/keys/*\" }")),
        ("BIND ./src /w ro", permit("filesystem.read", "when { context.path != \"/w/a\" }")),
        ("BIND ./src /w ro", permit("filesystem.read", "when { context.path like \"w*\" }")),
        ("BIND ./src /w ro", permit("filesystem.write", "when { context.path like \"/w*\" }")),
        ("FROM scratch", permit("filesystem.read", "when { context.path like \"/usr/*\" }")),
        (
            "BIND ./src /w ro",
            "permit(principal, action, resource) unless { resource in AgentRC::Path::\"/w\" };".to_owned(),
        ),
    ] {
        let source = with_policy(lines, &policy);
        let found = findings(&source);
        assert_eq!(found.iter().filter(|(code, _)| *code == "W014").count(), 1, "{policy}: {found:?}");
        assert_eq!(errors(&source), Vec::<&str>::new(), "{policy}");
    }
    for policy in [
        permit("filesystem.read", ""),
        permit("filesystem.write", ""),
        permit("filesystem.read", "when { context.path like \"/w/*\" || context.path == \"/usr/bin\" }"),
        "permit(principal, action, resource);".to_owned(),
        "permit(principal, action, resource) unless { principal == AgentRC::Agent::\"y\" };".to_owned(),
        "permit(principal, action, resource is AgentRC::MCPServer) unless { resource == AgentRC::MCPServer::\"m\" };"
            .to_owned(),
    ] {
        let source = with_policy("BIND ./src /w rw\nMCP m", &policy);
        assert_eq!(findings(&source), [], "{policy}");
    }
    // An approval of files waits for nobody, whatever the rest says.
    for rest in ["", "unless { context.path like \"/w/keys/*\" }"] {
        let asking = format!("@approval(\"writes\") {}", permit("filesystem.write", rest));
        assert_eq!(errors(&with_policy("BIND ./src /w rw", &asking)), ["E067"], "{rest}");
    }
}

#[test]
fn a_denial_of_what_is_not_there_is_pointed_at_with_the_nearest_path() {
    let help = |lines: &str| {
        let found = compiled(&format!("AGENT x\nCMD true\n{lines}\n"));
        assert!(found.plan.is_some(), "a parent's rule may name what a child lacks: {lines}");
        let warning = found.diagnostics.into_iter().find(|one| one.code == "W026");
        warning.map(|warning| warning.help.unwrap_or_default())
    };
    let policy = |lines: &str, action: &str, when: &str| {
        help(&format!("{lines}\nPOLICY\n{}\nEND", forbid(action, when)))
    };
    let bind = "BIND ./src /work ro";
    for denial in ["DENY read /wrok/secret", "DENY write /wrok/secret", "DENY read /wrok/secret/**"] {
        let found = help(&format!("{bind}\n{denial}")).expect(denial);
        assert!(found.contains("did you mean `/work/secret`?") && found.contains("line 3"), "{found}");
    }
    assert!(help(&format!("{bind}\nDENY read /other")).unwrap().contains("`/work`, which line 3 shows"));
    assert!(help("DENY read /hom/agent/x").unwrap().contains("did you mean `/home/agent/x`?"));
    assert!(help("DENY read /opt/x").is_some_and(|help| help.contains("spelling")));
    for when in [
        "context.path == \"/wrok/a\"",
        "context.path like \"/wrok/*\"",
        "context.path like \"/wrok*\"",
        "context.path like \"work*\"",
        "resource == AgentRC::Path::\"/wrok/a\"",
        "context.path like \"/work/a/*\" && context.path like \"/work/b/*\"",
    ] {
        assert!(policy(bind, "filesystem.read", when).is_some(), "{when}");
        assert!(policy("BIND ./src /work rw", "filesystem.write", when).is_some(), "{when}");
    }
    // At, beneath or above something that is shown, or of the base system, or where an image may have it.
    for lines in [
        "MOUNT /work/x rw\nDENY read /work/x/y",
        "BIND ./src /work ro\nDENY write /work",
        "DENY read /usr/bin/curl\nDENY read /etc/shadow\nDENY write /home\nDENY read /var/tmp/x\nDENY read /agentrc/src/x",
        "FROM ghcr.io/x/y:1\nDENY read /app/secret",
    ] {
        assert_eq!(help(lines), None, "{lines}");
    }
    assert!(help("FROM scratch\nDENY read /usr/bin/curl").is_some());
    assert_eq!(policy(bind, "filesystem.read", "context.path like \"/work/secret/*\""), None);
    assert_eq!(
        policy(
            "MOUNT /w/x rw",
            "filesystem.read",
            "principal == AgentRC::Agent::\"x\" && context.path == \"/w/x/y\""
        ),
        None
    );
}
