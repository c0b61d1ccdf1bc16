//! A skill as a tool: its scripts, and what a call of one is given.

use serde_json::json;

use crate::json;
use crate::plan::{SkillDefinition, digest};
use crate::schema::Fault;

/// Where a skill's scripts are. (Agent Skills specification, "Optional directories".)
pub const SCRIPTS: &str = "scripts";
/// Most scripts of one skill: their names are read by a model.
const SCRIPTS_MAX: usize = 64;
/// Longest path of one, in bytes.
const PATH_MAX: usize = 256;
/// Most arguments of a call, and their longest, in characters.
const ARGUMENTS_MAX: usize = 256;
const ARGUMENT_MAX: usize = 65_536;

/// Why these may not be a skill's scripts; it continues a sentence that begins with their folder.
pub(crate) fn scripts_fault(scripts: &[String]) -> Option<Fault> {
    if scripts.len() > SCRIPTS_MAX {
        let help = "`chmod -x` what is not to be called by itself";
        return Some(Fault::new(format!("has more than {SCRIPTS_MAX} executable files"), help));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte);
    let odd = scripts.iter().find(|path| path.len() > PATH_MAX || !path.bytes().all(plain))?;
    let shown: String = odd.chars().take(PATH_MAX).collect();
    Some(Fault::new(
        format!("has a script with an odd name: `{}`", shown.escape_debug()),
        "name it with letters, digits, `.`, `_`, `-` and `+`, or `chmod -x` it",
    ))
}

/// The tool that the skill `name` is, with these scripts, of which there is one at least.
pub(crate) fn definition(name: &str, description: String, scripts: Vec<String>) -> SkillDefinition {
    let schema = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["script"],
        "properties": {
            "script": {
                "type": "string",
                "enum": scripts,
                "description": "Which of the skill's scripts; its SKILL.md says what they are for.",
            },
            "arguments": {
                "type": "array",
                "items": { "type": "string", "maxLength": ARGUMENT_MAX },
                "maxItems": ARGUMENTS_MAX,
                "description": "Its arguments.",
            },
            "input": { "type": "string", "description": "Its standard input; empty when not given." },
        },
    });
    let input_schema = json::sorted(&schema);
    let schema_sha256 = digest::sha256_hex(input_schema.to_string().as_bytes());
    SkillDefinition { name: name.to_owned(), description, scripts, plan: None, input_schema, schema_sha256 }
}
