//! What can be called, by the one name that policies, the protocol and the projection have for it. Names are compared byte for
//! byte; what is not here does not exist.

use std::collections::BTreeMap;

use agentfile::plan::{BrokerEntry, Facts, Hints, Origin, Plan, Runs};
use agentrc_service::channel::cut;
use jsonschema::Validator;
use serde_json::Value;

use crate::memory;

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
    pub(crate) namespace: String,
    pub(crate) title: Option<String>,
    pub(crate) description: String,
    pub(crate) input: Value,
    pub(crate) hints: Hints,
    pub(crate) facts: Facts,
    pub(crate) does: Does,
    pub(crate) origin: Origin,
    validator: Validator,
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
}

/// All of them, by name.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    tools: BTreeMap<String, Tool>,
}

impl Tools {
    /// Those of a plan that something could permit.
    pub(crate) fn of(plan: &Plan) -> Result<Self, Error> {
        let mut all = Self::default();
        for (entry, declared) in plan.broker.iter().enumerate() {
            let BrokerEntry::Tool {
                namespace,
                entity,
                permitted: true,
                definition: Some(definition),
                origin,
                ..
            } = declared
            else {
                continue;
            };
            let does = match &definition.runs {
                Runs::Broker => Does::CurrentTime,
                // `run` has refused the plan.
                Runs::Http(_) => continue,
                Runs::Inside | Runs::Program(_) | Runs::Command(_) => Does::Execute { entry },
            };
            let tool = Tool {
                namespace: namespace.clone(),
                title: definition.title.clone(),
                description: definition.description.clone(),
                input: definition.input_schema.clone(),
                hints: definition.hints,
                facts: definition.facts.clone(),
                does,
                origin: origin.clone(),
                validator: validator(entity, &definition.input_schema)?,
            };
            all.add(entity, tool)?;
        }
        for (name, definition) in memory::tools(plan) {
            let memory::Definition { act, title, description, input, hints, origin } = definition;
            let tool = Tool {
                namespace: "memory".to_owned(),
                title: Some(title),
                description,
                validator: validator(&name, &input)?,
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

    fn add(&mut self, name: &str, tool: Tool) -> Result<(), Error> {
        match self.tools.insert(name.to_owned(), tool) {
            None => Ok(()),
            Some(_) => Err(Error::Twice(name.to_owned())),
        }
    }

    /// The one of exactly this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Tool> {
        self.tools.get(name)
    }

    /// In the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Tool)> {
        self.tools.iter().map(|(name, tool)| (name.as_str(), tool))
    }

    pub(crate) fn len(&self) -> usize {
        self.tools.len()
    }
}

impl Tool {
    /// What is wrong with `arguments`, if anything is.
    pub(crate) fn unfit(&self, arguments: &Value) -> Option<String> {
        let error = self.validator.iter_errors(arguments).next()?;
        let place = error.instance_path().to_string();
        let at = if place.is_empty() { String::new() } else { format!("`{place}`: ") };
        // It quotes the argument, which may be long.
        Some(cut(&format!("{at}{error}")))
    }
}

fn validator(name: &str, schema: &Value) -> Result<Validator, Error> {
    jsonschema::draft202012::new(schema)
        .map_err(|error| Error::Schema { name: name.to_owned(), fault: error.to_string() })
}
