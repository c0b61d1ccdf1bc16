//! Scripted servers, and what becomes of what they answer.

use std::collections::VecDeque;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::LocalSet;

use super::*;

/// A server that answers each request with the next of its answers, and keeps what it was sent.
#[derive(Clone, Default)]
struct Script {
    answers: Rc<RefCell<VecDeque<String>>>,
    heard: Rc<RefCell<Vec<String>>>,
}

impl Way for Script {
    async fn connect(&self, _: &Place) -> Result<OwnedFd, String> {
        let answer = self.answers.borrow_mut().pop_front().ok_or("no connection: refused by policy")?;
        let (ours, theirs) = UnixStream::pair().unwrap();
        let heard = Rc::clone(&self.heard);
        tokio::task::spawn_local(converse(theirs, answer, heard));
        Ok(ours.into_std().unwrap().into())
    }
}

async fn converse(mut stream: UnixStream, answer: String, heard: Rc<RefCell<Vec<String>>>) {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() >= length.parse().unwrap() {
                heard.borrow_mut().push(text.clone());
                break;
            }
        }
        if stream.read_buf(&mut read).await.unwrap() == 0 {
            return;
        }
    }
    // The client may leave before the end.
    drop(stream.write_all(answer.as_bytes()).await);
    // Until the client leaves.
    drop(stream.read_buf(&mut read).await);
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

fn json_of(body: &Value) -> String {
    answer("200 OK", "content-type: application/json; charset=utf-8\r\n", &body.to_string())
}

fn greeting(headers: &str) -> String {
    let info = json!({ "name": "s", "version": "1" });
    let result = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": info });
    let body = json!({ "jsonrpc": "2.0", "id": 0, "result": result }).to_string();
    answer("200 OK", &format!("content-type: application/json\r\n{headers}"), &body)
}

fn message(value: Value) -> TxJsonRpcMessage<RoleClient> {
    serde_json::from_value(value).unwrap()
}

fn initialize() -> TxJsonRpcMessage<RoleClient> {
    let info = json!({ "name": "c", "version": "1" });
    let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": info });
    message(json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }))
}

fn list(id: u64) -> TxJsonRpcMessage<RoleClient> {
    message(json!({ "jsonrpc": "2.0", "id": id, "method": "tools/list" }))
}

fn listed(id: u64) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": { "tools": [] } })
}

fn run(answers: Vec<String>, test: impl AsyncFnOnce(&mut Posts, Script)) {
    let script = Script::default();
    script.answers.borrow_mut().extend(answers);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let place = Place {
            uri: "http://tools.example:8080/mcp?a=1".parse().unwrap(),
            scheme: "http".to_owned(),
            host: "tools.example".to_owned(),
            port: 8080,
            authorization: Some(HeaderValue::from_static("Bearer PLACEHOLDER")),
        };
        let mut posts = Posts::new(script.clone(), place);
        tokio::time::timeout(Duration::from_secs(20), test(&mut posts, script)).await.unwrap();
    });
}

async fn received(posts: &mut Posts) -> Value {
    serde_json::to_value(posts.receive().await.unwrap()).unwrap()
}

/// What the client is told when the server answers its request 5 with `answer`.
fn complaint(answer: String) -> String {
    let mut said = String::new();
    run(vec![answer], async |posts: &mut Posts, _| {
        posts.send(list(5)).await.unwrap();
        let error = received(posts).await;
        assert_eq!(error["id"], 5);
        said = error["error"]["message"].as_str().unwrap().to_owned();
    });
    said
}

#[test]
fn a_session_and_its_version_go_with_everything_after_the_greeting() {
    let accepted = answer("202 Accepted", "", "");
    let answers = vec![greeting("mcp-session-id: abc-1\r\n"), accepted, json_of(&listed(1))];
    run(answers, async |posts: &mut Posts, script: Script| {
        posts.send(initialize()).await.unwrap();
        assert_eq!(received(posts).await["result"]["serverInfo"]["name"], "s");
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        posts.send(message(initialized)).await.unwrap();
        posts.send(list(1)).await.unwrap();
        assert_eq!(received(posts).await, listed(1));
        let heard = script.heard.borrow();
        assert_eq!(heard.len(), 3);
        for (number, request) in heard.iter().enumerate() {
            assert!(request.starts_with("POST /mcp?a=1 HTTP/1.1\r\n"), "{request}");
            for header in [
                "host: tools.example:8080",
                "accept: application/json, text/event-stream",
                "content-type: application/json",
                "authorization: Bearer PLACEHOLDER",
            ] {
                assert!(request.contains(&format!("\r\n{header}\r\n")), "{header}: {request}");
            }
            let later = number > 0;
            assert_eq!(request.contains("\r\nmcp-session-id: abc-1\r\n"), later, "{request}");
            assert_eq!(request.contains("\r\nmcp-protocol-version: 2025-06-18\r\n"), later, "{request}");
        }
    });
}

#[test]
fn a_stream_is_read_until_the_answer() {
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
    let body = format!("id: 1\ndata:\n\ndata: {note}\n\ndata: {}\n\ndata: {}\n\n", listed(5), listed(6));
    let stream = answer("200 OK", "content-type: text/event-stream\r\n", &body);
    run(vec![stream, json_of(&listed(7))], async |posts: &mut Posts, _| {
        posts.send(list(5)).await.unwrap();
        assert_eq!(received(posts).await["method"], "notifications/tools/list_changed");
        assert_eq!(received(posts).await, listed(5));
        posts.send(list(7)).await.unwrap();
        assert_eq!(received(posts).await, listed(7));
    });
}

#[test]
fn what_is_no_answer_is_an_error_of_that_request_alone() {
    let events = "content-type: text/event-stream\r\n";
    let plain = "content-type: application/json\r\n";
    for (answer, wanted) in [
        (json_of(&listed(6)), "answers what this request did not ask"),
        (answer("200 OK", plain, "{"), "not JSON"),
        (answer("200 OK", plain, r#"{"jsonrpc":"2.0","id":5,"id":5,"result":{}}"#), "not JSON"),
        (answer("200 OK", plain, "[]"), "did not ask"),
        (answer("200 OK", "content-type: text/html\r\n", "<p>"), "`text/html`, neither"),
        (answer("200 OK", events, ": nothing\n\n"), "ended before the answer"),
        (answer("200 OK", events, &format!("data: {}\n\n", listed(6))), "did not ask"),
        (answer("202 Accepted", "", ""), "did not answer it"),
        (answer("302 Found", "location: http://other.example/\r\n", ""), "which is not followed"),
        (answer("404 Not Found", "", ""), "the status 404"),
        (answer("500 Internal Server Error", "", "secret"), "the status 500"),
        (answer("403 Forbidden", "agentrc-denied: 1\r\n", "agentrc: no URL line\n"), "no URL line"),
        (answer("200 OK", plain, &" ".repeat(LONGEST + 1)), "more than 2097152 bytes"),
        (answer("200 OK", events, &"data: x\n".repeat(LONGEST / 2)), "more than 2097152 bytes"),
    ] {
        let said = complaint(answer.clone());
        let shown: String = answer.chars().take(120).collect();
        assert!(said.contains(wanted), "{shown}: {said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn one_that_cannot_be_reached_is_asked_again_by_the_next_request() {
    run(Vec::new(), async |posts: &mut Posts, script: Script| {
        posts.send(list(1)).await.unwrap();
        assert_eq!(received(posts).await["error"]["message"], "no connection: refused by policy");
        script.answers.borrow_mut().push_back(json_of(&listed(2)));
        posts.send(list(2)).await.unwrap();
        assert_eq!(received(posts).await, listed(2));
    });
}

#[test]
fn a_session_that_is_over_ends_the_connection() {
    let answers = vec![greeting("mcp-session-id: abc\r\n"), answer("404 Not Found", "", "")];
    run(answers, async |posts: &mut Posts, _| {
        posts.send(initialize()).await.unwrap();
        received(posts).await;
        posts.send(list(1)).await.unwrap();
        assert!(received(posts).await["error"]["message"].as_str().unwrap().contains("session"));
        assert!(posts.receive().await.is_none());
        assert_eq!(posts.over.get().map(String::as_str), Some("it knows this session no more"));
        assert!(posts.send(list(2)).await.is_err());
    });
}

#[test]
fn a_session_is_named_by_what_a_header_can_have() {
    let long = format!("mcp-session-id: {}\r\n", "a".repeat(1025));
    for headers in ["mcp-session-id: a b\r\n", "mcp-session-id: \r\n", &long] {
        run(vec![greeting(headers)], async |posts: &mut Posts, _| {
            posts.send(initialize()).await.unwrap();
            let error = received(posts).await;
            assert!(error["error"]["message"].as_str().unwrap().contains("session"), "{error}");
        });
    }
}

#[test]
fn what_is_cancelled_is_waited_for_no_more() {
    // The head of a stream that never says anything.
    let silent = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9\r\n\r\n".to_owned();
    let accepted = answer("202 Accepted", "", "");
    run(vec![silent, accepted, json_of(&listed(2))], async |posts: &mut Posts, _| {
        posts.send(list(1)).await.unwrap();
        let cancelled =
            json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
        tokio::time::sleep(Duration::from_millis(50)).await;
        posts.send(message(cancelled)).await.unwrap();
        posts.send(list(2)).await.unwrap();
        // Of the first nothing comes, also not that its stream ended.
        assert_eq!(received(posts).await, listed(2));
    });
}

#[test]
fn a_server_that_asks_without_hearing_the_answers_is_left() {
    let ask = |id: usize| format!("data: {}\n\n", json!({ "jsonrpc": "2.0", "id": id, "method": "ping" }));
    let asked: String = (0..=ASKED).map(ask).collect();
    run(vec![answer("200 OK", "content-type: text/event-stream\r\n", &asked)], async |posts, _| {
        posts.send(list(1)).await.unwrap();
        for id in 0..ASKED {
            assert_eq!(received(posts).await["id"], id);
        }
        assert_eq!(received(posts).await["error"]["message"], "it asks without end");
    });
    // Who answers is asked on.
    let answered = vec![answer("200 OK", "content-type: text/event-stream\r\n", &asked)];
    let accepted = std::iter::repeat_n(answer("202 Accepted", "", ""), ASKED);
    run(answered.into_iter().chain(accepted).collect(), async |posts, _| {
        posts.send(list(1)).await.unwrap();
        for id in 0..=ASKED {
            assert_eq!(received(posts).await["id"], id);
            if id < ASKED {
                posts.send(message(json!({ "jsonrpc": "2.0", "id": id, "result": {} }))).await.unwrap();
            }
        }
    });
}

#[test]
fn a_server_cannot_say_that_it_has_not_heard() {
    for code in [SESSION_OVER, UNANSWERED] {
        let error = json!({ "code": code, "message": "not heard" });
        let answer = json_of(&json!({ "jsonrpc": "2.0", "id": 5, "error": error }));
        assert_eq!(complaint(answer), "its error has a code that is none of a server's");
    }
}
