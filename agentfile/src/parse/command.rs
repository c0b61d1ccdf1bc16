//! Command lines (`CMD`, and that of a `HEALTHCHECK`): quotes, and what a shell would do and nobody does here. Other
//! directives have no quotes at all.

use crate::diag::Diagnostic;
use crate::directive::Directive;
use crate::lex::{BadQuote, Line};
use crate::span::Span;
use crate::syntax::Word;

/// What is wrong with a command line, and what is worth a warning.
pub(super) fn judge(
    text: &str,
    line: Line<'_>,
    entry: &Directive,
    arguments: &[Word],
    bad: &[BadQuote],
    findings: &mut Vec<Diagnostic>,
) {
    let argv = if entry.keyword == "CMD" {
        arguments
    } else {
        let command = arguments.iter().position(|word| word.text == "CMD");
        command.and_then(|at| arguments.get(at + 1..)).unwrap_or_default()
    };
    if let Some(finding) = argv.first().and_then(|first| bracketed(text, line, first)) {
        findings.push(finding);
        return;
    }
    findings.extend(bad.iter().map(|bad| quote(text, *bad)));
    let bare = || argv.iter().filter(|word| !is_quoted(text, word));
    findings.extend(bare().find(|word| is_shells(&word.text)).map(|word| {
        Diagnostic::warning("W005", word.span, "this reaches the program as it is: there is no shell")
            .help("name a script, or write `CMD sh -c \"…\"`; in double quotes it is taken for text")
    }));
    findings.extend(bare().find(|word| is_quote(&word.text)).map(|word| {
        Diagnostic::warning("W005", word.span, "this quote becomes part of the argument")
            .help("put the whole argument in double quotes: `\"--title=two words\"`")
    }));
}

fn quote(text: &str, bad: BadQuote) -> Diagnostic {
    match bad {
        BadQuote::Unclosed(span) => Diagnostic::error("E009", span, "this double quote is never closed")
            .help("close it on the same line; write `\\\"` for a quote inside quotes"),
        BadQuote::Attached(span) => {
            Diagnostic::error("E009", span, "this follows a closing quote without a blank")
                .help("put the whole argument in quotes; write `\\\"` for a quote inside quotes")
        }
        BadQuote::Escape(span) => {
            let written = text.get(span.start..span.end).unwrap_or_default();
            Diagnostic::error("E020", span, "inside quotes a backslash stands before `\"` or `\\` only")
                .help("write `\\\\` for a backslash")
                .fix(span, format!("\\{written}"))
        }
    }
}

/// Whether the word stands in quotes. In a command's words only those start with one.
pub(crate) fn is_quoted(text: &str, word: &Word) -> bool {
    text.get(word.span.start..).is_some_and(|rest| rest.starts_with('"'))
}

/// An array, as a Dockerfile has it: an error that rewrites it.
fn bracketed(text: &str, line: Line<'_>, first: &Word) -> Option<Diagnostic> {
    let end = line.start + line.text.trim_end_matches([' ', '\t']).len();
    let array = text.get(first.span.start..end)?;
    if !array.strip_prefix('[')?.trim_start_matches([' ', '\t']).starts_with(['"', '\'']) {
        return None;
    }
    let span = Span::new(first.span.start, end);
    let finding = Diagnostic::error("E021", span, "a command is not an array")
        .help("write its words: `CMD program argument`");
    let words: Vec<String> = serde_json::from_str(array).unwrap_or_default();
    if words.is_empty() || words.iter().any(|word| word.contains(char::is_control)) {
        return Some(finding);
    }
    let written: Vec<String> = words.iter().map(|word| written(word)).collect();
    Some(finding.fix(span, written.join(" ")))
}

/// A word of a command as it is written: in quotes where it would not be read back as it is without, or could be taken
/// for something of a shell.
pub(crate) fn written(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether a shell would not give this word to the program as it is.
fn is_shells(word: &str) -> bool {
    let named = |rest: &str| {
        rest.starts_with(|first: char| first.is_ascii_alphabetic() || matches!(first, '_' | '{' | '('))
    };
    let redirects = word.trim_start_matches(|first: char| first.is_ascii_digit() || first == '&');
    matches!(word, "&&" | "||" | "|" | "|&" | ";" | "&")
        || redirects.starts_with(['<', '>'])
        || (word.len() > 1 && word.ends_with(';'))
        || word.starts_with("~/")
        || word.starts_with('`')
        || word.split('$').skip(1).any(named)
}

/// Whether a quote in a bare word was probably meant to group.
fn is_quote(word: &str) -> bool {
    word.starts_with('\'') || word.ends_with('\'') || word.matches('"').count() % 2 == 1
}

/// A quote in a word of a line where quotes mean nothing: it would become part of a path or a name.
pub(super) fn stray_quote(word: &Word) -> Option<Diagnostic> {
    let quotes = ['"', '\'', '`', '“', '”', '„', '‘', '’'];
    if !word.text.contains(quotes) {
        return None;
    }
    let finding = Diagnostic::error("E022", word.span, "a quote is part of no word here").help(
        "write the word without quotes; only words of `CMD` can be quoted, and only they can hold blanks",
    );
    let inside = word.text.trim_matches(quotes);
    let whole = word.text.starts_with(quotes) && word.text.ends_with(quotes);
    Some(if whole && !inside.is_empty() && !inside.contains(quotes) {
        finding.fix(word.span, inside)
    } else {
        finding
    })
}

#[cfg(test)]
mod tests {
    use crate::syntax::Body;

    fn codes(line: &str) -> Vec<&'static str> {
        crate::parse::parse(line.as_bytes()).1.iter().map(|finding| finding.code).collect()
    }

    fn fixed(line: &str) -> String {
        let (_, findings) = crate::parse::parse(line.as_bytes());
        String::from_utf8(crate::fix::apply(line.as_bytes(), &findings)).unwrap()
    }

    #[test]
    fn json_reaches_the_program_as_it_is_written() {
        let (file, findings) = crate::parse::parse(br#"CMD x {"k":1} --a={"b":"c"}"#);
        assert_eq!(findings, []);
        let Body::Cmd(argv) = &file.statements[0].body else { panic!() };
        assert_eq!(argv[1].text, r#"{"k":1}"#);
        assert_eq!(argv[2].text, r#"--a={"b":"c"}"#);
    }

    #[test]
    fn an_array_is_refused_and_rewritten() {
        for (array, words) in [
            (r#"CMD ["python3", "agent.py"]"#, "CMD python3 agent.py"),
            (r#"CMD [ "sh","-c", "a \"b\" \\ c" ] "#, r#"CMD sh -c "a \"b\" \\ c" "#),
            (
                r#"HEALTHCHECK --interval=1 --timeout=1 CMD ["a", "$b"]"#,
                r#"HEALTHCHECK --interval=1 --timeout=1 CMD a "$b""#,
            ),
        ] {
            assert_eq!(codes(array), ["E021"], "{array}");
            assert_eq!(fixed(array), words);
            assert_eq!(codes(words), [] as [&str; 0], "{words}");
        }
        for array in [r#"CMD ["a" # b"#, "CMD ['a']", r#"CMD ["a\nb"]"#] {
            assert_eq!(codes(array), ["E021"]);
            assert_eq!(fixed(array), array);
        }
        assert_eq!(codes(r#"CMD "[" "-f" x ]"#), [] as [&str; 0]);
        assert_eq!(codes("CMD [ -f x ]"), [] as [&str; 0]);
    }

    #[test]
    fn what_a_shell_would_do_is_pointed_at_unless_it_is_quoted() {
        for word in [
            "&&", "|", "||", ";", "&", ">", ">out", "2>&1", "<in", "a;", "$VAR", "--k=$VAR", "${a}", "$(b)",
            "~/x", "'a",
        ] {
            assert_eq!(codes(&format!("CMD x {word} b")), ["W005"], "{word}");
            assert_eq!(
                codes(&format!("HEALTHCHECK --interval=1 --timeout=1 CMD x {word} b")),
                ["W005"],
                "{word}"
            );
            assert_eq!(codes(&format!("CMD x \"{word}\" b")), [] as [&str; 0], "{word}");
        }
        assert_eq!(codes(r#"CMD x --title="two words""#), ["W005"]);
        for word in ["a&b", "^a$", "$", "5$", "it's", "a>b", "~", "https://h/?a&b"] {
            assert_eq!(codes(&format!("CMD x {word}")), [] as [&str; 0], "{word}");
        }
    }

    #[test]
    fn an_unknown_escape_is_refused_and_what_follows_a_quote_too() {
        assert_eq!(codes(r#"CMD x "a\nb""#), ["E020"]);
        assert_eq!(fixed(r#"CMD x "a\nb""#), r#"CMD x "a\\nb""#);
        assert_eq!(codes(r#"CMD x "a"b"#), ["E009"]);
        assert_eq!(codes(r#"CMD "a" b" c"#), ["W005"]);
    }

    #[test]
    fn a_quote_outside_commands_is_refused_in_every_directive() {
        for entry in crate::directive::DIRECTIVES {
            let (least, most) = entry.arity;
            if entry.shape == crate::directive::Shape::Command || most == 0 {
                continue;
            }
            for word in ["\"x\"", "it's", "`x`", "“x”", "\""] {
                let line = format!("{} {}", entry.keyword, vec![word; least.max(1)].join(" "));
                let found = codes(&line);
                assert!(!found.is_empty() && found.iter().all(|code| *code == "E022"), "{line}: {found:?}");
            }
        }
        assert_eq!(fixed("BIND \"./a\" '/b'"), "BIND ./a /b");
        assert_eq!(fixed("BIND \"./a b\" /c"), "BIND \"./a b\" /c");
    }
}
