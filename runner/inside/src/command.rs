//! A command of a manual, in the sandbox of one call: the template comes from the plan, as a word; the arguments come on standard
//! input. Each value becomes exactly its part of one word, and there is no shell.

use std::convert::Infallible;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::{Map, Value};

use crate::builtin::ARGUMENTS;
use crate::json;

/// Becomes the command.
///
/// # Errors
/// The template or an argument is not what it must be, or the program cannot be executed.
pub(crate) fn execute(template: &str) -> Result<Infallible, String> {
    let template: Map<String, Value> = serde_json::from_str(template)
        .map_err(|error| format!("the command of the plan is no JSON: {error}"))?;
    let arguments = json::object(io::stdin().lock(), ARGUMENTS)?
        .ok_or_else(|| "there are no arguments on standard input".to_owned())?;
    let words = words(&template, &arguments)?;
    let Some((program, rest)) = words.split_first() else { return Err(unplanned("words")) };
    let mut command = Command::new(program);
    command.args(rest).stdin(Stdio::null());
    match template.get("directory") {
        None => {}
        Some(Value::String(directory)) => drop(command.current_dir(directory)),
        Some(_) => return Err(unplanned("a directory")),
    }
    match template.get("environment") {
        None => {}
        Some(Value::Object(variables)) => {
            for (name, value) in variables {
                command.env(name, value.as_str().ok_or_else(|| unplanned("a variable"))?);
            }
        }
        Some(_) => return Err(unplanned("variables")),
    }
    Err(format!("`{program}` cannot be executed: {}", command.exec()))
}

/// The words, with the arguments in their places.
fn words(template: &Map<String, Value>, arguments: &Map<String, Value>) -> Result<Vec<String>, String> {
    let wanted = template.get("words").and_then(Value::as_array).ok_or_else(|| unplanned("words"))?;
    let mut words = Vec::new();
    let mut used = Vec::new();
    for parts in wanted {
        let parts = parts.as_array().ok_or_else(|| unplanned("a word"))?;
        let mut word = String::new();
        let mut first = None;
        for part in parts {
            match (part.get("text"), part.get("argument")) {
                (Some(Value::String(text)), None) => word.push_str(text),
                (None, Some(Value::String(name))) => {
                    // The word is the argument's from its first byte on.
                    if word.is_empty() {
                        first = first.or(Some(name));
                    }
                    word.push_str(&value(name, arguments)?);
                    used.push(name.as_str());
                }
                _ => return Err(unplanned("a part of a word")),
            }
        }
        // The program would take it for an option of its own: `-exec`, `--upload-pack=…`. Behind `--`, too: not every program knows
        // what that means (find(1) does not).
        if let Some(name) = first.filter(|_| word.starts_with('-')) {
            return Err(format!("the argument `{name}` begins with `-`, and could be taken for an option"));
        }
        words.push(word);
    }
    match arguments.keys().find(|name| !used.contains(&name.as_str())) {
        Some(unknown) => Err(format!("there is no argument `{unknown}`")),
        None => Ok(words),
    }
}

/// An argument as a part of a word.
fn value(name: &str, arguments: &Map<String, Value>) -> Result<String, String> {
    let text = match arguments.get(name) {
        None => return Err(format!("`{name}` is missing")),
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        Some(_) => return Err(format!("`{name}` is not one word")),
    };
    if text.contains('\0') { Err(format!("`{name}` has a NUL in it")) } else { Ok(text) }
}

fn unplanned(what: &str) -> String {
    format!("the command of the plan has {what} that cannot be read")
}
