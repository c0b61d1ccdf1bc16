//! POLICY blocks: errors in the Agentfile's own lines, idioms, and what becomes of policies on files.

use agentfile::compile::{Validate, compile};
use agentfile::diag::Severity;
use agentfile::plan::{Access, MountSource, Plan};

use crate::support::{Folder, compiled, errors, findings, forbid, plan, with_policy};

fn source_at<'a>(plan: &'a Plan, target: &str) -> Option<&'a MountSource> {
    plan.mounts.iter().find(|mount| mount.target == target).map(|mount| &mount.source)
}

fn protected(plan: &Plan, target: &str) -> Vec<(String, bool, String)> {
    match source_at(plan, target) {
        Some(MountSource::Bind { protected, .. } | MountSource::Copy { protected, .. }) => protected
            .iter()
            .filter(|entry| entry.origin.is_written())
            .map(|entry| (entry.path.clone(), entry.directory, entry.origin.to_string()))
            .collect(),
        other => panic!("{target}: {other:?}"),
    }
}

#[test]
fn errors_are_at_their_own_line_and_column() {
    let source =
        with_policy("", "permit(principal, action, resource);\n\npermit(principal, action, resourc);");
    let found = compiled(&source);
    let error = found.diagnostics.iter().find(|one| one.code == "E060").unwrap();
    assert_eq!(source.get(error.span.start..error.span.end), Some("resourc"));

    let policy = "permit(principal, action == AgentRC::Action::\"tool.invoke\", resource) when { context.nothing == 1 };";
    let source = with_policy("", policy);
    let found = compiled(&source);
    let error = found.diagnostics.iter().find(|one| one.code == "E061").unwrap();
    assert!(source[error.span.start..error.span.end].contains("nothing"), "{error:?}");
    assert!(error.message.contains("nothing"), "{}", error.message);
}

#[test]
fn a_policy_that_cannot_be_read_is_an_error_whatever_is_wrong_with_it() {
    for policy in [
        "permit(principal, action, resource)",
        "permit(principal, action);",
        "allow(principal, action, resource);",
        "permit(principal, action, resource) when { };",
        "permit(principal == ?principal, action, resource);",
        "permit(principal, action == AgentRC::Action::\"tool.run\", resource);",
        "permit(principal, action, resource == AgentRC::Widget::\"x\");",
        "permit(principal, action == AgentRC::Action::\"network.egress\", resource) when { context.port == \"443\" };",
        "\"",
        ";",
        "}",
    ] {
        let found = errors(&with_policy("", policy));
        assert!(
            !found.is_empty() && found.iter().all(|code| matches!(*code, "E060" | "E061")),
            "{policy}: {found:?}"
        );
    }
}

#[test]
fn every_published_idiom_is_shown_its_valid_form_and_fixed() {
    for (idiom, valid) in [
        (
            "forbid(principal, action == AgentRC::Action::\"filesystem.write\", resource) when { context.path.startsWith(\"/etc/\") };",
            "forbid(principal, action == AgentRC::Action::\"filesystem.write\", resource) when { context.path like \"/etc/*\" };",
        ),
        (
            "permit(principal, action == AgentRC::Action::\"tool.invoke\", resource) when { context.url.endsWith(\"*.rs\") };",
            "permit(principal, action == AgentRC::Action::\"tool.invoke\", resource) when { context.url like \"*\\*.rs\" };",
        ),
        (
            "permit(principal, action == AgentRC::Action::\"tool.invoke\", resource in [AgentRC::Tool::\"a\", AgentRC::Tool::\"b\"]);",
            "permit(principal, action == AgentRC::Action::\"tool.invoke\", resource) when { resource in [AgentRC::Tool::\"a\", AgentRC::Tool::\"b\"] };",
        ),
        (
            "@id(\"p (q)\")\npermit(principal, action == AgentRC::Action::\"tool.invoke\", resource in [AgentRC::Tool::\"a\"]\n) when { context.path == \"/x\" };",
            "@id(\"p (q)\")\npermit(principal, action == AgentRC::Action::\"tool.invoke\", resource\n) when { resource in [AgentRC::Tool::\"a\"] } when { context.path == \"/x\" };",
        ),
        (
            "# only; this \"one\npermit(principal, action == AgentRC::Action::\"tool.invoke\", resource == AgentRC::Tool::\"a#b\"); # yes",
            "// only; this \"one\npermit(principal, action == AgentRC::Action::\"tool.invoke\", resource == AgentRC::Tool::\"a#b\"); // yes",
        ),
    ] {
        let source = with_policy("TOOL strands:a\nTOOL strands:b", idiom);
        let found = compiled(&source);
        let codes: Vec<_> = found
            .diagnostics
            .iter()
            .filter(|one| one.severity == Severity::Error)
            .map(|one| one.code)
            .collect();
        assert!(!codes.is_empty() && codes.iter().all(|code| *code == "E062"), "{idiom}: {codes:?}");
        let mut fixes: Vec<_> = found.diagnostics.iter().filter_map(|one| one.fix.clone()).collect();
        fixes.sort_by_key(|fix| std::cmp::Reverse(fix.span));
        let mut fixed = source.clone();
        for fix in fixes {
            fixed.replace_range(fix.span.start..fix.span.end, &fix.replacement);
        }
        assert_eq!(fixed, with_policy("TOOL strands:a\nTOOL strands:b", valid));
        assert_eq!(errors(&fixed), Vec::<&str>::new(), "{fixed}");
    }
}

#[test]
fn ids_are_written_or_made_from_lines_and_unique() {
    let source = with_policy(
        "TOOL strands:a",
        "@id(\"reads\")\npermit(principal, action == AgentRC::Action::\"tool.invoke\", resource == AgentRC::Tool::\"a\");\nforbid(principal, action == AgentRC::Action::\"agent.delegate\", resource); forbid(principal, action == AgentRC::Action::\"mcp.request\", resource);",
    );
    let ids: Vec<_> =
        plan(&source).cedar.policies.into_iter().map(|policy| (policy.id, policy.origin.line)).collect();
    assert_eq!(ids, [("reads".to_owned(), 5), ("policy@7".to_owned(), 7), ("policy@7.2".to_owned(), 7)]);

    let twice = "@id(\"a\") forbid(principal, action == AgentRC::Action::\"mcp.request\", resource);\n";
    assert_eq!(errors(&with_policy("", &twice.repeat(2))), ["E063"]);
    assert_eq!(errors(&with_policy("", &twice.replace("\"a\"", "\"bind@3\""))), ["E063"]);
}

#[test]
fn a_denied_part_of_a_bind_stays_read_only_and_a_hidden_one_is_masked() {
    let source = with_policy(
        "BIND ./src /work rw",
        &forbid("filesystem.write", "context.path like \"/work/nested/*\""),
    );
    assert_eq!(protected(&plan(&source), "/work"), [("nested".to_owned(), true, "Agentfile:5:1".to_owned())]);

    let source =
        with_policy("BIND ./src /work", &forbid("filesystem.write", "context.path == \"/work/main.rs\""));
    assert_eq!(
        protected(&plan(&source), "/work"),
        [("main.rs".to_owned(), false, "Agentfile:5:1".to_owned())]
    );

    let source = with_policy(
        "BIND ./src /work rw",
        &forbid("filesystem.read", "resource in AgentRC::Path::\"/work/nested\""),
    );
    assert_eq!(source_at(&plan(&source), "/work/nested"), Some(&MountSource::Mask));

    let source = "AGENT x\nCMD true\nMOUNT /data rw\nDENY write /data/a/b/**\nDENY read /usr/bin/curl\n";
    let denied = plan(source);
    assert_eq!(source_at(&denied, "/data/a/b"), Some(&MountSource::Narrow));
    assert_eq!(source_at(&denied, "/usr/bin/curl"), Some(&MountSource::Mask));
    assert!(denied.landlock.rules.iter().all(|rule| rule.path != "/usr/bin/curl"));
}

#[test]
fn conditions_are_joined_as_cedar_joins_them() {
    for (when, held) in [
        ("context.path == \"/work/a\" || context.path == \"/work/b\"", vec!["a", "b"]),
        ("[\"/work/a\", \"/work/b\"].contains(context.path)", vec!["a", "b"]),
        ("resource in [AgentRC::Path::\"/work/a\", AgentRC::Path::\"/work/b/c\"]", vec!["a", "b/c"]),
        ("context.path like \"/work/*\" && context.path like \"/work/a/*\"", vec!["a"]),
        ("context.path like \"/work/a/*\" && context.path like \"/other/*\"", vec![]),
        (
            "resource is AgentRC::Path && principal == AgentRC::Agent::\"x\" && context.path == \"/work/a\"",
            vec!["a"],
        ),
        ("principal == AgentRC::Agent::\"other\" && context.path == \"/work/a\"", vec![]),
        ("context.path like \"/workshop*\"", vec![]),
    ] {
        let source = with_policy("BIND ./src /work rw", &forbid("filesystem.write", when));
        let paths: Vec<_> = protected(&plan(&source), "/work").into_iter().map(|(path, ..)| path).collect();
        assert_eq!(paths, held, "{when}");
    }
}

#[test]
fn what_no_kernel_layer_can_hold_is_refused_with_the_reason() {
    for (policy, met) in [
        (forbid("filesystem.write", "context.path like \"*.key\""), "like"),
        (forbid("filesystem.write", "context.path like \"/work/*.key\""), "like"),
        (forbid("filesystem.write", "context.path like \"/work/a*\""), "ends within a name"),
        (forbid("filesystem.write", "!(context.path like \"/work/a/*\")"), "!"),
        (forbid("filesystem.write", "context.path == \"/work/../etc\""), "not normalised"),
        (forbid("filesystem.write", "context.path != \"/work/a\""), "!="),
        (
            "forbid(principal, action == AgentRC::Action::\"filesystem.write\", resource) unless { context.path like \"/work/a/*\" };"
                .to_owned(),
            "unless",
        ),
        ("forbid(principal, action == AgentRC::Action::\"filesystem.write\", resource);".to_owned(), "every file"),
        ("forbid(principal, action, resource);".to_owned(), "every file"),
        (forbid("filesystem.read", "context.path like \"/etc/*\""), "nothing can run"),
    ] {
        let source = with_policy("BIND ./src /work rw", &policy);
        let found = compiled(&source);
        let error = found.diagnostics.iter().find(|one| one.severity == Severity::Error).unwrap();
        assert_eq!(error.code, "E065", "{policy}");
        assert!(error.message.contains(met), "{policy}: {}", error.message);
    }
}

#[test]
fn denying_the_whole_of_what_a_line_asks_for_is_a_contradiction() {
    for denial in ["DENY write /work", "DENY read /work/**", "DENY read /work"] {
        assert_eq!(
            errors(&format!("AGENT x\nCMD true\nBIND ./src /work rw\n{denial}\n")),
            ["E066"],
            "{denial}"
        );
    }
    let all = with_policy("BIND ./src /work rw", &forbid("filesystem.write", "context.path like \"/work*\""));
    assert_eq!(errors(&all), ["E066"]);
    // Writing is not given in the first place: nothing to contradict, nothing to hold.
    assert_eq!(
        errors("AGENT x\nCMD true\nBIND ./src /work ro\nDENY write /work\nDENY write /etc\n"),
        Vec::<&str>::new()
    );
}

#[test]
fn a_private_directory_of_the_base_can_be_taken_away() {
    let denied = plan("AGENT x\nCMD true\nDENY write /home\nDENY read /run\n");
    let home = denied.mounts.iter().find(|mount| mount.target == "/home/agent").unwrap();
    assert_eq!(home.access, Access::ReadOnly);
    assert_eq!(source_at(&denied, "/run"), Some(&MountSource::Mask));
    let rule =
        |path: &str| denied.landlock.rules.iter().find(|rule| rule.path == path).map(|rule| rule.rights);
    assert_eq!(rule("/home/agent"), Some(agentfile::plan::FileRights::ReadExecute));
    assert_eq!(rule("/run"), None);
}

#[test]
fn permits_on_files_give_nothing_and_say_so() {
    let permit = "permit(principal, action == AgentRC::Action::\"filesystem.write\", resource) when { context.path like \"/data/*\" };";
    assert!(findings(&with_policy("", permit)).iter().any(|(code, _)| *code == "W014"));
    assert!(findings(&with_policy("BIND ./src /data ro", permit)).iter().any(|(code, _)| *code == "W014"));
    assert_eq!(findings(&with_policy("BIND ./src /data rw", permit)), []);
    let asking = format!("@approval(\"writes\") {permit}");
    assert_eq!(errors(&with_policy("BIND ./src /data rw", &asking)), ["E067"]);
}

#[test]
fn an_approval_is_in_the_plan_and_only_on_a_permit() {
    let permit = "@approval(\"shell\") permit(principal, action == AgentRC::Action::\"tool.invoke\", resource == AgentRC::Tool::\"a\");";
    let policies = plan(&with_policy("TOOL strands:a", permit)).cedar.policies;
    assert_eq!(policies[0].approval.as_deref(), Some("shell"));
    assert_eq!(errors(&with_policy("TOOL strands:a", &permit.replace("permit(", "forbid("))), ["E067"]);
}

#[test]
fn names_that_nothing_declares_are_pointed_at() {
    let permit = |tool: &str| {
        format!(
            "permit(principal == AgentRC::Agent::\"x\", action == AgentRC::Action::\"tool.invoke\", resource == AgentRC::Tool::\"{tool}\");"
        )
    };
    assert_eq!(findings(&with_policy("TOOL strands:a", &permit("a"))), []);
    let found = compiled(&with_policy("TOOL strands:a\nALLOW invoke a", &permit("strands:a")));
    let warning = found.diagnostics.iter().find(|one| one.code == "W023").unwrap();
    assert!(warning.help.as_ref().unwrap().contains("AgentRC::Tool::\"a\""));
    let other = permit("a").replace("Agent::\"x\"", "Agent::\"y\"");
    assert!(findings(&with_policy("TOOL strands:a", &other)).iter().any(|(code, _)| *code == "W024"));
    let prefix = "forbid(principal, action == AgentRC::Action::\"tool.invoke\", resource) when { context.path like \"/work*\" };";
    assert!(findings(&with_policy("", prefix)).iter().any(|(code, _)| *code == "W015"));
}

#[test]
fn a_skill_is_shown_only_when_it_is_permitted_without_a_condition() {
    let skill = "SKILL ./skills/review";
    let shown = |source: &str| source_at(&plan(source), "/agentrc/skills/review").is_some();
    assert!(!shown(&format!("AGENT x\nCMD true\n{skill}\n")));
    assert!(shown(&format!("AGENT x\nCMD true\n{skill}\nALLOW invoke review\n")));
    let permit = "permit(principal, action == AgentRC::Action::\"skill.invoke\", resource == AgentRC::Skill::\"review\")";
    assert!(shown(&with_policy(skill, &format!("{permit};"))));
    assert!(!shown(&with_policy(skill, &format!("{permit} when {{ context.name == \"review\" }};"))));
    assert!(!shown(&with_policy(
        skill,
        &format!(
            "{permit};\nforbid(principal, action == AgentRC::Action::\"skill.invoke\", resource) when {{ context.name == \"x\" }};"
        )
    )));
}

#[test]
fn what_the_compiler_makes_fits_the_schema_whatever_the_names_are() {
    // `Validate::Always` reports a made policy that does not fit as a fault of the compiler.
    let source = "AGENT x\nCMD true\nBIND ./src /it\\odd rw\nBIND ~/é /é ro\nMOUNT /m rw\nURL https://a.example/p+th\nURL tcp://10.0.0.5:5432\nURL https://*.b.example\nSERVER s_s https://c.example/mcp\nMCP m-m\nTOOL strands:a/b:c\nALLOW invoke strands:a/b:c\nFUNCTION f-f\nDENY invoke f-f\nSKILL k.k\nALLOW invoke k.k\nCRED c\\c env:A host:a.example host:*.b.example\nMEMORY n-n ./schemas/notes.json schema:Note mode:rw\nALLOW resolve c\\c\nDENY egress z.example\nDENY write /m/a\nDENY read /m/b\nALLOW read /m\n";
    let found = compiled(source);
    let errors: Vec<_> = found.diagnostics.iter().filter(|one| one.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let policies = found.plan.unwrap().cedar.policies;
    assert_eq!(policies.len(), 19);
    let mut names = Vec::new();
    for policy in policies {
        let parsed = cedar_policy::Policy::parse(None, &policy.text).unwrap();
        if let cedar_policy::ResourceConstraint::Eq(uid) | cedar_policy::ResourceConstraint::In(uid) =
            parsed.resource_constraint()
        {
            names.push(uid.id().unescaped().to_owned());
        }
    }
    for name in ["/it\\odd", "/é", "a/b:c", "f-f", "k.k", "c\\c", "n-n", "s_s", "m-m"] {
        assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
    }
}

#[test]
fn deep_and_long_policies_are_refused_and_do_not_exhaust_the_stack() {
    let permit = |condition: String| format!("permit(principal, action, resource) when {{ {condition} }};");
    let refused = |condition: String| {
        let source = with_policy("", &permit(condition));
        let found = compile("Agentfile", source.as_bytes(), &Folder::usual(), Validate::Always);
        assert!(found.plan.is_none());
    };
    refused(format!("{}true{}", "(".repeat(100_000), ")".repeat(100_000)));
    refused(format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)));
    refused(vec!["true"; 100_000].join(" && "));
    refused(format!("context{}", ".a".repeat(100_000)));
    refused(format!("{}true", "!".repeat(100_000)));
    refused(format!("{} true", "if true then true else".repeat(100_000)));
    // Just below the bounds, on the small stack of a test's thread.
    for condition in [
        format!("{}true{}", "(".repeat(20), ")".repeat(20)),
        vec!["context == context"; 200].join(" && "),
        format!("{}{}{}", "(".repeat(22), vec!["context == context"; 200].join(" && "), ")".repeat(22)),
        format!("context{}", ".a".repeat(199)),
        format!("{} true", "if true then true else ".repeat(199)),
        vec!["1"; 200].join(" + "),
    ] {
        let source = with_policy("", &permit(condition));
        let _ = compile("Agentfile", source.as_bytes(), &Folder::usual(), Validate::Always);
    }
}

#[test]
fn what_is_wrong_for_every_action_is_said_once() {
    let found = |policy: &str| {
        let diagnostics = compiled(&with_policy("", policy)).diagnostics;
        diagnostics.into_iter().filter(|one| one.code == "E061").collect::<Vec<_>>()
    };
    let once = found("permit(principal, action, resource) when { context.bogus == 1 };");
    assert_eq!(once.len(), 1, "{once:#?}");
    assert!(
        once[0].message.contains("`bogus`") && once[0].message.contains("(the same for 10 other actions)"),
        "{once:#?}"
    );
    assert!(once[0].help.as_ref().unwrap().contains("agentrc support"));
    let actions = "action in [AgentRC::Action::\"tool.invoke\", AgentRC::Action::\"skill.invoke\"]";
    let two = found(&format!(
        "permit(principal, {actions}, resource) when {{ context.bogus == 1 && context.path == \"a\" }};\npermit(principal, {actions}, resource) when {{ context.bogus == 1 }};"
    ));
    let messages: Vec<_> = two.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(two.len(), 3, "another attribute and another policy are other findings: {messages:#?}");
    assert!(messages[0].ends_with("(the same for 1 other action)"), "{messages:#?}");
    assert!(messages[1].contains("`path`") && messages[1].ends_with("not found"), "{messages:#?}");
}

#[test]
fn the_way_to_the_broker_is_not_hidden_by_a_path() {
    for path in [
        "/agentrc/broker.sock",
        "/agentrc/bin",
        "/agentrc/bin/mcp",
        "/agentrc/tools",
        "/agentrc/tools/shell",
        "/agentrc/memory/notes.json",
        "/agentrc",
    ] {
        let lines = format!("TOOL utcp:shell\nALLOW invoke shell\nDENY read {path}");
        assert_eq!(errors(&format!("AGENT x\nCMD true\n{lines}\n")), ["E065"], "{path}");
        let forbid = forbid("filesystem.read", &format!("context.path like \"{path}/*\""));
        assert_eq!(errors(&with_policy("TOOL utcp:shell", &forbid)), ["E065"], "{path}");
        // Nothing there can be written anyway.
        assert_eq!(errors(&format!("AGENT x\nCMD true\nDENY write {path}\n")), Vec::<&str>::new());
    }
}
