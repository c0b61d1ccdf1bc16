//! The words of the programs that the supervisor starts for the broker: those of the plan, and of nobody else.

use std::ffi::CString;

use agentfile::plan::{BrokerEntry, CLIENT, Calls, PROJECTION, Runs, SKILLS};

use super::LAYER;
use crate::refusal::Refusal;

/// The words of the program of an entry, if it has one.
pub(super) fn words(entry: &BrokerEntry) -> Result<Option<Vec<CString>>, Refusal> {
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
        // Which of them is executed comes on its standard input: it is held to these. One with a plan is a run of its own.
        BrokerEntry::Skill { definition: Some(definition), .. } if definition.plan.is_none() => {
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
