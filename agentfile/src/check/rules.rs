//! `ALLOW` and `DENY`: what each line is about. Names may be declared further down, so lines are resolved at the end.

use std::collections::{HashMap, HashSet};

use super::Check;
use super::access::Access;
use crate::boundary::{Object, Rule};
use crate::diag::Diagnostic;
use crate::hosts::patterns_of;
use crate::parse::url;
use crate::path;
use crate::place::Place;
use crate::span::Span;
use crate::syntax::{self, Verb, Word};

/// How a verb is written.
fn verb_word(verb: Verb) -> &'static str {
    match verb {
        Verb::Invoke => "invoke",
        Verb::Read => "read",
        Verb::Write => "write",
        Verb::Egress => "egress",
        Verb::Resolve => "resolve",
    }
}

/// `*.label` in lower case.
fn top_level(text: &str) -> Option<String> {
    let label = text.strip_prefix("*.").filter(|label| !label.contains(['.', '*', '[']))?;
    url::host_name(label).ok().map(|label| format!("*.{label}"))
}

/// What the file declares, by the name that an ALLOW or DENY would use.
struct Declared {
    invocable: HashMap<String, Object>,
    credentials: HashSet<String>,
    /// Hosts of URL lines, and the patterns that take them in.
    hosts: HashSet<String>,
    /// Exactly the hosts of URL lines.
    exact_hosts: HashSet<String>,
    /// Whether tools may come from elsewhere (TOOLSET, MCP).
    open: bool,
}

impl Check<'_> {
    pub(super) fn rule(&mut self, allow: bool, rule: &syntax::Rule, place: Place) {
        self.pending_rules.push((allow, rule.clone(), place));
    }

    pub(super) fn resolve_rules(&mut self, access: &mut Access) {
        let declared = self.declared();
        let mut seen: HashMap<(Verb, Object), (bool, Span)> = HashMap::new();
        for (allow, rule, place) in std::mem::take(&mut self.pending_rules) {
            let Some(object) = self.object(&rule, &declared) else { continue };
            let key = (rule.verb, object.clone());
            match seen.get(&key) {
                Some((other, first)) if *other != allow => {
                    self.diagnostics.push(
                        Diagnostic::error(
                            "E050",
                            place.span,
                            format!(
                                "`{} {}` is both allowed and denied",
                                verb_word(rule.verb),
                                rule.target.text
                            ),
                        )
                        .help("remove one of the lines: a deny wins, and an allow that never holds misleads")
                        .related(*first, "the other is here"),
                    );
                    continue;
                }
                Some(_) => continue,
                None => seen.insert(key, (allow, place.span)),
            };
            self.judge(allow, &rule, &object, &declared, access);
            self.out.rules.push(Rule { allow, verb: rule.verb, object, place });
        }
    }

    fn declared(&self) -> Declared {
        let mut invocable = HashMap::new();
        for tool in &self.out.tools {
            let object = Object::Tool(tool.entity.clone());
            invocable.insert(format!("{}:{}", tool.namespace, tool.name), object.clone());
            if let Some((written, _)) = &tool.mapped {
                invocable.insert(written.clone(), object.clone());
            }
            invocable.insert(tool.entity.clone(), object);
        }
        for skill in &self.out.skills {
            let object = Object::Skill(skill.entity.clone());
            invocable.insert(skill.reference.clone(), object.clone());
            invocable.insert(skill.entity.clone(), object);
        }
        for function in &self.out.functions {
            let object = Object::Function(function.symbol.clone());
            if let Some(path) = &function.path {
                invocable.insert(format!("./{path}:{}", function.symbol), object.clone());
            }
            invocable.insert(function.symbol.clone(), object);
        }
        let hosts =
            self.out.hosts.iter().flat_map(|host| patterns_of(&host.host).map(String::from)).collect();
        Declared {
            invocable,
            credentials: self.out.credentials.iter().map(|credential| credential.name.clone()).collect(),
            hosts,
            exact_hosts: self.out.hosts.iter().map(|host| host.host.clone()).collect(),
            open: !self.out.toolsets.is_empty() || !self.out.mcp.is_empty() || !self.out.servers.is_empty(),
        }
    }

    fn object(&mut self, rule: &syntax::Rule, declared: &Declared) -> Option<Object> {
        let text = rule.target.text.as_str();
        match rule.verb {
            Verb::Invoke => Some(declared.invocable.get(text).cloned().unwrap_or_else(|| {
                Object::Tool(text.split_once(':').map_or(text, |(_, name)| name).to_owned())
            })),
            Verb::Resolve => Some(Object::Credential(text.to_owned())),
            Verb::Read | Verb::Write => self.rule_path(&rule.target).map(Object::Path),
            // A host that no request can have would make a deny that never holds. A whole top-level domain may be
            // denied; an ALLOW of one gives nothing that a URL line does not.
            Verb::Egress => match top_level(text).map_or_else(|| url::host_name(text), Ok) {
                Ok(host) => Some(Object::Host(host)),
                Err((why, help)) => {
                    self.diagnostics.push(
                        Diagnostic::error("E078", rule.target.span, format!("not a host: {why}"))
                            .help(format!("{help}; without scheme, port and path")),
                    );
                    None
                }
            },
        }
    }

    /// A path stands for what is beneath it, too; `/*` and `/**` at its end say no more.
    fn rule_path(&mut self, word: &Word) -> Option<String> {
        let text = word.text.as_str();
        let text = text.strip_suffix("/**").or_else(|| text.strip_suffix("/*")).unwrap_or(text);
        match path::inside(text) {
            Ok(path) if !path.contains('*') => Some(path),
            other => {
                let why =
                    other.err().map_or("holds a `*` before its end".to_owned(), |fault| fault.to_string());
                self.error(
                    "E078",
                    word.span,
                    format!("the path `{}` {why}", word.text),
                    "write an absolute, normalised path, such as `/workspace/secrets`",
                );
                None
            }
        }
    }

    /// What a line that is well-formed gets wrong.
    fn judge(
        &mut self,
        allow: bool,
        rule: &syntax::Rule,
        object: &Object,
        declared: &Declared,
        access: &mut Access,
    ) {
        let span = rule.target.span;
        let text = &rule.target.text;
        match (object, allow) {
            (Object::Tool(_) | Object::Function(_) | Object::Skill(_), true) => {
                if !declared.open && !declared.invocable.contains_key(text) {
                    self.error(
                        "E051",
                        span,
                        format!("`{text}` is allowed and not declared"),
                        format!("write `TOOL {text}` too, or check the spelling"),
                    );
                }
            }
            (Object::Credential(name), true) => {
                if !declared.credentials.contains(name) {
                    self.error(
                        "E051",
                        span,
                        format!("the credential `{text}` is allowed and not declared"),
                        format!("write `CRED {text} env:VAR host:HOST` too, or check the spelling"),
                    );
                }
            }
            (Object::Host(host), true) => {
                let reached = patterns_of(host)
                    .any(|pattern| declared.exact_hosts.contains(pattern.as_ref()))
                    || declared.hosts.contains(host);
                if !reached {
                    self.warn(
                        "W014",
                        span,
                        format!("this allows nothing: no URL line declares `{text}`"),
                        format!("write `URL https://{text}`, which is allowed by itself"),
                    );
                }
            }
            (Object::Credential(name), false) if declared.credentials.contains(name) => {
                self.contradiction(span, &format!("the CRED line of `{text}`"));
            }
            (Object::Host(host), false) if declared.hosts.contains(host) => {
                self.contradiction(span, &format!("a URL line of `{text}`"));
            }
            (Object::Path(path), true) => self.allowed_path(access, path, rule.verb == Verb::Write, span),
            (Object::Path(path), false) => self.denied_path(access, path, span),
            (_, false) => {}
        }
    }

    pub(super) fn contradiction(&mut self, span: Span, what: &str) {
        self.error(
            "E066",
            span,
            format!("this denies what {what} declares"),
            "remove one of the two: a boundary that is asked for and denied is a mistake in one of them",
        );
    }
}
