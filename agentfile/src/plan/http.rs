//! A request over HTTP that a tool is, as a template: the host is fixed, and each argument has one place.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Part;

/// A request with places for arguments; [`crate::request::request`] makes one of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpTemplate {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// `https` or `http`.
    pub scheme: String,
    /// The one host, in lower case.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The path, from its `/`.
    pub path: Vec<Part>,
    /// Arguments that are in the query, each by its name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub query: BTreeSet<String>,
    /// Headers that are the same each time; names in lower case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Arguments that are headers, each by its name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub header_arguments: BTreeSet<String>,
    /// The argument that is the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// What the body is said to be.
    pub content_type: String,
}
