//! `[tools]`: what stands on this host for namespaces of tools that only a framework inside an agent could serve.

use std::collections::BTreeMap;

use agentfile::host::{NAMESPACES, Serves};

use super::file::{self, Text};
use super::{Error, SYSTEM, Setting, wrong};

/// For each namespace, what serves its tools.
pub type Namespaces = BTreeMap<String, Setting<Serves>>;

pub(super) fn of(text: &Text, read: file::Tools) -> Result<Namespaces, Error> {
    let mut all = Namespaces::new();
    for (namespace, written) in read.namespaces {
        let refuse = |why: String, help: &str| text.wrong(&written, why, help.to_owned());
        if !is_name(&namespace) || NAMESPACES.contains(&namespace.as_str()) {
            let why = format!("`{}` is no namespace of a framework's", namespace.escape_debug());
            return Err(refuse(
                why,
                "write it as `TOOL` lines do, such as `strands`; agentrc's own stay what they are",
            ));
        }
        let serves = match written.get_ref().split_once(':') {
            None if written.get_ref() == "utcp" => Serves::BuiltIn,
            Some(("mcp", server)) if is_name(server) => Serves::Server(server.to_owned()),
            _ => {
                let why = format!("`{}` serves no tools", written.get_ref().escape_debug());
                return Err(refuse(why, "write `utcp`, for what is built in, or `mcp:SERVER`"));
            }
        };
        all.insert(namespace, text.setting(&written, serves));
    }
    Ok(all)
}

/// The system's, and what a user adds.
pub(super) fn filled(system: Namespaces, user: Namespaces) -> Result<Namespaces, Error> {
    let mut all = system;
    for (namespace, setting) in user {
        match all.get(&namespace) {
            Some(known) if known.value != setting.value => {
                let why =
                    format!("`tools.namespaces` says something else of `{namespace}` by {}", known.place);
                return Err(wrong(setting.place, why, format!("remove the line, or change {SYSTEM}")));
            }
            Some(_) => {}
            None => drop(all.insert(namespace, setting)),
        }
    }
    Ok(all)
}

/// A namespace, or a server's name: neither has a dot, a colon or a slash.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        && !text.starts_with(['_', '-'])
}
