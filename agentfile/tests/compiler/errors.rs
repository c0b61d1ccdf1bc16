//! Each finding of stage 2 and 3: what causes it, where it points, and that the neighbouring valid form does not.

use agentfile::compile::{Validate, compile};
use agentfile::diag::Severity;
use agentfile::plan::BrokerEntry;

use crate::support::{Folder, compiled, errors, findings, plan};

const HEAD: &str = "AGENT x\nCMD true\n";

/// Checks that `lines` cause exactly `code`, at the text `at`, and no other error.
fn refused(lines: &str, code: &str, at: &str) {
    let source = format!("{HEAD}{lines}\n");
    let found = errors(&source);
    assert_eq!(found, [code], "{lines}\n{:#?}", compiled(&source).diagnostics);
    let places: Vec<_> = findings(&source).into_iter().filter(|(found, _)| *found == code).collect();
    assert_eq!(places, [(code, at)], "{lines}");
}

fn warned(lines: &str, code: &str) {
    let source = format!("{HEAD}{lines}\n");
    assert_eq!(errors(&source), Vec::<&str>::new(), "{lines}");
    let found = findings(&source);
    assert!(found.iter().any(|(found, _)| *found == code), "{lines}: {found:?}");
}

/// Checks that `lines` have no finding at all.
fn clean(lines: &str) {
    let source = format!("{HEAD}{lines}\n");
    assert_eq!(
        findings(&source),
        Vec::<(&str, &str)>::new(),
        "{lines}\n{:#?}",
        compiled(&source).diagnostics
    );
}

#[test]
fn what_is_written_once_is_refused_the_second_time_and_both_lines_are_named() {
    for line in [
        "AGENT x",
        "FROM scratch",
        "CMD true",
        "TIMEOUT 5",
        "AUDIT all",
        "TRACE off",
        "BROKER local",
        "SLICE cpu=1",
    ] {
        let source = format!("{line}\n# between\n{line}\n");
        let twice = compiled(&source)
            .diagnostics
            .into_iter()
            .filter(|found| found.code == "E040")
            .collect::<Vec<_>>();
        assert_eq!(twice.len(), 1, "{line}");
        assert!(twice[0].message.contains("on lines"), "{}", twice[0].message);
        assert!(!twice[0].related.is_empty() && twice[0].help.is_some());
    }
}

#[test]
fn the_agents_name_is_a_dns_label_or_comes_from_the_folder() {
    for name in ["Reviewer", "a_b", "-a", "a-", "a.b", "é"] {
        assert_eq!(errors(&format!("AGENT {name}\nCMD true\n")), ["E041"], "{name}");
    }
    assert_eq!(errors(&format!("AGENT {}\nCMD true\n", "a".repeat(64))), ["E041"]);
    assert_eq!(errors(&format!("AGENT {}\nCMD true\n", "a".repeat(63))), Vec::<&str>::new());
    assert_eq!(plan("CMD true\n").agent, "my-agent");
    assert!(findings("CMD true\n").iter().any(|(code, _)| *code == "W010"));
    assert!(findings("AGENT x\n").iter().any(|(code, _)| *code == "W011"));
}

#[test]
fn a_bind_names_its_source_plainly() {
    for source in ["src", "./a/../b", "./../x", "~root/x", "/a//b", "./", "."] {
        let valid = matches!(source, "./" | ".");
        let found = errors(&format!("{HEAD}BIND {source} /data ro\n"));
        assert_eq!(found.is_empty(), valid, "{source}: {found:?}");
    }
    refused("BIND src /data ro", "E042", "src");
    refused("BIND ./nothing /data ro", "E048", "./nothing");
    refused("BIND ./fifo /data ro", "E048", "./fifo");
    refused("BIND ./agent.py /data/agent.py copy", "E042", "./agent.py");
    refused("BIND .. /data rw", "E042", "..");
    clean("BIND ./src /data ro");
    clean("BIND ./src /data");
    clean("BIND ./agent.py /data/agent.py ro");
}

#[test]
fn a_target_is_normalised_and_not_the_systems() {
    refused("BIND ./src /data/../etc ro", "E043", "/data/../etc");
    refused("BIND ./src /data//x ro", "E043", "/data//x");
    refused("BIND ./src / ro", "E044", "/");
    for target in [
        "/proc",
        "/proc/self",
        "/dev",
        "/dev/shm",
        "/sys",
        "/agentrc",
        "/agentrc/src",
        "/usr",
        "/usr/local/bin",
        "/etc",
        "/etc/passwd",
        "/bin",
        "/lib64",
        "/nix",
        "/home",
        "/var",
    ] {
        refused(&format!("BIND ./src {target} ro"), "E044", target);
        refused(&format!("MOUNT {target} ro"), "E044", target);
    }
    clean("MOUNT /home/agent/.cache rw");
    clean("BIND ./src /opt/app ro");
    clean("MOUNT /tmp rw");
    // With an empty root, there is no base to cover; what the runner always adds stays its own.
    clean("FROM scratch\nBIND ./src /usr ro");
    refused("FROM scratch\nBIND ./src /proc ro", "E044", "/proc");
    refused("FROM scratch\nBIND ./src /home ro", "E044", "/home");
}

#[test]
fn one_path_shows_one_thing() {
    refused("BIND ./src /data ro\nBIND ./out /data ro", "E045", "/data");
    refused("MOUNT /data ro\nMOUNT /data/ ro", "E045", "/data/");
    refused("BIND ./src /data ro\nMOUNT /data rw", "E046", "/data");
    refused("MOUNT /data ro\nBIND ./src /data copy", "E046", "/data");
    clean("BIND ./src /data ro\nMOUNT /data ro");
    clean("MOUNT /data rw\nBIND ./src /data");
}

#[test]
fn a_path_inside_a_bind_needs_something_to_be_mounted_on() {
    refused("BIND ./src /data ro\nMOUNT /data/cache rw", "E047", "/data/cache");
    refused("BIND ./src /data ro\nMOUNT /data/main.rs rw", "E047", "/data/main.rs");
    refused("BIND ./src /data ro\nBIND ./agent.py /data/nested ro", "E047", "/data/nested");
    clean("BIND ./src /data ro\nMOUNT /data/nested rw");
    clean("BIND ./src /data ro\nBIND ./agent.py /data/main.rs ro");
    // What lies outside may be a file or a folder: the run tries.
    clean("BIND ./src /data ro\nBIND ~/.gitconfig /data/main.rs ro");
    clean("BIND ./src /data ro\nBIND ../shared /data/nested ro");
    refused("BIND ./src /data ro\nBIND ../shared/ /data/main.rs ro", "E047", "/data/main.rs");
    clean("MOUNT /data rw\nMOUNT /data/a/b rw");
}

#[test]
fn wide_and_dangerous_binds_are_pointed_at() {
    for source in ["~", "/", "/etc", "/home", "/home/me", "/root", ".."] {
        warned(&format!("BIND {source} /data ro"), "W016");
    }
    warned("BIND . /data rw", "W017");
    warned("BIND ./.git/hooks /data rw", "W021");
    warned("BIND ~/.ssh /data rw", "W021");
    warned("BIND ./src /a rw\nBIND ./src /b ro", "W020");
    clean("BIND . /data ro");
}

#[test]
fn files_that_lines_name_must_be_there() {
    refused("TOOL local:./tools/none\nALLOW invoke local:./tools/none", "E048", "local:./tools/none");
    refused("TOOL local:tools/lint", "E048", "local:tools/lint");
    refused("FUNCTION ./functions/none.py:f", "E048", "./functions/none.py");
    refused("FUNCTION ./functions:f", "E048", "./functions");
    refused("FUNCTION ../functions/review.py:f", "E048", "../functions/review.py");
    refused("SKILL ./skills/none", "E048", "./skills/none");
    refused("SKILL ./agent.py", "E048", "./agent.py");
    refused("SKILL ./skills/empty\nALLOW invoke empty", "E048", "./skills/empty");
    refused("SOP ./none.md", "E048", "./none.md");
    refused("SOP ghcr.io/org/sop:1", "E048", "ghcr.io/org/sop:1");
    refused("MEMORY notes ./none.json schema:Note mode:ro", "E048", "./none.json");
    refused("MEMORY notes ./schemas/broken.json schema:Note mode:ro", "E076", "./schemas/broken.json");
    refused("MEMORY notes ./schemas/notes.json schema:Nothing mode:ro", "E076", "Nothing");
    refused("MEMORY notes ./schemas/outside.json schema:Note mode:ro", "E076", "./schemas/outside.json");
    clean("MEMORY notes ./schemas/notes.json schema:Note mode:ro");
    clean("MEMORY notes ./schemas/notes.json schema:Notes mode:rw");
    clean("SOP ./sop.md");
    assert_eq!(errors("AGENT x\nCMD python3 ./none.py\n"), ["E048"]);
    assert_eq!(errors("AGENT x\nCMD python3 /work/none.py\n"), Vec::<&str>::new());
    assert_eq!(findings("AGENT x\nCMD python3 agent.py\n"), [("W012", "agent.py")]);
}

#[test]
fn the_front_matter_of_a_skill_is_judged() {
    for (text, codes) in [
        ("# Review\n", vec!["E090"]),
        ("---\nname: review\ndescription: {a: b}\n---\n", vec!["E091"]),
        ("---\nname: Review\ndescription: x\nmodel: big\n---\n", vec!["E092", "E092"]),
    ] {
        let mut package = Folder::usual();
        package.0.insert("skills/review/SKILL.md".to_owned(), text.as_bytes().to_vec());
        let source = b"AGENT x\nCMD true\nSKILL ./skills/review\nALLOW invoke review\n";
        let compiled = compile("Agentfile", source, &package, Validate::Always);
        let found: Vec<_> = compiled.diagnostics.iter().map(|finding| finding.code).collect();
        assert_eq!(found, codes, "{:#?}", compiled.diagnostics);
        assert!(compiled.plan.is_none());
        assert!(compiled.diagnostics[0].message.starts_with("skills/review/SKILL.md:"));
    }
}

#[test]
fn a_tool_is_built_in_or_has_its_schema_beside_it() {
    refused("TOOL utcp:Shell\nALLOW invoke utcp:Shell", "E081", "utcp:Shell");
    refused("TOOL utcp:a:b\nALLOW invoke utcp:a:b", "E081", "utcp:a:b");
    refused("TOOL local:./tools/odd+name", "E081", "local:./tools/odd+name");
    refused("TOOL local:./tools/mute\nALLOW invoke mute", "E082", "local:./tools/mute");
    refused("TOOL local:./tools/broken\nALLOW invoke broken", "E082", "local:./tools/broken");
    let help = |lines: &str| {
        let found = compiled(&format!("{HEAD}{lines}\n")).diagnostics;
        let error = found.into_iter().find(|found| found.severity == Severity::Error);
        error.and_then(|error| error.help).unwrap_or_default()
    };
    assert_eq!(help("TOOL utcp:file_raed"), "did you mean `utcp:file_read`?");
    assert!(help("TOOL utcp:browser").contains("`utcp:http_request`, `utcp:shell`"));
    assert!(help("TOOL local:./tools/mute").contains("write `tools/mute.schema.json`: {\"description\""));
    clean("TOOL utcp:http_request\nALLOW invoke utcp:http_request");
    clean("TOOL local:./tools/lint\nALLOW invoke lint");
    clean("TOOL local:./tools/bare.py\nALLOW invoke local:./tools/bare.py");
    // Of a namespace that is not served yet, nothing is known.
    clean("TOOL strands:a/b\nALLOW invoke strands:a/b");
}

#[test]
fn the_file_with_the_whole_name_comes_before_that_without_the_extension() {
    let definition = |files: &[(&str, &str)]| {
        let mut folder = Folder::usual();
        folder.0.extend(files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())));
        let source = format!("{HEAD}TOOL local:./tools/bare.py\nALLOW invoke bare.py\n");
        compile("Agentfile", source.as_bytes(), &folder, Validate::Always).plan.map(|plan| plan.broker)
    };
    let described = |entries: Option<Vec<BrokerEntry>>| match entries.unwrap().remove(0) {
        BrokerEntry::Tool { definition: Some(definition), .. } => definition.description,
        other => panic!("{other:?}"),
    };
    assert_eq!(described(definition(&[])), "Takes nothing.");
    let whole = ("tools/bare.py.schema.json", r#"{"description": "Nearer.", "type": "object"}"#);
    assert_eq!(described(definition(&[whole])), "Nearer.");
    // It is not passed over when something is wrong with it.
    assert_eq!(definition(&[("tools/bare.py.schema.json", "{}")]), None);
    assert_eq!(definition(&[("tools/bare.py.schema.json/x", "{}")]), None);
}

#[test]
fn names_are_unique_in_their_kind() {
    refused("TOOL utcp:shell\nTOOL strands:shell\nALLOW invoke utcp:shell", "E052", "strands:shell");
    refused("CRED k env:A host:h.example\nCRED k env:B host:h.example\nURL https://h.example", "E052", "k");
    refused("SERVER s https://a.example\nSERVER s https://b.example", "E052", "s");
    refused("SKILL a/review\nSKILL b/review\nALLOW invoke review", "E052", "b/review");
    warned("URL https://a.example\nURL https://a.example", "W030");
    clean("URL https://a.example\nURL https://a.example:8443\nURL https://a.example/path");
}

#[test]
fn what_is_allowed_is_declared_and_not_denied() {
    refused("ALLOW invoke utcp:shell", "E051", "utcp:shell");
    refused("ALLOW resolve key", "E051", "key");
    refused("TOOL utcp:shell\nALLOW invoke utcp:shell\nDENY invoke utcp:shell", "E050", "DENY");
    refused("DENY invoke utcp:shell\nTOOL utcp:shell\nALLOW invoke shell", "E050", "ALLOW");
    refused("MOUNT /data rw\nALLOW write /data/x\nDENY write /data/x/", "E050", "DENY");
    refused("URL https://a.example\nDENY egress a.example", "E066", "a.example");
    refused("URL https://a.example\nDENY egress *.example", "E066", "*.example");
    refused("CRED k env:A host:a.example\nURL https://a.example\nDENY resolve k", "E066", "k");
    refused("ALLOW read data/x", "E078", "data/x");
    refused("ALLOW read /data/*/x", "E078", "/data/*/x");
    for target in [
        "https://a.example",
        "a.example:443",
        "a.example/x",
        "a.example.",
        "127.1",
        "0x7f.1",
        "a;b",
        "*",
        "a.*",
        "::1",
        "u@a",
    ] {
        refused(&format!("DENY egress {target}"), "E078", target);
        refused(&format!("ALLOW egress {target}"), "E078", target);
    }
    clean("DENY egress A.Example\nDENY egress *.com\nDENY egress [::1]\nDENY egress 127.0.0.1");
    warned("TOOL utcp:shell", "W013");
    warned("ALLOW egress a.example", "W014");
    warned("ALLOW read /data", "W014");
    warned("MOUNT /data ro\nALLOW write /data", "W014");
    clean("TOOL utcp:shell\nALLOW invoke utcp:shell");
    clean("DENY invoke utcp:shell");
    clean("TOOLSET strands:workspace\nALLOW invoke strands:editor");
    clean(
        "URL https://*.example.com/x\nDENY egress a.example.com"
            .replace("*.example.com/x", "b.example.com")
            .as_str(),
    );
    clean("MOUNT /data rw\nALLOW write /data/x\nALLOW read /usr/share");
    refused("FUNCTION ./functions/review.py:nothing\nALLOW invoke nothing", "E083", "nothing");
    clean("FUNCTION ./functions/review.py:summarize\nALLOW invoke ./functions/review.py:summarize");
    clean("SKILL ./skills/review\nALLOW invoke ./skills/review");
}

#[test]
fn limits_are_single_sane_and_consistent() {
    refused("LIMIT memory 1GiB\nLIMIT memory 2GiB", "E053", "2GiB");
    refused("LIMIT memory 0", "E054", "0");
    refused("LIMIT pids 1", "E054", "1");
    refused("LIMIT open_files 3", "E054", "3");
    refused("LIMIT wall 0", "E054", "0");
    refused("TIMEOUT 0", "E054", "0");
    refused("LIMIT disk 9223372036854775808", "E054", "9223372036854775808");
    refused("LIMIT wall 30\nTIMEOUT 60", "E055", "60");
    refused("LIMIT memory 1GiB\nSLICE mem=2048", "E055", "2048");
    refused("SLICE cpu=2\nLIMIT cpu 3", "E055", "3");
    refused("RATELIMIT shell 1/s\nTOOL utcp:shell\nRATELIMIT shell 2/s\nALLOW invoke shell", "E053", "shell");
    refused(
        &format!("LIMIT disk 1MiB{}", (0..20).map(|n| format!("\nMOUNT /m{n} rw")).collect::<String>()),
        "E077",
        "LIMIT",
    );
    warned("RATELIMIT shell 1/s", "W022");
    warned("TOOL utcp:shell\nALLOW invoke shell\nRATELIMIT strands:shell 1/s", "W022");
    clean("LIMIT memory 1GiB\nSLICE mem=1024");
    clean("LIMIT wall 60\nTIMEOUT 60");
    clean("LIMIT tool_calls 0");
    clean("TOOL utcp:shell\nALLOW invoke utcp:shell\nRATELIMIT utcp:shell 20/hour");
}

#[test]
fn hints_are_honoured_or_refused() {
    clean("ISOLATION local");
    clean("PLUGIN network\nPLUGIN filesystem\nPLUGIN secrets");
    for line in [
        "ISOLATION microvm",
        "PLUGIN gpu",
        "IMAGE ghcr.io/x/y:1",
        "BACKEND ssh://host",
        "SHELL strands",
        "OPTIMIZER textgrad",
    ] {
        assert_eq!(errors(&format!("{HEAD}{line}\n")), ["E057"], "{line}");
    }
}

#[test]
fn credentials_have_a_source_that_a_package_may_name() {
    refused("CRED k command:pass host:a.example\nURL https://a.example", "E071", "command:pass");
    refused("CRED k env:1X host:a.example\nURL https://a.example", "E019", "env:1X");
    refused("CRED k env:A host:db.example\nURL tcp://db.example:5432", "E072", "CRED");
    refused("SERVER s tcp://a.example:1", "E072", "tcp://a.example:1");
    warned("CRED k env:A", "W018");
    warned("CRED k env:A host:a.example", "W025");
    clean("CRED k env:A host:a.example\nURL https://a.example");
    clean("CRED k env:A host:*.a.example\nURL https://b.a.example");
}

#[test]
fn cred_plaintext_rejected() {
    // The value appears in no message.
    let source = format!("{HEAD}CRED k sk-live-4242 host:a.example\n");
    let found = compiled(&source);
    assert!(found.plan.is_none());
    assert!(
        found.diagnostics.iter().all(|one| !one.message.contains("4242")
            && one.help.as_ref().is_none_or(|help| !help.contains("4242")))
    );
}

#[test]
fn all_errors_of_a_file_come_at_once_in_the_order_of_the_text() {
    let source =
        "AGENT X\nBIND src /data ro\nLIMIT memory 0\nALLOW invoke a:b\nPOLICY\nbroken;\nEND\nNOTHING\n";
    let found = errors(source);
    assert_eq!(found, ["E041", "E042", "E054", "E051", "E060", "E005"]);
}
