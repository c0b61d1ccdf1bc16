//! The one table of codes: every finding of the compiler has one, and `agentrc check --explain` explains it.

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// `E0xx` for an error, `W0xx` for a warning.
    pub code: &'static str,
    /// A few words.
    pub title: &'static str,
    /// Why it is one, and what to do.
    pub explanation: &'static str,
}

macro_rules! codes {
    ($($code:literal $title:literal $explanation:literal)*) => {
        /// All codes, in order.
        pub const CODES: &[Code] = &[$(Code { code: $code, title: $title, explanation: $explanation }),*];
    };
}

codes! {
    "E001" "byte order mark" "An Agentfile is UTF-8 without a byte order mark: the mark would be part of the first word."
    "E002" "NUL byte" "A NUL byte ends a string for the kernel and not for us; a name that two readers read differently is refused."
    "E003" "invalid UTF-8" "The bytes are not UTF-8. Save the file as UTF-8."
    "E004" "control character" "A control character outside a block can hide text in a terminal, and belongs to no directive."
    "E005" "unknown directive" "Directives are upper case, and only those of the specification exist. An unknown one might be a boundary, so it is never skipped."
    "E006" "newer dialect" "Drafts 5 and 6 write another language under the same syntax line. This agentrc reads draft 4, and refuses a mixture: a boundary that can be read in two ways is no boundary."
    "E007" "END without a block" "`END` closes a `POLICY` or `SOP` block, and none is open."
    "E008" "block without END" "A `POLICY` or `SOP` block goes on until a line that is only `END`."
    "E009" "unclosed quote" "In `CMD` double quotes group words; each must be closed on its line."
    "E010" "unknown syntax version" "The `# syntax=` line names a version of the language that this agentrc does not read."
    "E011" "argument missing" "The directive needs more than is written."
    "E012" "argument too many" "The directive has more than it can mean."
    "E013" "not a URL pattern" "A destination is `scheme://host[:port][/path]` in its plain spelling. Odd spellings (users, encodings, octal or decimal addresses, trailing dots) are how one allowed host becomes another."
    "E014" "not a number of this kind" "The value is not a number with a unit of this kind."
    "E015" "not an absolute path" "Paths inside the sandbox start with `/`."
    "E016" "not one of the words" "The directive takes one of a few words here."
    "E017" "not a name of this kind" "Tools are `namespace:name`, functions `./path.py:symbol` or a bare name."
    "E018" "option not understood" "The directive has named options, and this is none of them, or is given twice."
    "E019" "not a credential" "A `CRED` names a source, hosts, and a way to inject. A value is never written in an Agentfile."
    "W001" "misplaced syntax line" "`# syntax=` counts on the first line only; elsewhere it is a comment."
    "W002" "older form of CRED" "The older forms still parse; the current one names every host that the credential may go to."
    "W003" "wildcard destination" "`https://*.suffix` allows every host below the suffix."
}

/// The entry of a code, whatever its case.
#[must_use]
pub fn find(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|entry| entry.code.eq_ignore_ascii_case(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_explains_every_code_that_the_sources_emit() {
        let codes: Vec<_> = CODES.iter().map(|entry| entry.code).collect();
        let mut sorted = codes.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(codes, sorted);
        let mut emitted = std::collections::BTreeSet::new();
        let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with("code.rs") {
                    let text = std::fs::read_to_string(path).unwrap();
                    for word in text.split('"') {
                        let digits = word.strip_prefix(['E', 'W']).unwrap_or("");
                        if digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                            emitted.insert(word.to_owned());
                        }
                    }
                }
            }
        }
        let known: std::collections::BTreeSet<_> = codes.iter().map(|code| (*code).to_owned()).collect();
        assert_eq!(emitted, known, "left: emitted, right: explained");
    }
}
