//! Golden plans: `tests/plans/NAME.agentfile` compiles to `NAME.json`. What every plan shares (the base system) is only in
//! `minimal.json`. `UPDATE_PLANS=1 cargo test -p agentfile golden` writes them anew, for review.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use agentfile::compile::{Validate, compile};
use agentfile::plan::{Access, BrokerEntry, FileRights, Generated, MountSource, Plan, Runs, digest};
use serde_json::Value;

use crate::support::{Folder, plan};

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plans"))
}

/// All golden plans by name.
pub(crate) fn all() -> BTreeMap<String, Plan> {
    let mut plans = BTreeMap::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "agentfile") {
            let source = std::fs::read(&path).unwrap();
            let compiled = compile("Agentfile", &source, &Folder::usual(), Validate::Always);
            let plan = compiled.plan.unwrap_or_else(|| panic!("{path:?}: {:#?}", compiled.diagnostics));
            plans.insert(path.file_stem().unwrap().to_string_lossy().into_owned(), plan);
        }
    }
    assert!(plans.len() >= 10);
    plans
}

/// The plan as it is kept: without digests of data files, which change with those.
fn kept(plan: &Plan) -> Value {
    let mut plan = plan.clone();
    plan.seccomp.table_sha256 = "of policies/seccomp.toml".to_owned();
    plan.cedar.schema_sha256 = "of policies/agentrc.cedarschema".to_owned();
    serde_json::to_value(&plan).unwrap()
}

/// Takes out of the lists of `plan` what `shared` has too.
fn without(plan: &mut Value, shared: &Value) {
    for list in ["/mounts", "/landlock/rules", "/environment", "/limits/rlimits"] {
        let common = shared.pointer(list).and_then(Value::as_array).unwrap();
        plan.pointer_mut(list).and_then(Value::as_array_mut).unwrap().retain(|entry| !common.contains(entry));
    }
}

#[test]
fn golden_plans_are_as_kept() {
    let plans = all();
    let minimal = kept(&plans["minimal"]);
    let mut differ = Vec::new();
    for (name, plan) in &plans {
        let mut now = kept(plan);
        if name != "minimal" {
            without(&mut now, &minimal);
        }
        let now = format!("{}\n", serde_json::to_string_pretty(&now).unwrap());
        let path = folder().join(format!("{name}.json"));
        if std::env::var_os("UPDATE_PLANS").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != now {
            differ.push(name.as_str());
        }
    }
    assert!(differ.is_empty(), "these plans have changed: {differ:?}; see the top of this file");
}

#[test]
fn a_plan_is_the_same_bytes_each_time_and_survives_json() {
    for (name, plan) in all() {
        let again = all().remove(&name).unwrap();
        assert_eq!(digest::canonical(&plan).unwrap(), digest::canonical(&again).unwrap(), "{name}");
        let read: Plan = serde_json::from_str(&digest::canonical(&plan).unwrap()).unwrap();
        assert_eq!(read, plan, "{name}");
        assert_eq!(digest::digest(&read).unwrap(), digest::digest(&plan).unwrap());
    }
}

#[test]
fn the_canonical_form_and_its_digest_do_not_move() {
    // Computed by another program: a change here invalidates every consent that was given.
    let mut plan = all().remove("minimal").unwrap();
    plan.mounts.truncate(1);
    plan.landlock.rules.truncate(1);
    plan.environment.truncate(1);
    plan.seccomp.table_sha256 = String::new();
    plan.cedar.schema_sha256 = String::new();
    let canonical = digest::canonical(&plan).unwrap();
    assert!(
        canonical.starts_with(r#"{"agent":"hello","audit":{"level":"basic","origin":"policies/base.toml"},"#),
        "{canonical}"
    );
    assert!(!canonical.contains('\n') && !canonical.contains(": "));
    assert_eq!(
        digest::digest(&plan).unwrap(),
        "9ecb8992b7e38bb8671c5434729f95f868bf79c90155de06c74842692f7fe250"
    );
    assert_eq!(
        digest::sha256_hex(b"abc"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

#[test]
fn the_digest_covers_what_is_enforced_and_not_what_the_command_says() {
    let with = |source: &str, files: &[(&str, &str)]| {
        let mut folder = Folder::usual();
        for (path, text) in files {
            folder.0.insert((*path).to_owned(), text.as_bytes().to_vec());
        }
        let plan = compile("Agentfile", source.as_bytes(), &folder, Validate::WhenWritten).plan.unwrap();
        digest::digest(&plan).unwrap()
    };
    let source =
        "AGENT x\nCMD python3 ./agent.py\nSOP ./sop.md\nMEMORY n ./schemas/notes.json schema:Note mode:ro\n";
    let before = with(source, &[]);
    assert_eq!(with(source, &[("agent.py", "print('other')")]), before);
    assert_ne!(with(source, &[("sop.md", "other")]), before);
    assert_ne!(with(source, &[("schemas/notes.json", r#"{"title": "Note"}"#)]), before);
    assert_ne!(with(&format!("{source}MOUNT /data ro\n"), &[]), before);
}

#[test]
fn the_digests_of_data_files_are_theirs() {
    let minimal = all().remove("minimal").unwrap();
    let of = |path: &str| {
        let path = format!("{}/../policies/{path}", env!("CARGO_MANIFEST_DIR"));
        digest::sha256_hex(&std::fs::read(path).unwrap())
    };
    assert_eq!(minimal.seccomp.table_sha256, of("seccomp.toml"));
    assert_eq!(minimal.cedar.schema_sha256, of("agentrc.cedarschema"));
    let table =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/seccomp.toml")).unwrap();
    assert!(table.contains(&format!("profile = \"{}\"", minimal.seccomp.profile)));
}

#[test]
fn parents_come_before_children_and_no_target_comes_twice() {
    for (name, plan) in all() {
        let mut seen = BTreeSet::new();
        for mount in &plan.mounts {
            let below = seen.iter().find(|other: &&String| other.starts_with(&format!("{}/", mount.target)));
            assert_eq!(below, None, "{name}: {} comes after what is in it", mount.target);
            assert!(seen.insert(mount.target.clone()), "{name}: {} comes twice", mount.target);
        }
    }
}

#[test]
fn a_disk_limit_bounds_the_sum_of_all_private_directories() {
    for (name, limit) in [("limits", 2_u64 << 30), ("scratch", 64 << 20)] {
        let plan = all().remove(name).unwrap();
        let sizes: Vec<u64> = plan
            .mounts
            .iter()
            .filter(|mount| mount.access == Access::ReadWrite)
            .filter_map(|mount| match mount.source {
                MountSource::Private { size_bytes, .. } => Some(size_bytes),
                _ => None,
            })
            .collect();
        assert!(
            sizes.iter().sum::<u64>() <= limit && sizes.iter().all(|size| *size >= 4096),
            "{name}: {sizes:?}"
        );
        assert!(sizes.iter().sum::<u64>() > limit - limit / 100, "{name}: {sizes:?}");
    }
}

#[test]
fn nothing_of_the_host_is_writable_but_what_a_line_asks_for() {
    for (name, plan) in all() {
        for mount in &plan.mounts {
            if let (MountSource::Bind { .. } | MountSource::Copy { .. }, Access::ReadWrite) =
                (&mount.source, mount.access)
            {
                assert!(mount.origin.is_written(), "{name}: {}", mount.target);
            }
        }
        for rule in &plan.landlock.rules {
            let mount = plan.mounts.iter().find(|mount| mount.target == rule.path);
            let writes = rule.rights == agentfile::plan::FileRights::Full;
            let writable = mount.is_some_and(|mount| mount.access == Access::ReadWrite);
            assert!(!writes || writable, "{name}: {} is writable for Landlock only", rule.path);
        }
    }
}

#[test]
fn the_working_directory_is_the_first_writable_folder_or_the_first_bind() {
    let of = |lines: &str| plan(&format!("AGENT x\nCMD true\n{lines}\n")).workdir;
    assert_eq!(of(""), "/agentrc/src");
    assert_eq!(of("MOUNT /a ro"), "/agentrc/src");
    assert_eq!(of("MOUNT /a ro\nBIND ./src /b ro"), "/b");
    assert_eq!(of("BIND ./agent.py /f ro"), "/agentrc/src");
    assert_eq!(of("BIND ./agent.py /f rw\nBIND ./src /b ro\nMOUNT /c rw"), "/c");
    assert_eq!(of("BIND ./src /b ro\nBIND ./out /c"), "/c");
    // What is outside the folder counts as a folder, unless the name that it gets says otherwise.
    assert_eq!(of("BIND ~/project /w rw"), "/w");
    assert_eq!(of("BIND ~/project /w ro\nBIND ./out /c"), "/c");
    assert_eq!(of("BIND ../../outside/f /home/agent/.gitconfig rw"), "/agentrc/src");
    assert_eq!(of("BIND /srv/f.toml /f.toml rw\nBIND ./src /b ro"), "/b");
}

#[test]
fn what_a_credential_is_read_from_is_hidden_where_a_bind_shows_it() {
    let masks = |lines: &str| -> Vec<(String, String)> {
        let plan = plan(&format!("AGENT x\nCMD /bin/true\nURL https://a.example\n{lines}\n"));
        let masks = plan.mounts.iter().filter(|mount| mount.source == MountSource::Mask);
        masks.map(|mount| (mount.target.clone(), mount.origin.to_string())).collect()
    };
    let at = |target: &str, line: u32| (target.to_owned(), format!("Agentfile:{line}:1"));
    for mode in ["ro", "rw", "copy"] {
        let cred = "CRED T file:src/nested/token host:a.example";
        assert_eq!(masks(&format!("BIND ./src /src {mode}\n{cred}")), [at("/src/nested/token", 5)], "{mode}");
    }
    assert_eq!(masks("BIND ./ /work ro\nCRED T dotenv:KEY host:a.example"), [at("/work/.env", 5)]);
    assert_eq!(masks("BIND ./ /work ro\nCRED T dotenv:src/e#KEY host:a.example"), [at("/work/src/e", 5)]);
    assert_eq!(masks("BIND ~/.config /conf ro\nCRED T file:~/.config/t host:a.example"), [at("/conf/t", 5)]);
    assert_eq!(masks("BIND /srv /srv ro\nCRED T file:/srv/t host:a.example"), [at("/srv/t", 5)]);
    // Twice where two binds show it; once where a nearer one does.
    let both = "BIND ./ /work ro\nBIND ./src /src ro\nCRED T file:./src/t host:a.example";
    assert_eq!(masks(both), [at("/src/t", 6), at("/work/src/t", 6)]);
    let nearer = "BIND ./ /work ro\nBIND ./src /work/out ro\nCRED T file:out/t host:a.example";
    assert_eq!(masks(nearer), []);
    for other in ["env:T", "keyring:t", "vault://kv/src#t", "file:elsewhere/t"] {
        assert_eq!(masks(&format!("BIND ./src /src ro\nCRED T {other} host:a.example")), [], "{other}");
    }
}

#[test]
fn the_way_to_the_broker_is_shown_where_there_is_something_to_ask_for() {
    let shown = |lines: &str| -> Vec<(String, String, FileRights)> {
        let plan = plan(&format!("AGENT x\nCMD true\n{lines}\n"));
        let mounts = plan.mounts.iter().filter(|mount| {
            mount.target.starts_with("/agentrc/")
                && !mount.target.starts_with("/agentrc/src")
                && !mount.target.starts_with("/agentrc/proc/")
                && mount.source != MountSource::Directory
        });
        let rights = |target: &str| {
            let above = |path: &str| target == path || target.starts_with(&format!("{path}/"));
            let rules = plan.landlock.rules.iter().filter(|rule| above(&rule.path));
            rules.max_by_key(|rule| rule.path.len()).unwrap().rights
        };
        mounts
            .map(|mount| {
                assert_eq!(mount.access, Access::ReadOnly);
                (mount.target.clone(), mount.origin.to_string(), rights(&mount.target))
            })
            .collect()
    };
    let at = |target: &str, line: u32| {
        (format!("/agentrc/{target}"), format!("Agentfile:{line}:1"), FileRights::ReadExecute)
    };
    assert_eq!(shown("TOOL strands:x\nALLOW invoke strands:x\nMCP m"), []);
    // Declared is enough for the socket; what nothing permits is not shown.
    let way = [at("bin/mcp", 3), at("broker.sock", 3)];
    assert_eq!(shown("TOOL utcp:shell"), way);
    assert_eq!(shown("FROM scratch\nTOOL utcp:shell"), [at("bin/mcp", 4), at("broker.sock", 4)]);
    let memory = "MEMORY n ./schemas/notes.json schema:Note mode:ro";
    assert_eq!(shown(memory), [way.to_vec(), vec![at("memory/n.json", 3)]].concat());
    let all = format!("{memory}\nTOOL local:./tools/lint\nTOOL utcp:shell\nALLOW invoke lint");
    let tools = [
        at("memory/n.json", 3),
        at("tools/lint", 4),
        at("tools/lint.help", 4),
        at("tools/lint.schema.json", 4),
    ];
    assert_eq!(shown(&all), [way.to_vec(), tools.to_vec()].concat());
    let permit = "TOOL utcp:shell\nPOLICY\npermit(principal, action == AgentRC::Action::\"tool.invoke\", resource) when { context.path == \"/x\" };\nEND";
    assert_eq!(shown(permit).len(), 5);
}

#[test]
fn what_is_shown_of_a_tool_is_its_link_its_schema_and_its_help() {
    let plan = all().remove("tools").unwrap();
    let source = |target: &str| {
        plan.mounts.iter().find(|mount| mount.target == target).map(|mount| mount.source.clone()).unwrap()
    };
    assert_eq!(source("/agentrc/broker.sock"), MountSource::Socket);
    assert_eq!(source("/agentrc/bin/mcp"), MountSource::Generated { what: Generated::Client });
    assert_eq!(source("/agentrc/tools/lint"), MountSource::Symlink { to: "../bin/mcp".to_owned() });
    let MountSource::File { content, mode: 0o444 } = source("/agentrc/tools/lint.schema.json") else {
        panic!()
    };
    let definition = plan.broker.iter().find_map(|entry| match entry {
        BrokerEntry::Tool { entity, definition, .. } if entity == "lint" => definition.clone(),
        _ => None,
    });
    let definition = definition.unwrap();
    assert_eq!(definition.runs, Runs::Program("/agentrc/src/tools/lint".to_owned()));
    assert_eq!(serde_json::from_str::<Value>(&content).unwrap(), definition.input_schema);
    let MountSource::File { content, .. } = source("/agentrc/tools/lint.help") else { panic!() };
    assert!(
        content.contains("Looks for mistakes in a file.") && content.contains("\"file\": string, required")
    );
    let MountSource::File { content, .. } = source("/agentrc/memory/notes.json") else { panic!() };
    assert_eq!(content.as_bytes(), Folder::usual().0["schemas/notes.json"]);
}

#[test]
fn what_is_shown_is_also_where_newer_packages_look_for_it() {
    let links = |lines: &str| -> Vec<(String, String)> {
        let plan = plan(&format!("AGENT x\nCMD true\n{lines}\n"));
        let links = plan.mounts.into_iter().filter(|mount| mount.target.starts_with("/mnt/"));
        links
            .filter_map(|mount| match mount.source {
                MountSource::Symlink { to } => Some((mount.target, to)),
                _ => None,
            })
            .collect()
    };
    let to = |name: &str| (format!("/mnt/{name}"), format!("../agentrc/{name}"));
    assert_eq!(links(""), [to("proc")]);
    let all = "TOOL utcp:shell\nALLOW invoke shell\nMCP m\nTOOL mcp:m.act\nALLOW invoke mcp:m.act\nMEMORY notes ./schemas/notes.json schema:Note mode:ro\nSOP\nx\nEND";
    assert_eq!(links(all), ["SOP", "bin", "mcp", "memory", "proc", "tools"].map(to));
    // What a line shows there is the line's.
    assert_eq!(links(&format!("{all}\nBIND ./src /mnt ro")), []);
    assert_eq!(
        links(&format!("{all}\nBIND ./src /mnt/tools ro")),
        ["SOP", "bin", "mcp", "memory", "proc"].map(to)
    );
    assert_eq!(links("TOOL utcp:shell\nALLOW invoke shell\nMOUNT /mnt/tools/x rw"), [to("bin"), to("proc")]);
}

#[test]
fn an_agent_is_told_about_itself_and_nothing_of_the_host() {
    use agentfile::plan::about;

    let plan = plan(
        "AGENT x\nCMD true\nURL https://a.example/v1\nCRED key file:~/secret/of-host host:a.example\nBIND ~/of-host /work rw\nTOOL utcp:shell\nTOOL utcp:file_read\nALLOW invoke shell\n\
         DENY egress b.example\nFUNCTION ./functions/review.py:summarize\nALLOW invoke summarize\nMEMORY notes ./schemas/notes.json schema:Note mode:rw\nLIMIT tool_calls 9\nLIMIT wall 60\nAUDIT all",
    );
    let status = about::status(&plan, "00ff");
    for line in [
        "agent: x",
        "plan: sha256:00ff",
        "network: https://a.example/v1",
        "tool: shell",
        "function: summarize",
        "memory: notes rw",
        "credential: key",
    ] {
        assert!(status.lines().any(|said| said == line), "{line}: {status}");
    }
    assert!(!status.contains("file_read"), "what nothing permits: {status}");
    assert!(about::audit(&plan).starts_with("level: all\n"), "{}", about::audit(&plan));
    let limits = about::limits(&plan);
    assert!(
        limits.contains("tool_calls: 9 in all [Agentfile:13:1]\n") && limits.contains("wall time: "),
        "{limits}"
    );
    let policy = about::policy(&plan);
    assert!(policy.contains("// allow@8 [Agentfile:8:1]\npermit") && policy.contains("forbid"), "{policy}");
    for text in [status, about::audit(&plan), limits, policy] {
        assert!(!text.contains("of-host"), "{text}");
    }
}
