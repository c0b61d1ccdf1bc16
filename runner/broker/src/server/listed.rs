//! What a server says its tools are, bounded.

use std::collections::BTreeMap;

use agentfile::plan::Origin;
use agentfile::tool;
use agentrc_audit::text::printable_text;
use rmcp::RoleClient;
use rmcp::model::PaginatedRequestParams;
use rmcp::service::Peer;
use serde_json::Value;

use super::said;
use crate::server::pin::definition;

/// Most tools that a server may have, and most answers in which it may tell them.
const TOOLS: usize = 1024;
const PAGES: usize = 64;
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
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES {
        let params = cursor.take().map(|cursor| PaginatedRequestParams::default().with_cursor(Some(cursor)));
        let page = peer
            .list_tools(params)
            .await
            .map_err(|error| format!("it does not say what its tools are: {}", said(&error.to_string())))?;
        for tool in page.tools {
            let tool = serde_json::to_value(tool).map_err(|error| error.to_string())?;
            listed.add(&tool, wanted)?;
        }
        match page.next_cursor {
            None => return Ok(listed),
            next => cursor = next,
        }
    }
    Err(format!("it tells its tools in more than {PAGES} answers"))
}
