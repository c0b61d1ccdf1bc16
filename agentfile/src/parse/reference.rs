//! Words that name something which lives elsewhere: images, tools, toolsets, functions, skills, servers. What programs
//! further on could take for a path, an option or several words is refused here.

use crate::diag::Diagnostic;
use crate::span::Span;
use crate::syntax::{Body, Namespaced, Word};

/// Whether `text` is a name: `[A-Za-z0-9][A-Za-z0-9._-]*`.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// Whether `text` could be an image or package reference: host, path, tag and digest.
fn is_reference(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@+".contains(&byte);
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(allowed)
        && !rest.split('/').any(|part| matches!(part, "" | "." | ".."))
}

fn wrong(word: &Word, what: &str, help: &str) -> Diagnostic {
    Diagnostic::error("E017", word.span, format!("`{}` is not {what}", word.text)).help(help)
}

/// A plain name.
pub(super) fn name(word: &Word, what: &str) -> Result<Word, Diagnostic> {
    if is_name(&word.text) {
        return Ok(word.clone());
    }
    Err(wrong(word, what, "a name has letters, digits, `.`, `_` and `-`, and starts with a letter or digit"))
}

/// `FROM scratch | image | package`
pub(super) fn from(word: &Word) -> Result<Body, Diagnostic> {
    if is_reference(&word.text) {
        return Ok(Body::From(word.clone()));
    }
    Err(wrong(word, "an image or package", "write `scratch`, or `registry.example/path:tag@sha256:…`"))
}

/// `TOOL namespace:name`
pub(crate) fn tool(word: &Word) -> Result<Namespaced, Diagnostic> {
    let split = word.text.split_once(':').filter(|(namespace, _)| is_name(namespace));
    let Some((namespace, name)) = split else {
        return Err(wrong(
            word,
            "of the form `namespace:name`",
            "write `utcp:file_read`, `mcp:server.tool` or `local:./tools/lint`",
        ));
    };
    let fits = match namespace {
        // That it lies beside the Agentfile is said by the stage that looks for it.
        "local" => !name.is_empty() && !name.contains(';'),
        "mcp" => name.split_once('.').is_some_and(|(server, tool)| is_name(server) && is_name(tool)),
        _ => name.split(['/', ':']).all(is_name),
    };
    if !fits {
        let help = match namespace {
            "local" => "write `local:./path`, a program beside the Agentfile",
            "mcp" => "write `mcp:server.tool`",
            _ => "a name has letters, digits, `.`, `_` and `-`, and starts with a letter or digit",
        };
        return Err(wrong(word, "a tool", help));
    }
    Ok(Namespaced { word: word.clone(), namespace: namespace.to_owned(), name: name.to_owned() })
}

/// `TOOLSET namespace:name | local:./FILE.toml | registry://…@sha256:…`
pub(super) fn toolset(word: &Word) -> Result<Body, Diagnostic> {
    let fits = match word.text.strip_prefix("registry://") {
        Some(rest) => rest.split_once("@sha256:").is_some_and(|(path, digest)| {
            is_reference(path)
                && digest.len() == 64
                && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        }),
        None => word.text.split_once(':').is_some_and(|(namespace, name)| match namespace {
            // That it lies beside the Agentfile is said by the stage that looks for it.
            "local" => name.starts_with("./") && !name.contains(';'),
            _ => is_name(namespace) && is_name(name),
        }),
    };
    if fits {
        return Ok(Body::Toolset(word.clone()));
    }
    Err(wrong(
        word,
        "a toolset",
        "write `utcp:files`, `local:./toolsets/x.toml`, or `registry://path@sha256:` and 64 hexadecimal digits",
    ))
}

/// `SKILL name | ./dir | reference`
pub(super) fn skill(word: &Word) -> Result<Body, Diagnostic> {
    // A climbing `./` is left to the stage that looks for it, and says where it leads.
    let local = word.text.starts_with("./") && !word.text.contains(';');
    if local || is_reference(&word.text) {
        return Ok(Body::Skill(word.clone()));
    }
    Err(wrong(word, "a skill", "write a name, a folder `./dir`, or a reference `registry.example/path:tag`"))
}

/// `MCP name | registry://…@version`
pub(super) fn mcp(word: &Word) -> Result<Body, Diagnostic> {
    let fits = match word.text.strip_prefix("registry://") {
        Some(rest) => rest.rsplit_once('@').is_some_and(|(path, version)| {
            is_reference(path) && !version.is_empty() && is_reference(version)
        }),
        None => is_name(&word.text),
    };
    if fits {
        return Ok(Body::Mcp(word.clone()));
    }
    Err(wrong(word, "an MCP server", "write a name, or `registry://path@version`"))
}

/// `FUNCTION ./path.py:symbol | name`
pub(super) fn function(word: &Word) -> Result<Body, Diagnostic> {
    let Some((path, symbol)) = word.text.rsplit_once(':') else {
        if word.text.contains('/') {
            return Err(Diagnostic::error(
                "E017",
                word.span,
                format!("`{}` names a file and no function in it", word.text),
            )
            .help("write `FUNCTION ./path.py:symbol`"));
        }
        return Ok(Body::Function { path: None, symbol: name(word, "a function")? });
    };
    if path.is_empty() || path.contains(';') || !is_name(symbol) {
        return Err(wrong(word, "a function", "write `FUNCTION ./path.py:symbol` or `FUNCTION name`"));
    }
    let colon = word.span.start + path.len();
    Ok(Body::Function {
        path: Some(Word { text: path.to_owned(), span: Span::new(word.span.start, colon) }),
        symbol: Word { text: symbol.to_owned(), span: Span::new(colon + 1, word.span.end) },
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn references_are_plain() {
        let hex = "0123456789abcdef".repeat(4);
        let right = [
            "FROM registry.example:5000/base:1@sha256:00".to_owned(),
            format!("TOOLSET registry://example/x@sha256:{hex}"),
            "TOOL utcp:a/b:c".to_owned(),
            "TOOL mcp:github.create_issue".to_owned(),
            "MCP registry://example/x@1.2.0".to_owned(),
            "SKILL registry.example/skills/review:1".to_owned(),
            "FUNCTION ./a.py:b".to_owned(),
            "SERVER a.b-c_1 https://h.example".to_owned(),
        ];
        for line in right {
            assert_eq!(crate::parse::parse(line.as_bytes()).1, [], "{line}");
        }
        let wrong = [
            "FROM ../x".to_owned(),
            "FROM a/../b".to_owned(),
            "FROM a//b".to_owned(),
            "FROM a;b".to_owned(),
            "FROM -x".to_owned(),
            "TOOL a;b:c".to_owned(),
            "TOOL utcp:a;b".to_owned(),
            "TOOL utcp:../a".to_owned(),
            "TOOL mcp:server".to_owned(),
            "TOOL mcp:.tool".to_owned(),
            "TOOL mcp:a:b".to_owned(),
            "TOOL local:./a;b".to_owned(),
            "TOOLSET utcp:a;b".to_owned(),
            "TOOLSET registry://example/x".to_owned(),
            "TOOLSET registry://example/x@sha256:00".to_owned(),
            format!("TOOLSET registry://example/../x@sha256:{hex}"),
            format!("TOOLSET registry://example/x@sha256:{}", hex.to_uppercase()),
            format!("TOOLSET registry://@sha256:{hex}"),
            "SKILL a;b".to_owned(),
            "SKILL a/../b".to_owned(),
            "SKILL /a".to_owned(),
            "SKILL ./a;b".to_owned(),
            "MCP a;b".to_owned(),
            "MCP a/b".to_owned(),
            "MCP registry://example/x".to_owned(),
            "MCP registry://example/x@".to_owned(),
            "MCP registry://example/../x@1".to_owned(),
            "MCP registry://@1".to_owned(),
            "FUNCTION a;b".to_owned(),
            "FUNCTION ./a.py:b;c".to_owned(),
            "FUNCTION ./a;b.py:c".to_owned(),
            "SERVER a/b https://h.example".to_owned(),
            "SERVER -a https://h.example".to_owned(),
            "MEMORY ../a ./s.json schema:T mode:rw".to_owned(),
        ];
        for line in wrong {
            let (file, findings) = crate::parse::parse(line.as_bytes());
            let codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
            assert_eq!((codes.as_slice(), file.statements.len()), (["E017"].as_slice(), 0), "{line}");
        }
    }
}
