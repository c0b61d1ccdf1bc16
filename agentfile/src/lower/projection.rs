//! What the runner shows the agent under `/agentrc`, read-only: the files that lines name, the procedure, and where there
//! is something to ask the broker for, the way to it: its socket, our program that speaks to it, a link to that for each
//! tool, and what tools and memories take.

use std::collections::HashSet;

use super::mounts::Table;
use crate::boundary::Boundaries;
use crate::path;
use crate::place::Place;
use crate::plan::{
    Access, CLIENT, Generated, HostPath, MEMORIES, Mount, MountSource, Origin, SERVERS, SOCKET, TOOLS,
};
use crate::policy::permits::Permits;
use crate::server::tool_of;
use crate::tool;

/// Adds all of it to `table`.
pub(super) fn projection(boundaries: &Boundaries, permits: &Permits, table: &mut Table) {
    named(boundaries, table);
    if let Some(procedure) = &boundaries.procedure {
        text(table, "/agentrc/SOP".to_owned(), procedure.text.clone(), &procedure.place.origin);
    }
    broker(boundaries, permits, table);
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
    let tools = || boundaries.tools.iter().filter_map(|tool| Some((tool, tool.definition.as_ref()?)));
    let server_tools = || boundaries.tools.iter().filter(|tool| tool.namespace == "mcp");
    let places = tools().map(|(tool, _)| &tool.place).chain(server_tools().map(|tool| &tool.place));
    let places = places.chain(boundaries.memories.iter().map(|memory| &memory.place));
    let Some(Place { origin, .. }) = places.min() else { return };
    add(table, SOCKET.to_owned(), MountSource::Socket, origin);
    add(table, CLIENT.to_owned(), MountSource::Generated { what: Generated::Client }, origin);
    // What nothing permits is not there: a link that always fails would only mislead.
    for (tool, definition) in tools().filter(|(tool, _)| permits.tool(&tool.entity)) {
        let (name, origin) = (&tool.entity, &tool.place.origin);
        let at = format!("{TOOLS}/{name}");
        let schema = format!("{:#}\n", definition.input_schema);
        text(table, format!("{at}.schema.json"), schema, origin);
        text(table, format!("{at}.help"), tool::help(name, definition), origin);
        add(table, at, MountSource::Symlink { to: "../bin/mcp".to_owned() }, origin);
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
