//! What is passed on of MCP servers besides their tools: resources and prompts, and what a server asks of the agent's client, each by a
//! policy on `mcp.request` alone. Server and client are the official SDK's.

#![allow(clippy::expect_used)]

use agentrc_test_support::{Lab, Outcome, as_each, sdk, servers};
use serde_json::Value;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

const CLIENT: &str = r"import asyncio
from mcp import Client, StdioServerParameters
from mcp.types import CreateMessageResult, ElicitResult, TextContent

async def model(context, params):
    return CreateMessageResult(role='assistant', model='m', content=TextContent(type='text', text='thought of ' + params.messages[0].content.text))

async def person(context, params):
    return ElicitResult(action='accept', content={'name': 'somebody'})

async def main():
    async with Client(StdioServerParameters(command='/agentrc/bin/mcp'), mode='legacy', sampling_callback=model, elicitation_callback=person) as client:
        async def said(name, what):
            try: print(name, await what, flush=True)
            except Exception as error: print(name, 'no:', str(error).replace('\n', ' ')[:300], flush=True)
        async def listed(kind, what, key):
            print(kind, sorted(key(one) for one in what), flush=True)
        await listed('resources', (await client.list_resources()).resources, lambda one: str(one.uri))
        await listed('templates', (await client.list_resource_templates()).resource_templates, lambda one: one.uri_template)
        await listed('prompts', (await client.list_prompts()).prompts, lambda one: one.name)
        async def read(uri):
            return [(str(one.uri), one.text) for one in (await client.read_resource(uri)).contents]
        async def prompt(name, **arguments):
            return [one.content.text for one in (await client.get_prompt(name, arguments)).messages]
        async def call(name):
            result = await client.call_tool(name, {})
            return ' '.join(part.text for part in result.content)
        await said('1', read('notes.memo://public/a'))
        await said('2', read('notes.memo://public/other'))
        await said('3', read('notes.memo://secret/b'))
        await said('4', read('notes.memo://public/../secret/b'))
        await said('5', read('notes.memo://public/%2e%2e/secret/b'))
        await said('6', read('memo://public/a'))
        await said('7', read('notes.memo://public/none/of/it'))
        await said('8', prompt('notes.summary', of='it'))
        await said('9', prompt('notes.hidden'))
        await said('10', call('notes.greet'))
        await said('11', call('notes.think'))

asyncio.run(main())
";

/// Runs the client inside, beside the server, with these lines.
#[track_caller]
fn run(lab: &Lab, lines: &str) -> Outcome {
    lab.copy(sdk::python(AGENTRC), &lab.project("python"));
    lab.file(lab.project("notes.py"), servers::NOTES);
    lab.file(lab.project("client.py"), CLIENT);
    lab.file(lab.project("mcp.json"), servers::notes());
    lab.run(&format!(
        "AGENT client\nBIND ./python /sdk ro\nMCP notes\nTOOL mcp:notes.greet\nTOOL mcp:notes.think\nALLOW invoke mcp:notes.greet\nALLOW invoke mcp:notes.think\n{lines}\n\
         CMD /usr/bin/env PYTHONPATH=/sdk PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 ./client.py\n",
    ))
}

fn text<'a>(event: &'a Value, key: &str) -> &'a str {
    event.get(key).and_then(Value::as_str).unwrap_or_default()
}

const POLICY: &str = "RATELIMIT notes 9/hour
POLICY
permit (principal, action == AgentRC::Action::\"mcp.request\", resource == AgentRC::MCPServer::\"notes\")
when { context.method == \"resources/read\" && context.tool like \"memo://public/*\" };
permit (principal, action == AgentRC::Action::\"mcp.request\", resource == AgentRC::MCPServer::\"notes\")
when { context.method == \"prompts/get\" && context.tool == \"summary\" };
@id(\"may-ask\")
permit (principal, action == AgentRC::Action::\"mcp.request\", resource == AgentRC::MCPServer::\"notes\")
when { context.method == \"elicitation/create\" || context.method == \"sampling/createMessage\" };
END";

#[test]
fn what_a_policy_permits_is_passed_on_and_nothing_else() {
    as_each(AGENTRC, |lab| {
        let outcome = run(lab, POLICY);
        let out = outcome.out();
        assert_eq!(outcome.code(), 0, "as {}: {out}{}", lab.who.name, outcome.stderr);
        let wanted = [
            "resources ['notes.memo://public/a']",
            "templates ['notes.memo://public/{name}']",
            "prompts ['notes.summary']",
            "1 [('notes.memo://public/a', 'public a')]",
            "2 [('notes.memo://public/other', 'public other')]",
            "3 no: `notes.memo://secret/b` is refused: nothing in",
            "4 no: `notes.memo://public/../secret/b` can be read in two ways",
            "5 no: `notes.memo://public/%2e%2e/secret/b` can be read",
            "6 no: there is no `memo://public/a`",
            "7 no: the server `notes`: ",
            "8 ['Sum up it']",
            "9 no: `notes.hidden` is refused",
            // One call, and what it asked for, which counts as well: these are 8 and 9.
            "10 {\"result\":\"hello somebody\"}",
            "11 `notes.think` is refused: the limit `notes`",
        ];
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines.len(), wanted.len(), "as {}: {out}{}", lab.who.name, outcome.stderr);
        for (line, wanted) in lines.iter().zip(wanted) {
            assert!(line.starts_with(wanted), "as {}: `{line}`, not `{wanted}`\n{out}", lab.who.name);
        }
        let calls: Vec<_> =
            outcome.events_named("broker.call").iter().map(|call| text(call, "act").to_owned()).collect();
        assert_eq!(
            calls,
            [
                "list resources of notes",
                "list templates of notes",
                "list prompts of notes",
                "read notes.memo://public/a",
                "read notes.memo://public/other",
                "read notes.memo://public/none/of/it",
                "prompt notes.summary",
                "call notes.greet",
                "elicitation/create for notes",
            ]
        );
        assert!(text(outcome.events_named("broker.call")[8], "rule").contains("may-ask"));
        assert_eq!(outcome.events_named("broker.result").len(), 9);
        assert!(text(outcome.denial_of("read notes.memo://secret/b"), "reason").contains("nothing in"));
    });
}

#[test]
fn a_model_is_asked_where_a_policy_says_so() {
    as_each(AGENTRC, |lab| {
        let outcome = run(lab, &POLICY.replace("RATELIMIT notes 9/hour\n", ""));
        assert!(
            outcome.out().contains("11 {\"result\":\"the model: thought of think\"}"),
            "as {}: {}{}",
            lab.who.name,
            outcome.out(),
            outcome.stderr
        );
        let asked = outcome
            .events_named("broker.call")
            .into_iter()
            .find(|call| text(call, "act") == "sampling/createMessage for notes");
        assert!(asked.is_some_and(|call| text(call, "arguments").contains("think")), "{:?}", outcome.events);
    });
}

#[test]
fn without_a_policy_a_server_is_its_tools_alone() {
    as_each(AGENTRC, |lab| {
        // What the line of the server permits: calls of its tools.
        let outcome = run(lab, "LIMIT tool_calls 100");
        let out = outcome.out();
        assert_eq!(outcome.code(), 0, "as {}: {out}{}", lab.who.name, outcome.stderr);
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines[..3], ["resources []", "templates []", "prompts []"]);
        assert_eq!(lines.len(), 14, "{out}");
        assert!(lines[3..12].iter().all(|line| line.contains(" no: there is no `")), "{out}");
        assert!(lines[12..].iter().all(|line| line.contains("this is not offered to the server")), "{out}");
        assert_eq!(outcome.events_named("broker.call").len(), 2, "the calls of its tools");
        assert_eq!(outcome.events_named("denial").len(), 9);
    });
}
