//! Tools of UTCP manuals beside the Agentfile: `TOOL utcp:NAME`, where NAME is not built in.

use super::Check;
use crate::Kind;
use crate::manual::{self, FOLDER, Listed, MANUALS, SUFFIX};
use crate::plan::{PROJECTION, Part, Runs, ToolDefinition};
use crate::span::Span;
use crate::syntax::Word;

/// What is known of all manuals: tools with their manuals' paths, and what is wrong.
#[derive(Debug, Clone, Default)]
pub(super) struct Manuals {
    tools: Vec<(String, Listed)>,
    /// Message and help.
    faults: Vec<(String, String)>,
}

impl Check<'_> {
    /// Reports a manual that has a tool `name`, which is built in: two readers would call two tools.
    pub(super) fn not_in_manuals(&mut self, name: &str, span: Span) {
        self.read_manuals();
        let known = self.manuals.iter().flat_map(|manuals| &manuals.tools);
        let found: Vec<_> =
            known.filter(|(_, tool)| tool.name == name).map(|(path, _)| path.clone()).collect();
        for path in found {
            let message = format!("`{path}` has a tool `{name}`, which is built in");
            self.error("E085", span, message, "give the manual's tool another name");
        }
    }

    /// The tool `name` of a manual. `Err`: none has it, and all could be read.
    pub(super) fn in_manuals(&mut self, name: &str, span: Span) -> Result<Option<ToolDefinition>, ()> {
        self.read_manuals();
        let Some(manuals) = &self.manuals else { return Err(()) };
        let found: Vec<_> = manuals.tools.iter().filter(|(_, tool)| tool.name == name).cloned().collect();
        // Each might be the one that has it.
        let faults = manuals.faults.clone();
        for (message, help) in &faults {
            self.error("E085", span, message.as_str(), help.as_str());
        }
        match <[(String, Listed); 1]>::try_from(found) {
            Ok([(path, tool)]) => Ok(self.of_manual(&path, tool, span)),
            Err(found) if found.is_empty() => {
                if faults.is_empty() {
                    Err(())
                } else {
                    Ok(None)
                }
            }
            Err(found) => {
                let paths: Vec<_> = found.iter().map(|(path, _)| format!("`{path}`")).collect();
                let message = format!("the tool `{name}` is in {}", paths.join(" and "));
                self.error("E085", span, message, "keep it in one manual: nothing says which holds");
                Ok(None)
            }
        }
    }

    fn of_manual(&mut self, path: &str, tool: Listed, span: Span) -> Option<ToolDefinition> {
        let name = tool.name.clone();
        let mut definition = match tool.definition() {
            Ok(definition) => definition,
            Err(fault) => {
                let message = format!("`{path}`: the tool `{name}` {}", fault.what);
                self.error("E085", span, message, fault.help);
                return None;
            }
        };
        // A program beside the Agentfile is shown where the plan says.
        if let Runs::Command(command) = &mut definition.runs
            && let Some([Part::Text(program)]) = command.words.first_mut().map(Vec::as_mut_slice)
            && program.starts_with("./")
        {
            let shown = self.project(&Word { text: program.clone(), span }, Some(Kind::File))?;
            *program = format!("{PROJECTION}/{shown}");
        }
        Some(definition)
    }

    fn read_manuals(&mut self) {
        if self.manuals.is_some() {
            return;
        }
        let mut manuals = Manuals::default();
        if self.package.kind(FOLDER) == Kind::Directory {
            match self.package.list(FOLDER, SUFFIX) {
                Ok(names) if names.len() > MANUALS => manuals.faults.push((
                    format!("`{FOLDER}` has {} manuals, and {MANUALS} are the most", names.len()),
                    "join some of them".to_owned(),
                )),
                Ok(names) => names.iter().for_each(|name| self.read_manual(name, &mut manuals)),
                Err(error) => manuals
                    .faults
                    .push((format!("`{FOLDER}` cannot be read: {error}"), "make it readable".to_owned())),
            }
        }
        self.manuals = Some(manuals);
    }

    fn read_manual(&self, name: &str, manuals: &mut Manuals) {
        let path = format!("{FOLDER}/{name}");
        let bytes = match self.package.read(&path) {
            Ok(bytes) if bytes.len() <= super::packaged::CONTENT_MAX => bytes,
            Ok(_) => {
                manuals.faults.push((format!("`{path}` is larger than 1 MiB"), "shorten it".to_owned()));
                return;
            }
            Err(error) => {
                manuals
                    .faults
                    .push((format!("`{path}` cannot be read: {error}"), "make it readable".to_owned()));
                return;
            }
        };
        match manual::read(&bytes) {
            Ok(tools) => manuals.tools.extend(tools.into_iter().map(|tool| (path.clone(), tool))),
            Err(fault) => manuals.faults.push((format!("`{path}` {}", fault.what), fault.help)),
        }
    }
}
