//! What the operator of a host says about every run on it: `/etc/agentrc/agentrc.toml`, and a user's own
//! `agentrc.toml`, which may narrow that and fill what it does not set (docs/configuration.md). No variable of the
//! environment names another file.

mod approvals;
mod file;
mod tools;

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use agentfile::host::ServerTable;
use serde::Deserialize;

use crate::error::Error;
pub use approvals::{Approvals, Asks, DEFAULT_EXPIRY};
use file::{Read, Text};
pub use tools::Namespaces;

/// The system's file.
pub const SYSTEM: &str = "/etc/agentrc/agentrc.toml";
/// The table of MCP servers beside such a file.
const SERVERS: &str = "mcp.json";

/// What the files say together. Without any file: nothing is required, nothing is excepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Layers without which nothing is run; each once, of both files, the system's first.
    pub require: Vec<Setting<Requirement>>,
    /// The host's own outgoing proxy, through which the gateway must connect.
    pub proxy: Option<Setting<Proxy>>,
    /// Names (`*.suffix` for all below it) that may resolve to addresses of private networks.
    pub private: Vec<Setting<String>>,
    /// Whether content from tools or the network may change memories. Unset: what a person has approved does, since the
    /// policies or `approvals.require` asked.
    pub untrusted: Option<Setting<Untrusted>>,
    /// What a person is asked about, whatever the policies say, and how long that waits.
    pub approvals: Approvals,
    /// Namespaces of tools, none of agentrc's, that are served as its own are.
    pub namespaces: Namespaces,
}

/// What happens when an agent that was given content by a tool or the network changes a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Untrusted {
    /// Nothing is changed, whoever approves it.
    Refuse,
    /// A person is asked.
    Ask,
    /// It is, with where it came from.
    Allow,
}

/// A value, and where it was said: for refusals, and for the audit log, which names each exception in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub place: Place,
}

/// A place in a configuration file. Shown as `file:line:column`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// A layer that an operator may insist on, where a run would do without it otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Requirement {
    /// The eBPF programs on the run's cgroup.
    Ebpf,
    /// Landlock's rules on TCP (ABI 4, Linux 6.7).
    LandlockNet,
    /// A cgroup of the run's own.
    Cgroup,
}

impl Requirement {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ebpf => "ebpf",
            Self::LandlockNet => "landlock-net",
            Self::Cgroup => "cgroup",
        }
    }
}

/// An HTTP proxy that serves CONNECT (RFC 9110, section 9.3.6), itself reached without TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Name in lower case, or address (IPv6 without brackets).
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "http://[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "http://{}:{}", self.host, self.port)
        }
    }
}

impl Config {
    /// Reads the files of this host and the user who runs this.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn of_this_host() -> Result<Self, Error> {
        Self::load(Path::new(SYSTEM), of_this_user()?.as_deref())
    }

    /// Reads `system`, which must be root's, and `user`, which must be this user's or root's; neither may be writable by
    /// others. A file that is not there says nothing.
    ///
    /// # Errors
    /// [`Error::ConfigFile`]: a file cannot be read, or somebody else could have written it. [`Error::Config`]: what is
    /// wrong in one, where; that the user's says what the system's leaves no room for, too.
    pub fn load(system: &Path, user: Option<&Path>) -> Result<Self, Error> {
        Self::load_as(system, 0, user, rustix::process::geteuid().as_raw())
    }

    fn load_as(system: &Path, root: u32, user: Option<&Path>, uid: u32) -> Result<Self, Error> {
        let system = file::read(system, &[root])?;
        let user = user.map(|user| file::read(user, &[root, uid])).transpose()?.flatten();
        let system = system.map(|text| Said::of(&text)).transpose()?.unwrap_or_default();
        let user = user.map(|text| Said::of(&text)).transpose()?.unwrap_or_default();
        system.narrowed_by(user)
    }

    /// Where `requirement` is insisted on, if it is.
    #[must_use]
    pub fn requires(&self, requirement: Requirement) -> Option<&Place> {
        self.require.iter().find(|setting| setting.value == requirement).map(|setting| &setting.place)
    }

    /// The exception by which `host` (in lower case) may resolve to an address of a private network.
    #[must_use]
    pub fn private(&self, host: &str) -> Option<&Setting<String>> {
        self.private.iter().find(|setting| takes_in(&setting.value, host))
    }
}

/// Whether `pattern`, a name or `*.suffix`, takes in `host`, a name or `*.suffix`.
fn takes_in(pattern: &str, host: &str) -> bool {
    let beneath = |suffix: &str| {
        let host = host.strip_prefix('*').unwrap_or(host);
        host.len() > suffix.len() && host.ends_with(suffix)
    };
    pattern == host || pattern.strip_prefix('*').is_some_and(beneath)
}

/// The tables of MCP servers of this host, the system's first, each beside the file of the configuration, and as much its owner's.
///
/// # Errors
/// [`Error::ConfigFile`]: one cannot be read, or somebody else could have written it.
pub fn servers() -> Result<Vec<ServerTable>, Error> {
    let me = rustix::process::geteuid().as_raw();
    servers_as(Path::new(SYSTEM), 0, of_this_user()?.as_deref(), me)
}

fn servers_as(system: &Path, root: u32, user: Option<&Path>, uid: u32) -> Result<Vec<ServerTable>, Error> {
    let system = file::read(&system.with_file_name(SERVERS), &[root])?;
    let user =
        user.map(|user| file::read(&user.with_file_name(SERVERS), &[root, uid])).transpose()?.flatten();
    let tables = [system, user].into_iter().flatten().map(Text::into_parts);
    Ok(tables
        .map(|(path, text)| ServerTable { path: path.display().to_string(), bytes: text.into_bytes() })
        .collect())
}

fn of_this_user() -> Result<Option<PathBuf>, Error> {
    let (xdg, home) = (std::env::var_os("XDG_CONFIG_HOME"), std::env::var_os("HOME"));
    of_user(rustix::process::geteuid().as_raw(), xdg.as_deref(), home.as_deref())
}

/// The user's file. Root's home may be the one of whoever called sudo(8): it says nothing for root.
fn of_user(uid: u32, xdg: Option<&OsStr>, home: Option<&OsStr>) -> Result<Option<PathBuf>, Error> {
    let home = home.filter(|_| uid != 0);
    for (name, value, beneath) in
        [("XDG_CONFIG_HOME", xdg, "agentrc/agentrc.toml"), ("HOME", home, ".config/agentrc/agentrc.toml")]
    {
        match value.filter(|value| !value.is_empty()).map(Path::new) {
            Some(base) if base.is_absolute() => return Ok(Some(base.join(beneath))),
            Some(base) => {
                return Err(Error::ConfigFile {
                    path: base.join(beneath),
                    why: format!("`{name}`, which names it, is not absolute"),
                    help: format!("set `{name}` to an absolute path"),
                });
            }
            None => {}
        }
    }
    Ok(None)
}

/// What one file says.
#[derive(Debug, Default)]
struct Said {
    require: Vec<Setting<Requirement>>,
    proxy: Option<Setting<Proxy>>,
    private: Option<Vec<Setting<String>>>,
    untrusted: Option<Setting<Untrusted>>,
    approvals: Approvals,
    namespaces: Namespaces,
}

impl Said {
    fn of(text: &Text) -> Result<Self, Error> {
        let Read { enforcement, network, memory, approvals, tools } = text.parse()?;
        let mut require: Vec<Setting<Requirement>> = Vec::new();
        for written in enforcement.require.unwrap_or_default() {
            if require.iter().all(|setting| setting.value != *written.get_ref()) {
                require.push(text.setting(&written, *written.get_ref()));
            }
        }
        let proxy = network.proxy.map(|written| {
            let found = proxy(written.get_ref()).map_err(|(why, help)| text.wrong(&written, why, help))?;
            Ok::<_, Error>(text.setting(&written, found))
        });
        let private = network.private.map(|names| {
            let names = names.iter().map(|written| {
                let found = name(written.get_ref()).map_err(|(why, help)| text.wrong(written, why, help))?;
                Ok::<_, Error>(text.setting(written, found))
            });
            names.collect::<Result<Vec<_>, _>>()
        });
        let untrusted = memory.untrusted.map(|written| text.setting(&written, *written.get_ref()));
        let approvals = Approvals::of(text, approvals)?;
        let namespaces = tools::of(text, tools)?;
        let (proxy, private) = (proxy.transpose()?, private.transpose()?);
        Ok(Self { require, proxy, private, untrusted, approvals, namespaces })
    }

    /// The system's, with what a user may add: requirements, exceptions within the system's, and what it leaves open.
    fn narrowed_by(self, user: Self) -> Result<Config, Error> {
        let mut require = self.require;
        for setting in user.require {
            if require.iter().all(|known| known.value != setting.value) {
                require.push(setting);
            }
        }
        let proxy = match (self.proxy, user.proxy) {
            (Some(system), Some(user)) if system.value != user.value => {
                let why = format!("`network.proxy` is {} by {}", system.value, system.place);
                return Err(wrong(user.place, why, "remove the line: the host has one way out".to_owned()));
            }
            (system, user) => system.or(user),
        };
        let private = match (self.private, user.private) {
            (Some(system), Some(user)) => {
                for setting in &user {
                    if !system.iter().any(|known| takes_in(&known.value, &setting.value)) {
                        let why = format!("`{}` is no exception of the system's", setting.value);
                        let help = format!("remove it, or add it to `network.private` in {SYSTEM}");
                        return Err(wrong(setting.place.clone(), why, help));
                    }
                }
                user
            }
            (system, user) => system.or(user).unwrap_or_default(),
        };
        let untrusted = match (self.untrusted, user.untrusted) {
            (Some(system), Some(user)) if system.value < user.value => {
                let word = if system.value == Untrusted::Refuse { "refuse" } else { "ask" };
                let why = format!("`memory.untrusted` is \"{word}\" by {}", system.place);
                return Err(wrong(user.place, why, format!("remove the line, or change {SYSTEM}")));
            }
            (system, user) => user.or(system),
        };
        let approvals = self.approvals.narrowed_by(user.approvals);
        // The system's places, where both say it.
        let namespaces = user.namespaces.into_iter().chain(self.namespaces).collect();
        Ok(Config { require, proxy, private, untrusted, approvals, namespaces })
    }
}

fn wrong(place: Place, why: String, help: String) -> Error {
    Error::Config { place, why, help }
}

type Refused = (String, String);

/// `http://host:port`.
fn proxy(text: &str) -> Result<Proxy, Refused> {
    let refuse = |why: &str| (why.to_owned(), "write `proxy = \"http://proxy.example:3128\"`".to_owned());
    // In no message: before an `@` there may be a password.
    if text.contains('@') {
        return Err(refuse("a proxy with a user (`@`) is not supported"));
    }
    let rest = text.strip_prefix("http://").ok_or_else(|| {
        refuse(&format!("`{text}` is not an HTTP proxy (one that serves CONNECT, reached without TLS)"))
    })?;
    let (host, port) = rest
        .strip_suffix('/')
        .unwrap_or(rest)
        .rsplit_once(':')
        .ok_or_else(|| refuse(&format!("`{text}` has no port")))?;
    let plain = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    let port = port.parse::<u16>().ok().filter(|_| plain);
    let port = port.ok_or_else(|| refuse(&format!("`{text}` has no port from 1 to 65535")))?;
    match agentfile::parse::host_name(host) {
        Ok(host) if !host.starts_with('*') => Ok(Proxy { host, port }),
        Ok(_) => Err(refuse("a `*` names no one host")),
        Err((why, help)) => Err((why, help.to_owned())),
    }
}

/// A name, or `*.suffix`, the suffix of one label too: the names of a private network end as its operator likes.
fn name(text: &str) -> Result<String, Refused> {
    let (wildcard, plain) = match text.strip_prefix("*.") {
        Some(suffix) => ("*.", suffix),
        None => ("", text),
    };
    if plain.contains('*') {
        let help = "write `*.corp.example`, or name the hosts".to_owned();
        return Err((format!("`{text}` has a `*` that is not the whole first label"), help));
    }
    let found = agentfile::parse::host_name(plain).map_err(|(why, help)| (why, help.to_owned()))?;
    if found.parse::<std::net::IpAddr>().is_ok() {
        let help = "an address needs no exception: declare it in the Agentfile, and consent to it".to_owned();
        return Err((format!("`{text}` is not a name"), help));
    }
    Ok(format!("{wildcard}{found}"))
}

#[cfg(test)]
mod tests;
