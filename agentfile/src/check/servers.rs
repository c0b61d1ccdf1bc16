//! `MCP`, and what else is about servers: which table says what one is, what it executes, and whose tools are whose.

use super::Check;
use super::capabilities::skill_name;
use crate::Kind;
use crate::boundary::McpServer;
use crate::diag::Diagnostic;
use crate::host::ServerTable;
use crate::lower::{programs, remote};
use crate::place::Place;
use crate::policy::permits::Permits;
use crate::server::{self, TABLE, Table, tool_of};
use crate::span::Span;
use crate::syntax::Word;

impl Check<'_> {
    pub(super) fn mcp(&mut self, word: &Word, place: Place) {
        let name = server_name(&word.text);
        self.dotless(word);
        if self.once_named("server", name, word.span) {
            let (reference, name) = (word.text.clone(), name.to_owned());
            self.out.mcp.push(McpServer { reference, name, plan: None, host: None, place });
        }
    }

    /// What a server has is called by its name, a dot, and its own: where that begins must not be a question.
    pub(super) fn dotless(&mut self, name: &Word) {
        if server_name(&name.text).contains('.') {
            let help = "its tools are called `server.tool`: write the name without a dot";
            self.error(
                "E072",
                name.span,
                format!("`{}` has a dot, which ends a server's name", name.text),
                help,
            );
        }
    }

    /// Compiles the servers of the package's table and of the host's: they record as the agent does, which any line may say.
    pub(super) fn finish_servers(&mut self) {
        let audit = self.out.audit.0;
        let mut servers = std::mem::take(&mut self.out.mcp);
        for server in servers.iter_mut().filter(|server| !server.reference.contains(['/', ':', '@'])) {
            let span = server.place.span;
            let Some(table) = self.table_of(&server.name, span) else { continue };
            match server::compile(&table, &server.name, self.places.file(), audit, self.package) {
                Ok((plan, faults)) => {
                    server.plan = Some(Box::new(plan));
                    for fault in faults {
                        self.warn("W031", span, format!("`{}` {}", table.name, fault.what), fault.help);
                    }
                }
                Err(faults) => {
                    for fault in faults {
                        self.error("E095", span, format!("`{}` {}", table.name, fault.what), fault.help);
                    }
                }
            }
            server.host = table.of_host.then_some(table.name);
        }
        let mut rewritten = Vec::new();
        for server in &servers {
            if let Some(share) = programs::written(&self.out, server) {
                let (target, place) = (&share.target, &share.place.origin);
                let message = format!(
                    "the agent could rewrite what `{}` executes: `{target}` ({place}) is writable",
                    server.name
                );
                rewritten.push((server.place.span, message));
            }
        }
        for (span, message) in rewritten {
            let help = "bind it `ro` or `copy`, or a folder around it, in which what servers execute is held";
            self.error("E097", span, message, help);
        }
        self.out.mcp = servers;
        self.finish_server_tools();
        self.finish_servers_of_manuals();
        self.finish_credentials_of_servers();
    }

    /// The table that says what the server `name` is: the package's, or the first of the host's that has it.
    pub(super) fn table_of(&mut self, name: &str, span: Span) -> Option<Table> {
        let mut own = None;
        if self.package.kind(TABLE) != Kind::Missing {
            let bytes = self.content(TABLE, span)?;
            let table = Table { name: TABLE.to_owned(), bytes, of_host: false };
            if table.may_have(name) {
                return Some(table);
            }
            own = Some(table);
        }
        let tables = match self.package.host_servers() {
            Ok(tables) => tables,
            Err(why) => {
                self.host_fault(span, &why);
                return None;
            }
        };
        let tables = tables.into_iter();
        let mut tables = tables.map(|ServerTable { path, bytes }| Table { name: path, bytes, of_host: true });
        // Where none has it, the first says which it has.
        let first = own.or_else(|| tables.next());
        let found = match first {
            Some(first) if !first.may_have(name) => tables.find(|table| table.may_have(name)).or(Some(first)),
            first => first,
        };
        if found.is_none() {
            let what = format!(
                "there is no `{TABLE}` beside the Agentfile, and none of this host's, which says what `{name}` is"
            );
            let help = "write {\"mcpServers\": {\"NAME\": {\"command\": \"…\", \"boundaries\": […]}}}";
            self.error("E095", span, what, help);
        }
        found
    }

    /// A server that is somewhere else is asked with one credential.
    fn finish_credentials_of_servers(&mut self) {
        let permits = Permits::of(&self.out);
        let mut found = Vec::new();
        for server in &self.out.servers {
            let mut credentials = remote::credentials(&self.out, &permits, server);
            if let Some((one, other)) = credentials.next().zip(credentials.next()) {
                let message = format!(
                    "`{}` and `{}` are both bound to the host of `{}`",
                    one.name, other.name, server.name
                );
                let finding = Diagnostic::error("E089", server.host.place.span, message)
                    .help("its tools are asked with one credential, in `Authorization`: bind one of them to another host, or give it `inject:query`")
                    .related(one.place.span, "the first is here")
                    .related(other.place.span, "the second is here");
                found.push(finding);
            }
        }
        self.diagnostics.append(&mut found);
    }

    /// A tool of a server that nobody declares is nobody's.
    fn finish_server_tools(&mut self) {
        let mut undeclared = Vec::new();
        for tool in self.out.tools.iter().filter(|tool| tool.namespace == "mcp") {
            let name = &tool.name;
            let (message, help) = match tool_of(name) {
                None => (
                    format!("`mcp:{name}` names no tool of a server"),
                    "write `TOOL mcp:server.tool`".to_owned(),
                ),
                Some((server, _))
                    if self.out.mcp.iter().any(|mcp| mcp.name == server)
                        || self.out.servers.iter().any(|known| known.name == server) =>
                {
                    continue;
                }
                Some((server, _)) => (
                    format!("no line declares the server `{server}` of the tool `mcp:{name}`"),
                    format!("add `MCP {server}`, and say in `{TABLE}` what it is"),
                ),
            };
            undeclared.push((tool.place.span, message, help));
        }
        for (span, message, help) in undeclared {
            self.error("E096", span, message, help);
        }
    }
}

/// Name of an MCP server: the bare name, or the last part of the reference without its version.
fn server_name(reference: &str) -> &str {
    skill_name(reference.strip_prefix("registry://").unwrap_or(reference))
}
