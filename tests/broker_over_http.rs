//! The broker at its name on the agent's network, `http://agentrc.internal/mcp`: the official Python SDK and curl are served, each call
//! on record with the process that asked; and nothing else is served there, whatever is sent.

#![allow(clippy::expect_used)]

use std::time::Duration;

use agentrc_test_support::outcome::within;
use agentrc_test_support::{Lab, Outcome, as_each, outside, sdk};
use serde_json::Value;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
/// A network, which is never used.
const URL: &str = "URL https://api.example.com";
const TIME: &str = "TOOL utcp:current_time\nALLOW invoke utcp:current_time";

/// Sends bytes, and says what came back.
const RAW: &str = r#"import json, socket, sys
def say(*words): print(*words, flush=True)

class Connection:
    def __init__(self, host='agentrc.internal', port=80):
        self.socket = socket.create_connection((host, port), timeout=20)
    # Status and body of each answer, until the connection is closed.
    def answers(self):
        read = b''
        try:
            while more := self.socket.recv(65536): read += more
        except ConnectionResetError: read = read or b'reset'
        found = []
        while read.startswith(b'HTTP/1.1 '):
            head, _, rest = read.partition(b'\r\n\r\n')
            length = [int(line.split(b':')[1]) for line in head.split(b'\r\n') if line.lower().startswith(b'content-length:')]
            length = length[0] if length else 0
            found.append((int(head[9:12]), rest[:length].decode()))
            read = rest[length:]
        return found + ([read] if read else [])

def head(length, method='POST', path='/mcp', host='agentrc.internal', more=''):
    if host is not None: more = 'Host: %s\r\n' % host + more
    return ('%s %s HTTP/1.1\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n' % (method, path, more, length)).encode()

def send(data, **where):
    connection = Connection(**where)
    try: connection.socket.sendall(data)
    except OSError: pass
    return connection.answers()

def post(body, **more):
    body = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    answers = send(head(len(body), **more) + body)
    return answers[0] if len(answers) == 1 else answers

def call(name, **arguments):
    return {'jsonrpc': '2.0', 'id': 1, 'method': 'tools/call', 'params': {'name': name, 'arguments': arguments}}

TIME = call('current_time')
"#;

/// Runs `code` in Python inside, with `lines` in the Agentfile.
#[track_caller]
fn run(lab: &Lab, lines: &str, code: &str) -> (Vec<String>, Outcome) {
    lab.file(lab.project("go.py"), format!("{RAW}\n{code}\n"));
    let outcome = lab.run(&format!("AGENT caller\n{lines}\nCMD /usr/bin/python3 ./go.py\n"));
    assert_eq!(outcome.code(), 0, "as {}: {}{}", lab.who.name, outcome.out(), outcome.stderr);
    (outcome.out().lines().map(str::to_owned).collect(), outcome)
}

fn text<'a>(event: &'a Value, key: &str) -> &'a str {
    event.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn the_official_sdk_lists_calls_and_is_refused() {
    as_each(AGENTRC, |lab| {
        // Where any user reaches it.
        lab.copy(sdk::python(AGENTRC), &lab.project("sdk"));
        lab.file(lab.project("work/a"), "content\n");
        lab.file(lab.project("client.py"), sdk::CLIENT);
        let outcome = lab.run(&format!(
            "AGENT client\n{URL}\nBIND ./work /work ro\nBIND ./sdk /sdk ro\n{TIME}\nTOOL utcp:file_read\n\
             POLICY\npermit(principal, action == AgentRC::Action::\"tool.invoke\", resource == AgentRC::Tool::\"file_read\") when {{ context.path like \"/work/*\" }};\nEND\n\
             CMD /usr/bin/env PYTHONPATH=/sdk PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 ./client.py http://agentrc.internal/mcp\n",
        ));
        let out = outcome.out();
        assert_eq!(outcome.code(), 0, "as {}: {out}{}", lab.who.name, outcome.stderr);
        assert_eq!(out, sdk::client_says(), "as {}: {}", lab.who.name, outcome.stderr);
        let calls = outcome.events_named("broker.call");
        assert_eq!(calls.len(), 2 * 42, "as {}", lab.who.name);
        assert!(calls.iter().all(|call| text(call, "program") == "python3"), "{calls:?}");
        let denial = outcome.denial_of("call file_read /etc/hostname");
        assert_eq!(text(denial, "program"), "python3", "{denial}");
        assert!(outcome.events_named("network.permitted").is_empty());
    });
}

#[test]
fn curl_calls_and_is_refused() {
    as_each(AGENTRC, |lab| {
        let call = |name: &str| {
            format!(
                "curl -sS http://agentrc.internal/mcp -H 'Content-Type: application/json' -d '{{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{{\"name\":\"{name}\"}}}}'\necho\n"
            )
        };
        lab.script(lab.project("go.sh"), &format!("set -e\n{}{}", call("current_time"), call("shell")));
        let outcome = lab.run(&format!("AGENT caller\n{URL}\n{TIME}\nCMD /bin/sh ./go.sh\n"));
        let out = outcome.out();
        let said: Vec<Value> = out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let [time, refused] = said.as_slice() else { panic!("as {}: {out}{}", lab.who.name, outcome.stderr) };
        assert_eq!(time.pointer("/id"), Some(&7.into()));
        assert!(time.pointer("/result/structuredContent/time").is_some(), "{time}");
        assert_eq!(refused.pointer("/result/_meta/io.agentrc~1refused"), Some(&true.into()), "{refused}");
        let calls = outcome.events_named("broker.call");
        assert_eq!((calls.len(), text(calls[0], "program")), (1, "curl"), "{calls:?}");
        assert_eq!(text(outcome.denial_of("call shell"), "program"), "curl");
    });
}

#[test]
fn what_is_no_request_of_the_protocol_is_refused() {
    as_each(AGENTRC, |lab| {
        let code = r#"
say(post(TIME)[0])
for more in [dict(host='localhost'), dict(host=None), dict(host='x.agentrc.internal'), dict(more='Host: evil.example\r\n'),
             dict(more='Origin: http://evil.example\r\n'), dict(path='http://evil.example/mcp')]:
    say('foreign', post(TIME, **more)[0])
say('path', [post(TIME, path=path)[0] for path in ['/', '/mcp/', '/mcp?x=1', '/%6dcp']])
say('method', [post(TIME, method=method)[0] for method in ['GET', 'DELETE', 'PUT']])
say('revision', post(TIME, more='MCP-Protocol-Version: 1999-01-01\r\n')[0])
say('accept', post(TIME, more='Accept: text/event-stream\r\n')[0])
say('batch', post([TIME, TIME]))
say('twice', post('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"shell","name":"current_time"}}'))
say('text', post('no json'))
say('long', post(json.dumps(TIME).ljust(2 * 1024 * 1024))[0])
say('large', post(b' ' * (2 * 1024 * 1024 + 1))[0])
say('endless', send(head(1 << 40) + b'x' * 100000)[0][0])
say('notified', post({'jsonrpc': '2.0', 'method': 'notifications/initialized'}))
say('still', post(TIME)[0])
"#;
        let (said, outcome) = run(lab, &format!("{URL}\n{TIME}"), code);
        let foreign = ["foreign 403"; 3].into_iter().chain(["foreign 400", "foreign 403", "foreign 403"]);
        let wanted: Vec<&str> = std::iter::once("200").chain(foreign).collect();
        assert_eq!(said[..7], wanted, "as {}: {said:#?}", lab.who.name);
        assert_eq!(
            said[7..11],
            ["path [404, 404, 404, 404]", "method [405, 405, 405]", "revision 400", "accept 406"]
        );
        assert!(
            said[11].starts_with("batch (400, ") && said[11].contains("batches are not taken"),
            "{said:#?}"
        );
        assert!(said[12].starts_with("twice (400, ") && said[12].contains("-32700"), "{said:#?}");
        assert!(said[13].starts_with("text (400, ") && said[13].contains("-32700"), "{said:#?}");
        assert_eq!(
            said[14..],
            ["long 200", "large 413", "endless 413", "notified (202, '')", "still 200"],
            "{said:#?}"
        );
        assert_eq!(outcome.events_named("broker.call").len(), 3, "as {}", lab.who.name);
        let denial = outcome.denial_of("ask the broker over HTTP");
        assert_eq!((text(denial, "verdict"), text(denial, "program")), ("403", "python3"), "{denial}");
    });
}

#[test]
fn nothing_can_follow_a_request() {
    as_each(AGENTRC, |lab| {
        // Each carries a second call: behind the first, in what one reader takes for its body, and in what another does.
        let code = r#"
body = json.dumps(TIME).encode()
second = head(len(body)) + body
chunks = b'%x\r\n%s\r\n0\r\n\r\n' % (len(body), body)
say(len(send(second)))
say([status for status, _ in send(second + second)])
say([status for status, _ in send(head(len(body), more='Transfer-Encoding: chunked\r\n') + chunks + second)])
say([status for status, _ in send(b'POST /mcp HTTP/1.1\r\nHost: agentrc.internal\r\nContent-Type: application/json\r\nContent-Length: 4\r\nContent-Length: %d\r\n\r\n' % len(body) + body + second)])
say(send(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + second)[:1] != [(200, '')])
say([status for status, _ in send(head(len(body), more='Upgrade: h2c\r\nConnection: Upgrade\r\n') + body + second)])
"#;
        let (said, outcome) = run(lab, &format!("{URL}\n{TIME}"), code);
        assert_eq!(said, ["1", "[200]", "[200]", "[400]", "True", "[200]"], "as {}", lab.who.name);
        assert_eq!(outcome.events_named("broker.call").len(), 4, "as {}: {said:?}", lab.who.name);
    });
}

#[test]
fn there_is_nothing_else_at_that_name_and_no_such_name_without_a_broker() {
    as_each(AGENTRC, |lab| {
        let code = r#"
def resolved(name):
    try: return sorted({one[4][0] for one in socket.getaddrinfo(name, 80)}) != []
    except OSError: return False
say([resolved(name) for name in ['agentrc.internal', 'AgentRC.internal', 'x.agentrc.internal', 'internal']])
def reached(port):
    try: return send(head(2) + b'{}', port=port) not in ([], [b'reset'])
    except OSError: return False
say([reached(port) for port in [80, 443, 8080]])
try:
    import ssl
    plain = socket.create_connection(('agentrc.internal', 80), timeout=20)
    ssl.create_default_context().wrap_socket(plain, server_hostname='agentrc.internal')
    say('tls')
except OSError: say('no tls')
"#;
        let (said, outcome) = run(lab, &format!("{URL}\n{TIME}"), code);
        assert_eq!(
            said,
            ["[True, True, False, False]", "[True, False, False]", "no tls"],
            "as {}",
            lab.who.name
        );
        assert!(outcome.events_named("broker.call").is_empty());
        let (said, outcome) = run(lab, URL, "try: say(Connection())\nexcept OSError: say('none')");
        assert_eq!(said, ["none"], "as {}", lab.who.name);
        assert_eq!(text(outcome.denial_of("resolve agentrc.internal"), "verdict"), "NXDOMAIN");
        // Without a network there is a broker, and no name.
        let (said, _) = run(lab, TIME, "try: say(Connection())\nexcept OSError: say('none')");
        assert_eq!(said, ["none"], "as {}", lab.who.name);
    });
}

#[test]
fn no_line_and_no_request_of_a_tool_leads_there() {
    as_each(AGENTRC, |lab| {
        for line in [
            "URL http://agentrc.internal",
            "URL https://*.agentrc.internal",
            "SERVER x http://agentrc.internal/mcp",
        ] {
            let outcome = lab.run(&format!("AGENT caller\n{line}\nCMD /bin/true\n"));
            outcome.expect_refusal(&["is agentrc's own name"]);
        }
        let lines = format!("{URL}\nTOOL utcp:http_request\nALLOW invoke utcp:http_request\n{TIME}");
        let code = "say(post(TIME)[0])\nsay(post(call('http_request', url='http://agentrc.internal/mcp', method='POST', body=json.dumps(TIME), headers={'Content-Type': 'application/json'})))";
        let (said, outcome) = run(lab, &lines, code);
        assert_eq!(said[0], "200");
        assert!(said[1].contains("\"isError\":true") && !said[1].contains("unix_seconds"), "{said:?}");
        let calls = outcome.events_named("broker.call");
        let times = calls.iter().filter(|call| text(call, "act") == "call current_time").count();
        assert_eq!(times, 1, "as {}: {calls:?}", lab.who.name);
    });
}

#[test]
fn who_goes_away_ends_the_call() {
    as_each(AGENTRC, |lab| {
        // What is sent behind the request hides from nobody that the connection is closed.
        let code = r#"
import time
for seconds, behind in [(4711, b''), (4712, b'POST /mcp HTTP/1.1\r\n')]:
    body = json.dumps(call('shell', command=f'exec sleep {seconds}')).encode()
    connection = Connection()
    connection.socket.sendall(head(len(body)) + body + behind)
    say('asked')
    sys.stdin.readline()
    connection.socket.close()
    say('gone')
    sys.stdin.readline()
"#;
        lab.file(lab.project("go.py"), format!("{RAW}\n{code}\n"));
        let mut child = lab.start(&format!(
            "AGENT caller\n{URL}\nTOOL utcp:shell\nALLOW invoke utcp:shell\nCMD /usr/bin/python3 ./go.py\n"
        ));
        for (time, program) in [(1, "sleep 4711"), (2, "sleep 4712")] {
            // The program itself, and not yet the shell before it: while it is executed it has no words, as if it had ended.
            let runs = || outside::all().into_iter().any(|pid| outside::command(pid).starts_with(program));
            assert!(within(Duration::from_secs(20), runs), "as {}: control, {}", lab.who.name, child.err());
            child.send("\n");
            assert!(within(Duration::from_secs(20), || !runs()), "as {}: it runs on", lab.who.name);
            assert!(within(Duration::from_secs(20), || child.out().matches("gone").count() == time));
            child.send("\n");
        }
        let outcome = child.finish();
        assert_eq!(outcome.code(), 0, "as {}: {}", lab.who.name, outcome.stderr);
        let (calls, results) = (outcome.events_named("broker.call"), outcome.events_named("broker.result"));
        assert_eq!((calls.len(), results.len()), (2, 2), "as {}: {calls:?} {results:?}", lab.who.name);
        assert!(results.iter().all(|result| text(result, "outcome") == "cancelled"), "{results:?}");
    });
}

#[test]
fn who_asks_nothing_takes_no_place() {
    as_each(AGENTRC, |lab| {
        // More than are served at a time.
        let code = "idle = [Connection() for _ in range(40)]\nsay(post(TIME)[0])\nsay(len(idle))";
        let (said, _) = run(lab, &format!("{URL}\n{TIME}"), code);
        assert_eq!(said, ["200", "40"], "as {}", lab.who.name);
    });
}
