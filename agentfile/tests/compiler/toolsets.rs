//! `TOOLSET`: what it stands for is in the plan, with the place that says so.

use agentfile::compile::{Compiled, Validate, compile};
use agentfile::plan::unenforced::unenforced;
use agentfile::plan::{BrokerEntry, describe, digest};

use crate::support::Folder;

/// Compiles `lines` beside a toolset `toolsets/x.toml` that is `file`.
fn compiled(lines: &str, file: &[u8]) -> Compiled {
    let mut folder = Folder::usual();
    folder.0.insert("toolsets/x.toml".to_owned(), file.to_vec());
    compile("Agentfile", format!("AGENT x\nCMD true\n{lines}\n").as_bytes(), &folder, Validate::Always)
}

/// Each tool: how it is written, what permits it, where it was declared, and the toolset.
fn tools(compiled: &Compiled) -> Vec<(String, bool, String, Option<String>)> {
    let plan = compiled.plan.as_ref().unwrap_or_else(|| panic!("{:#?}", compiled.diagnostics));
    let tool = |entry: &BrokerEntry| match entry {
        BrokerEntry::Tool { namespace, name, permitted, origin, toolset, .. } => {
            Some((format!("{namespace}:{name}"), *permitted, origin.to_string(), toolset.clone()))
        }
        _ => None,
    };
    plan.broker.iter().filter_map(tool).collect()
}

#[track_caller]
fn refused(lines: &str, file: &[u8], code: &str, what: &str) {
    let found = compiled(lines, file);
    assert!(found.plan.is_none(), "{lines}");
    let said: Vec<_> = found.diagnostics.iter().map(|one| (one.code, one.message.as_str())).collect();
    assert!(said.iter().any(|(of, message)| *of == code && message.contains(what)), "{said:#?}");
}

#[test]
fn a_built_in_toolset_becomes_its_tools_and_each_needs_its_permit() {
    let found = compiled("TOOLSET utcp:read\nALLOW invoke utcp:file_read", b"");
    let by = || Some("utcp:read".to_owned());
    let at = || "Agentfile:3:1".to_owned();
    assert_eq!(
        tools(&found),
        [
            ("utcp:file_read".to_owned(), true, at(), by()),
            ("utcp:file_list".to_owned(), false, at(), by()),
            ("utcp:file_search".to_owned(), false, at(), by()),
        ]
    );
    let missing = found.diagnostics.iter().filter(|one| one.code == "W013").count();
    assert_eq!(missing, 2, "{:#?}", found.diagnostics);
    assert!(unenforced(found.plan.as_ref().unwrap()).is_empty());
    let text = format!("{:?}", describe::describe(found.plan.as_ref().unwrap()));
    assert!(text.contains("of TOOLSET utcp:read"), "{text}");
    // What is expanded is known by name: a misspelt permit is found.
    refused("TOOLSET utcp:read\nALLOW invoke utcp:file_write", b"", "E051", "utcp:file_write");
}

#[test]
fn a_toolset_of_the_package_names_its_own_line_and_is_part_of_the_digest() {
    let file = b"tools = [\n  \"utcp:file_read\",\n  \"local:./tools/lint\",\n]\n";
    let found = compiled("TOOLSET local:./toolsets/x.toml\nALLOW invoke lint\nALLOW invoke file_read", file);
    assert!(found.diagnostics.is_empty(), "{:#?}", found.diagnostics);
    let of = |place: &str| Some(format!("local:./toolsets/x.toml:{place}"));
    let at = || "Agentfile:3:1".to_owned();
    assert_eq!(
        tools(&found),
        [
            ("utcp:file_read".to_owned(), true, at(), of("2:3")),
            ("local:./tools/lint".to_owned(), true, at(), of("3:3")),
        ]
    );
    let fewer =
        compiled("TOOLSET local:./toolsets/x.toml\nALLOW invoke file_read", b"tools = [\"utcp:file_read\"]");
    let more = compiled("TOOLSET local:./toolsets/x.toml\nALLOW invoke file_read", file);
    let digest = |compiled: &Compiled| digest::digest(compiled.plan.as_ref().unwrap()).unwrap();
    assert_ne!(digest(&fewer), digest(&more));
}

#[test]
fn the_same_tool_by_several_ways_is_one_tool_of_the_first() {
    for (lines, toolset) in [
        ("TOOLSET utcp:read\nTOOLSET utcp:files", Some("utcp:read")),
        ("TOOL utcp:file_read\nTOOLSET utcp:read", None),
        ("TOOLSET utcp:read\nTOOL utcp:file_read", Some("utcp:read")),
    ] {
        let all = tools(&compiled(lines, b""));
        let read: Vec<_> = all.iter().filter(|(written, ..)| written == "utcp:file_read").collect();
        assert_eq!(read.len(), 1, "{lines}");
        assert_eq!((read[0].2.as_str(), read[0].3.as_deref()), ("Agentfile:3:1", toolset), "{lines}");
    }
    refused("TOOL utcp:shell\nTOOL utcp:shell", b"", "E052", "`shell`");
    refused("TOOLSET utcp:read\nTOOL utcp:file_read\nTOOL strands:file_read", b"", "E052", "`file_read`");
    refused("TOOLSET utcp:read\nTOOLSET utcp:read", b"", "E052", "`utcp:read`");
}

#[test]
fn what_is_wrong_in_a_toolset_is_said_with_its_place() {
    refused("TOOLSET utcp:raed", b"", "E084", "`raed`");
    refused("TOOLSET local:./toolsets/none.toml", b"", "E048", "toolsets/none.toml");
    refused("TOOLSET local:./../x.toml", b"", "E048", "x.toml");
    refused("TOOLSET local:./toolsets", b"", "E048", "is a folder");
    refused("TOOLSET local:/etc/x.toml", b"", "E017", "/etc/x.toml");
    let mine = "TOOLSET local:./toolsets/x.toml";
    refused(mine, b"\xff", "E084", "UTF-8");
    refused(mine, &[b'#'; 70_000], "E084", "64 KiB");
    refused(mine, b"tools = [1]", "E084", "toolsets/x.toml:1:10: not a toolset");
    refused(
        mine,
        b"tools = [\"utcp:file_read\"]\nallow = true\n",
        "E084",
        "toolsets/x.toml:2:1: not a toolset",
    );
    refused(mine, b"tools = []", "E084", "without a tool");
    refused(mine, b"tools = [\n\"shell\"]", "E017", "toolsets/x.toml:2:1: `shell`");
    refused(mine, b"tools = [\"utcp:sell\"]", "E081", "toolsets/x.toml:1:10: there is no built-in tool");
    refused(mine, b"tools = [\"local:./tools/mute\"]", "E082", "toolsets/x.toml:1:10: the tool `mute`");
    refused(mine, b"tools = [\"local:/bin/sh\"]", "E048", "toolsets/x.toml:1:10: ");
    refused(
        mine,
        b"tools = [\"utcp:shell\", \"strands:shell\"]",
        "E052",
        "toolsets/x.toml:1:24: the tool `shell`",
    );
}

#[test]
fn what_is_not_served_is_refused_at_run() {
    let digest = "a".repeat(64);
    for toolset in [format!("registry://example.com/tools@sha256:{digest}"), "strands:workspace".to_owned()] {
        let found = compiled(&format!("TOOLSET {toolset}"), b"");
        let open = unenforced(&found.plan.unwrap());
        assert_eq!(open[0].what, format!("TOOLSET {toolset}"));
    }
    // A tool of a server needs the server's line, wherever it is listed.
    let found = compiled("TOOLSET local:./toolsets/x.toml", b"tools = [\"mcp:files.read\"]");
    assert!(found.plan.is_none() && found.diagnostics.iter().any(|one| one.code == "E096"));
}
