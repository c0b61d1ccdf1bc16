//! The MCP servers that the broker asks, numbered as the broker and the supervisor know them.

use super::{BrokerEntry, HostPath, MountSource, Origin, Plan};
use crate::base::PROJECTION;
use crate::path::is_beneath;
use crate::server::tool_of;

/// A server that is asked for tools.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// As policies know it: `AgentRC::MCPServer::"name"`.
    pub name: &'a str,
    /// How it is come by.
    pub reached: Reached<'a>,
    /// Whether a policy may permit more of it than calls of its tools.
    pub more: bool,
    /// The `MCP` or `SERVER` line.
    pub origin: &'a Origin,
}

/// How a server is come by.
#[derive(Debug, Clone, Copy)]
pub enum Reached<'a> {
    /// It is started here: an agent of its own.
    Started(&'a Plan),
    /// It is somewhere else, and spoken to over streamable HTTP.
    Remote {
        /// `https` or `http`.
        scheme: &'a str,
        /// Name or address.
        host: &'a str,
        /// TCP port.
        port: u16,
        /// Where in the host.
        path: &'a str,
        /// The credential that is sent along, if one is bound to the host.
        credential: Option<&'a str>,
    },
}

impl Plan {
    /// All that are asked, in the order of the plan: each that is started, and each `SERVER` of which a tool, or more, may be permitted.
    pub fn servers_asked(&self) -> impl Iterator<Item = Asked<'_>> {
        self.broker.iter().filter_map(|entry| match entry {
            BrokerEntry::Mcp { name, plan: Some(plan), more, origin, .. } => {
                Some(Asked { name, reached: Reached::Started(plan), more: *more, origin })
            }
            BrokerEntry::Server { name, host, port, scheme, path, credential, more, origin }
                if *more || self.tools_of(name).any(|(_, _, permitted)| permitted) =>
            {
                let (path, credential) = (path.as_deref().unwrap_or("/"), credential.as_deref());
                let reached = Reached::Remote { scheme, host, port: *port, path, credential };
                Some(Asked { name, reached, more: *more, origin })
            }
            _ => None,
        })
    }

    /// The tools of the server `server` that lines declare: each as the server calls it, its line, and whether something may
    /// permit it.
    pub fn tools_of(&self, server: &str) -> impl Iterator<Item = (&str, &Origin, bool)> {
        self.broker.iter().filter_map(move |entry| match entry {
            BrokerEntry::Tool { namespace, name, permitted, origin, .. } if namespace == "mcp" => {
                let (of, tool) = tool_of(name)?;
                (of == server).then_some((tool, origin, *permitted))
            }
            _ => None,
        })
    }

    /// What this plan's command executes of what lines show it: files beside the Agentfile, and the binds in which a word of it lies.
    pub fn executed(&self) -> impl Iterator<Item = &HostPath> {
        let words = || self.command.iter().flat_map(|command| &command.argv);
        self.mounts.iter().filter_map(move |mount| {
            let (MountSource::Bind { source, .. } | MountSource::Copy { source, .. }) = &mount.source else {
                return None;
            };
            let target = &mount.target;
            // Also the value of an option, such as `--import=/srv/x.js`.
            let named = |word: &String| word.split('=').any(|part| is_beneath(part, target));
            let executed = is_beneath(target, PROJECTION) || words().any(named);
            (executed && mount.origin.is_written()).then_some(source)
        })
    }
}
