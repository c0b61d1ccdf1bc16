//! `CRED`, in its current form (`name source [host:H …] [inject:header|query]`) and the two older ones
//! (`url auth-type source`, `name url auth-type source`).

use crate::diag::Diagnostic;
use crate::span::Span;
use crate::syntax::{Cred, Word};

/// Where a value may come from, each with what follows the colon.
const SOURCES: &[(&str, &str)] = &[
    ("env:", "the name of a variable"),
    ("file:", "a path"),
    ("dotenv:", "a path"),
    ("keyring:", "a key"),
    ("vault://", "a path and `#key`"),
    ("command:", "a command of the host's configuration"),
];

/// Authentication types of the older forms.
const TYPES: &[&str] = &["api-key", "apikey", "basic", "bearer", "header", "query", "token"];

/// Whether a word of a `CRED` may be shown to people. Whatever is none of what the grammar knows might be the value
/// itself, and findings end in logs.
#[must_use]
pub(crate) fn may_be_shown(text: &str) -> bool {
    is_source(text)
        || TYPES.contains(&text)
        || ["https://", "http://", "tcp://", "host:", "inject:"].iter().any(|prefix| text.starts_with(prefix))
}

fn is_source(text: &str) -> bool {
    SOURCES.iter().any(|(prefix, _)| text.starts_with(prefix))
}

/// A value that is written out in the file is refused whatever else is right about the line.
fn source(word: &Word) -> Result<(), Diagnostic> {
    let complete =
        SOURCES.iter().any(|(prefix, _)| word.text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()));
    let keyed = !word.text.starts_with("vault://")
        || word.text.split_once('#').is_some_and(|(path, key)| path.len() > 8 && !key.is_empty());
    if complete && keyed {
        return Ok(());
    }
    let forms: Vec<_> = SOURCES.iter().map(|(prefix, what)| format!("`{prefix}` {what}")).collect();
    Err(Diagnostic::error(
        "E019",
        word.span,
        "this is not a source of a credential; a value is never written in an Agentfile",
    )
    .help(format!("say where the value is to be taken from: {}", forms.join(", "))))
}

/// Parses the arguments.
pub(super) fn parse(keyword: Span, arguments: &[Word], findings: &mut Vec<Diagnostic>) -> Option<Cred> {
    match arguments {
        [name, from, rest @ ..] if is_source(&from.text) => current(name, from, rest, findings),
        [url, auth, from] if url.text.contains("://") => older(url, url, auth, from, findings),
        [name, url, auth, from] if url.text.contains("://") => older(name, url, auth, from, findings),
        [_, from, ..] => {
            findings.push(source(from).err().unwrap_or_else(|| form(keyword)));
            None
        }
        _ => {
            findings.push(form(keyword));
            None
        }
    }
}

fn form(keyword: Span) -> Diagnostic {
    Diagnostic::error("E011", keyword, "`CRED` needs a name and a source")
        .help("write `CRED name env:VARIABLE host:api.example.com`")
}

fn current(name: &Word, from: &Word, rest: &[Word], findings: &mut Vec<Diagnostic>) -> Option<Cred> {
    let before = findings.len();
    findings.extend(source(from).err());
    let mut hosts = Vec::new();
    let mut inject = None;
    for word in rest {
        if let Some(host) = word.text.strip_prefix("host:").filter(|host| !host.is_empty()) {
            let span = Span::new(word.span.end - host.len(), word.span.end);
            hosts.push(Word { text: host.to_owned(), span });
        } else if let Some(how) = word.text.strip_prefix("inject:") {
            if !matches!(how, "header" | "query") {
                let finding = Diagnostic::error(
                    "E018",
                    word.span,
                    format!("there is no way `{how}` to inject a credential"),
                );
                findings.push(finding.help("write `inject:header` or `inject:query`"));
            } else if inject.is_some() {
                findings.push(
                    Diagnostic::error("E018", word.span, "`inject:` is given twice").help("keep one of them"),
                );
            }
            let span = Span::new(word.span.end - how.len(), word.span.end);
            inject = Some(Word { text: how.to_owned(), span });
        } else {
            // Not quoted: it might be a value.
            let finding = Diagnostic::error("E012", word.span, "this is no part of a `CRED`");
            findings.push(finding.help(
                "after the source come `host:HOST` (any number) and `inject:header` or `inject:query`",
            ));
        }
    }
    (findings.len() == before).then(|| Cred {
        name: name.clone(),
        source: from.clone(),
        hosts,
        inject,
        older_form: false,
    })
}

fn older(name: &Word, url: &Word, auth: &Word, from: &Word, findings: &mut Vec<Diagnostic>) -> Option<Cred> {
    let pattern = match (super::url::parse(url), source(from)) {
        (Ok(pattern), Ok(())) => pattern,
        (pattern, source) => {
            findings.extend(pattern.err());
            findings.extend(source.err());
            return None;
        }
    };
    let name = if name == url { Word { text: pattern.host.clone(), span: url.span } } else { name.clone() };
    findings.push(
        Diagnostic::warning("W002", auth.span, "this is an older form of `CRED`")
            .help(format!("write `CRED {} {} host:{} inject:header`", name.text, from.text, pattern.host)),
    );
    let host = Word { text: pattern.host, span: url.span };
    Some(Cred { name, source: from.clone(), hosts: vec![host], inject: Some(auth.clone()), older_form: true })
}
