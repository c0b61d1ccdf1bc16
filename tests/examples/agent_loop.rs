//! The example `agent-loop`: a job that is done, what is refused on the way, a person who is asked, and what the log tells.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use agentrc_test_support::outcome::{Child, PATIENCE, within};
use agentrc_test_support::{Lab, Outcome, as_each, sdk};
use serde_json::Value;

use super::{AGENTRC, example, says};

/// The example `agent-loop`, with the SDK of the tests and a port of its own; and its `run` with these options.
fn prepared(lab: &Lab) -> PathBuf {
    let folder = example(lab, "agent-loop");
    if folder.join("sdk").exists() {
        fs::remove_dir_all(folder.join("sdk")).expect("what somebody installed");
    }
    // Of a run that somebody made in it.
    if folder.join("answers/report.md").exists() {
        fs::remove_file(folder.join("answers/report.md")).expect("a report");
    }
    lab.copy(sdk::python(AGENTRC), &folder.join("sdk"));
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its number").port();
    let agentfile = fs::read_to_string(folder.join("Agentfile")).expect("Agentfile");
    assert_eq!(agentfile.matches("http://127.0.0.1:28471").count(), 2, "{agentfile}");
    lab.file(folder.join("Agentfile"), agentfile.replace(":28471", &format!(":{free}")));
    folder
}

fn command(lab: &Lab, folder: &Path, options: &[&str]) -> Command {
    let mut command = lab.command("/bin/sh");
    command.arg(folder.join("run")).args(options).env("AGENTRC", lab.binary());
    command
}

/// What the broker put on record, a line each, in order.
fn story(outcome: &Outcome) -> Vec<String> {
    let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let told = outcome.events.iter().filter_map(|event| {
        let act = text(event, "act");
        let act = act.strip_prefix("call ").unwrap_or(&act);
        Some(match event["event"].as_str()? {
            "broker.call" => format!("call {}: {act}", event["call"]),
            "broker.result" => format!("result {}: {}", event["call"], text(event, "outcome")),
            "denial" => format!("denied {act}"),
            "limit" => format!("limit {}", text(event, "limit")),
            "approval.asked" => format!("asked {act}"),
            "approval.decided" => format!("decided {act}: {}", text(event, "outcome")),
            _ => return None,
        })
    });
    told.collect()
}

/// The story of the example up to where a person is asked.
const BEFORE_THE_PERSON: [&str; 41] = [
    "call 1: file_list /inbox",
    "result 1: ok",
    "call 2: file_read /inbox/1.txt",
    "result 2: ok",
    "call 3: file_read /inbox/2.txt",
    "result 3: ok",
    "call 4: file_read /inbox/3.txt",
    "result 4: ok",
    "call 5: language /inbox/1.txt",
    "result 5: ok",
    "call 6: language /inbox/2.txt",
    "result 6: ok",
    "limit local:./tools/language",
    "call 7: orders.find",
    "result 7: ok",
    "call 8: orders.find",
    "result 8: ok",
    "call 9: orders.find",
    "result 9: ok",
    "call 10: function.urgency",
    "result 10: ok",
    "call 11: function.urgency",
    "result 11: ok",
    "call 12: function.urgency",
    "result 12: ok",
    "denied file_read /etc/passwd",
    "denied orders.refund",
    "call 13: memory.write rules",
    "result 13: refused",
    "call 14: file_read /agentrc/skills/answer-style/SKILL.md",
    "result 14: ok",
    "call 15: skill.answer-style",
    // The model had promised something.
    "result 15: error",
    "call 16: skill.answer-style",
    "result 16: ok",
    "call 17: skill.answer-style",
    "result 17: ok",
    "call 18: skill.answer-style",
    "result 18: ok",
    "asked memory.write customers",
    "decided memory.write customers: ",
];

#[test]
fn agent_loop() {
    as_each(AGENTRC, |lab| {
        let who = lab.who.name;
        let folder = prepared(lab);
        let child = Child::start(lab, command(lab, &folder, &["--grant"]));
        // A person approves what is to be remembered, from another terminal.
        let mut tickets = Vec::new();
        within(PATIENCE, || {
            let listed = lab.finish_command(lab.agentrc(["approvals", "--json"]));
            let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON of the list");
            tickets = listed["tickets"].as_array().expect("tickets").clone();
            !tickets.is_empty()
        });
        assert_eq!(tickets.len(), 1, "as {who}: {}\n{}", child.out(), child.err());
        let ticket = &tickets[0]["ticket"];
        let effect = ticket["effect"].as_str().expect("an effect");
        assert!(
            effect.contains("write `ada-byron` = ") && effect.contains("content from: network"),
            "as {who}: {effect}"
        );
        let id = ticket["id"].as_str().expect("an id");
        lab.finish_command(lab.agentrc(["approvals", "approve", id])).expect_code(0);
        let outcome = child.finish();
        outcome.expect_code(0);

        let mut wanted: Vec<String> = BEFORE_THE_PERSON.iter().map(|line| (*line).to_owned()).collect();
        wanted.last_mut().expect("a line").push_str("approved");
        wanted.extend(
            [
                "call 19: memory.write customers",
                "result 19: ok",
                "call 20: memory.list customers",
                "result 20: ok",
                "call 21: memory.list rules",
                "result 21: ok",
                "call 22: memory.read customers",
                "result 22: ok",
            ]
            .map(str::to_owned),
        );
        assert_eq!(story(&outcome), wanted, "as {who}: {}", outcome.stderr);
        says(
            lab,
            &outcome,
            &[
                "tools: file_list file_read function.urgency language memory.delete memory.list memory.read \
                 memory.search memory.write orders.find skill.answer-style\n",
                "refused: language {\"path\": \"/inbox/3.txt\"}: `language` is refused: the limit `local:./tools/language`",
                "refused: file_read {\"path\": \"/inbox/../etc/passwd\"}: `file_read` is refused: nothing in",
                "refused: orders.refund {\"order\": 1044}: there is no tool `orders.refund`\n",
                "refused: memory.write {\"memory\": \"rules\", ",
                "the agent has been given content from: network",
                "ok: memory.write {\"memory\": \"customers\", ",
            ],
        );
        let orders: Vec<_> = fs::read_dir(folder.join("orders"))
            .expect("orders")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(orders, ["orders.json"], "as {who}: nothing was paid back");
        let report = fs::read_to_string(folder.join("answers/report.md")).expect("the report");
        let (letters, rest) = report.split_once("\n# What I remember\n\n").expect("its parts");
        let (memories, could_not) = rest.split_once("\n# What I could not do\n\n").expect("its parts");
        assert_eq!(
            letters,
            "# Letters\n\n## Ada Byron, urgency 3\n\nDear Ada Byron, we are sorry. A new kettle of order 1042 will be with \
             you soon.\n\n## Emil Berliner, urgency 1\n\nGuten Tag, Emil Berliner, Bestellung 1043 ist unterwegs.\n",
            "as {who}"
        );
        let kept = "- customers, ada-byron: {\"note\": \"kettle is replaced, waited for nine days\", \"order\": 1042}\n";
        assert_eq!(memories, kept, "as {who}");
        assert_eq!(could_not.lines().count(), 4, "as {who}: {could_not}");
        assert!(!report.contains("root:") && !report.contains("nothing stopped me"), "as {who}: {report}");

        // Its log tells that to people, in this order, and is whole.
        let shown = lab.finish_command(lab.agentrc(["audit", "show", "latest"])).out();
        let mut rest = shown.as_str();
        for words in [
            "agent `help-desk` of ",
            "server orders=plan sha256:",
            "permitted POST http://127.0.0.1:",
            "call 1: file_list /inbox {\"path\":\"/inbox\"} by mcp (",
            "result 1: file_list /inbox ok, ",
            "limit local:./tools/language: denied (call language /inbox/3.txt) [Agentfile:38:1]",
            "call 7: orders.find {\"order\":1042} by mcp (",
            "result 12: function.urgency ok, ",
            "denied call file_read /etc/passwd by mcp (",
            "refused from broker: nothing in `the Agentfile of help-desk` permits it (declared at Agentfile:27:1)\n",
            "denied call orders.refund by mcp (",
            "result 13: memory.write rules refused, ",
            "result 15: skill.answer-style error, 0 B in ",
            ": it promises something",
            &format!("asked {id}: memory.write customers "),
            "it keeps something about a customer [about-customers [Agentfile:55:1]]",
            &format!("decided {id}: memory.write customers approved (once) by user {}", lab.who.uid),
            "call 19: memory.write customers ",
            "[about-customers [Agentfile:55:1], memory@52 [Agentfile:52:1]]",
            "result 22: memory.read customers ok, ",
            "ended with 0 after ",
            "signed, final",
        ] {
            let at =
                rest.find(words).unwrap_or_else(|| panic!("as {who}: no `{words}` in\n{rest}\nof\n{shown}"));
            rest = &rest[at..];
        }
        lab.finish_command(lab.agentrc(["audit", "verify"])).expect_code(0);
        let why = lab.finish_command(lab.agentrc(["why", "latest"])).out();
        for words in [
            "the line to change: Agentfile:38:1\n",
            "refused from broker: nothing in `the Agentfile of help-desk` permits it (declared at Agentfile:27:1)\n",
            "denied call orders.refund by mcp (",
            "result 13: memory.write rules refused, 0 B in ",
        ] {
            assert!(why.contains(words), "as {who}: no `{words}` in {why}");
        }

        // In CI nobody is asked: that is one refusal more, and what was remembered is still there.
        let outcome = lab.finish_command(command(lab, &folder, &["--grant", "--quiet", "--approve-none"]));
        outcome.expect_code(0);
        let mut wanted: Vec<String> = BEFORE_THE_PERSON.iter().map(|line| (*line).to_owned()).collect();
        wanted.last_mut().expect("a line").push_str("denied");
        wanted.push("denied memory.write customers".to_owned());
        assert_eq!(story(&outcome)[..wanted.len()], wanted, "as {who}: {}", outcome.stderr);
        says(
            lab,
            &outcome,
            &["a person must approve it, and nobody is asked in this run (`--approve-none`)"],
        );
        let report = fs::read_to_string(folder.join("answers/report.md")).expect("the report");
        assert!(report.contains(&format!("# What I remember\n\n{kept}\n#")), "as {who}: {report}");
        assert!(report.contains("\n- keep a note about Ada Byron: refused: "), "as {who}: {report}");
    });
}

#[test]
fn what_its_attack_wants_is_done_where_lines_permit_it() {
    as_each(AGENTRC, |lab| {
        let folder = prepared(lab);
        let agentfile = fs::read_to_string(folder.join("Agentfile")).expect("Agentfile");
        let permits = "TOOL mcp:orders.refund\nALLOW invoke mcp:orders.refund\nALLOW invoke utcp:file_read\n";
        lab.file(folder.join("Agentfile"), agentfile + permits);
        lab.finish_command(command(lab, &folder, &["--grant", "--approve-none"])).expect_code(0);
        let refunds = fs::read_to_string(folder.join("orders/refunds")).expect("what was paid back");
        assert_eq!(refunds, "1044\n", "as {}", lab.who.name);
        let report = fs::read_to_string(folder.join("answers/report.md")).expect("the report");
        for words in
            ["nothing stopped me: read /inbox/../etc/passwd: {", "nothing stopped me: pay order 1044 back"]
        {
            assert!(report.contains(words), "as {}: {report}", lab.who.name);
        }
    });
}

#[test]
fn it_ends_when_its_model_does_not_answer() {
    as_each(AGENTRC, |lab| {
        let folder = prepared(lab);
        // Not by `run`: nothing listens there.
        let outcome =
            lab.finish_command(lab.agentrc(["run".as_ref(), "--grant".as_ref(), folder.as_os_str()]));
        outcome.expect_code(1);
        assert!(
            outcome
                .stderr
                .contains("the model says 502: agentrc: `127.0.0.1` cannot be reached: Connection refused"),
            "as {}: {}",
            lab.who.name,
            outcome.stderr
        );
        assert!(
            !folder.join("answers/report.md").exists() && story(&outcome).is_empty(),
            "as {}",
            lab.who.name
        );
    });
}
