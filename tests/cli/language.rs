//! `check`, `fmt`, `plan`: what a person, an editor and a pipeline get to see of an Agentfile.

use crate::support::World;

const GOOD: &str = "AGENT good\nCMD ls -la\nBIND . /workspace ro\nTIMEOUT 60\n";

#[test]
fn a_clean_file_checks_with_0() {
    let world = World::with(GOOD);
    world.ends(["check"], 0).out_has(&["Agentfile: no errors"]);
    world.ends(["check", "."], 0);
    world.ends(["check", "./Agentfile"], 0);
}

#[test]
fn every_error_is_reported_at_once_with_place_source_and_code() {
    let world = World::with("AGENT bad\nBOGUS x\nBIND ./src relative\nTIMEOUT soon\nCMD ls\n");
    let checked = world.ends(["check"], 1).plain();
    checked.out_has(&[
        "Agentfile:2:1",
        "Agentfile:3:",
        "Agentfile:4:",
        "BOGUS x",
        "^",
        "error[E0",
        "3 errors",
    ]);
}

#[test]
fn json_is_for_programs() {
    let world = World::with("AGENT bad\nBOGUS x\nCMD ls\n");
    let report = world.ends(["check", "--format", "json"], 1).json();
    let finding = &report["findings"][0];
    assert_eq!(finding["line"], 2, "{report:#}");
    assert_eq!(finding["severity"], "error");
    assert!(finding["code"].as_str().unwrap().starts_with("E0"));
    assert_eq!(report["plan_sha256"], serde_json::Value::Null);
    world.write("Agentfile", GOOD);
    let report = world.ends(["check", "--format", "json"], 0).json();
    assert_eq!(report["findings"], serde_json::json!([]));
    assert_eq!(report["plan_sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn a_hostile_file_drives_no_terminal() {
    let world = World::new();
    world.write("Agentfile", b"AGENT x\nCMD \x1b[2J\x1b]0;owned\x07\nBIND ./\xe2\x80\xae /x\n\xff\xfe\n");
    world.ends(["check"], 1).plain();
    world.ends(["check", "--format", "json"], 1).plain();
    world.ends(["run"], 125).plain();
    world.ends(["plan"], 1).plain();
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_with_a_way_out() {
    let world = World::new();
    world.ends(["check"], 1).err_has(&["cannot read `Agentfile`", "agentrc init"]);
    world.ends(["run"], 125).err_has(&["cannot read `Agentfile`", "the command was not executed"]);
    world.ends(["plan", "missing/Agentfile"], 1).err_has(&["cannot read `missing/Agentfile`"]);
    std::os::unix::fs::symlink("/etc/hostname", world.path("link")).unwrap();
    world.ends(["check", "link"], 1).err_has(&["symbolic link that leaves its folder"]);
    world.write("large", vec![b'#'; (4 << 20) + 1]);
    world.ends(["check", "large"], 1).err_has(&["larger than 4 MiB"]);
    world.ends(["check", "/dev/zero"], 1).err_has(&["not a regular file"]);
}

#[test]
fn fix_rewrites_what_published_examples_write_and_then_it_is_clean() {
    let world = World::with(
        "AGENT fixed\nCMD ls\nPOLICY\n# who may\npermit(principal, action == Action::\"tool.invoke\", resource)\nwhen { resource.name.startsWith(\"x\") };\nEND\n",
    );
    let before = world.ends(["check"], 1);
    assert!(before.out.contains("check --fix"), "{}", before.out);
    let fixed = world.agentrc(["check", "--fix"]).output().unwrap();
    let said = String::from_utf8(fixed.stdout).unwrap();
    let text = world.read("Agentfile");
    assert!(said.contains("edit"), "{said}");
    assert!(text.contains("// who may") && text.contains("like \"x*\""), "{text}");
}

#[test]
fn explain_says_what_a_code_means() {
    let world = World::new();
    world.ends(["check", "--explain", "E005"], 0).out_has(&["E005", "directive"]);
    world.ends(["check", "--explain", "e005"], 0);
    world.ends(["check", "--explain", "E999"], 1).err_has(&["there is no code `E999`"]);
    world.ends(["check", "--explain", "E005", "--fix"], 2);
}

#[test]
fn fmt_writes_the_canonical_layout_once() {
    let world = World::with("AGENT    x\n\n\n\nCMD   ls    -la   \n");
    world.ends(["fmt", "--check"], 1).out_has(&["Agentfile is not formatted"]);
    world.ends(["fmt"], 0).out_has(&["formatted Agentfile"]);
    assert_eq!(world.read("Agentfile"), "AGENT x\n\nCMD ls -la\n");
    world.ends(["fmt", "--check"], 0);
    assert_eq!(world.ends(["fmt"], 0).out, "");
    world.write("Agentfile", "BOGUS  x\n");
    world.ends(["fmt"], 1).err_has(&["BOGUS", "was not changed"]);
    assert_eq!(world.read("Agentfile"), "BOGUS  x\n");
}

#[test]
fn plan_shows_each_rule_with_its_line() {
    let world = World::with(GOOD);
    let plan = world.ends(["plan"], 0);
    let plan = plan.out_has(&["plan sha256:", "runs `ls -la` as agent `good`  [Agentfile:2:1]"]);
    let bind = plan.out.lines().find(|line| line.contains("/workspace: ")).unwrap();
    assert!(bind.contains("read") && bind.ends_with("[Agentfile:3:1]"), "{bind}");
}

#[test]
fn plan_in_json_is_the_bytes_of_the_digest() {
    let world = World::with(GOOD);
    let json = world.ends(["plan", "--json"], 0);
    world.write("plan.json", &json.out);
    let sum = std::process::Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let mut sum = sum.unwrap();
    std::io::Write::write_all(&mut sum.stdin.take().unwrap(), json.out.trim_end().as_bytes()).unwrap();
    let sum = String::from_utf8(sum.wait_with_output().unwrap().stdout).unwrap();
    world.ends(["plan"], 0).out_has(&[sum.split_whitespace().next().unwrap()]);
    world.ends(["plan", "--diff", "plan.json"], 0).out_has(&["no difference"]);
}

#[test]
fn plan_diff_says_in_words_what_changes_and_what_widens() {
    let world = World::with(GOOD);
    world.write("old/Agentfile", GOOD.replace("BIND .", "BIND ./src"));
    world.write("old/src/x", "");
    world.write("src/x", "");
    world.write(
        "Agentfile",
        "AGENT good\nCMD ls -la\nBIND ./src /workspace rw\nMOUNT /output rw\nTIMEOUT 60\n",
    );
    let diff = world.ends(["plan", "--diff", "old"], 1);
    let diff = diff.out_has(&["+ adds write to /workspace", "/output", "[Agentfile:4:1]"]);
    // The marks are about authority, not about lines of text.
    assert!(diff.out.starts_with("`+` gives the agent more than OTHER, `-` does not"), "{}", diff.out);
    let less = world.ends(["plan", "old", "--diff", "."], 1);
    let less = less.out_has(&["- removes read of and write to /output", "[OTHER: Agentfile:4:1]"]);
    assert!(!less.out.contains("removes write to /workspace  [OTHER"), "a line of both: {}", less.out);
    world.ends(["plan", "--help"], 0).out_has(&["`+` marks what gives the agent more", "a line of OTHER"]);
    let first_less = diff.out.find("\n- ").unwrap();
    assert!(!diff.out[first_less..].contains("\n+ "), "what widens comes first: {}", diff.out);
    world.ends(["plan", "--diff", "old", "--json"], 2);
    world.write("not-a-plan.json", "{\"format\": 1}");
    world.ends(["plan", "--diff", "not-a-plan.json"], 1).err_has(&["is not a plan", "agentrc plan --json"]);
    world.ends(["plan", "--diff", "missing"], 1).err_has(&["cannot read `missing`"]);
}

#[test]
fn plan_diff_of_moved_lines_says_that_consents_do_not_carry_over() {
    let world = World::with(GOOD);
    let json = world.ends(["plan", "--json"], 0);
    world.write("plan.json", &json.out);
    world.write("Agentfile", format!("# a comment\n{GOOD}"));
    world.ends(["plan", "--diff", "plan.json"], 1).out_has(&["the same rules, from other lines"]);
}

#[test]
fn what_init_writes_is_clean_and_formatted() {
    let world = World::new();
    world.ends(["init"], 0);
    let checked = world.ends(["check"], 0);
    assert_eq!(checked.out, "Agentfile: no errors\n");
    world.ends(["fmt", "--check"], 0);
}

#[test]
fn support_names_every_directive_and_what_becomes_of_it() {
    let world = World::new();
    let support = world.ends(["support", "--json"], 0).json();
    let of = |keyword: &str| {
        let directives = support["directives"].as_array().unwrap();
        directives.iter().find(|directive| directive["keyword"] == keyword).unwrap()["support"].clone()
    };
    assert_eq!(support["directives"].as_array().unwrap().len(), 32);
    assert_eq!(
        (of("BIND"), of("MCP"), of("TRACE")),
        ("enforced".into(), "enforced".into(), "refused-at-run".into())
    );
    world.ends(["support"], 0).out_has(&["BIND", "URL", "landlock", "seccomp", "refused at run"]);
}

#[test]
fn support_says_what_of_the_network_and_of_credentials_this_host_has() {
    let world = World::new();
    let support = world.ends(["support", "--json"], 0).json();
    // Its exit code says whether this machine can run agents, which is not asked here.
    let doctor = world.agentrc(["doctor", "--json"]).output().unwrap();
    let doctor: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let layers = support["layers"].as_array().unwrap();
    let here = |name: &str| layers.iter().find(|layer| layer["layer"] == name).unwrap()["this_host"].clone();
    for (layer, feature) in
        [("ebpf", "ebpf"), ("gateway", "network"), ("dns", "network"), ("landlock", "landlock")]
    {
        let features = doctor["features"].as_array().unwrap();
        let probed = features.iter().find(|one| one["name"] == feature).unwrap();
        assert_eq!(here(layer)["present"], probed["present"], "{layer}");
    }
    assert!(here("tls")["detail"].is_string() && here("credentials")["present"] == true);
    let sources = support["credential_sources"].as_array().unwrap();
    let of = |form: &str| sources.iter().find(|source| source["source"] == form).unwrap()["present"].clone();
    assert_eq!((of("env:"), of("vault://"), of("keyring:")), (true.into(), false.into(), false.into()));
    world.ends(["support"], 0).out_has(&[
        "gateway",
        "this host: ",
        "`VAULT_ADDR` is not set",
        "no session bus",
    ]);
}

#[test]
fn what_an_audit_level_records_is_said_alike_wherever_it_is_said() {
    let world = World::new();
    world.ends(["init"], 0);
    let starter = std::fs::read_to_string(world.path("Agentfile")).unwrap();
    let support = world.ends(["support", "--json"], 0).json();
    let directives = support["directives"].as_array().unwrap();
    let audit = directives.iter().find(|directive| directive["keyword"] == "AUDIT").unwrap();
    for text in [&starter, audit["meaning"].as_str().unwrap(), &world.ends(["plan"], 0).out] {
        let said = text.split_whitespace().filter(|word| *word != "#").collect::<Vec<_>>().join(" ");
        for part in ["limits", "denies", "not seen"] {
            assert!(said.contains(part), "`{part}`: {said}");
        }
    }
}

#[test]
fn the_digest_is_that_of_the_json_without_its_newline() {
    let world = World::with("AGENT a\nCMD ls\n");
    let json = world.ends(["plan", "--json"], 0).out;
    let digest = agentfile::plan::digest::sha256_hex(json.strip_suffix('\n').unwrap().as_bytes());
    world.ends(["plan"], 0).out_has(&[&format!("plan sha256:{digest}")]);
    world
        .ends(["plan", "--help"], 0)
        .out_has(&["the SHA-256 of the JSON without that newline is the plan digest"]);
}
