//! Stage 2, beside Cedar: the idioms of published examples that look like Cedar and are not. A policy that is guessed
//! at is not a policy: each is an error that shows the valid form, and carries the edit that `check --fix` makes.

use crate::diag::Diagnostic;
use crate::policy::scan::{Scan, Token, TokenKind};
use crate::span::Span;
use crate::syntax::Block;

/// Code of all of them.
const CODE: &str = "E062";

/// Reports `#` comments inside a block.
pub(crate) fn comments(scan: &Scan, block: &Block, diagnostics: &mut Vec<Diagnostic>) {
    for (start, end) in &scan.hash_comments {
        let (start, end) = (block.span.start + start, block.span.start + end);
        diagnostics.push(
            Diagnostic::error(CODE, Span::new(start, end), "`#` does not begin a comment in Cedar")
                .help("write `//`")
                .fix(Span::new(start, start + 1), "//"),
        );
    }
}

/// Reports the idioms of one statement; whether there was one. `offset` is where `text` begins in the source.
pub(crate) fn statement(
    tokens: &[Token],
    text: &str,
    offset: usize,
    diagnostics: &mut Vec<Diagnostic>,
) -> bool {
    let before = diagnostics.len();
    string_methods(tokens, text, offset, diagnostics);
    list_in_scope(tokens, text, offset, diagnostics);
    diagnostics.len() > before
}

fn word<'a>(token: &Token, text: &'a str) -> &'a str {
    text.get(token.start..token.end).unwrap_or_default()
}

/// `x.startsWith("…")` and `x.endsWith("…")`.
fn string_methods(tokens: &[Token], text: &str, offset: usize, diagnostics: &mut Vec<Diagnostic>) {
    for window in tokens.windows(5) {
        let [dot, name, open, argument, close] = window else { continue };
        let shape = (dot.kind, name.kind, open.kind, argument.kind, close.kind);
        use TokenKind::{Sign, Text, Word};
        if shape != (Sign('.'), Word, Sign('('), Text, Sign(')')) {
            continue;
        }
        let literal = word(argument, text).trim_matches('"').replace('*', r"\*");
        let pattern = match word(name, text) {
            "startsWith" => format!("{literal}*"),
            "endsWith" => format!("*{literal}"),
            _ => continue,
        };
        let span = Span::new(offset + dot.start, offset + close.end);
        diagnostics.push(
            Diagnostic::error(CODE, span, format!("Cedar has no `.{}(…)`", word(name, text)))
                .help(format!("write `like \"{pattern}\"`"))
                .fix(span, format!(" like \"{pattern}\"")),
        );
    }
}

/// `resource in [A, B]` (or `principal`) between the parentheses of `permit(…)`.
fn list_in_scope(tokens: &[Token], text: &str, offset: usize, diagnostics: &mut Vec<Diagnostic>) {
    let Some(open) = scope(tokens, text) else { return };
    let Some(close) = closing(tokens, open) else { return };
    let Some(scope) = tokens.get(open + 1..close) else { return };
    for (at, window) in scope.windows(3).enumerate() {
        let [variable, keyword, bracket] = window else { continue };
        let name = word(variable, text);
        if !matches!(name, "resource" | "principal")
            || word(keyword, text) != "in"
            || bracket.kind != TokenKind::Sign('[')
        {
            continue;
        }
        let Some(end) = closing(tokens, open + 1 + at + 2).and_then(|end| tokens.get(end)) else { continue };
        let Some(scope_end) = tokens.get(close) else { continue };
        let list = text.get(bracket.start..end.end).unwrap_or_default();
        let rest = text.get(end.end..scope_end.end).unwrap_or_default();
        let span = Span::new(offset + variable.end, offset + scope_end.end);
        diagnostics.push(
            Diagnostic::error(
                CODE,
                Span::new(offset + variable.start, offset + end.end),
                format!("Cedar takes no list for `{name}` between the parentheses of a policy"),
            )
            .help(format!("write `{name}` there, and `when {{ {name} in {list} }}` after the parentheses"))
            .fix(span, format!("{rest} when {{ {name} in {list} }}")),
        );
        // One edit at a time: the next would overlap.
        return;
    }
}

/// Index of the parenthesis after `permit` or `forbid`, past annotations (`@permit("…")` would be one).
fn scope(tokens: &[Token], text: &str) -> Option<usize> {
    let effect = tokens.windows(3).position(|window| {
        let [before, effect, open] = window else { return false };
        before.kind != TokenKind::Sign('@')
            && matches!(word(effect, text), "permit" | "forbid")
            && open.kind == TokenKind::Sign('(')
    });
    if tokens.first().is_some_and(|first| matches!(word(first, text), "permit" | "forbid")) {
        Some(1)
    } else {
        effect.map(|before| before + 2)
    }
}

/// Index of the bracket that closes the one at `open`.
fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            TokenKind::Sign('(' | '[' | '{') => depth += 1,
            TokenKind::Sign(')' | ']' | '}') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}
