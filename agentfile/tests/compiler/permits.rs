//! What something could permit, and what nothing ever does.

use agentfile::plan::BrokerEntry;

use crate::support::{findings, plan};

#[test]
fn what_could_never_be_permitted_is_not() {
    let permitted = |lines: &str| {
        let plan = plan(&format!("AGENT x\nCMD true\nTOOL utcp:shell\nTOOL utcp:file_read\n{lines}\n"));
        let names = plan.broker.iter().filter_map(|entry| match entry {
            BrokerEntry::Tool { entity, permitted: true, .. } => Some(entity.clone()),
            BrokerEntry::Function { symbol, permitted: true, .. } => Some(symbol.clone()),
            _ => None,
        });
        names.collect::<Vec<_>>()
    };
    let policy = |text: &str| format!("POLICY\n{text}\nEND");
    let all = policy("permit (principal, action == AgentRC::Action::\"tool.invoke\", resource);");
    let forbid = |scope: &str, more: &str| {
        let text = format!("forbid (principal, action == AgentRC::Action::\"tool.invoke\", {scope}){more};");
        format!("{all}\n{}", policy(&text))
    };
    let shell = "resource == AgentRC::Tool::\"shell\"";
    for (lines, wanted) in [
        // A permit of a server's tools is none of others.
        (
            policy(
                "permit (principal, action == AgentRC::Action::\"tool.invoke\", resource in AgentRC::MCPServer::\"files\");",
            ),
            &[][..],
        ),
        (all.clone(), &["shell", "file_read"]),
        (format!("{all}\nDENY invoke utcp:shell"), &["file_read"]),
        (forbid(shell, ""), &["file_read"]),
        (forbid("resource", ""), &[]),
        (forbid("resource", " when { context.call_count > 3 }"), &["shell", "file_read"]),
        (forbid("resource in AgentRC::MCPServer::\"files\"", ""), &["shell", "file_read"]),
    ] {
        assert_eq!(permitted(&lines), wanted, "{lines}");
    }
    // Of one that is forbidden on purpose nobody is told that he forgot a permit.
    let found = findings("AGENT x\nCMD true\nTOOL utcp:shell\nDENY invoke utcp:shell\n");
    assert!(found.iter().all(|(code, _)| *code != "W013"), "{found:?}");
}
