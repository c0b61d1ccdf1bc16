//! AWS Signature, Version 4 (IAM User Guide, "AWS SigV4 for API requests", "Create a signed AWS API request"): a request that
//! the agent signed with a placeholder is signed anew with the value. The agent's signature is not verified, which would
//! prove nothing: whoever may send a request here may have it signed.
//!
//! The key's id, the scope, the time and the choice of headers are the request's own. The body's hash is what
//! `x-amz-content-sha256` says, which is required: the gateway does not wait for a body to compute one, and the service
//! compares it with the body. Refused are what needs more than one signature, or one at another place: signed chunks,
//! presigned URLs, version 2, version 4A.

use std::borrow::Cow;

use aws_lc_rs::{digest, hmac};
use http::header::{self, HeaderMap, HeaderName};
use http::{Method, Uri};
use zeroize::Zeroizing;

use super::judge::Head;
use super::percent;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const PAYLOAD: HeaderName = HeaderName::from_static("x-amz-content-sha256");
/// Names of the body's hash that are none: it is not covered.
const UNSIGNED: &[&str] = &["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"];
/// Services that take a path as it is, where others encode it once more and remove what is empty in it.
const PATH_AS_IT_IS: &[&str] = &["s3", "s3express", "s3-object-lambda", "s3-outposts"];

/// Whether a request is signed for AWS, in the way that can be done anew.
pub(super) fn is_signed(head: &Head<'_>) -> Result<bool, &'static str> {
    let presigned = |pair: &str| {
        let name = percent::decode(pair.split('=').next().unwrap_or_default().as_bytes());
        name.to_ascii_lowercase() == b"x-amz-signature"
    };
    if head.uri.query().unwrap_or_default().split('&').any(presigned) {
        return Err("it is presigned, in its URL: sign it in the header `Authorization`");
    }
    let Some(authorization) = head.headers.get(header::AUTHORIZATION) else { return Ok(false) };
    let scheme = authorization.as_bytes().split(|byte| *byte == b' ').next().unwrap_or_default();
    match scheme {
        _ if scheme == ALGORITHM.as_bytes() => Ok(true),
        [b'A', b'W', b'S', ..] => Err("it is signed in another way: use AWS4-HMAC-SHA256"),
        _ => Ok(false),
    }
}

/// A request to be signed.
#[derive(Debug)]
pub(super) struct Request<'a> {
    key_id: &'a str,
    /// Date, region, service, `aws4_request`.
    scope: [&'a str; 4],
    signed_headers: &'a str,
    time: &'a str,
    canonical: String,
}

impl<'a> Request<'a> {
    /// Reads what a signature covers.
    ///
    /// # Errors
    /// What is missing or cannot be signed.
    pub(super) fn of(method: &Method, uri: &Uri, headers: &'a HeaderMap) -> Result<Self, &'static str> {
        let payload =
            one(headers, &PAYLOAD)?.ok_or("it has no `x-amz-content-sha256`: let the client send one")?;
        let is_hash =
            payload.len() == 64 && payload.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hash && !UNSIGNED.contains(&payload) {
            return Err("its body is signed in chunks: let the client send it unsigned, or at once");
        }
        Self::with_payload(method, uri, headers, payload)
    }

    fn with_payload(
        method: &Method,
        uri: &Uri,
        headers: &'a HeaderMap,
        payload: &str,
    ) -> Result<Self, &'static str> {
        let authorization = one(headers, &header::AUTHORIZATION)?.ok_or("it has no `Authorization`")?;
        let (key_id, scope, signed_headers) =
            parse(authorization).ok_or("its `Authorization` is malformed")?;
        let time = one(headers, &HeaderName::from_static("x-amz-date"))?.ok_or("it has no `x-amz-date`")?;
        let mut canonical = String::new();
        let mut push = |text: &str| {
            canonical.push_str(text);
            canonical.push('\n');
        };
        push(method.as_str());
        push(&canonical_path(uri.path(), PATH_AS_IT_IS.contains(&scope[2])));
        push(&canonical_query(uri.query().unwrap_or_default()));
        let mut has_host = false;
        for name in signed_headers.split(';') {
            has_host |= name == "host";
            push(&format!("{name}:{}", canonical_header(name, uri, headers)?));
        }
        if !has_host {
            return Err("its signature does not cover `host`");
        }
        push("");
        push(signed_headers);
        canonical.push_str(payload);
        Ok(Self { key_id, scope, signed_headers, time, canonical })
    }

    /// The value of `Authorization`.
    pub(super) fn sign(&self, secret: &[u8]) -> String {
        let scope = self.scope.join("/");
        let hash = hex(digest::digest(&digest::SHA256, self.canonical.as_bytes()).as_ref());
        let to_sign = format!("{ALGORITHM}\n{}\n{scope}\n{hash}", self.time);
        let mut key = Zeroizing::new(Vec::with_capacity(4 + secret.len()));
        key.extend_from_slice(b"AWS4");
        key.extend_from_slice(secret);
        for part in self.scope {
            key = mac(&key, part);
        }
        let signature = hex(&mac(&key, &to_sign));
        format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={}, Signature={signature}",
            self.key_id, self.signed_headers
        )
    }
}

fn mac(key: &[u8], text: &str) -> Zeroizing<Vec<u8>> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    Zeroizing::new(hmac::sign(&key, text.as_bytes()).as_ref().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A header that comes once at most.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, &'static str> {
    let mut values = headers.get_all(name).iter();
    let value =
        values.next().map(|value| value.to_str().map_err(|_| "a header of its signature is not ASCII"));
    if values.next().is_some() { Err("a header of its signature comes twice") } else { value.transpose() }
}

type Authorization<'a> = (&'a str, [&'a str; 4], &'a str);

/// `Credential=ID/DATE/REGION/SERVICE/aws4_request, SignedHeaders=…, Signature=…`: each once, in any order.
fn parse(authorization: &str) -> Option<Authorization<'_>> {
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for field in authorization.strip_prefix(ALGORITHM)?.strip_prefix(' ')?.split(',') {
        let (name, value) = field.trim().split_once('=')?;
        let place = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => return None,
        };
        if place.replace(value).is_some() {
            return None;
        }
    }
    signature?;
    let mut parts = credential?.split('/');
    let key_id = parts.next().filter(|id| !id.is_empty())?;
    let scope = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    let whole =
        parts.next().is_none() && scope[3] == "aws4_request" && scope.iter().all(|part| !part.is_empty());
    whole.then_some((key_id, scope, signed_headers?))
}

fn encode(text: &[u8]) -> String {
    String::from_utf8_lossy(&percent::encode(text, percent::UPPER, percent::is_unreserved)).into_owned()
}

fn canonical_path(path: &str, as_it_is: bool) -> String {
    if as_it_is {
        let once = |part: &str| encode(&percent::decode(part.as_bytes()));
        return path.split('/').map(once).collect::<Vec<_>>().join("/");
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let is_folder = path.ends_with(['/']) || path.ends_with("/.") || path.ends_with("/..");
    let end = if is_folder && !parts.is_empty() { "/" } else { "" };
    let twice: Vec<_> = parts.iter().map(|part| encode(part.as_bytes())).collect();
    format!("/{}{end}", twice.join("/"))
}

fn canonical_query(query: &str) -> String {
    let again = |text: &str| encode(&percent::decode(text.as_bytes()));
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (again(name), again(value))
    };
    let mut pairs: Vec<_> = query.split('&').filter(|text| !text.is_empty()).map(pair).collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// The values of a header, with whatever is more than one space removed.
fn canonical_header<'a>(name: &str, uri: &'a Uri, headers: &'a HeaderMap) -> Result<String, &'static str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("its `SignedHeaders` are not in lower case");
    }
    let mut values: Vec<Cow<'_, str>> = Vec::new();
    for value in headers.get_all(name) {
        let text =
            std::str::from_utf8(value.as_bytes()).map_err(|_| "a header that it covers is not UTF-8")?;
        values.push(Cow::Owned(text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")));
    }
    // HTTP/2 has the host in its `:authority`.
    if values.is_empty()
        && name == "host"
        && let Some(authority) = uri.authority()
    {
        values.push(Cow::Borrowed(authority.as_str()));
    }
    if values.is_empty() { Err("a header that it covers is not in it") } else { Ok(values.join(",")) }
}

#[cfg(test)]
#[path = "sigv4_tests.rs"]
mod tests;
