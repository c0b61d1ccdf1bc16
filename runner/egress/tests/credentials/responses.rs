//! What comes back.

use super::*;
use proptest::prelude::*;

/// A body as it is passed on, given in chunks of these sizes.
fn passed_on(guard: &Guard, body: &[u8], mut sizes: impl Iterator<Item = usize>) -> Vec<u8> {
    let mut redactor = guard.redactor();
    let mut out = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(sizes.next().unwrap_or(rest.len()).clamp(1, rest.len()));
        redactor.push(chunk, &mut out);
        rest = after;
    }
    redactor.finish(&mut out);
    out
}

fn text(guard: &Guard, body: &str) -> String {
    String::from_utf8(passed_on(guard, body.as_bytes(), std::iter::empty())).unwrap()
}

#[test]
fn a_value_becomes_its_placeholder() {
    let run = run(Way::Header);
    let (ph, other) = (&run.placeholder, &run.other);
    assert_eq!(text(&run.guard, &format!("a{VALUE}b{OTHER}")), format!("a{ph}b{other}"));
    assert_eq!(text(&run.guard, &format!("{VALUE}{VALUE}")), format!("{ph}{ph}"));
    assert_eq!(text(&run.guard, &VALUE[..VALUE.len() - 1]), &VALUE[..VALUE.len() - 1]);
    assert_eq!(text(&run.guard, &format!("{}{VALUE}", &VALUE[..20])), format!("{}{ph}", &VALUE[..20]));
}

#[test]
fn a_value_is_found_in_what_servers_make_of_it() {
    let value = "pa\"ss/wö\\rd<&+ 1";
    let one = bound("token", value, "api.example.com", Way::Header);
    let ph = one.placeholder.to_string();
    let guard = Guard::new(vec![one]).unwrap();
    for form in [
        r#"pa\"ss/wö\\rd<&+ 1"#,
        r#"pa\"ss\/wö\\rd<&+ 1"#,
        r#"pa\"ss/w\u00f6\\rd<&+ 1"#,
        r#"pa\"ss/w\u00F6\\rd<&+ 1"#,
        r#"pa\"ss/wö\\rd\u003c\u0026+ 1"#,
        "pa%22ss%2Fw%C3%B6%5Crd%3C%26%2B%201",
        "pa%22ss%2fw%c3%b6%5crd%3c%26%2b%201",
        "pa%22ss%2Fw%C3%B6%5Crd%3C%26%2B+1",
    ] {
        assert_eq!(text(&guard, &format!("{{\"k\":\"{form}\"}}")), format!("{{\"k\":\"{ph}\"}}"));
    }
}

#[test]
fn no_base64_of_a_value_is_passed_on() {
    let run = run(Way::Header);
    for before in ["", "u", "us", "user:"] {
        let encoded = base64(&format!("{before}{VALUE}"));
        let passed = text(&run.guard, &encoded);
        assert!(passed.contains(&run.placeholder), "{passed}");
        for part in encoded.as_bytes()[before.len().div_ceil(3) * 4..].windows(8) {
            assert!(!passed.as_bytes().windows(8).any(|other| other == part), "{passed}");
        }
    }
}

#[test]
fn the_password_of_a_pair_is_a_value_by_itself() {
    let guard = Guard::new(vec![bound("old", "user:pass-word-1", "api.example.com", Way::Basic)]).unwrap();
    assert!(!text(&guard, "your password is pass-word-1.").contains("pass-word"));
    assert!(!text(&guard, &base64("xpass-word-1.")).contains(&base64("ass-word")[..8]));
}

#[test]
fn of_values_that_overlap_nothing_is_left() {
    let one = bound("one", "abcdefgh", "a.b", Way::Header);
    let two = bound("two", "efghijkl", "a.b", Way::Header);
    let whole = bound("whole", "abcdefghijklmnop", "a.b", Way::Header);
    let (ph1, ph2, ph3) =
        (one.placeholder.to_string(), two.placeholder.to_string(), whole.placeholder.to_string());
    let guard = Guard::new(vec![one, two, whole]).unwrap();
    assert_eq!(text(&guard, "<abcdefgh>"), format!("<{ph1}>"));
    assert_eq!(text(&guard, "<abcdefghijkl>"), format!("<{ph1}{ph2}>"));
    assert_eq!(text(&guard, "<abcdefghijklmnop>"), format!("<{ph1}{ph2}{ph3}>"));
}

#[test]
fn only_what_may_become_a_value_is_held_back() {
    let run = run(Way::Header);
    let mut redactor = run.guard.redactor();
    let mut out = Vec::new();
    redactor.push(b"data: hello\n\n", &mut out);
    assert_eq!(out, b"data: hello\n\n");
    redactor.push(b"data: ghp_16", &mut out);
    assert_eq!(out, b"data: hello\n\ndata: ");
    redactor.push(b"!", &mut out);
    assert_eq!(out, b"data: hello\n\ndata: ghp_16!");
    redactor.push(VALUE.as_bytes(), &mut out);
    assert!(out.ends_with(run.placeholder.as_bytes()));
    assert_eq!(redactor.matches(), 1);
}

#[test]
fn what_is_framed_by_its_length_keeps_it() {
    let run = run(Way::Header);
    let mut redactor = run.guard.redactor_of_same_length();
    let mut out = Vec::new();
    redactor.push(format!("<{VALUE}{OTHER}>").as_bytes(), &mut out);
    redactor.finish(&mut out);
    assert_eq!(String::from_utf8(out).unwrap(), format!("<{}>", "*".repeat(VALUE.len() + OTHER.len())));
}

#[test]
fn a_head_holds_no_value_and_no_length_of_a_body_that_may_change() {
    let run = run(Way::Header);
    let head = [
        ("content-length", "1234"),
        ("content-type", "text/plain"),
        ("set-cookie", "a=1"),
        ("set-cookie", &format!("token={VALUE}; Secure")),
        ("x-echo", &base64(&format!("user:{VALUE}"))),
        ("etag", "\"1\""),
        ("content-encoding", "identity"),
        ("transfer-encoding", "chunked"),
    ];
    let mut headers = get("/", &head).headers;
    assert_eq!(run.guard.redact_head(&mut headers, true), Ok(2));
    assert!(!headers.contains_key("content-length"));
    let cookies: Vec<_> = headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", &format!("token={}; Secure", run.placeholder)]);
    assert_ne!(headers["x-echo"], head[4].1);
    assert_eq!(
        (&headers["etag"], &headers["content-type"]),
        (&"\"1\"".parse().unwrap(), &"text/plain".parse().unwrap())
    );
    // Where there is no body, the length is not one.
    let mut headers = get("/", &[("content-length", "1234"), ("content-encoding", "gzip")]).headers;
    assert_eq!(run.guard.redact_head(&mut headers, false), Ok(0));
    assert_eq!(headers["content-length"], "1234");
}

#[test]
fn a_compressed_response_is_refused() {
    let run = run(Way::Header);
    for head in [
        [("content-encoding", "gzip")],
        [("content-encoding", "identity, br")],
        [("transfer-encoding", "gzip, chunked")],
    ] {
        let refusal = run.guard.redact_head(&mut get("/", &head).headers, true);
        assert_eq!(refusal, Err(Refusal::Compressed), "{head:?}");
    }
}

#[test]
fn nothing_shows_a_value() {
    let run = run(Way::Header);
    let mut redactor = run.guard.redactor();
    redactor.push(&VALUE.as_bytes()[..30], &mut Vec::new());
    let shown = format!(
        "{:?} {redactor:?} {:?}",
        run.guard,
        run.guard.scanner(agentrc_egress::credential::Place::Body)
    );
    assert!(!shown.contains(&VALUE[..12]), "{shown}");
}

proptest! {
    #[test]
    fn a_value_is_taken_out_over_any_boundary(
        parts in prop::collection::vec(prop_oneof![Just(VALUE.to_owned()), Just(OTHER.to_owned()), Just(VALUE[..17].to_owned()), "[ -~]{0,9}"], 0..12),
        sizes in prop::collection::vec(1..30_usize, 0..40),
    ) {
        let run = run(Way::Header);
        let body = parts.concat();
        let passed = passed_on(&run.guard, body.as_bytes(), sizes.into_iter().cycle());
        let expected = body.replace(VALUE, &run.placeholder).replace(OTHER, &run.other);
        prop_assert_eq!(String::from_utf8(passed).unwrap(), expected);
    }

    #[test]
    fn what_holds_no_value_is_passed_on_as_it_is(body: Vec<u8>, sizes in prop::collection::vec(1..30_usize, 0..40)) {
        let run = run(Way::Header);
        prop_assert_eq!(passed_on(&run.guard, &body, sizes.into_iter().cycle()), body);
    }
}
