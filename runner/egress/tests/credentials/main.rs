//! Credentials on the wire: where a placeholder is replaced, where it is refused, and what becomes of a value that comes back.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod requests;
mod responses;
mod streams;

use agentrc_egress::credential::{Bound, Guard, Head, Injection, Refusal, Way};
use agentrc_secret::{Placeholder, Secret};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use zeroize::Zeroizing;

/// What the gateway puts in.
const VALUE: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
/// A second credential's, for another host.
const OTHER: &str = "sk-proj-0123456789abcdefghijklmnopqrstuvwxyzABCDEF";

fn bound(name: &str, value: &str, host: &str, way: Way) -> Bound {
    let secret = Secret::new(Zeroizing::new(value.as_bytes().to_vec())).unwrap();
    let placeholder = Placeholder::of(&secret).unwrap();
    Bound { name: name.to_owned(), placeholder, secret, hosts: vec![host.to_owned()], way }
}

/// A run with one credential for `api.example.com` and one for another host, and their placeholders.
struct Run {
    guard: Guard,
    placeholder: String,
    other: String,
}

fn run(way: Way) -> Run {
    let one = bound("token", VALUE, "api.example.com", way);
    let two = bound("other", OTHER, "*.other.example", Way::Header);
    let (placeholder, other) = (one.placeholder.to_string(), two.placeholder.to_string());
    Run { guard: Guard::new(vec![one, two]).unwrap(), placeholder, other }
}

/// A request, which is changed as the gateway would.
struct Request {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

fn get(uri: &str, headers: &[(&str, &str)]) -> Request {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    Request { method: Method::GET, uri: uri.parse().unwrap(), headers: map }
}

impl Request {
    fn judge(&self, run: &Run, host: &str, verified_tls: bool) -> Result<Vec<Injection>, Refusal> {
        run.guard.judge(
            &Head { method: &self.method, uri: &self.uri, headers: &self.headers },
            host,
            verified_tls,
        )
    }

    /// As it goes to `api.example.com`.
    fn sent(mut self, run: &Run) -> Result<Self, Refusal> {
        let injections = self.judge(run, "api.example.com", true)?;
        run.guard.apply(&injections, &self.method, &mut self.uri, &mut self.headers)?;
        Ok(self)
    }

    fn header(&self, name: &str) -> &str {
        std::str::from_utf8(self.headers[name].as_bytes()).unwrap()
    }
}

fn base64(text: &str) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in text.as_bytes().chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | group.get(at).copied().map_or(0, u32::from));
        for at in 0..4 {
            let sign = SIGNS[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= group.len() { char::from(sign) } else { '=' });
        }
    }
    out
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
