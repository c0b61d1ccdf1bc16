//! What a server says its tools are, bounded.

use std::collections::BTreeMap;

use agentfile::plan::Origin;
use agentfile::tool;
use agentrc_audit::text::printable_text;
use rmcp::RoleClient;
use rmcp::service::Peer;
use serde_json::Value;

use super::{pages, said};
use crate::server::pin::definition;

/// Most tools that a server may have.
const TOOLS: usize = 1024;
/// Tools that are named when one is missing.
const NAMES: usize = 30;

/// What a server says of its tools: what may be long is kept only where it is wanted.
#[derive(Default)]
pub(super) struct Listed {
    /// The definitions of those that are wanted.
    pub(super) tools: BTreeMap<String, Value>,
    /// What the first ones are called, for whoever looks for another.
    pub(super) names: Vec<String>,
    number: usize,
}

impl Listed {
    fn add(&mut self, tool: &Value, wanted: &BTreeMap<String, Origin>) -> Result<(), String> {
        let name = tool.get("name").and_then(Value::as_str).unwrap_or_default();
        self.number += 1;
        if self.number > TOOLS {
            return Err(format!("it has more than {TOOLS} tools"));
        }
        if self.names.len() < NAMES {
            self.names.push(printable_text(&name.chars().take(100).collect::<String>()));
        }
        if !wanted.contains_key(name) {
            return Ok(());
        }
        let said = definition(tool);
        let size = said.to_string().len();
        if size > tool::FILE_BYTES {
            return Err(format!("its tool `{name}` is described in {size} bytes, of at most 64 KiB"));
        }
        match self.tools.insert(name.to_owned(), said) {
            None => Ok(()),
            Some(_) => Err(format!("it has two tools `{name}`")),
        }
    }
}

/// Those of its tools that are wanted.
pub(super) async fn list(
    peer: &Peer<RoleClient>,
    wanted: &BTreeMap<String, Origin>,
) -> Result<Listed, String> {
    let mut listed = Listed::default();
    let page = async |params| {
        let page = peer.list_tools(params).await;
        let page = page
            .map_err(|error| format!("it does not say what its tools are: {}", said(&error.to_string())))?;
        Ok((page.tools, page.next_cursor))
    };
    let take = |tools: Vec<_>| {
        tools.into_iter().try_for_each(|tool| {
            let tool = serde_json::to_value(tool).map_err(|error| error.to_string())?;
            listed.add(&tool, wanted)
        })
    };
    pages::each("it tells its tools", page, take).await?;
    Ok(listed)
}
