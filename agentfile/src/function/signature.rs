//! The `def` line of a function, and the docstring behind it.

use serde_json::Value;

use super::Parameter;
use super::lex::{Kind, Token};
use crate::schema::Fault;

/// Most parameters.
const PARAMETERS_MAX: usize = 64;

/// What was found.
pub(super) struct Found {
    pub(super) parameters: Vec<Parameter>,
    pub(super) returns: Option<Value>,
    pub(super) description: String,
}

/// A reader of tokens.
pub(super) struct Parser<'a> {
    tokens: &'a [Token],
}

pub(super) fn refused(what: &str, help: &str) -> Fault {
    Fault::new(what, help)
}

fn is_name(token: Option<&Token>, name: &str) -> bool {
    matches!(token, Some(Token { kind: Kind::Name(found), .. }) if found == name)
}

fn is_mark(token: Option<&Token>, mark: char) -> bool {
    matches!(token, Some(Token { kind: Kind::Mark(found), .. }) if *found == mark)
}

/// The function `symbol`, where the whole file says only once what that is.
pub(super) fn find(tokens: &[Token], symbol: &str) -> Result<Found, Fault> {
    let mut found = None;
    let mut decorated = false;
    let mut rest = tokens;
    while let Some((first, behind)) = rest.split_first() {
        if first.indent != Some(0) {
            rest = behind;
            continue;
        }
        let is_async = is_name(Some(first), "async") && is_name(behind.first(), "def");
        let named = if is_async { behind.get(1..).unwrap_or_default() } else { behind };
        if (is_async || is_name(Some(first), "def")) && is_name(named.first(), symbol) {
            if decorated {
                return Err(refused(
                    "has a decorator, which may change what it takes",
                    "name a function without one, which may call it",
                ));
            }
            if found.is_some() {
                return Err(twice());
            }
            let after_name = named.get(1..).unwrap_or_default();
            found = Some(Parser { tokens: after_name }.function()?);
        } else if is_name(Some(first), symbol) && is_mark(behind.first(), '=') && !is_mark(behind.get(1), '=')
        {
            // Whatever the `def` says, the name is something else by then.
            return Err(twice());
        }
        decorated = is_mark(Some(first), '@');
        rest = behind;
    }
    found.ok_or_else(|| {
        refused(
            "is not defined at the left margin of its file",
            "name a function that the file defines with `def`",
        )
    })
}

fn twice() -> Fault {
    refused("is defined more than once in its file", "give one of the two another name")
}

impl<'a> Parser<'a> {
    pub(super) fn peek(&self) -> Option<&'a Kind> {
        self.tokens.first().map(|token| &token.kind)
    }

    pub(super) fn skip(&mut self) {
        self.tokens = self.tokens.get(1..).unwrap_or_default();
    }

    pub(super) fn next(&mut self) -> Option<&'a Kind> {
        let next = self.peek();
        self.skip();
        next
    }

    pub(super) fn take(&mut self, mark: char) -> bool {
        let there = self.peek() == Some(&Kind::Mark(mark));
        if there {
            self.skip();
        }
        there
    }

    pub(super) fn expect(&mut self, mark: char) -> Result<(), Fault> {
        if self.take(mark) {
            return Ok(());
        }
        Err(Fault::new(
            format!("has a signature that is not understood: there is no `{mark}` where one is expected"),
            "write names, types and literal defaults, as in `def f(path: str, limit: int = 10) -> str:`",
        ))
    }

    /// A comma, or the end of the list is next.
    pub(super) fn separated(&mut self, end: char) -> Result<(), Fault> {
        if self.peek() == Some(&Kind::Mark(end)) { Ok(()) } else { self.expect(',') }
    }

    fn function(&mut self) -> Result<Found, Fault> {
        self.expect('(')?;
        let mut parameters: Vec<Parameter> = Vec::new();
        let mut keyword_only = false;
        while !self.take(')') {
            if parameters.len() == PARAMETERS_MAX {
                return Err(Fault::new(format!("has more than {PARAMETERS_MAX} parameters"), "take a dict"));
            }
            if self.take('*') {
                // Alone it says that what follows is given by name, as all arguments are.
                if keyword_only || self.peek() != Some(&Kind::Mark(',')) {
                    return Err(refused("takes `*args` or `**kwargs`", "name each parameter"));
                }
                keyword_only = true;
            } else if self.peek() == Some(&Kind::Mark('/')) {
                return Err(refused("has parameters that cannot be given by name (`/`)", "remove the `/`"));
            } else {
                parameters.push(self.parameter()?);
            }
            self.separated(')')?;
        }
        let mut returns = None;
        if self.take('-') {
            self.expect('>')?;
            returns = Some(self.hint(0)?);
        }
        self.expect(':')?;
        let none = || {
            refused(
                "has no docstring, which is all that an agent knows of it",
                "write what it does in a string right below the `def`",
            )
        };
        let within = self.tokens.first().is_some_and(|token| token.indent != Some(0));
        if !within || !matches!(self.peek(), Some(Kind::Text(Some(_)))) {
            return Err(none());
        }
        let Value::String(text) = self.literal(0)? else { return Err(none()) };
        let ends = |token: &Token| token.indent.is_some() || token.kind == Kind::Mark(';');
        if !self.tokens.first().is_none_or(ends) {
            return Err(none());
        }
        let description = dedent(&text);
        if description.is_empty() {
            return Err(refused("has an empty docstring", "write what it does"));
        }
        Ok(Found { parameters, returns, description })
    }

    fn parameter(&mut self) -> Result<Parameter, Fault> {
        let Some(Kind::Name(name)) = self.next() else {
            return Err(refused("has a parameter that is not a name", "write `name: type`"));
        };
        if !self.take(':') {
            let what = format!("has a parameter `{name}` without a type");
            return Err(Fault::new(what, format!("write `{name}: str`, or what it is")));
        }
        let schema = self.hint(0)?;
        let default = if self.take('=') { Some(self.literal(0)?) } else { None };
        Ok(Parameter { name: name.clone(), schema, default })
    }
}

/// A docstring without its indentation (PEP 257, "Handling Docstring Indentation").
fn dedent(text: &str) -> String {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let blank = |line: &&str| !line.trim().is_empty();
    let margin = rest.lines().filter(blank).map(|line| line.len() - line.trim_start().len()).min();
    let rest = rest.lines().map(|line| line.get(margin.unwrap_or_default()..).unwrap_or_default().trim_end());
    let lines: Vec<&str> = std::iter::once(first.trim()).chain(rest).collect();
    lines.join("\n").trim().to_owned()
}
