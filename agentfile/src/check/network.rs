//! `URL`, `SERVER`, `TRACE`: where packets may go, and on whose behalf.

use std::borrow::Cow;

use super::{Check, destination};
use crate::boundary::{Reference, Server, Via};
use crate::diag::Diagnostic;
use crate::place::Place;
use crate::syntax::{Scheme, UrlPattern, Word};

/// Longest DNS name (RFC 1035, section 2.3.4); a longer one has no patterns but itself.
const NAME_MAX: usize = 253;

/// The patterns that take in `host`: itself, and `*.suffix` for each of its suffixes.
pub(crate) fn patterns_of(host: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let suffixes = std::iter::successors(Some(name).filter(|name| name.len() <= NAME_MAX), |name| {
        name.split_once('.').map(|(_, rest)| rest)
    });
    let above = suffixes.skip(1).map(|suffix| Cow::Owned(format!("*.{suffix}")));
    std::iter::once(Cow::Borrowed(host)).chain(above)
}

impl Check<'_> {
    pub(super) fn url(&mut self, url: &UrlPattern, place: Place) {
        use super::InsertFirst as _;
        let key =
            format!("{:?} {} {} {}", url.scheme, url.host, url.port, url.path.as_deref().unwrap_or("/"));
        if let Some(first) = self.first.insert_first(super::Once::Name("URL", key), url.word.span) {
            self.diagnostics.push(
                Diagnostic::warning(
                    "W030",
                    url.word.span,
                    format!("`{}` is already declared", url.word.text),
                )
                .help("remove the line")
                .related(first, "the first is here"),
            );
            return;
        }
        let _ = self.first.insert_first(super::Once::Name("host", url.host.clone()), url.word.span);
        self.out.hosts.push(destination(url, Via::Agent, place));
    }

    pub(super) fn server(&mut self, name: &Word, url: &UrlPattern, place: Place) {
        if !self.once_named("server", &name.text, name.span) {
            return;
        }
        if url.scheme == Scheme::Tcp {
            self.error("E072", url.word.span, "a server is reached over HTTP", "write `https://host/path`");
        }
        if url.host.starts_with("*.") {
            self.error("E072", url.word.span, "a server has one host", "write its name without `*`");
        }
        let host = destination(url, Via::Broker, place);
        self.out.servers.push(Server { name: name.text.clone(), host });
    }

    pub(super) fn trace(&mut self, word: &Word, place: Place) {
        if !self.once("TRACE", place.span) {
            return;
        }
        // The parser takes `on`, `off` and `otlp://host:port` only.
        if word.text != "off" {
            self.out.trace = Some(Reference { reference: word.text.clone(), place });
        }
    }

    pub(super) fn finish_network(&mut self) {
        self.credentials_and_hosts();
    }
}
