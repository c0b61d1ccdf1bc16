//! The broker with a client that we have not written: the official Python SDK inside, over `/agentrc/bin/mcp`, in both revisions of the
//! protocol that it speaks: with a handshake (2025-11-25) and without one (2026-07-28).

#![allow(clippy::expect_used)]

use agentrc_test_support::{as_each, sdk};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

#[test]
fn the_official_sdk_lists_calls_and_is_refused() {
    as_each(AGENTRC, |lab| {
        // Where any user reaches it.
        lab.copy(sdk::python(AGENTRC), &lab.project("sdk"));
        lab.file(lab.project("work/a"), "content\n");
        lab.file(lab.project("client.py"), sdk::CLIENT);
        let outcome = lab.run(
            "AGENT client\nBIND ./work /work ro\nBIND ./sdk /sdk ro\n\
             TOOL utcp:current_time\nALLOW invoke utcp:current_time\nTOOL utcp:file_read\n\
             POLICY\npermit(principal, action == AgentRC::Action::\"tool.invoke\", resource == AgentRC::Tool::\"file_read\") when { context.path like \"/work/*\" };\nEND\n\
             CMD /usr/bin/env PYTHONPATH=/sdk PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 ./client.py /agentrc/bin/mcp\n",
        );
        let out = outcome.out();
        assert_eq!(outcome.code(), 0, "as {}: {out}{}", lab.who.name, outcome.stderr);
        assert_eq!(out, sdk::client_says(), "as {}: {}", lab.who.name, outcome.stderr);
    });
}
