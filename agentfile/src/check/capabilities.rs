//! `FUNCTION`, `SKILL`, `MCP`, `MEMORY`: what the broker is asked to serve. These lines declare;
//! using a tool, function or skill needs a permit too.

use super::Check;
use crate::Kind;
use crate::boundary::{Function, Memory, Projection, Reference, Skill};
use crate::function::{self, Signature};
use crate::lower::limits::Targets;
use crate::memory::{About, judge};
use crate::place::Place;
use crate::plan::{FunctionDefinition, digest};
use crate::policy::permits::Permits;
use crate::span::Span;
use crate::syntax::Word;

impl Check<'_> {
    pub(super) fn function(&mut self, path: Option<&Word>, symbol: &Word, place: Place) {
        let path = path.and_then(|word| self.project(word, Some(Kind::File)));
        if self.once_named("function", &symbol.text, symbol.span) {
            let definition = path.as_ref().and_then(|path| self.signature(path, symbol));
            self.out.functions.push(Function { path, symbol: symbol.text.clone(), definition, place });
        }
    }

    fn signature(&mut self, path: &str, symbol: &Word) -> Option<FunctionDefinition> {
        let bytes = self.content(path, symbol.span)?;
        match function::read(&bytes, &symbol.text) {
            Ok(Signature { description, input_schema, output_schema }) => {
                let schema_sha256 = digest::sha256_hex(input_schema.to_string().as_bytes());
                Some(FunctionDefinition { description, input_schema, schema_sha256, output_schema })
            }
            Err(fault) => {
                let message = format!("`{}` of `{path}` {}", symbol.text, fault.what);
                self.error("E083", symbol.span, message, fault.help);
                None
            }
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
fn skill_name(reference: &str) -> &str {
    let last = reference.trim_end_matches('/').rsplit('/').next().unwrap_or(reference);
    last.split(['@', ':']).next().unwrap_or(last)
}

/// Name of an MCP server: the bare name, or the last part of the reference without its version.
pub(crate) fn server_name(reference: &str) -> &str {
    skill_name(reference.strip_prefix("registry://").unwrap_or(reference))
}
