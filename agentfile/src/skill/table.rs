//! `skills.json` beside the Agentfile: what the scripts of skills may touch, where whoever writes the Agentfile says so. It is instead of
//! what a skill says itself.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::json;
use crate::schema::Fault;

/// The table of a package's skills.
pub(crate) const TABLE: &str = "skills.json";
const EXAMPLE: &str = "write {\"skills\": {\"NAME\": {\"boundaries\": [\"MOUNT /data ro\"]}}}";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    skills: BTreeMap<String, Entry>,
}

/// A skill of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Lines of an Agentfile.
    boundaries: Vec<String>,
}

/// For each skill of the table, by its name, its lines as one text.
///
/// # Errors
/// What is wrong with it; it continues a sentence that begins with the table's name.
pub(crate) fn read(bytes: &[u8]) -> Result<BTreeMap<String, String>, Fault> {
    let value = json::read(bytes).map_err(|error| Fault::new(format!("is not JSON: {error}"), EXAMPLE))?;
    let table = Table::deserialize(value)
        .map_err(|error| Fault::new(format!("is not a table of skills: {error}"), EXAMPLE))?;
    let mut all = BTreeMap::new();
    for (name, Entry { boundaries }) in table.skills {
        if boundaries.iter().any(|line| line.contains(['\n', '\r', '\0'])) {
            let what = format!("has in `{}` a text of more than one line", name.escape_debug());
            return Err(Fault::new(what, "write each boundary as one text"));
        }
        all.insert(name, boundaries.iter().map(|line| format!("{line}\n")).collect());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_skill_has_its_lines_and_nothing_else_is_taken() {
        let text = br#"{"skills": {"a": {"boundaries": ["MOUNT /a ro", "URL http://a.example"]}, "b": {"boundaries": []}}}"#;
        let found = read(text).unwrap();
        assert_eq!(found["a"], "MOUNT /a ro\nURL http://a.example\n");
        assert_eq!(found["b"], "");
        for (text, what) in [
            (
                r#"{"skills": {"a": {"boundaries": ["MOUNT /a ro\nURL http://a.example"]}}}"#,
                "more than one line",
            ),
            (r#"{"skills": {"a": {}}}"#, "boundaries"),
            (r#"{"skills": {"a": {"boundaries": [], "env": {}}}}"#, "env"),
            (r#"{"skills": {}, "more": 1}"#, "more"),
            (r#"{"skills": {"a": {"boundaries": []}, "a": {"boundaries": ["x"]}}}"#, "not JSON"),
            (r#"{}"#, "skills"),
            ("MOUNT /a ro", "not JSON"),
        ] {
            let fault = read(text.as_bytes()).unwrap_err();
            assert!(fault.what.contains(what), "{text}: {}", fault.what);
        }
    }
}
