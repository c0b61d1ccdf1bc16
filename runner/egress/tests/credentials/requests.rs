//! Heads of requests.

use super::*;
use agentrc_egress::credential::Place;

#[test]
fn a_placeholder_in_a_header_is_replaced() {
    let run = run(Way::Header);
    let ph = run.placeholder.clone();
    for (name, value, sent) in [
        ("authorization", format!("Bearer {ph}"), format!("Bearer {VALUE}")),
        ("authorization", format!("token {ph}"), format!("token {VALUE}")),
        ("authorization", ph.clone(), VALUE.to_owned()),
        ("authorization", format!("Custom key=\"{ph}\", n=1"), format!("Custom key=\"{VALUE}\", n=1")),
        ("x-api-key", ph.clone(), VALUE.to_owned()),
        ("private-token", ph.clone(), VALUE.to_owned()),
        ("cookie", format!("a=b; session={ph}; c=d"), format!("a=b; session={VALUE}; c=d")),
        (
            "authorization",
            format!("Basic {}", base64(&format!("user:{ph}"))),
            format!("Basic {}", base64(&format!("user:{VALUE}"))),
        ),
        (
            "authorization",
            format!("basic {}", base64(&format!("{ph}:"))),
            format!("Basic {}", base64(&format!("{VALUE}:"))),
        ),
        (
            "authorization",
            format!("Basic {}", base64(&format!("{ph}:x-oauth-basic"))),
            format!("Basic {}", base64(&format!("{VALUE}:x-oauth-basic"))),
        ),
        (
            "authorization",
            format!("Basic {}", base64(&format!("{ph}:{ph}"))),
            format!("Basic {}", base64(&format!("{VALUE}:{VALUE}"))),
        ),
        ("authorization", format!("Basic {}", base64(&ph)), format!("Basic {}", base64(VALUE))),
    ] {
        let request = get("/user?q=1", &[("host", "api.example.com"), (name, &value), ("x-last", "1")])
            .sent(&run)
            .unwrap();
        assert_eq!(request.header(name), sent);
        assert!(request.headers[name].is_sensitive());
        assert!(!format!("{:?}", request.headers).contains(VALUE));
        assert_eq!(request.header("accept-encoding"), "identity");
        assert_eq!((request.header("x-last"), request.uri.to_string().as_str()), ("1", "/user?q=1"));
    }
}

#[test]
fn a_placeholder_on_its_way_to_another_host_is_refused() {
    let run = run(Way::Header);
    let request = get("/", &[("authorization", &format!("Bearer {}", run.placeholder))]);
    for host in
        ["evil.example", "api.example.com.evil", "xapi.example.com", "example.com", "a.other.example", ""]
    {
        let refusal = request.judge(&run, host, true).unwrap_err();
        assert!(matches!(&refusal, Refusal::OtherHost { name, .. } if name == "token"), "{refusal}");
        assert!(!refusal.to_string().contains(VALUE));
    }
}

#[test]
fn a_placeholder_without_verified_tls_is_refused() {
    for way in [Way::Header, Way::Query, Way::Bearer, Way::AwsSignature] {
        let run = run(way);
        let request = get(&format!("/?key={}", run.placeholder), &[("x-key", &run.placeholder)]);
        let refusal = request.judge(&run, "api.example.com", false).unwrap_err();
        assert!(matches!(refusal, Refusal::Clear { .. }), "{refusal}");
    }
}

#[test]
fn one_label_stands_for_a_wildcard() {
    let run = run(Way::Header);
    let request = get("/", &[("authorization", &format!("Bearer {}", run.other))]);
    assert_eq!(request.judge(&run, "a.other.example", true).unwrap().len(), 1);
    for host in ["other.example", "a.b.other.example", ".other.example", "a.other.example.evil"] {
        assert!(matches!(request.judge(&run, host, true), Err(Refusal::OtherHost { .. })), "{host}");
    }
}

#[test]
fn a_placeholder_anywhere_else_in_a_head_is_refused() {
    let run = run(Way::Header);
    let ph = run.placeholder.clone();
    let lower = ph.to_ascii_lowercase();
    let long = base64(&format!("{{\"token\":\"{ph}\"}}"));
    for (place, request) in [
        (Place::Path, get(&format!("/{ph}/x"), &[])),
        (Place::Path, get(&format!("/{}", escaped(&ph)), &[])),
        (Place::Path, get(&format!("/x/{}", base64(&ph).trim_end_matches('=')), &[])),
        (Place::Query, get(&format!("/?key={ph}"), &[])),
        (Place::Query, get(&format!("/?{ph}"), &[])),
        (Place::Query, get(&format!("/?a=1&b={}", escaped(&ph)), &[])),
        (Place::Query, get(&format!("/?a={}", escaped(&base64(&format!("x{ph}")))), &[])),
        (Place::Host, get(&format!("https://{ph}.api.example.com/"), &[])),
        (Place::Host, get(&format!("https://{lower}.api.example.com/"), &[])),
        (Place::HeaderName, get("/", &[(&ph, "1")])),
        (
            Place::Header(http::header::AUTHORIZATION),
            get("/", &[("authorization", &format!("Bearer {}", escaped(&ph)))]),
        ),
        (
            Place::Header(http::header::AUTHORIZATION),
            get("/", &[("authorization", &format!("Bearer x{ph}"))]),
        ),
        (
            Place::Header(http::header::AUTHORIZATION),
            get("/", &[("authorization", &format!("Bearer {ph}x"))]),
        ),
        (
            Place::Header(http::header::AUTHORIZATION),
            get("/", &[("authorization", &format!("Bearer {long}"))]),
        ),
        (
            Place::Header(http::header::AUTHORIZATION),
            get("/", &[("authorization", &format!("Basic {}", base64(&format!("user:x{ph}"))))]),
        ),
        (
            Place::Header(http::header::AUTHORIZATION),
            get("/", &[("authorization", &format!("Basic {}x", base64(&format!("user:{ph}"))))]),
        ),
        (
            Place::Header(http::header::AUTHORIZATION),
            get("/", &[("authorization", &format!("Basic {}", base64(&format!("user:{}", escaped(&ph)))))]),
        ),
        (
            Place::Header(http::header::AUTHORIZATION),
            get("/", &[("authorization", &format!("Basic {ph} {long}"))]),
        ),
        (Place::Header(http::header::COOKIE), get("/", &[("cookie", &format!("a={ph}; b={long}"))])),
        (Place::Header(http::header::HOST), get("/", &[("host", &ph)])),
        (Place::Header(http::header::REFERER), get("/", &[("referer", &format!("https://x/?{ph}"))])),
        (Place::Header(http::header::USER_AGENT), get("/", &[("user-agent", &ph)])),
        (
            Place::Header(http::header::PROXY_AUTHORIZATION),
            get("/", &[("proxy-authorization", &format!("Bearer {ph}"))]),
        ),
        (Place::Method, Request { method: Method::from_bytes(ph.as_bytes()).unwrap(), ..get("/", &[]) }),
    ] {
        match request.judge(&run, "api.example.com", true) {
            Err(Refusal::Place { name, place: found, .. }) => {
                assert_eq!((name.as_str(), &found), ("token", &place))
            }
            other => unreachable!("{place:?} {}: {other:?}", request.uri),
        }
    }
}

#[test]
fn one_credential_that_may_go_does_not_take_another_along() {
    let run = run(Way::Header);
    let (ph, other) = (&run.placeholder, &run.other);
    for request in [
        get("/", &[("authorization", &format!("Bearer {ph}")), ("x-key", other)]),
        get("/", &[("cookie", &format!("a={ph}; b={other}"))]),
        get("/", &[("authorization", &format!("Basic {}", base64(&format!("{other}:{ph}"))))]),
        get(&format!("/{other}"), &[("authorization", &format!("Bearer {ph}"))]),
    ] {
        let refusal = request.judge(&run, "api.example.com", true).unwrap_err();
        assert!(matches!(&refusal, Refusal::OtherHost { name, .. } if name == "other"), "{refusal}");
    }
}

#[test]
fn a_parameter_is_replaced_where_the_query_is_asked_for() {
    let run = run(Way::Query);
    let ph = run.placeholder.clone();
    let request = get(&format!("https://api.example.com/a?x=%20&key={ph}&y"), &[]).sent(&run).unwrap();
    assert_eq!(request.uri, *format!("https://api.example.com/a?x=%20&key={VALUE}&y"));
    let request = get(&format!("/?key={}&key={ph}", escaped(&ph)), &[]).sent(&run).unwrap();
    assert_eq!(request.uri, *format!("/?key={VALUE}&key={VALUE}"));
    for refused in [
        get("/", &[("authorization", &format!("Bearer {ph}"))]),
        get(&format!("/?{ph}=1"), &[]),
        get(&format!("/?{ph}={ph}"), &[]),
        get(&format!("/?key=x{ph}"), &[]),
        get(&format!("/?key={}", base64(&ph)), &[]),
        get(&format!("/{ph}?key={ph}"), &[]),
    ] {
        assert!(matches!(refused.judge(&run, "api.example.com", true), Err(Refusal::Place { .. })));
    }
}

#[test]
fn a_value_is_escaped_for_the_query() {
    let one = bound("token", "a&b=c d/é?#%", "api.example.com", Way::Query);
    let placeholder = one.placeholder.to_string();
    let run = Run { guard: Guard::new(vec![one]).unwrap(), placeholder, other: String::new() };
    let request = get(&format!("/?key={}", run.placeholder), &[]).sent(&run).unwrap();
    assert_eq!(request.uri, "/?key=a%26b%3Dc%20d%2F%C3%A9%3F%23%25");
}

#[test]
fn an_older_form_is_put_in_without_a_placeholder() {
    let user = "user:pass-word-1";
    for (way, value, name, sent) in [
        (Way::Bearer, VALUE, "authorization", format!("Bearer {VALUE}")),
        (Way::Token, VALUE, "authorization", format!("token {VALUE}")),
        (Way::ApiKey, VALUE, "x-api-key", VALUE.to_owned()),
        (Way::Basic, user, "authorization", format!("Basic {}", base64(user))),
    ] {
        let guard = Guard::new(vec![bound("old", value, "api.example.com", way)]).unwrap();
        let run = Run { guard, placeholder: String::new(), other: String::new() };
        let request = get("/", &[(name, "the agent's own"), ("x", "1"), (name, "twice")]).sent(&run).unwrap();
        assert_eq!(request.headers.get_all(name).iter().count(), 1);
        assert_eq!((request.header(name), request.header("x")), (sent.as_str(), "1"));
        assert!(request.headers[name].is_sensitive());
        for (host, verified) in [("evil.example", true), ("api.example.com", false)] {
            assert_eq!(get("/", &[]).judge(&run, host, verified).unwrap(), []);
        }
    }
}

#[test]
fn credentials_that_cannot_both_be_meant_are_refused_at_launch() {
    let pair = |one: (Way, &str), other: (Way, &str)| {
        Guard::new(vec![bound("one", VALUE, one.1, one.0), bound("two", OTHER, other.1, other.0)]).map(|_| ())
    };
    assert!(matches!(pair((Way::Bearer, "a.b"), (Way::Token, "*.b")), Err(Refusal::Conflict { .. })));
    assert!(matches!(pair((Way::AwsSignature, "a.b"), (Way::Bearer, "a.b")), Err(Refusal::Conflict { .. })));
    assert!(pair((Way::Bearer, "a.b"), (Way::Token, "b.b")).is_ok());
    assert!(pair((Way::Bearer, "a.b"), (Way::ApiKey, "a.b")).is_ok());
    assert!(pair((Way::Header, "a.b"), (Way::Header, "a.b")).is_ok());
    let basic = Guard::new(vec![bound("one", VALUE, "a.b", Way::Basic)]);
    assert!(matches!(basic, Err(Refusal::NotUserAndPassword { .. })));
}

#[test]
fn a_way_is_the_one_that_the_line_says() {
    for (name, inject, older, way) in [
        ("k", None, false, Some(Way::Header)),
        ("k", Some("header"), false, Some(Way::Header)),
        ("k", Some("query"), false, Some(Way::Query)),
        ("aws", None, false, Some(Way::AwsSignature)),
        ("AWS_SECRET_ACCESS_KEY", Some("header"), false, Some(Way::AwsSignature)),
        ("AWS_SECRET_ACCESS_KEY", Some("query"), false, None),
        ("AWS_ACCESS_KEY_ID", None, false, Some(Way::Header)),
        ("k", Some("bearer"), true, Some(Way::Bearer)),
        ("k", Some("apikey"), true, Some(Way::ApiKey)),
        ("k", Some("header"), true, None),
        ("k", Some("query"), true, None),
        ("k", None, true, None),
        ("k", Some("bearer"), false, None),
    ] {
        assert_eq!(Way::of(name, inject, older).ok(), way, "{name} {inject:?} {older}");
    }
}

#[test]
fn a_request_for_aws_is_signed_anew_with_the_key_and_its_id() {
    let key = bound(
        "AWS_SECRET_ACCESS_KEY",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "examplebucket.s3.amazonaws.com",
        Way::AwsSignature,
    );
    let id =
        bound("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE", "examplebucket.s3.amazonaws.com", Way::Header);
    let authorization = |id: &str, signature: &str| {
        format!(
            "AWS4-HMAC-SHA256 Credential={id}/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, Signature={signature}"
        )
    };
    let (placeholder, other) = (id.placeholder.to_string(), key.placeholder.to_string());
    let run = Run { guard: Guard::new(vec![key, id]).unwrap(), placeholder, other };
    let headers = [
        ("host", "examplebucket.s3.amazonaws.com"),
        ("range", "bytes=0-9"),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ];
    let signed = authorization(&run.placeholder, "00");
    let mut request = get("/test.txt", &[&headers[..], &[("authorization", &signed)]].concat());
    let host = "examplebucket.s3.amazonaws.com";
    let injections = request.judge(&run, host, true).unwrap();
    let names: Vec<_> = injections.iter().map(|injection| run.guard.name(injection)).collect();
    assert_eq!(names, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]);
    run.guard.apply(&injections, &request.method, &mut request.uri, &mut request.headers).unwrap();
    assert_eq!(
        request.header("authorization"),
        authorization(
            "AKIAIOSFODNN7EXAMPLE",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        )
    );
    assert_eq!(request.header("range"), "bytes=0-9");

    for (uri, header) in [
        ("/?X-Amz-Signature=0", "Bearer x"),
        ("/?x-amz-%53ignature=0", "Bearer x"),
        ("/", "AWS4-ECDSA-P256-SHA256 Credential=x"),
        ("/", "AWS AKIA:signature"),
        ("/", "AWS4-HMAC-SHA256 nothing"),
    ] {
        let refusal = get(uri, &[("authorization", header)]).judge(&run, host, true).unwrap_err();
        assert!(matches!(refusal, Refusal::Signature { .. }), "{refusal}");
    }
    // What is not signed is not signed, and the key itself goes nowhere.
    assert_eq!(get("/", &[]).judge(&run, host, true).unwrap(), []);
    let refusal = get("/", &[("x-key", &run.other)]).judge(&run, host, true).unwrap_err();
    assert!(matches!(refusal, Refusal::Place { .. }), "{refusal}");
}

#[test]
fn a_placeholder_in_a_trailer_is_refused() {
    let run = run(Way::Header);
    let trailers = get("/", &[("x-sum", &run.placeholder)]).headers;
    assert!(matches!(run.guard.judge_trailers(&trailers), Err(Refusal::Place { place: Place::Trailer, .. })));
    assert_eq!(run.guard.judge_trailers(&get("/", &[("x-sum", "1")]).headers), Ok(()));
}

#[test]
fn a_head_that_has_changed_since_is_not_sent() {
    let run = run(Way::Header);
    let mut request = get("/", &[("a", "1"), ("authorization", &format!("Bearer {}", run.placeholder))]);
    let injections = request.judge(&run, "api.example.com", true).unwrap();
    request.headers.remove("a");
    let applied = run.guard.apply(&injections, &request.method, &mut request.uri, &mut request.headers);
    assert_eq!(applied, Err(Refusal::Changed));
}

#[test]
fn what_could_hide_a_value_in_an_answer_is_not_asked_for() {
    let run = run(Way::Header);
    let headers = [
        ("accept-encoding", "gzip, br"),
        ("range", "bytes=0-3"),
        ("if-range", "x"),
        ("sec-websocket-extensions", "permessage-deflate"),
    ];
    let request = get("/", &headers).sent(&run).unwrap();
    assert_eq!(request.headers.len(), 1);
    assert_eq!(request.header("accept-encoding"), "identity");
    assert!(run.guard.concerns("api.example.com") && run.guard.concerns("a.other.example"));
    assert!(!run.guard.concerns("example.com"));
}
