//! Puts values into a request's head, at the places that the judgement names.

use std::collections::BTreeSet;

use http::header::{self, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Uri};
use zeroize::Zeroizing;

use super::judge::{At, Part, basic, replace, split};
use super::{Bound, Guard, Injection, Refusal, Way, base64, percent, sigv4};

impl Guard {
    /// Makes the head what is sent to a host that this [concerns](Guard::concerns): puts in the values, asks for a response
    /// that can be searched for them, and signs. The head must be the one that was judged, unchanged, and goes out as it
    /// then is: whatever the gateway changes of its own, it changes before the judgement.
    ///
    /// Asked for is a response that is not compressed (`Accept-Encoding: identity`), is whole (no `Range`, unless the
    /// request is signed: then no value is in it that an answer could hold), and, of a WebSocket, without extensions.
    ///
    /// # Errors
    /// [`Refusal::Changed`] if the head is not the one that was judged; [`Refusal::Signature`].
    pub fn apply(
        &self,
        injections: &[Injection],
        method: &Method,
        uri: &mut Uri,
        headers: &mut HeaderMap,
    ) -> Result<(), Refusal> {
        let of = |injection: &Injection| self.bound.get(injection.credential).ok_or(Refusal::Changed);
        let mut again = BTreeSet::new();
        for injection in injections {
            let bound = of(injection)?;
            match injection.at {
                At::Header(at) => in_header(at, bound, headers)?,
                At::Basic(at, part) => in_basic(at, part, bound, headers)?,
                At::Query(at) => in_query(at, bound, uri)?,
                At::Older | At::Signature => again.insert(injection.credential),
            };
        }
        // Places are numbers, so what adds or removes headers comes after what looks one up.
        for credential in &again {
            older(self.bound.get(*credential).ok_or(Refusal::Changed)?, headers)?;
        }
        let mut signers = injections.iter().filter(|injection| injection.at == At::Signature).peekable();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
        if signers.peek().is_none() {
            headers.remove(header::RANGE);
            headers.remove(header::IF_RANGE);
        }
        for injection in signers {
            let bound = of(injection)?;
            let why = |why| Refusal::Signature { name: bound.name.clone(), why };
            let signed = sigv4::Request::of(method, uri, headers).map_err(why)?;
            let value = signed.sign(bound.secret.expose());
            headers
                .insert(header::AUTHORIZATION, HeaderValue::try_from(value).map_err(|_| Refusal::Changed)?);
        }
        Ok(())
    }
}

/// A value is never an index of HPACK's, nor shown by `Debug`.
fn sensitive(bytes: &[u8]) -> Result<HeaderValue, Refusal> {
    let mut value = HeaderValue::from_bytes(bytes).map_err(|_| Refusal::Changed)?;
    value.set_sensitive(true);
    Ok(value)
}

fn in_header(at: usize, bound: &Bound, headers: &mut HeaderMap) -> Result<bool, Refusal> {
    let value = headers.values_mut().nth(at).ok_or(Refusal::Changed)?;
    let with = replace(value.as_bytes(), bound.placeholder.as_str().as_bytes(), bound.secret.expose());
    if *with == value.as_bytes() {
        return Err(Refusal::Changed);
    }
    *value = sensitive(&with)?;
    Ok(true)
}

fn in_basic(at: usize, part: Part, bound: &Bound, headers: &mut HeaderMap) -> Result<bool, Refusal> {
    let value = headers.values_mut().nth(at).ok_or(Refusal::Changed)?;
    let pair = basic(value.as_bytes()).ok_or(Refusal::Changed)?;
    let (user, password) = split(&pair);
    let placeholder = bound.placeholder.as_str().as_bytes();
    let secret = bound.secret.expose();
    let (was, user, password) = match part {
        Part::User => (Some(user), secret, password),
        Part::Password => (password, user, Some(secret)),
        Part::Both => (Some(user), secret, None),
    };
    if was != Some(placeholder) {
        return Err(Refusal::Changed);
    }
    let mut new = Zeroizing::new(Vec::with_capacity(user.len() + password.map_or(0, <[u8]>::len) + 1));
    new.extend_from_slice(user);
    if let Some(password) = password {
        new.push(b':');
        new.extend_from_slice(password);
    }
    *value = basic_of(&new)?;
    Ok(true)
}

fn basic_of(pair: &[u8]) -> Result<HeaderValue, Refusal> {
    let encoded = base64::encode(pair, base64::STANDARD);
    prefixed(b"Basic ", &encoded)
}

fn prefixed(prefix: &[u8], value: &[u8]) -> Result<HeaderValue, Refusal> {
    let mut whole = Zeroizing::new(Vec::with_capacity(prefix.len() + value.len()));
    whole.extend_from_slice(prefix);
    whole.extend_from_slice(value);
    sensitive(&whole)
}

fn in_query(at: usize, bound: &Bound, uri: &mut Uri) -> Result<bool, Refusal> {
    let query = uri.query().ok_or(Refusal::Changed)?;
    let (name, value) =
        query.split('&').nth(at).and_then(|pair| pair.split_once('=')).ok_or(Refusal::Changed)?;
    if *percent::decode(value.as_bytes()) != bound.placeholder.as_str().as_bytes() {
        return Err(Refusal::Changed);
    }
    let encoded = percent::encode(bound.secret.expose(), percent::UPPER, percent::is_unreserved);
    let encoded = std::str::from_utf8(&encoded).map_err(|_| Refusal::Changed)?;
    let before: usize = query.split('&').take(at).map(|pair| pair.len() + 1).sum();
    let (head, tail) = (query.get(..before), query.get(before + name.len() + 1 + value.len()..));
    let (Some(head), Some(tail)) = (head, tail) else { return Err(Refusal::Changed) };
    let mut whole = Zeroizing::new(String::with_capacity(uri.path().len() + query.len() + encoded.len() + 1));
    for part in [uri.path(), "?", head, name, "=", encoded, tail] {
        whole.push_str(part);
    }
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(whole.as_bytes()).map_err(|_| Refusal::Changed)?);
    *uri = Uri::from_parts(parts).map_err(|_| Refusal::Changed)?;
    Ok(true)
}

/// Writes the header of an older form, over whatever the agent wrote there.
fn older(bound: &Bound, headers: &mut HeaderMap) -> Result<(), Refusal> {
    let Some((name, prefix)) = bound.way.older() else { return Ok(()) };
    let value = match bound.way {
        Way::Basic => basic_of(bound.secret.expose())?,
        _ => prefixed(prefix.as_bytes(), bound.secret.expose())?,
    };
    headers.insert(name, value);
    Ok(())
}
