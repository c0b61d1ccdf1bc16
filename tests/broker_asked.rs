//! What an MCP server asks of a client of the protocol's revision 2026-07-28, which hears it in the answer to his call, and calls again. The
//! official Python SDK over both ways to the broker, and a client that says what no library does.

#![allow(clippy::expect_used)]

use agentrc_test_support::broker::python;
use agentrc_test_support::{Lab, Outcome, as_each, sdk, servers};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
const LINES: &str = "MCP notes
TOOL mcp:notes.greet
TOOL mcp:notes.think
ALLOW invoke mcp:notes.greet
ALLOW invoke mcp:notes.think
POLICY
permit (principal, action == AgentRC::Action::\"mcp.request\", resource == AgentRC::MCPServer::\"notes\")
when { context.method == \"elicitation/create\" || context.method == \"sampling/createMessage\" };
END";

const CLIENT: &str = r"import asyncio, sys
from mcp import Client, StdioServerParameters
from mcp.types import CreateMessageResult, ElicitResult, TextContent

async def model(context, params):
    return CreateMessageResult(role='assistant', model='m', content=TextContent(type='text', text='thought of ' + params.messages[0].content.text))

async def person(context, params):
    return ElicitResult(action='accept', content={'name': 'somebody'})

async def main(where):
    server = where if where.startswith('http://') else StdioServerParameters(command=where)
    async with Client(server, mode='2026-07-28', sampling_callback=model, elicitation_callback=person) as client:
        for name in ('notes.greet', 'notes.think'):
            result = await client.call_tool(name, {})
            print(name, result.is_error, ' '.join(part.text for part in result.content), flush=True)

for where in sys.argv[1:]: asyncio.run(main(where))
";

/// A client of that revision with nothing between it and the socket.
const RAW: &str = r"import os
OFFERS = {'elicitation': {'form': {}}}
def meta(offers):
    return {'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientInfo': {'name': 't', 'version': '1'},
        'io.modelcontextprotocol/clientCapabilities': offers}

def call(broker, offers=OFFERS, name='notes.greet', arguments={}, **more):
    answer = broker.ask('tools/call', {'name': name, 'arguments': arguments, '_meta': meta(offers), **more})
    if 'error' in answer: return 'wrong ' + answer['error']['message']
    result = answer['result']
    if result['resultType'] == 'input_required': return result
    return ('error ' if result.get('isError') else 'ok ') + result['content'][0]['text']

def said(name): return {'input': {'action': 'accept', 'content': {'name': name}}}
b = Broker(hello=False)
";

#[track_caller]
fn run(lab: &Lab, lines: &str, command: &str) -> Outcome {
    lab.copy(sdk::python(AGENTRC), &lab.project("python"));
    lab.file(lab.project("notes.py"), servers::NOTES);
    lab.file(lab.project("mcp.json"), servers::notes());
    lab.run(&format!("AGENT client\nBIND ./python /sdk ro\n{LINES}\n{lines}\nCMD {command}\n"))
}

fn raw(lab: &Lab, code: &str) -> (Vec<String>, Outcome) {
    lab.script(lab.project("go.sh"), &python(&format!("{RAW}{code}")));
    let outcome = run(lab, "LIMIT tool_calls 1000", "/bin/sh ./go.sh");
    assert_eq!(outcome.code(), 0, "as {}: {}{}", lab.who.name, outcome.out(), outcome.stderr);
    (outcome.out().lines().map(str::to_owned).collect(), outcome)
}

#[test]
fn the_official_client_is_asked_in_the_answer_to_its_call() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("client.py"), CLIENT);
        let outcome = run(
            lab,
            "URL https://api.example.com",
            "/usr/bin/env PYTHONPATH=/sdk PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 ./client.py /agentrc/bin/mcp http://agentrc.internal/mcp",
        );
        let each = "notes.greet False {\"result\":\"hello somebody\"}\nnotes.think False {\"result\":\"the model: thought of think\"}\n";
        assert_eq!(outcome.out(), each.repeat(2), "as {}: {}", lab.who.name, outcome.stderr);
        let acts: Vec<_> = outcome
            .events_named("broker.call")
            .iter()
            .filter_map(|call| call.get("act")?.as_str().map(str::to_owned))
            .collect();
        let each = [
            "call notes.greet",
            "elicitation/create for notes",
            "call notes.think",
            "sampling/createMessage for notes",
        ];
        assert_eq!(acts, [each, each].concat(), "as {}", lab.who.name);
        assert_eq!(outcome.events_named("broker.result").len(), 8, "as {}", lab.who.name);
    });
}

#[test]
fn only_who_called_calls_again_and_once() {
    as_each(AGENTRC, |lab| {
        let (lines, outcome) = raw(
            lab,
            r"asked = call(b)
say(asked['inputRequests']['input']['method'], asked['inputRequests']['input']['params']['message'])
state = asked['requestState']
for more in (
    {'requestState': 'x', 'inputResponses': said('a')},
    {'requestState': state},
    {'requestState': state, 'inputResponses': {'other': {}}},
    {'requestState': state, 'inputResponses': said('a'), 'name': 'notes.think'},
    {'requestState': state, 'inputResponses': said('a'), 'arguments': {'x': 1}},
): say(call(b, **more))
if os.fork() == 0:
    say('another', call(Broker(hello=False), requestState=state, inputResponses=said('a')))
    os._exit(0)
os.wait()
say(call(Broker(hello=False), requestState=state, inputResponses=said('who')))
say(call(b, requestState=state, inputResponses=said('again')))
for answer in ({'action': 'decline'}, {'roots': []}, 7, None):
    say(call(b, requestState=call(b)['requestState'], inputResponses={'input': answer})[:60])
say(call(b, offers={}))
say(call(b, offers={'sampling': {}}))
",
        );
        let none = "wrong no call like this waits for an answer";
        let nothing = "wrong `inputResponses` has no `input`";
        let another = format!("another {none}");
        let wanted = [
            "elicitation/create Who are you?",
            none,
            nothing,
            nothing,
            none,
            none,
            &another,
            "ok {\"result\":\"hello who\"}",
            none,
            "ok {\"result\":\"decline\"}",
        ];
        assert_eq!(lines[..wanted.len()], wanted, "as {}: {}", lab.who.name, outcome.stderr);
        let rest = &lines[wanted.len()..];
        assert_eq!(rest.len(), 5, "as {}: {lines:?}", lab.who.name);
        assert!(rest.iter().all(|line| line.starts_with("error ")), "as {}: {rest:?}", lab.who.name);
        // What was refused is no call: nobody was asked, nothing is on record.
        assert_eq!(outcome.events_named("broker.call").len(), 12, "as {}", lab.who.name);
    });
}

#[test]
fn calls_that_wait_are_bounded_and_end_with_the_run() {
    as_each(AGENTRC, |lab| {
        let (lines, outcome) = raw(
            lab,
            "all = [call(b) for _ in range(9)]\nsay(sum(isinstance(one, dict) for one in all), all[8])\n\
             say(call(b, requestState=all[3]['requestState'], inputResponses=said('x')))\nsay(isinstance(call(b), dict))",
        );
        // The server is told, and its call comes to what it makes of that.
        assert!(
            lines[0].starts_with("8 error ")
                && lines[0].contains("8 calls wait for their clients' answers already"),
            "as {}: {lines:?}",
            lab.who.name
        );
        assert_eq!(lines[1..], ["ok {\"result\":\"hello x\"}", "True"], "as {}", lab.who.name);
        let ended = outcome.events_named("broker.result").len();
        let begun = outcome.events_named("broker.call").len();
        assert_eq!(begun, 20, "as {}", lab.who.name);
        assert_eq!(ended, begun, "as {}: each has an end", lab.who.name);
    });
}

#[test]
fn calls_of_processes_that_are_gone_make_room() {
    as_each(AGENTRC, |lab| {
        let (lines, _) = raw(
            lab,
            r"for _ in range(8):
    if os.fork() == 0:
        say(isinstance(call(Broker(hello=False)), dict))
        os._exit(0)
    os.wait()
state = call(b)['requestState']
say(call(b, requestState=state, inputResponses=said('x')))
",
        );
        let mut wanted = vec!["True"; 8];
        wanted.push("ok {\"result\":\"hello x\"}");
        assert_eq!(lines, wanted, "as {}", lab.who.name);
    });
}
