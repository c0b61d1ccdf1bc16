//! The memories that the plan declares, as tools: `memory.read`, `memory.list`, `memory.search`, `memory.write`,
//! `memory.delete`. What the agent was given by a tool or the network is untrusted, and what it writes then is too.

use std::cell::RefCell;
use std::collections::BTreeMap;

use agentfile::plan::{BrokerEntry, Hints, Origin, Plan};
use agentrc_audit::folder::Folder;
use agentrc_memory::{
    Approver, Confirmation, Effect, Error, Limits, Mode, Name, Provenance, Schema, Store, Trust, Version,
};
use serde_json::{Map, Value, json};

/// Most results of one call that says nothing else.
const RESULTS: u64 = 20;

/// What is done to a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Read,
    List,
    Search,
    Write,
    Delete,
}

impl Act {
    /// Whether it changes something: `memory.write` for policies, `memory.read` otherwise.
    pub(crate) fn changes(self) -> bool {
        matches!(self, Self::Write | Self::Delete)
    }
}

/// A tool's definition, of an act on all memories that it fits.
pub(crate) struct Definition {
    pub(crate) act: Act,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) input: Value,
    pub(crate) hints: Hints,
    pub(crate) origin: Origin,
}

/// The acts, with their title, their description and the properties of their arguments.
const ACTS: [(Act, &str, &str, &str); 5] = [
    (
        Act::Read,
        "memory.read",
        "Read from memory",
        "Reads the value that is kept under a key, with where it came from.",
    ),
    (
        Act::List,
        "memory.list",
        "List a memory",
        "Lists the keys that have a value, in order; `after` goes on behind a key.",
    ),
    (
        Act::Search,
        "memory.search",
        "Search a memory",
        "Finds the values that have all words of a query, the best matches first.",
    ),
    (
        Act::Write,
        "memory.write",
        "Write to memory",
        "Keeps a value under a key, in place of what was there. Old versions stay.",
    ),
    (Act::Delete, "memory.delete", "Delete from memory", "Deletes the value of a key. Old versions stay."),
];

fn properties(act: Act) -> (Value, &'static [&'static str]) {
    let key = json!({ "type": "string", "minLength": 1, "maxLength": 256, "description": "The key." });
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": 100, "default": RESULTS });
    match act {
        Act::Read | Act::Delete => (json!({ "key": key }), &["key"]),
        Act::List => (json!({ "after": key, "limit": limit }), &[]),
        Act::Search => (
            json!({
                "query": { "type": "string", "maxLength": 1024, "description": "Words; all must be there." },
                "skip": { "type": "integer", "minimum": 0, "maximum": 1_000_000, "default": 0 },
                "limit": limit,
            }),
            &["query"],
        ),
        Act::Write => (
            json!({ "key": key, "value": { "description": "What the memory's schema takes." } }),
            &["key", "value"],
        ),
    }
}

/// The tools that a plan's memories come to; none without a memory.
pub(crate) fn tools(plan: &Plan) -> Vec<(String, Definition)> {
    let memories: Vec<_> = declared(plan).collect();
    let mut made = Vec::new();
    for (act, name, title, description) in ACTS {
        let fit = memories.iter().filter(|memory| memory.fits.act(act));
        let names: Vec<&str> = fit.clone().map(|memory| memory.name).collect();
        let Some(first) = fit.clone().next() else { continue };
        let (mut properties, required) = properties(act);
        let mut required: Vec<&str> = required.to_vec();
        if let Some(members) = properties.as_object_mut() {
            members.insert("memory".to_owned(), json!({ "enum": names, "description": "Which memory." }));
        }
        // One that is alone needs not be named.
        if names.len() > 1 {
            required.push("memory");
        }
        let input = json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        });
        let hints = Hints {
            read_only: !act.changes(),
            destructive: act.changes(),
            idempotent: !act.changes(),
            open_world: false,
        };
        let definition = Definition {
            act,
            title: title.to_owned(),
            description: description.to_owned(),
            input,
            hints,
            origin: first.origin.clone(),
        };
        made.push((name.to_owned(), definition));
    }
    made
}

struct Declared<'a> {
    name: &'a str,
    schema_path: &'a str,
    schema_type: &'a str,
    schema_sha256: &'a str,
    fits: Fits,
    origin: &'a Origin,
}

/// What could be permitted of a memory.
#[derive(Debug, Clone, Copy)]
struct Fits {
    readable: bool,
    writable: bool,
}

impl Fits {
    fn act(self, act: Act) -> bool {
        if act.changes() { self.writable } else { self.readable }
    }
}

fn declared(plan: &Plan) -> impl Iterator<Item = Declared<'_>> {
    plan.broker.iter().filter_map(|entry| match entry {
        BrokerEntry::Memory { name, schema_path, schema_type, readable, writable, schema_sha256, origin } => {
            let fits = Fits { readable: *readable, writable: *writable };
            Some(Declared { name, schema_path, schema_type, schema_sha256, fits, origin })
        }
        _ => None,
    })
}

/// One memory.
#[derive(Debug)]
struct Memory {
    fits: Fits,
    kind: String,
    origin: Origin,
    store: RefCell<Store>,
}

/// All memories of a run.
#[derive(Debug)]
pub(crate) struct Memories {
    all: BTreeMap<String, Memory>,
}

/// Who confirms what content that is not trusted changes.
#[derive(Debug)]
pub(crate) enum Confirms {
    /// Nobody.
    Nobody,
    /// A place in the host's configuration, whatever it is.
    Rule(Approver),
    /// A person, exactly this.
    Person(Approver, Box<Effect>),
}

/// Why an act was not performed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// Somebody would have to be asked.
    Unconfirmed(String),
    /// It could not be.
    Error(String),
}

impl Memories {
    /// Those of a plan, whose schema files `read` gives, opened in the state directory: one that cannot be used is known before the
    /// agent starts.
    ///
    /// # Errors
    /// A schema that is not the plan's any more, or a store that cannot be opened; with the line that declares the memory.
    pub(crate) fn of(
        plan: &Plan,
        state: Option<&Folder>,
        read: impl Fn(&str) -> Result<Vec<u8>, String>,
    ) -> Result<Self, String> {
        let mut all = BTreeMap::new();
        for Declared { name, schema_path, schema_type, schema_sha256, fits, origin } in declared(plan) {
            let opened = read(schema_path).and_then(|bytes| {
                let schema =
                    Schema::planned(&bytes, schema_type, schema_sha256).map_err(|error| error.to_string())?;
                let state = state.ok_or("there is no state directory")?;
                let wanted = Name { agent: &plan.agent, memory: name, mode: Mode::of(fits.writable) };
                Store::open(state, wanted, schema, Limits::default()).map_err(|error| error.to_string())
            });
            let store = opened.map_err(|why| format!("`MEMORY {name}` ({origin}): {why}"))?;
            let memory = Memory {
                fits,
                kind: schema_type.to_owned(),
                origin: origin.clone(),
                store: RefCell::new(store),
            };
            all.insert(name.to_owned(), memory);
        }
        Ok(Self { all })
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Name, schema's type and line of the memory that `arguments` mean: the one they name, or the only one that fits.
    pub(crate) fn meant(&self, act: Act, arguments: &Map<String, Value>) -> Option<(String, String, Origin)> {
        let fits = |memory: &Memory| memory.fits.act(act);
        let (name, memory) = match arguments.get("memory").and_then(Value::as_str) {
            Some(name) => self.all.get_key_value(name).filter(|(_, memory)| fits(memory))?,
            None => {
                let mut fit = self.all.iter().filter(|(_, memory)| fits(memory));
                let only = fit.next()?;
                if fit.next().is_some() {
                    return None;
                }
                only
            }
        };
        Some((name.clone(), memory.kind.clone(), memory.origin.clone()))
    }

    /// Performs `act`. The result, and the least trusted of what is in it.
    ///
    /// # Errors
    /// Why not; nothing was changed then.
    pub(crate) fn perform(
        &self,
        act: Act,
        name: &str,
        arguments: &Map<String, Value>,
        provenance: &Provenance,
        confirms: &Confirms,
    ) -> Result<(Value, Trust), Failed> {
        let memory =
            self.all.get(name).ok_or_else(|| Failed::Error(format!("there is no memory `{name}`")))?;
        let mut store = memory.store.borrow_mut();
        let text = |key: &str| arguments.get(key).and_then(Value::as_str).unwrap_or_default();
        let number =
            |key: &str, otherwise: u64| arguments.get(key).and_then(Value::as_u64).unwrap_or(otherwise);
        let limit = usize::try_from(number("limit", RESULTS)).unwrap_or(usize::MAX);
        match act {
            Act::Read => {
                let found = store.read(text("key")).map_err(failed)?;
                let trust = found.as_ref().map_or(Trust::Trusted, |version| version.provenance.trust);
                let found = found.as_ref().map_or(json!({ "found": false }), shown);
                Ok((found, trust))
            }
            Act::List => {
                let after = arguments.get("after").and_then(Value::as_str);
                let page = store.list(after, limit).map_err(failed)?;
                // Keys are content, too.
                let trust = least(page.items.iter().map(|listed| listed.trust));
                let keys = page.items.iter().map(|listed| {
                    json!({ "key": listed.key, "version": listed.version, "trust": listed.trust.word() })
                });
                Ok((json!({ "keys": keys.collect::<Vec<_>>(), "more": page.more }), trust))
            }
            Act::Search => {
                let skip = u32::try_from(number("skip", 0)).unwrap_or(u32::MAX);
                let page = store.search(text("query"), skip, limit).map_err(failed)?;
                let trust = least(page.items.iter().map(|version| version.provenance.trust));
                let results: Vec<_> = page.items.iter().map(shown).collect();
                Ok((json!({ "results": results, "more": page.more }), trust))
            }
            Act::Write => {
                let value = arguments.get("value").unwrap_or(&Value::Null);
                let key = text("key");
                let version = confirmed(confirms, |yes| store.write(key, value, provenance, yes))?;
                Ok((json!({ "key": key, "version": version }), Trust::Trusted))
            }
            Act::Delete => {
                let key = text("key");
                let version = confirmed(confirms, |yes| store.delete(key, provenance, yes))?;
                Ok((json!({ "key": key, "version": version }), Trust::Trusted))
            }
        }
    }

    /// What `act` would change, where content that is not trusted would change something: what a person is shown. Nothing is.
    ///
    /// # Errors
    /// Why it cannot be done, whoever confirms it.
    pub(crate) fn effect(
        &self,
        act: Act,
        name: &str,
        arguments: &Map<String, Value>,
        provenance: &Provenance,
    ) -> Result<Option<Box<Effect>>, String> {
        if !act.changes() || !provenance.trust.needs_confirmation() {
            return Ok(None);
        }
        let memory = self.all.get(name).ok_or_else(|| format!("there is no memory `{name}`"))?;
        let mut store = memory.store.borrow_mut();
        let key = arguments.get("key").and_then(Value::as_str).unwrap_or_default();
        let tried = match act {
            Act::Write => store.write(key, arguments.get("value").unwrap_or(&Value::Null), provenance, None),
            _ => store.delete(key, provenance, None),
        };
        match tried {
            Err(Error::NeedsConfirmation(effect)) => Ok(Some(effect)),
            Err(error) => Err(error.to_string()),
            Ok(_) => Err("it was changed without the confirmation that it needs".to_owned()),
        }
    }
}

/// Performs a change; once more with a confirmation when it needs one and has it.
fn confirmed(
    confirms: &Confirms,
    mut change: impl FnMut(Option<Confirmation>) -> Result<u64, Error>,
) -> Result<u64, Failed> {
    match change(None) {
        Err(Error::NeedsConfirmation(effect)) => match confirms {
            Confirms::Rule(rule) => change(Some(rule.confirm(&effect))).map_err(failed),
            // What it has become meanwhile is not what was looked at: the store compares.
            Confirms::Person(person, seen) => change(Some(person.confirm(seen))).map_err(failed),
            Confirms::Nobody => Err(Failed::Unconfirmed(format!(
                "the agent has been given content from: {}; what it writes then needs a confirmation: of a person, when \
                 `@approval` on the permit of `memory.write` or the host's agentrc.toml asks for one (`[memory] untrusted = \
                 \"ask\"`), or of that file (`untrusted = \"allow\"`)",
                effect.trust().word()
            ))),
        },
        other => other.map_err(failed),
    }
}

fn failed(error: Error) -> Failed {
    Failed::Error(error.to_string())
}

fn shown(version: &Version) -> Value {
    let Version { key, version, value, provenance, unfit, .. } = version;
    let mut shown = json!({
        "found": true, "key": key, "version": version, "value": value,
        "run": provenance.run, "trust": provenance.trust.word(),
    });
    if let (Some(why), Some(members)) = (unfit, shown.as_object_mut()) {
        members.insert("unfit".to_owned(), json!(why));
    }
    shown
}

/// The least trusted of these.
fn least(all: impl Iterator<Item = Trust>) -> Trust {
    all.fold(Trust::Trusted, lesser)
}

/// The less trusted of two.
pub(crate) fn lesser(one: Trust, other: Trust) -> Trust {
    let rank = |trust| match trust {
        Trust::Trusted => 0,
        Trust::Tool => 1,
        Trust::Network => 2,
    };
    if rank(one) >= rank(other) { one } else { other }
}
