//! `TOOL`: what is declared, what it takes, and where that is said. A line declares; using a tool needs a permit too.

use std::collections::hash_map::Entry;

use super::Check;
use crate::Kind;
use crate::boundary::Tool;
use crate::directive::near;
use crate::host::NAMESPACES;
use crate::place::Place;
use crate::plan::{PROJECTION, ToolDefinition};
use crate::span::Span;
use crate::syntax::{Namespaced, Word};
use crate::tool::{self, BUILTINS};

impl Check<'_> {
    pub(super) fn tool(&mut self, tool: &Namespaced, place: Place) {
        self.declare_tool(tool, None, place);
    }

    /// Declares `tool`, which `toolset` has, if any. What two toolsets have, or a toolset and a TOOL line, is one tool; two
    /// equal TOOL lines are a mistake.
    pub(super) fn declare_tool(&mut self, tool: &Namespaced, toolset: Option<String>, place: Place) {
        let by_toolset = toolset.is_some();
        let mapped = self.mapped(tool);
        let (tool, mapped) = mapped.as_ref().map_or((tool, None), |(meant, by)| (meant, Some(by)));
        let written = format!("{}:{}", tool.namespace, tool.name);
        match self.tools.entry(written) {
            Entry::Occupied(first) if by_toolset || *first.get() => return,
            Entry::Occupied(_) => {}
            Entry::Vacant(new) => drop(new.insert(by_toolset)),
        }
        let mut entity = tool.name.clone();
        let mut namespace = tool.namespace.clone();
        // With an error it is declared all the same, so that what allows it is not reported, too.
        let definition = match tool.namespace.as_str() {
            "utcp" if self.is_of_server(&tool.name, tool.word.span) => {
                "mcp".clone_into(&mut namespace);
                None
            }
            "utcp" => self.builtin(tool),
            "local" if tool.name.starts_with("./") => {
                entity = tool.name.rsplit('/').next().unwrap_or_default().to_owned();
                self.program(tool, &entity)
            }
            "local" => {
                self.error(
                    "E048",
                    tool.word.span,
                    format!("`{}` is not a file beside the Agentfile", tool.name),
                    "write `TOOL local:./path/of/program`",
                );
                return;
            }
            _ => None,
        };
        if self.once_named("tool", &entity, tool.word.span) {
            self.out.tools.push(Tool {
                namespace,
                name: tool.name.clone(),
                entity,
                definition,
                toolset,
                mapped: mapped.map(|by| (tool.word.text.clone(), by.clone())),
                place,
            });
        }
    }

    /// What a tool of a namespace that is none of ours is on this host, and where that is said.
    fn mapped(&mut self, tool: &Namespaced) -> Option<(Namespaced, String)> {
        if NAMESPACES.contains(&tool.namespace.as_str()) {
            return None;
        }
        match self.package.host_namespace(&tool.namespace) {
            Ok(by) => Some((Namespaced { namespace: "utcp".to_owned(), ..tool.clone() }, by?)),
            Err(why) => {
                self.host_fault(tool.word.span, &why);
                None
            }
        }
    }

    /// The host's own configuration cannot be used.
    pub(super) fn host_fault(&mut self, span: Span, why: &str) {
        let (why, help) = why.split_once('\n').unwrap_or((why, ""));
        let help = help.trim().trim_start_matches("help: ");
        self.error(
            "E087",
            span,
            why,
            if help.is_empty() { "docs/configuration.md says what it can be" } else { help },
        );
    }

    fn builtin(&mut self, tool: &Namespaced) -> Option<ToolDefinition> {
        let names = || BUILTINS.iter().map(|tool| tool.name);
        if names().any(|name| name == tool.name) {
            self.not_in_manuals(&tool.name, tool.word.span);
            return tool::builtin(&tool.name);
        }
        self.in_manuals(&tool.name, tool.word.span).unwrap_or_else(|()| {
            let help = match near(&tool.name, names()) {
                Some(near) => format!("did you mean `utcp:{near}`?"),
                None => {
                    format!("built in are {}; manuals are `tools/NAME.utcp.json`", listed(names()))
                }
            };
            let message = format!("there is no built-in tool `{}`, and no manual has it", tool.name);
            self.error("E081", tool.word.span, message, help);
            None
        })
    }

    fn program(&mut self, tool: &Namespaced, entity: &str) -> Option<ToolDefinition> {
        let span = tool.word.span;
        let path = self.project(&Word { text: tool.name.clone(), span }, Some(Kind::File))?;
        if let Some(fault) = tool::name_fault(entity) {
            let message = format!("`{entity}` cannot be a tool's name: {fault}");
            self.error("E081", span, message, "give the file another name");
            return None;
        }
        self.described(&path, entity, "tool", span)
    }

    /// What the file beside the program at `path` says of it.
    pub(super) fn described(
        &mut self,
        path: &str,
        entity: &str,
        what: &str,
        span: Span,
    ) -> Option<ToolDefinition> {
        let beside = tool::schema_paths(path).find(|path| self.package.kind(path) != Kind::Missing);
        let Some(beside) = beside else {
            let places: Vec<_> = tool::schema_paths(path).collect();
            self.error(
                "E082",
                span,
                format!("the {what} `{entity}` has no schema beside it"),
                format!(
                    "write `{}`: {{\"description\": \"…\", \"inputSchema\": {{\"type\": \"object\", \"properties\": {{…}}}}}}; a program that knows `--agentrc-schema` is asked by `agentrc tools schema ./{path} --write`",
                    places.join("`, or `"),
                ),
            );
            return None;
        };
        if self.package.kind(&beside) != Kind::File {
            self.error(
                "E082",
                span,
                format!("`{beside}` is not a file"),
                "what describes a program is a file",
            );
            return None;
        }
        let bytes = self.content(&beside, span)?;
        match tool::read(&bytes, format!("{PROJECTION}/{path}")) {
            Ok(definition) => Some(definition),
            Err(fault) => {
                self.error("E082", span, format!("`{beside}` {}", fault.what), fault.help);
                None
            }
        }
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`utcp:{name}`")).collect::<Vec<_>>().join(", ")
}
