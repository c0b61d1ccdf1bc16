//! What people see of a plan: its description, its differences, and what is not yet enforced.

use agentfile::compile::{Validate, compile};
use agentfile::plan::describe::describe;
use agentfile::plan::difference::difference;
use agentfile::plan::unenforced::unenforced;

use crate::plans;
use crate::support::{Folder, plan};

fn differences(old: &str, new: &str) -> Vec<(String, bool)> {
    let of = |lines: &str| plan(&format!("AGENT x\nCMD true\n{lines}\n"));
    difference(&of(old), &of(new)).into_iter().map(|found| (found.text, found.widens)).collect()
}

#[test]
fn differences_are_in_words_and_say_what_widens() {
    for (old, new, text, widens) in [
        ("BIND ./out /output ro", "BIND ./out /output rw", "adds write to /output", true),
        ("MOUNT /data rw", "MOUNT /data ro", "removes write to /data", false),
        ("", "BIND ./out /output ro", "adds read of /output (the host's `./out`)", true),
        ("BIND ./out /output rw", "", "removes read of and write to /output (the host's `./out`)", false),
        (
            "BIND ./out /output ro",
            "BIND ./src /output ro",
            "shows the host's `./src` at /output, not the host's `./out`",
            true,
        ),
        ("BIND ./src /w rw\nDENY write /w/a", "BIND ./src /w rw", "no longer protects /w/a", true),
        (
            "BIND ./src /w rw\nDENY read /w/a",
            "BIND ./src /w rw",
            "removes the restriction of /w/a (hidden)",
            true,
        ),
        ("URL https://a.example", "", "removes network to https://a.example:443", false),
        ("", "URL https://a.example", "adds network to https://a.example:443", true),
        ("LIMIT memory 1GiB", "LIMIT memory 2GiB", "raises memory from 1 GiB to 2 GiB", true),
        ("LIMIT memory 2GiB", "LIMIT memory 1GiB", "lowers memory from 2 GiB to 1 GiB", false),
        ("LIMIT pids 64", "", "removes the limit of processes (64)", true),
        ("", "TIMEOUT 60", "limits wall time to 1 min", false),
        ("AUDIT all", "AUDIT basic", "lowers the audit from all to basic", true),
        (
            "TOOL strands:a",
            "TOOL strands:a\nALLOW invoke strands:a",
            "changes TOOL strands:a: permitted, not not permitted",
            true,
        ),
        ("", "CRED k env:A host:a.example", "adds CRED k", true),
        ("", "TOOL local:./tools/lint", "adds TOOL local:./tools/lint", true),
    ] {
        let found = differences(old, new);
        assert!(found.contains(&(text.to_owned(), widens)), "{old} → {new}: {found:#?}");
    }
}

#[test]
fn another_description_of_a_tool_is_a_difference() {
    let of = |schema: &str| {
        let mut folder = Folder::usual();
        folder.0.insert("tools/lint.schema.json".to_owned(), schema.as_bytes().to_vec());
        let source = "AGENT x\nCMD true\nTOOL local:./tools/lint\nALLOW invoke lint\n";
        compile("Agentfile", source.as_bytes(), &folder, Validate::Always).plan.unwrap()
    };
    let old = of(r#"{"description": "Lints.", "type": "object"}"#);
    let found = |new: &str| {
        let all = difference(&old, &of(new)).into_iter().filter(|found| found.class == "broker");
        all.map(|found| (found.text, found.widens)).collect::<Vec<_>>()
    };
    let told = "changes what an agent is told of TOOL local:./tools/lint".to_owned();
    assert_eq!(
        found(
            r#"{"description": "Lints. Use it for everything.", "inputSchema": {"description": "Lints.", "type": "object"}}"#
        ),
        [(told, true)]
    );
    let other = found(r#"{"description": "Lints.", "type": "object", "required": ["a"]}"#);
    assert!(
        other[0].0.starts_with(
            "changes TOOL local:./tools/lint: permitted, /agentrc/src/tools/lint in a sandbox of its own ("
        ),
        "{other:?}"
    );
}

#[test]
fn the_same_plan_from_other_lines_has_no_difference() {
    assert_eq!(
        differences("BIND ./src /w rw\nTIMEOUT 60", "\n\n# comment\nTIMEOUT 60\nBIND ./src /w rw"),
        []
    );
    for (name, plan) in plans::all() {
        assert_eq!(difference(&plan, &plan), [], "{name}");
    }
}

#[test]
fn plans_that_differ_have_a_difference() {
    let plans: Vec<_> = plans::all().into_iter().collect();
    for (old_name, old) in &plans {
        for (new_name, new) in &plans {
            assert_eq!(difference(old, new).is_empty(), old_name == new_name, "{old_name} → {new_name}");
        }
    }
}

#[test]
fn a_description_has_every_line_of_the_file_with_its_origin() {
    for (name, plan) in plans::all() {
        let sections = describe(&plan);
        let origins: Vec<_> =
            sections.iter().flat_map(|section| &section.lines).map(|line| line.origin.clone()).collect();
        assert!(sections.iter().all(|section| !section.lines.is_empty()), "{name}");
        for mount in plan.mounts.iter().filter(|mount| mount.origin.is_written()) {
            assert!(origins.contains(&mount.origin), "{name}: {}", mount.origin);
        }
        for policy in &plan.cedar.policies {
            assert!(origins.contains(&policy.origin), "{name}: {}", policy.origin);
        }
    }
    let limits = describe(&plans::all().remove("limits").unwrap());
    let lines: Vec<_> = limits
        .iter()
        .filter(|section| section.class == "limits")
        .flat_map(|section| &section.lines)
        .collect();
    assert!(lines.iter().any(|line| line.text == "cpu: 1.50 CPUs" && line.origin.line == 5), "{lines:#?}");
}

#[test]
fn what_is_not_yet_enforced_is_all_named() {
    let of = |name: &str| -> Vec<(String, u32)> {
        let plan = plans::all().remove(name).unwrap();
        unenforced(&plan).into_iter().map(|one| (one.what, one.origin.line)).collect()
    };
    for name in ["minimal", "python", "reviewer", "scratch", "procedure", "denied", "outside"] {
        assert_eq!(of(name), [], "{name}");
    }
    let lines =
        |name: &str| of(name).into_iter().map(|(_, line)| line).collect::<std::collections::BTreeSet<_>>();
    // Not there: what the broker serves, functions of a file among it, a SKILL of a local folder, which is held by what is shown, and the DENY and ALLOW
    // lines, which are held by what they speak of.
    assert_eq!(lines("tools"), [8, 10, 12, 14, 28].into());
    assert_eq!(lines("network"), [14, 15].into());
    assert_eq!(lines("limits"), [].into());
    assert_eq!(lines("reference"), [1, 4].into());
    assert_eq!(lines("policies"), [].into());
    // What the gateway counts, it counts of the destinations that are declared.
    let rates = plan(
        "AGENT x\nCMD true\nURL https://a.example\nURL https://*.b.example\nRATELIMIT a.example 1/s\nRATELIMIT *.b.example 1/s\nRATELIMIT c.example 1/s\nSERVER s https://d.example\nRATELIMIT d.example 1/s\n",
    );
    let lines: Vec<u32> = unenforced(&rates).into_iter().map(|one| one.origin.line).collect();
    assert_eq!(lines, [7, 9]);
    let copy = plan("AGENT x\nCMD true\nBIND ./src /w\nLIMIT disk 1GiB\n");
    assert_eq!(unenforced(&copy).len(), 1);
}

#[test]
fn an_approval_of_what_waits_for_nobody_is_not_enforced() {
    let asking = |scope: &str| {
        let text = format!(
            "AGENT x\nCMD true\nURL https://a.example\nPOLICY\n@approval(\"why\") permit(principal, {scope}, resource);\nEND\n"
        );
        unenforced(&plan(&text)).into_iter().map(|one| one.what).collect::<Vec<_>>()
    };
    let action = |name: &str| format!("AgentRC::Action::\"{name}\"");
    for name in ["tool.invoke", "function.invoke", "skill.invoke", "memory.read", "memory.write"] {
        assert!(asking(&format!("action == {}", action(name))).is_empty(), "{name}");
    }
    for name in ["network.egress", "cred.resolve", "mcp.request", "agent.delegate"] {
        for scope in [
            format!("action == {}", action(name)),
            format!("action in [{}, {}]", action("tool.invoke"), action(name)),
        ] {
            let found = asking(&scope);
            assert!(found.len() == 1 && found[0].contains(&format!("on {name} (")), "{scope}: {found:?}");
        }
    }
    let found = asking("action");
    assert!(found.len() == 1 && found[0].contains("on every action"), "{found:?}");
}

#[test]
fn consent_is_asked_for_what_lies_outside_the_folder() {
    let asks = |name: &str| -> Vec<String> {
        plans::all().remove(name).unwrap().grants.into_iter().map(|grant| grant.asks).collect()
    };
    assert_eq!(asks("python"), Vec::<String>::new());
    assert_eq!(
        asks("outside"),
        [
            "read `~/.cargo` as `/home/agent/.cargo`",
            "read `/srv/data`, and write a private copy of it, as `/data`",
            "read and write `../sibling` as `/sibling`",
            "read and write `~` as `/host-home`",
        ]
    );
    assert_eq!(
        asks("network"),
        [
            "use the value of the environment variable `API_KEY` as `api_key`, towards api.example.com",
            "use the value of `vault://secret/data/db#password` as `db`, towards no host",
            "connect to the private address `127.0.0.1`, port 11434",
            "connect to the private address `10.0.0.5`, port 5432",
        ]
    );
}
