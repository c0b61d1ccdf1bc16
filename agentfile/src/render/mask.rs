//! Values that were written where only the name of a source may be: a finding shows its line, and is kept in logs that
//! others read, so they are masked. (JSON quotes no line.) What is masked is decided by what a word could be: a mask too
//! many costs a look into the file, one too few a key.

use crate::characters::is_unseen;
use crate::diag::Diagnostic;
use crate::directive;
use crate::lex::{self, Line};
use crate::parse::cred;

/// Longest word of an unknown line that is shown, if it is neither a path nor a URL.
const LONG: usize = 12;

/// Parts of names under which values are kept.
const NAMES: &[&str] = &["AUTH", "CRED", "ENV", "KEY", "PASS", "SECRET", "TOKEN"];

/// `text` with what might be a credential's value replaced by as many `*`, byte for byte.
pub(super) fn mask(text: &str, findings: &[Diagnostic]) -> String {
    let mut unknown: Vec<_> =
        findings.iter().filter(|finding| matches!(finding.code, "E004" | "E005")).collect();
    unknown.sort_by_key(|finding| finding.span.start);
    let mut unknown = unknown.into_iter().peekable();
    let mut masked = String::with_capacity(text.len());
    for line in lex::lines(text) {
        let mut certain = false;
        let mut suspect = false;
        while let Some(finding) = unknown.next_if(|finding| finding.span.start < line.next) {
            suspect = true;
            certain |= finding.code == "E005";
        }
        for (start, end) in values(line, suspect, certain) {
            masked.push_str(text.get(masked.len()..line.start + start).unwrap_or_default());
            masked.extend(std::iter::repeat_n('*', end - start));
        }
        masked.push_str(text.get(masked.len()..line.next).unwrap_or_default());
    }
    masked
}

/// What is masked of a line: ranges in it, in order. `suspect`: it has a finding that may be about its first word;
/// `certain`: that word is no directive.
fn values(line: Line<'_>, suspect: bool, certain: bool) -> Vec<(usize, usize)> {
    let words: Vec<_> = words(line.text).collect();
    let Some(&(_, first)) = words.first() else { return Vec::new() };
    let credential = first.eq_ignore_ascii_case("CRED");
    let known = directive::find(first).is_some();
    // In a block, only what looks like a directive is taken for one.
    let unknown = !known && (certain || (suspect && (first.contains('=') || is_upper(first))));
    let address = unknown || credential || matches!(first, "SERVER" | "TRACE" | "URL");
    let secret = unknown && is_secret(first);
    let arguments = words.iter().skip(1).take_while(|(_, word)| !word.starts_with('#')).count();
    let mut found = Vec::new();
    for (index, &(start, word)) in words.iter().enumerate() {
        let argument = (1..=arguments).contains(&index);
        let whole = Some((start, start + word.len()));
        found.extend(if credential && argument {
            let name = index == 1 && arguments > 1 && !word.contains([':', '@']);
            let kept = cred::prefix(word).len();
            whole.filter(|_| !name && !cred::may_be_shown(word)).map(|(start, end)| (start + kept, end))
        } else if secret && argument {
            whole
        } else if let Some(at) = word.rfind('@').filter(|_| address || has_scheme(word)) {
            let from = word.find("://").map_or(0, |scheme| scheme + "://".len());
            (from < at).then_some((start + from, start + at))
        } else if unknown && let Some(at) = word.find('=') {
            Some((start + at + 1, start + word.len()))
        } else if unknown || credential {
            whole.filter(|_| word.len() > LONG && !is_place(word) && (index > 0 || !directive::is_word(word)))
        } else {
            None
        });
    }
    found
}

/// The words of a line, split at whatever looks like a blank or like nothing.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    line.split(|character: char| character.is_whitespace() || is_unseen(character)).filter_map(move |word| {
        let start = line.get(at..)?.find(word)? + at;
        at = start + word.len();
        Some((start, word)).filter(|(_, word)| !word.is_empty())
    })
}

fn is_upper(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    NAMES.iter().any(|part| name.contains(part)) || directive::nearest(&name) == Some("CRED")
}

/// References to packages have an `@` too, and nobody before it.
fn has_scheme(word: &str) -> bool {
    word.split_once("://").is_some_and(|(scheme, _)| scheme != "registry")
}

fn is_place(word: &str) -> bool {
    word.contains("://") || ["/", "./", "../", "~/"].iter().any(|start| word.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        mask(text, &crate::parse::parse(text.as_bytes()).1)
    }

    #[test]
    fn values_are_masked_and_sources_are_not() {
        let text = "CRED k sk-\u{e9}1 host:h # note\r\nCRED env:K\n cred\tsk-1\nCRED a b sk-2\nCMD sk-3 x";
        let expected = "CRED k ****** host:h # note\r\nCRED env:K\n cred\t****\nCRED a * ****\nCMD sk-3 x";
        assert_eq!(masked(text), expected);
        assert_eq!(masked("CRED k env:sk-1 host:a@b vault://x"), "CRED k env:**** host:*** vault://*");
        for line in [
            "CRED https://h.example bearer vault://a#b",
            "CRED k env:K host:h inject:query",
            "CRED k env:",
            "TOOLSET registry://example/x@sha256:0123456789abcdef",
            "BIND ./a-long-folder-name /another-long-one",
            "",
            "\n",
        ] {
            assert_eq!(masked(line), line);
        }
    }

    #[test]
    fn a_value_in_any_part_of_a_line_is_shown_nowhere() {
        let value = "sk-live-0123456789";
        for line in [
            "CRED k env:?",
            "CRED k env:K inject:?",
            "CRED k env:K host:?@x",
            "CRED k env:K host:?/x",
            "CRED k env:K # ?",
            "CRED k \"?\"",
            "CRED k\u{a0}?",
            "CRED\u{a0}k ?",
            "CRED k https://u:?@h.example bearer env:K",
            "CRED https://?@h.example bearer env:K",
            "CRED k https://h.example ? env:K",
            "CRED k https://h.example:? bearer env:K",
            "URL https://u:?@h.example",
            "URL https://u:a/?@h.example",
            "URL u:?@h.example",
            "SERVER s https://u:?@h.example",
            "TRACE otlp://u:?@h.example:1",
            "CREDS k ?",
            "CERD k ?",
            "creds k ?",
            "ENV API_KEY=?",
            "ENV\u{a0}API_KEY=?",
            "ENV k ?",
            "SECRET k ?",
            "SECRET\u{3164}k ?",
            "VARIABLE x ? # ?",
            "API_KEY=?",
            "OPENAI_API_KEY=? x",
            "?",
            "XYZZY https://?@h.example",
        ] {
            let source = format!("{}\n", line.replace('?', value));
            let (_, findings) = crate::parse::parse(source.as_bytes());
            let shown = crate::render::text("f", source.as_bytes(), &findings, false);
            let json = crate::render::json("f", source.as_bytes(), &findings);
            assert!(!shown.contains("0123456789"), "{line}: {shown}");
            assert!(!json.contains("0123456789"), "{line}: {json}");
            let clean = line.starts_with("CRED k env:K #");
            assert_eq!(findings.is_empty(), clean, "{line}");
        }
    }

    #[test]
    fn a_line_of_a_block_is_shown() {
        let text = "POLICY\nforbid (principal, action == AgentRC::Action::\"filesystem.read\", resource);\u{a0}\nEND\n";
        assert_eq!(masked(text), text);
    }
}
