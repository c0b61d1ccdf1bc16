//! One call from a command line, against a broker that says what a test wants.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::{Broker, Folder, finish, program, said};

const TOOL: &str = "/agentrc/tools/x";

fn text(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }] })
}

#[test]
fn arguments_and_words_are_passed_as_they_are() {
    for (link, words, input, wanted) in [
        (TOOL, &[][..], "", json!({ "name": "x", "arguments": {} })),
        (TOOL, &[], "{\"a\":[1,\"é\\n\"]}\n", json!({ "name": "x", "arguments": { "a": [1, "é\n"] } })),
        (
            "/agentrc/mcp/github/search",
            &["--path", "x", "", "--socket", "--help", "a\nb"],
            "{\"a\":1}",
            json!({ "name": "github.search", "arguments": { "a": 1 },
                "_meta": { "io.agentrc/argv": ["--path", "x", "", "--socket", "--help", "a\nb"] } }),
        ),
        (
            "/agentrc/functions/f",
            &["1"],
            "",
            json!({ "name": "function.f", "arguments": {}, "_meta": { "io.agentrc/argv": ["1"] } }),
        ),
    ] {
        let broker = Broker::answering(text("done"));
        let output = broker.ask(link, words, input.as_bytes());
        assert_eq!(said(&output), (0, "done\n".to_owned(), String::new()));
        let heard = broker.heard();
        assert_eq!(heard.len(), 3);
        assert_eq!(heard[2]["params"], wanted);
        assert_ne!(heard[2]["id"], heard[0]["id"]);
    }
}

#[test]
fn the_null_device_gives_no_arguments() {
    let broker = Broker::answering(text("done"));
    let mut command = program(&["--socket", &broker.socket, "--call", TOOL]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(broker.heard()[2]["params"]["arguments"], json!({}));
}

/// script(1) gives the program a terminal whose other end stays open: it must not be waited for.
#[test]
fn a_terminal_is_not_waited_for() {
    let broker = Broker::answering(text("from the broker"));
    let command =
        format!("{} --socket {} --call {TOOL}", env!("CARGO_BIN_EXE_agentrc-inside"), broker.socket);
    // Called by its own name it would be a tool of that name: a shell gives it another.
    let command = format!("exec bash -c 'exec -a mcp {command}'");
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn().unwrap();
    let input = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(input);
    assert!(String::from_utf8_lossy(&output.stdout).contains("from the broker"), "{output:?}");
    assert_eq!(broker.heard()[2]["params"]["arguments"], json!({}));
}

#[test]
fn arguments_that_are_not_one_object_never_reach_the_broker() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
    for (input, wanted) in [
        (&b"[]"[..], "one JSON object"),
        (b"\n", "no JSON"),
        (b"{\"a\":", "no JSON"),
        (b"{} {}", "no JSON"),
        (b"{\"a\":\"\xff\"}", "no JSON"),
        (b"{\"a\":1,\"\\u0061\":2}", "twice"),
        (b"{\"x\":[{\"a\":1,\"a\":1}]}", "twice"),
        (long.as_bytes(), "more than 1048576 bytes"),
    ] {
        // Nobody listens: who asks says that instead.
        let output = finish(program(&["--socket", "/nowhere", "--call", TOOL]).spawn().unwrap(), input);
        let (code, out, complaint) = said(&output);
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(complaint.contains(wanted), "{complaint}");
    }
    // One byte less is taken.
    let broker = Broker::answering(text("done"));
    let most = format!("{{\"a\":\"{}\"}}", "x".repeat((1 << 20) - 8));
    assert_eq!(broker.ask(TOOL, &[], most.as_bytes()).status.code(), Some(0));
    assert_eq!(broker.heard()[2]["params"]["arguments"]["a"].as_str().unwrap().len(), (1 << 20) - 8);
}

#[test]
fn a_word_that_is_not_utf8_is_refused() {
    let mut command = program(&["--socket", "/nowhere", "--call", TOOL]);
    let output = finish(command.arg(OsStr::from_bytes(b"\xff")).spawn().unwrap(), b"");
    let (code, _, complaint) = said(&output);
    assert!(code == 1 && complaint.contains("not UTF-8"), "{complaint}");
}

#[test]
fn results_refusals_and_failures_have_their_outputs_and_codes() {
    let parts = json!([{ "type": "text", "text": "a" }, { "type": "text", "text": "b\n" }]);
    // In the order of the names: whether another is kept depends on what else is built.
    let image = json!([{ "data": "AA==", "mimeType": "image/png", "type": "image" }]);
    for (result, wanted) in [
        (json!({ "content": parts }), (0, "a\nb\n", "")),
        (json!({ "content": parts, "structuredContent": { "k": "v\n" } }), (0, "{\"k\":\"v\\n\"}\n", "")),
        (
            json!({ "content": image }),
            (0, "[{\"data\":\"AA==\",\"mimeType\":\"image/png\",\"type\":\"image\"}]\n", ""),
        ),
        (
            json!({ "content": [{ "type": "text", "text": "no\u{1b}[2J" }], "isError": true }),
            (1, "", "no\\u{1b}[2J\n"),
        ),
        (
            json!({ "content": [{ "type": "text", "text": "never" }], "isError": true, "_meta": { "io.agentrc/refused": true } }),
            (77, "", "never\n"),
        ),
        (json!({}), (1, "", "the broker's answer is no result of a tool\n")),
    ] {
        let (code, out, complaint) = said(&Broker::answering(result).ask(TOOL, &[], b""));
        assert_eq!((code, out.as_str(), complaint.as_str()), wanted);
    }
}

#[test]
fn an_error_of_the_protocol_is_told_without_driving_the_terminal() {
    for (data, code) in
        [(json!(null), 1), (json!({ "refused": true }), 77), (json!({ "refused": "true" }), 1)]
    {
        let broker = Broker::new(move |connection| {
            let call = connection.called();
            let error = json!({ "code": -32602, "message": "no such tool \u{1b}]0;x\u{7}", "data": data });
            connection.say(&json!({ "jsonrpc": "2.0", "id": call["id"], "error": error }).to_string());
        });
        let output = broker.ask(TOOL, &[], b"");
        assert_eq!(said(&output), (code, String::new(), "no such tool \\u{1b}]0;x\\u{7}\n".to_owned()));
    }
}

#[test]
fn a_refused_handshake_is_told() {
    let broker = Broker::new(|connection| {
        let hello = connection.hear().unwrap();
        let error = json!({ "code": -32000, "message": "not you", "data": { "refused": true } });
        connection.say(&json!({ "jsonrpc": "2.0", "id": hello["id"], "error": error }).to_string());
        assert!(connection.hear().is_none(), "nothing is asked after that");
    });
    assert_eq!(said(&broker.ask(TOOL, &[], b"")), (77, String::new(), "not you\n".to_owned()));
    broker.heard();
    for version in [json!("2099-01-01"), json!(7), json!(null)] {
        let broker = Broker::new(move |connection| {
            let hello = connection.hear().unwrap();
            connection.answer(&hello, &json!({ "protocolVersion": version, "capabilities": {} }));
            assert!(connection.hear().is_none());
        });
        let (code, _, complaint) = said(&broker.ask(TOOL, &[], b""));
        assert!(code == 1 && complaint.contains("protocol"), "{complaint}");
        broker.heard();
    }
}

#[test]
fn what_else_the_broker_says_is_passed_over_or_answered() {
    let broker = Broker::new(|connection| {
        let call = connection.called();
        let id = &call["id"];
        for other in [
            json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": id } }),
            json!({ "jsonrpc": "2.0", "id": 99, "result": text("another's") }),
            json!({ "jsonrpc": "2.0", "id": id.to_string(), "result": text("a text is no number") }),
            json!({ "jsonrpc": "2.0", "id": id, "method": "sampling/createMessage", "params": {} }),
            json!({ "jsonrpc": "2.0", "id": "p", "method": "ping" }),
        ] {
            connection.say(&other.to_string());
        }
        let refusal = connection.hear().unwrap();
        assert_eq!((&refusal["id"], &refusal["error"]["code"]), (id, &json!(-32601)));
        assert_eq!(connection.hear().unwrap(), json!({ "jsonrpc": "2.0", "id": "p", "result": {} }));
        connection.answer(&call, &text("ours"));
    });
    assert_eq!(said(&broker.ask(TOOL, &[], b"")), (0, "ours\n".to_owned(), String::new()));
    broker.heard();
}

#[test]
fn a_large_answer_arrives_whole_and_one_without_end_is_given_up() {
    let big = "y".repeat(20 << 20);
    let output = Broker::answering(text(&big)).ask(TOOL, &[], b"");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.len() == big.len() + 1 && output.stdout.starts_with(b"yyyy"));
    let broker = Broker::new(|connection| {
        connection.called();
        use std::io::Write;
        let piece = vec![b'z'; 1 << 20];
        // Until it is given up: it would go on for ever.
        while connection.stream.write_all(&piece).is_ok() {}
    });
    let (code, _, complaint) = said(&broker.ask(TOOL, &[], b""));
    assert!(code == 1 && complaint.contains("more in one message than is taken"), "{complaint}");
    broker.heard();
}

#[test]
fn half_an_answer_or_none_is_a_failure() {
    for (line, wanted) in [
        ("", "closed the connection"),
        ("{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"content\":[]}}", "closed the connection"),
        ("nonsense\n", "no JSON"),
        ("[]\n", "no message"),
        ("{\"jsonrpc\":\"2.0\",\"id\":2}\n", "neither a result nor an error"),
    ] {
        let broker = Broker::new(move |connection| {
            use std::io::Write;
            assert_eq!(connection.called()["id"], 2);
            connection.stream.write_all(line.as_bytes()).unwrap();
        });
        let (code, out, complaint) = said(&broker.ask(TOOL, &[], b""));
        assert_eq!((code, out.as_str()), (1, ""), "{line}");
        assert!(complaint.contains(wanted), "{line}: {complaint}");
    }
}

#[test]
fn help_is_what_lies_beside_the_link() {
    let folder = Folder::new();
    folder.file("x.help", "x: does\u{1b}[2J\n");
    let link = folder.at("x");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_agentrc-inside"), &link).unwrap();
    let ask = |name: &str, word: &str| {
        let mut command = Command::new(&link);
        command.arg0(name).arg(word).stdin(Stdio::null());
        said(&command.output().unwrap())
    };
    assert_eq!(ask(&link, "--help"), (0, "x: does\\u{1b}[2J\n".to_owned(), String::new()));
    // Found in PATH: a shell gives the name alone.
    assert_eq!(ask("x", "--help").0, 0);
    let (code, _, complaint) = ask(&folder.at("y"), "--help");
    assert!(code == 1 && complaint.contains("there is no tool `y`"), "{complaint}");
    // A link is a tool whatever the words are, those of the program itself among them.
    let (code, out, complaint) = ask(&link, "--builtin");
    assert!(code == 1 && out.is_empty() && complaint.contains("`/agentrc/broker.sock`"), "{complaint}");
}
