//! `URL`, `SERVER`, `TRACE`: where packets may go, and on whose behalf.

use std::collections::HashMap;

use super::{Check, destination};
use crate::boundary::{Host, Reference, Server, Via};
use crate::diag::Diagnostic;
use crate::hosts::Hosts;
use crate::lower::egress::scheme_word;
use crate::place::Place;
use crate::plan::words;
use crate::policy::Policy;
use crate::policy::requests::{self, Scope};
use crate::syntax::{Scheme, UrlPattern, Word};

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
        self.dotless(name);
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
        self.sources_and_binds();
        self.schemes();
    }

    /// A connection is known by its host and port alone, so these say what may be spoken on it: two schemes would leave it to
    /// the agent, and `tcp://` would take from `https://` the requests that are judged.
    fn schemes(&mut self) {
        // Names; wildcards by their suffix; and the first name below each suffix, which a wildcard would take in.
        let mut declared: HashMap<(u16, Scheme, &str), &Host> = HashMap::new();
        let mut wildcards = declared.clone();
        let mut below = declared.clone();
        let mut found = Vec::new();
        for host in self.out.agent_hosts() {
            let (port, name) = (host.port, host.host.as_str());
            let suffix =
                if name.starts_with("*.") { None } else { name.split_once('.').map(|(_, suffix)| suffix) };
            let first = [Scheme::Https, Scheme::Http, Scheme::Tcp]
                .into_iter()
                .filter(|scheme| *scheme != host.scheme)
                .flat_map(|scheme| match name.strip_prefix("*.") {
                    Some(suffix) => {
                        [wildcards.get(&(port, scheme, suffix)), below.get(&(port, scheme, suffix))]
                    }
                    None => [
                        declared.get(&(port, scheme, name)),
                        suffix.and_then(|suffix| wildcards.get(&(port, scheme, suffix))),
                    ],
                })
                .flatten()
                .min_by_key(|host| host.place.span.start);
            if let Some(first) = first {
                let line = self.places.line(first.place.span.start);
                found.push(
                    Diagnostic::error(
                        "E079",
                        host.place.span,
                        format!("`{}` contradicts `{}` on line {line}", shown(host), shown(first)),
                    )
                    .help("one host and port is spoken to in one scheme: keep one of the lines, or give one its own port")
                    .related(first.place.span, "the first is here"),
                );
            }
            match name.strip_prefix("*.") {
                Some(suffix) => wildcards.entry((port, host.scheme, suffix)).or_insert(host),
                None => declared.entry((port, host.scheme, name)).or_insert(host),
            };
            if let Some(suffix) = suffix {
                below.entry((port, host.scheme, suffix)).or_insert(host);
            }
        }
        self.diagnostics.append(&mut found);
    }

    /// A policy on requests, where one of the destinations that it is about shows none.
    pub(super) fn requests_of_tcp(&mut self, policies: &[Policy]) {
        let tcp: Vec<&Host> = self.out.agent_hosts().filter(|host| host.scheme == Scheme::Tcp).collect();
        let hosts: Hosts = tcp.iter().map(|host| host.host.as_str()).collect();
        let mut found = Vec::new();
        for policy in policies {
            let met = match requests::judged(policy, &self.out.agent) {
                None => continue,
                Some(Scope::All) => tcp.first(),
                Some(Scope::Of(name)) => hosts.meets(&name).and_then(|number| tcp.get(number)),
            };
            let Some(host) = met else { continue };
            let to = shown(host);
            let scoped = "say which hosts it is about: `resource in AgentRC::Host::\"api.example.com\"`";
            let finding = if policy.permits() {
                let message = format!("this permit judges requests, and those to `{to}` are never seen");
                Diagnostic::warning("W027", policy.place.span, message)
                    .help(format!("{scoped}; the URL line by itself permits the connection"))
            } else {
                let message = format!("this policy cannot be held on `{to}`, whose requests are never seen");
                Diagnostic::error("E073", policy.place.span, message).help(format!(
                    "{scoped}, or judge the connection by `context.host` and `context.port` alone"
                ))
            };
            found.push(finding.related(host.place.span, "the destination is here"));
        }
        self.diagnostics.append(&mut found);
    }
}

/// The destination as it is written, with its port and without a path.
fn shown(host: &Host) -> String {
    format!("{}://{}", scheme_word(host.scheme), words::authority(&host.host, host.port))
}
