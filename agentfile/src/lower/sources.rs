//! Files that credentials are read from, where a bind shows them: the agent gets a placeholder and never the value, so they
//! are hidden inside. What is compared here is what is written; at launch the runner finds them by what they are, whatever
//! link or other bind leads there (`runner/jail`, `layout/credential.rs`).

use crate::boundary::{Boundaries, Content, Share};
use crate::place::Place;
use crate::plan::{BrokerEntry, HostPath, Plan, Source, source_file};

/// A file that is hidden, and the credential that says so.
pub(crate) struct Hidden<'a> {
    /// Absolute path inside.
    pub(crate) target: String,
    /// The bind that would show it.
    pub(crate) share: &'a Share,
    /// The CRED line.
    pub(crate) place: &'a Place,
}

/// All of them, in the order of the text.
pub(crate) fn hidden(boundaries: &Boundaries) -> impl Iterator<Item = Hidden<'_>> {
    let files = boundaries.credentials.iter().filter_map(|credential| {
        host_path(source_file(&credential.source)?).map(|path| (path, &credential.place))
    });
    files.flat_map(move |(path, place)| {
        boundaries.shares.iter().filter_map(move |share| {
            let Content::Bind { source, .. } = &share.content else { return None };
            let rest = below(source, &path)?;
            let target = if rest.is_empty() {
                share.target.clone()
            } else {
                format!("{}/{rest}", share.target.trim_end_matches('/'))
            };
            Some(Hidden { target, share, place })
        })
    })
}

/// Those of the servers: the agent has not even their placeholders.
pub(super) fn of_servers(boundaries: &Boundaries) -> Vec<Source> {
    boundaries.mcp.iter().flat_map(|mcp| of_plan(mcp.plan.as_deref())).collect()
}

/// Those of the agent, and of all servers: a skill has none.
pub(super) fn of_all(boundaries: &Boundaries) -> Vec<Source> {
    of_others(boundaries, "")
}

/// Those of the agent, and of all servers but `server`.
pub(super) fn of_others(boundaries: &Boundaries, server: &str) -> Vec<Source> {
    let agents = boundaries.credentials.iter().map(|credential| Source {
        source: credential.source.clone(),
        origin: credential.place.origin.clone(),
    });
    let others = boundaries.mcp.iter().filter(|mcp| mcp.name != server);
    agents.chain(others.flat_map(|mcp| of_plan(mcp.plan.as_deref()))).collect()
}

fn of_plan(plan: Option<&Plan>) -> impl Iterator<Item = Source> + '_ {
    plan.into_iter().flat_map(|plan| &plan.broker).filter_map(|entry| match entry {
        BrokerEntry::Credential { source, origin, .. } => {
            Some(Source { source: source.clone(), origin: origin.clone() })
        }
        _ => None,
    })
}

/// A source's path as a bind would write it. `None`: it is not in its plain spelling, and only the runner knows it.
pub(super) fn host_path(written: &str) -> Option<HostPath> {
    let plain =
        |path: &str| path.split('/').all(|part| !matches!(part, "" | "." | "..")).then(|| path.to_owned());
    if let Some(rest) = written.strip_prefix("~/") {
        plain(rest).map(HostPath::Home)
    } else if let Some(rest) = written.strip_prefix('/') {
        plain(rest).map(|rest| HostPath::Absolute(format!("/{rest}")))
    } else if let Some(rest) = written.strip_prefix("../") {
        plain(rest).map(|rest| HostPath::Outside(format!("../{rest}")))
    } else {
        plain(written.strip_prefix("./").unwrap_or(written)).map(HostPath::Project)
    }
}

/// `path` relative to `folder`; empty when it is the same.
pub(super) fn below<'a>(folder: &HostPath, path: &'a HostPath) -> Option<&'a str> {
    let (folder, path) = match (folder, path) {
        (HostPath::Project(folder), HostPath::Project(path))
        | (HostPath::Home(folder), HostPath::Home(path))
        | (HostPath::Absolute(folder), HostPath::Absolute(path))
        | (HostPath::Outside(folder), HostPath::Outside(path)) => (folder.trim_end_matches('/'), path),
        _ => return None,
    };
    if folder.is_empty() {
        return Some(path);
    }
    let rest = path.strip_prefix(folder)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}
