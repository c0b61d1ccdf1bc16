//! `FUNCTION`, `MCP`, `MEMORY`: what the broker is asked to serve. These lines declare;
//! using a tool, function or skill needs a permit too.

use super::Check;
use crate::Kind;
use crate::boundary::{Function, McpServer, Memory, Projection};
use crate::diag::Diagnostic;
use crate::function::{self, Signature};
use crate::lower::limits::Targets;
use crate::lower::{programs, remote};
use crate::memory::{About, judge};
use crate::place::Place;
use crate::plan::{Calls, FunctionDefinition, SKILLS, ToolDefinition, digest};
use crate::policy::permits::Permits;
use crate::server::{self, TABLE, tool_of};
use crate::span::Span;
use crate::syntax::Word;
use crate::tool;

impl Check<'_> {
    pub(super) fn function(&mut self, path: Option<&Word>, symbol: &Word, place: Place) {
        let path = path.and_then(|word| self.project(word, Some(Kind::File)));
        if self.once_named("function", &symbol.text, symbol.span) {
            let definition = path.as_ref().and_then(|path| self.defined(path, symbol));
            self.out.functions.push(Function { path, symbol: symbol.text.clone(), definition, place });
        }
    }

    /// What the function takes: of Python its signature says it, of a program the file beside it.
    fn defined(&mut self, path: &str, symbol: &Word) -> Option<FunctionDefinition> {
        if let Some(fault) = tool::name_fault(&symbol.text) {
            let message = format!("`{}` cannot be a function's name: {fault}", symbol.text);
            self.error("E083", symbol.span, message, "give it another name");
            return None;
        }
        if path.ends_with(".py") {
            return self.signature(path, symbol);
        }
        let ToolDefinition { description, input_schema, schema_sha256, .. } =
            self.described(path, &symbol.text, "function", symbol.span)?;
        let runs = Calls::Program;
        Some(FunctionDefinition { runs, description, input_schema, schema_sha256, output_schema: None })
    }

    fn signature(&mut self, path: &str, symbol: &Word) -> Option<FunctionDefinition> {
        let bytes = self.content(path, symbol.span)?;
        match function::read(&bytes, &symbol.text) {
            Ok(Signature { description, input_schema, output_schema }) => {
                let schema_sha256 = digest::sha256_hex(input_schema.to_string().as_bytes());
                let runs = Calls::Python;
                Some(FunctionDefinition { runs, description, input_schema, schema_sha256, output_schema })
            }
            Err(fault) => {
                let message = format!("`{}` of `{path}` {}", symbol.text, fault.what);
                self.error("E083", symbol.span, message, fault.help);
                None
            }
        }
    }

    pub(super) fn mcp(&mut self, word: &Word, place: Place) {
        let name = server_name(&word.text);
        self.dotless(word);
        if self.once_named("server", name, word.span) {
            let (reference, name) = (word.text.clone(), name.to_owned());
            self.out.mcp.push(McpServer { reference, name, plan: None, place });
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

    /// Compiles the servers of the package's table: they record as the agent does, which any line may say.
    pub(super) fn finish_servers(&mut self) {
        let audit = self.out.audit.0;
        let mut servers = std::mem::take(&mut self.out.mcp);
        for server in servers.iter_mut().filter(|server| !server.reference.contains(['/', ':', '@'])) {
            let span = server.place.span;
            if self.package.kind(TABLE) != Kind::File {
                let what = format!(
                    "there is no `{TABLE}` beside the Agentfile, which says what `{}` is",
                    server.name
                );
                let help = "write {\"mcpServers\": {\"NAME\": {\"command\": \"…\", \"boundaries\": […]}}}";
                self.error("E095", span, what, help);
                continue;
            }
            let Some(bytes) = self.content(TABLE, span) else { continue };
            match server::compile(&bytes, &server.name, self.places.file(), audit, self.package) {
                Ok((plan, faults)) => {
                    server.plan = Some(Box::new(plan));
                    for fault in faults {
                        self.warn("W031", span, format!("`{TABLE}` {}", fault.what), fault.help);
                    }
                }
                Err(faults) => {
                    for fault in faults {
                        self.error("E095", span, format!("`{TABLE}` {}", fault.what), fault.help);
                    }
                }
            }
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

    pub(super) fn memory(
        &mut self,
        name: &Word,
        schema_path: &Word,
        schema_type: &Word,
        writable: bool,
        place: Place,
    ) {
        if !self.once_named("memory", &name.text, name.span) {
            return;
        }
        let Some(path) = self.project(schema_path, Some(Kind::File)) else { return };
        let Some(bytes) = self.content(&path, schema_path.span) else { return };
        if let Err(fault) = judge(&bytes, &schema_type.text) {
            let span = match fault.about {
                About::File => schema_path.span,
                About::Type => schema_type.span,
            };
            self.error("E076", span, format!("`{path}` {}", fault.what), fault.help);
        }
        // What is JSON is UTF-8; what is not has just been refused.
        let schema = String::from_utf8(bytes).unwrap_or_default();
        self.out.memories.push(Memory {
            name: name.text.clone(),
            schema_path: path,
            schema_type: schema_type.text.clone(),
            schema,
            writable,
            place,
        });
    }

    pub(super) fn finish_capabilities(&mut self) {
        let permits = Permits::of(&self.out);
        let mut missing: Vec<(Span, String, String)> = Vec::new();
        for tool in &self.out.tools {
            if !permits.tool(&tool.entity) {
                let line = format!("ALLOW invoke {}:{}", tool.namespace, tool.name);
                missing.push((tool.place.span, format!("the tool `{}`", tool.entity), line));
            }
        }
        for function in &self.out.functions {
            if !permits.function(&function.symbol) {
                let line = format!("ALLOW invoke {}", function.symbol);
                missing.push((function.place.span, format!("the function `{}`", function.symbol), line));
            }
        }
        // A skill is files: it is shown for the whole run, or not at all.
        for skill in self.out.skills.clone() {
            if permits.skill(&skill.entity) {
                if let Some(path) = skill.path {
                    self.show(&path, skill.place.span);
                    let target = format!("{SKILLS}/{}", skill.entity);
                    self.out.projections.push(Projection { path, target, place: skill.place });
                }
            } else {
                let line = format!("ALLOW invoke {}", skill.entity);
                missing.push((skill.place.span, format!("the skill `{}`", skill.entity), line));
            }
        }
        for (span, what, line) in missing {
            self.warn(
                "W013",
                span,
                format!("{what} is declared and nothing permits it"),
                format!("write `{line}`, or a `permit` in a POLICY block (of a skill: without a condition)"),
            );
        }
        let words = std::mem::take(&mut self.rate_targets);
        let targets = Targets::of(&self.out);
        let idle: Vec<_> =
            words.into_iter().filter(|word| targets.named(&word.text).next().is_none()).collect();
        for word in idle {
            self.warn(
                "W022",
                word.span,
                format!("`{}` is not declared, so this rate limits nothing", word.text),
                "name a tool, function, skill, credential, memory, server or host of this file",
            );
        }
    }
}

/// Last part of a folder or OCI reference, without tag and digest.
pub(super) fn skill_name(reference: &str) -> &str {
    let last = reference.trim_end_matches('/').rsplit('/').next().unwrap_or(reference);
    last.split(['@', ':']).next().unwrap_or(last)
}

/// Name of an MCP server: the bare name, or the last part of the reference without its version.
fn server_name(reference: &str) -> &str {
    skill_name(reference.strip_prefix("registry://").unwrap_or(reference))
}
