//! What the `SKILL.md` of a `SKILL ./dir` may say of itself, in the public Agent Skills format: front matter between two
//! lines `---`, with a name that is the folder's, a description, and little else.
//!
//! Front matter is YAML, which is a large language that its readers do not agree on (whether `no` is a word, whether the
//! second of two equal keys counts). [`front`] reads the part of it that all of them read alike, and refuses the rest.

pub(crate) mod bounds;
mod front;
mod scripts;
pub(crate) mod table;

use front::{At, Entry, Field, Value};

pub use self::scripts::SCRIPTS;
pub(crate) use self::scripts::{definition, scripts_fault};

use crate::characters::{self, fault};
use crate::lex::lines;

/// Most bytes of front matter: a description has 1024 characters at most.
pub const FRONT_MATTER_BYTES: usize = 64 << 10;
/// Longest name, in characters. (Agent Skills specification, `name`.)
pub const NAME_MAX: usize = 64;
/// Longest description, in characters.
const DESCRIPTION_MAX: usize = 1024;
/// Longest `compatibility`, in characters.
const COMPATIBILITY_MAX: usize = 500;
/// The keys that there are.
const KEYS: [&str; 6] = ["name", "description", "license", "compatibility", "metadata", "allowed-tools"];
/// The name beneath `metadata` of what a skill's scripts may touch: lines of an Agentfile. The format leaves such names to whoever
/// reads them; those that begin so are ours.
const BOUNDARIES: &str = "agentrc-boundaries";
const OURS: &str = "agentrc-";
/// What front matter looks like.
const FORM: &str = "begin the file with `---`, `name: …`, `description: …`, `---`, a line each";

/// What is wrong with a `SKILL.md`, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `E090` to `E092`, or `E094`.
    pub code: &'static str,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong, in lower case, names in backticks.
    pub what: String,
    /// What to do.
    pub help: String,
}

impl Fault {
    fn new(code: &'static str, at: At, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, line: at.line, column: at.column, what: what.into(), help: help.into() }
    }
}

/// Whether `name` is one that a skill may have: 1 to 64 of `a`–`z`, `0`–`9` and single hyphens between them.
#[must_use]
pub fn is_name(name: &str) -> bool {
    (1..=NAME_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

/// Everything that is wrong with the `SKILL.md` of these bytes, in a folder of the name `folder`; empty when nothing is.
#[must_use]
pub fn judge(bytes: &[u8], folder: &str) -> Vec<Fault> {
    let matter = match matter(bytes) {
        Ok(matter) => matter,
        Err(fault) => return vec![fault],
    };
    let (fields, mut faults) = front::read(&matter);
    let readable = faults.is_empty();
    for field in &fields {
        faults.extend(judge_field(field, folder));
        if let ("metadata", Value::Map(entries)) = (field.key.as_str(), &field.value) {
            faults.extend(entries.iter().filter_map(judge_entry));
        }
    }
    // A key that could not be read is not missing.
    if readable {
        for key in ["name", "description"] {
            if !fields.iter().any(|field| field.key == key) {
                let at = At { line: 1, column: 1 };
                faults.push(Fault::new("E092", at, format!("there is no `{key}`"), FORM));
            }
        }
    }
    faults.sort_by_key(|fault| (fault.line, fault.column));
    faults
}

/// What the `SKILL.md` of these bytes, in which [`judge`] finds no fault, says of the skill.
pub(crate) fn description(bytes: &[u8]) -> Option<String> {
    let (fields, _) = front::read(&matter(bytes).ok()?);
    fields.into_iter().find_map(|field| match field.value {
        Value::Text(text) if field.key == "description" => Some(text),
        _ => None,
    })
}

/// The lines of the `SKILL.md` of these bytes, in which [`judge`] finds no fault, that say what the skill's scripts may touch: with
/// all that is before them blank, so that a place in them is one in the file.
pub(crate) fn boundaries(bytes: &[u8]) -> Option<String> {
    let (fields, _) = front::read(&matter(bytes).ok()?);
    let entries = fields.into_iter().find_map(|field| match field.value {
        Value::Map(entries) if field.key == "metadata" => Some(entries),
        _ => None,
    });
    let entry = entries?.into_iter().find(|entry| entry.name == BOUNDARIES)?;
    let begin = entry.lines?;
    let before = " ".repeat(begin.column.saturating_sub(1));
    let lines = entry.text.split('\n').map(|line| format!("{before}{line}\n"));
    Some("\n".repeat(begin.line.saturating_sub(1)) + &lines.collect::<String>())
}

/// What is wrong with one text of `metadata`: nobody else has a use for names that are ours.
fn judge_entry(entry: &Entry) -> Option<Fault> {
    if !entry.name.starts_with(OURS) {
        return None;
    }
    let help = format!("write `{BOUNDARIES}: |`, and beneath it a line for each, such as `MOUNT /data ro`");
    if entry.name != BOUNDARIES {
        return Some(Fault::new("E094", entry.at, format!("`{}` means nothing here", entry.name), help));
    }
    if entry.lines.is_none() {
        return Some(Fault::new(
            "E094",
            entry.at,
            format!("`{BOUNDARIES}` is not a text of lines (`|`)"),
            help,
        ));
    }
    None
}

/// The lines between the two `---`.
fn matter(bytes: &[u8]) -> Result<Vec<&str>, Fault> {
    let start = At { line: 1, column: 1 };
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Fault::new("E090", start, "the file is not UTF-8", "save it as UTF-8"))?;
    let mut lines = lines(text);
    let is_mark = |line: &str| line.trim_end_matches([' ', '\t']) == "---";
    if !lines.next().is_some_and(|line| is_mark(line.text)) {
        let help = if text.starts_with('\u{feff}') { "save it as UTF-8 without BOM" } else { FORM };
        return Err(Fault::new("E090", start, "the first line is not `---`: there is no front matter", help));
    }
    let mut matter = Vec::new();
    for line in lines {
        let at = At { line: matter.len() + 2, column: 1 };
        if is_mark(line.text) {
            return Ok(matter);
        }
        if line.next > FRONT_MATTER_BYTES {
            return Err(Fault::new("E090", at, "the front matter is longer than 64 KiB", "shorten it"));
        }
        let hostile = |character: char| {
            matches!(fault(character), Some(characters::Fault::Control | characters::Fault::Hidden))
        };
        if let Some(column) = line.text.chars().position(hostile) {
            return Err(Fault::new(
                "E090",
                At { column: column + 1, ..at },
                "a character that hides text or drives a terminal",
                "remove control characters and those that turn the writing direction",
            ));
        }
        matter.push(line.text);
    }
    Err(Fault::new("E090", start, "no second line `---` ends the front matter", FORM))
}

/// What is wrong with one field.
fn judge_field(field: &Field, folder: &str) -> Option<Fault> {
    let wrong = |what: String, help: String| Some(Fault::new("E092", field.at, what, help));
    let kind = |kind: &str| {
        wrong(format!("`{}` is not {kind}", field.key), format!("write `{}` as {kind}", field.key))
    };
    let long = |text: &str, most: usize| {
        let length = text.chars().count();
        let help = format!("write 1 to {most} characters");
        if text.trim().is_empty() {
            wrong(format!("`{}` is empty", field.key), help)
        } else if length > most {
            wrong(format!("`{}` has {length} characters", field.key), help)
        } else {
            None
        }
    };
    match (field.key.as_str(), &field.value) {
        ("name", Value::Text(name)) if !is_name(name) => wrong(
            format!("`{name}` is not a skill's name"),
            format!("write 1 to {NAME_MAX} of `a`-`z`, `0`-`9` and single `-` between them"),
        ),
        ("name", Value::Text(name)) if name != folder => wrong(
            format!("the skill is named `{name}`, and its folder `{folder}`"),
            "give both the same name".to_owned(),
        ),
        ("name", Value::Text(_)) => None,
        ("description", Value::Text(text)) => long(text, DESCRIPTION_MAX),
        ("compatibility", Value::Text(text)) => long(text, COMPATIBILITY_MAX),
        ("license" | "allowed-tools", Value::Text(text)) => long(text, FRONT_MATTER_BYTES),
        ("allowed-tools", Value::List(_)) | ("metadata", Value::Map(_)) => None,
        ("name" | "description" | "compatibility" | "license", _) => kind("a text"),
        ("allowed-tools", _) => kind("a text, or a list of texts"),
        ("metadata", _) => kind("a map from names to texts"),
        (key, _) => wrong(
            format!("a skill has no `{key}`"),
            format!("its keys are `{}`; anything else goes beneath `metadata`", KEYS.join("`, `")),
        ),
    }
}

#[cfg(test)]
mod tests;
