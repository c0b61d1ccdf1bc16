//! Tools of UTCP manuals beside the Agentfile: `TOOL utcp:NAME`, where NAME is not built in.

use super::Check;
use crate::Kind;
use crate::boundary::Host;
use crate::manual::mcp::{By, Meant};
use crate::manual::{self, FOLDER, Listed, MANUALS, SUFFIX};
use crate::parse::url;
use crate::plan::{PROJECTION, Part, Runs, ToolDefinition};
use crate::server;
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

    /// Whether the tool `name` of a manual is one of an MCP server's: then it is that server's, if a line declares the same server.
    pub(super) fn is_of_server(&mut self, name: &str, span: Span) -> bool {
        self.read_manuals();
        // Of several, and where one might have it that cannot be read, nothing says which holds.
        let Some(manuals) = self.manuals.as_ref().filter(|manuals| manuals.faults.is_empty()) else {
            return false;
        };
        let mut known = manuals.tools.iter().filter(|(_, tool)| tool.name == name);
        let (Some((path, tool)), None) = (known.next(), known.next()) else { return false };
        let Some(meant) = tool.server() else { return false };
        let path = path.clone();
        match meant {
            Ok(meant) => self.meant.push((path, meant, span)),
            Err(fault) => {
                self.error("E085", span, format!("`{path}`: the tool `{name}` {}", fault.what), fault.help);
            }
        }
        true
    }

    /// A manual's server must be the one that a line declares: another of that name would be given its boundaries.
    pub(super) fn finish_servers_of_manuals(&mut self) {
        for (path, Meant { name, by }, span) in std::mem::take(&mut self.meant) {
            let is_started = self.out.mcp.iter().any(|mcp| mcp.name == name);
            let remote = self.out.servers.iter().find(|server| server.name == name);
            let (same, line) = match (&by, remote) {
                (By::Url(url), Some(server)) => (is_at(url, &server.host), format!("SERVER {name}")),
                (_, Some(_)) => (false, format!("SERVER {name}")),
                (By::Command(command, args, env), None) if is_started => {
                    let Some(table) = self.table_of(&name, span) else { continue };
                    (server::is_started_as(&table.bytes, &name, command, args, env), format!("MCP {name}"))
                }
                (By::Url(_), None) if is_started => (false, format!("MCP {name}")),
                // Which is said of its tool.
                (_, None) => continue,
            };
            if !same {
                let message = format!("`{path}` has another server `{name}` than the line `{line}` declares");
                let help = "let both say the same: the command with its arguments and variables, or the URL";
                self.error("E085", span, message, help);
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

/// Whether a URL is that of a `SERVER` line.
fn is_at(text: &str, host: &Host) -> bool {
    let pattern = url::parse(&Word { text: text.to_owned(), span: Span::default() });
    pattern.is_ok_and(|url| {
        (url.scheme, &url.host, url.port, &url.path) == (host.scheme, &host.host, host.port, &host.path)
    })
}
