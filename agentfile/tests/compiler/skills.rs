//! What a skill's scripts may touch, when it says so: a plan that is cut out of the agent's.

use agentfile::compile::{Compiled, Validate, compile};
use agentfile::plan::{Access, BrokerEntry, FileRights, HostPath, MountSource, Plan, unenforced::unenforced};

use crate::support::Folder;

fn compiled(agent: &str, skill: &str) -> Compiled {
    let mut package = Folder::usual();
    let lines: String = skill.lines().map(|line| format!("    {line}\n")).collect();
    let text =
        format!("---\nname: review\ndescription: reviews\nmetadata:\n  agentrc-boundaries: |\n{lines}---\n");
    package.0.insert("skills/review/SKILL.md".to_owned(), text.into_bytes());
    package.0.insert("src/nested/more/deep".to_owned(), Vec::new());
    package.0.insert("src/secret/key".to_owned(), Vec::new());
    let source = format!("AGENT x\nCMD true\nSKILL ./skills/review\nALLOW invoke review\n{agent}\n");
    compile("Agentfile", source.as_bytes(), &package, Validate::Always)
}

/// The agent's plan, and that of the skill.
#[track_caller]
fn plans(agent: &str, skill: &str) -> (Plan, Plan) {
    let found = compiled(agent, skill);
    let whole = found.plan.unwrap_or_else(|| panic!("{:#?}", found.diagnostics));
    let own = whole.broker.iter().find_map(|entry| match entry {
        BrokerEntry::Skill { definition: Some(skill), .. } => skill.plan.as_deref().cloned(),
        _ => None,
    });
    (whole.clone(), own.expect("a plan of its own"))
}

/// What lines show: targets, what may be done there, and where on the host it is.
fn shown(plan: &Plan) -> Vec<(&str, Access, &str)> {
    let mounts = plan.mounts.iter().filter(|mount| mount.origin.is_written());
    mounts
        .filter_map(|mount| match &mount.source {
            MountSource::Bind { source: HostPath::Project(path), .. } => {
                Some((mount.target.as_str(), mount.access, path.as_str()))
            }
            MountSource::Mask => Some((mount.target.as_str(), mount.access, "hidden")),
            _ => None,
        })
        .collect()
}

#[test]
fn a_path_is_the_agents_and_what_is_hidden_in_it_stays_hidden() {
    let agent = "BIND ./src /data ro\nBIND ./out /data/nested rw\nBIND ./tools /other ro\nDENY read /data/secret\nTOOL utcp:shell\nALLOW invoke utcp:shell";
    let (_, own) = plans(agent, "MOUNT /data ro");
    use Access::ReadOnly;
    assert_eq!(
        shown(&own),
        [
            ("/agentrc/skills/review", ReadOnly, "skills/review"),
            ("/data", ReadOnly, "src"),
            ("/data/nested", ReadOnly, "out"),
            ("/data/secret", ReadOnly, "hidden"),
        ]
    );
    let line =
        |target: &str| own.mounts.iter().find(|mount| mount.target == target).unwrap().origin.to_string();
    assert_eq!(line("/data"), "skills/review/SKILL.md:6:5");
    assert_eq!(line("/data/secret"), "Agentfile:8:1");
    assert!(own.broker.is_empty() && own.egress.is_empty() && own.grants.is_empty());
    assert!(own.landlock.connect.is_empty());
    let rules: Vec<_> = own.landlock.rules.iter().map(|rule| rule.path.as_str()).collect();
    assert!(rules.contains(&"/data") && rules.contains(&"/data/nested") && !rules.contains(&"/other"));
    assert!(!own.mounts.iter().any(|mount| mount.source == MountSource::Socket), "no way to the broker");
    // Where a part of it is asked for, that part.
    let (_, own) = plans("BIND ./src /data rw", "MOUNT /data/nested/more rw");
    let expected = ("/data/nested/more", Access::ReadWrite, "src/nested/more");
    assert!(shown(&own).contains(&expected), "{:?}", shown(&own));
}

#[test]
fn what_is_held_in_the_agents_binds_is_held_in_the_skills() {
    let (whole, own) = plans(
        "BIND ./src /data rw\nDENY write /data/main.rs\nDENY write /data/nested/more",
        "MOUNT /data rw",
    );
    let held = |plan: &Plan| {
        let mount = plan.mounts.iter().find(|mount| mount.target == "/data").unwrap();
        let MountSource::Bind { protected, .. } = &mount.source else { panic!() };
        protected.iter().map(|held| held.path.clone()).collect::<Vec<_>>()
    };
    assert!(held(&whole).contains(&"main.rs".to_owned()) && held(&whole).contains(&".git/hooks".to_owned()));
    assert_eq!(held(&whole), held(&own));
}

#[test]
fn destinations_limits_and_denials_are_the_agents_and_fewer() {
    let agent = "URL https://*.example.com\nURL http://a.example/v1\nURL http://b.example\n\
        CRED key env:KEY host:api.example.com\nDENY egress bad.example.com\nLIMIT memory 100MiB\nLIMIT pids 50\nAUDIT all\n\
        POLICY\nforbid(principal, action == AgentRC::Action::\"network.egress\", resource) when { context.host == \"b.example\" };\nEND";
    let (_, own) = plans(
        agent,
        "URL https://api.example.com\nURL http://a.example/v1/x\nLIMIT memory 200MiB\nLIMIT pids 20\nLIMIT network_requests 3",
    );
    let to: Vec<_> = own.egress.iter().map(|one| (one.host.as_str(), one.terminate_tls)).collect();
    // The credential is the agent's, and what it has seen for its sake is seen.
    assert_eq!(to, [("api.example.com", true), ("a.example", false)]);
    assert!(own.broker.is_empty());
    let policies: Vec<_> = own.cedar.policies.iter().map(|policy| policy.text.as_str()).collect();
    assert_eq!(policies.iter().filter(|text| text.starts_with("forbid")).count(), 2, "{policies:#?}");
    assert!(
        policies.iter().all(|text| !text.contains("cred.resolve") && !text.contains("skill.invoke")),
        "{policies:#?}"
    );
    let limit = |file: &str| own.limits.cgroup.iter().find(|limit| limit.file == file).unwrap().clone();
    assert_eq!((limit("memory.max").value.as_str(), limit("pids.max").value.as_str()), ("104857600", "20"));
    assert_eq!(own.limits.counted.len(), 1);
    assert_eq!(own.audit.level, agentfile::plan::AuditLevel::All);
    assert_eq!(own.sources.len(), 1, "whose file is hidden");
    assert_eq!(unenforced(&own), []);
    assert_eq!(own.agent, "x");
}

#[test]
fn a_skill_that_is_the_run_only_has_to_have_what_it_asks_for() {
    let run = |agent: &str| {
        let mut package = Folder::usual();
        let text = "---\nname: review\ndescription: x\nmetadata:\n  agentrc-boundaries: |\n    MOUNT /work rw\n---\n";
        package.0.insert("skills/review/SKILL.md".to_owned(), text.into());
        let source = format!(
            "AGENT x\nCMD /agentrc/skills/review/scripts/run.sh\nSKILL ./skills/review\nALLOW invoke review\n{agent}\n"
        );
        let found = compile("Agentfile", source.as_bytes(), &package, Validate::Always);
        found.diagnostics.iter().map(|finding| finding.code).collect::<Vec<_>>()
    };
    assert_eq!(run("MOUNT /work rw"), [""; 0]);
    assert_eq!(run("BIND ./src /work copy"), [""; 0]);
    assert_eq!(run("BIND ./src /work ro"), ["E098"]);
    assert_eq!(run(""), ["E098"]);
}

#[test]
fn a_credential_in_a_file_keeps_a_skill_out_of_what_the_agent_may_write() {
    let agent = |mode: &str| {
        format!("BIND ./src /data {mode}\nCRED key file:../key host:a.example\nURL https://a.example")
    };
    assert!(compiled(&agent("ro"), "MOUNT /data ro").plan.is_some());
    let apart = agent("rw").replace("../key", "./tools/key");
    assert!(compiled(&apart, "MOUNT /data ro").plan.is_some());
    let refused = compiled(&agent("rw"), "MOUNT /data ro");
    let said = &refused.diagnostics.last().unwrap().message;
    assert!(said.starts_with("skills/review/SKILL.md:6:5: ") && said.contains("(Agentfile:6:1)"), "{said}");
}

#[test]
fn what_is_hidden_in_a_writable_bind_keeps_skills_out_of_a_path_that_holds_the_bind() {
    let agent = |hidden: &str| format!("BIND ./src /data ro\nBIND ./out /data/nested rw\n{hidden}");
    assert!(compiled(&agent(""), "MOUNT /data ro").plan.is_some());
    let refused = compiled(&agent("DENY read /data/nested/key"), "MOUNT /data ro");
    let said = &refused.diagnostics.last().unwrap().message;
    assert!(said.contains("in which `/data/nested` lies where the agent could move"), "{said}");
}

#[test]
fn what_the_table_beside_the_agentfile_says_is_instead_of_what_the_skill_says() {
    let with = |agent: &str, table: &str| {
        let mut package = Folder::usual();
        let text = "---\nname: review\ndescription: x\nmetadata:\n  agentrc-boundaries: |\n    MOUNT /more rw\n---\n";
        package.0.insert("skills/review/SKILL.md".to_owned(), text.into());
        package.0.insert("skills.json".to_owned(), table.into());
        let source =
            format!("AGENT x\n{agent}\nSKILL ./skills/review\nALLOW invoke review\nBIND ./src /data rw\n");
        compile("Agentfile", source.as_bytes(), &package, Validate::Always)
    };
    let own =
        with("CMD true", r#"{"skills": {"review": {"boundaries": ["LIMIT wall 9", "MOUNT /data ro"]}}}"#);
    let plan = own.plan.unwrap_or_else(|| panic!("{:#?}", own.diagnostics));
    let own = plan.broker.iter().find_map(|entry| match entry {
        BrokerEntry::Skill { definition: Some(skill), .. } => skill.plan.as_deref(),
        _ => None,
    });
    let data = own.unwrap().mounts.iter().find(|mount| mount.target == "/data").unwrap();
    assert_eq!((data.access, data.origin.to_string().as_str()), (Access::ReadOnly, "skills.json#review:2:1"));
    let refused = |agent: &str, table: &str| {
        let found = with(agent, table).diagnostics;
        found.iter().map(|finding| format!("{} {}", finding.code, finding.message)).collect::<Vec<_>>()
    };
    let wider = refused("CMD true", r#"{"skills": {"review": {"boundaries": ["MOUNT /none ro"]}}}"#);
    assert!(wider[0].starts_with("E098 skills.json#review:1:1: the skill asks for `/none`"), "{wider:?}");
    let misspelt = r#"{"skills": {"reviews": {"boundaries": []}}}"#;
    assert_eq!(
        refused("CMD true", misspelt),
        ["E094 `skills.json` has the skill `reviews`, which no line declares"]
    );
    // Run by itself, it is not all of a package.
    let alone = refused("CMD /agentrc/skills/review/scripts/run.sh\nMOUNT /more rw", misspelt);
    assert_eq!(alone, [""; 0]);
    assert!(refused("CMD true", "{")[0].starts_with("E094 `skills.json` is not JSON"));
}

#[test]
fn a_skill_has_so_many_lines_and_no_more() {
    let lines =
        |count: usize| (0..count).map(|at| format!("URL http://h{at}.a.example\n")).collect::<String>();
    let (_, own) = plans("URL http://*.a.example", &lines(64));
    assert_eq!(own.egress.len(), 64);
    let found = compiled("URL http://*.a.example", &lines(65));
    let said: Vec<_> = found.diagnostics.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(said.first(), Some(&"skills/review/SKILL.md:70:5: there are more than 64 lines"));
}

#[test]
fn an_empty_root_stays_one() {
    let (_, own) = plans("FROM scratch\nBIND ./src /data ro", "MOUNT /data ro");
    assert!(!own.mounts.iter().any(|mount| mount.target == "/usr"));
    assert!(own.mounts.iter().any(|mount| mount.target == "/agentrc/bin/mcp"));
}

#[test]
fn a_skill_without_lines_beneath_its_word_has_nothing() {
    let (_, own) = plans("BIND ./src /data rw\nURL http://a.example", "");
    assert_eq!(shown(&own).len(), 1);
    assert!(own.egress.is_empty());
}

#[test]
fn what_a_skill_says_of_a_path_holds_there_whatever_lies_in_a_wider_one() {
    for lines in [["MOUNT /data rw", "MOUNT /data/sub ro"], ["MOUNT /data/sub ro", "MOUNT /data rw"]] {
        let mut package = Folder::usual();
        let text = "---\nname: review\ndescription: x\n---\n";
        package.0.insert("skills/review/SKILL.md".to_owned(), text.into());
        // What is mounted in another bind has to be there.
        package.0.insert("src/sub/x".to_owned(), Vec::new());
        package.0.insert("tools/more/x".to_owned(), Vec::new());
        let boundaries = format!("{lines:?}");
        let table = format!("{{\"skills\": {{\"review\": {{\"boundaries\": {boundaries}}}}}}}");
        package.0.insert("skills.json".to_owned(), table.into_bytes());
        let source = "AGENT x\nCMD true\nSKILL ./skills/review\nALLOW invoke review\nBIND ./src /data rw\nBIND ./tools /data/sub rw\nBIND ./schemas /data/sub/more rw\n";
        let found = compile("Agentfile", source.as_bytes(), &package, Validate::Always);
        let plan = found.plan.unwrap_or_else(|| panic!("{:#?}", found.diagnostics));
        let own = plan.broker.iter().find_map(|entry| match entry {
            BrokerEntry::Skill { definition: Some(skill), .. } => skill.plan.as_deref(),
            _ => None,
        });
        let own = own.unwrap();
        let access = |at: &str| own.mounts.iter().find(|mount| mount.target == at).map(|mount| mount.access);
        assert_eq!(access("/data"), Some(Access::ReadWrite), "{lines:?}");
        assert_eq!(access("/data/sub"), Some(Access::ReadOnly), "{lines:?}");
        // What the agent has in the narrower one is no wider than that.
        assert_eq!(access("/data/sub/more"), Some(Access::ReadOnly), "{lines:?}");
        let full = own.landlock.rules.iter().filter(|rule| rule.path.starts_with("/data/sub"));
        assert!(
            full.clone().count() > 0 && full.clone().all(|rule| rule.rights != FileRights::Full),
            "{lines:?}"
        );
    }
}
