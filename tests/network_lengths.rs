//! Network: a body that is not as long as its request says. It is never the end of one request and the beginning of another, and keeps
//! nobody waiting. (`shared/attacks.md`, "Network"; RFC 9112, section 6.3; RFC 9113, section 8.1.1.)

use agentrc_test_support::frames::python;
use agentrc_test_support::{World, as_each_and_without_filter};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

const LINES: &str = "URL http://api.example.com:8080\nPOLICY\n\
    forbid (principal, action == AgentRC::Action::\"network.egress\", resource) when { context.path == \"/smuggled\" };\nEND";

/// What is behind a body, and would be a request if its end were seen elsewhere.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\\r\\nHost: api.example.com:8080\\r\\n\\r\\n";

/// The server must have read these whole, in any order, perhaps those, and nothing of what is forbidden.
#[track_caller]
fn whole(world: &World<'_>, mut expected: Vec<String>, perhaps: &[String], at: &str) {
    assert!(!world.targets().iter().any(|target| target == "/smuggled"), "{at}: {:?}", world.targets());
    let mut whole = world.whole_targets();
    whole.retain(|target| !perhaps.contains(target));
    whole.sort_unstable();
    expected.sort_unstable();
    assert_eq!(whole, expected, "{at}: {:?}", world.targets());
}

#[test]
fn a_body_of_http1_ends_where_its_length_says_or_breaks_off() {
    // The fields, what follows the head, whether the agent ends its side then, and whether the request is one.
    let cases: &[(&str, &str, bool, bool)] = &[
        ("Content-Length: 4", "four", false, true),
        ("Transfer-Encoding: chunked", "4\\r\\nfour\\r\\n0\\r\\n\\r\\n", false, true),
        // Shorter, and then the end.
        ("Content-Length: 10", "four", true, false),
        ("Content-Length: 10", "", true, false),
        ("Transfer-Encoding: chunked", "4\\r\\nfour\\r\\n", true, false),
        ("Transfer-Encoding: chunked", "a\\r\\nfour", true, false),
        ("Transfer-Encoding: chunked", "4\\r\\nfour\\r\\n0\\r\\n", true, false),
        // Longer: what is too much is no part of it.
        ("Content-Length: 4", "four\\0\\0garbage\\r\\n\\r\\n", false, true),
        ("Content-Length: 4", "fourSMUGGLED", false, true),
        ("Content-Length: 0", "SMUGGLED", false, true),
        ("Transfer-Encoding: chunked", "4\\r\\nfour\\r\\n0\\r\\n\\r\\nSMUGGLED", false, true),
        ("Transfer-Encoding: chunked", "3\\r\\nfourSMUGGLED", false, false),
        // Two that differ, in each order and form.
        ("Content-Length: 4\\r\\nContent-Length: 90", "fourSMUGGLED", false, false),
        ("Content-Length: 90\\r\\nContent-Length: 4", "fourSMUGGLED", true, false),
        ("Content-Length: 4, 90", "fourSMUGGLED", false, false),
        ("Content-Length: 18446744073709551620", "fourSMUGGLED", true, false),
        ("Content-Length: 4 4", "fourSMUGGLED", false, false),
        // With another: the coding decides, or neither is taken.
        (
            "Content-Length: 90\\r\\nTransfer-Encoding: chunked",
            "4\\r\\nfour\\r\\n0\\r\\n\\r\\nSMUGGLED",
            false,
            true,
        ),
        (
            "Transfer-Encoding: chunked\\r\\nContent-Length: 4",
            "4\\r\\nfour\\r\\n0\\r\\n\\r\\nSMUGGLED",
            false,
            true,
        ),
        ("Content-Length: 4\\r\\nTransfer-Encoding: gzip", "fourSMUGGLED", false, false),
    ];
    let mut script = String::from(
        "import socket\n\
         def ask(text, end):\n\
         \x20   one = socket.create_connection(('api.example.com', 8080))\n\
         \x20   one.settimeout(20)\n\
         \x20   try:\n\
         \x20       one.sendall(text)\n\
         \x20       if end: one.shutdown(socket.SHUT_WR)\n\
         \x20       while one.recv(65536): pass\n\
         \x20   except TimeoutError: return 'hangs'\n\
         \x20   except OSError: pass\n\
         \x20   return 'ended'\n",
    );
    let mut expected = vec!["/after".to_owned()];
    for (number, (fields, rest, end, is_one)) in cases.iter().enumerate() {
        let rest = rest.replace("SMUGGLED", SMUGGLED);
        script += &format!(
            "print({number}, ask(b'POST /{number} HTTP/1.1\\r\\nHost: api.example.com:8080\\r\\nConnection: close\\r\\n{fields}\\r\\n\\r\\n{rest}', {}))\n",
            if *end { "True" } else { "False" }
        );
        expected.extend(is_one.then(|| format!("/{number}")));
    }
    script += "print(ask(b'GET /after HTTP/1.1\\r\\nHost: api.example.com:8080\\r\\nConnection: close\\r\\n\\r\\n', False))\n";
    let script = format!("/usr/bin/python3 - <<'END'\n{script}END");
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let outcome = world.run(LINES, &script);
        let at = format!("as {}: {}", lab.who.name, outcome.out());
        assert_eq!(outcome.out().matches("ended\n").count(), cases.len() + 1, "{at}");
        whole(&world, expected.clone(), &[], &at);
    });
}

/// Whether frames are a request.
#[derive(PartialEq)]
enum Is {
    One,
    None,
    /// As long as the rest is not there, they are.
    OneAndMore,
}

#[test]
fn a_body_of_http2_is_as_long_as_its_request_says_or_none() {
    // What is sent on a stream of its own, and whether it is a request.
    let cases: &[(&str, Is)] = &[
        ("post('4'), data(b'four', END_STREAM)", Is::One),
        ("post('8'), data(b'four'), data(b'more', END_STREAM)", Is::One),
        // Shorter.
        ("post('10'), data(b'four', END_STREAM)", Is::None),
        ("post('10'), data(b'four'), data(b'', END_STREAM)", Is::None),
        ("post('10', END_STREAM)", Is::None),
        ("post('10'), data(b'four'), trailers()", Is::None),
        ("post('10'), data(b'four'), reset()", Is::None),
        // Longer.
        ("post('4'), data(b'four' + SMUGGLED, END_STREAM)", Is::None),
        ("post('4'), data(b'four'), data(SMUGGLED, END_STREAM)", Is::OneAndMore),
        ("post('0'), data(SMUGGLED, END_STREAM)", Is::OneAndMore),
        // Two, and none.
        ("post('4', 0, '90'), data(b'four' + SMUGGLED, END_STREAM)", Is::None),
        ("post('90', 0, '4'), data(b'four' + SMUGGLED, END_STREAM)", Is::None),
        ("post('4, 90'), data(b'four' + SMUGGLED, END_STREAM)", Is::None),
        ("post('18446744073709551620'), data(b'four' + SMUGGLED, END_STREAM)", Is::None),
        ("post('-4'), data(b'four', END_STREAM)", Is::None),
    ];
    let mut script = format!(
        "SMUGGLED = b'{SMUGGLED}'\n\
         AUTHORITY = 'api.example.com:8080'\n\
         def post(length, flags=0, *others):\n\
         \x20   lengths = [('content-length', one) for one in (length, *others)]\n\
         \x20   return lambda at, name: frame(HEADERS, END_HEADERS | flags, at, block(*get('/' + name, AUTHORITY, method='POST'), *lengths))\n\
         def data(bytes, flags=0): return lambda at, name: frame(DATA, flags, at, bytes)\n\
         def trailers(): return lambda at, name: frame(HEADERS, END_HEADERS | END_STREAM, at, block(('x', 'y')))\n\
         def reset(): return lambda at, name: frame(RESET, 0, at, b'\\0\\0\\0\\x08')\n\
         # At once, or part by part, so that the head is on its way before the rest comes; and then one that is one.\n\
         def ask(name, slowly, *parts):\n\
         \x20   one, parts = start(), [part(1, name) for part in parts]\n\
         \x20   for part in parts if slowly else [b''.join(parts)]:\n\
         \x20       one.sendall(part)\n\
         \x20       if slowly: gather([one], 0.3, lambda seen: (0, 1) in seen)\n\
         \x20   one.sendall(frame(HEADERS, END_HEADERS | END_STREAM, 3, block(*get('/after' + name, AUTHORITY))))\n\
         \x20   seen = gather([one], 20, lambda seen: seen.get((0, 3)) == b'ok')\n\
         \x20   print(name, 'ended' if seen.get((0, 3)) == b'ok' else seen, flush=True)\n"
    );
    let (mut expected, mut perhaps) = (Vec::new(), Vec::new());
    for (number, (parts, is)) in cases.iter().enumerate() {
        script += &format!("ask('{number}', False, {parts})\n");
        expected.push(format!("/after{number}"));
        if *is == Is::One {
            expected.push(format!("/{number}"));
            continue;
        }
        // The server answers the head; what comes after the answer would be lost of one that is one.
        script += &format!("ask('{number}slow', True, {parts})\n");
        expected.push(format!("/after{number}slow"));
        if *is == Is::OneAndMore {
            perhaps.push(format!("/{number}slow"));
        }
    }
    let script = python(8080, &script);
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let outcome = world.run(LINES, &script);
        let at = format!("as {}: {}", lab.who.name, outcome.out());
        assert_eq!(outcome.out().matches("ended\n").count(), script.matches("\nask(").count(), "{at}");
        whole(&world, expected.clone(), &perhaps, &at);
    });
}
