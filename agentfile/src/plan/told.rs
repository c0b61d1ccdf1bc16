//! What an agent is told of the tools that a package brings: programs beside the Agentfile, tools of manuals, functions, and skills that have
//! scripts. It is what a model obeys, and so is pinned, as what a server says of its tools is. What is built in changes with agentrc alone.

use serde_json::{Map, Value, json};

use super::{BrokerEntry, FunctionDefinition, Hints, Origin, Plan, Runs, SkillDefinition, ToolDefinition};
use crate::json::sorted;

/// Namespace of functions: what their names begin with for whoever calls them, and their sources here.
pub const FUNCTION: &str = "function";
/// The same of skills.
pub const SKILL: &str = "skill";

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Told<'a> {
    /// As an agent calls it: `lint`, `function.score`, `skill.review`.
    pub name: String,
    /// Which it is in the Agentfile's folder, whatever Agentfile there declares it: `local:./tools/lint`, `utcp:deploy`,
    /// `function:score.py:score`, `skill:./skills/review`.
    pub source: String,
    /// All that a model or a client goes by, as MCP says it, names in order.
    pub definition: Value,
    /// The line.
    pub origin: &'a Origin,
}

impl Plan {
    /// Those that something may permit: what is not permitted is not shown.
    pub fn told(&self) -> impl Iterator<Item = Told<'_>> {
        self.broker.iter().filter_map(|entry| match entry {
            BrokerEntry::Tool {
                namespace,
                name,
                entity,
                permitted: true,
                definition: Some(tool),
                origin,
                ..
            } if is_brought(&tool.runs) => {
                let source = format!("{namespace}:{name}");
                Some(Told { name: entity.clone(), source, definition: of_tool(entity, tool), origin })
            }
            BrokerEntry::Function { path, symbol, permitted: true, definition: Some(function), origin } => {
                let name = format!("{FUNCTION}.{symbol}");
                let source = format!("{FUNCTION}:{}:{symbol}", path.as_deref().unwrap_or_default());
                Some(Told { definition: of_function(&name, function), name, source, origin })
            }
            BrokerEntry::Skill { reference, permitted: true, definition: Some(skill), origin } => {
                let name = format!("{SKILL}.{}", skill.name);
                let source = format!("{SKILL}:{reference}");
                Some(Told { definition: of_skill(&name, skill), name, source, origin })
            }
            _ => None,
        })
    }
}

/// Whether the package brings it. The words of what is built in are agentrc's own, and those of a server's tool the server's.
fn is_brought(runs: &Runs) -> bool {
    match runs {
        Runs::Program(_) | Runs::Command(_) | Runs::Http(_) => true,
        Runs::Broker | Runs::Gateway | Runs::Inside | Runs::Server => false,
    }
}

fn of_tool(name: &str, tool: &ToolDefinition) -> Value {
    definition(name, tool.title.as_deref(), &tool.description, &tool.input_schema, None, Some(tool.hints))
}

fn of_function(name: &str, function: &FunctionDefinition) -> Value {
    let FunctionDefinition { description, input_schema, output_schema, .. } = function;
    definition(name, None, description, input_schema, output_schema.as_ref(), Some(function.hints()))
}

fn of_skill(name: &str, skill: &SkillDefinition) -> Value {
    // Its hints follow from the Agentfile's lines, which another Agentfile of the folder may have otherwise.
    definition(name, None, &skill.description, &skill.input_schema, None, None)
}

fn definition(
    name: &str,
    title: Option<&str>,
    description: &str,
    input: &Value,
    output: Option<&Value>,
    hints: Option<Hints>,
) -> Value {
    let annotations = hints.map(|hints| {
        json!({
            "readOnlyHint": hints.read_only,
            "destructiveHint": hints.destructive,
            "idempotentHint": hints.idempotent,
            "openWorldHint": hints.open_world,
        })
    });
    let mut members = Map::new();
    members.insert("name".to_owned(), name.into());
    members.extend(title.map(|title| ("title".to_owned(), title.into())));
    members.insert("description".to_owned(), description.into());
    members.insert("inputSchema".to_owned(), input.clone());
    members.extend(output.map(|output| ("outputSchema".to_owned(), output.clone())));
    members.extend(annotations.map(|annotations| ("annotations".to_owned(), annotations)));
    sorted(&Value::Object(members))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints() -> Value {
        json!({ "read_only": false, "destructive": true, "idempotent": false, "open_world": false })
    }

    fn tool(name: &str, runs: &Value, permitted: bool) -> BrokerEntry {
        serde_json::from_value(json!({
            "kind": "tool", "namespace": "local", "name": format!("./{name}"), "entity": name, "permitted": permitted,
            "origin": "Agentfile:2:1", "definition": {
                "runs": runs, "title": "T", "description": "Acts.", "input_schema": { "type": "object" },
                "schema_sha256": "00", "facts": {}, "hints": hints(),
            },
        }))
        .unwrap()
    }

    fn plan(broker: Vec<BrokerEntry>) -> Plan {
        let mut plan: Plan = serde_json::from_value(json!({
            "format": 1, "agent": "a", "base": { "kind": "host" }, "command": null, "workdir": "/", "environment": [], "mounts": [],
            "landlock": { "minimum_abi": 1, "rules": [] },
            "seccomp": { "profile": "default", "table_sha256": "00", "origin": "a:1:1" },
            "capabilities": { "keep": [], "no_new_privs": true, "securebits": [] }, "namespaces": [],
            "limits": { "cgroup": [], "rlimits": [], "wall_seconds": null, "disk_bytes": null, "counted": [] },
            "egress": [], "cedar": { "schema_sha256": "00", "policies": [], "entities": [] }, "broker": [],
            "audit": { "level": "basic", "origin": "a:1:1" }, "grants": [],
        }))
        .unwrap();
        plan.broker = broker;
        plan
    }

    #[test]
    fn what_a_package_brings_is_told_and_what_is_built_in_or_denied_is_not() {
        let function = json!({
            "kind": "function", "path": "f.py", "symbol": "add", "permitted": true, "origin": "Agentfile:3:1",
            "definition": {
                "runs": "python", "description": "Adds.", "input_schema": { "type": "object" }, "schema_sha256": "00",
                "output_schema": { "type": "integer" },
            },
        });
        let skill = json!({
            "kind": "skill", "reference": "./skills/s", "permitted": true, "origin": "Agentfile:4:1", "definition": {
                "name": "s", "description": "Helps.", "scripts": ["scripts/a"], "input_schema": { "type": "object" },
                "schema_sha256": "00",
            },
        });
        let plan = plan(vec![
            tool("built", &json!("inside"), true),
            tool("asked", &json!("gateway"), true),
            tool("denied", &json!({ "program": "/x" }), false),
            tool("own", &json!({ "program": "/x" }), true),
            serde_json::from_value(function).unwrap(),
            serde_json::from_value(skill).unwrap(),
        ]);
        let told: Vec<_> = plan.told().collect();
        let names: Vec<_> = told.iter().map(|told| (told.name.as_str(), told.source.as_str())).collect();
        assert_eq!(
            names,
            [("own", "local:./own"), ("function.add", "function:f.py:add"), ("skill.s", "skill:./skills/s")]
        );
        let own = told[0].definition.to_string();
        assert!(own.starts_with(r#"{"annotations":{"destructiveHint":true,"#), "{own}");
        assert!(own.contains(r#""title":"T""#) && own.contains(r#""name":"own""#), "{own}");
        assert_eq!(told[1].definition["outputSchema"], json!({ "type": "integer" }));
        assert_eq!(told[2].definition["description"], "Helps.");
    }
}
