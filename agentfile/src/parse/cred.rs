//! `CRED`, in its current form (`name source [host:H …] [inject:header|query]`) and the two older ones
//! (`url auth-type source`, `name url auth-type source`).

use super::url::host_name;
use crate::diag::Diagnostic;
use crate::span::Span;
use crate::syntax::{Cred, Scheme, Word};

/// Where a value may come from, each with what follows the colon.
const SOURCES: &[(&str, &str)] = &[
    ("env:", "the name of a variable"),
    ("file:", "a path"),
    ("dotenv:", "a path"),
    ("keyring:", "a key"),
    ("vault://", "a path and `#key`"),
    ("command:", "a command of the host's configuration"),
];

/// Ways to put a credential into a request.
const WAYS: &[&str] = &["header", "query"];

/// Authentication types of the older forms.
const TYPES: &[&str] = &["api-key", "apikey", "basic", "bearer", "header", "query", "token"];

/// Whether a word of a `CRED` may be shown to people. Whatever is none of what the grammar knows might be the value
/// itself, and findings end in logs.
#[must_use]
pub(crate) fn may_be_shown(text: &str) -> bool {
    if let Some(how) = text.strip_prefix("inject:") {
        return WAYS.contains(&how);
    }
    if let Some(host) = text.strip_prefix("host:") {
        return host_name(host).is_ok();
    }
    let url = || super::url::parse(&Word { text: text.to_owned(), span: Span::default() }).is_ok();
    is_complete(text) || TYPES.contains(&text) || url()
}

/// What a word of a `CRED` starts with, if the grammar knows it: it is no part of a value.
#[must_use]
pub(crate) fn prefix(text: &str) -> &'static str {
    let known = SOURCES.iter().map(|(prefix, _)| *prefix).chain(["host:", "inject:"]);
    known.into_iter().find(|prefix| text.starts_with(prefix)).unwrap_or_default()
}

fn is_source(text: &str) -> bool {
    SOURCES.iter().any(|(prefix, _)| text.starts_with(prefix))
}

/// Whether a source is one of the forms, and names something that can be.
fn is_complete(text: &str) -> bool {
    if let Some(name) = text.strip_prefix("env:") {
        return name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    }
    let keyed = !text.starts_with("vault://")
        || text.split_once('#').is_some_and(|(path, key)| path.len() > 8 && !key.is_empty());
    keyed && SOURCES.iter().any(|(prefix, _)| text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()))
}

/// A value that is written out in the file is refused whatever else is right about the line.
fn source(word: &Word) -> Result<(), Diagnostic> {
    if is_complete(&word.text) {
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

/// A host, in the one spelling. What is wrong with it is not repeated: it might be a value.
fn host(text: &str, span: Span) -> Result<Word, Diagnostic> {
    host_name(text).map(|text| Word { text, span }).map_err(|(_, help)| {
        Diagnostic::error("E013", span, "this is not a host").help(format!("{help}; without scheme and port"))
    })
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
        if let Some(name) = word.text.strip_prefix("host:").filter(|name| !name.is_empty()) {
            match host(name, Span::new(word.span.end - name.len(), word.span.end)) {
                Ok(host) => hosts.push(host),
                Err(finding) => findings.push(finding),
            }
        } else if let Some(how) = word.text.strip_prefix("inject:") {
            if !WAYS.contains(&how) {
                let finding =
                    Diagnostic::error("E018", word.span, "there is no such way to inject a credential");
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
    let before = findings.len();
    findings.extend(source(from).err());
    if !TYPES.contains(&auth.text.as_str()) {
        let finding = Diagnostic::error("E016", auth.span, "this is no authentication type");
        findings.push(finding.help(format!("write one of `{}`", TYPES.join("`, `"))));
    }
    // Not the parser's own words on the URL, which quote it.
    let pattern = super::url::parse(url).map_err(|finding| Diagnostic {
        message: "this is not a URL that a credential may go to".to_owned(),
        ..finding
    });
    let pattern = match pattern {
        Ok(pattern) if pattern.scheme != Scheme::Https => {
            let finding = Diagnostic::error("E019", url.span, "a credential goes over TLS only");
            findings.push(finding.help("write `https://`"));
            None
        }
        Ok(pattern) => Some(pattern),
        Err(finding) => {
            findings.push(finding);
            None
        }
    };
    let pattern = pattern.filter(|_| findings.len() == before)?;
    let name = if name == url { Word { text: pattern.host.clone(), span: url.span } } else { name.clone() };
    findings.push(
        Diagnostic::warning("W002", auth.span, "this is an older form of `CRED`")
            .help(format!("write `CRED {} {} host:{} inject:header`", name.text, from.text, pattern.host)),
    );
    let host = Word { text: pattern.host, span: url.span };
    Some(Cred { name, source: from.clone(), hosts: vec![host], inject: Some(auth.clone()), older_form: true })
}
