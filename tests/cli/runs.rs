//! A run and what comes after it: refusals, consent, review, log, explanation.

use crate::support::World;

fn world(agentfile: &str, script: &str) -> World {
    let world = World::with(agentfile);
    world.write("go.sh", script);
    world
}

const COPY: &str = "AGENT copies\nBIND ./data /data copy\nCMD /bin/sh ./go.sh\n";

#[test]
fn a_run_is_quiet_and_passes_arguments_and_streams() {
    let world = world("AGENT echo\nCMD /bin/sh ./go.sh\n", "cat; echo \"got $*\"; echo err >&2; exit 3\n");
    let ended = world.agentrc(["run", "--", "a b", "c"]).stdin("in\n").assert().code(3);
    let output = ended.get_output();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "in\ngot a b c\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "err\n", "nothing of ours");
}

#[test]
fn everything_that_is_not_enforced_is_listed_and_nothing_runs() {
    let world = world(
        "AGENT net\nTRACE otlp://127.0.0.1:4317\nTOOL strands:find\nALLOW invoke strands:find\nRATELIMIT strands:find 3/s\nBIND ./data /data rw\nCMD /bin/sh ./go.sh\n",
        "echo ran > /data/ran\n",
    );
    world.write("data/x", "");
    let refused = world.ends(["run"], 125).err_has(&[
        "not yet enforced here",
        "--> Agentfile:2:1",
        "--> Agentfile:3:1",
        "--> Agentfile:5:1",
        "help: remove the line",
        "the command was not executed",
    ]);
    assert_eq!(refused.out, "");
    assert!(!world.path("data/ran").exists());
}

#[test]
fn without_consent_it_says_what_is_asked_and_the_exact_commands() {
    let world = world("AGENT asks\nBIND ../outside /out ro\nCMD /bin/sh ./go.sh\n", "cat /out/x\n");
    std::fs::create_dir(world.outside("outside")).unwrap();
    std::fs::write(world.outside("outside/x"), "seen\n").unwrap();
    let agentfile = world.path("Agentfile");
    let agentfile = agentfile.to_str().unwrap();
    world.ends(["run"], 125).err_has(&[
        "../outside",
        "nobody consented",
        "--> Agentfile:2:1",
        &format!("agentrc allow {agentfile}"),
        &format!("agentrc run --grant {agentfile}"),
    ]);
    assert_eq!(world.ends(["run", "--grant"], 0).out, "seen\n");
    world.ends(["allow"], 1).err_has(&["there is no terminal to ask on", "--yes"]).out_has(&["../outside"]);
    world.ends(["run"], 125);
    world.ends(["allow", "--yes"], 0).out_has(&[
        "../outside",
        "[Agentfile:2:1]",
        "recorded for plan sha256:",
    ]);
    assert_eq!(world.ends(["run"], 0).out, "seen\n");
    let grants = world.ends(["grants", "--json"], 0).json();
    assert_eq!(grants["grants"][0]["grants"][0]["agentfile"], "Agentfile", "{grants:#}");
    world.ends(["grants"], 0).out_has(&["../outside", "project"]);
    world.ends(["grants", "--revoke", "Agentfile"], 0).out_has(&["revoked 1"]);
    world.ends(["run"], 125);
}

#[test]
fn allow_of_what_asks_for_nothing_records_nothing() {
    let world = world("AGENT modest\nCMD ls\n", "");
    world.ends(["allow"], 0).out_has(&["no consent is needed"]);
    world.ends(["grants"], 0).out_has(&["no grants"]);
}

#[test]
fn changes_in_a_copy_are_reviewed_then_applied_or_discarded() {
    let world = world(COPY, "echo new > /data/new; echo changed > /data/kept; rm /data/old\n");
    world.write("data/kept", "as it was\n");
    world.write("data/old", "old\n");
    world.ends(["run"], 0);
    assert_eq!(world.read("data/kept"), "as it was\n", "the host's files are untouched");
    world.ends(["diff", "latest"], 0).out_has(&[
        "A /data/new",
        "M /data/kept",
        "D /data/old",
        "-as it was",
        "+changed",
    ]);
    let names = world.ends(["diff", "--names", "latest"], 0);
    assert!(!names.out.contains("+changed"), "{}", names.out);
    world.ends(["apply", "latest", "/data/kept"], 0).out_has(&["1 written, 0 removed"]);
    assert_eq!(world.read("data/kept"), "changed\n");
    assert!(world.path("data/old").exists());
    world.ends(["apply", "latest"], 0).out_has(&["1 removed"]);
    assert!(!world.path("data/old").exists());
    world.ends(["apply", "latest"], 0).out_has(&["nothing to apply"]);
    world.ends(["runs"], 0).out_has(&[", 1 copy"]);
    world.ends(["discard", "latest"], 0).out_has(&["discarded the copy"]);
    world.ends(["diff", "latest"], 0).out_has(&["no changes"]);
    let runs = world.ends(["runs"], 0);
    assert!(!runs.out.contains("1 copy"), "{}", runs.out);
    let runs = world.ends(["runs", "--json"], 0).json();
    assert_eq!(runs["runs"][0]["record"]["copies"], serde_json::json!([]), "{runs:#}");
    world.ends(["discard", "latest"], 0).out_has(&["has no copies"]);
    world.ends(["apply", "latest"], 0).out_has(&["nothing to apply"]);
    world.ends(["audit", "verify"], 0);
}

#[test]
fn what_changed_on_the_host_meanwhile_is_not_overwritten() {
    let world = world(COPY, "echo agent > /data/kept\n");
    world.write("data/kept", "before\n");
    world.ends(["run"], 0);
    std::thread::sleep(std::time::Duration::from_millis(20));
    world.write("data/kept", "mine\n");
    world.ends(["apply", "latest"], 1).err_has(&["nothing was applied", "/data/kept", "--force"]);
    assert_eq!(world.read("data/kept"), "mine\n");
    world.ends(["apply", "--skip", "latest"], 0).out_has(&["0 written"]);
    world.ends(["apply", "--force", "latest"], 0);
    assert_eq!(world.read("data/kept"), "agent\n");
}

#[test]
fn names_and_lines_of_a_copy_cannot_drive_the_terminal() {
    let world = world(
        COPY,
        "printf 'x\\033]0;owned\\007\\n' > \"/data/$(printf 'a\\033[2Jb')\"; ln -s \"$(printf '\\033[2J')\" /data/link\n",
    );
    world.write("data/x", "");
    world.ends(["run"], 0);
    world.ends(["diff", "latest"], 0).plain().out_has(&["a\\x1b[2Jb", "link to"]);
    world.ends(["apply", "latest"], 0).plain();
}

#[test]
fn runs_and_logs_are_listed_and_a_run_can_be_named_by_its_beginning() {
    let world = world("AGENT listed\nCMD /bin/sh ./go.sh\n", "exit 7\n");
    world.ends(["run"], 7);
    world.ends(["run"], 7);
    let runs = world.ends(["runs", "--json"], 0).json();
    let runs = runs["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!((&runs[0]["state"], &runs[0]["detail"]), (&"ended".into(), &7.into()));
    assert_eq!(runs[0]["record"]["agent"], "listed");
    let id = runs[0]["run"].as_str().unwrap();
    world.ends(["runs"], 0).out_has(&["ended 7", "listed", id]);
    world.ends(["audit", "list"], 0).out_has(&[id, "audit.jsonl"]);
    world.ends(["audit", "show", id], 0).out_has(&["armed", "seccomp", "ended with 7", "signed, final"]);
    let raw = world.ends(["audit", "show", "--json", id], 0);
    assert!(
        raw.out.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()),
        "{}",
        raw.out
    );
    world.ends(["why", "2"], 1).err_has(&["is the beginning of 2 runs", id, "help: say more of the name"]);
    world.ends(["runs", "--remove", id], 0).out_has(&["removed"]);
    assert_eq!(world.ends(["runs", "--json"], 0).json()["runs"].as_array().unwrap().len(), 1);
    world.ends(["audit", "verify"], 0);
}

#[test]
fn a_tampered_log_is_found_and_named() {
    let world = world("AGENT audited\nCMD /bin/sh ./go.sh\n", "");
    world.ends(["run"], 0);
    let report = world.ends(["audit", "verify", "--json"], 0).json();
    assert_eq!(report["intact"], true);
    let runs = std::fs::read_dir(world.outside("state/agentrc/runs")).unwrap();
    let log = runs.map(|run| run.unwrap().path().join("audit.jsonl")).next().unwrap();
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, text.replace("\"exit_code\":0", "\"exit_code\":9")).unwrap();
    world.ends(["audit", "verify"], 1).out_has(&["tampered", "line "]);
    world.ends(["why", "latest"], 0).err_has(&["warning: this log is tampered", "audit verify"]);
    world.ends(["audit", "show", "latest"], 0).err_has(&["warning: this log is tampered"]);
    let report = world.ends(["audit", "verify", "latest", "--json"], 1).json();
    assert_eq!((&report["intact"], &report["logs"][0]["verdict"]), (&false.into(), &"tampered".into()));
}

#[test]
fn a_shortened_ledger_is_found_by_the_run_whose_end_it_lost() {
    let world = world("AGENT audited\nCMD /bin/sh ./go.sh\n", "");
    world.ends(["run"], 0);
    world.ends(["run"], 0);
    let path = world.outside("state/agentrc/ledger.jsonl");
    let ledger = std::fs::read_to_string(&path).unwrap();
    let cut = ledger.trim_end().rfind('\n').unwrap() + 1;
    std::fs::write(&path, &ledger[..cut]).unwrap();
    let said = ["unfinished", "has its final signature", "the ledger was shortened, or the supervisor"];
    let verified = world.ends(["audit", "verify", "latest"], 1).out_has(&said);
    assert!(!verified.out.contains("there is no final signature"), "{}", verified.out);
    world.ends(["audit", "verify"], 1).out_has(&said).out_has(&["ledger  intact"]);
    world.ends(["why", "latest"], 0).err_has(&["warning: this log is unfinished"]);
    std::fs::write(&path, &ledger).unwrap();
    world.ends(["audit", "verify"], 0);
}

#[test]
fn why_names_the_line_of_a_limit_and_says_what_it_cannot_see() {
    let world = world("AGENT slow\nTIMEOUT 3\nCMD /bin/sh ./go.sh\n", "sleep 20\n");
    world.ends(["run"], 137).err_has(&["killed", "Agentfile:2:"]);
    world.ends(["why", "latest"], 0).out_has(&[
        "limit wall",
        "the line to change: Agentfile:2:",
        "not seen by agentrc",
    ]);
}

#[test]
fn which_run_latest_is_is_said_with_its_start() {
    let world = world("AGENT older\nCMD /bin/sh ./go.sh\n", "exit 3\n");
    world.ends(["run"], 3);
    let id = world.ends(["runs", "--json"], 0).json()["runs"][0]["run"].as_str().unwrap().to_owned();
    // Refused before its launch: not a run.
    world.write("Agentfile", "BOGUS\n");
    world.ends(["run"], 125);
    let says = format!("the latest run is {id}, started {}-{}-{} ", &id[..4], &id[4..6], &id[6..8]);
    let named = |out: &str| assert!(out.starts_with(&says) && out.contains("is no run"), "{out}");
    named(&world.ends(["why", "latest"], 0).out);
    named(&world.ends(["why", "last"], 0).out);
    named(&world.ends(["why"], 0).out);
    named(&world.ends(["audit", "show", "latest"], 0).out);
    named(&world.ends(["audit", "show"], 0).out);
    for command in [world.ends(["why", &id], 0), world.ends(["audit", "show", &id], 0)] {
        assert!(!command.out.contains("the latest run is"), "{}", command.out);
    }
    let raw = world.ends(["audit", "show", "--json"], 0);
    assert!(raw.out.starts_with('{'), "{}", raw.out);
}

#[test]
fn why_claims_nothing_of_a_log_that_is_cut_or_gone() {
    let world = world("AGENT executed\nCMD /bin/sh ./go.sh\n", "exit 4\n");
    world.ends(["run"], 4);
    let runs = std::fs::read_dir(world.outside("state/agentrc/runs")).unwrap();
    let log = runs.map(|run| run.unwrap().path().join("audit.jsonl")).next().unwrap();
    let honest = |state: &str| {
        let said = world.ends(["why", "latest"], 0).out_has(&[
            &format!("the log of this run {state}: it does not tell whether the command was executed"),
            "does not mean that nothing was denied",
        ]);
        assert!(!said.out.contains("was not executed"), "{}", said.out);
    };
    std::fs::write(&log, "").unwrap();
    honest("is empty");
    std::fs::remove_file(&log).unwrap();
    honest("is missing");
}

#[test]
fn why_has_the_words_that_a_program_prints_for_a_denied_connection() {
    let world = world("AGENT online\nCMD /bin/bash ./go.sh\n", ": < /dev/tcp/127.0.0.1/9\n");
    let ended = world.agentrc(["run"]).assert().code(1);
    let printed = String::from_utf8_lossy(&ended.get_output().stderr).into_owned();
    let why = world.ends(["why", "latest"], 0);
    if printed.contains("Permission denied") {
        why.out_has(&["Permission denied (EACCES) from connect or bind over TCP"]);
    } else {
        assert!(printed.contains("Network is unreachable"), "{printed}");
        why.out_has(&["before that, TCP fails as UDP does", "Network is unreachable (ENETUNREACH)"]);
    }
}

#[test]
fn why_quotes_the_lines_that_deny_as_long_as_they_are_those_of_the_run() {
    let text = "AGENT denied\nBIND ./data /data rw\nDENY read /data/.env\nCMD cat /data/.env\n";
    let world = world(text, "");
    world.write("data/.env", "secret\n");
    world.ends(["run"], 1).err_has(&["Permission denied"]);
    world.ends(["why", "latest"], 0).out_has(&[
        "- DENY read /data/.env  [Agentfile:3:1]",
        "/data/.env: nothing, hidden",
        "- BIND ./data /data rw  [Agentfile:2:1]",
    ]);
    world.write("Agentfile", text.replace(".env", "env"));
    let why = world.ends(["why", "latest"], 0).out_has(&["no longer compiles to the plan of this run"]);
    assert!(!why.out.contains("[Agentfile:3:1]"), "{}", why.out);
}

#[test]
fn why_of_a_refusal_names_the_step_and_the_line() {
    let world = world("AGENT refused\nBIND ./missing /x ro\nBIND ./go.sh /y ro\nCMD ls\n", "");
    world.ends(["run"], 125).err_has(&["Agentfile:2:"]);
}

#[test]
fn what_is_not_there_inside_is_127_with_the_line_of_the_command() {
    let world = world("AGENT missing\nCMD no-such-program\n", "");
    world.ends(["run"], 127).err_has(&["could not be executed", "[Agentfile:2:1]"]);
    world.ends(["why", "latest"], 0).out_has(&["127: the command is not there"]);
}

#[test]
fn an_agentfile_without_a_command_is_refused() {
    World::with("AGENT idle\n").ends(["run"], 125).err_has(&["CMD"]);
}

#[test]
fn a_link_beyond_the_folder_is_refused_because_consent_is_for_what_it_says() {
    let world = world("AGENT links\nBIND ~/notes /out ro\nCMD /bin/sh ./go.sh\n", "cat /out/x\n");
    std::fs::create_dir(world.outside("elsewhere")).unwrap();
    std::os::unix::fs::symlink(world.outside("elsewhere"), world.outside("home/notes")).unwrap();
    world.ends(["allow", "--yes"], 0);
    world.ends(["run"], 125).err_has(&["leads through a symbolic link", "/elsewhere`", "--> Agentfile:2:1"]);
}
