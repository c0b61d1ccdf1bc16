//! Each directive's right and wrong forms, as a table: what the reference says is what the parser does.

#![cfg(test)]

use std::collections::BTreeSet;

use agentfile::directive::{DIRECTIVES, Shape};
use agentfile::parse::parse;
use agentfile::syntax::{AuditLevel, BindMode, Body, LimitName, Scheme};

/// Lines that parse without a finding.
const RIGHT: &[&str] = &[
    "AGENT reviewer",
    "FROM scratch",
    "FROM registry.example/base:1@sha256:00",
    "CMD sh",
    r#"CMD sh -c "a b" "" {"k":1}"#,
    "TOOL utcp:file_read",
    "TOOL mcp:server.tool",
    "TOOL local:./tools/lint",
    "TOOLSET utcp:files",
    "TOOLSET registry://x/y@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "FUNCTION ./score.py:score",
    "FUNCTION score",
    "SKILL review",
    "SKILL ./skills/review",
    "SERVER search https://tools.example.com/mcp",
    "MCP files",
    "MCP registry://example/files@1.2.0",
    "URL https://api.example.com",
    "URL http://127.0.0.1:11434",
    "URL tcp://db.example.com:5432",
    "CRED k env:K",
    "CRED k file:/run/k host:a.example host:b.example inject:query",
    "CRED k dotenv:.env",
    "CRED k keyring:service/key",
    "CRED k vault://secret/path#key inject:header",
    "CRED k command:op",
    "BROKER vault",
    "BROKER local",
    "BIND ./src /work",
    "BIND ./src /work copy",
    "BIND ./src /work direct",
    "BIND ./src /work rw",
    "BIND ./src /work ro",
    "MOUNT /scratch ro",
    "MOUNT /scratch rw",
    "MEMORY notes ./n.json schema:Note mode:ro",
    "MEMORY notes ./n.json schema:Note mode:rw",
    "POLICY\nEND",
    "POLICY # why\n\n END ",
    "ALLOW invoke utcp:file_read",
    "ALLOW read /path",
    "ALLOW egress host",
    "DENY write /path",
    "DENY resolve cred",
    "RATELIMIT x 1/s",
    "RATELIMIT x 1/min",
    "RATELIMIT x 1/hour",
    "RATELIMIT x 1/day",
    "LIMIT tool_calls 5",
    "LIMIT tool_calls 5/min",
    "LIMIT network_requests 5/s",
    "LIMIT max_output 64K",
    "LIMIT egress_bytes 1MB",
    "LIMIT egress_bytes 100/s",
    "LIMIT memory 2G",
    "LIMIT cpu 0.25",
    "LIMIT pids 64",
    "LIMIT open_files 64",
    "LIMIT disk 1GiB",
    "LIMIT wall 2h",
    "TIMEOUT 600",
    "TIMEOUT 10min",
    "SLICE cpu=2",
    "SLICE mem=2048 cpu=0.5",
    "AUDIT off",
    "AUDIT basic",
    "AUDIT all",
    "AUDIT compliance",
    "TRACE on",
    "TRACE off",
    "TRACE otlp://collector:4317",
    "TRACE otlp://[::1]:4317",
    "SOP ./procedure.md",
    "SOP\nbe kind\nEND",
    "HEALTHCHECK --interval=30 --timeout=5s CMD ./alive.sh",
    r#"HEALTHCHECK --retries=1 --timeout=5 --interval=1min CMD sh -c "a b""#,
    "IMAGE x",
    "ISOLATION local",
    "BACKEND x y",
    "PLUGIN network filesystem",
    "SHELL /bin/sh -c",
    "OPTIMIZER x",
];

/// Lines that are wrong, each with the code that it gets and the text under the caret.
const WRONG: &[(&str, &str, &str)] = &[
    ("AGENT", "E011", "AGENT"),
    ("AGENT # a", "E011", "AGENT"),
    ("AGENT a b", "E012", "b"),
    ("FROM", "E011", "FROM"),
    ("FROM a AS b", "E012", "AS"),
    ("CMD", "E011", "CMD"),
    (r#"CMD "" x"#, "E011", r#""""#),
    (r#"CMD a "b"#, "E009", r#""b"#),
    (r#"CMD a "b\""#, "E009", r#""b\""#),
    (r#"CMD a "b"c"#, "E009", "c"),
    (r#"CMD a "b\n""#, "E020", r"\n"),
    (r#"CMD ["a"]"#, "E021", r#"["a"]"#),
    ("BIND 'a' /b", "E022", "'a'"),
    ("TOOL a", "E017", "a"),
    ("TOOL mcp:a", "E017", "mcp:a"),
    ("TOOL a:", "E017", "a:"),
    ("TOOLSET a", "E017", "a"),
    ("FUNCTION ./a.py", "E017", "./a.py"),
    ("FUNCTION :f", "E017", ":f"),
    ("SKILL", "E011", "SKILL"),
    ("SERVER a", "E011", "SERVER"),
    ("SERVER a b", "E013", "b"),
    ("MCP a b", "E012", "b"),
    ("URL", "E011", "URL"),
    ("URL h", "E013", "h"),
    ("URL https://h/a;b", "E013", "https://h/a;b"),
    ("URL https://h/a*", "E013", "https://h/a*"),
    ("CRED k", "E011", "CRED"),
    ("CRED k v", "E019", "v"),
    ("CRED k vault://a", "E019", "vault://a"),
    ("CRED k vault://#k", "E019", "vault://#k"),
    ("CRED k vault://a#", "E019", "vault://a#"),
    ("CRED k env:K x", "E012", "x"),
    ("CRED k env:K host:", "E012", "host:"),
    ("CRED k env:sk-1", "E019", "env:sk-1"),
    ("CRED k env:K host:127.1", "E013", "127.1"),
    ("CRED k env:K host:https://a.example", "E013", "https://a.example"),
    ("CRED k env:K host:sk-1@x", "E013", "sk-1@x"),
    ("CRED k env:K host:a.example:443", "E013", "a.example:443"),
    ("CRED k https://a.example sk-1 env:K", "E016", "sk-1"),
    ("CRED k http://a.example bearer env:K", "E019", "http://a.example"),
    ("CRED tcp://a.example:1 bearer env:K", "E019", "tcp://a.example:1"),
    ("CRED k env:K inject:body", "E018", "inject:body"),
    ("CRED k https://h.example bearer", "E019", "https://h.example"),
    ("CRED https://h. bearer env:K", "E013", "https://h."),
    ("BROKER x", "E016", "x"),
    ("BIND a", "E011", "BIND"),
    ("BIND a b", "E015", "b"),
    ("BIND a /b rx", "E016", "rx"),
    ("BIND a /b rw x", "E012", "x"),
    ("MOUNT /a", "E011", "MOUNT"),
    ("MOUNT a rw", "E015", "a"),
    ("MOUNT /a copy", "E016", "copy"),
    ("MEMORY a b schema:", "E011", "MEMORY"),
    ("MEMORY a b schema: mode:rw", "E018", "schema:"),
    ("MEMORY a b schema:T mode:", "E016", ""),
    ("POLICY", "E008", "POLICY"),
    ("POLICY\nEND x", "E008", "x"),
    ("END", "E007", "END"),
    ("ALLOW read", "E011", "ALLOW"),
    ("ALLOW see /x", "E016", "see"),
    ("DENY READ /x", "E016", "READ"),
    ("DENY read /x /y", "E012", "/y"),
    ("RATELIMIT x 5", "E014", "5"),
    ("RATELIMIT x 0/min", "E014", "0/min"),
    ("RATELIMIT x -5/s", "E014", "-5/s"),
    ("LIMIT ram 1G", "E016", "ram"),
    ("LIMIT memory 1G/s", "E014", "1G/s"),
    ("LIMIT pids 5/s", "E014", "5/s"),
    ("LIMIT cpu .5", "E014", ".5"),
    ("LIMIT wall 5parsec", "E014", "5parsec"),
    ("TIMEOUT -1", "E014", "-1"),
    ("TIMEOUT 99999999999999999999", "E014", "99999999999999999999"),
    ("SLICE", "E011", "SLICE"),
    ("SLICE 2", "E018", "2"),
    ("SLICE mem=99999999999999999", "E014", "99999999999999999"),
    ("SLICE cpu=1 mem=1 cpu=1", "E012", "cpu=1"),
    ("AUDIT none", "E016", "none"),
    ("TRACE otlp://x", "E013", "otlp://x"),
    ("TRACE otlp://*.a.example:1", "E013", "otlp://*.a.example:1"),
    ("TRACE otlp://:", "E013", "otlp://:"),
    ("SOP a b", "E012", "b"),
    ("SOP", "E008", "SOP"),
    ("HEALTHCHECK a b c", "E011", "HEALTHCHECK"),
    ("HEALTHCHECK --interval=1 --timeout=1 CMD", "E011", "HEALTHCHECK"),
    ("HEALTHCHECK --interval=x --timeout=1 CMD a", "E014", "x"),
    ("HEALTHCHECK --interval=1 --timeout=1 --retries=4294967296 CMD a", "E014", "4294967296"),
    ("IMAGE", "E011", "IMAGE"),
    ("PLUGIN", "E011", "PLUGIN"),
    ("ISOLATION", "E011", "ISOLATION"),
    ("BACKEND", "E011", "BACKEND"),
    ("SHELL", "E011", "SHELL"),
    ("OPTIMIZER", "E011", "OPTIMIZER"),
];

#[test]
fn right_lines_are_one_statement_without_findings() {
    for line in RIGHT {
        let (file, findings) = parse(line.as_bytes());
        assert_eq!(findings, [], "{line}");
        assert_eq!(file.statements.len(), 1, "{line}");
        // The same inside a file, indented, spread out, with a comment and the other line end.
        if !line.contains(['\n', '"']) {
            let spread = format!("# x\r\n \t{} # why\r\n", line.replace(' ', " \t "));
            let (file, findings) = parse(spread.as_bytes());
            assert_eq!((file.statements.len(), findings), (1, vec![]), "{spread:?}");
        }
    }
}

#[test]
fn wrong_lines_get_their_code_at_their_place_and_no_statement() {
    for (line, code, at) in WRONG {
        let source = format!("AGENT first\n{line}\n");
        let (file, findings) = parse(source.as_bytes());
        assert!(findings.iter().any(|finding| finding.code == *code), "{line}: {findings:?}");
        let finding = findings.iter().find(|finding| finding.code == *code).unwrap();
        assert_eq!(&source[finding.span.start..finding.span.end], *at, "{line}");
        assert_eq!(file.statements.len(), 1, "{line}");
    }
}

#[test]
fn the_tables_have_each_directive_right_and_wrong() {
    let keyword = |line: &str| line.split([' ', '\n']).next().unwrap_or_default().to_owned();
    let right: BTreeSet<_> = RIGHT.iter().map(|line| keyword(line)).collect();
    let wrong: BTreeSet<_> = WRONG.iter().map(|(line, _, _)| keyword(line)).collect();
    for entry in DIRECTIVES {
        assert!(right.contains(entry.keyword) && wrong.contains(entry.keyword), "{}", entry.keyword);
    }
}

#[test]
fn one_argument_too_many_or_too_few_is_never_taken() {
    for entry in DIRECTIVES.iter().filter(|entry| entry.shape != Shape::Block) {
        let (least, most) = entry.arity;
        if least > 0 {
            let few = format!("{} {}", entry.keyword, vec!["x"; least - 1].join(" "));
            assert_eq!(parse(few.as_bytes()).1.first().map(|finding| finding.code), Some("E011"), "{few}");
        }
        if most < usize::MAX {
            let many = format!("{} {}", entry.keyword, vec!["x"; most + 1].join(" "));
            assert_eq!(parse(many.as_bytes()).1.first().map(|finding| finding.code), Some("E012"), "{many}");
        }
    }
}

fn body(line: &str) -> Body {
    let (file, findings) = parse(line.as_bytes());
    assert_eq!(findings, [], "{line}");
    file.statements.into_iter().next().unwrap().body
}

#[test]
fn values_are_read_in_base_units() {
    let limits = [
        ("memory 2G", LimitName::Memory, 2 << 30, None),
        ("memory 2GB", LimitName::Memory, 2_000_000_000, None),
        ("cpu 1.25", LimitName::Cpu, 1250, None),
        ("wall 2min", LimitName::Wall, 120, None),
        ("tool_calls 7/hour", LimitName::ToolCalls, 7, Some(3600)),
        ("egress_bytes 5M", LimitName::EgressBytes, 5 << 20, None),
    ];
    for (line, expected, amount, window) in limits {
        let Body::Limit { name, value, per_seconds, .. } = body(&format!("LIMIT {line}")) else {
            panic!("{line}")
        };
        assert_eq!((name, value, per_seconds), (expected, amount, window), "{line}");
    }
    let Body::Slice { cpu_millis, memory_bytes } = body("SLICE mem=2048 cpu=2") else { panic!() };
    assert_eq!((cpu_millis.unwrap().0, memory_bytes.unwrap().0), (2000, 2 << 30));
    assert!(matches!(body("TIMEOUT 5min"), Body::Timeout { seconds: 300, .. }));
    assert!(matches!(body("RATELIMIT x 9/day"), Body::RateLimit { count: 9, per_seconds: 86400, .. }));
    let probe = body("HEALTHCHECK --interval=1min --timeout=5 CMD a b");
    assert!(matches!(
        probe,
        Body::HealthCheck { interval_seconds: 60, timeout_seconds: 5, retries: 3, ref argv } if argv.len() == 2
    ));
}

#[test]
fn words_choose_what_the_reference_says() {
    for (word, expected) in [
        ("", BindMode::Copy),
        (" copy", BindMode::Copy),
        (" direct", BindMode::ReadWrite),
        (" rw", BindMode::ReadWrite),
        (" ro", BindMode::ReadOnly),
    ] {
        let Body::Bind { mode, mode_span, .. } = body(&format!("BIND ./a /b{word}")) else {
            panic!("{word}")
        };
        assert_eq!((mode, mode_span.is_some()), (expected, !word.is_empty()));
    }
    assert!(matches!(body("AUDIT compliance"), Body::Audit(AuditLevel::Compliance, _)));
    assert!(matches!(body("MOUNT /a ro"), Body::Mount { writable: false, .. }));
    assert!(matches!(body("MEMORY a b schema:T mode:rw"), Body::Memory { writable: true, .. }));
    let Body::Url(url) = body("URL tcp://DB.example:5432") else { panic!() };
    assert_eq!((url.scheme, url.host.as_str(), url.port), (Scheme::Tcp, "db.example", 5432));
    let Body::Tool(tool) = body("TOOL utcp:a:b") else { panic!() };
    assert_eq!((tool.namespace.as_str(), tool.name.as_str()), ("utcp", "a:b"));
}

#[test]
fn the_three_forms_of_a_credential_are_one() {
    let cred = |line: &str| {
        let (file, findings) = parse(line.as_bytes());
        let codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
        let Some(Body::Cred(cred)) = file.statements.into_iter().next().map(|statement| statement.body)
        else {
            panic!("{line}: {codes:?}")
        };
        let hosts: Vec<_> = cred.hosts.iter().map(|host| host.text.clone()).collect();
        let inject = cred.inject.map(|word| word.text).unwrap_or_default();
        (cred.name.text, cred.source.text, hosts.join(","), inject, cred.older_form, codes.join(","))
    };
    let expected = |name: &str, hosts: &str, inject: &str, older: bool, codes: &str| {
        (name.to_owned(), "env:K".to_owned(), hosts.to_owned(), inject.to_owned(), older, codes.to_owned())
    };
    assert_eq!(cred("CRED k env:K"), expected("k", "", "", false, ""));
    assert_eq!(
        cred("CRED k env:K host:a.example inject:query host:b.example"),
        expected("k", "a.example,b.example", "query", false, "")
    );
    assert_eq!(
        cred("CRED https://a.example bearer env:K"),
        expected("a.example", "a.example", "bearer", true, "W002")
    );
    assert_eq!(
        cred("CRED k https://a.example basic env:K"),
        expected("k", "a.example", "basic", true, "W002")
    );
}

#[test]
fn spans_of_parts_are_the_parts() {
    let source = "MEMORY n ./s.json schema:Note mode:rw\nFUNCTION ./f.py:run\nCRED k env:K host:h.example inject:header\n";
    let (file, _) = parse(source.as_bytes());
    let mut words = Vec::new();
    for statement in &file.statements {
        match &statement.body {
            Body::Memory { schema_type, .. } => words.push(schema_type),
            Body::Function { path, symbol } => words.extend(path.iter().chain([symbol])),
            Body::Cred(cred) => words.extend(cred.hosts.iter().chain(&cred.inject)),
            other => panic!("{other:?}"),
        }
        assert!(
            source[statement.span.start..]
                .starts_with(&source[statement.keyword.start..statement.keyword.end])
        );
    }
    assert_eq!(words.len(), 5);
    for word in words {
        assert_eq!(&source[word.span.start..word.span.end], word.text);
    }
}
