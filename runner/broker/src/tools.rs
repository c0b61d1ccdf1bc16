//! What can be called, by the one name that policies, the protocol and the projection have for it. Names are compared byte for
//! byte; what is not here does not exist.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use agentfile::plan::told::{FUNCTION, SKILL};
use agentfile::plan::{
    BrokerEntry, Calls, Facts, FunctionDefinition, Hints, HttpTemplate, Origin, Plan, Runs, SkillDefinition,
    ToolDefinition,
};
use serde_json::{Map, Value};

use crate::memory;
use crate::schema::Schema;

/// Why the plan's tools cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the schema of `{name}` cannot be used: {fault}")]
    Schema { name: String, fault: String },
    #[error("two tools are called `{0}`")]
    Twice(String),
}

/// One that can be called.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) kind: Kind,
    /// As policies and limits know it.
    pub(crate) entity: String,
    pub(crate) namespace: String,
    pub(crate) title: Option<String>,
    pub(crate) description: String,
    pub(crate) input: Value,
    pub(crate) hints: Hints,
    pub(crate) facts: Facts,
    pub(crate) does: Does,
    pub(crate) origin: Origin,
    /// Whether our adapter speaks for it.
    pub(crate) adapted: bool,
    /// Whether each call of it is a run of its own.
    pub(crate) apart: bool,
    /// Whether such a run has a network.
    pub(crate) networked: bool,
    schema: Schema,
    /// What its result must be, and that for clients, who know it of objects alone (MCP 2025-11-25, "Output Schema").
    result: Option<Schema>,
    pub(crate) output: Option<Arc<Map<String, Value>>>,
}

/// What the policies are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `tool.invoke`
    Tool,
    /// `function.invoke`
    Function,
    /// `skill.invoke`
    Skill,
    /// `memory.read`, `memory.write`
    Memory,
}

/// What a call does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Does {
    /// Tells the time.
    CurrentTime,
    /// Executes this entry of the plan's.
    Execute { entry: usize },
    /// An act on a memory.
    Memory(memory::Act),
    /// Makes an HTTP request, by the gateway: one of a manual's, or the one that its arguments say.
    Request(Option<Box<HttpTemplate>>),
    /// Asks this server of the plan's for its tool of this name.
    Server { server: usize, tool: String },
}

impl Does {
    /// The entry of the plan's that it executes.
    pub(crate) fn entry(&self) -> Option<usize> {
        if let Self::Execute { entry } = self { Some(*entry) } else { None }
    }
}

/// All of them, by name.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    tools: BTreeMap<String, Rc<Tool>>,
}

impl Tools {
    /// Those of a plan that something could permit.
    pub(crate) fn of(plan: &Plan) -> Result<Self, Error> {
        let mut all = Self::default();
        for (entry, declared) in plan.broker.iter().enumerate() {
            match declared {
                BrokerEntry::Tool {
                    namespace,
                    entity,
                    permitted: true,
                    definition: Some(definition),
                    origin,
                    ..
                } => {
                    let does = match &definition.runs {
                        Runs::Broker => Does::CurrentTime,
                        Runs::Server => continue,
                        Runs::Gateway => Does::Request(None),
                        Runs::Http(template) => Does::Request(Some(template.clone())),
                        Runs::Inside | Runs::Program(_) | Runs::Command(_) => Does::Execute { entry },
                    };
                    all.define(entity, namespace, definition, does, origin)?;
                }
                BrokerEntry::Function {
                    symbol,
                    permitted: true,
                    definition: Some(definition),
                    origin,
                    ..
                } => {
                    let name = format!("{FUNCTION}.{symbol}");
                    all.add(&name, of_function(entry, symbol, definition, origin)?)?;
                }
                BrokerEntry::Skill { permitted: true, definition: Some(definition), origin, .. } => {
                    let name = format!("{SKILL}.{}", definition.name);
                    all.add(&name, of_skill(entry, definition, origin)?)?;
                }
                _ => {}
            }
        }
        for (name, definition) in memory::tools(plan) {
            let memory::Definition { act, title, description, input, hints, origin } = definition;
            let tool = Tool {
                kind: Kind::Memory,
                entity: name.clone(),
                adapted: false,
                apart: false,
                networked: false,
                result: None,
                output: None,
                namespace: "memory".to_owned(),
                title: Some(title),
                description,
                schema: schema(&name, &input)?,
                input,
                hints,
                facts: Facts::default(),
                does: Does::Memory(act),
                origin,
            };
            all.add(&name, tool)?;
        }
        Ok(all)
    }

    /// Adds one that is defined as tools of a plan are.
    pub(crate) fn define(
        &mut self,
        name: &str,
        namespace: &str,
        definition: &ToolDefinition,
        does: Does,
        origin: &Origin,
    ) -> Result<(), Error> {
        let tool = Tool {
            kind: Kind::Tool,
            entity: name.to_owned(),
            namespace: namespace.to_owned(),
            title: definition.title.clone(),
            description: definition.description.clone(),
            input: definition.input_schema.clone(),
            hints: definition.hints,
            facts: definition.facts.clone(),
            does,
            origin: origin.clone(),
            adapted: false,
            apart: false,
            networked: false,
            schema: schema(name, &definition.input_schema)?,
            result: None,
            output: None,
        };
        self.add(name, tool)
    }

    fn add(&mut self, name: &str, tool: Tool) -> Result<(), Error> {
        match self.tools.insert(name.to_owned(), Rc::new(tool)) {
            None => Ok(()),
            Some(_) => Err(Error::Twice(name.to_owned())),
        }
    }

    /// The one of exactly this name.
    pub(crate) fn get(&self, name: &str) -> Option<Rc<Tool>> {
        self.tools.get(name).map(Rc::clone)
    }

    /// In the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Tool)> {
        self.tools.iter().map(|(name, tool)| (name.as_str(), tool.as_ref()))
    }

    pub(crate) fn len(&self) -> usize {
        self.tools.len()
    }
}

impl Tool {
    /// What is wrong with `arguments`, if anything is.
    pub(crate) fn unfit(&self, arguments: &Value) -> Option<String> {
        self.schema.unfit(arguments)
    }

    /// What is wrong with its result, if anything is.
    pub(crate) fn unfit_result(&self, result: &Value) -> Option<String> {
        self.result.as_ref().and_then(|schema| schema.unfit(result))
    }
}

fn of_function(
    entry: usize,
    symbol: &str,
    definition: &FunctionDefinition,
    origin: &Origin,
) -> Result<Tool, Error> {
    let output = definition.output_schema.as_ref();
    let result = output.map(|output| schema(symbol, output)).transpose()?;
    let members = output.and_then(Value::as_object);
    let output = members.filter(|schema| schema.get("type").and_then(Value::as_str) == Some("object"));
    let output = output.cloned().map(Arc::new);
    Ok(Tool {
        kind: Kind::Function,
        entity: symbol.to_owned(),
        namespace: FUNCTION.to_owned(),
        title: None,
        description: definition.description.clone(),
        input: definition.input_schema.clone(),
        hints: definition.hints(),
        facts: Facts::default(),
        does: Does::Execute { entry },
        origin: origin.clone(),
        adapted: definition.runs == Calls::Python,
        apart: false,
        networked: false,
        schema: schema(symbol, &definition.input_schema)?,
        result,
        output,
    })
}

fn of_skill(entry: usize, definition: &SkillDefinition, origin: &Origin) -> Result<Tool, Error> {
    Ok(Tool {
        kind: Kind::Skill,
        entity: definition.name.clone(),
        namespace: SKILL.to_owned(),
        title: None,
        description: definition.description.clone(),
        input: definition.input_schema.clone(),
        hints: definition.hints(),
        facts: Facts::default(),
        does: Does::Execute { entry },
        origin: origin.clone(),
        adapted: false,
        apart: definition.plan.is_some(),
        networked: definition.networked(),
        schema: schema(&definition.name, &definition.input_schema)?,
        result: None,
        output: None,
    })
}

fn schema(name: &str, schema: &Value) -> Result<Schema, Error> {
    Schema::of(schema).map_err(|fault| Error::Schema { name: name.to_owned(), fault })
}
