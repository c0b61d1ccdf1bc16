//! The broker with a client that we have not written: the official Python SDK inside, over `/agentrc/bin/mcp`, in both revisions of the
//! protocol that it speaks: with a handshake (2025-11-25) and without one (2026-07-28).

#![allow(clippy::expect_used)]

use agentrc_test_support::{as_each, sdk};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

const CLIENT: &str = r"import asyncio, sys
from mcp import Client, StdioServerParameters

async def main(mode):
    async with Client(StdioServerParameters(command='/agentrc/bin/mcp'), mode=mode) as client:
        tools = await client.list_tools()
        print(mode, [tool.name for tool in tools.tools], flush=True)
        read = next(tool for tool in tools.tools if tool.name == 'file_read')
        print(read.annotations.read_only_hint, read.input_schema['required'], flush=True)
        time = await client.call_tool('current_time', {})
        print(time.is_error, sorted(time.structured_content), flush=True)
        read = await client.call_tool('file_read', {'path': '/work/a'})
        print(read.is_error, read.structured_content['content'], flush=True)
        refused = await client.call_tool('file_read', {'path': '/etc/hostname'})
        print(refused.is_error, refused.meta, flush=True)
        both = await asyncio.gather(*[client.call_tool('current_time', {}) for _ in range(40)])
        print(sum(not one.is_error for one in both), flush=True)

for mode in ('legacy', '2026-07-28'):
    asyncio.run(main(mode))
";

#[test]
fn the_official_sdk_lists_calls_and_is_refused() {
    as_each(AGENTRC, |lab| {
        // Where any user reaches it.
        lab.copy(sdk::python(AGENTRC), &lab.project("sdk"));
        lab.file(lab.project("work/a"), "content\n");
        lab.file(lab.project("client.py"), CLIENT);
        let outcome = lab.run(
            "AGENT client\nBIND ./work /work ro\nBIND ./sdk /sdk ro\n\
             TOOL utcp:current_time\nALLOW invoke utcp:current_time\nTOOL utcp:file_read\n\
             POLICY\npermit(principal, action == AgentRC::Action::\"tool.invoke\", resource == AgentRC::Tool::\"file_read\") when { context.path like \"/work/*\" };\nEND\n\
             CMD /usr/bin/env PYTHONPATH=/sdk PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 ./client.py\n",
        );
        let out = outcome.out();
        assert_eq!(outcome.code(), 0, "as {}: {out}{}", lab.who.name, outcome.stderr);
        let half = "['current_time', 'file_read']\nTrue ['path']\nFalse ['time', 'unix_seconds']\nFalse content\n\nTrue {'io.agentrc/refused': True}\n40\n";
        assert_eq!(out, format!("legacy {half}2026-07-28 {half}"), "as {}", lab.who.name);
    });
}
