//! What the runner shows the agent under `/agentrc`, read-only: the files that lines name, the procedure, and where there
//! is something to ask the broker for, the way to it: its socket, our program that speaks to it, a link to that for each
//! tool and function, and what tools and memories take.

use std::collections::HashSet;

use serde_json::Value;

use super::broker::served;
use super::mounts::Table;
use crate::base::BASE_FILE;
use crate::boundary::Boundaries;
use crate::path;
use crate::place::Place;
use crate::plan::{
    Access, CLIENT, FUNCTIONS, Generated, HostPath, MEMORIES, Mount, MountSource, Origin, SERVERS, SOCKET,
    TOOLS,
};
use crate::policy::permits::Permits;
use crate::server::tool_of;
use crate::tool::{self, Shown};

/// Where newer packages look for it.
const NEWER: &str = "/mnt";

/// Adds all of it to `table`.
pub(super) fn projection(boundaries: &Boundaries, permits: &Permits, table: &mut Table) {
    named(boundaries, table);
    if let Some(procedure) = &boundaries.procedure {
        text(table, "/agentrc/SOP".to_owned(), procedure.text.clone(), &procedure.place.origin);
    }
    broker(boundaries, permits, table);
    newer(table);
}

/// The same tree where newer packages look for it, but for what lines show there.
fn newer(table: &mut Table) {
    // A line's own `/mnt` is that as a whole.
    if table.contains_key(NEWER) {
        return;
    }
    for name in ["SOP", "bin", "functions", "mcp", "memory", "proc", "skills", "tools"] {
        let (at, shown) = (format!("{NEWER}/{name}"), format!("/agentrc/{name}"));
        let has = |table: &Table, folder: &str| table.keys().any(|target| path::is_beneath(target, folder));
        if has(table, &shown) && !has(table, &at) {
            let to = format!("..{shown}");
            add(table, at, MountSource::Symlink { to }, &Origin::builtin(BASE_FILE));
        }
    }
}

/// The files and folders that lines name.
fn named(boundaries: &Boundaries, table: &mut Table) {
    let targets: HashSet<&str> =
        boundaries.projections.iter().map(|projection| projection.target.as_str()).collect();
    for projection in &boundaries.projections {
        // A file of a folder that is itself projected is already there.
        if path::ancestors(&projection.target).any(|folder| targets.contains(folder)) {
            continue;
        }
        table.entry(projection.target.clone()).or_insert_with(|| Mount {
            target: projection.target.clone(),
            source: MountSource::Bind {
                source: HostPath::Project(projection.path.clone()),
                protected: Vec::new(),
            },
            access: Access::ReadOnly,
            optional: false,
            origin: projection.place.origin.clone(),
        });
    }
}

/// The way to the broker.
fn broker(boundaries: &Boundaries, permits: &Permits, table: &mut Table) {
    // What probes is a program that enters as those of tools do.
    let probe = boundaries.health_check.iter().map(|check| &check.place);
    let first = callable(boundaries, permits).into_iter().chain(probe).min();
    let Some(Place { origin, .. }) = first else { return };
    let tools = || boundaries.tools.iter().filter_map(|tool| Some((tool, tool.definition.as_ref()?)));
    let server_tools = || boundaries.tools.iter().filter(|tool| tool.namespace == "mcp");
    let functions =
        || boundaries.functions.iter().filter_map(|function| Some((function, function.definition.as_ref()?)));
    add(table, SOCKET.to_owned(), MountSource::Socket, origin);
    add(table, CLIENT.to_owned(), MountSource::Generated { what: Generated::Client }, origin);
    // What nothing permits is not there: a link that always fails would only mislead.
    for (tool, definition) in tools().filter(|(tool, _)| permits.tool(&tool.entity)) {
        let shown = Shown {
            name: &tool.entity,
            title: definition.title.as_deref(),
            description: &definition.description,
        };
        link(table, TOOLS, &shown, &definition.input_schema, &tool.place.origin);
    }
    for (function, definition) in functions().filter(|(function, _)| permits.function(&function.symbol)) {
        let shown = Shown { name: &function.symbol, title: None, description: &definition.description };
        link(table, FUNCTIONS, &shown, &definition.input_schema, &function.place.origin);
    }
    for tool in server_tools().filter(|tool| permits.tool(&tool.entity)) {
        if let Some((server, name)) = tool_of(&tool.name) {
            let at = format!("{SERVERS}/{server}/{name}");
            add(table, at, MountSource::Symlink { to: "../../bin/mcp".to_owned() }, &tool.place.origin);
        }
    }
    for memory in &boundaries.memories {
        let target = format!("{MEMORIES}/{}.json", memory.name);
        text(table, target, memory.schema.clone(), &memory.place.origin);
    }
}

/// The first line of what an agent can ask the broker for, if there is anything.
pub(super) fn callable<'a>(boundaries: &'a Boundaries, permits: &Permits) -> Option<&'a Place> {
    let tools = boundaries.tools.iter().filter(|tool| tool.definition.is_some() || tool.namespace == "mcp");
    let functions = boundaries.functions.iter().filter(|function| function.definition.is_some());
    let skills = boundaries.skills.iter().filter(|skill| permits.skill(&skill.entity));
    let skills = skills.filter(|skill| served(boundaries, skill).is_some());
    let servers = boundaries.mcp.iter().map(|mcp| (&mcp.name, &mcp.place));
    let servers = servers.chain(boundaries.servers.iter().map(|server| (&server.name, &server.host.place)));
    let servers = servers.filter(|(name, _)| permits.server(name));
    let places = tools.map(|tool| &tool.place).chain(functions.map(|function| &function.place));
    let places = places.chain(skills.map(|skill| &skill.place)).chain(servers.map(|(_, place)| place));
    places.chain(boundaries.memories.iter().map(|memory| &memory.place)).min()
}

/// What can be called by its name in `folder`: a link to our program, with what it takes beside it.
fn link(table: &mut Table, folder: &str, shown: &Shown<'_>, input: &Value, origin: &Origin) {
    let at = format!("{folder}/{}", shown.name);
    text(table, format!("{at}.schema.json"), format!("{input:#}\n"), origin);
    text(table, format!("{at}.help"), tool::help(shown, input), origin);
    add(table, at, MountSource::Symlink { to: "../bin/mcp".to_owned() }, origin);
}

fn text(table: &mut Table, target: String, content: String, origin: &Origin) {
    add(table, target, MountSource::File { content, mode: 0o444 }, origin);
}

fn add(table: &mut Table, target: String, source: MountSource, origin: &Origin) {
    let mount = Mount {
        target: target.clone(),
        source,
        access: Access::ReadOnly,
        optional: false,
        origin: origin.clone(),
    };
    table.insert(target, mount);
}
