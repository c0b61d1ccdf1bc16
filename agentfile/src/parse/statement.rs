//! One line's arguments to one [`Body`]: the grammar of each directive.

use super::value::{assignment, bytes, count, cpus, rate, seconds};
use super::{cred, reference, url};
use crate::diag::Diagnostic;
use crate::directive::{self, Directive};
use crate::span::Span;
use crate::syntax::{AuditLevel, BindMode, Body, HintKind, LimitName, Rule, UrlPattern, Verb, Word};

/// Verbs of ALLOW and DENY.
const VERBS: &[(&str, Verb)] = &[
    ("invoke", Verb::Invoke),
    ("read", Verb::Read),
    ("write", Verb::Write),
    ("egress", Verb::Egress),
    ("resolve", Verb::Resolve),
];

/// Names of LIMIT.
const LIMITS: &[(&str, LimitName)] = &[
    ("tool_calls", LimitName::ToolCalls),
    ("network_requests", LimitName::NetworkRequests),
    ("max_output", LimitName::MaxOutput),
    ("egress_bytes", LimitName::EgressBytes),
    ("memory", LimitName::Memory),
    ("cpu", LimitName::Cpu),
    ("pids", LimitName::Pids),
    ("open_files", LimitName::OpenFiles),
    ("disk", LimitName::Disk),
    ("wall", LimitName::Wall),
];

/// Modes of BIND.
const MODES: &[(&str, BindMode)] = &[
    ("copy", BindMode::Copy),
    ("direct", BindMode::ReadWrite),
    ("rw", BindMode::ReadWrite),
    ("ro", BindMode::ReadOnly),
];

/// Levels of AUDIT.
const LEVELS: &[(&str, AuditLevel)] = &[
    ("off", AuditLevel::Off),
    ("basic", AuditLevel::Basic),
    ("all", AuditLevel::All),
    ("compliance", AuditLevel::Compliance),
];

/// `ro` and `rw`.
const ACCESS: &[(&str, bool)] = &[("ro", false), ("rw", true)];

/// One of a few words, or a finding that lists them.
fn choice<T: Copy>(table: &[(&str, T)], text: &str, span: Span, what: &str) -> Result<T, Diagnostic> {
    table.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let finding = Diagnostic::error("E016", span, format!("`{text}` is no {what}"));
        match directive::near(text, table.iter().map(|(name, _)| *name)) {
            Some(near) if near.eq_ignore_ascii_case(text) => {
                finding.help(format!("it is lower case: `{near}`")).fix(span, near)
            }
            Some(near) => finding.help(format!("did you mean `{near}`?")),
            None => {
                let names: Vec<_> = table.iter().map(|(name, _)| format!("`{name}`")).collect();
                finding.help(format!("write one of {}", names.join(", ")))
            }
        }
    })
}

/// The body of a statement that is one line. `None`: something was wrong, and is among the findings.
pub(super) fn body(
    entry: &Directive,
    keyword: &Word,
    arguments: &[Word],
    findings: &mut Vec<Diagnostic>,
) -> Option<Body> {
    let (least, most) = entry.arity;
    if arguments.len() < least {
        findings.push(
            Diagnostic::error("E011", keyword.span, format!("`{}` needs more arguments", entry.keyword))
                .help(format!("write `{}`", entry.grammar)),
        );
        return None;
    }
    if let Some(extra) = arguments.get(most) {
        findings.push(
            Diagnostic::error("E012", extra.span, format!("`{}` is one argument too many", extra.text))
                .help(format!("write `{}`", entry.grammar)),
        );
        return None;
    }
    if entry.keyword == "CRED" {
        return cred::parse(keyword.span, arguments, findings).map(Body::Cred);
    }
    if entry.keyword == "HEALTHCHECK" {
        return health_check(entry, keyword, arguments, findings);
    }
    if entry.keyword == "SLICE" {
        return slice(arguments, findings);
    }
    one(entry, arguments, findings).unwrap_or_else(|finding| {
        findings.push(finding);
        None
    })
}

fn one(
    entry: &Directive,
    arguments: &[Word],
    findings: &mut Vec<Diagnostic>,
) -> Result<Option<Body>, Diagnostic> {
    let body = match (entry.keyword, arguments) {
        ("AGENT", [name]) => Body::Agent(name.clone()),
        ("FROM", [word]) => reference::from(word)?,
        ("CMD", [program, ..]) if program.text.is_empty() => {
            return Err(Diagnostic::error("E011", program.span, "the program's name is empty")
                .help("write `CMD program [argument…]`"));
        }
        ("CMD", argv) => Body::Cmd(argv.to_vec()),
        ("TOOL", [word]) => Body::Tool(reference::tool(word)?),
        ("TOOLSET", [word]) => reference::toolset(word)?,
        ("FUNCTION", [word]) => reference::function(word)?,
        ("SKILL", [word]) => reference::skill(word)?,
        ("SERVER", [name, address]) => {
            Body::Server { name: reference::name(name, "a name of a server")?, url: url::parse(address)? }
        }
        ("MCP", [word]) => reference::mcp(word)?,
        ("URL", [word]) => Body::Url(url_with_warnings(word, findings)?),
        ("BROKER", [word]) => {
            choice(&[("vault", ()), ("local", ())], &word.text, word.span, "credential broker")?;
            Body::Broker(word.clone())
        }
        ("BIND", [source, target, rest @ ..]) => {
            let mode = rest.first();
            Body::Bind {
                source: source.clone(),
                target: absolute(target)?,
                mode: mode.map_or(Ok(BindMode::Copy), |word| {
                    choice(MODES, &word.text, word.span, "mode of a `BIND`")
                })?,
                mode_span: mode.map(|word| word.span),
            }
        }
        ("MOUNT", [path, mode]) => Body::Mount {
            path: absolute(path)?,
            writable: choice(ACCESS, &mode.text, mode.span, "mode of a `MOUNT`")?,
        },
        ("MEMORY", [name, schema_path, schema, mode]) => memory(name, schema_path, schema, mode)?,
        ("ALLOW", [verb, target]) => Body::Allow(rule(verb, target)?),
        ("DENY", [verb, target]) => Body::Deny(rule(verb, target)?),
        ("RATELIMIT", [target, word]) => {
            let (count, per_seconds) = rate(&word.text, word.span)?;
            if count == 0 {
                return Err(Diagnostic::error("E014", word.span, "a rate of nothing is a denial")
                    .help("write `DENY`, or a number above 0"));
            }
            Body::RateLimit { target: target.clone(), count, per_seconds, rate: word.span }
        }
        ("LIMIT", [name, value]) => limit(name, value)?,
        ("TIMEOUT", [word]) => Body::Timeout { seconds: seconds(&word.text, word.span)?, value: word.span },
        ("AUDIT", [word]) => Body::Audit(choice(LEVELS, &word.text, word.span, "audit level")?, word.span),
        ("TRACE", [word]) => {
            match word.text.strip_prefix("otlp://") {
                Some(address) => {
                    url::tcp(address, word.span)?;
                }
                None => choice(
                    &[("on", ()), ("off", ()), ("otlp://host:port", ())],
                    &word.text,
                    word.span,
                    "trace target",
                )?,
            }
            Body::Trace(word.clone())
        }
        ("SOP", [word]) => Body::SopFile(word.clone()),
        (keyword, arguments) => match hint(keyword) {
            Some(kind) => Body::Hint { kind, arguments: arguments.to_vec() },
            None => return Ok(None),
        },
    };
    Ok(Some(body))
}

fn hint(keyword: &str) -> Option<HintKind> {
    Some(match keyword {
        "IMAGE" => HintKind::Image,
        "ISOLATION" => HintKind::Isolation,
        "BACKEND" => HintKind::Backend,
        "PLUGIN" => HintKind::Plugin,
        "SHELL" => HintKind::Shell,
        "OPTIMIZER" => HintKind::Optimizer,
        _ => return None,
    })
}

fn absolute(word: &Word) -> Result<Word, Diagnostic> {
    if word.text.starts_with('/') {
        return Ok(word.clone());
    }
    Err(Diagnostic::error("E015", word.span, format!("`{}` is not an absolute path", word.text))
        .help("a path inside the sandbox starts with `/`"))
}

fn url_with_warnings(word: &Word, findings: &mut Vec<Diagnostic>) -> Result<UrlPattern, Diagnostic> {
    let pattern = url::parse(word)?;
    if pattern.host.starts_with("*.") {
        findings.push(
            Diagnostic::warning(
                "W003",
                word.span,
                format!("`{}` allows every host one label below it", pattern.host),
            )
            .help(
                "name the hosts where you know them: whoever can make a name below the suffix can be reached",
            ),
        );
    }
    Ok(pattern)
}

fn memory(name: &Word, schema_path: &Word, schema: &Word, mode: &Word) -> Result<Body, Diagnostic> {
    let Some((kind, span)) = assignment(schema, "schema:").filter(|(kind, _)| !kind.is_empty()) else {
        return Err(Diagnostic::error(
            "E018",
            schema.span,
            format!("`{}` is not `schema:Type`", schema.text),
        )
        .help("name the type in the schema: `schema:Note`"));
    };
    let Some((access, access_span)) = assignment(mode, "mode:") else {
        return Err(Diagnostic::error(
            "E018",
            mode.span,
            format!("`{}` is not `mode:ro` or `mode:rw`", mode.text),
        )
        .help("write `mode:ro` or `mode:rw`"));
    };
    Ok(Body::Memory {
        name: reference::name(name, "a name of a memory")?,
        schema_path: schema_path.clone(),
        schema_type: Word { text: kind.to_owned(), span },
        writable: choice(ACCESS, access, access_span, "mode of a `MEMORY`")?,
    })
}

fn rule(verb: &Word, target: &Word) -> Result<Rule, Diagnostic> {
    let known = choice(VERBS, &verb.text, verb.span, "verb")?;
    Ok(Rule { verb: known, verb_span: verb.span, target: target.clone() })
}

fn limit(name: &Word, value: &Word) -> Result<Body, Diagnostic> {
    let known = choice(LIMITS, &name.text, name.span, "limit")?;
    let (text, span) = (value.text.as_str(), value.span);
    let countable =
        matches!(known, LimitName::ToolCalls | LimitName::NetworkRequests | LimitName::EgressBytes);
    let (amount, per_seconds) = match (known, text.contains('/')) {
        (_, true) if countable => {
            let (amount, per) = rate(text, span)?;
            (amount, Some(per))
        }
        (LimitName::Cpu, _) => (cpus(text, span)?, None),
        (LimitName::Memory | LimitName::Disk | LimitName::MaxOutput | LimitName::EgressBytes, _) => {
            (bytes(text, span)?, None)
        }
        (LimitName::Wall, _) => (seconds(text, span)?, None),
        _ => (count(text, span)?, None),
    };
    Ok(Body::Limit { name: known, name_span: name.span, value: amount, per_seconds, value_span: span })
}

fn slice(arguments: &[Word], findings: &mut Vec<Diagnostic>) -> Option<Body> {
    let before = findings.len();
    let (mut cpu_millis, mut memory_bytes) = (None, None);
    for word in arguments {
        let parsed = if let Some((text, span)) = assignment(word, "cpu=") {
            cpus(text, span).map(|value| cpu_millis.replace((value, span)).is_some())
        } else if let Some((text, span)) = assignment(word, "mem=") {
            count(text, span)
                .and_then(|mebibytes| {
                    mebibytes.checked_mul(1 << 20).ok_or_else(|| {
                        Diagnostic::error("E014", span, format!("`{text}` MiB is too much"))
                            .help("write MiB: `mem=2048`")
                    })
                })
                .map(|value| memory_bytes.replace((value, span)).is_some())
        } else {
            Err(Diagnostic::error("E018", word.span, format!("`{}` is no part of a `SLICE`", word.text))
                .help("write `SLICE cpu=2 mem=2048` (CPUs, MiB)"))
        };
        match parsed {
            Ok(false) => {}
            Ok(true) => findings
                .push(Diagnostic::error("E018", word.span, "this is given twice").help("keep one of them")),
            Err(finding) => findings.push(finding),
        }
    }
    (findings.len() == before).then_some(Body::Slice { cpu_millis, memory_bytes })
}

fn health_check(
    entry: &Directive,
    keyword: &Word,
    arguments: &[Word],
    findings: &mut Vec<Diagnostic>,
) -> Option<Body> {
    let before = findings.len();
    let Some(at) = arguments.iter().position(|word| word.text == "CMD") else {
        let finding = Diagnostic::error("E011", keyword.span, "this `HEALTHCHECK` has no `CMD`");
        findings.push(finding.help(format!("write `{}`", entry.grammar)));
        return None;
    };
    let (options, command) = arguments.split_at_checked(at)?;
    let (mut interval, mut timeout, mut retries) = (None, None, None);
    for word in options {
        let parsed = if let Some((text, span)) = assignment(word, "--interval=") {
            seconds(text, span).map(|value| interval.replace(value).is_some())
        } else if let Some((text, span)) = assignment(word, "--timeout=") {
            seconds(text, span).map(|value| timeout.replace(value).is_some())
        } else if let Some((text, span)) = assignment(word, "--retries=") {
            count(text, span)
                .and_then(|value| {
                    u32::try_from(value).map_err(|_| {
                        Diagnostic::error("E014", span, format!("`{text}` is too much"))
                            .help("write a small number")
                    })
                })
                .map(|value| retries.replace(value).is_some())
        } else {
            Err(Diagnostic::error("E018", word.span, format!("there is no option `{}`", word.text))
                .help("write `--interval=S`, `--timeout=S` and `--retries=N`"))
        };
        match parsed {
            Ok(false) => {}
            Ok(true) => findings
                .push(Diagnostic::error("E018", word.span, "this is given twice").help("keep one of them")),
            Err(finding) => findings.push(finding),
        }
    }
    let argv = command.get(1..).unwrap_or_default().to_vec();
    if argv.is_empty() || interval.is_none() || timeout.is_none() {
        let finding = Diagnostic::error("E011", keyword.span, "this `HEALTHCHECK` is not complete");
        findings.push(finding.help(format!("write `{}`", entry.grammar)));
    }
    let (interval_seconds, timeout_seconds) = interval.zip(timeout)?;
    (findings.len() == before).then(|| Body::HealthCheck {
        interval_seconds,
        timeout_seconds,
        retries: retries.unwrap_or(3),
        argv,
    })
}
