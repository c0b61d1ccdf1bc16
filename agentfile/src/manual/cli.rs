//! A tool of a manual that is a command. One command, whose program is fixed; an argument's value becomes exactly its part of one
//! word, cannot be taken for an option, and is no code.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::{scalar, split};
use crate::path;
use crate::plan::{CommandTemplate, Part, Runs};
use crate::schema::Fault;
use crate::tool::INTERPRETERS;

const FIXED: &str =
    "write the word as it is, or write a program of your own and declare it as `TOOL local:./tools/NAME`";

/// What UTCP has of a command line (1.0, "CliCallTemplate").
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    #[serde(rename = "call_template_type")]
    _call_template_type: String,
    #[serde(rename = "name")]
    _name: Option<String>,
    commands: Vec<Command>,
    #[serde(default)]
    env_vars: Option<BTreeMap<String, String>>,
    working_dir: Option<String>,
    auth: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Command {
    command: String,
    append_to_final_output: Option<bool>,
}

/// The command of `template`, for arguments that are `inputs`.
///
/// # Errors
/// The first [`Fault`].
pub(super) fn read(template: Value, inputs: &Value) -> Result<Runs, Fault> {
    let template: Template = serde_json::from_value(template).map_err(|error| {
        let example = "write {\"call_template_type\": \"cli\", \"commands\": [{\"command\": \"git log -- UTCP_ARG_path_UTCP_END\"}]}";
        Fault::new(format!("is not a command of UTCP 1: {error}"), example)
    })?;
    if template.auth.is_some_and(|auth| !auth.is_null()) {
        return Err(Fault::new("has `auth`, and a command has none", "remove it"));
    }
    let Ok([command]) = <[Command; 1]>::try_from(template.commands) else {
        return Err(Fault::new(
            "is not exactly one command",
            "write a program of your own for several, and declare it as `TOOL local:./tools/NAME`",
        ));
    };
    if command.append_to_final_output == Some(false) {
        return Err(Fault::new("drops what its command says", "remove `append_to_final_output`"));
    }
    let words = split::words(&command.command)?;
    program(&words)?;
    options(&words)?;
    code(&words)?;
    arguments(&words, inputs)?;
    let environment = template.env_vars.unwrap_or_default();
    environment.iter().try_for_each(|(name, value)| variable(name, value))?;
    let directory = template.working_dir.map(|text| {
        path::inside(&text).map_err(|fault| {
            let text: String = text.escape_debug().take(200).collect();
            Fault::new(
                format!("has the `working_dir` `{text}`, which {fault}"),
                "write an absolute path inside",
            )
        })
    });
    Ok(Runs::Command(CommandTemplate { words, directory: directory.transpose()?, environment }))
}

/// The text of a word without an argument.
fn fixed(word: &[Part]) -> Option<&str> {
    match word {
        [Part::Text(text)] => Some(text),
        _ => None,
    }
}

/// The first word: a program that no argument chooses.
fn program(words: &[Vec<Part>]) -> Result<(), Fault> {
    let Some(first) = words.first() else {
        return Err(Fault::new("is an empty command", "name a program"));
    };
    let Some(program) = fixed(first) else {
        return Err(Fault::new("lets an argument choose the program", "name one program"));
    };
    if program.contains('=') || program.is_empty() {
        return Err(Fault::new("begins with a variable, which is a shell's", "write it into `env_vars`"));
    }
    let name = !program.contains('/') && !program.starts_with('-');
    if name || program.starts_with("./") || path::inside(program).is_ok_and(|path| path == program) {
        return Ok(());
    }
    Err(Fault::new(
        format!("has the program `{program}`, which may be another wherever it begins"),
        "write a name, an absolute path inside, or `./PATH` for a file beside the Agentfile",
    ))
}

/// No word that an argument is in chooses an option. (A value that begins with `-` is refused by `/agentrc/bin/mcp --command`.)
fn options(words: &[Vec<Part>]) -> Result<(), Fault> {
    for word in words {
        if let [Part::Text(text), _, ..] = word.as_slice()
            && text.starts_with('-')
            && !text.contains('=')
        {
            return Err(Fault::new(
                format!("has an argument right behind `{text}`, where it chooses the option"),
                "write `--option=` before it, or make it a word of its own",
            ));
        }
    }
    Ok(())
}

/// No argument is what another program takes for code, or for the program to execute.
fn code(words: &[Vec<Part>]) -> Result<(), Fault> {
    for (index, word) in words.iter().enumerate() {
        let Some(text) = fixed(word) else { continue };
        let name = text.rsplit('/').next().unwrap_or(text);
        let name = name.trim_end_matches(|last: char| last.is_ascii_digit() || last == '.');
        let Some((name, options)) = INTERPRETERS.iter().find(|(known, _)| *known == name) else { continue };
        let rest = words.get(index + 1..).unwrap_or_default();
        if rest.iter().take(first_free(rest, options)).any(|word| fixed(word).is_none()) {
            return Err(Fault::new(
                format!("puts an argument where `{name}` takes code, or another program"),
                FIXED,
            ));
        }
    }
    Ok(())
}

/// How many of the words behind an interpreter must be fixed.
fn first_free(words: &[Vec<Part>], options: &[&str]) -> usize {
    let mut code = false;
    let mut coded = false;
    for (index, word) in words.iter().enumerate() {
        let begin = match word.first() {
            Some(Part::Text(text)) => text.as_str(),
            _ => "",
        };
        if code {
            // What the option before it takes.
            code = false;
            continue;
        }
        match option(begin, options) {
            // With code by an option, operands are what that code gets.
            Meaning::Operand => return if coded { index } else { index + 1 },
            Meaning::Flag => {}
            Meaning::Code => (code, coded) = (!begin.contains('='), true),
            Meaning::Unknown => break,
        }
    }
    words.len()
}

/// What a word of an interpreter is.
enum Meaning {
    Operand,
    Flag,
    Code,
    Unknown,
}

fn option(word: &str, options: &[&str]) -> Meaning {
    let is_code = |name: &str| options.contains(&name);
    let is_flag = |name: &str| options.iter().any(|option| option.strip_prefix('+') == Some(name));
    if is_code("*") {
        return Meaning::Unknown;
    }
    if let Some(long) = word.strip_prefix("--") {
        let name = long.split_once('=').map_or(long, |(name, _)| name);
        return match name {
            "" => Meaning::Flag,
            _ if is_code(name) => Meaning::Code,
            _ => Meaning::Unknown,
        };
    }
    let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
        return Meaning::Operand;
    };
    let mut letters = letters.chars().rev().map(String::from);
    let last = letters.next().unwrap_or_default();
    if !letters.all(|letter| is_flag(&letter)) {
        return Meaning::Unknown;
    }
    match (is_code(&last), is_flag(&last)) {
        (true, _) => Meaning::Code,
        (false, true) => Meaning::Flag,
        (false, false) => Meaning::Unknown,
    }
}

/// Each argument is a text, number or truth that is always there, and is in some word.
fn arguments(words: &[Vec<Part>], inputs: &Value) -> Result<(), Fault> {
    let properties = inputs.get("properties").and_then(Value::as_object);
    let mut used = BTreeSet::new();
    let names = words.iter().flatten().filter_map(|part| match part {
        Part::Argument(name) => Some(name.as_str()),
        Part::Text(_) => None,
    });
    for name in names {
        scalar(inputs, name, true)?;
        used.insert(name);
    }
    let unused = properties.into_iter().flatten().find(|(name, _)| !used.contains(name.as_str()));
    match unused {
        None => Ok(()),
        Some((name, _)) => {
            let name: String = name.escape_debug().take(200).collect();
            Err(Fault::new(
                format!("takes the argument `{name}`, and puts it nowhere"),
                "give it a place in the command, or remove it from `inputs`",
            ))
        }
    }
}

/// Variables are fixed texts that everybody may read: a plan is shown, and kept.
fn variable(name: &str, value: &str) -> Result<(), Fault> {
    let first = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if !first || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        let name: String = name.escape_debug().take(200).collect();
        return Err(Fault::new(format!("has a variable `{name}`"), "write letters, digits and `_`"));
    }
    let upper = name.to_ascii_uppercase();
    if ["AUTH", "CRED", "KEY", "PASS", "SECRET", "TOKEN"].iter().any(|part| upper.contains(part)) {
        return Err(Fault::new(
            format!("has the variable `{name}`, which is named like a credential"),
            "a value in a package is everybody's: declare a `CRED`, which only the gateway ever has",
        ));
    }
    if value.contains(['$', '\0']) || value.contains("UTCP_ARG_") {
        return Err(Fault::new(
            format!("has the variable `{name}`, whose value is another's"),
            "write a fixed text: neither the host's variables nor arguments are put there",
        ));
    }
    Ok(())
}
