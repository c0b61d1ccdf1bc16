//! The programs that the supervisor starts for the broker: their words are those of the plan, and of nobody else, and so is what
//! they are called on record.

use std::ffi::CString;

use agentfile::plan::{BrokerEntry, CLIENT, Calls, PROJECTION, Runs, SKILLS};
use agentrc_audit::text::printable_text;

use super::LAYER;
use crate::refusal::Refusal;

/// A program of the plan's.
pub(super) struct Program {
    /// None for a skill whose calls are runs of their own.
    pub(super) words: Vec<CString>,
    /// `call NAME`, as the act of each of its calls begins.
    called: String,
}

impl Program {
    /// That of an entry, if it has one.
    pub(super) fn of(entry: &BrokerEntry) -> Result<Option<Self>, Refusal> {
        let called = match entry {
            BrokerEntry::Tool { entity, .. } => format!("call {}", printable_text(entity)),
            BrokerEntry::Function { symbol, .. } => format!("call function.{symbol}"),
            BrokerEntry::Skill { definition: Some(skill), .. } => format!("call skill.{}", skill.name),
            _ => return Ok(None),
        };
        Ok(words(entry)?.map(|words| Self { words, called }))
    }

    /// Whether that is what `act` says.
    pub(super) fn is_meant(&self, act: &str) -> bool {
        act.strip_prefix(&self.called).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    }
}

/// The words of the program of an entry, if it has one.
fn words(entry: &BrokerEntry) -> Result<Option<Vec<CString>>, Refusal> {
    let words = match entry {
        BrokerEntry::Tool { entity, definition: Some(definition), .. } => match &definition.runs {
            Runs::Broker | Runs::Gateway | Runs::Http(_) | Runs::Server => return Ok(None),
            Runs::Inside => vec![CLIENT.to_owned(), "--builtin".to_owned(), entity.clone()],
            Runs::Program(path) => vec![path.clone()],
            Runs::Command(template) => {
                let template = serde_json::to_string(template).map_err(|error| {
                    Refusal::new(format!("the command of `{entity}`: {error}")).step(LAYER)
                })?;
                vec![CLIENT.to_owned(), "--command".to_owned(), template]
            }
        },
        BrokerEntry::Function { path: Some(path), symbol, definition: Some(definition), .. } => {
            let path = format!("{PROJECTION}/{path}");
            match definition.runs {
                Calls::Python => vec![CLIENT.to_owned(), "--function".to_owned(), path, symbol.clone()],
                Calls::Program => vec![path, symbol.clone()],
            }
        }
        // A run of its own, which has its words from its own plan.
        BrokerEntry::Skill { definition: Some(definition), .. } if definition.plan.is_some() => Vec::new(),
        // Which of them is executed comes on its standard input: it is held to these.
        BrokerEntry::Skill { definition: Some(definition), .. } => {
            let folder = format!("{SKILLS}/{}", definition.name);
            [CLIENT.to_owned(), "--skill".to_owned(), folder]
                .into_iter()
                .chain(definition.scripts.clone())
                .collect()
        }
        _ => return Ok(None),
    };
    words.iter().map(|word| c_string(word)).collect::<Result<_, _>>().map(Some)
}

/// As exec(2) takes it.
pub(super) fn c_string(text: &str) -> Result<CString, Refusal> {
    CString::new(text).map_err(|_| Refusal::new(format!("`{text}` has a NUL byte")).step(LAYER))
}
