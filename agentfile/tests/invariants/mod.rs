//! What holds for every file, hostile ones too: no stage panics, places are places, nothing drives a terminal, the
//! formatter changes nothing that counts. The property tests and the fuzzer (`fuzz/`) both state it by calling [`holds`].

use agentfile::compile::{Validate, compile};
use agentfile::diag::{Diagnostic, Severity};
use agentfile::span::Span;
use agentfile::{Kind, Package, characters, fix, fmt, lex, parse, render};

/// A folder in which every name is a file, or a folder when it has no dot.
struct Folder;

impl Package for Folder {
    fn kind(&self, path: &str) -> Kind {
        match path.rsplit('/').next().unwrap_or_default() {
            "gone" => Kind::Missing,
            name if name.contains('.') => Kind::File,
            _ => Kind::Directory,
        }
    }
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        if path.ends_with(".json") {
            return Ok(br#"{ "definitions": { "Note": { "type": "object" } } }"#.to_vec());
        }
        Ok(b"text".to_vec())
    }
    fn executables(&self, path: &str) -> std::io::Result<Vec<String>> {
        Ok(vec![format!("{}.sh", path.len()), "run".to_owned()])
    }

    fn list(&self, _: &str, _: &str) -> std::io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn folder_name(&self) -> &'static str {
        "folder"
    }
}

/// What a text says: its tree and warnings, without the places.
fn meaning(source: &[u8]) -> String {
    let (file, findings) = parse::parse(source);
    let codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
    let shown = format!("{file:?} {codes:?}");
    let mut parts = shown.split("Span { start: ");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(part.split_once(" }").expect("a span ends").1);
    }
    kept
}

fn spans(findings: &[Diagnostic]) -> Vec<Span> {
    let of = |finding: &Diagnostic| {
        let related = finding.related.iter().map(|(span, _)| *span);
        let fix = finding.fix.iter().map(|fix| fix.span);
        std::iter::once(finding.span).chain(related).chain(fix).collect::<Vec<_>>()
    };
    findings.iter().flat_map(of).collect()
}

/// Panics where something does not hold for these bytes.
pub(crate) fn holds(source: &[u8]) {
    let (text, _) = lex::text(source);
    assert_eq!(text.len(), source.len());
    let (file, findings) = parse::parse(source);
    let statements = file.statements.iter().flat_map(|statement| [statement.span, statement.keyword]);
    for span in spans(&findings).into_iter().chain(statements) {
        assert!(text.get(span.start..span.end).is_some(), "{span:?} of {source:?}");
    }
    let shown = render::text("Agentfile", source, &findings, false);
    assert!(
        shown.chars().all(|character| character == '\n' || !characters::is_unseen(character)),
        "{shown:?}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&render::json("Agentfile", source, &findings)).expect("JSON");
    assert_eq!(json.as_array().map(Vec::len), Some(findings.len()));
    let _ = parse::parse(&fix::apply(source, &findings));
    let failed = findings.iter().any(|finding| finding.severity == Severity::Error);
    match fmt::format(source) {
        Err(refused) => {
            assert!(failed);
            assert_eq!(refused, findings);
        }
        Ok(once) => {
            assert!(!failed);
            assert_eq!(meaning(source), meaning(once.as_bytes()), "{source:?} as {once:?}");
            assert_eq!(fmt::format(once.as_bytes()).as_ref(), Ok(&once));
            assert!(once.is_empty() || once.ends_with('\n'));
        }
    }
    compiles(source, &text, &findings);
}

/// The rest of the compiler: a plan or an error, the same each time, findings at their places, and all of the parser's.
fn compiles(source: &[u8], text: &str, parsed: &[Diagnostic]) {
    let compiled = compile("Agentfile", source, &Folder, Validate::WhenWritten);
    let refused = compiled.diagnostics.iter().any(|finding| finding.severity == Severity::Error);
    assert_eq!(compiled.plan.is_none(), refused, "{source:?}");
    assert!(parsed.iter().all(|finding| compiled.diagnostics.contains(finding)), "{source:?}");
    assert!(compiled.diagnostics.iter().all(|finding| finding.code != "E099"), "{:?}", compiled.diagnostics);
    for span in spans(&compiled.diagnostics) {
        assert!(
            text.get(span.start..span.end).is_some(),
            "{span:?} of {source:?}: {:?}",
            compiled.diagnostics
        );
    }
    let again = compile("Agentfile", source, &Folder, Validate::WhenWritten);
    assert_eq!(compiled.diagnostics, again.diagnostics);
    assert_eq!(format!("{:?}", compiled.plan), format!("{:?}", again.plan));
    let _ = render::text("Agentfile", source, &compiled.diagnostics, true);
    let fixed = fix::apply(source, &compiled.diagnostics);
    let _ = compile("Agentfile", &fixed, &Folder, Validate::WhenWritten);
}
