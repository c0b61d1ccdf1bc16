//! `FUNCTION`, `MEMORY`: what the broker is asked to serve. These lines declare;
//! using a tool, function or skill needs a permit too.

use super::Check;
use crate::Kind;
use crate::boundary::{Function, Memory, Projection};
use crate::function::{self, Signature};
use crate::lower::limits::Targets;
use crate::memory::{About, judge};
use crate::place::Place;
use crate::plan::{Calls, FunctionDefinition, SKILLS, ToolDefinition, digest};
use crate::policy::permits::Permits;
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
            // What is forbidden on purpose is not forgotten.
            if !permits.tool(&tool.entity) && !permits.forbids(&tool.entity) {
                let line = format!("ALLOW invoke {}:{}", tool.namespace, tool.name);
                missing.push((tool.place.span, format!("the tool `{}`", tool.entity), line));
            }
        }
        for function in &self.out.functions {
            if !permits.function(&function.symbol) && !permits.forbids(&function.symbol) {
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
