//! `CRED` and `BROKER`: which secrets are asked for, from where, and where they may go. No value ever enters here, and
//! no message repeats what may be one.

use std::collections::HashMap;

use super::Check;
use crate::boundary::{Credential, Reference};
use crate::diag::Diagnostic;
use crate::hosts::patterns_of;
use crate::lower::sources;
use crate::place::Place;
use crate::syntax::{Cred, Scheme, Word};

impl Check<'_> {
    pub(super) fn cred(&mut self, cred: &Cred, place: Place) {
        if !self.once_named("credential", &cred.name.text, cred.name.span) {
            return;
        }
        self.source(&cred.source);
        if cred.hosts.is_empty() {
            self.warn(
                "W018",
                cred.name.span,
                format!("the credential `{}` is bound to no host, so it is never put in", cred.name.text),
                "write `host:api.example.com` behind the source",
            );
        }
        self.out.credentials.push(Credential {
            name: cred.name.text.clone(),
            source: cred.source.text.clone(),
            hosts: cred.hosts.iter().map(|host| host.text.to_ascii_lowercase()).collect(),
            inject: cred.inject.as_ref().map(|inject| inject.text.clone()),
            older_form: cred.older_form,
            place,
        });
    }

    /// The parser knows the forms; what is left is who may use them.
    fn source(&mut self, source: &Word) {
        if source.text.starts_with("command:") {
            self.error(
                "E071",
                source.span,
                "a `command:` source is taken from the host's configuration only",
                "a package must not choose what the host runs: use `env:`, `keyring:`, `vault://` or `file:`",
            );
        }
    }

    pub(super) fn broker(&mut self, word: &Word, place: Place) {
        if self.once("BROKER", place.span) {
            self.out.brokers.push(Reference { reference: word.text.clone(), place });
        }
    }

    /// A credential goes only to hosts that can be reached, and only over HTTP.
    pub(super) fn credentials_and_hosts(&mut self) {
        let mut found = Vec::new();
        let reachable = || self.out.hosts.iter().chain(self.out.servers.iter().map(|server| &server.host));
        let http_by_host: HashMap<&str, bool> = reachable().fold(HashMap::new(), |mut map, host| {
            *map.entry(host.host.as_str()).or_insert(false) |= host.scheme != Scheme::Tcp;
            map
        });
        for credential in &self.out.credentials {
            for name in &credential.hosts {
                let http = patterns_of(name)
                    .filter_map(|pattern| http_by_host.get(pattern.as_ref()).copied())
                    .reduce(|one, other| one || other);
                match http {
                    Some(true) => {}
                    Some(false) => found.push(
                        Diagnostic::error(
                            "E072",
                            credential.place.span,
                            format!("`{}` cannot be put into what goes to `{name}`", credential.name),
                        )
                        .help("a value is put into HTTP requests: declare the host with `URL https://…`"),
                    ),
                    None if name.starts_with("*.") => {}
                    None => found.push(
                        Diagnostic::warning(
                            "W025",
                            credential.place.span,
                            format!("`{}` is bound to `{name}`, which no URL line declares", credential.name),
                        )
                        .help(format!("write `URL https://{name}`")),
                    ),
                }
            }
        }
        self.diagnostics.append(&mut found);
    }

    /// What a credential is read from is hidden inside, and so no line can show just that.
    pub(super) fn sources_and_binds(&mut self) {
        let mut found = Vec::new();
        for hidden in sources::hidden(&self.out).filter(|hidden| hidden.target == hidden.share.target) {
            let line = self.places.line(hidden.place.span.start);
            let message = format!("this shows the agent the file that the CRED on line {line} is read from");
            found.push(
                Diagnostic::error("E080", hidden.share.place.span, message)
                    .help("remove one of the lines: with a credential the agent has a placeholder, and not the value")
                    .related(hidden.place.span, "the credential is here"),
            );
        }
        self.diagnostics.append(&mut found);
    }
}
