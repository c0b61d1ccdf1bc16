//! What holds for every sequence of bytes that an agent, or a server, can send: the property tests (`property.rs`) and the fuzzers
//! (`fuzz/`) both state it by calling these.

use agentrc_broker::reading::{Events, canonical_url, message, resource};
use serde_json::Value;

/// Any bytes as a line of the agent's: what is taken is one strict JSON object of JSON-RPC 2.0, and what is not is answered by one.
pub(crate) fn line(bytes: &[u8]) {
    match message(bytes) {
        Ok(taken) => {
            let read = agentfile::json::read(bytes).expect("it is strict JSON");
            assert_eq!(read.get("jsonrpc").and_then(Value::as_str), Some("2.0"));
            // Nothing is understood that was not said: a method and an id stay what they were.
            for member in ["method", "id"] {
                assert_eq!(taken.get(member), read.get(member), "{member}");
            }
        }
        Err(refusal) => {
            assert!(!refusal.contains(&b'\n'), "two lines");
            let answer: Value = serde_json::from_slice(&refusal).expect("JSON");
            assert!(answer.pointer("/error/code").is_some_and(Value::is_i64), "{answer}");
        }
    }
}

/// Any text as the URI of a resource, and as a URL: what is decided about has one reading.
pub(crate) fn name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if resource(text).is_ok() {
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
        let path = text.split(['?', '#']).next().unwrap_or_default();
        let decoded = percent_decoded(path);
        let dots = |path: &str| path.split(['/', ':', '\\']).any(|part| matches!(part, "." | ".."));
        assert!(!dots(path) && !dots(&decoded), "{text}");
        assert_eq!(path.matches('/').count(), decoded.matches('/').count(), "{text}");
        assert!(!decoded.contains('\0'), "{text}");
    }
    if let Ok((url, host)) = canonical_url(text) {
        assert_eq!(canonical_url(&url), Ok((url.clone(), host.clone())), "{text}: not its own form");
        assert!(agentfile::parse::is_one_host(&host), "{text}");
        let authority = url.split('/').nth(2).expect("it has an authority");
        assert!(!authority.contains('@'), "{text}");
    }
}

/// Any bytes as a stream of events: the messages in it are the same however the bytes come in.
pub(crate) fn stream(bytes: &[u8]) {
    let taken = |step: usize| {
        let mut events = Events::default();
        let mut all = Vec::new();
        for part in bytes.chunks(step.max(1)) {
            all.extend(events.take(part).ok()?);
        }
        Some(all)
    };
    let whole = taken(bytes.len());
    for step in [1, 2, 3, 7] {
        assert_eq!(taken(step), whole, "in steps of {step}");
    }
    // What has no empty line behind it has not come.
    if !bytes.contains(&b'\n') && !bytes.contains(&b'\r') {
        assert_eq!(whole, Some(Vec::new()));
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%');
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
