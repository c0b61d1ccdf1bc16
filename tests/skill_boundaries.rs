//! Skills that say what their scripts may touch: each call is a run of its own, of less than the agent has.

#![allow(clippy::expect_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use agentrc_test_support::outcome::{prompt, within};
use agentrc_test_support::{Lab, Outcome, World, as_each, audit, outside};
use rustix::process::Signal;
use serde_json::Value;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
const CALL: &str = "call() { /agentrc/bin/mcp call skill.probe scripts/run.sh </dev/null; echo \"$?\"; }\n";
const SKILL: &str = "SKILL ./skills/probe\nALLOW invoke probe";

/// Makes the skill `probe`, whose script is `script` and may touch what `lines` say.
fn skill(lab: &Lab, lines: &str, script: &str) {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    let front = format!(
        "---\nname: probe\ndescription: Probes.\nmetadata:\n  agentrc-boundaries: |\n{lines}---\n# Probe\n"
    );
    lab.file(lab.project("skills/probe/SKILL.md"), front);
    lab.script(lab.project("skills/probe/scripts/run.sh"), &format!("#!/bin/sh\n{script}\n"));
}

fn agentfile(lab: &Lab, lines: &str, go: &str) -> String {
    lab.script(lab.project("go.sh"), &format!("{CALL}{go}\n"));
    format!("AGENT caller\n{SKILL}\n{lines}\nCMD /bin/sh ./go.sh\n")
}

fn run(lab: &Lab, lines: &str, go: &str) -> Outcome {
    lab.run(&agentfile(lab, lines, go))
}

fn text<'a>(event: &'a Value, key: &str) -> &'a str {
    event.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// What the log of a run says, line for line.
fn log_of(run: &Path) -> String {
    fs::read_to_string(run.join("audit.jsonl")).expect("a log")
}

#[test]
fn a_script_has_the_paths_that_its_skill_names_and_nothing_else_of_the_agents() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("data/a"), "of data\n");
        lab.file(lab.project("data/part/b"), "of a part\n");
        lab.file(lab.project("other/c"), "of other\n");
        lab.directory(lab.project("out"));
        lab.directory(lab.project("more"));
        let script = "cat /data/part/b /data/a /other/c /tmp/of-agent /agentrc/src/go.sh\necho x >/data/part/made\necho y >/out/made\n\
            echo z >/more/made\n/agentrc/bin/mcp call skill.probe scripts/run.sh </dev/null\ncat; pwd; touch made 2>/dev/null || echo no";
        let lines = "BIND ./data /data rw\nBIND ./other /other ro\nBIND ./out /out rw\nBIND ./more /more rw";
        let go = "echo mine >/tmp/of-agent\ncat /data/a /other/c\ncall\ncat /out/made";
        skill(lab, "MOUNT /data/part ro\nMOUNT /out rw", script);
        let outcome = run(lab, lines, go);
        assert_eq!(
            outcome.out(),
            "of data\nof other\nof a part\n/agentrc/skills/probe\nno\n0\ny\n",
            "as {}: {}",
            lab.who.name,
            outcome.stderr
        );
        assert!(!lab.project("data/part/made").exists() && !lab.project("more/made").exists());
        assert_eq!(fs::read_to_string(lab.project("out/made")).expect("the host's file"), "y\n");
        // On record there, and in a log of its own; that of the agent has its plan.
        assert_eq!(outcome.events_named("broker.call").len(), 1);
        let armed = outcome.events.first().map(ToString::to_string).unwrap_or_default();
        let [own] = audit::serving(&lab.state()).try_into().expect("one run of its own");
        let record: Value =
            serde_json::from_slice(&fs::read(own.join("run.json")).expect("a record")).expect("JSON");
        assert_eq!((text(&record, "serves"), text(&record, "skill")), (lab.last_run().as_str(), "probe"));
        assert!(
            armed.contains(&format!("plan sha256:{} [Agentfile:2:1]", text(&record, "plan_sha256"))),
            "{armed}"
        );
        assert!(log_of(&own).contains("run.end"), "{}", log_of(&own));
        let runs = lab.finish_command(lab.agentrc(["runs"])).out();
        assert!(runs.contains(&format!("the skill probe of {}", lab.last_run())), "{runs}");
        // Control: one that says nothing has the agent's.
        lab.file(lab.project("skills/probe/SKILL.md"), "---\nname: probe\ndescription: Probes.\n---\n");
        let outcome = run(lab, lines, go);
        assert!(
            outcome.out().contains("of a part\nof data\nof other\nmine\n"),
            "as {}: {}",
            lab.who.name,
            outcome.out()
        );
        assert!(lab.project("data/part/made").exists() && lab.project("more/made").exists());
    });
}

#[test]
fn the_table_beside_the_agentfile_has_the_last_word() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("data/a"), "of data\n");
        lab.file(lab.project("other/b"), "of other\n");
        skill(lab, "MOUNT /data ro\nMOUNT /other ro\nMOUNT /none ro", "cat /data/a /other/b; exit 0");
        let lines = "BIND ./data /data ro\nBIND ./other /other ro";
        run(lab, lines, "call").expect_refusal(&["E098", "/none"]);
        lab.file(lab.project("skills.json"), r#"{"skills": {"probe": {"boundaries": ["MOUNT /other ro"]}}}"#);
        let outcome = run(lab, lines, "call");
        assert_eq!(outcome.out(), "of other\n0\n", "as {}: {}", lab.who.name, outcome.stderr);
        // One that leads nowhere is not one that is not there.
        fs::rename(lab.project("skills.json"), lab.project("elsewhere.json")).expect("another name");
        symlink("none.json", lab.project("skills.json")).expect("a link");
        run(lab, lines, "call").expect_refusal(&["E049", "skills.json"]);
    });
}

#[test]
fn what_is_hidden_from_the_agent_is_hidden_from_its_skill() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("data/open"), "open\n");
        lab.file(lab.project("data/deep/secret"), &lab.secret);
        skill(lab, "MOUNT /data ro", "cat /data/open\ncat /data/deep/secret || echo hidden");
        let outcome = run(lab, "BIND ./data /data ro\nDENY read /data/deep/secret", "call");
        assert_eq!(outcome.out(), "open\nhidden\n0\n", "as {}: {}", lab.who.name, outcome.stderr);
        assert!(!lab.leaked(&outcome), "as {}", lab.who.name);
        // Where the agent may write, it could move it to where nothing hides it.
        let outcome = run(lab, "BIND ./data /data rw\nDENY read /data/deep/secret", "call");
        outcome.expect_refusal(&["E098", "skills/probe/SKILL.md:6:5", "Agentfile:5:1"]);
    });
}

#[test]
fn a_script_reaches_the_destinations_that_its_skill_names_and_no_other_of_the_agents() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        lab.file(
            lab.path("home/.config/agentrc/agentrc.toml"),
            "[network]\nprivate = [\"private.example.com\"]\n",
        );
        let ask = "curl -sS http://api.example.com/WHO; curl -sS -X POST http://api.example.com/WHO; curl -sS http://private.example.com/WHO; curl -sS http://other.example.com/WHO";
        skill(
            lab,
            "URL http://api.example.com\nURL http://private.example.com",
            &format!("{}\nexit 0", ask.replace("WHO", "skill")),
        );
        let lines = format!(
            "{SKILL}\nURL http://api.example.com\nURL http://private.example.com\nURL http://other.example.com\nPOLICY\n\
             forbid(principal, action == AgentRC::Action::\"network.egress\", resource in AgentRC::Host::\"api.example.com\") when {{ context.method == \"POST\" }};\nEND"
        );
        let outcome = world.run(&lines, &format!("{}\n{CALL}call", ask.replace("WHO", "agent")));
        let of_agent = [
            "GET http://api.example.com/agent",
            "GET http://private.example.com/agent",
            "GET http://other.example.com/agent",
        ];
        let of_skill = ["GET http://api.example.com/skill", "GET http://private.example.com/skill"];
        let all: Vec<_> = of_agent.into_iter().chain(of_skill).collect();
        assert_eq!(world.asked(), all, "as {}: {}", lab.who.name, outcome.out());
        assert_eq!(world.arrivals().len(), all.len(), "as {}", lab.who.name);
        let [own] = audit::serving(&lab.state()).try_into().expect("one run of its own");
        let said = log_of(&own);
        assert!(
            said.contains("POST http://api.example.com/skill") && said.contains("resolve other.example.com"),
            "{said}"
        );
        // One that names none has none.
        lab.file(
            lab.project("skills/probe/SKILL.md"),
            "---\nname: probe\ndescription: Probes.\nmetadata:\n  agentrc-boundaries: |\n---\n",
        );
        let before = world.arrivals().len();
        let outcome = world.run(&lines, &format!("{CALL}call"));
        assert_eq!(world.arrivals().len(), before, "as {}: {}", lab.who.name, outcome.out());
    });
}

#[test]
fn a_skill_that_asks_for_more_than_its_agent_has_is_an_error_with_both_places() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("data"));
        skill(lab, "MOUNT /data rw\nMOUNT /copy ro\nURL http://b.example", "true");
        let outcome = run(lab, "BIND ./data /data ro\nBIND ./data /copy\nURL http://a.example", "echo ran");
        outcome.expect_refusal(&[
            "E098",
            "Agentfile:2:1",
            "skills/probe/SKILL.md:6:5",
            "(Agentfile:4:1)",
            "skills/probe/SKILL.md:7:5",
            "(Agentfile:5:1)",
            "skills/probe/SKILL.md:8:5",
        ]);
        skill(lab, "BIND ./data /data ro\nALLOW invoke utcp:shell", "true");
        run(lab, "BIND ./data /data ro", "echo ran").expect_refusal(&[
            "E094",
            "SKILL.md:6:5",
            "SKILL.md:7:5",
        ]);
        assert!(!outcome.out().contains("ran"));
    });
}

#[test]
fn exit_codes_and_output_are_those_of_any_call() {
    as_each(AGENTRC, |lab| {
        let script = "echo words >&2\ncase $1 in json) echo '{\"a\": 1}';; kill) kill -9 $$;; flood) exec cat /dev/zero;; *) exit \"$1\";; esac";
        skill(lab, "LIMIT open_files 64", script);
        let calls: String = ["json", "3", "77", "kill", "flood"]
            .map(|word| format!("echo '{{\"script\": \"scripts/run.sh\", \"arguments\": [\"{word}\"]}}' | /agentrc/bin/mcp call skill.probe; echo $?\n"))
            .concat();
        let outcome = run(lab, "LIMIT max_output 4KiB\nLIMIT tool_calls 5", &format!("{calls}call"));
        assert_eq!(
            outcome.out(),
            "{\"a\":1}\n0\n1\n77\n1\n1\n77\n",
            "as {}: {}",
            lab.who.name,
            outcome.stderr
        );
        assert!(
            outcome.stderr.contains("signal 9") && outcome.stderr.contains("4096 bytes"),
            "{}",
            outcome.stderr
        );
        assert_eq!(audit::serving(&lab.state()).len(), 5, "as {}", lab.who.name);
    });
}

/// A script of which somebody outside sees whether it lives, and what it started.
const LIVES: &str = "sh -c 'trap \"\" TERM INT; exec -a x sleep 4711' & setsid sh -c 'while :; do echo alive >>/work/alive; sleep 0.02; done' &\n\
    trap '' TERM INT QUIT\nwhile :; do sleep 1; done";

/// Whether it writes within so many milliseconds.
fn writes(lab: &Lab, time: u64) -> bool {
    let size = || fs::metadata(lab.project("work/alive")).map_or(0, |found| found.len());
    let before = size();
    within(Duration::from_millis(time), || size() > before)
}

/// Whether it comes to an end: what is killed may write once more.
fn ends(lab: &Lab) -> bool {
    (0..10).any(|_| !writes(lab, 500))
}

/// Whether a call of a skill's is a run now, of this lab's.
fn serving(lab: &Lab) -> bool {
    let folder = lab.project("").to_string_lossy().into_owned();
    outside::all()
        .into_iter()
        .map(outside::command)
        .any(|one| one.contains("serve-skill") && one.contains(&folder))
}

#[test]
fn a_caller_that_goes_away_takes_the_whole_tree_of_the_script_with_it() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("work"));
        skill(lab, "MOUNT /work rw", LIVES);
        let go = "/agentrc/bin/mcp call skill.probe scripts/run.sh </dev/null &\nwhile [ ! -s /work/alive ]; do sleep 0.01; done\necho lives\n\
            read -r go\nkill -9 $!\necho killed\nread -r go";
        let mut child = lab.start(&agentfile(lab, "BIND ./work /work rw", go));
        child.wait_for("lives");
        assert!(writes(lab, 5000) && serving(lab), "control");
        child.send("go\n");
        child.wait_for("killed");
        assert!(within(Duration::from_secs(20), || !serving(lab)), "as {}: its run goes on", lab.who.name);
        assert!(ends(lab), "as {}: what it started lives", lab.who.name);
        assert!(!child.has_ended(), "the agent does");
        child.send("go\n");
        let outcome = child.finish();
        outcome.expect_code(0);
        let cancelled =
            outcome.events_named("broker.result").iter().any(|event| text(event, "outcome") == "cancelled");
        assert!(cancelled, "as {}", lab.who.name);
        // Killed by its supervisor, or by a signal before that: in order either way.
        let [own] = audit::serving(&lab.state()).try_into().expect("one run of its own");
        assert!(
            log_of(&own).contains("\"final\":true"),
            "as {}: its log is not whole: {}",
            lab.who.name,
            log_of(&own)
        );
    });
}

#[test]
fn a_script_ends_with_the_run_however_that_ends() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("work"));
        skill(lab, "MOUNT /work rw", LIVES);
        let go = "/agentrc/bin/mcp call skill.probe scripts/run.sh </dev/null &\nwhile [ ! -s /work/alive ]; do sleep 0.01; done\necho lives\nread -r go";
        for signal in [None, Some(Signal::KILL)] {
            prompt(Duration::from_secs(1), || {
                let _ = fs::remove_file(lab.project("work/alive"));
                let mut child = lab.start(&agentfile(lab, "BIND ./work /work rw", go));
                child.wait_for("lives");
                assert!(writes(lab, 5000) && serving(lab), "control");
                if let Some(signal) = signal {
                    child.signal(signal);
                    lab.supervisor_was_killed();
                } else {
                    child.send("go\n");
                }
                drop(child.finish());
                let ended = Instant::now();
                let gone = within(Duration::from_secs(20), || !serving(lab));
                let took = ended.elapsed();
                assert!(gone && ends(lab), "as {}: {signal:?}", lab.who.name);
                took
            });
        }
    });
}

#[test]
fn a_skill_that_changes_after_the_run_began_or_was_consented_to_is_not_executed() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("data/a"), "of data\n");
        lab.file(lab.project("other/b"), "of other\n");
        lab.file(lab.outside("c"), "beyond\n");
        let script = "cat /data/a /other/b 2>/dev/null";
        skill(lab, "MOUNT /data ro", &format!("{script}\nexit 0"));
        let lines =
            format!("BIND ./data /data ro\nBIND ./other /other ro\nBIND {} /c ro", lab.outside("").display());
        let text = agentfile(lab, &lines, "call\necho ready\nread -r go\ncall\nread -r go\ncall");
        let path = lab.agentfile(&text);
        lab.finish_command(lab.agentrc(["allow".as_ref(), "--yes".as_ref(), path.as_os_str()]));
        let mut child = lab.start(&text);
        child.wait_for("ready");
        skill(lab, "MOUNT /data ro\nMOUNT /other ro", &format!("{script}\nexit 0"));
        child.send("go\n");
        child.wait_for("1\n");
        skill(lab, "MOUNT /nowhere ro", &format!("{script}\nexit 0"));
        child.send("go\n");
        let outcome = child.finish();
        assert_eq!(outcome.out(), "of data\n0\nready\n1\n1\n", "as {}: {}", lab.who.name, outcome.stderr);
        assert_eq!(
            outcome.stderr.matches("changed after the run began").count(),
            2,
            "as {}: {}",
            lab.who.name,
            outcome.stderr
        );
        assert!(!tells_of_the_host(lab, &outcome), "as {}: {}", lab.who.name, outcome.stderr);
        // Another plan is another consent.
        skill(lab, "MOUNT /data ro\nMOUNT /other ro", &format!("{script}\nexit 0"));
        lab.run(&text).expect_refusal(&["consent"]);
    });
}

#[test]
fn a_link_that_the_agent_puts_in_the_place_of_a_path_leads_nowhere() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("work/part/a"), "of the part\n");
        lab.file(lab.project("secret/a"), &lab.secret);
        skill(lab, "MOUNT /work/part ro", "cat /work/part/a");
        let go = "call\nmv /work/part /work/old\nln -s ../secret /work/part\ncall";
        let outcome = run(lab, "BIND ./work /work rw", go);
        assert_eq!(outcome.out(), "of the part\n0\n1\n", "as {}: {}", lab.who.name, outcome.stderr);
        // The agent is told that much; where what leads is for whoever runs it.
        assert!(
            outcome.stderr.contains("its sandbox could not be made")
                && outcome.stderr.contains("resolve-source")
                && !tells_of_the_host(lab, &outcome),
            "as {}: {}",
            lab.who.name,
            outcome.stderr
        );
        let logs: String = audit::serving(&lab.state()).iter().map(|run| log_of(run)).collect();
        let whole = lab.project("secret").canonicalize().expect("the secret's folder");
        assert!(
            logs.contains("through a symbolic link") && logs.contains(&*whole.to_string_lossy()),
            "as {}: {logs}",
            lab.who.name
        );
        assert!(!lab.leaked(&outcome), "as {}", lab.who.name);
    });
}

#[test]
fn a_call_begins_when_one_that_was_cancelled_has_ended() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("work"));
        skill(
            lab,
            "MOUNT /work rw",
            "exec 9>/work/lock\nflock -n 9 || { echo two at a time; exit 3; }\n[ ! -e /work/stay ] || { echo >/work/stays; sleep 60; }",
        );
        let go = "for round in 1 2 3 4 5; do\necho >/work/stay; rm -f /work/stays\n/agentrc/bin/mcp call skill.probe scripts/run.sh </dev/null &\n\
            while [ ! -s /work/stays ]; do sleep 0.01; done\nrm /work/stay; kill -9 $!\ncall\ndone";
        let outcome = run(lab, "BIND ./work /work rw", go);
        assert_eq!(outcome.out(), "\n0\n".repeat(5), "as {}: {}", lab.who.name, outcome.stderr);
        let cancelled =
            |event: &&Value| text(event, "event") == "broker.result" && text(event, "outcome") == "cancelled";
        assert_eq!(outcome.events.iter().filter(cancelled).count(), 5, "as {}", lab.who.name);
    });
}

/// Whether what the agent was told names a path of the host's.
fn tells_of_the_host(lab: &Lab, outcome: &Outcome) -> bool {
    let project = lab.project("").canonicalize().expect("the project");
    let folder = project.parent().expect("a lab").to_string_lossy().into_owned();
    outcome.out().contains(&folder) || outcome.stderr.contains(&folder)
}
