//! AWS's published examples: of its Signature Version 4 test suite, and of the S3 API reference.

use super::*;

const KEY: &[u8] = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const S3_KEY: &[u8] = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

/// The signature of a request of the test suite.
fn suite(method: &str, target: &str, more: &[(&'static str, &str)], signed: &str, body: &str) -> String {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={signed}, Signature=0"
    );
    let mut lines = vec![("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
    lines.extend(more);
    lines.push(("authorization", &authorization));
    let headers = headers(&lines);
    let hash = hex(digest::digest(&digest::SHA256, body.as_bytes()).as_ref());
    let request =
        Request::with_payload(&method.parse().unwrap(), &target.parse().unwrap(), &headers, &hash).unwrap();
    request.sign(KEY).rsplit_once("Signature=").unwrap().1.to_owned()
}

#[test]
fn the_test_suite_of_aws_is_signed_as_published() {
    let plain = "host;x-amz-date";
    for (name, method, target, more, signed, body, signature) in [
        (
            "get-vanilla",
            "GET",
            "/",
            &[][..],
            plain,
            "",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "get-slash",
            "GET",
            "//",
            &[],
            plain,
            "",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "get-relative",
            "GET",
            "/example/..",
            &[],
            plain,
            "",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "get-vanilla-empty-query-key",
            "GET",
            "/?Param1=value1",
            &[],
            plain,
            "",
            "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
        ),
        (
            "get-vanilla-query-order-key-case",
            "GET",
            "/?Param2=value2&Param1=value1",
            &[],
            plain,
            "",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "post-vanilla",
            "POST",
            "/",
            &[],
            plain,
            "",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            "get-header-value-trim",
            "GET",
            "/",
            &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")],
            "host;my-header1;my-header2;x-amz-date",
            "",
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
        (
            "get-header-key-duplicate",
            "GET",
            "/",
            &[("my-header1", "value2"), ("my-header1", "value2"), ("my-header1", "value1")],
            "host;my-header1;x-amz-date",
            "",
            "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        ),
        (
            "post-header-key-sort",
            "POST",
            "/",
            &[("my-header1", "value1")],
            "host;my-header1;x-amz-date",
            "",
            "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
        ),
        (
            "post-x-www-form-urlencoded",
            "POST",
            "/",
            &[("content-type", "application/x-www-form-urlencoded")],
            "content-type;host;x-amz-date",
            "Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ] {
        assert_eq!(suite(method, target, more, signed, body), signature, "{name}");
    }
}

#[test]
fn the_examples_of_s3_are_signed_as_published() {
    let put = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    for (method, target, more, signed, payload, signature) in [
        (
            "GET",
            "/test.txt",
            &[("range", "bytes=0-9")][..],
            "host;range;x-amz-content-sha256;x-amz-date",
            EMPTY,
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test$file.text",
            &[("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            put,
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "/?lifecycle",
            &[],
            "host;x-amz-content-sha256;x-amz-date",
            EMPTY,
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET",
            "/?max-keys=2&prefix=J",
            &[],
            "host;x-amz-content-sha256;x-amz-date",
            EMPTY,
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ] {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders={signed},Signature=0"
        );
        let mut lines = vec![
            ("host", "examplebucket.s3.amazonaws.com"),
            ("x-amz-date", "20130524T000000Z"),
            ("x-amz-content-sha256", payload),
            ("authorization", &authorization),
        ];
        lines.extend(more);
        let headers = headers(&lines);
        let request = Request::of(&method.parse().unwrap(), &target.parse().unwrap(), &headers).unwrap();
        assert!(request.sign(S3_KEY).ends_with(signature), "{method} {target}");
    }
}

#[test]
fn a_path_is_encoded_as_its_service_wants() {
    for (path, s3, others) in [
        ("/", "/", "/"),
        ("/a%20b", "/a%20b", "/a%2520b"),
        ("/a%2Fb", "/a%2Fb", "/a%252Fb"),
        ("/a//b/", "/a//b/", "/a/b/"),
        ("/a/./b/../c", "/a/./b/../c", "/a/c"),
        ("/..", "/..", "/"),
        ("/a:b", "/a%3Ab", "/a%3Ab"),
    ] {
        assert_eq!(canonical_path(path, true), s3);
        assert_eq!(canonical_path(path, false), others);
    }
}

#[test]
fn what_cannot_be_signed_is_refused() {
    let good = "AWS4-HMAC-SHA256 Credential=A/20150830/r/s3/aws4_request, SignedHeaders=host, Signature=0";
    let lines = [
        ("host", "h"),
        ("x-amz-date", "20150830T123600Z"),
        ("x-amz-content-sha256", EMPTY),
        ("authorization", good),
    ];
    let of = |change: &dyn Fn(&mut HeaderMap)| {
        let mut headers = headers(&lines);
        change(&mut headers);
        Request::of(&Method::GET, &Uri::from_static("/"), &headers).map(|_| ())
    };
    assert_eq!(of(&|_| {}), Ok(()));
    for name in ["x-amz-date", "x-amz-content-sha256", "authorization", "host"] {
        assert!(of(&|headers| drop(headers.remove(name))).is_err(), "{name}");
    }
    for (name, value) in [
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
        ("x-amz-content-sha256", "E3B0"),
        ("authorization", "AWS4-HMAC-SHA256"),
        ("authorization", "AWS4-HMAC-SHA256 Credential=A/20150830/r/s3, SignedHeaders=host, Signature=0"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=A/20150830/r/s3/aws4_request/x, SignedHeaders=host, Signature=0",
        ),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=A/20150830/r/s3/aws4_request, SignedHeaders=x-amz-date, Signature=0",
        ),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=A/20150830/r/s3/aws4_request, SignedHeaders=Host, Signature=0",
        ),
        ("authorization", "AWS4-HMAC-SHA256 Credential=A/20150830/r/s3/aws4_request, SignedHeaders=host"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=A/1/r/s3/aws4_request, Credential=B/1/r/s3/aws4_request, SignedHeaders=host, Signature=0",
        ),
    ] {
        assert!(of(&|headers| drop(headers.insert(name, value.parse().unwrap()))).is_err(), "{value}");
    }
    let twice = |headers: &mut HeaderMap| assert!(headers.append("authorization", good.parse().unwrap()));
    assert!(of(&twice).is_err());
}
