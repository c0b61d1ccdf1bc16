//! `SKILL`: a folder with a `SKILL.md`, which says what it is for, and scripts, which make it a tool.

use std::collections::BTreeMap;

use super::Check;
use super::capabilities::skill_name;
use crate::Kind;
use crate::boundary::Skill;
use crate::diag::Severity;
use crate::lower::lower;
use crate::lower::narrow::{Agent, is_run, narrow};
use crate::place::Place;
use crate::plan::SkillDefinition;
use crate::policy::permits::Permits;
use crate::skill::bounds::{Fault, asked};
use crate::skill::table::{self, TABLE};
use crate::skill::{self, SCRIPTS};
use crate::span::Span;
use crate::syntax::Word;

impl Check<'_> {
    pub(super) fn skill(&mut self, word: &Word, place: Place) {
        let entity = skill_name(&word.text).to_owned();
        let mut definition = None;
        let mut path = None;
        if word.text.starts_with("./") {
            path = self.locate(word, Some(Kind::Directory));
            let has_text = |path: &String| self.package.kind(&format!("{path}/SKILL.md")) == Kind::File;
            match &path {
                Some(path) if has_text(path) => definition = self.described_skill(path, &entity, word.span),
                Some(_) => self.error(
                    "E048",
                    word.span,
                    format!("there is no `SKILL.md` in `{}`", word.text),
                    "a skill is a folder with a file SKILL.md",
                ),
                None => {}
            }
        }
        if self.once_named("skill", &entity, word.span) {
            self.out.skills.push(Skill { reference: word.text.clone(), path, entity, definition, place });
        }
    }

    /// Judges the SKILL.md in the folder `path`, and what it makes a tool.
    fn described_skill(&mut self, path: &str, name: &str, span: Span) -> Option<SkillDefinition> {
        let file = format!("{path}/SKILL.md");
        let bytes = self.content(&file, span)?;
        let faults = skill::judge(&bytes, name);
        let sound = faults.is_empty();
        for fault in faults {
            let what = format!("{file}:{}:{}: {}", fault.line, fault.column, fault.what);
            self.error(fault.code, span, what, fault.help);
        }
        let folder = format!("{path}/{SCRIPTS}");
        let scripts = match self.package.executables(&folder) {
            Ok(names) => names.into_iter().map(|name| format!("{SCRIPTS}/{name}")).collect::<Vec<_>>(),
            Err(error) => {
                let help = "name the scripts in UTF-8, and make their folder readable";
                self.error("E093", span, format!("`{folder}` cannot be listed: {error}"), help);
                return None;
            }
        };
        if let Some(fault) = skill::scripts_fault(&scripts) {
            self.error("E093", span, format!("`{folder}` {}", fault.what), fault.help);
            return None;
        }
        let description = skill::description(&bytes).filter(|_| sound && !scripts.is_empty())?;
        Some(skill::definition(name, description, scripts))
    }

    /// Compiles what skills ask for their scripts: what the agent has is known when all else is right.
    pub(super) fn finish_skills(&mut self) {
        if self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
            return;
        }
        let permits = Permits::of(&self.out);
        let mut asking = Vec::new();
        let Some(table) = self.table() else { return };
        for (number, skill) in self.out.skills.clone().into_iter().enumerate() {
            let (Some(path), true) = (&skill.path, permits.skill(&skill.entity)) else { continue };
            let span = skill.place.span;
            let (file, lines) = match table.get(&skill.entity) {
                Some(lines) => (format!("{TABLE}#{}", skill.entity), Some(lines.clone())),
                None => {
                    let file = format!("{path}/SKILL.md");
                    let Some(bytes) = self.content(&file, span) else { continue };
                    (file, skill::boundaries(&bytes))
                }
            };
            // One that asks for nothing has what the agent has.
            let Some(lines) = lines else { continue };
            let (asked, faults) = asked(&lines, &file, &self.out, self.package);
            let sound = faults.iter().all(|fault| fault.severity == Severity::Warning);
            self.tell(faults, span);
            if sound {
                asking.push((number, skill, asked));
            }
        }
        if asking.is_empty() {
            return;
        }
        let file = self.places.file();
        // One that cannot be made is told of when it is made for the run.
        let Ok(plan) = lower(&self.out, file) else { return };
        let mut plans = Vec::new();
        for (number, skill, asked) in asking {
            let agent = Agent { boundaries: &self.out, plan: &plan, file, package: self.package };
            match narrow(&skill, skill.definition.as_ref(), asked, &agent) {
                Ok(plan) => plans.extend(plan.map(|plan| (number, plan))),
                Err(faults) => self.tell(faults, skill.place.span),
            }
        }
        for (number, plan) in plans {
            let skill = self.out.skills.get_mut(number);
            if let Some(definition) = skill.and_then(|skill| skill.definition.as_mut()) {
                definition.plan = Some(Box::new(plan));
            }
        }
    }

    /// What the table beside the Agentfile says of skills; `None`: it cannot be used.
    fn table(&mut self) -> Option<BTreeMap<String, String>> {
        let local = self.out.skills.iter().find(|skill| skill.path.is_some());
        let Some(span) = local.map(|skill| skill.place.span) else { return Some(BTreeMap::new()) };
        if self.package.kind(TABLE) == Kind::Missing {
            return Some(BTreeMap::new());
        }
        let bytes = self.content(TABLE, span)?;
        let table = match table::read(&bytes) {
            Ok(table) => table,
            Err(fault) => {
                self.error("E094", span, format!("`{TABLE}` {}", fault.what), fault.help);
                return None;
            }
        };
        // A name that is misspelt would leave the skill that is meant with more. Where one skill is run by itself, others are not there.
        let alone = matches!(self.out.skills.as_slice(), [only] if is_run(&self.out, only));
        let declared = |name: &String| self.out.skills.iter().any(|skill| skill.entity == *name);
        if let Some(name) = table.keys().find(|name| !alone && !declared(name)) {
            let what = format!("`{TABLE}` has the skill `{}`, which no line declares", name.escape_debug());
            self.error("E094", span, what, "check the spelling, or add its `SKILL` line");
            return None;
        }
        Some(table)
    }

    fn tell(&mut self, faults: Vec<Fault>, span: Span) {
        for Fault { severity, code, origin, what, help } in faults {
            // What is about the line itself has its place.
            let message = if origin.file == self.places.file() { what } else { format!("{origin}: {what}") };
            match severity {
                Severity::Error => self.error(code, span, message, help),
                Severity::Warning => self.warn(code, span, message, help),
            }
        }
    }
}
