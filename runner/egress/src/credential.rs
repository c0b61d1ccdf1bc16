//! Credentials on the wire. The agent holds placeholders; here they are found in what it sends, replaced where their
//! `CRED` line says so, and refused everywhere else; and values are taken out of what comes back. Nothing here reads or
//! writes anything: the gateway asks, for each request, and does what it is told.
//!
//! For a request to a host, in this order: the gateway makes its own changes to the head; [`Guard::judge`]; it decides
//! whether the credentials that this names may be used; if the host is one that credentials may go to
//! ([`Guard::concerns`]), [`Guard::apply`], last, since a signature covers the head. Then each chunk of the body, and of
//! whatever else goes out, through a [`Scanner`], and trailers through [`Guard::judge_trailers`]. For the response of such a
//! host: [`Guard::redact_head`], and each chunk of the body through a [`Redactor`].
//!
//! After [`Guard::apply`] the head holds values: it is sent, and neither logged nor formatted.

mod apply;
mod automaton;
mod base64;
mod guard;
mod judge;
mod percent;
mod redact;
mod response;
mod scan;
mod sigv4;

use std::fmt;

use agentrc_secret::{Placeholder, Secret};
use http::header::{AUTHORIZATION, HeaderName};

pub use guard::Guard;
pub use judge::{Head, Injection};
pub use redact::Redactor;
pub use scan::Scanner;

/// A credential of the run, with where it may go.
#[derive(Debug)]
pub struct Bound {
    /// As in the plan.
    pub name: String,
    /// What the agent holds, and what is shown of the value in answers.
    pub placeholder: Placeholder,
    /// What goes out.
    pub secret: Secret,
    /// Names and addresses in the plan's spelling, or `*.suffix`, where `*` stands for one label.
    pub hosts: Vec<String>,
    /// How it goes out.
    pub way: Way,
}

impl Bound {
    /// Whether the value may go to this host, given in the plan's spelling.
    #[must_use]
    pub fn goes_to(&self, host: &str) -> bool {
        self.hosts.iter().any(|bound| covers(bound, host))
    }
}

/// Whether a declared host is, or stands for, another.
fn covers(declared: &str, host: &str) -> bool {
    let below =
        |suffix: &str| host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == suffix);
    declared == host || declared.strip_prefix("*.").is_some_and(below)
}

/// How a value gets into a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// In a header, where its placeholder stands.
    Header,
    /// As the value of a parameter of the query, where its placeholder is that.
    Query,
    /// Never itself: as the key of an AWS Signature, Version 4, that is made anew.
    AwsSignature,
    /// The older form: `Authorization: Bearer VALUE` on every request.
    Bearer,
    /// The older form: `Authorization: token VALUE` on every request.
    Token,
    /// The older form: `Authorization: Basic …` of a value `user:password`, on every request.
    Basic,
    /// The older form: `X-API-Key: VALUE` on every request.
    ApiKey,
}

/// Names of a `CRED` that make it a key for AWS signatures.
const AWS: &[&str] = &["aws", "AWS_SECRET_ACCESS_KEY"];

impl Way {
    /// The way of a plan's credential, from its fields of these names. A credential called `aws` or
    /// `AWS_SECRET_ACCESS_KEY` is a key for AWS signatures, if it is not of the older form.
    ///
    /// # Errors
    /// [`Refusal::Way`] for a way that does not exist, or that does not say which header or parameter is meant.
    pub fn of(name: &str, inject: Option<&str>, older_form: bool) -> Result<Self, Refusal> {
        let refusal = |why| Err(Refusal::Way { name: name.to_owned(), why });
        match (older_form, inject) {
            (false, Some("query")) if AWS.contains(&name) => {
                refusal("an AWS key signs, and is put in nowhere")
            }
            (false, None | Some("header")) if AWS.contains(&name) => Ok(Self::AwsSignature),
            (false, None | Some("header")) => Ok(Self::Header),
            (false, Some("query")) => Ok(Self::Query),
            (true, Some("bearer")) => Ok(Self::Bearer),
            (true, Some("token")) => Ok(Self::Token),
            (true, Some("basic")) => Ok(Self::Basic),
            (true, Some("api-key" | "apikey")) => Ok(Self::ApiKey),
            (true, Some("header")) => refusal("the older form does not say which header is meant"),
            (true, Some("query")) => refusal("the older form does not say which parameter is meant"),
            _ => refusal("there is no such way to put a credential into a request"),
        }
    }

    /// Which header the older form writes, and what before the value.
    fn older(self) -> Option<(HeaderName, &'static str)> {
        match self {
            Self::Bearer => Some((AUTHORIZATION, "Bearer ")),
            Self::Token => Some((AUTHORIZATION, "token ")),
            Self::Basic => Some((AUTHORIZATION, "Basic ")),
            Self::ApiKey => Some((HeaderName::from_static("x-api-key"), "")),
            Self::Header | Self::Query | Self::AwsSignature => None,
        }
    }
}

/// Where in what is sent a placeholder stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Place {
    Method,
    Host,
    Path,
    Query,
    HeaderName,
    Header(HeaderName),
    Body,
    Trailer,
    Stream,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Method => "the method",
            Self::Host => "the host",
            Self::Path => "the path",
            Self::Query => "the query",
            Self::HeaderName => "the name of a header",
            // A name may be as long as a request: what is too long to be a known one is not shown.
            Self::Header(name) if name.as_str().len() > 64 => "a header",
            Self::Header(name) => return write!(out, "the header `{name}`"),
            Self::Body => "the body",
            Self::Trailer => "a trailer",
            Self::Stream => "a stream",
        })
    }
}

/// Why something is not sent, not passed on, or why a run cannot start with its credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A placeholder on the way to a host that its credential is not bound to.
    #[error(
        "the placeholder of `{name}` is in {place} of what goes to `{host}`, and it may not go there: if it should, write `host:{host}` behind its source"
    )]
    #[allow(missing_docs)]
    OtherHost { name: String, place: Place, host: String },
    /// A placeholder on a connection that is not TLS, or whose other end is not verified.
    #[error(
        "the placeholder of `{name}` is in {place} of what goes to `{host}` without verified TLS: use `https://`"
    )]
    #[allow(missing_docs)]
    Clear { name: String, place: Place, host: String },
    /// A placeholder where nothing is put in.
    #[error("the placeholder of `{name}` is in {place}, where no value is put in: {help}")]
    #[allow(missing_docs)]
    Place { name: String, place: Place, help: &'static str },
    /// A request that was to be signed anew.
    #[error("the request cannot be signed with `{name}`: {why}")]
    #[allow(missing_docs)]
    Signature { name: String, why: &'static str },
    /// A response whose body cannot be read, and so not searched for values.
    #[error(
        "the response comes compressed although `identity` was asked for, so values cannot be taken out of it"
    )]
    Compressed,
    /// A `CRED` line that says something that cannot be done.
    #[error("`{name}`: {why}: write `CRED name source host:… inject:header`")]
    #[allow(missing_docs)]
    Way { name: String, why: &'static str },
    /// The value of an older form's `basic`.
    #[error("`{name}`: the value for `basic` is not of the form `user:password`")]
    #[allow(missing_docs)]
    NotUserAndPassword { name: String },
    /// Two credentials of which only one can be put into a request.
    #[error(
        "`{one}` and `{other}` would both be put into each request to `{host}` at the same place: keep one of them"
    )]
    #[allow(missing_docs)]
    Conflict { one: String, other: String, host: String },
    /// What was judged is not what is there any more. This is a bug.
    #[error("the request has changed between its judgement and its sending")]
    Changed,
}
