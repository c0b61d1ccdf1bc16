//! `TOOL`, `TOOLSET`, `FUNCTION`, `SKILL`, `MCP`, `MEMORY`: what the broker is asked to serve. These lines declare;
//! using a tool, function or skill needs a permit too.

use super::{Check, Once};
use crate::Kind;
use crate::boundary::{Function, Memory, Projection, Reference, Skill, Tool};
use crate::memory::{About, judge};
use crate::place::Place;
use crate::plan::digest;
use crate::policy::permits::Permits;
use crate::span::Span;
use crate::syntax::{Namespaced, Word};

impl Check<'_> {
    pub(super) fn tool(&mut self, tool: &Namespaced, place: Place) {
        let mut entity = tool.name.clone();
        if tool.namespace == "local" {
            let word = Word { text: tool.name.clone(), span: tool.word.span };
            if !tool.name.starts_with("./") {
                self.error(
                    "E048",
                    word.span,
                    format!("`{}` is not a file beside the Agentfile", tool.name),
                    "write `TOOL local:./path/of/program`",
                );
                return;
            }
            // Declared all the same, so that what allows it is not reported, too.
            self.project(&word, Some(Kind::File));
            entity = word.text.rsplit('/').next().unwrap_or_default().to_owned();
        }
        if self.once_named("tool", &entity, tool.word.span) {
            self.out.tools.push(Tool {
                namespace: tool.namespace.clone(),
                name: tool.name.clone(),
                entity,
                place,
            });
        }
    }

    pub(super) fn toolset(&mut self, word: &Word, place: Place) {
        if self.once_named("toolset", &word.text, word.span) {
            self.out.toolsets.push(Reference { reference: word.text.clone(), place });
        }
    }

    pub(super) fn function(&mut self, path: Option<&Word>, symbol: &Word, place: Place) {
        let path = path.and_then(|word| self.project(word, Some(Kind::File)));
        if self.once_named("function", &symbol.text, symbol.span) {
            self.out.functions.push(Function { path, symbol: symbol.text.clone(), place });
        }
    }

    pub(super) fn skill(&mut self, word: &Word, place: Place) {
        let entity = skill_name(&word.text).to_owned();
        if word.text.starts_with("./") {
            let path = self.locate(word, Some(Kind::Directory));
            let has_text = |path: &String| self.package.kind(&format!("{path}/SKILL.md")) == Kind::File;
            match &path {
                Some(path) if has_text(path) => self.front_matter(path, &entity, word.span),
                Some(_) => self.error(
                    "E048",
                    word.span,
                    format!("there is no `SKILL.md` in `{}`", word.text),
                    "a skill is a folder with a file SKILL.md",
                ),
                None => {}
            }
            if self.once_named("skill", &entity, word.span) {
                let reference = word.text.clone();
                self.out.skills.push(Skill { reference, path, entity, place });
            }
        } else if self.once_named("skill", &entity, word.span) {
            self.out.skills.push(Skill { reference: word.text.clone(), path: None, entity, place });
        }
    }

    /// Judges the SKILL.md in the folder `path`.
    fn front_matter(&mut self, path: &str, name: &str, span: Span) {
        let file = format!("{path}/SKILL.md");
        let Some(bytes) = self.content(&file, span) else { return };
        for fault in crate::skill::judge(&bytes, name) {
            let what = format!("{file}:{}:{}: {}", fault.line, fault.column, fault.what);
            self.error(fault.code, span, what, fault.help);
        }
    }

    pub(super) fn mcp(&mut self, word: &Word, place: Place) {
        if self.once_named("MCP server", server_name(&word.text), word.span) {
            self.out.mcp.push(Reference { reference: word.text.clone(), place });
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
        self.out.memories.push(Memory {
            name: name.text.clone(),
            schema_path: path,
            schema_type: schema_type.text.clone(),
            schema_sha256: digest::sha256_hex(&bytes),
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
                    let target = format!("/agentrc/skills/{}", skill.entity);
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
        for word in words {
            if !self.is_countable(&word.text) {
                self.warn(
                    "W022",
                    word.span,
                    format!("`{}` is not declared, so this rate limits nothing", word.text),
                    "name a tool, function, skill, credential, memory, server or host of this file",
                );
            }
        }
    }

    /// Whether a RATELIMIT of `target` can ever count something.
    fn is_countable(&self, target: &str) -> bool {
        let bare = target.split_once(':').map_or(target, |(_, name)| name);
        let open = !self.out.toolsets.is_empty() || !self.out.mcp.is_empty();
        open || ["tool", "function", "skill", "credential", "memory", "server", "MCP server", "host"]
            .iter()
            .flat_map(|kind| [(kind, target), (kind, bare)])
            .any(|(kind, name)| self.first.contains_key(&Once::Name(kind, name.to_owned())))
    }
}

/// Last part of a folder or OCI reference, without tag and digest.
fn skill_name(reference: &str) -> &str {
    let last = reference.trim_end_matches('/').rsplit('/').next().unwrap_or(reference);
    last.split(['@', ':']).next().unwrap_or(last)
}

/// Name of an MCP server: the bare name, or the last part of the reference without its version.
pub(crate) fn server_name(reference: &str) -> &str {
    skill_name(reference.strip_prefix("registry://").unwrap_or(reference))
}
