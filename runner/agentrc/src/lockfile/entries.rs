//! The lists of a lockfile that have what tools are said to be: `tools`, `functions` and `skills`.

use std::collections::BTreeMap;

use agentfile::json::sorted;
use agentfile::plan::told::{FUNCTION, SKILL};
use agentrc_audit::line::Digest;
use agentrc_host::pins::Pinned;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// Namespace of the tools of servers, as sources have it.
const SERVER: &str = "mcp:";
/// The lists.
const TOOLS: &str = "tools";
const FUNCTIONS: &str = "functions";
const SKILLS: &str = "skills";
/// What an entry may say that is not ours to say. It stays.
const KEPT: [&str; 2] = ["version", "digest"];

/// A tool: of a server, of a manual, or a program.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tool {
    /// As an agent calls it: `server.tool`, `lint`.
    name: String,
    /// `mcp:server`, `local:./tools/lint`, `utcp:deploy`.
    source: String,
    /// `sha256:` and the digest of the definition, as canonical JSON.
    hash: String,
    /// The same of what it takes.
    schema_hash: String,
    /// All that a model or a client goes by; so a change can be read, and reviewed.
    definition: Value,
    #[serde(rename = "version")]
    _version: Option<Value>,
    #[serde(rename = "digest")]
    _digest: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Function {
    /// Its file, relative to the Agentfile's folder.
    path: String,
    /// As policies know it.
    name: String,
    /// `function:PATH:NAME`
    source: String,
    hash: String,
    /// The digest of what it takes and returns.
    type_hint_digest: String,
    definition: Value,
    #[serde(rename = "version")]
    _version: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Skill {
    /// As policies know it.
    name: String,
    /// `skill:./skills/review`
    source: String,
    hash: String,
    definition: Value,
    #[serde(rename = "version")]
    _version: Option<Value>,
}

/// What the lists of `document` pin.
///
/// # Errors
/// One is none, or what it says of a tool is not what its digests say.
pub(super) fn read(document: &Map<String, Value>) -> Result<Pinned, String> {
    let mut pinned = Pinned::default();
    for Tool { name, source, hash, schema_hash, definition, .. } in list(document, TOOLS)? {
        consistent(&name, [(&hash, &definition), (&schema_hash, &takes(&definition))])?;
        let Some(server) = source.strip_prefix(SERVER) else {
            let is_other = [FUNCTION, SKILL].iter().any(|kind| is_of(&source, kind));
            if is_other || !source.contains(':') {
                return Err(format!("has a tool `{name}` of `{source}`, which has no tools"));
            }
            brought(&mut pinned, &name, &name, source, &definition)?;
            continue;
        };
        let Some(own) = name.strip_prefix(server).and_then(|rest| rest.strip_prefix('.')) else {
            return Err(format!("has a tool `{name}` of `{source}`, which is none of that server's"));
        };
        let known = pinned.servers.entry(server.to_owned()).or_default();
        if known.insert(own.to_owned(), sorted(&definition)).is_some() {
            return Err(twice(&name));
        }
    }
    for Function { path, name, source, hash, type_hint_digest, definition, .. } in list(document, FUNCTIONS)?
    {
        consistent(&name, [(&hash, &definition), (&type_hint_digest, &hints(&definition))])?;
        if source != format!("{FUNCTION}:{path}:{name}") {
            return Err(format!("has a function `{name}` of `{source}`, which is not that of `{path}`"));
        }
        brought(&mut pinned, &name, &format!("{FUNCTION}.{name}"), source, &definition)?;
    }
    for Skill { name, source, hash, definition, .. } in list(document, SKILLS)? {
        consistent(&name, [(&hash, &definition)])?;
        if !is_of(&source, SKILL) {
            return Err(format!("has a skill `{name}` of `{source}`, which is none"));
        }
        brought(&mut pinned, &name, &format!("{SKILL}.{name}"), source, &definition)?;
    }
    Ok(pinned)
}

/// Puts the lists into `document`; what it says of them that is not ours to say stays.
pub(super) fn write(document: &mut Map<String, Value>, pinned: &Pinned) {
    let mut lists: BTreeMap<&str, Vec<Value>> = BTreeMap::from([(TOOLS, Vec::new())]);
    // No longer there, no longer said.
    for name in [FUNCTIONS, SKILLS].into_iter().filter(|name| document.contains_key(*name)) {
        lists.entry(name).or_default();
    }
    for (server, tools) in &pinned.servers {
        for (tool, definition) in tools {
            let name = format!("{server}.{tool}");
            let entry = of_tool(&name, &format!("{SERVER}{server}"), definition);
            lists.entry(TOOLS).or_default().push(entry);
        }
    }
    for (source, definition) in &pinned.tools {
        let (list, entry) = of_brought(source, definition);
        lists.entry(list).or_default().push(entry);
    }
    for (name, mut entries) in lists {
        if let Some(Value::Array(old)) = document.get(name) {
            keep(&mut entries, old);
        }
        document.insert(name.to_owned(), entries.into());
    }
}

/// The list that one is in that the package brings, and its entry.
fn of_brought(source: &str, definition: &Value) -> (&'static str, Value) {
    let name = definition.get("name").and_then(Value::as_str).unwrap_or_default();
    let of = |kind: &str| name.strip_prefix(kind)?.strip_prefix('.').filter(|_| is_of(source, kind));
    if let Some(name) = of(FUNCTION) {
        let place = source.get(FUNCTION.len() + 1..).unwrap_or_default();
        let path = place.strip_suffix(name).and_then(|path| path.strip_suffix(':')).unwrap_or_default();
        let entry = json!({
            "path": path, "name": name, "source": source, "hash": digest(definition),
            "type_hint_digest": digest(&hints(definition)), "definition": definition,
        });
        return (FUNCTIONS, entry);
    }
    if let Some(name) = of(SKILL) {
        let entry =
            json!({ "name": name, "source": source, "hash": digest(definition), "definition": definition });
        return (SKILLS, entry);
    }
    (TOOLS, of_tool(name, source, definition))
}

fn of_tool(name: &str, source: &str, definition: &Value) -> Value {
    json!({
        "name": name, "source": source, "hash": digest(definition),
        "schema_hash": digest(&takes(definition)), "definition": definition,
    })
}

/// What else the entries that were there say.
fn keep(entries: &mut [Value], old: &[Value]) {
    let of = |entry: &Value| Some((entry.get("source")?.to_string(), entry.get("name")?.to_string()));
    let old: BTreeMap<_, _> = old.iter().filter_map(|entry| Some((of(entry)?, entry))).collect();
    for entry in entries {
        let Some(before) = of(entry).and_then(|name| old.get(&name)) else { continue };
        let Some(members) = entry.as_object_mut() else { continue };
        let kept = KEPT.iter().filter_map(|name| Some(((*name).to_owned(), before.get(*name)?.clone())));
        members.extend(kept);
    }
}

/// Adds one that the package brings; `told` is what an agent calls it.
fn brought(
    pinned: &mut Pinned,
    name: &str,
    told: &str,
    source: String,
    definition: &Value,
) -> Result<(), String> {
    if definition.get("name").and_then(Value::as_str) != Some(told) {
        return Err(format!("says of `{name}` that it is another"));
    }
    match pinned.tools.insert(source, sorted(definition)) {
        None => Ok(()),
        Some(_) => Err(twice(name)),
    }
}

fn consistent<const N: usize>(name: &str, digests: [(&String, &Value); N]) -> Result<(), String> {
    let holds = digests.iter().all(|(said, value)| **said == digest(value));
    if holds { Ok(()) } else { Err(format!("says of `{name}` what its digests do not")) }
}

fn list<T: DeserializeOwned>(document: &Map<String, Value>, name: &str) -> Result<Vec<T>, String> {
    let Some(list) = document.get(name) else { return Ok(Vec::new()) };
    serde_json::from_value(list.clone()).map_err(|error| format!("has `{name}` that are none: {error}"))
}

fn is_of(source: &str, kind: &str) -> bool {
    source.strip_prefix(kind).is_some_and(|rest| rest.starts_with(':'))
}

fn twice(name: &str) -> String {
    format!("has two tools `{name}`")
}

/// What a tool takes.
fn takes(definition: &Value) -> Value {
    definition.get("inputSchema").cloned().unwrap_or_default()
}

/// What a function takes and returns.
fn hints(definition: &Value) -> Value {
    json!({ "inputSchema": takes(definition), "outputSchema": definition.get("outputSchema") })
}

fn digest(value: &Value) -> String {
    format!("sha256:{}", Digest::of(sorted(value).to_string().as_bytes()))
}
