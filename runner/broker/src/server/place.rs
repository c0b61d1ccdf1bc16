//! Where a server is that is not started here, and what is said of who asks.

use std::collections::BTreeMap;

use agentfile::plan::servers::Reached;
use agentfile::plan::words;
use http::Uri;
use http::header::HeaderValue;

/// Where the server is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) uri: Uri,
    pub(super) scheme: String,
    pub(super) host: String,
    pub(super) port: u16,
    /// What is said of who asks: a placeholder, whose value the gateway puts in.
    pub(super) authorization: Option<HeaderValue>,
}

impl Place {
    /// That of a server; `None`: it is started here.
    ///
    /// # Errors
    /// There is none, as the end of a sentence about the server.
    pub(super) fn of(
        reached: &Reached<'_>,
        placeholders: &BTreeMap<String, String>,
    ) -> Result<Option<Self>, String> {
        let Reached::Remote { scheme, host, port, path, credential } = *reached else { return Ok(None) };
        let uri = format!("{}{path}", words::url(scheme, host, port));
        let uri = uri.parse().map_err(|error| format!("is at no URL ({uri}): {error}"))?;
        let bearer = |name| {
            let placeholder =
                placeholders.get(name).ok_or_else(|| format!("needs `{name}`, which is not there"))?;
            let value = HeaderValue::from_str(&format!("Bearer {placeholder}"));
            value.map_err(|error| format!("cannot be sent what stands for `{name}`: {error}"))
        };
        let authorization = credential.map(bearer).transpose()?;
        let (scheme, host) = (scheme.to_owned(), host.to_owned());
        Ok(Some(Self { uri, scheme, host, port, authorization }))
    }
}
