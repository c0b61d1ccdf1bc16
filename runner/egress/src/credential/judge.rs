//! The judgement of a request's head: where placeholders stand, and whether each may be replaced there.

use http::header::{self, HeaderMap, HeaderName};
use http::{Method, Uri};
use zeroize::Zeroizing;

use super::{Bound, Guard, Place, Refusal, Way, base64, percent, sigv4};

/// A request's head, as the agent sent it.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Head<'a> {
    pub method: &'a Method,
    pub uri: &'a Uri,
    pub headers: &'a HeaderMap,
}

/// One value that is to be put into a request. [`Guard::name`] says which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    pub(super) credential: usize,
    pub(super) at: At,
}

impl Injection {
    /// Where it is put, as policies name it: `header`, `query`, `signature`.
    #[must_use]
    pub fn place(&self) -> &'static str {
        match self.at {
            At::Header(_) | At::Basic(..) | At::Older => "header",
            At::Query(_) => "query",
            At::Signature => "signature",
        }
    }
}

/// Where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    /// In the value of the header of this number, wherever the placeholder stands in it.
    Header(usize),
    /// In what the header of this number says in base64 (RFC 7617).
    Basic(usize, Part),
    /// The value of the query's parameter of this number.
    Query(usize),
    /// In a header that is written anew.
    Older,
    /// In the signature.
    Signature,
}

/// Which part of `user:password`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    User,
    Password,
    Both,
}

/// Headers that say how a message travels, where to, or from where: no server takes a credential from them, and proxies
/// and logs read them.
const NEVER: &[HeaderName] = &[
    header::ACCEPT,
    header::ACCEPT_CHARSET,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CONNECTION,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_TYPE,
    header::DATE,
    header::EXPECT,
    header::FORWARDED,
    header::FROM,
    header::HOST,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::ORIGIN,
    header::PROXY_AUTHORIZATION,
    header::RANGE,
    header::REFERER,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::USER_AGENT,
    header::VIA,
];

/// Where the request goes.
#[derive(Clone, Copy)]
struct To<'a> {
    host: &'a str,
    verified_tls: bool,
}

impl To<'_> {
    fn takes(self, bound: &Bound) -> bool {
        self.verified_tls && bound.goes_to(self.host)
    }
}

impl Guard {
    /// Judges a request to `host`, the destination that the connection is for, in the plan's spelling. `verified_tls` says
    /// that its other end has shown a certificate for that name. Returns what is to be put in.
    ///
    /// # Errors
    /// The [`Refusal`] of the first placeholder that is where none may be, or of a signature that cannot be made anew. The
    /// request is then answered by the gateway and goes nowhere.
    pub fn judge(&self, head: &Head<'_>, host: &str, verified_tls: bool) -> Result<Vec<Injection>, Refusal> {
        let to = To { host, verified_tls };
        let mut injections = Vec::new();
        self.none(self.find(head.method.as_str().as_bytes()), Place::Method, to)?;
        if let Some(authority) = head.uri.authority() {
            self.none(self.find_in_any_case(authority.as_str()), Place::Host, to)?;
        }
        self.none(self.find(head.uri.path().as_bytes()), Place::Path, to)?;
        for (at, pair) in head.uri.query().unwrap_or_default().split('&').enumerate() {
            injections.extend(self.parameter(at, pair, to)?);
        }
        for (at, (name, value)) in head.headers.iter().enumerate() {
            self.none(self.find_in_any_case(name.as_str()), Place::HeaderName, to)?;
            injections.extend(self.header(at, name, value.as_bytes(), to)?);
        }
        for (credential, bound) in self.bound.iter().enumerate().filter(|(_, bound)| to.takes(bound)) {
            if bound.way.older().is_some() {
                injections.push(Injection { credential, at: At::Older });
            }
            if bound.way == Way::AwsSignature
                && sigv4::is_signed(head).map_err(|why| signature(bound, why))?
            {
                sigv4::Request::of(head.method, head.uri, head.headers)
                    .map_err(|why| signature(bound, why))?;
                injections.push(Injection { credential, at: At::Signature });
            }
        }
        Ok(injections)
    }

    /// Judges the trailers of a request (RFC 9110 §6.5): nothing is put into them.
    ///
    /// # Errors
    /// [`Refusal::Place`] if there is a placeholder in one.
    pub fn judge_trailers(&self, trailers: &HeaderMap) -> Result<(), Refusal> {
        for (name, value) in trailers {
            if let Some(owner) = self.find_in_any_case(name.as_str()).or_else(|| self.find(value.as_bytes()))
            {
                let name = self.bound.get(owner).map(|bound| bound.name.clone()).unwrap_or_default();
                return Err(Refusal::Place { name, place: Place::Trailer, help: "send it in a header" });
            }
        }
        Ok(())
    }

    /// A placeholder that was found where none may be.
    fn none(&self, found: Option<usize>, place: Place, to: To<'_>) -> Result<(), Refusal> {
        let Some(owner) = found else { return Ok(()) };
        let bound = self.bound.get(owner).ok_or(Refusal::Changed)?;
        let (name, host) = (bound.name.clone(), to.host.to_owned());
        Err(if !bound.goes_to(to.host) {
            Refusal::OtherHost { name, place, host }
        } else if !to.verified_tls {
            Refusal::Clear { name, place, host }
        } else {
            let help = match bound.way {
                Way::Header => {
                    "send it in `Authorization`, or in a header of the server's own, and by itself"
                }
                Way::Query => "send it as the value of a parameter of the query, and by itself",
                Way::AwsSignature => "it is a key: sign the request with it",
                Way::Bearer | Way::Token | Way::Basic | Way::ApiKey => "leave it out: the gateway puts it in",
            };
            Refusal::Place { name, place, help }
        })
    }

    /// One `name=value` of the query.
    fn parameter(&self, at: usize, pair: &str, to: To<'_>) -> Result<Option<Injection>, Refusal> {
        let Some(_) = self.find(pair.as_bytes()) else { return Ok(None) };
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent::decode(value.as_bytes());
        let meant = |bound: &Bound| {
            bound.way == Way::Query && to.takes(bound) && bound.placeholder.as_str().as_bytes() == &value[..]
        };
        match self.bound.iter().position(meant) {
            Some(credential) => {
                self.none(self.find(name.as_bytes()), Place::Query, to)?;
                Ok(Some(Injection { credential, at: At::Query(at) }))
            }
            None => self.none(self.find(pair.as_bytes()), Place::Query, to).map(|()| None),
        }
    }

    /// One header.
    fn header(
        &self,
        at: usize,
        name: &HeaderName,
        value: &[u8],
        to: To<'_>,
    ) -> Result<Vec<Injection>, Refusal> {
        let place = || Place::Header(name.clone());
        let pair = if *name == header::AUTHORIZATION { basic(value) } else { None };
        let in_pair = pair.as_ref().and_then(|pair| self.find(pair));
        if in_pair.or_else(|| self.find(value)).is_none() {
            return Ok(Vec::new());
        }
        if NEVER.contains(name) {
            return self.none(self.find(value), place(), to).map(|()| Vec::new());
        }
        let usable = |(_, bound): &(usize, &Bound)| bound.way == Way::Header && to.takes(bound);
        let usable: Vec<_> = self.bound.iter().enumerate().filter(usable).collect();
        // What is left when all that will be replaced is gone must hold nothing.
        let mut injections = Vec::new();
        let mut left = Zeroizing::new(value.to_vec());
        for (credential, bound) in &usable {
            let without = replace(&left, bound.placeholder.as_str().as_bytes(), b" ");
            if without != left {
                injections.push(Injection { credential: *credential, at: At::Header(at) });
                left = without;
            }
        }
        let Some(still) = in_pair.or_else(|| self.find(&left)) else { return Ok(injections) };
        if let Some(pair) = pair.filter(|_| injections.is_empty()) {
            let (user, password) = split(&pair);
            // The password first: the user may yet get longer.
            let parts = match password {
                Some(password) => vec![(password, Part::Password), (user, Part::User)],
                None => vec![(user, Part::Both)],
            };
            for (text, part) in parts {
                let same = |(_, bound): &&(usize, &Bound)| bound.placeholder.as_str().as_bytes() == text;
                match usable.iter().find(same) {
                    // RFC 7617 §2: it would end the user.
                    Some((_, bound)) if part == Part::User && bound.secret.expose().contains(&b':') => {
                        let help = "a user's name holds no colon; send it as the password";
                        return Err(Refusal::Place { name: bound.name.clone(), place: place(), help });
                    }
                    Some((credential, _)) => {
                        injections.push(Injection { credential: *credential, at: At::Basic(at, part) });
                    }
                    None => self.none(self.find(text), place(), to)?,
                }
            }
            // A text in two parts that are harmless has a harmless base64, but for what was just found in it.
            if !injections.is_empty() {
                return Ok(injections);
            }
        }
        self.none(Some(still), place(), to).map(|()| Vec::new())
    }
}

fn signature(bound: &Bound, why: &'static str) -> Refusal {
    Refusal::Signature { name: bound.name.clone(), why }
}

/// What `Basic` says (RFC 7617). The scheme is of any case.
pub(super) fn basic(value: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (scheme, rest) = value.split_at_checked(6)?;
    scheme.eq_ignore_ascii_case(b"basic ").then(|| base64::decode(rest.trim_ascii()))?
}

/// `user:password`, or one word.
pub(super) fn split(pair: &[u8]) -> (&[u8], Option<&[u8]>) {
    let colon = pair.iter().position(|byte| *byte == b':');
    match colon.and_then(|colon| pair.split_at_checked(colon)) {
        Some((user, password)) => (user, password.get(1..)),
        None => (pair, None),
    }
}

/// Replaces a placeholder wherever it stands by itself: not where it is a part of a longer word.
pub(super) fn replace(text: &[u8], placeholder: &[u8], with: &[u8]) -> Zeroizing<Vec<u8>> {
    let word =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"-_.%+".contains(byte));
    // Never too few: a buffer that grows leaves its content behind.
    let times = text.len() / placeholder.len().max(1);
    let mut out = Zeroizing::new(Vec::with_capacity(text.len() + times * with.len()));
    let mut rest = text;
    let mut before = None;
    while let Some((first, after)) = rest.split_first() {
        match rest.strip_prefix(placeholder) {
            Some(behind) if !word(before) && !word(behind.first()) => {
                out.extend_from_slice(with);
                before = placeholder.last();
                rest = behind;
            }
            _ => {
                out.push(*first);
                before = Some(first);
                rest = after;
            }
        }
    }
    out
}
