//! What tools say is searched for values of credentials before the agent has it: the agent holds placeholders, whatever a tool can read.
//! (`docs/broker.md`, "The output"; `docs/credentials.md`, "What comes back".)

#![allow(clippy::expect_used, clippy::panic)]

use agentrc_test_support::broker::python;
use agentrc_test_support::leftovers::anywhere;
use agentrc_test_support::servers::{self, table};
use agentrc_test_support::{Lab, Outcome, as_each, sdk};
use serde_json::Value;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// The value is what every lab has in this variable of the caller's: its secret. An agent without a network has it for nothing, and it is
/// a value all the same.
const ALONE: &str = "CRED TOKEN env:CALLERS_SECRET";
const NETWORKED: &str = "URL https://api.example.com\nCRED TOKEN env:CALLERS_SECRET host:api.example.com";

const TOOL: &str = "#!/bin/sh
read -r given
case $given in
*plain*) echo 'as it is, é';;
*json*) printf '{\"%s\": [1, {\"a\": \"x%sy\"}]}\\n' \"$(cat /held/value)\" \"$(cat /held/value)\";;
*base64*) printf 'user:%s' \"$(cat /held/value)\" | base64 -w0;;
*fail*) cat /held/value >&2; exit 3;;
*refuse*) cat /held/value >&2; exit 77;;
*) cat /held/value;;
esac
";

const FUNCTIONS: &str = "\
def give() -> dict[str, list[str]]:
    'Gives it.'
    return {'all': [open('/held/value').read()]}

def fail() -> str:
    'Fails with it.'
    raise ValueError('not with ' + open('/held/value').read())
";

/// A server that does not share the agent's files.
const ACT: &str = "held = open('/own/value').read()
        if a['n'] == 1: r['content'][0]['text'] = 'I hold ' + held
        elif a['n'] == 2: r['structuredContent'] = {'deep': {'er': [None, {held: 'x' + held}]}}
        elif a['n'] == 3: r['content'].append({'type': 'image', 'mimeType': 'image/png', 'data': __import__('base64').b64encode(held.encode()).decode()})
        elif a['n'] == 4: r['isError'] = True; r['content'][0]['text'] = 'failed with ' + held";

const CALLS: &str = "
b = Broker()
say('own', __import__('os').environ.get('TOKEN'))
say('read', b.call('file_read', path='/held/value'))
for do in ('plain', 'json', 'base64', 'fail', 'refuse', 'text'): say(do, b.call('probe', do=do))
say('give', b.call('function.give'))
say('raise', b.call('function.fail'))
for n in (0, 1, 2, 4): say('server%d' % n, b.call('own.act', n=n))
say('server3', json.dumps(b.ask('tools/call', {'name': 'own.act', 'arguments': {'n': 3}})['result']['content'][1]))
";

/// Runs an Agentfile that asks for consent.
fn granted(lab: &Lab, agentfile: &str) -> Outcome {
    let path = lab.agentfile(agentfile);
    lab.finish_command(lab.agentrc(["run".as_ref(), "--grant".as_ref(), path.as_os_str()]))
}

/// Runs all calls with these lines of credentials.
#[track_caller]
fn run(lab: &Lab, lines: &str) -> Outcome {
    lab.file(lab.project("held/value"), &lab.secret);
    lab.script(lab.project("tools/probe"), TOOL);
    lab.file(
        lab.project("tools/probe.schema.json"),
        r#"{"description": "A tool of the test's.", "inputSchema": {"type": "object"}}"#,
    );
    lab.file(lab.project("f.py"), FUNCTIONS);
    lab.file(lab.project("own.py"), servers::SERVER.replace("pass # MARK", ACT));
    lab.file(lab.project("mcp.json"), table(&["BIND ./held /own ro"]));
    lab.script(lab.project("go.sh"), &python(CALLS));
    granted(
        lab,
        &format!(
            "AGENT caller\nBIND ./held /held ro\n{lines}\n\
         TOOL utcp:file_read\nALLOW invoke utcp:file_read\nTOOL local:./tools/probe\nALLOW invoke local:./tools/probe\n\
         FUNCTION ./f.py:give\nALLOW invoke give\nFUNCTION ./f.py:fail\nALLOW invoke fail\n\
         MCP own\nTOOL mcp:own.act\nALLOW invoke mcp:own.act\nCMD /bin/sh ./go.sh\n"
        ),
    )
}

#[track_caller]
fn line<'a>(lab: &Lab, outcome: &'a Outcome, out: &'a str, name: &str) -> &'a str {
    let line = out.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("as {}: no {name} in {out}{}", lab.who.name, outcome.stderr))
}

#[test]
fn no_tool_gives_the_agent_what_it_has_a_placeholder_for() {
    as_each(AGENTRC, |lab| {
        for lines in [ALONE, NETWORKED] {
            let outcome = run(lab, lines);
            let out = outcome.out();
            let said = |name: &str| line(lab, &outcome, &out, name);
            let stands = said("own");
            assert!(stands.len() >= 8 && stands != "None", "as {}: {out}", lab.who.name);
            assert!(
                !out.contains(&lab.secret) && !outcome.stderr.contains(&lab.secret),
                "as {}: {out}",
                lab.who.name
            );
            let found = anywhere(&lab.state(), &lab.secret);
            assert!(found.is_empty(), "as {}: the value is in {found:?}", lab.who.name);

            let read: Value = serde_json::from_str(said("read").trim_start_matches("ok ")).expect("JSON");
            assert!(read.to_string().contains(stands), "as {}: {read}", lab.who.name);
            for (name, wanted) in [
                ("plain", "ok as it is, é".to_owned()),
                ("json", format!("ok {{\"{stands}\":[1,{{\"a\":\"x{stands}y\"}}]}}")),
                ("text", format!("ok {stands}")),
                ("fail", format!("error {stands}")),
                ("refuse", format!("refused {stands}")),
                ("give", format!("ok {{\"all\":[\"{stands}\"]}}")),
                ("server0", "ok done".to_owned()),
                ("server1", format!("ok I hold {stands}")),
                ("server2", format!("ok {{\"deep\":{{\"er\":[null,{{\"{stands}\":\"x{stands}\"}}]}}}}")),
                ("server4", format!("error failed with {stands}")),
            ] {
                assert_eq!(said(name), wanted, "as {}: {name}: {out}{}", lab.who.name, outcome.stderr);
            }
            for name in ["base64", "raise", "server3"] {
                assert!(said(name).contains(stands), "as {}: {name}: {out}", lab.who.name);
            }

            let redacted = outcome.denial_of("call probe");
            assert_eq!(redacted.get("verdict").and_then(Value::as_str), Some("redacted"), "{redacted}");
            assert_eq!(redacted.get("layer").and_then(Value::as_str), Some("broker"), "{redacted}");
            outcome.denial_of("call own.act");
            let shown = lab.finish_command(lab.agentrc(["audit", "show", &lab.last_run()])).out();
            assert!(shown.contains("placeholders were given"), "{shown}");
        }
    });
}

#[test]
fn without_credentials_all_of_it_would_have_been_there() {
    as_each(AGENTRC, |lab| {
        let outcome = run(lab, "");
        let out = outcome.out();
        for name in
            ["read", "json", "text", "fail", "refuse", "give", "raise", "server1", "server2", "server4"]
        {
            let said = line(lab, &outcome, &out, name);
            assert!(said.contains(&lab.secret), "as {}: {name}: {said}", lab.who.name);
        }
        assert!(outcome.events_named("denial").is_empty(), "{:?}", outcome.events);
    });
}

const CLIENT: &str = r"import asyncio, os
from mcp import Client, StdioServerParameters
from mcp.types import ElicitResult

async def person(context, params):
    print('asked', params.message, flush=True)
    return ElicitResult(action='accept', content={'name': 'somebody'})

async def main():
    print('own', os.environ['TOKEN'], flush=True)
    async with Client(StdioServerParameters(command='/agentrc/bin/mcp'), mode='legacy', elicitation_callback=person) as client:
        print('listed', [str(one.description) for one in (await client.list_resources()).resources], flush=True)
        print('resource', (await client.read_resource('notes.memo://public/a')).contents[0].text, flush=True)
        print('prompt', (await client.get_prompt('notes.summary', {'of': 'it'})).messages[0].content.text, flush=True)
        print('greeted', (await client.call_tool('notes.greet', {})).content[0].text, flush=True)

asyncio.run(main())
";

#[test]
fn neither_does_anything_else_that_a_server_says() {
    as_each(AGENTRC, |lab| {
        lab.copy(sdk::python(AGENTRC), &lab.project("python"));
        let held = |before: &str| format!("{before}{}", lab.secret);
        let notes = servers::NOTES
            .replace("return 'public a'", &format!("return '{}'", held("public ")))
            .replace("'A public memo.'", &format!("'{}'", held("A memo of ")))
            .replace("'Sum up '", &format!("'{} '", held("Sum up ")))
            .replace("Who are you?", &held("Do you know "));
        lab.file(lab.project("notes.py"), notes);
        lab.file(lab.project("client.py"), CLIENT);
        lab.file(lab.project("mcp.json"), servers::notes());
        let outcome = granted(
            lab,
            &format!(
                "AGENT client\nBIND ./python /sdk ro\n{ALONE}\nMCP notes\nTOOL mcp:notes.greet\nALLOW invoke mcp:notes.greet\n\
             POLICY\npermit (principal, action == AgentRC::Action::\"mcp.request\", resource == AgentRC::MCPServer::\"notes\");\nEND\n\
             CMD /usr/bin/env PYTHONPATH=/sdk PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 ./client.py\n",
            ),
        );
        let out = outcome.out();
        let said = |name: &str| line(lab, &outcome, &out, name);
        let stands = said("own");
        assert!(!out.contains(&lab.secret), "as {}: {out}", lab.who.name);
        assert_eq!(anywhere(&lab.state(), &lab.secret), [""; 0], "as {}", lab.who.name);
        assert!(said("listed").contains(&format!("A memo of {stands}")), "{out}");
        assert_eq!(said("resource"), format!("public {stands}"));
        assert_eq!(said("prompt"), format!("Sum up {stands} it"));
        assert_eq!(said("asked"), format!("Do you know {stands}"));
        assert!(said("greeted").contains("hello somebody"), "{out}");
    });
}

#[test]
fn a_server_that_describes_its_tools_with_a_value_is_refused() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("held/value"), &lab.secret);
        let own =
            servers::SERVER.replace("'Does what the test wants.'", "'Knows ' + open('/own/value').read()");
        lab.file(lab.project("own.py"), own);
        lab.file(lab.project("mcp.json"), table(&["BIND ./held /own ro"]));
        let lines = "MCP own\nTOOL mcp:own.act\nALLOW invoke mcp:own.act\nCMD /bin/true\n";
        let outcome = granted(lab, &format!("AGENT caller\n{ALONE}\n{lines}"));
        outcome.expect_refusal(&["what it says of its tool `act` holds the value of a credential"]);
        assert!(!outcome.stderr.contains(&lab.secret), "{}", outcome.stderr);
        assert_eq!(anywhere(&lab.state(), &lab.secret), [""; 0], "as {}", lab.who.name);
    });
}
