//! `/agentrc/tools/NAME.help`: a tool in the words of its definition, for whoever reads it in a shell.

use std::fmt::Write as _;

use serde_json::Value;

/// Of what can be called, what is said of it.
pub(crate) struct Shown<'a> {
    pub(crate) name: &'a str,
    pub(crate) title: Option<&'a str>,
    pub(crate) description: &'a str,
}

/// What `NAME --help` shows, of one that takes what `schema` says.
pub(crate) fn help(shown: &Shown<'_>, schema: &Value) -> String {
    let Shown { name, title, description } = shown;
    let mut text = match title {
        Some(title) => format!("{name}: {title}\n"),
        None => format!("{name}\n"),
    };
    // Writing to a String does not fail.
    let _ = write!(text, "\n{}\n\n", description.trim_end());
    let properties: Vec<_> =
        schema.get("properties").and_then(Value::as_object).into_iter().flatten().collect();
    let required: Vec<_> = schema.get("required").and_then(Value::as_array).into_iter().flatten().collect();
    let is_required = |name: &str| required.iter().any(|wanted| wanted.as_str() == Some(name));
    if properties.is_empty() {
        text.push_str("Standard input is a JSON object, `{}` or nothing.\n");
    } else {
        text.push_str("Standard input is a JSON object:\n");
    }
    let (first, rest): (Vec<_>, Vec<_>) = properties.into_iter().partition(|(name, _)| is_required(name));
    for (name, schema) in first.into_iter().chain(rest) {
        let wanted = if is_required(name) { ", required" } else { "" };
        let _ = write!(text, "  {}: {}{wanted}", Value::from(name.as_str()), kind(schema));
        if let Some(default) = schema.get("default") {
            let _ = write!(text, ", {default} when not given");
        }
        if let Some(description) = schema.get("description").and_then(Value::as_str) {
            let _ = write!(text, ". {}", description.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        text.push('\n');
    }
    let _ = write!(
        text,
        "\nAll that its input may be is in {name}.schema.json (JSON Schema). Standard output is the result, JSON.\n\
         Exit code 0: done. 77: refused by policy. Any other: it failed, and standard error says why.\n"
    );
    text
}

/// The type of an argument, with its bounds.
fn kind(schema: &Value) -> String {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.iter().map(Value::to_string).collect::<Vec<_>>().join(" or ");
    }
    let mut kind = match schema.get("type") {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "see the schema".to_owned(),
    };
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(least), Some(most)) => {
            let _ = write!(kind, " from {least} to {most}");
        }
        (Some(least), None) => {
            let _ = write!(kind, " from {least}");
        }
        (None, Some(most)) => {
            let _ = write!(kind, " up to {most}");
        }
        (None, None) => {}
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_required_comes_first_with_type_bounds_and_default() {
        let of = |name: &str| {
            let definition = crate::tool::builtin(name).unwrap();
            let title = definition.title.as_deref();
            help(&Shown { name, title, description: &definition.description }, &definition.input_schema)
        };
        let text = of("file_read");
        assert!(text.starts_with("file_read: Read a file\n\nReads a file, or a part of one."), "{text}");
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("  ")).collect();
        assert_eq!(
            lines,
            [
                "  \"path\": string, required. Absolute, or relative to the working directory.",
                "  \"encoding\": \"utf-8\" or \"base64\", \"utf-8\" when not given. How the content is written.",
                "  \"limit\": integer from 1 to 1048576, 262144 when not given. Most bytes.",
                "  \"offset\": integer from 0, 0 when not given. The first byte, counted from 0.",
            ]
        );
        assert!(text.contains("file_read.schema.json") && text.contains("77: refused by policy"));
        let none = of("current_time");
        assert!(none.contains("`{}` or nothing"), "{none}");
    }
}
