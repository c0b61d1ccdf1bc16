//! MCP servers: each in a sandbox of its own, asked by the broker, decided twice, pinned. Reference servers from npm and PyPI with the
//! official SDK as the client, and servers of the test's that say what no good one does.

#![allow(clippy::expect_used)]

use agentrc_test_support::broker::python;
use agentrc_test_support::servers::{self, table};
use agentrc_test_support::{Lab, Outcome, as_each, audit, sdk};
use serde_json::{Value, json};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// [`servers::SERVER`] with code that runs in a call, with `a` for its arguments and `r` for its result.
fn server(act: &str) -> String {
    servers::SERVER.replace("pass # MARK", act)
}

const OWN: &str = "MCP own\nTOOL mcp:own.act\nALLOW invoke mcp:own.act";

/// Runs `code` in Python inside, with the server `own` that does `act` in a call.
#[track_caller]
fn run(lab: &Lab, act: &str, boundaries: &[&str], lines: &str, code: &str) -> Outcome {
    lab.file(lab.project("own.py"), server(act));
    lab.file(lab.project("mcp.json"), table(boundaries));
    lab.script(lab.project("go.sh"), &python(code));
    lab.run(&format!("AGENT caller\n{lines}\nCMD /bin/sh ./go.sh\n"))
}

fn text<'a>(event: &'a Value, key: &str) -> &'a str {
    event.get(key).and_then(Value::as_str).unwrap_or_default()
}

const CLIENT: &str = r"import asyncio
from mcp import Client, StdioServerParameters

async def main():
    async with Client(StdioServerParameters(command='/agentrc/bin/mcp')) as client:
        print([tool.name for tool in (await client.list_tools()).tools], flush=True)
        async def call(name, **arguments):
            result = await client.call_tool(name, arguments)
            said = ' '.join(getattr(part, 'text', part.type) for part in result.content)
            print(name, result.is_error, said.replace('\n', ' ')[:400], flush=True)
        await call('files.read_text_file', path='/data/a')
        await call('files.read_text_file', path='/data/../etc/hostname')
        await call('files.read_media_file', path='/data/dot.png')
        await call('files.write_file', path='/data/b', content='new')
        await call('memory.create_entities', entities=[{'name': 'agentrc', 'entityType': 'program', 'observations': ['refuses']}])
        await call('memory.search_nodes', query='agentrc')
        await call('time.convert_time', source_timezone='UTC', time='12:00', target_timezone='Asia/Tokyo')
        await call('time.get_current_time', timezone='UTC')

asyncio.run(main())
";

#[test]
fn reference_servers_serve_an_official_client() {
    as_each(AGENTRC, |lab| {
        lab.copy(sdk::python(AGENTRC), &lab.project("python"));
        lab.copy(sdk::node(AGENTRC), &lab.project("node"));
        lab.file(lab.project("data/a"), "of the host");
        lab.file(lab.project("data/dot.png"), b"\x89PNG\r\n\x1a\n".as_slice());
        lab.file(lab.project("client.py"), CLIENT);
        let node = |server: &str| format!("/node/node_modules/@modelcontextprotocol/{server}/dist/index.js");
        let table = json!({ "mcpServers": {
            "files": {
                "command": "/usr/bin/node", "args": [node("server-filesystem"), "/data"],
                "boundaries": ["BIND ./node /node ro", "BIND ./data /data ro"],
            },
            "memory": {
                "type": "stdio", "command": "/usr/bin/node", "args": [node("server-memory")],
                "env": { "MEMORY_FILE_PATH": "/kept/memory.jsonl" },
                "boundaries": ["BIND ./node /node ro", "MOUNT /kept rw"],
            },
            "time": {
                "command": "/usr/bin/python3", "args": ["-B", "-m", "mcp_server_time", "--local-timezone", "UTC"],
                "env": { "PYTHONPATH": "/python" },
                "boundaries": ["BIND ./python /python ro", "LIMIT open_files 256"],
            },
        } });
        lab.file(lab.project("mcp.json"), table.to_string());
        let tools = [
            "files.read_text_file",
            "files.read_media_file",
            "files.write_file",
            "memory.create_entities",
            "memory.search_nodes",
            "time.convert_time",
        ];
        let tools: String =
            tools.iter().map(|tool| format!("TOOL mcp:{tool}\nALLOW invoke mcp:{tool}\n")).collect();
        let outcome = lab.run(&format!(
            "AGENT client\nBIND ./python /sdk ro\nMCP files\nMCP memory\nMCP time\n{tools}\
             POLICY\nforbid(principal, action == AgentRC::Action::\"tool.invoke\", resource in AgentRC::MCPServer::\"files\") when {{ context.path like \"/etc/*\" }};\nEND\n\
             CMD /usr/bin/env PYTHONPATH=/sdk PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 ./client.py\n",
        ));
        let out = outcome.out();
        assert_eq!(outcome.code(), 0, "as {}: {out}{}", lab.who.name, outcome.stderr);
        let lines: Vec<&str> = out.lines().collect();
        let wanted = [
            "['files.read_media_file', 'files.read_text_file', 'files.write_file', 'memory.create_entities', 'memory.search_nodes', 'time.convert_time']",
            "files.read_text_file False",
            "files.read_text_file True `files.read_text_file` is refused",
            "files.read_media_file False image",
            "files.write_file True",
            "memory.create_entities False",
            "memory.search_nodes False",
            "time.convert_time False",
            "time.get_current_time True there is no tool",
        ];
        assert_eq!(lines.len(), wanted.len(), "as {}: {out}{}", lab.who.name, outcome.stderr);
        for (line, wanted) in lines.iter().zip(wanted) {
            assert!(line.starts_with(wanted), "as {}: `{line}`, not `{wanted}`\n{out}", lab.who.name);
        }
        assert!(out.contains("of the host") && out.contains("refuses") && out.contains("T21:00"), "{out}");
        // A read-only bind of its own holds the server, whatever the agent may call.
        assert!(!lab.project("data/b").exists());
        let refused = outcome.denial_of("call files.read_text_file /etc/hostname");
        assert!(text(refused, "rule").contains("Agentfile:19:"), "{refused}");
        assert_eq!(outcome.events_named("broker.call").len(), 6);
        let call = outcome.events_named("broker.call")[0];
        assert!(text(call, "rule").contains("allow@") && text(call, "rule").contains("mcp@"), "{call}");
        assert_eq!(audit::serving(&lab.state()).len(), 3, "each has a run, and a log, of its own");
        let runs = lab.finish_command(lab.agentrc(["runs"]));
        assert_eq!(
            runs.out().matches(&format!("a server of {}", lab.last_run())).count(),
            3,
            "{}",
            runs.out()
        );
        let latest = lab.finish_command(lab.agentrc(["audit", "show", "latest"])).out();
        assert!(latest.contains("agent `client`"), "{latest}");
    });
}

#[test]
fn a_server_has_no_network_no_files_and_nothing_of_the_agents() {
    as_each(AGENTRC, |lab| {
        let act = "\
        def tried(f):
            try: f(); return 'yes'
            except OSError as error: return error.strerror
        r['content'][0]['text'] = ' | '.join([
            tried(lambda: socket.create_connection(('127.0.0.1', 80), 1)), tried(lambda: os.listdir('/work')),
            tried(lambda: open('/etc/shadow')), tried(lambda: socket.socket(socket.AF_UNIX).connect('/agentrc/broker.sock')),
            str(sorted(p for p in os.listdir('/proc') if p.isdigit())), str(sorted(os.environ))])";
        lab.file(lab.project("work/a"), "a");
        let code = "say(Broker().call('own.act'))";
        let outcome = run(lab, act, &[], &format!("BIND ./work /work ro\n{OWN}"), code);
        let out = outcome.out();
        assert_eq!(outcome.code(), 0, "as {}: {out}{}", lab.who.name, outcome.stderr);
        let parts: Vec<&str> = out.trim().trim_start_matches("ok ").split(" | ").collect();
        assert!(
            ["Permission denied", "Network is unreachable", "Connection refused"].contains(&parts[0]),
            "{out}"
        );
        assert_eq!(parts[1], "No such file or directory", "{out}");
        assert!(parts[2] != "yes" && parts[3] == "No such file or directory", "{out}");
        assert_eq!(parts[4], "['2']", "{out}");
        assert!(!parts[5].contains("XDG") && parts[5].contains("PATH"), "{out}");
    });
}

#[test]
fn both_permits_are_needed_and_both_limits_count() {
    as_each(AGENTRC, |lab| {
        let lines = format!(
            "{OWN}\nRATELIMIT own 2/day\nPOLICY\n@id(\"not-three\")\nforbid(principal, action == AgentRC::Action::\"mcp.request\", resource == AgentRC::MCPServer::\"own\") when {{ context.tool == \"other\" || context.method != \"tools/call\" }};\n@id(\"no-path\")\nforbid(principal, action == AgentRC::Action::\"tool.invoke\", resource in AgentRC::MCPServer::\"own\") when {{ context.path like \"/x/*\" }};\nEND"
        );
        let code = "b = Broker()\nsay(b.call('own.act', path='/x/../x/y'))\nsay(b.call('own.act', n='text'))\nfor _ in range(3): say(b.call('own.act'))\nsay(b.call('own.other'), b.call('act'), b.call('Own.act'))";
        let outcome = run(lab, "pass", &[], &lines, code);
        let out = outcome.out();
        let lines: Vec<&str> = out.lines().collect();
        assert!(
            lines[0].starts_with("refused ") && lines[0].contains("no-path"),
            "as {}: {out}",
            lab.who.name
        );
        assert!(lines[1].starts_with("error the arguments of `own.act` do not fit"), "{out}");
        assert_eq!(&lines[2..4], ["ok done", "ok done"], "{out}{}", outcome.stderr);
        assert!(lines[4].starts_with("refused ") && lines[4].contains("`own`"), "{out}");
        assert_eq!(lines[5].matches("refused there is no tool").count(), 3, "{out}");

        let forbidden = format!(
            "{OWN}\nPOLICY\n@id(\"never\")\nforbid(principal, action == AgentRC::Action::\"mcp.request\", resource);\nEND"
        );
        let outcome = run(lab, "pass", &[], &forbidden, "say(Broker().call('own.act'))");
        assert!(outcome.out().contains("never") && outcome.out().starts_with("refused"), "{}", outcome.out());
    });
}

/// What Pydantic makes of `path: str | None`, and lists, and a second path: each is decided about.
#[test]
fn every_path_that_a_call_names_is_decided_about_whatever_its_schema_says() {
    as_each(AGENTRC, |lab| {
        let text = r#"{'anyOf': [{'type': 'string'}, {'type': 'null'}]}"#;
        let own = servers::SERVER
            .replace("{'type': 'string'}", &format!("{text}, 'source': {text}, 'paths': {{}}, 'edits': {{}}"))
            .replace("pass # MARK", "r['content'][0]['text'] = json.dumps(a, sort_keys=True)");
        lab.file(lab.project("own.py"), own);
        lab.file(lab.project("mcp.json"), table(&[]));
        let code = r#"
b = Broker()
say(b.call('own.act', path='/data/x/../private/k'))
say(b.call('own.act', path='/data/x/../open', paths=['/data/a', '/data/b'], source=None))
say(b.call('own.act', path='/data/a', paths=['/data/b', '/data/private/k']))
say(b.call('own.act', path='/data/a', source='/data/private/k'))
say(b.call('own.act', path='/data/a', source='/data/x/../private/k'))
say(b.call('own.act', path='/data/a', edits=[{'file_path': '/data/private/k'}]))
say(b.call('own.act', path='/data/a', source='/etc/passwd'))
say(b.call('own.act', path='/data/a', paths=[{'name': '/data/private/k', 'path': '/data/b'}]))
say(b.call('own.act', path='/data/a', paths=[{'/data/private/k': 'x', 'path': '/data/b'}]))
say(b.call('own.act', path='/data/' + 'a' * 1000, paths=[str(n) for n in range(150000)]))
"#;
        lab.script(lab.project("go.sh"), &python(code));
        let lines = "MCP own\nTOOL mcp:own.act\nPOLICY\n@id(\"data\")\npermit(principal, action in [AgentRC::Action::\"tool.invoke\", AgentRC::Action::\"mcp.request\"], resource in AgentRC::MCPServer::\"own\") when { !(context has path) || context.path like \"/data/*\" };\n@id(\"private\")\nforbid(principal, action == AgentRC::Action::\"tool.invoke\", resource in AgentRC::MCPServer::\"own\") when { context.path like \"/data/private/*\" };\nEND";
        let outcome = lab.run(&format!("AGENT caller\n{lines}\nCMD /bin/sh ./go.sh\n"));
        let out = outcome.out();
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 10, "as {}: {out}{}", lab.who.name, outcome.stderr);
        assert_eq!(
            lines[1],
            "ok {\"path\": \"/data/open\", \"paths\": [\"/data/a\", \"/data/b\"], \"source\": null}"
        );
        for line in [0, 2, 3, 5, 7, 8] {
            assert!(lines[line].starts_with("refused") && lines[line].contains("private"), "{out}");
        }
        assert!(lines[4].starts_with("error") && lines[4].contains("without `..`"), "{out}");
        assert!(lines[6].starts_with("refused") && lines[6].contains("for /etc/passwd"), "{out}");
        assert!(lines[9].starts_with("error") && lines[9].contains("more than the 256 paths"), "{out}");
        assert_eq!(outcome.events_named("broker.call").len(), 1);
    });
}

#[test]
fn what_a_server_must_not_say_is_a_refusal_or_an_error() {
    as_each(AGENTRC, |lab| {
        let code = "b = Broker()\nsay(b.call('own.act'))\nsay(b.call('own.act', n=1))";
        // An answer that is too large, or no message, ends it; it comes back.
        let act = "if not a: print('{\"jsonrpc\": \"2.0\", \"id\": 9, \"id\": 9}', flush=True)";
        let again = "import time\nb = Broker()\nsay(b.call('own.act'))\nfor _ in range(400):\n    said = b.call('own.act', n=1)\n    if said == 'ok done': break\n    time.sleep(0.1)\nsay(said)";
        let outcome = run(lab, act, &[], OWN, again);
        let out = outcome.out();
        assert!(
            out.starts_with("error ") && out.ends_with("ok done\n"),
            "as {}: {out}{}",
            lab.who.name,
            outcome.stderr
        );
        let states: Vec<_> =
            outcome.events_named("server").iter().map(|event| text(event, "state")).collect();
        assert_eq!(states, ["ended", "started"], "as {}", lab.who.name);

        let large = "r['content'][0]['text'] = 'x' * (2 << 20 if a else 3 << 19)";
        let out = run(lab, large, &[], OWN, code).out();
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines[0].starts_with("error the result has more than"), "{out}");
        assert!(lines[1].starts_with("error "), "{out}");

        // It asks for what is not offered, and gets an error; the call goes on.
        let asks = "print(json.dumps({'jsonrpc': '2.0', 'id': 77, 'method': 'sampling/createMessage', 'params': {'messages': [], 'maxTokens': 1}}), flush=True)\n        r['content'][0]['text'] = json.loads(sys.stdin.readline())['error']['message']";
        let out = run(lab, asks, &[], OWN, "say(Broker().call('own.act'))").out();
        assert!(out.starts_with("ok this is not offered to the server"), "{out}");

        // One that asks and asks, and hears no answer, is not listened to; one that asks much and hears is.
        let ping = "json.dumps({'jsonrpc': '2.0', 'id': i, 'method': 'ping'})";
        let floods = format!("for i in range(100000): print({ping}, flush=True)");
        let outcome = run(lab, &floods, &[], OWN, "say(Broker().call('own.act'))");
        assert!(outcome.out().starts_with("error "), "{}", outcome.out());
        assert_eq!(text(outcome.events_named("server")[0], "state"), "ended", "as {}", lab.who.name);
        let hears = format!(
            "print('\\n'.join({ping} for i in range(1000)), flush=True)\n        for i in range(1000): assert 'result' in json.loads(sys.stdin.readline())"
        );
        let out = run(lab, &hears, &[], OWN, "say(Broker().call('own.act'))").out();
        assert_eq!(out, "ok done\n", "as {}", lab.who.name);

        let says = "r = {'content': [{'type': 'text', 'text': 'no \\x1b[2J'}], 'isError': True}";
        let out = run(lab, says, &[], OWN, "say(Broker().call('own.act'))").out();
        assert!(out.starts_with("error no ") && !out.contains('\x1b'), "{out:?}");
    });
}

#[test]
fn a_server_that_does_not_come_up_is_a_refusal_that_says_why() {
    as_each(AGENTRC, |lab| {
        let refused = |own: &str, lines: &str, words: &[&str]| {
            lab.file(lab.project("own.py"), own);
            lab.file(lab.project("mcp.json"), table(&[]));
            lab.run(&format!("AGENT caller\n{lines}\nCMD /bin/touch /work/ran\n")).expect_refusal(words);
        };
        refused("raise SystemExit('out of order')", OWN, &["`own` (Agentfile:2:1)", "out of order"]);
        refused("print('hello', flush=True)\nwhile True: pass", OWN, &["`own`", "MCP"]);
        refused(
            &server("pass"),
            "MCP own\nTOOL mcp:own.other\nALLOW invoke mcp:own.other",
            &["no tool `other` (Agentfile:3:1)", "it has act"],
        );
        let twice = server("pass").replace("TOOLS = [", "TOOLS = 2 * [");
        refused(&twice, OWN, &["two tools `act`"]);
        let loose = server("pass").replace("'type': 'object', ", "");
        refused(&loose, OWN, &["`act` does not take an object"]);
        let hidden = server("pass").replace("wants.'", "wants.\\u202e'");
        refused(&hidden, OWN, &["hides text"]);
    });
}

#[test]
fn a_table_that_is_wrong_does_not_compile() {
    as_each(AGENTRC, |lab| {
        let refused = |table: Option<&str>, words: &[&str]| {
            let _ = std::fs::remove_file(lab.project("mcp.json"));
            if let Some(table) = table {
                lab.file(lab.project("mcp.json"), table);
            }
            lab.run(&format!("AGENT caller\n{OWN}\nCMD /bin/true\n")).expect_refusal(words);
        };
        let entry =
            |rest: &str| format!("{{\"mcpServers\": {{\"own\": {{\"command\": \"/bin/cat\"{rest}}}}}}}");
        refused(None, &["E095", "no `mcp.json` beside the Agentfile"]);
        refused(Some("{"), &["E095", "is not JSON"]);
        refused(Some("{\"servers\": {}}"), &["E095", "`mcpServers`"]);
        refused(
            Some("{\"mcpServers\": {\"other\": {\"command\": \"x\"}}}"),
            &["has no server `own`", "it has `other`"],
        );
        refused(Some(&entry(", \"boundaries\": [\"TOOL utcp:shell\"]")), &["a line `TOOL`"]);
        refused(
            Some(&entry(", \"boundaries\": [\"LIMIT pids 5\", \"BIND ./none /x ro\"]")),
            &["the line `BIND ./none /x ro`", "E095"],
        );
        refused(
            Some(&entry(", \"boundaries\": [\"BIND ./a /a ro\\nTOOL utcp:shell\"]")),
            &["more than one line"],
        );
        refused(Some(&entry(", \"env\": {\"API_TOKEN\": \"x\"}")), &["`API_TOKEN`", "CRED API_TOKEN"]);
        refused(Some(&entry(", \"args\": [\"a\\u0000b\"]")), &["more than one line"]);
        refused(Some(&entry(", \"cwd\": \"/\"")), &["unknown field `cwd`"]);
        refused(Some("{\"mcpServers\": {\"own\": {\"url\": \"https://x.example\"}}}"), &["SERVER name url"]);
        lab.file(lab.project("mcp.json"), entry(""));
        lab.run("AGENT caller\nTOOL mcp:none.x\nALLOW invoke mcp:none.x\nCMD /bin/true\n")
            .expect_refusal(&["E096", "`none`"]);
    });
}

#[test]
fn a_server_s_tool_that_has_the_name_of_another_tool_is_a_refusal() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("own.py"), servers::SERVER.replace("'act'", "'read'"));
        lab.file(lab.project("mcp.json"), table(&[]).replace("\"own\"", "\"memory\""));
        lab.file(lab.project("notes.json"), r#"{"definitions": {"Note": {"type": "object"}}}"#);
        let server = "MCP memory\nTOOL mcp:memory.read\nALLOW invoke mcp:memory.read";
        lab.run(&format!("AGENT caller\n{server}\nCMD /bin/true\n")).expect_code(0);
        let memory = "MEMORY notes ./notes.json schema:Note mode:ro";
        lab.run(&format!("AGENT caller\n{server}\n{memory}\nCMD /bin/true\n"))
            .expect_refusal(&["memory.read"]);
    });
}

#[test]
fn what_a_server_executes_is_not_the_agents_to_write() {
    as_each(AGENTRC, |lab| {
        let code = "b = Broker()\nopen('/work/other', 'w').write('x')\nimport os\nfor act in (lambda: open('/work/own.py', 'a'), lambda: os.unlink('/work/own.py'), lambda: os.rename('/work/other', '/work/own.py'), lambda: os.chmod('/work/own.py', 0o777)):\n    try:\n        act()\n        say('did')\n    except OSError as e: say(e.errno)\nsay(b.call('own.act'))";
        let outcome = run(lab, "pass", &[], &format!("{OWN}\nBIND . /work rw"), code);
        // EROFS, EBUSY of a mount.
        assert_eq!(outcome.out(), "30\n16\n16\n30\nok done\n", "as {}: {}", lab.who.name, outcome.stderr);
        lab.run(&format!("AGENT caller\n{OWN}\nBIND ./own.py /own.py rw\nCMD /bin/true\n"))
            .expect_refusal(&["E097", "`/own.py`"]);
    });
}

#[test]
fn what_a_server_reaches_of_the_host_is_asked_for() {
    as_each(AGENTRC, |lab| {
        let outside = lab.outside("notes");
        lab.file(&outside, "of the host");
        lab.file(lab.project("own.py"), server("r['content'][0]['text'] = open('/notes').read()"));
        lab.file(lab.project("mcp.json"), table(&[&format!("BIND {} /notes ro", outside.display())]));
        lab.script(lab.project("go.sh"), &python("say(Broker().call('own.act'))"));
        let agentfile = lab.agentfile(&format!("AGENT caller\n{OWN}\nCMD /bin/sh ./go.sh\n"));
        lab.finish_command(lab.agentrc(["run".as_ref(), agentfile.as_os_str()])).expect_refusal(&[
            "let the server `own` read",
            "notes",
            "Agentfile:2:1",
        ]);
        let granted =
            lab.finish_command(lab.agentrc(["run".as_ref(), "--grant".as_ref(), agentfile.as_os_str()]));
        assert_eq!(granted.out(), "ok of the host\n", "as {}: {}", lab.who.name, granted.stderr);
    });
}
